"""What becomes of instants that passed while no scheduler ran, and the bounds of a schedule."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from support.schedules import Journal, Record, at, records, runs_of, since

from asched import (
    Cron,
    Daily,
    Interval,
    InvalidArgument,
    InvalidTrigger,
    JobStatus,
    Once,
    Reason,
    RunStatus,
    Scheduler,
    Weekly,
    current_run,
)
from asched.store import Store
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time

Reopen = Callable[[], Store]
OK, MISSED = RunStatus.SUCCEEDED, RunStatus.MISSED


class Downtime:
    """A job of every 10 s whose scheduler is away from second 12 to second 57."""

    def __init__(self, reopen: Reopen, clock: VirtualClock, journal: Journal) -> None:
        self._reopen, self._clock, self._journal = reopen, clock, journal

    def scheduler(self, **options: object) -> Scheduler:
        async def work() -> None:
            run = current_run()
            assert run is not None
            self._journal.note(since(run.due_at))

        scheduler = Scheduler(self._reopen(), clock=self._clock, **options)  # type: ignore[arg-type]  # any of them
        scheduler.register_function(work, name="work")
        self.work = work
        return scheduler

    async def history(self, until: float = 65, **job: object) -> list[Record]:
        scheduler = self.scheduler()
        async with scheduler:
            await scheduler.add_job(self.work, Interval(seconds=10), id="job", **job)  # type: ignore[arg-type]
            await self._clock.sleep_until(at(12))
        await self._clock.sleep_until(at(57))
        async with self.scheduler() as scheduler:
            await self._clock.sleep_until(at(until))
            return sorted(await records(scheduler, "job"), key=lambda record: record[2])


@pytest.fixture
async def downtime(reopen: Reopen, clock: VirtualClock, journal: Journal) -> Downtime:
    return Downtime(reopen, clock, journal)


async def test_latest_makes_one_run_due_at_the_newest_instant(downtime: Downtime, journal: Journal) -> None:
    history = await downtime.history()

    assert [10, 57, 60] == journal.times
    assert [10, 50, 60] == journal.words
    assert [(OK, None, 10, 1), (MISSED, Reason.COALESCED, 20, 3), (OK, None, 50, 1), (OK, None, 60, 1)] == history


async def test_skip_makes_none(downtime: Downtime, journal: Journal) -> None:
    history = await downtime.history(catch_up="skip")

    assert [10, 60] == journal.times
    assert [(OK, None, 10, 1), (MISSED, Reason.NO_CATCH_UP, 20, 4), (OK, None, 60, 1)] == history


async def test_all_replays_each_instant_in_order(downtime: Downtime, journal: Journal) -> None:
    history = await downtime.history(catch_up="all", catch_up_window=3_600)

    assert [10, 57, 57, 57, 57, 60] == journal.times
    assert [10, 20, 30, 40, 50, 60] == journal.words
    assert [(OK, None, due, 1) for due in (10, 20, 30, 40, 50, 60)] == history


async def test_all_replays_only_what_its_window_holds(downtime: Downtime, journal: Journal) -> None:
    history = await downtime.history(catch_up="all", catch_up_window=20)

    assert [10, 40, 50, 60] == journal.words
    assert (MISSED, Reason.CATCH_UP_WINDOW, 20, 2) in history


async def test_latest_makes_none_when_the_newest_is_older_than_the_window(downtime: Downtime, journal: Journal) -> None:
    history = await downtime.history(catch_up_window=5)

    assert [10, 60] == journal.words
    assert (MISSED, Reason.CATCH_UP_WINDOW, 20, 4) in history


async def test_window_of_the_scheduler_is_that_of_jobs_that_name_none(
    downtime: Downtime, clock: VirtualClock, journal: Journal
) -> None:
    scheduler = downtime.scheduler(catch_up_window=timedelta(seconds=5))
    async with scheduler:
        job = await scheduler.add_job(downtime.work, Interval(seconds=10), id="job")
        own = await scheduler.add_job(downtime.work, Interval(seconds=10), id="own", catch_up_window=20)

    assert (5, 20) == (job.policy.catch_up_window, own.policy.catch_up_window)


async def test_all_replays_at_most_a_thousand(reopen: Reopen, clock: VirtualClock, journal: Journal) -> None:
    downtime = Downtime(reopen, clock, journal)
    scheduler = downtime.scheduler()
    async with scheduler:
        await scheduler.add_job(
            downtime.work, Interval(seconds=1), id="job", catch_up="all", catch_up_window=86_400, max_retries=0
        )
    await clock.sleep_until(at(1_500.5))
    async with downtime.scheduler() as scheduler:
        await asyncio.sleep(0.25)
        [gap] = await scheduler.get_history("job", status="missed")

    assert [float(due) for due in range(501, 1_501)] == journal.words
    assert (Reason.CATCH_UP_LIMIT, 1, 500, 500) == (gap.reason, since(gap.due_at), since(gap.last_due_at), gap.count)


async def test_all_without_a_window_is_refused(scheduler: Scheduler) -> None:
    with pytest.raises(InvalidArgument, match="catch_up_window"):
        scheduler.every(1).hours.catch_up("all")
    with pytest.raises(InvalidArgument, match="'latest', 'all', 'skip'"):
        scheduler.every(1).hours.catch_up("newest")


async def test_missed_one_shot_runs_late_under_latest_and_is_missed_under_skip(
    downtime: Downtime, clock: VirtualClock, journal: Journal
) -> None:
    scheduler = downtime.scheduler()
    async with scheduler:
        await scheduler.add_job(downtime.work, Once(at(10)), id="latest")
        await scheduler.add_job(downtime.work, Once(at(10)), id="skip", catch_up="skip")
    await clock.sleep_until(at(57))
    async with downtime.scheduler() as scheduler:
        await clock.sleep_until(at(60))
        latest, skip = await records(scheduler, "latest"), await records(scheduler, "skip")

    assert [57] == journal.times
    assert [(OK, None, 10, 1)] == latest
    assert [(MISSED, Reason.NO_CATCH_UP, 10, 1)] == skip


async def test_catch_up_moves_neither_anchor_nor_next_run(downtime: Downtime, journal: Journal) -> None:
    await downtime.history(until=95)

    assert [10, 57, 60, 70, 80, 90] == journal.times


async def test_late_loop_is_no_downtime(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    """The loop was busy, nobody was away: the newest instant starts late, even without catch-up."""

    @scheduler.every(10).seconds.no_catch_up().id("job")
    async def work() -> None:
        journal.note()

    async with scheduler:
        await clock.sleep_until(at(12))
        clock._loop.microseconds += 25_000_000
        await clock.sleep_until(at(45))
        history = sorted(await records(scheduler, "job"), key=lambda record: record[2])

    assert [10, 37, 40] == journal.times
    assert [OK, RunStatus.MISSED, OK, OK] == [record[0] for record in history]


# The bounds of a schedule


async def test_starting_is_included_and_an_interval_counts_from_it(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def work() -> None:
        journal.note()

    async with scheduler:
        job = await scheduler.add_job(work, Interval(seconds=10), starting=at(33))
        await clock.sleep_until(at(60))

    assert at(33) == job.starting
    assert [33, 43, 53] == journal.times


async def test_starting_at_an_instant_of_a_calendar_includes_it(scheduler: Scheduler) -> None:
    async def work() -> None:
        pass

    async with scheduler:
        on_it = await scheduler.add_job(work, Daily("09:00"), starting=datetime(2026, 1, 5, 9, tzinfo=UTC))
        after = await scheduler.add_job(work, Daily("09:00"), starting=datetime(2026, 1, 5, 9, 0, 1, tzinfo=UTC))

    assert datetime(2026, 1, 5, 9, tzinfo=UTC) == on_it.next_run_at
    assert datetime(2026, 1, 6, 9, tzinfo=UTC) == after.next_run_at


async def test_starting_in_the_past_keeps_the_phase(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def work() -> None:
        journal.note()

    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=10), starting=at(-3))
        await clock.sleep_until(at(30))

    assert [7, 17, 27] == journal.times


async def test_until_is_included_and_then_the_job_is_finished(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def work() -> None:
        journal.note()

    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=10), id="job", until=at(30))
        await clock.sleep_until(at(60))
        job = await scheduler.get_job("job")

    assert [10, 20, 30] == journal.times
    assert (JobStatus.FINISHED, None) == (job.status, job.next_run_at)


async def test_until_before_the_first_instant_is_refused(scheduler: Scheduler) -> None:
    async def work() -> None:
        pass

    async with scheduler:
        with pytest.raises(InvalidTrigger, match="before 'until'"):
            await scheduler.add_job(work, Interval(seconds=10), until=at(9))
        jobs = await scheduler.get_jobs()

    assert [] == jobs


async def test_max_runs_counts_planned_runs_that_started(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        journal.note()
        if tries == 1:
            raise ValueError("a retry is no run of its own")
        await asyncio.sleep(12)

    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=10), id="job", max_runs=3, backoff=1)
        await clock.sleep_until(at(5))
        await scheduler.run_job_now("job")
        await clock.sleep_until(at(200))
        job = await scheduler.get_job("job")
        history = await runs_of(scheduler, "job")

    # 10 is skipped because of the run by hand (5, retried at 6, until 18); 30, 50 and 70 beside 20, 40 and 60.
    assert [5, 6, 20, 40, 60] == journal.times
    assert JobStatus.FINISHED is job.status
    assert 4 == job.run_count
    assert 3 == sum(run.status is OK and not run.manual for run in history)


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "3"])
async def test_wrong_max_runs_is_refused(count: object, scheduler: Scheduler) -> None:
    with pytest.raises(InvalidArgument, match="max_runs"):
        scheduler.every(1).hours.max_runs(count)  # type: ignore[arg-type]  # the point of the test


@pytest.mark.parametrize("field", ["starting", "until"])
@pytest.mark.parametrize("value", [datetime(2026, 1, 1), "2026-01-01", 5])  # noqa: DTZ001 - naive on purpose
async def test_naive_bound_is_refused(field: str, value: object, scheduler: Scheduler) -> None:
    with pytest.raises(InvalidArgument, match=field):
        getattr(scheduler.every(1).hours, field)(value)


# Jitter


async def test_jitter_is_drawn_once_per_occurrence_and_kept_over_a_restart(
    reopen: Reopen, clock: VirtualClock, journal: Journal
) -> None:
    downtime = Downtime(reopen, clock, journal)
    scheduler = downtime.scheduler()
    async with scheduler:
        first = await scheduler.add_job(downtime.work, Interval(seconds=100), id="job", jitter=50)
    due = []
    for _ in range(3):
        async with downtime.scheduler() as scheduler:
            due.append((await scheduler.get_job("job")).next_run_at)
    async with downtime.scheduler() as scheduler:
        await clock.sleep_until(at(170))
        [run] = await runs_of(scheduler, "job")

    assert [first.next_run_at] * 3 == due
    assert first.next_run_at == run.due_at
    assert 100 == since(run.planned_at)


async def test_jitter_is_uniform_and_within_its_bound(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    drawn: list[float] = []

    @scheduler.every(100).seconds.jitter(50)
    async def work() -> None:
        drawn.append(journal.now() % 100)

    async with scheduler:
        await clock.sleep_until(at(100_099))

    assert len(drawn) in (999, 1_000)
    assert 0 <= min(drawn) < 5 and 45 < max(drawn) < 50
    # The mean of a thousand draws from [0, 50) is 25 with a deviation of 0.46.
    assert abs(sum(drawn) / len(drawn) - 25) < 3


async def test_jitter_longer_than_the_interval_loses_no_instant_and_repeats_none(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    async def work() -> None:
        pass

    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=10), id="job", jitter=25, overlap="allow")
        await clock.sleep_until(at(300))
        runs = await runs_of(scheduler, "job")

    planned = [since(run.planned_at) or 0 for run in runs]
    counted = sum(run.count for run in runs)
    assert sorted(set(planned)) == sorted(planned)
    assert (max(planned) - 10) / 10 + 1 == counted


@pytest.mark.parametrize("trigger", [Cron("0 9 * * *"), Weekly(["mon"], "09:00"), Daily("09:00")])
async def test_jitter_delays_calendars_as_well(trigger: Cron | Weekly | Daily, scheduler: Scheduler) -> None:
    async def work() -> None:
        pass

    async with scheduler:
        job = await scheduler.add_job(work, trigger, jitter=600)
        [planned] = await scheduler.preview(job.id, 1)

    assert job.next_run_at is not None
    assert timedelta(0) <= job.next_run_at - planned < timedelta(seconds=600)
