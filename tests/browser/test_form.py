"""The form of a job: what it shows before it is saved is what will be, and nothing that was written is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from browser.pages import until

BAD = "rgb(179, 38, 30)"


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Any]) -> Any:
    return make_site("populated")


@pytest.fixture
def watched(site: Any, look: Callable[..., Any]) -> Any:
    return look(site)


def kind(page: Any, name: str) -> None:
    page.get_by_role("group", name="Kind of schedule").get_by_role("button", name=name).click()


def planned(page: Any) -> list[str]:
    """Return the instants that the page shows."""
    instants: list[str] = page.locator(".instants time").evaluate_all("all => all.map((one) => one.dateTime)")
    return instants


def job(page: Any, site: Any, job_id: str) -> Any:
    return page.request.get(f"{site.url}api/jobs/{job_id}").json()["job"]


def test_one_shot_is_made_and_the_form_is_whole_afterwards(watched: Any) -> None:
    page = watched.open("new")
    kind(page, "Once")
    page.get_by_text("The preview begins when a time is written.").wait_for()
    page.get_by_label("Date and time").fill("2030-02-03 04:05")
    page.wait_for_selector(".sentence:has-text('2030-02-03 04:05')")
    page.get_by_role("button", name="After a while").click()
    page.get_by_label("After", exact=True).fill("90")
    kind(page, "Daily")
    page.get_by_label("Time", exact=True).fill("10:15")
    page.wait_for_selector(".sentence:has-text('10:15')")
    kind(page, "Once")
    page.get_by_role("button", name="At a time").click()
    page.get_by_label("Name", exact=True).fill("Only once")
    page.get_by_role("button", name="Create job").click()
    page.wait_for_selector("h1:has-text('Only once')")

    assert [] == watched.complaints


def test_edit_page_of_a_one_shot_shows_its_time(watched: Any) -> None:
    page = watched.open("jobs/welcome/edit")

    assert "Once" == page.locator(".types [aria-pressed=true]").inner_text()
    assert page.get_by_label("Date and time").input_value()
    assert [] == watched.complaints


def test_preview_begins_at_not_before_and_ends_at_not_after(watched: Any) -> None:
    page = watched.open("new")
    page.get_by_label("Not before").fill("2031-01-01 9:00")
    until(page, "document.querySelector('.instants time')?.dateTime === '2031-01-01T09:00:00.000Z'")
    page.get_by_label("Not after").fill("2031-01-01 09:17")
    until(page, "document.querySelectorAll('.instants time').length === 4")

    assert "2031-01-01T09:15:00.000Z" == planned(page)[-1]


def test_preview_of_an_edit_keeps_the_phase_at_which_the_job_runs(watched: Any, site: Any) -> None:
    page = watched.open("jobs/crawl/edit")
    page.wait_for_selector(".instants time")
    shown = page.request.get(f"{site.url}api/jobs/crawl/preview?n=10").json()["instants"]

    assert [instant["at"][:19] for instant in shown] == [at[:19] for at in planned(page)]


def test_times_and_numbers_are_taken_as_people_write_them(watched: Any, site: Any) -> None:
    page = watched.open("new")
    page.get_by_label("Every").fill("1,5")
    page.wait_for_selector(".sentence:has-text('90 seconds')")
    kind(page, "Daily")
    page.get_by_label("Time", exact=True).fill("9:00")
    page.wait_for_selector(".sentence:has-text('09:00')")

    assert 0 == page.locator("[aria-invalid=true]").count()


def test_wrong_field_says_once_and_in_red_what_is_wrong_without_the_servers_names(watched: Any) -> None:
    page = watched.open("new")
    kind(page, "Cron")
    page.get_by_label("Cron expression").fill("99 2 * * *")
    page.get_by_label("Not before").fill("soon")
    page.get_by_label("Retries").fill("many")
    page.get_by_role("button", name="Create job").click()
    page.wait_for_selector(".form-fault:has-text('Please check the marked fields.')")
    page.get_by_label("Cron expression").fill("98 2 * * *")
    page.get_by_label("Retries").fill("2")
    page.get_by_label("Not before").fill("")
    page.wait_for_selector("small.fault:has-text('98')")
    page.get_by_role("button", name="Create job").click()
    page.wait_for_selector("small.fault:has-text('98')")
    shown = page.locator("main").inner_text()

    assert 1 == page.locator(".fault", has_text="98").count()
    assert "schedule_config" not in shown
    assert "/max_retries" not in shown
    assert BAD == page.evaluate("getComputedStyle(document.querySelector('small.fault')).color")


def test_what_is_no_date_is_refused_as_it_was_written(watched: Any) -> None:
    page = watched.open("new")
    page.get_by_label("Not before").fill("soon")
    page.wait_for_selector("small.fault:has-text(\"'soon'\")")

    assert "soonZ" not in page.locator("main").inner_text()


def test_saving_without_a_change_changes_nothing_and_says_so(watched: Any, site: Any) -> None:
    page = watched.open("jobs/review/edit")
    before = job(page, site, "review")
    page.get_by_role("button", name="Save changes").click()
    page.wait_for_selector(".said:has-text('nothing was changed')")
    page.wait_for_selector("h1:has-text('Weekly review')")

    assert before["version"] == job(page, site, "review")["version"]


def test_saving_one_field_sends_that_field_alone(watched: Any, site: Any) -> None:
    sent: list[Any] = []
    page = watched.open("jobs/market/edit")
    page.on("request", lambda request: sent.append(request.post_data_json) if request.method == "PUT" else None)
    page.get_by_label("Tags").fill("stock, tokyo")
    page.get_by_role("button", name="Save changes").click()
    page.wait_for_selector(".said:has-text('is changed')")

    assert [{"tags": ["stock", "tokyo"]}] == sent


def test_what_was_written_is_there_again_after_going_away(watched: Any) -> None:
    page = watched.open("new")
    page.get_by_label("Name", exact=True).fill("Half written")
    page.get_by_role("link", name="Agenda", exact=True).click()
    page.wait_for_selector(".said:has-text('is kept')")
    page.go_back()
    page.wait_for_selector(".form-draft")
    assert "Half written" == page.get_by_label("Name", exact=True).input_value()

    page.get_by_role("button", name="Discard it").click()
    assert "" == page.get_by_label("Name", exact=True).input_value()
    assert 0 == page.locator(".form-draft").count()


def test_answer_that_breaks_off_is_no_preview(watched: Any) -> None:
    page = watched.open("new")
    page.wait_for_selector(".instants li")
    page.route("**/api/preview", lambda route: route.fulfill(status=200, body="{", content_type="application/json"))
    kind(page, "Daily")
    page.wait_for_selector("[aria-labelledby=form-preview] .fault:has-text('The server does not answer')")
    page.unroute("**/api/preview")
    kind(page, "Weekly")
    page.wait_for_selector(".sentence:has-text('Monday')")

    assert [] == watched.complaints
