from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asched.errors import InvalidTrigger
from asched.instants import DAY, HOUR, MAX_INSTANT, SECOND, from_datetime
from asched.triggers import Interval, count_between, latest_between, preview

NOW = from_datetime(datetime(2026, 1, 1, tzinfo=UTC))


def test_instants_keep_the_phase_of_the_anchor() -> None:
    trigger = Interval(seconds=30).bound(NOW, "UTC")

    assert trigger.next_us(NOW) == NOW + 30 * SECOND
    assert trigger.next_us(NOW - 1) == NOW
    assert trigger.next_us(NOW + 100 * SECOND) == NOW + 120 * SECOND
    assert trigger.next_us(NOW - 100 * SECOND) == NOW - 90 * SECOND


def test_a_start_is_the_anchor_and_the_first_run() -> None:
    trigger = Interval(minutes=1).bound(NOW, "UTC", starting=NOW + 7)

    assert trigger.anchor_us == NOW + 7
    assert trigger.next_us(NOW + 6) == NOW + 7


def test_binding_twice_changes_nothing() -> None:
    trigger = Interval(minutes=1).bound(NOW, "UTC")

    assert trigger.bound(NOW + 5, "Asia/Tokyo", starting=NOW + 9) is trigger


def test_without_an_anchor_the_next_is_one_step_later() -> None:
    assert Interval(hours=1).next_after(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2026, 1, 1, 1, tzinfo=UTC)


def test_a_day_is_elapsed_time_across_a_clock_change() -> None:
    new_york = timezone(timedelta(hours=-5))
    trigger = Interval(days=1, anchor=datetime(2024, 3, 9, 12, tzinfo=new_york))

    assert trigger.next_us(from_datetime(datetime(2024, 3, 9, 17, tzinfo=UTC))) == from_datetime(
        datetime(2024, 3, 10, 17, tzinfo=UTC)
    )


def test_a_third_of_a_second_does_not_drift() -> None:
    trigger = Interval(seconds=1 / 3).bound(NOW, "UTC")

    instant = NOW
    for _ in range(1000):
        following = trigger.next_us(instant)
        assert following is not None
        instant = following

    assert instant == NOW + 1000 * 333_333


def test_units_add_up() -> None:
    assert Interval(weeks=1, days=1, hours=1, minutes=1, seconds=1.5).step_us == 8 * DAY + HOUR + 61_500_000


def test_equal_steps_are_equal_in_whatever_unit() -> None:
    assert Interval(minutes=1) == Interval(seconds=60)
    assert hash(Interval(minutes=1)) == hash(Interval(seconds=60))
    assert Interval(minutes=1).fingerprint() == Interval(seconds=60).fingerprint()
    assert Interval(minutes=1) != Interval(minutes=2)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "seconds"),
        ({"seconds": 0}, "seconds"),
        ({"seconds": 1e-7}, "seconds"),
        ({"minutes": -1}, "minutes"),
        ({"hours": math.nan}, "hours"),
        ({"days": math.inf}, "days"),
        ({"weeks": True}, "weeks"),
        ({"seconds": "30"}, "seconds"),
        ({"seconds": None}, "seconds"),
        ({"days": 10**9}, "days"),
        ({"weeks": 1e300}, "weeks"),
        ({"weeks": 10**400}, "weeks"),
        ({"seconds": 1, "anchor": datetime(2026, 1, 1)}, "anchor"),  # noqa: DTZ001
        ({"seconds": 1, "anchor": "2026-01-01"}, "anchor"),
    ],
)
def test_what_could_never_work_is_refused_by_name(arguments: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidTrigger) as refusal:
        Interval(**arguments)  # type: ignore[arg-type]

    assert refusal.value.field == field


def test_the_last_instant_is_followed_by_none() -> None:
    assert Interval(days=1).next_us(MAX_INSTANT - 1) is None


@given(
    st.integers(1, 10**12),
    st.integers(-(10**15), 10**15),
    st.integers(-(10**15), 10**15),
    st.integers(0, 10**13),
)
def test_counts_and_latest_follow_from_the_steps(step: int, anchor: int, after: int, length: int) -> None:
    trigger = Interval.of(step, anchor=anchor)
    length = min(length, 50 * step)

    walked = []
    instant = trigger.next_us(after)
    while instant is not None and instant <= after + length:
        assert (instant - anchor) % step == 0
        walked.append(instant)
        instant = trigger.next_us(instant)

    assert count_between(trigger, after, after + length) == len(walked)
    assert latest_between(trigger, after, after + length) == (walked[-1] if walked else None)


def test_an_unbound_interval_is_counted_from_the_question() -> None:
    trigger = Interval(seconds=10)

    assert count_between(trigger, NOW, NOW + 35 * SECOND) == 3
    assert latest_between(trigger, NOW, NOW + 35 * SECOND) == NOW + 30 * SECOND
    assert [p.at for p in preview(trigger, NOW, 2)] == [NOW + 10 * SECOND, NOW + 20 * SECOND]
