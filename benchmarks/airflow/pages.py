"""The pages in Airflow under several users: a real API server over a library of 100,000."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks._harness.gateway_library import add_release, questions
from benchmarks._harness.report import ROOT, Figure
from benchmarks._harness.synthetic_library import Space, database, fill, percentile
from guidealign.db import make_engine
from guidealign.library import build_index
from guidealign.records import UNTRAINED_VERSION
from guidealign.settings import load_settings

_USERS = 10
_TARGET_MS = 300.0
_WORDS = 3
"""Of a question, as people type into a search box."""


@contextmanager
def _api_server(database_url: str) -> Iterator[httpx.Client]:
    """Airflow's API server with the plugin, asked by its admin."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        passwords = Path(folder) / "passwords.json"
        passwords.write_text(json.dumps({"admin": "admin"}))
        env = os.environ | {
            "AIRFLOW_HOME": folder,
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API_AUTH__JWT_SECRET": "j" * 96,
            "AIRFLOW_CONN_GUIDEALIGN_DB": database_url,
            "GUIDEALIGN_DATABASE_URL": database_url,
            "GUIDEALIGN_MLFLOW__TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}",
        }
        airflow = [sys.executable, "-m", "airflow"]
        subprocess.run([*airflow, "db", "migrate"], env=env, check=True, capture_output=True)
        with (Path(folder) / "log").open("w") as log:
            process = subprocess.Popen(
                [*airflow, "api-server", "--workers", "1"], env=env, stdout=log, stderr=log
            )
        try:
            yield _logged_in(f"http://127.0.0.1:{port}", process)
        finally:
            process.terminate()
            process.wait(60)


def _logged_in(url: str, process: subprocess.Popen[bytes]) -> httpx.Client:
    while True:
        try:
            httpx.get(f"{url}/api/v2/version", timeout=60).raise_for_status()
            break
        except httpx.TransportError:
            if process.poll() is not None:
                raise RuntimeError("Airflow's API server has ended") from None
            time.sleep(0.5)
    given = {"username": "admin", "password": "admin"}
    token = httpx.post(f"{url}/auth/token", json=given, timeout=60).json()["access_token"]
    return httpx.Client(
        base_url=f"{url}/guidealign",
        headers={"Authorization": f"Bearer {token}"},
        timeout=120,
        limits=httpx.Limits(max_connections=_USERS),
    )


@dataclass
class _Times:
    """Milliseconds of each page, seen from both sides."""

    wall_ms: list[float] = field(default_factory=list)
    server: list[dict[str, float]] = field(default_factory=list)
    """By the names of its header Server-Timing."""

    def p50(self, part: str) -> float:
        return percentile([told.get(part, 0.0) for told in self.server], 0.5)


def _told_ms(header: str) -> dict[str, float]:
    """Of a header Server-Timing."""
    parts = (part.strip().partition(";dur=") for part in header.split(","))
    return {name: float(ms) for name, _, ms in parts}


def _ask(client: httpx.Client, asked: list[dict[str, str]]) -> _Times:
    """What each request took, asked by ten users who wait for their answers."""
    left = iter(asked)
    lock = threading.Lock()
    times = _Times()
    refused: list[str] = []

    def user() -> None:
        while True:
            with lock:
                params = next(left, None)
            if params is None:
                return
            begun = time.perf_counter()
            answer = client.get("/", params=params)
            times.wall_ms.append(1000 * (time.perf_counter() - begun))
            if answer.status_code != httpx.codes.OK:
                refused.append(answer.text[:200])
                continue
            times.server.append(_told_ms(answer.headers["server-timing"]))

    users = [threading.Thread(target=user) for _ in range(_USERS)]
    for thread in users:
        thread.start()
    for thread in users:
        thread.join()
    if refused:
        raise RuntimeError(f"{len(refused)} pages were refused, the first: {refused[0]}")
    return times


def _fill(url: str, n: int) -> None:
    """n guidelines with vectors spread as an encoder's, indexed and released."""
    fill(url, Space(n // 3).guidelines(n), retrievers=[UNTRAINED_VERSION], start=1)
    engine = make_engine(url)
    build_index(UNTRAINED_VERSION, engine=engine, settings=load_settings())
    add_release(engine)
    engine.dispose()


def measure_pages(server_url: str, full: bool) -> list[Figure]:
    """p95 of the Library page, by words and by meaning."""
    n, n_asked = (100_000, 600) if full else (5_000, 60)
    figures = []
    texts = questions(n_asked)
    with database(server_url, "bench_pages") as url:
        _fill(url, n)
        with _api_server(url) as client:
            for by in ("words", "meaning"):
                short = [" or ".join(text.split()[-_WORDS:]) for text in texts]
                asked = [{"q": q, "by": by} for q in (short if by == "words" else texts)]
                _ask(client, asked[:_USERS])  # the first page loads the encoder
                figures.append(_figure(_ask(client, asked), by, n))
            client.close()
    return figures


def _figure(times: _Times, by: str, n: int) -> Figure:
    p95 = percentile([told["total"] for told in times.server], 0.95)
    parts = ", ".join(
        f"{part} {times.p50(part):.0f}" for part in ("total", "db", "encode", "render")
    )
    return Figure(
        figure=f"pages: Library search by {by}, {n:,} guidelines, {_USERS} users, p95",
        value=p95,
        unit="ms, server",
        n=len(times.server),
        target=f"< {_TARGET_MS:.0f}",
        met=p95 < _TARGET_MS,
        note=f"the page's header Server-Timing; medians in ms: {parts}; users, who wait for"
        f" nothing but answers, saw p50 {percentile(times.wall_ms, 0.5):.0f} and"
        f" p95 {percentile(times.wall_ms, 0.95):.0f} ms; one worker; real encoder,"
        f" made-up vectors",
    )
