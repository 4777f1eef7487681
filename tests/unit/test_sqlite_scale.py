"""What a large file costs: it opens at once, the engine holds a window of it, and one job is found among a million."""

from __future__ import annotations

import sqlite3
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from asched import Interval, Scheduler
from asched.clock import SystemClock
from asched.store import NodeInfo
from asched.stores.sql import statements
from asched.stores.sqlite import SQLiteStore
from asched.stores.sqlite.store import migrate

FUNC = "app:work"
YEAR = 365 * 86_400_000_000

# Walking over the rows of 100,000 jobs takes longer than this on any machine, one row far less.
AT_MOST = 0.010


async def work() -> None:
    raise AssertionError("these jobs are a year away")


def fill(path: Path, jobs: int) -> None:
    """A file as the store would have written it, in seconds instead of minutes."""
    now = SystemClock().now()
    trigger = orjson.dumps(Interval(hours=1).bound(now, "UTC").to_json()).decode()
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {jobs})"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("BEGIN")
        migrate(db, 0)
        [ns] = db.execute(statements("sqlite")["add_schedule"], ("default", now)).fetchone()
        db.execute("INSERT INTO asched_function (id, ns, name, short) VALUES (1, ?, ?, 'work')", (ns, FUNC))
        db.execute(
            f"{numbers} INSERT INTO asched_job (serial, ns, id, name, func, origin, group_name, trigger_json, "
            "generation, search, version, created, updated) SELECT i, ?1, 'job-' || i, 'job-' || i, 1, 'api', "
            "'default', ?2, 0, 'job-' || i || char(10) || 'app:work', 1, ?3, ?3 FROM n",
            (ns, trigger, now),
        )
        db.execute(
            f"{numbers} INSERT INTO asched_timer (job, func, rev, planned, due, paused) "
            f"SELECT i, 1, 1, ?1 + (i * 7919) % {jobs}, ?1 + (i * 7919) % {jobs}, 0 FROM n",
            (now + YEAR,),
        )
        db.execute("UPDATE asched_counter SET serial = ?", (jobs,))
        db.execute("COMMIT")


def resident_peak() -> int:
    """Return the most memory that this process has had, in bytes; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


async def typical(call: Callable[[int], Awaitable[object]], first: int) -> float:
    """Return the median of seconds that a call kept a core busy, made with a number of its own each time."""
    took = []
    for number in range(first, first + 21):
        began = time.process_time()
        await call(number)
        took.append(time.process_time() - began)
    return statistics.median(took)


@pytest.mark.parametrize("jobs", [100_000, pytest.param(1_000_000, marks=pytest.mark.long)])
async def test_many_stored_jobs_open_at_once_and_one_is_found_among_them(tmp_path: Path, jobs: int) -> None:
    fill(tmp_path / "jobs.db", jobs)
    scheduler = Scheduler(SQLiteStore(tmp_path / "jobs.db"))
    scheduler.register_function(work, FUNC)
    middle = jobs // 2
    before = resident_peak()
    began = time.process_time()
    async with scheduler:
        opened = time.process_time() - began
        page = await typical(lambda _: scheduler.get_jobs(limit=50), middle)
        one = await typical(lambda number: scheduler.get_job(f"job-{number}"), middle)
        pause = await typical(lambda number: scheduler.pause_job(f"job-{number}"), middle)
        cancel = await typical(lambda number: scheduler.cancel_job(f"job-{number}"), middle)
        grown = resident_peak() - before

    assert opened < 5
    assert grown < 60_000_000, "a window of 10,000 timers, and pages of the file"
    assert max(page, one, pause, cancel) < AT_MOST, (page, one, pause, cancel)


async def test_a_window_is_as_large_as_it_was_asked_for(tmp_path: Path) -> None:
    fill(tmp_path / "jobs.db", 20_000)
    store = SQLiteStore(tmp_path / "jobs.db")
    scheduler = Scheduler(store)
    async with scheduler:
        epoch = await store.register(NodeInfo("other", "host", 1, "0", 0, frozenset({FUNC}), frozenset()))

        window = await store.window(epoch, 2**62, store.caps.window)

        await store.leave(epoch)

    assert len(window.timers) == store.caps.window
    assert window.horizon == window.timers[-1].due
