"""Four ways to treat an instant that comes while the job still runs. A run takes 2.5 seconds, one is due each second.

Six seconds in virtual time, so that the output is the same everywhere. Prints:

    skip            started at 1 4
    queue           started at 1 3.5 6
    cancel_running  started at 1 2 3 4 5 6
    allow           started at 1 2 3 4 5 6
    skipped: {'skip': 4, 'queue': 3}
    cancelled: {'cancel_running': 5}
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict

from asched import Scheduler, current_run
from asched.testing import run_virtual, virtual_clock

POLICIES = ("skip", "queue", "cancel_running", "allow")


async def main() -> None:
    clock = virtual_clock()
    scheduler = Scheduler(clock=clock)
    began = clock.elapsed()
    starts = defaultdict(list)

    async def work() -> None:
        starts[current_run().job_id].append(clock.elapsed() - began)
        await asyncio.sleep(2.5)

    for policy in POLICIES:
        scheduler.every(1).seconds.overlap(policy).id(policy).do(work)
    async with scheduler:
        await asyncio.sleep(6.2)
        for policy in POLICIES:
            print(f"{policy:<14}  started at", *(f"{start:g}" for start in starts[policy]))
        skipped, cancelled = Counter(), Counter()
        for run in await scheduler.get_history(status="skipped"):
            skipped[run.job_id] += run.count  # instants with one fate share one record
        for run in await scheduler.get_history(status="cancelled"):
            cancelled[run.job_id] += 1
        print("skipped:", {policy: skipped[policy] for policy in POLICIES if skipped[policy]})
        print("cancelled:", dict(cancelled))


if __name__ == "__main__":
    run_virtual(main())
