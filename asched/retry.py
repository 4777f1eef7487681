"""Which failures are worth another attempt, and how long to wait before it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from asched.model import Backoff

__all__ = ["FAILURES", "delay", "find"]

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


def find(error: object, kinds: tuple[type[BaseException], ...]) -> BaseException | None:
    """Return the error if it is one of these kinds, else the first such error in its exception groups, else ``None``.

    A task group wraps what its children raise, so a job seldom chooses whether its error arrives in a group.
    """
    return next((one for one in _with_members(error) if isinstance(one, kinds)), None)


def _with_members(error: object) -> Iterator[BaseException]:
    # No recursion: the nesting of groups has no limit.
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException):
            yield one
        if isinstance(one, BaseExceptionGroup):
            waiting.extend(reversed(one.exceptions))
