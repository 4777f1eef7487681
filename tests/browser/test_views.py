"""What single views must show: letters, pictures, attempts, buttons, dates."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser.pages import until

AXE = Path(__file__).parent / "vendor" / "axe.min.js"

CONTRAST = """element => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => parts(color).slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
  let ground = element;
  while (parts(getComputedStyle(ground).backgroundColor)[3] === 0) ground = ground.parentElement;
  const [a, b] = [light(getComputedStyle(element).color), light(getComputedStyle(ground).backgroundColor)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Any]) -> Any:
    return make_site("populated")


@pytest.fixture(scope="module")
def letters(make_site: Callable[..., Any]) -> Any:
    return make_site("letters")


@pytest.fixture(scope="module")
def past(make_site: Callable[..., Any]) -> Any:
    return make_site("past")


def runs_of(page: Any, site: Any, job_id: str) -> list[Any]:
    history: list[Any] = page.request.get(f"{site.url}api/history?job_id={job_id}&limit=100").json()["history"]
    return history


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_buttons_can_be_read_under_the_pointer(site: Any, look: Callable[..., Any], theme: str) -> None:
    watched = look(site, theme=theme)
    page = watched.open("jobs/crawl")
    running = runs_of(page, site, "crawl")[0]["run_id"]
    found: dict[str, float] = {}
    for view in ("jobs/crawl", f"runs/{running}", "jobs", "new"):
        watched.open(view)
        if view == "jobs":
            page.get_by_role("checkbox", name="Select 14 jobs").check()
        for button in page.locator("main .button:enabled, main a.button").all():
            button.hover()
            found[f"{view} {button.inner_text()}"] = button.evaluate(CONTRAST)
        if view == "jobs":
            page.get_by_role("checkbox", name="14 selected").uncheck()

    assert {"jobs/crawl Run now", f"runs/{running} Cancel the run", "jobs Pause", "new Create job"} <= set(found)
    assert {} == {name: ratio for name, ratio in found.items() if ratio < 4.5}


def test_letters_say_how_many_are_kept_and_of_how_many(letters: Any, look: Callable[..., Any]) -> None:
    page = look(letters).open("dead-letters")

    page.wait_for_selector(".head .note:has-text('5 failed runs are kept for a decision · 8 runs have failed in all')")


def test_run_that_is_no_letter_any_more_says_so_and_a_letter_can_be_run_again(
    letters: Any, look: Callable[..., Any]
) -> None:
    watched = look(letters)
    page = watched.open("dead-letters")
    kept = page.request.get(f"{letters.url}api/dead-letters").json()["dead_letters"]
    failed = [run["run_id"] for job_id in ("first", "second") for run in runs_of(page, letters, job_id)]
    [driven_out, *_] = sorted(set(failed) - {run["run_id"] for run in kept})
    before = len(watched.requests)
    watched.open(f"runs/{driven_out}")
    page.get_by_text("No longer a dead letter, so it cannot be run again with its arguments.").wait_for()
    assert 0 == page.get_by_role("button", name="Run again").count()
    answer = page.request.post(f"{letters.url}api/dead-letters/{driven_out}/retry")
    assert (404, "No dead letter") == (answer.status, answer.json()["error"])
    assert "never existed" not in answer.json()["detail"]

    watched.open(f"runs/{kept[0]['run_id']}")
    page.get_by_role("button", name="Run again").wait_for()
    assert [] == [url for url in watched.requests[before:] if "limit=1000" in url]


@pytest.mark.parametrize("width", [320, 1366])
def test_letters_of_jobs_alike_are_no_landmarks_and_fit(letters: Any, look: Callable[..., Any], width: int) -> None:
    page = look(letters, width=width).open("dead-letters")
    page.wait_for_selector(".letter")
    page.evaluate(AXE.read_text())
    rules = "async () => (await axe.run(document, { runOnly: ['landmark-unique'] })).violations.map((rule) => rule.id)"

    assert [] == page.evaluate(rules)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelector('main').scrollWidth <= document.querySelector('main').clientWidth")


def test_chosen_bar_is_marked_and_reached_by_keys_and_its_starts_stand_below_it(
    site: Any, look: Callable[..., Any]
) -> None:
    page = look(site).open("agenda")
    page.wait_for_selector(".crowds")
    picture = page.get_by_role("slider")
    picture.focus()
    page.keyboard.press("End")
    page.wait_for_selector(".chosen")
    page.keyboard.press("ArrowLeft")
    until(page, "document.querySelector('[role=slider]').getAttribute('aria-valuenow') === '94'")
    chosen, bars = page.locator(".chosen").bounding_box(), picture.bounding_box()
    titles = page.locator("main h2").all_inner_texts()

    assert "In the chosen bar" == titles[1]
    assert abs(chosen["x"] - bars["x"] - bars["width"] * 94 / 96) < 3
    page.keyboard.press("Escape")
    page.wait_for_selector(".chosen", state="detached")


