"""What engine tests say in one line: instants as seconds since the test began, and what became of a job."""

from __future__ import annotations

from datetime import datetime

from support.clocks import T0

from asched import Reason, Run, RunStatus, Scheduler
from asched.clock import Clock
from asched.instants import SECOND, from_datetime, to_datetime

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
