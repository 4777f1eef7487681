"""Two processes work on one schedule, one of them is killed, and the other takes over its run.

Needs asched-py[postgres].

    python examples/two_processes_postgres.py [postgresql://user:password@host/database]

Without an address it looks for a server on this machine: postgresql://postgres@127.0.0.1/postgres. It works in a schema
of its own, which it drops at the end, some twelve seconds later.

Prints:

    20 occurrences ran in 2 processes, each of them once
    one process: attempt 1 of the import begins
    one process: killed with its import half done
    the other process: attempt 2 of the import begins
    the other process: the import is done, attempts: lost ok
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from asyncio.subprocess import PIPE, Process

import asyncpg

from asched import PostgresStore, Scheduler, current_run

OCCURRENCES = 20


async def worker(address: str, schema: str) -> None:
    """What each of the two processes is: the same declarations, on the same store."""
    # A short lease, so that nobody waits: a process that has not been heard of for two seconds counts as dead.
    store = PostgresStore(address, schema=schema, lease=2.0)
    # Two at a time in each process, and the ticks need three: neither could do it alone.
    scheduler = Scheduler(store, max_concurrency=2)
    imported = asyncio.Event()

    async def tick() -> None:
        print("tick", current_run().due_at, flush=True)
        await asyncio.sleep(0.6)

    async def import_orders() -> None:
        print(f"attempt {current_run().attempt} of the import begins", flush=True)
        await asyncio.sleep(60 if current_run().attempt == 1 else 0.5)
        imported.set()

    scheduler.register_function(tick, name="tick")
    scheduler.register_function(import_orders, name="import_orders")
    scheduler.every(0.2).seconds.overlap("allow").max_runs(OCCURRENCES).id("tick").do(tick)
    scheduler.once(6).id("import").do(import_orders)
    async with scheduler:
        await imported.wait()
        [run] = await scheduler.get_history("import")
        run = await scheduler.wait_for_run(run.id)
        print("the import is done, attempts:", *(attempt.outcome for attempt in run.attempts), flush=True)


async def main(address: str) -> None:
    schema = f"asched_example_{os.getpid()}"
    try:
        database = await asyncpg.connect(address)
    except OSError as error:
        sys.exit(f"there is no PostgreSQL ({error}); say where: {sys.argv[0]} postgresql://user:password@host/database")
    try:
        command = [sys.executable, __file__, "worker", address, schema]
        await watch([await asyncio.create_subprocess_exec(*command, stdout=PIPE) for _ in range(2)])
    finally:
        await database.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        await database.close()


async def watch(workers: list[Process]) -> None:
    ticks: asyncio.Queue[tuple[Process, str]] = asyncio.Queue()
    others: asyncio.Queue[tuple[Process, str]] = asyncio.Queue()
    readers = [asyncio.create_task(read(worker, ticks, others)) for worker in workers]
    ran = [await ticks.get() for _ in range(OCCURRENCES)]
    twice = len(ran) - len({line for _, line in ran})
    processes = len({worker.pid for worker, _ in ran})
    print(f"{len(ran)} occurrences ran in {processes} processes,", f"{twice} twice" if twice else "each of them once")

    worker, line = await others.get()
    print("one process:", line)
    worker.kill()
    print("one process: killed with its import half done")
    for _ in range(2):
        print("the other process:", (await others.get())[1])
    await asyncio.gather(*readers, *(worker.wait() for worker in workers))


async def read(worker: Process, ticks: asyncio.Queue, others: asyncio.Queue) -> None:
    async for line in worker.stdout:
        text = line.decode().strip()
        (ticks if text.startswith("tick") else others).put_nowait((worker, text))


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        logging.getLogger("asched").setLevel(logging.ERROR)  # it warns that a process is gone; the lines say so
        asyncio.run(worker(*sys.argv[2:]))
    else:
        asyncio.run(main(*sys.argv[1:] or ["postgresql://postgres@127.0.0.1/postgres"]))
