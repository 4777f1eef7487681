"""A run reports progress, keeps the log records made during it, and returns a result. Prints:

seen from outside: 2 of 4
succeeded with 'imported 4 files'
log: file 1
log: file 2
log: file 3
log: file 4
"""

from __future__ import annotations

import asyncio
import logging
import time

from asched import Scheduler, current_run

log = logging.getLogger("importer")
scheduler = Scheduler()


@scheduler.once(3600).id("import")
def import_files() -> str:
    run = current_run()
    for number in range(1, 5):
        log.info("file %d", number)  # nothing special: any logger will do
        run.progress(number, 4)
        time.sleep(0.6 if number == 2 else 0.01)
    return "imported 4 files"


async def main() -> None:
    async with scheduler:
        run = await scheduler.run_job_now("import")
        async for event in scheduler.subscribe():
            if event.name == "run.progress" and event.run.progress.done == 2:
                print(f"seen from outside: {event.run.progress.done:g} of {event.run.progress.total:g}")
                break
        run = await scheduler.wait_for_run(run.id)
        print(f"{run.status} with {run.result!r}")
        for line in run.log:
            print("log:", line)


if __name__ == "__main__":
    logging.getLogger("importer").setLevel(logging.INFO)
    asyncio.run(main())
