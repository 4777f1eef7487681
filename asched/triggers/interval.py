"""Intervals: exact elapsed time on a fixed phase."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Self

from asched.errors import InvalidTrigger
from asched.instants import DAY, HOUR, MAX_INSTANT, MINUTE, SECOND, from_datetime, to_datetime
from asched.triggers.base import JSON, BuiltIn, Lang, check_lang
from asched.triggers.describe import describe_interval

__all__ = ["UNITS", "Interval", "duration"]

UNITS = {"seconds": SECOND, "minutes": MINUTE, "hours": HOUR, "days": DAY, "weeks": 7 * DAY}

_LONGEST = 1000 * 366 * DAY
_MOST = {unit: _LONGEST // length for unit, length in UNITS.items()}


class Interval(BuiltIn):
    """Every so much elapsed time, at ``anchor + k * step`` for every whole k.

    It knows no wall clock: a day is 86,400 s, and "every day at the same time" is :class:`Daily`. The step is
    kept in whole microseconds; nothing is added up, so nothing drifts. Without an anchor the answer is
    ``after + step``; the scheduler sets the anchor when the job is first stored.

    Args:
        seconds, minutes, hours, days, weeks: Added together. Fractions are rounded to a microsecond.
        anchor: An aware datetime that is one of the instants.

    Raises:
        InvalidTrigger: The sum is less than a microsecond, not finite or longer than 1,000 years, or the
            anchor is naive.
    """

    __slots__ = ("anchor_us", "step_us", "unit")
    type_name = "interval"
    timezone = None

    anchor_us: int | None
    """The anchor in microseconds since 1970-01-01 UTC."""

    step_us: int
    """The step in microseconds."""

    unit: str
    """The unit the step was given in, for display; no part of the value."""

    def __init__(
        self,
        seconds: float = 0,
        minutes: float = 0,
        hours: float = 0,
        days: float = 0,
        weeks: float = 0,
        anchor: datetime | None = None,
    ) -> None:
        given = {"seconds": seconds, "minutes": minutes, "hours": hours, "days": days, "weeks": weeks}
        step = 0
        used: list[str] = []
        for unit, amount in given.items():
            # Four of the five are mostly left out, and an int of zero is nothing to check.
            if type(amount) is not int or amount:
                step += duration(amount, unit)
                if amount:
                    used.append(unit)
        if step < 1:
            field = used[0] if used else "seconds"
            raise InvalidTrigger(
                "an interval needs at least one microsecond, for example Interval(seconds=30); "
                f"{_shown(given)} rounds to {step}",
                field=field,
            )
        if step > _LONGEST:
            raise InvalidTrigger("an interval may be 1,000 years at most", field=used[0])
        self._set("step_us", step)
        self._set("unit", used[0] if len(used) == 1 else "seconds")
        self._set("anchor_us", _read_anchor(anchor))

    @property
    def step(self) -> timedelta:
        """The time from one instant to the next."""
        return timedelta(microseconds=self.step_us)

    @property
    def anchor(self) -> datetime | None:
        """One of the instants, in UTC; ``None`` until the interval is bound."""
        return None if self.anchor_us is None else to_datetime(self.anchor_us)

    @property
    def amount(self) -> int | float:
        """The step counted in :attr:`unit`."""
        whole, rest = divmod(self.step_us, UNITS[self.unit])
        return whole if not rest else self.step_us / UNITS[self.unit]

    def next_us(self, after: int) -> int | None:
        anchor = self.anchor_us
        step = self.step_us
        instant = after + step if anchor is None else after + step - (after - anchor) % step
        return instant if instant <= MAX_INSTANT else None

    def bound(self, now: int, timezone: str, starting: int | None = None) -> Self:
        if self.anchor_us is not None:
            return self
        bound = object.__new__(type(self))
        bound._set("step_us", self.step_us)
        bound._set("unit", self.unit)
        bound._set("anchor_us", now if starting is None else starting)
        return bound

    def describe(self, lang: Lang = "en") -> str:
        check_lang(lang)
        return describe_interval(self.step_us, lang)

    def to_json(self) -> dict[str, JSON]:
        return {
            "type": self.type_name,
            "microseconds": self.step_us,
            "unit": self.unit,
            "anchor": None if self.anchor_us is None else to_datetime(self.anchor_us).isoformat(),
        }

    @classmethod
    def of(cls, step: object, unit: str = "seconds", anchor: int | None = None) -> Self:
        """Return the interval of ``step`` microseconds, shown in ``unit``; ``anchor`` in microseconds.

        Raises:
            InvalidTrigger: As the constructor.
        """
        if isinstance(step, bool) or not isinstance(step, int) or not 1 <= step <= _LONGEST:
            raise InvalidTrigger(f"an interval has 1 microsecond to 1,000 years, not {step!r}", field="seconds")
        if unit not in UNITS:
            raise InvalidTrigger(f"there is no unit {unit!r}; use one of {', '.join(UNITS)}", field="unit")
        made = object.__new__(cls)
        made._set("step_us", step)
        made._set("unit", unit)
        made._set("anchor_us", anchor)
        return made

    def _arguments(self) -> dict[str, object]:
        arguments: dict[str, object] = {self.unit: self.amount}
        if duration(self.amount, self.unit) != self.step_us:
            # A float of this unit cannot hold the step exactly; two integers can.
            whole, rest = divmod(self.step_us, DAY)
            arguments = {"days": whole, "seconds": rest / SECOND}
        if self.anchor_us is not None:
            arguments["anchor"] = to_datetime(self.anchor_us)
        return arguments

    def _identity(self) -> tuple[object, ...]:
        return self.step_us, self.anchor_us


def duration(amount: object, unit: str, field: str | None = None) -> int:
    """Return so many of a unit in whole microseconds.

    Raises:
        InvalidTrigger: The amount is no number, negative or not finite, or the unit is unknown.
    """
    field = unit if field is None else field
    if isinstance(amount, bool) or not isinstance(amount, (int, float)):
        raise InvalidTrigger(f"{field} must be a number, not {amount!r}", field=field)
    if isinstance(amount, float) and not math.isfinite(amount):
        raise InvalidTrigger(
            f"{field} must be finite, not {amount!r}; a job that never runs needs no trigger", field=field
        )
    if amount < 0:
        raise InvalidTrigger(f"{field} must not be negative ({amount!r}); time runs forward only", field=field)
    if amount > _MOST[unit]:
        raise InvalidTrigger(f"{field} may be 1,000 years at most", field=field)
    return round(amount * UNITS[unit])


def _read_anchor(anchor: object) -> int | None:
    if anchor is None:
        return None
    if not isinstance(anchor, datetime) or anchor.utcoffset() is None:
        raise InvalidTrigger(
            f"anchor must be an aware datetime, for example datetime(2027, 1, 1, tzinfo=UTC), not {anchor!r}",
            field="anchor",
        )
    return from_datetime(anchor)


def _shown(given: dict[str, float]) -> str:
    return ", ".join(f"{unit}={amount!r}" for unit, amount in given.items() if amount) or "nothing"
