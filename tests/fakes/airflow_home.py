"""What a process of Airflow is told, and a database without a server: SQLite in its home."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def _empty_store() -> bytes:
    with tempfile.TemporaryDirectory() as home:
        env = os.environ | {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "false"}
        command = [sys.executable, "-m", "airflow", "db", "migrate"]
        subprocess.run(command, env=env, check=True, capture_output=True)
        return (Path(home) / "airflow.db").read_bytes()


def airflow_home(folder: Path) -> str:
    """The folder, with a database as `airflow db migrate` makes it: a copy, which takes no time."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "airflow.db").write_bytes(_empty_store())
    return str(folder)


def airflow_env(home: Path | str) -> dict[str, str]:
    """Variables of this process, and those with which Airflow knows this checkout alone."""
    return os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}",
    }
