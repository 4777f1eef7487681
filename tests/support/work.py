"""Functions for worker processes, which import them by name."""

from __future__ import annotations

import os
import time
from pathlib import Path


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
