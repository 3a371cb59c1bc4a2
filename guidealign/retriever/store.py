"""SQL of the retriever: what it has embedded, and what it learns from."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

_MISSING = text(
    "select g.id, g.title, g.text from core.guidelines g where g.served @> cast(:library as int)"
    " and not exists"
    " (select from core.embeddings e where e.guideline_id = g.id"
    " and e.retriever_version = :retriever) order by g.id"
)
_DIGEST = text("select digest from core.library_versions where version = :version")


def missing_vectors(connection: Connection, *, library: int, retriever: int) -> list[Any]:
    """Active guidelines of a library version without a vector: id, title, text."""
    return list(connection.execute(_MISSING, {"library": library, "retriever": retriever}))


def library_digest(connection: Connection, version: int) -> str:
    """Digest of a library version."""
    return str(connection.execute(_DIGEST, {"version": version}).scalar_one())
