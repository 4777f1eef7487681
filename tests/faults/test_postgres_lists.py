"""A list of runs is asked in two statements, and runs end between them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from support.place import Place

from asched import Interval
from asched.clock import SystemClock
from asched.model import JobSpec, Outcome, RunStatus
from asched.store import Claim, Finish, Limits, NodeInfo, PutItem, PutMode, RunFilter
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
    tokens = [epoch << 32 | number for number in range(1, 4)]
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
