"""What a trigger is, and what all built-in triggers share: they are frozen values.

A trigger decides at which instants a job is due and nothing else. It reads no clock, knows no job and keeps
no memory of what ran: the same question gets the same answer for as long as the process uses one time zone
database.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import ClassVar, Literal, Protocol, Self, TypeAlias, runtime_checkable

from asched.errors import InvalidTrigger
from asched.instants import MAX_INSTANT, from_datetime, to_datetime

__all__ = ["JSON", "BuiltIn", "Lang", "Trigger"]

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
Lang: TypeAlias = Literal["en", "zh"]


@runtime_checkable
class Trigger(Protocol):
    """The rule by which a job is due: at which instant next?

    Your own class with these three methods is a trigger for decorators and the memory store. It must be pure,
    and it must always move on: an answer that is not later than the question is an error.
    """

    def next_after(self, after: datetime) -> datetime | None:
        """Return the first instant strictly later than ``after``, or ``None`` when there is none.

        Args:
            after: An aware datetime. The answer is aware as well; the built-in triggers answer in UTC.
        """
        ...

    def describe(self, lang: Lang = "en") -> str:
        """Return one line that tells a person when the job runs."""
        ...

    def fingerprint(self) -> str:
        """Return a text that is the same over restarts exactly as long as the rule is the same.

        A declared job whose fingerprint is unchanged keeps its next run when the program starts again.
        """
        ...


class BuiltIn:
    """Base of the built-in triggers: immutable, equal and hashed by value, shown as the call that makes them."""

    __slots__ = ()

    type_name: ClassVar[str]
    """The word for this kind of trigger in the stored form and in the HTTP form."""

    @property
    def timezone(self) -> str | None:
        """Name of the zone of its wall times; ``None``: the scheduler's, and UTC until that is known."""
        raise NotImplementedError

    def next_us(self, after: int) -> int | None:
        """Return what :meth:`next_after` returns, in microseconds since 1970-01-01 UTC."""
        raise NotImplementedError

    def bound(self, now: int, timezone: str, starting: int | None = None) -> Self:
        """Return this trigger with everything fixed that is left open until a job is stored.

        A wall-clock trigger without a zone gets ``timezone``. An interval without an anchor, and a delay,
        count from ``starting`` if it is given, else from ``now``. A trigger that leaves nothing open returns
        itself.

        Args:
            now: The instant at which the job is stored, in microseconds.
            timezone: The scheduler's zone.
            starting: The first instant at which the job may run, in microseconds.

        Raises:
            InvalidTrigger: ``timezone`` names no zone.
        """
        raise NotImplementedError

    def describe(self, lang: Lang = "en") -> str:
        """Return a line in English (``"en"``) or Simplified Chinese (``"zh"``); it names a zone other than UTC."""
        raise NotImplementedError

    def to_json(self) -> dict[str, JSON]:
        """Return the stored form, the same in every release, for :func:`asched.triggers.from_json`."""
        raise NotImplementedError

    def next_after(self, after: datetime) -> datetime | None:
        """Return the first instant strictly later than ``after`` in UTC, or ``None`` when there is none.

        Raises:
            ValueError: ``after`` is naive.
        """
        instant = self.next_us(from_datetime(after))
        return None if instant is None else to_datetime(instant)

    def fingerprint(self) -> str:
        """Return a text that is equal for equal triggers, also in another process."""
        return "|".join((self.type_name, *map(str, self._identity())))

    def _arguments(self) -> dict[str, object]:
        """Return the arguments of the constructor that make an equal trigger, those not needed left out."""
        raise NotImplementedError

    def _identity(self) -> tuple[object, ...]:
        """Return what makes two triggers of this class equal."""
        raise NotImplementedError

    _set = object.__setattr__

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a trigger is a value and {name!r} of it cannot be set; make a new {type(self).__name__}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a trigger is a value and {name!r} of it cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((type(self), self._identity()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self._arguments().items())})"

    # Copies and pickles go through the constructor: the shared tables a trigger refers to are then shared
    # again.
    def __reduce__(self) -> tuple[Callable[..., BuiltIn], tuple[type[BuiltIn], dict[str, object]]]:
        return _rebuild, (type(self), self._arguments())


def _rebuild(cls: type[BuiltIn], arguments: Mapping[str, object]) -> BuiltIn:
    return cls(**arguments)


def checked(instant: int) -> int | None:
    """Return the instant, or ``None`` if it lies past the last one that a datetime can show."""
    return instant if instant <= MAX_INSTANT else None


def check_lang(lang: str) -> None:
    if lang not in ("en", "zh"):
        raise InvalidTrigger(f"no descriptions in {lang!r}: lang is 'en' or 'zh'", field="lang")
