"""Nodes that lose the store together, and a node whose clock is wrong: nobody else pays for it."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
from support.schedules import Journal, at, last_run, since

from asched import Backoff, Interval, MemoryStore, Once, RunStatus, Scheduler, StoreUnavailable
from asched.instants import SECOND
from asched.store import Limits
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time

LEASE = 30.0


class Way:
    """One node's way to the store."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.cut = False

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._store, name)
        if not inspect.iscoroutinefunction(attribute):
            return attribute

        async def call(*args: Any, **kwargs: Any) -> Any:
            if self.cut and name not in ("open", "close"):
                raise StoreUnavailable("cut off")
            return await attribute(*args, **kwargs)

        return call


class OtherClock:
    """A wall clock that is wrong by ``ahead`` seconds."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.ahead = 0.0

    def now(self) -> int:
        return self._clock.now() + round(self.ahead * SECOND)

    def elapsed(self) -> float:
        return self._clock.elapsed()


class Nodes:
    """Two nodes with one job, and the way of each to the store."""

    def __init__(self, clock: VirtualClock, journal: Journal) -> None:
        store = MemoryStore(lease=LEASE)
        self.ways = Way(store), Way(store)
        self.a, self.b = (Scheduler(way, clock=clock) for way in self.ways)  # type: ignore[arg-type]
        self._journal = journal
        self.takes = 0.0

        async def work_a() -> None:
            await self._work("a")

        async def work_b() -> None:
            await self._work("b")

        self.name = self.a.register_function(work_a, name="work")
        self.b.register_function(work_b, name="work")

    async def _work(self, node: str) -> None:
        self._journal.note(node)
        await asyncio.sleep(self.takes)


@pytest.fixture
async def nodes(clock: VirtualClock, journal: Journal) -> Nodes:
    return Nodes(clock, journal)


async def test_node_that_comes_back_first_does_not_take_the_others_for_dead(nodes: Nodes, journal: Journal) -> None:
    one, other = nodes.ways
    nodes.takes = 5 * LEASE
    async with nodes.a, nodes.b:
        await nodes.a.add_job(nodes.name, Interval(hours=1), id="job")
        await asyncio.sleep(3601)
        [runner] = journal.words
        first, late = (other, one) if runner == "a" else (one, other)
        # The store is away for all; the node without the run is back a little earlier.
        one.cut = other.cut = True
        await asyncio.sleep(2 * LEASE)
        first.cut = False
        await asyncio.sleep(LEASE / 2)
        late.cut = False
        await asyncio.sleep(5 * LEASE)

        assert journal.words == [runner]
        run = await last_run(nodes.a, "job")
        assert run.status is RunStatus.SUCCEEDED
        assert len(run.attempts) == 1


async def test_node_that_stays_away_is_taken_for_dead_a_lease_after_the_store_is_back(
    nodes: Nodes, journal: Journal
) -> None:
    one, other = nodes.ways
    nodes.takes = 20 * LEASE
    async with nodes.a, nodes.b:
        await nodes.a.add_job(nodes.name, Interval(hours=1), id="job")
        await asyncio.sleep(3601)
        [runner] = journal.words
        first = other if runner == "a" else one
        one.cut = other.cut = True
        await asyncio.sleep(2 * LEASE)
        first.cut = False
        await asyncio.sleep(2 * LEASE)

        assert len(set(journal.words)) == 2
        one.cut = other.cut = False
        await nodes.a.cancel_job("job")
        await asyncio.sleep(LEASE)


@pytest.fixture
async def wrong_clock(clock: VirtualClock) -> OtherClock:
    return OtherClock(clock)


@pytest.fixture
async def elsewhere(clock: VirtualClock, wrong_clock: OtherClock) -> Scheduler:
    """A scheduler on a store with a clock of its own."""
    store = MemoryStore(lease=LEASE)
    await store.open("default", Limits(), clock)
    store.caps = store.caps._replace(own_clock=True)
    return Scheduler(store, clock=wrong_clock)


@pytest.mark.parametrize("ahead", [3600, -3600])
async def test_clock_of_a_node_that_is_wrong_touches_neither_retries_nor_records_nor_events(
    elsewhere: Scheduler, wrong_clock: OtherClock, journal: Journal, ahead: float
) -> None:
    async def fail_once() -> None:
        journal.note()
        if len(journal.times) == 1:
            raise RuntimeError("once")

    told: list[float | None] = []
    elsewhere.on("run.retrying")(lambda event: told.append(since(event.at)))
    elsewhere.register_function(fail_once, name="app:fail_once")
    wrong_clock.ahead = ahead
    async with elsewhere:
        await elsewhere.add_job(fail_once, Once(at(60)), id="job", backoff=Backoff(first=10, jitter=False))
        await asyncio.sleep(100)
        run = await last_run(elsewhere, "job")

    assert journal.times == [60, 70]
    assert (since(run.started_at), since(run.ended_at)) == (60, 70)
    assert [(since(attempt.started_at), since(attempt.ended_at)) for attempt in run.attempts] == [(60, 60), (70, 70)]
    assert told == [60]


@pytest.mark.parametrize("ahead", [3600, -3600])
async def test_clock_of_a_node_that_is_set_changes_nothing_where_the_store_has_its_own(
    elsewhere: Scheduler, wrong_clock: OtherClock, journal: Journal, ahead: float
) -> None:
    async def work() -> None:
        journal.note()

    elsewhere.register_function(work, name="app:work")
    async with elsewhere:
        await elsewhere.add_job(work, Interval(seconds=10), id="job", starting=at(5))
        # An instant comes before the next heartbeat could tell the time.
        await asyncio.sleep(41)
        wrong_clock.ahead = ahead
        await asyncio.sleep(60)
        runs = await elsewhere.get_history("job")

    assert journal.times == [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]
    assert {run.status for run in runs} == {RunStatus.SUCCEEDED}
