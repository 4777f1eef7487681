"""What becomes of instants that passed while nothing ran: three hours of downtime for an hourly job. Prints:

up from 00:00 to 02:30, down until 05:30, up again
latest: ran for 01:00 02:00 05:00 06:00
all:    ran for 01:00 02:00 03:00 04:00 05:00 06:00
skip:   ran for 01:00 02:00 06:00
latest: missed (coalesced) 2, from 03:00 to 04:00
skip: missed (no_catch_up) 3, from 03:00 to 05:00
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from asched import Interval, MemoryStore, Scheduler, current_run
from asched.testing import run_virtual, virtual_clock

MIDNIGHT = datetime.fromisoformat("2026-03-01T00:00:00Z")
ran = defaultdict(list)


async def work() -> None:
    run = current_run()
    ran[run.job_id].append(f"{run.due_at:%H:%M}")


async def main() -> None:
    clock = virtual_clock()
    # The store outlives the scheduler here, as a database outlives the process.
    store = MemoryStore()

    first = Scheduler(store, clock=clock)
    first.register_function(work)
    async with first:
        for policy in ("latest", "all", "skip"):
            window = timedelta(days=1) if policy == "all" else None  # "all" wants to know how far back
            await first.add_job(work, Interval(hours=1), id=policy, catch_up=policy, catch_up_window=window)
        await clock.sleep_until(MIDNIGHT + timedelta(hours=2, minutes=30))

    await clock.sleep_until(MIDNIGHT + timedelta(hours=5, minutes=30))

    second = Scheduler(store, clock=clock)
    second.register_function(work)
    async with second:
        await clock.sleep_until(MIDNIGHT + timedelta(hours=6, minutes=30))
        print("up from 00:00 to 02:30, down until 05:30, up again")
        for policy, instants in ran.items():
            print(f"{policy + ':':<7} ran for", *instants)
        for run in reversed(await second.get_history(status="missed")):
            span = f"from {run.due_at:%H:%M} to {run.last_due_at:%H:%M}"
            print(f"{run.job_id}: {run.status} ({run.reason}) {run.count}, {span}")


if __name__ == "__main__":
    run_virtual(main(), start=MIDNIGHT)
