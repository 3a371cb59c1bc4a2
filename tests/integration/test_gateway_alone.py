"""The gateway that developers start by hand answers with guidelines."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from tests.integration.running_gateway import wait_until

ROOT = Path(__file__).resolve().parents[2]


def _is_ready(root: str) -> bool:
    try:
        return httpx.get(f"{root}/readyz").is_success
    except httpx.TransportError:
        return False


def test_it_prints_a_request_that_it_answers_with_guidelines() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.fakes.gateway_alone", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            said = next(line for line in process.stdout if line.startswith("curl"))
            body = json.loads(said.rpartition(" -d ")[2].strip().strip("'"))
            root = f"http://127.0.0.1:{port}"
            wait_until(lambda: _is_ready(root), timeout_s=120)
            answer = httpx.post(f"{root}/v1/chat/completions", json=body, timeout=60)
        finally:
            process.send_signal(signal.SIGINT)
    assert answer.headers["x-guidealign-guidelines"]
    sent = json.loads(answer.json()["choices"][0]["message"]["content"])
    (message,) = sent
    asked, _, guidelines = message["content"].partition("\n\n")
    assert asked == body["messages"][0]["content"]
    assert "nickname" in guidelines
