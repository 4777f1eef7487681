"""How many durable runs a second does SQLite bear, with synchronous=FULL, and what of that reaches the user?

A run is two changes, each on disk before anybody hears of it: the claim (the timer moves on, the run is there) and
the end (the run leaves, its record is there). The limit writes the same rows with the same statements from sqlite3
alone, in one thread, knowing beforehand what to write. The store answers through its public calls; the scheduler
runs coroutines. In one transaction the ends of a batch meet the claims of the next, in all of them. APScheduler
writes each job's next time before it runs, one transaction each, and keeps no record of runs; its database is in WAL
mode too, with the same synchronous=FULL.

A stored population is made once, under ``.nox``, and copied for each measurement.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import pickle
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

from _bench import LIMIT, OURS, PEER, ROOT, Benchmark, Figures, resident_bytes

N = 10_000
BATCH = 500
STORED = 1_000_000

AT_ONCE = "10,000 due at once"
SINGLE = "one run at a time"
SCATTERED = "10,000 due at once, at random places among 1M timers"
HELD = "1M stored jobs"

APSCHEDULER = "apscheduler[sqlalchemy]==3.11.3"

EPOCH = 1
FUNC = "app:work"
HOUR = 3_600_000_000
YEAR = 365 * 24 * HOUR

POPULATIONS = ROOT / ".nox" / "bench-populations"


# Populations


@contextmanager
def copied(name: str, make: Callable[[Path], None]) -> Iterator[Path]:
    """A copy of a prepared database, which is made when it is not there yet; the copy is on disk."""
    source = POPULATIONS / f"{name}.db"
    if not source.exists():
        POPULATIONS.mkdir(parents=True, exist_ok=True)
        unfinished = source.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        make(unfinished)
        unfinished.rename(source)
    # Beside the source, so that the disk that is measured is the same whatever /tmp is.
    with tempfile.TemporaryDirectory(dir=POPULATIONS) as folder:
        path = Path(folder) / "jobs.db"
        shutil.copyfile(source, path)
        with path.open("r+b") as file:
            # What the copy left to the disk is not the runs' cost.
            os.fsync(file.fileno())
        yield path


def opened(path: Path) -> sqlite3.Connection:
    """A connection set up as the store does it."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA cache_size = -65536")
    db.execute("PRAGMA wal_autocheckpoint = 4096")
    return db


@contextmanager
def population(timers: int) -> Iterator[Path]:
    """So many interval jobs, a year away, in an order that has nothing to do with their place in the table."""
    from asched.stores.sql import migrations

    schema = hashlib.sha256("".join(migration.text for migration in migrations("sqlite")).encode())

    def make(path: Path) -> None:
        with closing(opened(path)) as db:
            fill(db, timers, time.time_ns() // 1000)

    with copied(f"asched-{timers}-{schema.hexdigest()[:12]}", make) as path:
        yield path


def fill(db: sqlite3.Connection, timers: int, now: int) -> None:
    from asched.stores.sql import statements
    from asched.stores.sqlite.store import migrate
    from asched.triggers import Interval

    trigger = orjson_text(Interval(hours=1).bound(now, "UTC").to_json())
    db.execute("BEGIN")
    migrate(db, 0)
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
        f"SELECT i, 1, 1, ?1 + (i * 7919) % {timers}, ?1 + (i * 7919) % {timers}, 0 FROM n",
        (now + YEAR,),
    )
    db.execute("UPDATE asched_counter SET serial = ?", (timers,))
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def make_due(db: sqlite3.Connection, n: int, when: int) -> None:
    """Let the n jobs whose turn is first, scattered over the table, be due at one instant."""
    db.execute(
        "UPDATE asched_timer SET planned = ?1, due = ?1 WHERE job IN (SELECT job FROM asched_timer "
        "WHERE func = 1 AND due NOT NULL AND paused = 0 ORDER BY due LIMIT ?2)",
        (when, n),
    )
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def orjson_text(value: object) -> str:
    import orjson

    return orjson.dumps(value).decode()


# Contenders


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
    with population(timers) as path, closing(opened(path)) as db:
        make_due(db, n, now)
        due = db.execute("SELECT job, due FROM asched_timer WHERE due <= ? ORDER BY due, job", (now,)).fetchall()
        batches = [due[start : start + batch] for start in range(0, n, batch)]
        gc.collect()
        began, cpu = time.perf_counter(), time.process_time()
        token = EPOCH << 38
        ending: list[tuple[int, int]] = []
        # Alone, a run ends before the next one begins.
        apart = batch == 1
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
                if apart:
                    db.execute("COMMIT")
                    db.execute("BEGIN IMMEDIATE")
                    ending = [(row[0], row[1]) for row in rows]
            if ending:
                many(db, "record_plain", [(run, now, now, None, run) for run, _ in ending], 1)
                db.execute(sql["remove_runs"], (orjson_text([run for run, _ in ending]),))
                db.execute(sql["last_status"], ("succeeded", orjson_text([job for _, job in ending])))
                db.execute(sql["count_ends"], (len(ending), 0, len(ending), 1))
            db.execute("COMMIT")
            ending = [(row[0], row[1]) for row in rows] if turn and not apart else []
        return _figures(n, began, cpu)


