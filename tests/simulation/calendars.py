"""The instants of a schedule, found by walking the wall clock. Nothing here comes from asched.

Instants are microseconds since 1970-01-01 UTC. A zone's wall clock is asked of :mod:`zoneinfo` hour by hour, and
second by second where it changed; the rules for gaps and folds are applied to that walk:

* a fixed time comes at the first instant at which the wall clock reads it or later;
* a wildcard time comes at every instant at which the wall clock reads it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
_EPOCH = date(1970, 1, 1)


class Instants(Protocol):
    def after(self, instant: int) -> int | None:
        """Return the first instant later than this one, or one past the end of the walk; ``None``: there is none."""
        ...

    def through(self, first: int, last: int) -> list[int]:
        """Return the instants from ``first`` to ``last``, both included."""
        ...


@dataclass(frozen=True)
class Every:
    """Elapsed time on a fixed phase; without an anchor it begins where the job does."""

    step: int
    anchor: int | None = None


@dataclass(frozen=True)
class Wall:
    """Times of the wall clock: seconds after midnight, on the dates that ``on`` admits."""

    zone: str
    times: tuple[int, ...]
    on: Callable[[date], bool]
    follows: bool
    """Wildcard: follows real time through gaps and folds."""
    words: tuple[object, ...]
    """How the trigger is written: its kind and arguments."""


@dataclass(frozen=True)
class Once:
    """One instant: what the zone's wall clock reads, in microseconds as if it were UTC, or a delay."""

    zone: str
    reading: int | None = None
    delay: int | None = None


Schedule = Every | Wall | Once


class Phase:
    """``anchor + k * step``."""

    def __init__(self, anchor: int, step: int) -> None:
        self.anchor = anchor
        self.step = step

    def after(self, instant: int) -> int | None:
        return self.anchor + ((instant - self.anchor) // self.step + 1) * self.step

    def through(self, first: int, last: int) -> list[int]:
        start = self.after(first - 1)
        assert start is not None
        return list(range(start, last + 1, self.step))


class Listed:
    """All instants of the walk.

    Args:
        beyond: What comes after the last one.
    """

    def __init__(self, instants: Sequence[int], beyond: int | None = None) -> None:
        self.instants = instants
        self.beyond = beyond

    def after(self, instant: int) -> int | None:
        place = bisect_right(self.instants, instant)
        return self.instants[place] if place < len(self.instants) else self.beyond

    def through(self, first: int, last: int) -> list[int]:
        return list(self.instants[bisect_right(self.instants, first - 1) : bisect_right(self.instants, last)])


def instants_of(schedule: Schedule, created: int, starting: int | None, until: int, back: int = 0) -> Instants:
    """Return the instants of a schedule.

    Args:
        until: Where the walk may end.
        back: How long before its creation the walk begins, for a clock that is set back.
    """
    begins = created if starting is None else starting
    if isinstance(schedule, Every):
        return Phase(begins if schedule.anchor is None else schedule.anchor, schedule.step)
    first_day = (min(created, begins) - back) // DAY - 3
    last_day = until // DAY + 3
    if isinstance(schedule, Once):
        if schedule.delay is not None:
            return Listed([begins + schedule.delay])
        assert schedule.reading is not None
        return Listed([_first_reading(pieces(schedule.zone, first_day, last_day), schedule.reading)])
    return Listed(_walk(schedule, first_day, last_day), beyond=(last_day + 1) * DAY)


@lru_cache(maxsize=256)
def pieces(zone: str, first_day: int, last_day: int) -> tuple[tuple[int, int, int], ...]:
    """Return the stretches of one offset from UTC: begin, end (excluded), offset; in microseconds."""
    info = ZoneInfo(zone)

    def offset(second: int) -> int:
        shift = datetime.fromtimestamp(second, UTC).astimezone(info).utcoffset()
        assert shift is not None
        return int(shift.total_seconds())

    found = []
    begin, current = first_day * 86_400, offset(first_day * 86_400)
    for hour in range(first_day * 86_400, last_day * 86_400, 3600):
        if offset(hour + 3600) == current:
            continue
        # Halving stands for the walk over the seconds of this hour: the offset changes once in it.
        low, high = hour, hour + 3600
        while high - low > 1:
            middle = (low + high) // 2
            if offset(middle) == current:
                low = middle
            else:
                high = middle
        found.append((begin * SECOND, high * SECOND, current * SECOND))
        begin, current = high, offset(high)
    found.append((begin * SECOND, last_day * DAY, current * SECOND))
    return tuple(found)


def _first_reading(stretches: Sequence[tuple[int, int, int]], wall: int) -> int:
    """Return the first instant at which the wall clock reads ``wall`` or later."""
    for begin, end, offset in stretches:
        if end + offset > wall:
            return max(begin, wall - offset)
    raise AssertionError("the walk ends before the wall clock reads this")


def _walk(schedule: Wall, first_day: int, last_day: int) -> list[int]:
    stretches = pieces(schedule.zone, first_day - 2, last_day + 3)
    days = [day for day in range(first_day, last_day + 1) if schedule.on(_EPOCH + timedelta(days=day))]
    found: set[int] = set()
    if not schedule.follows:
        for day in days:
            # Where a whole day has one offset the first instant is found without looking at the others.
            around = [piece for piece in stretches if piece[1] + piece[2] > day * DAY][:6]
            found.update(_first_reading(around, day * DAY + time * SECOND) for time in schedule.times)
        return sorted(found)
    for begin, end, offset in stretches:
        for day in days:
            if (day + 1) * DAY <= begin + offset or day * DAY >= end + offset:
                continue
            for time in schedule.times:
                instant = day * DAY + time * SECOND - offset
                if begin <= instant < end:
                    found.add(instant)
    return sorted(found)
