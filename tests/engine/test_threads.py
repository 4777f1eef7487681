"""Where functions run: coroutines on the loop, plain functions in worker threads, each in a context of its own."""

from __future__ import annotations

import asyncio
import functools
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio.from_thread
import anyio.to_thread
import pytest
from support.schedules import Gate, Journal, at, last_run, records, runs_of

from asched import Event, Interval, Run, RunStatus, Scheduler, current_run
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time

word: ContextVar[str] = ContextVar("word", default="unset")


async def run_once(scheduler: Scheduler, job_id: str) -> Run:
    return await scheduler.wait_for_run((await scheduler.run_job_now(job_id)).id)


async def test_plain_function_runs_in_a_worker_thread_and_a_coroutine_on_the_loop(scheduler: Scheduler) -> None:
    seen: dict[str, int] = {}

    @scheduler.every(1).hours.id("plain")
    def plain() -> None:
        seen["plain"] = threading.get_ident()

    @scheduler.every(1).hours.id("coroutine")
    async def coroutine() -> None:
        seen["coroutine"] = threading.get_ident()

    async with scheduler:
        await run_once(scheduler, "plain")
        await run_once(scheduler, "coroutine")

    assert threading.get_ident() != seen["plain"]
    assert threading.get_ident() == seen["coroutine"]


async def test_each_coroutine_has_a_task_of_its_own(scheduler: Scheduler, clock: VirtualClock) -> None:
    tasks: list[object] = []

    async def work() -> None:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(1)

    for _ in range(3):
        scheduler.once(10)(work)
    async with scheduler:
        await clock.sleep_until(at(12))

    assert 3 == len({id(task) for task in tasks})


async def test_each_run_has_a_copy_of_the_context_of_start(scheduler: Scheduler) -> None:
    seen: list[str] = []

    @scheduler.every(1).hours.id("plain")
    def plain() -> None:
        seen.append(word.get())
        word.set("changed by a thread")

    @scheduler.every(1).hours.id("coroutine")
    async def coroutine() -> None:
        seen.append(word.get())
        word.set("changed by a coroutine")

    token = word.set("of start")
    async with scheduler:
        word.set("after start")
        for job_id in ("plain", "coroutine", "plain", "coroutine"):
            await run_once(scheduler, job_id)
        here = word.get()
    word.reset(token)

    assert ["of start"] * 4 == seen
    assert "after start" == here


