"""The pages when there is nothing to show, or nothing may or can be shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from airflow.api_fastapi.core_api.security import get_user
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, expect
from sqlalchemy import Engine

from guidealign.db import make_engine
from guidealign.records import LABRADOR_MODEL
from guidealign.registry import Registry
from guidealign_airflow.pages.app import build_app
from tests.integration.browsing import grave_faults, logged_in, save, too_wide
from tests.integration.running_pages import Pages, open_pages

LOOKS = [(1280, False), (1280, True), (400, False), (400, True)]
# Who looks, where, and what she reads.
EMPTY = {
    "library": ("admin", "", "The library is empty"),
    "filtered": ("admin", "?state=merged", "Nothing fits. Clear the filters."),
    "search": ("admin", "?q=zebra", "Try by meaning"),
    "review": ("admin", "review", "Nothing waits."),
    "coverage": ("admin", "coverage", "There are no guidelines and no inputs"),
    "models": ("admin", "models", "Nothing is served yet"),
    "keys": ("admin", "keys", "No key was made yet."),
}
REFUSED = {
    "404": ("admin", "nowhere", "There is no such page."),
    "403": ("viewer", "keys", "You need the permission to edit the variable guidealign_operate"),
    "400": ("admin", "models/guidealign-labrador/9", "There is no version 9"),
    "422": ("admin", "?page=0", "Page: Input should be greater than or equal to 1"),
}


def _make_store(_engine: Engine, registry: Registry, _folder: Path) -> None:
    """MLflow's own tables, which it makes when it is first asked."""
    assert registry.alias_version(LABRADOR_MODEL, "champion") is None


@pytest.fixture(scope="module")
def empty(
    postgres_url: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pages]:
    """Pages over a database in which nothing was ever stored."""
    folder = tmp_path_factory.mktemp("empty")
    with open_pages(postgres_url, migrated_template, folder, _make_store) as running:
        yield running


@contextmanager
def _away(engine: Engine, postgres_url: str) -> Iterator[None]:
    """The database throws everybody out and lets nobody in, for the length of the block."""
    name = engine.url.database
    server = make_engine(postgres_url).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f"alter database {name} allow_connections false")
        connection.exec_driver_sql(
            f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
        )
        try:
            yield
        finally:
            connection.exec_driver_sql(f"alter database {name} allow_connections true")


@contextmanager
def _without_the_ledger(engine: Engine) -> Iterator[None]:
    """The database of an older release, for the length of the block."""
    with engine.begin() as connection:
        connection.exec_driver_sql("alter view library.promotions rename to elsewhere")
    try:
        yield
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql("alter view library.elsewhere rename to promotions")


def _look(
    browser: Browser, pages: Pages, state: tuple[str, str, str], name: str, look: tuple[int, bool]
) -> None:
    """What a person in some state of things sees is told in words, fits, and has no faults."""
    (role, path, told), (width, dark) = state, look
    context = logged_in(browser, pages, role, width=width, dark=dark)
    page = context.new_page()
    page.goto(f"{pages.url}/guidealign/{path}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text(told)
    assert grave_faults(page) == []
    assert too_wide(page) <= 0
    save(page, f"state-{name}-{width}-{'dark' if dark else 'light'}")
    context.close()


@pytest.mark.parametrize("look", LOOKS, ids=str)
@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_page_says_what_fills_it(
    browser: Browser, empty: Pages, name: str, look: tuple[int, bool]
) -> None:
    _look(browser, empty, EMPTY[name], name, look)


@pytest.mark.parametrize("look", LOOKS, ids=str)
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_told_on_a_page(
    browser: Browser, empty: Pages, name: str, look: tuple[int, bool]
) -> None:
    _look(browser, empty, REFUSED[name], name, look)


def test_a_database_that_is_away_is_told_on_a_page(
    browser: Browser, empty: Pages, postgres_url: str
) -> None:
    with _away(empty.engine, postgres_url):
        for look in LOOKS:
            told = "The guidealign database does not answer"
            _look(browser, empty, ("admin", "coverage", told), "503", look)
        with empty.client("admin") as client:
            assert client.get("/coverage").status_code == 503
    with empty.client("admin") as client:
        assert client.get("/coverage").status_code == 200


def test_a_database_of_an_older_release_is_told_on_a_page(browser: Browser, empty: Pages) -> None:
    with _without_the_ledger(empty.engine):
        for look in LOOKS:
            told = "The database schema is missing or old"
            _look(browser, empty, ("admin", "models", told), "500", look)
        with empty.client("admin") as client:
            assert client.get("/models").status_code == 500


def test_an_error_of_ours_is_a_page_without_its_words() -> None:
    def broken() -> None:
        raise RuntimeError("password of the database")

    app = build_app()
    app.dependency_overrides[get_user] = broken
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/models", headers={"Accept": "text/html"})
    assert answer.status_code == 500
    assert "The log of Airflow&#39;s API server says why." in answer.text
    assert "password" not in answer.text
