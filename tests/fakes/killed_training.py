"""Trains a model in a process that kills itself right after a change of the registry.

python -m tests.fakes.killed_training MODEL DATABASE_URL TRACKING_URI SETTINGS CALL: the process
dies behind its first CALL, a method of MLflow's client. Nothing of the product is replaced.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def train_killed_after(
    call: str, model: str, *, database: str, tracking: str, settings: str
) -> None:
    """Runs a training that dies behind a call of MLflow's client, and checks that it did.

    Args:
        call: such as `create_model_version`.
        model: `retriever` or `labrador`.
        database: URL.
        tracking: URI of the registry.
        settings: as JSON.
    """
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name, model, database, tracking, settings, call],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2_000:]


def _kill_after(call: str) -> None:
    from mlflow import MlflowClient

    plain = getattr(MlflowClient, call)

    def last(*given: Any, **named: Any) -> None:
        plain(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(MlflowClient, call, last)


def main() -> None:
    """Trains."""
    from guidealign.db import make_engine
    from guidealign.labrador import train_labrador
    from guidealign.registry import Registry
    from guidealign.retriever import train_challenger
    from guidealign.settings import Settings

    model, database, tracking, settings, call = sys.argv[1:]
    _kill_after(call)
    train = {"retriever": train_challenger, "labrador": train_labrador}[model]
    train(
        engine=make_engine(database),
        settings=Settings.model_validate_json(settings),
        registry=Registry(tracking),
    )


if __name__ == "__main__":
    main()
