"""What stop() waits for, what it interrupts, and what the next start makes of that."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest
from support.schedules import Gate, Journal, at, last_run, records, runs_of, since

from asched import (
    Abort,
    Interval,
    InvalidArgument,
    MemoryStore,
    NotStarted,
    Once,
    Outcome,
    Reason,
    Run,
    RunStatus,
    Scheduler,
    StoreUnavailable,
    current_run,
)
from asched.store import ClaimedRow, ClaimRow, FinishRow, Live, Store, Timer
from asched.testing import VirtualClock, run_virtual

pytestmark = pytest.mark.virtual_time

Reopen = Callable[[], Store]


class Slow:
    """A job of every 100 s whose run takes 20 s, in schedulers over one store."""

    def __init__(self, reopen: Reopen, clock: VirtualClock, journal: Journal) -> None:
        self._reopen, self._clock, self._journal = reopen, clock, journal
        self.body: Callable[[], Awaitable[None]] | None = None
        """What the job does instead of sleeping for 20 s."""

    async def work(self) -> None:
        run = current_run()
        assert run is not None
        self._journal.note(run.attempt)
        await (asyncio.sleep(20) if self.body is None else self.body())

    def scheduler(self, *, takes_part: bool = True) -> Scheduler:
        scheduler = Scheduler(self._reopen(), clock=self._clock)
        if takes_part:
            scheduler.register_function(self.work, name="work")
        return scheduler

    async def started(self, **job: object) -> Scheduler:
        """A scheduler whose job has run for 5 s, at second 105."""
        scheduler = self.scheduler()
        await scheduler.start()
        await scheduler.add_job(self.work, Interval(seconds=100), id="job", **job)  # type: ignore[arg-type]
        await self._clock.sleep_until(at(105))
        return scheduler

    async def read(self) -> Run:
        """The job's last run as the store has it, seen by a scheduler that runs nothing."""
        async with self.scheduler(takes_part=False) as scheduler:
            return await last_run(scheduler, "job")


@pytest.fixture
async def slow(reopen: Reopen, clock: VirtualClock, journal: Journal) -> Slow:
    return Slow(reopen, clock, journal)


async def test_stop_waits_for_the_running_attempt(slow: Slow, journal: Journal) -> None:
    scheduler = await slow.started()
    await scheduler.stop()

    assert 120 == journal.now()
    assert RunStatus.SUCCEEDED is (await slow.read()).status


async def test_stop_waits_no_longer_than_its_timeout(slow: Slow, journal: Journal) -> None:
    scheduler = await slow.started()
    await scheduler.stop(timeout=3)
    stopped = journal.now()
    run = await slow.read()

    assert 108 == stopped
    assert (RunStatus.PENDING, [Outcome.INTERRUPTED]) == (run.status, [attempt.outcome for attempt in run.attempts])


async def test_stop_without_waiting_interrupts_at_once(slow: Slow, journal: Journal) -> None:
    scheduler = await slow.started()
    await scheduler.stop(wait=False)
    stopped = journal.now()
    run = await slow.read()

    assert 105 == stopped
    assert (RunStatus.PENDING, [Outcome.INTERRUPTED]) == (run.status, [attempt.outcome for attempt in run.attempts])


async def test_interrupted_run_starts_again_without_using_up_an_attempt(
    slow: Slow, clock: VirtualClock, journal: Journal
) -> None:
    scheduler = await slow.started(max_retries=0)
    await scheduler.stop(wait=False)
    await clock.sleep_until(at(110))
    async with slow.scheduler() as scheduler:
        await clock.sleep_until(at(135))
        [run] = await runs_of(scheduler, "job")
        job = await scheduler.get_job("job")

    assert [100, 110] == journal.times
    assert [1, 1] == journal.words
    assert (RunStatus.SUCCEEDED, 1) == (run.status, run.attempt)
    assert (100, 100, 130) == (since(run.due_at), since(run.started_at), since(run.ended_at))
    assert [Outcome.INTERRUPTED, Outcome.OK] == [attempt.outcome for attempt in run.attempts]
    assert (1, 0, 0) == (job.run_count, job.failure_count, job.retry_count)


class Connection:
    """A context manager whose exit fails once the scheduler has told the attempt to end."""

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        raise ConnectionError("the server is gone")


async def _fails_in_except() -> None:
    try:
        await asyncio.sleep(20)
    except asyncio.CancelledError:
        raise ConnectionError("the server is gone") from None


