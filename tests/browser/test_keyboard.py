"""All of it without a mouse."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from browser.pages import until

FOCUSED = """() => {
  const element = document.activeElement;
  if (element === document.body) return ["", ""];
  const style = getComputedStyle(element);
  const name = element.getAttribute("aria-label") || element.textContent || "";
  return [name.trim(), style.outlineStyle + style.boxShadow];
}"""


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Any]) -> Any:
    return make_site("populated")


def test_jobs_are_sought_selected_steered_and_opened_by_keys(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("")
    page.keyboard.press("g")
    page.keyboard.press("j")
    page.wait_for_selector("#row-0")
    page.keyboard.press("/")
    page.keyboard.type("Close the books")
    until(page, "document.querySelector('.grid').getAttribute('aria-rowcount') === '7'")
    page.keyboard.press("ArrowDown")

    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert "row-1" == page.locator(".grid").get_attribute("aria-activedescendant")
    page.keyboard.press("x")
    page.wait_for_selector("#row-1[aria-selected=true]")
    page.keyboard.press("p")
    page.wait_for_selector("#row-1 .state:has-text('Paused')")
    page.keyboard.press("p")
    page.wait_for_selector("#row-1 .state:has-text('Scheduled')")
    page.keyboard.press("End")
    assert "row-5" == page.locator(".grid").get_attribute("aria-activedescendant")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Close the books 5')")
    assert "H1" == page.evaluate("document.activeElement.tagName")


def test_every_control_is_reached_with_tab_and_shows_that_it_has_the_focus(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("jobs/orders")
    reached: set[str] = set()
    plain: list[str] = []
    for _ in range(70):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(FOCUSED)
        reached.add(re.sub(r" \d+$", "", name))
        if name and outline == "nonenone":
            plain.append(name)

    assert {
        "Overview",
        "Dead letters",
        "Run now",
        "Pause",
        "Edit",
        "Duplicate",
        "Cancel",
        "Dark",
        "简体中文",
    } <= reached
    assert [] == plain


def test_confirmation_is_answered_by_keys_and_gives_the_focus_back(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("jobs/orders")
    page.get_by_role("button", name="Cancel", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    assert "Back" == page.evaluate("document.activeElement.textContent.trim()")

    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="detached")
    assert "Cancel" == page.evaluate("document.activeElement.textContent.trim()")


def test_shortcuts_are_silent_in_a_text_field(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("jobs")
    page.keyboard.press("/")
    page.keyboard.type("gdt?")

    assert "gdt?" == page.locator("input[type=search]").input_value()
    assert 0 == page.locator("dialog[open]").count()
    assert "#/jobs" in page.url
