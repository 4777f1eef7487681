"""Text from outside is text: nothing in any field runs, and nothing is asked of another host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from browser.sites import HOSTILE


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Any]) -> Any:
    return make_site("betrayed")


POKE = """() => {
  for (const element of document.querySelectorAll("*")) {
    for (const type of ["mouseover", "mouseenter", "focus"]) element.dispatchEvent(new Event(type, { bubbles: true }));
  }
  return window.pwned ?? null;
}"""


@pytest.mark.timeout(180)
def test_hostile_text_in_every_field_does_nothing_and_is_shown(site: Any, look: Callable[..., Any]) -> None:
    watched = look(site)
    page = watched.open("jobs")
    runs = page.evaluate(
        "async () => (await (await fetch('./api/history?limit=100')).json()).history"
        ".map(run => [run.run_id, run.status])"
    )
    by_status = {status: run_id for run_id, status in runs}
    jobs = [f"jobs/{quote(f'{n} {text} raises', safe='')}" for n, text in enumerate(HOSTILE)]
    routes = [
        "", "jobs", "runs", "dead-letters", "agenda", "nodes", "new", *jobs, f"{jobs[0]}/edit",
        f"runs/{by_status['failed']}", f"runs/{by_status['succeeded']}", f"jobs?group={quote(HOSTILE[1])}",
        f"jobs?q={quote(HOSTILE[0])}", quote(HOSTILE[4]), f"jobs/{quote(HOSTILE[4], safe='')}",
    ]  # fmt: skip

    pwned = {}
    for route in routes:
        watched.open(route, settle=False)
        page.wait_for_timeout(250)
        if (answer := page.evaluate(POKE)) is not None:
            pwned[route] = answer

    assert {} == pwned
    watched.open("jobs")
    shown = page.locator(".grid .name").all_text_contents()
    assert HOSTILE[0] in shown
    assert [] == watched.strangers
    # A job of that name does not exist, and the browser reports each 404.
    assert [] == [text for text in watched.complaints if "404" not in text]


def test_policy_is_strict_and_nothing_breaks_it(site: Any, look: Callable[..., Any]) -> None:
    watched = look(site)
    watched.page.add_init_script(
        "window.broken = []; addEventListener('securitypolicyviolation', e => window.broken.push(e.violatedDirective))"
    )
    page = watched.open("jobs")
    for view in ("", "runs", "dead-letters", "agenda", "nodes", "new"):
        watched.open(view)

    policy = page.evaluate("async () => (await fetch('./')).headers.get('content-security-policy')")
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert [] == page.evaluate("window.broken")


def test_trusted_types_stop_what_slips_through(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("jobs")

    refused = page.evaluate(
        "() => { try { document.createElement('div').innerHTML = '<b>x</b>'; return ''; } catch (e) { return e.name } }"
    )
    assert "TypeError" == refused
