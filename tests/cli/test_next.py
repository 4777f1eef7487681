"""``asched next``: a cron expression in words and instants."""

from __future__ import annotations

import subprocess
import sys


def test_next_shows_words_local_times_and_utc(asched) -> None:
    done = asched("next", "0 9 * * MON-FRI", "--tz", "Asia/Tokyo", "-n", "2", "--after", "2026-11-27")

    assert 0 == done.returncode
    assert [
        "Weekdays at 09:00 (Asia/Tokyo)",
        "  Mon 2026-11-30 09:00:00 +09:00   2026-11-30 00:00:00 UTC",
        "  Tue 2026-12-01 09:00:00 +09:00   2026-12-01 00:00:00 UTC",
    ] == done.stdout.splitlines()


def test_next_in_utc_says_each_instant_once(asched) -> None:
    done = asched("next", "@daily", "-n", "1", "--after", "2026-01-01T12:00")

    assert ["Every day at 00:00 (UTC)", "  Fri 2026-01-02 00:00:00 +00:00"] == done.stdout.splitlines()


def test_next_shows_five_instants_after_now_unless_told_otherwise(asched) -> None:
    assert 6 == len(asched("next", "* * * * *").stdout.splitlines())


def test_next_says_where_the_clock_skips_the_time(asched) -> None:
    lines = asched(
        "next", "30 2 * * *", "--tz", "Europe/Berlin", "-n", "2", "--after", "2026-03-28"
    ).stdout.splitlines()

    assert lines[1].endswith("01:30:00 UTC")
    assert lines[2] == (
        "  Sun 2026-03-29 03:00:00 +02:00   2026-03-29 01:00:00 UTC   "
        "the clock skips the time asked for; this is the end of the gap"
    )


def test_next_tells_both_passes_of_a_repeated_hour_apart(asched) -> None:
    lines = asched("next", "*/30 * * * *", "--tz", "Europe/Berlin", "-n", "5", "--after", "2026-10-24T23:45").stdout

    assert ["first time", "first time", "second time", "second time", "UTC"] == [
        next(word for word in ("first time", "second time", "UTC") if line.endswith(word))
        for line in lines.splitlines()[1:]
    ]


def test_next_says_what_is_wrong_with_an_expression(asched) -> None:
    done = asched("next", "61 * * * *")

    assert (2, "") == (done.returncode, done.stdout)
    assert "asched: minute field '61': '61' is not a minute, which is 0 to 59\n" == done.stderr


def test_next_suggests_a_zone_for_one_that_does_not_exist(asched) -> None:
    done = asched("next", "@daily", "--tz", "Asia/Tokio")

    assert 2 == done.returncode
    assert "did you mean 'Asia/Tokyo'" in done.stderr


def test_next_refuses_an_instant_that_is_none(asched) -> None:
    done = asched("next", "@daily", "--after", "tomorrow")

    assert 2 == done.returncode
    assert "tomorrow" in done.stderr


def test_reader_that_leaves_early_ends_the_command_without_a_traceback() -> None:
    command = f"{sys.executable} -m asched next '* * * * *' -n 100000 | head -1; echo ${{PIPESTATUS[0]}}"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)

    assert ["Every minute (UTC)", "141"] == done.stdout.splitlines()
    assert "" == done.stderr