async def store(n: int, batch: int, timers: int) -> Figures:
    from asched.clock import SystemClock
    from asched.model import Outcome, RunStatus
    from asched.store import TOKEN_BITS, Claim, Claimed, Finish, Grant, Limits, NodeInfo
    from asched.stores.sqlite import SQLiteStore

    clock = SystemClock()
    with population(timers) as path:
        with closing(opened(path)) as db:
            make_due(db, n, clock.now())
        store = SQLiteStore(path)
        await store.open("default", Limits(), clock)
        epoch = await store.register(NodeInfo("node", "host", 1, "0", 0, frozenset({FUNC}), frozenset()))
        tokens = iter(range((epoch << TOKEN_BITS) + 1, 1 << 62))
        due = (await store.window(epoch, clock.now(), n)).timers
        assert len(due) == n
        commits = store.commits
        gc.collect()
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
        await store.close()
    return figures


async def scheduler(n: int, timers: int) -> Figures:
    from asched import Scheduler
    from asched.stores.sqlite import SQLiteStore

    done = asyncio.Event()
    left = n

    async def work() -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    with population(timers) as path:
        due = time.time() + 2 + n * 1e-4
        with closing(opened(path)) as db:
            make_due(db, n, int(due * 1e6))
        store = SQLiteStore(path)
        running = Scheduler(store, max_concurrency=1_000)
        running.register_function(work, FUNC)
        before = resident_bytes()
        opening = time.perf_counter()
        async with running:
            open_ms = (time.perf_counter() - opening) * 1000
            await asyncio.sleep(0.3)
            grown = resident_bytes() - before
            await until_just_before(due)
            cpu, commits = time.process_time(), store.commits
            started = time.perf_counter() - (time.time() - due)
            await done.wait()
            with closing(sqlite3.connect(path, isolation_level=None)) as onlooker:
                # Not through the scheduler: its statistics are of every job, and would be measured too.
                recorded = "SELECT sum(runs) FROM asched_schedule"
                while onlooker.execute(recorded).fetchone()[0] < n:  # noqa: ASYNC110 - a file sets no event
                    await asyncio.sleep(0.001)
            figures = _figures(n, started, cpu)
            figures["commits_per_run"] = (store.commits - commits) / n
            figures["open_ms"] = open_ms
            figures["open_mb"] = grown / 1e6
            assert (await running.get_statistics()).total_failures == 0
    return figures


async def one_by_one(n: int) -> Figures:
    """One job that comes so often that each run has ended before the next, and seldom enough that none is late."""
    from asched import Scheduler
    from asched.stores.sqlite import SQLiteStore
    from asched.triggers import Interval

    done = asyncio.Event()
    left = n

    async def work() -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    with tempfile.TemporaryDirectory(dir=_folder()) as folder:
        store = SQLiteStore(Path(folder) / "jobs.db")
        async with Scheduler(store) as running:
            running.register_function(work, FUNC)
            await running.add_job(work, Interval(seconds=0.02), id="often", max_runs=n)
            cpu, commits = time.process_time(), store.commits
            await done.wait()
            cpu = time.process_time() - cpu
            await asyncio.sleep(0.1)  # the last end is written
            return {"cpu_us_per_run": cpu / n * 1e6, "commits_per_run": (store.commits - commits) / n}


async def apscheduler(n: int, timers: int) -> Figures:
    from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
    from apscheduler.schedulers.asyncio import AsyncIOScheduler
    from sqlalchemy import create_engine, event, update

    work.left = n
    work.done = asyncio.Event()
    with copied(f"apscheduler-{timers}", lambda path: fill_apscheduler(path, timers)) as path:
        engine = create_engine(f"sqlite:///{path}")

        @event.listens_for(engine, "connect")
        def set_up(connection: Any, _: object) -> None:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA cache_size = -65536")

        jobs = SQLAlchemyJobStore(engine=engine)
        due = time.time() + 4
        moment = datetime.fromtimestamp(due, UTC)
        table = jobs.jobs_t
        with engine.begin() as connection:
            for job_id, state in connection.execute(
                table.select().with_only_columns(table.c.id, table.c.job_state).order_by(table.c.next_run_time).limit(n)
            ).fetchall():
                state = pickle.dumps({**pickle.loads(state), "next_run_time": moment})
                connection.execute(update(table).where(table.c.id == job_id).values(next_run_time=due, job_state=state))
        running = AsyncIOScheduler(
            timezone=UTC, jobstores={"default": jobs}, job_defaults={"misfire_grace_time": None, "coalesce": True}
        )
        running.start()
        await until_just_before(due)
        cpu = time.process_time()
        started = time.perf_counter() - (time.time() - due)
        await work.done.wait()
        figures = _figures(n, started, cpu)
        running.shutdown(wait=False)
        engine.dispose()
    return figures


