"""The command as a shell user meets it: a process with arguments, output, signals and an exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest


class Asched(Protocol):
    """``asched("next", "@daily")`` runs the command to its end."""

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]: ...


class Process:
    """The command while it runs. Its two outputs are one."""

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self.popen = popen
        self.output = ""

    def read_until(self, text: str) -> str:
        """Return the line that holds ``text``; the test's own timeout ends a wait in vain."""
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.output += line
            if text in line:
                return line
        raise AssertionError(f"{text!r} was not said:\n{self.output}")

    def end(self, number: int = signal.SIGINT) -> tuple[int, float]:
        """Send a signal; return the exit code and the seconds until the end."""
        began = time.monotonic()
        self.popen.send_signal(number)
        return self.wait(), time.monotonic() - began

    def wait(self) -> int:
        assert self.popen.stdout is not None
        self.output += self.popen.stdout.read()
        return self.popen.wait()


def _environment() -> dict[str, str]:
    # Whoever runs the tests may have a token, a display, or no terminal.
    hidden = ("ASCHED_TOKEN", "DISPLAY", "WAYLAND_DISPLAY")
    return {key: value for key, value in os.environ.items() if key not in hidden} | {"COLUMNS": "100"}


@pytest.fixture
def asched(tmp_path: Path) -> Asched:
    """Run the command in the test's folder."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "asched", *arguments],
            cwd=tmp_path,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start the command in the test's folder; what still runs at the test's end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> Process:
        popen = subprocess.Popen(
            [sys.executable, "-u", "-m", "asched", *arguments],
            cwd=tmp_path,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(popen)
        return Process(popen)

    yield start
    for popen in started:
        popen.kill()
        popen.wait()
        assert popen.stdout is not None
        popen.stdout.close()


@pytest.fixture
def module(tmp_path: Path) -> Callable[[str, str], None]:
    """Write a module into the test's folder."""

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source), "utf-8")

    return write
