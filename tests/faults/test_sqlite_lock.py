"""An SQLite schedule belongs to one process, whatever becomes of that process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from asched.clock import SystemClock
from asched.errors import StoreLocked
from asched.store import JobFilter, Limits
from asched.stores.sqlite import SQLiteStore

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs POSIX signals"),
]

OWNER = """
import asyncio, os, sys
from asched.clock import SystemClock
from asched.store import JobFilter, Limits
from asched.stores.sqlite import SQLiteStore

async def main():
    store = SQLiteStore(sys.argv[1], lock_timeout=0.2)
    await store.open("default", Limits(), SystemClock())
    if "fork" in sys.argv:
        child = os.fork()
        if child == 0:
            # What a worker that somebody forked does: nothing, for long, with all that it inherited.
            while True:
                os.read(0, 1) or os._exit(0)
        print(child, flush=True)
    else:
        print("open", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@contextmanager
def owner(path: Path, *options: str, program: str = OWNER) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that has the file open, and its first line."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program, str(path), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


async def opened(path: Path, lock_timeout: float = 0.2) -> SQLiteStore:
    store = SQLiteStore(path, lock_timeout=lock_timeout)
    await store.open("default", Limits(), SystemClock())
    return store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


async def test_a_second_process_is_refused_and_told_who_has_the_file(path: Path) -> None:
    with owner(path) as (process, _):
        with pytest.raises(StoreLocked) as refused:
            await opened(path)

        assert refused.value.owner is not None
        assert f"pid {process.pid} on host {os.uname().nodename}" in refused.value.owner
        assert "uvicorn --workers 4" in str(refused.value)
        assert "postgresql://" in str(refused.value)


async def test_a_second_process_is_refused_while_the_owner_is_stopped(path: Path) -> None:
    with owner(path) as (process, _):
        os.kill(process.pid, signal.SIGSTOP)

        with pytest.raises(StoreLocked):
            await opened(path)


async def test_the_file_is_free_at_once_when_the_owner_is_killed(path: Path) -> None:
    with owner(path) as (process, _):
        process.kill()
        process.wait()

        await (await opened(path, lock_timeout=0)).close()


async def test_the_file_is_free_at_once_when_the_owner_is_killed_and_its_child_lives(path: Path) -> None:
    with owner(path, "fork") as (process, child):
        process.kill()
        process.wait()
        os.kill(int(child), 0)

        await (await opened(path, lock_timeout=0)).close()


async def test_a_process_waits_for_the_one_before_it_to_let_go(path: Path) -> None:
    with owner(path) as (process, _):
        waiting = asyncio.ensure_future(opened(path, lock_timeout=10))
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done
        process.kill()

        await (await waiting).close()


async def test_a_second_store_of_the_same_process_is_refused(path: Path) -> None:
    store = await opened(path)

    with pytest.raises(StoreLocked, match="this process"):
        await opened(path)

    # Being refused did not cost the first one its lock: another process still sees it.
    with owner(path) as (_, line):
        assert line == ""
    await store.close()


async def test_another_name_of_the_file_is_the_same_file(path: Path) -> None:
    store = await opened(path)
    link = path.with_name("link.db")
    link.symlink_to(path)

    with pytest.raises(StoreLocked):
        await opened(link)

    await store.close()


async def test_a_lock_file_that_nobody_holds_is_no_obstacle(path: Path) -> None:
    path.with_name("jobs.db.lock").write_text("pid 1 on host elsewhere\n")

    await (await opened(path, lock_timeout=0)).close()


WRITER = """
import asyncio, gc, multiprocessing, sqlite3, sys
from asched import Interval, Scheduler

def child():
    # It goes as a forked worker goes: objects are collected, connections among them, and descriptors closed.
    gc.collect()

async def work():
    pass

async def main():
    scheduler = Scheduler(f"sqlite:///{sys.argv[1]}")
    async with scheduler:
        scheduler.register_function(work, "app:work")
        added = 0
        print("open", flush=True)
        while True:
            children = [multiprocessing.get_context("fork").Process(target=child) for _ in range(3)]
            for process in children:
                process.start()
            names = [f"job-{added + n}" for n in range(5)]
            await asyncio.gather(*[scheduler.add_job(work, Interval(seconds=0.01), id=name) for name in names])
            added += 5
            await asyncio.to_thread(lambda: [process.join() for process in children])
            print(added, flush=True)

asyncio.run(main())
"""


async def test_children_that_end_while_the_owner_writes_cost_it_neither_the_lock_nor_a_job(path: Path) -> None:
    with owner(path, program=WRITER) as (process, _):
        assert process.stdout is not None
        for _ in range(10):
            added = int(process.stdout.readline())

        with pytest.raises(StoreLocked):
            await opened(path)

    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT count(*) FROM asched_job").fetchone()[0] >= added


async def test_a_reader_sees_a_whole_schedule_while_another_process_writes_it(path: Path) -> None:
    with owner(path, program=WRITER) as (process, _):
        assert process.stdout is not None
        reader = SQLiteStore(path, read_only=True)
        await reader.open("default", Limits(), SystemClock())
        seen = []
        for _ in range(10):
            added = int(process.stdout.readline())
            seen.append((added, (await reader.totals()).jobs))
        os.kill(process.pid, signal.SIGSTOP)
        # Nobody waits for an owner that is stopped.
        page, _ = await reader.list_jobs(JobFilter(), 1_000)
        await reader.close()

    # Five are added in one transaction, so no reader ever sees three of them.
    assert all(jobs >= added and jobs % 5 == 0 for added, jobs in seen), seen
    assert len(page) >= added
