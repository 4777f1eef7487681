"""The SQLite store beyond the contract: transactions, the file, what it refuses, and what survives a reopening."""

# ruff: noqa: ASYNC240 - files of a few KB, and nothing else runs on the loop

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support.clocks import SettableClock
from support.nodes import FAR, Actor, at, history, ids, info, item, job, run, spec

from asched.clock import Clock
from asched.errors import InvalidArgument, SchemaTooNew, StoreUnavailable, TriggerNotStorable
from asched.model import OnCrash, Origin, Policy, RunStatus
from asched.store import JobFilter, Limits, PutMode, PutStatus
from asched.stores import open_url
from asched.stores.sql import Migration, migrations, statements
from asched.stores.sqlite import SQLiteStore
from asched.testing import VirtualClock
from asched.triggers import Lang
from asched.triggers.absent import CodeTrigger


class OwnTrigger:
    """A trigger of a user's own."""

    def next_after(self, after: datetime) -> datetime | None:
        return after + timedelta(seconds=7)

    def describe(self, lang: Lang = "en") -> str:
        return "every seven seconds"

    def fingerprint(self) -> str:
        return "own-7"


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
async def store(path: Path, clock: SettableClock) -> AsyncIterator[SQLiteStore]:
    store = await opened(path, clock)
    yield store
    await store.close()


async def opened(path: Path, clock: Clock, namespace: str = "default", **options: object) -> SQLiteStore:
    store = SQLiteStore(path, **options)  # type: ignore[arg-type]  # the tests name the store's options
    await store.open(namespace, Limits(), clock)
    return store


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# Transactions


async def test_calls_of_one_turn_are_one_transaction(store: SQLiteStore) -> None:
    before = store.commits

    await asyncio.gather(*[store.put_jobs(PutMode.INSERT, [item(spec(f"job-{n}"))]) for n in range(50)])

    assert store.commits == before + 1
    assert (await store.totals()).jobs == 50


async def test_calls_that_arrive_while_a_transaction_is_in_flight_are_the_next_one(store: SQLiteStore) -> None:
    before = store.commits

    async def add(number: int) -> None:
        # Each call begins in another turn of the loop than the one before it.
        for _ in range(number):
            await asyncio.sleep(0)
        await store.put_jobs(PutMode.INSERT, [item(spec(f"job-{number}"))])

    await asyncio.gather(*[add(number) for number in range(200)])

    assert store.commits - before < 100
    assert (await store.totals()).jobs == 200


async def test_a_single_run_costs_two_commits(store: SQLiteStore, clock: SettableClock) -> None:
    node = await Actor.join(store, clock)
    await node.add(spec("a"))
    timer = await node.timer("a")
    before = store.commits

    claimed = await node.claim(timer)
    await node.finish(claimed.token)

    assert store.commits == before + 2


async def test_ends_of_many_runs_are_written_by_one_call(store: SQLiteStore, clock: SettableClock) -> None:
    node = await Actor.join(store, clock)
    number = 1_100  # more rows than one statement takes
    await node.add(*[spec(f"job-{n}") for n in range(number)])
    timers = await node.due(limit=number)
    granted = await store.claim(node.epoch, [node.claim_of(timer) for timer in timers])

    accepted, _ = await store.finish(node.epoch, [node.end_of(claimed.token, result=b"1") for claimed in granted])

    assert accepted == [True] * number
    assert (await store.totals()).runs == number
    records = await store.get_runs([claimed.run_id for claimed in granted])
    assert {record and (record.status, record.result) for record in records} == {(RunStatus.SUCCEEDED, b"1")}


