"""An independent answer to "when is it due?": walk the clock of a zone minute by minute (or second by second).

It shares nothing with asched.triggers: wall times come from zoneinfo, and expressions are not parsed, since the
strategies hand over for each text the meaning it was made from.
"""

from __future__ import annotations

import calendar
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

Matches = Callable[[datetime], bool]

# A zone and a local date around which its clock does something (or nothing at all).
WINDOWS = [
    ("America/New_York", "2024-03-10"),
    ("America/New_York", "2024-11-03"),
    ("Europe/London", "2024-03-31"),
    ("Europe/London", "2024-10-27"),
    ("Europe/Berlin", "2024-03-31"),
    ("Europe/Berlin", "2024-10-27"),
    ("Australia/Lord_Howe", "2024-04-07"),
    ("Australia/Lord_Howe", "2024-10-06"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("Asia/Tehran", "2022-03-22"),
    ("Asia/Tehran", "2022-09-21"),
    ("Africa/Casablanca", "2024-03-10"),
    ("Africa/Casablanca", "2024-04-14"),
    ("Pacific/Apia", "2011-12-30"),
    ("Pacific/Kwajalein", "1993-08-21"),
    ("Pacific/Kwajalein", "1969-09-30"),
    ("America/St_Johns", "2006-04-02"),
    ("America/St_Johns", "2006-10-29"),
    ("America/St_Johns", "2024-11-03"),
    ("Atlantic/Azores", "2024-03-31"),
    ("Atlantic/Azores", "2024-10-27"),
    ("Antarctica/Troll", "2024-03-31"),
    ("Antarctica/Troll", "2024-10-27"),
    ("Pacific/Chatham", "2024-04-07"),
    ("Pacific/Chatham", "2024-09-29"),
    ("Asia/Kolkata", "2024-06-01"),
    ("UTC", "2024-02-29"),
    ("Europe/Lisbon", "1992-09-27"),
    ("America/Caracas", "2007-12-09"),
    ("Asia/Pyongyang", "2018-05-05"),
]

# A clock set back must be noticed after the walk began: one day is the largest step known.
_RUN_UP = timedelta(hours=25)


@dataclass(frozen=True)
class Due:
    """One instant, and what the clock change nearby did to it."""

    at: datetime
    note: str | None


@cache
def walk(
    zone: str, start: datetime, end: datetime, step: int, run_up: timedelta
) -> tuple[list[datetime], list[datetime], set[datetime]]:
    """Return instants from a run-up before ``start`` to ``end``, what the wall clock reads at each, and what twice."""
    tz = ZoneInfo(zone)
    first, last = int((start - run_up).timestamp()), int((end + run_up).timestamp())
    instants = [datetime.fromtimestamp(s, UTC) for s in range(first, last, step)]
    walls = [instant.astimezone(tz).replace(tzinfo=None, fold=0) for instant in instants]
    return instants, walls, {wall for wall, times in Counter(walls).items() if times > 1}


def due(
    matches: Matches,
    zone: str,
    start: datetime,
    end: datetime,
    *,
    follows_real_time: bool,
    step: int = 60,
    run_up: timedelta = _RUN_UP,
) -> list[Due]:
    """Return what is due in ``start <= t < end``, for rules whose times are multiples of ``step`` seconds."""
    instants, walls, twice = walk(zone, start, end, step, run_up)
    tick = timedelta(seconds=step)
    found = []
    peak = walls[0]
    for instant, wall in zip(instants, walls, strict=True):
        note: str | None = "fold" if wall in twice else None
        if follows_real_time:
            runs = matches(wall)
        else:
            # The first instant at which the clock reads the time or later.
            seen_now = [] if wall <= peak else [peak + n * tick for n in range(1, (wall - peak) // tick + 1)]
            asked = [time for time in seen_now if matches(time)]
            runs = bool(asked)
            if asked and asked != [wall]:
                note = "gap"
            peak = max(peak, wall)
        if runs and start <= instant < end:
            found.append(Due(instant, note))
    return found


def window(zone: str, day: str, days: int = 3) -> tuple[datetime, datetime]:
    """Return the instants between which a local date and its neighbours lie."""
    middle = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
    return middle - timedelta(days=days // 2), middle + timedelta(days=days - days // 2)


def month_dates(on: date) -> list[date]:
    """Return all dates of the month."""
    return [on.replace(day=n) for n in range(1, calendar.monthrange(on.year, on.month)[1] + 1)]


def work_dates(on: date) -> list[date]:
    """Return the dates of the month from Monday to Friday."""
    return [d for d in month_dates(on) if d.weekday() < 5]


def any_of(predicates: Sequence[Callable[[date], bool]]) -> Callable[[date], bool]:
    """Return a predicate that holds where one of these does."""
    return lambda on: any(holds(on) for holds in predicates)
