"""A worker as a process of its own, to be stopped or killed: database, endpoint, settings."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from guidealign.authoring import author_batch
from guidealign.db import make_engine
from guidealign.settings import Settings


def start_worker(
    database_url: str, base_url: str, worker: int = 0, **author: Any
) -> subprocess.Popen[bytes]:
    """Starts a worker that takes from the queue until it is empty."""
    given = json.dumps(author)
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.fakes.author_worker",
            database_url,
            base_url,
            str(worker),
            given,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def main() -> None:
    database_url, base_url, worker, given = sys.argv[1:]
    endpoint = {"base_url": base_url, "model": "expert", "concurrency": 4}
    settings = Settings.model_validate({"safety": endpoint, "author": json.loads(given)})
    author_batch(int(worker), engine=make_engine(database_url), settings=settings)


if __name__ == "__main__":
    main()
