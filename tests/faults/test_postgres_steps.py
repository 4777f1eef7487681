"""What other nodes do between two statements of one call, or while a node stops in the middle of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from support.place import Place
from support.processes import until

from asched import Interval, Once, Scheduler
from asched.clock import SystemClock
from asched.instants import SECOND, to_datetime
from asched.model import JobSpec, Outcome, RunStatus
from asched.store import TOKEN_BITS, Claim, Finish, Grant, Limits, NodeInfo, PutItem, PutMode, RunFilter, Selection
from asched.stores.postgres import PostgresStore
from asched.stores.postgres.pages import Pages

pytestmark = [pytest.mark.faults, pytest.mark.service]

FUNC = "app:work"
NODE = NodeInfo("node", "host", 1, "0", 0, frozenset({FUNC}), frozenset())


class Between:
    """A connection on which something happens between the statements."""

    def __init__(self, connection: asyncpg.Connection, happens: Callable[[], Awaitable[object]]) -> None:
        self._connection = connection
        self._happens: Callable[[], Awaitable[object]] | None = happens

    async def fetch(self, *words: Any) -> Any:
        answer = await self._connection.fetch(*words)
        if self._happens is not None:
            happens, self._happens = self._happens, None
            await happens()
        return answer


async def test_a_run_that_ends_while_runs_are_listed_is_listed_once(place: Place) -> None:
    store = PostgresStore(place.server, schema=place.schema)
    clock = SystemClock()
    await store.open("default", Limits(), clock)
    epoch = await store.register(NODE)
    now = await store.now()
    trigger = Interval(seconds=60).bound(now, "UTC")
    names = ["a", "b", "c"]
    await store.put_jobs(PutMode.INSERT, [PutItem(JobSpec(n, n, FUNC, trigger), now, now) for n in names])
    timers = (await store.window(epoch, now, 10)).timers
    tokens = [epoch << TOKEN_BITS | number for number in range(1, 4)]
    later = now + 60_000_000
    claims = [
        Claim(timer, token, True, timer.planned, timer.due, later, later)
        for timer, token in zip(timers, tokens, strict=True)
    ]
    await store.claim(epoch, claims)

    async def end_them() -> None:
        ends = [Finish(token, RunStatus.SUCCEEDED, Outcome.OK, now, now) for token in tokens]
        assert all((await store.finish(epoch, ends))[0])

    connection = await asyncpg.connect(place.server)
    pages: Any = Pages(store._schedule, Between(connection, end_them))
    runs, cursor = await pages.list_runs(RunFilter(), 10, None)

    assert sorted(run.id for run in runs) == tokens
    assert cursor is None
    await connection.close()
    await store.close()


async def test_a_node_that_is_stopped_in_the_middle_of_a_step_holds_nobody_up(place: Place) -> None:
    stopped, other = PostgresStore(place.server, schema=place.schema), PostgresStore(place.server, schema=place.schema)
    clock = SystemClock()
    await stopped.open("default", Limits(), clock)
    await other.open("default", Limits(), clock)
    due = clock.now() + 60 * SECOND
    spec = JobSpec("job", "job", "support.effect_node:note", Once(to_datetime(due)))
    await other.put_jobs(PutMode.INSERT, [PutItem(spec, due, due)])
    holds = asyncio.Event()

    async def stop_in_the_middle(connection: asyncpg.Connection) -> None:
        async with connection.transaction():
            await connection.execute(f"SELECT FROM {place.schema}.timer FOR UPDATE")
            holds.set()
            await asyncio.sleep(60)
            await connection.execute("SELECT 1")

    step = asyncio.ensure_future(stopped._steps_lane.run(stop_in_the_middle))
    await holds.wait()
    begun = clock.elapsed()
    paused, _ = await other.pause_jobs(Selection(ids=("job",)))

    assert [job.paused for job in paused] == [True]
    assert clock.elapsed() - begun < 30
    step.cancel()
    await asyncio.gather(step, return_exceptions=True)
    await stopped.close()
    await other.close()


async def test_of_nodes_that_start_at_once_on_an_empty_database_one_makes_the_tables(place: Place) -> None:
    stores = [PostgresStore(place.server, schema=place.schema) for _ in range(8)]

    await asyncio.gather(*(store.open("default", Limits(), SystemClock()) for store in stores))

    assert len({await store.next_id() for store in stores}) == 8
    for store in stores:
        await store.close()


# Jobs that a transaction of somebody else holds


@asynccontextmanager
async def holding(store: PostgresStore, spec: JobSpec) -> AsyncIterator[None]:
    """A transaction that takes the job's place and is rolled back at the end."""
    connection = await asyncpg.connect(store._dsn)
    transaction = connection.transaction()
    await transaction.start()
    due = await store.now()
    await store.put_jobs(PutMode.REPLACE, [PutItem(spec, due, due)], connection)
    yield
    await transaction.rollback()
    await connection.close()


