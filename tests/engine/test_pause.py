"""A paused job has no next run; a resumed one plans from now."""

from __future__ import annotations

import asyncio

import pytest
from support.schedules import Journal, at, records, runs_of, since

from asched import Daily, Interval, JobNotFound, JobStatus, Once, Reason, RunStatus, Scheduler
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time

OK, SKIPPED = RunStatus.SUCCEEDED, RunStatus.SKIPPED


async def test_paused_job_has_no_next_run_and_makes_none(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def work() -> None:
        journal.note()

    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=10), id="job")
        await clock.sleep_until(at(15))
        paused = await scheduler.pause_job("job")
        await clock.sleep_until(at(1_000))
        history = await records(scheduler, "job")

    assert (JobStatus.PAUSED, True, None) == (paused.status, paused.paused, paused.next_run_at)
    assert [10] == journal.times
    # A paused job costs nothing: what passes is written when it is resumed.
    assert [(OK, None, 10, 1)] == history


async def test_instants_of_the_pause_are_one_record_and_are_not_caught_up(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def work() -> None:
        journal.note()

    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=10), id="job", catch_up="all", catch_up_window=3_600)
        await clock.sleep_until(at(15))
        await scheduler.pause_job("job")
        await clock.sleep_until(at(55))
        resumed = await scheduler.resume_job("job")
        await clock.sleep_until(at(71))
        history = await records(scheduler, "job")
        [gap] = await scheduler.get_history("job", status="skipped")

    assert (JobStatus.SCHEDULED, 60) == (resumed.status, since(resumed.next_run_at))
    assert [10, 60, 70] == journal.times
    assert [(OK, None, 10, 1), (SKIPPED, Reason.PAUSED, 20, 4), (OK, None, 60, 1), (OK, None, 70, 1)] == history
    assert (20, 50) == (since(gap.due_at), since(gap.last_due_at))


async def test_pause_and_resume_between_two_instants_change_nothing(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def work() -> None:
        journal.note()

    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=10), id="job")
        await clock.sleep_until(at(11))
        await scheduler.pause_job("job")
        await clock.sleep_until(at(19))
        await scheduler.resume_job("job")
        await clock.sleep_until(at(35))
        history = await records(scheduler, "job")

    assert [10, 20, 30] == journal.times
    assert [(OK, None, due, 1) for due in (10, 20, 30)] == history


async def test_pause_lets_the_running_attempt_finish(scheduler: Scheduler, clock: VirtualClock) -> None:
    async def work() -> None:
        await asyncio.sleep(5)

    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=10), id="job")
        await clock.sleep_until(at(12))
        paused = await scheduler.pause_job("job")
        await clock.sleep_until(at(20))
        [run] = await runs_of(scheduler, "job")

    assert (JobStatus.PAUSED, 1) == (paused.status, paused.active_runs)
    assert (OK, 15) == (run.status, since(run.ended_at))


async def test_one_shot_that_passes_in_a_pause_is_skipped(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def work() -> None:
        journal.note()

    async with scheduler:
        await scheduler.add_job(work, Once(at(10)), id="job", paused=True)
        await clock.sleep_until(at(20))
        resumed = await scheduler.resume_job("job")
        await clock.sleep_until(at(30))
        history = await records(scheduler, "job")

    assert [] == journal.times
    assert JobStatus.FINISHED is resumed.status
    assert [(SKIPPED, Reason.PAUSED, 10, 1)] == history


async def test_paused_job_can_be_run_by_hand_and_stays_paused(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def work() -> None:
        journal.note()

    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=10), id="job", paused=True)
        await clock.sleep_until(at(3))
        run = await scheduler.wait_for_run((await scheduler.run_job_now("job")).id)
        job = await scheduler.get_job("job")
        await clock.sleep_until(at(25))

    assert [3] == journal.times
    assert (OK, True) == (run.status, run.manual)
    assert JobStatus.PAUSED is job.status


async def test_pause_and_resume_may_be_said_twice(scheduler: Scheduler) -> None:
    async def work() -> None:
        pass

    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=10), id="job")
        first = await scheduler.pause_job("job")
        second = await scheduler.pause_job("job")
        third = await scheduler.resume_job("job")
        fourth = await scheduler.resume_job("job")

    assert first == second
    assert third == fourth


@pytest.mark.parametrize("call", ["pause_job", "resume_job"])
async def test_unknown_job_is_told_of(call: str, scheduler: Scheduler) -> None:
    async with scheduler:
        with pytest.raises(JobNotFound, match="get_jobs"):
            await getattr(scheduler, call)("nobody")


async def test_job_paused_and_edited_runs_as_edited_when_it_is_resumed(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def work() -> None:
        journal.note()

    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=10), id="job")
        await scheduler.pause_job("job")
        edited = await scheduler.update_job("job", trigger=Daily("00:01"))
        await clock.sleep_until(at(30))
        resumed = await scheduler.resume_job("job")
        await clock.sleep_until(at(70))

    assert JobStatus.PAUSED is edited.status
    assert 60 == since(resumed.next_run_at)
    assert [60] == journal.times
