"""Jobs that run in worker processes of anyio's."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import work
from support.processes import appears, ends

from asched import Interval, Reason, Run, RunStatus, Scheduler
from asched.processes import OUTPUT_LIMIT
from asched.store import Store

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


def run_in_process(function: Callable[..., Any], *args: object, store: Store | None = None, **job: Any) -> Run:
    """Run the function once in a worker process, and then another one in what should be the same process."""

    async def main() -> tuple[Run, Run]:
        async with Scheduler(store) as scheduler:
            job.setdefault("max_retries", 0)
            await scheduler.add_job(function, Interval(hours=1), id="job", args=list(args), in_process=True, **job)
            await scheduler.add_job(work.add, Interval(hours=1), id="after", args=[1], in_process=True, max_retries=0)
            return await _run(scheduler, "job"), await _run(scheduler, "after")

    run, after = asyncio.run(main())
    assert (RunStatus.SUCCEEDED, 1) == (after.status, after.result)
    return run


# Output and input


def test_output_of_a_function_and_its_children_goes_to_the_log_and_to_standard_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    run = run_in_process(work.write_everywhere)

    said = [
        "printed", "printed to errors", "written to 1", "written to 2", "child to 1", "child to 2", "no end of line",
    ]  # fmt: skip
    assert (RunStatus.SUCCEEDED, "done") == (run.status, run.result)
    assert said == list(run.log)
    out, err = capfd.readouterr()
    assert "" == out
    assert said == [line for line in err.splitlines() if line in said]


@pytest.mark.parametrize("size", [300_000, 3 * OUTPUT_LIMIT])
def test_output_is_bounded_and_never_holds_up_its_function(size: int, capfd: pytest.CaptureFixture[str]) -> None:
    run = run_in_process(work.write_much, size)

    assert (RunStatus.SUCCEEDED, "done") == (run.status, run.result)
    assert "begin" == run.log[0]
    assert 10_000 < sum(map(len, run.log)) <= 16 * 1024
    err = capfd.readouterr().err
    assert min(2 * size, OUTPUT_LIMIT) <= len(err) <= OUTPUT_LIMIT + 200_000
    assert (2 * size > OUTPUT_LIMIT) is ("drops the further output" in err)


def test_input_of_a_function_is_empty() -> None:
    run = run_in_process(work.read_input)

    assert (RunStatus.SUCCEEDED, ["", "", ""]) == (run.status, run.result)


def test_output_of_a_process_that_is_killed_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "pid"

    async def main() -> Run:
        async with Scheduler() as scheduler:
            await scheduler.add_job(
                work.write_and_hang, Interval(hours=1), id="job", args=[str(path)], in_process=True, max_retries=0
            )
            run = await scheduler.run_job_now("job")
            await appears(path)
            await scheduler.cancel_run(run.id)
            return await scheduler.wait_for_run(run.id)

    run = asyncio.run(main())

    assert RunStatus.CANCELLED is run.status
    assert ("about to hang, in the middle of a line",) == run.log


# Ends


@pytest.mark.parametrize(
    ("function", "argument", "how"),
    [
        (work.end_with_status, 3, "ended with exit status 3"),
        (work.end_with_status, 0, "ended with exit status 0"),
        (work.end_by_signal, signal.SIGKILL, "was killed by SIGKILL, as the system does when memory runs out,"),
        (work.end_by_signal, signal.SIGTERM, "was killed by SIGTERM"),
        (work.end_by_signal, signal.SIGSEGV, "was killed by SIGSEGV"),
    ],
)
def test_worker_that_ends_says_how(function: Callable[..., Any], argument: int, how: str) -> None:
    run = run_in_process(function, int(argument))

    assert RunStatus.FAILED is run.status
    assert run.error is not None
    assert "BrokenWorkerProcess" == run.error.type
    assert f"{how} before the function had returned" in run.error.message
    assert ("about to end",) == run.log


def test_end_of_a_worker_is_noticed_though_its_children_live_on(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    run = run_in_process(work.leave_a_child_and_end, str(path))
    for pid in path.read_text().split():
        os.kill(int(pid), signal.SIGKILL)

    assert run.error is not None
    assert "ended with exit status 7" in run.error.message


@pytest.mark.slow
def test_worker_that_closed_its_channel_is_killed() -> None:
    run = run_in_process(work.close_channel)

    assert RunStatus.FAILED is run.status
    assert run.error is not None
    assert "BrokenWorkerProcess" == run.error.type


def test_ctrl_c_in_the_terminal_leaves_the_function_to_the_stop(tmp_path: Path) -> None:
    path = tmp_path / "pid"

    async def main() -> tuple[RunStatus, object]:
        async with Scheduler() as scheduler:
            await scheduler.add_job(
                work.wait_for, Interval(hours=1), id="job", args=[str(path), 1], in_process=True, max_retries=0
            )
            run = await scheduler.run_job_now("job")
            os.kill(int(await appears(path)), signal.SIGINT)
            run_ = await scheduler.wait_for_run(run.id)
            return run_.status, run_.result

    assert (RunStatus.SUCCEEDED, "done") == asyncio.run(main())


def test_workers_end_with_their_scheduler() -> None:
    async def main() -> int:
        async with Scheduler() as scheduler:
            await scheduler.add_job(work.process_id, Interval(hours=1), id="job", in_process=True)
            pid = (await _run(scheduler, "job")).result
            assert pid == (await _run(scheduler, "job")).result
        assert isinstance(pid, int)
        await ends(pid)
        return pid

    assert os.getpid() != asyncio.run(main())


def test_run_in_a_process_that_stop_interrupts_costs_no_attempt(tmp_path: Path) -> None:
    path = tmp_path / "pid"

    async def main() -> Run:
        scheduler = Scheduler()
        async with scheduler:
            await scheduler.add_job(
                work.write_pid_and_hang, Interval(hours=1), id="job", args=[str(path)], in_process=True, max_retries=0
            )
            run = await scheduler.run_job_now("job")
            await appears(path)
            await scheduler.stop(wait=False)
        async with scheduler:
            await scheduler.pause_job("job")
            await scheduler.cancel_run(run.id)
            return await scheduler.get_run(run.id)

    run = asyncio.run(main())

    assert "interrupted" == run.attempts[0].outcome


# Values


def test_coroutine_function_runs_in_a_process_too() -> None:
    assert 3 == run_in_process(work.add_later, 1, 2).result


def test_result_that_cannot_be_pickled_is_kept_as_its_repr() -> None:
    run = run_in_process(work.return_what_cannot_be_pickled)

    assert RunStatus.SUCCEEDED is run.status
    assert str(run.result).startswith("{'lock': 1, 'generator': <generator object")


@pytest.mark.parametrize(
    ("function", "error"),
    [(work.fail_with_two, ("WantsTwo", "1 and 2")), (work.fail_locally, ("Local", "of here"))],
)
def test_error_that_cannot_be_pickled_is_described(function: Callable[..., Any], error: tuple[str, str]) -> None:
    run = run_in_process(function)

    assert RunStatus.FAILED is run.status
    assert run.error is not None
    assert error == run.error[:2]
    assert f"in {function.__name__}" in run.error.traceback
    assert "asched/worker.py" not in run.error.traceback


def test_errors_of_a_process_decide_what_is_retried() -> None:
    async def main() -> list[Run]:
        scheduler = Scheduler()
        every = scheduler.every(1).hours.in_process()
        every.retries(1, backoff=0).id("any")(work.fail_with_two)
        every.retries(1, backoff=0, give_up_on=work.WantsTwo).id("class").do(work.fail_with_two)
        every.retries(1, backoff=0).id("abort")(work.fail_in_a_group)
        async with scheduler:
            return [await _run(scheduler, job_id) for job_id in ("any", "class", "abort")]

    runs = asyncio.run(main())

    assert [(2, None), (1, Reason.ABORTED), (1, Reason.ABORTED)] == [(run.attempt, run.reason) for run in runs]


# The main script

SCRIPT = """
import asyncio, os, sys, threading
from asched import Interval, Scheduler

