"""Attempts after the first: when they come, what ends them, and the letters that are left."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable

import pytest
from support.schedules import Journal, at, last_run, records, runs_of, since

from asched import (
    Abort,
    Backoff,
    Interval,
    InvalidArgument,
    JobNotFound,
    JobStatus,
    Outcome,
    Reason,
    Run,
    RunNotFound,
    RunStatus,
    Scheduler,
)
from asched.retry import delay, find
from asched.store import Store
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time

Reopen = Callable[[], Store]


def outcomes(run: Run) -> list[Outcome | None]:
    return [attempt.outcome for attempt in run.attempts]


async def test_default_is_three_retries(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    @scheduler.once(10).id("bad")
    async def bad() -> None:
        journal.note()
        raise ValueError("always")

    async with scheduler:
        await clock.sleep_until(at(60))
        run = await last_run(scheduler, "bad")
        job = await scheduler.get_job("bad")

    waits = [later - earlier for earlier, later in itertools.pairwise(journal.times)]
    assert 4 == len(journal.times)
    assert all(0 <= wait <= bound for wait, bound in zip(waits, (2, 4, 8), strict=True))
    assert (RunStatus.FAILED, 4) == (run.status, run.attempt)
    assert [1, 2, 3, 4] == [attempt.number for attempt in run.attempts]
    assert (1, 1, 3) == (job.run_count, job.failure_count, job.retry_count)


def test_default_backoff_doubles_from_two_seconds_to_an_hour() -> None:
    longest = [delay(Backoff(), failed, 1.0) for failed in range(1, 15)]
    shortest = [delay(Backoff(), failed, 0.0) for failed in range(1, 15)]

    assert [2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 3_600, 3_600, 3_600] == longest
    assert {0.0} == set(shortest)


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [
        (5, [10, 15, 20, 25]),
        (Backoff(1, 3, 5, jitter=False), [10, 11, 14, 19]),
        (0, [10, 10, 10, 10]),
    ],
)
async def test_backoff_of_the_job_is_kept(
    backoff: object, expected: list[float], scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    @scheduler.once(10).retries(3, backoff=backoff)
    async def bad() -> None:
        journal.note()
        raise ValueError("always")

    async with scheduler:
        await clock.sleep_until(at(60))

    assert expected == journal.times


async def test_retries_do_not_move_the_schedule(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    @scheduler.every(10).seconds.retries(1, backoff=3).id("bad")
    async def bad() -> None:
        journal.note()
        raise ValueError("always")

    async with scheduler:
        await clock.sleep_until(at(12))
        waiting = await scheduler.get_job("bad")
        await clock.sleep_until(at(35))

    assert 20 == since(waiting.next_run_at)
    assert JobStatus.RUNNING is waiting.status
    assert [10, 13, 20, 23, 30, 33] == journal.times


async def test_run_that_waits_for_its_retry_is_active_for_overlap(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    @scheduler.every(10).seconds.retries(1, backoff=15).id("bad")
    async def bad() -> None:
        journal.note()
        raise ValueError("always")

    async with scheduler:
        await clock.sleep_until(at(12))
        waiting = await last_run(scheduler, "bad")
        await clock.sleep_until(at(29))
        history = await records(scheduler, "bad")

    assert RunStatus.RETRYING is waiting.status
    assert [10, 25] == journal.times
    assert [(RunStatus.SKIPPED, Reason.OVERLAP, 20, 1), (RunStatus.FAILED, None, 10, 1)] == history


async def test_run_that_succeeds_at_last_keeps_its_attempts(scheduler: Scheduler, clock: VirtualClock) -> None:
    tries = 0

    @scheduler.once(10).retries(3, backoff=1).id("shaky")
    async def shaky() -> str:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ValueError(f"try {tries}")
        return "done"

    async with scheduler:
        await clock.sleep_until(at(20))
        run = await last_run(scheduler, "shaky")
        letters = await scheduler.get_dead_letters()

    assert (RunStatus.SUCCEEDED, "done", None) == (run.status, run.result, run.error)
    assert [Outcome.ERROR, Outcome.ERROR, Outcome.OK] == outcomes(run)
    assert ["try 1", "try 2", None] == [attempt.error and attempt.error.message for attempt in run.attempts]
    assert [10, 11, 12] == [since(attempt.started_at) for attempt in run.attempts]
    assert (10, 12) == (since(run.started_at), since(run.ended_at))
    assert [] == letters


async def test_abort_ends_retrying(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    @scheduler.once(10).retries(3, backoff=1).id("bad")
    async def bad() -> None:
        journal.note()
        raise Abort("the customer is gone")

    async with scheduler:
        await clock.sleep_until(at(60))
        run = await last_run(scheduler, "bad")
        letters = await scheduler.get_dead_letters()

    assert [10] == journal.times
    assert (RunStatus.FAILED, Reason.ABORTED) == (run.status, run.reason)
    assert run.error is not None
    assert "the customer is gone" == run.error.message
    assert [run.id] == [letter.id for letter in letters]


@pytest.mark.parametrize(
    ("error", "attempts"),
    [(KeyError("no"), 1), (ConnectionResetError("retry"), 3), (ConnectionRefusedError("no"), 1), (OSError("no"), 1)],
    ids=lambda value: type(value).__name__,
)
async def test_only_errors_that_on_admits_are_retried(
    error: Exception, attempts: int, scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    @scheduler.once(10).retries(2, backoff=1, on=ConnectionError, give_up_on=(ConnectionRefusedError,)).id("bad")
    async def bad() -> None:
        journal.note()
        raise error

    async with scheduler:
        await clock.sleep_until(at(60))
        run = await last_run(scheduler, "bad")

    assert attempts == len(journal.times)
    assert RunStatus.FAILED is run.status


def in_groups(*errors: BaseException) -> BaseExceptionGroup[BaseException]:
    """The errors in a group in a group, beside another error."""
    return BaseExceptionGroup("outer", [TypeError("beside"), BaseExceptionGroup("inner", errors)])


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (in_groups(ConnectionResetError("retry")), 3),
        (in_groups(KeyError("no")), 1),
        (in_groups(ConnectionResetError("retry"), ConnectionRefusedError("no")), 1),
        (in_groups(ConnectionResetError("retry"), Abort("no")), 1),
    ],
    ids=["on", "not on", "give up", "abort"],
)
async def test_errors_in_exception_groups_decide_what_is_retried(
    error: BaseException, attempts: int, scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    @scheduler.once(10).retries(2, backoff=1, on=ConnectionError, give_up_on=ConnectionRefusedError).id("bad")
    async def bad() -> None:
        journal.note()
        raise error

    async with scheduler:
        await clock.sleep_until(at(60))
        run = await last_run(scheduler, "bad")

    assert attempts == len(journal.times)
    assert (RunStatus.FAILED, Reason.ABORTED if attempts == 1 else None) == (run.status, run.reason)


async def test_abort_in_a_child_of_a_task_group_ends_retrying(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def child() -> None:
        raise Abort("there is no such invoice")

    @scheduler.once(10).id("bad")
    async def bad() -> None:
        journal.note()
        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    async with scheduler:
        await clock.sleep_until(at(60))
        run = await last_run(scheduler, "bad")

    assert [10] == journal.times
    assert (RunStatus.FAILED, Reason.ABORTED) == (run.status, run.reason)


def test_error_is_found_in_groups_of_any_depth() -> None:
    error: BaseException = Abort("deep")
    for _ in range(5_000):
        error = BaseExceptionGroup("one more", [error])

    assert isinstance(find(error, (Abort,)), Abort)
    assert find(error, (KeyError,)) is None
    assert find("no error", (Exception,)) is None


@pytest.mark.parametrize("wrong", [ValueError("an instance"), "ValueError", int])
def test_on_takes_exception_classes_only(wrong: object) -> None:
    with pytest.raises(InvalidArgument, match="exception classes"):
        Scheduler().every(1).hours.retries(1, on=wrong)  # type: ignore[arg-type]  # the point of the test


async def test_timeout_is_retried_whatever_on_says(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    @scheduler.once(10).timeout(2).retries(1, backoff=1, on=KeyError).id("slow")
    async def slow() -> None:
        journal.note()
        await asyncio.sleep(60)

    async with scheduler:
        await clock.sleep_until(at(60))
        run = await last_run(scheduler, "slow")

    assert [10, 13] == journal.times
    assert RunStatus.TIMED_OUT is run.status


async def test_cancelled_error_of_the_function_itself_is_a_failure(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    @scheduler.once(10).retries(1, backoff=1, on=(Exception, asyncio.CancelledError)).id("bad")
    async def bad() -> None:
        journal.note()
        raise asyncio.CancelledError("of my own")

    async with scheduler:
        await clock.sleep_until(at(20))
        run = await last_run(scheduler, "bad")

    assert [10, 11] == journal.times
    assert RunStatus.FAILED is run.status
    assert run.error is not None
    assert "CancelledError" == run.error.type


async def test_retry_uses_the_present_function_and_policy_and_the_arguments_of_the_run(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def old(word: str) -> None:
        journal.note(f"old {word}")
        raise ValueError("always")

    async def new(word: str) -> None:
        journal.note(f"new {word}")
        raise ValueError("always")

    async with scheduler:
        await scheduler.add_job(old, Interval(seconds=10), id="job", args=["first"], max_retries=5, backoff=4)
        await clock.sleep_until(at(11))
        await scheduler.update_job("job", func=new, args=["second"], max_retries=2, backoff=2)
        await clock.sleep_until(at(19))

    assert ["old first", "new first", "new first"] == journal.words
    assert [10, 14, 16] == journal.times


async def test_pause_holds_a_waiting_retry_until_the_job_is_resumed(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    @scheduler.once(10).retries(1, backoff=5).id("bad")
    async def bad() -> None:
        journal.note()
        raise ValueError("always")

    async with scheduler:
        await clock.sleep_until(at(12))
        await scheduler.pause_job("bad")
        await clock.sleep_until(at(40))
        held = await last_run(scheduler, "bad")
        await scheduler.resume_job("bad")
        await clock.sleep_until(at(41))
        ended = await last_run(scheduler, "bad")

    assert [10, 40] == journal.times
    assert (RunStatus.RETRYING, RunStatus.FAILED) == (held.status, ended.status)


async def test_cancelled_job_retries_no_more(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    @scheduler.once(10).retries(3, backoff=5).id("bad")
    async def bad() -> None:
        journal.note()
        raise ValueError("always")

    async with scheduler:
        await clock.sleep_until(at(12))
        run = await last_run(scheduler, "bad")
        await scheduler.cancel_job("bad")
        ended = await scheduler.get_run(run.id)
        await clock.sleep_until(at(60))

    assert [10] == journal.times
    assert (RunStatus.CANCELLED, Reason.JOB_CANCELLED) == (ended.status, ended.reason)


async def test_attempt_that_fails_after_its_job_was_cancelled_is_not_retried(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    @scheduler.once(10).retries(3, backoff=5).id("bad")
    async def bad() -> None:
        journal.note()
        await asyncio.sleep(3)
        raise ValueError("always")

    async with scheduler:
        await clock.sleep_until(at(12))
        run = await last_run(scheduler, "bad")
        await scheduler.cancel_job("bad")
        await clock.sleep_until(at(60))
        ended = await scheduler.get_run(run.id)

    assert [10] == journal.times
    assert (RunStatus.CANCELLED, Reason.JOB_CANCELLED) == (ended.status, ended.reason)


async def test_pending_retry_is_kept_over_a_stop(reopen: Reopen, clock: VirtualClock, journal: Journal) -> None:
    async def bad() -> None:
        journal.note()
        raise ValueError("always")

    def make() -> Scheduler:
        scheduler = Scheduler(reopen(), clock=clock)
        scheduler.register_function(bad, name="bad")
        return scheduler

    async with make() as scheduler:
        await scheduler.add_job(bad, Interval(hours=1), id="bad", max_retries=2, backoff=20)
        await scheduler.run_job_now("bad")
        await clock.sleep_until(at(10))
    async with make() as scheduler:
        await clock.sleep_until(at(60))
        run = await last_run(scheduler, "bad")

    assert [0, 20, 40] == journal.times
    assert (RunStatus.FAILED, 3) == (run.status, run.attempt)


async def test_retry_is_warned_of_and_the_last_failure_is_an_error_with_its_traceback(
    scheduler: Scheduler, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    @scheduler.once(10).retries(1, backoff=1).id("bad")
    async def bad() -> None:
        raise ValueError("always")

    async with scheduler:
        await clock.sleep_until(at(20))

    lines = [(record.levelno, record.getMessage()) for record in caplog.records if record.name == "asched"]
    assert [logging.WARNING, logging.ERROR] == [level for level, _ in lines]
    assert all("bad" in message and "ValueError: always" in message for _, message in lines)
    assert "next in 1.0 s" in lines[0][1]
    assert 'raise ValueError("always")' in lines[1][1]


# Dead letters


async def _fail(scheduler: Scheduler, job_id: str) -> Run:
    run = await scheduler.wait_for_run((await scheduler.run_job_now(job_id)).id)
    assert RunStatus.FAILED is run.status
    return run


async def test_replay_that_fails_leaves_the_letter_and_makes_another(scheduler: Scheduler) -> None:
    @scheduler.every(1).hours.retries(0).id("bad")
    async def bad() -> None:
        raise ValueError("always")

    async with scheduler:
        letter = await _fail(scheduler, "bad")
        replay = await scheduler.wait_for_run((await scheduler.retry_dead_letter(letter.id)).id)
        letters = await scheduler.get_dead_letters()

    assert letter.id == replay.replay_of
    assert [replay.id, letter.id] == [found.id for found in letters]


async def test_letters_are_listed_newest_first_discarded_and_cleared(scheduler: Scheduler) -> None:
    @scheduler.every(1).hours.retries(0).id("bad")
    async def bad() -> None:
        raise ValueError("always")

    async with scheduler:
        first, second, third = [(await _fail(scheduler, "bad")).id for _ in range(3)]
        page = await scheduler.get_dead_letters(limit=2)
        rest = await scheduler.get_dead_letters(limit=2, cursor=page.next_cursor)
        await scheduler.discard_dead_letter(second)
        left = [letter.id for letter in await scheduler.get_dead_letters()]
        with pytest.raises(RunNotFound):
            await scheduler.discard_dead_letter(second)
        cleared = await scheduler.clear_dead_letters()
        after = await scheduler.get_dead_letters()

    assert [[third, second], [first]] == [[run.id for run in part] for part in (page, rest)]
    assert rest.next_cursor is None
    assert [third, first] == left
    assert 2 == cleared
    assert [] == after


async def test_only_failed_runs_can_be_replayed_and_only_while_their_job_exists(scheduler: Scheduler) -> None:
    @scheduler.every(1).hours.retries(0).id("bad")
    async def bad() -> None:
        raise ValueError("always")

    @scheduler.every(1).hours.id("good")
    async def good() -> None:
        pass

    async with scheduler:
        fine = await scheduler.wait_for_run((await scheduler.run_job_now("good")).id)
        letter = await _fail(scheduler, "bad")
        await scheduler.cancel_job("bad")
        with pytest.raises(RunNotFound):
            await scheduler.retry_dead_letter(fine.id)
        with pytest.raises(JobNotFound):
            await scheduler.retry_dead_letter(letter.id)
        kept = await scheduler.get_dead_letters()

    assert [letter.id] == [run.id for run in kept]


async def test_oldest_letters_go_when_there_are_too_many(clock: VirtualClock) -> None:
    scheduler = Scheduler(clock=clock, max_dead_letters=2)

    @scheduler.every(1).hours.retries(0).id("bad")
    async def bad() -> None:
        raise ValueError("always")

    async with scheduler:
        ids = [(await _fail(scheduler, "bad")).id for _ in range(4)]
        letters = await scheduler.get_dead_letters()

    assert [ids[3], ids[2]] == [letter.id for letter in letters]


async def test_timed_out_run_is_a_dead_letter_and_a_cancelled_one_is_not(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    @scheduler.once(10).timeout(1).retries(0).id("slow")
    async def slow() -> None:
        await asyncio.sleep(60)

    @scheduler.once(10).id("cancelled")
    async def cancelled() -> None:
        await asyncio.sleep(60)

    async with scheduler:
        await clock.sleep_until(at(15))
        await scheduler.cancel_run((await last_run(scheduler, "cancelled")).id)
        await clock.sleep_until(at(16))
        letters = await scheduler.get_dead_letters()

    assert [("slow", RunStatus.TIMED_OUT)] == [(letter.job_id, letter.status) for letter in letters]


async def test_letter_outlives_the_history(clock: VirtualClock) -> None:
    scheduler = Scheduler(clock=clock, history_limit=0)

    @scheduler.every(1).hours.retries(0).id("bad")
    async def bad() -> None:
        raise ValueError("always")

    @scheduler.every(1).seconds
    async def busy() -> None:
        pass

    async with scheduler:
        letter = await _fail(scheduler, "bad")
        await scheduler.cancel_job("bad")
        await clock.sleep_until(at(60))
        found = await scheduler.get_run(letter.id)
        history = await runs_of(scheduler, "bad")

    assert letter.error == found.error
    assert [letter.id] == [run.id for run in history]
