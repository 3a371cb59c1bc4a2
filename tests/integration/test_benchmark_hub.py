"""A benchmark comes from a hub that speaks Hugging Face's protocol, and is kept."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "4" * 40
FILES = {
    "README.md": b"# A data set",
    "data/test.jsonl": json.dumps(
        {"id": 1, "question": "How?", "risk_area": "Malicious Uses", "types_of_harm": "x"}
    ).encode(),
}
LOAD = """
import sys
from guidealign.evaluation.benchmarks import load_benchmark
from guidealign.errors import GuidealignError
from guidealign.settings import EvaluationSettings
try:
    read = load_benchmark("do-not-answer", EvaluationSettings(), source=sys.argv[1])
    print(read.source, len(read.cases), read.sha256)
except GuidealignError as error:
    print(type(error).__name__, error)
"""


class _Hub(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        status, headers, body = self._find(path)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _find(self, path: str) -> tuple[int, dict[str, str], bytes]:
        as_json = {"Content-Type": "application/json"}
        if path.startswith("/api/datasets/own/set/tree/"):
            tree = [
                {"type": "file", "path": n, "size": len(c), "oid": hashlib.sha1(c).hexdigest()}  # noqa: S324
                for n, c in FILES.items()
            ]
            return 200, as_json, json.dumps(tree).encode()
        if path.startswith("/api/datasets/own/set"):
            siblings = [{"rfilename": name} for name in FILES]
            about = {"id": "own/set", "sha": COMMIT, "siblings": siblings, "private": False}
            return 200, as_json, json.dumps(about).encode()
        name = path.rpartition(f"/resolve/{COMMIT}/")[2]
        if name in FILES:
            etag = hashlib.sha1(FILES[name]).hexdigest()  # noqa: S324
            return 200, {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'}, FILES[name]
        return 404, {"X-Error-Code": "RepoNotFound"}, b""

    def log_message(self, *args: Any) -> None:
        """Stays silent."""


@contextmanager
def _hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _load(source: str, hub: str, cache: Path) -> str:
    env = os.environ | {"HF_ENDPOINT": hub, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1"}
    env.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, source],
        env=env, check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return done.stdout.strip()


def test_a_hub_id_is_fetched_once_with_its_commit(tmp_path: Path) -> None:
    digest = hashlib.sha256(FILES["data/test.jsonl"]).hexdigest()
    with _hub() as hub:
        assert _load("own/set", hub, tmp_path) == f"own/set@{COMMIT} 1 {digest}"
        # Only data is fetched.
        assert not list(tmp_path.rglob("README.md"))
        assert _load("own/none", hub, tmp_path).startswith("BadInputError the Hugging Face hub")
    away = "http://127.0.0.1:9"
    assert _load("own/set", away, tmp_path) == f"own/set@{COMMIT} 1 {digest}"
    assert _load("own/none", away, tmp_path).startswith("ServiceUnavailableError the Hugging Face")
