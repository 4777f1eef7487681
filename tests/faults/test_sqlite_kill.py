"""A process that works on an SQLite store is killed again and again; nothing it was told is ever untrue."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support import sqlite_driver
from support.sqlite_driver import FUNC, HISTORY, PERIOD, policy_of

from asched.clock import SystemClock
from asched.model import OnCrash, RunStatus
from asched.store import NodeInfo
from asched.stores.sqlite import SQLiteStore

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills with SIGKILL"),
]

# Seconds of work before the kill.
LONGEST_LIFE = 0.5


@dataclass
class Told:
    """What the killed processes said was so."""

    added: dict[str, int] = field(default_factory=dict)
    """Job -> its first instant."""
    changes: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Job and what was changed -> values it may have now: the last one acknowledged, and what was asked for later."""
    changed: int = 0
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
                self.added[rest[0]] = int(rest[1])
            elif word == "changing":
                initial = rest[0] if rest[1] == "name" else "0"
                self.changes.setdefault((rest[0], rest[1]), [initial]).append(rest[2])
            elif word == "changed":
                self.changed += 1
                self.changes[rest[0], rest[1]] = [rest[2]]
            elif word == "deleting":
                self.deleting.add(rest[0])
            elif word == "deleted":
                self.deleted.add(rest[0])
            elif word == "started":
                self.started[int(rest[0])] = int(rest[1]), rest[2]
            elif word == "ended":
                self.ended[int(rest[0])] = int(rest[1]), rest[2]

    @property
    def acknowledged(self) -> Counter[str]:
        return Counter(
            added=len(self.added),
            changed=self.changed,
            deleted=len(self.deleted),
            started=len(self.started),
            ended=len(self.ended),
        )


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
    stands = {
        job_id: {"name": name, "paused": str(paused)}
        for job_id, name, paused in db.execute(
            "SELECT id, name, paused FROM asched_job JOIN asched_timer ON job = serial WHERE deleted = 0"
        )
    }
    open_runs = {row[0]: row[1:] for row in db.execute("SELECT id, status, token FROM asched_run")}
    unaccounted = instants_not_accounted_for(db, told)
    records = db.execute("SELECT id, status FROM asched_history").fetchall()
    integrity = db.execute("PRAGMA integrity_check").fetchall()
    db.close()

    assert integrity == [("ok",)], where
    assert told.added.keys() - told.deleting <= {job_id for job_id, deleted in jobs.items() if not deleted}, where
    assert not any(jobs.get(job_id) == 0 for job_id in told.deleted), where
    for (job_id, what), values in told.changes.items():
        # A change that was never acknowledged may have been refused, and then what stood before stands.
        if job_id in told.added and job_id not in told.deleting:
            assert stands[job_id][what] in values, f"{where}: {what} of {job_id}"
    assert not unaccounted, f"{where}: {unaccounted}"
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


def instants_not_accounted_for(db: sqlite3.Connection, told: Told) -> list[str]:
    """Return jobs of which an instant before the next one has no run and no record, or more than one."""
    found: dict[str, list[tuple[int, int]]] = {job_id: [] for job_id in told.added}
    for job_id, planned, last, instants in db.execute(
        "SELECT j.id, r.planned, r.planned, 1 FROM asched_run r JOIN asched_job j ON j.serial = r.job UNION ALL "
        "SELECT j.id, h.planned, iif(h.started IS NULL, h.last_due, h.planned), h.instants "
        "FROM asched_history h JOIN asched_job j ON j.serial = h.job"
    ):
        if job_id in found:
            assert last - planned == (instants - 1) * PERIOD, f"{instants} instants from {planned} to {last}"
            found[job_id].append((planned, last))
    wrong = []
    for job_id, following in db.execute("SELECT id, planned FROM asched_job JOIN asched_timer ON job = serial"):
        if job_id not in found:
            continue  # it was added, and the process killed before it heard of that
        expected = told.added[job_id]
        for first, last in sorted(found[job_id]):
            if first != expected:
                break
            expected = last + PERIOD
        if expected != following:
            wrong.append(f"{job_id} has {sorted(found[job_id])} from {told.added[job_id]}, next {following}")
    return wrong


Report = Callable[[str], None]


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Report:
    """Print a line while the test runs."""

    def write(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{line}")
            sys.stdout.flush()

    return write


async def rounds(path: Path, number: int, seed: int, report: Report) -> Counter[str]:
    chance = random.Random(seed)
    told = Told()
    met: Counter[str] = Counter()
    for turn in range(number):
        before = told.acknowledged
        live_and_die(path, told, chance)
        one = await check(path, told, seed)
        done = told.acknowledged - before
        report(
            f"seed {seed}, kill {turn + 1}: {done.total()} acknowledged ("
            f"{', '.join(f'{count} {word}' for word, count in done.items())}), "
            f"{one['rescued'] + one['lost']} claims in flight at the kill"
        )
        met.update(one)
    met["told"] = told.acknowledged.total()
    return met


async def test_nothing_told_is_lost_when_the_process_is_killed(tmp_path: Path, report: Report) -> None:
    met = await rounds(tmp_path / "jobs.db", 16, random.randrange(10**6), report)

    assert met["told"] > 100, met
    assert met["rescued"] > 0, met
    assert met["lost"] > 0, met


@pytest.mark.long
@pytest.mark.timeout(1_200)
async def test_nothing_told_is_lost_in_many_lives(tmp_path: Path, report: Report) -> None:
    seed = random.randrange(10**6)

    for life in range(10):
        met = await rounds(tmp_path / f"jobs-{life}.db", 20, seed + life, report)
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


async def test_an_occurrence_without_a_record_is_found_out(tmp_path: Path) -> None:
    told = Told()
    live_and_die(tmp_path / "jobs.db", told, random.Random(2))
    await check(tmp_path / "jobs.db", told, seed=2)
    with contextlib.closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as db:
        db.execute(
            "DELETE FROM asched_history WHERE id = (SELECT max(id) FROM asched_history JOIN asched_timer USING (job))"
        )

        assert len(instants_not_accounted_for(db, told)) == 1
