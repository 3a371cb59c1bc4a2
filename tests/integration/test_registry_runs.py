"""Runs of a real MLflow store: begun here, or begun by `mlflow run` and continued."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.fakes.mlflow_store import local_registry


def test_a_launched_run_is_continued_and_keeps_what_it_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with local_registry(tmp_path) as registry:
        client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
        launched = client.create_run(client.create_experiment("launched")).info.run_id
        client.log_param(launched, "epochs", "as-set")
        monkeypatch.setenv("MLFLOW_RUN_ID", launched)
        with registry.run("guidealign-retriever", "train", tags={"trainer": "x"}) as run:
            run.log_params({"epochs": 1, "seed": 13})
        found = client.get_run(launched)
        assert run.id == launched
        assert found.data.params == {"epochs": "as-set", "used_epochs": "1", "seed": "13"}
        assert (found.data.tags["trainer"], found.info.status) == ("x", "FINISHED")
        # The next one is a run of its own.
        with registry.run("guidealign-retriever", "train", tags={}) as own:
            own.log_params({"epochs": 2})
        assert own.id != launched
        assert client.get_run(own.id).data.params == {"epochs": "2"}
