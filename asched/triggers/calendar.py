"""Hourly, daily and weekly triggers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from asched.errors import InvalidTrigger
from asched.triggers.base import JSON, Lang, check_lang
from asched.triggers.describe import describe_daily, describe_hourly, describe_weekly
from asched.triggers.pattern import Pattern, WeekDays, times
from asched.triggers.plan import plan
from asched.triggers.wallclock import WallClock, clock, read_time, zone_name

__all__ = ["Daily", "Hourly", "Weekly"]

_MINUTE = r"(?a)(?::(\d{2})|(\d{1,2}))"
_EVERY_DAY = frozenset(range(7))
_DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@lru_cache(maxsize=4096)
def _pattern(days: frozenset[int], hours: tuple[int, ...], minute: int, second: int) -> Pattern:
    return Pattern(WeekDays(days), times(hours, (minute,), (second,)))


class Hourly(WallClock):
    """Every hour, when the wall clock of the zone reads this minute.

    It follows real time: where the clock is set back an hour both passes count, and a day has 25 runs; where
    it is set forward there are 23. In a zone such as Asia/Kolkata minute 0 is minute 30 of UTC.

    Args:
        minute: 0 to 59, as a number or as ``"30"`` or ``":30"``.
        timezone: Name of the zone; ``None`` is the scheduler's.

    Raises:
        InvalidTrigger: The minute or the zone does not exist.
    """

    __slots__ = ("minute",)
    type_name = "hourly"

    minute: int

    def __init__(self, minute: int | str = 0, timezone: str | None = None) -> None:
        self._set("minute", _read_minute(minute))
        self._set("timezone", zone_name(timezone))
        self._set("_plan", plan(_pattern(_EVERY_DAY, tuple(range(24)), self.minute, 0), self.timezone, True))

    def describe(self, lang: Lang = "en") -> str:
        check_lang(lang)
        return describe_hourly(self.minute, self.timezone, lang)

    def to_json(self) -> dict[str, JSON]:
        return {"type": self.type_name, "minute": self.minute, "timezone": self.timezone}

    def _arguments(self) -> dict[str, object]:
        return self._in_zone({"minute": self.minute})

    def _identity(self) -> tuple[object, ...]:
        return self.minute, self.timezone


class Daily(WallClock):
    """Every day at a time of the wall clock, once for each date whatever the clock changes do.

    Args:
        time: ``"HH:MM"`` or ``"HH:MM:SS"``.
        timezone: Name of the zone; ``None`` is the scheduler's.

    Raises:
        InvalidTrigger: The time or the zone does not exist.
    """

    __slots__ = ("time",)
    type_name = "daily"

    time: str

    def __init__(self, time: str, timezone: str | None = None) -> None:
        hour, minute, second = read_time(time)
        self._set("time", clock(hour, minute, second))
        self._set("timezone", zone_name(timezone))
        self._set("_plan", plan(_pattern(_EVERY_DAY, (hour,), minute, second), self.timezone, False))

    def describe(self, lang: Lang = "en") -> str:
        check_lang(lang)
        return describe_daily(self.time, self.timezone, lang)

    def to_json(self) -> dict[str, JSON]:
        return {"type": self.type_name, "time": self.time, "timezone": self.timezone}

    def _arguments(self) -> dict[str, object]:
        return self._in_zone({"time": self.time})

    def _identity(self) -> tuple[object, ...]:
        return self.time, self.timezone


class Weekly(WallClock):
    """On some days of every week at a time of the wall clock.

    Args:
        days: Numbers from 0 = Monday to 6 = Sunday, English names (``"monday"`` or ``"mon"``, in any case),
            or both.
        time: ``"HH:MM"`` or ``"HH:MM:SS"``.
        timezone: Name of the zone; ``None`` is the scheduler's.

    Raises:
        InvalidTrigger: There is no day, or a day, the time or the zone does not exist.
    """

    __slots__ = ("days", "time")
    type_name = "weekly"

    days: tuple[int, ...]
    """0 = Monday, in order, each once."""

    time: str

    def __init__(self, days: Iterable[int | str], time: str, timezone: str | None = None) -> None:
        self._set("days", _read_days(days))
        hour, minute, second = read_time(time)
        self._set("time", clock(hour, minute, second))
        self._set("timezone", zone_name(timezone))
        self._set("_plan", plan(_pattern(frozenset(self.days), (hour,), minute, second), self.timezone, False))

    def describe(self, lang: Lang = "en") -> str:
        check_lang(lang)
        return describe_weekly(self.days, self.time, self.timezone, lang)

    def to_json(self) -> dict[str, JSON]:
        return {"type": self.type_name, "days": list(self.days), "time": self.time, "timezone": self.timezone}

    def _arguments(self) -> dict[str, object]:
        return self._in_zone({"days": self.days, "time": self.time})

    def _identity(self) -> tuple[object, ...]:
        return self.days, self.time, self.timezone


def _read_minute(minute: object) -> int:
    if isinstance(minute, str):
        match = re.fullmatch(_MINUTE, minute)
        number = int(match[1] or match[2]) if match else -1
    else:
        number = minute if isinstance(minute, int) and not isinstance(minute, bool) else -1
    if not 0 <= number <= 59:
        raise InvalidTrigger(f"minute must be 0 to 59, as a number or as '30' or ':30', not {minute!r}", field="minute")
    return number


def _read_days(days: object) -> tuple[int, ...]:
    if isinstance(days, str) or not isinstance(days, Iterable):
        raise InvalidTrigger(f"days must be a list such as [0, 4] or ['monday', 'friday'], not {days!r}", field="days")
    read = {_read_day(day) for day in days}
    if not read:
        raise InvalidTrigger("days is empty; name at least one day, for example ['monday']", field="days")
    return tuple(sorted(read))


def _read_day(day: object) -> int:
    if isinstance(day, str):
        name = day.strip().lower()
        for number, known in enumerate(_DAY_NAMES):
            if name in (known, known[:3]):
                return number
        from difflib import get_close_matches

        near = get_close_matches(name, _DAY_NAMES, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else "use 'monday' to 'sunday', 'mon' to 'sun' or 0 to 6"
        raise InvalidTrigger(f"there is no day {day!r}; {remedy}", field="days")
    if isinstance(day, bool) or not isinstance(day, int) or not 0 <= day <= 6:
        raise InvalidTrigger(f"there is no day {day!r}; days are 0 (Monday) to 6 (Sunday) or names", field="days")
    return day
