"""An example: the stages in one DAG of your own, from a file to a retriever that serves."""

from __future__ import annotations

from airflow.sdk import Param, dag

from guidealign_airflow.operators import (
    AuthorOperator,
    GateOperator,
    IngestOperator,
    PublishOperator,
    SwitchOperator,
    TrainRetrieverOperator,
)


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    tags=["guidealign", "example"],
    params={
        "path": Param("", type="string", title="File", description="JSONL, CSV or Parquet"),
        "max_requests": Param(500, type="integer", minimum=1, title="Most requests"),
    },
)
def guidealign_example_own_cycle() -> None:
    """Each operator waits for the one before; the gate's decision is what the switch does."""
    taken_in = IngestOperator(task_id="ingest", path="{{ params.path }}")
    written = AuthorOperator(task_id="author", budget={"max_requests": "{{ params.max_requests }}"})
    published = PublishOperator(task_id="publish", note="by {{ dag.dag_id }}")
    trained = TrainRetrieverOperator(task_id="train")
    judged = GateOperator(task_id="gate", trained=trained.output)
    switched = SwitchOperator(
        task_id="switch", model_name="guidealign-retriever", judged=judged.output
    )
    taken_in >> written >> published >> trained >> judged >> switched


guidealign_example_own_cycle()
