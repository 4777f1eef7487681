"""Twenty-one ways in which schedulers have been seen to lose, repeat or delay work. None may come back."""

from __future__ import annotations

import asyncio
import functools
import itertools
import selectors
import statistics
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from support.clocks import T0
from support.schedules import Journal, at, last_run, records, runs_of, since
from support.store_factories import Require, make_store

from asched import (
    Cron,
    Daily,
    Hourly,
    Interval,
    InvalidArgument,
    InvalidTrigger,
    JobStatus,
    Once,
    Outcome,
    Reason,
    RunStatus,
    Scheduler,
    UnstableFunction,
    Weekly,
    current_run,
)
from asched.instants import DAY, SECOND
from asched.store import Store
from asched.testing import VirtualClock, run_virtual, virtual_clock

pytestmark = pytest.mark.virtual_time

Reopen = Callable[[], Store]


async def test_jobs_come_back_when_their_functions_are_registered_after_the_start(
    reopen: Reopen, clock: VirtualClock, journal: Journal
) -> None:
    """1: jobs restored before their functions were known were dropped, and the next save made that final."""

    async def work() -> None:
        journal.note("work")

    async def rest() -> None:
        journal.note("rest")

    def register(scheduler: Scheduler) -> None:
        scheduler.register_function(work, name="work")
        scheduler.register_function(rest, name="rest")

    first = Scheduler(reopen(), clock=clock)
    register(first)
    async with first:
        await first.add_job(work, Interval(seconds=10), id="active")
        await first.add_job(rest, Interval(seconds=10), id="paused", paused=True)
    second = Scheduler(reopen(), clock=clock)
    async with second:
        await clock.sleep_until(at(5))
        register(second)
        jobs = {job.id: job.status for job in await second.get_jobs()}
        await clock.sleep_until(at(25))

    assert {"active": JobStatus.SCHEDULED, "paused": JobStatus.PAUSED} == jobs
    assert ["work", "work"] == journal.words
    assert [10, 20] == journal.times


