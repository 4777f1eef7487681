"""How many durable runs a second does SQLite bear, with synchronous=FULL, and what of that reaches the user?

A run is two changes, each on disk before anybody hears of it: the claim (the timer moves on, the run is there) and
the end (the run leaves, its record is there). The limit writes the same rows with the same statements from sqlite3
alone, in one thread, knowing beforehand what to write. The store answers through its public calls; the scheduler
runs coroutines. In one transaction the ends of a batch meet the claims of the next, in all of them.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import orjson
from _bench import LIMIT, OURS, Benchmark, Figures

N = 10_000
BATCH = 500

AT_ONCE = "10,000 due at once"
SINGLE = "one run at a time, two commits each"
SCATTERED = "10,000 in turn, at random places among 1M timers"

EPOCH = 1
FUNC = "app:work"
HOUR = 3_600_000_000


def opened(path: Path) -> sqlite3.Connection:
    """A database with the store's schema, set up as the store does it."""
    from asched.stores.sqlite import migrate

    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA cache_size = -65536")
    db.execute("BEGIN")
    migrate(db, 0)
    db.execute("COMMIT")
    return db


def fill(db: sqlite3.Connection, timers: int, now: int) -> None:
    """So many interval jobs, due from now on in an order that has nothing to do with their place in the table."""
    from asched.stores.sql import statements
    from asched.triggers import Interval

    trigger = orjson.dumps(Interval(hours=1).bound(now, "UTC").to_json()).decode()
    db.execute("BEGIN")
    [ns] = db.execute(statements("sqlite")["add_schedule"], ("default", now)).fetchone()
    db.execute("INSERT INTO asched_function (id, ns, name, short) VALUES (1, ?, ?, 'work')", (ns, FUNC))
    count = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {timers})"
    db.execute(
        f"{count} INSERT INTO asched_job (serial, ns, id, name, func, origin, group_name, trigger_json, generation, "
        "search, version, created, updated) SELECT i, ?1, 'job-' || i, 'job-' || i, 1, 'api', 'default', ?2, 0, "
        "'job-' || i || char(10) || 'app:work', 1, ?3, ?3 FROM n",
        (ns, trigger, now),
    )
    db.execute(
        f"{count} INSERT INTO asched_timer (job, func, rev, planned, due, paused) "
        f"SELECT i, 1, 1, ?1 - (i * 7919) % {timers}, ?1 - (i * 7919) % {timers}, 0 FROM n",
        (now,),
    )
    db.execute("UPDATE asched_counter SET serial = ?", (timers,))
    db.execute("COMMIT")


def many(db: sqlite3.Connection, statement: str, rows: Sequence[tuple[object, ...]], *values: object) -> None:
    """Run one of the store's statements that take rows, with as many as there are."""
    from asched.stores.sql import statements

    row = f"({', '.join('?' * len(rows[0]))})"
    text = statements("sqlite")[statement].replace(f"{{rows {len(rows[0])}}}", f"VALUES {', '.join([row] * len(rows))}")
    db.execute(text, [*chain.from_iterable(rows), *values])


def limit(n: int, batch: int, timers: int) -> Figures:
    from asched.stores.sql import statements

    sql = statements("sqlite")
    now = time.time_ns() // 1000
    with tempfile.TemporaryDirectory() as folder:
        db = opened(Path(folder) / "jobs.db")
        fill(db, timers, now)
        due = db.execute("SELECT job, due FROM asched_timer ORDER BY due, job LIMIT ?", (n,)).fetchall()
        batches = [due[start : start + batch] for start in range(0, n, batch)]
        began, cpu = time.perf_counter(), time.process_time()
        token = EPOCH << 32
        ending: list[tuple[int, int]] = []
        for turn in (*batches, []):
            db.execute("BEGIN IMMEDIATE")
            if turn:
                rows, timers_of = [], []
                for job, instant in turn:
                    token += 1
                    rows.append((token, job, instant, instant, token, None))
                    timers_of.append((job, now + HOUR, now + HOUR))
                many(db, "start_runs", rows, EPOCH, "node", now)
                many(db, "start_timers", timers_of, now)
            if ending:
                many(db, "record_plain", [(run, now, now, None, run) for run, _ in ending], 1)
                db.execute(sql["remove_plain"], (orjson.dumps([run for run, _ in ending]).decode(),))
                db.execute(sql["last_status"], ("succeeded", orjson.dumps([job for _, job in ending]).decode()))
                db.execute(sql["count_ends"], (len(ending), 0, len(ending), 1))
            db.execute("COMMIT")
            ending = [(row[0], row[1]) for row in rows] if turn else []
        figures = _figures(n, began, cpu)
        db.close()
    return figures


