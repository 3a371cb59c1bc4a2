"""An example: a query on another database, read hour by hour, with working backfills."""

from __future__ import annotations

from airflow.sdk import CronPartitionTimetable, dag

from guidealign_airflow.assets import INPUT_PARTITIONS
from guidealign_airflow.operators import IngestOperator


@dag(
    # The hour that has ended: its start is the partition's date.
    schedule=CronPartitionTimetable("0 * * * *", timezone="UTC", run_offset=-1),
    catchup=False,
    is_paused_upon_creation=True,
    tags=["guidealign", "example"],
)
def guidealign_example_hourly_query() -> None:
    """The table needs an index on `asked_at`; an hour that is read again changes nothing."""
    IngestOperator(
        task_id="read_hour",
        conn_id="warehouse",
        query="select id, question, asked_at from support.questions",
        fields={"text_field": "question", "id_field": "id", "time_field": "asked_at"},
        start="{{ partition_date.isoformat() if partition_date else '' }}",
        end="{{ (partition_date + macros.timedelta(hours=1)).isoformat()"
        " if partition_date else '' }}",
        outlets=[INPUT_PARTITIONS],
    )


guidealign_example_hourly_query()