def test_columns_of_what_starts_often_stand_under_one_another(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("agenda")
    for seconds in (7, 400):
        config = {"interval": seconds, "unit": "seconds"}
        body = {"func_module": "sites", "func_name": "work", "schedule_type": "interval", "schedule_config": config}
        page.request.post(f"{site.url}api/jobs", data=body)
    page.reload()
    page.wait_for_selector(".often li:nth-child(3)")
    columns = page.locator(".often li").evaluate_all(
        "all => all.map((row) => [...row.children].slice(0, 2).map((cell) => cell.getBoundingClientRect().x | 0))"
    )

    assert 1 == len({tuple(row) for row in columns})


def test_one_long_run_does_not_flatten_the_picture_of_the_others(past: Any, look: Callable[..., Any]) -> None:
    page = look(past).open("jobs/nap")
    page.wait_for_selector(".run-chart rect.cut")
    heights = page.locator(".run-chart [class^=fill]").evaluate_all(
        "all => all.map((bar) => +bar.getAttribute('height'))"
    )

    assert 20 == len(heights)
    assert max(heights[1:]) > 3
    assert 2 == page.locator("[aria-labelledby=job-chart] figcaption span").count()
    assert page.locator("[aria-labelledby=job-chart] .most").inner_text()


def test_interrupted_attempt_and_its_second_start_are_told_apart(past: Any, look: Callable[..., Any]) -> None:
    watched = look(past)
    page = watched.open("nodes")
    watched.open(f"runs/{runs_of(page, past, 'wait')[0]['run_id']}")
    page.wait_for_selector(".attempts li:nth-child(2)")

    assert ["attempt 1", "attempt 1, start 2"] == [
        text.lower() for text in page.locator(".attempts b").all_text_contents()
    ]


def test_run_that_waits_again_neither_takes_time_nor_says_that_it_runs(past: Any, look: Callable[..., Any]) -> None:
    watched = look(past)
    page = watched.open("nodes")
    [run] = runs_of(page, past, "gone")
    watched.open(f"runs/{run['run_id']}")
    page.wait_for_selector(".facts dt:has-text('First started')")
    names, values = (page.locator(f".facts {part}").all_inner_texts() for part in ("dt", "dd"))
    facts = dict(zip(names, values, strict=True))

    assert "pending" == run["status"]
    assert "–" == facts["Took"]


def test_job_without_its_function_plans_nothing_and_cannot_be_started(past: Any, look: Callable[..., Any]) -> None:
    watched = look(past)
    page = watched.open("jobs?q=gone")
    page.wait_for_selector(".grid-body .state:has-text('Unresolved')")
    assert "–" == page.locator(".grid-body .cell-next").inner_text()
    assert page.get_by_role("button", name="Run gone now").is_disabled()
    watched.open("jobs/gone")
    page.get_by_text("No running process has this job's function, so nothing is planned.").wait_for()
    assert page.get_by_role("button", name="Run now").is_disabled()
    watched.open("agenda")

    assert 0 == page.locator(".often a:has-text('gone'), .agenda a:has-text('gone')").count()


def test_dates_have_one_form(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("nodes")
    near, far = page.evaluate(
        """async () => {
          const { date } = await import(new URL("./static/format.js", location.href).href);
          const now = Date.UTC(2027, 2, 1);
          return [date(Date.UTC(2027, 2, 14), now), date(Date.UTC(2028, 2, 14), now)];
        }"""
    )

    assert ("Sun 14 Mar", "Tue 14 Mar 2028") == (near, far)


def test_print_of_a_long_view_has_all_its_pages(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("jobs/orders")
    page.wait_for_selector(".instants")
    sheets = re.findall(rb"/Type\s*/Page\b", page.pdf(format="A5"))

    assert len(sheets) >= 2


def test_failure_rate_says_that_it_is_of_all_time(site: Any, look: Callable[..., Any]) -> None:
    page = look(site).open("")

    page.get_by_role("heading", name="Highest failure rate (all time)").wait_for()


def test_log_of_a_run_is_asked_for_less_often_while_nothing_is_added(site: Any, look: Callable[..., Any]) -> None:
    watched = look(site)
    page = watched.open("nodes")
    run_id = runs_of(page, site, "crawl")[0]["run_id"]
    # The log of this run ends after twenty lines.
    while len(page.request.get(f"{site.url}api/runs/{run_id}").json()["run"]["log"]) < 21:
        page.wait_for_timeout(500)
    page.evaluate(
        """() => {
          window.asked = [];
          const real = window.fetch;
          window.fetch = (...given) => {
            if (/api\\/runs\\//.test(given[0])) window.asked.push(performance.now());
            return real(...given);
          };
        }"""
    )
    watched.open(f"runs/{run_id}")
    until(page, "window.asked.length >= 5", patience=60)
    pauses = page.evaluate("window.asked.slice(1).map((at, i) => at - window.asked[i])")

    # Each pause is twice the one before, and a busy machine makes it longer still.
    assert pauses[-1] >= 3_500, pauses
