"""Cron expressions: five fields, or six with the seconds first. The guide has the dialect as a table.

Sources: Debian's crontab(5) and cron(8) for day-of-month OR day-of-week, the star rule and clock changes;
Quartz for L, W and #.
"""

from functools import lru_cache
from typing import NamedTuple

from asched.errors import InvalidTrigger
from asched.triggers.base import JSON, Lang, check_lang
from asched.triggers.describe import describe_cron
from asched.triggers.pattern import Days, MonthDays, Pattern, WeekDays, times
from asched.triggers.plan import plan
from asched.triggers.wallclock import WallClock, zone_name

__all__ = ["Cron", "Fields", "parse"]

_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_LONGEST = 1000


class Cron(WallClock):
    """When the wall clock of the zone matches a cron expression.

    An expression whose second, minute or hour starts with a star follows real time; any other has fixed
    times, each of which comes once a day (see the guide on clock changes).

    Args:
        expression: ``minute hour day-of-month month day-of-week``, the same with seconds in front, or a macro
            such as ``@daily``.
        timezone: Name of the zone; ``None`` is the scheduler's.

    Raises:
        InvalidTrigger: The expression is not understood or no date ever matches it, or there is no such zone.
    """

    __slots__ = ("expression",)
    type_name = "cron"

    expression: str
    """As it was given, with single spaces."""

    def __init__(self, expression: str, timezone: str | None = None) -> None:
        if not isinstance(expression, str):
            raise InvalidTrigger(f"a cron expression is a text, not {expression!r}", field="expression")
        if len(expression) > _LONGEST:
            raise InvalidTrigger(
                f"a cron expression has at most {_LONGEST} characters, not {len(expression)}",
                field="expression",
            )
        table = parse(" ".join(expression.split()))
        self._set("expression", table.expression)
        self._set("timezone", zone_name(timezone))
        self._set("_plan", plan(table.pattern, self.timezone, table.follows_real_time))

    def describe(self, lang: Lang = "en") -> str:
        check_lang(lang)
        return describe_cron(parse(self.expression).fields, self.timezone, lang)

    def to_json(self) -> dict[str, JSON]:
        return {"type": self.type_name, "expression": self.expression, "timezone": self.timezone}

    def _arguments(self) -> dict[str, object]:
        return self._in_zone({"expression": self.expression})

    def _identity(self) -> tuple[object, ...]:
        return self.expression, self.timezone


class MonthDay(NamedTuple):
    """A day of the month that is no plain number.

    ``kind`` is ``"L"`` (``number`` days before the last), ``"LW"`` (the last weekday) or ``"W"`` (the weekday
    nearest to day ``number``).
    """

    kind: str
    number: int


class NthDay(NamedTuple):
    """The nth such weekday of the month, Monday = 0; ``nth`` is 1 to 5, or -1 for the last."""

    weekday: int
    nth: int


