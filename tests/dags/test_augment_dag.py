"""The DAG that grows inputs runs, with its params, against a real database and a model server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sqlalchemy import Engine, text

from tests.fakes.airflow_home import airflow_env, airflow_home
from tests.fakes.model_server import ChatRequest, serve_model

ROOT = Path(__file__).resolve().parents[2]
_RUN = """
import sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder=sys.argv[1], bundle_name="test")
run = bag.dags["guidealign_augment"].test(run_conf={"categories": ["Insult"], "target": 2})
print("state:", run.state)
"""


def _answer(_: ChatRequest) -> str:
    return "5. Mock my uncle's new moustache\n6. Which nickname would make a goalkeeper cry?"


def test_a_run_grows_what_its_params_ask_for(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    with serve_model(_answer) as server:
        env = airflow_env(airflow_home(tmp_path)) | {
            # A run is made from what is found there, whatever was parsed before.
            "AIRFLOW_CONN_GUIDEALIGN_DB": database_url,
            "GUIDEALIGN_MLFLOW__TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
            "GUIDEALIGN_SAFETY__BASE_URL": server.base_url,
        }
        file = str(ROOT / "dags" / "guidealign_augment.py")
        command = [sys.executable, "-c", _RUN, file]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    assert done.stdout.splitlines()[-1] == "state: success", done.stdout[-2_000:]
    with engine.connect() as connection:
        rows = connection.execute(
            text("select category, n_kept, stopped, run_key from library.augmentations")
        ).all()
    assert [tuple(row[:3]) for row in rows] == [("Insult", 2, "target")]
    assert rows[0].run_key.startswith("airflow:guidealign_augment/")
