"""Runs: started by hand, waited for, cancelled, and what their record holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from support.schedules import Gate, Journal, at, last_run, records, runs_of, since

from asched import (
    FunctionUnknown,
    Interval,
    JobNotFound,
    JobStatus,
    MemoryStore,
    Once,
    Outcome,
    Reason,
    RunNotFound,
    RunStatus,
    Scheduler,
    current_run,
)
from asched.store import Store
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time


async def work(value: object = "done") -> object:
    return value


async def test_record_of_a_run_says_what_happened(scheduler: Scheduler, clock: VirtualClock) -> None:
    async def slow(word: str, *, times: int) -> str:
        await asyncio.sleep(2.5)
        return word * times

    async with scheduler:
        job = await scheduler.add_job(slow, Once(at(10)), id="job", args=["ab"], kwargs={"times": 2})
        await clock.sleep_until(at(20))
        [run] = await runs_of(scheduler, "job")
        same = await scheduler.get_run(run.id)
        [node] = await scheduler.nodes()

    assert run == same
    assert (job.func, RunStatus.SUCCEEDED, None, "abab") == (run.func, run.status, run.reason, run.result)
    assert (10, 10, 10, 12.5) == tuple(map(since, (run.planned_at, run.due_at, run.started_at, run.ended_at)))
    assert (2.5, 1, 1) == (run.duration, run.attempt, run.count)
    assert (("ab",), {"times": 2}) == (run.args, run.kwargs)
    assert (False, None, node.name) == (run.manual, run.replay_of, run.node)
    assert run.due_at == run.last_due_at
    [attempt] = run.attempts
    assert (1, node.name, Outcome.OK, None) == (attempt.number, attempt.node, attempt.outcome, attempt.error)
    assert (10, 12.5) == (since(attempt.started_at), since(attempt.ended_at))


async def test_run_by_hand_moves_neither_next_run_nor_max_runs(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def note() -> None:
        journal.note()

    async with scheduler:
        before = await scheduler.add_job(note, Interval(seconds=10), id="job", max_runs=2)
        for second in (1, 2, 3):
            await clock.sleep_until(at(second))
            await scheduler.wait_for_run((await scheduler.run_job_now("job")).id)
        after = await scheduler.get_job("job")
        await clock.sleep_until(at(50))
        finished = await scheduler.get_job("job")

    assert before.next_run_at == after.next_run_at
    assert [1, 2, 3, 10, 20] == journal.times
    assert JobStatus.FINISHED is finished.status


async def test_run_by_hand_is_marked_and_due_now(scheduler: Scheduler, clock: VirtualClock) -> None:
    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=10), id="job")
        await clock.sleep_until(at(3))
        asked = await scheduler.run_job_now("job")
        run = await scheduler.wait_for_run(asked.id)

    assert asked.id == run.id
    assert (True, 3, 3) == (run.manual, since(run.due_at), since(run.started_at))


async def test_finished_job_can_be_run_by_hand_and_stays_finished(scheduler: Scheduler, clock: VirtualClock) -> None:
    async with scheduler:
        await scheduler.add_job(work, Once(at(10)), id="job")
        await clock.sleep_until(at(20))
        run = await scheduler.wait_for_run((await scheduler.run_job_now("job")).id)
        job = await scheduler.get_job("job")

    assert RunStatus.SUCCEEDED is run.status
    assert (JobStatus.FINISHED, 2) == (job.status, job.run_count)


async def test_run_by_hand_retries_like_any_other(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    async def bad() -> None:
        journal.note()
        raise ValueError("always")

    async with scheduler:
        await scheduler.add_job(bad, Interval(hours=1), id="job", max_retries=2, backoff=5)
        run = await scheduler.wait_for_run((await scheduler.run_job_now("job")).id)

    assert [0, 5, 10] == journal.times
    assert RunStatus.FAILED is run.status


async def test_job_without_a_function_cannot_be_run(clock: VirtualClock) -> None:
    store = MemoryStore()
    async with Scheduler(store, clock=clock) as scheduler:
        await scheduler.add_job(work, Interval(hours=1), id="job")
    async with Scheduler(store, clock=clock) as scheduler:
        with pytest.raises(FunctionUnknown, match="register_function"):
            await scheduler.run_job_now("job")
        history = await scheduler.get_history()

    assert [] == history


async def test_cancelled_run_of_a_coroutine_ends_at_once(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def slow() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            journal.note("cleaned up")

    async with scheduler:
        await scheduler.add_job(slow, Once(at(10)), id="job", max_retries=3)
        await clock.sleep_until(at(15))
        asked = await scheduler.cancel_run((await last_run(scheduler, "job")).id)
        run = await scheduler.wait_for_run(asked.id)
        await clock.sleep_until(at(50))
        history = await records(scheduler, "job")

    assert [15] == journal.times
    assert [Outcome.CANCELLED] == [attempt.outcome for attempt in run.attempts]
    assert [(RunStatus.CANCELLED, Reason.OPERATOR, 10, 1)] == history


async def test_cancelled_run_of_a_thread_leaves_the_thread_behind(scheduler: Scheduler, clock: VirtualClock) -> None:
    gate = Gate(clock)
    async with scheduler:
        await scheduler.add_job(gate.wait, Interval(seconds=10), id="job")
        await clock.sleep_until(at(15))
        run = await scheduler.wait_for_run((await scheduler.cancel_run((await last_run(scheduler, "job")).id)).id)
        await clock.sleep_until(at(25))
        await gate.open()
        history = await records(scheduler, "job")

    assert (RunStatus.CANCELLED, 15) == (run.status, since(run.ended_at))
    assert (RunStatus.SKIPPED, Reason.ABANDONED, 20, 1) in history


async def test_cancel_of_a_waiting_retry_ends_the_run(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def bad() -> None:
        journal.note()
        raise ValueError("always")

    async with scheduler:
        await scheduler.add_job(bad, Once(at(10)), id="job", backoff=5)
        await clock.sleep_until(at(12))
        run = await scheduler.cancel_run((await last_run(scheduler, "job")).id)
        await clock.sleep_until(at(60))

    assert [10] == journal.times
    assert (RunStatus.CANCELLED, Reason.OPERATOR) == (run.status, run.reason)


async def test_cancel_of_a_run_that_has_ended_changes_nothing(scheduler: Scheduler) -> None:
    async with scheduler:
        await scheduler.add_job(work, Interval(hours=1), id="job")
        run = await scheduler.wait_for_run((await scheduler.run_job_now("job")).id)
        again = await scheduler.cancel_run(run.id)

    assert run == again


async def test_function_that_returns_in_spite_of_its_cancellation_has_succeeded(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    async def stubborn() -> str:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            pass
        return "done"

    async with scheduler:
        await scheduler.add_job(stubborn, Once(at(10)), id="job")
        await clock.sleep_until(at(15))
        run = await scheduler.cancel_run((await last_run(scheduler, "job")).id)
        run = await scheduler.wait_for_run(run.id)

    # It came to its end by itself, and that is what happened.
    assert (RunStatus.SUCCEEDED, "done") == (run.status, run.result)


async def test_run_that_has_ended_is_waited_for_at_once_by_many(scheduler: Scheduler, clock: VirtualClock) -> None:
    async with scheduler:
        await scheduler.add_job(asyncio.sleep, Interval(hours=1), id="job", args=[7])
        run = await scheduler.run_job_now("job")
        ended = await asyncio.gather(*[scheduler.wait_for_run(run.id) for _ in range(5)])
        later = await scheduler.wait_for_run(run.id)

    assert [later] * 5 == ended
    assert 7 == since(later.ended_at)


@pytest.mark.parametrize("run_id", ["", "x", "0x1", "1_0", "-1", " 1", "1" * 40, "01", "ABC"])
@pytest.mark.parametrize("call", ["get_run", "cancel_run", "wait_for_run", "retry_dead_letter", "discard_dead_letter"])
async def test_unknown_run_is_told_of(call: str, run_id: str, scheduler: Scheduler) -> None:
    async with scheduler:
        with pytest.raises(RunNotFound) as caught:
            await getattr(scheduler, call)(run_id)

    assert run_id == caught.value.run_id
    assert isinstance(caught.value, LookupError)


@pytest.mark.parametrize("how", ["run", "job", "another task"])
@pytest.mark.parametrize("waited", [False, True], ids=["before its first wait", "after it"])
async def test_run_that_cancels_itself_ends_at_its_next_wait(
    how: str, waited: bool, reopen: Callable[[], Store], clock: VirtualClock, journal: Journal
) -> None:
    scheduler = Scheduler(reopen(), clock=clock)

    async def work() -> None:
        if waited:
            await asyncio.sleep(1)
        me = current_run()
        assert me is not None
        if how == "run":
            await scheduler.cancel_run(me.id)
        elif how == "job":
            await scheduler.cancel_job(me.job_id, running="cancel")
        else:
            # Another task does it, as a hook would, and the wait for it is the first.
            await asyncio.ensure_future(scheduler.cancel_run(me.id))
        await asyncio.sleep(60)
        journal.note()

    scheduler.register_function(work, name="work")
    async with scheduler:
        await scheduler.add_job(work, Interval(hours=1), id="job", timeout=10, max_retries=0)
        run_id = (await scheduler.run_job_now("job")).id
        run = await scheduler.wait_for_run(run_id)
        ended = journal.now()
        await asyncio.sleep(100)

    assert RunStatus.CANCELLED is run.status
    assert ended <= 2
    assert [] == journal.times


async def test_cancelled_run_stays_cancelled_whatever_its_clean_up_raises(scheduler: Scheduler) -> None:
    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ConnectionError("the server is gone")

    async with scheduler:
        await scheduler.add_job(work, Interval(hours=1), id="job")
        run = await scheduler.run_job_now("job")
        await asyncio.sleep(1)
        await scheduler.cancel_run(run.id)
        run = await scheduler.wait_for_run(run.id)

    assert (RunStatus.CANCELLED, [Outcome.CANCELLED]) == (run.status, [one.outcome for one in run.attempts])


async def test_unknown_job_is_told_of(scheduler: Scheduler) -> None:
    async with scheduler:
        with pytest.raises(JobNotFound) as caught:
            await scheduler.run_job_now("nobody")

    assert "nobody" == caught.value.job_id
    assert isinstance(caught.value, LookupError)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, None), (1, 1), ("text", "text"), ([1, {"a": None}], [1, {"a": None}]), ((1, 2), [1, 2]),
        ({1}, "{1}"), (b"bytes", "b'bytes'"), (float("inf"), "inf"), (2**70, str(2**70)),
        ("x" * 70_000, repr("x" * 70_000)[:997] + "..."), ({"when": at(0)}, repr({"when": at(0)})),
    ],
)  # fmt: skip
async def test_result_is_kept_as_json_or_as_a_short_repr(value: object, kept: object, scheduler: Scheduler) -> None:
    async def produce() -> object:
        return value

    async with scheduler:
        await scheduler.add_job(produce, Interval(hours=1), id="job")
        run = await scheduler.wait_for_run((await scheduler.run_job_now("job")).id)

    assert RunStatus.SUCCEEDED is run.status
    assert kept == run.result


async def test_result_whose_repr_fails_is_named_by_its_class(scheduler: Scheduler) -> None:
    class Awkward:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    async def produce() -> object:
        return Awkward()

    async with scheduler:
        await scheduler.add_job(produce, Interval(hours=1), id="job")
        run = await scheduler.wait_for_run((await scheduler.run_job_now("job")).id)

    assert "<Awkward, whose repr raises ZeroDivisionError>" == run.result


class Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not bound to a session")

    __repr__ = __str__


class Whole(int):
    """As a number class of the user's own."""


