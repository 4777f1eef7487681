"""Triggers as the HTTP interface writes them: a ``schedule_type`` with its ``schedule_config``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from asched.errors import InvalidTrigger, TriggerNotStorable
from asched.triggers.base import JSON, BuiltIn, Trigger
from asched.triggers.calendar import Daily, Hourly, Weekly
from asched.triggers.cron import Cron
from asched.triggers.interval import UNITS, Interval, duration
from asched.triggers.occurrences import is_storable
from asched.triggers.once import Once
from asched.triggers.zones import canonical

__all__ = ["SCHEDULE_TYPES", "from_config", "to_config"]

_T = TypeVar("_T")


def from_config(schedule_type: str, schedule_config: Mapping[str, JSON], timezone: str | None) -> BuiltIn:
    """Return the trigger that a request describes.

    The forms of ``schedule_config``: ``{"interval": 60, "unit": "seconds"}``; ``{"time": "30"}`` or ``":30"``
    (hourly); ``{"time": "02:00"}`` (daily); ``{"time": "10:00", "days": [0, 4]}``, days also by name
    (weekly); ``{"expression": "*/5 * * * *"}``; ``{"delay": 10, "unit": "seconds"}`` or ``{"at": "2027-01-01
    09:00"}`` (once). A unit left out is seconds.

    Raises:
        InvalidTrigger: Something is unknown, missing or wrong; ``field`` is ``schedule_type``, ``timezone``,
            ``schedule_config`` or a member of it such as ``schedule_config.interval``.
    """
    build = _builder(schedule_type)
    _check_object(schedule_config)
    return build(schedule_config, None if timezone is None else canonical(timezone))


def to_config(trigger: Trigger) -> tuple[str, dict[str, JSON], str | None]:
    """Return ``schedule_type``, ``schedule_config`` and ``timezone`` of a built-in trigger.

    :func:`from_config` makes an equal trigger of them, but for an interval's anchor, which has no place in
    the form.

    Raises:
        TriggerNotStorable: The trigger is of the user's own class.
    """
    if isinstance(trigger, BuiltIn) and is_storable(trigger):
        return trigger.type_name, _config(trigger), trigger.timezone
    raise TriggerNotStorable(
        f"{type(trigger).__name__} is a trigger of your own; only the built-in ones have a schedule_config"
    )


def _config(trigger: BuiltIn) -> dict[str, JSON]:
    match trigger:
        case Interval():
            return {"interval": trigger.amount, "unit": trigger.unit}
        case Hourly():
            return {"time": f"{trigger.minute:02}"}
        case Daily():
            return {"time": trigger.time}
        case Weekly():
            return {"time": trigger.time, "days": list(trigger.days)}
        case Cron():
            return {"expression": trigger.expression}
        case Once():
            if trigger.delay is not None:
                seconds = trigger.delay.total_seconds()
                return {"delay": int(seconds) if seconds.is_integer() else seconds, "unit": "seconds"}
            return {"at": _moment(trigger)}
    raise AssertionError(f"{type(trigger).__name__} has no form")


def _moment(trigger: Once) -> str:
    at = trigger.at
    assert isinstance(at, datetime)
    if at.fold:
        # The form has no word for the second pass; the instant says the same.
        instant = trigger.next_after(datetime.min.replace(tzinfo=UTC))
        assert instant is not None
        at = instant
    return at.isoformat()


def _builder(schedule_type: object) -> Callable[[Mapping[str, JSON], str | None], BuiltIn]:
    if isinstance(schedule_type, str) and schedule_type in _BUILDERS:
        return _BUILDERS[schedule_type]
    raise InvalidTrigger(
        f"there is no schedule_type {schedule_type!r}; use one of {', '.join(_BUILDERS)}", field="schedule_type"
    )


def _check_object(config: object) -> None:
    if not isinstance(config, Mapping):
        raise InvalidTrigger(f"schedule_config must be an object, not {config!r}", field="schedule_config")


def _interval(config: Mapping[str, JSON], timezone: str | None) -> Interval:
    _check_keys(config, ("interval",), ("unit",))
    unit = _unit(config)
    step = _amount(config, "interval", unit)
    if step < 1:
        raise _wrong("interval", "at least a microsecond", config["interval"])
    try:
        return Interval.of(step, unit)
    except InvalidTrigger as error:
        raise InvalidTrigger(str(error), field="schedule_config.interval") from None


def _hourly(config: Mapping[str, JSON], timezone: str | None) -> Hourly:
    _check_keys(config, ("time",))
    minute = config["time"]
    if not isinstance(minute, (str, int)):
        raise _wrong("time", "a minute such as '30' or ':30'", minute)
    return _made(lambda: Hourly(minute, timezone=timezone))


def _daily(config: Mapping[str, JSON], timezone: str | None) -> Daily:
    _check_keys(config, ("time",))
    time = _text(config, "time", "a time such as '02:00'")
    return _made(lambda: Daily(time, timezone=timezone))


def _weekly(config: Mapping[str, JSON], timezone: str | None) -> Weekly:
    _check_keys(config, ("time", "days"))
    time = _text(config, "time", "a time such as '10:00'")
    days = config["days"]
    if not isinstance(days, list):
        raise _wrong("days", "a list such as [0, 4] or ['monday', 'friday']", days)
    listed = [day for day in days if isinstance(day, (int, str))]
    if len(listed) != len(days):
        raise _wrong("days", "a list of numbers from 0 = Monday and of names", days)
    return _made(lambda: Weekly(listed, time, timezone=timezone))


def _cron(config: Mapping[str, JSON], timezone: str | None) -> Cron:
    _check_keys(config, ("expression",))
    expression = _text(config, "expression", "a cron expression such as '*/5 * * * *'")
    return _made(lambda: Cron(expression, timezone=timezone))


def _once(config: Mapping[str, JSON], timezone: str | None) -> Once:
    if "delay" in config:
        _check_keys(config, ("delay",), ("unit",))
        delay = _amount(config, "delay", _unit(config))
        try:
            return Once(timedelta(microseconds=delay), timezone=timezone)
        except (OverflowError, InvalidTrigger):
            raise _wrong("delay", "one that ends before the year 9999", config["delay"]) from None
    if "at" not in config:
        raise InvalidTrigger(
            "schedule_config of a one-shot needs 'delay' (with 'unit') or 'at'", field="schedule_config"
        )
    _check_keys(config, ("at",))
    at = _text(config, "at", "a date and time such as '2027-01-01 09:00'")
    return _made(lambda: Once(at, timezone=timezone))


_BUILDERS: dict[str, Callable[[Mapping[str, JSON], str | None], BuiltIn]] = {
    "interval": _interval,
    "hourly": _hourly,
    "daily": _daily,
    "weekly": _weekly,
    "cron": _cron,
    "once": _once,
}

SCHEDULE_TYPES = tuple(_BUILDERS)
"""The words that ``schedule_type`` may be."""


def _made(make: Callable[[], _T]) -> _T:
    """Make a trigger; what it refuses is named as a member of the form, and so is a zone."""
    try:
        return make()
    except InvalidTrigger as error:
        member = _MEMBERS.get(error.field or "", "")
        raise InvalidTrigger(str(error), field=f"schedule_config.{member}" if member else error.field) from None


# The members under which the form carries the arguments of the constructors.
_MEMBERS = {"minute": "time", "time": "time", "days": "days", "expression": "expression", "at": "at"}


def _unit(config: Mapping[str, JSON]) -> str:
    unit = config.get("unit", "seconds")
    if not isinstance(unit, str) or unit not in UNITS:
        raise _wrong("unit", f"one of {', '.join(UNITS)}", unit)
    return unit


def _amount(config: Mapping[str, JSON], member: str, unit: str) -> int:
    amount = config[member]
    if isinstance(amount, bool) or not isinstance(amount, (int, float)):
        raise _wrong(member, "a number", amount)
    return duration(amount, unit, f"schedule_config.{member}")


def _text(config: Mapping[str, JSON], member: str, wanted: str) -> str:
    value = config[member]
    if not isinstance(value, str):
        raise _wrong(member, wanted, value)
    return value


def _check_keys(config: Mapping[str, JSON], needed: Iterable[str], allowed: Iterable[str] = ()) -> None:
    needed, known = tuple(needed), (*needed, *allowed)
    for member in config:
        if member not in known:
            raise InvalidTrigger(
                f"schedule_config has an unknown member {member!r}; here it takes {', '.join(known)}",
                field=f"schedule_config.{member}",
            )
    for member in needed:
        if member not in config:
            raise InvalidTrigger(f"schedule_config lacks {member!r}", field=f"schedule_config.{member}")


def _wrong(member: str, wanted: str, value: JSON) -> InvalidTrigger:
    return InvalidTrigger(
        f"schedule_config.{member} must be {wanted}, not {value!r}", field=f"schedule_config.{member}"
    )
