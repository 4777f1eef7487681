"""What the planner asks, also of triggers that are not ours."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asched.errors import InvalidTrigger
from asched.instants import DAY, HOUR, MINUTE, SECOND, from_datetime, to_datetime
from asched.triggers import (
    Cron,
    Daily,
    Interval,
    Lang,
    Once,
    Preview,
    Trigger,
    count_between,
    is_storable,
    latest_between,
    next_instant,
    preview,
)

NOW = from_datetime(datetime(2026, 1, 1, tzinfo=UTC))
YEAR = 365 * DAY


class Listed:
    """A trigger of the user's own: a few instants."""

    def __init__(self, *instants: int) -> None:
        self.instants = sorted(instants)
        self.asked = 0

    def next_after(self, after: datetime) -> datetime | None:
        self.asked += 1
        return next((to_datetime(i) for i in self.instants if to_datetime(i) > after), None)

    def describe(self, lang: Lang = "en") -> str:
        return "now and then"

    def fingerprint(self) -> str:
        return repr(self.instants)


class Answers(Listed):
    """A trigger that answers with whatever it was given."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer

    def next_after(self, after: datetime) -> datetime | None:
        return self.answer  # type: ignore[return-value]


class InMicroseconds(Listed):
    """A trigger with the quick form; the other one must not be asked then."""

    def next_after(self, after: datetime) -> datetime | None:
        raise AssertionError("asked in datetimes")

    def next_us(self, after: int) -> int | None:
        return next((i for i in self.instants if i > after), None)


class Weekdays(Daily):
    """A subclass that overrides one method only."""

    def next_after(self, after: datetime) -> datetime | None:
        moment = super().next_after(after)
        while moment is not None and moment.weekday() > 4:
            moment = super().next_after(moment)
        return moment


@given(
    st.lists(st.integers(NOW, NOW + 1000 * HOUR), max_size=30, unique=True),
    st.integers(NOW - HOUR, NOW + 1000 * HOUR),
    st.integers(NOW - HOUR, NOW + 1000 * HOUR),
)
def test_a_trigger_of_ones_own_is_counted_and_searched_exactly(instants: list[int], after: int, until: int) -> None:
    trigger = Listed(*instants)
    between = [i for i in trigger.instants if after < i <= until]

    assert count_between(trigger, after, until) == len(between)
    assert latest_between(trigger, after, until) == (between[-1] if between else None)
    assert next_instant(trigger, after) == next((i for i in trigger.instants if i > after), None)


def test_the_newest_of_a_million_instants_is_found_with_few_questions() -> None:
    class EverySecond(Listed):
        def next_after(self, after: datetime) -> datetime | None:
            self.asked += 1
            return after.replace(microsecond=0) + timedelta(seconds=1)

    trigger = EverySecond()

    assert latest_between(trigger, NOW, NOW + 20 * DAY + 1) == NOW + 20 * DAY
    assert trigger.asked < 100


def test_a_trigger_with_the_quick_form_is_asked_through_it() -> None:
    trigger = InMicroseconds(NOW + 5, NOW + 9)

    assert [p.at for p in preview(trigger, NOW, 10)] == [NOW + 5, NOW + 9]


def test_a_subclass_is_asked_through_what_it_overrides() -> None:
    trigger = Weekdays("09:00")
    thursday = from_datetime(datetime(2026, 1, 1, 12, tzinfo=UTC))

    assert [to_datetime(p.at).weekday() for p in preview(trigger, thursday, 3)] == [4, 0, 1]
    assert count_between(trigger, thursday, thursday + 7 * DAY) == 5
    assert latest_between(trigger, thursday, thursday + 3 * DAY) == thursday + 21 * HOUR
    assert not is_storable(trigger)


@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        (to_datetime(NOW), "must always be later"),
        (to_datetime(NOW - 1), "must always be later"),
        (datetime(2030, 1, 1), "aware datetime"),  # noqa: DTZ001
        ("2030-01-01", "aware datetime"),
        (5, "aware datetime"),
    ],
)
def test_an_answer_that_does_not_move_on_is_an_error(answer: object, remedy: str) -> None:
    trigger = Answers(answer)

    for ask in (
        lambda: next_instant(trigger, NOW),
        lambda: count_between(trigger, NOW, NOW + DAY),
        lambda: latest_between(trigger, NOW, NOW + DAY),
        lambda: preview(trigger, NOW, 1),
    ):
        with pytest.raises(InvalidTrigger, match=remedy):
            ask()


def test_only_the_built_in_classes_themselves_can_be_stored() -> None:
    assert is_storable(Interval(seconds=1))
    assert is_storable(Once("2027-01-01"))
    assert not is_storable(Listed())
    assert not is_storable("0 0 * * *")
    assert isinstance(Listed(), Trigger)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Apia"])
def test_a_year_of_seconds_is_counted_without_walking_it(zone: str) -> None:
    trigger = Cron("* * * * * *", zone)
    next_instant(trigger, NOW)

    started = time.perf_counter()
    assert count_between(trigger, NOW, NOW + YEAR) == YEAR // SECOND
    assert latest_between(trigger, NOW, NOW + YEAR + 7) == NOW + YEAR
    assert count_between(Cron("0-58 * * * *", zone), NOW, NOW + YEAR) == YEAR // HOUR * 59

    # It takes a few milliseconds; to walk 31,536,000 instants takes a minute.
    assert time.perf_counter() - started < 10


def test_an_empty_span_holds_nothing() -> None:
    for trigger in (Interval(seconds=1), Daily("09:00"), Once("2027-01-01"), Listed(NOW)):
        assert count_between(trigger, NOW, NOW) == count_between(trigger, NOW, NOW - DAY) == 0
        assert latest_between(trigger, NOW, NOW) is latest_between(trigger, NOW, NOW - DAY) is None


def test_a_one_shot_is_one_instant_also_while_its_delay_is_open() -> None:
    for trigger in (Once(timedelta(minutes=1)), Once("2026-01-01T00:01Z")):
        assert preview(trigger, NOW, 5) == [Preview(NOW + MINUTE, None)]
        assert count_between(trigger, NOW, NOW + DAY) == 1
        assert latest_between(trigger, NOW, NOW + DAY) == NOW + MINUTE


def test_a_preview_notes_gaps_and_folds() -> None:
    spring = from_datetime(datetime(2026, 3, 7, 0, tzinfo=UTC))
    autumn = from_datetime(datetime(2026, 11, 1, 0, tzinfo=UTC))

    assert [p.note for p in preview(Daily("02:30", "America/New_York"), spring, 3)] == [None, "gap", None]
    assert [p.note for p in preview(Daily("01:30", "America/New_York"), autumn, 2)] == ["fold", None]
    assert [p.note for p in preview(Cron("*/30 1 * * *", "America/New_York"), autumn, 5)] == ["fold"] * 4 + [None]
    assert [p.note for p in preview(Once("2026-03-08 02:30", "America/New_York"), spring, 2)] == ["gap"]


def test_counting_beyond_the_last_instant_ends_there() -> None:
    late = from_datetime(datetime(9999, 12, 29, tzinfo=UTC))

    assert count_between(Daily("12:00"), late, late + 100 * DAY) == 1
    assert latest_between(Daily("12:00"), late, late + 100 * DAY) == late + 12 * HOUR
    assert count_between(Interval.of(DAY, anchor=0), late, late + 100 * DAY) == 1
