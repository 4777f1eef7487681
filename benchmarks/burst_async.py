"""What does one run of an async job cost when 10,000 come due at one instant?

The job does nothing, or suspends once. CPU is the whole process, from just before the due instant until every run
has ended and is recorded; the burst's stall is the longest time a 5 ms ticker on the same event loop had to wait.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from _bench import APSCHEDULER, FASTSCHEDULER, LIMIT, OURS, PEER, Benchmark, Burst, Figures

N = 10_000
LETTERS = 500

NOOP = "a job that does nothing"
SUSPENDS = "a job that suspends once"
HELD = "a job that does nothing, with 100,000 other jobs held"
FRESH = "the same, right after they were added: with one full garbage collection"
LISTENING = "a job that does nothing, with one subscriber who reads the events"
FULL = "a job that does nothing, where history and dead letters are full: each run drives out an older one"


async def limit(n: int, suspends: bool = False) -> Figures:
    burst = Burst(n)

    async def noop() -> None:
        burst.run_ended()

    async def suspend() -> None:
        await asyncio.sleep(0)
        burst.run_ended()

    job = suspend if suspends else noop
    loop = asyncio.get_running_loop()
    due = time.time() + 0.3
    heap: list[tuple[float, int]] = []
    for number in range(n):
        heapq.heappush(heap, (due, number))
    tasks: set[asyncio.Task[None]] = set()

    def fire() -> None:
        while heap:
            heapq.heappop(heap)
            task = loop.create_task(job())
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    loop.call_later(due - time.time(), fire)
    return await burst.measure(due)


async def asched(
    n: int, suspends: bool = False, held: int = 0, collected: bool = True, listening: bool = False, full: bool = False
) -> Figures:
    from asched import Once, Scheduler

    burst = Burst(n, collect=collected)

    async def noop() -> None:
        burst.run_ended()

    async def suspend() -> None:
        await asyncio.sleep(0)
        burst.run_ended()

    async def never() -> None:
        raise AssertionError

    async def read(events: AsyncIterator[object]) -> None:
        async for _ in events:
            pass

    async def fill(scheduler: Scheduler) -> None:
        async def passes() -> None:
            pass

        async def fails() -> None:
            raise ValueError

        logging.disable(logging.ERROR)
        trigger = Once(datetime.fromtimestamp(time.time() + 2, UTC))
        for job, jobs in ((fails, LETTERS), (passes, N)):
            for _ in range(jobs):
                await scheduler.add_job(job, trigger, max_retries=0)
        while (await scheduler.get_statistics()).total_runs < LETTERS + N:  # noqa: ASYNC110 - a record sets no event
            await asyncio.sleep(0.1)

    async with Scheduler() as scheduler:
        reader = asyncio.ensure_future(read(scheduler.subscribe())) if listening else None
        failed, before = (LETTERS, LETTERS + N) if full else (0, 0)
        if full:
            await fill(scheduler)
        now = time.time()
        for number in range(held):
            await scheduler.add_job(never, Once(datetime.fromtimestamp(now + 3600 + number / 100, UTC)))
        due = time.time() + 0.5 + n * 1e-4 + held * 1e-5
        trigger = Once(datetime.fromtimestamp(due, UTC))
        job = suspend if suspends else noop
        for _ in range(n):
            await scheduler.add_job(job, trigger)
        figures = await burst.measure(due)
        statistics = await scheduler.get_statistics()
        assert (statistics.total_runs, statistics.total_failures, statistics.active_runs) == (before + n, failed, 0)
        assert len(await scheduler.get_history(limit=1_000, status="succeeded")) == min(n, 1_000)
        if reader is not None:
            reader.cancel()
        return figures


async def apscheduler(n: int, suspends: bool = False, held: int = 0) -> Figures:
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

    burst = Burst(n)

    async def noop() -> None:
        burst.run_ended()

    async def suspend() -> None:
        await asyncio.sleep(0)
        burst.run_ended()

    async def never() -> None:
        raise AssertionError

    scheduler = AsyncIOScheduler(timezone=UTC, job_defaults={"misfire_grace_time": None})
    scheduler.start()
    now = time.time()
    for number in range(held):
        scheduler.add_job(never, "date", run_date=datetime.fromtimestamp(now + 3600 + number / 100, UTC))
    due = time.time() + 0.5 + n * 3e-4 + held * 2e-5
    moment = datetime.fromtimestamp(due, UTC)
    job = suspend if suspends else noop
    for _ in range(n):
        scheduler.add_job(job, "date", run_date=moment)
    figures = await burst.measure(due)
    scheduler.shutdown(wait=False)
    return figures


async def fastscheduler(n: int, suspends: bool = False) -> Figures:
    import logging
    import tempfile

    from fastscheduler import FastScheduler

    logging.disable(logging.ERROR)
    burst = Burst(n)

    async def noop() -> None:
        burst.run_ended()

    async def suspend() -> None:
        await asyncio.sleep(0)
        burst.run_ended()

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        scheduler = FastScheduler(state_file=f"{folder}/state.json", quiet=True)
        scheduler.start()
        due = time.time() + 5  # its writer must have caught up, or it would be measured as well
        for _ in range(n):
            scheduler.once(due - time.time()).do(suspend if suspends else noop)
        figures = await burst.measure(due)
        scheduler.stop(wait=False)
    return figures


bench = Benchmark(__file__, __doc__, "cpu_us_per_run")
for case, suspends in ((NOOP, False), (SUSPENDS, True)):
    bench.row("heap, call_at, create_task", LIMIT, limit, case=case, n=N, suspends=suspends)
    bench.row("APScheduler 3", PEER, apscheduler, case=case, requires=APSCHEDULER, n=N, suspends=suspends)
    bench.row(
        "FastScheduler, 300 jobs", PEER, fastscheduler, case=case, requires=FASTSCHEDULER, n=300, rounds=1,
        suspends=suspends, only_full=True, smaller=True,
    )  # fmt: skip
    bench.row("asched", OURS, asched, case=case, n=N, suspends=suspends)
bench.row("heap, call_at, create_task", LIMIT, limit, case=HELD, n=N)
bench.row(
    "APScheduler 3", PEER, apscheduler, case=HELD, requires=APSCHEDULER, n=N, held=100_000, rounds=2, only_full=True
)
bench.unable("FastScheduler", "each job added rewrites the state of all: 100,000 take hours", case=HELD)
bench.row("asched", OURS, asched, case=HELD, n=N, held=100_000, quick={"held": 20_000}, rounds=3)
bench.row("asched", OURS, asched, case=FRESH, n=N, held=100_000, collected=False, rounds=3, only_full=True)
bench.row("asched", OURS, asched, case=LISTENING, n=N, listening=True, rounds=3)
bench.row("asched", OURS, asched, case=FULL, n=N, full=True, rounds=3)
bench.goal("cpu_us_per_run", case=NOOP, at_most=6.5, python="3.11")
bench.goal("cpu_us_per_run", case=NOOP, at_most=5.5, python="3.13")
bench.goal("stall_ms", case=NOOP, at_most=10)
bench.goal("cpu_us_per_run", case=SUSPENDS, at_most=9.5)
bench.goal("cpu_us_per_run", case=HELD, at_most=6.5, python="3.11")
bench.goal("cpu_us_per_run", case=HELD, at_most=5.5, python="3.13")
bench.goal("stall_ms", case=HELD, at_most=10)

if __name__ == "__main__":
    bench.main()
