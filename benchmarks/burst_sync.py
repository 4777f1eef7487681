"""What does one run of a plain function cost when 2,000 come due at one instant?

The function does nothing and runs in a worker thread, at most 40 of them. CPU is the whole process, from just
before the due instant until every run has ended and is recorded.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from datetime import UTC, datetime

from _bench import APSCHEDULER, FASTSCHEDULER, LIMIT, OURS, PEER, Benchmark, Burst, Figures

N, THREADS = 2_000, 40


async def threads_that_stay(n: int) -> Figures:
    """The limit: anyio's threads pull calls from one queue and hand what ended to the loop in batches."""
    import anyio.to_thread

    burst = Burst(n)
    loop = asyncio.get_running_loop()
    limiter = anyio.CapacityLimiter(THREADS)
    calls: deque[object] = deque()
    ended: deque[None] = deque()
    signalled = False

    def collect() -> None:
        nonlocal signalled
        signalled = False
        while ended:
            ended.popleft()

    def pull() -> None:
        nonlocal signalled
        while True:
            try:
                calls.popleft()
            except IndexError:
                return
            burst.run_ended()
            ended.append(None)
            if not signalled:
                signalled = True
                loop.call_soon_threadsafe(collect)

    async def host() -> None:
        await anyio.to_thread.run_sync(pull, limiter=limiter)

    tasks: set[asyncio.Task[None]] = set()

    def fire() -> None:
        calls.extend(range(n))
        # Two threads take what forty would: a call that does nothing is over before another thread wakes.
        for _ in range(2):
            task = loop.create_task(host())
            tasks.add(task)

    due = time.time() + 0.3
    loop.call_later(due - time.time(), fire)
    return await burst.measure(due)


async def hop_per_run(n: int) -> Figures:
    import anyio.to_thread

    burst = Burst(n)
    loop = asyncio.get_running_loop()
    limiter = anyio.CapacityLimiter(THREADS)
    tasks: set[asyncio.Task[None]] = set()

    async def run() -> None:
        await anyio.to_thread.run_sync(burst.run_ended, limiter=limiter)

    def fire() -> None:
        for _ in range(n):
            task = loop.create_task(run())
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    due = time.time() + 0.3
    loop.call_later(due - time.time(), fire)
    return await burst.measure(due)


async def asched(n: int) -> Figures:
    from asched import Once, Scheduler

    burst = Burst(n)

    def noop() -> None:
        burst.run_ended()

    async with Scheduler(max_workers=THREADS) as scheduler:
        due = time.time() + 0.5 + n * 1e-4
        trigger = Once(datetime.fromtimestamp(due, UTC))
        for _ in range(n):
            await scheduler.add_job(noop, trigger)
        figures = await burst.measure(due)
        statistics = await scheduler.get_statistics()
        assert (statistics.total_runs, statistics.total_failures, statistics.active_runs) == (n, 0, 0)
        return figures


async def apscheduler(n: int) -> Figures:
    from apscheduler.executors.pool import ThreadPoolExecutor
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

    burst = Burst(n)

    def noop() -> None:
        burst.run_ended()

    scheduler = AsyncIOScheduler(
        timezone=UTC,
        job_defaults={"misfire_grace_time": None},
        executors={"default": ThreadPoolExecutor(THREADS)},
    )
    scheduler.start()
    due = time.time() + 0.5 + n * 3e-4
    moment = datetime.fromtimestamp(due, UTC)
    for _ in range(n):
        scheduler.add_job(noop, "date", run_date=moment)
    figures = await burst.measure(due)
    scheduler.shutdown(wait=False)
    return figures


async def fastscheduler(n: int) -> Figures:
    import logging
    import tempfile

    from fastscheduler import FastScheduler

    logging.disable(logging.ERROR)
    burst = Burst(n)

    def noop() -> None:
        burst.run_ended()

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        scheduler = FastScheduler(state_file=f"{folder}/state.json", quiet=True, max_workers=THREADS)
        scheduler.start()
        due = time.time() + 4  # its writer must have caught up, or it would be measured as well
        for _ in range(n):
            scheduler.once(due - time.time()).do(noop)
        figures = await burst.measure(due)
        scheduler.stop(wait=False)
    return figures


bench = Benchmark(__file__, __doc__, "cpu_us_per_run")
bench.row("anyio threads that stay and pull", LIMIT, threads_that_stay, n=N)
bench.row("anyio.to_thread.run_sync per run, no scheduler", LIMIT, hop_per_run, n=N)
bench.row("APScheduler 3, 40 threads", PEER, apscheduler, requires=APSCHEDULER, n=N)
bench.row(
    "FastScheduler, 40 threads, 300 jobs",
    PEER,
    fastscheduler,
    requires=FASTSCHEDULER,
    rounds=1,
    smaller=True,
    only_full=True,
    n=300,
)
bench.row("asched", OURS, asched, n=N)
bench.goal("cpu_us_per_run", at_most=20)

if __name__ == "__main__":
    bench.main()
