"""A process that is killed in the middle of a run, and the next one, which finishes the work. Needs asched-py[sqlite].

Prints:

    first process: attempt 1 of the import begins
    first process: killed with its import half done
    second process: attempt 2 of the import begins
    second process: the import is done, attempts: lost ok
    second process: the job was made once, by the first process
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import tempfile

from asched import Interval, Scheduler, current_run


async def import_orders(minutes: int) -> None:
    print(f"{sys.argv[1]} process: attempt {current_run().attempt} of the import begins", flush=True)
    if sys.argv[1] == "first":
        await asyncio.sleep(60)


async def program(path: str) -> None:
    scheduler = Scheduler(f"sqlite:///{path}")
    scheduler.register_function(import_orders)  # stored jobs find their function by its name
    async with scheduler:
        if sys.argv[1] == "first":
            job = await scheduler.add_job(import_orders, Interval(hours=1), id="import", args=(60,))
            await scheduler.run_job_now(job.id)
            await asyncio.sleep(0.2)
            print("first process: killed with its import half done", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        [run] = await scheduler.get_history(job_id="import")
        run = await scheduler.wait_for_run(run.id)
        print("second process: the import is done, attempts:", *(attempt.outcome for attempt in run.attempts))
        [job] = await scheduler.get_jobs()
        print("second process: the job was made once, by the first process")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("first", "second"):
            child = await asyncio.create_subprocess_exec(sys.executable, __file__, name, f"{folder}/jobs.db")
            await child.wait()


if __name__ == "__main__":
    logging.getLogger("asched").setLevel(logging.ERROR)  # it warns that a run is taken over; the lines above say so
    asyncio.run(main() if len(sys.argv) == 1 else program(sys.argv[2]))
