"""A scheduler's life: start, stop, ``async with``, ``run_forever``, and what works before and after."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.schedules import Journal, at, records, since

from asched import (
    AlreadyStarted,
    Daily,
    Interval,
    InvalidArgument,
    MemoryStore,
    NotStarted,
    RunStatus,
    Scheduler,
    StoreUnavailable,
)
from asched.clock import Clock
from asched.store import Limits
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time


async def nothing() -> None:
    """A job for tests that do not look at what it does."""


async def _read_events(scheduler: Scheduler) -> None:
    scheduler.subscribe()


NEEDS_A_RUNNING_SCHEDULER: dict[str, Callable[[Scheduler], Awaitable[object]]] = {
    "add_job": lambda s: s.add_job(nothing, Interval(seconds=1)),
    "create_job": lambda s: s.create_job(
        func_name="f", func_module="m", schedule_type="interval", schedule_config={"interval": 1}
    ),
    "get_job": lambda s: s.get_job("x"),
    "get_jobs": lambda s: s.get_jobs(),
    "update_job": lambda s: s.update_job("x", name="y"),
    "preview": lambda s: s.preview("x"),
    "pause_job": lambda s: s.pause_job("x"),
    "resume_job": lambda s: s.resume_job("x"),
    "cancel_job": lambda s: s.cancel_job("x"),
    "cancel_job_by_name": lambda s: s.cancel_job_by_name("x"),
    "run_job_now": lambda s: s.run_job_now("x"),
    "get_run": lambda s: s.get_run("1"),
    "cancel_run": lambda s: s.cancel_run("1"),
    "wait_for_run": lambda s: s.wait_for_run("1"),
    "get_history": lambda s: s.get_history(),
    "get_groups": lambda s: s.get_groups(),
    "pause_group": lambda s: s.pause_group("default"),
    "resume_group": lambda s: s.resume_group("default"),
    "cancel_group": lambda s: s.cancel_group("default"),
    "get_dead_letters": lambda s: s.get_dead_letters(),
    "retry_dead_letter": lambda s: s.retry_dead_letter("1"),
    "discard_dead_letter": lambda s: s.discard_dead_letter("1"),
    "clear_dead_letters": lambda s: s.clear_dead_letters(),
    "get_statistics": lambda s: s.get_statistics(),
    "nodes": lambda s: s.nodes(),
    "subscribe": _read_events,
}
WORKS_WITHOUT = {
    "start", "stop", "run_forever", "running", "every", "hourly", "daily", "weekly", "cron", "once", "at", "trigger",
    "register_function", "functions", "on", "shutdown_connection", "is_shutdown_requested", "store_available",
    "executing", "failures", "from_thread", "healthy",
}  # fmt: skip


def test_every_public_method_says_whether_it_needs_a_running_scheduler() -> None:
    public = {name for name in dir(Scheduler) if not name.startswith("_")}

    assert public == NEEDS_A_RUNNING_SCHEDULER.keys() | WORKS_WITHOUT


@pytest.mark.parametrize("call", NEEDS_A_RUNNING_SCHEDULER.values(), ids=NEEDS_A_RUNNING_SCHEDULER.keys())
async def test_management_raises_before_start_and_after_stop(
    call: Callable[[Scheduler], Awaitable[object]], scheduler: Scheduler
) -> None:
    with pytest.raises(NotStarted, match=r"await scheduler.start\(\) first"):
        await call(scheduler)
    await scheduler.start()
    await scheduler.stop()

    with pytest.raises(NotStarted, match=r"await scheduler.start\(\) first"):
        await call(scheduler)


async def test_decorators_functions_and_hooks_are_accepted_before_start(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    heard: list[str] = []

    @scheduler.on("run.succeeded")
    def hear(event: object) -> None:
        heard.append("run.succeeded")

    @scheduler.every(10).seconds
    async def work() -> None:
        journal.note()

    name = scheduler.register_function(nothing)
    async with scheduler:
        await clock.sleep_until(at(10.5))
        jobs = await scheduler.get_jobs()

    assert ["run.succeeded"] == heard
    assert [10] == journal.times
    assert 1 == len(jobs)
    assert name in scheduler.functions()


async def test_running_is_true_between_start_and_stop(scheduler: Scheduler) -> None:
    before = scheduler.running
    await scheduler.start()
    during = scheduler.running
    await scheduler.stop()

    assert (False, True, False) == (before, during, scheduler.running)


async def test_second_start_is_refused_and_changes_nothing(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    @scheduler.every(10).seconds
    async def work() -> None:
        journal.note()

    async with scheduler:
        with pytest.raises(AlreadyStarted, match="running"):
            await scheduler.start()
        await clock.sleep_until(at(25))

    assert [10, 20] == journal.times


async def test_two_starts_at_once_make_one_scheduler(scheduler: Scheduler) -> None:
    answers = await asyncio.gather(scheduler.start(), scheduler.start(), return_exceptions=True)
    nodes = await scheduler.nodes()
    await scheduler.stop()

    assert [None, AlreadyStarted] == [answer and type(answer) for answer in answers]
    assert 1 == len(nodes)


async def test_stop_of_a_stopped_scheduler_does_nothing(scheduler: Scheduler) -> None:
    await scheduler.stop()
    await scheduler.start()
    await asyncio.gather(scheduler.stop(), scheduler.stop())
    await scheduler.stop()

    assert not scheduler.running


async def test_start_after_stop_runs_jobs_again(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    @scheduler.every(10).seconds
    async def work() -> None:
        journal.note()

    async with scheduler:
        await clock.sleep_until(at(12))
    async with scheduler:
        await clock.sleep_until(at(32))

    assert [10, 20, 30] == journal.times


async def test_async_with_stops_the_scheduler_when_its_body_fails(scheduler: Scheduler) -> None:
    with pytest.raises(ZeroDivisionError):
        async with scheduler:
            raise ZeroDivisionError

    assert not scheduler.running


async def test_start_that_fails_leaves_a_scheduler_that_can_start(clock: VirtualClock) -> None:
    class AwayOnce(MemoryStore):
        tries = 0

        async def generation(self, declarations: str) -> int:
            self.tries += 1
            if self.tries == 1:
                raise StoreUnavailable("the database restarts")
            return await super().generation(declarations)

    scheduler = Scheduler(AwayOnce(), clock=clock)
    with pytest.raises(StoreUnavailable):
        await scheduler.start()

    assert not scheduler.running
    async with scheduler:
        assert scheduler.running


async def test_nothing_starts_after_stop(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    @scheduler.every(10).seconds
    async def work() -> None:
        journal.note()

    async with scheduler:
        await clock.sleep_until(at(9.9))
    await clock.sleep_until(at(100))

    assert [] == journal.times


async def test_stop_leaves_no_task_behind(scheduler: Scheduler, clock: VirtualClock) -> None:
    @scheduler.every(1).seconds
    def work() -> None:
        """Runs in a thread."""

    @scheduler.on("run.succeeded")
    async def hook(event: object) -> None:
        await asyncio.sleep(0.5)

    before = asyncio.all_tasks()
    async with scheduler:
        scheduler.subscribe()
        await clock.sleep_until(at(5.5))

    assert before == asyncio.all_tasks()


async def test_names_keep_two_applications_apart_on_one_store(clock: VirtualClock) -> None:
    store = MemoryStore()
    async with Scheduler(store, name="first", clock=clock):
        with pytest.raises(InvalidArgument, match="holds the schedule 'first'"):
            await Scheduler(store, name="second", clock=clock).start()


async def test_timezone_of_the_scheduler_is_that_of_triggers_that_name_none(clock: VirtualClock) -> None:
    scheduler = Scheduler(timezone="Asia/Tokyo", clock=clock)
    async with scheduler:
        plain = await scheduler.add_job(nothing, Daily("09:30"))
        own = await scheduler.add_job(nothing, Daily("09:30", timezone="Europe/Paris"))

    assert 1_800 == since(plain.next_run_at)
    assert 8.5 * 3_600 == since(own.next_run_at)


async def test_zone_of_the_host_plays_no_part(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        async with Scheduler(clock=clock) as scheduler:
            job = await scheduler.add_job(nothing, Daily("09:00"))
    finally:
        monkeypatch.undo()
        time.tzset()

    assert 9 * 3_600 == since(job.next_run_at)


def test_unknown_zone_is_refused_with_a_suggestion() -> None:
    with pytest.raises(InvalidArgument, match="Europe/Paris"):
        Scheduler(timezone="Europe/Pariss")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("name", ""), ("name", "a\nb"), ("name", 3), ("max_workers", 0), ("max_workers", True), ("max_workers", 1.5),
        ("max_concurrency", 0), ("catch_up_window", -1), ("catch_up_window", float("nan")), ("history_limit", -1),
        ("history_retention", timedelta(seconds=-1)), ("max_dead_letters", "many"), ("generation", -1),
        ("store", 7), ("store", MemoryStore),
    ],
)  # fmt: skip
def test_wrong_option_of_the_scheduler_is_refused_by_its_name(option: str, value: object) -> None:
    with pytest.raises(InvalidArgument, match=option) as caught:
        Scheduler(**{option: value})  # type: ignore[arg-type]  # the point of the test

    assert option == caught.value.field


def test_unknown_scheme_is_refused_with_those_that_exist() -> None:
    with pytest.raises(InvalidArgument, match="sqlite:///"):
        Scheduler("mongodb://localhost/jobs")


@pytest.mark.skipif(find_spec("asched.stores.sqlite") is None, reason="this checkout has no SQLite store")
def test_missing_driver_names_the_extra_that_brings_it(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['aiosqlite'] = None\n"
        "import asched\n"
        "try: asched.Scheduler('sqlite:///jobs.db')\n"
        "except asched.MissingExtra as error: print(isinstance(error, ImportError), error)\n"
    )

    said = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert "True" in said.stdout and "asched-py[sqlite]" in said.stdout, said.stderr


async def test_max_concurrency_bounds_the_runs_of_a_node(clock: VirtualClock, journal: Journal) -> None:
    scheduler = Scheduler(max_concurrency=2, clock=clock)
    most = running = 0

    async def work() -> None:
        nonlocal most, running
        running += 1
        most = max(most, running)
        journal.note()
        await asyncio.sleep(10)
        running -= 1

    async with scheduler:
        for _ in range(5):
            await scheduler.add_job(work, Interval(hours=1))
        await clock.sleep_until(at(3_700))

    assert 2 == most
    assert [3_600, 3_600, 3_610, 3_610, 3_620] == journal.times


RUN_FOREVER = """
import asyncio, logging, sys
from asched import Scheduler
scheduler = Scheduler()
stops = asyncio.Event()

