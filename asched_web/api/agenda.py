"""The agenda: which starts are planned in the coming hours, how many at a time, and where they crowd.

Starts are what the triggers say; jitter, retries and manual runs are not foreseen. A job that starts more than twice
an hour would bury the others, so it is counted apart from them and not listed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

from asched.errors import AschedError
from asched.instants import SECOND, from_datetime, to_datetime
from asched.model import JobStatus
from asched.triggers import BuiltIn, count_between, next_instant
from asched.views import Job
from asched_web.endpoint import Endpoint, Listing, checked_query
from asched_web.http import Request
from asched_web.schema import AGENDA_HOURS, moment
from asched_web.site import Site

__all__ = ["ENDPOINTS"]

_QUERY = {"hours": AGENDA_HOURS}

_HOUR: Final = 3600 * SECOND
_MINUTE: Final = 60 * SECOND
_OFTEN: Final = 2
"""Starts an hour above which a job is counted and not listed."""
_LISTED: Final = 1_000
_CROWD: Final = 5
"""Starts in one minute from which it counts as crowded: enough to be no coincidence."""
_CROWDS: Final = 50
# The page of a schedule with very many jobs may be incomplete; the schedule itself may not be late for it.
_TURN: Final = 0.005
_BUDGET: Final = 1.0


class _Agenda:
    """What is gathered, job by job."""

    def __init__(self, begin: int, hours: int) -> None:
        self.begin = begin
        self.end = begin + hours * _HOUR
        # 96 slots for a day, 168 for a week: as many as a screen can tell apart.
        self.step = _HOUR // 4 if hours <= 48 else _HOUR
        self.most = hours * _OFTEN
        self.starts = [0] * (hours * _HOUR // self.step)
        self.listed: list[tuple[int, str]] = []
        self.often: list[tuple[str, int]] = []
        self.minutes: Counter[int] = Counter()

    def add(self, job: Job) -> None:
        trigger = job.trigger
        after = self.begin if job.starting is None else max(self.begin, from_datetime(job.starting) - 1)
        end = self.end if job.until is None else min(self.end, from_datetime(job.until))
        if isinstance(trigger, BuiltIn):
            total = count_between(trigger, after, end)
            if total > self.most:
                self.often.append((job.id, total))
                return
        # A trigger of the program's own can only be asked for one instant after another.
        found: list[int] = []
        instant = next_instant(trigger, after)
        while instant is not None and instant <= end and len(found) <= self.most:
            found.append(instant)
            instant = next_instant(trigger, instant)
        if len(found) > self.most:
            self.often.append((job.id, len(found)))
            return
        for at in found:
            self.starts[min((at - self.begin) // self.step, len(self.starts) - 1)] += 1
            self.listed.append((at, job.id))
            self.minutes[at // _MINUTE] += 1


async def get_agenda(site: Site, request: Request) -> Listing:
    query: dict[str, Any] = checked_query(request, _QUERY)
    begin = from_datetime(await site.now())
    agenda = _Agenda(begin, query.get("hours", 24))
    loop = asyncio.get_running_loop()
    spent = 0.0
    complete = True
    turn = loop.time()
    for job in await site.scheduler.get_jobs():
        if job.next_run_at is None or job.paused or job.status is JobStatus.UNRESOLVED:
            continue
        now = loop.time()
        if now - turn > _TURN:
            spent += now - turn
            await asyncio.sleep(0)
            turn = loop.time()
        if spent > _BUDGET:
            complete = False
            break
        try:
            agenda.add(job)
        except AschedError:
            # A trigger of the program's own that answers nonsense; its runs say so, the agenda of the others stands.
            complete = False
    agenda.listed.sort()
    agenda.often.sort(key=lambda row: -row[1])
    crowds = sorted(minute for minute, starts in agenda.minutes.most_common(_CROWDS) if starts >= _CROWD)
    return Listing(
        {
            "from": moment(to_datetime(begin)),
            "step": agenda.step / SECOND,
            "starts": agenda.starts,
            "entries": [{"at": moment(to_datetime(at)), "job_id": id} for at, id in agenda.listed[:_LISTED]],
            "total": len(agenda.listed),
            "often": [{"job_id": id, "starts": starts} for id, starts in agenda.often[:_LISTED]],
            "crowded": [
                {"at": moment(to_datetime(minute * _MINUTE)), "starts": agenda.minutes[minute]} for minute in crowds
            ],
            "complete": complete,
        }
    )


ENDPOINTS = (
    Endpoint("GET", "/api/agenda", "The starts planned in the coming hours", "view", "agenda", lister=get_agenda,
             query=_QUERY),
)  # fmt: skip
