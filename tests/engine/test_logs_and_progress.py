"""What a run says of itself while it works."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
from collections.abc import Callable
from fractions import Fraction

import pytest
from support.schedules import at, last_run, since

from asched import Event, Interval, InvalidArgument, Once, Progress, Run, RunStatus, Scheduler, current_run
from asched.store import Store
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time

log = logging.getLogger("tests.jobs")


class Real(float):
    """As NumPy's float64 is."""


async def run_once(scheduler: Scheduler, job_id: str) -> Run:
    return await scheduler.wait_for_run((await scheduler.run_job_now(job_id)).id)


async def test_log_records_made_in_a_run_belong_to_it(scheduler: Scheduler, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    @scheduler.every(1).hours.id("coroutine")
    async def coroutine() -> None:
        log.info("of the coroutine")
        await asyncio.to_thread(log.warning, "of its %s", "thread")

    @scheduler.every(1).hours.id("plain")
    def plain() -> None:
        log.info("of the thread")

    async with scheduler:
        log.info("of nobody")
        first, second = await run_once(scheduler, "coroutine"), await run_once(scheduler, "plain")

    assert ("of the coroutine", "of its thread") == first.log
    assert ("of the thread",) == second.log


async def test_runs_side_by_side_do_not_mix_their_logs(
    scheduler: Scheduler, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def talk(word: str) -> None:
        for number in range(3):
            log.info("%s %d", word, number)
            await asyncio.sleep(1)

    async with scheduler:
        for word in ("a", "b", "c"):
            await scheduler.add_job(talk, Once(at(10)), id=word, args=[word])
        await clock.sleep_until(at(20))
        runs = [await last_run(scheduler, word) for word in ("a", "b", "c")]

    assert [tuple(f"{word} {number}" for number in range(3)) for word in ("a", "b", "c")] == [run.log for run in runs]


@pytest.mark.parametrize(
    ("lines", "size", "kept"), [(250, 10, 200), (100, 1_000, 16), (1, 17_000, 0)], ids=["lines", "bytes", "one line"]
)
async def test_log_of_a_run_is_bounded(
    lines: int, size: int, kept: int, scheduler: Scheduler, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    @scheduler.every(1).hours.id("talkative")
    async def talkative() -> None:
        for _ in range(lines):
            log.info("x" * size)

    async with scheduler:
        run = await run_once(scheduler, "talkative")

    assert kept == len(run.log)
    assert sum(map(len, run.log)) <= 16 * 1024


async def test_log_record_that_cannot_be_formatted_fails_nobody(
    scheduler: Scheduler, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    # The test's own handler would raise what the job's must swallow.
    monkeypatch.setattr(logging, "raiseExceptions", False)

    @scheduler.every(1).hours.id("job")
    async def work() -> None:
        log.info("%d", "no number")
        log.info("fine")

    async with scheduler:
        run = await run_once(scheduler, "job")

    assert RunStatus.SUCCEEDED is run.status
    assert "fine" == run.log[-1]


class Detached:
    """As an ORM's object without its session is."""

    def __str__(self) -> str:
        raise RuntimeError("not bound to a session")

    __repr__ = __str__


class Loud:
    def __str__(self) -> str:
        log.info("formatting")
        return "loud"


def _log_all() -> str:
    log.info(Detached())
    log.info("%s", Detached())
    log.info("%d %d", "x")
    log.info("%(a)s", {"b": 1})
    log.info(b"bytes")
    log.info(Loud())
    run = current_run()
    assert run is not None
    run.write("nul \0, surrogate \udcff")
    return "ok"


async def _log_all_on_the_loop() -> str:
    return _log_all()


@pytest.mark.parametrize("function", [_log_all, _log_all_on_the_loop], ids=["thread", "loop"])
async def test_no_log_record_harms_its_run(
    function: Callable[[], object],
    reopen: Callable[[], Store],
    clock: VirtualClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO)
    # Without pytest's handlers: they raise what they cannot format, and keep a surrogate that no worker can report.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    scheduler = Scheduler(reopen(), clock=clock)
    scheduler.register_function(function, name="function")
    async with scheduler:
        await scheduler.add_job(function, Interval(hours=1), id="job", max_retries=0)
        run = await run_once(scheduler, "job")

    assert (RunStatus.SUCCEEDED, "ok") == (run.status, run.result)
    assert any("<Detached, whose repr raises RuntimeError>" in line for line in run.log)
    assert 3 <= sum("could not be formatted (TypeError)" in line or "(KeyError)" in line for line in run.log) + 1
    assert {"b'bytes'", "loud", "nul \\x00, surrogate \\udcff"} <= set(run.log)


async def test_formatter_of_the_host_writes_the_errors_of_a_job_in_its_own_way(scheduler: Scheduler) -> None:
    class OneLine(logging.Formatter):
        def formatException(self, ei: object) -> str:
            return "one line"

    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(OneLine("%(message)s"))
    log.addHandler(handler)

    @scheduler.every(1).hours.id("job")
    async def work() -> None:
        try:
            raise ValueError("of the job")
        except ValueError:
            log.exception("it failed")

    try:
        async with scheduler:
            run = await run_once(scheduler, "job")
    finally:
        log.removeHandler(handler)

    assert "it failed\none line\n" == written.getvalue()
    assert run.log[0].startswith("it failed\nTraceback")
    assert run.log[0].endswith("ValueError: of the job")


async def test_stopped_scheduler_leaves_logging_as_it_was(scheduler: Scheduler) -> None:
    def installed() -> tuple[list[logging.Handler], object]:
        return list(logging.getLogger().handlers), logging.getLogRecordFactory()

    before = installed()
    async with scheduler:
        pass

    assert before == installed()


async def test_progress_is_seen_while_the_run_works_and_after(scheduler: Scheduler, clock: VirtualClock) -> None:
    heard: list[Event] = []
    scheduler.on("run.progress")(heard.append)

    async def work() -> None:
        run = current_run()
        assert run is not None
        for done in range(1, 5):
            run.progress(done, 4)
            await asyncio.sleep(2)

    async with scheduler:
        await scheduler.add_job(work, Once(at(10)), id="job")
        await clock.sleep_until(at(13.5))
        during = await last_run(scheduler, "job")
        await clock.sleep_until(at(30))
        after = await last_run(scheduler, "job")

    assert (RunStatus.RUNNING, Progress(2, 4)) == (during.status, during.progress)
    assert (RunStatus.SUCCEEDED, Progress(4, 4)) == (after.status, after.progress)
    assert 4 == len(heard)
    assert all((since(event.at) or 0) % 2 <= 1 for event in heard)


async def test_progress_may_be_said_in_a_thread_and_without_a_total(scheduler: Scheduler) -> None:
    @scheduler.every(1).hours.id("job")
    def work() -> None:
        run = current_run()
        assert run is not None
        for done in range(1_000):
            run.progress(done / 10)

    async with scheduler:
        run = await run_once(scheduler, "job")

    assert Progress(99.9, None) == run.progress


@pytest.mark.parametrize(
    ("done", "total", "kept"),
    [
        (1, 2**64, (1, 2.0**64)), (1, 10**400, (1, sys.float_info.max)), (Fraction(1, 2), None, (0.5, None)),
        (Real(0.5), Real(2), (0.5, 2)),
    ],
    ids=["64 bits", "400 digits", "fraction", "subclass"],
)  # fmt: skip
async def test_progress_in_any_number_is_kept_in_every_store(
    done: float, total: float, kept: tuple[float, float], reopen: Callable[[], Store], clock: VirtualClock
) -> None:
    scheduler = Scheduler(reopen(), clock=clock)
    ticks: list[float] = []

    async def search() -> None:
        run = current_run()
        assert run is not None
        run.progress(done, total)
        await asyncio.sleep(5)

    async def tick() -> None:
        ticks.append(clock.now())

    for function in (search, tick):
        scheduler.register_function(function, name=function.__name__)
    async with scheduler:
        await scheduler.add_job(search, Once(at(10)), id="job")
        await scheduler.add_job(tick, Interval(seconds=1), id="tick")
        await clock.sleep_until(at(13))
        during = await last_run(scheduler, "job")
        await clock.sleep_until(at(20.5))
        after = await last_run(scheduler, "job")

    assert (RunStatus.RUNNING, Progress(*kept)) == (during.status, during.progress)
    assert (RunStatus.SUCCEEDED, Progress(*kept)) == (after.status, after.progress)
    assert 20 == len(ticks)


@pytest.mark.parametrize(
    "wrong", [(float("nan"), 1), (float("inf"), 1), ("1", 2), (True, 2), (1, "2"), (None, 1), (1, float("nan"))]
)
async def test_progress_that_is_no_number_is_refused(wrong: tuple[float, float], scheduler: Scheduler) -> None:
    caught: list[InvalidArgument] = []

    @scheduler.every(1).hours.id("job")
    async def work() -> None:
        run = current_run()
        assert run is not None
        try:
            run.progress(*wrong)
        except InvalidArgument as error:
            caught.append(error)

    async with scheduler:
        run = await run_once(scheduler, "job")

    assert 1 == len(caught)
    assert run.progress is None


async def test_log_and_progress_of_a_failed_run_are_kept(
    scheduler: Scheduler, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def bad() -> None:
        run = current_run()
        assert run is not None
        log.info("attempt %d", run.attempt)
        run.progress(run.attempt, 10)
        raise ValueError("always")

    async with scheduler:
        await scheduler.add_job(bad, Interval(hours=1), id="job", max_retries=1, backoff=1)
        run = await run_once(scheduler, "job")

    assert RunStatus.FAILED is run.status
    assert "attempt 2" in run.log
    assert Progress(2, 10) == run.progress


async def test_passwords_in_urls_are_masked_in_the_log_of_a_run_and_in_the_line_of_its_failure(
    scheduler: Scheduler, caplog: pytest.LogCaptureFixture
) -> None:
    @scheduler.every(1).hours.id("job").retries(0)
    async def job() -> None:
        log.warning("connecting to pg://ada:%s@db", "hunter2")
        raise ConnectionError("no answer from pg://ada:hunter2@db")

    async with scheduler:
        run = await run_once(scheduler, "job")

    assert ("connecting to pg://***@db",) == run.log
    told = [record.getMessage() for record in caplog.records if record.name == "asched"]
    assert any("no answer from pg://***@db" in line for line in told)
    assert not any("hunter2" in line for line in told)
