"""Which wall readings a calendar rule names: days crossed with times of day. No zone, no instant.

Days are counted from 1970-01-01, weekdays from Monday = 0, readings in microseconds of the wall clock.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from typing import Protocol

from asched.instants import DAY, SECOND

__all__ = ["Days", "MonthDays", "Pattern", "Times", "WeekDays", "times"]

_UNIX_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_LAST_DAY = date.max.toordinal() - _UNIX_EPOCH_ORDINAL
_EPOCH_WEEKDAY = 3

_MONTH_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

# Tuples of minutes all share these objects: a table of 1,440 minutes is then 11 KB instead of 50.
_MINUTES_OF_DAY = tuple(range(1440))


class Days(Protocol):
    """The days of a rule."""

    def first_from(self, day: int) -> int | None:
        """Return the first day of the rule that is ``day`` or later, ``None`` past the year 9999."""
        ...

    def last_until(self, day: int) -> int | None:
        """Return the last day of the rule that is ``day`` or earlier, ``None`` before the year 1."""
        ...

    def count(self, first: int, last: int) -> int:
        """Return how many days of the rule lie in ``first`` to ``last``, both included."""
        ...


class WeekDays:
    """Chosen days of every week. All answers take constant time."""

    __slots__ = ("_ahead", "_behind", "_chosen")

    def __init__(self, chosen: frozenset[int]) -> None:
        self._chosen = tuple(sorted(chosen))
        self._ahead = tuple(min((wanted - day) % 7 for wanted in chosen) for day in range(7))
        self._behind = tuple(min((day - wanted) % 7 for wanted in chosen) for day in range(7))

    def first_from(self, day: int) -> int | None:
        return day + self._ahead[(day + _EPOCH_WEEKDAY) % 7]

    def last_until(self, day: int) -> int | None:
        return day - self._behind[(day + _EPOCH_WEEKDAY) % 7]

    def count(self, first: int, last: int) -> int:
        if last < first:
            return 0
        weeks, rest = divmod(last - first + 1, 7)
        start = (first + _EPOCH_WEEKDAY) % 7
        return weeks * len(self._chosen) + sum((day - start) % 7 < rest for day in self._chosen)


class MonthDays:
    """Days chosen by month, day of the month and weekday. A search steps over whole months.

    Args:
        months: 1 to 12.
        mask: Gives for the weekday of the month's first day, and for the month's length, the chosen days as
            bits; bit 0 is the first of the month.
    """

    __slots__ = ("_mask", "_masks", "_months")

    def __init__(self, months: frozenset[int], mask: Callable[[int, int], int]) -> None:
        self._months = months
        self._mask = mask
        self._masks: dict[tuple[int, int], int] = {}

    def ever(self) -> bool:
        """Tell whether any day matches: all weekdays for a month's first day occur, also in leap years."""
        return any(
            self._mask(first_weekday, length)
            for month in self._months
            for length in ((28, 29) if month == 2 else (_MONTH_LENGTHS[month - 1],))
            for first_weekday in range(7)
        )

    def first_from(self, day: int) -> int | None:
        if day > _LAST_DAY:
            return None
        on = date.fromordinal(day + _UNIX_EPOCH_ORDINAL)
        year, month, start = on.year, on.month, day - on.day + 1
        # Days of the first month before the one asked about are shifted out.
        below = on.day - 1
        while True:
            length = _month_length(year, month)
            if month in self._months:
                mask = self._of_month(start, length) >> below << below
                if mask:
                    return start + (mask & -mask).bit_length() - 1
            below = 0
            start += length
            month += 1
            if month == 13:
                year, month = year + 1, 1
                if year > 9999:
                    return None

    def last_until(self, day: int) -> int | None:
        if day + _UNIX_EPOCH_ORDINAL < 1:
            return None
        on = date.fromordinal(day + _UNIX_EPOCH_ORDINAL)
        year, month, start = on.year, on.month, day - on.day + 1
        within = (1 << on.day) - 1
        while True:
            if month in self._months:
                mask = self._of_month(start, _month_length(year, month)) & within
                if mask:
                    return start + mask.bit_length() - 1
            within = (1 << 31) - 1
            month -= 1
            if month == 0:
                year, month = year - 1, 12
                if year < 1:
                    return None
            start -= _month_length(year, month)

    def count(self, first: int, last: int) -> int:
        last = min(last, _LAST_DAY)
        if last < first:
            return 0
        on = date.fromordinal(first + _UNIX_EPOCH_ORDINAL)
        year, month, start = on.year, on.month, first - on.day + 1
        below = on.day - 1
        total = 0
        while start <= last:
            length = _month_length(year, month)
            if month in self._months:
                within = (1 << min(last - start + 1, 31)) - 1
                total += (self._of_month(start, length) >> below << below & within).bit_count()
            below = 0
            start += length
            month += 1
            if month == 13:
                year, month = year + 1, 1
        return total

    def _of_month(self, start: int, length: int) -> int:
        key = ((start + _EPOCH_WEEKDAY) % 7, length)
        mask = self._masks.get(key)
        if mask is None:
            mask = self._masks[key] = self._mask(*key)
        return mask


