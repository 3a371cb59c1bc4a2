"""A real PostgreSQL for the session, a fresh migrated database for each test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine

from guidealign.db import make_engine, migrate
from guidealign.platform import binaries

_BIN = binaries()
# initdb refuses root; in a user namespace root looks like an ordinary user.
_AS_USER = ["unshare", "--user", "--map-user=65534", "--map-group=65534"]
_PREFIX = _AS_USER if os.geteuid() == 0 else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of the maintenance database of a server of this session's own."""
    folder = Path(tempfile.mkdtemp(prefix="guidealign-test-pg-"))
    data, port = folder / "data", _free_port()
    init = [_BIN / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"]
    init += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8"]
    subprocess.run([*_PREFIX, *map(str, init)], check=True, capture_output=True)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    control = [*_PREFIX, str(_BIN / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log")]
    subprocess.run([*control, "-o", options, "start"], check=True, capture_output=True)
    yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def migrated_template(postgres_url: str) -> str:
    """Name of a database that is migrated once and copied for each test."""
    name = "template_guidealign"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    url = postgres_url.rsplit("/", 1)[0] + "/" + name
    migrate(url)
    make_engine(url).dispose()
    return name


@pytest.fixture
def empty_database_url(postgres_url: str) -> Iterator[str]:
    """URL of a database with nothing in it."""
    yield from _database(postgres_url, "template1")


@pytest.fixture
def database_url(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """URL of a migrated database of this test's own."""
    yield from _database(postgres_url, migrated_template)


def _database(postgres_url: str, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template}")
    url = postgres_url.rsplit("/", 1)[0] + "/" + name
    yield url
    make_engine(url).dispose()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture
def engine(database_url: str) -> Engine:
    """An engine on this test's database."""
    return make_engine(database_url)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own, and no setting from the outside."""
    for name in [n for n in os.environ if n.lstrip("_").startswith("GUIDEALIGN_")]:
        if name not in {"GUIDEALIGN_MODEL_WHEELS", "GUIDEALIGN_PLATFORM__CACHE"}:
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("GUIDEALIGN_HOME", str(home))
    return home
