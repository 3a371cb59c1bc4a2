"""The gateway and its peers as they are started: each a process group on loopback, then gone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks._harness.peers import peer_folder, peer_python
from benchmarks._harness.stub import HOST, MODEL

ROOT = Path(__file__).resolve().parents[2]
_START_TIMEOUT_S = 900.0
_END_TIMEOUT_S = 45.0
"""More than the gateway takes to end its answers and store what it recorded."""
_KEY = "sk-bench"


@dataclass(frozen=True, kw_only=True)
class Server:
    """Something that answers chat requests."""

    name: str
    base_url: str
    """With `/v1`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    pid: int | None = None

    @property
    def processes(self) -> list[psutil.Process]:
        """It and all that it started."""
        if self.pid is None:
            return []
        first = psutil.Process(self.pid)
        return [first, *first.children(recursive=True)]

    @property
    def resident_mib(self) -> float:
        """Memory of all its processes."""
        total = 0
        for process in self.processes:
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total / 2**20

    @property
    def cpu_s(self) -> float:
        """Processor time of all its processes so far."""
        total = 0.0
        for process in self.processes:
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    name: str, command: Sequence[str], *, folder: Path, env: Mapping[str, str], ready: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A server's process, from the moment that it answers to the end of the block.

    Args:
        name: for its log, in the folder.
        command: that starts it.
        folder: in which it runs.
        env: added to this process's.
        ready: a URL that answers once it serves.
    """
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(command),
            cwd=folder,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(name, process, ready, log)
        yield process
    finally:
        end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends a server and what it started."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_TIMEOUT_S)


def _wait(name: str, process: subprocess.Popen[bytes], ready: str, log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not _answers(ready):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{name} does not serve: {log.read_text(errors='replace')[-2_000:]}")
        time.sleep(0.25)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
            return bool(answer.status == 200)
    except OSError:
        return False


def direct(stub_url: str) -> Server:
    """The stub itself."""
    return Server(name="direct", base_url=stub_url)


@contextmanager
def gateway(
    url: str,
    stub_url: str,
    home: Path,
    *,
    headers: Mapping[str, str],
    upstream: Mapping[str, Any] | None = None,
) -> Iterator[Server]:
    """`guidealign serve` in front of the stub, over a database.

    Args:
        url: of the database.
        stub_url: of the upstream.
        home: the installation's folder.
        headers: with a key of the gateway.
        upstream: further settings of the upstream.
    """
    port = free_port()
    upstreams = [{"base_url": stub_url, "api_key": _KEY, "name": "stub", **(upstream or {})}]
    given = {
        "GUIDEALIGN_HOME": str(home),
        "GUIDEALIGN_DATABASE_URL": url,
        "GUIDEALIGN_SERVE__PORT": str(port),
        # The peers put in front whatever they are given.
        "GUIDEALIGN_SERVE__UNPROVEN": "inject",
        "GUIDEALIGN_SERVE__UPSTREAMS": json.dumps(upstreams),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", "from guidealign.cli import main; main()", "serve"]
    base = f"http://{HOST}:{port}"
    with running("gateway", command, folder=home, env=given, ready=f"{base}/readyz") as process:
        yield Server(name="guidealign", base_url=f"{base}/v1", headers=headers, pid=process.pid)


@contextmanager
def litellm(stub_url: str, workers: int = 1) -> Iterator[Server | None]:
    """LiteLLM's proxy in front of the stub; None where it cannot be installed.

    As its documentation advises for production: no debug output, no telemetry, a master key, no
    database.
    """
    python = peer_python("litellm")
    if python is None:
        yield None
        return
    folder = peer_folder("litellm")
    parameters = {"model": f"openai/{MODEL}", "api_base": stub_url, "api_key": _KEY}
    config = {
        "model_list": [{"model_name": MODEL, "litellm_params": parameters}],
        "litellm_settings": {"set_verbose": False, "telemetry": False, "num_retries": 0},
        "general_settings": {"master_key": _KEY},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    port = free_port()
    command = [str(python.parent / "litellm"), "--config", "config.yaml", "--host", HOST]
    command += ["--port", str(port), "--num_workers", str(workers), "--telemetry", "False"]
    env = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": HOST}
    base = f"http://{HOST}:{port}"
    ready = f"{base}/health/liveliness"
    with running("litellm", command, folder=folder, env=env, ready=ready) as process:
        headers = {"authorization": f"Bearer {_KEY}"}
        yield Server(name="LiteLLM", base_url=f"{base}/v1", headers=headers, pid=process.pid)
