"""SQL of fine-tuning: what each version was made from."""

from __future__ import annotations

import json

from sqlalchemy import Connection, text

from guidealign.labrador.model import Lineage
from guidealign.records import LABRADOR_MODEL

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


def add_lineage(
    connection: Connection,
    version: int,
    lineage: Lineage,
    metrics: dict[str, float],
    *,
    mlflow_run_id: str | None,
) -> None:
    """Stores the origin of a version, once."""
    values = {
        "model_name": LABRADOR_MODEL,
        "version": version,
        "base_model": f"{lineage.base.name}@sha256:{lineage.base.digest}",
        "library_version": lineage.data.library_version,
        "dataset_id": lineage.data.dataset_id,
        "data_digest": lineage.data.digest,
        "retriever_version": lineage.data.retriever_version,
        "settings": json.dumps(lineage.learning_settings()),
        "metrics": json.dumps(metrics),
        "mlflow_run_id": mlflow_run_id,
    }
    connection.execute(_INSERT, values)


def lineage_metrics(connection: Connection, version: int) -> dict[str, float] | None:
    """The figures stored with a version; None: its row was never written."""
    values = {"model_name": LABRADOR_MODEL, "version": version}
    found: dict[str, float] | None = connection.execute(_METRICS, values).scalar_one_or_none()
    return found
