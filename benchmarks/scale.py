"""What do 100,000 jobs cost: to add, to hold, to list, to change, and while nothing is due?

The jobs are one-shots due in an hour or later, in shuffled order. Pause, cancel and update are means over 1,000
jobs chosen at random; a page is 50 jobs from the middle of the list.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import random
import resource
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from _bench import APSCHEDULER, FASTSCHEDULER, LIMIT, OURS, PEER, Benchmark, Figures, resident_bytes

JOBS = "100,000 jobs"
MANY = "1,000,000 jobs"
IDLE = "an idle process that holds 100,000 jobs"
SMALL = "500 jobs"
OPERATIONS = 1_000


def due_times(n: int) -> list[datetime]:
    chance = random.Random(7)
    start = datetime.now(UTC) + timedelta(hours=1)
    moments = [start + timedelta(milliseconds=number) for number in range(n)]
    chance.shuffle(moments)
    return moments


class Growth:
    """Time and memory from its making on, per job."""

    def __init__(self) -> None:
        gc.collect()
        self._bytes = resident_bytes()
        self._time, self._cpu = time.perf_counter(), time.process_time()

    def figures(self, n: int) -> Figures:
        seconds, cpu = time.perf_counter() - self._time, time.process_time() - self._cpu
        gc.collect()
        return {"add_s": seconds, "add_cpu_s": cpu, "bytes_per_job": (resident_bytes() - self._bytes) / n}


async def each(ids: list[str], act: Callable[[str], Awaitable[object]]) -> float:
    """Return the CPU microseconds of one call."""
    gc.collect()
    began = time.process_time()
    for job_id in ids:
        await act(job_id)
    return 1e6 * (time.process_time() - began) / len(ids)


def chosen(ids: list[str]) -> list[str]:
    return random.Random(11).sample(ids, min(OPERATIONS, len(ids)))


async def idle(seconds: float) -> Figures:
    """Measure the process while nothing is due. A wake-up is a voluntary context switch."""
    gc.collect()
    await asyncio.sleep(0.5)
    cpu, switches = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    await asyncio.sleep(seconds)
    cpu = time.process_time() - cpu
    woken = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - switches
    # The one at the end is the measurement's own.
    return {"idle_cpu_pct": 100 * cpu / seconds, "wakeups_per_min": (woken - 1) * 60 / seconds}


class Record:
    """What a heap needs to know about a job."""

    __slots__ = ("due", "job", "paused")

    def __init__(self, due: float, job: object) -> None:
        self.due = due
        self.job = job
        self.paused = False


async def limit(n: int, idle_for: float = 0.0) -> Figures:
    async def never() -> None:
        raise AssertionError

    moments = due_times(n)
    growth = Growth()
    heap: list[tuple[float, int]] = []
    jobs: dict[int, Record] = {}
    for number, moment in enumerate(moments):
        due = moment.timestamp()
        jobs[number] = Record(due, never)
        heapq.heappush(heap, (due, number))
    if idle_for:
        return await idle(idle_for)
    return growth.figures(n)


async def asched(n: int, idle_for: float = 0.0, operations: bool = True) -> Figures:
    from asched import Once, Scheduler

    async def never() -> None:
        raise AssertionError

    async with Scheduler() as scheduler:
        moments = due_times(n)
        growth = Growth()
        add = scheduler.add_job
        for moment in moments:
            await add(never, Once(moment))
        if idle_for:
            return await idle(idle_for)
        figures = growth.figures(n)
        if not operations:
            return figures
        page = await scheduler.get_jobs(limit=n // 2)
        middle = page.next_cursor
        ids = chosen([job.id for job in page])
        del page

        async def list_page(_: str) -> object:
            return await scheduler.get_jobs(limit=50, cursor=middle)

        async def retime(job_id: str) -> object:
            return await scheduler.update_job(job_id, timeout=5.0)

        figures["page_us"] = await each(ids[:100], list_page)
        figures["update_us"] = await each(ids, retime)
        figures["pause_us"] = await each(ids, scheduler.pause_job)
        await each(ids, scheduler.resume_job)
        figures["cancel_us"] = await each(ids[:500], scheduler.cancel_job)
        began = time.process_time()
        paused = await scheduler.pause_group("default")
        figures["group_pause_ms"] = 1e3 * (time.process_time() - began)
        assert paused == n - len(ids[:500])
        return figures


async def apscheduler(n: int, idle_for: float = 0.0) -> Figures:
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

    async def never() -> None:
        raise AssertionError

    scheduler = AsyncIOScheduler(timezone=UTC)
    scheduler.start()
    moments = due_times(n)
    growth = Growth()
    for moment in moments:
        scheduler.add_job(never, "date", run_date=moment)
    if idle_for:
        return await idle(idle_for)
    figures = growth.figures(n)
    ids = chosen([job.id for job in scheduler.get_jobs()])

    async def retime(job_id: str) -> object:
        return scheduler.modify_job(job_id, misfire_grace_time=5)

    async def pause(job_id: str) -> object:
        return scheduler.pause_job(job_id)

    async def cancel(job_id: str) -> object:
        return scheduler.remove_job(job_id)

    figures["update_us"] = await each(ids, retime)
    figures["pause_us"] = await each(ids, pause)
    figures["cancel_us"] = await each(ids[:500], cancel)
    scheduler.shutdown(wait=False)
    return figures


async def fastscheduler(n: int) -> Figures:
    import logging
    import tempfile

    from fastscheduler import FastScheduler

    logging.disable(logging.ERROR)

    async def never() -> None:
        raise AssertionError

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        scheduler = FastScheduler(state_file=f"{folder}/state.json", quiet=True)
        scheduler.start()
        growth = Growth()
        for number in range(n):
            scheduler.once(3_600 + number / 1_000).do(never)
        # Its writer stores the whole state once per job added; only then are they safe.
        scheduler._save_executor.submit(int).result()
        figures = growth.figures(n)
        ids = chosen([job["job_id"] for job in scheduler.get_jobs()])[:50]

        async def pause(job_id: str) -> object:
            return scheduler.pause_job(job_id)

        async def cancel(job_id: str) -> object:
            return scheduler.cancel_job(job_id)

        figures["pause_us"] = await each(ids, pause)
        figures["cancel_us"] = await each(ids, cancel)
        scheduler.stop(wait=False)
        return figures


bench = Benchmark(__file__, __doc__, "add_cpu_s", rounds=3)
N = 100_000
bench.row("heap and dict", LIMIT, limit, case=JOBS, quick={"n": 30_000}, n=N)
bench.row("APScheduler 3", PEER, apscheduler, case=JOBS, requires=APSCHEDULER, quick={"n": 10_000}, rounds=2, n=N)
bench.unable("FastScheduler", "each job added rewrites the state of all: hours; see 500 below", case=JOBS)
bench.row("asched", OURS, asched, case=JOBS, quick={"n": 30_000}, n=N)

bench.row("heap and dict", LIMIT, limit, case=MANY, n=1_000_000, rounds=1, only_full=True)
bench.unable("APScheduler 3", "left out: 100,000 take 4 s and more, and the time grows with the number", case=MANY)
bench.row("asched", OURS, asched, case=MANY, n=1_000_000, operations=False, rounds=1, only_full=True)

bench.row("FastScheduler", PEER, fastscheduler, case=SMALL, requires=FASTSCHEDULER, rounds=1, n=500)
bench.row("asched", OURS, asched, case=SMALL, n=500)

for name, role, measure, requires in (
    ("an event loop with nothing to do", LIMIT, limit, None),
    ("APScheduler 3", PEER, apscheduler, APSCHEDULER),
    ("asched", OURS, asched, None),
):
    bench.row(
        name, role, measure, case=IDLE, requires=requires, quick={"n": 5_000, "idle_for": 2.0}, rounds=1, n=N,
        idle_for=20.0,
    )  # fmt: skip

bench.goal("add_cpu_s", case=JOBS, at_most=1.0)
bench.goal("bytes_per_job", case=JOBS, at_most=800)
bench.goal("pause_us", case=JOBS, at_most=10)
bench.goal("cancel_us", case=JOBS, at_most=10)
bench.goal("add_cpu_s", case=MANY, at_most=12)
bench.goal("idle_cpu_pct", case=IDLE, at_most=0.05)

if __name__ == "__main__":
    bench.main()
