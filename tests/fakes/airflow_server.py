"""The part of Airflow's REST API that following a cycle takes, over runs that a test scripts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FakeRun:
    """A run of a DAG."""

    state: str
    sources: list[tuple[str, str]] = field(default_factory=list)
    """DAG and run of each asset event that started it."""
    tasks: dict[str, str | None] = field(default_factory=dict)


@dataclass
class FakeAirflow:
    """DAGs and their runs, oldest first."""

    base_url: str = ""
    runs: dict[str, dict[str, FakeRun]] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    triggered: list[str] = field(default_factory=list)
    moved: Callable[[int], None] | None = None
    """Called before each request that looks, with its number."""
    n_looks: int = 0

    def answer(self, method: str, parts: list[str]) -> dict[str, Any] | None:
        if parts == ["auth", "token"]:
            return {"access_token": "t"}
        dag_id, runs = parts[3], self.runs.setdefault(parts[3], {})
        if method == "POST":
            run_id = f"manual-{len(runs)}"
            runs[run_id] = FakeRun("queued")
            self.triggered.append(dag_id)
            return {"dag_run_id": run_id}
        if self.moved:
            self.moved(self.n_looks)
        self.n_looks += 1
        match parts[4:]:
            case []:
                return {"dag_id": dag_id, "is_paused": dag_id in self.paused}
            case ["dagRuns"]:
                newest = list(runs.items())[::-1]
                return {"dag_runs": [{"dag_run_id": i, "state": r.state} for i, r in newest]}
            case ["dagRuns", run_id]:
                return {"dag_run_id": run_id, "state": runs[run_id].state}
            case ["dagRuns", run_id, "upstreamAssetEvents"]:
                events = [{"source_dag_id": d, "source_run_id": r} for d, r in runs[run_id].sources]
                return {"asset_events": events}
            case ["dagRuns", run_id, "taskInstances"]:
                tasks = runs[run_id].tasks.items()
                return {
                    "task_instances": [
                        {"task_id": name, "state": state, "map_index": -1} for name, state in tasks
                    ]
                }
        return None


@contextmanager
def serve_airflow() -> Iterator[FakeAirflow]:
    """Serves on a free port of 127.0.0.1."""
    airflow = FakeAirflow()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            parts = self.path.partition("?")[0].strip("/").split("/")
            with lock:
                found = airflow.answer(self.command, parts)
            content = json.dumps(found or {}).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer  # noqa: N815 - names of http.server

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    airflow.base_url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield airflow
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