@scheduler.every(0.05).seconds
async def work():
    print("begun", flush=True)
    await stops.wait()
    await asyncio.sleep(0.3)
    print("ended", flush=True)

@scheduler.on("scheduler.stopping")
def stopping(event):
    print("stopping", flush=True)
    stops.set()

asyncio.run(scheduler.run_forever())
print("running", scheduler.running, "requested", scheduler.is_shutdown_requested(), flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_run_forever_after_the_running_attempt(number: signal.Signals, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", RUN_FOREVER], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(number)
    rest, errors = process.communicate(timeout=60)

    assert "begun\n" == first
    assert ["stopping", "ended", "running False requested True"] == rest.splitlines()
    assert 0 == process.returncode, errors
    assert "" == errors


async def test_run_forever_ends_when_another_task_stops_the_scheduler(scheduler: Scheduler) -> None:
    forever = asyncio.ensure_future(scheduler.run_forever())
    await asyncio.sleep(5)
    assert scheduler.running
    await scheduler.stop()
    await forever

    assert not scheduler.running


async def test_cancelled_run_forever_stops_the_scheduler(scheduler: Scheduler) -> None:
    before = signal.getsignal(signal.SIGTERM)
    forever = asyncio.ensure_future(scheduler.run_forever())
    await asyncio.sleep(5)
    forever.cancel()
    await asyncio.wait([forever])

    assert forever.cancelled()
    assert not scheduler.running
    assert before == signal.getsignal(signal.SIGTERM)


async def test_shutdown_request_is_seen_at_once_and_gone_at_the_next_start(scheduler: Scheduler) -> None:
    assert not scheduler.is_shutdown_requested()
    await scheduler.start()
    scheduler.shutdown_connection()
    asked = scheduler.is_shutdown_requested()
    await scheduler.stop()
    async with scheduler:
        after = scheduler.is_shutdown_requested()

    assert (True, False) == (asked, after)


async def test_statistics_count_runs_failures_and_uptime(scheduler: Scheduler, clock: VirtualClock) -> None:
    @scheduler.every(10).seconds.id("good")
    async def good() -> None:
        pass

    @scheduler.every(20).seconds.retries(0).id("bad")
    async def bad() -> None:
        raise ValueError("bad")

    async with scheduler:
        await clock.sleep_until(at(45))
        statistics = await scheduler.get_statistics()

    assert statistics.running
    assert 45 == statistics.uptime
    assert (2, 0, 6, 2) == (
        statistics.active_jobs,
        statistics.active_runs,
        statistics.total_runs,
        statistics.total_failures,
    )
    assert pytest.approx(4 / 6) == statistics.success_rate
    assert {"good": (4, 0, 0), "bad": (2, 2, 0)} == {
        job_id: (counts.runs, counts.failures, counts.retries) for job_id, counts in statistics.per_job.items()
    }
    assert 1 == statistics.nodes
    assert at(0) == statistics.since


async def test_nodes_name_this_process(scheduler: Scheduler) -> None:
    async with scheduler:
        [node] = await scheduler.nodes()

    assert os.getpid() == node.pid
    assert f":{os.getpid()}" in node.name


async def test_repr_says_name_store_and_state(scheduler: Scheduler) -> None:
    assert "<asched.Scheduler 'default' on memory, stopped>" == repr(scheduler)


async def test_failing_job_stops_neither_the_loop_nor_its_neighbour(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    @scheduler.every(10).seconds.retries(0).id("bad")
    async def bad() -> None:
        raise ValueError("bad")

    @scheduler.every(10).seconds.id("good")
    async def good() -> None:
        journal.note()

    async with scheduler:
        await clock.sleep_until(at(35))
        failed = await records(scheduler, "bad")

    assert [10, 20, 30] == journal.times
    assert [(RunStatus.FAILED, None, due, 1) for due in (10, 20, 30)] == failed


async def test_job_that_stops_its_scheduler_ends_as_it_would_and_the_scheduler_stops(clock: VirtualClock) -> None:
    store = MemoryStore()
    scheduler = Scheduler(store, clock=clock)

    async def last() -> str:
        await scheduler.stop()
        return "done"

    await scheduler.start()
    job = await scheduler.add_job(last, Interval(hours=1))
    run = await scheduler.run_job_now(job.id)
    await asyncio.sleep(1)

    assert not scheduler.running
    [record] = await store.get_runs([int(run.id, 16)])
    assert record is not None
    assert RunStatus.SUCCEEDED is record.status


class SlowToOpen(MemoryStore):
    async def open(self, namespace: str, limits: Limits, clock: Clock) -> None:
        await asyncio.sleep(3)
        await super().open(namespace, limits, clock)


async def test_stop_during_a_start_waits_for_it_and_stops(clock: VirtualClock) -> None:
    scheduler = Scheduler(SlowToOpen(), clock=clock)
    starting = asyncio.ensure_future(scheduler.start())
    await asyncio.sleep(1)

    await scheduler.stop()

    await starting
    assert not scheduler.running
    with pytest.raises(NotStarted):
        await scheduler.get_jobs()
