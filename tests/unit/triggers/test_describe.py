"""What people read. A change of these sentences is a change of the dashboard."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from unit.triggers.strategies import Expression, expressions

from asched.errors import InvalidTrigger
from asched.triggers import BuiltIn, Cron, Daily, Hourly, Interval, Once, Weekly


@pytest.mark.parametrize(
    ("expression", "en", "zh"),
    [
        ("* * * * *", "Every minute", "每分钟"),
        ("*/5 * * * *", "Every 5 minutes", "每 5 分钟"),
        ("*/7 * * * *", "Every hour at minutes 0 to 56 in steps of 7", "每小时的第 0 至 56（间隔 7）分钟"),
        ("0 * * * *", "Every hour at :00", "每小时整点"),
        ("15,45 * * * *", "Every hour at :15 and :45", "每小时的第 15、45 分钟"),
        ("0 */2 * * *", "Every 2 hours at :00", "每 2 小时的第 0 分钟"),
        ("30 */5 * * *", "At minute 30 of hours 0 to 20 in steps of 5", "0 至 20（间隔 5）点的第 30 分钟"),
        ("30 2 * * *", "Every day at 02:30", "每天 02:30"),
        ("0 9,17 * * *", "Every day at 09:00 and 17:00", "每天 09:00、17:00"),
        ("0 9 * * MON-FRI", "Weekdays at 09:00", "周一至周五 09:00"),
        ("0 9 * * SAT,SUN", "Weekends at 09:00", "周末 09:00"),
        ("0 10 * * 1,3,5", "Every Monday, Wednesday and Friday at 10:00", "每周一、周三、周五 10:00"),
        ("0 0 1 * *", "On day 1 of every month at 00:00", "每月 1 日 00:00"),
        ("0 0 1,15 * *", "On days 1 and 15 of every month at 00:00", "每月 1、15 日 00:00"),
        ("0 0 L * *", "On the last day of every month at 00:00", "每月最后一天 00:00"),
        ("0 0 LW * *", "On the last weekday of every month at 00:00", "每月最后一个工作日 00:00"),
        ("0 0 L-2 * *", "On the last day but 2 of every month at 00:00", "每月倒数第 3 天 00:00"),
        ("0 0 L-1 * *", "On the last day but 1 of every month at 00:00", "每月倒数第 2 天 00:00"),
        ("0 0 15W * *", "On the weekday nearest to day 15 of every month at 00:00", "每月最接近 15 日的工作日 00:00"),
        ("0 0 * * 5L", "On the last Friday of every month at 00:00", "每月最后一个周五 00:00"),
        ("0 0 * * FRI#2", "On the second Friday of every month at 00:00", "每月第二个周五 00:00"),
        ("0 0 13 * FRI", "On day 13 of every month or on every Friday at 00:00", "每月 13 日或每周五 00:00"),
        (
            "0 0 */2 * MON",
            "On days 1 to 31 in steps of 2 of every month if it is a Monday at 00:00",
            "每月 1 至 31（间隔 2）日（且为周一）00:00",
        ),
        (
            "0 0 */100,1-7 * MON",
            "On days 1 to 7 of every month if it is a Monday at 00:00",
            "每月 1 至 7 日（且为周一）00:00",
        ),
        ("0 0 29 2 *", "On February 29 at 00:00", "每年 2 月 29 日 00:00"),
        ("0 0 1 1,7 *", "On day 1 of January and July at 00:00", "每年 1、7 月 1 日 00:00"),
        ("0 0 * 6-8 *", "Every day in June to August at 00:00", "每年 6 至 8 月的每天 00:00"),
        ("0 9 * 6-8 MON-FRI", "Weekdays in June to August at 09:00", "每年 6 至 8 月的周一至周五 09:00"),
        ("* * * * * *", "Every second", "每秒"),
        ("*/10 * * * * *", "Every 10 seconds", "每 10 秒"),
        ("30 * * * * *", "Every minute, at second 30", "每分钟的第 30 秒"),
        (
            "*/15 9-17 * * MON-FRI",
            "Every 15 minutes from 09:00 to 17:59, weekdays",
            "周一至周五，09:00 至 17:59 期间每 15 分钟",
        ),
        (
            "0 9-17 * * MON-FRI",
            "Every hour at :00 from 09:00 to 17:00, weekdays",
            "周一至周五，09:00 至 17:59 期间每小时整点",
        ),
        ("* 22-2 * * *", "Every minute of hours 0 to 2, 22 and 23", "0 至 2、22、23 点的每分钟"),
        (
            "*/15 9-17/2 * * *",
            "At minutes 0, 15, 30 and 45 of hours 9 to 17 in steps of 2",
            "9 至 17（间隔 2）点的第 0、15、30、45 分钟",
        ),
        ("5 4 3 2 1 *", "On January 2 at 03:04:05", "每年 1 月 2 日 03:04:05"),
        ("15 30 9 * * *", "Every day at 09:30:15", "每天 09:30:15"),
        (
            "0,10 1,2,3,4,5,6,7 * * *",
            "Every hour at :00 and :10 from 01:00 to 07:10",
            "01:00 至 07:59 期间每小时的第 0、10 分钟",
        ),
        ("*/15 * 1 * *", "Every 15 minutes, on day 1 of every month", "每月 1 日，每 15 分钟"),
        ("*/15 * * 1 *", "Every 15 minutes, every day in January", "每年 1 月的每天，每 15 分钟"),
        (
            "*/5 8-10,14-16 * * TUE",
            "Every 5 minutes from 08:00 to 10:59 and from 14:00 to 16:59, every Tuesday",
            "每周二，08:00 至 10:59、14:00 至 16:59 期间每 5 分钟",
        ),
        (
            "5-10 3 * * *",
            "Every day at 03:05, 03:06, 03:07, 03:08, 03:09 and 03:10",
            "每天 03:05、03:06、03:07、03:08、03:09、03:10",
        ),
        ("1-59/2 * * * *", "Every hour at minutes 1 to 59 in steps of 2", "每小时的第 1 至 59（间隔 2）分钟"),
        ("0 0 1-7 * *", "On days 1 to 7 of every month at 00:00", "每月 1 至 7 日 00:00"),
        ("@yearly", "On January 1 at 00:00", "每年 1 月 1 日 00:00"),
        ("0 0 L 2 *", "On the last day of February at 00:00", "每年 2 月最后一天 00:00"),
        (
            "0 0 1W,LW 3,6 *",
            "On the last weekday and the weekday nearest to day 1 of March and June at 00:00",
            "每年 3、6 月最后一个工作日、最接近 1 日的工作日 00:00",
        ),
        ("*/20 30 * * * *", "Every hour at minute 30, at seconds 0, 20 and 40", "每小时的第 30 分钟的第 0、20、40 秒"),
        ("0 0-23 * * *", "Every hour at :00 from 00:00 to 23:00", "00:00 至 23:59 期间每小时整点"),
        (
            "30 0 9 ? * MON#1,FRIL",
            "On the first Monday and the last Friday of every month at 09:00:30",
            "每月第一个周一、最后一个周五 09:00:30",
        ),
        ("0 0 1-31 * MON", "Every day at 00:00", "每天 00:00"),
        ("*/30 0 12 * * *", "At minute 0 of hour 12, at seconds 0 and 30", "12 点的第 0 分钟的第 0、30 秒"),
        (
            "0 9 15W * MON-FRI",
            "On the weekday nearest to day 15 of every month or on every weekday at 09:00",
            "每月最接近 15 日的工作日或周一至周五 09:00",
        ),
        ("10/20 * * * *", "Every hour at :10, :30 and :50", "每小时的第 10、30、50 分钟"),
    ],
)
def test_cron_in_words(expression: str, en: str, zh: str) -> None:
    assert Cron(expression).describe() == en
    assert Cron(expression).describe("zh") == zh


@pytest.mark.parametrize(
    ("trigger", "en", "zh"),
    [
        (Interval(seconds=1), "Every second", "每秒"),
        (Interval(seconds=30), "Every 30 seconds", "每 30 秒"),
        (Interval(seconds=90), "Every 90 seconds", "每 90 秒"),
        (Interval(minutes=1), "Every minute", "每分钟"),
        (Interval(hours=1), "Every hour", "每小时"),
        (Interval(days=1), "Every 24 hours", "每 24 小时"),
        (Interval(weeks=1), "Every 7 days", "每 7 天"),
        (Interval(seconds=0.5), "Every 500 milliseconds", "每 500 毫秒"),
        (Interval(seconds=1.5), "Every 1.5 seconds", "每 1.5 秒"),
        (Interval(seconds=1e-6), "Every microsecond", "每 1 微秒"),
        (Hourly(30), "Every hour at :30", "每小时的第 30 分钟"),
        (Hourly(0, "Asia/Kolkata"), "Every hour at :00 (Asia/Kolkata)", "每小时整点（Asia/Kolkata）"),
        (Daily("09:00"), "Every day at 09:00", "每天 09:00"),
        (Daily("09:00", "UTC"), "Every day at 09:00", "每天 09:00"),
        (Daily("09:00:30", "Asia/Tokyo"), "Every day at 09:00:30 (Asia/Tokyo)", "每天 09:00:30（Asia/Tokyo）"),
        (Weekly([0], "10:00"), "Every Monday at 10:00", "每周一 10:00"),
        (Weekly([0, 2, 4], "10:00"), "Every Monday, Wednesday and Friday at 10:00", "每周一、周三、周五 10:00"),
        (Weekly(range(5), "09:00", "Asia/Tokyo"), "Weekdays at 09:00 (Asia/Tokyo)", "周一至周五 09:00（Asia/Tokyo）"),
        (Weekly([5, 6], "09:00"), "Weekends at 09:00", "周末 09:00"),
        (Weekly(range(7), "09:00"), "Every day at 09:00", "每天 09:00"),
        (
            Once("2027-01-01", "Europe/Paris"),
            "Once at 2027-01-01 00:00 (Europe/Paris)",
            "仅一次：2027-01-01 00:00（Europe/Paris）",
        ),
        (Once("2027-01-01 00:00:05.5"), "Once at 2027-01-01 00:00:05.500000", "仅一次：2027-01-01 00:00:05.500000"),
        (
            Once("2027-01-01T00:00Z", "Asia/Tokyo"),
            "Once at 2027-01-01 09:00 (Asia/Tokyo)",
            "仅一次：2027-01-01 09:00（Asia/Tokyo）",
        ),
        (Once(datetime(2027, 1, 1, tzinfo=UTC)), "Once at 2027-01-01 00:00", "仅一次：2027-01-01 00:00"),
        (Once(timedelta(seconds=60)), "Once, after 1 minute", "1 分钟后执行一次"),
        (Once(timedelta(seconds=90)), "Once, after 90 seconds", "90 秒后执行一次"),
        (Once(timedelta(0)), "Once, at once", "立即执行一次"),
    ],
    ids=repr,
)
def test_triggers_in_words(trigger: BuiltIn, en: str, zh: str) -> None:
    assert trigger.describe() == trigger.describe("en") == en
    assert trigger.describe("zh") == zh


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(expressions(seconds=True))
def test_every_expression_has_a_line_in_both_languages(expression: Expression) -> None:
    try:
        trigger = Cron(expression.text, "Asia/Tokyo")
    except InvalidTrigger:
        return

    for line in (trigger.describe("en"), trigger.describe("zh")):
        assert line == line.strip()
        assert "\n" not in line
        assert "  " not in line
        assert "Asia/Tokyo" in line
    assert trigger.describe("zh").isascii() is False
    assert trigger.describe("en").isascii() is True


@pytest.mark.parametrize(
    "trigger", [Interval(seconds=1), Hourly(1), Daily("09:00"), Cron("@daily"), Once("2027-01-01")]
)
def test_a_language_without_descriptions_is_refused(trigger: BuiltIn) -> None:
    with pytest.raises(InvalidTrigger, match="'en' or 'zh'"):
        trigger.describe("fr")  # type: ignore[arg-type]


def test_a_one_shot_at_an_aware_time_is_shown_on_the_clock_of_its_zone() -> None:
    once = Once(datetime(2027, 7, 1, 9, tzinfo=ZoneInfo("America/New_York")))

    assert once.describe() == "Once at 2027-07-01 09:00 (America/New_York)"
