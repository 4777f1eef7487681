"""What a timeout does to a coroutine, to a thread, and to a process. Prints:

the coroutine was cancelled and could tidy up
coroutine: timed_out
thread: timed_out
the thread was asked to end and did
process: timed_out, and killed
"""

from __future__ import annotations

import asyncio
import logging
import time

from asched import Scheduler, current_run

scheduler = Scheduler()


@scheduler.once(3600).timeout(0.2).retries(0).id("coroutine")
async def coroutine() -> None:
    try:
        await asyncio.sleep(60)
    finally:
        print("the coroutine was cancelled and could tidy up")


# Python cannot stop a thread. The run ends on time; the function goes on until it returns, holds its worker slot
# for as long, and can hold up the exit of the process. A function that may take long asks now and then.
@scheduler.once(3600).timeout(0.2).retries(0).id("thread")
def thread() -> None:
    run = current_run()
    while not run.cancelled:
        time.sleep(0.1)
    time.sleep(0.3)  # tidies up, while the run is over already
    print("the thread was asked to end and did")


# A worker process can be killed. Function and arguments are pickled, so both must be importable there.
@scheduler.once(3600).timeout(0.5).retries(0).in_process().id("process")
def process() -> None:
    while True:
        time.sleep(1)


async def main() -> None:
    async with scheduler:
        for job_id in ("coroutine", "thread", "process"):
            run = await scheduler.run_job_now(job_id)
            run = await scheduler.wait_for_run(run.id)
            print(f"{job_id}: {run.status}" + (", and killed" if job_id == "process" else ""))
            await asyncio.sleep(0.6)


if __name__ == "__main__":
    logging.disable()
    asyncio.run(main())
