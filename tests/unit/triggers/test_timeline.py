from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo

from asched.instants import HOUR, MINUTE, from_datetime
from asched.triggers.timeline import Timeline

CHANGE = datetime(2025, 12, 31, 23, 30, tzinfo=UTC)


class SetBackAtNewYear(tzinfo):
    """Half past midnight of New Year becomes half past eleven again; no zone of the database did that yet."""

    def fromutc(self, moment: datetime) -> datetime:
        offset = timedelta(hours=1 if moment.replace(tzinfo=UTC) < CHANGE else 0)
        return (moment + offset).replace(tzinfo=timezone(offset))


def test_a_clock_set_back_just_before_the_year_ends_is_remembered_after_it() -> None:
    change = from_datetime(CHANGE)

    line = Timeline(SetBackAtNewYear())

    assert line.read_until(change - 1) == change + HOUR - 1
    assert line.read_until(change + 35 * MINUTE) == change + HOUR - 1
    assert line.read_until(change + 61 * MINUTE) == change + 61 * MINUTE
    assert line.instants_of(change + 10 * MINUTE) == [change - 50 * MINUTE, change + 10 * MINUTE]
