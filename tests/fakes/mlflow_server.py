"""The tracking server as `guidealign up` starts it, on SQLite."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from guidealign.platform import Home
from guidealign.platform._ports import HOST, choose_port
from guidealign.platform._processes import Service
from guidealign.platform._services import mlflow_service
from guidealign.registry import Registry
from guidealign.settings import MlflowSettings

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class MlflowServer:
    """A server that runs, and how to sign in to it."""

    url: str
    login: tuple[str, str]
    database: Path
    artifacts: Path

    @property
    def registry(self) -> Registry:
        """Signed in."""
        return Registry(self.url, self.login)


def declare_entry_points(folder: Path) -> None:
    """Makes what pyproject.toml declares known to this process: a checkout is not installed."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    lines = []
    for group, points in groups.items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    info = folder / "guidealign_checkout-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: guidealign-checkout\nVersion: 0\n")
    (info / "entry_points.txt").write_text("\n".join(lines))


@contextmanager
def running_mlflow(folder: Path) -> Iterator[MlflowServer]:
    """A server of the block's own, its home in the folder."""
    home = Home(folder / "home")
    home.prepare()
    points = folder / "points"
    declare_entry_points(points)
    sys.path.append(str(points))
    try:
        database = folder / "mlflow.db"
        login = MlflowSettings(password=home.secret("mlflow")).login
        assert login is not None
        service = mlflow_service(
            home, choose_port("mlflow", None, 5300, set()), f"sqlite:///{database}", login
        )
    finally:
        sys.path.remove(str(points))
    env = os.environ | service.env | {
        "GUIDEALIGN_HOME": str(home.root),
        "GUIDEALIGN_MLFLOW__PASSWORD": login[1],
        "PYTHONPATH": os.pathsep.join([service.env["PYTHONPATH"], str(points)]),
    }  # fmt: skip
    process = subprocess.Popen(service.command, env=env, cwd=folder, start_new_session=True)
    try:
        _wait(service, process)
        url = f"http://{HOST}:{service.port}"
        yield MlflowServer(url, login, database, home.root / "mlflow" / "artifacts")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _wait(service: Service, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not service.ready():
        assert process.poll() is None, "MLflow ended while starting"
        assert time.monotonic() < deadline, "MLflow does not answer"
        time.sleep(0.5)
