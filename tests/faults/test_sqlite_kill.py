"""A process that works on an SQLite store is killed again and again; nothing it was told is ever untrue."""

from __future__ import annotations

import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support import sqlite_driver
from support.sqlite_driver import FUNC, HISTORY, policy_of

from asched.clock import SystemClock
from asched.model import OnCrash, RunStatus
from asched.store import NodeInfo
from asched.stores.sqlite import SQLiteStore

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills with SIGKILL"),
]

log = logging.getLogger(__name__)

# Seconds of work before the kill.
LONGEST_LIFE = 0.5


@dataclass
class Told:
    """What the killed processes said was so."""

    added: set[str] = field(default_factory=set)
    deleting: set[str] = field(default_factory=set)
    """Asked for; a kill may fall between the commit and its answer."""
    deleted: set[str] = field(default_factory=set)
    started: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Token -> run and job."""
    ended: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Token -> run and status."""

    def read(self, output: bytes) -> None:
        # A line that was cut off was not told.
        for line in output.decode().split("\n")[:-1]:
            word, *rest = line.split(" ")
            if word == "added":
                self.added.add(rest[0])
            elif word == "deleting":
                self.deleting.add(rest[0])
            elif word == "deleted":
                self.deleted.add(rest[0])
            elif word == "started":
                self.started[int(rest[0])] = int(rest[1]), rest[2]
            elif word == "ended":
                self.ended[int(rest[0])] = int(rest[1]), rest[2]


def live_and_die(path: Path, told: Told, chance: random.Random, *, early: bool = False) -> None:
    """Let a process work on the file for a moment, kill it, and add what it said."""
    command = [sys.executable, sqlite_driver.__file__, str(path), "--seed", str(chance.randrange(10**6))]
    with subprocess.Popen([*command, *(["--early"] if early else [])], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            ready = process.stdout.readline()
            assert ready == b"ready\n", ready
            os.set_blocking(process.stdout.fileno(), False)
            # It is read while it lives: a full pipe would stop it.
            output = b""
            end = time.monotonic() + chance.uniform(0.05, LONGEST_LIFE)
            while time.monotonic() < end:
                output += process.stdout.read(1 << 16) or b""
                time.sleep(0.005)
        finally:
            process.kill()
        os.set_blocking(process.stdout.fileno(), True)
        output += process.stdout.read()
    told.read(output)


async def check(path: Path, told: Told, seed: int) -> Counter[str]:
    """Open the file as the next process does and compare it with what was told; return what was met."""
    where = f"seed {seed}"
    store = SQLiteStore(path)
    await store.open("default", HISTORY, SystemClock())
    epoch = await store.register(NodeInfo("checker", "host", 1, "0", 0, frozenset({FUNC}), frozenset()))
    met: Counter[str] = Counter(rescued=0, lost=0)
    for reaped in await store.reap():
        met["rescued"] += len(reaped.rescued)
        met["lost"] += len(reaped.lost)
    await store.leave(epoch)
    await store.close()
    db = sqlite3.connect(path)
    jobs = dict(db.execute("SELECT id, deleted FROM asched_job").fetchall())
    open_runs = {row[0]: row[1:] for row in db.execute("SELECT id, status, token FROM asched_run")}
    records = db.execute("SELECT id, status FROM asched_history").fetchall()
    integrity = db.execute("PRAGMA integrity_check").fetchall()
    db.close()

    assert integrity == [("ok",)], where
    assert told.added - told.deleting <= {job_id for job_id, deleted in jobs.items() if not deleted}, where
    assert not any(jobs.get(job_id) == 0 for job_id in told.deleted), where
    final = dict(records)
    assert len(final) == len(records), f"{where}: a run has two final records"
    assert not final.keys() & open_runs.keys(), f"{where}: a run is open and has ended"
    assert all(token is None for _, token in open_runs.values()), f"{where}: a claim outlived its process"
    for run_id, job_id in told.started.values():
        if run_id in final:
            continue
        assert run_id in open_runs, f"{where}: run {run_id} was started and is gone"
        assert policy_of(job_id).on_crash is OnCrash.RERUN or open_runs[run_id][0] != "pending", where
    for token, (run_id, status) in told.ended.items():
        if status == RunStatus.RETRYING:
            assert run_id in open_runs or run_id in final, f"{where}: run {run_id} waited for a retry and is gone"
        else:
            assert final.get(run_id) == status, f"{where}: run {run_id} ended as {status}, token {token}"
    met["records"] = len(records)
    return met


async def rounds(path: Path, number: int, seed: int) -> Counter[str]:
    chance = random.Random(seed)
    told = Told()
    met: Counter[str] = Counter()
    for _ in range(number):
        live_and_die(path, told, chance)
        met.update(await check(path, told, seed))
    met["told"] = len(told.added) + len(told.started) + len(told.ended)
    return met


async def test_nothing_told_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    log.info("seed %d", seed)

    met = await rounds(tmp_path / "jobs.db", 16, seed)

    assert met["told"] > 100, met
    assert met["rescued"] > 0, met
    assert met["lost"] > 0, met


@pytest.mark.long
@pytest.mark.timeout(1_200)
async def test_nothing_told_is_lost_in_many_lives(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    log.info("seed %d", seed)

    for life in range(10):
        met = await rounds(tmp_path / f"jobs-{life}.db", 20, seed + life)
        log.info("life %d: %s", life, dict(met))
        assert met["rescued"] > 0
        assert met["lost"] > 0


async def test_a_store_that_answers_before_its_commit_is_found_out(tmp_path: Path) -> None:
    chance = random.Random(1)
    untrue = 0

    for life in range(5):
        told = Told()
        live_and_die(tmp_path / f"jobs-{life}.db", told, chance, early=True)
        try:
            await check(tmp_path / f"jobs-{life}.db", told, seed=1)
        except AssertionError:
            untrue += 1

    assert untrue >= 3
