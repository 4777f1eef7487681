"""The dialect: what is accepted, what it means, what is refused and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from asched.errors import InvalidTrigger
from asched.triggers import Cron


def _next(expression: str, after: str, n: int = 1) -> list[str]:
    trigger, moment = Cron(expression), datetime.fromisoformat(after).replace(tzinfo=UTC)
    found = []
    for _ in range(n):
        following = trigger.next_after(moment)
        assert following is not None
        moment = following
        found.append(f"{moment:%Y-%m-%d %H:%M:%S}".removesuffix(":00"))
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("30 9 * * *", ["2026-01-01 09:30", "2026-01-02 09:30"]),
        ("15 30 9 * * *", ["2026-01-01 09:30:15", "2026-01-02 09:30:15"]),
        ("  0   9\t* * *\n", ["2026-01-01 09:00"]),
        ("0 22-2 * * *", ["2026-01-01 01:00", "2026-01-01 02:00", "2026-01-01 22:00", "2026-01-01 23:00"]),
        (
            "0 0 * * FRI-MON",
            ["2026-01-02 00:00", "2026-01-03 00:00", "2026-01-04 00:00", "2026-01-05 00:00", "2026-01-09 00:00"],
        ),
        ("0 0 * * fri-sun", ["2026-01-02 00:00", "2026-01-03 00:00", "2026-01-04 00:00", "2026-01-09 00:00"]),
        ("0 0 * * SUN-TUE", ["2026-01-04 00:00", "2026-01-05 00:00", "2026-01-06 00:00", "2026-01-11 00:00"]),
        ("0 0 * * 5-7", ["2026-01-02 00:00", "2026-01-03 00:00", "2026-01-04 00:00", "2026-01-09 00:00"]),
        ("0 0 * * 0-7", ["2026-01-02 00:00", "2026-01-03 00:00"]),
        ("0 0 * * 7", ["2026-01-04 00:00", "2026-01-11 00:00"]),
        ("0 0 * * 0", ["2026-01-04 00:00", "2026-01-11 00:00"]),
        ("0 0 * * MON/2", ["2026-01-02 00:00", "2026-01-05 00:00", "2026-01-07 00:00"]),
        ("0 0 * * 7-1", ["2026-01-04 00:00", "2026-01-05 00:00", "2026-01-11 00:00"]),
        ("0 0 1 NOV-FEB *", ["2026-02-01 00:00", "2026-11-01 00:00", "2026-12-01 00:00", "2027-01-01 00:00"]),
        ("5/20 0 * * *", ["2026-01-01 00:05", "2026-01-01 00:25", "2026-01-01 00:45", "2026-01-02 00:05"]),
        ("0 0 L * *", ["2026-01-31 00:00", "2026-02-28 00:00"]),
        ("0 0 L-2 * ?", ["2026-01-29 00:00", "2026-02-26 00:00"]),
        ("0 0 L-30 * ?", ["2026-03-01 00:00", "2026-05-01 00:00"]),
        ("0 0 LW * *", ["2026-01-30 00:00", "2026-02-27 00:00", "2026-03-31 00:00"]),
        ("0 0 1W * *", ["2026-02-02 00:00", "2026-03-02 00:00", "2026-04-01 00:00"]),
        ("0 0 15W * *", ["2026-01-15 00:00", "2026-02-16 00:00", "2026-03-16 00:00"]),
        ("0 0 31W * *", ["2026-01-30 00:00", "2026-03-31 00:00", "2026-05-29 00:00"]),
        ("0 0 1,15W * *", ["2026-01-15 00:00", "2026-02-01 00:00", "2026-02-16 00:00"]),
        ("0 0 * * 5L", ["2026-01-30 00:00", "2026-02-27 00:00"]),
        ("0 0 * * FRIL", ["2026-01-30 00:00", "2026-02-27 00:00"]),
        ("0 0 * * FRI#L", ["2026-01-30 00:00", "2026-02-27 00:00"]),
        ("0 0 ? * FRI#2", ["2026-01-09 00:00", "2026-02-13 00:00"]),
        ("0 0 * * 5,6#3", ["2026-01-02 00:00", "2026-01-09 00:00", "2026-01-16 00:00", "2026-01-17 00:00"]),
        ("0 0 * * 1#5", ["2026-03-30 00:00", "2026-06-29 00:00"]),
        ("0 0 13 * FRI", ["2026-01-02 00:00", "2026-01-09 00:00", "2026-01-13 00:00", "2026-01-16 00:00"]),
        ("0 0 */2 * MON", ["2026-01-05 00:00", "2026-01-19 00:00", "2026-02-09 00:00"]),
        ("0 0 */100,1-7 * MON", ["2026-01-05 00:00", "2026-02-02 00:00", "2026-03-02 00:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        ("@yearly", ["2027-01-01 00:00"]),
        ("@annually", ["2027-01-01 00:00"]),
        ("@monthly", ["2026-02-01 00:00"]),
        ("@Weekly", ["2026-01-04 00:00"]),
        ("@daily", ["2026-01-02 00:00"]),
        ("@midnight", ["2026-01-02 00:00"]),
        ("@hourly", ["2026-01-01 01:00", "2026-01-01 02:00"]),
        ("*/60 * * * *", ["2026-01-01 01:00", "2026-01-01 02:00"]),
    ],
)
def test_the_dialect(expression: str, expected: list[str]) -> None:
    assert _next(expression, "2026-01-01T00:00:00", len(expected)) == expected


def test_a_leap_day_on_a_weekday_is_awaited_over_a_century() -> None:
    assert _next("0 0 29 2 */7", "2088-02-29T00:00:00") == ["2128-02-29 00:00"]


@pytest.mark.parametrize(
    ("expression", "remedy"),
    [
        ("", "minute hour day-of-month month day-of-week"),
        ("* * * *", "minute hour day-of-month month day-of-week"),
        ("0 0 0 1 1 * 2027", "there is none for years"),
        ("@reboot", "call the function when your program starts"),
        ("@fortnightly", "@weekly"),
        ("TZ=UTC 0 0 * * *", "timezone="),
        ("60 * * * *", "0 to 59"),
        ("60 * * * * *", "0 to 59"),
        ("* 24 * * *", "0 to 23"),
        ("* * 0 * *", "1 to 31"),
        ("* * 32 * *", "1 to 31"),
        ("* * * 13 *", "1 to 12 or JAN to DEC"),
        ("* * * * 8", "0 to 6 or SUN to SAT"),
        ("* * * JANUARY *", "write JAN"),
        ("* * * * Monday", "write MON"),
        ("*/61 * * * *", "interval of 61 minutes"),
        ("*/90 * * * *", "interval of 90 minutes"),
        ("0 */25 * * *", "interval of 25 hours"),
        ("0 0 1 */13 *", "list the months"),
        ("*/0 * * * *", "from 1"),
        ("*/x * * * *", "from 1"),
        ("*/ * * * *", "from 1"),
        ("? * * * *", "write '*'"),
        ("* ? * * *", "write '*'"),
        ("-1 * * * *", "0 to 59"),
        ("1,,2 * * * *", "0 to 59"),
        ("1- * * * *", "0 to 59"),
        ("1-2-3 * * * *", "0 to 59"),
        ("H * * * *", "0 to 59"),
        ("٣ * * * *", "0 to 59"),
        ("1.5 * * * *", "0 to 59"),
        ("0 0 L-0 * *", "L-1 to L-30"),
        ("0 0 L-31 * *", "L-1 to L-30"),
        ("0 0 L5 * *", "L-1 to L-30"),
        ("0 0 0W * *", "1W to 31W"),
        ("0 0 W * *", "1W to 31W"),
        ("0 0 * * L", "FRIL or 5L"),
        ("0 0 * * L5", "FRIL or 5L"),
        ("0 0 * * FRI#6", "1 to 5 or L"),
        ("0 0 * * FRI#0", "1 to 5 or L"),
        ("0 0 * * 9#1", "0 to 6"),
        ("0 0 * * #1", "0 to 6"),
        ("0 0 30 2 *", "no date ever matches"),
        ("0 0 31 4,6,9,11 *", "no date ever matches"),
        ("0 0 30W 2 *", "no date ever matches"),
        ("0 0 L-30 2 *", "no date ever matches"),
        ("0 0 */100 * MON#2", "no date ever matches"),
        ("0 0 * 2 " + "1," * 600 + "1", "1000 characters"),
        ("9" * 900 + " * * * *", "0 to 59"),
    ],
)
def test_what_is_not_understood_or_never_comes_is_refused(expression: str, remedy: str) -> None:
    with pytest.raises(InvalidTrigger) as refusal:
        Cron(expression)

    assert refusal.value.field == "expression"
    assert remedy in str(refusal.value)


@pytest.mark.parametrize("expression", [None, 5, b"* * * * *", ["*"] * 5])
def test_an_expression_is_a_text(expression: object) -> None:
    with pytest.raises(InvalidTrigger, match="a text"):
        Cron(expression)  # type: ignore[arg-type]


def test_triggers_that_say_the_same_share_their_tables() -> None:
    first, second = Cron("0 9 * * 1-5", "Asia/Tokyo"), Cron(" 0 9 * * 1-5", "asia/tokyo")

    assert first._plan is second._plan


def test_fixed_hours_with_a_range_run_once_in_a_fold_and_wildcards_twice() -> None:
    start = datetime(2026, 11, 1, 4, tzinfo=UTC)

    def runs(expression: str) -> int:
        trigger, moment, count = Cron(expression, "America/New_York"), start, -1
        while moment < start + timedelta(hours=4):
            following = trigger.next_after(moment)
            assert following is not None
            moment = following
            count += 1
        return count

    assert runs("30 0-3 * * *") == 3
    assert runs("30 * * * *") == 4
