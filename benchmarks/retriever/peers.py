"""Peers of the retriever's search, each with packages of its own, asked over a pipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks._harness.peers import peer_python
from benchmarks._harness.report import ROOT

PEERS = {
    "faiss": "sentence-transformers and FAISS flat",
    "nemo": "NeMo Guardrails' embedding search",
}


class PeerAwayError(Exception):
    """A peer could not be installed or started; the sentence is for the table."""


class Peer:
    """A running peer; `ask` gives the milliseconds that it took, as it measured them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, text: str) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(text) + "\n")
        self._process.stdin.flush()
        return float(self.read())

    def read(self) -> str:
        """The next line that is an answer; libraries print other things too."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                return str(json.loads(line))
            except ValueError:
                continue
        raise PeerAwayError("it ended before it answered")


@contextmanager
def running(peer: str, model: str, folder: Path) -> Iterator[Peer]:
    """A peer that has the vectors of `folder / vectors.npy` in its index.

    Raises:
        PeerAwayError: it cannot be installed or does not start here.
    """
    python = sys.executable if peer == "faiss" else peer_python("nemo-search", shared=True)
    if python is None:
        raise PeerAwayError("it could not be installed")
    script = ROOT / "benchmarks" / "retriever" / "peer_process.py"
    process = subprocess.Popen(
        [str(python), "-P", str(script), peer, model, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"},
    )
    try:
        found = Peer(process)
        found.read()
        yield found
    finally:
        process.kill()
        process.wait()
