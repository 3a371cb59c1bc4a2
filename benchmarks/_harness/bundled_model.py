"""A bundled model on a server of its own, as the platform would start it."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import httpx
from rich.console import Console

from benchmarks._harness.report import ROOT
from benchmarks._harness.servers import free_port
from benchmarks._harness.stub import HOST
from guidealign.errors import PlatformError
from guidealign.platform import ensure_model
from guidealign.platform.model_server import API_KEY_VARIABLE
from guidealign.settings import Settings

_START_S = 180.0
console = Console(stderr=True)


@contextmanager
def model_server(
    role: Literal["base", "safety"],
    settings: Settings,
    *,
    slots: int,
    adapter: Path | None = None,
) -> Iterator[tuple[str, str]]:
    """Its base URL and key, for as long as the block lasts; the model's name there is the role.

    With an adapter (GGUF) on its weights, if one is given.

    Raises:
        PlatformError: it did not start.
    """
    gguf = ensure_model(role, settings, lambda line: console.print(line, highlight=False))
    port, key = free_port(), secrets.token_hex(8)
    command = [sys.executable, "-m", "guidealign.platform.model_server", "--gguf", str(gguf)]
    command += ["--alias", role, "--port", str(port), "--slots", str(slots)]
    command += ["--adapter", str(adapter)] if adapter else []
    server = subprocess.Popen(
        command,
        cwd=ROOT,
        # As the platform starts it: threads that wait do not hold the cores.
        env=os.environ | {API_KEY_VARIABLE: key, "OMP_WAIT_POLICY": "PASSIVE"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"http://{HOST}:{port}/health", server)
        yield f"http://{HOST}:{port}/v1", key
    finally:
        server.terminate()
        server.wait()


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and server.poll() is None:
        try:
            if httpx.get(url, timeout=5.0).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    raise PlatformError("the model server did not start: run it by hand to see why")
