"""One MLflow run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

_BATCH = 500
_PARAM_CHARS = 500


class Run:
    """A run under way; `id` is MLflow's."""

    def __init__(
        self,
        run_id: str,
        experiment_id: str,
        server: Callable[[], AbstractContextManager[MlflowClient]],
        launched_with: frozenset[str] = frozenset(),
    ) -> None:
        self.id = run_id
        self.experiment_id = experiment_id
        self._server = server
        self._launched_with = launched_with
        self._model_id: str | None = None

    def remember_model(self, model_id: str) -> None:
        """From now on metrics are the model's too."""
        self._model_id = model_id

    def log_params(self, params: dict[str, Any]) -> None:
        """Logs parameters, as text.

        What a project launcher was told ("as-set") is on the run already and cannot change:
        the value that came of it stands beside it as `used_...`.
        """
        from mlflow.entities import Param

        entities = [
            Param(f"used_{key}" if key in self._launched_with else key, str(value)[:_PARAM_CHARS])
            for key, value in params.items()
        ]
        with self._server() as client:
            client.log_batch(self.id, params=entities)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Logs finite numbers."""
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        entities = [
            Metric(key, float(value), now_ms, step or 0, model_id=self._model_id, run_id=self.id)
            for key, value in metrics.items()
        ]
        with self._server() as client:
            for start in range(0, len(entities), _BATCH):
                client.log_batch(self.id, metrics=entities[start : start + _BATCH])

    def log_artifacts(self, folder: Path, path: str) -> None:
        """Uploads a folder below `path`."""
        with self._server() as client:
            client.log_artifacts(self.id, str(folder), path)

    def log_text(self, text: str, path: str) -> None:
        """Stores a text as a file."""
        with self._server() as client:
            client.log_text(self.id, text, path)

    def log_dataset(
        self, records: list[dict[str, Any]], *, name: str, digest: str, context: str
    ) -> None:
        """Ties a data set to the run (and to its model), by digest: rows stay where they are.

        Args:
            records: for the schema and the number of rows only.
            name: what the data set is called.
            digest: of its content; MLflow keeps 36 characters.
            context: training, evaluation ...
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        columns = sorted(records[0]) if records else []
        fields = [{"type": "string", "name": column, "required": True} for column in columns]
        dataset = Dataset(
            name=name,
            digest=digest[:36],
            source_type="guidealign",
            source=json.dumps({"database": "guidealign", "sha256": digest}),
            schema=json.dumps({"mlflow_colspec": fields}),
            profile=json.dumps({"num_rows": len(records)}),
        )
        tag = InputTag("mlflow.data.context", context)
        with self._server() as client:
            client.log_inputs(self.id, [DatasetInput(dataset, [tag])])
            client.set_tag(self.id, f"dataset.{name}", digest)