async def test_records_stand_in_the_order_of_the_ends_whatever_their_kind(
    store: SQLiteStore, clock: SettableClock
) -> None:
    node = await Actor.join(store, clock)
    statuses = [RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.SUCCEEDED, RunStatus.TIMED_OUT, RunStatus.SUCCEEDED]
    await node.add(*[spec(f"job-{number}") for number in range(len(statuses))])
    claims = [await node.start(f"job-{number}") for number in range(len(statuses))]

    await store.finish(
        node.epoch, [node.end_of(claimed.token, status) for claimed, status in zip(claims, statuses, strict=True)]
    )

    assert [record.id for record in await history(store)] == [claimed.run_id for claimed in reversed(claims)]


async def test_no_call_is_answered_before_its_commit(store: SQLiteStore, path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        call = asyncio.ensure_future(store.put_jobs(PutMode.INSERT, [item(spec("a"))]))
        done, _ = await asyncio.wait([call], timeout=0.3)
        assert not done
        other.execute("ROLLBACK")

        await call

        assert other.execute("SELECT id FROM asched_job").fetchall() == [("a",)]


async def test_reads_do_not_wait_for_a_writer(store: SQLiteStore, path: Path, clock: SettableClock) -> None:
    node = await Actor.join(store, clock)
    await node.add(spec("a"))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        call = asyncio.ensure_future(store.put_jobs(PutMode.INSERT, [item(spec("b"))]))

        async with asyncio.timeout(2):
            assert [timer.spec.id for timer in await node.due()] == ["a"]
            assert [record.spec.id for record in (await store.list_jobs(JobFilter(), 10))[0]] == ["a"]
        assert not call.done()

        other.execute("ROLLBACK")
        await call


async def test_a_call_that_fails_takes_no_other_with_it(store: SQLiteStore) -> None:
    bad = spec("bad", trigger=OwnTrigger())

    first, error, last = await asyncio.gather(
        store.put_jobs(PutMode.INSERT, [item(spec("first"))]),
        store.put_jobs(PutMode.INSERT, [item(spec("half")), item(bad)]),
        store.put_jobs(PutMode.INSERT, [item(spec("last"))]),
        return_exceptions=True,
    )

    assert isinstance(error, TriggerNotStorable)
    assert not isinstance(first, BaseException)
    assert not isinstance(last, BaseException)
    assert [put.status for put in (*first, *last)] == [PutStatus.ADDED] * 2
    assert [record.spec.id for record in (await store.list_jobs(JobFilter(), 10))[0]] == ["first", "last"]


async def test_a_program_that_holds_the_file_too_long_makes_the_store_unavailable_for_a_while(
    path: Path, clock: SettableClock
) -> None:
    store = await opened(path, clock, busy_timeout=0.05)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            await store.put_jobs(PutMode.INSERT, [item(spec("a"))])
        other.execute("ROLLBACK")

    [put] = await store.put_jobs(PutMode.INSERT, [item(spec("a"))])

    assert put.status is PutStatus.ADDED
    await store.close()


async def test_a_caller_that_gives_up_waiting_harms_nobody(store: SQLiteStore) -> None:
    given_up = asyncio.ensure_future(store.put_jobs(PutMode.INSERT, [item(spec("a"))]))
    await asyncio.sleep(0)
    given_up.cancel()

    await store.put_jobs(PutMode.INSERT, [item(spec("b"))])

    assert given_up.cancelled()
    assert (await store.get_jobs(["b"]))[0] is not None


@pytest.mark.virtual_time
async def test_virtual_time_stands_still_while_the_disk_works(tmp_path: Path, clock: VirtualClock) -> None:
    store = await opened(tmp_path / "jobs.db", clock)
    before = clock.now()
    sleeper = asyncio.ensure_future(asyncio.sleep(3_600))

    for number in range(20):
        await store.put_jobs(PutMode.INSERT, [item(spec(f"job-{number}"))])
        await store.totals()

    assert clock.now() == before
    sleeper.cancel()
    await store.close()


# What survives


async def test_everything_acknowledged_is_there_after_reopening(path: Path, clock: SettableClock) -> None:
    store = await opened(path, clock)
    node = await Actor.join(store, clock)
    policy = Policy(timeout=3.5, max_retries=7, on_crash=OnCrash.LOST, in_process=True)
    full = spec("a", policy=policy, name="näme", group="g", tags=("x", "y"), payload=b"[[1],{}]")
    await node.add(full)
    run_id = await node.run_once("a")
    before = await job(store, "a"), await run(store, run_id), await store.totals()
    await store.leave(node.epoch)
    await store.close()

    store = await opened(path, clock)
    node = await Actor.join(store, clock)

    assert (await job(store, "a"), await run(store, run_id), await store.totals()) == before
    assert before[0].spec == full
    await store.close()


async def test_runs_of_a_process_that_is_gone_are_rescued_when_the_next_one_registers(
    path: Path, clock: SettableClock
) -> None:
    store = await opened(path, clock)
    node = await Actor.join(store, clock, "old")
    await node.add(spec("again"), spec("never", policy=Policy(on_crash=OnCrash.LOST)))
    again, never = await node.start("again"), await node.start("never")
    await store.close()

    store = await opened(path, clock)
    node = await Actor.join(store, clock, "new")

    [rescued] = await node.waiting("again")
    assert (rescued.id, rescued.attempt) == (again.run_id, 2)
    assert (await run(store, never.run_id)).status is RunStatus.LOST
    [reaped] = await store.reap()
    assert (reaped.node, [timer.id for timer in reaped.rescued], reaped.lost) == (
        "old",
        [again.run_id],
        (never.run_id,),
    )
    assert await store.reap() == []
    await store.close()


async def test_epochs_and_serial_numbers_go_on_after_reopening(path: Path, clock: SettableClock) -> None:
    store = await opened(path, clock)
    first = await store.register(info())
    await store.put_jobs(PutMode.INSERT, [item(spec("a"))])
    serial = (await job(store, "a")).serial
    await store.delete_jobs(ids("a"))
    await store.close()

    store = await opened(path, clock)

    assert await store.register(info()) > first
    await store.put_jobs(PutMode.INSERT, [item(spec("a"))])
    assert (await job(store, "a")).serial > serial
    await store.close()


async def test_records_keep_their_order_after_all_were_pruned_and_the_file_reopened(
    path: Path, clock: SettableClock
) -> None:
    store = SQLiteStore(path)
    await store.open("default", Limits(history=2, kept_per_job=0), clock)
    node = await Actor.join(store, clock)
    await node.add(spec("a"))
    for _ in range(5):
        await node.run_once("a")
    await store.prune(100)
    clock.advance(30 * 86_400)
    await store.prune(100)
    assert await history(store) == []
    await store.leave(node.epoch)
    await store.close()

    await store.open("default", Limits(history=2, kept_per_job=0), clock)
    node = await Actor.join(store, clock)
    run_id = await node.run_once("a")

    assert await store.prune(100) == 0
    assert [record.id for record in await history(store)] == [run_id]
    await store.close()


async def test_schedules_of_two_names_in_one_file_do_not_meet(path: Path, clock: SettableClock) -> None:
    store = await opened(path, clock, "one")
    node = await Actor.join(store, clock)
    await node.add(spec("a", group="mine"))
    await node.run_once("a")
    await store.close()

    store = await opened(path, clock, "two")
    node = await Actor.join(store, clock)

    assert await store.get_jobs(["a"]) == [None]
    assert (await store.list_jobs(JobFilter(), 10), await store.groups()) == (([], None), [])
    assert (await node.due(FAR), await history(store), len(await store.nodes())) == ([], [], 1)
    assert (await store.totals()).runs == 0
    await node.add(spec("a"))
    await store.close()

    store = await opened(path, clock, "one")
    assert (await job(store, "a")).spec.group == "mine"
    await store.close()


async def test_one_object_holds_one_schedule(store: SQLiteStore, clock: SettableClock) -> None:
    with pytest.raises(InvalidArgument, match="a file of its own"):
        await store.open("another", Limits(), clock)


# Triggers of the user's own


async def test_a_trigger_that_only_code_knows_is_supplied_by_the_declaration(path: Path, clock: SettableClock) -> None:
    declared = spec("a", trigger=OwnTrigger(), origin=Origin.DECLARED, declaration="d")
    store = await opened(path, clock)
    await store.put_jobs(PutMode.DECLARE, [item(declared, at(5))])
    await store.close()

    store = await opened(path, clock)
    node = await Actor.join(store, clock, declarations={"a"})
    assert (await job(store, "a")).spec.trigger == CodeTrigger("own-7")
    assert await node.due(FAR) == []
    supplied = declared.replace(trigger=OwnTrigger())
    [put] = await store.put_jobs(PutMode.DECLARE, [item(supplied, at(99))])

    assert put.status is PutStatus.KEPT
    [timer] = await node.due(FAR)
    assert (timer.due, timer.spec.trigger) == (at(5), supplied.trigger)
    assert put.timer == timer
    await store.close()


async def test_an_operators_edit_of_a_job_whose_trigger_is_code_keeps_the_trigger(
    store: SQLiteStore, clock: SettableClock
) -> None:
    node = await Actor.join(store, clock, declarations={"a"})
    declared = spec("a", trigger=OwnTrigger(), origin=Origin.DECLARED, declaration="d")
    await store.put_jobs(PutMode.DECLARE, [item(declared)])
    edited = (await job(store, "a")).spec.replace(policy=Policy(timeout=9))

    await store.put_jobs(PutMode.UPDATE, [item(edited, replan=False)])

    [timer] = await node.due()
    assert (timer.spec.trigger, timer.spec.policy.timeout) == (declared.trigger, 9)


async def test_a_job_made_by_hand_needs_a_trigger_that_can_be_stored(store: SQLiteStore) -> None:
    with pytest.raises(TriggerNotStorable, match="decorator"):
        await store.put_jobs(PutMode.INSERT, [item(spec("a", trigger=OwnTrigger()))])

    assert await store.get_jobs(["a"]) == [None]


# The file


async def test_a_newer_schema_is_refused_and_left_alone(path: Path, clock: SettableClock) -> None:
    await (await opened(path, clock)).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("UPDATE asched_schema SET version = 999")
    other.close()
    before = digest(path)

    with pytest.raises(SchemaTooNew, match="schema 999"):
        await opened(path, clock)

    assert digest(path) == before


async def test_an_older_schema_is_brought_up_to_date_and_keeps_its_rows(
    path: Path, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opened(path, clock)
    await store.put_jobs(PutMode.INSERT, [item(spec("a"))])
    await store.close()
    newest = migrations("sqlite")
    text = (
        "-- What comes next; with a semicolon.\n"
        "CREATE TABLE asched_next (n INTEGER) STRICT;\n"
        "INSERT INTO asched_next VALUES (1);\n"
    )
    following = Migration(newest[-1].version + 1, "next.sql", text)
    monkeypatch.setattr("asched.stores.sqlite.store.migrations", lambda store: (*newest, following))

    store = await opened(path, clock)

    assert (await job(store, "a")).spec.id == "a"
    await store.close()
    other = sqlite3.connect(path)
    assert other.execute("SELECT version FROM asched_schema").fetchall() == [(following.version,)]
    assert other.execute("SELECT n FROM asched_next").fetchall() == [(1,)]
    other.close()


async def test_a_migration_that_fails_changes_nothing(
    path: Path, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await opened(path, clock)).close()
    before = digest(path)
    newest = migrations("sqlite")
    broken = Migration(newest[-1].version + 1, "broken.sql", "CREATE TABLE asched_half (n INTEGER);\nNO SQL AT ALL;\n")
    monkeypatch.setattr("asched.stores.sqlite.store.migrations", lambda store: (*newest, broken))

    with pytest.raises(StoreUnavailable, match="syntax error"):
        await opened(path, clock)

    monkeypatch.undo()
    assert digest(path) == before
    await (await opened(path, clock)).close()


def test_migrations_are_numbered_from_one_without_a_gap() -> None:
    assert [migration.version for migration in migrations("sqlite")] == list(range(1, len(migrations("sqlite")) + 1))


async def test_every_statement_is_one_that_sqlite_understands(store: SQLiteStore, path: Path) -> None:
    fragments = {"spec", "run", "plain", "lasting"}
    other = sqlite3.connect(path)
    for name, statement in statements("sqlite").items():
        if name not in fragments:
            statement = re.sub(r"\{rows (\d+)\}", lambda row: f"VALUES ({', '.join('?' * int(row[1]))})", statement)
            numbers = [int(number) for number in re.findall(r"\?(\d+)", statement)]
            other.execute(f"EXPLAIN {statement}", [None] * max(numbers, default=statement.count("?")))
    other.close()


async def test_another_programs_tables_in_the_file_are_left_alone(path: Path, clock: SettableClock) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE job (mine TEXT)")
    other.execute("INSERT INTO job VALUES ('kept')")
    other.commit()

    store = await opened(path, clock)
    await store.put_jobs(PutMode.INSERT, [item(spec("a"))])
    await store.close()

    assert other.execute("SELECT * FROM job").fetchall() == [("kept",)]
    other.close()


@pytest.mark.parametrize("content", [b"this is no database, " * 500, b"SQLite format 3\0" + b"\xff" * 8_000])
async def test_a_file_that_is_no_database_is_refused_and_left_alone(
    path: Path, clock: SettableClock, content: bytes
) -> None:
    path.write_bytes(content)

    with pytest.raises(StoreUnavailable, match="damaged, or no SQLite database"):
        await opened(path, clock)

    assert path.read_bytes() == content
    assert sorted(file.name for file in path.parent.iterdir()) == ["jobs.db", "jobs.db.lock"]


async def test_a_damaged_schema_is_refused_and_left_alone(path: Path, clock: SettableClock) -> None:
    await (await opened(path, clock)).close()
    content = bytearray(path.read_bytes())
    content[100:3_000] = b"\xff" * 2_900
    path.write_bytes(content)

    with pytest.raises(StoreUnavailable, match="damaged"):
        await opened(path, clock)

    assert path.read_bytes() == bytes(content)


async def test_a_refused_file_is_let_go_of(path: Path, clock: SettableClock) -> None:
    path.write_bytes(b"nonsense" * 1_000)
    with pytest.raises(StoreUnavailable):
        await opened(path, clock)
    path.unlink()

    await (await opened(path, clock)).close()


async def test_a_directory_is_no_database(tmp_path: Path, clock: SettableClock) -> None:
    with pytest.raises(InvalidArgument, match="is a directory; name a file in it"):
        await opened(tmp_path, clock)


async def test_a_missing_directory_is_named(tmp_path: Path, clock: SettableClock) -> None:
    with pytest.raises(InvalidArgument, match=r"missing of the database does not exist; make it first"):
        await opened(tmp_path / "missing" / "jobs.db", clock)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
@pytest.mark.parametrize("what", ["file", "directory"])
async def test_what_cannot_be_written_is_named(path: Path, clock: SettableClock, what: str) -> None:
    await (await opened(path, clock)).close()
    for part in itertools.takewhile(lambda part: part != Path(tempfile.gettempdir()), path.parents):
        part.chmod(0o755)
    path.chmod(0o444 if what == "file" else 0o666)
    if what == "directory":
        path.with_name("jobs.db.lock").unlink()
    root = os.geteuid() == 0
    if root:
        os.seteuid(65_534)
    elif what == "directory":
        path.parent.chmod(0o555)
    try:
        with pytest.raises(StoreUnavailable, match="read-only for this process" if what == "file" else "lock file"):
            await opened(path, clock)
    finally:
        if root:
            os.seteuid(0)
        path.parent.chmod(0o755)


@pytest.mark.parametrize("name", ["", ":memory:"])
def test_a_database_in_memory_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="MemoryStore"):
        SQLiteStore(name)


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="synchronous is"):
        SQLiteStore("jobs.db", synchronous="OFF")  # type: ignore[arg-type]  # what a URL may say