def _month_length(year: int, month: int) -> int:
    if month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
        return 29
    return _MONTH_LENGTHS[month - 1]


class Times:
    """Times of day: chosen minutes of the day, each with the same chosen seconds. Made by :func:`times`."""

    __slots__ = ("_minutes", "_seconds", "first", "last", "per_day")

    def __init__(self, minutes: tuple[int, ...], seconds: tuple[int, ...]) -> None:
        self._minutes = minutes
        self._seconds = seconds
        self.per_day = len(minutes) * len(seconds)
        self.first = minutes[0] * 60 + seconds[0]
        self.last = minutes[-1] * 60 + seconds[-1]

    def after(self, second: int) -> int:
        """Return the first time later than this second of the day. There must be one."""
        minute, rest = divmod(second, 60)
        at = bisect_left(self._minutes, minute)
        found = self._minutes[at]
        if found == minute:
            if rest < self._seconds[-1]:
                return minute * 60 + self._seconds[bisect_right(self._seconds, rest)]
            found = self._minutes[at + 1]
        return found * 60 + self._seconds[0]

    def until(self, second: int) -> int:
        """Return the last time that is this second of the day or earlier. There must be one."""
        minute, rest = divmod(second, 60)
        at = bisect_right(self._minutes, minute) - 1
        found = self._minutes[at]
        if found == minute:
            if rest >= self._seconds[0]:
                return minute * 60 + self._seconds[bisect_right(self._seconds, rest) - 1]
            found = self._minutes[at - 1]
        return found * 60 + self._seconds[-1]

    def count_until(self, second: int) -> int:
        """Return how many times are this second of the day or earlier."""
        minute, rest = divmod(second, 60)
        at = bisect_left(self._minutes, minute)
        count = at * len(self._seconds)
        if at < len(self._minutes) and self._minutes[at] == minute:
            count += bisect_right(self._seconds, rest)
        return count


@lru_cache(maxsize=4096)
def times(hours: tuple[int, ...], minutes: tuple[int, ...], seconds: tuple[int, ...]) -> Times:
    """Return the times of day at which hour, minute and second are each among those given (all sorted)."""
    return Times(tuple(_MINUTES_OF_DAY[h * 60 + m] for h in hours for m in minutes), seconds)


class Pattern:
    """Wall readings: the chosen days, each with the same times."""

    __slots__ = ("_days", "_times")

    def __init__(self, days: Days, of_day: Times) -> None:
        self._days = days
        self._times = of_day

    def after(self, reading: int) -> int | None:
        """Return the first reading of the pattern that is later than this one."""
        day, rest = divmod(reading, DAY)
        found = self._days.first_from(day)
        if found == day:
            second = rest // SECOND
            if second < self._times.last:
                return day * DAY + self._times.after(second) * SECOND
            found = self._days.first_from(day + 1)
        if found is None:
            return None
        return found * DAY + self._times.first * SECOND

    def until(self, reading: int) -> int | None:
        """Return the last reading of the pattern that is this one or earlier."""
        day, rest = divmod(reading, DAY)
        found = self._days.last_until(day)
        if found == day:
            second = rest // SECOND
            if second >= self._times.first:
                return day * DAY + self._times.until(second) * SECOND
            found = self._days.last_until(day - 1)
        if found is None:
            return None
        return found * DAY + self._times.last * SECOND

    def count(self, after: int, until: int) -> int:
        """Return how many readings of the pattern are later than ``after`` and not later than ``until``.

        Whole days are counted by multiplication, so a year of seconds costs as much as an hour of them.
        """
        if until <= after:
            return 0
        first, low = divmod(after, DAY)
        last, high = divmod(until, DAY)
        count = self._days.count(first, last - 1) * self._times.per_day
        if self._days.count(first, first):
            count -= self._times.count_until(low // SECOND)
        if self._days.count(last, last):
            count += self._times.count_until(high // SECOND)
        return count
