"""SQL of the cycle: how much there is of what steps store, and the newest data set's digest."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Engine, text

Counted = Literal["inputs", "candidates", "vectors", "answers", "scores"]

_COUNTS = {
    "inputs": text("select count(*) from core.inputs"),
    "candidates": text("select count(*) from core.guidelines where state = 'candidate'"),
    "vectors": text("select count(*) from core.embeddings"),
    "answers": text(
        "select (select count(*) from core.aligned_responses)"
        " + (select count(*) from core.plain_responses)"
    ),
    "scores": text("select count(*) from core.benchmark_results"),
}
_DATASET = text("select digest from core.aligned_datasets order by id desc limit 1")


def count(engine: Engine, what: Counted) -> int:
    """How many of them are stored."""
    from guidealign.db import guard_database

    with guard_database(), engine.connect() as connection:
        return int(connection.execute(_COUNTS[what]).scalar_one())


def dataset_digest(engine: Engine) -> str | None:
    """Of the newest aligned data set; None: there is none."""
    from guidealign.db import guard_database

    with guard_database(), engine.connect() as connection:
        return connection.execute(_DATASET).scalar_one_or_none()
