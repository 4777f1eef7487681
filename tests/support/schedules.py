"""What engine tests say in one line: instants as seconds since the test began, and what became of a job."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime

from support.clocks import T0

from asched import Reason, Run, RunStatus, Scheduler
from asched.clock import Clock
from asched.instants import SECOND, from_datetime, to_datetime
from asched.testing import VirtualClock

Record = tuple[RunStatus, Reason | None, float, int]
"""Status, reason, seconds from the beginning of the test to the due time, number of instants."""


def at(seconds: float) -> datetime:
    """The instant so many seconds after the beginning of a test."""
    return to_datetime(T0 + round(seconds * SECOND))


def since(moment: datetime | None) -> float | None:
    """Seconds from the beginning of the test to this instant."""
    return None if moment is None else (from_datetime(moment) - T0) / SECOND


class Journal:
    """Notes the time, in seconds since the test began, whenever a job asks it to."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.times: list[float] = []
        self.words: list[object] = []

    def now(self) -> float:
        return (self._clock.now() - T0) / SECOND

    def note(self, word: object = None) -> None:
        self.times.append(self.now())
        self.words.append(word)


async def runs_of(scheduler: Scheduler, job_id: str) -> list[Run]:
    """The job's runs, oldest first."""
    return list(reversed(await scheduler.get_history(job_id, limit=1_000)))


async def records(scheduler: Scheduler, job_id: str) -> list[Record]:
    """What became of the job's instants, oldest first."""
    return [
        (run.status, run.reason, (from_datetime(run.due_at) - T0) / SECOND, run.count)
        for run in await runs_of(scheduler, job_id)
    ]


async def last_run(scheduler: Scheduler, job_id: str) -> Run:
    return (await scheduler.get_history(job_id, limit=1))[0]


class Gate:
    """Holds plain functions in their threads, in real time, while virtual time goes on."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._open = threading.Event()
        self._changed = threading.Condition()
        self._inside = 0

    def wait(self) -> None:
        """Wait until it is opened. For the thread of a job."""
        with self._changed:
            self._inside += 1
        with self._clock.letting_time_pass():
            self._open.wait(30)
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    async def open(self) -> None:
        """Let the threads go. Virtual time stands still from when they have left until they have returned."""
        self._open.set()
        await asyncio.to_thread(self._all_left)

    def _all_left(self) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._inside == 0, timeout=30)
