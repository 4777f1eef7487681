"""Many changes a second: the page draws what changed, once a second, and loses none.

Work is counted: how often something is drawn, not how long it takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from browser.pages import until

NODES = 1_600
PAGE = 50
COUNT = """async () => {
  const { options } = await import(new URL("./static/vendor/preact.mjs", location.href).href);
  const before = options.__r;
  window.drawn = {};
  options.__r = (vnode) => {
    window.drawn[vnode.type.name] = (window.drawn[vnode.type.name] || 0) + 1;
    before?.(vnode);
  };
}"""


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Any]) -> Any:
    return make_site("lively")


def total(page: Any, site: Any) -> int:
    runs: int = page.request.get(f"{site.url}api/status").json()["statistics"]["total_runs"]
    return runs


def drawn_during(page: Any, site: Any, runs: int) -> tuple[dict[str, int], float, int]:
    """Return how often each component was drawn while so many runs ended, the page's seconds, and how many ended."""
    page.mouse.move(5, 400)
    page.evaluate(COUNT)
    page.wait_for_timeout(1_500)
    before = total(page, site)
    begin = page.evaluate("(window.drawn = {}, performance.now())")
    deadline = time.monotonic() + 90
    while total(page, site) < before + runs:
        assert time.monotonic() < deadline
        page.wait_for_timeout(200)
    drawn, end = page.evaluate("[window.drawn, performance.now()]")
    return drawn, (end - begin) / 1000, total(page, site) - before


def shown(page: Any) -> list[str]:
    ids: list[str] = page.locator(".runs tbody .cell-status a").evaluate_all("all => all.map((one) => one.hash)")
    return ids


def test_list_of_runs_is_drawn_once_a_second_and_its_rows_when_they_change(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("runs")
    page.wait_for_selector(".runs tbody tr")

    drawn, seconds, ended = drawn_during(page, site, 200)

    assert drawn.get("RunsTable", 0) <= seconds + 2, (drawn, seconds)
    # Each is drawn when it begins, when it ends and perhaps between.
    assert 0 < drawn["RunRow"] <= 3 * (ended + PAGE), (drawn, ended)
    assert page.evaluate("document.querySelectorAll('*').length") <= NODES
    assert len(shown(page)) <= PAGE


@pytest.mark.parametrize("order", ["name", "next"])
def test_job_is_drawn_when_it_changes_and_not_when_others_do(site: Any, look: Callable[..., Any], order: str) -> None:
    page = look(site).open(f"jobs?q=still&sort={order}")
    page.wait_for_selector("#row-9")

    drawn, seconds, _ = drawn_during(page, site, 200)

    assert drawn.get("JobCells", 0) <= 10, drawn
    assert drawn.get("Jobs", 0) <= 3 * seconds + 5, (drawn, seconds)
    assert 0 < drawn["NextRun"] <= 10 * (seconds + 2), (drawn, seconds)


def test_pages_of_runs_leave_none_out_and_grow_by_none(make_site: Callable[..., Any], look: Callable[..., Any]) -> None:
    quiet = make_site("populated")
    watched = look(quiet)
    page = watched.open("runs?job=tidy")
    page.wait_for_selector(".empty-title")
    made: list[str] = []
    while len(made) < 2 * PAGE + 7:
        answer = page.request.post(f"{quiet.url}api/jobs/tidy/run")
        if answer.ok:
            made.append("#/runs/" + answer.json()["run_id"])
    page.mouse.move(5, 400)
    until(page, f"document.querySelector('.runs tbody a')?.hash === '{made[-1]}'")
    seen = [shown(page)]
    for number in (2, 3):
        page.get_by_role("button", name="Older").click()
        page.get_by_text(f"Page {number}", exact=True).wait_for()
        seen.append(shown(page))
        page.mouse.move(5, 400)

    assert [PAGE, PAGE, 7] == [len(ids) for ids in seen]
    assert set(made) == {one for ids in seen for one in ids}
    assert page.get_by_role("button", name="Older").is_disabled()
    page.get_by_role("button", name="Newer").click()
    page.get_by_text("Page 2", exact=True).wait_for()
    page.get_by_role("button", name="Newer").click()
    page.get_by_text("Page 1", exact=True).wait_for()
    assert seen[0] == shown(page)
    assert page.get_by_role("button", name="Newer").is_disabled()


def test_older_runs_of_a_list_that_goes_on_follow_on_what_is_shown(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("runs?status=succeeded")
    page.mouse.move(5, 400)
    page.wait_for_selector(".more button:has-text('Older'):enabled", timeout=60_000)
    page.get_by_role("button", name="Older").click()
    page.get_by_text("Page 2", exact=True).wait_for()
    first = shown(page)
    page.wait_for_timeout(1_500)

    assert first == shown(page)
    assert len(first) <= PAGE
