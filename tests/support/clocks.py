"""A clock that stands still until a test moves it."""

from __future__ import annotations

from asched.instants import SECOND

T0 = 1_767_225_600 * SECOND
"""2026-01-01T00:00:00Z, where the tests begin."""


class SettableClock:
    """A :class:`~asched.clock.Clock` whose both readings a test moves together."""

    def __init__(self, now: int = T0) -> None:
        self._start = now
        self._now = now

    def now(self) -> int:
        return self._now

    def elapsed(self) -> float:
        return (self._now - self._start) / SECOND

    def advance(self, seconds: float) -> int:
        """Let time pass, or with a negative number step the clock back; return the new instant."""
        self._now += round(seconds * SECOND)
        return self._now

    def set(self, now: int) -> None:
        self._now = now
