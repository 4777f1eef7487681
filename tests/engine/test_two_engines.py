"""Two schedulers on one store: every occurrence runs once, and each sees and steers what the other does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from support.schedules import Journal, at, last_run, records, runs_of, since

from asched import Interval, JobStatus, MemoryStore, Once, Outcome, Reason, RunStatus, Scheduler, current_run
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time

LEASE = 30.0


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

    def __init__(self, clock: VirtualClock, journal: Journal) -> None:
        self.store = MemoryStore(lease=LEASE)
        self.a = Scheduler(self.store, clock=clock)
        self.b = Scheduler(self.store, clock=clock)
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


@pytest.fixture
async def pair(clock: VirtualClock, journal: Journal) -> AsyncIterator[Pair]:
    pair = Pair(clock, journal)
    await pair.a.start()
    await pair.b.start()
    yield pair
    await pair.a.stop(wait=False)
    await pair.b.stop(wait=False)


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
    await asyncio.sleep(1)
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


async def test_declared_job_of_both_is_one_job(clock: VirtualClock, journal: Journal) -> None:
    store = MemoryStore()

    def make() -> Scheduler:
        scheduler = Scheduler(store, clock=clock)

        async def work() -> None:
            journal.note()

        scheduler.register_function(work, name="work")
        scheduler.every(10).seconds.id("job")(work)
        return scheduler

    async with make() as a, make() as b:
        await clock.sleep_until(at(25))
        jobs = [*await a.get_jobs(), *await b.get_jobs()]
        history = await records(b, "job")

    assert ["job", "job"] == [job.id for job in jobs]
    assert [10, 20] == journal.times
    assert 2 == len(history)
