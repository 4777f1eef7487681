"""A browser, dashboards for it to look at, and pages."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser.pages import CHROMIUM, FLAGS, HERE, Site, Watched

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            # One browser at a time: two would measure each other.
            item.add_marker(pytest.mark.xdist_group("browser"))
            item.add_marker(pytest.mark.service)


@pytest.fixture(scope="session")
def browser(require: Callable[[str, bool, str], None]) -> Iterator[Browser]:
    require("chromium", Path(CHROMIUM).exists(), "there is no chromium in PATH; apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="chromium: playwright is not installed")
    pytest.importorskip("uvicorn", reason="chromium: uvicorn is not installed")
    # Debian's is used as it is; playwright would otherwise fetch one of its own.
    os.environ.setdefault("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def make_site(browser: Browser) -> Iterator[Callable[..., Site]]:
    """Start a site; it lives as long as the module's tests."""
    sites: list[Site] = []

    def make(name: str, port: int | None = None) -> Site:
        site = Site(name, port)
        sites.append(site)
        return site

    yield make
    for site in sites:
        site.stop()


@pytest.fixture
def look(browser: Browser) -> Iterator[Callable[..., Watched]]:
    """Open a page on a site; by default wide, light and English."""
    contexts: list[BrowserContext] = []

    def at(
        site: Site, *, width: int = 1366, height: int = 768, theme: str = "light", lang: str = "en", **options: Any
    ) -> Watched:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,  # type: ignore[arg-type]
            locale="zh-CN" if lang == "zh" else "en-GB",
            timezone_id="Europe/Berlin",
            **options,
        )
        contexts.append(context)
        return Watched(context.new_page(), site)

    yield at
    for context in contexts:
        context.close()
