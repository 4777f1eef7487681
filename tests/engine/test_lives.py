"""Loops, threads and hooks around a scheduler: none leaves it hanging, none is answered by the wrong loop."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.postgres import drop, require_postgres, url
from support.schedules import Journal, at, last_run
from support.store_factories import Require

from asched import Interval, MemoryStore, NotStarted, Once, Outcome, RunStatus, Scheduler, WrongLoop, current_run
from asched.events import Event
from asched.store import Store
from asched.stores.postgres import PostgresStore
from asched.stores.sqlite import SQLiteStore
from asched.testing import VirtualClock

word: contextvars.ContextVar[str] = contextvars.ContextVar("word", default="nothing")


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path, require: Require) -> Iterator[Callable[[], Store]]:
    """Each call returns a store over the same data, in real time and for any event loop."""
    if request.param == "memory":
        store = MemoryStore()
        yield lambda: store
    elif request.param == "sqlite":
        yield lambda: SQLiteStore(tmp_path / "jobs.db")
    else:
        require_postgres(require)
        schema = f"asched_test_{secrets.token_hex(5)}"
        yield lambda: PostgresStore.from_url(url(schema))
        drop(schema)


# Loops


def test_a_scheduler_runs_under_one_event_loop_after_another(reopen: Callable[[], Store]) -> None:
    scheduler = Scheduler(reopen())
    ran: list[int] = []

    async def work() -> None:
        ran.append(1)

    scheduler.register_function(work, name="work")

    async def life() -> None:
        async with scheduler:
            await scheduler.add_job(work, Interval(hours=1), id="job", if_exists="keep")
            # Several at once: what queues for a connection must belong to this loop.
            await asyncio.gather(*(scheduler.pause_job("job") for _ in range(5)))
            await asyncio.gather(*(scheduler.resume_job("job") for _ in range(5)))
            await scheduler.wait_for_run((await scheduler.run_job_now("job")).id)

    for _ in range(3):
        asyncio.run(life())

    assert [1, 1, 1] == ran


def test_a_scheduler_whose_loop_ended_without_a_stop_says_so_and_starts_anew(
    reopen: Callable[[], Store], caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = Scheduler(reopen())
    ran: list[int] = []

    async def work() -> None:
        ran.append(1)

    scheduler.register_function(work, name="work")

    async def forgetful() -> None:
        await scheduler.start()
        await scheduler.add_job(work, Interval(hours=1), id="job")

    async def next_one() -> None:
        async with scheduler:
            await scheduler.wait_for_run((await scheduler.run_job_now("job")).id)

    asyncio.run(forgetful())
    asyncio.run(next_one())

    assert [1] == ran
    assert 1 == sum("was closed without stop()" in record.message for record in caplog.records)


def test_stopping_a_scheduler_whose_loop_is_closed_lets_go_of_its_store(reopen: Callable[[], Store]) -> None:
    scheduler = Scheduler(reopen())
    asyncio.run(scheduler.start())

    asyncio.run(scheduler.stop())

    assert not scheduler.running
    other = Scheduler(reopen())

    async def life() -> None:
        async with other:
            pass

    asyncio.run(life())


@pytest.mark.parametrize("turns", range(1, 40, 3))
def test_a_start_that_is_cancelled_leaves_nothing_held(reopen: Callable[[], Store], turns: int) -> None:
    scheduler = Scheduler(reopen())
    scheduler.every(10).seconds.do(print, "x")

    async def cancelled() -> None:
        start = asyncio.ensure_future(scheduler.start())
        for _ in range(turns):
            await asyncio.sleep(0)
        start.cancel()
        await asyncio.wait([start])
        if not start.cancelled():
            await scheduler.stop()

    async def life() -> None:
        async with Scheduler(reopen()):
            pass

    asyncio.run(cancelled())

    assert "stopped" in repr(scheduler)
    asyncio.run(life())


# Threads


async def test_a_call_from_another_loop_is_refused_and_names_the_way_in(reopen: Callable[[], Store]) -> None:
    async with Scheduler(reopen()) as scheduler:

        def elsewhere() -> None:
            asyncio.run(scheduler.get_jobs())

        with pytest.raises(WrongLoop, match="from_thread"):
            await asyncio.to_thread(elsewhere)
        with pytest.raises(WrongLoop, match="from_thread"):
            await asyncio.to_thread(lambda: asyncio.run(scheduler.stop()))


async def test_a_thread_manages_jobs_through_the_door_in_its_own_context(reopen: Callable[[], Store]) -> None:
    async with Scheduler(reopen()) as scheduler:
        ran: list[str] = []

        async def work(name: str) -> str:
            ran.append(name)
            return name

        async def told() -> str:
            return word.get()

        scheduler.register_function(work, name="work")

        def threaded() -> tuple[str, str]:
            word.set("the thread's")
            scheduler.from_thread(add)
            run = scheduler.from_thread(scheduler.run_job_now, "job")
            return scheduler.from_thread(scheduler.wait_for_run, run.id).status, scheduler.from_thread(told)

        async def add() -> None:
            await scheduler.add_job(work, Interval(hours=1), id="job", args=("a",))

        assert (RunStatus.SUCCEEDED, "the thread's") == await asyncio.to_thread(threaded)
    assert ["a"] == ran


async def test_the_door_raises_what_the_call_raised() -> None:
    async with Scheduler() as scheduler:

        async def fails() -> None:
            raise TimeoutError("its own")

        with pytest.raises(TimeoutError, match="its own"):
            await asyncio.to_thread(scheduler.from_thread, fails)


async def test_the_door_refuses_the_loops_own_thread() -> None:
    async with Scheduler() as scheduler:
        with pytest.raises(WrongLoop, match="await"):
            scheduler.from_thread(scheduler.get_jobs)


async def test_the_door_starts_nothing() -> None:
    scheduler = Scheduler()

    with pytest.raises(NotStarted):
        await asyncio.to_thread(scheduler.from_thread, scheduler.get_jobs)


async def test_the_end_of_the_drain_releases_threads_that_wait_in_the_door() -> None:
    scheduler = Scheduler()
    await scheduler.start()
    inside = asyncio.Event()

    async def never() -> None:
        inside.set()
        await asyncio.Event().wait()

    waiting = asyncio.ensure_future(asyncio.to_thread(scheduler.from_thread, never))
    await inside.wait()
    await scheduler.stop()

    with pytest.raises(NotStarted):
        await waiting


async def test_a_job_in_a_thread_manages_jobs_while_the_stop_waits_for_it() -> None:
    scheduler = Scheduler()
    begun = threading.Event()
    answers: list[int] = []

    def work() -> None:
        begun.set()
        answers.extend(len(scheduler.from_thread(scheduler.get_jobs)) for _ in range(50))

    await scheduler.start()
    await scheduler.add_job(work, Interval(hours=1), id="job")
    await scheduler.run_job_now("job")
    await asyncio.to_thread(begun.wait)
    await scheduler.stop()

    assert [1] * 50 == answers


# Stops


@pytest.mark.virtual_time
async def test_a_second_stop_with_a_shorter_wait_shortens_the_first(clock: VirtualClock, journal: Journal) -> None:
    scheduler = Scheduler(clock=clock)

    async def work() -> None:
        await asyncio.sleep(1_000)

    await scheduler.start()
    await scheduler.add_job(work, Once(at(0)), id="job")
    await clock.sleep_until(at(1))
    first = asyncio.ensure_future(scheduler.stop(timeout=500))
    await clock.sleep_until(at(10))
    await scheduler.stop(timeout=5)
    await first

    assert 15 <= journal.now() < 17


@pytest.mark.virtual_time
async def test_a_second_stop_with_a_longer_wait_changes_nothing(clock: VirtualClock, journal: Journal) -> None:
    scheduler = Scheduler(clock=clock, drain=500)

    async def work() -> None:
        await asyncio.sleep(1_000)

    await scheduler.start()
    await scheduler.add_job(work, Once(at(0)), id="job")
    await clock.sleep_until(at(1))
    first = asyncio.ensure_future(scheduler.stop(timeout=5))
    await clock.sleep_until(at(2))
    await scheduler.stop()
    await first

    assert 6 <= journal.now() < 8


@pytest.mark.virtual_time
async def test_the_schedulers_drain_is_what_a_stop_waits_that_says_nothing(
    clock: VirtualClock, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = Scheduler(clock=clock, drain=7)

    async def work() -> None:
        await asyncio.sleep(1_000)

    await scheduler.start()
    await scheduler.add_job(work, Once(at(0)), id="job")
    await clock.sleep_until(at(1))
    await scheduler.stop()

    assert 8 <= journal.now() < 10
    [said] = [record.message for record in caplog.records if "the stop interrupts" in record.message]
    assert "1 attempt(s): job (run " in said


# Hooks


@pytest.mark.virtual_time
async def test_a_hook_may_stop_the_scheduler(clock: VirtualClock) -> None:
    scheduler = Scheduler(clock=clock)
    returned = asyncio.Event()

    @scheduler.on("run.failed")
    async def stop_everything(event: Event) -> None:
        await scheduler.stop()
        returned.set()

    async def fails() -> None:
        raise ValueError("x")

    await scheduler.start()
    await scheduler.add_job(fails, Once(at(0)), id="job", max_retries=0)
    await returned.wait()
    await scheduler.stop()

    assert not scheduler.running


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("timeout", "wait", "patience"), [(0.2, True, 1), (4, True, 4), (60, True, 10), (60, False, 0)]
)
async def test_a_hook_that_hangs_is_given_up_and_named(
    clock: VirtualClock, journal: Journal, caplog: pytest.LogCaptureFixture, timeout: float, wait: bool, patience: int
) -> None:
    scheduler = Scheduler(clock=clock)
    hooked = asyncio.Event()

    @scheduler.on("run.succeeded")
    async def hangs(event: Event) -> None:
        hooked.set()
        await asyncio.sleep(10_000)

    async def work() -> None:
        pass

    await scheduler.start()
    await scheduler.add_job(work, Once(at(0)), id="job")
    await hooked.wait()
    begun = journal.now()
    await scheduler.stop(wait=wait, timeout=timeout)

    assert patience <= journal.now() - begun < patience + 1
    assert any("hangs" in record.message for record in caplog.records if record.levelno == logging.WARNING)


@pytest.mark.virtual_time
async def test_a_job_that_stops_the_scheduler_is_drained_like_any_other(clock: VirtualClock) -> None:
    scheduler = Scheduler(clock=clock)
    ended = asyncio.Event()

    async def work() -> str:
        await scheduler.stop()
        await asyncio.sleep(3)
        ended.set()
        return "went on"

    await scheduler.start()
    await scheduler.add_job(work, Once(at(0)), id="job")
    await ended.wait()
    await scheduler.stop()
    await scheduler.start()
    run = await last_run(scheduler, "job")
    await scheduler.stop()

    assert (RunStatus.SUCCEEDED, [Outcome.OK]) == (run.status, [attempt.outcome for attempt in run.attempts])


def test_a_run_outside_a_scheduler_is_none() -> None:
    assert current_run() is None
