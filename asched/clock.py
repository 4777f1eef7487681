"""Where the time comes from. :class:`SystemClock` is the only place in asched that reads a clock."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]

# CLOCK_BOOTTIME goes on while the machine is suspended, CLOCK_MONOTONIC does not; a lease must not outlive
# a suspend. Linux has it; elsewhere the monotonic clock is the best there is.
_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


class Clock(Protocol):
    """What the scheduler asks of a clock. Both calls are cheap and may come from any thread."""

    def now(self) -> int:
        """Return the wall clock's instant: microseconds since 1970-01-01 UTC. It may jump."""
        ...

    def elapsed(self) -> float:
        """Return seconds on a clock that never jumps and counts suspended time; its zero means nothing."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def now(self) -> int:
        return time.time_ns() // 1000

    def elapsed(self) -> float:
        if _BOOTTIME is not None:
            return time.clock_gettime(_BOOTTIME)
        return time.monotonic()
