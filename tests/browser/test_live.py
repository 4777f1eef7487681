"""The page follows the schedule, says when it cannot, and holds up neither the server nor the other tabs."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest
from browser.pages import until


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Any]) -> Any:
    return make_site("populated")


def test_change_made_elsewhere_appears_by_itself(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("jobs?q=backup")
    page.wait_for_selector(".grid-row .cell-state:has-text('Scheduled')")

    page.request.post(f"{site.url}api/jobs/backup/pause")
    page.wait_for_selector(".grid-row .cell-state:has-text('Paused')", timeout=5_000)
    page.request.post(f"{site.url}api/jobs/backup/resume")
    page.wait_for_selector(".grid-row .cell-state:has-text('Scheduled')", timeout=5_000)


def test_pause_can_be_undone_where_it_is_reported(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("jobs?q=review")
    page.get_by_role("button", name="Pause Weekly review").click()
    page.wait_for_selector(".grid-row .cell-state:has-text('Paused')")

    page.get_by_role("button", name="Undo").click()
    page.wait_for_selector(".grid-row .cell-state:has-text('Scheduled')")


def test_group_and_selection_are_steered_together(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("jobs?group=accounts")
    page.get_by_role("button", name="Pause the group accounts").click()
    until(page, "document.querySelectorAll('.grid-body .state.tone-idle').length === 6")

    page.get_by_role("checkbox", name="Select 6 jobs").check()
    page.get_by_role("button", name="Resume", exact=True).click()
    until(page, "document.querySelectorAll('.grid-body .state.tone-idle').length === 0")
    assert "sel=midnight-0" in page.url


def test_rows_hold_still_and_keep_the_focus_while_someone_points_at_them(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("jobs?sort=runs")
    page.wait_for_selector("#row-3")
    page.hover("#row-2")
    page.focus("#row-2 a")
    before = page.locator(".grid-body .name").all_text_contents()

    for _ in range(3):
        page.request.post(f"{site.url}api/jobs/market/run")
        page.wait_for_timeout(400)

    assert before == page.locator(".grid-body .name").all_text_contents()
    assert "A" == page.evaluate("document.activeElement.tagName")


def test_agenda_marks_the_crowded_minute(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("agenda")

    page.locator(".crowds button").click()
    assert 6 <= page.locator(".agenda-entry").count()


def test_run_shows_its_progress_and_log_while_it_runs(site: Any, look: Callable[..., Any]) -> None:
    watched = look(site)
    page = watched.open("runs?status=running")
    page.get_by_role("link", name="Running").first.click()
    page.wait_for_selector("progress")
    page.wait_for_selector(".log:has-text('step 1')")

    page.get_by_role("button", name="Cancel the run").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the run").click()
    page.wait_for_selector(".facts .state:has-text('Cancelled')", timeout=8_000)


def test_dead_letters_are_grouped_replayed_and_discarded(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("dead-letters")
    page.wait_for_selector(".letter")
    before = page.locator(".letter").count()
    assert 1 == page.locator(".letter-title a").count()
    page.get_by_role("button", name="Traceback").first.click()
    page.wait_for_selector("pre:has-text('ConnectionError')")

    page.get_by_role("button", name="Discard", exact=True).nth(1).click()
    page.get_by_role("dialog").get_by_role("button", name="Discard").click()
    until(page, f"document.querySelectorAll('.letter').length === {before - 1}")


def test_job_is_made_with_a_preview_and_its_faults_stand_at_their_fields(site: Any, look: Callable[..., Any]) -> None:
    watched = look(site)
    page = watched.open("new")
    page.get_by_label("Function").select_option("sites:work")
    page.get_by_role("button", name="Cron").click()
    page.get_by_label("Cron expression").fill("30 2 * * *")
    page.get_by_label("Time zone").fill("America/New_York")
    page.wait_for_selector(".sentence:has-text('02:30')")
    assert 10 == page.locator(".instants li").count()

    page.get_by_label("Cron expression").fill("99 2 * * *")
    page.get_by_label("Retries").fill("many")
    page.get_by_role("button", name="Create job").click()
    page.wait_for_selector("[aria-invalid=true]")
    assert "true" == page.get_by_label("Retries").get_attribute("aria-invalid")

    page.get_by_label("Retries").fill("1")
    page.get_by_label("Cron expression").fill("30 2 * * *")
    page.get_by_label("Name", exact=True).fill("Fresh job")
    page.get_by_role("button", name="Create job").click()
    page.wait_for_selector("h1:has-text('Fresh job')")

    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Name", exact=True).fill("Renamed job")
    page.get_by_role("button", name="Save changes").click()
    page.wait_for_selector("h1:has-text('Renamed job')")


def test_page_outlives_a_killed_server_and_says_so_meanwhile(
    make_site: Callable[..., Any], look: Callable[..., Any]
) -> None:
    first = make_site("populated")
    watched = look(first)
    page = watched.open("jobs")
    first.stop(signal.SIGKILL)
    page.wait_for_selector(".connection:has-text('Disconnected')", timeout=5_000)
    page.wait_for_selector(".age:has-text('data from')")
    assert page.get_by_role("button", name="Pause Import orders").is_disabled()

    make_site("populated", port=first.port)
    page.wait_for_selector(".connection.tone-good", timeout=20_000)
    page.wait_for_selector(".said:has-text('restarted')")
    assert page.get_by_role("button", name="Pause Import orders").is_enabled()


def test_server_stops_at_once_with_the_page_open(make_site: Callable[..., Any], look: Callable[..., Any]) -> None:
    stopping = make_site("empty")
    page = look(stopping).open("jobs")

    assert 2 > stopping.stop(signal.SIGTERM)
    page.wait_for_selector(".connection:has-text('stopping')", timeout=3_000)


def test_eight_tabs_share_one_stream_and_the_next_one_takes_over(site: Any, look: Callable[..., Any]) -> None:
    first = look(site)
    first.open("jobs")
    pages = [first.page]
    streams: list[str] = []
    context = first.page.context
    context.on("request", lambda request: streams.append(request.url) if request.url.endswith("/events") else None)
    for _ in range(7):
        page = context.new_page()
        page.goto(f"{site.url}#/jobs?q=market")
        page.wait_for_selector(".connection.tone-good", timeout=10_000)
        page.wait_for_selector("#row-0")
        pages.append(page)
    assert [] == streams

    pages[0].close()
    pages[7].request.post(f"{site.url}api/jobs/market/pause")
    for page in pages[1:]:
        page.wait_for_selector(".grid-row .cell-state:has-text('Paused')", timeout=10_000)
    assert 1 == len(streams)
    pages[7].request.post(f"{site.url}api/jobs/market/resume")


def test_token_is_asked_for_and_decides_what_can_be_done(
    make_site: Callable[..., Any], look: Callable[..., Any]
) -> None:
    guarded = make_site("token")
    page = look(guarded).open("jobs", settle=False)
    page.get_by_role("textbox", name="Token").fill("wrong")
    page.get_by_role("button", name="Continue").click()
    page.wait_for_selector(".fault:has-text('not accepted')")
    page.get_by_role("textbox", name="Token").fill("look")
    page.get_by_role("button", name="Continue").click()
    page.wait_for_selector(".connection.tone-good")
    page.wait_for_selector("#row-0")

    assert 0 == page.get_by_role("link", name="New job").count()
    assert 0 == page.locator(".cell-act button").count()


def test_read_only_dashboard_has_no_buttons_that_would_be_refused(
    make_site: Callable[..., Any], look: Callable[..., Any]
) -> None:
    page = look(make_site("read-only")).open("jobs")
    page.wait_for_selector(".bar .tag:has-text('Read-only')")

    assert 0 == page.locator(".cell-act button").count()


def test_empty_schedule_and_empty_filter_say_different_things(
    make_site: Callable[..., Any], look: Callable[..., Any], site: Any
) -> None:
    page = look(make_site("empty")).open("jobs")
    page.wait_for_selector(".grid-empty:has-text('No jobs yet')")

    page = look(site).open("jobs?q=nothing-is-called-so")
    page.get_by_role("button", name="Clear the filter").click()
    page.wait_for_selector("#row-0")


def test_page_without_locks_reads_a_stream_of_its_own(site: Any, look: Callable[..., Any]) -> None:
    watched = look(site)
    watched.page.add_init_script("Object.defineProperty(navigator, 'locks', { value: undefined })")
    page = watched.open("jobs?q=backup")

    page.request.post(f"{site.url}api/jobs/backup/pause")
    page.wait_for_selector(".grid-row .cell-state:has-text('Paused')", timeout=5_000)
    page.request.post(f"{site.url}api/jobs/backup/resume")
