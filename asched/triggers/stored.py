"""The stored form of the built-in triggers, back into triggers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from asched.errors import InvalidTrigger
from asched.instants import MAX_INSTANT, from_datetime
from asched.triggers.base import JSON, BuiltIn
from asched.triggers.calendar import Daily, Hourly, Weekly
from asched.triggers.cron import Cron
from asched.triggers.interval import Interval
from asched.triggers.once import Once

__all__ = ["from_json"]


def from_json(data: JSON) -> BuiltIn:
    """Return the trigger of a stored form, equal to the one whose ``to_json()`` it is.

    Raises:
        InvalidTrigger: This is no stored trigger, or it is of a type that this release does not know.
    """
    if not isinstance(data, dict):
        raise InvalidTrigger(f"a stored trigger is an object with a type, not {data!r}", field="trigger")
    kind = data.get("type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise InvalidTrigger(
            f"there is no trigger type {kind!r}; this release knows {', '.join(_READERS)}. "
            "A newer asched may have stored it",
            field="type",
        )
    return read(_Form(data))


class _Form:
    """The members of a stored form, each of which must be read once, with its type."""

    def __init__(self, data: Mapping[str, JSON]) -> None:
        self._left = {key: value for key, value in data.items() if key != "type"}

    def text(self, key: str) -> str:
        value = self._take(key)
        if not isinstance(value, str):
            raise self._wrong(key, "a text", value)
        return value

    def text_or_none(self, key: str) -> str | None:
        value = self._take(key)
        if value is not None and not isinstance(value, str):
            raise self._wrong(key, "a text or null", value)
        return value

    def whole(self, key: str) -> int:
        value = self._take(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, "a whole number", value)
        return value

    def wholes(self, key: str) -> list[int]:
        value = self._take(key)
        numbers = [n for n in value if isinstance(n, int)] if isinstance(value, list) else []
        if not isinstance(value, list) or len(numbers) != len(value):
            raise self._wrong(key, "a list of whole numbers", value)
        return numbers

    def moment(self, key: str, value: str) -> datetime:
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            raise self._wrong(key, "a date and time in ISO 8601", value) from None

    def has(self, key: str) -> bool:
        return key in self._left

    def end(self) -> None:
        if self._left:
            names = ", ".join(map(repr, sorted(self._left)))
            raise InvalidTrigger(
                f"the stored trigger has unknown members: {names}. A newer asched may have stored it",
                field=min(self._left),
            )

    def _take(self, key: str) -> JSON:
        if key not in self._left:
            raise InvalidTrigger(f"the stored trigger lacks {key!r}", field=key)
        return self._left.pop(key)

    def _wrong(self, key: str, wanted: str, value: JSON) -> InvalidTrigger:
        return InvalidTrigger(f"{key!r} of a stored trigger must be {wanted}, not {value!r}", field=key)


def _interval(form: _Form) -> Interval:
    step, unit, anchor = form.whole("microseconds"), form.text("unit"), form.text_or_none("anchor")
    form.end()
    if anchor is None:
        return Interval.of(step, unit)
    moment = form.moment("anchor", anchor)
    if moment.utcoffset() is None:
        raise InvalidTrigger(f"the anchor of a stored interval must have an offset: {anchor!r}", field="anchor")
    return Interval.of(step, unit, from_datetime(moment))


def _hourly(form: _Form) -> Hourly:
    minute, timezone = form.whole("minute"), form.text_or_none("timezone")
    form.end()
    return Hourly(minute, timezone=timezone)


def _daily(form: _Form) -> Daily:
    time, timezone = form.text("time"), form.text_or_none("timezone")
    form.end()
    return Daily(time, timezone=timezone)


def _weekly(form: _Form) -> Weekly:
    days, time, timezone = form.wholes("days"), form.text("time"), form.text_or_none("timezone")
    form.end()
    return Weekly(days, time, timezone=timezone)


def _cron(form: _Form) -> Cron:
    expression, timezone = form.text("expression"), form.text_or_none("timezone")
    form.end()
    return Cron(expression, timezone=timezone)


def _once(form: _Form) -> Once:
    timezone = form.text_or_none("timezone")
    if form.has("delay"):
        delay = form.whole("delay")
        form.end()
        if not 0 <= delay <= MAX_INSTANT:
            raise InvalidTrigger(f"the delay of a stored one-shot is out of range: {delay}", field="delay")
        return Once(timedelta(microseconds=delay), timezone=timezone)
    at = form.text("at")
    fold = form.whole("fold") if form.has("fold") else 0
    form.end()
    if fold not in (0, 1):
        raise InvalidTrigger(f"the fold of a stored one-shot is 0 or 1, not {fold}", field="fold")
    return Once(form.moment("at", at).replace(fold=fold), timezone=timezone)


_READERS: dict[str, Callable[[_Form], BuiltIn]] = {
    "interval": _interval,
    "hourly": _hourly,
    "daily": _daily,
    "weekly": _weekly,
    "cron": _cron,
    "once": _once,
}
