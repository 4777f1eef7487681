"""A store that answers late: what happens meanwhile must not be forgotten."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from asched import Interval, MemoryStore, Once, Scheduler, StoreUnavailable
from asched.store import JobFilter, JobPage, Window
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time


class LateStore(MemoryStore):
    """A memory store whose windows are a second old when they arrive."""

    async def window(self, epoch: int, until: int, limit: int) -> Window:
        answer = await super().window(epoch, until, limit)
        await asyncio.sleep(1)
        return answer


async def test_job_added_while_the_store_is_asked_for_a_window_runs_on_time(clock: VirtualClock) -> None:
    started = []

    async def job() -> None:
        started.append(clock.now())

    scheduler = Scheduler(LateStore(), clock=clock)
    scheduler.register_function(job)
    async with scheduler:
        scheduler.register_function(print)  # makes the engine look at the store again
        await asyncio.sleep(0.5)
        due = clock.now_datetime() + timedelta(seconds=5)
        await scheduler.add_job(job, Once(due))
        await asyncio.sleep(10)

    assert [due.timestamp()] == [instant / 1_000_000 for instant in started]


async def test_job_moved_while_the_store_is_asked_for_a_window_runs_at_its_new_time_only(clock: VirtualClock) -> None:
    started = []

    async def job() -> None:
        started.append(clock.now_datetime())

    async with Scheduler(LateStore(), clock=clock) as scheduler:
        await asyncio.sleep(2)
        added = await scheduler.add_job(job, Interval(seconds=7))
        await asyncio.sleep(2)
        scheduler.register_function(print)  # makes the engine look at the store again
        await asyncio.sleep(0.5)
        moved = clock.now_datetime() + timedelta(seconds=3)
        await scheduler.update_job(added.id, trigger=Once(moved))
        await asyncio.sleep(30)

    assert [moved] == started


class CountingStore(MemoryStore):
    """Counts what its windows bring."""

    brought = 0

    async def window(self, epoch: int, until: int, limit: int) -> Window:
        answer = await super().window(epoch, until, limit)
        self.brought += len(answer.timers)
        return answer


@pytest.mark.parametrize("known", [True, False])
async def test_jobs_that_were_taken_in_are_brought_by_a_look_for_a_new_function_and_by_no_other(
    clock: VirtualClock, known: bool
) -> None:
    store = CountingStore()
    jobs = 2 * store.caps.window
    ran = 0

    async def job() -> None:
        nonlocal ran
        ran += 1

    scheduler = Scheduler(store, clock=clock)
    if known:
        scheduler.register_function(job)
    async with scheduler:
        due = clock.now_datetime() + timedelta(seconds=5)
        for _ in range(jobs):
            await scheduler.add_job(job, Once(due))  # makes the function known if it is not
        await asyncio.sleep(1)
        brought_before = store.brought
        await asyncio.sleep(10)

    assert jobs == ran
    assert brought_before == store.brought == (0 if known else jobs)


class AwayAtTheStep(MemoryStore):
    """A store that is away when the jobs are to be planned again."""

    away = 3

    async def list_jobs(self, which: JobFilter, limit: int, cursor: str | None = None) -> JobPage:
        if self.away:
            self.away -= 1
            raise StoreUnavailable("away")
        return await super().list_jobs(which, limit, cursor)


async def test_store_that_is_away_when_the_clock_is_set_back_ends_nothing(clock: VirtualClock) -> None:
    started = []

    async def job() -> None:
        started.append(clock.elapsed())

    async with Scheduler(AwayAtTheStep(), clock=clock) as scheduler:
        await scheduler.add_job(job, Interval(minutes=1))
        await asyncio.sleep(61)
        clock.step(-3600)
        await asyncio.sleep(600)

    assert len(started) >= 10
