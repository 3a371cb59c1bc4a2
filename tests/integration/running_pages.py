"""A real Airflow API server with the plugin, over a small published library, for tests of pages."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, text

from guidealign.db import make_engine
from guidealign.gates import CheckResult
from guidealign.promotion import decide_and_switch
from guidealign.records import LABRADOR_MODEL
from guidealign.registry import Registry
from guidealign.settings import load_settings
from tests.fakes.airflow_home import airflow_env, airflow_home
from tests.fakes.mlflow_store import local_registry
from tests.fakes.model_server import serve_model
from tests.integration.library_fixture import add_guideline
from tests.integration.running_gateway import publish

ROLES = ("viewer", "user", "op", "admin")
HEADERS = {"X-Guidealign-Page": "1"}
_DECISION = text(
    "insert into core.gate_decisions (model_name, challenger_version, champion_version, verdict,"
    " reason, policy, evidence, evaluator, input_digest) values (:model, :challenger, :champion,"
    " 'promote', 'better on 120 cases', '{}', :evidence, 'likelihood', :digest) returning id"
)
_LINEAGE = text(
    "insert into core.model_lineage (model_name, version, base_model, library_version,"
    " library_digest, data_digest, settings, metrics, mlflow_run_id)"
    " select :model, :version, 'tiny', 1, digest, 'd', '{}', '{}', :run"
    " from core.library_versions where version = 1"
)


@dataclass
class Pages:
    """The server, and who may ask it."""

    url: str
    engine: Engine
    registry: Registry
    tokens: dict[str, str] = field(default_factory=dict)

    def client(self, role: str | None) -> httpx.Client:
        """Asks as somebody of a role; None: as nobody."""
        headers = {"Authorization": f"Bearer {self.tokens[role]}"} if role else {}
        return httpx.Client(base_url=f"{self.url}/guidealign", headers=headers, timeout=60)


def fill(engine: Engine, registry: Registry, folder: Path) -> None:
    """Guidelines 1 to 6 served, 7 to 11 and 12 to 17 that wait, and Labrador promoted twice."""
    publish(engine, folder / "starter")
    for i in range(5):
        add_guideline(engine, f"Mind the ladder {i}", f"Hold ladder {i} while others climb.")
    for i in range(6):
        title, body = f"Sort the mushrooms {i}", f"Ask somebody who knows mushroom {i} first."
        add_guideline(engine, title, body, "Physical_Harm")
    with engine.begin() as connection:
        connection.execute(
            text(
                "update core.guidelines set state = 'quarantined',"
                " state_reason = 'too_vague: it asks for nothing' where id = 11"
            )
        )
    for version in (1, 2):
        _promote(version, engine, registry, folder)


def _promote(version: int, engine: Engine, registry: Registry, folder: Path) -> None:
    model = folder / f"model-{version}"
    model.mkdir()
    (model / "model.safetensors").write_text(str(version))
    with registry.run("test", f"labrador-{version}", tags={}) as run:
        made = registry.register(
            LABRADOR_MODEL, model, run, tags={"reload_checked": "yes"}, description="for tests"
        )
    assert made == version
    with engine.begin() as connection:
        connection.execute(_LINEAGE, {"model": LABRADOR_MODEL, "version": version, "run": run.id})
    check = CheckResult(
        name="prefers the safe answer more",
        kind="harm",
        must="be_better",
        outcome="pass",
        reason="above zero",
        effect=0.05,
        level=0.025,
        n=120,
        difference=0.1 * version,
        ci_low=0.05,
        ci_high=0.15 * version + 0.02,
        power=0.9,
    )
    with engine.begin() as connection:
        decision = connection.execute(
            _DECISION,
            {
                "model": LABRADOR_MODEL,
                "challenger": version,
                "champion": version - 1,
                "evidence": json.dumps([check.as_dict()]),
                "digest": str(version),
            },
        ).scalar_one()
    decide_and_switch(
        decision, engine=engine, settings=load_settings(), registry=registry, actor="test"
    )


@contextmanager
def open_pages(
    postgres_url: str,
    template: str,
    folder: Path,
    prepare: Callable[[Engine, Registry, Path], None],
) -> Iterator[Pages]:
    """The pages over a database of their own.

    Args:
        postgres_url: of the server's maintenance database.
        template: a migrated database, which is copied.
        folder: an empty one, whose name the database gets.
        prepare: fills database and registry.
    """
    name = f"pages_{folder.name}"
    server = make_engine(postgres_url).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f"create database {name} template {template}")
    url = postgres_url.rsplit("/", 1)[0] + f"/{name}"
    engine = make_engine(url)
    with local_registry(folder, engine) as registry:
        prepare(engine, registry, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GUIDEALIGN_HOME", str(folder / "home"))
        with _serve(Pages("", engine, registry), url, folder) as running:
            yield running
    engine.dispose()
    with server.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
    server.dispose()


@contextmanager
def _serve(pages: Pages, database_url: str, folder: Path) -> Iterator[Pages]:
    """Starts Airflow's API server with a user of each role, whose password is her name."""
    port = _free_port()
    (folder / "passwords.json").write_text(json.dumps({role: role for role in ROLES}))
    with serve_model(lambda _: "Put the knife away and call somebody.") as server:
        env = airflow_env(airflow_home(folder / "airflow")) | {
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{r}:{r}" for r in ROLES),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(folder / "passwords.json"),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
            "AIRFLOW__API__SECRET_KEY": "s" * 64,
            "AIRFLOW__API_AUTH__JWT_SECRET": "j" * 96,
            "AIRFLOW_CONN_GUIDEALIGN_DB": database_url,
            "GUIDEALIGN_DATABASE_URL": database_url,
            "GUIDEALIGN_MLFLOW__TRACKING_URI": pages.registry.tracking_uri,
            "GUIDEALIGN_BASE__BASE_URL": server.base_url,
        }
        with (folder / "api-server.log").open("w") as log:
            command = [sys.executable, "-m", "airflow", "api-server", "--workers", "1"]
            process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        pages.url = f"http://127.0.0.1:{port}"
        try:
            _log_in(pages, process, folder)
            yield pages
        finally:
            process.terminate()
            process.wait(30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _log_in(pages: Pages, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            httpx.get(f"{pages.url}/api/v2/version", timeout=30).raise_for_status()
            break
        except httpx.TransportError:
            log = (folder / "api-server.log").read_text()[-3000:]
            assert process.poll() is None, log
            assert time.monotonic() < deadline, log
            time.sleep(0.5)
    for role in ROLES:
        answer = httpx.post(
            f"{pages.url}/auth/token", json={"username": role, "password": role}, timeout=30
        )
        pages.tokens[role] = answer.raise_for_status().json()["access_token"]
