"""What becomes of the event loop while 10,000 jobs come due each second, for a minute?

10,000 jobs with an interval of one second, all in the same phase: the worst case, a burst each second. Lag is how
much later than asked a 5 ms ticker on the same loop gets its turn; a run is late when it began more than 100 ms
after its due instant. Each job keeps its last 20 records, so memory is compared over the second half of the minute.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import time
from datetime import UTC, datetime

from _bench import APSCHEDULER, LIMIT, OURS, PEER, Benchmark, Figures, Stall, percentile, resident_bytes

N, SECONDS = 10_000, 60
LATE = 0.1


class Load:
    """Collects what happens from the first due second to the last."""

    def __init__(self, first: float, seconds: int) -> None:
        self.first = first
        self.seconds = seconds
        self.runs = 0
        self.late = 0

    def enter(self) -> None:
        self.runs += 1
        if (time.time() - self.first) % 1.0 > LATE:
            self.late += 1

    async def measure(self, n: int) -> Figures:
        gc.collect()
        # The first second fills caches and history; it belongs to nobody.
        await asyncio.sleep(self.first + 1.5 - time.time())
        ran, late = self.runs, self.late
        cpu = time.process_time()
        ticker = Stall()
        await asyncio.sleep(self.first + 1.5 + self.seconds / 2 - time.time())
        half = resident_bytes()
        await asyncio.sleep(self.first + 1.5 + self.seconds - time.time())
        ticker.stop()
        cpu = time.process_time() - cpu
        runs = self.runs - ran
        return {
            "lag_p50_ms": 1e3 * percentile(ticker.lags, 0.5),
            "lag_p99_ms": 1e3 * percentile(ticker.lags, 0.99),
            "lag_max_ms": 1e3 * ticker.worst,
            "runs": runs,
            "runs_wanted_pct": 100 * runs / (n * self.seconds),
            "late_pct": 100 * (self.late - late) / max(runs, 1),
            "cpu_pct": 100 * cpu / self.seconds,
            "cpu_us_per_run": 1e6 * cpu / max(runs, 1),
            "growth_mb": (resident_bytes() - half) / 1e6,
        }


async def limit(n: int, seconds: int) -> Figures:
    load = Load(time.time() + 1, seconds)
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    heap = [(load.first, number) for number in range(n)]

    async def job() -> None:
        load.enter()

    def fire() -> None:
        # 64 a turn, as a loop that wants to stay responsive must.
        now = time.time()
        for _ in range(64):
            if heap[0][0] > now:
                break
            due, number = heap[0]
            heapq.heapreplace(heap, (due + 1, number))
            task = loop.create_task(job())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        loop.call_later(max(0.0, heap[0][0] - time.time()), fire)

    fire()
    return await load.measure(n)


async def asched(n: int, seconds: int) -> Figures:
    from asched import Interval, Scheduler

    async with Scheduler(max_concurrency=n) as scheduler:
        first = float(int(time.time() + 2 + n * 5e-5))
        load = Load(first, seconds)

        async def job() -> None:
            load.enter()

        trigger = Interval(seconds=1, anchor=datetime.fromtimestamp(first - 1, UTC))
        moment = datetime.fromtimestamp(first, UTC)
        for _ in range(n):
            await scheduler.add_job(job, trigger, starting=moment)
        figures = await load.measure(n)
        statistics = await scheduler.get_statistics()
        assert statistics.total_failures == 0
        return figures


async def apscheduler(n: int, seconds: int) -> Figures:
    import logging

    from apscheduler.schedulers.asyncio import AsyncIOScheduler

    logging.disable(logging.ERROR)
    scheduler = AsyncIOScheduler(timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True})
    scheduler.start()
    first = float(int(time.time() + 3 + n * 1.5e-4))
    load = Load(first, seconds)

    async def job() -> None:
        load.enter()

    moment = datetime.fromtimestamp(first, UTC)
    for _ in range(n):
        scheduler.add_job(job, "interval", seconds=1, start_date=moment)
    figures = await load.measure(n)
    scheduler.shutdown(wait=False)
    return figures


bench = Benchmark(__file__, __doc__, "cpu_us_per_run", rounds=1)
quick: dict[str, object] = {"seconds": 3}
bench.row("heap, call_at, create_task", LIMIT, limit, quick=quick, n=N, seconds=20)
bench.row("APScheduler 3", PEER, apscheduler, requires=APSCHEDULER, quick=quick, n=N, seconds=20)
bench.unable("FastScheduler", "a run costs 0.6 ms and more there: 10,000 a second need six cores")
bench.row("asched", OURS, asched, quick=quick, n=N, seconds=SECONDS)
bench.goal("lag_p99_ms", at_most=10)
bench.goal("growth_mb", at_most=5, compared=False)

if __name__ == "__main__":
    bench.main()