async def work() -> None:
    """What APScheduler finds by its name; it writes before it runs, so all is written when the last one has run."""
    work.left -= 1
    if not work.left:
        work.done.set()


def fill_apscheduler(path: Path, timers: int) -> None:
    from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

    jobs = SQLAlchemyJobStore(url=f"sqlite:///{path}")
    running = AsyncIOScheduler(timezone=UTC, jobstores={"default": jobs})
    running.start(paused=True)
    start = datetime.now(UTC) + timedelta(days=365)
    job = running.add_job(work, "interval", hours=1, start_date=start, id="pattern", misfire_grace_time=None)
    state = job.__getstate__()
    job.remove()
    with jobs.engine.begin() as connection:
        for first in range(0, timers, 10_000):
            rows = []
            for number in range(first, min(first + 10_000, timers)):
                moment = start + timedelta(microseconds=number * 7919 % timers)
                pickled = pickle.dumps({**state, "id": f"job-{number}", "next_run_time": moment})
                rows.append({"id": f"job-{number}", "next_run_time": moment.timestamp(), "job_state": pickled})
            connection.execute(jobs.jobs_t.insert(), rows)
    running.shutdown(wait=False)
    jobs.engine.dispose()


async def managing(timers: int) -> Figures:
    """What an operator waits for."""
    from asched import Scheduler
    from asched.stores.sqlite import SQLiteStore

    async def work() -> None:
        raise AssertionError("these are a year away")

    with population(timers) as path:
        running = Scheduler(SQLiteStore(path))
        running.register_function(work, FUNC)
        before = resident_bytes()
        opening = time.perf_counter()
        async with running:
            figures = {"open_ms": (time.perf_counter() - opening) * 1000}
            await asyncio.sleep(0.5)
            figures["open_mb"] = (resident_bytes() - before) / 1e6
            middle = timers // 2

            async def timed(name: str, call: Callable[[int], Any]) -> None:
                took = []
                for turn in range(20):
                    began = time.perf_counter()
                    await call(middle + turn)
                    took.append(time.perf_counter() - began)
                figures[name] = sorted(took)[len(took) // 2] * 1000
                figures[f"{name}_worst"] = max(took) * 1000

            await timed("list_ms", lambda _: running.get_jobs(limit=50))
            await timed("get_ms", lambda number: running.get_job(f"job-{number}"))
            await timed("pause_ms", lambda number: running.pause_job(f"job-{number}"))
            await timed("resume_ms", lambda number: running.resume_job(f"job-{number}"))
            await timed("cancel_ms", lambda number: running.cancel_job(f"job-{number}"))
    return figures


async def until_just_before(due: float) -> None:
    """Sleep until the next thing that happens is the burst, of which nothing must be missed."""
    gc.collect()
    lead = due - 0.02 - time.time()
    assert lead > 0.1, "too late to begin"
    await asyncio.sleep(lead)


def _folder() -> Path:
    POPULATIONS.mkdir(parents=True, exist_ok=True)
    return POPULATIONS


def _figures(n: int, began: float, cpu: float) -> Figures:
    elapsed = time.perf_counter() - began
    return {
        "runs_per_s": n / elapsed,
        "us_per_run": elapsed / n * 1e6,
        "cpu_us_per_run": (time.process_time() - cpu) / n * 1e6,
    }


bench = Benchmark(__file__, __doc__, "runs_per_s", rounds=5)
for case, n, batch, timers, quick in (
    (AT_ONCE, N, BATCH, N, {}),
    (SINGLE, 500, 1, N, {}),
    (SCATTERED, N, BATCH, STORED, {"timers": 100_000}),
):
    sizes: dict[str, object] = {"n": n, "timers": timers}
    bench.row("sqlite3, the same statements", LIMIT, limit, case=case, quick=quick, batch=batch, **sizes)
    if case != SINGLE:
        bench.row(
            "APScheduler 3, SQLAlchemyJobStore", PEER, apscheduler, case=case, requires=APSCHEDULER, rounds=2,
            only_full=True, **sizes,
        )  # fmt: skip
    bench.row("asched's store", OURS, store, case=case, quick=quick, batch=batch, **sizes)
    if case != SINGLE:
        bench.row("asched", OURS, scheduler, case=case, quick=quick, **sizes)
        bench.goal("us_per_run", case=case, at_most=20 if case == AT_ONCE else 66.6, row="asched")
        bench.goal("us_per_run", case=case, times_limit=2, row="asched")
bench.row("asched, 50 runs a second", OURS, one_by_one, case=SINGLE, n=200, quick={"n": 50})
bench.row("asched", OURS, managing, case=HELD, timers=STORED, quick={"timers": 100_000}, rounds=3)

if __name__ == "__main__":
    sys.modules["sqlite_durable"] = sys.modules["__main__"]
    bench.main()
