"""The DAGs of operation run for real: a roll back by form, and the weekly maintenance."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from guidealign.db import current_release
from guidealign.records import LABRADOR_MODEL
from guidealign.registry import Registry
from tests.fakes.airflow_home import airflow_env, airflow_home
from tests.fakes.mlflow_store import local_registry
from tests.integration.running_pages import fill

ROOT = Path(__file__).resolve().parents[2]
_RUN = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder=sys.argv[1], bundle_name="test")
(dag,) = bag.dags.values()
run = dag.test(run_conf=json.loads(sys.argv[2]))
print("state:", run.state)
"""


@pytest.fixture
def registry(engine: Engine, tmp_path: Path) -> Registry:
    """With Labrador 2 as champion, 1 as the way back."""
    with local_registry(tmp_path, engine) as registry:
        fill(engine, registry, tmp_path)
    return registry


def _run(name: str, conf: str, database_url: str, registry: Registry, folder: Path) -> str:
    env = airflow_env(airflow_home(folder / "airflow")) | {
        "AIRFLOW_CONN_GUIDEALIGN_DB": database_url,
        "GUIDEALIGN_MLFLOW__TRACKING_URI": registry.tracking_uri,
    }
    file = str(ROOT / "dags" / f"{name}.py")
    command = [sys.executable, "-c", _RUN, file, conf]
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True, cwd=folder)
    return done.stdout + done.stderr


def test_a_person_rolls_back_by_form_and_stands_in_the_ledger(
    engine: Engine, database_url: str, registry: Registry, tmp_path: Path
) -> None:
    conf = f'{{"model": "{LABRADOR_MODEL}", "reason": "complaints from users"}}'
    said = _run("guidealign_rollback", conf, database_url, registry, tmp_path)
    assert "state: success" in said, said[-3000:]
    live = current_release(engine)
    assert live is not None
    assert live.labrador_version == 1
    assert registry.alias_version(LABRADOR_MODEL, "champion") == 1
    with engine.connect() as connection:
        last = connection.execute(
            text("select action, actor, reason from library.promotions order by id desc limit 1")
        ).one()
    assert tuple(last) == ("rollback", "airflow-user:dag_test", "complaints from users")


def test_a_roll_back_without_a_reason_does_not_start(
    engine: Engine, database_url: str, registry: Registry, tmp_path: Path
) -> None:
    said = _run("guidealign_rollback", "{}", database_url, registry, tmp_path)
    assert "reason" in said
    assert "state: success" not in said
    live = current_release(engine)
    assert live is not None
    assert live.labrador_version == 2


def test_maintenance_puts_aliases_back_and_clears_old_vectors(
    engine: Engine, database_url: str, registry: Registry, tmp_path: Path
) -> None:
    registry.set_alias(LABRADOR_MODEL, "champion", 1)
    with engine.begin() as connection:
        # A retriever that is no champion, challenger, way back or canary.
        connection.execute(
            text(
                "insert into core.embeddings (guideline_id, retriever_version, embedding)"
                " select guideline_id, 9, embedding from core.embeddings"
                " where retriever_version = 0"
            )
        )
    said = _run("guidealign_maintenance", "{}", database_url, registry, tmp_path)
    assert "state: success" in said, said[-3000:]
    live = current_release(engine)
    assert live is not None
    assert live.labrador_version == 2
    assert registry.alias_version(LABRADOR_MODEL, "champion") == 2
    with engine.connect() as connection:
        versions = connection.execute(
            text("select distinct retriever_version from core.embeddings order by 1")
        ).scalars()
        assert list(versions) == [-1, 0]


def test_the_library_in_words(engine: Engine, registry: Registry) -> None:
    from guidealign.library import health_in_words, library_health

    # Six are served, eleven were added, of which one is quarantined; no input is uncovered.
    assert health_in_words(library_health(engine=engine)) == (
        "6 active guidelines, 6 of them never used; 11 wait for review, 0 conflicts are open."
        " 0 inputs have no guideline."
    )
