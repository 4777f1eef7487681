"""What one application knows: its scheduler, its options, its lists and its streams."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Final

from asched.clock import SystemClock
from asched.errors import NotStarted, StoreUnavailable
from asched.instants import to_datetime
from asched_web.lists import Lists
from asched_web.schema import (
    Redactor,
    Wire,
    failures_json,
    job_json,
    moment,
    run_json,
    statistics_json,
    with_next_run_in,
)
from asched_web.sse import Hub

if TYPE_CHECKING:
    from asched import Scheduler

__all__ = ["Site"]

SNAPSHOT_JOBS: Final = 1_000
"""Jobs in a snapshot; ``next_cursor`` leads to the rest in ``/api/jobs``."""
SNAPSHOT_RUNS: Final = 50


class Site:
    """The state that the endpoints of one application share."""

    def __init__(
        self, scheduler: Scheduler, *, title: str, read_only: bool, redact: Collection[str], max_streams: int
    ) -> None:
        self.scheduler = scheduler
        self.title = title
        self.read_only = read_only
        self.redactor = Redactor(redact)
        self.lists = Lists()
        self._max_streams = max_streams
        self._hub: Hub | None = None

    @property
    def hub(self) -> Hub:
        """The hub of the running event loop; a server that is started again brings a new one."""
        hub = self._hub
        if hub is None or hub.loop is not asyncio.get_running_loop() or hub.closing:
            self.lists = Lists()
            hub = self._hub = Hub(self.scheduler, self, lambda: self.lists.changed(), self._max_streams)
        return hub

    @property
    def open_hub(self) -> Hub | None:
        return self._hub

    async def now(self) -> datetime:
        """Return the store's time, by which jobs are due; this machine's while the store cannot say."""
        if self.scheduler.running:
            try:
                return to_datetime(await self.scheduler.store.now())
            except StoreUnavailable:
                pass
        return to_datetime(SystemClock().now())

    async def statistics(self) -> Wire:
        """Return the data of a ``stats`` event."""
        statistics = None
        available = self.scheduler.store_available
        try:
            statistics = statistics_json(await self.scheduler.get_statistics(per_job=False), per_job=False)
        except NotStarted:
            pass
        except StoreUnavailable:
            available = False
        return {
            "as_of": moment(await self.now()),
            "running": self.scheduler.running,
            "store_available": available,
            "failures": failures_json(self.scheduler.failures),
            "statistics": statistics,
        }

    async def snapshot(self) -> Wire:
        """Return the data of a ``snapshot`` event."""
        state = await self.statistics()
        body: Wire = {**state, "jobs": [], "next_cursor": None, "runs": []}
        if state["statistics"] is None:
            return body
        try:
            jobs = await self.scheduler.get_jobs(limit=SNAPSHOT_JOBS)
            runs = await self.scheduler.get_history(limit=SNAPSHOT_RUNS)
        except (NotStarted, StoreUnavailable):
            return {**body, "running": self.scheduler.running, "store_available": False, "statistics": None}
        as_of = await self.now()
        body["as_of"] = moment(as_of)
        body["jobs"] = [with_next_run_in(job_json(job), job, as_of) for job in jobs]
        body["next_cursor"] = jobs.next_cursor
        body["runs"] = [run_json(run) for run in runs]
        return body
