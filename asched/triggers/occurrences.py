"""Questions the planner asks of any trigger: the next instant, the newest missed one, how many were missed.

The built-in triggers are answered by arithmetic. A trigger of the user's own only knows what comes next; it
is asked as seldom as possible, and checked: an answer that does not move on would make the scheduler run in a
circle.
"""

from datetime import datetime
from typing import NamedTuple, Protocol, runtime_checkable

from asched.errors import InvalidTrigger
from asched.instants import MAX_INSTANT, from_datetime, to_datetime
from asched.triggers.base import BuiltIn, Trigger
from asched.triggers.calendar import Daily, Hourly, Weekly
from asched.triggers.cron import Cron
from asched.triggers.interval import Interval
from asched.triggers.once import Once
from asched.triggers.plan import Note
from asched.triggers.wallclock import WallClock

__all__ = ["BUILT_IN", "Preview", "count_between", "is_storable", "latest_between", "next_instant", "preview"]

BUILT_IN = frozenset({Interval, Hourly, Daily, Weekly, Cron, Once})


class Preview(NamedTuple):
    """A coming instant, in microseconds, and what a clock change does to it.

    ``note`` is ``"gap"`` if the clock skips the time asked for and the job runs when the gap ends, ``"fold"``
    if the clock reads the time twice: fixed times run in the first pass only, times that follow real time
    in both.
    """

    at: int
    note: Note | None


def is_storable(trigger: object) -> bool:
    """Tell whether the trigger is exactly one of the built-in ones, so that every store can keep it."""
    return type(trigger) in BUILT_IN


def next_instant(trigger: Trigger, after: int) -> int | None:
    """Return the first instant of the trigger later than ``after``, both in microseconds.

    Raises:
        InvalidTrigger: A trigger of the user's own answered with something that is not a later aware
            datetime.
    """
    if type(trigger) in BUILT_IN:
        # isinstance() would cost half as much again as the answer, and this is asked for each run.
        return trigger.next_us(after)  # type: ignore[attr-defined, no-any-return]  # the built-in ones have it
    return _next_of_own(trigger, after)


def latest_between(trigger: Trigger, after: int, until: int) -> int | None:
    """Return the newest instant later than ``after`` and not later than ``until``.

    Constant time for an interval; a few steps for a wall-clock trigger, also over years; for a trigger of the
    user's own a number of questions that grows with the logarithm of the time between.

    Raises:
        InvalidTrigger: As :func:`next_instant`.
    """
    trigger = _bound(trigger, after)
    until = min(until, MAX_INSTANT)
    if until <= after:
        return None
    if type(trigger) is Interval:
        newest = until - (until - (trigger.anchor_us or 0)) % trigger.step_us
        return newest if newest > after else None
    if type(trigger) in BUILT_IN and isinstance(trigger, WallClock):
        return trigger._plan.latest(after, until)
    return _latest_by_asking(trigger, after, until)


def count_between(trigger: Trigger, after: int, until: int) -> int:
    """Return the exact number of instants later than ``after`` and not later than ``until``.

    Costs as :func:`latest_between`, but a trigger of the user's own is asked once for each instant.

    Raises:
        InvalidTrigger: As :func:`next_instant`.
    """
    trigger = _bound(trigger, after)
    until = min(until, MAX_INSTANT)
    if until <= after:
        return 0
    if type(trigger) is Interval:
        anchor = trigger.anchor_us or 0
        return (until - anchor) // trigger.step_us - (after - anchor) // trigger.step_us
    if type(trigger) in BUILT_IN and isinstance(trigger, WallClock):
        return trigger._plan.count(after, until)
    count = 0
    instant = next_instant(trigger, after)
    while instant is not None and instant <= until:
        count += 1
        instant = next_instant(trigger, instant)
    return count


def preview(trigger: Trigger, after: int, n: int) -> list[Preview]:
    """Return the next ``n`` instants, fewer when the trigger ends before.

    Raises:
        InvalidTrigger: As :func:`next_instant`.
    """
    trigger = _bound(trigger, after)
    shown: list[Preview] = []
    while len(shown) < n:
        instant = next_instant(trigger, after)
        if instant is None:
            break
        note: Note | None = None
        if type(trigger) in BUILT_IN:
            if isinstance(trigger, WallClock):
                note = trigger._plan.note(instant)
            elif isinstance(trigger, Once):
                note = trigger.note
        shown.append(Preview(instant, note))
        after = instant
    return shown


def _bound(trigger: Trigger, after: int) -> Trigger:
    """Return the trigger with its delay or phase counted from ``after``: asked twice it would start anew."""
    return trigger.bound(after, "UTC") if isinstance(trigger, (Interval, Once)) and is_storable(trigger) else trigger


@runtime_checkable
class _InMicroseconds(Protocol):
    def next_us(self, after: int) -> int | None: ...


def _next_of_own(trigger: Trigger, after: int) -> int | None:
    # A subclass of a built-in trigger inherits next_us, and may have overridden next_after alone: that one counts.
    if isinstance(trigger, _InMicroseconds) and not isinstance(trigger, BuiltIn):
        instant = trigger.next_us(after)
    else:
        instant = _instant_of(trigger, trigger.next_after(to_datetime(after)))
    if instant is not None and instant <= after:
        raise InvalidTrigger(
            f"{type(trigger).__name__} was asked for an instant later than {to_datetime(after)} and answered "
            f"{to_datetime(instant)}; the answer must always be later"
        )
    return instant


def _instant_of(trigger: Trigger, answer: object) -> int | None:
    if answer is None:
        return None
    if not isinstance(answer, datetime) or answer.utcoffset() is None:
        raise InvalidTrigger(
            f"{type(trigger).__name__}.next_after must return an aware datetime or None, not {answer!r}"
        )
    return from_datetime(answer)


def _latest_by_asking(trigger: Trigger, after: int, until: int) -> int | None:
    # Look back twice as far each time until there is an instant. None of them then lies in the later half,
    # which the look before has searched, so bisection over the earlier half finds the last.
    back = 1
    empty_from = until
    while True:
        start = max(after, until - back)
        found = next_instant(trigger, start)
        if found is not None and found <= until:
            break
        if start == after:
            return None
        empty_from = start
        back *= 2
    high = max(empty_from, found)
    while found < high:
        middle = (found + high) // 2
        later = next_instant(trigger, middle)
        if later is not None and later <= until:
            found = later
        else:
            high = middle
    return found
