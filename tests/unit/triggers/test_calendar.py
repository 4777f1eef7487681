"""Hourly, daily, weekly and one-shot triggers: their arguments, and a few dates worked out by hand."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from asched.errors import InvalidTrigger
from asched.instants import SECOND, from_datetime, to_datetime
from asched.triggers import BuiltIn, Cron, Daily, Hourly, Interval, Once, Trigger, Weekly, preview

NEW_YORK = "America/New_York"
ALL = [
    Interval(seconds=30),
    Interval(days=1 / 3, anchor=datetime(2026, 1, 1, tzinfo=UTC)),
    Interval.of(10**15 + 1, "weeks", 5),
    Hourly(":30", "Asia/Kolkata"),
    Hourly(0),
    Daily("09:00:05"),
    Daily("09:00", "asia/tokyo"),
    Weekly(["fri", 0], "10:00", NEW_YORK),
    Cron("0 9 * * MON-FRI", "Asia/Tokyo"),
    Cron("@daily"),
    Once("2027-01-01 00:00:00", "Europe/Paris"),
    Once("2027-01-01T00:00:00.5+05:30"),
    Once(datetime(2026, 11, 1, 1, 30, fold=1), NEW_YORK),  # noqa: DTZ001
    Once(timedelta(seconds=60)),
    Once(timedelta(0), "Asia/Tokyo"),
]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize("trigger", ALL, ids=repr)
def test_a_trigger_is_a_value(trigger: BuiltIn) -> None:
    import datetime

    shown = eval(repr(trigger), {**globals(), "datetime": datetime})

    for other in (shown, pickle.loads(pickle.dumps(trigger)), copy.copy(trigger), copy.deepcopy(trigger)):
        assert other == trigger
        assert hash(other) == hash(trigger)
        assert other.fingerprint() == trigger.fingerprint()
        assert other.to_json() == trigger.to_json()
    assert isinstance(trigger, Trigger)
    assert trigger != "something else"


@pytest.mark.parametrize("trigger", ALL, ids=repr)
def test_a_trigger_cannot_be_changed(trigger: BuiltIn) -> None:
    with pytest.raises(AttributeError, match="is a value"):
        trigger.timezone = "UTC"  # type: ignore[misc]
    with pytest.raises(AttributeError, match="is a value"):
        del trigger.timezone
    assert not hasattr(trigger, "__dict__")


@pytest.mark.parametrize("trigger", ALL, ids=repr)
def test_binding_a_bound_trigger_changes_nothing(trigger: BuiltIn) -> None:
    bound = trigger.bound(5 * SECOND, "Europe/Paris")

    assert bound.bound(9 * SECOND, "Asia/Tokyo", starting=SECOND) is bound


def test_all_triggers_differ() -> None:
    assert len(set(ALL)) == len(ALL)
    assert len({trigger.fingerprint() for trigger in ALL}) == len(ALL)


def test_a_trigger_without_zone_is_bound_to_the_scheduler_s() -> None:
    assert Daily("09:00").bound(0, "asia/tokyo") == Daily("09:00", "Asia/Tokyo")
    assert Once("2027-01-01").bound(0, "Europe/Paris").next_us(0) == from_datetime(at("2026-12-31T23:00Z"))
    with pytest.raises(InvalidTrigger):
        Daily("09:00").bound(0, "Mars")


def test_a_naive_question_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        Daily("09:00").next_after(datetime(2026, 1, 1))  # noqa: DTZ001


def test_the_wall_minute_of_kolkata_is_another_one_in_utc() -> None:
    assert Hourly(0, "Asia/Kolkata").next_after(at("2026-01-01T00:00Z")) == at("2026-01-01T00:30Z")


def test_an_hourly_job_has_23_and_25_runs_on_the_days_of_a_change() -> None:
    zone = ZoneInfo(NEW_YORK)

    def runs(day: datetime) -> int:
        end = from_datetime(datetime(day.year, day.month, day.day + 1, tzinfo=zone))
        return sum(p.at < end for p in preview(Hourly(30, NEW_YORK), from_datetime(day) - 1, 30))

    assert runs(datetime(2026, 3, 8, tzinfo=zone)) == 23
    assert runs(datetime(2026, 11, 1, tzinfo=zone)) == 25


def test_a_daily_job_in_a_gap_comes_when_the_gap_ends() -> None:
    assert Daily("02:30", NEW_YORK).next_after(at("2026-03-08T05:00Z")) == at("2026-03-08T03:00-04:00")


def test_a_daily_job_in_a_fold_comes_in_the_first_pass_only() -> None:
    daily = Daily("01:30", NEW_YORK)

    assert daily.next_after(at("2026-11-01T04:00Z")) == at("2026-11-01T01:30-04:00")
    assert daily.next_after(at("2026-11-01T01:30-04:00")) == at("2026-11-02T01:30-05:00")
    assert daily.next_after(at("2026-11-01T01:05-05:00")) == at("2026-11-02T01:30-05:00")


def test_days_of_the_week_are_numbers_or_names_each_once() -> None:
    assert Weekly([0, "monday", "Mon", "SUN", 6], "10:00").days == (0, 6)
    assert Weekly(range(5), "10:00") == Weekly(["mon", "tue", "wed", "thu", "fri"], "10:00")


@pytest.mark.parametrize(
    "time",
    ["24:00", "7:5", "9:00", "12:60", "08:30\n", " 08:30", "08:30:60", "0830", "", "١٢:٣٠", "08:30:00.5", None, 830],
)
def test_a_time_that_does_not_exist_is_refused(time: object) -> None:
    for make in (lambda: Daily(time), lambda: Weekly([0], time)):  # type: ignore[arg-type]
        with pytest.raises(InvalidTrigger, match=r"'HH:MM' or 'HH:MM:SS'") as refusal:
            make()
        assert refusal.value.field == "time"


@pytest.mark.parametrize("minute", [60, -1, True, 1.0, None, "60", ":30:15", ":5", "", "30\n", "-1", "٣٠"])
def test_a_minute_that_does_not_exist_is_refused(minute: object) -> None:
    with pytest.raises(InvalidTrigger, match="0 to 59") as refusal:
        Hourly(minute)  # type: ignore[arg-type]
    assert refusal.value.field == "minute"


@pytest.mark.parametrize("minute", [5, "5", "05", ":05"])
def test_a_minute_may_be_a_number_or_a_text(minute: int | str) -> None:
    assert Hourly(minute) == Hourly(5)


@pytest.mark.parametrize(
    ("days", "remedy"),
    [
        ([], "at least one day"),
        (["mondey"], "'monday'"),
        (["xyzzy"], "'mon' to 'sun'"),
        ([7], "0 (Monday)"),
        ([-1], "0 (Monday)"),
        ([True], "0 (Monday)"),
        ([1.0], "0 (Monday)"),
        ("monday", "a list"),
        (3, "a list"),
    ],
)
def test_days_that_do_not_exist_are_refused(days: object, remedy: str) -> None:
    with pytest.raises(InvalidTrigger) as refusal:
        Weekly(days, "10:00")  # type: ignore[arg-type]
    assert refusal.value.field == "days"
    assert remedy in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2027-01-01", "2027-01-01T00:00Z"),
        ("2027-01-01 09:30", "2027-01-01T09:30Z"),
        ("2027-01-01T09:30:15", "2027-01-01T09:30:15Z"),
        ("2027-01-01T09:30:15.25", "2027-01-01T09:30:15.250000Z"),
        ("2027-01-01T09:30Z", "2027-01-01T09:30Z"),
        ("2027-01-01T09:30+05:30", "2027-01-01T04:00Z"),
    ],
)
def test_a_one_shot_reads_dates_and_times(text: str, instant: str) -> None:
    once = Once(text)

    assert once.next_after(at("2026-01-01T00:00Z")) == at(instant)
    assert once.next_after(at(instant)) is None


@pytest.mark.parametrize(
    "text",
    ["", "20270101", "2027-W01-1", "2027-01-01 24:00", "2027-01-01 9:00", "25/12/2027", "2027-02-30", "tomorrow",
     "2027-01-01 09:00 ", "2027-01-01\n", "0001-01-01", "x" * 10_000],
)  # fmt: skip
def test_a_text_that_is_no_date_and_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidTrigger) as refusal:
        Once(text)
    assert refusal.value.field == "at"
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize(
    "moment",
    [
        60,
        None,
        timedelta(seconds=-1),
        timedelta.max,
        datetime.max,  # noqa: DTZ901
        datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_what_is_no_moment_is_refused(moment: object) -> None:
    with pytest.raises(InvalidTrigger) as refusal:
        Once(moment)  # type: ignore[arg-type]
    assert refusal.value.field == "at"


def test_a_one_shot_in_a_gap_comes_when_the_gap_ends() -> None:
    once = Once("2026-03-08 02:30", NEW_YORK)

    assert once.next_after(at("2026-01-01T00:00Z")) == at("2026-03-08T03:00-04:00")
    assert once.note == "gap"


def test_fold_chooses_the_second_pass_of_a_one_shot() -> None:
    first = Once(datetime(2026, 11, 1, 1, 30), NEW_YORK)  # noqa: DTZ001
    second = Once(datetime(2026, 11, 1, 1, 30, fold=1), NEW_YORK)  # noqa: DTZ001

    assert first.next_after(at("2026-01-01T00:00Z")) == at("2026-11-01T01:30-04:00")
    assert second.next_after(at("2026-01-01T00:00Z")) == at("2026-11-01T01:30-05:00")
    assert first.note == second.note == "fold"
    assert first != second


def test_an_aware_one_shot_is_its_instant_and_keeps_the_name_of_its_zone() -> None:
    once = Once(datetime(2027, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo")))

    assert once.next_after(at("2026-01-01T00:00Z")) == at("2026-12-31T15:00Z")
    assert once.timezone == "Asia/Tokyo"
    assert once.note is None


def test_a_delay_counts_from_the_binding_or_from_the_start() -> None:
    once = Once(timedelta(seconds=60))

    assert once.next_us(5) == 5 + 60 * SECOND
    assert once.bound(5, "UTC").next_us(5) == 5 + 60 * SECOND
    assert once.bound(5, "UTC", starting=SECOND).next_us(5) == 61 * SECOND
    assert once.bound(5, "UTC").next_us(5 + 60 * SECOND) is None


def test_no_delay_is_the_instant_after_now() -> None:
    bound = Once(timedelta(0)).bound(7 * SECOND, "UTC")

    assert bound.next_us(7 * SECOND) == 7 * SECOND + 1
    assert bound.at == to_datetime(7 * SECOND + 1)
