"""SQL of the retriever: what it has embedded, and its lineage."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, text

_MISSING = text(
    "select g.id, g.title, g.text from core.guidelines g where g.served @> cast(:library as int)"
    " and not exists"
    " (select from core.embeddings e where e.guideline_id = g.id"
    " and e.retriever_version = :retriever) order by g.id"
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
