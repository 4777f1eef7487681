"""What becomes of an instant that comes due while a run of its job is active."""

from __future__ import annotations

import asyncio

import pytest
from support.schedules import Gate, Journal, at, records, runs_of

from asched import Interval, InvalidArgument, JobBusy, Overlap, Reason, RunStatus, Scheduler
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time

OK, SKIPPED, CANCELLED = RunStatus.SUCCEEDED, RunStatus.SKIPPED, RunStatus.CANCELLED


async def add_slow(scheduler: Scheduler, journal: Journal, overlap: str, *, takes: float = 25) -> None:
    """Add a job of every 10 s whose runs take longer."""

    async def slow() -> None:
        journal.note()
        await asyncio.sleep(takes)

    await scheduler.add_job(slow, Interval(seconds=10), id="slow", overlap=overlap)


async def test_skip_is_the_default_and_records_what_it_skipped(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def slow() -> None:
        journal.note()
        await asyncio.sleep(25)

    async with scheduler:
        job = await scheduler.add_job(slow, Interval(seconds=10), id="slow")
        await clock.sleep_until(at(66))
        history = await records(scheduler, "slow")

    assert Overlap.SKIP is job.overlap
    assert [10, 40] == journal.times
    assert [
        (SKIPPED, Reason.OVERLAP, 20, 2),
        (OK, None, 10, 1),
        (SKIPPED, Reason.OVERLAP, 50, 2),
        (OK, None, 40, 1),
    ] == history


async def test_queue_holds_one_more_and_skips_the_rest(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async with scheduler:
        await add_slow(scheduler, journal, "queue", takes=35)
        await clock.sleep_until(at(79))
        history = await records(scheduler, "slow")

    assert [10, 45] == journal.times
    assert [
        (SKIPPED, Reason.OVERLAP, 30, 2),
        (OK, None, 10, 1),
        (SKIPPED, Reason.OVERLAP, 60, 2),
        (RunStatus.RUNNING, None, 20, 1),
        (RunStatus.PENDING, None, 50, 1),
    ] == history


async def test_cancel_running_ends_the_old_run_for_the_new_one(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async with scheduler:
        await add_slow(scheduler, journal, "cancel_running", takes=15)
        await clock.sleep_until(at(39))
        history = await records(scheduler, "slow")
        ends = [run.ended_at and run.ended_at.second for run in await runs_of(scheduler, "slow")]

    assert [10, 20, 30] == journal.times
    assert [
        (CANCELLED, Reason.SUPERSEDED, 10, 1),
        (CANCELLED, Reason.SUPERSEDED, 20, 1),
        (RunStatus.RUNNING, None, 30, 1),
    ] == history
    assert [20, 30, None] == ends


async def test_cancel_running_ends_a_waiting_retry(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    async def bad() -> None:
        journal.note()
        raise ValueError("always")

    async with scheduler:
        await scheduler.add_job(bad, Interval(seconds=10), id="bad", overlap="cancel_running", backoff=60)
        await clock.sleep_until(at(25))
        history = await records(scheduler, "bad")

    assert [10, 20] == journal.times
    assert [(CANCELLED, Reason.SUPERSEDED, 10, 1), (RunStatus.RETRYING, None, 20, 1)] == history


async def test_allow_starts_beside_active_runs(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    async with scheduler:
        await add_slow(scheduler, journal, "allow")
        await clock.sleep_until(at(41))
        active = (await scheduler.get_job("slow")).active_runs
        history = await records(scheduler, "slow")

    assert [10, 20, 30, 40] == journal.times
    assert 3 == active
    assert [OK, *[RunStatus.RUNNING] * 3] == [record[0] for record in history]


@pytest.mark.parametrize(
    ("overlap", "started"), [("skip", [3, 30]), ("queue", [3, 28]), ("cancel_running", [3, 10, 20, 30])]
)
async def test_run_by_hand_counts_as_active(
    overlap: str, started: list[float], scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async with scheduler:
        await add_slow(scheduler, journal, overlap)
        await clock.sleep_until(at(3))
        await scheduler.run_job_now("slow")
        await clock.sleep_until(at(32))

    assert started == journal.times


async def test_run_by_hand_under_skip_is_refused_while_the_job_is_active(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async with scheduler:
        await add_slow(scheduler, journal, "skip")
        await clock.sleep_until(at(15))
        before = await records(scheduler, "slow")
        with pytest.raises(JobBusy, match="overlap"):
            await scheduler.run_job_now("slow")
        after = await records(scheduler, "slow")

    assert before == after


async def test_run_by_hand_under_queue_waits_and_a_second_is_refused(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def slow() -> None:
        journal.note()
        await asyncio.sleep(25)

    async with scheduler:
        await scheduler.add_job(slow, Interval(hours=1), id="slow", overlap="queue")
        await scheduler.run_job_now("slow")
        await clock.sleep_until(at(5))
        queued = await scheduler.run_job_now("slow")
        with pytest.raises(JobBusy):
            await scheduler.run_job_now("slow")
        ended = await scheduler.wait_for_run(queued.id)

    assert RunStatus.PENDING is queued.status
    assert [0, 25] == journal.times
    assert OK is ended.status


async def test_run_by_hand_under_cancel_running_takes_the_place_of_the_active_one(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async with scheduler:
        await add_slow(scheduler, journal, "cancel_running", takes=8)
        await clock.sleep_until(at(12))
        await scheduler.run_job_now("slow")
        await clock.sleep_until(at(13))
        history = await records(scheduler, "slow")

    assert [10, 12] == journal.times
    assert [(CANCELLED, Reason.SUPERSEDED, 10, 1), (RunStatus.RUNNING, None, 12, 1)] == history


async def test_queued_run_can_be_cancelled(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    async with scheduler:
        await add_slow(scheduler, journal, "queue", takes=15)
        await clock.sleep_until(at(22))
        [pending] = await scheduler.get_history("slow", status="pending")
        cancelled = await scheduler.cancel_run(pending.id)
        await clock.sleep_until(at(29))
        # 20 was started at 25 after 10 had ended; what was cancelled waited behind it.
        history = await records(scheduler, "slow")

    assert (CANCELLED, Reason.OPERATOR) == (cancelled.status, cancelled.reason)
    assert [10] == journal.times
    assert (CANCELLED, Reason.OPERATOR, 20, 1) in history


async def test_unknown_policy_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidArgument, match="'skip', 'queue', 'cancel_running', 'allow'"):
        Scheduler().every(1).hours.overlap("wait")


async def test_plain_functions_obey_the_same_policy(scheduler: Scheduler, clock: VirtualClock) -> None:
    gate = Gate(clock)

    async with scheduler:
        await scheduler.add_job(gate.wait, Interval(seconds=10), id="slow")
        await clock.sleep_until(at(35))
        await gate.open()
        await clock.sleep_until(at(45))
        history = await records(scheduler, "slow")

    assert [(SKIPPED, Reason.OVERLAP, 20, 2), (OK, None, 10, 1), (OK, None, 40, 1)] == history
