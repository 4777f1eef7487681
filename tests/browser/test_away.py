"""What the page says while the server or its store is away, and what it has when they are back."""

from __future__ import annotations

import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from browser.pages import until

JOBS = 15
AGE = "document.querySelector('.age')?.textContent || ''"


class Outage:
    """A site whose store goes away and comes back."""

    def __init__(self, site: Any) -> None:
        self.site = site

    def __enter__(self) -> Outage:
        self._turn(503)
        return self

    def __exit__(self, *_: object) -> None:
        if self.site.process.poll() is None and self._health() != 200:
            self._turn(200)

    end = __exit__

    def _turn(self, wanted: int) -> None:
        self.site.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + 60
        while self._health() != wanted:
            assert time.monotonic() < deadline, f"/healthz has not answered {wanted}"
            time.sleep(0.05)

    def _health(self) -> int:
        try:
            with urllib.request.urlopen(f"{self.site.url}healthz", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Any]) -> Any:
    return make_site("away")


def test_page_opened_while_the_store_is_away_says_so_and_has_everything_afterwards(
    site: Any, look: Callable[..., Any]
) -> None:
    watched = look(site)
    with Outage(site) as outage:
        page = watched.open("jobs", settle=False)
        page.wait_for_selector(".connection:has-text('The store is unavailable')")
        page.wait_for_selector(".grid-empty:has-text('The store is unavailable')")
        assert 0 == page.get_by_text("No jobs yet").count()
        assert "Jobs · Acme" == page.title()
        assert "All" == page.locator(".chip").first.inner_text().strip()
        watched.open("", settle=False)
        page.wait_for_selector(".problems:has-text('The store is unavailable')")
        assert 0 == page.get_by_text("All is well").count()
        watched.open("jobs", settle=False)

        outage.end()
        page.wait_for_selector(".connection.tone-good", timeout=20_000)
        until(page, f"document.querySelector('.grid').getAttribute('aria-rowcount') === '{JOBS + 1}'")
        assert page.get_by_role("button", name="Pause Import orders").is_enabled()


def test_nothing_can_be_pressed_or_is_claimed_while_the_store_is_away(site: Any, look: Callable[..., Any]) -> None:
    watched = look(site)
    page = watched.open("jobs")
    page.wait_for_selector("#row-0")
    with Outage(site):
        page.wait_for_selector(".connection:has-text('The store is unavailable')", timeout=20_000)
        until(page, "document.querySelector('.grid-body .cell-act button').disabled")
        assert page.get_by_role("button", name="Pause Import orders").is_disabled()
        assert str(JOBS + 1) == page.locator(".grid").get_attribute("aria-rowcount")
        watched.open("", settle=False)
        page.wait_for_selector(".note:has-text('The store is unavailable')")
        assert 0 == page.get_by_text("The scheduler is not running").count()
        assert 0 == page.get_by_text("Nothing runs at the moment").count()
        assert 0 == page.get_by_text("Errno").count()


def test_job_page_that_failed_to_load_is_read_when_the_store_is_back(site: Any, look: Callable[..., Any]) -> None:
    watched = look(site)
    watched.open("nodes")
    page = watched.page
    with Outage(site) as outage:
        page.wait_for_selector(".connection:has-text('The store is unavailable')", timeout=20_000)
        watched.open("jobs/orders", settle=False)
        page.wait_for_selector("[role=alert]:has-text('The store is unavailable')")
        assert 0 == page.get_by_text("10.0.0.7").count()

        outage.end()
        page.wait_for_selector("h1:has-text('Import orders')", timeout=20_000)


def test_age_of_the_data_counts_from_the_last_news_and_not_from_the_last_attempt(
    make_site: Callable[..., Any], look: Callable[..., Any]
) -> None:
    dying = make_site("populated")
    watched = look(dying)
    page = watched.open("jobs")
    attempts: list[str] = []
    page.on("requestfailed", lambda request: attempts.append(request.url) if request.url.endswith("/events") else None)
    dying.stop(signal.SIGKILL)
    page.evaluate("window.died = Date.now()")
    page.wait_for_selector(".age")
    until(page, "Date.now() - window.died > 6000")
    before = len(attempts)
    deadline = time.monotonic() + 60
    while len(attempts) <= before:
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)

    # Whatever a machine's load makes of the second in which it is drawn: the attempt took nothing off the age.
    until(page, f"(Date.now() - window.died) / 1000 - Number(/(\\d+) s/.exec({AGE})[1]) < 3")


def test_lost_connection_leaves_what_was_read(make_site: Callable[..., Any], look: Callable[..., Any]) -> None:
    dying = make_site("populated")
    page = look(dying).open("")
    page.wait_for_selector("[aria-labelledby=next-day] .chart svg")
    dying.stop(signal.SIGKILL)
    page.wait_for_selector(".connection:has-text('Disconnected')", timeout=20_000)
    page.wait_for_timeout(300)

    assert 1 == page.locator("[aria-labelledby=next-day] .chart svg").count()
    assert 0 == page.locator("[aria-labelledby=next-day] .skeleton").count()
