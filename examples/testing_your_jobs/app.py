"""A small application: a report each morning, invoices once a month, and an upload that may fail.

The clock is an argument. That is all a scheduler needs to be tested in virtual time; see test_app.py.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from asched import Scheduler, current_run
from asched.clock import Clock


@dataclass
class Outbox:
    """What the jobs have done; a real application sends mail instead."""

    reports: list[datetime] = field(default_factory=list)
    invoices: list[datetime] = field(default_factory=list)
    uploads: int = 0
    upload_failures_to_come: int = 0


def build_scheduler(outbox: Outbox, *, clock: Clock | None = None) -> Scheduler:
    """Return the application's scheduler; without ``clock`` it follows the machine's."""
    scheduler = Scheduler(clock=clock)

    @scheduler.daily.at("09:00").timezone("Europe/Berlin").id("report")
    async def send_report() -> None:
        await asyncio.sleep(20)
        outbox.reports.append(current_run().due_at)

    @scheduler.cron("0 6 1 * *").id("invoices")
    def write_invoices() -> None:
        # A plain function runs in a worker thread, in virtual time as well.
        outbox.invoices.append(current_run().due_at)

    @scheduler.weekly.sunday.at("03:00").retries(3).id("upload")
    async def upload() -> None:
        if outbox.upload_failures_to_come:
            outbox.upload_failures_to_come -= 1
            raise ConnectionError("the other side is down")
        outbox.uploads += 1

    return scheduler


if __name__ == "__main__":
    asyncio.run(build_scheduler(Outbox()).run_forever())
