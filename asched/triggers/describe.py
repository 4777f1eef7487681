"""Triggers in words, in English and Simplified Chinese. Tables and a few special cases; no locale is asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from asched.instants import DAY, HOUR, MINUTE, SECOND
from asched.triggers.base import Lang

if TYPE_CHECKING:
    from asched.triggers.cron import Fields, MonthDay, NthDay

__all__ = [
    "describe_cron",
    "describe_daily",
    "describe_delay",
    "describe_hourly",
    "describe_interval",
    "describe_once",
    "describe_weekly",
]

# Up to so many times of day are listed one by one; more are described by their fields.
_LISTED_TIMES = 6

# More numbers than this, equally far apart, are described by their step.
_LISTED_NUMBERS = 4

_WORK_DAYS = (0, 1, 2, 3, 4)
_WEEKEND = (5, 6)
_EVERY_DAY = tuple(range(7))

_EN_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ZH_DAYS = ("周一", "周二", "周三", "周四", "周五", "周六", "周日")
_EN_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_EN_NTH = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -1: "last"}
_ZH_NTH = {1: "第一个", 2: "第二个", 3: "第三个", 4: "第四个", 5: "第五个", -1: "最后一个"}

_EN_UNITS = ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second"))
_ZH_UNITS = ((DAY, "天"), (HOUR, "小时"), (MINUTE, "分钟"), (SECOND, "秒"))


def describe_interval(step: int, lang: Lang) -> str:
    """Describe an interval of ``step`` microseconds."""
    amount, unit = _length(step, lang)
    if lang == "zh":
        return f"每{unit}" if amount == "1" and unit in ("小时", "分钟", "秒") else f"每 {amount} {unit}"
    if amount == "1":
        return f"Every {unit}"
    return f"Every {amount} {unit}s"


def describe_delay(delay: int, lang: Lang) -> str:
    """Describe a one-shot that waits ``delay`` microseconds."""
    if delay == 0:
        return "立即执行一次" if lang == "zh" else "Once, at once"
    amount, unit = _length(delay, lang)
    if lang == "zh":
        return f"{amount} {unit}后执行一次"
    return f"Once, after {amount} {unit}{'' if amount == '1' else 's'}"


def describe_once(at: datetime, timezone: str | None, lang: Lang) -> str:
    """Describe a one-shot at a wall time."""
    shown = at.replace(tzinfo=None, fold=0)
    text = shown.isoformat(" ", "auto" if shown.second or shown.microsecond else "minutes")
    return (f"仅一次：{text}" if lang == "zh" else f"Once at {text}") + _zone(timezone, lang)


def describe_hourly(minute: int, timezone: str | None, lang: Lang) -> str:
    """Describe an hourly trigger."""
    text = _zh_each_hour((minute,)) if lang == "zh" else f"Every hour at :{minute:02}"
    return text + _zone(timezone, lang)


def describe_daily(time: str, timezone: str | None, lang: Lang) -> str:
    """Describe a daily trigger."""
    return (f"每天 {time}" if lang == "zh" else f"Every day at {time}") + _zone(timezone, lang)


def describe_weekly(days: Sequence[int], time: str, timezone: str | None, lang: Lang) -> str:
    """Describe a weekly trigger; Monday is 0."""
    text = f"{_zh_week(days)} {time}" if lang == "zh" else f"{_en_week(days)} at {time}"
    return text + _zone(timezone, lang)


def describe_cron(fields: Fields, timezone: str | None, lang: Lang) -> str:
    """Describe a cron expression."""
    # A full-width bracket brings its own space.
    text = _zh_cron(fields).replace("） ", "）") if lang == "zh" else _en_cron(fields)
    return text + _zone(timezone, lang)


def _zone(timezone: str | None, lang: Lang) -> str:
    if timezone is None or timezone == "UTC":
        return ""
    return f"（{timezone}）" if lang == "zh" else f" ({timezone})"


def _length(microseconds: int, lang: Lang) -> tuple[str, str]:
    """Return the amount and the unit, the largest one that needs no fraction."""
    # One day is shown as 24 hours: "every day" is what daily does.
    for size, unit in _ZH_UNITS if lang == "zh" else _EN_UNITS:
        if microseconds % size == 0 and microseconds > 0 and not (size == DAY and microseconds == DAY):
            return str(microseconds // size), unit
    if microseconds > SECOND:
        return f"{microseconds // SECOND}.{microseconds % SECOND:06}".rstrip("0"), "秒" if lang == "zh" else "second"
    if microseconds % 1000 == 0:
        return str(microseconds // 1000), "毫秒" if lang == "zh" else "millisecond"
    return str(microseconds), "微秒" if lang == "zh" else "microsecond"


def _en_list(words: Sequence[str], last: str = "and") -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return the numbers as ranges of neighbours; two neighbours are no range."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    spread: list[tuple[int, int]] = []
    for low, high in runs:
        spread += [(low, high)] if high - low > 1 else [(n, n) for n in range(low, high + 1)]
    return spread


def _en_week(days: Sequence[int]) -> str:
    days = tuple(days)
    if days == _EVERY_DAY:
        return "Every day"
    if days == _WORK_DAYS:
        return "Weekdays"
    if days == _WEEKEND:
        return "Weekends"
    return "Every " + _en_week_days(days)


def _en_week_days(days: Sequence[int], last: str = "and") -> str:
    if tuple(days) == _WORK_DAYS:
        return "weekday"
    return _en_list([_EN_DAYS[day] for day in days], last)


def _zh_week(days: Sequence[int]) -> str:
    days = tuple(days)
    if days == _EVERY_DAY:
        return "每天"
    if days == _WORK_DAYS:
        return "周一至周五"
    if days == _WEEKEND:
        return "周末"
    return "每" + "、".join(_ZH_DAYS[day] for day in days)


def _step(text: str, size: int) -> int | None:
    """Return n of a field ``*/n`` that divides its field, so that "every n" is true; 1 for a star."""
    if text == "*":
        return 1
    if text.startswith("*/") and text[2:].isdigit() and size % int(text[2:]) == 0:
        return int(text[2:])
    return None


def _moments(fields: Fields) -> list[str] | None:
    """Return the times of day as HH:MM, if they are few."""
    if len(fields.hours) * len(fields.minutes) * len(fields.seconds) > _LISTED_TIMES:
        return None
    return [
        f"{h:02}:{m:02}" + (f":{s:02}" if fields.seconds != (0,) else "")
        for h in fields.hours
        for m in fields.minutes
        for s in fields.seconds
    ]


def _en_cron(fields: Fields) -> str:
    days = _en_days(fields)
    moments = None if _stars(fields) else _moments(fields)
    if moments is not None:
        return f"{days or 'Every day'} at {_en_list(moments)}"
    often = _en_often(fields)
    return f"{often}, {days[0].lower() + days[1:] if not days.startswith(_PROPER) else days}" if days else often


_PROPER = (*_EN_DAYS, *_EN_MONTHS)


def _stars(fields: Fields) -> bool:
    return "*" in (fields.texts[0][0], fields.texts[1][0], fields.texts[2][0])


def _en_often(fields: Fields) -> str:
    second, minute, hour = fields.texts[:3]
    hours = _hour_ranges(fields)
    within = "" if hour == "*" else f" {_en_list([f'from {a} to {b}' for a, b in hours])}" if hours else None
    every_second, every_minute, every_hour = _step(second, 60), _step(minute, 60), _step(hour, 24)
    if within is not None:
        if every_second and minute == "*":
            return ("Every second" if every_second == 1 else f"Every {every_second} seconds") + within
        if fields.seconds == (0,) and every_minute:
            return ("Every minute" if every_minute == 1 else f"Every {every_minute} minutes") + within
    if fields.seconds == (0,) and minute[0] != "*":
        few = len(fields.minutes) <= _LISTED_TIMES
        at = _en_list([f":{m:02}" for m in fields.minutes]) if few else f"minutes {_en_numbers(fields.minutes)}"
        if every_hour and every_hour > 1:
            return f"Every {every_hour} hours at {at}"
        if within is not None:
            return f"Every hour at {at}" + (
                ""
                if hour == "*"
                else f" {_en_list([f'from {a} to {b[:2]}:{fields.minutes[-1]:02}' for a, b in hours])}"
            )
    if minute == "*":
        text = "Every minute"
    else:
        text = f"{'Every hour at' if hour == '*' else 'At'} {_en_plural('minute', fields.minutes)}"
    if hour != "*":
        text += f" of {_en_plural('hour', fields.hours)}"
    if second == "*":
        return f"{text}, every second"
    return text if fields.seconds == (0,) else f"{text}, at {_en_plural('second', fields.seconds)}"


def _en_plural(word: str, numbers: Sequence[int]) -> str:
    return f"{word}{'s' if len(numbers) > 1 else ''} {_en_numbers(numbers)}"


def _hour_ranges(fields: Fields) -> list[tuple[str, str]]:
    """Return the hours as spans from the first to the last minute, where they are at most two ranges."""
    runs = _runs(fields.hours)
    if len(runs) > 2 or (fields.texts[2][0] == "*" and fields.texts[2] != "*"):
        return []
    return [(f"{low:02}:00", f"{high:02}:59") for low, high in runs]


def _steps(numbers: Sequence[int]) -> int | None:
    """Return the step of numbers that are equally far apart, if naming it is shorter than listing them."""
    steps = {high - low for low, high in pairwise(numbers)}
    return steps.pop() if len(numbers) > _LISTED_NUMBERS and len(steps) == 1 and 1 not in steps else None


def _en_numbers(numbers: Sequence[int]) -> str:
    step = _steps(numbers)
    if step is not None:
        return f"{numbers[0]} to {numbers[-1]} in steps of {step}"
    return _en_list([str(low) if low == high else f"{low} to {high}" for low, high in _runs(numbers)])


def _en_days(fields: Fields) -> str:
    """Return the days with a capital, empty for every day."""
    months = fields.months
    any_day, any_weekday = fields.any_month_day, fields.any_weekday
    if fields.either_day:
        any_day = any_weekday = any_day or any_weekday
    of = "every month" if len(months) == 12 else _en_list([_EN_MONTHS[m - 1] for m in months])
    if any_day and any_weekday:
        return "" if len(months) == 12 else f"Every day in {_en_months(months)}"
    if any_day:
        if fields.special_weekdays:
            return f"On {_en_weekday_field(fields)} of {of}"
        return _en_week(fields.weekdays) + ("" if len(months) == 12 else f" in {_en_months(months)}")
    if any_weekday:
        if len(months) == 1 and not fields.special_month_days:
            return f"On {_EN_MONTHS[months[0] - 1]} {_en_numbers(fields.month_days)}"
        return f"On {_en_month_days(fields)} of {of}"
    if fields.either_day:
        return f"On {_en_month_days(fields)} of {of} or {_en_weekday_field(fields, 'on every')}"
    return f"On {_en_month_days(fields)} of {of} if it is {_en_weekday_field(fields, 'a')}"


def _en_months(months: Sequence[int]) -> str:
    return _en_list(
        [
            _EN_MONTHS[low - 1] if low == high else f"{_EN_MONTHS[low - 1]} to {_EN_MONTHS[high - 1]}"
            for low, high in _runs(months)
        ]
    )


def _en_month_days(fields: Fields) -> str:
    words = []
    if fields.month_days:
        several = "s" if len(fields.month_days) > 1 else ""
        words.append(f"day{several} {_en_numbers(fields.month_days)}")
    words += [_en_special(day) for day in fields.special_month_days]
    return _en_list(words)


def _en_special(day: MonthDay) -> str:
    if day.kind == "LW":
        return "the last weekday"
    if day.kind == "W":
        return f"the weekday nearest to day {day.number}"
    if day.number == 0:
        return "the last day"
    return f"the last day but {day.number}"


def _en_weekday_field(fields: Fields, article: str = "every") -> str:
    words = [f"the {_en_nth(day)}" for day in fields.special_weekdays]
    if fields.weekdays:
        words.insert(0, f"{article} {_en_week_days(fields.weekdays, 'or' if article == 'a' else 'and')}")
    return _en_list(words, "or" if article == "a" else "and")


def _en_nth(day: NthDay) -> str:
    return f"{_EN_NTH[day.nth]} {_EN_DAYS[day.weekday]}"


def _zh_cron(fields: Fields) -> str:
    days = _zh_days(fields)
    moments = None if _stars(fields) else _moments(fields)
    if moments is not None:
        return f"{days or '每天'} {'、'.join(moments)}"
    often = _zh_often(fields)
    return f"{days}，{often}" if days else often


def _zh_each_hour(minutes: Sequence[int]) -> str:
    if tuple(minutes) == (0,):
        return "每小时整点"
    return f"每小时的第 {_zh_numbers(minutes)} 分钟"


def _zh_often(fields: Fields) -> str:
    second, minute, hour = fields.texts[:3]
    hours = _hour_ranges(fields)
    within = "" if hour == "*" else "、".join(f"{a} 至 {b}" for a, b in hours) + " 期间" if hours else None
    every_second, every_minute, every_hour = _step(second, 60), _step(minute, 60), _step(hour, 24)
    if within is not None:
        if every_second and minute == "*":
            return within + ("每秒" if every_second == 1 else f"每 {every_second} 秒")
        if fields.seconds == (0,) and every_minute:
            return within + ("每分钟" if every_minute == 1 else f"每 {every_minute} 分钟")
    if fields.seconds == (0,) and minute[0] != "*":
        if every_hour and every_hour > 1:
            return f"每 {every_hour} 小时的第 {_zh_numbers(fields.minutes)} 分钟"
        if within is not None:
            return within + _zh_each_hour(fields.minutes)
    text = ("" if minute == "*" else "每小时的") if hour == "*" else f"{_zh_numbers(fields.hours)} 点的"
    text += "每分钟" if minute == "*" else f"第 {_zh_numbers(fields.minutes)} 分钟"
    if fields.seconds != (0,):
        text += "的每一秒" if second == "*" else f"的第 {_zh_numbers(fields.seconds)} 秒"
    return text


def _zh_numbers(numbers: Sequence[int]) -> str:
    step = _steps(numbers)
    if step is not None:
        return f"{numbers[0]} 至 {numbers[-1]}（间隔 {step}）"
    return "、".join(str(low) if low == high else f"{low} 至 {high}" for low, high in _runs(numbers))


def _zh_days(fields: Fields) -> str:
    """Return the days, empty for every day."""
    months = fields.months
    any_day, any_weekday = fields.any_month_day, fields.any_weekday
    if fields.either_day:
        any_day = any_weekday = any_day or any_weekday
    of = "每月" if len(months) == 12 else f"每年 {_zh_numbers(months)} 月"
    if any_day and any_weekday:
        return "" if len(months) == 12 else f"{of}的每天"
    if any_day:
        if fields.special_weekdays:
            return f"{of}{_zh_weekday_field(fields)}"
        return _zh_week(fields.weekdays) if len(months) == 12 else f"{of}的{_zh_week(fields.weekdays)}"
    days = of + _zh_month_days(fields)
    if any_weekday:
        return days
    if fields.either_day:
        return f"{days}或{_zh_weekday_field(fields)}"
    return f"{days}（且为{_zh_weekday_field(fields, '')}）"


def _zh_month_days(fields: Fields) -> str:
    words = [f" {_zh_numbers(fields.month_days)} 日"] if fields.month_days else []
    words += [_zh_special(day) for day in fields.special_month_days]
    return "、".join(words)


def _zh_special(day: MonthDay) -> str:
    if day.kind == "LW":
        return "最后一个工作日"
    if day.kind == "W":
        return f"最接近 {day.number} 日的工作日"
    return "最后一天" if day.number == 0 else f"倒数第 {day.number + 1} 天"


def _zh_weekday_field(fields: Fields, every: str = "每") -> str:
    words = []
    if fields.weekdays == _WORK_DAYS:
        words = ["周一至周五"]
    elif fields.weekdays:
        words = [every + "、".join(_ZH_DAYS[day] for day in fields.weekdays)]
    words += [f"{_ZH_NTH[day.nth]}{_ZH_DAYS[day.weekday]}" for day in fields.special_weekdays]
    return "、".join(words)
