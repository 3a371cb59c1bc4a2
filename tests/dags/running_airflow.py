"""A real Airflow on a database of its own: scheduler, dag-processor, triggerer and API server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from guidealign.platform import AirflowApi
from guidealign.settings import AirflowSettings, Settings
from tests.fakes.airflow_home import airflow_env

_PARTS = ("api-server", "dag-processor", "scheduler", "triggerer")
_START_S = 240


def call_python(env: dict[str, str], cwd: Path | None, *arguments: str) -> str:
    """What Python prints; the test fails where it does."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env=env,
        cwd=cwd,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
    return done.stdout


@dataclass(frozen=True)
class RunningAirflow:
    """The environment that its commands run in, and its API."""

    env: dict[str, str]
    api: AirflowApi
    log: Path

    def airflow(self, *command: str) -> str:
        """What a command of Airflow prints."""
        return call_python(self.env, None, "-m", "airflow", *command)

    def wait_for_dag(self, dag_id: str, timeout_s: float = 120) -> None:
        """Until the dag-processor has read it."""
        deadline = time.monotonic() + timeout_s
        while not self.api.dag_is_known(dag_id):
            assert time.monotonic() < deadline, self.api.import_errors()
            time.sleep(1)

    def wait_for_runs(
        self, dag_id: str, n: int, timeout_s: float = 300, run_type: str | None = None
    ) -> list[dict[str, Any]]:
        """Until so many runs of a DAG, of one type or of any, have ended; every such run there is.

        A DAG that is unpaused may begin a scheduled run beside those that were asked for.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            found = self.api.runs(dag_id, limit=100)
            runs = [run for run in found if run_type in (None, run["run_type"])]
            ended = [run for run in runs if run["state"] in {"success", "failed"}]
            if len(ended) >= n:
                return runs
            assert time.monotonic() < deadline, [(r["dag_run_id"], r["state"]) for r in runs]
            time.sleep(1)


@contextmanager
def run_airflow(
    folder: Path, airflow_url: str, database_url: str, dags: Path, **settings: str
) -> Iterator[RunningAirflow]:
    """Starts the four parts, and ends them by their process groups.

    Args:
        folder: of Airflow's own, for logs and passwords.
        airflow_url: an empty database, for Airflow.
        database_url: guidealign's.
        dags: the folder with the DAG files.
        settings: further environment variables.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    roles = {"admin": "admin", "ada": "op", "eve": "op"}
    (folder / "passwords.json").write_text(json.dumps({name: name for name in roles}))
    base = f"http://127.0.0.1:{port}"
    env = airflow_env(folder) | {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": airflow_url,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": airflow_url,
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "false",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{base}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(map(":".join, roles.items())),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(folder / "passwords.json"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": base,
        "AIRFLOW__API__SECRET_KEY": "s" * 64,
        "AIRFLOW__API_AUTH__JWT_SECRET": "j" * 96,
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "false",
        "AIRFLOW__DAG_PROCESSOR__DAG_VERSION_INFLATION_CHECK_LEVEL": "error",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
        "AIRFLOW_CONN_GUIDEALIGN_DB": database_url.replace("+psycopg", ""),
        "GUIDEALIGN_MLFLOW__TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        **settings,
    }
    airflow = [sys.executable, "-m", "airflow"]
    subprocess.run([*airflow, "db", "migrate"], env=env, check=True, capture_output=True)
    started = []
    try:
        with (folder / "log").open("w") as log:
            for part in _PARTS:
                options = ["--workers", "1"] if part == "api-server" else []
                options = ["--skip-serve-logs"] if part in {"scheduler", "triggerer"} else options
                started.append(
                    subprocess.Popen(
                        [*airflow, part, *options],
                        env=env,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )
        _wait_until_healthy(base, folder / "log")
        api = AirflowApi(
            Settings(airflow=AirflowSettings(base_url=base, username="admin", password="admin"))
        )
        yield RunningAirflow(env, api, folder / "log")
    finally:
        for process in reversed(started):
            os.killpg(process.pid, signal.SIGTERM)
        for process in started:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)


def _wait_until_healthy(base: str, log: Path) -> None:
    names = ("scheduler", "triggerer", "dag_processor")
    deadline = time.monotonic() + _START_S
    while True:
        try:
            health = httpx.get(f"{base}/api/v2/monitor/health", timeout=5).json()
            if all((health.get(name) or {}).get("status") == "healthy" for name in names):
                return
        except (httpx.HTTPError, ValueError):
            pass
        assert time.monotonic() < deadline, log.read_text()[-3_000:]
        time.sleep(1)
