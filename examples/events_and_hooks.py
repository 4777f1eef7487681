"""Two ways to hear what happens: hooks for single events, a stream of all of them. Prints:

hook: scheduler.started
hello
stream: run.started greet
stream: run.succeeded greet
stream: run.started fail
stream: run.failed fail
alert: fail failed with ValueError: on purpose
stream: scheduler.stopping
"""

from __future__ import annotations

import asyncio
import logging

from asched import Event, Once, Scheduler

scheduler = Scheduler()
LATER = Once("2099-01-01 00:00:00")


@scheduler.on("scheduler.started")
def started(event: Event) -> None:
    print("hook:", event.name)


@scheduler.on("run.failed")
async def alert(event: Event) -> None:
    # Called after the store has the failure; an error in here is logged and harms nobody.
    print(f"alert: {event.job_id} failed with {event.run.error.type}: {event.run.error.message}")


async def greet() -> None:
    print("hello")


async def fail() -> None:
    raise ValueError("on purpose")


async def tell() -> None:
    async for event in scheduler.subscribe():  # ends when the scheduler stops
        if event.name.startswith(("run.", "scheduler.s")):
            print("stream:", event.name, *filter(None, [event.job_id]))


async def main() -> None:
    async with scheduler:
        await asyncio.sleep(0.05)
        telling = asyncio.create_task(tell())
        for function in (greet, fail):
            job = await scheduler.add_job(function, LATER, id=function.__name__, max_retries=0)
            await scheduler.run_job_now(job.id)
            await asyncio.sleep(0.1)
    await telling


if __name__ == "__main__":
    logging.disable()
    asyncio.run(main())