class OwnError(Exception):
    pass

def job(fail=False):
    print("in the job")
    if fail:
        raise OwnError("of the script")
    return "done"

async def main():
    scheduler = Scheduler()
    scheduler.every(1).hours.in_process().retries(0).id("job")(job)
    scheduler.every(1).hours.in_process().retries(1, backoff=0, give_up_on=OwnError).id("bad").do(job, True)
    async with scheduler:
        for job_id in ("job", "bad"):
            run = await scheduler.wait_for_run((await scheduler.run_job_now(job_id)).id)
            print(run.status, run.attempt, run.result, run.error and run.error[:2])
        sys.stdout.flush()

def start():
    asyncio.run(main())

{begin}
"""


def _script(tmp_path: Path, begin: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(begin=begin))
    return subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=100, check=False)


def test_functions_and_errors_of_the_main_script_are_found(tmp_path: Path) -> None:
    said = _script(tmp_path, "if __name__ == '__main__': start()")

    assert [
        "succeeded 1 done None", "failed 1 None ('OwnError', 'of the script')",
    ] == said.stdout.splitlines(), said.stderr  # fmt: skip
    assert 2 == said.stderr.splitlines().count("in the job")


@pytest.mark.parametrize("begin", ["start()", "sys.exit(start())", "os.write(1, b'top\\n')\nstart()"])
def test_main_script_that_starts_the_scheduler_in_its_worker_is_told_of_the_remedy(begin: str, tmp_path: Path) -> None:
    said = _script(tmp_path, begin)

    first, second = [line for line in said.stdout.splitlines() if line != "top"]
    for line, attempts in ((first, 1), (second, 2)):
        assert line.startswith(f"failed {attempts} None ('BrokenWorkerProcess', "), said.stderr
        assert "could not load the main script" in line
        assert "script.py" in line
        assert 1 == line.count("if __name__ == '__main__':")


def test_scheduler_in_a_thread_of_the_main_script_is_refused_and_told_of(tmp_path: Path) -> None:
    said = _script(tmp_path, "thread = threading.Thread(target=start)\nthread.start()\nthread.join()")

    assert "succeeded 1 done None" == said.stdout.splitlines()[0], said.stderr
    assert "put the lines that start the program under: if __name__ == '__main__':" in said.stderr
