"""A real MLflow without its server: SQLite for the records, a folder for the artifacts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from guidealign.registry import Registry


@contextmanager
def local_registry(folder: Path) -> Iterator[Registry]:
    """A registry of the block's own; MLflow puts artifacts into the working folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield Registry(f"sqlite:///{folder}/mlflow.db")
    finally:
        os.chdir(before)
