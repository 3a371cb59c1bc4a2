"""One real Airflow for the tests that need a scheduler: shipped DAGs, and two of the tests'."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest

from guidealign.db import make_engine
from tests.dags.running_airflow import RunningAirflow, run_airflow
from tests.fakes.airflow_home import ROOT

_SHIPPED = ("guidealign_ingest", "guidealign_ingest_partitions")


@pytest.fixture(scope="package")
def databases(postgres_url: str, migrated_template: str) -> Iterator[tuple[str, str]]:
    """Airflow's, empty, and guidealign's, migrated."""
    server = postgres_url.rsplit("/", 1)[0]
    names = [f"{what}_{uuid.uuid4().hex[:8]}" for what in ("airflow", "guidealign")]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"create database {names[0]}")
        connection.execute(f"create database {names[1]} template {migrated_template}")
    urls = [f"{server}/{name}".replace("postgresql:", "postgresql+psycopg:") for name in names]
    yield urls[0], urls[1]
    make_engine(urls[1]).dispose()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for name in names:
            connection.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="package")
def airflow(
    databases: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningAirflow]:
    """Ends with the folder's tests: it takes a quarter of a core while it waits."""
    folder = tmp_path_factory.mktemp("running")
    dags = folder / "dags"
    dags.mkdir()
    for name in _SHIPPED:
        (dags / f"{name}.py").symlink_to(ROOT / "dags" / f"{name}.py")
    (dags / "asking_dags.py").symlink_to(ROOT / "tests" / "dags" / "asking_dags.py")
    settings = {
        "GUIDEALIGN_HOME": str(folder / "home"),
        "GUIDEALIGN_INGEST__WATCH": "true",
        "GUIDEALIGN_INGEST__WATCH_POLL_S": "1",
        # Less than a run takes: each is late.
        "GUIDEALIGN_AIRFLOW__DEADLINES": "true",
        "GUIDEALIGN_AIRFLOW__DEADLINES_MIN__INGEST": "0.01",
        "GUIDEALIGN_GATES__APPROVERS": '["ada"]',
        "AIRFLOW__CORE__PARALLELISM": "4",
    }
    with run_airflow(folder / "airflow", *databases, dags, **settings) as running:
        yield running
