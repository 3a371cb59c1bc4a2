"""A database for Airflow without its server: SQLite in its home folder."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path


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
