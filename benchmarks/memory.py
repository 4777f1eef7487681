"""Does memory stay flat over 1,000,000 runs?

One-shots, 10,000 at a time, come due and go; the history keeps its default of 10,000 records. Memory is read after
each tenth of the runs; growth is from the second tenth on, when the history is full.
"""

from __future__ import annotations

import asyncio
import gc
from datetime import timedelta

from _bench import OURS, Benchmark, Figures, resident_bytes

BATCH = 10_000


async def asched(runs: int) -> Figures:
    from asched import Once, Scheduler

    ended = 0

    async def job() -> None:
        nonlocal ended
        ended += 1

    marks: list[int] = []
    soon = Once(timedelta(seconds=0.05))
    async with Scheduler() as scheduler:
        began = resident_bytes()
        wanted = 0
        while wanted < runs:
            wanted += BATCH
            for _ in range(BATCH):
                await scheduler.add_job(job, soon)
            while ended < wanted:  # noqa: ASYNC110 - an event set by each run would be measured too
                await asyncio.sleep(0.01)
            if wanted % (runs // 10) == 0:
                gc.collect()
                marks.append(resident_bytes())
        await asyncio.sleep(0.1)
        statistics = await scheduler.get_statistics()
        assert (statistics.total_runs, statistics.active_runs) == (runs, 0)
        left = len(await scheduler.get_jobs())
    late = runs - 2 * (runs // 10)
    return {
        "mb_after_a_tenth": (marks[0] - began) / 1e6,
        "mb_after_a_fifth": (marks[1] - began) / 1e6,
        "mb_at_the_end": (marks[-1] - began) / 1e6,
        "growth_bytes_per_run": (marks[-1] - marks[1]) / late,
        "jobs_left": left,
    }


bench = Benchmark(__file__, __doc__, "mb_at_the_end", rounds=1)
bench.row("asched", OURS, asched, quick={"runs": 100_000}, runs=1_000_000)
bench.goal("growth_bytes_per_run", at_most=1)

if __name__ == "__main__":
    bench.main()
