"""Nodes on a store that others share, with a lease each: the way to the store fails, and clocks differ."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
from typing import Any

import pytest
from support.schedules import Journal, at, last_run, records, since

from asched import Backoff, Interval, MemoryStore, Once, RunStatus, Scheduler, StoreUnavailable
from asched.instants import SECOND
from asched.store import Claim, Claimed, Limits, StoreCaps
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time

LEASE = 30.0


class Way:
    """One node's way to the store."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.cut = False
        self.failing: set[str] = set()
        """Calls that fail while others get through."""
        self.claims_take = 0.0
        """Seconds for which the answer to a claim is on its way."""
        self.claim_is_late = False
        """The next claim comes to the store 5 s after it was given up; until then others fail."""

    @property
    def caps(self) -> StoreCaps:
        return self._store.caps._replace(shared=True, poll=1.0)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._store, name)
        if not inspect.iscoroutinefunction(attribute):
            return attribute

        async def call(*args: Any, **kwargs: Any) -> Any:
            if name in self.failing or (self.cut and name not in ("open", "close")):
                raise StoreUnavailable("cut off")
            return await attribute(*args, **kwargs)

        return call

    async def claim(self, epoch: int, claims: Sequence[Claim]) -> list[Claimed]:
        if self.claim_is_late:
            self.claim_is_late = False
            self.failing.add("claim")
            self._late = asyncio.ensure_future(self._claim_late(epoch, claims))
        if self.cut or "claim" in self.failing:
            raise StoreUnavailable("cut off")
        answers = await self._store.claim(epoch, claims)
        await asyncio.sleep(self.claims_take)
        return answers

    async def _claim_late(self, epoch: int, claims: Sequence[Claim]) -> None:
        await asyncio.sleep(5)
        await self._store.claim(epoch, claims)
        self.failing.clear()


class AheadClock:
    """A wall clock that is an hour ahead."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    def now(self) -> int:
        return self._clock.now() + 3600 * SECOND

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


async def test_claim_whose_answer_comes_after_the_lease_starts_nothing(nodes: Nodes, journal: Journal) -> None:
    way, _ = nodes.ways
    async with nodes.a:
        way.claims_take = 2 * LEASE
        await nodes.a.add_job(nodes.name, Interval(minutes=10), id="job")
        await asyncio.sleep(601)
        way.cut = True
        async with nodes.b:
            await asyncio.sleep(LEASE + 20)
            assert journal.words == ["b"]
            way.cut = False
            await asyncio.sleep(LEASE)

            assert journal.words == ["b"]
            assert (await last_run(nodes.a, "job")).status is RunStatus.SUCCEEDED


async def test_claim_whose_answer_is_late_is_started_when_the_lease_was_renewed_meanwhile(
    nodes: Nodes, journal: Journal
) -> None:
    way, _ = nodes.ways
    async with nodes.a:
        way.claims_take = 2 * LEASE
        await nodes.a.add_job(nodes.name, Interval(minutes=10), id="job")
        await asyncio.sleep(701)

    assert journal.words == ["a"]
    assert journal.times == [600 + 2 * LEASE]


async def test_node_that_has_lost_its_lease_waits_and_does_not_spin(nodes: Nodes, journal: Journal) -> None:
    way, _ = nodes.ways
    async with nodes.a:
        await nodes.a.add_job(nodes.name, Interval(minutes=1), id="job")
        way.failing = {"heartbeat"}
        # Virtual time stands still while anything is ready, so a loop that spins would never get through this.
        await asyncio.sleep(5 * LEASE)
        assert journal.times == []
        way.failing = set()
        await asyncio.sleep(LEASE)

    assert journal.words == ["a"]


async def test_claim_that_comes_to_the_store_after_it_was_given_up_is_given_back(
    nodes: Nodes, journal: Journal
) -> None:
    way, _ = nodes.ways
    async with nodes.a:
        await nodes.a.add_job(nodes.name, Interval(minutes=10), id="job")
        way.claim_is_late = True
        await asyncio.sleep(601 + 2 * LEASE)

        assert journal.words == ["a"]
        assert (await last_run(nodes.a, "job")).status is RunStatus.SUCCEEDED
        assert [(record[0], record[3]) for record in await records(nodes.a, "job")] == [(RunStatus.SUCCEEDED, 1)]


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


async def test_clock_of_a_node_that_is_wrong_touches_neither_retries_nor_records(
    clock: VirtualClock, journal: Journal
) -> None:
    store = MemoryStore(lease=LEASE)
    await store.open("default", Limits(), clock)
    scheduler = Scheduler(Way(store), clock=AheadClock(clock))  # type: ignore[arg-type]  # a Store by its methods

    async def fail_once() -> None:
        journal.note()
        if len(journal.times) == 1:
            raise RuntimeError("once")

    scheduler.register_function(fail_once, name="fail_once")
    async with scheduler:
        await scheduler.add_job(fail_once, Once(at(60)), id="job", backoff=Backoff(first=10, jitter=False))
        await asyncio.sleep(100)
        run = await last_run(scheduler, "job")

    assert journal.times == [60, 70]
    assert (since(run.started_at), since(run.ended_at)) == (60, 70)
    assert [(since(attempt.started_at), since(attempt.ended_at)) for attempt in run.attempts] == [(60, 60), (70, 70)]
