"""Jobs declared with decorators: intervals, times of day, days of the week, cron, one-shots.

A decorated function stays what it is; it can be called and tested like any other. Prints:

    beep
    backup, once
    beep
    beep
    decorators:tidy         Every 6 hours
    decorators:refresh      Every hour at :30
    decorators:report       Every day at 09:00 (America/New_York)
    decorators:invoices     Weekdays at 18:30 (Europe/Paris)
    decorators:review       Every 15 minutes from 09:00 to 17:59, weekdays (Asia/Tokyo)
"""

from __future__ import annotations

import asyncio

from asched import Scheduler

scheduler = Scheduler()


@scheduler.every(0.2).seconds.max_runs(3)
async def beep() -> None:
    print("beep")


@scheduler.every(6).hours.jitter(60)  # up to a minute later, so that a hundred hosts do not tidy at once
def tidy() -> None: ...


@scheduler.hourly.at(":30")
def refresh() -> None: ...


@scheduler.daily.at("09:00").timezone("America/New_York").timeout(30).retries(5)
async def report() -> None: ...


@scheduler.weekly.weekdays.at("18:30", tz="Europe/Paris").group("accounting").named("send invoices")
def invoices() -> None: ...


@scheduler.cron("*/15 9-17 * * MON-FRI", tz="Asia/Tokyo")
async def review() -> None: ...


@scheduler.once(0.3)
def backup() -> None:
    print("backup, once")


async def main() -> None:
    async with scheduler:
        await asyncio.sleep(0.8)
        for job in await scheduler.get_jobs(status="scheduled"):
            print(f"{job.id:<22}  {job.trigger.describe()}")


if __name__ == "__main__":
    asyncio.run(main())
