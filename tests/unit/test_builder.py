"""The fluent words: any order, nothing shared, and what is wrong is refused when it is said."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asched import Backoff, Cron, Daily, Hourly, Interval, InvalidArgument, InvalidTrigger, Once, Scheduler, Weekly
from asched.builder import JobBuilder, Options
from asched.triggers import Trigger


async def work() -> None:
    """What the jobs of these tests would do."""


class Declared:
    """Takes declarations in the place of a scheduler."""

    def __init__(self) -> None:
        self.said: list[tuple[Trigger, Options, tuple[Any, ...], dict[str, Any]]] = []

    def __call__(
        self, func: Callable[..., Any], trigger: Trigger, options: Options, args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> str:  # fmt: skip
        self.said.append((trigger, options, args, kwargs))
        return f"id {len(self.said)}"


def declared(builder: JobBuilder) -> tuple[Trigger, Options]:
    """What a scheduler would be told when this builder is used."""
    taken = Declared()
    replace(builder, _declare=taken)(work)
    [(trigger, options, _, _)] = taken.said
    return trigger, options


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler()


TRIGGERS: list[tuple[Callable[[Scheduler], JobBuilder], Trigger]] = [
    (lambda s: s.every(30).seconds, Interval(seconds=30)),
    (lambda s: s.every(1).second, Interval(seconds=1)),
    (lambda s: s.every(5).minutes, Interval(minutes=5)),
    (lambda s: s.every(1).minute, Interval(minutes=1)),
    (lambda s: s.every(2).hours, Interval(hours=2)),
    (lambda s: s.every(1).hour, Interval(hours=1)),
    (lambda s: s.every(3).days, Interval(days=3)),
    (lambda s: s.every(1).day, Interval(days=1)),
    (lambda s: s.every(2).weeks, Interval(weeks=2)),
    (lambda s: s.every(1).week, Interval(weeks=1)),
    (lambda s: s.every(0.5).seconds, Interval(seconds=0.5)),
    (lambda s: s.hourly, Hourly(0)),
    (lambda s: s.hourly.at(":30"), Hourly(30)),
    (lambda s: s.daily, Daily("00:00")),
    (lambda s: s.daily.at("09:00"), Daily("09:00")),
    (lambda s: s.daily.at("09:00").timezone("America/New_York"), Daily("09:00", timezone="America/New_York")),
    (lambda s: s.daily.tz("America/New_York").at("09:00"), Daily("09:00", timezone="America/New_York")),
    (lambda s: s.daily.at("09:00", tz="America/New_York"), Daily("09:00", timezone="America/New_York")),
    (lambda s: s.weekly.monday.at("10:00"), Weekly(["mon"], "10:00")),
    (lambda s: s.weekly.at("10:00").monday.friday, Weekly(["mon", "fri"], "10:00")),
    (lambda s: s.weekly.tuesday.wednesday.thursday.sunday, Weekly([1, 2, 3, 6], "00:00")),
    (lambda s: s.weekly.weekdays.at("10:00"), Weekly([0, 1, 2, 3, 4], "10:00")),
    (lambda s: s.weekly.weekends.at("10:00"), Weekly([5, 6], "10:00")),
    (lambda s: s.weekly.on("mon", "Friday", 2).at("10:00"), Weekly([0, 2, 4], "10:00")),
    (lambda s: s.weekly.saturday.weekends.at("10:00"), Weekly([5, 6], "10:00")),
    (lambda s: s.cron("0 9 * * MON-FRI"), Cron("0 9 * * MON-FRI")),
    (lambda s: s.cron("0 9 * * *").timezone("Asia/Tokyo"), Cron("0 9 * * *", timezone="Asia/Tokyo")),
    (lambda s: s.cron("0 9 * * *", tz="Asia/Tokyo"), Cron("0 9 * * *", timezone="Asia/Tokyo")),
    (lambda s: s.once(60), Once(timedelta(seconds=60))),
    (lambda s: s.once(2).hours, Once(timedelta(hours=2))),
    (lambda s: s.once(0), Once(timedelta(0))),
    (lambda s: s.at("2027-01-01 00:00:00", tz="Europe/Paris"), Once("2027-01-01 00:00:00", timezone="Europe/Paris")),
    (lambda s: s.at(datetime(2027, 1, 1, tzinfo=UTC)), Once(datetime(2027, 1, 1, tzinfo=UTC))),
    (lambda s: s.trigger(Daily("09:00")), Daily("09:00")),
]


@pytest.mark.parametrize(("words", "expected"), TRIGGERS)
def test_words_make_the_trigger(
    words: Callable[[Scheduler], JobBuilder], expected: Trigger, scheduler: Scheduler
) -> None:
    trigger, _ = declared(words(scheduler))

    assert expected == trigger


STARTS = datetime(2026, 6, 1, tzinfo=UTC)
OPTIONS: list[tuple[Callable[[JobBuilder], JobBuilder], dict[str, Any]]] = [
    (lambda b: b.timeout(5), {"timeout": 5}),
    (lambda b: b.retries(2), {"max_retries": 2}),
    (lambda b: b.retries(2, backoff=Backoff(1), on=OSError, give_up_on=(KeyError,)),
     {"max_retries": 2, "backoff": Backoff(1), "on": (OSError,), "give_up_on": (KeyError,)}),
    (lambda b: b.catch_up("skip"), {"catch_up": "skip"}),
    (lambda b: b.catch_up("all", window=60), {"catch_up": "all", "catch_up_window": 60}),
    (lambda b: b.no_catch_up(), {"catch_up": "skip"}),
    (lambda b: b.overlap("queue"), {"overlap": "queue"}),
    (lambda b: b.on_crash("lost"), {"on_crash": "lost"}),
    (lambda b: b.jitter(5), {"jitter": 5}),
    (lambda b: b.group("g"), {"group": "g"}),
    (lambda b: b.named("n"), {"name": "n"}),
    (lambda b: b.id("i"), {"id": "i"}),
    (lambda b: b.aliases("old", "older"), {"aliases": ("old", "older")}),
    (lambda b: b.tags("a", "b"), {"tags": ("a", "b")}),
    (lambda b: b.paused(), {"paused": True}),
    (lambda b: b.starting(STARTS), {"starting": int(STARTS.timestamp()) * 1_000_000}),
    (lambda b: b.until(STARTS), {"until": int(STARTS.timestamp()) * 1_000_000}),
    (lambda b: b.max_runs(3), {"max_runs": 3}),
    (lambda b: b.in_process(), {"in_process": True}),
]  # fmt: skip


@pytest.mark.parametrize(("word", "expected"), OPTIONS)
@pytest.mark.parametrize("before", [True, False], ids=["before at()", "after at()"])
def test_each_word_is_said_before_or_after_at(
    word: Callable[[JobBuilder], JobBuilder], expected: dict[str, Any], before: bool, scheduler: Scheduler
) -> None:
    builder = word(scheduler.daily).at("09:00") if before else word(scheduler.daily.at("09:00"))
    trigger, options = declared(builder)

    assert Daily("09:00") == trigger
    assert expected == {name: getattr(options, name) for name in expected}


def test_words_come_in_any_order(scheduler: Scheduler) -> None:
    words: list[Callable[[JobBuilder], JobBuilder]] = [
        lambda b: b.at("09:00"), lambda b: b.tz("Asia/Tokyo"), lambda b: b.monday, lambda b: b.retries(1),
        lambda b: b.group("g"),
    ]  # fmt: skip
    made = set()
    for order in itertools.permutations(words):
        builder = scheduler.weekly
        for word in order:
            builder = word(builder)
        made.add(declared(builder))

    assert 1 == len(made)


def test_builder_is_immutable_and_may_be_the_start_of_several_jobs(scheduler: Scheduler) -> None:
    base = scheduler.daily.retries(1)
    first, second = base.at("09:00").tags("a"), base.at("10:00")

    assert (Daily("00:00"), Daily("09:00"), Daily("10:00")) == tuple(
        declared(builder)[0] for builder in (base, first, second)
    )
    assert ((), ("a",), ()) == tuple(declared(builder)[1].tags for builder in (base, first, second))
    with pytest.raises(FrozenInstanceError):
        base._time = "11:00"  # type: ignore[misc]  # the point of the test


WRONG: list[Callable[[Scheduler], object]] = [
    lambda s: s.every(0),
    lambda s: s.every(-1),
    lambda s: s.every(float("nan")),
    lambda s: s.every(True),
    lambda s: s.every("5"),  # type: ignore[arg-type]  # wrong on purpose
    lambda s: s.every(1e-9).seconds,
    lambda s: s.every(1e300).weeks,
    lambda s: s.every(5).minutes.seconds,
    lambda s: s.every(5).minutes.at("09:00"),
    lambda s: s.every(5).minutes.tz("Mars/Olympus"),
    lambda s: s.every(5).monday,
    lambda s: s.hourly.at("nine"),
    lambda s: s.hourly.at(":60"),
    lambda s: s.hourly.minutes,
    lambda s: s.daily.at("24:00"),
    lambda s: s.daily.at("9:0"),
    lambda s: s.daily.at("09:00\n"),
    lambda s: s.daily.tz("Mars/Olympus"),
    lambda s: s.daily.at("09:00", tz=""),
    lambda s: s.daily.friday,
    lambda s: s.weekly.at("25:00"),
    lambda s: s.weekly.on("noday"),
    lambda s: s.weekly.on(),
    lambda s: s.weekly.on(7),
    lambda s: s.weekly.tz("Mars/Olympus"),
    lambda s: s.cron("61 * * * *"),
    lambda s: s.cron("* * *"),
    lambda s: s.cron("0 0 30 2 *"),
    lambda s: s.cron("0 9 * * *", tz="Mars/Olympus"),
    lambda s: s.cron("0 9 * * *").at("09:00"),
    lambda s: s.once(-1),
    lambda s: s.once(float("inf")),
    lambda s: s.at("tomorrow"),
    lambda s: s.at("2027-01-01", tz="Mars/Olympus"),
    lambda s: s.at(5),  # type: ignore[arg-type]  # wrong on purpose
    lambda s: s.trigger("* * * * *"),  # type: ignore[arg-type]  # wrong on purpose
    lambda s: s.trigger(Daily("09:00")).tz("Asia/Tokyo"),
]


@pytest.mark.parametrize("words", WRONG)
def test_wrong_words_are_refused_when_they_are_said(words: Callable[[Scheduler], object], scheduler: Scheduler) -> None:
    with pytest.raises(InvalidTrigger):
        words(scheduler)


@pytest.mark.parametrize(
    "words",
    [
        lambda b: b.timeout(0), lambda b: b.retries(-1), lambda b: b.retries(1, backoff="x"), lambda b: b.overlap("x"),
        lambda b: b.catch_up("x"), lambda b: b.catch_up("all"), lambda b: b.on_crash("x"), lambda b: b.jitter(-1),
        lambda b: b.group(""), lambda b: b.named("\n"), lambda b: b.id(".."), lambda b: b.aliases("ok", ""),
        lambda b: b.tags(""), lambda b: b.starting("now"), lambda b: b.until(5), lambda b: b.max_runs(0),
    ],
)  # fmt: skip
def test_wrong_options_are_refused_when_they_are_said(
    words: Callable[[JobBuilder], object], scheduler: Scheduler
) -> None:
    with pytest.raises(InvalidArgument):
        words(scheduler.daily)


@pytest.mark.parametrize(
    ("builder", "advice"),
    [(lambda s: s.every(5), r"needs a unit: \.seconds"), (lambda s: s.weekly, r"weekly needs a day: weekly\.monday")],
)
def test_unfinished_sentence_is_refused_with_the_words_it_lacks(
    builder: Callable[[Scheduler], JobBuilder], advice: str, scheduler: Scheduler
) -> None:
    with pytest.raises(InvalidTrigger, match=advice):
        builder(scheduler)(work)


@pytest.mark.parametrize("thing", [None, 5, "work"])
def test_decorated_thing_must_be_callable(thing: Any, scheduler: Scheduler) -> None:
    with pytest.raises(InvalidArgument, match=r"\.do\(function\)"):
        scheduler.daily(thing)


def test_do_refuses_arguments_that_are_not_json_and_declares_nothing(scheduler: Scheduler) -> None:
    with pytest.raises(InvalidArgument, match=r"args\[0\]"):
        scheduler.daily.do(print, object())
    assert [] == scheduler.functions()


def test_window_of_the_scheduler_is_that_of_jobs_that_name_none() -> None:
    scheduler = Scheduler(catch_up_window=60)

    assert 60 == declared(scheduler.daily)[1].catch_up_window
    assert 60 == declared(scheduler.daily.catch_up("all"))[1].catch_up_window
    assert 5 == declared(scheduler.daily.catch_up("all", window=5))[1].catch_up_window