def test_options_may_stand_in_the_url() -> None:
    store = open_url("sqlite:///jobs.db?synchronous=normal&busy_timeout=1.5&read_only=true")

    assert isinstance(store, SQLiteStore)
    assert (store._synchronous, store._busy_timeout, store._read_only) == ("NORMAL", 1.5, True)


@pytest.mark.parametrize("query", ["pool=3", "busy_timeout=soon", "read_only=perhaps"])
def test_wrong_options_in_the_url_are_named(query: str) -> None:
    with pytest.raises(InvalidArgument, match=query.partition("=")[0]):
        open_url(f"sqlite:///jobs.db?{query}")


# Looking without owning


async def test_a_reader_looks_at_a_file_that_its_owner_writes(
    store: SQLiteStore, path: Path, clock: SettableClock
) -> None:
    reader = await opened(path, clock, read_only=True)
    await store.put_jobs(PutMode.INSERT, [item(spec("a"))])

    assert [record.spec.id for record in (await reader.list_jobs(JobFilter(), 10))[0]] == ["a"]
    await reader.close()


async def test_a_reader_looks_at_a_file_without_owner_and_writes_nothing(path: Path, clock: SettableClock) -> None:
    store = await opened(path, clock)
    await store.put_jobs(PutMode.INSERT, [item(spec("a"))])
    await store.close()
    before = digest(path)

    reader = await opened(path, clock, read_only=True)
    assert (await job(reader, "a")).spec.id == "a"
    with pytest.raises(InvalidArgument, match="read_only"):
        await reader.pause_jobs(ids("a"))
    await reader.close()

    assert digest(path) == before


