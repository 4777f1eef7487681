"""A group is a label: list, pause, resume or cancel many jobs in one step. Prints:

mail: 3 jobs, 0 paused
reports: 1 jobs, 0 paused
paused: 3
scheduled meanwhile: ['report']
resumed: 3
cancelled: 3
left: ['report']
"""

from __future__ import annotations

import asyncio

from asched import Interval, Scheduler

scheduler = Scheduler()


async def work(what: str) -> None: ...


async def main() -> None:
    async with scheduler:
        for name in ("ada", "bob", "cyd"):
            await scheduler.add_job(work, Interval(minutes=5), id=f"mail-{name}", group="mail", args=(name,))
        await scheduler.add_job(work, Interval(hours=1), id="report", group="reports", args=("sales",))

        for group in await scheduler.get_groups():
            print(f"{group.name}: {group.jobs} jobs, {group.paused} paused")
        print("paused:", await scheduler.pause_group("mail"))
        print("scheduled meanwhile:", [job.id for job in await scheduler.get_jobs(status="scheduled")])
        print("resumed:", await scheduler.resume_group("mail"))
        print("cancelled:", await scheduler.cancel_group("mail"))
        print("left:", [job.id for job in await scheduler.get_jobs()])


if __name__ == "__main__":
    asyncio.run(main())
