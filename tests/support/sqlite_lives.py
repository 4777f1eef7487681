"""A program with two lives on one SQLite file: it is killed in the first and tells in the second what it found.

    python sqlite_lives.py first|second <file> <journal>

Each life prints one line of JSON. The first then works on until it is killed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from asched import Interval, JobStatus, RunStatus, Scheduler, current_run

LIFE, FILE, JOURNAL = sys.argv[1:4]
FIRST = LIFE == "first"

scheduler = Scheduler(f"sqlite:///{FILE}")


def note(*words: object) -> None:
    """Leave an effect that outlives the process."""
    with open(JOURNAL, "ab", buffering=0) as journal:
        journal.write((" ".join(map(str, (LIFE, *words))) + "\n").encode())


@scheduler.every(1).hours.id("kept")
async def kept() -> None:
    note("kept")


@scheduler.every(1 if FIRST else 2).hours.id("changed")
async def changed() -> None:
    note("changed")


@scheduler.every(1).hours.id("old-name" if FIRST else "new-name").aliases("old-name")
async def renamed() -> str:
    note("renamed")
    return "done"


@scheduler.once(0).id("again").on_crash("rerun")
async def again() -> None:
    note("again", current_run().attempt)
    if FIRST:
        await asyncio.sleep(3_600)


@scheduler.once(0).id("never-again").on_crash("lost")
async def never_again() -> None:
    note("never-again", current_run().attempt)
    if FIRST:
        await asyncio.sleep(3_600)


@scheduler.once(0).id("waiting").retries(3, backoff=4)
async def waiting() -> None:
    note("waiting", current_run().attempt)
    if FIRST:
        raise ValueError("not yet")


@scheduler.once(0).id("dead").retries(0)
async def dead() -> None:
    note("dead")
    raise ValueError("never")


async def plain(word: str) -> None:
    note("plain", word)


async def every_half_second(policy: str) -> None:
    note("half", policy)


async def comes_later() -> None:
    note("comes-later")


async def facts() -> dict[str, Any]:
    jobs = {
        job.id: {
            "status": job.status,
            "origin": job.origin,
            "paused": job.paused,
            "next": job.next_run_at and job.next_run_at.isoformat(),
            "runs": job.run_count,
            "failures": job.failure_count,
            "timeout": job.timeout,
            "args": job.args,
            "trigger": job.trigger.describe(),
        }
        for job in await scheduler.get_jobs()
    }
    runs = [
        {
            "id": run.id,
            "job": run.job_id,
            "status": run.status,
            "attempt": run.attempt,
            "reason": run.reason,
            "result": run.result,
            "instants": run.count,
        }
        for run in await scheduler.get_history(limit=500)
    ]
    letters = [run.id for run in await scheduler.get_dead_letters()]
    statistics = await scheduler.get_statistics()
    return {"jobs": jobs, "runs": runs, "letters": letters, "total_runs": statistics.total_runs}


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def until(condition: Any) -> None:
    while not await condition():  # noqa: ASYNC110 - what is waited for is in a file
        await asyncio.sleep(0.02)


async def has_run(job_id: str, status: RunStatus) -> bool:
    return any(run.status is status for run in await scheduler.get_history(job_id))


async def first_life() -> None:
    await scheduler.start()
    await scheduler.add_job(plain, Interval(hours=1), id="by-hand", args=["hello"])
    await scheduler.add_job(plain, Interval(hours=1), id="paused", args=["silence"])
    await scheduler.pause_job("paused")
    await scheduler.update_job("by-hand", timeout=9)
    await scheduler.add_job(comes_later, Interval(seconds=1), id="later", paused=True)
    for policy in ("skip", "latest", "all"):
        window = 60 if policy == "all" else None
        await scheduler.add_job(
            every_half_second, Interval(seconds=0.5), id=policy, args=[policy], catch_up=policy, catch_up_window=window
        )
    await scheduler.run_job_now("old-name")
    await until(lambda: has_run("old-name", RunStatus.SUCCEEDED))
    await until(lambda: has_run("dead", RunStatus.FAILED))
    await until(lambda: has_run("waiting", RunStatus.RETRYING))
    await until(lambda: has_run("again", RunStatus.RUNNING))
    await until(lambda: has_run("never-again", RunStatus.RUNNING))
    await until(lambda: has_run("all", RunStatus.SUCCEEDED))
    await scheduler.resume_job("later")
    say(json.dumps(await facts()))
    await asyncio.Event().wait()


async def second_life() -> None:
    # As a program that has not been told yet where the function is.
    await scheduler.start()
    found = await facts()
    scheduler.register_function(every_half_second)
    scheduler.register_function(plain)
    await until(lambda: has_run("again", RunStatus.SUCCEEDED))
    await until(lambda: has_run("waiting", RunStatus.SUCCEEDED))
    kept_waiting = (await scheduler.get_job("later")).status is JobStatus.UNRESOLVED
    scheduler.register_function(comes_later)
    await until(lambda: has_run("later", RunStatus.SUCCEEDED))
    await until(lambda: has_run("all", RunStatus.SUCCEEDED))
    after = await facts()
    say(json.dumps({"found": found, "kept_waiting": kept_waiting, "after": after}))
    await scheduler.stop()


if __name__ == "__main__":
    asyncio.run(first_life() if FIRST else second_life())
