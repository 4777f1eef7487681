"""How many worker threads plain functions get. In real time: virtual time stands still while a call waits for one."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from asched import Once, RunStatus, Scheduler


async def test_calls_that_wait_for_each_other_get_a_thread_each() -> None:
    all_inside = threading.Barrier(15)

    def work() -> None:
        all_inside.wait(30)

    async with Scheduler(max_workers=20) as scheduler:
        jobs = [await scheduler.add_job(work, Once(timedelta(days=1))) for _ in range(15)]
        begun = [await scheduler.run_job_now(job.id) for job in jobs]
        ended = [await scheduler.wait_for_run(run.id) for run in begun]

    assert [RunStatus.SUCCEEDED] * 15 == [run.status for run in ended]


async def test_threads_are_added_for_calls_that_have_waited_and_for_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asched.runner._THREAD_PATIENCE", 3_600.0)  # it is asked here, and never by itself
    entered, leave = threading.Semaphore(0), threading.Semaphore(0)

    def work() -> None:
        entered.release()
        assert leave.acquire(timeout=30)

    def enter(calls: int) -> bool:
        return all(entered.acquire(timeout=30) for _ in range(calls))

    async with Scheduler(max_workers=20) as scheduler:
        for _ in range(12):
            await scheduler.add_job(work, Once(timedelta()))
        assert await asyncio.to_thread(enter, 4)
        runner = scheduler._require()._runner
        at_first = len(runner._threads)
        leave.release()
        assert await asyncio.to_thread(enter, 1)
        runner._grow()  # the call for which there was no thread has one now
        after_progress = len(runner._threads)
        runner._grow()  # seven calls were there the last time and wait still
        after_none = len(runner._threads)
        leave.release(12)

    assert (4, 4, 8) == (at_first, after_progress, after_none)
