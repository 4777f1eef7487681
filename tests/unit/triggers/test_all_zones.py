"""A daily job comes once for each date in every zone of the database, whatever its clock ever did."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from asched.instants import from_datetime, to_datetime
from asched.triggers import Daily, count_between

_FIRST, _LAST = datetime(1990, 1, 2, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
_DAYS = [_FIRST + timedelta(days=n) for n in range((_LAST - _FIRST).days)]


def _zones() -> list[str]:
    """Return one name for each zone that behaves differently from 1990 on, by a sample every ten days."""
    names: dict[tuple[timedelta | None, ...], str] = {}
    for name in sorted(available_timezones() - {"localtime"}):
        tz = ZoneInfo(name)
        sample = tuple(day.astimezone(tz).utcoffset() for day in _DAYS[::10])
        names.setdefault(sample, name)
    return sorted(names.values())


def _changes(tz: ZoneInfo) -> list[datetime]:
    """Return the days on which the offset changes, found by looking at each."""
    offsets = [day.astimezone(tz).utcoffset() for day in _DAYS]
    return [day for day, before, after in zip(_DAYS, offsets, offsets[1:], strict=False) if before != after]


def _exists(tz: ZoneInfo, wall: datetime) -> bool:
    return any(
        wall.replace(tzinfo=tz, fold=fold).astimezone(UTC).astimezone(tz).replace(tzinfo=None, fold=0) == wall
        for fold in (0, 1)
    )


def test_daily_jobs_come_once_for_each_date_around_every_clock_change_of_the_database() -> None:
    checked = 0
    for name in _zones():
        tz = ZoneInfo(name)
        changes = _changes(tz)
        for text in ("00:00", "02:30", "23:59"):
            trigger = Daily(text, name)
            time = datetime.strptime(text, "%H:%M").replace(tzinfo=UTC).time()
            for change in changes:
                after = change - timedelta(days=2)
                previous = None
                while after < change + timedelta(days=3):
                    moment = trigger.next_after(after)
                    assert moment is not None
                    wall = moment.astimezone(tz).replace(tzinfo=None, fold=0)
                    # Before the time of day it can only be the end of a gap over midnight, for the date before.
                    day = wall.date() if wall.time() >= time else wall.date() - timedelta(days=1)
                    asked = datetime.combine(day, time)
                    if _exists(tz, asked):
                        assert wall == asked, (name, text, moment)
                    if previous is not None and day != previous + timedelta(days=1):
                        # Two dates share an instant only where the date between them does not exist.
                        skipped = datetime.combine(previous + timedelta(days=1), datetime.min.time())
                        assert text == "00:00", (name, text, moment)
                        assert not any(_exists(tz, skipped + timedelta(hours=h)) for h in range(24)), (name, moment)
                    previous, after = day, moment
                    checked += 1

    assert checked > 50_000


@pytest.mark.parametrize("name", ["America/New_York", "Asia/Gaza", "Africa/Casablanca", "America/Asuncion", "UTC"])
@pytest.mark.parametrize("time", ["00:00", "02:30", "23:59"])
def test_a_daily_job_comes_as_often_as_there_are_dates(name: str, time: str) -> None:
    tz = ZoneInfo(name)
    first, last = datetime(1990, 1, 1, tzinfo=tz), datetime(2037, 1, 1, tzinfo=tz)

    days = (last.date() - first.date()).days

    assert count_between(Daily(time, name), from_datetime(first) - 1, from_datetime(last) - 1) == days


@pytest.mark.parametrize("host", ["Asia/Tokyo", "America/New_York", ":/nowhere", "EST5EDT"])
def test_the_zone_of_the_host_changes_nothing(host: str) -> None:
    program = (
        "from asched.triggers import *\n"
        "from datetime import datetime, timezone\n"
        "after = datetime(2026, 3, 7, tzinfo=timezone.utc)\n"
        "for t in [Daily('02:30'), Cron('30 1 * * *', 'Europe/Paris'), Once('2027-01-01 00:00'), Hourly(15), "
        "Weekly(['sun'], '02:30', 'America/New_York'), Once('2027-01-01', 'Europe/Paris'), Interval(days=1)]:\n"
        "    print(t.next_after(after), t.describe(), t.describe('zh'), t.bound(0, 'UTC').to_json())\n"
    )

    def run(zone: str) -> str:
        return subprocess.run(
            [sys.executable, "-X", "utf8", "-c", program],
            env={**os.environ, "TZ": zone},
            check=True,
            capture_output=True,
            encoding="utf-8",
        ).stdout

    assert run(host) == run("UTC")


def test_years_beyond_the_32_bit_clock_keep_their_daylight_saving_time() -> None:
    moment = Daily("12:00", "America/New_York").next_after(datetime(2050, 7, 1, tzinfo=UTC))

    assert moment == datetime(2050, 7, 1, 16, tzinfo=UTC)


def test_the_ends_of_time_are_answered() -> None:
    early = Daily("12:00", "America/New_York").next_after(datetime.min.replace(tzinfo=UTC))
    late = Daily("12:00", "Pacific/Auckland").next_after(to_datetime(from_datetime(datetime(9999, 12, 30, tzinfo=UTC))))

    assert early is not None
    assert early.year == 1
    assert late is None
