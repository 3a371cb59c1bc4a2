"""A real MLflow without its server: SQLite for the records, a folder for the artifacts."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sqlalchemy import Engine

from guidealign.db import PinnedVersions
from guidealign.registry import Registry


@cache
def _empty_store() -> bytes:
    """A store with MLflow's tables; making them takes seconds, and a copy does not."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mlflow.db"
        Registry(f"sqlite:///{file}").alias_version("none", "none")
        return file.read_bytes()


@contextmanager
def local_registry(folder: Path, engine: Engine | None = None) -> Iterator[Registry]:
    """A registry of the block's own; MLflow puts artifacts into the working folder.

    Args:
        folder: of the store.
        engine: where digests are pinned, as an installation does it; None: nowhere.
    """
    file = folder / "mlflow.db"
    if not file.exists():
        file.write_bytes(_empty_store())
    before = Path.cwd()
    os.chdir(folder)
    try:
        pins = None if engine is None else PinnedVersions(engine)
        yield Registry(f"sqlite:///{file}", pins=pins)
    finally:
        os.chdir(before)
