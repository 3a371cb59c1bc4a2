"""What several integration tests share because it takes long to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guidealign.db import make_engine
from tests.integration.running_pages import Pages, serve_pages


@pytest.fixture(scope="session")
def pages(
    postgres_url: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pages]:
    """One API server for all: each test looks at, or decides about, guidelines of its own."""
    folder = tmp_path_factory.mktemp("pages")
    server = make_engine(postgres_url).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f"create database test_pages template {migrated_template}")
    url = postgres_url.rsplit("/", 1)[0] + "/test_pages"
    engine = make_engine(url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GUIDEALIGN_HOME", str(folder / "home"))
        with serve_pages(engine, url, folder) as running:
            yield running
    engine.dispose()
    with server.connect() as connection:
        connection.exec_driver_sql("drop database test_pages with (force)")
    server.dispose()