@pytest.mark.parametrize("how", ["returned", "raised", "raised in a group", "raised in a thread"])
@pytest.mark.parametrize(
    "value",
    [
        Unreadable(), SyntaxError("\0\udcff", ("file", 1, 1, 5)), ValueError("x" * 1_000_000), ValueError("\0\udcff"),
        Whole(2**70), {"\0": ["\0", Whole(1)]},
    ],
    ids=["unreadable", "odd", "huge", "nul", "int", "dict"],
)  # fmt: skip
async def test_no_value_harms_more_than_its_own_run(
    value: object, how: str, reopen: Callable[[], Store], clock: VirtualClock
) -> None:
    scheduler = Scheduler(reopen(), clock=clock)
    error = value if isinstance(value, Exception) else ValueError(value)

    async def work() -> object:
        if how == "returned":
            return value
        raise ExceptionGroup("\0\udcff", [error]) if how == "raised in a group" else error

    def thread() -> object:
        raise error

    async def good() -> str:
        return "good"

    function = thread if how == "raised in a thread" else work
    scheduler.register_function(function, name="work")
    scheduler.register_function(good, name="good")
    async with scheduler:
        await scheduler.add_job(function, Interval(hours=1), id="job", max_retries=0)
        await scheduler.add_job(good, Interval(hours=1), id="good")
        run = await scheduler.wait_for_run((await scheduler.run_job_now("job")).id)
        after = await scheduler.wait_for_run((await scheduler.run_job_now("good")).id)
        letters = await scheduler.get_dead_letters()

    assert (RunStatus.SUCCEEDED if how == "returned" else RunStatus.FAILED) is run.status
    assert (RunStatus.SUCCEEDED, "good") == (after.status, after.result)
    assert [run.error] * (how != "returned") == [letter.error for letter in letters]
    if run.error is not None:
        assert not {"\0", "\udcff"} & set("".join(run.error))


