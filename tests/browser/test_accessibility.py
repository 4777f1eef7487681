"""Every view, populated, in both themes and languages, wide and narrow: axe finds nothing, nothing overflows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
VIEWS = [
    "",
    "jobs",
    "jobs/orders",
    "jobs/parcels",
    "runs",
    "dead-letters",
    "agenda",
    "nodes",
    "new",
    "jobs/backup/edit",
]

RUN_AXE = """async (tags) => {
  const found = await axe.run(document, { runOnly: { type: "tag", values: tags }, resultTypes: ["violations"] });
  return found.violations.map((rule) => `${rule.id}: ${rule.help}: ` + rule.nodes.slice(0, 3).map((node) =>
    node.target.join(" ") + " " + (node.any[0]?.message || "") ).join(" | "));
}"""


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Any]) -> Any:
    return make_site("populated")


def run_of(page: Any, status: str) -> str:
    """Return the route of a run that ended so."""
    url = f"./api/history?limit=1&status={status}"
    run_id = page.evaluate("async url => (await (await fetch(url)).json()).history[0].run_id", url)
    return f"runs/{run_id}"


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("width", [1366, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_axe_finds_nothing_in_any_view(site: Any, look: Callable[..., Any], lang: str, theme: str, width: int) -> None:
    watched = look(site, width=width, height=768 if width > 800 else 844, theme=theme, lang=lang)
    page = watched.open("jobs")
    page.evaluate(AXE.read_text())
    found: dict[str, list[str]] = {}

    for view in [*VIEWS, run_of(page, "failed"), run_of(page, "running")]:
        watched.open(view)
        page.wait_for_timeout(300)
        violations = page.evaluate(RUN_AXE, TAGS)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            violations.append("the page is wider than the window")
        if violations:
            found[view] = violations

    assert {} == found
    assert ("zh-Hans" if lang == "zh" else "en") == page.evaluate("document.documentElement.lang")
    assert theme == page.evaluate("document.documentElement.dataset.theme")
    assert [] == watched.complaints


@pytest.mark.parametrize("opener", ["?", "cancel"])
def test_axe_finds_nothing_in_a_dialog(site: Any, look: Callable[..., Any], opener: str) -> None:
    page = look(site).open("jobs/orders")
    page.evaluate(AXE.read_text())
    if opener == "?":
        page.keyboard.press("?")
    else:
        page.get_by_role("button", name="Cancel", exact=True).click()
    page.wait_for_selector("dialog[open]")

    assert [] == page.evaluate(RUN_AXE, TAGS)
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="detached")


def test_theme_and_language_are_remembered(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("jobs")
    page.get_by_role("button", name="Dark").click()
    page.get_by_role("button", name="简体中文").click()
    page.wait_for_selector("h1:has-text('任务')")

    page.reload()
    page.wait_for_selector("h1:has-text('任务')")

    assert "dark zh-Hans" == page.evaluate(
        "document.documentElement.dataset.theme + ' ' + document.documentElement.lang"
    )
    assert page.title().startswith("任务")
