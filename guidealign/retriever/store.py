"""SQL of the retriever: vectors and exact search."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pgvector import Vector
from sqlalchemy import Connection, Engine, text

from guidealign.db import guard_database
from guidealign.records import RetrievedGuideline

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MISSING = text(
    "select g.id, g.title, g.text from core.guidelines g where g.added_in <= :library"
    " and (g.retired_in is null or g.retired_in > :library) and not exists"
    " (select from core.embeddings e where e.guideline_id = g.id"
    " and e.retriever_version = :retriever) order by g.id"
)
_INSERT = text(
    "insert into core.embeddings (retriever_version, guideline_id, embedding)"
    " values (:retriever, :id, :vector) on conflict do nothing"
)
_COUNT = text("select count(*) from core.embeddings where retriever_version = :retriever")
# Exact: the library is small enough to be read whole, and nothing is ever missed.
_SEARCH = text(
    """
    select q.position, f.id, f.title, f.text, f.category, f.score
      from unnest(cast(:vectors as text[])) with ordinality as q(vector, position),
           lateral (
             select g.id, g.title, g.text, g.category,
                    1 - (e.embedding <=> cast(q.vector as vector)) as score
               from core.embeddings e join core.guidelines g on g.id = e.guideline_id
              where e.retriever_version = :retriever and g.added_in <= :library
                and (g.retired_in is null or g.retired_in > :library)
              order by e.embedding <=> cast(q.vector as vector), g.id limit :n) f
     order by q.position, f.score desc, f.id
    """
)
_LINEAGE = text(
    "insert into core.model_lineage (model_name, version, base_model, library_version,"
    " library_digest, data_digest, settings, metrics, mlflow_run_id) values (:model_name,"
    " :version, :base_model, :library_version, :library_digest, :data_digest, :settings,"
    " :metrics, :run_id) on conflict do nothing"
)
_METRICS = text(
    "select metrics from core.model_lineage where model_name = :model_name and version = :version"
)
_DIGEST = text("select digest from core.library_versions where version = :version")


def missing_vectors(connection: Connection, *, library: int, retriever: int) -> list[Any]:
    """Active guidelines of a library version without a vector: id, title, text."""
    return list(connection.execute(_MISSING, {"library": library, "retriever": retriever}))


def add_vectors(
    connection: Connection, retriever: int, ids: Sequence[int], vectors: NDArray[np.float32]
) -> None:
    """Stores vectors; those that are there stay."""
    rows = [
        {"retriever": retriever, "id": guideline_id, "vector": vector}
        for guideline_id, vector in zip(ids, vectors, strict=True)
    ]
    if rows:
        connection.execute(_INSERT, rows)


def count_vectors(connection: Connection, retriever: int) -> int:
    """How many guidelines have a vector of a retriever version."""
    return int(connection.execute(_COUNT, {"retriever": retriever}).scalar_one())


def search(
    vectors: NDArray[np.float32],
    *,
    engine: Engine,
    retriever_version: int,
    library_version: int,
    n: int,
) -> list[list[RetrievedGuideline]]:
    """The n guidelines of a library version nearest to each vector, by exact search.

    Args:
        vectors: L2-normalised queries, (queries, dimensions).
        engine: the guidealign database.
        retriever_version: whose vectors; queries must be of the same version.
        library_version: only what that version serves.
        n: at most so many a query; fewer only when there are no more.
    """
    values = {
        "vectors": [Vector(vector).to_text() for vector in vectors],
        "retriever": retriever_version,
        "library": library_version,
        "n": n,
    }
    found: list[list[RetrievedGuideline]] = [[] for _ in vectors]
    with guard_database(), engine.connect() as connection:
        for row in connection.execute(_SEARCH, values):
            hits = found[row.position - 1]
            hits.append(
                RetrievedGuideline(
                    guideline_id=row.id,
                    title=row.title,
                    text=row.text,
                    category=row.category,
                    rank=len(hits) + 1,
                    score=row.score,
                )
            )
    return found


def library_digest(connection: Connection, version: int) -> str:
    """Digest of a library version."""
    return str(connection.execute(_DIGEST, {"version": version}).scalar_one())


def add_lineage(connection: Connection, values: dict[str, Any]) -> None:
    """Stores what a version was made from, once."""
    packed = {name: json.dumps(values[name]) for name in ("settings", "metrics")}
    connection.execute(_LINEAGE, values | packed)


def lineage_metrics(connection: Connection, model_name: str, version: int) -> dict[str, float]:
    """The figures of a version's training; empty when it is unknown."""
    row = connection.execute(_METRICS, {"model_name": model_name, "version": version})
    return row.scalar_one_or_none() or {}
