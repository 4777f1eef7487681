from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC
from zoneinfo import ZoneInfo, available_timezones

import pytest

from asched.errors import InvalidTrigger
from asched.triggers import Daily
from asched.triggers.zones import canonical, zone


def test_a_name_gives_its_zone_and_always_the_same_object() -> None:
    assert zone("Europe/Paris") is zone("Europe/Paris") is ZoneInfo("Europe/Paris")
    assert zone("UTC") is UTC


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("asia/tokyo", "Asia/Tokyo"),
        ("AMERICA/NEW_YORK", "America/New_York"),
        ("america/New_York", "America/New_York"),
        ("utc", "UTC"),
        ("gmt", "GMT"),
    ],
)
def test_case_does_not_matter(written: str, meant: str) -> None:
    assert canonical(written) == meant
    assert zone(written) is zone(meant)
    assert Daily("09:00", written) == Daily("09:00", meant)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("America", "America/Adak"),
        ("../../etc/passwd", "IANA name"),
        ("/etc/localtime", "IANA name"),
        ("Europe/Paris\x00", "'Europe/Paris'"),
        ("Europe/Paris\n", "'Europe/Paris'"),
        ("Europe/Pari", "'Europe/Paris'"),
        ("tokyo", "'Asia/Tokyo'"),
        ("New York", "'America/New_York'"),
        ("local", "no local time"),
        ("localtime", "no local time"),
        ("posixrules", "IANA name"),
        ("right/UTC", "there is no time zone"),
        ("zone.tab", "there is no time zone"),
        ("tzdata.zi", "there is no time zone"),
        ("Z", "'UTC'"),
        ("GMT+5", "'Etc/GMT-5'"),
        ("UTC+3", "'Etc/GMT-3'"),
        ("UTC-8", "'Etc/GMT+8'"),
        ("+05:30", "an offset, not a zone"),
        ("UTC+05:30", "an offset, not a zone"),
        ("UTC+99", "an offset, not a zone"),
        ("Mars/Olympus_Mons", "IANA name"),
        ("é" * 10, "IANA name"),
        ("x" * 5000, "IANA name"),
        ("\ud800", "IANA name"),
    ],
)
def test_what_is_no_zone_is_refused_with_a_remedy(name: str, remedy: str) -> None:
    with pytest.raises(InvalidTrigger) as refusal:
        zone(name)

    assert refusal.value.field == "timezone"
    assert remedy in str(refusal.value)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("name", [None, 5, UTC, b"UTC"])
def test_a_zone_is_named_by_a_text(name: object) -> None:
    with pytest.raises(InvalidTrigger, match="name of a zone"):
        zone(name)  # type: ignore[arg-type]


def test_every_zone_of_the_database_is_accepted() -> None:
    names = available_timezones() - {"localtime"}

    assert {canonical(name) for name in names} == names


def test_zones_work_without_a_database_of_the_system() -> None:
    program = "from asched.triggers import Daily; print(Daily('09:00', 'asia/tokyo'))"

    shown = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONTZPATH": ""},
        check=True,
        capture_output=True,
        encoding="utf-8",
    ).stdout

    assert shown == "Daily(time='09:00', timezone='Asia/Tokyo')\n"


def test_importing_triggers_loads_no_zone_database() -> None:
    program = "import sys, asched.triggers; print('zoneinfo' in sys.modules)"

    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, encoding="utf-8").stdout

    assert shown == "False\n"
