"""What several integration tests share because it takes long to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.integration.browsing import CHROMIUM, WAIT_MS
from tests.integration.running_pages import Pages, fill, open_pages


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, where there is one."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def pages(
    postgres_url: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pages]:
    """One API server for all: each test looks at, or decides about, guidelines of its own."""
    folder = tmp_path_factory.mktemp("pages")
    with open_pages(postgres_url, migrated_template, folder, fill) as running:
        yield running