async def _fails_in_finally() -> None:
    try:
        await asyncio.sleep(20)
    finally:
        raise ConnectionError("the server is gone")


async def _fails_in_aexit() -> None:
    async with Connection():
        await asyncio.sleep(20)


async def _fails_in_a_child() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_fails_in_except())


async def _aborts_in_except() -> None:
    try:
        await asyncio.sleep(20)
    except asyncio.CancelledError:
        raise Abort("told to end") from None


@pytest.mark.parametrize(
    "body", [_fails_in_except, _fails_in_finally, _fails_in_aexit, _fails_in_a_child, _aborts_in_except]
)
@pytest.mark.parametrize("waits", [True, False], ids=["wait", "no wait"])
async def test_interrupted_run_costs_no_attempt_whatever_its_clean_up_raises(
    body: Callable[[], Awaitable[None]],
    waits: bool,
    slow: Slow,
    clock: VirtualClock,
    journal: Journal,
    caplog: pytest.LogCaptureFixture,
) -> None:
    slow.body = body
    scheduler = await slow.started(max_retries=0)
    await scheduler.stop(wait=waits, timeout=3)
    stopped = await slow.read()
    slow.body = None
    async with slow.scheduler() as scheduler:
        await clock.sleep_until(at(135))
        [run] = await runs_of(scheduler, "job")
        letters = await scheduler.get_dead_letters()

    assert (RunStatus.PENDING, 1, None) == (stopped.status, stopped.attempt, stopped.error)
    assert RunStatus.SUCCEEDED is run.status
    assert [Outcome.INTERRUPTED, Outcome.OK] == [attempt.outcome for attempt in run.attempts]
    assert [] == list(letters)
    [warning] = [record.getMessage() for record in caplog.records if "on its way out" in record.getMessage()]
    assert f"run {run.id} of job job was told to end (interrupted)" in warning


async def test_exit_raised_by_a_clean_up_still_ends_the_program() -> None:
    def program() -> None:
        async def job() -> None:
            try:
                await asyncio.sleep(20)
            finally:
                raise SystemExit(3)

        async def main() -> None:
            async with Scheduler() as scheduler:
                await scheduler.add_job(job, Interval(hours=1), id="job")
                await scheduler.run_job_now("job")
                await asyncio.sleep(0.1)
                await scheduler.cancel_job("job", running="cancel")
                await asyncio.sleep(20)

        run_virtual(main())

    with pytest.raises(SystemExit) as caught:
        await asyncio.to_thread(program)
    assert 3 == caught.value.code


async def test_interrupted_run_of_a_job_that_says_lost_is_lost(
    slow: Slow, clock: VirtualClock, journal: Journal
) -> None:
    scheduler = await slow.started(on_crash="lost")
    await scheduler.stop(wait=False)
    async with slow.scheduler() as scheduler:
        await clock.sleep_until(at(150))
        [run] = await runs_of(scheduler, "job")
        letters = await scheduler.get_dead_letters()

    assert [100] == journal.times
    assert (RunStatus.LOST, Reason.STOPPED) == (run.status, run.reason)
    assert [run.id] == [letter.id for letter in letters]


