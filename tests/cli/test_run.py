"""``asched run``: it finds the scheduler, runs it, and drains when told to end."""

from __future__ import annotations

import signal
import subprocess

import pytest
from support.processes import AT_ONCE

STEADY = """
    import time
    from asched import Scheduler

    scheduler = Scheduler()
    other = Scheduler()

    @scheduler.every(0.2).seconds
    def work():
        print("begun", flush=True)
        time.sleep(0.6)
        print("done", flush=True)
"""

LONG = """
    import asyncio
    from asched import Scheduler

    scheduler = Scheduler()

    @scheduler.once(0)
    async def work():
        print("begun", flush=True)
        await asyncio.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_lets_running_jobs_end_and_starts_no_more(start, module, number: int) -> None:
    module("app", STEADY)
    process = start("run", "app:scheduler")
    process.read_until("begun")

    code, seconds = process.end(number)

    assert 0 == code
    assert seconds < AT_ONCE
    assert process.output.count("begun") == process.output.count("done")
    assert "begun" not in process.output.partition("waiting up to")[2]


def test_attribute_is_called_scheduler_unless_said_otherwise(start, module) -> None:
    module("app", STEADY)
    process = start("run", "app")

    process.read_until("done")

    assert 0 == process.end()[0]


def test_attribute_may_lie_deeper(start, module) -> None:
    module("app", STEADY + "\n    class services:\n        cron = scheduler\n")
    process = start("run", "app:services.cron")

    process.read_until("done")

    assert 0 == process.end()[0]


def test_drain_lasts_no_longer_than_asked(start, module) -> None:
    module("app", LONG)
    process = start("run", "app:scheduler", "--drain", "0.2")
    process.read_until("begun")

    code, seconds = process.end()

    assert 0 == code
    assert seconds < AT_ONCE
    assert "waiting up to 0.2 s for 1 active run(s)" in process.output


def test_second_interrupt_ends_at_once(start, module) -> None:
    module("app", LONG)
    process = start("run", "app:scheduler")
    process.read_until("begun")
    process.popen.send_signal(signal.SIGINT)
    process.read_until("Ctrl+C ends at once")

    code, seconds = process.end()

    assert -signal.SIGINT == code
    assert seconds < AT_ONCE


def test_second_interrupt_ends_a_loop_that_a_job_blocks(start, module) -> None:
    module(
        "app",
        """
        import time
        from asched import Scheduler

        scheduler = Scheduler()

        @scheduler.once(0)
        async def blocks():
            print("begun", flush=True)
            time.sleep(60)
        """,
    )
    process = start("run", "app:scheduler")
    process.read_until("begun")
    process.popen.send_signal(signal.SIGINT)

    for _ in range(100):
        # Two signals that nobody has taken yet are one.
        process.popen.send_signal(signal.SIGINT)
        try:
            process.popen.wait(0.05)
            break
        except subprocess.TimeoutExpired:
            continue

    assert -signal.SIGINT == process.wait()


def test_thread_that_a_timeout_left_behind_is_named_and_ctrl_c_still_works(start, module) -> None:
    module(
        "app",
        """
        import time
        from asched import Scheduler

        scheduler = Scheduler()

        @scheduler.once(0).timeout(0.1).retries(0)
        def stuck():
            print("begun", flush=True)
            time.sleep(60)
        """,
    )
    process = start("run", "app:scheduler")
    process.read_until("longer than 0.1 s")
    process.popen.send_signal(signal.SIGINT)
    process.read_until("waiting for 1 thread(s) still inside a job")

    code, seconds = process.end()

    assert -signal.SIGINT == code
    assert seconds < AT_ONCE


def test_failing_job_is_in_the_log_and_ends_nothing(start, module) -> None:
    module(
        "app",
        """
        from asched import Scheduler

        scheduler = Scheduler()

        @scheduler.every(0.1).seconds.retries(0)
        async def broken():
            raise ValueError("out of cheese")
        """,
    )
    process = start("run", "app:scheduler")
    process.read_until("ValueError: out of cheese")
    process.read_until("ValueError: out of cheese")

    assert 0 == process.end()[0]
    assert "ERROR asched" in process.output


def test_scheduler_that_stops_itself_ends_the_command(asched, module) -> None:
    module(
        "app",
        """
        import asyncio
        from asched import Scheduler

        scheduler = Scheduler()
        stopping = set()

        @scheduler.once(0)
        async def last():
            stopping.add(asyncio.create_task(scheduler.stop()))
            print("bye", flush=True)
        """,
    )

    done = asched("run", "app:scheduler")

    assert (0, "bye\n") == (done.returncode, done.stdout)


def test_job_that_raises_system_exit_gives_the_exit_code(asched, module) -> None:
    module(
        "app",
        """
        from asched import Scheduler

        scheduler = Scheduler()

        @scheduler.once(0)
        async def leave():
            raise SystemExit(7)
        """,
    )

    assert 7 == asched("run", "app:scheduler").returncode


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere:scheduler", "there is no module 'nowhere'"),
        ("app.deeper:scheduler", "there is no module 'app.deeper'"),
        ("app:schedule", "app has no 'schedule'; it has app:other, app:scheduler"),
        ("app:STEADY", "app has no 'STEADY'"),
        ("app:time", "app:time is no asched.Scheduler but of type module"),
        ("app.py", "a module is wanted, not a file: asched run app:scheduler"),
        ("./app.py:other", "a module is wanted, not a file: asched run app:other"),
    ],
)
def test_wrong_target_is_answered_in_one_line(asched, module, target: str, message: str) -> None:
    module("app", STEADY)

    done = asched("run", target)

    assert 2 == done.returncode
    assert done.stderr.startswith(f"asched: {message}")
    assert 1 == done.stderr.count("\n")


def test_module_that_raises_shows_its_traceback(asched, module) -> None:
    module("app", "import nothing_of_this_name\n")

    done = asched("run", "app:scheduler")

    assert 1 == done.returncode
    assert "app.py" in done.stderr
    assert "No module named 'nothing_of_this_name'" in done.stderr
    assert done.stderr.endswith("asched: app could not be imported\n")
