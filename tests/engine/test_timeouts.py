"""What a timeout does to a coroutine, to a thread and to a process."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest
from support import work
from support.processes import AT_ONCE, appears, ends
from support.schedules import Gate, Journal, at, last_run, records, since

from asched import Interval, InvalidArgument, JobBusy, Outcome, Reason, RunStatus, Scheduler, current_run
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time


async def test_attempt_that_takes_too_long_is_cancelled_and_fails(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    @scheduler.once(10).timeout(2.5).retries(0).id("slow")
    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            journal.note("cancelled")
            raise

    async with scheduler:
        await clock.sleep_until(at(20))
        run = await last_run(scheduler, "slow")
        job = await scheduler.get_job("slow")

    assert [12.5] == journal.times
    assert (RunStatus.TIMED_OUT, 12.5, 2.5) == (run.status, since(run.ended_at), run.duration)
    assert run.error is not None
    assert "2.5 s" in run.error.message
    assert (1, RunStatus.TIMED_OUT) == (job.failure_count, job.last_status)


async def test_timeout_counts_anew_for_each_attempt(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    @scheduler.once(10).timeout(2).retries(2, backoff=5).id("slow")
    async def slow() -> str:
        journal.note()
        await asyncio.sleep(60 if len(journal.times) < 3 else 1.5)
        return "done"

    async with scheduler:
        await clock.sleep_until(at(60))
        run = await last_run(scheduler, "slow")

    assert [10, 17, 24] == journal.times
    assert [Outcome.TIMEOUT, Outcome.TIMEOUT, Outcome.OK] == [attempt.outcome for attempt in run.attempts]
    assert (RunStatus.SUCCEEDED, "done") == (run.status, run.result)


async def test_attempt_that_ends_in_time_is_left_alone(scheduler: Scheduler, clock: VirtualClock) -> None:
    @scheduler.every(10).seconds.timeout(timedelta(seconds=5)).id("quick")
    async def quick() -> None:
        await asyncio.sleep(4.9)

    async with scheduler:
        await clock.sleep_until(at(39))
        history = await records(scheduler, "quick")

    assert [(RunStatus.SUCCEEDED, None, due, 1) for due in (10, 20, 30)] == history


async def test_function_that_swallows_its_cancellation_is_timed_out_all_the_same(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    @scheduler.once(10).timeout(1).retries(0).id("stubborn")
    async def stubborn() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(2)
        return "done"

    async with scheduler:
        await clock.sleep_until(at(20))
        run = await last_run(scheduler, "stubborn")

    assert (RunStatus.TIMED_OUT, 13, None) == (run.status, since(run.ended_at), run.result)


async def test_asyncio_timeout_inside_a_job_works(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    @scheduler.once(10).timeout(30).retries(0).id("inner")
    async def inner() -> str:
        try:
            async with asyncio.timeout(2):
                await asyncio.sleep(60)
        except TimeoutError:
            journal.note()
        return "went on"

    async with scheduler:
        await clock.sleep_until(at(20))
        run = await last_run(scheduler, "inner")

    assert [12] == journal.times
    assert (RunStatus.SUCCEEDED, "went on") == (run.status, run.result)


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), "5", True, timedelta(0)])
async def test_wrong_timeout_is_refused(seconds: object, scheduler: Scheduler) -> None:
    with pytest.raises(InvalidArgument, match="timeout"):
        scheduler.every(1).hours.timeout(seconds)  # type: ignore[arg-type]  # the point of the test
    async with scheduler:
        with pytest.raises(InvalidArgument, match="timeout"):
            await scheduler.add_job(asyncio.sleep, Interval(hours=1), timeout=seconds)  # type: ignore[arg-type]
        jobs = await scheduler.get_jobs()

    assert [] == jobs


# Threads


class Stuck:
    """A plain function that waits, in real time, until the test lets it go."""

    def __init__(self, clock: VirtualClock) -> None:
        self.gate = Gate(clock)
        self.entered = 0
        self.saw_cancelled: list[bool] = []

    def __call__(self) -> str:
        self.entered += 1
        self.gate.wait()
        run = current_run()
        assert run is not None
        self.saw_cancelled.append(run.cancelled)
        return "too late"


@pytest.fixture
async def stuck(clock: VirtualClock) -> Stuck:
    return Stuck(clock)


async def test_abandoned_thread_keeps_its_job_from_starting_on_this_node(
    scheduler: Scheduler, clock: VirtualClock, stuck: Stuck
) -> None:
    scheduler.every(10).seconds.timeout(2).retries(0).id("stuck")(stuck)
    async with scheduler:
        await clock.sleep_until(at(35))
        before = await records(scheduler, "stuck")
        with pytest.raises(JobBusy):
            await scheduler.run_job_now("stuck")
        await stuck.gate.open()
        await clock.sleep_until(at(45))
        after = await records(scheduler, "stuck")

    assert [(RunStatus.TIMED_OUT, None, 10, 1), (RunStatus.SKIPPED, Reason.ABANDONED, 20, 2)] == before
    assert [*before, (RunStatus.SUCCEEDED, None, 40, 1)] == after
    assert [True, False] == stuck.saw_cancelled


async def test_result_of_an_abandoned_thread_counts_for_nothing(
    scheduler: Scheduler, clock: VirtualClock, stuck: Stuck
) -> None:
    scheduler.once(10).timeout(2).retries(0).id("stuck")(stuck)
    async with scheduler:
        await clock.sleep_until(at(15))
        before = await last_run(scheduler, "stuck")
        await stuck.gate.open()
        await clock.sleep_until(at(25))
        after = await last_run(scheduler, "stuck")

    assert RunStatus.TIMED_OUT is before.status
    assert before == after


async def test_allow_starts_beside_an_abandoned_thread(scheduler: Scheduler, clock: VirtualClock, stuck: Stuck) -> None:
    scheduler.every(10).seconds.timeout(2).retries(0).overlap("allow").id("stuck")(stuck)
    async with scheduler:
        await clock.sleep_until(at(35))
        history = await records(scheduler, "stuck")
        entered = stuck.entered
        await stuck.gate.open()

    assert 3 == entered
    assert [(RunStatus.TIMED_OUT, None, due, 1) for due in (10, 20, 30)] == history


async def test_abandoned_thread_keeps_its_worker(clock: VirtualClock, stuck: Stuck, journal: Journal) -> None:
    scheduler = Scheduler(clock=clock, max_workers=1)
    scheduler.once(10).timeout(2).retries(0).id("stuck")(stuck)

    @scheduler.once(15).id("next")
    def following() -> None:
        journal.note()

    async with scheduler:
        await clock.sleep_until(at(20))
        before = list(journal.times)
        await stuck.gate.open()
        await clock.sleep_until(at(21))

    assert [] == before
    assert [20] == journal.times


async def test_retry_waits_for_the_abandoned_thread(scheduler: Scheduler, clock: VirtualClock, stuck: Stuck) -> None:
    scheduler.once(10).timeout(2).retries(1, backoff=1).id("stuck")(stuck)
    async with scheduler:
        await clock.sleep_until(at(30))
        waiting = await last_run(scheduler, "stuck")
        await stuck.gate.open()
        await clock.sleep_until(at(31))
        ended = await last_run(scheduler, "stuck")

    assert RunStatus.RETRYING is waiting.status
    assert (RunStatus.SUCCEEDED, 2) == (ended.status, stuck.entered)


async def test_timeout_of_a_thread_counts_from_the_entry_of_the_function(clock: VirtualClock, journal: Journal) -> None:
    scheduler = Scheduler(clock=clock, max_workers=1)
    gate = Gate(clock)

    @scheduler.once(10).id("first")
    def first() -> None:
        gate.wait()

    @scheduler.once(10).timeout(2).retries(0).id("second")
    def second() -> None:
        journal.note()

    async with scheduler:
        await clock.sleep_until(at(20))
        await gate.open()
        await clock.sleep_until(at(25))
        run = await last_run(scheduler, "second")

    assert [20] == journal.times
    assert RunStatus.SUCCEEDED is run.status


# Processes


@pytest.mark.parametrize("bound", [AT_ONCE, pytest.param(1.0, marks=pytest.mark.long)])
def test_process_is_killed_at_the_timeout(tmp_path: Path, bound: float) -> None:
    path = tmp_path / "pid"

    async def main() -> tuple[RunStatus, float]:
        async with Scheduler() as scheduler:
            # The process is there before the timeout begins to count: to start one may take longer.
            first = await scheduler.add_job(work.process_id, Interval(hours=1), in_process=True)
            await scheduler.wait_for_run((await scheduler.run_job_now(first.id)).id)
            job = await scheduler.add_job(
                work.write_pid_and_hang, Interval(hours=1), args=[str(path)], timeout=3, max_retries=0, in_process=True
            )
            run = await scheduler.run_job_now(job.id)
            pid = int(await appears(path))
            ended = await scheduler.wait_for_run(run.id)
            told = time.monotonic()
            await ends(pid)
            return ended.status, time.monotonic() - told

    status, lived_on = asyncio.run(main())

    assert RunStatus.TIMED_OUT is status
    assert lived_on < bound
