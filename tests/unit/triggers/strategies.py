"""Random cron expressions, each made together with its meaning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from hypothesis import strategies as st
from unit.triggers.oracle import any_of, month_dates, work_dates

_MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
_DAYS = "SUN MON TUE WED THU FRI SAT".split()


@dataclass(frozen=True)
class Expression:
    """A text and what it means."""

    text: str
    matches: Callable[[datetime], bool]
    follows_real_time: bool


@dataclass(frozen=True)
class _Numbers:
    text: str
    values: frozenset[int]


@dataclass(frozen=True)
class _Dates:
    text: str
    holds: Callable[[date], bool]

    @property
    def restricted(self) -> bool:
        return self.text[0] not in "*?"


def _cycle(start: int, end: int, low: int, high: int) -> list[int]:
    """Return the numbers met when counting from start to end, over the end of the field if need be."""
    numbers = [start]
    while numbers[-1] != end:
        numbers.append(low if numbers[-1] == high else numbers[-1] + 1)
    return numbers


@st.composite
def _part(draw: st.DrawFn, low: int, high: int, names: tuple[str, ...], long_steps: bool) -> _Numbers:
    def word(n: int) -> str:
        if names and draw(st.booleans()):
            return draw(st.sampled_from([names[n - low], names[n - low].lower()]))
        return draw(st.sampled_from([str(n), f"{n:02}"]))

    number = st.integers(low, high)
    step = draw(st.integers(1, 99 if long_steps else high - low + 1))
    match draw(st.sampled_from(["one", "range", "range/", "from/", "*/"])):
        case "one":
            n = draw(number)
            return _Numbers(word(n), frozenset({n}))
        case "range":
            a, b = draw(number), draw(number)
            return _Numbers(f"{word(a)}-{word(b)}", frozenset(_cycle(a, b, low, high)))
        case "range/":
            a, b = draw(number), draw(number)
            return _Numbers(f"{word(a)}-{word(b)}/{step}", frozenset(_cycle(a, b, low, high)[::step]))
        case "from/":
            a = draw(number)
            return _Numbers(f"{word(a)}/{step}", frozenset(range(a, high + 1, step)))
        case _:
            return _Numbers(f"*/{step}", frozenset(range(low, high + 1, step)))


def _numbers(low: int, high: int, *names: str, long_steps: bool = False) -> st.SearchStrategy[_Numbers]:
    parts = st.lists(_part(low, high, names, long_steps), min_size=1, max_size=3)
    several = parts.map(lambda ps: _Numbers(",".join(p.text for p in ps), frozenset().union(*(p.values for p in ps))))
    return st.one_of(st.just(_Numbers("*", frozenset(range(low, high + 1)))), several)


def _month_day(text: str) -> _Dates:
    if text == "L":
        return _Dates(text, lambda on: on == month_dates(on)[-1])
    if text == "LW":
        return _Dates(text, lambda on: on == work_dates(on)[-1])
    if text.startswith("L-"):
        back = int(text[2:])
        return _Dates(text, lambda on: on.day == len(month_dates(on)) - back)
    wanted = int(text[:-1])
    return _Dates(
        text,
        lambda on: wanted <= len(month_dates(on)) and on == min(work_dates(on), key=lambda d: abs(d.day - wanted)),
    )


def _weekday(text: str) -> _Dates:
    if "#" in text and not text.endswith("#L"):
        name, nth = text.split("#")
        number = _DAYS.index(name) if name in _DAYS else int(name) % 7
        return _Dates(
            text,
            lambda on: [d for d in month_dates(on) if d.isoweekday() % 7 == number][int(nth) - 1 : int(nth)] == [on],
        )
    name = text.removesuffix("#L").removesuffix("L")
    number = _DAYS.index(name) if name in _DAYS else int(name) % 7
    return _Dates(text, lambda on: [d for d in month_dates(on) if d.isoweekday() % 7 == number][-1] == on)


def _joined(several: list[_Dates]) -> _Dates:
    return _Dates(",".join(d.text for d in several), any_of([d.holds for d in several]))


_special_month_days = st.one_of(
    st.sampled_from(["L", "LW"]),
    st.integers(1, 30).map("L-{}".format),
    st.integers(1, 31).map("{}W".format),
).map(_month_day)

_special_weekdays = st.one_of(
    st.builds("{}#{}".format, st.one_of(st.sampled_from(_DAYS), st.integers(0, 7)), st.integers(1, 5)),
    st.builds("{}{}".format, st.one_of(st.sampled_from(_DAYS), st.integers(0, 7)), st.sampled_from(["L", "#L"])),
).map(_weekday)

_month_days = st.one_of(
    st.just(_Dates("*", lambda on: True)),
    st.just(_Dates("?", lambda on: True)),
    st.lists(
        st.one_of(
            _numbers(1, 31, long_steps=True).map(lambda n: _Dates(n.text, lambda on: on.day in n.values)),
            _special_month_days,
        ),
        min_size=1,
        max_size=2,
    ).map(_joined),
)

_weekdays = st.one_of(
    st.just(_Dates("*", lambda on: True)),
    st.just(_Dates("?", lambda on: True)),
    st.lists(
        st.one_of(
            _numbers(0, 6, *_DAYS, long_steps=True).map(
                lambda n: _Dates(n.text, lambda on: on.isoweekday() % 7 in n.values)
            ),
            _special_weekdays,
        ),
        min_size=1,
        max_size=2,
    ).map(_joined),
)

_every_date = st.just(
    (_Dates("*", lambda on: True), _Numbers("*", frozenset(range(1, 13))), _Dates("*", lambda on: True))
)


@st.composite
def expressions(draw: st.DrawFn, *, days: bool = True, times: bool = True, seconds: bool = False) -> Expression:
    """Make a cron expression; without ``days`` for every day, without ``times`` at midnight."""
    month_day, month, weekday = (
        draw(st.tuples(_month_days, _numbers(1, 12, *_MONTHS), _weekdays)) if days else draw(_every_date)
    )
    zero = st.just(_Numbers("0", frozenset({0})))
    second = draw(_numbers(0, 59) if seconds else zero)
    minute = draw(_numbers(0, 59) if times else zero)
    hour = draw(_numbers(0, 23) if times else zero)

    def on_day(on: date) -> bool:
        if on.month not in month.values:
            return False
        if month_day.restricted and weekday.restricted:
            return month_day.holds(on) or weekday.holds(on)
        return month_day.holds(on) and weekday.holds(on)

    def matches(wall: datetime) -> bool:
        return (
            wall.minute in minute.values
            and wall.hour in hour.values
            and wall.second in second.values
            and on_day(wall.date())
        )

    fields = [minute.text, hour.text, month_day.text, month.text, weekday.text]
    if seconds:
        fields.insert(0, second.text)
    starts = {minute.text[0], hour.text[0], second.text[0]}
    return Expression(" ".join(fields), matches, "*" in starts)
