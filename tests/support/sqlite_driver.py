"""A process that works on an SQLite store without a scheduler, and says on its output what was acknowledged.

Run as a program it opens the file, registers and then adds, changes, claims and ends at random until it is killed.
Each line is one acknowledged fact: ``added <job> <first instant>``, ``started <token> <run> <job>``,
``ended <token> <run> <status>``, ``deleted <job>``, ``changed <job> <what> <value>``; ``deleting <job>`` and
``changing <job> <what> <value>`` come before the call. ``--early`` breaks the store on purpose: it answers before the
COMMIT, and must be found out.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sqlite3
import sys
import time
from collections.abc import Sequence
from typing import Any

from asched.clock import SystemClock
from asched.instants import SECOND
from asched.model import ErrorInfo, JobSpec, OnCrash, Outcome, Policy, RunStatus
from asched.store import (
    TOKEN_BITS,
    Claim,
    Claimed,
    Finish,
    Grant,
    Limits,
    NodeInfo,
    PutItem,
    PutMode,
    PutStatus,
    Selection,
    Timer,
)
from asched.stores.sqlite import SQLiteStore, store
from asched.triggers import Interval

FUNC = "app:work"
PERIOD = 50_000
"""Microseconds between two instants of each job."""
BOOM = ErrorInfo("ValueError", "boom", "Traceback: boom")
HISTORY = Limits(history=1_000_000, kept_per_job=1_000_000)


def policy_of(job_id: str) -> Policy:
    """Every third job wants no second start."""
    lost = int(job_id.rpartition("-")[2]) % 3 == 0
    return Policy(on_crash=OnCrash.LOST if lost else OnCrash.RERUN, max_retries=1_000)


def say(*words: object) -> None:
    # One write to a pipe is there as soon as it returns, whatever becomes of this process.
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Driver:
    def __init__(self, store: SQLiteStore, seed: int) -> None:
        self._store = store
        self._random = random.Random(seed)
        self._clock = SystemClock()
        self._names = f"{os.getpid()}"
        self._count = 0
        self._epoch = 0
        self._tokens = 0

    async def run(self) -> None:
        await self._store.open("default", HISTORY, self._clock)
        info = NodeInfo("driver", "host", os.getpid(), "0", 0, frozenset({FUNC}), frozenset())
        self._epoch = await self._store.register(info)
        say("ready")
        await asyncio.gather(self._add(), self._work(), self._change(), self._delete())

    async def _add(self) -> None:
        anchor = self._clock.now()
        trigger = Interval(seconds=PERIOD / SECOND).bound(anchor, "UTC")
        while True:
            items = []
            for _ in range(self._random.randint(1, 5)):
                self._count += 1
                job_id = f"job-{self._names}-{self._count}"
                now = self._clock.now()
                first = now - (now - anchor) % PERIOD
                items.append(PutItem(JobSpec(job_id, job_id, FUNC, trigger, policy=policy_of(job_id)), first, first))
            for put in await self._store.put_jobs(PutMode.INSERT, items):
                assert put.status is PutStatus.ADDED
                assert put.record is not None
                say("added", put.record.spec.id, put.record.planned)

    async def _change(self) -> None:
        number = 0
        while True:
            await asyncio.sleep(self._random.random() * 0.005)
            if not self._count:
                continue
            number += 1
            job_id = f"job-{self._names}-{self._random.randint(1, self._count)}"
            chosen = Selection(ids=(job_id,))
            what, value = self._random.choice([("paused", "1"), ("paused", "0"), ("name", f"name-{number}")])
            say("changing", job_id, what, value)
            if what == "name":
                [record] = await self._store.get_jobs([job_id])
                if record is None:
                    continue
                renamed = PutItem(record.spec.replace(name=value), None, None, replan=False)
                [put] = await self._store.put_jobs(PutMode.UPDATE, [renamed])
                if put.status is not PutStatus.REPLACED:
                    continue
            elif value == "1":
                await self._store.pause_jobs(chosen)
            else:
                await self._store.resume_jobs(chosen)
            say("changed", job_id, what, value)

    async def _delete(self) -> None:
        while True:
            await asyncio.sleep(self._random.random() * 0.02)
            if self._count > 3:
                job_id = f"job-{self._names}-{self._random.randint(1, self._count - 3)}"
                say("deleting", job_id)
                for gone in (await self._store.delete_jobs(Selection(ids=(job_id,)))).ids:
                    say("deleted", gone)

    async def _work(self) -> None:
        while True:
            timers = (await self._store.window(self._epoch, self._clock.now(), 60)).timers
            claims = [self._claim(timer) for timer in timers]
            granted = await self._store.claim(self._epoch, claims)
            started = [
                (claimed, claim)
                for claimed, claim in zip(granted, claims, strict=True)
                if claimed.grant is Grant.STARTED
            ]
            for claimed, claim in started:
                say("started", claimed.token, claimed.run_id, claim.timer.spec.id)
            # Some stay in flight until the process is killed.
            ends = [self._end(claimed) for claimed, _ in started if self._random.random() < 0.9]
            accepted, _ = await self._store.finish(self._epoch, ends)
            runs = {claimed.token: claimed.run_id for claimed, _ in started}
            for end, ok in zip(ends, accepted, strict=True):
                assert ok
                say("ended", end.token, runs[end.token], end.status)

    def _claim(self, timer: Timer) -> Claim:
        self._tokens += 1
        token = self._epoch << TOKEN_BITS | self._tokens
        following = None if timer.attempt else timer.planned + PERIOD
        return Claim(timer, token, True, timer.planned, timer.due, following, following)

    def _end(self, claimed: Claimed) -> Finish:
        now = self._clock.now()
        draw = self._random.random()
        if draw < 0.7:
            return Finish(claimed.token, RunStatus.SUCCEEDED, Outcome.OK, now, now, result=b'"done"')
        if draw < 0.85:
            return Finish(claimed.token, RunStatus.FAILED, Outcome.ERROR, now, now, error=BOOM)
        return Finish(claimed.token, RunStatus.RETRYING, Outcome.ERROR, now, now, error=BOOM, due=now)


def answer_before_the_commit() -> None:
    """Break the store: each call is answered before the COMMIT of its transaction, which takes a moment."""

    def answer(call: Any) -> None:
        if not call.future.done():
            call.future.set_result(call.answer)

    def write(db: sqlite3.Connection, ledger: Any, calls: Sequence[Any]) -> None:
        db.execute("BEGIN IMMEDIATE")
        for call in calls:
            call.answer = call.work(ledger)
            call.future.get_loop().call_soon_threadsafe(answer, call)
        time.sleep(0.02)
        sqlite3.Connection.commit(db)

    store._write = write


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--early", action="store_true")
    options = parser.parse_args()
    if options.early:
        answer_before_the_commit()
    asyncio.run(Driver(SQLiteStore(options.path), options.seed).run())


if __name__ == "__main__":
    sys.exit(main())
