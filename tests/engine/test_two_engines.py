"""Two schedulers on one store: every occurrence runs once, and each sees and steers what the other does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine

import pytest
from support.schedules import Journal, at, last_run, records, runs_of, since

from asched import Backoff, Interval, JobStatus, Once, Outcome, Reason, RunStatus, Scheduler, current_run
from asched.store import Store
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time

LEASE = 30.0
HEARD_WITHIN = 0.1
"""Seconds in which a hint reaches the other scheduler; a store that polls would bring the news much later."""


async def vanish(scheduler: Scheduler) -> None:
    """Let the scheduler be gone as a killed process is: its tasks end where they stand, and nothing says goodbye."""
    engine = scheduler._engine
    assert engine is not None
    tasks = [*engine._tasks, *(run.task for run in engine.running.values() if run.task is not None)]
    # What a killed process still ran must not be recorded: the recorder goes first.
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Pair:
    """Two schedulers, ``a`` and ``b``, which know the same functions."""

    def __init__(self, stores: tuple[Store, Store], clock: VirtualClock, journal: Journal) -> None:
        self.a, self.b = (Scheduler(store, clock=clock) for store in stores)
        self._journal = journal
        self.takes = 0.0

        async def work_a() -> str:
            return await self._work("a")

        async def work_b() -> str:
            return await self._work("b")

        self.name = self.a.register_function(work_a, name="work")
        self.b.register_function(work_b, name="work")

    async def _work(self, node: str) -> str:
        self._journal.note(node)
        await asyncio.sleep(self.takes)
        return node

    async def start(self) -> None:
        await self.a.start()
        await self.b.start()

    async def stop(self) -> None:
        await self.a.stop(wait=False)
        await self.b.stop(wait=False)

    def of(self, name: str) -> tuple[Scheduler, Scheduler]:
        """Return the scheduler of this name, and the other one."""
        return (self.a, self.b) if name == "a" else (self.b, self.a)


@pytest.fixture
async def pair(two_stores: tuple[Store, Store], clock: VirtualClock, journal: Journal) -> AsyncIterator[Pair]:
    pair = Pair(two_stores, clock, journal)
    await pair.start()
    yield pair
    await pair.stop()


@pytest.fixture
async def hearing_pair(
    two_hearing_stores: tuple[Store, Store], clock: VirtualClock, journal: Journal
) -> AsyncIterator[Pair]:
    """A pair that has begun to listen to hints; it is one second after the beginning of the test."""
    pair = Pair(two_hearing_stores, clock, journal)
    await pair.start()
    await clock.sleep_until(at(1))
    yield pair
    await pair.stop()


async def test_each_occurrence_starts_once(pair: Pair, clock: VirtualClock, journal: Journal) -> None:
    for number in range(50):
        await pair.a.add_job(pair.name, Interval(seconds=10), id=str(number))
    await clock.sleep_until(at(205))

    assert [10.0 * k for k in range(1, 21) for _ in range(50)] == journal.times
    assert {"a", "b"} >= set(journal.words)


async def test_overlap_looks_at_the_runs_of_all_nodes(pair: Pair, clock: VirtualClock, journal: Journal) -> None:
    pair.takes = 25
    await pair.a.add_job(pair.name, Interval(seconds=10), id="job")
    await clock.sleep_until(at(66))

    assert [10, 40] == journal.times


async def test_both_nodes_are_shown(pair: Pair) -> None:
    nodes = await pair.b.nodes()
    statistics = await pair.a.get_statistics()

    assert 2 == len(nodes) == statistics.nodes
    assert [at(LEASE), at(LEASE)] == [node.lease_until for node in nodes]


async def test_job_added_on_one_is_seen_and_steered_by_the_other(
    pair: Pair, clock: VirtualClock, journal: Journal
) -> None:
    await pair.a.add_job(pair.name, Interval(seconds=10), id="job")
    seen = await pair.b.get_job("job")
    await clock.sleep_until(at(15))
    await pair.b.pause_job("job")
    await clock.sleep_until(at(35))
    paused = await pair.a.get_job("job")
    await pair.b.update_job("job", trigger=Interval(seconds=5, anchor=at(0)))
    await pair.a.resume_job("job")
    await clock.sleep_until(at(46))
    await pair.b.cancel_job("job")
    left = await pair.a.get_jobs()
    await clock.sleep_until(at(60))

    assert 10 == since(seen.next_run_at)
    assert JobStatus.PAUSED is paused.status
    assert [] == left
    assert [10, 40, 45] == journal.times


async def test_run_by_hand_may_run_on_either(pair: Pair, journal: Journal) -> None:
    await pair.a.add_job(pair.name, Interval(hours=1), id="job")
    run = await pair.b.wait_for_run((await pair.b.run_job_now("job")).id)

    assert RunStatus.SUCCEEDED is run.status
    assert [run.result] == journal.words


async def test_job_whose_function_only_the_other_has_runs_there(
    pair: Pair, clock: VirtualClock, journal: Journal
) -> None:
    async def only_b() -> None:
        journal.note("only b")

    name = pair.b.register_function(only_b, name="only_b")
    await pair.b.get_jobs()
    await pair.b.add_job(name, Interval(seconds=10), id="job")
    job = await pair.a.get_job("job")
    await clock.sleep_until(at(11))
    by_hand = await pair.a.wait_for_run((await pair.a.run_job_now("job")).id)
    await clock.sleep_until(at(21))

    assert JobStatus.SCHEDULED is job.status
    assert RunStatus.SUCCEEDED is by_hand.status
    assert ["only b"] * 3 == journal.words
    assert [10, 20] == [journal.times[0], journal.times[2]]


async def test_run_of_a_vanished_node_is_rescued_after_its_lease(
    pair: Pair, clock: VirtualClock, journal: Journal
) -> None:
    pair.takes = 20
    await pair.a.add_job(pair.name, Once(at(10)), id="job", max_retries=1)
    await clock.sleep_until(at(12))
    owner, other = (pair.a, pair.b) if journal.words == ["a"] else (pair.b, pair.a)
    await vanish(owner)
    await clock.sleep_until(at(100))
    run = await last_run(other, "job")

    assert ["a", "b"] == sorted(map(str, journal.words))
    # The lease was last renewed at 10 s; who looks every 10 s finds it over within one look more.
    assert 40 <= journal.times[1] <= 50
    assert (RunStatus.SUCCEEDED, 2) == (run.status, run.attempt)
    assert [Outcome.LOST, Outcome.OK] == [attempt.outcome for attempt in run.attempts]
    assert 1 == len(await other.nodes())


async def test_run_of_a_vanished_node_is_lost_where_the_job_says_so(
    pair: Pair, clock: VirtualClock, journal: Journal
) -> None:
    pair.takes = 20
    await pair.a.add_job(pair.name, Once(at(10)), id="job", on_crash="lost")
    await clock.sleep_until(at(12))
    owner, other = (pair.a, pair.b) if journal.words == ["a"] else (pair.b, pair.a)
    await vanish(owner)
    await clock.sleep_until(at(100))
    run = await last_run(other, "job")

    assert 1 == len(journal.times)
    assert (RunStatus.LOST, Reason.NODE_DIED) == (run.status, run.reason)


async def test_occurrences_go_on_when_a_node_vanishes(pair: Pair, clock: VirtualClock, journal: Journal) -> None:
    await pair.a.add_job(pair.name, Interval(seconds=10), id="job")
    await clock.sleep_until(at(15))
    await vanish(pair.a)
    await clock.sleep_until(at(65))

    assert [10, 20, 30, 40, 50, 60] == journal.times
    assert {"b"} == set(journal.words[1:])


async def test_run_that_the_other_executes_can_be_cancelled(pair: Pair, clock: VirtualClock, journal: Journal) -> None:
    pair.takes = 1_000
    await pair.a.add_job(pair.name, Once(at(10)), id="job")
    await clock.sleep_until(at(15))
    other = pair.b if journal.words == ["a"] else pair.a
    run = await other.cancel_run((await last_run(other, "job")).id)
    ended = await other.wait_for_run(run.id)

    assert (RunStatus.CANCELLED, Reason.OPERATOR) == (ended.status, ended.reason)
    assert 15 <= (since(ended.ended_at) or 0) <= 16


async def test_cancelled_job_ends_its_run_on_the_other_node_if_asked(
    pair: Pair, clock: VirtualClock, journal: Journal
) -> None:
    pair.takes = 1_000
    await pair.a.add_job(pair.name, Once(at(10)), id="job")
    await clock.sleep_until(at(15))
    other = pair.b if journal.words == ["a"] else pair.a
    run = await last_run(other, "job")
    await other.cancel_job("job", running="cancel")
    ended = await other.wait_for_run(run.id)

    assert RunStatus.CANCELLED is ended.status
    assert 15 <= (since(ended.ended_at) or 0) <= 16


async def test_run_of_the_other_node_can_be_waited_for(pair: Pair, clock: VirtualClock, journal: Journal) -> None:
    pair.takes = 7
    await pair.a.add_job(pair.name, Once(at(10)), id="job")
    await clock.sleep_until(at(12))
    other = pair.b if journal.words == ["a"] else pair.a
    run = await other.wait_for_run((await last_run(other, "job")).id)

    assert RunStatus.SUCCEEDED is run.status
    assert 17 <= journal.now() <= 18


async def test_each_hears_what_the_other_does(pair: Pair, clock: VirtualClock, journal: Journal) -> None:
    heard: dict[str, list[tuple[str, str | None]]] = {"a": [], "b": []}

    async def listen(name: str, scheduler: Scheduler) -> None:
        async for event in scheduler.subscribe():
            heard[name].append((event.name, event.job_id))

    listeners = [asyncio.ensure_future(listen(name, getattr(pair, name))) for name in ("a", "b")]
    # A node of a server tells what it does from its next look at the schedule on, which is a second away at most.
    await asyncio.sleep(1.5)
    await pair.a.add_job(pair.name, Once(at(20)), id="from a")
    await pair.b.add_job(pair.name, Once(at(20)), id="from b")
    await clock.sleep_until(at(30))
    await pair.a.cancel_job("from b")
    await clock.sleep_until(at(40))
    for listener in listeners:
        listener.cancel()

    for name in ("a", "b"):
        for job_id in ("from a", "from b"):
            told = [event for event, about in heard[name] if about == job_id]
            assert {"job.added", "job.updated"} & set(told), (name, told)
            assert "run.succeeded" in told, (name, told)
        assert ("job.removed", "from b") in heard[name]


async def test_node_that_leaves_hands_its_interrupted_run_to_the_other(
    pair: Pair, clock: VirtualClock, journal: Journal
) -> None:
    pair.takes = 20
    await pair.a.add_job(pair.name, Once(at(10)), id="job", max_retries=0)
    await clock.sleep_until(at(12))
    owner, other = (pair.a, pair.b) if journal.words == ["a"] else (pair.b, pair.a)
    await owner.stop(wait=False)
    await clock.sleep_until(at(60))
    run = await last_run(other, "job")

    assert [10, 12] == [round(time) for time in journal.times]
    assert (RunStatus.SUCCEEDED, 1) == (run.status, run.attempt)


async def test_fence_grows_over_nodes(pair: Pair, clock: VirtualClock) -> None:
    fences: list[int] = []

    async def fenced() -> None:
        run = current_run()
        assert run is not None
        fences.append(run.fence)

    pair.a.register_function(fenced, name="fenced")
    name = pair.b.register_function(fenced, name="fenced")
    await pair.a.get_jobs()
    await pair.b.get_jobs()
    await pair.b.add_job(name, Interval(seconds=10), id="job")
    await clock.sleep_until(at(100.5))
    history = await runs_of(pair.a, "job")

    assert 10 == len(fences) == len(history)
    assert sorted(set(fences)) == fences


async def test_declared_job_of_both_is_one_job(
    two_stores: tuple[Store, Store], clock: VirtualClock, journal: Journal
) -> None:
    def make(store: Store) -> Scheduler:
        scheduler = Scheduler(store, clock=clock)

        async def work() -> None:
            journal.note()

        scheduler.register_function(work, name="work")
        scheduler.every(10).seconds.id("job")(work)
        return scheduler

    async with make(two_stores[0]) as a, make(two_stores[1]) as b:
        await clock.sleep_until(at(25))
        jobs = [*await a.get_jobs(), *await b.get_jobs()]
        history = await records(b, "job")

    assert ["job", "job"] == [job.id for job in jobs]
    assert [10, 20] == journal.times
    assert 2 == len(history)


async def test_job_declared_anew_on_one_is_followed_by_the_other(
    hearing_pair: Pair, clock: VirtualClock, journal: Journal
) -> None:
    pair = hearing_pair
    for scheduler, word in ((pair.a, "a"), (pair.b, "b")):
        _declare(scheduler, word, journal, every=10)
    await pair.a.get_jobs()
    await pair.b.get_jobs()
    await clock.sleep_until(at(12))
    _declare(pair.a, "a", journal, every=3)
    changed = await pair.a.get_job("declared")
    await clock.sleep_until(at(16))
    await pair.a.stop()
    await clock.sleep_until(at(22))

    assert 15 == since(changed.next_run_at)
    assert [11, 15, 18, 21] == journal.times
    assert ["b", "b"] == journal.words[2:]


@pytest.mark.parametrize("leaver", ["a", "b"])
async def test_when_one_of_two_stops_the_other_runs_every_instant(
    leaver: str, pair: Pair, clock: VirtualClock, journal: Journal
) -> None:
    for scheduler, word in ((pair.a, "a"), (pair.b, "b")):
        _declare(scheduler, word, journal, every=1)
    leaving, staying = pair.of(leaver)
    await clock.sleep_until(at(5.5))
    await leaving.stop()
    await clock.sleep_until(at(15.5))
    history = await records(staying, "declared")

    assert list(range(1, 16)) == journal.times
    assert {"a", "b"} - {leaver} == set(journal.words[5:])
    assert [(RunStatus.SUCCEEDED, None, float(second), 1) for second in range(1, 16)] == history


@pytest.mark.parametrize("asked", ["a", "b"])
async def test_run_by_hand_starts_at_once_where_only_the_other_has_the_function(
    asked: str, hearing_pair: Pair, clock: VirtualClock, journal: Journal
) -> None:
    caller, other = hearing_pair.of(asked)

    async def only_the_other() -> None:
        journal.note()

    name = other.register_function(only_the_other, name="only_the_other")
    await other.add_job(name, Interval(hours=5), id="job")
    await clock.sleep_until(at(2))
    run = await caller.run_job_now("job")
    await other.wait_for_run(run.id)

    assert [pytest.approx(2, abs=HEARD_WITHIN)] == journal.times


@pytest.mark.parametrize("owner", ["a", "b"])
async def test_cancel_is_heard_at_once_by_the_node_that_executes_the_run(
    owner: str, hearing_pair: Pair, clock: VirtualClock
) -> None:
    executing, other = hearing_pair.of(owner)
    ended = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    name = executing.register_function(endless, name="endless")
    await executing.add_job(name, Once(at(2)), id="job")
    await clock.sleep_until(at(3))
    run = await last_run(other, "job")
    await other.cancel_run(run.id)
    await ended.wait()
    cancelled = await executing.wait_for_run(run.id)

    assert (RunStatus.CANCELLED, Reason.OPERATOR) == (cancelled.status, cancelled.reason)
    assert 3 == pytest.approx(since(cancelled.ended_at) or 0, abs=HEARD_WITHIN)


@pytest.mark.parametrize("before", ["waits for a retry", "executes"])
@pytest.mark.parametrize("owner", ["a", "b"])
async def test_queued_run_starts_when_the_other_cancels_the_run_before_it(
    owner: str, before: str, hearing_pair: Pair, clock: VirtualClock, journal: Journal
) -> None:
    executing, other = hearing_pair.of(owner)

    async def first_does_not_end() -> None:
        journal.note()
        if len(journal.times) == 1:
            if before == "executes":
                await asyncio.Event().wait()
            raise ValueError("the first attempt of all")

    name = executing.register_function(first_does_not_end, name="first_does_not_end")
    await executing.add_job(name, Interval(hours=5), id="job", overlap="queue", backoff=3600)
    first = await executing.run_job_now("job")
    await clock.sleep_until(at(2))
    queued = await executing.run_job_now("job")
    await clock.sleep_until(at(3))
    await other.cancel_run(first.id)
    second = await executing.wait_for_run(queued.id)

    assert RunStatus.SUCCEEDED is second.status
    assert [1, pytest.approx(3, abs=HEARD_WITHIN)] == journal.times


@pytest.mark.parametrize("owner", ["a", "b"])
async def test_pause_by_one_leaves_the_retry_of_a_run_that_was_started_by_hand_on_the_other(
    owner: str, pair: Pair, clock: VirtualClock, journal: Journal
) -> None:
    executing, other = pair.of(owner)

    async def fails_once() -> None:
        journal.note()
        if len(journal.times) == 1:
            raise ValueError("once")

    name = executing.register_function(fails_once, name="fails_once")
    await executing.add_job(name, Interval(seconds=60), id="job", backoff=Backoff(first=20, factor=1, jitter=False))
    run = await executing.run_job_now("job")
    await clock.sleep_until(at(10))
    await other.pause_job("job")
    await clock.sleep_until(at(70))
    await other.resume_job("job")
    await clock.sleep_until(at(130))
    by_hand = await other.get_run(run.id)

    assert (RunStatus.SUCCEEDED, 2) == (by_hand.status, by_hand.attempt)
    assert [0, 20, 120] == journal.times


def _declare(scheduler: Scheduler, word: str, journal: Journal, *, every: float) -> None:
    async def declared() -> None:
        journal.note(word)

    scheduler.every(every).seconds.id("declared")(_named(declared, "declared"))


def _named(function: Callable[[], Coroutine[None, None, None]], name: str) -> Callable[[], Coroutine[None, None, None]]:
    """Let two schedulers know two functions of a test by one name, as the same code in two processes would be."""
    function.__module__, function.__qualname__ = "app", name
    return function