async def test_stop_never_waits_for_a_back_off(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    @scheduler.once(10).retries(3, backoff=600).id("bad")
    async def bad() -> None:
        raise ValueError("always")

    async with scheduler:
        await clock.sleep_until(at(15))

    assert 15 == journal.now()


async def test_coroutine_that_swallows_its_cancellation_cannot_hold_up_stop(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    release = asyncio.Event()

    @scheduler.once(10).id("stubborn")
    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                journal.note()

    await scheduler.start()
    await clock.sleep_until(at(15))
    await scheduler.stop(timeout=5)
    stopped = journal.now()
    release.set()

    assert [20] == journal.times
    assert 20 <= stopped <= 22


async def test_thread_that_does_not_return_is_interrupted_and_left_behind(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    gate = Gate(clock)
    scheduler.once(10).id("stuck")(gate.wait)
    await scheduler.start()
    await clock.sleep_until(at(15))
    await scheduler.stop(timeout=5)
    stopped = journal.now()
    await gate.open()
    async with scheduler:
        await asyncio.sleep(1)
        run = await last_run(scheduler, "stuck")

    assert 20 == stopped
    assert [Outcome.INTERRUPTED, Outcome.OK] == [attempt.outcome for attempt in run.attempts]


async def test_stop_says_so_before_it_waits(scheduler: Scheduler, clock: VirtualClock) -> None:
    heard: list[str] = []

    @scheduler.once(10)
    async def work() -> None:
        await asyncio.sleep(10)

    @scheduler.on("scheduler.stopping")
    def stopping(event: object) -> None:
        heard.append("stopping")

    @scheduler.on("run.succeeded")
    def succeeded(event: object) -> None:
        heard.append("succeeded")

    async with scheduler:
        await clock.sleep_until(at(15))

    assert ["stopping", "succeeded"] == heard


async def test_draining_starts_nothing_new(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    @scheduler.once(10)
    async def slow() -> None:
        await asyncio.sleep(15)

    @scheduler.every(4).seconds
    async def quick() -> None:
        journal.note()

    async with scheduler:
        await clock.sleep_until(at(13))

    assert 25 == journal.now()
    assert [4, 8, 12] == journal.times


async def test_waiter_for_a_run_is_told_that_the_scheduler_stopped(scheduler: Scheduler, clock: VirtualClock) -> None:
    @scheduler.every(1).hours.id("bad").retries(3, backoff=600)
    async def bad() -> None:
        raise ValueError("always")

    await scheduler.start()
    run = await scheduler.run_job_now("bad")
    waiting = asyncio.ensure_future(scheduler.wait_for_run(run.id))
    await asyncio.sleep(5)
    await scheduler.stop()

    with pytest.raises(NotStarted):
        await waiting


@pytest.mark.parametrize("timeout", [-1, float("nan"), "5"])
async def test_wrong_timeout_is_refused_and_the_scheduler_goes_on(timeout: object, scheduler: Scheduler) -> None:
    async with scheduler:
        with pytest.raises(InvalidArgument, match="timeout"):
            await scheduler.stop(timeout=timeout)  # type: ignore[arg-type]  # the point of the test
        assert scheduler.running


async def test_threads_end_with_the_scheduler(scheduler: Scheduler, clock: VirtualClock) -> None:
    @scheduler.every(1).seconds
    def work() -> None:
        pass

    async with scheduler:
        await clock.sleep_until(at(3))
        during = threading.active_count()
    # anyio keeps a thread for the next caller; it is idle and ends with the event loop.
    idle = [thread for thread in threading.enumerate() if thread.name.startswith("AnyIO")]

    assert during >= 2
    assert len(idle) <= 4


async def test_job_may_stop_its_own_scheduler(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    stops: list[asyncio.Task[None]] = []

    @scheduler.once(10).id("last")
    async def last() -> str:
        stops.append(asyncio.ensure_future(scheduler.stop()))
        await asyncio.sleep(1)
        return "done"

    await scheduler.start()
    await clock.sleep_until(at(20))
    async with scheduler:
        history = await records(scheduler, "last")
        run = await last_run(scheduler, "last")

    assert stops[0].done()
    assert [(RunStatus.SUCCEEDED, None, 10, 1)] == history
    assert "done" == run.result


class SlowToClaim(MemoryStore):
    """A memory store whose answers to claims are ``late`` seconds late."""

    late = 0.0

    async def claim(self, epoch: int, claims: Sequence[ClaimRow]) -> Sequence[ClaimedRow]:
        answers = await super().claim(epoch, claims)
        await asyncio.sleep(self.late)
        return answers


async def test_claim_that_is_under_way_when_the_scheduler_stops_is_run_and_waited_for(
    clock: VirtualClock, journal: Journal
) -> None:
    store = SlowToClaim()

    async def work() -> None:
        journal.note()
        await asyncio.sleep(5)

    scheduler = Scheduler(store, clock=clock)
    scheduler.register_function(work, name="app:work")
    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=10), id="job")
        await clock.sleep_until(at(9))
        store.late = 3.0
        await clock.sleep_until(at(11))
    stopped = journal.now()

    async with Scheduler(store, clock=clock) as scheduler:
        run = await last_run(scheduler, "job")
    assert [13] == journal.times
    assert 18 == stopped
    assert (RunStatus.SUCCEEDED, 10) == (run.status, since(run.due_at))


async def test_claim_that_is_answered_after_the_drain_starts_nothing_and_runs_at_the_next_start(
    clock: VirtualClock, journal: Journal
) -> None:
    store = SlowToClaim()

    async def stubborn() -> None:
        end = clock.elapsed() + 20
        while clock.elapsed() < end:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.1)

    async def work() -> None:
        journal.note()

    scheduler = Scheduler(store, clock=clock)
    for function, name in ((stubborn, "app:stubborn"), (work, "app:work")):
        scheduler.register_function(function, name=name)
    async with scheduler:
        await scheduler.add_job(stubborn, Once(at(5)))
        await scheduler.add_job(work, Once(at(10)), id="job", on_crash="lost")
        await clock.sleep_until(at(9))
        store.late = 1.5
        await clock.sleep_until(at(11))
        # The claim is answered half a second after the runs have been told to end, and half before they are given up.
        await scheduler.stop(wait=False)
        times_before = list(journal.times)
        await clock.sleep_until(at(30))
        store.late = 0.0
        await scheduler.start()
        await clock.sleep_until(at(40))
        run = await last_run(scheduler, "job")

    assert ([], [30]) == (times_before, journal.times)
    assert (RunStatus.SUCCEEDED, 1, [Outcome.OK]) == (run.status, run.attempt, [each.outcome for each in run.attempts])


class Unreachable(MemoryStore):
    """A memory store that takes no claims and no ends of runs while it is ``away``."""

    away = False

    def __init__(self) -> None:
        super().__init__(lease=30.0)
        self.refused_end = asyncio.Event()

    def check(self) -> None:
        if self.away:
            raise StoreUnavailable("away")

    async def claim(self, epoch: int, claims: Sequence[ClaimRow]) -> Sequence[ClaimedRow]:
        self.check()
        return await super().claim(epoch, claims)

    async def claims(self, epoch: int) -> list[Live]:
        self.check()
        return await super().claims(epoch)

    async def finish(self, epoch: int, ends: Sequence[FinishRow]) -> tuple[Sequence[bool | None], list[Timer]]:
        if self.away:
            self.refused_end.set()
        self.check()
        return await super().finish(epoch, ends)


class Outage:
    """A job of every 10 s that takes 5 s; its store goes away at second 11, and the scheduler stops after 40 s."""

    def __init__(self, clock: VirtualClock, journal: Journal) -> None:
        self.store = Unreachable()
        self._clock, self._journal = clock, journal

    async def work(self) -> None:
        run = current_run()
        assert run is not None
        self._journal.note(since(run.due_at))
        await asyncio.sleep(5)

    def scheduler(self) -> Scheduler:
        scheduler = Scheduler(self.store, clock=self._clock)
        scheduler.register_function(self.work, name="work")
        return scheduler

    async def stop(self, back: bool, **job: object) -> None:
        """Stop a scheduler just after the store has refused the end of its run, with the store back or still away."""
        scheduler = self.scheduler()
        await scheduler.start()
        await scheduler.add_job(self.work, Interval(seconds=10), id="job", **job)  # type: ignore[arg-type]
        await self._clock.sleep_until(at(11))
        self.store.away = True
        await self._clock.sleep_until(at(51))
        # By now the back-off is longer than a stop takes that does not wait: the end is not said again by itself.
        self.store.refused_end.clear()
        await self.store.refused_end.wait()
        self.store.away = not back
        await scheduler.stop(wait=False)
        self.store.away = False


async def test_end_that_waited_for_the_store_is_recorded_if_the_store_is_back_when_the_scheduler_stops(
    clock: VirtualClock, journal: Journal
) -> None:
    outage = Outage(clock, journal)

    await outage.stop(back=True)

    async with outage.scheduler() as scheduler:
        first, *_ = await runs_of(scheduler, "job")
    assert (RunStatus.SUCCEEDED, 10, 15) == (first.status, since(first.due_at), since(first.ended_at))


async def test_end_that_the_store_does_not_take_until_the_scheduler_has_stopped_follows_the_crash_policy(
    clock: VirtualClock, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    outage = Outage(clock, journal)

    await outage.stop(back=False, on_crash="lost")
    async with outage.scheduler() as scheduler:
        await asyncio.sleep(60)
        fates = [run.status for run in await runs_of(scheduler, "job") if since(run.due_at) == 10]

    assert "the ends of 1 attempts are not recorded" in caplog.text
    assert [RunStatus.LOST] == fates
    assert 1 == journal.words.count(10)