async def test_error_whose_message_fails_is_recorded(scheduler: Scheduler) -> None:
    class AwkwardError(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    async def bad() -> None:
        raise AwkwardError

    async with scheduler:
        await scheduler.add_job(bad, Interval(hours=1), id="job", max_retries=0)
        run = await scheduler.wait_for_run((await scheduler.run_job_now("job")).id)

    assert run.error is not None
    assert ("AwkwardError", "(its message could not be read: ZeroDivisionError)") == run.error[:2]


async def test_traceback_is_the_functions_own_and_at_most_32_kib(scheduler: Scheduler) -> None:
    async def bad() -> None:
        raise ValueError("x" * 100_000)

    async def plain() -> None:
        raise ValueError("short")

    async with scheduler:
        await scheduler.add_job(bad, Interval(hours=1), id="long", max_retries=0)
        await scheduler.add_job(plain, Interval(hours=1), id="short", max_retries=0)
        long = await scheduler.wait_for_run((await scheduler.run_job_now("long")).id)
        short = await scheduler.wait_for_run((await scheduler.run_job_now("short")).id)

    assert long.error is not None and short.error is not None
    assert len(long.error.traceback.encode()) <= 32 * 1024
    assert "runner.py" not in short.error.traceback
    assert short.error.traceback.endswith("ValueError: short\n")


async def test_active_runs_of_a_job_are_counted_until_they_end(scheduler: Scheduler, clock: VirtualClock) -> None:
    async with scheduler:
        await scheduler.add_job(asyncio.sleep, Interval(seconds=10), id="job", args=[25], overlap="allow")
        await clock.sleep_until(at(31))
        busy = await scheduler.get_job("job")
        await scheduler.pause_job("job")
        await clock.sleep_until(at(60))
        quiet = await scheduler.get_job("job")

    assert (JobStatus.RUNNING, 3, 3) == (busy.status, busy.active_runs, busy.run_count)
    assert (JobStatus.PAUSED, 0) == (quiet.status, quiet.active_runs)
