"""How many runs a second do one and two workers get out of one PostgreSQL, and how soon does a job start there?

A run is two changes, each on disk before anybody hears of it: the claim (the timer moves on, the run is there) and the
end (the run leaves, its record is there). The limit sends the store's own two statements from asyncpg alone, in the
same batches, on two connections at once as the engine does, knowing beforehand what to write; as two processes each
has a half of the jobs. asched's two nodes hold the same jobs and race for each of them; afterwards each has run once.
pgqueuer and procrastinate are queues: their jobs lie there when the workers begin, and a run is counted from the first
job's start, so that connecting is not. procrastinate asks for one job at a time and takes part with 2,000.

Workers are processes of their own, all on the machine of the server. `server_us` is the CPU of their connections'
server processes, `wal_bytes` what the whole server wrote meanwhile, other databases too.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from _bench import LIMIT, OURS, PEER, Benchmark, Figures, percentile, resident_bytes

N = 20_000
BATCH = 500
STORED = 1_000_000
SCATTERED = 10_000

ONE = "20,000 due at once, one node"
TWO = "20,000 due at once, two nodes"
SINGLE = "one run at a time"
ADDED = "a job added for now, every 40 ms"
STEADY = "2,000 due a second, one node"
LARGE = "10,000 due at once, at random places among 1M jobs, one node"
HELD = "1M stored jobs"

PGQUEUER = "pgqueuer[asyncpg]==1.6.0"
PROCRASTINATE = "procrastinate==3.10.0 psycopg[binary] asyncpg"

DSN = os.environ.get("ASCHED_BENCH_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
SCHEMA = os.environ.get("ASCHED_BENCH_SCHEMA", "")
"""What the names of all schemas begin with; they go when the benchmark is over."""

FUNC = "app:work"
SECOND = 1_000_000
HOUR = 3_600 * SECOND
YEAR = 365 * 24 * HOUR

# As the store sets up the connections of its loop.
SETTINGS = {"jit": "off", "plan_cache_mode": "force_custom_plan", "enable_seqscan": "off"}


# Processes


class Boss:
    """What a worker process talks to: it says that it is ready, and asks when to begin and whether all is done."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def ready(self) -> None:
        self._pipe.send("ready")

    async def word(self) -> Any:
        return await asyncio.to_thread(self._pipe.recv)


class Crew:
    """Worker processes that begin at once."""

    def __init__(self, work: Callable[..., Any], count: int, *arguments: object) -> None:
        # A fork would take the event loop along.
        context = multiprocessing.get_context("spawn")
        self._pipes = []
        for number in range(count):
            here, there = context.Pipe()
            context.Process(target=labour, args=(there, work, number, *arguments), daemon=True).start()
            there.close()
            self._pipes.append(here)

    async def words(self) -> list[Any]:
        return [await asyncio.to_thread(pipe.recv) for pipe in self._pipes]

    def tell(self, word: object) -> None:
        for pipe in self._pipes:
            pipe.send(word)


def labour(pipe: Pipe, work: Callable[..., Any], *arguments: object) -> None:
    pipe.send(asyncio.run(work(Boss(pipe), *arguments)))


# The server


async def connect(schema: str, **settings: str) -> Any:
    import asyncpg

    return await asyncpg.connect(DSN, server_settings={"application_name": schema, "search_path": schema, **settings})


@asynccontextmanager
async def schema_of(name: str) -> AsyncIterator[tuple[str, Any]]:
    """A schema for one measurement, and a connection that looks on."""
    schema = f"{SCHEMA}_{name}_{os.getpid()}"
    onlooker = await connect(schema, application_name="onlooker")
    await onlooker.execute(f"CREATE SCHEMA {schema}")
    try:
        yield schema, onlooker
    finally:
        await onlooker.execute(f"DROP SCHEMA {schema} CASCADE")


