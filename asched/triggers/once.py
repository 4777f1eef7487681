"""One instant: at a date and time, or after a delay."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Self

from asched.errors import InvalidTrigger
from asched.instants import MAX_INSTANT, from_datetime, to_datetime
from asched.triggers.base import JSON, BuiltIn, Lang, check_lang
from asched.triggers.describe import describe_delay, describe_once
from asched.triggers.plan import Note
from asched.triggers.timeline import EPOCH_NAIVE, MIN_INSTANT, timeline
from asched.triggers.wallclock import zone_name
from asched.triggers.zones import canonical

__all__ = ["Once"]

_FORM = r"(?a)\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2}(?::?\d{2})?)?)?"
_MICROSECOND = timedelta(microseconds=1)


class Once(BuiltIn):
    """A single instant.

    A naive date and time is read in the trigger's zone, by the same rule as :class:`Daily`: in a gap it comes
    when the gap ends, in a fold in the first pass, unless the datetime says ``fold=1``. An aware one is that
    instant; the zone then serves for display. A delay counts from the moment the job is first stored, or from
    its ``starting``; a delay of 0 means at once.

    Args:
        at: A datetime; a text such as ``"2027-01-01"`` (midnight), ``"2027-01-01 09:00"``,
            ``"2027-01-01T09:00:00.5"``, each with ``Z`` or an offset such as ``+02:00`` after the time if
            wanted; or a timedelta, the delay.
        timezone: Name of the zone; ``None`` is the zone of an aware datetime if that has a name, else the
            scheduler's.

    Raises:
        InvalidTrigger: The text is no date and time, the delay is negative or too long, or there is no such
            zone.
    """

    __slots__ = ("_instant", "at", "timezone")
    type_name = "once"

    at: datetime | timedelta
    """The moment: aware in UTC, or naive in :attr:`timezone`; a timedelta while the delay is not bound."""

    _instant: int
    timezone: str | None

    def __init__(self, at: datetime | str | timedelta, timezone: str | None = None) -> None:
        moment: object = _read_text(at) if isinstance(at, str) else at
        if isinstance(moment, datetime):
            if moment.tzinfo is not UTC and moment.utcoffset() is not None:
                if timezone is None:
                    key = getattr(moment.tzinfo, "key", None)
                    timezone = key if isinstance(key, str) else None
                moment = _to_utc(moment)
        elif isinstance(moment, timedelta):
            moment = _checked_delay(moment)
        else:
            raise InvalidTrigger(
                f"at must be a datetime, a text such as '2027-01-01 09:00' or a timedelta, not {at!r}",
                field="at",
            )
        zone = zone_name(timezone)
        self._set("at", moment)
        self._set("timezone", zone)
        self._set("_instant", _find(moment, zone))

    @property
    def delay(self) -> timedelta | None:
        """The delay while it is not bound, else ``None``."""
        return self.at if isinstance(self.at, timedelta) else None

    @property
    def note(self) -> Note | None:
        """``"gap"`` if the clock never reads the naive time asked for, ``"fold"`` if it does so twice."""
        if isinstance(self.at, timedelta) or self.at.tzinfo is not None:
            return None
        readings = len(timeline(self.timezone).instants_of(_reading(self.at)))
        return "gap" if readings == 0 else "fold" if readings > 1 else None

    def next_us(self, after: int) -> int | None:
        instant = self._instant
        if isinstance(self.at, timedelta):
            instant += after
            return instant if instant <= MAX_INSTANT else None
        return instant if instant > after else None

    def bound(self, now: int, timezone: str, starting: int | None = None) -> Self:
        if isinstance(self.at, timedelta):
            instant = (now if starting is None else starting) + self._instant
            if instant > MAX_INSTANT:
                raise InvalidTrigger("the delay ends after the year 9999", field="at")
            return type(self)(to_datetime(instant), timezone=self.timezone or timezone)
        if self.timezone is not None:
            return self
        if self.at.tzinfo is None:
            return type(self)(self.at, timezone=timezone)
        # The instant is fixed and the zone only shows it; reading everything again would double the cost of a job.
        shown = object.__new__(type(self))
        shown._set("at", self.at)
        shown._set("timezone", canonical(timezone))
        shown._set("_instant", self._instant)
        return shown

    def describe(self, lang: Lang = "en") -> str:
        check_lang(lang)
        if isinstance(self.at, timedelta):
            return describe_delay(self.at // _MICROSECOND, lang)
        shown = self.at
        if shown.tzinfo is not None:
            shown = EPOCH_NAIVE + timedelta(
                microseconds=self._instant + timeline(self.timezone).at(self._instant).offset
            )
        return describe_once(shown, self.timezone, lang)

    def to_json(self) -> dict[str, JSON]:
        if isinstance(self.at, timedelta):
            return {"type": self.type_name, "delay": self.at // _MICROSECOND, "timezone": self.timezone}
        form: dict[str, JSON] = {
            "type": self.type_name,
            "at": self.at.isoformat(),
            "timezone": self.timezone,
        }
        if self.at.fold:
            form["fold"] = 1
        return form

    def _arguments(self) -> dict[str, object]:
        at = self.at
        # A text shows better, yet cannot carry a fold.
        shown = at if isinstance(at, timedelta) or at.fold else at.isoformat(" ")
        return {"at": shown} if self.timezone is None else {"at": shown, "timezone": self.timezone}

    def _identity(self) -> tuple[object, ...]:
        # Datetimes compare without their fold, texts with nothing left out.
        at = self.at
        if isinstance(at, timedelta):
            return "delay", at // _MICROSECOND, self.timezone
        return at.isoformat(), at.fold, self.timezone


def _find(at: datetime | timedelta, timezone: str | None) -> int:
    """Return the instant; for a delay its length, at least 1 us, so that the answer is strictly later."""
    if isinstance(at, timedelta):
        return max(1, at // _MICROSECOND)
    if at.tzinfo is not None:
        instant = from_datetime(at)
    else:
        line, reading = timeline(timezone), _reading(at)
        both = line.instants_of(reading)
        instant = both[-1] if at.fold and both else line.first_at(reading)
    if not MIN_INSTANT <= instant <= MAX_INSTANT:
        raise InvalidTrigger(f"at must lie between the years 1 and 9999, not {at}", field="at")
    return instant


def _reading(naive: datetime) -> int:
    return (naive.replace(fold=0) - EPOCH_NAIVE) // _MICROSECOND


def _to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidTrigger(f"at must lie between the years 1 and 9999, not {moment}", field="at") from None


def _checked_delay(delay: timedelta) -> timedelta:
    if delay < timedelta(0):
        raise InvalidTrigger(f"the delay must not be negative ({delay}); 0 means at once", field="at")
    if delay // _MICROSECOND > MAX_INSTANT:
        raise InvalidTrigger(f"the delay ends after the year 9999 ({delay})", field="at")
    return delay


def _read_text(text: str) -> datetime:
    remedy = "write 'YYYY-MM-DD HH:MM[:SS]', with 'Z' or an offset such as '+02:00' if it is no time of the zone"
    if not re.fullmatch(_FORM, text):
        raise InvalidTrigger(f"at {text[:80]!r} is not a date and time; {remedy}", field="at")
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidTrigger(f"at {text!r} does not exist ({error}); {remedy}", field="at") from None
