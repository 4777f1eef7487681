"""A job is changed while one of its runs waits for a retry: the retry comes, and the schedule goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest
from support.schedules import Journal, at, records, runs_of
from web.driver import Client

from asched import Backoff, Interval, RunStatus, Scheduler
from asched.store import Store
from asched.testing import VirtualClock
from asched_web import create_app

pytestmark = pytest.mark.virtual_time

Reopen: TypeAlias = Callable[[], Store]
Change: TypeAlias = Callable[[Scheduler], Awaitable[object]]

HALF_A_MINUTE = Backoff(first=30, factor=1, jitter=False)
SUCCEEDED = RunStatus.SUCCEEDED


class Failing:
    """A function that fails at first, under one name in every scheduler."""

    def __init__(self, reopen: Reopen, clock: VirtualClock, journal: Journal) -> None:
        self._reopen, self._clock, self._journal = reopen, clock, journal
        self.fails = 1

        async def work() -> None:
            journal.note()
            if len(journal.times) <= self.fails:
                raise ValueError("at first")

        work.__module__, work.__qualname__ = "app", "work"
        self.work = work

    def make(self) -> Scheduler:
        scheduler = Scheduler(self._reopen(), clock=self._clock)
        scheduler.register_function(self.work)
        return scheduler

    async def add(self, scheduler: Scheduler, **options: Any) -> None:
        await scheduler.add_job(self.work, Interval(minutes=10), id="job", backoff=HALF_A_MINUTE, **options)


@pytest.fixture
async def failing(reopen: Reopen, clock: VirtualClock, journal: Journal) -> Failing:
    return Failing(reopen, clock, journal)


async def put(scheduler: Scheduler, body: dict[str, Any]) -> None:
    answer = await Client(create_app(scheduler, install_signal_handlers=False)).put("/api/jobs/job", body)
    assert 200 == answer.status, answer.body


EDITS: dict[str, Change] = {
    "its name": lambda scheduler: scheduler.update_job("job", name="other"),
    "its timeout": lambda scheduler: scheduler.update_job("job", timeout=60),
    "its tags": lambda scheduler: scheduler.update_job("job", tags=["x"]),
    "its arguments": lambda scheduler: scheduler.update_job("job", args=()),
    "nothing": lambda scheduler: scheduler.update_job("job"),
    "its name, by PUT": lambda scheduler: put(scheduler, {"job_name": "other"}),
    "nothing, by PUT": lambda scheduler: put(scheduler, {}),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
async def test_edited_job_runs_its_retry_and_keeps_its_plan(
    edit: Change, failing: Failing, clock: VirtualClock, journal: Journal
) -> None:
    async with failing.make() as scheduler:
        await failing.add(scheduler)
        await clock.sleep_until(at(610))
        await edit(scheduler)
        await clock.sleep_until(at(1_805))
        history = await records(scheduler, "job")
        [first, *_] = await runs_of(scheduler, "job")

    assert [600, 630, 1_200, 1_800] == journal.times
    assert [(SUCCEEDED, None, due, 1) for due in (600.0, 1_200.0, 1_800.0)] == history
    assert 2 == first.attempt


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
async def test_edited_job_runs_the_retry_of_a_run_that_was_started_by_hand(
    edit: Change, failing: Failing, clock: VirtualClock, journal: Journal
) -> None:
    async with failing.make() as scheduler:
        await failing.add(scheduler)
        by_hand = await scheduler.run_job_now("job")
        await clock.sleep_until(at(10))
        await edit(scheduler)
        await clock.sleep_until(at(1_205))
        run = await scheduler.get_run(by_hand.id)

    assert [0, 30, 600, 1_200] == journal.times
    assert (SUCCEEDED, 2) == (run.status, run.attempt)


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
async def test_run_queued_behind_the_retry_of_an_edited_job_follows_it(
    edit: Change, failing: Failing, clock: VirtualClock, journal: Journal
) -> None:
    async with failing.make() as scheduler:
        await failing.add(scheduler, overlap="queue")
        await scheduler.run_job_now("job")
        await clock.sleep_until(at(5))
        queued = await scheduler.run_job_now("job")
        await clock.sleep_until(at(10))
        await edit(scheduler)
        await clock.sleep_until(at(605))
        run = await scheduler.get_run(queued.id)

    assert [0, 30, 30, 600] == journal.times
    assert (SUCCEEDED, 1) == (run.status, run.attempt)


async def test_edit_and_the_retry_beside_it_survive_a_restart(
    failing: Failing, clock: VirtualClock, journal: Journal
) -> None:
    async with failing.make() as scheduler:
        await failing.add(scheduler)
        await clock.sleep_until(at(605))
        await scheduler.update_job("job", name="other")
    await clock.sleep_until(at(610))
    async with failing.make() as scheduler:
        await clock.sleep_until(at(1_205))
        job = await scheduler.get_job("job")

    assert "other" == job.name
    assert [600, 630, 1_200] == journal.times


async def test_replaced_job_runs_the_retry_and_follows_its_new_plan(
    failing: Failing, clock: VirtualClock, journal: Journal
) -> None:
    async with failing.make() as scheduler:
        await failing.add(scheduler)
        await clock.sleep_until(at(610))
        await failing.add(scheduler, if_exists="replace")
        await clock.sleep_until(at(1_815))
        history = await records(scheduler, "job")

    assert [600, 630, 1_210, 1_810] == journal.times
    assert [(SUCCEEDED, None, due, 1) for due in (600.0, 1_210.0, 1_810.0)] == history


async def test_new_trigger_is_followed_beside_a_retry(failing: Failing, clock: VirtualClock, journal: Journal) -> None:
    async with failing.make() as scheduler:
        await failing.add(scheduler)
        await clock.sleep_until(at(610))
        await scheduler.update_job("job", trigger=Interval(minutes=1))
        await clock.sleep_until(at(735))

    assert [600, 630, 670, 730] == journal.times


@pytest.mark.parametrize(("minutes", "timeout", "following"), [(10, 60, 1_215), (7, None, 1_035), (10, None, 1_200)],
                         ids=["timeout", "trigger", "nothing"])  # fmt: skip
async def test_job_whose_decorator_has_changed_at_a_restart_runs_its_retry(
    minutes: int, timeout: float | None, following: float, failing: Failing, clock: VirtualClock, journal: Journal
) -> None:
    first = failing.make()
    first.every(10).minutes.id("job").retries(3, backoff=HALF_A_MINUTE)(failing.work)
    async with first:
        await clock.sleep_until(at(610))
    await clock.sleep_until(at(615))
    second = failing.make()
    declared = second.every(minutes).minutes.id("job").retries(3, backoff=HALF_A_MINUTE)
    (declared if timeout is None else declared.timeout(timeout))(failing.work)
    async with second:
        await clock.sleep_until(at(following + 5))
        history = await records(second, "job")

    assert [600, 630, following] == journal.times
    assert [(SUCCEEDED, None, 600.0, 1), (SUCCEEDED, None, float(following), 1)] == history


async def test_job_that_is_declared_anew_while_it_runs_keeps_its_retry(
    failing: Failing, clock: VirtualClock, journal: Journal
) -> None:
    scheduler = failing.make()
    scheduler.every(10).minutes.id("job").retries(3, backoff=HALF_A_MINUTE)(failing.work)
    async with scheduler:
        await clock.sleep_until(at(610))
        scheduler.every(5).minutes.id("job").retries(3, backoff=HALF_A_MINUTE)(failing.work)
        await clock.sleep_until(at(1_215))

    assert [600, 630, 910, 1_210] == journal.times


@pytest.mark.parametrize(("resumed", "retried"), [(620, 630), (650, 650)], ids=["before it is due", "past its due"])
async def test_retry_waits_out_a_pause(
    resumed: float, retried: float, failing: Failing, clock: VirtualClock, journal: Journal
) -> None:
    async with failing.make() as scheduler:
        await failing.add(scheduler)
        await clock.sleep_until(at(610))
        await scheduler.pause_job("job")
        await clock.sleep_until(at(resumed))
        await scheduler.resume_job("job")
        await clock.sleep_until(at(1_205))
        history = await records(scheduler, "job")

    assert [600, retried, 1_200] == journal.times
    assert [(SUCCEEDED, None, 600.0, 1), (SUCCEEDED, None, 1_200.0, 1)] == history


async def test_retry_of_a_job_that_is_edited_while_it_is_paused_waits_for_the_end_of_the_pause(
    failing: Failing, clock: VirtualClock, journal: Journal
) -> None:
    async with failing.make() as scheduler:
        await failing.add(scheduler)
        await clock.sleep_until(at(610))
        await scheduler.pause_job("job")
        await scheduler.update_job("job", name="other")
        await clock.sleep_until(at(700))
        before = list(journal.times)
        await scheduler.resume_job("job")
        await clock.sleep_until(at(1_205))

    assert [600] == before
    assert [600, 700, 1_200] == journal.times


async def test_retry_of_a_run_that_was_started_by_hand_comes_in_spite_of_a_pause(
    failing: Failing, clock: VirtualClock, journal: Journal
) -> None:
    failing.fails = 2
    async with failing.make() as scheduler:
        await failing.add(scheduler)
        await scheduler.run_job_now("job")
        await clock.sleep_until(at(10))
        await scheduler.pause_job("job")
        await scheduler.update_job("job", name="other")
        await clock.sleep_until(at(50))
        await scheduler.resume_job("job")
        await clock.sleep_until(at(605))

    assert [0, 30, 60, 600] == journal.times


async def test_retry_of_a_run_that_was_started_by_hand_comes_in_a_pause_over_a_restart(
    failing: Failing, clock: VirtualClock, journal: Journal
) -> None:
    async with failing.make() as scheduler:
        await failing.add(scheduler)
        await scheduler.run_job_now("job")
        await clock.sleep_until(at(5))
        await scheduler.pause_job("job")
    await clock.sleep_until(at(10))
    async with failing.make() as scheduler:
        await clock.sleep_until(at(700))
        history = await records(scheduler, "job")

    assert [0, 30] == journal.times
    assert [(SUCCEEDED, None, 0.0, 1)] == history
