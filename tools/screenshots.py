"""Make the pictures of the dashboard that README and docs show, from a server of its own with a populated schedule.

    python tools/screenshots.py [NAME...]    all pictures, or those named

Chromium is found in PATH; it needs a CJK font for the Chinese pages.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from browser.pages import CHROMIUM, FLAGS, Site, Watched  # noqa: E402 - a path of the checkout, not a package

IMAGES = ROOT / "docs" / "images"


class Shot(NamedTuple):
    route: str
    theme: str = "light"
    lang: str = "en"
    width: int = 1366
    height: int = 820


SHOTS = {
    "overview": Shot(""),
    "overview-dark-zh": Shot("", "dark", "zh"),
    "jobs": Shot("jobs"),
    "jobs-dark": Shot("jobs", "dark"),
    "jobs-narrow-zh": Shot("jobs", "light", "zh", 390, 844),
    "job": Shot("jobs/orders"),
    "new-job": Shot("new"),
    "runs": Shot("runs", "dark"),
    "run": Shot("runs/{running}"),
    "dead-letters": Shot("dead-letters"),
    "agenda": Shot("agenda"),
    "nodes": Shot("nodes", "dark", "zh"),
}

RUNNING = "async () => (await (await fetch('./api/history?limit=1&status=running')).json()).history[0].run_id"


def prepare(page: Page, name: str) -> None:
    """Bring the page into the state that its picture should show."""
    if name == "new-job":
        page.get_by_role("button", name="Cron").click()
        page.get_by_label("Cron expression").fill("30 2 * * SUN")
        page.get_by_label("Time zone").fill("America/New_York")
        page.wait_for_selector(".sentence:has-text('02:30')")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SHOTS))
    names = parser.parse_args().names or list(SHOTS)
    IMAGES.mkdir(parents=True, exist_ok=True)
    site = Site("populated")
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            for name in names:
                shot = SHOTS[name]
                context = browser.new_context(
                    viewport={"width": shot.width, "height": shot.height},
                    color_scheme="dark" if shot.theme == "dark" else "light",
                    locale="zh-CN" if shot.lang == "zh" else "en-GB",
                    timezone_id="Europe/Berlin",
                    reduced_motion="reduce",
                )
                watched = Watched(context.new_page(), site)
                page = watched.open("jobs")
                watched.open(shot.route.format(running=page.evaluate(RUNNING)))
                prepare(page, name)
                page.mouse.move(0, 0)
                page.wait_for_timeout(2_500)
                page.screenshot(path=IMAGES / f"{name}.png")
                print(IMAGES / f"{name}.png")
                context.close()
            browser.close()
    finally:
        site.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
