"""The stored form and the HTTP form, there and back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asched.errors import InvalidTrigger, TriggerNotStorable
from asched.triggers import JSON, BuiltIn, Cron, Daily, Hourly, Interval, Once, Trigger, Weekly, from_json
from asched.triggers.config import from_config, to_config

_ZONES = st.sampled_from([None, "UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata"])
_TIMES = st.times().map(lambda t: f"{t:%H:%M:%S}")
_TRIGGERS = st.one_of(
    st.builds(
        Interval.of,
        st.integers(1, 10**15),
        st.sampled_from(["seconds", "minutes", "hours", "days", "weeks"]),
        st.one_of(st.none(), st.integers(-(10**15), 10**16)),
    ),
    st.builds(Hourly, st.integers(0, 59), _ZONES),
    st.builds(Daily, _TIMES, _ZONES),
    st.builds(Weekly, st.sets(st.integers(0, 6), min_size=1), _TIMES, _ZONES),
    st.builds(Cron, st.sampled_from(["@daily", "0 9 * * MON-FRI", "*/5 * * * * *"]), _ZONES),
    st.builds(
        Once,
        st.one_of(
            st.datetimes(datetime(1900, 1, 1), datetime(3000, 1, 1)),  # noqa: DTZ001
            st.datetimes(datetime(1900, 1, 1), datetime(3000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
            st.timedeltas(timedelta(0), timedelta(days=1000)),
        ),
        _ZONES,
    ),
)


@settings(deadline=None)
@given(_TRIGGERS)
def test_the_stored_form_makes_the_same_trigger(trigger: BuiltIn) -> None:
    stored = json.loads(json.dumps(trigger.to_json()))

    read = from_json(stored)

    assert read == trigger
    assert read.to_json() == trigger.to_json()
    assert repr(read) == repr(trigger)


@settings(deadline=None)
@given(_TRIGGERS)
def test_the_http_form_makes_the_same_trigger(trigger: BuiltIn) -> None:
    kind, config, timezone = to_config(trigger)

    read = from_config(kind, json.loads(json.dumps(config)), timezone)

    assert to_config(read) == (kind, config, timezone)
    if isinstance(trigger, Interval):
        assert read == Interval.of(trigger.step_us)
    elif isinstance(trigger, Once) and isinstance(trigger.at, datetime) and trigger.at.fold:
        assert read.next_us(-(10**17)) == trigger.next_us(-(10**17))
    else:
        assert read == trigger


@pytest.mark.parametrize(
    ("trigger", "stored"),
    [
        (
            Interval(minutes=5, anchor=datetime(2026, 1, 1, tzinfo=UTC)),
            {"type": "interval", "microseconds": 300_000_000, "unit": "minutes", "anchor": "2026-01-01T00:00:00+00:00"},
        ),
        (Interval(seconds=1), {"type": "interval", "microseconds": 1_000_000, "unit": "seconds", "anchor": None}),
        (Hourly(":30"), {"type": "hourly", "minute": 30, "timezone": None}),
        (Daily("09:00:00", "Asia/Tokyo"), {"type": "daily", "time": "09:00", "timezone": "Asia/Tokyo"}),
        (Weekly(["fri", 0], "10:00"), {"type": "weekly", "days": [0, 4], "time": "10:00", "timezone": None}),
        (Cron(" @daily "), {"type": "cron", "expression": "@daily", "timezone": None}),
        (Once("2027-01-01"), {"type": "once", "at": "2027-01-01T00:00:00", "timezone": None}),
        (Once("2027-01-01T01:00+01:00"), {"type": "once", "at": "2027-01-01T00:00:00+00:00", "timezone": None}),
        (Once(timedelta(seconds=1)), {"type": "once", "delay": 1_000_000, "timezone": None}),
    ],
    ids=repr,
)
def test_the_stored_form_stays_as_it_is(trigger: BuiltIn, stored: dict[str, JSON]) -> None:
    assert trigger.to_json() == stored
    assert from_json(stored) == trigger


@pytest.mark.parametrize(
    ("stored", "field"),
    [
        (None, "trigger"),
        ([], "trigger"),
        ({}, "type"),
        ({"type": "solar"}, "type"),
        ({"type": ["daily"]}, "type"),
        ({"type": "daily", "time": "09:00"}, "timezone"),
        ({"type": "daily", "time": 9, "timezone": None}, "time"),
        ({"type": "daily", "time": "25:00", "timezone": None}, "time"),
        ({"type": "daily", "time": "09:00", "timezone": "Mars"}, "timezone"),
        ({"type": "daily", "time": "09:00", "timezone": 5}, "timezone"),
        ({"type": "daily", "time": "09:00", "timezone": None, "moon": "full"}, "moon"),
        ({"type": "hourly", "minute": True, "timezone": None}, "minute"),
        ({"type": "weekly", "days": "mon", "time": "09:00", "timezone": None}, "days"),
        ({"type": "weekly", "days": [None], "time": "09:00", "timezone": None}, "days"),
        ({"type": "cron", "expression": "* *", "timezone": None}, "expression"),
        ({"type": "interval", "microseconds": 0, "unit": "seconds", "anchor": None}, "seconds"),
        ({"type": "interval", "microseconds": 1, "unit": "years", "anchor": None}, "unit"),
        ({"type": "interval", "microseconds": 1, "unit": "seconds", "anchor": "today"}, "anchor"),
        ({"type": "interval", "microseconds": 1, "unit": "seconds", "anchor": "2026-01-01"}, "anchor"),
        ({"type": "once", "at": "2026", "timezone": None}, "at"),
        ({"type": "once", "at": "2026-01-01", "timezone": None, "fold": 2}, "fold"),
        ({"type": "once", "delay": -1, "timezone": None}, "delay"),
        ({"type": "once", "timezone": None}, "at"),
    ],
)
def test_a_stored_form_that_is_wrong_is_refused(stored: JSON, field: str) -> None:
    with pytest.raises(InvalidTrigger) as refusal:
        from_json(stored)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("kind", "config", "trigger"),
    [
        ("interval", {"interval": 60, "unit": "seconds"}, Interval(seconds=60)),
        ("interval", {"interval": 1.5, "unit": "hours"}, Interval(minutes=90)),
        ("interval", {"interval": 2, "unit": "weeks"}, Interval(weeks=2)),
        ("interval", {"interval": 60}, Interval(seconds=60)),
        ("hourly", {"time": "30"}, Hourly(30)),
        ("hourly", {"time": ":30"}, Hourly(30)),
        ("hourly", {"time": 30}, Hourly(30)),
        ("daily", {"time": "02:00"}, Daily("02:00")),
        ("weekly", {"time": "10:00", "days": [0, 4]}, Weekly([0, 4], "10:00")),
        ("weekly", {"time": "10:00", "days": ["monday", "fri"]}, Weekly([0, 4], "10:00")),
        ("cron", {"expression": "*/5 * * * *"}, Cron("*/5 * * * *")),
        ("once", {"delay": 10, "unit": "minutes"}, Once(timedelta(minutes=10))),
        ("once", {"delay": 0}, Once(timedelta(0))),
        ("once", {"at": "2027-01-01 09:00"}, Once("2027-01-01 09:00")),
    ],
)
def test_the_http_form_is_read(kind: str, config: dict[str, JSON], trigger: Trigger) -> None:
    assert from_config(kind, config, None) == trigger


def test_the_unit_of_an_interval_is_kept_for_the_next_edit() -> None:
    trigger = from_config("interval", {"interval": 60, "unit": "minutes"}, None)

    assert to_config(trigger.bound(0, "UTC")) == ("interval", {"interval": 60, "unit": "minutes"}, None)


def test_the_second_pass_of_a_fold_is_written_as_its_instant() -> None:
    second = Once(datetime(2026, 11, 1, 1, 30, fold=1), "America/New_York")  # noqa: DTZ001

    kind, config, timezone = to_config(second)

    assert config == {"at": "2026-11-01T06:30:00+00:00"}
    assert from_config(kind, config, timezone).next_us(0) == second.next_us(0)


@pytest.mark.parametrize(
    ("kind", "config", "timezone", "field"),
    [
        ("lunar", {}, None, "schedule_type"),
        (None, {}, None, "schedule_type"),
        (["daily"], {}, None, "schedule_type"),
        ("daily", None, None, "schedule_config"),
        ("daily", [], None, "schedule_config"),
        ("daily", {}, None, "schedule_config.time"),
        ("daily", {"time": "02:00", "tz": "UTC"}, None, "schedule_config.tz"),
        ("daily", {"time": "2 am"}, None, "schedule_config.time"),
        ("daily", {"time": 2}, None, "schedule_config.time"),
        ("daily", {"time": "02:00"}, "Mars", "timezone"),
        ("daily", {"time": "02:00"}, 5, "timezone"),
        ("interval", {"interval": 1}, "Mars", "timezone"),
        ("interval", {}, None, "schedule_config.interval"),
        ("interval", {"interval": 0, "unit": "seconds"}, None, "schedule_config.interval"),
        ("interval", {"interval": -1, "unit": "seconds"}, None, "schedule_config.interval"),
        ("interval", {"interval": "60", "unit": "seconds"}, None, "schedule_config.interval"),
        ("interval", {"interval": True, "unit": "seconds"}, None, "schedule_config.interval"),
        ("interval", {"interval": None, "unit": "seconds"}, None, "schedule_config.interval"),
        ("interval", {"interval": float("inf"), "unit": "seconds"}, None, "schedule_config.interval"),
        ("interval", {"interval": 10**30, "unit": "seconds"}, None, "schedule_config.interval"),
        ("interval", {"interval": 60, "unit": "years"}, None, "schedule_config.unit"),
        ("interval", {"interval": 60, "unit": ["seconds"]}, None, "schedule_config.unit"),
        ("hourly", {"time": "60"}, None, "schedule_config.time"),
        ("hourly", {"time": None}, None, "schedule_config.time"),
        ("hourly", {"minute": 30}, None, "schedule_config.minute"),
        ("weekly", {"time": "10:00"}, None, "schedule_config.days"),
        ("weekly", {"time": "10:00", "days": []}, None, "schedule_config.days"),
        ("weekly", {"time": "10:00", "days": [9]}, None, "schedule_config.days"),
        ("weekly", {"time": "10:00", "days": "mon"}, None, "schedule_config.days"),
        ("weekly", {"time": "10:00", "days": [None]}, None, "schedule_config.days"),
        ("weekly", {"time": "10", "days": [0]}, None, "schedule_config.time"),
        ("cron", {"expression": "bad"}, None, "schedule_config.expression"),
        ("cron", {"expression": 5}, None, "schedule_config.expression"),
        ("cron", {"cron": "* * * * *"}, None, "schedule_config.cron"),
        ("once", {}, None, "schedule_config"),
        ("once", {"delay": -1}, None, "schedule_config.delay"),
        ("once", {"delay": 10**30}, None, "schedule_config.delay"),
        ("once", {"delay": 10, "unit": "moons"}, None, "schedule_config.unit"),
        ("once", {"delay": 10, "at": "2027-01-01"}, None, "schedule_config.at"),
        ("once", {"at": "soon"}, None, "schedule_config.at"),
        ("once", {"at": 5}, None, "schedule_config.at"),
    ],
)
def test_a_request_that_is_wrong_is_refused_by_its_member(
    kind: object, config: object, timezone: object, field: str
) -> None:
    with pytest.raises(InvalidTrigger) as refusal:
        from_config(kind, config, timezone)  # type: ignore[arg-type]
    assert refusal.value.field == field


def test_a_trigger_of_ones_own_has_no_http_form() -> None:
    class Mine(Daily):
        pass

    with pytest.raises(TriggerNotStorable, match="Mine"):
        to_config(Mine("09:00"))