class Meter:
    """What the server does from here on: CPU of one schema's connections, and the log of all."""

    def __init__(self, onlooker: Any, schema: str) -> None:
        self._onlooker = onlooker
        self._schema = schema

    async def begin(self) -> None:
        self._cpu = await self._server_cpu()
        self._place = await self._onlooker.fetchval("SELECT pg_current_wal_insert_lsn()")

    async def per_run(self, runs: int) -> Figures:
        wal = await self._onlooker.fetchval("SELECT pg_current_wal_insert_lsn() - $1::pg_lsn", self._place)
        figures = {"wal_bytes": float(wal) / runs}
        cpu = await self._server_cpu()
        if cpu:
            figures["server_us"] = 1e6 * (sum(cpu.values()) - sum(self._cpu.get(pid, 0.0) for pid in cpu)) / runs
        return figures

    async def _server_cpu(self) -> dict[int, float]:
        """CPU seconds by process; empty where the server is not on this machine."""
        found = {}
        for [pid] in await self._onlooker.fetch(
            "SELECT pid FROM pg_stat_activity WHERE application_name = $1", self._schema
        ):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # noqa: ASYNC240 - the kernel's
            except OSError:
                continue
            found[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return found


RECORDED = "SELECT sum(runs)::bigint FROM tally"


async def until_recorded(onlooker: Any, runs: int, query: str = RECORDED) -> float:
    """Return when that many runs had ended in the database."""
    deadline = time.time() + 120
    while (await onlooker.fetchval(query) or 0) < runs:
        if time.time() > deadline:
            raise RuntimeError("the runs did not come")
        await asyncio.sleep(0.002)
    return time.time()


# The population


async def populate(onlooker: Any, schema: str, jobs: int, trigger: object) -> None:
    """So many jobs, due in a year, in an order that has nothing to do with their place in the table."""
    from asched.stores.postgres import migrate

    await migrate(f"{DSN}?schema={schema}")
    async with onlooker.transaction():
        ns = await onlooker.fetchval("INSERT INTO schedule (name, since) VALUES ('default', clock()) RETURNING ns")
        func = await onlooker.fetchval(
            "INSERT INTO function (ns, name, short) VALUES ($1, $2, 'work') RETURNING id", ns, FUNC
        )
        await onlooker.execute("INSERT INTO tally (ns, epoch) VALUES ($1, 0)", ns)
        await onlooker.execute(
            "INSERT INTO job (serial, ns, id, name, func, origin, group_name, trigger_json, generation, search, "
            "version, created, updated) SELECT i, $1, 'job-' || i, 'job-' || i, $2, 'api', 'default', $3, 0, "
            "'job-' || i || chr(10) || 'app:work', 1, clock(), clock() FROM generate_series(1, $4::bigint) AS i",
            ns, func, json.dumps(trigger), jobs, timeout=300,
        )  # fmt: skip
        await onlooker.execute(
            "INSERT INTO timer (job, ns, func, rev, edition, planned, due, paused, declared) "
            "SELECT i, $1, $2, 1, 1, d, d, false, false "
            "FROM generate_series(1, $3::bigint) AS i, LATERAL (SELECT $4::bigint + i * 7919 % $3::bigint AS d) AS d",
            ns, func, jobs, time.time_ns() // 1000 + YEAR, timeout=300,
        )  # fmt: skip
        await onlooker.execute("SELECT setval('serial', $1)", jobs)
    await onlooker.execute("VACUUM ANALYZE job, timer", timeout=300)


def once() -> object:
    """A trigger whose one instant has come whenever its timer says so."""
    from datetime import UTC, datetime

    from asched.triggers import Once

    return Once(datetime(2020, 1, 1, tzinfo=UTC)).bound(0, "UTC").to_json()


@asynccontextmanager
async def populated(jobs: int) -> AsyncIterator[tuple[str, Any]]:
    """A schema with so many jobs that come once; the large one has intervals, and stays for the next measurement."""
    if jobs < STORED:
        async with schema_of("jobs") as (schema, onlooker):
            await populate(onlooker, schema, jobs, once())
            yield schema, onlooker
        return
    from asched.triggers import Interval

    schema = f"{SCHEMA}_stored"
    onlooker = await connect(schema, application_name="onlooker")
    if not await onlooker.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", schema):
        await onlooker.execute(f"CREATE SCHEMA {schema}")
        await populate(onlooker, schema, jobs, Interval(hours=1).bound(time.time_ns() // 1000, "UTC").to_json())
    else:
        # Those who measured before left no word; they would have a share in the work.
        await onlooker.execute("DELETE FROM node")
        await onlooker.execute("DELETE FROM tally WHERE epoch > 0")
        await onlooker.execute("UPDATE tally SET runs = 0")
        await onlooker.execute("TRUNCATE history")
        await onlooker.execute("VACUUM timer, run", timeout=300)
    yield schema, onlooker


async def make_due(onlooker: Any, n: int, of: int, when: int, apart: int = 0) -> list[int]:
    """Let n jobs, of 1M those at random places, be due at one instant, or so many microseconds apart."""
    serials = list(range(1, n + 1)) if n == of else random.sample([i for i in range(1, of + 1) if i % 1_000], n)
    await onlooker.execute(
        "UPDATE timer t SET planned = $2 + (n.place - 1) * $3::bigint, due = $2 + (n.place - 1) * $3::bigint "
        "FROM unnest($1::bigint[]) WITH ORDINALITY AS n (job, place) WHERE t.job = n.job",
        serials, when, apart, timeout=300,
    )  # fmt: skip
    return serials


# The limit


def statements(schema: str) -> dict[str, str]:
    from asched.stores.postgres.schedule import qualified

    return qualified(schema)


async def register(connection: Any, schema: str) -> int:
    epoch = await connection.fetchval(statements(schema)["register"], 1, "limit", HOUR, "{}")
    return int(epoch)


async def limit_worker(
    boss: Boss, number: int, count: int, schema: str, timers: Sequence[tuple[int, int, int]], batch: int, again: int
) -> Figures:
    sql = statements(schema)
    claims_on, ends_on = await connect(schema, **SETTINGS), await connect(schema, **SETTINGS)
    epoch = await register(claims_on, schema)
    token = epoch << 32
    mine = timers[number::count]
    batches = []
    for start in range(0, len(mine), batch):
        part = mine[start : start + batch]
        tokens = list(range(token + 1, token + 1 + len(part)))
        token += len(part)
        due = [due for _, _, due in part]
        following = [again or None] * len(part)
        columns = [job for job, _, _ in part], [rev for _, rev, _ in part], tokens, due, due, following, following
        batches.append((*columns, [False] * len(part), [None] * len(part)))

    async def claim(columns: tuple[list[Any], ...]) -> list[int]:
        got = await claims_on.fetch(sql["claim"], epoch, 1, *columns, 0)
        assert len(got) == len(columns[0])
        return columns[2]

    async def end(tokens: list[int]) -> None:
        now = [time.time_ns() // 1000] * len(tokens)
        ended = await ends_on.fetch(sql["finish"], tokens, epoch, 1, now, now, [None] * len(tokens))
        assert len(ended) == len(tokens)

    return await paced(boss, batches, claim, end, len(mine))


async def paced(
    boss: Boss, batches: Sequence[Any], claim: Callable[[Any], Awaitable[Any]], end: Callable[[Any], Awaitable[None]],
    n: int,
) -> Figures:  # fmt: skip
    """Claims and ends at once, each on a connection of its own; alone, a run ends before the next begins."""
    boss.ready()
    await boss.word()
    claimed: asyncio.Queue[Any] = asyncio.Queue()
    cpu = time.process_time()

    async def claims() -> None:
        for batch in batches:
            claimed.put_nowait(await claim(batch))
        claimed.put_nowait(None)

    async def ends() -> None:
        while (got := await claimed.get()) is not None:
            await end(got)

    if len(batches) == n:
        for batch in batches:
            await end(await claim(batch))
    else:
        await asyncio.gather(claims(), ends())
    figures = {"ended": time.time(), "cpu": time.process_time() - cpu}
    # The server's processes are looked at before they go.
    boss.ready()
    await boss.word()
    return figures


async def worked(worker: Callable[..., Any], nodes: int, n: int, batch: int, timers: int) -> Figures:
    """Let workers that need no scheduler do what is due, each its part."""
    async with populated(timers) as (schema, onlooker):
        serials = await make_due(onlooker, n, timers, time.time_ns() // 1000)
        rows = [tuple(row) for row in await onlooker.fetch(
            "SELECT job, rev, due FROM timer WHERE job = ANY($1::bigint[]) ORDER BY due, job", serials
        )]  # fmt: skip
        again = 0 if timers < STORED else time.time_ns() // 1000 + HOUR
        crew = Crew(worker, nodes, nodes, schema, rows, batch, again)
        await crew.words()
        await onlooker.execute("CHECKPOINT", timeout=60)
        meter = Meter(onlooker, schema)
        await meter.begin()
        began = time.time()
        crew.tell("go")
        await crew.words()
        server = await meter.per_run(n)
        crew.tell("done")
        done = await crew.words()
        figures = summary(n, max(one["ended"] for one in done) - began, sum(one["cpu"] for one in done)) | server
        figures |= {name: one[name] for one in done for name in one if name.endswith("_ms")}
        assert await onlooker.fetchval("SELECT count(DISTINCT job) FROM history") == n
        assert await onlooker.fetchval(RECORDED) == n
    return figures


def summary(n: int, seconds: float, cpu: float) -> Figures:
    return {"runs_per_s": n / seconds, "us_per_run": 1e6 * seconds / n, "cpu_us_per_run": 1e6 * cpu / n}


async def limit(nodes: int, n: int, batch: int, timers: int) -> Figures:
    return await worked(limit_worker, nodes, n, batch, timers)


# The store


def store_of(schema: str) -> Any:
    from asched.stores.postgres import PostgresStore

    return PostgresStore(f"{DSN}?application_name={schema}", schema=schema)


async def store_worker(
    boss: Boss, number: int, count: int, schema: str, rows: Sequence[tuple[int, int, int]], batch: int, again: int
) -> Figures:
    from asched.clock import SystemClock
    from asched.model import Outcome, RunStatus
    from asched.store import Claim, Finish, Grant, Limits, NodeInfo

    clock = SystemClock()
    store = store_of(schema)
    await store.open("default", Limits(), clock)
    epoch = await store.register(NodeInfo("node", "host", 1, "0", 0, frozenset({FUNC}), frozenset()))
    began = time.perf_counter()
    due = (await store.window(epoch, clock.now(), len(rows))).timers
    window = 1000 * (time.perf_counter() - began)
    assert len(due) == len(rows)
    mine = due[number::count]
    tokens = iter(range((epoch << 32) + 1, 1 << 62))

    async def claim(timers: Sequence[Any]) -> list[int]:
        planned = again or None
        claims = [Claim(timer, next(tokens), True, timer.planned, timer.due, planned, planned) for timer in timers]
        got = await store.claim(epoch, claims)
        assert all(grant is Grant.STARTED for grant, *_ in got)
        return [token for _, token, *_ in got]

    async def end(claimed: Sequence[int]) -> None:
        now = clock.now()
        ends = [Finish(token, RunStatus.SUCCEEDED, Outcome.OK, now, now) for token in claimed]
        accepted, _ = await store.finish(epoch, ends)
        assert all(accepted)

    batches = [mine[start : start + batch] for start in range(0, len(mine), batch)]
    figures = await paced(boss, batches, claim, end, len(mine))
    return {**figures, "window_ms": window}


async def store(nodes: int, n: int, batch: int, timers: int) -> Figures:
    return await worked(store_worker, nodes, n, batch, timers)


# The scheduler


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Count what asyncpg sends: statements without the brackets of transactions, and commits."""
    import asyncpg

    counts = {"queries": 0, "commits": 0}
    connect = asyncpg.connect

    def counter() -> Callable[[Any], None]:
        inside = False

        def count(logged: Any) -> None:
            nonlocal inside
            first = logged.query.split(None, 1)[0].rstrip(";").upper()
            if first in ("BEGIN", "COMMIT", "ROLLBACK"):
                inside = first == "BEGIN"
            else:
                counts["queries"] += 1
            counts["commits"] += not inside

        return count

    async def connect_counted(*arguments: Any, **options: Any) -> Any:
        connection = await connect(*arguments, **options)
        connection.add_query_logger(counter())
        return connection

    asyncpg.connect = connect_counted
    try:
        yield counts
    finally:
        asyncpg.connect = connect


async def node(boss: Boss, _: int, schema: str) -> Figures:
    """A whole scheduler; the boss says when its jobs are due, and then that all is done."""
    from asched import Scheduler

    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1

    with counted() as counts:
        running = Scheduler(store_of(schema), max_concurrency=1_000)
        running.register_function(work, FUNC)
        async with running:
            boss.ready()
            due = await boss.word()
            await asyncio.sleep(due - 0.02 - time.time())
            cpu, commits = time.process_time(), counts["commits"]
            await boss.word()
            cpu, commits = time.process_time() - cpu, counts["commits"] - commits
            assert (await running.get_statistics()).total_failures == 0
    return {"runs": runs, "cpu": cpu, "commits": commits}


async def scheduler(nodes: int, n: int, timers: int) -> Figures:
    async with populated(timers) as (schema, onlooker):
        crew = Crew(node, nodes, schema)
        await crew.words()
        # The nodes look once a second and as far as three: all of them know what is due by then.
        due = time.time() + 4
        await make_due(onlooker, n, timers, int(due * SECOND))
        await onlooker.execute("CHECKPOINT", timeout=60)
        assert time.time() < due - 1.5, "making the jobs due took too long"
        crew.tell(due)
        meter = Meter(onlooker, schema)
        await asyncio.sleep(due - 0.05 - time.time())
        await meter.begin()
        elapsed = await until_recorded(onlooker, n) - due
        server = await meter.per_run(n)
        crew.tell("done")
        done = await crew.words()
        assert sum(one["runs"] for one in done) == n
        assert await onlooker.fetchval("SELECT count(DISTINCT job) FROM history WHERE status = 'succeeded'") == n
    figures = summary(n, elapsed, sum(one["cpu"] for one in done)) | server
    figures["commits"] = sum(one["commits"] for one in done) / n
    if nodes > 1:
        figures["larger_share"] = max(one["runs"] for one in done) / n
    return figures


async def one_by_one(n: int) -> Figures:
    """One job that comes so seldom that each run has ended before the next."""
    from asched import Interval, Scheduler

    async def work() -> None:
        pass

    async with populated(1) as (schema, onlooker):
        with counted() as counts:
            async with Scheduler(store_of(schema)) as running:
                running.register_function(work, FUNC)
                await running.add_job(work, Interval(seconds=0.02), id="often")
                await asyncio.sleep(0.5)
                meter = Meter(onlooker, schema)
                await meter.begin()
                before = await onlooker.fetchval(RECORDED)
                cpu, commits = time.process_time(), counts["commits"]
                await asyncio.sleep(0.02 * n)
                cpu, commits = time.process_time() - cpu, counts["commits"] - commits
                runs = await onlooker.fetchval(RECORDED) - before
                server = await meter.per_run(runs)
    return {"cpu_us_per_run": 1e6 * cpu / runs, "commits": commits / runs, **server}


# A job added for now


def latencies(asked: Sequence[float], started: Sequence[float]) -> Figures:
    late = [1000 * (b - a) for a, b in zip(asked, started, strict=True)]
    return {"p50_ms": percentile(late, 0.5), "p99_ms": percentile(late, 0.99)}


_WARM = 10


async def every_40_ms(add: Callable[[int], Awaitable[Any]], n: int) -> list[float]:
    """Return when each was asked for; the first ones, which make connections and plans, are left out."""
    asked = []
    for number in range(n + _WARM):
        await asyncio.sleep(0.04)
        asked.append(time.time())
        await add(number)
    await asyncio.sleep(0.3)
    return asked[_WARM:]


async def hearing_limit(boss: Boss, _: int, schema: str) -> list[float]:
    """Claims what it is told of, in the words of the store."""
    sql = statements(schema)
    claims_on, ends_on, hears_on = [await connect(schema, **SETTINGS) for _ in range(3)]
    epoch = await register(claims_on, schema)
    told: asyncio.Queue[int] = asyncio.Queue()
    await hears_on.add_listener(f"{schema}_limit", lambda *message: told.put_nowait(int(message[3])))
    started: list[float] = []

    async def work() -> None:
        started.append(time.time())

    async def claim() -> None:
        while True:
            job = await told.get()
            token = epoch << 32 | job
            columns = [job], [1], [token], [1], [1], [None], [None], [False], [None]
            await claims_on.fetch(sql["claim"], epoch, 1, *columns, 0)
            await asyncio.create_task(work())
            await ends_on.fetch(sql["finish"], [token], epoch, 1, [1], [1], [None])

    claiming = asyncio.create_task(claim())
    boss.ready()
    await boss.word()
    claiming.cancel()
    return started[_WARM:]


async def limit_added(n: int) -> Figures:
    async with populated(1) as (schema, _):
        crew = Crew(hearing_limit, 1, schema)
        await crew.words()
        adds_on = await connect(schema, **SETTINGS)
        sql = statements(schema)
        trigger = json.dumps(once())

        async def add(number: int) -> None:
            serial = number + 2
            name = f"added-{serial}"
            row = (
                serial, 1, 1, name, name, "api", "default", None, trigger, None, None, None, None, None, None, 0, name,
                1, 1, False, None,
            )  # fmt: skip
            await adds_on.fetch(sql["add_jobs"], 1, *([value] for value in row))
            await adds_on.execute("SELECT pg_notify($1, $2)", f"{schema}_limit", str(serial))

        asked = await every_40_ms(add, n)
        crew.tell("done")
        [started] = await crew.words()
    return latencies(asked, started)


async def hearing_node(boss: Boss, _: int, schema: str) -> list[float]:
    from asched import Scheduler

    started: list[float] = []

    async def work() -> None:
        started.append(time.time())

    running = Scheduler(store_of(schema))
    running.register_function(work, FUNC)
    async with running:
        await asyncio.sleep(0.5)  # it hears
        boss.ready()
        await boss.word()
    return started[_WARM:]


async def added(n: int, elsewhere: bool) -> Figures:
    from datetime import timedelta

    from asched import Once, Scheduler

    started: list[float] = []
    leave = asyncio.Event()
    occupied = asyncio.Event()

    async def work() -> None:
        started.append(time.time())

    async def occupy() -> None:
        occupied.set()
        await leave.wait()

    async with populated(1) as (schema, _):
        # Where another process is to start the jobs, this one knows their function too, and has no room.
        running = Scheduler(store_of(schema), max_concurrency=1 if elsewhere else 1_000)
        running.register_function(work, FUNC)
        running.register_function(occupy, "app:occupy")
        async with running:
            crew = Crew(hearing_node, 1, schema) if elsewhere else None
            if crew is not None:
                await running.add_job(occupy, Once(timedelta(0)))
                await occupied.wait()
                await crew.words()
            asked = await every_40_ms(lambda _: running.add_job(FUNC, Once(timedelta(0))), n)
            if crew is not None:
                assert not started
                crew.tell("done")
                [elsewhere_started] = await crew.words()
            leave.set()
    return latencies(asked, started[_WARM:] if crew is None else elsewhere_started)


# So many a second


async def steady_limit(boss: Boss, _: int, schema: str, timers: Sequence[tuple[int, int, int]]) -> list[float]:
    """One claim of all that is due, a task for each, and one end of all that ended, again and again."""
    sql = statements(schema)
    claims_on, ends_on = await connect(schema, **SETTINGS), await connect(schema, **SETTINGS)
    epoch = await register(claims_on, schema)
    late: list[float] = []
    ended: list[int] = []
    tasks: set[asyncio.Task[None]] = set()
    some = asyncio.Event()

    async def work(token: int, due: int) -> None:
        late.append(time.time() - due / SECOND)
        ended.append(token)
        some.set()

    async def end() -> None:
        while True:
            await some.wait()
            some.clear()
            tokens = ended[:]
            ended.clear()
            now = [time.time_ns() // 1000] * len(tokens)
            await ends_on.fetch(sql["finish"], tokens, epoch, 1, now, now, [None] * len(tokens))

    ending = asyncio.create_task(end())
    boss.ready()
    await boss.word()
    token = epoch << 32
    place = 0
    while place < len(timers):
        await asyncio.sleep(timers[place][2] / SECOND - time.time())
        now = time.time_ns() // 1000
        first = place
        while place < min(len(timers), first + BATCH) and timers[place][2] <= now:
            place += 1
        if part := timers[first:place]:
            tokens = list(range(token + 1, token + 1 + len(part)))
            token += len(part)
            due = [due for _, _, due in part]
            nothing = [None] * len(part)
            columns = [job for job, _, _ in part], [rev for _, rev, _ in part], tokens, due, due, nothing, nothing
            got = await claims_on.fetch(sql["claim"], epoch, 1, *columns, [False] * len(part), nothing, 50_000)
            assert len(got) == len(part)
            for one, instant in zip(tokens, due, strict=True):
                task = asyncio.create_task(work(one, instant))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
    await boss.word()
    ending.cancel()
    return late


async def steady_node(boss: Boss, _: int, schema: str, timers: object) -> list[float]:
    from asched import Scheduler, current_run

    late: list[float] = []

    async def work() -> None:
        run = current_run()
        assert run is not None
        late.append(time.time() - run.due / SECOND)

    running = Scheduler(store_of(schema))
    running.register_function(work, FUNC)
    async with running:
        boss.ready()
        await boss.word()
        await boss.word()
    return late


async def steady(worker: Callable[..., Any], rate: int, seconds: int) -> Figures:
    n = rate * seconds
    async with populated(n) as (schema, onlooker):
        due = time.time() + 6
        await make_due(onlooker, n, n, int(due * SECOND), SECOND // rate)
        rows = [tuple(row) for row in await onlooker.fetch("SELECT job, rev, due FROM timer ORDER BY due")]
        crew = Crew(worker, 1, schema, rows)
        await crew.words()
        crew.tell(due)
        await asyncio.sleep(due - 0.1 - time.time())
        meter = Meter(onlooker, schema)
        await meter.begin()
        await asyncio.sleep(seconds)
        await until_recorded(onlooker, n)
        server = await meter.per_run(n)
        crew.tell("done")
        [late] = await crew.words()
    assert len(late) == n
    # The first second makes connections and plans.
    late = [1000 * one for one in late[rate:]]
    return {"p50_ms": percentile(late, 0.5), "p99_ms": percentile(late, 0.99), "worst_ms": max(late), **server}


# 1M jobs


async def managing(timers: int) -> Figures:
    """What an operator waits for."""
    from asched import Scheduler

    async def work() -> None:
        raise AssertionError("these are a year away")

    async with populated(timers) as (schema, onlooker):
        running = Scheduler(store_of(schema))
        running.register_function(work, FUNC)
        before = resident_bytes()
        opening = time.perf_counter()
        async with running:
            figures = {"open_ms": (time.perf_counter() - opening) * 1000}
            await asyncio.sleep(0.5)
            figures["open_mb"] = (resident_bytes() - before) / 1e6
            # Those that are never made due, since they are cancelled in the end; an earlier round has cancelled some.
            ids = [f"job-{number}" for number in range(1_000, timers + 1, 1_000)]
            left = await onlooker.fetch("SELECT id FROM job WHERE id = ANY($1)", ids)
            places = random.sample([row["id"] for row in left], 20)

            async def timed(name: str, call: Callable[[str], Any]) -> None:
                took = []
                for job_id in places:
                    began = time.perf_counter()
                    await call(job_id)
                    took.append(time.perf_counter() - began)
                figures[name] = sorted(took)[len(took) // 2] * 1000
                figures[f"{name}_worst"] = max(took) * 1000

            await timed("list_ms", lambda _: running.get_jobs(limit=50))
            await timed("get_ms", running.get_job)
            await timed("pause_ms", running.pause_job)
            await timed("resume_ms", running.resume_job)
            await timed("cancel_ms", running.cancel_job)
    return figures


async def idle(timers: int, seconds: float) -> Figures:
    from asched import Scheduler

    async def work() -> None:
        raise AssertionError("these are a year away")

    async with populated(timers) as (schema, onlooker):
        with counted() as counts:
            running = Scheduler(store_of(schema))
            running.register_function(work, FUNC)
            async with running:
                await asyncio.sleep(1.5)
                meter = Meter(onlooker, schema)
                await meter.begin()
                cpu, queries, commits = time.process_time(), counts["queries"], counts["commits"]
                await asyncio.sleep(seconds)
                cpu = time.process_time() - cpu
                minutes = seconds / 60
                server = await meter.per_run(1)
                return {
                    "queries_per_min": (counts["queries"] - queries) / minutes,
                    "commits_per_min": (counts["commits"] - commits) / minutes,
                    "cpu_ms_per_min": 1e3 * cpu / minutes,
                    "server_ms_per_min": server.get("server_us", 0.0) / 1e3 / minutes,
                }


# Peers


async def pgqueuer_worker(boss: Boss, _: int, schema: str, batch: int) -> dict[str, Any]:
    from pgqueuer import AsyncpgDriver, PgQueuer

    queue = PgQueuer(AsyncpgDriver(await connect(schema)))
    started: list[float] = []

    @queue.entrypoint("work")
    async def work(job: object) -> None:
        started.append(time.time())

    return await peer_worker(boss, started, lambda: queue.run(batch_size=batch))


async def procrastinate_worker(boss: Boss, _: int, schema: str) -> dict[str, Any]:
    app = await procrastinate_app(schema)
    started: list[float] = []

    async def work() -> None:
        started.append(time.time())

    app.task(name="work")(work)
    return await peer_worker(
        boss, started, lambda: app.run_worker_async(concurrency=100, install_signal_handlers=False)
    )


async def peer_worker(boss: Boss, started: list[float], run: Callable[[], Any]) -> dict[str, Any]:
    boss.ready()
    await boss.word()
    cpu = time.process_time()
    running = asyncio.ensure_future(run())
    waiting = asyncio.ensure_future(boss.word())
    await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        raise RuntimeError(f"the worker ended: {await running}")
    return {"started": started, "cpu": time.process_time() - cpu}


async def procrastinate_app(schema: str) -> Any:
    import procrastinate

    connector = procrastinate.PsycopgConnector(
        conninfo=DSN, kwargs={"options": f"-c search_path={schema}", "application_name": schema}
    )
    app = procrastinate.App(connector=connector)
    await app.open_async()
    return app


async def pgqueuer(nodes: int, n: int, batch: int) -> Figures:
    from pgqueuer import AsyncpgDriver, Queries

    async with schema_of("pgqueuer") as (schema, onlooker):
        queries = Queries(AsyncpgDriver(await connect(schema, application_name="fills")))
        await queries.install()
        for _ in range(0, n, 1_000):
            await queries.enqueue(["work"] * 1_000, [None] * 1_000, [0] * 1_000)
        ended = f"SELECT {n} - count(*) FROM pgqueuer"
        return await queued(onlooker, schema, Crew(pgqueuer_worker, nodes, schema, batch), n, ended)


async def procrastinate(nodes: int, n: int) -> Figures:
    async with schema_of("procrastinate") as (schema, onlooker):
        app = await procrastinate_app(schema)
        await app.schema_manager.apply_schema_async()
        await app.configure_task("work", allow_unknown=True).batch_defer_async(*({} for _ in range(n)))
        await app.close_async()
        ended = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"
        return await queued(onlooker, schema, Crew(procrastinate_worker, nodes, schema), n, ended)


async def queued(onlooker: Any, schema: str, crew: Crew, n: int, ended: str) -> Figures:
    """Let workers empty a queue; counted from the first job's start until all is written."""
    await crew.words()
    await onlooker.execute("CHECKPOINT", timeout=60)
    meter = Meter(onlooker, schema)
    await meter.begin()
    crew.tell("go")
    until = await until_recorded(onlooker, n, ended)
    server = await meter.per_run(n)
    crew.tell("done")
    done = await crew.words()
    started = [instant for one in done for instant in one["started"]]
    assert len(started) == n
    return summary(n, until - min(started), sum(one["cpu"] for one in done)) | server


async def pgqueuer_added(n: int) -> Figures:
    from pgqueuer import AsyncpgDriver, Queries

    async with schema_of("pgqueuer") as (schema, _):
        queries = Queries(AsyncpgDriver(await connect(schema)))
        await queries.install()
        crew = Crew(pgqueuer_worker, 1, schema, 10)
        return await hearing_peer(crew, lambda _: queries.enqueue("work", None), n)


async def procrastinate_added(n: int) -> Figures:
    async with schema_of("procrastinate") as (schema, _):
        app = await procrastinate_app(schema)
        await app.schema_manager.apply_schema_async()
        task = app.configure_task("work", allow_unknown=True)
        figures = await hearing_peer(Crew(procrastinate_worker, 1, schema), lambda _: task.defer_async(), n)
        await app.close_async()
    return figures


async def hearing_peer(crew: Crew, add: Callable[[int], Awaitable[Any]], n: int) -> Figures:
    await crew.words()
    crew.tell("go")
    await asyncio.sleep(1)  # it hears
    asked = await every_40_ms(add, n)
    crew.tell("done")
    [done] = await crew.words()
    return latencies(asked, done["started"][_WARM:])


bench = Benchmark(__file__, __doc__, "us_per_run", rounds=3)
for case, nodes in ((ONE, 1), (TWO, 2)):
    sizes: dict[str, object] = {"n": N, "nodes": nodes}
    halves = ", a half each" if nodes > 1 else ""
    bench.row(f"asyncpg, the same statements{halves}", LIMIT, limit, case=case, batch=BATCH, timers=N, **sizes)
    bench.row(f"asched's store{halves}", OURS, store, case=case, batch=BATCH, timers=N, **sizes)
    bench.row("asched", OURS, scheduler, case=case, timers=N, **sizes)
    for batch in (10, 100):
        bench.row(
            f"pgqueuer, batches of {batch}", PEER, pgqueuer, case=case, requires=PGQUEUER, rounds=2, only_full=True,
            batch=batch, **sizes,
        )  # fmt: skip
    bench.row(
        "procrastinate, 2,000", PEER, procrastinate, case=case, requires=PROCRASTINATE, rounds=2, only_full=True,
        smaller=True, n=2_000, nodes=nodes,
    )  # fmt: skip
    bench.goal("us_per_run", case=case, at_most=28.6 if nodes == 1 else 20, row="asched")
    bench.goal("us_per_run", case=case, times_limit=2, row="asched")
alone: dict[str, object] = {"n": 500, "nodes": 1, "batch": 1, "timers": 500}
bench.row("asyncpg, the same statements", LIMIT, limit, case=SINGLE, **alone)
bench.row("asched's store", OURS, store, case=SINGLE, **alone)
bench.row("asched, 50 runs a second", OURS, one_by_one, case=SINGLE, n=200, quick={"n": 50})
bench.row("asyncpg, NOTIFY and the same statements", LIMIT, limit_added, case=ADDED, rounds=2, n=100)
bench.row("pgqueuer", PEER, pgqueuer_added, case=ADDED, requires=PGQUEUER, rounds=2, only_full=True, n=100)
bench.row(
    "procrastinate", PEER, procrastinate_added, case=ADDED, requires=PROCRASTINATE, rounds=2, only_full=True, n=100
)
bench.row("asched, starts in another process", OURS, added, case=ADDED, rounds=2, n=100, elsewhere=True)
bench.row("asched, starts in the same process", OURS, added, case=ADDED, rounds=2, n=100, elsewhere=False)
bench.goal("p50_ms", case=ADDED, at_most=3, row="asched, starts in another process")
for name, role, worker in (("asyncpg, the same statements", LIMIT, steady_limit), ("asched", OURS, steady_node)):
    bench.row(name, role, steady, case=STEADY, rounds=2, quick={"seconds": 4}, worker=worker, rate=2_000, seconds=20)
bench.goal("p99_ms", case=STEADY, at_most=30, row="asched")
large: dict[str, object] = {"n": SCATTERED, "nodes": 1, "timers": STORED}
bench.row("asyncpg, the same statements", LIMIT, limit, case=LARGE, only_full=True, batch=BATCH, **large)
bench.row("asched's store", OURS, store, case=LARGE, only_full=True, batch=BATCH, **large)
bench.row("asched", OURS, scheduler, case=LARGE, only_full=True, **large)
bench.goal("us_per_run", case=LARGE, times_limit=2, row="asched")
bench.row("asched", OURS, managing, case=HELD, only_full=True, rounds=2, timers=STORED)
bench.row("asched, nothing due for a year", OURS, idle, case=HELD, only_full=True, rounds=2, timers=STORED, seconds=20)


async def server() -> str:
    """Describe the server, and leave out what it was not asked for."""
    onlooker = await connect("public")
    settings = ("server_version", "shared_buffers", "fsync", "synchronous_commit")
    values = [await onlooker.fetchval("SELECT current_setting($1)", name) for name in settings]
    await onlooker.close()
    return f"PostgreSQL {values[0].split()[0]}, " + ", ".join(map(" ".join, zip(settings[1:], values[1:], strict=True)))


async def tidy() -> None:
    onlooker = await connect("public")
    for [name] in await onlooker.fetch("SELECT nspname FROM pg_namespace WHERE nspname LIKE $1", f"{SCHEMA}%"):
        await onlooker.execute(f"DROP SCHEMA {name} CASCADE", timeout=120)
    await onlooker.close()


if __name__ == "__main__":
    if SCHEMA:
        bench.main()
        sys.exit()
    parts = urlsplit(DSN)
    try:
        socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 5432), timeout=2).close()
    except OSError as error:
        print(f"no PostgreSQL at {parts.hostname}: {error}")
        sys.exit()
    SCHEMA = os.environ["ASCHED_BENCH_SCHEMA"] = f"asched_bench_{os.getpid()}"
    bench.facts["server"] = asyncio.run(server())
    try:
        bench.main()
    finally:
        asyncio.run(tidy())
