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

import httpx
import pytest

from guidealign.errors import ConfigurationError, ServiceUnavailableError
from guidealign.records import LABRADOR_MODEL
from guidealign.registry import Registry, watched_version

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
        return asyncio.run(watched_version(registry.tracking_uri, model, alias))

    assert ask("no-such-model", "champion") is None
    assert ask(LABRADOR_MODEL, "no-such-alias") is None
    registry.set_alias(LABRADOR_MODEL, "rest", 1)
    assert ask(LABRADOR_MODEL, "rest") == registry.alias_version(LABRADOR_MODEL, "rest") == 1


def test_what_cannot_be_asked_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="on an MLflow server, not in sqlite"):
        asyncio.run(watched_version("sqlite:///x.db", LABRADOR_MODEL, "champion"))
    with pytest.raises(ServiceUnavailableError, match="does not answer"):
        asyncio.run(watched_version("http://127.0.0.1:9", LABRADOR_MODEL, "champion"))


def test_the_example_waits_for_the_alias_and_goes_on(registry: Registry, tmp_path: Path) -> None:
    env = os.environ | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "plugins/guidealign_airflow/examples"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "GUIDEALIGN_MLFLOW__TRACKING_URI": registry.tracking_uri,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}",
    }
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"], env=env, check=True, capture_output=True
    )
    file = ROOT / "plugins/guidealign_airflow/examples/new_champion.py"
    waiting = subprocess.Popen(
        [sys.executable, "-c", _RUN, str(file)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(20)
    registry.set_alias(LABRADOR_MODEL, "champion", 1)
    said, _ = waiting.communicate(timeout=240)
    assert "state: success" in said, said[-3000:]
