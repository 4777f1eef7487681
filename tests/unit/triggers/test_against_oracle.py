"""All wall-clock triggers against a walk over the minutes of the zones with the strangest clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from unit.triggers.oracle import WINDOWS, Due, due, window
from unit.triggers.strategies import Expression, expressions

from asched.errors import InvalidTrigger
from asched.instants import from_datetime, to_datetime
from asched.triggers import Cron, Daily, Hourly, Trigger, Weekly, count_between, latest_between, preview


def _examples(number: int) -> settings:
    return settings(
        max_examples=number,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


def _all_due(trigger: Trigger, start: datetime, end: datetime) -> list[datetime]:
    found: list[datetime] = []
    after = start - timedelta(microseconds=1)
    while (moment := trigger.next_after(after)) is not None and moment < end:
        found.append(moment)
        after = moment
    return found


def _cron(expression: str, zone: str) -> Cron:
    try:
        return Cron(expression, zone)
    except InvalidTrigger as error:
        # The strategies make days that never come, too; that they are refused rightly is tested elsewhere.
        assume("no date ever matches" not in str(error))
        raise


def _agrees(trigger: Trigger, expected: list[Due], start: datetime, end: datetime) -> None:
    assert _all_due(trigger, start, end) == [d.at for d in expected]
    shown = preview(trigger, from_datetime(start) - 1, len(expected))
    assert [Due(to_datetime(p.at), p.note) for p in shown] == expected


@pytest.mark.parametrize(("zone", "day"), WINDOWS)
@pytest.mark.parametrize(
    "text", ["00:00", "00:01", "00:30", "01:30", "02:00", "02:30", "03:00", "12:00", "23:30", "23:59"]
)
def test_daily_agrees_with_the_walk(zone: str, day: str, text: str) -> None:
    start, end = window(zone, day)
    asked = time.fromisoformat(text)

    expected = due(lambda wall: wall.time() == asked, zone, start, end, follows_real_time=False)

    _agrees(Daily(text, zone), expected, start, end)


@pytest.mark.parametrize(("zone", "day"), WINDOWS)
@pytest.mark.parametrize("minute", [0, 1, 30, 45])
def test_hourly_agrees_with_the_walk(zone: str, day: str, minute: int) -> None:
    start, end = window(zone, day)

    expected = due(lambda wall: wall.minute == minute, zone, start, end, follows_real_time=True)

    _agrees(Hourly(minute, zone), expected, start, end)


@pytest.mark.parametrize(("zone", "day"), WINDOWS)
def test_weekly_agrees_with_the_walk(zone: str, day: str) -> None:
    start, end = window(zone, day, days=8)

    expected = due(
        lambda wall: wall.weekday() in (4, 5, 6) and wall.time() == time(2, 15),
        zone,
        start,
        end,
        follows_real_time=False,
    )

    _agrees(Weekly(["fri", "sat", 6], "02:15", zone), expected, start, end)


@pytest.mark.parametrize(("zone", "day"), WINDOWS)
@pytest.mark.parametrize(
    "expression",
    ["* * * * *", "*/15 * * * *", "0 */2 * * *", "0,30 0-4 * * *", "*/30 1 * * *", "30 2 * * *", "59 23 * * *"],
)
def test_usual_expressions_agree_with_the_walk(zone: str, day: str, expression: str) -> None:
    start, end = window(zone, day)
    minute, hour = expression.split()[:2]
    hours = {"*": range(24), "*/2": range(0, 24, 2), "0-4": range(5)}.get(hour) or [int(hour)]
    minutes = {"*": range(60), "*/15": (0, 15, 30, 45), "0,30": (0, 30), "*/30": (0, 30)}.get(minute) or [int(minute)]

    expected = due(
        lambda wall: wall.hour in hours and wall.minute in minutes,
        zone,
        start,
        end,
        follows_real_time="*" in (minute[0], hour[0]),
    )

    _agrees(Cron(expression, zone), expected, start, end)


@_examples(150)
@given(st.sampled_from(WINDOWS), expressions())
def test_random_expressions_agree_with_the_walk(place: tuple[str, str], expression: Expression) -> None:
    zone, day = place
    start, end = window(zone, day)
    trigger = _cron(expression.text, zone)

    expected = due(expression.matches, zone, start, end, follows_real_time=expression.follows_real_time)

    _agrees(trigger, expected, start, end)


@_examples(150)
@given(st.sampled_from(WINDOWS), expressions(days=False), st.data())
def test_counts_and_latest_agree_with_the_walk(
    place: tuple[str, str], expression: Expression, data: st.DataObject
) -> None:
    zone, day = place
    start, end = window(zone, day)
    trigger = Cron(expression.text, zone)
    walked = [
        from_datetime(d.at)
        for d in due(expression.matches, zone, start, end, follows_real_time=expression.follows_real_time)
    ]
    low, high = from_datetime(start) - 1, from_datetime(end) - 1
    edges = st.one_of(st.integers(low, high), st.sampled_from(walked)) if walked else st.integers(low, high)

    after, until = data.draw(edges), data.draw(edges)
    between = [instant for instant in walked if after < instant <= until]

    assert count_between(trigger, after, until) == len(between)
    assert latest_between(trigger, after, until) == (between[-1] if between else None)


@_examples(60)
@given(
    st.sampled_from(
        [
            ("America/New_York", "2024-03-10T06:45:00Z"),
            ("America/New_York", "2024-11-03T05:45:00Z"),
            ("America/St_Johns", "2006-10-29T02:00:00Z"),
            ("Australia/Lord_Howe", "2024-04-06T14:30:00Z"),
            ("Pacific/Apia", "2011-12-30T09:45:00Z"),
        ]
    ),
    expressions(days=False, seconds=True),
)
def test_expressions_with_seconds_agree_with_the_walk(place: tuple[str, str], expression: Expression) -> None:
    zone, start = place[0], datetime.fromisoformat(place[1])
    end = start + timedelta(minutes=40)
    trigger = Cron(expression.text, zone)

    walked = _by_seconds(expression, zone, start, end)

    assert _all_due(trigger, start, end) == walked
    assert count_between(trigger, from_datetime(start) - 1, from_datetime(end) - 1) == len(walked)


def _by_seconds(expression: Expression, zone: str, start: datetime, end: datetime) -> list[datetime]:
    found = due(
        expression.matches,
        zone,
        start,
        end,
        follows_real_time=expression.follows_real_time,
        step=1,
        run_up=timedelta(hours=2),
    )
    return [d.at for d in found]


@_examples(300)
@given(expressions(times=False), st.integers(1900, 2100))
def test_days_of_random_expressions_agree_with_a_walk_over_the_calendar(expression: Expression, year: int) -> None:
    trigger = _cron(expression.text, "UTC")
    start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 2, 1, 1, tzinfo=UTC)

    walked = [
        day
        for day in (start + timedelta(days=n) for n in range((end - start).days))
        if expression.matches(day.replace(tzinfo=None))
    ]

    assert _all_due(trigger, start, end) == walked
    low, high = from_datetime(start) - 1, from_datetime(end) - 1
    assert count_between(trigger, low, high) == len(walked)
    assert latest_between(trigger, low, high) == (from_datetime(walked[-1]) if walked else None)


@_examples(60)
@given(expressions(times=False))
def test_only_expressions_that_never_match_are_refused(expression: Expression) -> None:
    # All 14 kinds of year occur within any 40 years without a century in them.
    ever = any(
        expression.matches(datetime.combine(date.fromordinal(n), datetime.min.time()))
        for n in range(date(2001, 1, 1).toordinal(), date(2041, 1, 1).toordinal())
    )

    try:
        Cron(expression.text)
        accepted = True
    except InvalidTrigger as error:
        assert "no date ever matches" in str(error)
        accepted = False

    assert accepted == ever