async def test_partials_bound_methods_and_callable_objects_are_jobs(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    class Shop:
        async def open(self) -> None:
            journal.note("bound coroutine")

        def close(self) -> None:
            journal.note("bound")

        @classmethod
        def count(cls) -> None:
            journal.note("class method")

        @staticmethod
        def clean() -> None:
            journal.note("static method")

    class Call:
        def __call__(self) -> None:
            journal.note("object")

    class AsyncCall:
        async def __call__(self) -> None:
            journal.note("async object")

    class Unhashable(Call):
        __hash__ = None  # type: ignore[assignment]  # the point of the class

        def __eq__(self, other: object) -> bool:
            return self is other

        def __call__(self) -> None:
            journal.note("unhashable")

    async def note(what: str) -> None:
        journal.note(what)

    shop = Shop()
    jobs: list[Callable[[], Any]] = [
        shop.open, shop.close, Shop.count, Shop.clean, Call(), AsyncCall(), Unhashable(),
        functools.partial(note, "partial"), functools.partial(journal.note, "plain partial"),
        functools.partial(functools.partial(note), "nested partial"),
    ]  # fmt: skip
    for job in jobs:
        scheduler.once(10)(job)
    async with scheduler:
        await clock.sleep_until(at(11))
        history = await scheduler.get_history()

    assert {
        "bound coroutine", "bound", "class method", "static method", "object", "async object", "unhashable",
        "partial", "plain partial", "nested partial",
    } == set(journal.words)  # fmt: skip
    assert {RunStatus.SUCCEEDED} == {run.status for run in history}


async def test_from_thread_works_inside_a_plain_function(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def on_the_loop(value: str) -> int:
        await asyncio.sleep(3)
        journal.note(value)
        return threading.get_ident()

    @scheduler.once(10).id("plain")
    def plain() -> bool:
        anyio.from_thread.check_cancelled()
        return anyio.from_thread.run(on_the_loop, "called") == anyio.from_thread.run_sync(threading.get_ident)

    async with scheduler:
        await clock.sleep_until(at(20))
        run = await last_run(scheduler, "plain")

    assert (RunStatus.SUCCEEDED, True) == (run.status, run.result)
    assert (["called"], [13]) == (journal.words, journal.times)


async def test_current_run_is_that_of_the_caller_and_none_outside(scheduler: Scheduler, clock: VirtualClock) -> None:
    seen: list[tuple[str, int, str]] = []

    def look() -> None:
        run = current_run()
        assert run is not None
        seen.append((run.job_id, run.attempt, run.due_at.isoformat()))

    scheduler.once(10).id("plain")(look)

    @scheduler.once(10).id("coroutine")
    async def coroutine() -> None:
        look()
        await asyncio.sleep(1)
        look()
        await anyio.to_thread.run_sync(look)
        await asyncio.create_task(asyncio.to_thread(look))

    async with scheduler:
        await clock.sleep_until(at(20))

    due = "2026-01-01T00:00:10+00:00"
    assert [("coroutine", 1, due)] * 4 + [("plain", 1, due)] == sorted(seen)
    assert current_run() is None


async def test_current_run_knows_its_id_attempt_and_a_growing_fence(scheduler: Scheduler, clock: VirtualClock) -> None:
    seen: list[tuple[str, int, int]] = []

    @scheduler.every(10).seconds.retries(1, backoff=1).id("job")
    async def work() -> None:
        run = current_run()
        assert run is not None
        seen.append((run.id, run.attempt, run.fence))
        raise ValueError("always")

    async with scheduler:
        await clock.sleep_until(at(25))
        history = await runs_of(scheduler, "job")

    first, second = (run.id for run in history)
    assert [(first, 1), (first, 2), (second, 1), (second, 2)] == [(run_id, attempt) for run_id, attempt, _ in seen]
    fences = [fence for _, _, fence in seen]
    assert sorted(set(fences)) == fences


async def test_max_workers_bounds_the_threads(clock: VirtualClock) -> None:
    scheduler = Scheduler(clock=clock, max_workers=3)
    gate = threading.Barrier(3)
    lock = threading.Lock()
    most = inside = 0

    def work() -> None:
        nonlocal most, inside
        with lock:
            inside += 1
            most = max(most, inside)
        # Three must be inside at once, or this raises; a fourth would be seen by the count.
        gate.wait(10)
        with lock:
            inside -= 1

    for number in range(9):
        scheduler.once(10).retries(0).id(str(number))(work)
    async with scheduler:
        await clock.sleep_until(at(20))
        history = await scheduler.get_history()

    assert 3 == most
    assert [RunStatus.SUCCEEDED] * 9 == [run.status for run in history]


async def test_coroutines_run_while_all_threads_are_busy(clock: VirtualClock, journal: Journal) -> None:
    scheduler = Scheduler(clock=clock, max_workers=1)
    gate = Gate(clock)

    @scheduler.once(10)
    def plain() -> None:
        gate.wait()

    @scheduler.every(10).seconds
    async def coroutine() -> None:
        journal.note()

    async with scheduler:
        await clock.sleep_until(at(35))
        await gate.open()

    assert [10, 20, 30] == journal.times


async def test_threads_of_jobs_take_none_of_the_applications(scheduler: Scheduler, clock: VirtualClock) -> None:
    gate = Gate(clock)

    def work() -> None:
        gate.wait()

    limiter = anyio.to_thread.current_default_thread_limiter()
    for _ in range(3):
        scheduler.once(10)(work)
    async with scheduler:
        await clock.sleep_until(at(15))
        borrowed = limiter.borrowed_tokens
        await gate.open()

    assert 0 == borrowed


async def test_plain_function_that_returns_a_coroutine_fails_with_advice(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    async def inner() -> None:
        pass

    @scheduler.once(10).retries(0).id("job")
    def outer() -> object:
        return inner()

    async with scheduler:
        await clock.sleep_until(at(11))
        run = await last_run(scheduler, "job")

    assert RunStatus.FAILED is run.status
    assert run.error is not None
    assert "async def" in run.error.message


def test_job_that_blocks_the_loop_is_named_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[tuple[str | None, float]] = []

    async def main() -> None:
        scheduler = Scheduler()

        @scheduler.every(1).hours.id("first step")
        async def first_step() -> None:
            time.sleep(0.15)  # noqa: ASYNC251 - it blocks on purpose

        @scheduler.every(1).hours.id("later step")
        async def later_step() -> None:
            await asyncio.sleep(0.01)
            time.sleep(0.15)  # noqa: ASYNC251 - it blocks on purpose
            await asyncio.sleep(0.01)

        @scheduler.every(1).hours.id("polite")
        async def polite() -> None:
            for _ in range(4):
                await asyncio.sleep(0.05)

        @scheduler.every(1).hours.id("thread")
        def thread() -> None:
            time.sleep(0.15)

        @scheduler.on("loop.blocked")
        def blocked(event: Event) -> None:
            heard.append((event.job_id, event.data["seconds"]))

        async with scheduler:
            for job_id in ("first step", "later step", "polite", "thread", "first step", "later step"):
                await run_once(scheduler, job_id)

    asyncio.run(main())

    lines = [record for record in caplog.records if "held the event loop" in record.getMessage()]
    assert [logging.WARNING] * 2 == [record.levelno for record in lines]
    assert ["first step", "later step"] == [job_id for job_id, _ in heard]
    assert all(0.15 <= seconds < 2 for _, seconds in heard)
    assert "job first step held the event loop for 1" in lines[0].getMessage()


async def test_job_that_blocks_again_after_a_minute_is_named_again(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = Scheduler(clock=clock)

    @scheduler.every(40).seconds.id("job")
    async def work() -> None:
        # Virtual time stands still in here, so the loop is told that it passed.
        clock._loop.microseconds += 200_000

    async with scheduler:
        await clock.sleep_until(at(170))

    lines = [record for record in caplog.records if "held the event loop for 200 ms" in record.getMessage()]
    assert 2 == len(lines)


PROGRAM = """
import asyncio
from asched import MemoryStore, Scheduler
from asched.store import RunFilter
store = MemoryStore()
scheduler = Scheduler(store)

@scheduler.every(1).hours.id("job")
{kind} work():
    raise {error}

@scheduler.every(1).hours.id("beside")
async def beside():
    await asyncio.sleep(30)

async def main():
    async with scheduler:
        await scheduler.run_job_now("beside")
        await scheduler.run_job_now("job")
        await asyncio.sleep(5)

try:
    asyncio.run(main())
finally:
    runs, _ = asyncio.run(store.list_runs(RunFilter(), 10))
    print(*sorted((run.job_id, str(run.status), run.error and run.error.type, run.attempt) for run in runs), sep="\\n")
"""


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize(("error", "code"), [("SystemExit(3)", 3), ("KeyboardInterrupt()", -2)])
def test_exit_raised_by_a_job_is_recorded_and_ends_the_program(
    kind: str, error: str, code: int, tmp_path: Path
) -> None:
    # Idle threads stay for so long that a program that waits for one of them never ends.
    program = f"import asched.runner\nasched.runner._THREAD_IDLE = 3_600\n{PROGRAM.format(kind=kind, error=error)}"
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )

    beside, job = said.stdout.splitlines()
    assert f"('job', 'failed', '{error.partition('(')[0]}', 1)" == job, said.stderr
    assert "beside" in beside and "running" not in beside
    assert code == said.returncode, said.stderr


async def test_job_starts_never_before_its_due_time(scheduler: Scheduler, clock: VirtualClock) -> None:
    early: list[bool] = []

    async def work() -> None:
        run = current_run()
        assert run is not None
        early.append(clock.now_datetime() < run.due_at)

    async with scheduler:
        for step in (0.000_001, 0.333_333, 1 / 7, 1.1, 3.000_001):
            await scheduler.add_job(work, Interval(seconds=max(step, 0.01)))
        await clock.sleep_until(at(20))

    assert 1_000 < len(early)
    assert not any(early)


async def test_run_in_a_thread_is_recorded_like_any_other(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    @scheduler.every(10).seconds.id("job")
    def work() -> str:
        journal.note()
        return "done"

    async with scheduler:
        await clock.sleep_until(at(35))
        history = await records(scheduler, "job")
        run = await last_run(scheduler, "job")

    assert [10, 20, 30] == journal.times
    assert [(RunStatus.SUCCEEDED, None, due, 1) for due in (10, 20, 30)] == history
    assert "done" == run.result
