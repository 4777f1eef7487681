"""Write the databases of an earlier release, which ``tests/stores/test_written_before.py`` opens with today's.

Run it once, with a checkout of that release, and commit what it writes; it needs the PostgreSQL of the tests:

    git worktree add /tmp/before 55d8195
    PYTHONPATH=/tmp/before:tests python tests/data/write_databases.py 55d8195

It plays ten minutes of virtual time from 2026-01-01T00:00:00Z, with a downtime, and copies each database while the
scheduler still runs: the node then holds a lease, and claims. A release whose databases must be read for ever gets
files of its own; those that are here are never written anew.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

import asyncpg
from support.postgres import DSN, ClockedStore, drop, url
from support.schedules import Journal, at
from support.written_before import Program

from asched import Backoff, Interval, Once, Scheduler
from asched.store import Store
from asched.stores.postgres import PostgresStore, migrate
from asched.stores.sqlite import SQLiteStore
from asched.testing import run_virtual, virtual_clock

HERE = Path(__file__).parent
SCHEMA = "asched_written_before"
SCHEDULE = "written"


async def write(make: Callable[[], Store], copy: Callable[[], None]) -> None:
    """Play, and copy the database ten minutes later."""
    clock = virtual_clock()
    journal = Journal(clock)
    await _begin(make(), journal)
    await clock.sleep_until(at(160))
    program = Program(journal, later=False)
    scheduler = Scheduler(make(), clock=clock)
    program.declare(scheduler)
    await scheduler.start()
    await clock.sleep_until(at(300.5))
    await scheduler.cancel_job("removed")
    await scheduler.cancel_job("gone")
    await scheduler.pause_group("night")
    await scheduler.update_job("steady", name="edited", timeout=50)
    await clock.sleep_until(at(450.5))
    await scheduler.pause_job("held")
    await clock.sleep_until(at(550.5))
    await scheduler.run_job_now("by hand")
    await scheduler.run_job_now("queue")
    await scheduler.run_job_now("report")
    await scheduler.run_job_now("letter")
    await clock.sleep_until(at(560.5))
    await scheduler.run_job_now("queue")
    await clock.sleep_until(at(599.5))
    await asyncio.to_thread(copy)
    await scheduler.stop(wait=False)


async def _begin(store: Store, journal: Journal) -> None:
    clock = virtual_clock()
    program = Program(journal, later=False)
    scheduler = Scheduler(store, clock=clock)
    program.declare(scheduler)

    def waits(seconds: float) -> Backoff:
        return Backoff(first=seconds, factor=1, limit=seconds, jitter=False)

    async with scheduler:
        add, work = scheduler.add_job, program.work
        await add(work, Interval(seconds=500), id="retry", backoff=waits(1_000))
        await add(work, Interval(hours=5), id="by hand", backoff=waits(900), args=["an argument"], tags=["a", "b"])
        await add(work, Interval(seconds=400), id="held", backoff=waits(300))
        await add(work, Interval(hours=5), id="queue", overlap="queue", backoff=waits(800))
        await add(work, Interval(hours=5), id="letter", max_retries=0, kwargs={}, args=[{"of": "the letter"}])
        await add(work, Interval(hours=5), id="report")
        await add(work, Interval(seconds=20), id="busy")
        await add(work, Interval(seconds=10), id="missed", catch_up="skip", until=at(400))
        await add(work, Interval(seconds=70), id="removed")
        await add(work, Interval(seconds=20), id="counted", max_runs=2)
        await add(work, Once(at(590)), id="executes")
        await add(work, Once(at(590)), id="executes once", on_crash="lost")
        await clock.sleep_until(at(85.5))
        await scheduler.stop(timeout=100)


def write_sqlite(target: Path) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "jobs.db")

        def copy() -> None:
            # Beside the scheduler, from what is committed.
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            connection.execute("VACUUM INTO ?", (str(target),))
            connection.close()

        target.unlink(missing_ok=True)
        run_virtual(write(lambda: SQLiteStore(path, lease=30.0), copy))


def write_postgres(target: Path) -> None:
    original = asyncio.run(_make_schema())

    def make() -> Store:
        store = PostgresStore(DSN, schema=SCHEMA, lease=30.0, poll=5.0, listen=False)
        return cast("Store", ClockedStore(store, SCHEDULE, SCHEMA))

    def copy() -> None:
        asyncio.run(_restore_clock(original))
        command = ["pg_dump", "--inserts", "--no-owner", "--no-privileges", f"--schema={SCHEMA}", DSN]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        # psql's own commands are no SQL, and what sets up the session of psql is none of the schema.
        left_out = ("--", "\\", "SET ", "SELECT pg_catalog.set_config")
        kept = [line for line in text.splitlines() if line.strip() and not line.startswith(left_out)]
        target.write_text("\n".join(kept) + "\n")
        asyncio.run(_settable_clock())

    run_virtual(write(make, copy))
    drop(SCHEMA)


async def _make_schema() -> str:
    """Make the schema, with a clock that follows virtual time, and return the function that the clock was."""
    drop(SCHEMA)
    await migrate(url(SCHEMA))
    connection = await asyncpg.connect(DSN)
    original = await connection.fetchval("SELECT pg_get_functiondef(to_regprocedure($1))", f"{SCHEMA}.clock()")
    await connection.close()
    await _settable_clock()
    return str(original)


async def _settable_clock() -> None:
    connection = await asyncpg.connect(DSN)
    await connection.execute(
        f"""
        CREATE TABLE {SCHEMA}.settable_clock AS SELECT 0::bigint AS now;
        CREATE OR REPLACE FUNCTION {SCHEMA}.clock() RETURNS bigint LANGUAGE sql
            AS 'SELECT now FROM {SCHEMA}.settable_clock';
        """
    )
    await connection.close()


async def _restore_clock(original: str) -> None:
    connection = await asyncpg.connect(DSN)
    await connection.execute(original)
    await connection.execute(f"DROP TABLE {SCHEMA}.settable_clock")
    await connection.close()


if __name__ == "__main__":
    logging.getLogger("asched").setLevel(logging.CRITICAL)
    release = sys.argv[1]
    write_sqlite(HERE / f"written_by_{release}.db")
    write_postgres(HERE / f"written_by_{release}.sql")
