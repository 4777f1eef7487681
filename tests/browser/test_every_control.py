"""Every control of every view is used once: nothing raises, and no view goes blank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from browser.pages import until

# Of rows that are all alike the first two are enough.
FIND = """([scope, tried]) => {
  const alike = ".grid-body .grid-row:nth-child(n+3), tbody tr:nth-child(n+3), .agenda > li:nth-child(n+3), "
    + ".letters > li:nth-child(n+3), .next-list li:nth-child(n+3), .instants li:nth-child(n+3), option, dialog";
  const kind = "button, select, textarea, input, summary, a[href], [role=slider], [role=grid], .run-chart .hit";
  for (const element of document.querySelectorAll(scope.split(", ").map((part) => `${part} :is(${kind})`).join(", "))) {
    if (element.closest(alike) || element.disabled || element.closest(".invisible")) continue;
    if (!element.checkVisibility()) continue;
    const words = element.getAttribute("aria-label") || element.labels?.[0]?.textContent
      || element.querySelector("title")?.textContent || element.textContent;
    const key = [element.tagName, element.type || "", words.trim().replace(/\\d+/g, "#").slice(0, 60)].join(" | ");
    if (tried.includes(key)) continue;
    document.querySelector("[data-try]")?.removeAttribute("data-try");
    element.dataset.try = "1";
    return [key, element.tagName.toLowerCase(), element.type || ""];
  }
  return null;
}"""
STANDS = "(document.querySelector('main h1')?.textContent || '').trim() !== '' && !document.querySelector('.skeleton')"
MOST = 150


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Any]) -> Any:
    return make_site("populated")


def use(page: Any, tag: str, kind: str) -> None:
    control = page.locator("[data-try]")
    if tag == "select":
        control.select_option(index=control.locator("option").count() - 1)
    elif tag == "textarea" or (tag == "input" and kind != "checkbox"):
        control.fill("7")
    elif control.get_attribute("role") in ("slider", "grid"):
        control.focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
    else:
        # What lies under a sticky head is scrolled to and pressed as well.
        control.dispatch_event("click") if kind == "" and tag == "rect" else control.click()


def wrong(complaints: list[str]) -> list[str]:
    """Return what was said against the page; that the server refused a senseless field is not."""
    return [text for text in complaints if "the server responded with a status of 4" not in text]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("view", "scope"),
    [
        ("nodes", "aside, footer"),
        ("", "main"),
        ("jobs", "main"),
        ("jobs/orders", "main"),
        ("jobs/welcome", "main"),
        ("runs", "main"),
        ("runs/{failed}", "main"),
        ("dead-letters", "main"),
        ("agenda", "main"),
        ("nodes", "main"),
        ("new", "main"),
        ("jobs/orders/edit", "main"),
        ("jobs/welcome/edit", "main"),
    ],
)
def test_every_control_is_used_and_nothing_breaks(site: Any, look: Callable[..., Any], view: str, scope: str) -> None:
    watched = look(site)
    page = watched.open("nodes")
    find = "async () => (await (await fetch('./api/history?limit=1&status=failed')).json()).history[0].run_id"
    route = view.format(failed=page.evaluate(find))
    watched.open(route)
    home = page.url
    tried: list[str] = []
    while found := page.evaluate(FIND, [scope, tried]):
        key, tag, kind = found
        tried.append(key)
        use(page, tag, kind)
        page.wait_for_timeout(30)
        if page.locator("dialog[open]").count():
            page.keyboard.press("Escape")
            page.wait_for_selector("dialog[open]", state="detached")
        until(page, STANDS)
        assert [] == wrong(watched.complaints), key
        if page.url.partition("?")[0] != home:
            watched.open(route)
        assert len(tried) <= MOST, tried

    assert view == "nodes" or len(tried) >= 4, tried
