"""A failing job is tried again; what fails for good is kept until somebody decides. Prints:

attempt 1
attempt 2
attempt 3
fetch: succeeded after 3 attempts
charge: failed after 1 attempt, ValueError: the card has expired
deliver: failed after 2 attempts, ConnectionError: the courier is away
dead letters: ['charge', 'deliver']
delivered parcel 7
replayed: succeeded; dead letters: ['charge']
cleared: 1
"""

from __future__ import annotations

import asyncio

from asched import Abort, Backoff, Once, Run, Scheduler, current_run

scheduler = Scheduler()
courier_is_away = True


# Waits 0.05, 0.1, 0.2 ... seconds. Backoff's default draws each wait between zero and that.
@scheduler.once(0).retries(5, backoff=Backoff(first=0.05, jitter=False)).id("fetch")
async def fetch() -> None:
    attempt = current_run().attempt
    print(f"attempt {attempt}")
    if attempt < 3:
        raise ConnectionError("no answer")


# The error says that trying again is of no use. `raise Abort(...)` in the function does the same.
@scheduler.once(0).retries(5, give_up_on=ValueError).id("charge")
async def charge() -> None:
    raise ValueError("the card has expired")


async def deliver(parcel: int) -> None:
    if parcel < 0:
        raise Abort("there is no such parcel")
    if courier_is_away:
        raise ConnectionError("the courier is away")
    print(f"delivered parcel {parcel}")


async def outcome(job_id: str) -> Run:
    [run] = await scheduler.get_history(job_id=job_id)
    run = await scheduler.wait_for_run(run.id)
    plural = "" if run.attempt == 1 else "s"
    error = f", {run.error.type}: {run.error.message}" if run.error else ""
    print(f"{job_id}: {run.status} after {run.attempt} attempt{plural}{error}")
    return run


async def main() -> None:
    global courier_is_away
    async with scheduler:
        await asyncio.sleep(0.3)
        await outcome("fetch")
        await outcome("charge")

        tomorrow = Once("2099-01-01 00:00:00")
        await scheduler.add_job(deliver, tomorrow, id="deliver", args=(7,), max_retries=1, backoff=0.05)
        await scheduler.run_job_now("deliver")
        letter = await outcome("deliver")
        print("dead letters:", sorted(run.job_id for run in await scheduler.get_dead_letters()))

        courier_is_away = False
        replay = await scheduler.retry_dead_letter(letter.id)  # a new run with the letter's own arguments
        replay = await scheduler.wait_for_run(replay.id)
        left = [run.job_id for run in await scheduler.get_dead_letters()]
        print(f"replayed: {replay.status}; dead letters: {left}")
        print("cleared:", await scheduler.clear_dead_letters())


if __name__ == "__main__":
    import logging

    logging.disable()  # each failure is in the log as well, with its traceback
    asyncio.run(main())
