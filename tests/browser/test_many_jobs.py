"""10,000 jobs, fifty of which start each second: the page stays small, quick and still."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from browser.pages import until

ROWS, NODES = 60, 1_500
CHANGES = 300
"""Runs that end while the page is watched: its work is counted, since its time is the machine's as well."""

COUNT = """async () => {
  const { options } = await import(new URL("./static/vendor/preact.mjs", location.href).href);
  const before = options.__r;
  window.drawn = {};
  options.__r = (vnode) => {
    window.drawn[vnode.type.name] = (window.drawn[vnode.type.name] || 0) + 1;
    before?.(vnode);
  };
}"""


SCROLL = """async (y) => {
  document.querySelector(".grid").scrollTop = y;
  await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
}"""


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Any]) -> Any:
    return make_site("many")


@pytest.fixture
def page(site: Any, look: Callable[..., Any]) -> Any:
    watched = look(site)
    watched.page.add_init_script(
        "window.shift = 0;"
        "new PerformanceObserver(l => l.getEntries().forEach(e => { if (!e.hadRecentInput) window.shift += e.value }))"
        ".observe({type: 'layout-shift', buffered: true});"
    )
    page = watched.open("jobs")
    until(page, "document.querySelector('.grid').getAttribute('aria-rowcount') === '10001'", patience=30)
    return page


def size(page: Any) -> tuple[int, int]:
    rows, nodes = page.evaluate(
        "[document.querySelectorAll('.grid-body .grid-row').length, document.querySelectorAll('*').length]"
    )
    return rows, nodes


def test_all_are_reached_by_scrolling_and_by_keys_with_few_in_the_page(page: Any) -> None:
    page.focus(".grid")
    page.keyboard.press("End")
    page.wait_for_selector("text=Job 09999")
    assert (True, True) == (size(page)[0] <= ROWS, size(page)[1] <= NODES), size(page)
    page.keyboard.press("Home")
    page.keyboard.press("PageDown")
    page.wait_for_selector(".grid-row.active")

    seen: set[str] = set()
    step = page.evaluate("document.querySelector('.grid').clientHeight - 60")
    for y in range(0, 40 * step, step):
        page.evaluate(
            SCROLL,
            y,
        )
        seen.update(page.locator(".grid-body .name").all_text_contents())
        assert size(page)[0] <= ROWS
        assert size(page)[1] <= NODES
    last = max(seen)
    assert [f"Job {n:05}" for n in range(int(last[4:]) + 1)] == sorted(seen)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["name", "next"])
def test_page_is_still_and_draws_what_it_must_while_fifty_jobs_a_second_change(
    page: Any, site: Any, order: str
) -> None:
    page.evaluate("order => { location.hash = `#/jobs?sort=${order}` }", order)
    page.mouse.move(5, 400)
    page.evaluate(COUNT)
    page.wait_for_timeout(3_000)
    status = f"{site.url}api/status"
    before = page.request.get(status).json()["statistics"]["total_runs"]
    page.evaluate("window.drawn = {}; window.shift = 0; window.begin = performance.now()")
    deadline = time.monotonic() + 120
    while page.request.get(status).json()["statistics"]["total_runs"] < before + CHANGES:
        assert time.monotonic() < deadline
        page.wait_for_timeout(500)

    drawn, shift, seconds = page.evaluate("[window.drawn, window.shift, (performance.now() - window.begin) / 1000]")
    assert shift < 0.01
    # The whole is drawn when the order or the counts are looked at, once a second each; a row when its job begins,
    # ends or comes into sight. Drawing all in sight at each of ten messages a second would be a hundred times as much.
    assert drawn.get("Jobs", 0) <= 3 * seconds + 5, (drawn, seconds)
    assert drawn.get("JobCells", 0) <= 3 * CHANGES + (ROWS if order == "next" else 2) * seconds, (drawn, seconds)
    assert size(page)[1] <= NODES


def test_search_among_all_answers_within_a_blink(page: Any) -> None:
    page.locator("input[type=search]").fill("0999")

    until(page, "document.querySelector('.grid').getAttribute('aria-rowcount') === '12'", patience=3)
