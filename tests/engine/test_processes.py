"""Jobs that run in worker processes of anyio's."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from support import work
from support.processes import appears

from asched import Interval, Run, RunStatus, Scheduler

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


async def _run(scheduler: Scheduler, job_id: str) -> Run:
    return await scheduler.wait_for_run((await scheduler.run_job_now(job_id)).id)


def test_function_runs_in_another_process_with_its_arguments() -> None:
    async def main() -> tuple[Run, Run, Run]:
        scheduler = Scheduler()
        scheduler.every(1).hours.in_process().retries(0).id("pid")(work.process_id)
        scheduler.every(1).hours.in_process().retries(0).id("add").do(work.add, 2, right=3)
        scheduler.every(1).hours.in_process().retries(0).id("fail").do(work.fail, "of the process")
        async with scheduler:
            return await _run(scheduler, "pid"), await _run(scheduler, "add"), await _run(scheduler, "fail")

    pid, added, failed = asyncio.run(main())

    assert RunStatus.SUCCEEDED is pid.status
    assert os.getpid() != pid.result
    assert 5 == added.result
    assert RunStatus.FAILED is failed.status
    assert failed.error is not None
    assert ("ValueError", "of the process") == failed.error[:2]


def test_function_that_cannot_be_pickled_fails_its_run_and_nothing_else() -> None:
    async def main() -> tuple[Run, Run]:
        async with Scheduler() as scheduler:
            bad = await scheduler.add_job(lambda: 1, Interval(hours=1), in_process=True, max_retries=0)
            good = await scheduler.add_job(work.add, Interval(hours=1), args=[1], in_process=True, max_retries=0)
            return await _run(scheduler, bad.id), await _run(scheduler, good.id)

    bad, good = asyncio.run(main())

    assert RunStatus.FAILED is bad.status
    assert bad.error is not None
    assert "pickle" in bad.error.message.lower() or "local" in bad.error.message.lower()
    assert (RunStatus.SUCCEEDED, 1) == (good.status, good.result)


def test_cancelled_run_ends_its_process(tmp_path: Path) -> None:
    async def main(path: Path) -> Run:
        async with Scheduler() as scheduler:
            job = await scheduler.add_job(
                work.write_pid_and_hang, Interval(hours=1), args=[str(path)], in_process=True, max_retries=0
            )
            run = await scheduler.run_job_now(job.id)
            await appears(path)
            await scheduler.cancel_run(run.id)
            return await scheduler.wait_for_run(run.id)

    run = asyncio.run(main(tmp_path / "pid"))

    assert RunStatus.CANCELLED is run.status
