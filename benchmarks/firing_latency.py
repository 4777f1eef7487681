"""How long after its due time does a job's function begin, and what does the waiting cost?

200 one-shot async jobs come due at random instants within 10 s. Latency is the function's entry minus its due
time, both on the wall clock; CPU is the whole process over those 10 s.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime

from _bench import APSCHEDULER, FASTSCHEDULER, LIMIT, OURS, PEER, Benchmark, Figures, percentile

N, SECONDS = 200, 10.0


def instants(n: int, seconds: float) -> list[float]:
    """Draw the due instants, the same for every contender, in whole microseconds."""
    chance = random.Random(20_261_123)
    start = time.time() + 0.4
    return sorted(round(start + chance.random() * seconds, 6) for _ in range(n))


class Watch:
    """Compares the due instants with the entries into the functions."""

    def __init__(self, due: list[float]) -> None:
        self.due = due
        self.entered = [0.0] * len(due)

    def enter(self, number: int) -> None:
        self.entered[number] = time.time()

    async def measure(self) -> Figures:
        await asyncio.sleep(self.due[0] - 0.1 - time.time())
        cpu = time.process_time()
        await asyncio.sleep(self.due[-1] + 0.3 - time.time())
        cpu = time.process_time() - cpu
        if not all(self.entered):
            raise RuntimeError(f"{self.entered.count(0.0)} of {len(self.due)} runs did not come")
        late = [1e3 * (entered - due) for due, entered in zip(self.due, self.entered, strict=True)]
        return {
            "p50_ms": percentile(late, 0.5),
            "p99_ms": percentile(late, 0.99),
            "max_ms": max(late),
            "cpu_ms": 1e3 * cpu,
            "early": sum(value < 0 for value in late),
        }


async def limit(n: int, seconds: float) -> Figures:
    watch = Watch(instants(n, seconds))
    loop = asyncio.get_running_loop()
    heap = [(due, number) for number, due in enumerate(watch.due)]
    heapq.heapify(heap)
    tasks: set[asyncio.Task[None]] = set()

    async def job(number: int) -> None:
        watch.enter(number)

    def arm() -> None:
        loop.call_at(loop.time() + heap[0][0] - time.time(), fire)

    def fire() -> None:
        now = time.time()
        while heap and heap[0][0] <= now:
            task = loop.create_task(job(heapq.heappop(heap)[1]))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if heap:
            arm()

    arm()
    return await watch.measure()


async def asched(n: int, seconds: float) -> Figures:
    from asched import Once, Scheduler

    async with Scheduler() as scheduler:
        watch = Watch(instants(n, seconds))

        async def job(number: int) -> None:
            watch.enter(number)

        for number, due in enumerate(watch.due):
            await scheduler.add_job(job, Once(datetime.fromtimestamp(due, UTC)), args=(number,))
        return await watch.measure()


async def apscheduler(n: int, seconds: float) -> Figures:
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

    scheduler = AsyncIOScheduler(timezone=UTC, job_defaults={"misfire_grace_time": None})
    scheduler.start()
    watch = Watch(instants(n, seconds))

    async def job(number: int) -> None:
        watch.enter(number)

    for number, due in enumerate(watch.due):
        scheduler.add_job(job, "date", run_date=datetime.fromtimestamp(due, UTC), args=(number,))
    figures = await watch.measure()
    scheduler.shutdown(wait=False)
    return figures


async def fastscheduler(n: int, seconds: float) -> Figures:
    import logging
    import tempfile

    from fastscheduler import FastScheduler

    logging.disable(logging.ERROR)

    def enter(watch: Watch, number: int) -> Callable[[], object]:
        async def job() -> None:
            watch.enter(number)

        return job

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        scheduler = FastScheduler(state_file=f"{folder}/state.json", quiet=True)
        scheduler.start()
        watch = Watch(instants(n, seconds))
        for number, due in enumerate(watch.due):
            scheduler.once(due - time.time()).do(enter(watch, number))
        figures = await watch.measure()
        scheduler.stop(wait=False)
    return figures


bench = Benchmark(__file__, __doc__, "cpu_ms", rounds=3)
quick: dict[str, object] = {"n": 60, "seconds": 2.0}
for name, role, measure, requires, rounds in (
    ("heap, call_at, create_task", LIMIT, limit, None, None),
    ("APScheduler 3", PEER, apscheduler, APSCHEDULER, 2),
    ("FastScheduler", PEER, fastscheduler, FASTSCHEDULER, 1),
    ("asched", OURS, asched, None, None),
):
    bench.row(name, role, measure, requires=requires, rounds=rounds, quick=quick, n=N, seconds=SECONDS)
bench.goal("p50_ms", times_limit=1.1)
bench.goal("p99_ms", times_limit=1.1)
bench.goal("cpu_ms", times_limit=1.5)

if __name__ == "__main__":
    bench.main()
