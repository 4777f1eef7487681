"""The list of jobs: what is acted on is what one sees, what is sought is found, and going back leads back."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from browser.pages import until


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Any]) -> Any:
    return make_site("populated")


def statuses(page: Any, site: Any) -> dict[str, str]:
    jobs = page.request.get(f"{site.url}api/jobs?limit=100").json()["jobs"]
    return {job["job_id"]: job["status"] for job in jobs}


def rows(page: Any, count: int) -> None:
    until(page, f"document.querySelector('.grid').getAttribute('aria-rowcount') === '{count + 1}'")


def test_bulk_leaves_the_selected_jobs_that_the_filter_hides_alone(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("jobs?q=books")
    page.get_by_role("checkbox", name="Select 6 jobs").check()
    page.locator("input[type=search]").fill("market")
    rows(page, 1)
    assert page.get_by_role("button", name="Pause", exact=True).is_disabled()
    page.get_by_text("6 selected jobs are hidden by the filter and left alone").wait_for()
    everything = page.locator(".bulk > .check input")
    assert (False, False) == (everything.is_checked(), everything.evaluate("box => box.indeterminate"))

    everything.check()
    page.get_by_role("button", name="Pause", exact=True).click()
    page.wait_for_selector(".said:has-text('1 job paused')")
    found = statuses(page, site)
    assert "paused" == found["market"]
    assert {"scheduled"} == {found[f"midnight-{n}"] for n in range(6)}

    everything.uncheck()
    page.locator("input[type=search]").fill("books")
    rows(page, 6)
    assert everything.is_checked()
    page.locator("input[type=search]").fill("market")
    rows(page, 1)
    page.get_by_role("button", name="Unselect").click()
    page.locator("input[type=search]").fill("books")
    rows(page, 6)
    assert not everything.is_checked()
    page.request.post(f"{site.url}api/jobs/market/resume")


def test_bulk_that_is_left_in_the_middle_says_afterwards_what_was_done(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("jobs?q=books")
    page.on("dialog", lambda dialog: dialog.accept())
    asked: list[str] = []

    def hold(route: Any) -> None:
        asked.append(route.request.url)
        if len(asked) <= 4:
            route.continue_()

    page.route("**/api/jobs/*/pause", hold)
    page.get_by_role("checkbox", name="Select 6 jobs").check()
    page.get_by_role("button", name="Pause", exact=True).click()
    until(page, "JSON.parse(sessionStorage.getItem('asched.bulk'))?.done === 4")
    page.reload()
    page.wait_for_selector(".said:has-text('4 jobs paused. The page was left before the answers for 2 more came')")

    found = statuses(page, site)
    assert 4 == sum(found[f"midnight-{n}"] == "paused" for n in range(6))
    for n in range(6):
        page.request.post(f"{site.url}api/jobs/midnight-{n}/resume")


def test_bulk_says_how_many_requests_were_lost(make_site: Callable[..., Any], look: Callable[..., Any]) -> None:
    other = make_site("populated")
    page = look(other).open("jobs?q=books")
    page.get_by_role("checkbox", name="Select 6 jobs").check()
    page.route("**/api/jobs/*/pause", lambda route: route.abort() if "-5" in route.request.url else route.continue_())
    page.get_by_role("button", name="Pause", exact=True).click()

    page.wait_for_selector(".said:has-text('5 jobs paused. 1 failed: The server does not answer')")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('"close the books"', 6),
        ("books -id:midnight-0 -id:midnight-1", 4),
        ("market OR tidy", 2),
        ("state:paused", 1),
        ("state:failing", 1),
        ("name:import", 1),
        ("id:midnight", 6),
        ("module:sites func:fail", 1),
        ("weekdays", 1),
        ("schedule:tokyo", 1),
        ("sites.nothing", 0),
    ],
)
def test_search_finds(site: Any, look: Callable[..., Any], query: str, found: int) -> None:
    page = look(site).open("jobs")
    page.locator("input[type=search]").fill(query)

    rows(page, found)


def test_search_that_finds_nothing_says_where_it_looked(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("jobs")
    page.locator("input[type=search]").fill("hunter2")

    page.wait_for_selector(".grid-empty:has-text('not at arguments or errors')")


def test_id_that_an_alert_names_is_in_the_list_and_can_be_copied(site: Any, look: Callable[..., Any]) -> None:
    watched = look(site, permissions=["clipboard-read", "clipboard-write"])
    page = watched.open("jobs?q=backup")
    page.wait_for_selector(".cell-name small:has-text('backup')")
    watched.open("jobs/backup")
    page.get_by_role("button", name="Copy backup").click()
    page.wait_for_selector(".said:has-text('backup is copied')")

    assert "backup" == page.evaluate("navigator.clipboard.readText()")


def test_going_back_leads_to_where_the_list_was_left(site: Any, look: Callable[..., Any]) -> None:
    page = look(site, height=520).open("jobs")
    page.wait_for_selector("#row-0")
    page.evaluate("document.querySelector('.grid').scrollTop = 260")
    page.locator(".grid-row .name", has_text="Import orders").click()
    page.wait_for_selector("h1:has-text('Import orders')")
    assert "Import orders · Acme" == page.title()
    page.go_back()

    until(page, "document.querySelector('.grid')?.scrollTop === 260")
    assert "Jobs · Acme" == page.title()
    page.get_by_role("link", name="Overview").click()
    page.wait_for_selector("h1:has-text('Overview')")
    page.get_by_role("navigation").get_by_role("link", name="Jobs").click()
    page.wait_for_selector("#row-0")
    assert 0 == page.evaluate("document.querySelector('.grid').scrollTop")


def test_row_that_was_clicked_and_left_by_key_complains_of_nothing(site: Any, look: Callable[..., Any]) -> None:
    watched = look(site)
    page = watched.open("jobs")
    page.locator("#row-1 .cell-schedule").click()
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Close the books 0')")

    assert [] == watched.complaints


@pytest.mark.parametrize(("width", "height"), [(422, 195), (844, 390), (700, 260)])
def test_nothing_covers_anything_in_a_low_window(site: Any, look: Callable[..., Any], width: int, height: int) -> None:
    page = look(site, width=width, height=height).open("jobs")
    boxes = [
        page.locator(place).bounding_box() for place in ("h1", ".head .button", ".search", ".chips", ".bulk", ".grid")
    ]

    def apart(one: Any, other: Any) -> bool:
        return bool(
            one["y"] + one["height"] <= other["y"] + 1 or other["y"] + other["height"] <= one["y"] + 1
            or one["x"] + one["width"] <= other["x"] + 1 or other["x"] + other["width"] <= one["x"] + 1
        )  # fmt: skip

    assert [] == [
        (i, k) for i, one in enumerate(boxes) for k, other in enumerate(boxes) if i < k and not apart(one, other)
    ]


def test_chosen_filter_is_in_sight_on_a_phone(site: Any, look: Callable[..., Any]) -> None:
    page = look(site, width=390, height=844).open("jobs?state=failing")
    box = page.locator(".chip-failing").bounding_box()

    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 391


def test_zone_of_the_next_run_is_shown_whole(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("jobs?q=backup")
    zone = page.locator(".cell-next small")
    zone.wait_for()

    assert "New York" in zone.inner_text()
    assert zone.evaluate("one => one.scrollWidth <= one.clientWidth")
    assert page.locator(".grid-body .cell-next").evaluate("one => one.scrollHeight <= one.parentElement.clientHeight")


COUNT_PRINTED = """() => addEventListener("beforeprint", () => setTimeout(() => {
  window.printed = document.querySelectorAll(".grid-body .grid-row").length;
}))"""


def test_print_has_every_job(site: Any, look: Callable[..., Any]) -> None:
    watched = look(site, height=500)
    page = watched.open("jobs")
    page.wait_for_selector("#row-0")
    page.evaluate(COUNT_PRINTED)
    sheets = re.findall(rb"/Type\s*/Page\b", page.pdf(format="A5"))

    assert len(sheets) >= 2
    assert 14 == page.evaluate("window.printed")
    assert [] == watched.complaints
