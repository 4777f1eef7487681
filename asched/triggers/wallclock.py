"""Base of the triggers that follow a wall clock, and how their arguments are read."""

from __future__ import annotations

import re
from sys import intern
from typing import Self

from asched.errors import InvalidTrigger
from asched.triggers.base import BuiltIn
from asched.triggers.plan import Plan
from asched.triggers.zones import canonical

__all__ = ["WallClock", "clock", "read_time", "zone_name"]

# fullmatch, never `$`: that one lets a trailing newline pass. A text, which re compiles when it is first used and
# remembers: compiling the patterns of all triggers was a part of every import.
_TIME = r"(?a)([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?"


class WallClock(BuiltIn):
    """A trigger that comes when the wall clock of its zone reads certain times."""

    __slots__ = ("_plan", "timezone")

    _plan: Plan
    timezone: str | None

    def next_us(self, after: int) -> int | None:
        return self._plan.next(after)

    def bound(self, now: int, timezone: str, starting: int | None = None) -> Self:
        if self.timezone is not None:
            return self
        return type(self)(**{**self._arguments(), "timezone": timezone})

    def _in_zone(self, arguments: dict[str, object]) -> dict[str, object]:
        return arguments if self.timezone is None else {**arguments, "timezone": self.timezone}


def zone_name(timezone: str | None) -> str | None:
    return None if timezone is None else canonical(timezone)


def read_time(time: object) -> tuple[int, int, int]:
    """Return hour, minute and second of ``HH:MM`` or ``HH:MM:SS``."""
    match = re.fullmatch(_TIME, time) if isinstance(time, str) else None
    if match is None:
        raise InvalidTrigger(
            f"time must be 'HH:MM' or 'HH:MM:SS' between '00:00' and '23:59:59', each part with two digits, "
            f"not {time!r}",
            field="time",
        )
    return int(match[1]), int(match[2]), int(match[3] or 0)


def clock(hour: int, minute: int, second: int = 0) -> str:
    """Return the time as it is written: seconds only where they are not zero."""
    # Interned: many jobs at one time of day share the text.
    return intern(f"{hour:02}:{minute:02}" + (f":{second:02}" if second else ""))
