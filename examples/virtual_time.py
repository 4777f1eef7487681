"""The weekend on which clocks change, in a second: time jumps to whatever comes next. Prints:

Sat 09:00 CET   after 9 hours
Sun 09:00 CEST  after 23 hours
Mon 09:00 CEST  after 24 hours
attempt 1 at 12:00:00
attempt 2 at 12:00:30
"""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from asched import Scheduler, current_run
from asched.testing import run_virtual, virtual_clock

BERLIN = ZoneInfo("Europe/Berlin")
SATURDAY = "2026-03-28T00:00:00+01:00"


async def main() -> None:
    clock = virtual_clock()
    scheduler = Scheduler(clock=clock)  # the clock is all that differs from the real program
    began = clock.now_datetime()
    last = began

    @scheduler.daily.at("09:00").timezone("Europe/Berlin")
    async def report() -> None:
        nonlocal last
        due = current_run().due_at
        print(f"{due.astimezone(BERLIN):%a %H:%M %Z}".ljust(14), f" after {(due - last) // timedelta(hours=1)} hours")
        last = due

    @scheduler.at("2026-03-30 12:00:00", tz="Europe/Berlin").retries(1, backoff=30)
    async def fails_once() -> None:
        print(f"attempt {current_run().attempt} at {clock.now_datetime().astimezone(BERLIN):%H:%M:%S}")
        if current_run().attempt == 1:
            raise ConnectionError("not yet")

    async with scheduler:
        await clock.sleep_until(began + timedelta(days=2, hours=13))


if __name__ == "__main__":
    import logging

    logging.disable()
    run_virtual(main(), start=SATURDAY)
