"""A full disk makes the store unavailable, leaves nothing half done, and is over when there is room again."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clocks import SettableClock
from support.nodes import FAR, Actor, history, item, job, spec

from asched import Interval, Scheduler
from asched.errors import StoreUnavailable
from asched.store import JobFilter, Limits, PutMode
from asched.stores.sqlite import SQLiteStore

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a tmpfs"),
]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted: {mounted.stderr.strip()}")
    yield disk
    # Lazily: a test that failed has the file open still, and must not leave the mount behind.
    subprocess.run(["umount", "-l", str(disk)], check=True)


async def test_a_full_disk_is_survived(small_disk: Path) -> None:
    clock = SettableClock()
    store = SQLiteStore(small_disk / "jobs.db")
    await store.open("default", Limits(), clock)
    node = await Actor.join(store, clock)
    await node.add(spec("a"))
    running = await node.start("a")
    ballast = small_disk / "ballast"
    added = 0
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"\0" * 4_096)

    with pytest.raises(StoreUnavailable, match="full"):
        while True:
            big = [item(spec(f"job-{added + n}", payload=b"[" + b"1," * 2_000 + b"1]")) for n in range(10)]
            await store.put_jobs(PutMode.INSERT, big)
            added += 10
    both = await asyncio.gather(
        store.put_jobs(PutMode.INSERT, [item(spec(f"more-{n}", payload=b"1" * 60_000)) for n in range(30)]),
        store.finish(node.epoch, [node.end_of(running.token, result=b"1" * 200_000)]),
        return_exceptions=True,
    )
    assert [type(answer) for answer in both] == [StoreUnavailable] * 2
    assert len((await store.list_jobs(JobFilter(), 1_000))[0]) == added + 1
    assert (await job(store, "a")).active == 1
    ballast.unlink()

    await node.finish(running.token)
    await node.add(spec("b"))
    assert [record.id for record in await history(store, "a")] == [running.run_id]
    assert "b" in {timer.spec.id for timer in (await store.window(node.epoch, FAR, 1_000)).timers}
    await store.close()


async def test_a_schedule_stands_still_while_the_disk_is_full_and_goes_on_when_there_is_room(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    enough = asyncio.Event()
    wanted = 50

    async def work() -> str:
        nonlocal wanted
        wanted -= 1
        if not wanted:
            enough.set()
        return "x" * 2_000

    async with Scheduler(SQLiteStore(small_disk / "jobs.db")) as scheduler:
        scheduler.register_function(work, "app:work")
        for number in range(10):
            await scheduler.add_job(work, Interval(seconds=0.05), id=f"job-{number}")
        await enough.wait()
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(b"\0" * 4_096)
        # What the log, and the database's own free pages, have room for still fits; then nothing more. A full disk can
        # be read, but the store is not called back for that.
        while True:
            told = len(caplog.records)
            await asyncio.sleep(1)
            told_since = [record.getMessage() for record in caplog.records[told:]]
            if not scheduler.store_available and not any("the store is" in words for words in told_since):
                break
        with pytest.raises(StoreUnavailable, match="full"):
            await scheduler.pause_job("job-0")
        ballast.unlink()
        wanted, enough = 50, asyncio.Event()
        await enough.wait()
        statistics = await scheduler.get_statistics()

    assert statistics.total_failures == 0
    with contextlib.closing(sqlite3.connect(small_disk / "jobs.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT count(*) FROM asched_run").fetchone() == (0,)


async def test_the_log_of_a_small_disk_leaves_room_for_the_database(small_disk: Path) -> None:
    store = SQLiteStore(small_disk / "jobs.db")
    clock = SettableClock()
    await store.open("default", Limits(), clock)
    node = await Actor.join(store, clock)
    await node.add(spec("a"))

    # Far more than the disk holds goes through the log.
    for number in range(1_000):
        await store.put_jobs(PutMode.UPDATE, [item(spec("a", payload=b"[[%d]]" % number), replan=False)])

    assert (await job(store, "a")).spec.payload == b"[[999]]"
    await store.close()
