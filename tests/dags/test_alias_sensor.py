"""The sensor waits in the triggerer for an alias of a real MLflow server."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import httpx
import pytest
from mlflow import MlflowClient

from guidealign.errors import BadInputError, ConfigurationError, ServiceUnavailableError
from guidealign.records import LABRADOR_MODEL
from guidealign.registry import Registry, poll_alias_version
from tests.fakes.airflow_home import airflow_env, airflow_home

ROOT = Path(__file__).resolve().parents[2]
_RUN = """
import sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder=sys.argv[1], bundle_name="test")
(dag,) = bag.dags.values()
run = dag.test()
print("state:", run.state)
"""


@pytest.fixture(scope="module")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--serve-artifacts"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    env = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(command, env=env, cwd=folder, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while True:
        try:
            httpx.get(f"{url}/health", timeout=5).raise_for_status()
            break
        except httpx.HTTPError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.5)
    yield url
    os.killpg(process.pid, 15)
    process.wait(30)


@pytest.fixture(scope="module")
def registry(mlflow_url: str, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """With one version of Labrador that no alias points to."""
    registry = Registry(mlflow_url)
    folder = tmp_path_factory.mktemp("model")
    (folder / "model.safetensors").write_text("1")
    with registry.run("test", "labrador", tags={}) as run:
        registry.register(LABRADOR_MODEL, folder, run, tags={}, description="for tests")
    return registry


def test_an_alias_is_read_over_rest_as_the_client_reads_it(registry: Registry) -> None:
    def ask(model: str, alias: str) -> int | None:
        return asyncio.run(poll_alias_version(registry.tracking_uri, model, alias))

    assert ask("no-such-model", "champion") is None
    assert ask(LABRADOR_MODEL, "no-such-alias") is None
    registry.set_alias(LABRADOR_MODEL, "rest", 1)
    assert ask(LABRADOR_MODEL, "rest") == registry.alias_version(LABRADOR_MODEL, "rest") == 1


def test_aliases_move_without_importing_the_client(registry: Registry) -> None:
    """Its import takes two seconds, and a roll back waits for it."""
    code = (
        "import sys; from guidealign.registry import Registry; r = Registry(sys.argv[1]);"
        f" m = {LABRADOR_MODEL!r}; r.set_alias(m, 'moved', 1); print(r.alias_version(m, 'moved'));"
        " r.set_alias(m, 'gone', 1); r.delete_alias(m, 'gone'); r.delete_alias(m, 'gone');"
        " print(r.alias_version(m, 'gone'), 'mlflow' in sys.modules)"
    )
    command = [sys.executable, "-c", code, registry.tracking_uri]
    told = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert told.stdout.split() == ["1", "None", "False"]
    model = MlflowClient(registry.tracking_uri).get_registered_model(LABRADOR_MODEL)
    assert model.aliases["moved"] == "1"
    assert "gone" not in model.aliases
    with pytest.raises(BadInputError, match=r"know it: Model Version .*version=7\) not found$"):
        registry.set_alias(LABRADOR_MODEL, "moved", 7)


def test_who_signs_in_moves_aliases_by_the_client(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    signed_in = Registry(registry.tracking_uri)
    with mock.patch("httpx.Client.request", side_effect=AssertionError("without a name")):
        signed_in.set_alias(LABRADOR_MODEL, "signed", 1)
        assert signed_in.alias_version(LABRADOR_MODEL, "signed") == 1
        signed_in.delete_alias(LABRADOR_MODEL, "signed")
        assert signed_in.alias_version(LABRADOR_MODEL, "signed") is None


def test_what_cannot_be_asked_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="on an MLflow server, not in sqlite"):
        asyncio.run(poll_alias_version("sqlite:///x.db", LABRADOR_MODEL, "champion"))
    with pytest.raises(ServiceUnavailableError, match="does not answer"):
        asyncio.run(poll_alias_version("http://127.0.0.1:9", LABRADOR_MODEL, "champion"))


def test_the_example_waits_for_the_alias_and_goes_on(registry: Registry, tmp_path: Path) -> None:
    env = airflow_env(airflow_home(tmp_path)) | {
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "plugins/guidealign_airflow/examples"),
        "GUIDEALIGN_MLFLOW__TRACKING_URI": registry.tracking_uri,
    }
    file = ROOT / "plugins/guidealign_airflow/examples/new_champion.py"
    waiting = subprocess.Popen(
        [sys.executable, "-c", _RUN, str(file)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(12)
    registry.set_alias(LABRADOR_MODEL, "champion", 1)
    said, _ = waiting.communicate(timeout=240)
    assert "state: success" in said, said[-3000:]
