"""A group is a label: one step on the jobs that bear it now, and no state of its own."""

from __future__ import annotations

import asyncio

import pytest
from support.schedules import Journal, at, last_run

from asched import Group, Interval, InvalidArgument, JobStatus, Once, RunStatus, Scheduler
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time


async def test_groups_count_their_jobs(scheduler: Scheduler) -> None:
    async def work() -> None:
        pass

    async with scheduler:
        await scheduler.add_job(work, Interval(hours=1))
        await scheduler.add_job(work, Interval(hours=1), group="reports")
        await scheduler.add_job(work, Interval(hours=1), group="reports", paused=True)
        groups = await scheduler.get_groups()

    assert [Group("default", 1, 0), Group("reports", 2, 1)] == groups


async def test_group_is_paused_and_resumed_in_one_step(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def work(word: str) -> None:
        journal.note(word)

    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=10), id="a", args=["a"], group="reports")
        await scheduler.add_job(work, Interval(seconds=10), id="b", args=["b"], group="reports", paused=True)
        await scheduler.add_job(work, Interval(seconds=10), id="c", args=["c"])
        paused = await scheduler.pause_group("reports")
        later = await scheduler.add_job(work, Interval(seconds=10), id="d", args=["d"], group="reports")
        await clock.sleep_until(at(15))
        resumed = await scheduler.resume_group("reports")
        await clock.sleep_until(at(21))

    assert (1, 2) == (paused, resumed)
    assert JobStatus.SCHEDULED is later.status
    assert [("c", 10), ("d", 10), ("a", 20), ("b", 20), ("c", 20), ("d", 20)] == sorted(
        zip(journal.words, journal.times, strict=True), key=lambda pair: (pair[1], str(pair[0]))
    )


async def test_group_is_cancelled_with_its_waiting_retries_and_not_its_running_attempts(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    async def bad() -> None:
        raise ValueError("always")

    async with scheduler:
        await scheduler.add_job(bad, Once(at(10)), id="waits", backoff=60, group="reports")
        await scheduler.add_job(asyncio.sleep, Once(at(10)), id="runs", args=[20], group="reports")
        await scheduler.add_job(asyncio.sleep, Interval(hours=1), id="stays", args=[20])
        await clock.sleep_until(at(15))
        cancelled = await scheduler.cancel_group("reports")
        await clock.sleep_until(at(40))
        waits, runs = await last_run(scheduler, "waits"), await last_run(scheduler, "runs")
        left = [job.id for job in await scheduler.get_jobs()]

    assert 2 == cancelled
    assert (RunStatus.CANCELLED, RunStatus.SUCCEEDED) == (waits.status, runs.status)
    assert ["stays"] == left


@pytest.mark.parametrize("call", ["pause_group", "resume_group", "cancel_group"])
async def test_group_without_jobs_is_nothing_to_do(call: str, scheduler: Scheduler) -> None:
    async with scheduler:
        assert 0 == await getattr(scheduler, call)("nobody")
        with pytest.raises(InvalidArgument, match="group"):
            await getattr(scheduler, call)("")
