"""The program whose databases an earlier release has written, as both releases run it: its functions and declarations.

It goes by names and options that every release has, since the script that writes the databases runs it with the
release of that time: ``tests/data/write_databases.py``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Literal

from support.clocks import T0
from support.schedules import Journal

from asched import Scheduler, current_run
from asched.instants import SECOND, from_datetime, to_datetime

__all__ = ["EveryFiveMinutes", "Program"]

FAILS_AT_FIRST = {"retry", "by hand", "held", "queue", "letter"}
"""Jobs whose first attempt fails; the later program succeeds in all of them."""


class EveryFiveMinutes:
    """A trigger that only the code knows: five minutes after the full ten minutes, and so on."""

    def next_after(self, after: datetime) -> datetime | None:
        step = 300 * SECOND
        return to_datetime((from_datetime(after) - T0) // step * step + step + T0)

    def describe(self, lang: Literal["en", "zh"] = "en") -> str:
        return "every five minutes"

    def fingerprint(self) -> str:
        return "every five minutes"


class Program:
    """Functions that note what they do, and the decorators on them.

    Args:
        later: It is the program of today, whose functions succeed at once.
    """

    def __init__(self, journal: Journal, *, later: bool) -> None:
        self._journal = journal
        self._later = later
        self.work = self._named("work")

    def _named(self, name: str) -> Callable[..., object]:
        async def function(*args: object) -> object:
            return await self._run(args)

        function.__module__, function.__qualname__ = "program", name
        return function

    async def _run(self, args: tuple[object, ...]) -> object:
        run = current_run()
        assert run is not None
        self._journal.note((run.job_id, run.attempt, *args))
        if self._later:
            return "later"
        if run.job_id in FAILS_AT_FIRST and run.attempt == 1:
            raise ValueError("at first")
        if run.job_id == "report":
            run.progress(3, 4)
            logging.getLogger("program").warning("three of four")
            return {"rows": 3}
        if run.job_id == "busy":
            await asyncio.sleep(50)
        if run.job_id in ("executes", "executes once"):
            await asyncio.sleep(10_000)
        return None

    def declare(self, scheduler: Scheduler) -> None:
        scheduler.register_function(self.work)
        scheduler.every(60).seconds.id("steady")(self._named("steady"))
        scheduler.every(70).seconds.id("gone").retries(1)(self._named("gone"))
        scheduler.daily.at("03:00").timezone("Europe/Berlin").id("nightly").group("night")(self._named("nightly"))
        scheduler.trigger(EveryFiveMinutes()).id("own")(self._named("own"))
