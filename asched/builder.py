"""The fluent way to declare a job: ``scheduler.every(10).minutes``, ``scheduler.daily.at("09:00").tz("Asia/Tokyo")``.

One immutable class. Every word returns a new builder, so a builder can be kept and used as the start of several
jobs, and the words come in any order. What a word says is checked when it is said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, ParamSpec, Protocol, TypeVar

from asched.errors import InvalidArgument, InvalidTrigger
from asched.instants import SECOND
from asched.model import Policy
from asched.options import check_count, check_instant, check_label, check_tags, make_policy
from asched.retry import FAILURES
from asched.triggers import Cron, Daily, Hourly, Interval, Once, Trigger, Weekly
from asched.triggers.interval import duration
from asched.triggers.zones import canonical

__all__ = ["Declare", "JobBuilder", "Options"]

P = ParamSpec("P")
R = TypeVar("R")

_UNITS = ("seconds", "minutes", "hours", "days", "weeks")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ErrorClass = type[BaseException]


@dataclass(frozen=True, slots=True)
class Options:
    """What has been said about the job beside its trigger."""

    id: str | None = None
    name: str | None = None
    aliases: tuple[str, ...] = ()
    group: str = "default"
    tags: tuple[str, ...] = ()
    paused: bool = False
    starting: int | None = None
    until: int | None = None
    max_runs: int | None = None
    timeout: float | None = None
    max_retries: int = 3
    backoff: object = None
    overlap: str = "skip"
    catch_up: str = "latest"
    catch_up_window: float | None = None
    on_crash: str = "rerun"
    jitter: float = 0.0
    in_process: bool = False
    on: tuple[ErrorClass, ...] = FAILURES
    give_up_on: tuple[ErrorClass, ...] = ()

    def policy(self) -> Policy:
        return make_policy(
            self.timeout, self.max_retries, self.backoff, self.overlap, self.catch_up, self.catch_up_window,
            self.on_crash, self.jitter, self.in_process,
        )  # fmt: skip


class Declare(Protocol):
    """What the scheduler does with a finished declaration; returns the job's id."""

    def __call__(
        self,
        func: Callable[..., Any],
        trigger: Trigger,
        options: Options,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> str: ...


@dataclass(frozen=True, slots=True)
class JobBuilder:
    """A job about to be declared. Use it as a decorator, or call :meth:`do`."""

    _declare: Declare
    _window: float | None = None
    """The scheduler's catch-up window, for jobs that name none."""
    _kind: str = "every"
    _amount: float = 1
    _unit: str | None = None
    _time: str | None = None
    _days: tuple[int, ...] = ()
    _moment: datetime | str | None = None
    _expression: str = ""
    _own: Trigger | None = None
    _zone: str | None = None
    _options: Options = field(default_factory=Options)

    # Units and days

    @property
    def seconds(self) -> JobBuilder:
        return self._in("seconds")

    @property
    def minutes(self) -> JobBuilder:
        return self._in("minutes")

    @property
    def hours(self) -> JobBuilder:
        return self._in("hours")

    @property
    def days(self) -> JobBuilder:
        """Days of 86,400 seconds; for a time of day use ``daily``."""
        return self._in("days")

    @property
    def weeks(self) -> JobBuilder:
        return self._in("weeks")

    second, minute, hour, day, week = seconds, minutes, hours, days, weeks

    @property
    def monday(self) -> JobBuilder:
        return self._day(0)

    @property
    def tuesday(self) -> JobBuilder:
        return self._day(1)

    @property
    def wednesday(self) -> JobBuilder:
        return self._day(2)

    @property
    def thursday(self) -> JobBuilder:
        return self._day(3)

    @property
    def friday(self) -> JobBuilder:
        return self._day(4)

    @property
    def saturday(self) -> JobBuilder:
        return self._day(5)

    @property
    def sunday(self) -> JobBuilder:
        return self._day(6)

    @property
    def weekdays(self) -> JobBuilder:
        """Monday to Friday."""
        return self._day(0, 1, 2, 3, 4)

    @property
    def weekends(self) -> JobBuilder:
        return self._day(5, 6)

    def on(self, *days: str | int) -> JobBuilder:
        """Run on these days: names in English, or 0 for Monday to 6."""
        # Weekly knows the names; the time does not matter here.
        return self._day(*Weekly(days, "00:00").days)

    def at(self, time: str, *, tz: str | None = None) -> JobBuilder:
        """Run at this time of day, ``HH:MM`` or ``HH:MM:SS``; for ``hourly``, at this minute, ``:MM``."""
        if self._kind not in ("hourly", "daily", "weekly"):
            raise InvalidTrigger(f"at() belongs to hourly, daily and weekly, not to {self._kind}()", field="at")
        builder = replace(self, _time=time)
        return builder.timezone(tz) if tz is not None else builder._checked()

    def timezone(self, name: str) -> JobBuilder:
        """Read wall-clock times in this zone of the IANA database."""
        return replace(self, _zone=name)._checked()

    tz = timezone

    # Policies

    def timeout(self, seconds: float | timedelta) -> JobBuilder:
        """End an attempt that takes longer. A thread cannot be ended: it is left behind."""
        return self._with(timeout=seconds)

    def retries(
        self,
        n: int,
        *,
        backoff: object = None,
        on: ErrorClass | tuple[ErrorClass, ...] = FAILURES,
        give_up_on: ErrorClass | tuple[ErrorClass, ...] = (),
    ) -> JobBuilder:
        """Try at most ``n`` more times after a failure.

        Args:
            backoff: Seconds between attempts, or a :class:`~asched.Backoff`; by default 2, 4, 8 ... with full jitter.
            on: Errors worth another attempt.
            give_up_on: Errors that are not, though ``on`` admits them.
        """
        return self._with(
            max_retries=n, backoff=backoff, on=_errors(on, "on"), give_up_on=_errors(give_up_on, "give_up_on")
        )

    def catch_up(self, policy: str, *, window: float | timedelta | None = None) -> JobBuilder:
        """Say what becomes of instants missed while no scheduler ran: ``latest``, ``all`` or ``skip``."""
        window = self._window if window is None else window
        return self._with(catch_up=policy, catch_up_window=window)

    def no_catch_up(self) -> JobBuilder:
        return self._with(catch_up="skip")

    def overlap(self, policy: str) -> JobBuilder:
        """Say what happens while a run is active: ``skip``, ``queue``, ``cancel_running`` or ``allow``."""
        return self._with(overlap=policy)

    def on_crash(self, policy: str) -> JobBuilder:
        """Say what becomes of a run whose process died: ``rerun`` or ``lost``."""
        return self._with(on_crash=policy)

    def jitter(self, seconds: float | timedelta) -> JobBuilder:
        """Start each run up to this much later, drawn anew each time."""
        return self._with(jitter=seconds)

    def in_process(self) -> JobBuilder:
        """Run the function in a worker process, which a timeout can kill. It and its arguments are pickled.

        The timeout counts from the hand-over: starting the worker, the first time some tenths of a second, is in it.
        """
        return self._with(in_process=True)

    # Labels and bounds

    def group(self, name: str) -> JobBuilder:
        return self._with(group=check_label(name, "group"))

    def named(self, job_name: str) -> JobBuilder:
        return self._with(name=check_label(job_name, "name"))

    def id(self, job_id: str) -> JobBuilder:
        return self._with(id=check_label(job_id, "id"))

    def aliases(self, *old_ids: str) -> JobBuilder:
        """Take over the state and history of the job that had one of these ids."""
        return self._with(aliases=tuple(check_label(old, "aliases") for old in old_ids))

    def tags(self, *tags: str) -> JobBuilder:
        return self._with(tags=check_tags(tags))

    def paused(self) -> JobBuilder:
        """Begin paused."""
        return self._with(paused=True)

    def starting(self, moment: datetime) -> JobBuilder:
        """Have no run before this instant; it is included, and an interval counts from it."""
        return self._with(starting=check_instant(moment, "starting"))

    def until(self, moment: datetime) -> JobBuilder:
        """Have no run after this instant; it is included."""
        return self._with(until=check_instant(moment, "until"))

    def max_runs(self, n: int) -> JobBuilder:
        """Finish after this many planned runs have started."""
        return self._with(max_runs=check_count(n, "max_runs", least=1, most=2**31 - 1))

    # Declaring

    def __call__(self, func: Callable[P, R]) -> Callable[P, R]:
        """Declare the job, as a decorator; the function stays what it is."""
        if not callable(func):
            raise InvalidArgument(
                f"{func!r} is not callable: put the line above a function, or say .do(function)", field="func"
            )
        self._declare(func, self._trigger(), self._options, (), {})
        return func

    def do(self, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> str:
        """Declare the job with arguments and return its id."""
        return self._declare(func, self._trigger(), self._options, args, kwargs)

    def _in(self, unit: str) -> JobBuilder:
        if self._kind not in ("every", "once"):
            raise InvalidTrigger(f"{unit} belongs to every() and once(), not to {self._kind}", field=unit)
        if self._unit is not None and self._kind == "every":
            raise InvalidTrigger(f"the interval is in {self._unit} already; it has one unit", field=unit)
        return replace(self, _unit=unit)._checked()

    def _day(self, *days: int) -> JobBuilder:
        if self._kind != "weekly":
            raise InvalidTrigger(f"days of the week belong to weekly, not to {self._kind}", field="days")
        return replace(self, _days=tuple(sorted({*self._days, *days})))

    def _with(self, **said: Any) -> JobBuilder:
        options = replace(self._options, **said)
        options.policy()
        return replace(self, _options=options)

    def _checked(self) -> JobBuilder:
        """Find fault now and not when the job is declared; a trigger still incomplete is no fault."""
        if self._kind != "weekly" or self._days:
            if self._kind != "every" or self._unit is not None:
                self._trigger()
        else:
            Weekly((0,), self._time or "00:00", self._zone)
        return self

    def _trigger(self) -> Trigger:
        kind, zone = self._kind, self._zone
        if kind == "own":
            assert self._own is not None
            if zone is not None:
                raise InvalidTrigger("give the trigger its time zone itself: Daily('09:00', timezone=...)", field="tz")
            return self._own
        if kind == "cron":
            return Cron(self._expression, timezone=zone)
        if kind == "at":
            if self._moment is None:
                raise InvalidTrigger("at() needs a moment: a datetime, or text such as '2027-01-01 09:00'", field="at")
            return Once(self._moment, timezone=zone)
        if kind == "once":
            return Once(timedelta(seconds=_in_seconds(self._amount, self._unit or "seconds")), timezone=zone)
        if kind == "hourly":
            return Hourly(self._time or ":00", timezone=zone)
        if kind == "daily":
            return Daily(self._time or "00:00", timezone=zone)
        if kind == "weekly":
            if not self._days:
                raise InvalidTrigger("weekly needs a day: weekly.monday, .weekdays or .on('mon', 'fri')", field="days")
            return Weekly(self._days, self._time or "00:00", timezone=zone)
        if self._unit is None:
            raise InvalidTrigger(
                f"every({self._amount!r}) needs a unit: .seconds, .minutes, .hours, .days or .weeks", field="unit"
            )
        if zone is not None:
            # Elapsed time is the same everywhere; a zone that does not exist is a mistake all the same.
            canonical(zone)
        return Interval.of(duration(self._amount, self._unit), self._unit)


_SECONDS_IN = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400, "weeks": 604_800}


def _in_seconds(amount: object, unit: str) -> float:
    # The same rules and messages as an interval's, but that no wait at all is a wait as well.
    if amount == 0 and not isinstance(amount, bool):
        return 0.0
    return duration(amount, unit) / SECOND


def _errors(classes: object, field: str) -> tuple[ErrorClass, ...]:
    chosen = classes if isinstance(classes, tuple) else (classes,)
    for error in chosen:
        if not (isinstance(error, type) and issubclass(error, BaseException)):
            raise InvalidArgument(f"{field} must be exception classes, not {error!r}", field=field)
    return chosen
