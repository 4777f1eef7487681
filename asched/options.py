"""The words that describe a job, checked: what decorators, ``add_job``, ``update_job`` and HTTP requests share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from asched.errors import InvalidArgument, InvalidTrigger
from asched.instants import from_datetime
from asched.model import Backoff, CatchUp, JobSpec, OnCrash, Overlap, Policy
from asched.triggers import BuiltIn, Trigger

__all__ = [
    "check_count",
    "check_instant",
    "check_label",
    "check_seconds",
    "check_tags",
    "check_trigger",
    "choose",
    "fingerprint",
    "make_backoff",
    "make_policy",
]

E = TypeVar("E", bound=StrEnum)
_LABEL_LIMIT = 200
_TAGS_LIMIT = 50
_RETRIES_LIMIT = 1_000
# Ten years: longer is a unit mistaken for another, and it keeps sums of instants far from their end.
_SECONDS_LIMIT = 10 * 366 * 86_400.0

_policies: dict[tuple[object, ...], Policy] = {}
_POLICIES_KEPT = 10_000


def make_policy(
    timeout: float | timedelta | None,
    max_retries: int,
    backoff: object,
    overlap: str,
    catch_up: str,
    catch_up_window: float | timedelta | None,
    on_crash: str,
    jitter: float | timedelta,
    in_process: bool = False,
) -> Policy:
    """Return the one policy object for these words.

    Raises:
        InvalidArgument: One is wrong; ``field`` names it.
    """
    # The same few combinations come 100,000 times. The types are in the key because True == 1 == 1.0.
    key: tuple[object, ...] = (
        timeout, type(timeout), max_retries, type(max_retries), backoff, overlap, catch_up, catch_up_window,
        type(catch_up_window), on_crash, jitter, type(jitter), in_process, type(in_process),
    )  # fmt: skip
    try:
        policy = _policies.get(key)
    except TypeError:
        policy, key = None, ()
    if policy is not None:
        return policy
    policy = Policy(
        timeout=None if timeout is None else check_seconds(timeout, "timeout", above_zero=True),
        max_retries=check_count(max_retries, "max_retries", least=0, most=_RETRIES_LIMIT),
        backoff=make_backoff(backoff),
        overlap=choose(Overlap, overlap, "overlap"),
        catch_up=choose(CatchUp, catch_up, "catch_up"),
        catch_up_window=None if catch_up_window is None else check_seconds(catch_up_window, "catch_up_window"),
        on_crash=choose(OnCrash, on_crash, "on_crash"),
        jitter=check_seconds(jitter, "jitter"),
        in_process=_check_flag(in_process, "in_process"),
    ).interned()
    if policy.catch_up is CatchUp.ALL and policy.catch_up_window is None:
        raise InvalidArgument(
            "catch_up='all' needs catch_up_window, in seconds: how far back missed instants are replayed",
            field="catch_up_window",
        )
    if key and len(_policies) < _POLICIES_KEPT:
        _policies[key] = policy
    return policy


def make_backoff(value: object) -> Backoff:
    """Return the back-off for ``None`` (the default), seconds (always the same wait), or a :class:`Backoff`."""
    if value is None or value is ...:
        return Backoff()
    if isinstance(value, Backoff):
        first = check_seconds(value.first, "backoff.first")
        limit = check_seconds(value.limit, "backoff.limit")
        factor = value.factor
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 1 <= factor <= 1000:
            raise InvalidArgument(f"backoff.factor must be a number from 1 to 1000, not {factor!r}", field="backoff")
        return Backoff(first, float(factor), limit, _check_flag(value.jitter, "backoff.jitter"))
    if isinstance(value, int | float | timedelta):
        seconds = check_seconds(value, "backoff")
        return Backoff(seconds, 1.0, seconds, False)
    raise InvalidArgument(f"backoff must be seconds or an asched.Backoff, not {value!r}", field="backoff")


def check_seconds(value: object, field: str, *, above_zero: bool = False) -> float:
    """Return a duration as float seconds."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidArgument(f"{field} must be a number of seconds, not {value!r}", field=field)
    if not math.isfinite(value) or value < 0 or value > _SECONDS_LIMIT or (above_zero and value == 0):
        least = "more than 0" if above_zero else "0 or more"
        raise InvalidArgument(f"{field} must be {least} and at most ten years of seconds, not {value!r}", field=field)
    return float(value)


def check_count(value: object, field: str, *, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidArgument(f"{field} must be a whole number from {least} to {most:,}, not {value!r}", field=field)
    return value


def check_label(value: object, field: str) -> str:
    """Return an id, name, group or tag: 1 to 200 characters, no control characters, not ``.`` or ``..``."""
    # `isprintable` refuses what no path and no log line should hold: controls, line separators, lone surrogates.
    if isinstance(value, str) and 0 < len(value) <= _LABEL_LIMIT and value not in (".", ".."):
        if value.isprintable():
            return value
    shown = repr(value)
    raise InvalidArgument(
        f"{field} must be 1 to {_LABEL_LIMIT} printable characters and not '.' or '..', not "
        f"{shown if len(shown) <= 100 else shown[:97] + '...'}",
        field=field,
    )


def check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        raise InvalidArgument(f"tags must be a list of str, not {tags!r}", field="tags")
    kept = tuple(dict.fromkeys(check_label(tag, "tags") for tag in tags))
    if len(kept) > _TAGS_LIMIT:
        raise InvalidArgument(f"a job has at most {_TAGS_LIMIT} tags, not {len(kept)}", field="tags")
    return kept


def check_instant(value: object, field: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise InvalidArgument(f"{field} must be an aware datetime, not {value!r}", field=field)
    try:
        return from_datetime(value)
    except ValueError as error:
        raise InvalidArgument(f"{field}: {error}", field=field) from None


def check_trigger(trigger: object) -> Trigger:
    # A built-in one is known by its class; to look a protocol's methods up takes ten times as long.
    if isinstance(trigger, BuiltIn) or (isinstance(trigger, Trigger) and not isinstance(trigger, type)):
        return trigger
    raise InvalidTrigger(
        f"a trigger is wanted, such as Interval(minutes=5) or Cron('0 9 * * *'), not {trigger!r}", field="trigger"
    )


def choose(kind: type[E], value: object, field: str) -> E:
    try:
        return kind(value)  # type: ignore[arg-type]  # an Enum's own look-up refuses what it does not know
    except ValueError:
        words = ", ".join(repr(str(member)) for member in kind)
        raise InvalidArgument(f"{field} must be one of {words}, not {value!r}", field=field) from None


def fingerprint(spec: JobSpec, paused: bool, rule: Sequence[Callable[..., Any]]) -> str:
    """Return a digest of a declaration's words: equal as long as the code says the same.

    Function and id are not in it, so that an alias carries a job to its new name unchanged.
    """
    # Imported here: only programs that declare jobs need them, and importing asched stays light.
    import hashlib

    import orjson

    words = [
        spec.trigger.fingerprint(), spec.group, spec.tags, spec.policy.values(), spec.starting, spec.until,
        spec.max_runs, (spec.payload or b"").decode(), paused, [repr(error) for error in rule],
    ]  # fmt: skip
    return hashlib.sha256(orjson.dumps(words, default=list)).hexdigest()[:32]


def _check_flag(value: object, field: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidArgument(f"{field} must be True or False, not {value!r}", field=field)
    return value
