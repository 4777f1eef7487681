"""A month of the application in milliseconds: ``pytest examples/testing_your_jobs``.

No plugin is needed: each test hands a coroutine to ``run_virtual`` and looks at what came of it.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from app import Outbox, build_scheduler

from asched.testing import run_virtual, virtual_clock


def test_march_has_a_report_each_morning_and_one_round_of_invoices() -> None:
    async def march() -> Outbox:
        clock = virtual_clock()
        outbox = Outbox()
        async with build_scheduler(outbox, clock=clock):
            await clock.sleep_until(datetime(2026, 4, 1, tzinfo=UTC))
        return outbox

    outbox = run_virtual(march(), start="2026-03-01T00:00:00Z")

    mornings = [moment.astimezone(ZoneInfo("Europe/Berlin")) for moment in outbox.reports]
    assert [morning.day for morning in mornings] == list(range(1, 32))
    assert {morning.time() for morning in mornings} == {time(9, 0)}
    assert outbox.invoices == [datetime(2026, 3, 1, 6, 0, tzinfo=UTC)]


def test_mornings_follow_the_change_to_summer_time() -> None:
    async def last_weekend_of_march() -> Outbox:
        clock = virtual_clock()
        outbox = Outbox()
        async with build_scheduler(outbox, clock=clock):
            await clock.sleep_until(datetime(2026, 3, 30, tzinfo=UTC))
        return outbox

    outbox = run_virtual(last_weekend_of_march(), start="2026-03-28T00:00:00Z")

    saturday, sunday = outbox.reports
    assert sunday - saturday == timedelta(hours=23)


def test_upload_succeeds_at_the_third_attempt() -> None:
    async def upload_twice_in_vain() -> tuple[str, int]:
        outbox = Outbox(upload_failures_to_come=2)
        async with build_scheduler(outbox, clock=virtual_clock()) as scheduler:
            run = await scheduler.run_job_now("upload")
            run = await scheduler.wait_for_run(run.id)
        return run.status, len(run.attempts)

    assert run_virtual(upload_twice_in_vain()) == ("succeeded", 3)
