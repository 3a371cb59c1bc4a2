"""Does switches in processes that kill themselves right after their n-th step.

python -m tests.fakes.killed_switch DATABASE_URL TRACKING_URI, then one JSON document a line:
`{"job": "promote", "step": 3, "given": {...}}`. Each is done by a child that was forked before
anything was opened; the answer is a JSON line with the child's signal and what its last step was.
A step is whatever the switch changes outside: each lock, each statement that writes, each commit
of such a one (as they end), and each call that changes the registry. Nothing of the product is
replaced.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import structlog
from mlflow import MlflowClient
from sqlalchemy import Engine, event
from sqlalchemy.orm import configure_mappers

from guidealign.db import make_engine
from guidealign.promotion import follow_judgement, reconcile, rollback
from guidealign.registry import Registry
from guidealign.settings import Settings

_REGISTRY_WRITES = ("set_registered_model_alias", "delete_registered_model_alias")
JOBS: dict[str, Callable[..., Any]] = {
    "promote": lambda decision_id, **parts: follow_judgement(
        {"decision_id": decision_id}, actor="killed", **parts
    ),
    "rollback": lambda model, **parts: rollback(model, actor="killed", reason="worse", **parts),
    "reconcile": reconcile,
}


class Steps:
    """Counts what is done to the outside, and kills its process after the n-th of it.

    Args:
        last: number of the last step, or its name: the first of that name.
        told: a pipe that learns the last step's name.
    """

    def __init__(self, last: int | str, told: int) -> None:
        self._last, self._told, self._done = last, told, 0
        self._wrote = False

    def done(self, what: str) -> None:
        """One more; the pipe knows it before the process dies."""
        self._done += 1
        if self._last in (self._done, what):
            os.write(self._told, what.encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, engine: Engine) -> None:
        """Sees every change by way of the engine, and every change of an alias."""

        def executed(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            reads = statement.lstrip().lower().startswith(("select", "with", "show"))
            if not reads or "advisory" in statement:
                self._wrote = self._wrote or not reads
                self.done(" ".join(statement.split()[:3]))

        event.listen(engine, "after_cursor_execute", executed)
        commit = engine.dialect.do_commit

        def committed(connection: Any) -> None:
            commit(connection)
            if self._wrote:
                self._wrote = False
                self.done("commit")

        engine.dialect.do_commit = committed  # type: ignore[method-assign]
        for name in _REGISTRY_WRITES:
            self._wrap(name)

    def _wrap(self, name: str) -> None:
        plain = getattr(MlflowClient, name)

        def written(*given: Any, **named: Any) -> Any:
            result = plain(*given, **named)
            self.done(name)
            return result

        setattr(MlflowClient, name, written)


def _child(asked: dict[str, Any], told: int) -> None:
    # Standard output is for the answers.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=sys.stderr))
    engine = make_engine(sys.argv[1])
    with engine.connect() as connection:
        connection.exec_driver_sql("select 1")
    Steps(asked["step"], told).watch(engine)
    parts = {"engine": engine, "settings": Settings(), "registry": Registry(sys.argv[2])}
    JOBS[asked["job"]](**asked["given"], **parts)


def _fork(asked: dict[str, Any]) -> dict[str, Any]:
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(readable)
            _child(asked, writable)
            status = 0
        finally:
            os._exit(status)
    os.close(writable)
    with os.fdopen(readable) as pipe:
        what = pipe.read()
    _, status = os.waitpid(pid, 0)
    return {"code": os.waitstatus_to_exitcode(status), "after": what}


if __name__ == "__main__":
    # What takes long, once for all children; nothing is opened by it.
    for name in ("model_registry", "tracking"):
        importlib.import_module(f"mlflow.store.{name}.sqlalchemy_store")
    configure_mappers()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_fork(json.loads(line))) + "\n")
        sys.stdout.flush()
