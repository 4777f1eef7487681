"""What other nodes do between two statements of one call, or while a node stops in the middle of one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from support.place import Place

from asched import Interval, Once
from asched.clock import SystemClock
from asched.instants import SECOND, to_datetime
from asched.model import JobSpec, Outcome, RunStatus
from asched.store import TOKEN_BITS, Claim, Finish, Limits, NodeInfo, PutItem, PutMode, RunFilter, Selection
from asched.stores.postgres import PostgresStore
from asched.stores.postgres_ledger import Pages

pytestmark = [pytest.mark.faults, pytest.mark.service]

FUNC = "app:work"


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
    epoch = await store.register(NodeInfo("node", "host", 1, "0", 0, frozenset({FUNC}), frozenset()))
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
            await asyncio.sleep(20)
            await connection.execute("SELECT 1")

    step = asyncio.ensure_future(stopped._steps_lane.run(stop_in_the_middle))
    await holds.wait()
    begun = clock.elapsed()
    paused = await other.pause_jobs(Selection(ids=("job",)))

    assert [job.paused for job in paused] == [True]
    assert clock.elapsed() - begun < 4
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
