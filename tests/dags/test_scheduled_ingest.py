"""Under a real scheduler and triggerer: backfills by partition, the watcher, a missed deadline."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from guidealign.db import make_engine
from tests.dags.running_airflow import RunningAirflow
from tests.e2e.conftest import wait_until
from tests.integration.gateway_fixture import make_key

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1_500)]

DAY = datetime(2026, 10, 1, tzinfo=UTC)
N_DAYS = 30
_TABLES = ("inputs", "ingest_batches", "ingest_watermarks", "rejects")


@pytest.fixture(scope="module")
def engine(databases: tuple[str, str]) -> Engine:
    return make_engine(databases[1])


@pytest.fixture(scope="module")
def key(engine: Engine) -> int:
    return make_key(engine, log="all").key_id


def _say(engine: Engine, key: int, words: str, at: datetime) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into core.inbox (response_id, key_id, text, occurred_at, logged_at)"
                " values (:id, :key, :text, :at, :at)"
            ),
            {"id": uuid.uuid4().hex, "key": key, "text": words, "at": at},
        )


def _everything(engine: Engine) -> dict[str, list[tuple]]:
    with engine.connect() as connection:
        return {
            table: sorted(
                tuple(map(str, row))
                for row in connection.execute(text(f"select * from core.{table}"))
            )
            for table in _TABLES
        }


def test_the_inbox_starts_ingest_which_is_told_to_be_late(
    airflow: RunningAirflow, engine: Engine, key: int, databases: tuple[str, str]
) -> None:
    airflow.wait_for_dag("guidealign_ingest")
    _say(engine, key, "Who starts whom?", datetime.now(UTC))
    (run,) = airflow.wait_for_runs("guidealign_ingest", 1)
    assert (run["state"], run["run_type"]) == ("success", "asset_triggered")
    with engine.connect() as connection:
        found = connection.execute(
            text("select text, source from core.inputs where source like 'gateway%'")
        ).all()
    assert [tuple(row) for row in found] == [("Who starts whom?", "gateway-inbox")]
    wait_until(lambda: any("is not done" in line for line in _said(databases[0])), 60, "the line")


def _said(airflow_url: str) -> list[str]:
    """What callbacks of missed deadlines returned."""
    with make_engine(airflow_url).connect() as connection:
        rows = connection.execute(
            text("select c.output from callback c join deadline d on d.callback_id = c.id")
        )
        return [line for line in rows.scalars() if line]


def test_thirty_partitions_backfilled_twice_and_the_second_changes_nothing(
    airflow: RunningAirflow, engine: Engine, key: int, databases: tuple[str, str]
) -> None:
    dag_id = "guidealign_ingest_partitions"
    airflow.wait_for_dag(dag_id)
    # What it would read by its watermark, the partitions are to read.
    airflow.airflow("dags", "pause", "guidealign_ingest")
    for number in range(N_DAYS):
        at = DAY + timedelta(days=number, hours=number % 24)
        _say(engine, key, f"What is new on day {number}?", at)
    airflow.airflow("dags", "unpause", dag_id)
    first = _backfill(airflow, dag_id, N_DAYS)
    with engine.connect() as connection:
        days = (
            connection.execute(
                text(
                    "select occurred_at::date from core.inputs where text like 'What is new%'"
                    " order by occurred_at"
                )
            )
            .scalars()
            .all()
        )
    assert days == [(DAY + timedelta(days=number)).date() for number in range(N_DAYS)]
    before = _everything(engine)
    # Its runs are over before the scheduler notices that it is, and there is one at a time.
    wait_until(lambda: not _open_backfills(databases[0]), 120, "the first backfill to be over")
    second = _backfill(airflow, dag_id, 2 * N_DAYS)
    assert len(second) > len(first)
    assert _everything(engine) == before


def _open_backfills(airflow_url: str) -> int:
    with make_engine(airflow_url).connect() as connection:
        query = text("select count(*) from backfill where completed_at is null")
        return int(connection.execute(query).scalar_one())


def _backfill(airflow: RunningAirflow, dag_id: str, n_runs: int) -> list[str]:
    last = DAY + timedelta(days=N_DAYS - 1)
    airflow.airflow(
        "backfill", "create", "--dag-id", dag_id,
        "--from-date", f"{DAY:%Y-%m-%d}", "--to-date", f"{last:%Y-%m-%d}",
        "--reprocess-behavior", "completed", "--max-active-runs", "4",
    )  # fmt: skip
    runs = airflow.wait_for_runs(dag_id, n_runs, timeout_s=600, run_type="backfill")
    assert {run["state"] for run in runs} == {"success"}
    return [run["dag_run_id"] for run in runs]


def test_reading_the_files_again_and_again_makes_no_new_version(
    airflow: RunningAirflow, databases: tuple[str, str]
) -> None:
    assert airflow.api.import_errors() == []
    with make_engine(databases[0]).connect() as connection:
        versions = connection.execute(
            text("select dag_id, count(*) from dag_version group by dag_id order by dag_id")
        ).all()
    # Every ten seconds, all through the tests above.
    assert [tuple(row) for row in versions] == [
        ("asking", 1),
        ("asking_in_vain", 1),
        ("guidealign_ingest", 1),
        ("guidealign_ingest_partitions", 1),
    ]
