"""Which failures are worth another attempt, and how long to wait before it."""

from __future__ import annotations

import asyncio

from asched.model import Backoff

__all__ = ["FAILURES", "delay"]

FAILURES: tuple[type[BaseException], ...] = (Exception, asyncio.CancelledError)
"""What is worth another attempt unless a job says otherwise. A cancellation that the function raises itself is a
failure like any other; ``KeyboardInterrupt`` and ``SystemExit`` end the program."""


def delay(backoff: Backoff, failed: int, chance: float) -> float:
    """Return the seconds to wait after ``failed`` failed attempts (1 or more).

    Args:
        chance: A number drawn uniformly from [0, 1); with full jitter it is the share of the bound to wait.

    Source: "Exponential Backoff and Jitter", AWS Architecture Blog, 2015 (full jitter).
    """
    try:
        bound = min(backoff.limit, backoff.first * float(backoff.factor) ** (failed - 1))
    except OverflowError:
        bound = backoff.limit if backoff.first else 0.0
    return bound * chance if backoff.jitter else bound
