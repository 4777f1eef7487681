"""Jobs made while the program runs: with arguments, changed, paused, started by hand, cancelled. Prints:

ada has 3 new messages
job_1: Every 10 minutes, scheduled
changed to: Every day at 08:00 (Europe/London)
paused: no next run
ada has 3 new messages
the run by hand succeeded
refused: a job with the id 'remind-bob' exists; choose another id, or say if_exists='replace' or 'keep'
refused: args[0] is of type set, which is not JSON
left: ['remind-bob']
"""

from __future__ import annotations

import asyncio

from asched import Daily, Interval, InvalidArgument, JobExists, Scheduler

scheduler = Scheduler()


async def remind(name: str, messages: int) -> None:
    print(f"{name} has {messages} new messages")


async def main() -> None:
    async with scheduler:
        job = await scheduler.add_job(remind, Interval(minutes=10), args=("ada",), kwargs={"messages": 3})
        run = await scheduler.run_job_now(job.id)  # does not move the next planned run
        await scheduler.wait_for_run(run.id)
        print(f"{job.id}: {job.trigger.describe()}, {job.status}")

        job = await scheduler.update_job(job.id, trigger=Daily("08:00", timezone="Europe/London"), group="mail")
        print(f"changed to: {job.trigger.describe()}")

        job = await scheduler.pause_job(job.id)
        print(f"{job.status}: {'no next run' if job.next_run_at is None else job.next_run_at}")
        run = await scheduler.run_job_now(job.id)  # a paused job runs by hand all the same
        run = await scheduler.wait_for_run(run.id)
        print(f"the run by hand {run.status}")

        await scheduler.add_job(remind, Interval(hours=1), id="remind-bob", args=("bob", 1))
        try:
            await scheduler.add_job(remind, Interval(hours=2), id="remind-bob", args=("bob", 2))
        except JobExists as error:
            print("refused:", error)
        try:
            await scheduler.add_job(remind, Interval(hours=2), args=({"bob"}, 2))
        except InvalidArgument as error:
            print(f"refused: {error.field} is of type set, which is not JSON")

        await scheduler.cancel_job(job.id)
        print("left:", [job.id for job in await scheduler.get_jobs()])


if __name__ == "__main__":
    asyncio.run(main())
