"""One model behind an OpenAI-compatible endpoint on loopback: `python -m` this module."""

from __future__ import annotations

import argparse
import os
import signal
import threading

import xllamacpp

API_KEY_VARIABLE = "GUIDEALIGN_MODEL_API_KEY"


def main() -> None:
    """Serves until it is asked to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--context-tokens", type=int, default=5120, help="of each slot")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--sleep-idle-s", type=int, default=-1, help="free memory when idle")
    given = parser.parse_args()

    params = xllamacpp.CommonParams()
    params.model.path = given.gguf
    params.model_alias = {given.alias}
    params.hostnames = ["127.0.0.1"]
    params.port = given.port
    params.n_parallel = given.slots
    params.n_ctx = given.context_tokens * given.slots
    params.cpuparams.n_threads = given.threads
    params.cpuparams_batch.n_threads = given.threads
    params.use_jinja = True
    params.endpoint_metrics = True
    params.sleep_idle_seconds = given.sleep_idle_s
    # In the environment, since a command line is for everybody to see.
    params.api_keys = [os.environ[API_KEY_VARIABLE]]

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    server = xllamacpp.Server(params)
    ended.wait()
    del server


if __name__ == "__main__":
    main()
