"""Nodes that differ on one PostgreSQL schedule, and a database that others burden."""

from __future__ import annotations

import logging
import statistics
import sys
import time
from pathlib import Path

import asyncpg
import pytest
from support.conductor import ENOUGH, Piece, assert_all_is_well, kill, nodes_playing, play, store_at
from support.place import Place
from support.processes import until

from asched import Once
from asched.instants import HOUR, to_datetime
from asched.model import JobSpec, JobStatus
from asched.store import TOKEN_BITS, NodeInfo, PutItem, PutMode, Store

log = logging.getLogger(__name__)

pytestmark = [
    pytest.mark.faults,
    pytest.mark.service,
    pytest.mark.xdist_group(
        "postgres_versions"
    ),  # a server has a hundred connections, and each of these tests takes twenty
    pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals"),
]


async def test_runs_wait_for_a_node_that_has_their_function(place: Place, tmp_path: Path) -> None:
    old = {"functions": ("note", "work")}
    new = {"functions": ("note", "note_in_thread", "fail_now_and_then")}
    async with nodes_playing(
        Piece(jobs=40, seconds=8), place.effects, tmp_path, 0, place.url(), (old, new)
    ) as conductor:
        older, newer = conductor.nodes
        await place.effects.reach(1, "job LIKE 'work%'")
        # Only the older version has `work`; what it was about waits until it is back.
        await older.kill()
        async with store_at(place.url()) as store:

            async def is_unresolved() -> bool:
                [job] = await store.get_jobs(["work-2"])
                return job is not None and job.status is JobStatus.UNRESOLVED

            await until(is_unresolved)
        await older.start()
        await conductor.come_to_an_end()
        verdict = await conductor.judge()

    assert_all_is_well(verdict, conductor)
    assert await place.effects.count(f"job LIKE 'work%' AND node <> '{older.orders.name}'") == 0
    assert await place.effects.count(f"job LIKE 'fail%' AND node <> '{newer.orders.name}'") == 0
    assert await place.effects.count(f"job LIKE 'work%' AND token >> {TOKEN_BITS} = {older.epoch}") > 0


async def test_200_000_overdue_timers_of_an_unknown_function_slow_nobody(place: Place, tmp_path: Path) -> None:
    async with store_at(place.url()) as store:
        overdue = await store.now() - HOUR
        strange = [
            PutItem(JobSpec(f"strange-{n}", f"strange-{n}", "gone:away", Once(to_datetime(overdue))), overdue, overdue)
            for n in range(500)
        ]
        await store.put_jobs(PutMode.INSERT, strange)
        epoch = await store.register(NodeInfo("here", "here", 1, "0", 0, frozenset({"some:where"}), frozenset()))
        before = await window_takes(store, epoch)
        await multiply(place, 400)
        after = await window_takes(store, epoch)
        await store.leave(epoch)
    async with nodes_playing(Piece(jobs=60, seconds=5), place.effects, tmp_path, 0, place.url(), ({}, {})):
        # An instant that is not started within its second is folded into the next, and this would never be reached.
        await place.effects.reach(200)
        rows = await place.effects.rows("SELECT (at - planned) / 1e6 AS late FROM effect WHERE attempt = 1")

    late = sorted(float(row["late"]) for row in rows)
    log.info(
        "window %.2f ms, with 200,000: %.2f ms; starts %.3f s late at the median", before, after, late[len(late) // 2]
    )
    assert after < 20 * before + 5


async def test_a_transaction_that_holds_back_vacuum_makes_it_slower_and_not_wrong(place: Place, tmp_path: Path) -> None:
    holder = await asyncpg.connect(place.server)
    async with holder.transaction(isolation="repeatable_read"):
        await holder.execute("SELECT 1")
        verdict, conductor = await play(
            Piece(jobs=100, seconds=10, step=0.5), place.effects, tmp_path, place.url(), {kill: 1}
        )
    await holder.close()

    assert_all_is_well(verdict, conductor)
    assert verdict.ran > ENOUGH * verdict.occurrences


async def window_takes(store: Store, epoch: int) -> float:
    """Return the milliseconds that a look at what is due takes, at the median."""
    times = []
    for _ in range(25):
        begun = time.perf_counter()
        await store.window(epoch, await store.now(), store.caps.window)
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


async def multiply(place: Place, times: int) -> None:
    """Copy the jobs and their timers so many times, in the database: through the store it would take minutes."""
    connection = await asyncpg.connect(place.server, server_settings={"search_path": place.schema})
    try:
        for table, changed in (
            ("job", {"serial": _SERIAL, "id": "id || '/' || copy", "name": "name || '/' || copy"}),
            ("timer", {"job": _SERIAL.replace("serial", "timer.job")}),
        ):
            columns = [
                row["column_name"]
                for row in await connection.fetch(
                    "SELECT column_name FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2",
                    place.schema, table,
                )
            ]  # fmt: skip
            values = ", ".join(changed.get(column, column) for column in columns)
            await connection.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) "
                f"SELECT {values} FROM {table}, generate_series(1, {times}) AS copy"
            )
    finally:
        await connection.close()


# Far above what the sequence gives.
_SERIAL = "serial + copy * 1000000"