async def test_a_reader_needs_a_file(path: Path, clock: SettableClock) -> None:
    with pytest.raises(InvalidArgument, match="there is no database"):
        await opened(path, clock, read_only=True)

    assert not path.exists()


async def test_a_closed_store_says_so(path: Path, clock: SettableClock) -> None:
    store = await opened(path, clock)
    await store.close()

    with pytest.raises(StoreUnavailable, match="closed"):
        await store.put_jobs(PutMode.INSERT, [item(spec("a"))])


# The package


def test_the_driver_is_loaded_when_a_store_is_opened_and_not_before() -> None:
    program = "import sys, asched, asched.stores.sqlite; print('aiosqlite' in sys.modules)"

    assert _python(program).stdout.strip() == "False"


def test_without_the_driver_the_error_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['aiosqlite'] = None\n"
        "from asched import MissingExtra\n"
        "from asched.stores.sqlite import SQLiteStore\n"
        "try: SQLiteStore('jobs.db')\n"
        "except MissingExtra as error: print(error)\n"
    )

    assert "pip install 'asched-py[sqlite]'" in _python(program).stdout


def test_a_program_that_dies_with_an_open_store_ends(path: Path) -> None:
    # aiosqlite's threads are no daemons: left alone they would keep the process for ever.
    program = (
        "import asyncio\n"
        "from asched.clock import SystemClock\n"
        "from asched.store import Limits\n"
        "from asched.stores.sqlite import SQLiteStore\n"
        f"store = SQLiteStore({str(path)!r})\n"
        "async def main():\n"
        "    await store.open('default', Limits(), SystemClock())\n"
        "    raise SystemExit(7)\n"
        "asyncio.run(main())\n"
    )

    ended = _python(program)

    assert (ended.returncode, ended.stderr) == (7, "")


def _python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
