"""An example: a DAG of your own that starts when users have said something to the gateway."""

from __future__ import annotations

from airflow.sdk import dag

from guidealign_airflow.assets import watched
from guidealign_airflow.deadlines import stage_deadline
from guidealign_airflow.operators import IngestOperator


@dag(
    schedule=[watched("inbox", poll_s=10)],
    catchup=False,
    max_active_runs=1,
    deadline=stage_deadline("ingest"),
    tags=["guidealign", "example"],
)
def guidealign_example_on_arrival() -> None:
    """The triggerer looks into the inbox; no worker waits."""
    IngestOperator(task_id="read_inbox", inbox=True)


guidealign_example_on_arrival()
