"""Triggers are plain values: ask them when they are due, in any zone and across clock changes. Prints:

Weekdays at 09:00 (Asia/Tokyo)
    Fri 2026-03-27 09:00 JST
    Mon 2026-03-30 09:00 JST
Every day at 02:30 (Europe/Berlin)
    Fri 2026-03-27 02:30 CET
    Sat 2026-03-28 02:30 CET
    Sun 2026-03-29 03:00 CEST
On the last day of every month at 18:00 (UTC)
    Tue 2026-03-31 18:00 UTC
    Thu 2026-04-30 18:00 UTC
refused: minute field '61': '61' is not a minute, which is 0 to 59
refused: there is no time zone 'Europe/Belrin'; did you mean 'Europe/Berlin' or 'Europe/Dublin'?
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from asched import Cron, Daily, InvalidTrigger, Trigger

START = datetime.fromisoformat("2026-03-27T00:00:00+01:00")


def show(trigger: Trigger, n: int) -> None:
    zone = trigger.timezone or "UTC"
    print(trigger.describe() if zone != "UTC" else f"{trigger.describe()} (UTC)")
    moment: datetime | None = START
    for _ in range(n):
        moment = trigger.next_after(moment)
        if moment is None:  # a one-shot that is over, an expression whose years are
            return
        print(f"    {moment.astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M %Z}")


show(Cron("0 9 * * MON-FRI", timezone="Asia/Tokyo"), 2)
show(Daily("02:30", timezone="Europe/Berlin"), 3)  # on 29 March the clock skips 02:30: it comes when the gap ends
show(Cron("0 18 L * *"), 2)

for arguments in ({"expression": "61 * * * *"}, {"expression": "@daily", "timezone": "Europe/Belrin"}):
    try:
        Cron(**arguments)
    except InvalidTrigger as error:
        print("refused:", error)
