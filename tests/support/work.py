"""Functions for worker processes, which import them by name."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

from asched import Abort


def process_id() -> int:
    return os.getpid()


def add(left: int, right: int = 0) -> int:
    return left + right


def fail(message: str) -> None:
    raise ValueError(message)


def write_pid_and_hang(path: str) -> None:
    """Say who this is and never come back."""
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)


def write_everywhere() -> str:
    """Write to both streams, as Python and as other programs do."""
    print("printed")  # noqa: T201 - what a job may do
    print("printed to errors", file=sys.stderr)  # noqa: T201 - what a job may do
    os.write(1, b"written to 1\n")
    os.write(2, b"written to 2\n")
    subprocess.run(["sh", "-c", "echo child to 1; echo child to 2 >&2"], check=True)
    print("no end of line", end="")  # noqa: T201 - what a job may do
    return "done"


def write_much(size: int) -> str:
    os.write(2, b"begin\n")
    for _ in range(size // 1000):
        os.write(2, b"x" * 999 + b"\n")
    os.write(1, b"y" * size)
    return "done"


def read_input() -> list[str]:
    return [
        sys.stdin.read(),
        os.read(0, 100).decode(),
        subprocess.run(["cat"], check=True, text=True, stdout=-1).stdout,
    ]


def end_with_status(status: int) -> None:
    print("about to end", flush=True)  # noqa: T201 - what a job may do
    os._exit(status)


def end_by_signal(number: int) -> None:
    os.write(2, b"about to end\n")
    os.kill(os.getpid(), number)
    time.sleep(600)


def leave_a_child_and_end(path: str) -> None:
    """End while a forked child and an executed one still hold what this process had open."""
    executed = subprocess.Popen(["sleep", "600"])
    forked = os.fork()
    if not forked:
        time.sleep(600)
    Path(path).write_text(f"{executed.pid} {forked}")
    os._exit(7)


def close_channel() -> None:
    os.closerange(3, 256)


class WantsTwo(Exception):
    """An error that cannot be unpickled: its ``__init__`` takes two arguments and passes on one."""

    def __init__(self, left: int, right: int) -> None:
        super().__init__(f"{left} and {right}")


def fail_with_two() -> None:
    raise WantsTwo(1, 2)


def fail_in_a_group() -> None:
    raise ExceptionGroup("children", [ValueError("beside"), Abort("no use")])


def fail_locally() -> None:
    class Local(Exception):
        pass

    raise Local("of here")


def return_what_cannot_be_pickled() -> object:
    return {"lock": 1, "generator": (number for number in range(3))}


async def add_later(left: int, right: int) -> int:
    await asyncio.sleep(0)
    return left + right


def write_and_hang(path: str) -> None:
    os.write(1, b"about to hang, ")
    os.write(2, b"in the middle of a line")
    write_pid_and_hang(path)


def wait_for(path: str, seconds: float) -> str:
    """Say that it has begun, and work on."""
    Path(path).write_text(str(os.getpid()))
    time.sleep(seconds)
    return "done"
