"""What is remembered of the past, and for how long."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from support.schedules import at, records, runs_of, since

from asched import Interval, InvalidArgument, Once, Reason, RunStatus, Scheduler
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time


async def work() -> None:
    pass


async def bad() -> None:
    raise ValueError("always")


async def test_every_instant_ends_in_exactly_one_record(scheduler: Scheduler, clock: VirtualClock) -> None:
    async def slow() -> None:
        await asyncio.sleep(12)

    async with scheduler:
        await scheduler.add_job(slow, Interval(seconds=5), id="job")
        await clock.sleep_until(at(62))
        await scheduler.pause_job("job")
        await clock.sleep_until(at(92))
        await scheduler.resume_job("job")
        await clock.sleep_until(at(121))
        runs = await runs_of(scheduler, "job")

    covered: list[float] = []
    for run in runs:
        first, last = since(run.due_at) or 0, since(run.last_due_at) or 0
        covered += [first + 5 * number for number in range(run.count)]
        assert last == covered[-1]
    assert [5.0 * number for number in range(1, 25)] == sorted(covered)
    assert {None, Reason.OVERLAP, Reason.PAUSED} == {run.reason for run in runs}


async def test_history_is_newest_first_and_filtered(scheduler: Scheduler, clock: VirtualClock) -> None:
    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=10), id="good")
        await scheduler.add_job(bad, Interval(seconds=15), id="bad", max_retries=0)
        await clock.sleep_until(at(31))

        async def found(**which: Any) -> list[tuple[str, float | None]]:
            return [(run.job_id, since(run.due_at)) for run in await scheduler.get_history(**which)]

        everything = await found()
        by_job, by_name = await found(job_id="good"), await found(func_name="bad")
        by_status = await found(status="failed")
        both = await found(job_id="good", status=RunStatus.FAILED)

    assert [30, 30, 20, 15, 10] == [due for _, due in everything]
    assert [("good", 30), ("good", 20), ("good", 10)] == by_job
    assert [("bad", 30), ("bad", 15)] == by_name == by_status
    assert [] == both


async def test_pages_of_the_history_hold_every_run_once(scheduler: Scheduler, clock: VirtualClock) -> None:
    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=1), id="job")
        await clock.sleep_until(at(25.5))
        page = await scheduler.get_history(limit=10)
        seen = [since(run.due_at) for run in page]
        await clock.sleep_until(at(27.5))
        while page.next_cursor is not None:
            page = await scheduler.get_history(limit=10, cursor=page.next_cursor)
            seen += [since(run.due_at) for run in page]

    assert [float(due) for due in range(25, 0, -1)] == seen


@pytest.mark.parametrize("which", [{"limit": 0}, {"limit": 1_001}, {"status": "fine"}, {"cursor": "é"}])
async def test_wrong_filter_is_refused(which: dict[str, Any], scheduler: Scheduler) -> None:
    async with scheduler:
        with pytest.raises(InvalidArgument):
            await scheduler.get_history(**which)


async def test_history_limit_is_the_total_and_each_job_keeps_its_last_twenty(clock: VirtualClock) -> None:
    scheduler = Scheduler(clock=clock, history_limit=100)
    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=40), id="rare")
        await scheduler.add_job(work, Interval(seconds=0.5), id="busy")
        await clock.sleep_until(at(1_201))
        rare, busy = await records(scheduler, "rare"), await records(scheduler, "busy")

    assert [40.0 * number for number in range(11, 31)] == [due for _, _, due, _ in rare]
    assert 97 <= len(busy) <= 100


async def test_records_older_than_the_retention_go(clock: VirtualClock) -> None:
    scheduler = Scheduler(clock=clock, history_retention=timedelta(hours=1))
    async with scheduler:
        await scheduler.add_job(work, Interval(minutes=1), id="job")
        await clock.sleep_until(at(3 * 3_600 + 30))
        dues = [due for _, _, due, _ in await records(scheduler, "job")]

    # It is looked at every ten minutes.
    assert 2 * 3_600 - 660 <= min(dues) <= 2 * 3_600 + 60
    assert 3 * 3_600 == max(dues)


async def test_retention_keeps_the_last_twenty_of_a_job(clock: VirtualClock) -> None:
    scheduler = Scheduler(clock=clock, history_retention=timedelta(minutes=10))
    async with scheduler:
        await scheduler.add_job(work, Interval(minutes=5), id="job")
        await clock.sleep_until(at(6 * 3_600 + 1))
        dues = [due for _, _, due, _ in await records(scheduler, "job")]

    assert [300.0 * number for number in range(53, 73)] == dues


async def test_counters_count_what_the_history_has_forgotten(clock: VirtualClock) -> None:
    scheduler = Scheduler(clock=clock, history_limit=0)
    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=1), id="job")
        await clock.sleep_until(at(100.5))
        job = await scheduler.get_job("job")
        statistics = await scheduler.get_statistics()
        kept = await records(scheduler, "job")

    assert (100, 100, 20) == (job.run_count, statistics.total_runs, len(kept))


async def test_finished_job_is_visible_until_its_last_record_goes(clock: VirtualClock) -> None:
    scheduler = Scheduler(clock=clock, history_retention=timedelta(minutes=30))
    async with scheduler:
        await scheduler.add_job(work, Once(at(10)), id="once")
        await clock.sleep_until(at(20 * 60))
        during = [job.id for job in await scheduler.get_jobs()]
        await clock.sleep_until(at(60 * 60))
        after = [job.id for job in await scheduler.get_jobs()]

    assert ["once"] == during
    assert [] == after