class Held:
    """Three jobs whose first occurrences a node executes; the one in the middle is about to be held."""

    def __init__(self, store: PostgresStore, epoch: int, now: int) -> None:
        self.store = store
        self.epoch = epoch
        self.now = now
        self.specs = [JobSpec(name, name, FUNC, Interval(seconds=60).bound(now, "UTC")) for name in "abc"]
        self.tokens = [epoch << TOKEN_BITS | number for number in range(1, 4)]

    @classmethod
    async def on(cls, place: Place) -> Held:
        store = PostgresStore(place.server, schema=place.schema)
        await store.open("default", Limits(), SystemClock())
        epoch = await store.register(NODE)
        held = cls(store, epoch, await store.now())
        await store.put_jobs(PutMode.INSERT, [PutItem(spec, held.now, held.now) for spec in held.specs])
        assert [Grant.STARTED] * 3 == await held.claim(held.tokens)
        return held

    async def claim(self, tokens: list[int]) -> list[Grant]:
        """Claim what is due; the next occurrences are due at once."""
        timers = (await self.store.window(self.epoch, self.now, 10)).timers
        timers.sort(key=lambda timer: timer.spec.id)
        claims = [
            Claim(timer, token, True, self.now, self.now, self.now, self.now)
            for timer, token in zip(timers, tokens, strict=True)
        ]
        return [grant for grant, *_ in await self.store.claim(self.epoch, claims)]

    async def finish(self) -> list[bool | None]:
        ends = [Finish(token, RunStatus.SUCCEEDED, Outcome.OK, self.now, self.now) for token in self.tokens]
        return (await self.store.finish(self.epoch, ends))[0]


async def test_ends_and_claims_go_on_without_a_job_that_somebody_holds(place: Place) -> None:
    held = await Held.on(place)
    later = [token + 10 for token in held.tokens]

    async with holding(held.store, held.specs[1]):
        ends = await held.finish()
        grants = await held.claim(later)
    ends_after = await held.finish()

    assert [True, None, True] == ends
    assert [Grant.STARTED, Grant.BUSY, Grant.STARTED] == grants
    assert [False, True, False] == ends_after
    await held.store.close()


async def test_claims_of_a_job_that_somebody_holds_are_given_back_later(place: Place) -> None:
    held = await Held.on(place)

    async with holding(held.store, held.specs[1]):
        freed = await held.store.release(held.epoch, held.tokens)
    freed_after = await held.store.release(held.epoch, held.tokens)

    assert ["a", "c"] == sorted(timer.spec.id for timer in freed)
    assert ["b"] == [timer.spec.id for timer in freed_after]
    await held.store.close()


async def test_a_dead_node_stays_dead_until_a_job_that_somebody_holds_is_rescued_too(place: Place) -> None:
    held = await Held.on(place)
    connection = await asyncpg.connect(place.server)
    await connection.execute(f"UPDATE {place.schema}.node SET lease_until = 1")

    async with holding(held.store, held.specs[1]):
        first = await held.store.reap()
        nothing_new = await held.store.reap()
        beat = await held.store.heartbeat(held.epoch)
    second = await held.store.reap()

    assert [["a", "c"]] == [sorted(timer.spec.id for timer in reaped.rescued) for reaped in first]
    assert [] == nothing_new
    assert not beat.alive
    assert [["b"]] == [[timer.spec.id for timer in reaped.rescued] for reaped in second]
    assert [] == await held.store.nodes()
    await connection.close()
    await held.store.close()


async def test_a_transaction_that_holds_a_job_holds_up_only_that_job(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = Scheduler(store=PostgresStore(place.server, schema=place.schema))
    begun, proceed, ran = asyncio.Event(), asyncio.Event(), asyncio.Queue[None]()

    async def fails() -> None:
        begun.set()
        await proceed.wait()
        raise ValueError("in vain")

    async def runs() -> None:
        ran.put_nowait(None)

    scheduler.register_function(fails, name="fails")
    scheduler.register_function(runs, name="runs")
    far = datetime.now(UTC) + timedelta(days=1)
    connection = await asyncpg.connect(place.server)
    async with scheduler:
        await scheduler.add_job(fails, Once(far), id="fails", max_retries=0)
        await scheduler.add_job(runs, Interval(seconds=0.1), id="runs")
        run = await scheduler.run_job_now("fails")
        await begun.wait()
        async with connection.transaction():
            await scheduler.add_job(
                fails, Once(far), id="fails", max_retries=0, if_exists="replace", connection=connection
            )
            proceed.set()
            async with asyncio.timeout(60):
                for _ in range(20):
                    await ran.get()
            meanwhile = await scheduler.get_run(run.id)
        async with asyncio.timeout(60):
            record = await scheduler.wait_for_run(run.id)

    assert RunStatus.RUNNING is meanwhile.status
    assert RunStatus.FAILED is record.status
    assert [True] == [attempt.error is not None and attempt.error.message == "in vain" for attempt in record.attempts]
    assert 1 == sum("failed for good" in message for message in caplog.messages)
    assert not any("the store is unavailable" in message for message in caplog.messages)
    await connection.close()


async def test_a_registration_may_take_longer_than_a_heartbeat(place: Place) -> None:
    store = PostgresStore(place.server, schema=place.schema, lease=6)
    await store.open("default", Limits(), SystemClock())
    blocker = await asyncpg.connect(place.server)

    async def waits() -> bool:
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = to_regclass($1)"
        return bool(await blocker.fetchval(waiting, f"{place.schema}.node"))

    async with blocker.transaction():
        await blocker.execute(f"LOCK TABLE {place.schema}.node IN SHARE MODE")
        registering = asyncio.ensure_future(store.register(NODE))
        await until(waits)
        # A heartbeat is given up after a third of the lease.
        await asyncio.wait([registering], timeout=2.2)
    epoch = await registering

    assert [node.epoch for node in await store.nodes()] == [epoch]
    await blocker.close()
    await store.close()
