"""A real PostgreSQL for the session, a fresh migrated database for each test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine

from guidealign.db import make_engine, migrate
from guidealign.platform import temporary_postgres


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of the maintenance database of a server of this session's own."""
    with temporary_postgres({"fsync": "off"}) as url:
        yield url


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
    with copied_database(postgres_url, "template1") as url:
        yield url


@pytest.fixture
def database_url(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """URL of a migrated database of this test's own."""
    with copied_database(postgres_url, migrated_template) as url:
        yield url


@contextmanager
def copied_database(postgres_url: str, template: str) -> Iterator[str]:
    """URL of a copy of a database, for the length of the block."""
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
        if name != "GUIDEALIGN_PLATFORM__CACHE":
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("GUIDEALIGN_HOME", str(home))
    # `dag.test()` cannot run a DAG that has a deadline.
    monkeypatch.setenv("GUIDEALIGN_AIRFLOW__DEADLINES", "false")
    return home