class Fields(NamedTuple):
    """What an expression says, field by field; numbers are sorted, months from 1, weekdays from Monday = 0."""

    texts: tuple[str, str, str, str, str, str]
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    month_days: tuple[int, ...]
    special_month_days: tuple[MonthDay, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    special_weekdays: tuple[NthDay, ...]

    @property
    def any_month_day(self) -> bool:
        """Every day of the month will do."""
        return len(self.month_days) == 31

    @property
    def any_weekday(self) -> bool:
        """Every day of the week will do."""
        return len(self.weekdays) == 7

    @property
    def either_day(self) -> bool:
        """One of the two day fields is enough: neither starts with a star or is a question mark."""
        return self.texts[3][0] not in "*?" and self.texts[5][0] not in "*?"


class Table(NamedTuple):
    """A parsed expression, shared by all triggers that have it."""

    expression: str
    fields: Fields
    pattern: Pattern
    follows_real_time: bool


@lru_cache(maxsize=4096)
def parse(expression: str) -> Table:
    """Return the table of an expression whose parts are separated by single spaces.

    Raises:
        InvalidTrigger: It is not understood, or no date ever matches it.
    """
    texts = _split(expression)
    second, minute, hour, month_day, month, weekday = texts
    plain, special = _month_days(month_day)
    week_plain, week_special = _weekdays(weekday)
    fields = Fields(
        texts,
        _TimeField("second", 0, 59).read(second),
        _TimeField("minute", 0, 59).read(minute),
        _TimeField("hour", 0, 23).read(hour),
        plain,
        special,
        _TimeField("month", 1, 12, _MONTHS).read(month),
        week_plain,
        week_special,
    )
    pattern = Pattern(_days(fields), times(fields.hours, fields.minutes, fields.seconds))
    return Table(expression, fields, pattern, "*" in (second[0], minute[0], hour[0]))


def _split(expression: str) -> tuple[str, str, str, str, str, str]:
    if expression.startswith("@"):
        macro = expression.lower()
        if macro == "@reboot":
            raise _error("@reboot is no time; call the function when your program starts")
        if macro not in _MACROS:
            raise _error(f"there is no macro {expression!r}; there are {', '.join(_MACROS)}")
        expression = _MACROS[macro]
    texts = expression.upper().split(" ")
    if expression.upper().startswith(("TZ=", "CRON_TZ=")):
        raise _error("a zone does not belong into the expression; pass it as timezone=")
    if len(texts) == 7:
        raise _error(f"{expression!r} has 7 fields; there is none for years: use until, or a one-shot")
    if len(texts) == 5:
        texts.insert(0, "0")
    if len(texts) != 6 or not all(texts):
        raise _error(
            f"{expression!r} is not a cron expression; write 'minute hour day-of-month month day-of-week', "
            "or six fields with the second first"
        )
    return texts[0], texts[1], texts[2], texts[3], texts[4], texts[5]


class _TimeField(NamedTuple):
    """Reads a field of numbers: lists of ``*``, ``a``, ``a-b``, each with ``/step``."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    longest_step: int | None = None

    def read(self, text: str) -> tuple[int, ...]:
        return tuple(sorted({n for part in text.split(",") for n in self.part(part, text)}))

    def part(self, part: str, text: str) -> list[int]:
        body, slash, step_text = part.partition("/")
        step = self.step(step_text, text) if slash else 1
        if body == "*":
            return list(range(self.low, self.high + 1, step))
        start_text, dash, end_text = body.partition("-")
        start = self.number(start_text, text)
        last = end_text if dash else str(self.high) if slash else start_text
        end = self.number(last, text)
        if end < start:
            # A range over the end of the field goes on at its beginning: 22-2 is 22, 23, 0, 1, 2.
            size = self.high - self.low + 1
            return [(n - self.low) % size + self.low for n in range(start, end + size + 1, step)]
        return list(range(start, end + 1, step))

    def step(self, step_text: str, text: str) -> int:
        if not _is_number(step_text) or int(step_text) == 0:
            raise _error(f"{self.name} field {text!r}: a step is a number from 1, not {step_text!r}")
        step, longest = int(step_text), self.high - self.low + 1
        if self.longest_step is None and step > longest:
            remedy = f"use an interval of {step} {self.name}s" if self.name != "month" else "list the months"
            raise _error(f"{self.name} field {text!r}: a step of {step} is longer than the field; {remedy}")
        return step

    def number(self, word: str, text: str) -> int:
        if word in self.names:
            return self.names.index(word) + self.low
        if _is_number(word) and self.low <= int(word) <= self.high:
            return int(word)
        named = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        hint = ""
        if word[:3] in self.names and word.isalpha():
            hint = f"; names have three letters, write {word[:3]}"
        elif word == "?":
            hint = "; '?' belongs into the day fields, write '*'"
        raise _error(
            f"{self.name} field {text!r}: {word!r} is not a {self.name}, which is {self.low} to {self.high}"
            f"{named}{hint}"
        )


# A step over the whole of a day field is no mistake: `*/100,1-7 * MON` makes the field start with a star, and
# so asks for a day that is one of the first seven AND a Monday.
_MONTH_DAY = _TimeField("day-of-month", 1, 31, longest_step=_LONGEST)
_WEEKDAY = _TimeField("day-of-week", 0, 6, _WEEKDAYS, longest_step=_LONGEST)


def _month_days(text: str) -> tuple[tuple[int, ...], tuple[MonthDay, ...]]:
    if text == "?":
        text = "*"
    plain: set[int] = set()
    special: list[MonthDay] = []
    for part in text.split(","):
        if part == "L":
            special.append(MonthDay("L", 0))
        elif part == "LW":
            special.append(MonthDay("LW", 0))
        elif part.startswith("L-") and _is_number(part[2:]) and 1 <= int(part[2:]) <= 30:
            special.append(MonthDay("L", int(part[2:])))
        elif part.endswith("W") and _is_number(part[:-1]) and 1 <= int(part[:-1]) <= 31:
            special.append(MonthDay("W", int(part[:-1])))
        elif part[:1] == "L" or part[-1:] == "W":
            raise _error(
                f"day-of-month field {text!r}: {part!r} is not understood; there are L (last day), L-1 to L-30, "
                "LW (last weekday) and 1W to 31W (nearest weekday)"
            )
        else:
            plain.update(_MONTH_DAY.part(part, text))
    return tuple(sorted(plain)), tuple(sorted(set(special)))


def _weekdays(text: str) -> tuple[tuple[int, ...], tuple[NthDay, ...]]:
    if text == "?":
        text = "*"
    plain: set[int] = set()
    special: list[NthDay] = []
    for part in text.split(","):
        if "#" in part:
            day, _, nth = part.partition("#")
            if nth == "L":
                special.append(NthDay(_weekday(day, text), -1))
            elif nth in ("1", "2", "3", "4", "5"):
                special.append(NthDay(_weekday(day, text), int(nth)))
            else:
                raise _error(f"day-of-week field {text!r}: after # comes 1 to 5 or L, not {nth!r}")
        elif len(part) > 1 and part.endswith("L"):
            special.append(NthDay(_weekday(part[:-1], text), -1))
        elif part.startswith("L"):
            raise _error(f"day-of-week field {text!r}: say the last of which day, for example FRIL or 5L, not {part!r}")
        else:
            plain.update((n - 1) % 7 for n in _WEEKDAY.part(_sunday_in_range(part), text))
    return tuple(sorted(plain)), tuple(sorted(set(special)))


def _sunday_in_range(part: str) -> str:
    """Write the Sunday of a range or number as 0 where the field wants it so; 7 is Sunday as well."""
    body, slash, step = part.partition("/")
    start, dash, end = body.partition("-")
    start = "0" if start == "7" else start
    end = "0" if end == "7" else end
    # SUN-SUN and 0-7 are the whole week; as a wrapped range the two would be one day.
    if dash and start in ("0", "SUN") and body.endswith("7"):
        end = "6"
    return start + dash + end + slash + step


def _weekday(word: str, text: str) -> int:
    return (_WEEKDAY.number("0" if word == "7" else word, text) - 1) % 7


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _days(fields: Fields) -> Days:
    if not fields.special_month_days and fields.any_month_day and len(fields.months) == 12:
        if fields.any_weekday or fields.either_day:
            return WeekDays(frozenset(range(7)))
        if not fields.special_weekdays:
            return WeekDays(frozenset(fields.weekdays))

    def mask(first_weekday: int, length: int) -> int:
        by_month_day = _month_day_mask(fields, first_weekday, length)
        by_weekday = _weekday_mask(fields, first_weekday, length)
        return by_month_day | by_weekday if fields.either_day else by_month_day & by_weekday

    days = MonthDays(frozenset(fields.months), mask)
    if not days.ever():
        raise _error(
            f"no date ever matches {' '.join(fields.texts[3:])!r} (day-of-month, month, day-of-week); "
            "change one of the three"
        )
    return days


def _month_day_mask(fields: Fields, first_weekday: int, length: int) -> int:
    days = {day for day in fields.month_days if day <= length}
    for kind, number in fields.special_month_days:
        if kind == "L":
            days.add(length - number)
        elif kind == "LW":
            days.add(_nearest_weekday(length, first_weekday, length))
        elif number <= length:
            days.add(_nearest_weekday(number, first_weekday, length))
    return sum(1 << day - 1 for day in days if day > 0)


def _nearest_weekday(day: int, first_weekday: int, length: int) -> int:
    """Return the day from Monday to Friday nearest to this one in the same month."""
    weekday = (first_weekday + day - 1) % 7
    if weekday == 5:
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < length else day - 2
    return day


def _weekday_mask(fields: Fields, first_weekday: int, length: int) -> int:
    mask = 0
    for day in range(1, length + 1):
        weekday = (first_weekday + day - 1) % 7
        nth = (day - 1) // 7 + 1
        if (
            weekday in fields.weekdays
            or NthDay(weekday, nth) in fields.special_weekdays
            or (day + 7 > length and NthDay(weekday, -1) in fields.special_weekdays)
        ):
            mask |= 1 << day - 1
    return mask


def _error(message: str) -> InvalidTrigger:
    return InvalidTrigger(message, field="expression")
