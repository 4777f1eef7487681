"""The wall clock of a process steps while it works on a file; then the process is killed and another one goes on."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills with SIGKILL"),
]

PROGRAM = """
import asyncio, sys
from asched import Scheduler
from asched.clock import SystemClock

class SteppingClock(SystemClock):
    offset = 0
    def now(self):
        return super().now() + self.offset

clock = SteppingClock()
scheduler = Scheduler(f"sqlite:///{sys.argv[1]}", clock=clock)
ran = asyncio.Event()

@scheduler.every(0.1).seconds.id("tick")
async def tick():
    ran.set()

async def runs(times):
    for _ in range(times):
        ran.clear()
        await ran.wait()

async def main():
    async with scheduler:
        await runs(3)
        for step in map(int, sys.argv[2:]):
            clock.offset += step * 1_000_000
            await runs(3)
        print("done", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def live(path: Path, *steps: int) -> None:
    """Let a process work until its job has run after each step, and kill it."""
    command = [sys.executable, "-c", PROGRAM, str(path), *map(str, steps)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            # A job that stands still until the clock has caught up is ended by the test's timeout.
            assert process.stdout.readline() == "done\n"
        finally:
            process.kill()


@pytest.mark.timeout(40)
def test_clock_that_steps_forward_and_back_stalls_nothing_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"

    live(path, 3_600, -3_600, 60, -60)
    live(path)

    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        ended = db.execute("SELECT count(*) FROM asched_history WHERE status = 'succeeded'").fetchone()[0]
        [(runs, active)] = db.execute("SELECT runs, (SELECT count(*) FROM asched_run) FROM asched_timer").fetchall()
    # A claim is on disk before its run begins; the second life may begin with the run that the kill interrupted.
    assert runs >= 17
    assert ended + active == runs
