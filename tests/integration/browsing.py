"""Looking at the pages in Chromium: who is logged in, and what axe and the eye find.

With the environment variable SCREENSHOTS set to a folder, each page is saved there.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from tests.integration.running_pages import Pages

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
WAIT_MS = 20_000


def logged_in(
    browser: Browser, pages: Pages, role: str, *, width: int = 1280, dark: bool = False
) -> BrowserContext:
    """A window of somebody who is logged in, by the cookie that Airflow's own page sets."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
    )
    context.add_cookies([{"name": "_token", "value": pages.tokens[role], "url": pages.url}])
    context.set_default_timeout(WAIT_MS)
    return context


def grave_faults(page: Page) -> list[tuple[str, list[str]]]:
    """What axe calls serious or critical: the rule, and up to three places."""
    return [
        (rule["id"], [node["html"] for node in rule["nodes"]][:3])
        for rule in Axe().run(page).response["violations"]
        if rule["impact"] in {"serious", "critical"}
    ]


def too_wide(page: Page) -> int:
    """Pixels that a page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


def save(page: Page, name: str) -> None:
    """A picture of the page, where one is wanted."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