async def store(n: int, batch: int, timers: int) -> Figures:
    from asched.clock import SystemClock
    from asched.model import Outcome, RunStatus
    from asched.store import Claim, Claimed, Finish, Grant, Limits, NodeInfo
    from asched.stores.sqlite import SQLiteStore

    clock = SystemClock()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.db"
        db = opened(path)
        fill(db, timers, clock.now())
        db.close()
        store = SQLiteStore(path)
        opening = time.perf_counter()
        await store.open("default", Limits(), clock)
        open_ms = (time.perf_counter() - opening) * 1000
        epoch = await store.register(NodeInfo("node", "host", 1, "0", 0, frozenset({FUNC}), frozenset()))
        tokens = iter(range((epoch << 32) + 1, 1 << 62))
        due = (await store.window(epoch, clock.now(), n)).timers
        assert len(due) == n
        commits = store.commits
        began, cpu = time.perf_counter(), time.process_time()

        async def end(granted: Sequence[Claimed]) -> None:
            if granted:
                now = clock.now()
                ends = [Finish(c.token, RunStatus.SUCCEEDED, Outcome.OK, now, now) for c in granted]
                accepted, _ = await store.finish(epoch, ends)
                assert all(accepted)

        granted: list[Claimed] = []
        for start in range(0, n, batch):
            now = clock.now()
            claims = [
                Claim(timer, next(tokens), True, timer.planned, timer.due, now + HOUR, now + HOUR)
                for timer in due[start : start + batch]
            ]
            if batch == 1:
                granted = await store.claim(epoch, claims)
                await end(granted)
                granted = []
            else:
                granted, _ = await asyncio.gather(store.claim(epoch, claims), end(granted))
            assert all(claimed.grant is Grant.STARTED for claimed in granted)
        await end(granted)
        figures = _figures(n, began, cpu)
        figures["commits_per_run"] = (store.commits - commits) / n
        figures["open_ms"] = open_ms
        await store.close()
    return figures


async def scheduler(n: int) -> Figures:
    from asched import Scheduler
    from asched.stores.sqlite import SQLiteStore
    from asched.triggers import Once

    done = asyncio.Event()
    left = n

    async def work() -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(Path(folder) / "jobs.db")
        async with Scheduler(store, max_concurrency=1_000) as running:
            running.register_function(work, FUNC)
            due = time.time() + 1 + n * 1e-3
            when = Once(datetime.fromtimestamp(due, UTC))
            began = time.perf_counter()
            await asyncio.gather(*[running.add_job(work, when) for _ in range(n)])
            adds = n / (time.perf_counter() - began)
            assert time.time() < due - 0.5
            await asyncio.sleep(due - time.time())
            cpu, commits = time.process_time(), store.commits
            started = time.perf_counter() - (time.time() - due)
            await done.wait()
            while (await running.get_statistics()).total_runs < n:  # noqa: ASYNC110 - the store is asked, as users ask it
                await asyncio.sleep(0.002)
            figures = _figures(n, started, cpu)
            figures["commits_per_run"] = (store.commits - commits) / n
            figures["adds_per_s"] = adds
    return figures


def _figures(n: int, began: float, cpu: float) -> Figures:
    elapsed = time.perf_counter() - began
    return {"runs_per_s": n / elapsed, "cpu_us_per_run": (time.process_time() - cpu) / n * 1e6}


bench = Benchmark(__file__, __doc__, "runs_per_s", rounds=3)
for case, n, batch, timers, quick in (
    (AT_ONCE, N, BATCH, N, {}),
    (SINGLE, 500, 1, N, {}),
    (SCATTERED, N, BATCH, 1_000_000, {"timers": 100_000}),
):
    arguments = {"n": n, "batch": batch, "timers": timers}
    bench.row("sqlite3, the same statements", LIMIT, limit, case=case, quick=quick, **arguments)
    bench.row("asched's store", OURS, store, case=case, quick=quick, **arguments)
bench.row("asched", OURS, scheduler, case=AT_ONCE, n=N)

if __name__ == "__main__":
    bench.main()