async def test_retries_end_and_leave_one_timer_for_the_job(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    """2: every pop forgot how often a job had failed, and every failure pushed it once more."""

    @scheduler.every(60).seconds.retries(2, backoff=5).id("bad")
    async def bad() -> None:
        journal.note()
        raise ValueError("always")

    async with scheduler:
        await clock.sleep_until(at(659))
        [node] = await scheduler.nodes()
        window = await scheduler.store.window(node.epoch, T0 + 365 * DAY, 100)

    assert [60.0 * k + extra for k in range(1, 11) for extra in (0, 5, 10)] == journal.times
    assert [660] == [(timer.due - T0) / SECOND for timer in window.timers]


async def test_failing_job_starves_no_neighbour(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    """3: a failure changed a job's time inside the heap, which then was no heap any more."""

    @scheduler.every(1).seconds.retries(5, backoff=0.7)
    async def bad() -> None:
        raise ValueError("always")

    @scheduler.every(0.5).seconds
    async def good() -> None:
        journal.note()

    async with scheduler:
        await clock.sleep_until(at(60.2))

    assert [0.5 * k for k in range(1, 121)] == journal.times


CALENDARS = [
    Interval(minutes=30), Hourly(":30"), Daily("02:30"), Weekly(("thu", "fri"), "02:30"), Cron("30 2 * * *"),
]  # fmt: skip


@pytest.mark.parametrize("trigger", CALENDARS, ids=lambda trigger: type(trigger).__name__)
@pytest.mark.parametrize(("policy", "expected"), [("latest", 1), ("skip", 0)])
async def test_catch_up_does_what_its_name_says_for_every_trigger(
    trigger: Interval | Hourly | Daily | Weekly | Cron, policy: str, expected: int, reopen: Reopen, clock: VirtualClock
) -> None:
    """4: jobs that asked for no catch-up got one, those that wanted it did not, and a late one hid the others."""
    journal = Journal(clock)

    async def work() -> None:
        journal.note()

    def make() -> Scheduler:
        scheduler = Scheduler(reopen(), clock=clock)
        scheduler.register_function(work, name="work")
        return scheduler

    async with make() as scheduler:
        await scheduler.add_job(work, trigger, id="job", catch_up=policy)
        await scheduler.add_job(work, Once(at(50 * 3_600)), id="later")
        newest = [instant for instant in await scheduler.preview("job", 200) if instant <= at(49 * 3_600)][-1]
    await clock.sleep_until(at(49 * 3_600 + 60))
    async with make() as scheduler:
        await asyncio.sleep(1)
        caught_up = len(journal.times)
        history = await runs_of(scheduler, "job")
        await scheduler.cancel_job("job")
        await clock.sleep_until(at(51 * 3_600))

    assert expected == caught_up
    assert newest == max(run.last_due_at for run in history)
    assert 50 * 3_600 == journal.times[-1]


@pytest.mark.parametrize("seconds", [0, -1, -0.0, float("nan"), float("inf"), 1e-9])
async def test_interval_that_never_advances_is_refused_everywhere(
    seconds: float, scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    """5: an interval of zero was stored, and the loop went round it for ever with the lock held."""

    async def work() -> None:
        journal.note()

    with pytest.raises(InvalidTrigger):
        scheduler.every(seconds)
    with pytest.raises(InvalidTrigger):
        Interval(seconds=seconds)
    name = scheduler.register_function(work, name="work")
    config = {"interval": seconds, "unit": "seconds"}
    async with scheduler:
        with pytest.raises(InvalidTrigger):
            await scheduler.create_job(
                func_name="work", func_module=name.partition(":")[0], schedule_type="interval", schedule_config=config
            )
        await scheduler.add_job(work, Interval(seconds=10), id="job")
        with pytest.raises(InvalidTrigger):
            await scheduler.update_job("job", schedule_config=config)
        await clock.sleep_until(at(25))

    assert [10, 20] == journal.times


@pytest.mark.parametrize(
    "change",
    [
        {"timezone": "Mars/Olympus"},
        {"schedule_type": "cron", "schedule_config": {"expression": "61 * * * *"}},
        {"schedule_type": "weekly", "schedule_config": {"time": "10:00", "days": [9]}},
        {"trigger": "*/5 * * * *"},
    ],
    ids=["zone", "cron", "day", "no trigger"],
)
async def test_update_with_a_bad_schedule_changes_nothing_and_harms_nobody(
    change: dict[str, Any], scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    """6: an edit was stored before it was checked, and its error took every job of that tick with it."""

    async def work() -> None:
        journal.note("work")

    async def neighbour() -> None:
        journal.note("neighbour")

    async with scheduler:
        before = await scheduler.add_job(work, Daily("00:00:10"), id="job")
        await scheduler.add_job(neighbour, Once(at(10)), id="neighbour")
        with pytest.raises(InvalidTrigger):
            await scheduler.update_job("job", name="renamed", **change)
        after = await scheduler.get_job("job")
        await clock.sleep_until(at(11))

    assert before == after
    assert ["neighbour", "work"] == sorted(map(str, journal.words))
    assert [10, 10] == journal.times


async def test_timeout_of_a_plain_function_does_not_wait_for_it(scheduler: Scheduler, clock: VirtualClock) -> None:
    """7: the attempt was reported as timed out only when the function had come to its end."""

    release, returned = threading.Event(), threading.Event()

    @scheduler.once(10).timeout(1).retries(0).id("slow")
    def slow() -> None:
        with clock.letting_time_pass():
            release.wait(10)
        returned.set()

    async with scheduler:
        await clock.sleep_until(at(12))
        run = await last_run(scheduler, "slow")
        before = returned.is_set()
        release.set()
        after = await asyncio.to_thread(returned.wait, 10)

    assert (RunStatus.TIMED_OUT, 11) == (run.status, since(run.ended_at))
    assert (False, True) == (before, after)


async def test_runs_of_one_job_do_not_overlap_by_default(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    """8: a slow job was started again and again beside itself."""
    at_once = most = 0

    @scheduler.every(1).seconds.id("slow")
    async def slow() -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        journal.note()
        await asyncio.sleep(3.5)
        at_once -= 1

    async with scheduler:
        await clock.sleep_until(at(12.2))

    assert 1 == most
    assert [1, 5, 9] == journal.times


async def test_run_by_hand_adds_no_second_schedule(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    """9: a run by hand put the job into the queue a second time."""

    @scheduler.every(10).seconds.id("job")
    async def work() -> None:
        journal.note()

    async with scheduler:
        await clock.sleep_until(at(3))
        before = (await scheduler.get_job("job")).next_run_at
        run = await scheduler.run_job_now("job")
        await scheduler.wait_for_run(run.id)
        job = await scheduler.get_job("job")
        await clock.sleep_until(at(35))

    assert before == job.next_run_at
    assert [3, 10, 20, 30] == journal.times


async def test_resume_starts_nothing_off_schedule(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    """10: a paused job's next run was rewritten every second, and on resume it ran at once."""

    @scheduler.every(10).seconds.id("job")
    async def work() -> None:
        journal.note()

    async with scheduler:
        await clock.sleep_until(at(12))
        paused = await scheduler.pause_job("job")
        await clock.sleep_until(at(47))
        still_paused = await scheduler.get_job("job")
        resumed = await scheduler.resume_job("job")
        await clock.sleep_until(at(61))

    assert paused == still_paused
    assert 50 == since(resumed.next_run_at)
    assert [10, 50, 60] == journal.times


async def test_scheduler_started_again_runs_its_jobs(reopen: Reopen, clock: VirtualClock, journal: Journal) -> None:
    """11: a second start said that it runs, and ran nothing."""

    async def work() -> None:
        journal.note()

    scheduler = Scheduler(reopen(), clock=clock)
    scheduler.register_function(work, name="work")
    scheduler.every(10).seconds.id("declared")(work)
    for until in (15, 35, 55):
        async with scheduler:
            await clock.sleep_until(at(until))

    assert [10, 20, 30, 40, 50] == journal.times


async def test_interval_does_not_drift_with_the_time_its_runs_take(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    """12: the next run was planned from the end of a poll, so that a second took 1.007 s."""

    @scheduler.every(1).seconds
    async def work() -> None:
        journal.note()
        await asyncio.sleep(0.3)

    async with scheduler:
        await clock.sleep_until(at(2_000.5))

    assert [float(k) for k in range(1, 2_001)] == journal.times


def test_idle_scheduler_starts_runs_within_milliseconds_and_never_early() -> None:
    """13: a poll every 0.1 s made the median start 53 ms late."""
    late: list[float] = []

    async def main() -> None:
        scheduler = Scheduler()

        @scheduler.every(0.02).seconds
        async def work() -> None:
            run = current_run()
            assert run is not None
            late.append((datetime.now(UTC) - run.due_at) / timedelta(milliseconds=1))

        async with scheduler:
            await asyncio.sleep(1)

    asyncio.run(main())

    assert 20 <= len(late)
    assert 0 <= min(late)
    # An idle machine shows 0.3 ms. A busy one delays some; a poll would delay half of them.
    assert statistics.median(late) < 5


def test_idle_scheduler_does_not_wake_up() -> None:
    """13: the loop woke ten times a second to find nothing to do."""
    wakes = 0

    class CountingSelector(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            nonlocal wakes
            wakes += 1
            return super().select(timeout)

    async def main() -> int:
        async with Scheduler() as scheduler:
            scheduler.every(1).hours(main)
            await scheduler.get_jobs()
            await asyncio.sleep(0.1)
            before = wakes
            await asyncio.sleep(1)
            return wakes - before

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(CountingSelector())) as runner:
        woken = runner.run(main())

    # One is the end of this test's own sleep.
    assert woken <= 3


async def test_argument_that_is_not_json_is_refused_and_others_are_stored(
    reopen: Reopen, clock: VirtualClock, journal: Journal
) -> None:
    """14: one argument that JSON does not know, and nothing was saved any more."""

    async def work(value: object) -> None:
        journal.note(value)

    scheduler = Scheduler(reopen(), clock=clock)
    scheduler.register_function(work, name="work")
    async with scheduler:
        with pytest.raises(InvalidArgument, match=r"args\[0\].*datetime.*partial"):
            await scheduler.add_job(work, Interval(seconds=10), id="bad", args=[at(0)])
        await scheduler.add_job(work, Interval(seconds=10), id="good", args=["fine"])
        there = [job.id for job in await scheduler.get_jobs()]
    again = Scheduler(reopen(), clock=clock)
    again.register_function(work, name="work")
    async with again:
        await clock.sleep_until(at(11))

    assert ["good"] == there
    assert ["fine"] == journal.words


def test_adding_a_job_takes_as_long_among_twenty_thousand_as_among_a_thousand() -> None:
    """15: every add went through all jobs."""

    async def work() -> None:
        """Never due in this test."""

    async def main() -> tuple[float, float]:
        async with Scheduler() as scheduler:

            async def add(number: int) -> float:
                began = time.perf_counter()
                for _ in range(number):
                    await scheduler.add_job(work, Interval(hours=1))
                return (time.perf_counter() - began) / number

            await add(1_000)
            few = min([await add(200) for _ in range(5)])
            await add(18_000)
            many = min([await add(200) for _ in range(5)])
            return few, many

    few, many = asyncio.run(main())

    # A scan would make it ten times as long.
    assert many < 4 * few


async def test_id_is_never_given_twice(reopen: Reopen, clock: VirtualClock, journal: Journal) -> None:
    """16: a restored counter was one off, so two jobs shared an id and a history."""

    async def work() -> None:
        journal.note()

    ids: list[str] = []
    for _ in range(3):
        scheduler = Scheduler(reopen(), clock=clock)
        scheduler.register_function(work, name="work")
        async with scheduler:
            kept = await scheduler.add_job(work, Interval(hours=1))
            cancelled = await scheduler.add_job(work, Interval(hours=1))
            await scheduler.wait_for_run((await scheduler.run_job_now(cancelled.id)).id)
            await scheduler.cancel_job(cancelled.id)
            ids += [kept.id, cancelled.id]

    assert ["job_1", "job_2", "job_3", "job_4", "job_5", "job_6"] == ids


async def test_two_lambdas_are_two_functions(scheduler: Scheduler, clock: VirtualClock, tmp_path: Path) -> None:
    """17: both had the name '<lambda>', and the second ran in place of the first."""
    ran: list[str] = []
    scheduler.every(10).seconds(lambda: ran.append("a"))
    scheduler.every(10).seconds(lambda: ran.append("b"))
    async with scheduler:
        await clock.sleep_until(at(11))

    assert ["a", "b"] == sorted(ran)


async def test_lambda_is_refused_by_a_store_that_outlives_the_process(
    clock: VirtualClock, tmp_path: Path, require: Require
) -> None:
    """17: after a restart nobody could tell which lambda was meant."""

    store = await make_store("memory", clock, tmp_path, require, namespace="default")
    store.caps = store.caps._replace(durable=True)  # a store that says so, without a disk
    scheduler = Scheduler(store, clock=clock)

    with pytest.raises(UnstableFunction, match="register_function"):
        scheduler.every(10).seconds(lambda: None)
    assert [] == scheduler.functions()


@pytest.mark.parametrize(
    ("start", "zone", "time_of_day"),
    [
        ("2026-03-07T12:00:00Z", "America/New_York", "02:30"),
        ("2026-10-31T12:00:00Z", "America/New_York", "01:30"),
        ("2026-03-28T12:00:00Z", "Europe/Paris", "02:15"),
        ("2026-10-24T12:00:00Z", "Europe/Paris", "02:15"),
    ],
)
def test_daily_cron_and_weekly_agree_when_the_clocks_change(start: str, zone: str, time_of_day: str) -> None:
    """18: daily and cron of one time differed by half an hour, or in the number of runs, when the clocks changed."""

    async def days() -> dict[str, list[float]]:
        clock = virtual_clock()
        scheduler = Scheduler(timezone=zone, clock=clock)
        journals = {name: Journal(clock) for name in ("daily", "weekly", "cron")}
        hour, minute = time_of_day.split(":")

        def noting(name: str) -> Callable[[], None]:
            async def work() -> None:
                journals[name].note()

            return work  # type: ignore[return-value]  # a coroutine function is a job as well

        scheduler.daily.at(time_of_day)(noting("daily"))
        scheduler.weekly.weekdays.weekends.at(time_of_day)(noting("weekly"))
        scheduler.cron(f"{int(minute)} {int(hour)} * * *")(noting("cron"))
        async with scheduler:
            await asyncio.sleep(3 * 86_400)
        return {name: journal.times for name, journal in journals.items()}

    times = run_virtual(days(), start=start)

    assert 3 == len(times["daily"])
    assert times["daily"] == times["weekly"] == times["cron"]


def test_hourly_runs_in_both_passes_of_a_repeated_hour() -> None:
    """18: the hour that comes twice in autumn had one run."""

    async def day() -> list[float]:
        clock = virtual_clock()
        scheduler = Scheduler(timezone="America/New_York", clock=clock)
        journal = Journal(clock)

        @scheduler.hourly.at(":30")
        async def work() -> None:
            journal.note()

        async with scheduler:
            await asyncio.sleep(25 * 3_600)
        return journal.times

    times = run_virtual(day(), start="2026-11-01T04:00:00Z")

    assert 25 == len(times)
    assert {3_600.0} == {later - earlier for earlier, later in itertools.pairwise(times)}


async def test_dead_letter_is_one_per_run_with_arguments_and_traceback(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """19: every attempt was a dead letter, without arguments and traceback, and none could be replayed."""
    broken = True

    async def charge(customer: str, *, amount: int) -> str:
        if broken:
            raise ValueError(f"no card for {customer}")
        return f"{customer} paid {amount}"

    scheduler.once(10).retries(2, backoff=1).id("charge").do(charge, "Ada", amount=5)
    async with scheduler:
        await clock.sleep_until(at(20))
        [letter] = await scheduler.get_dead_letters()
        broken = False
        replay = await scheduler.wait_for_run((await scheduler.retry_dead_letter(letter.id)).id)
        left = await scheduler.get_dead_letters()

    assert (("Ada",), {"amount": 5}) == (letter.args, letter.kwargs)
    assert [Outcome.ERROR] * 3 == [attempt.outcome for attempt in letter.attempts]
    assert letter.error is not None
    assert ("ValueError", "no card for Ada") == letter.error[:2]
    assert 'raise ValueError(f"no card for {customer}")' in letter.error.traceback
    assert (RunStatus.SUCCEEDED, "Ada paid 5", letter.id) == (replay.status, replay.result, replay.replay_of)
    assert [] == left


async def test_cancelled_run_is_recorded_as_cancelled(scheduler: Scheduler, clock: VirtualClock) -> None:
    """20: a cancelled job went into the history as completed."""

    @scheduler.once(10).id("job")
    async def work() -> None:
        await asyncio.sleep(100)

    async with scheduler:
        await clock.sleep_until(at(15))
        run = await scheduler.cancel_run((await last_run(scheduler, "job")).id)
        run = await scheduler.wait_for_run(run.id)
        history = await records(scheduler, "job")

    assert (RunStatus.CANCELLED, Reason.OPERATOR, 15) == (run.status, run.reason, since(run.ended_at))
    assert [(RunStatus.CANCELLED, Reason.OPERATOR, 10, 1)] == history


async def test_fluent_words_work_in_every_order_with_every_callable(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    """21: aware datetimes, tz=, words after at(), partials and several week days were refused or ignored."""

    async def work(word: str = "") -> None:
        journal.note(word)

    paris = timezone(timedelta(hours=1))
    ids = [
        scheduler.at(datetime(2026, 1, 1, 3, tzinfo=paris)).do(work, "at"),
        scheduler.at("2026-01-01 04:00:00", tz="Europe/Paris").do(work, "at tz"),
        scheduler.cron("0 9 * * *", tz="Asia/Tokyo").do(work, "cron tz"),
        scheduler.daily.at("09:00", tz="Asia/Tokyo").retries(1).timeout(5).group("reports").do(work, "daily"),
        scheduler.every(3).hours.do(functools.partial(work, "partial")),
        scheduler.weekly.friday.saturday.at("01:00").do(work, "weekly"),
    ]
    async with scheduler:
        jobs = [await scheduler.get_job(job_id) for job_id in ids]
        week = await scheduler.preview(ids[-1], 3)

    assert [2 * 3_600, 3 * 3_600, 24 * 3_600, 24 * 3_600, 3 * 3_600, 25 * 3_600] == [
        since(job.next_run_at) for job in jobs
    ]
    assert (1, 5, "reports") == (jobs[3].max_retries, jobs[3].timeout, jobs[3].group)
    assert [day * 24 + 1 for day in (1, 2, 8)] == [(since(moment) or 0) / 3_600 for moment in week]
