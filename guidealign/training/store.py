"""SQL of training: what each version was made from."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, text

_INSERT = text(
    "insert into core.model_lineage (model_name, version, base_model, library_version,"
    " library_digest, dataset_id, data_digest, retriever_version, settings, metrics,"
    " mlflow_run_id) select :model_name, :version, :base_model, v.version, v.digest,"
    " :dataset_id, :data_digest, :retriever_version, cast(:settings as jsonb),"
    " cast(:metrics as jsonb), :mlflow_run_id from core.library_versions v"
    " where v.version = :library_version on conflict (model_name, version) do nothing"
)
_METRICS = text(
    "select metrics from core.model_lineage where model_name = :model_name and version = :version"
)


def add_lineage(connection: Connection, values: dict[str, Any]) -> None:
    """Stores what a version was made from, once."""
    packed = {name: json.dumps(values[name]) for name in ("settings", "metrics")}
    connection.execute(_INSERT, {**values, **packed})


def lineage_metrics(connection: Connection, model_name: str, version: int) -> dict[str, float]:
    """The figures stored with a version; empty when it is unknown."""
    values = {"model_name": model_name, "version": version}
    return connection.execute(_METRICS, values).scalar_one_or_none() or {}
