"""A full disk makes the store unavailable, leaves nothing half done, and is over when there is room again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clocks import SettableClock
from support.nodes import FAR, Actor, history, item, job, spec

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
