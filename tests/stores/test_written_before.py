"""Databases that an earlier release has written go on where they were; ``tests/data/write_databases.py`` made them."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import asyncpg
import pytest
from support.postgres import DSN, ClockedStore, drop, require_postgres, waited_for
from support.schedules import Journal, at, records, runs_of, since
from support.store_factories import Require
from support.written_before import Program

from asched import JobStatus, Outcome, Reason, RunStatus, Scheduler
from asched.store import Store
from asched.stores.postgres import PostgresStore
from asched.stores.sqlite import SQLiteStore
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time

DATA = Path(__file__).parent.parent / "data"
RELEASES = ("55d8195",)
"""Releases whose databases are kept: those after which the schema changed."""
SCHEMA, SCHEDULE = "asched_written_before", "written"
OPENED = 1_000
"""When today's code opens the database that was left at 599.5, in seconds."""


def open_sqlite(release: str, directory: Path) -> Store:
    shutil.copy(DATA / f"written_by_{release}.db", directory / "jobs.db")
    return SQLiteStore(directory / "jobs.db", lease=30.0)


async def open_postgres(release: str, schema: str) -> Store:
    drop(schema)
    async with waited_for():
        connection = await asyncpg.connect(DSN)
        await connection.execute((DATA / f"written_by_{release}.sql").read_text().replace(SCHEMA, schema))
        await connection.execute(
            f"""
            CREATE TABLE {schema}.settable_clock AS SELECT 0::bigint AS now;
            CREATE OR REPLACE FUNCTION {schema}.clock() RETURNS bigint LANGUAGE sql
                AS 'SELECT now FROM {schema}.settable_clock';
            """
        )
        await connection.close()
    store = PostgresStore(DSN, schema=schema, lease=30.0, poll=5.0, listen=False)
    return cast("Store", ClockedStore(store, SCHEDULE, schema))


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, release: str, tmp_path: Path, require: Require) -> AsyncIterator[Store]:
    if request.param == "sqlite":
        yield open_sqlite(release, tmp_path)
        return
    require_postgres(require)
    schema = f"asched_test_{os.getpid()}_before"
    yield await open_postgres(release, schema)
    drop(schema)


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def scheduler(store: Store, clock: VirtualClock, journal: Journal) -> AsyncIterator[Scheduler]:
    """A scheduler with the program of today, which has opened the database."""
    await clock.sleep_until(at(OPENED))
    scheduler = Scheduler(store, clock=clock)
    Program(journal, later=True).declare(scheduler)
    async with scheduler:
        yield scheduler


@pytest.fixture
async def journal(clock: VirtualClock) -> Journal:
    return Journal(clock)


@pytest.fixture
def times_of(journal: Journal) -> Callable[[str], list[tuple[float, int]]]:
    """When each attempt of a job began, in seconds, and its number."""

    def times(job_id: str) -> list[tuple[float, int]]:
        return [
            (round(time, 3), word[1])
            for time, word in zip(journal.times, journal.words, strict=True)
            if isinstance(word, tuple) and word[0] == job_id
        ]

    return times


TimesOf = Callable[[str], list[tuple[float, int]]]


async def test_all_jobs_are_there(scheduler: Scheduler, clock: VirtualClock) -> None:
    await clock.sleep_until(at(1_015))
    jobs = {job.id: job for job in await scheduler.get_jobs()}

    assert {
        "steady": "scheduled", "nightly": "paused", "own": "scheduled", "retry": "running", "by hand": "running",
        "held": "paused", "queue": "running", "letter": "scheduled", "report": "scheduled", "busy": "scheduled",
        "missed": "finished", "counted": "finished", "executes": "finished", "executes once": "finished",
    } == {job_id: str(job.status) for job_id, job in jobs.items()}  # fmt: skip
    assert ["an argument"] == list(jobs["by hand"].args)
    assert {"a", "b"} == set(jobs["by hand"].tags)
    assert [("default", 13, 1), ("night", 1, 1)] == [tuple(group) for group in await scheduler.get_groups()]


async def test_waiting_retry_comes_at_its_time(scheduler: Scheduler, clock: VirtualClock, times_of: TimesOf) -> None:
    await clock.sleep_until(at(1_510))
    [run] = [run for run in await runs_of(scheduler, "retry") if since(run.due_at) == 500]

    assert (1_500, 2) in times_of("retry")
    assert (RunStatus.SUCCEEDED, 2) == (run.status, run.attempt)
    assert [Outcome.ERROR, Outcome.OK] == [attempt.outcome for attempt in run.attempts]


async def test_waiting_retry_of_a_run_that_was_started_by_hand_comes_with_its_arguments(
    scheduler: Scheduler, clock: VirtualClock, times_of: TimesOf, journal: Journal
) -> None:
    await clock.sleep_until(at(1_455))
    [run] = await runs_of(scheduler, "by hand")

    assert [(1_450.5, 2)] == times_of("by hand")
    assert ("by hand", 2, "an argument") in journal.words
    assert (RunStatus.SUCCEEDED, True) == (run.status, run.manual)


async def test_run_that_queued_follows_the_retry_before_it(
    scheduler: Scheduler, clock: VirtualClock, times_of: TimesOf
) -> None:
    await clock.sleep_until(at(1_360))
    first, second = await runs_of(scheduler, "queue")

    assert [(1_350.5, 2), (1_350.5, 1)] == times_of("queue")
    assert [RunStatus.SUCCEEDED] * 2 == [first.status, second.status]


async def test_pause_holds_until_it_is_lifted(scheduler: Scheduler, clock: VirtualClock, times_of: TimesOf) -> None:
    await clock.sleep_until(at(1_700.25))
    before = times_of("held")
    await scheduler.resume_job("held")
    await clock.sleep_until(at(2_010))
    history = await records(scheduler, "held")

    assert [] == before
    assert [(1_700.25, 2), (2_000, 1)] == times_of("held")
    assert [
        (RunStatus.SUCCEEDED, None, 400.0, 1),
        (RunStatus.SKIPPED, Reason.PAUSED, 800.0, 3),
        (RunStatus.SUCCEEDED, None, 2_000.0, 1),
    ] == sorted(history, key=lambda record: record[2])


async def test_edit_of_a_declared_job_is_kept_and_its_plan_goes_on(
    scheduler: Scheduler, clock: VirtualClock, times_of: TimesOf
) -> None:
    job = await scheduler.get_job("steady")
    await clock.sleep_until(at(1_145))

    assert ("edited", 50.0) == (job.name, job.policy.timeout)
    assert [(1_000, 1), (1_020, 1), (1_080, 1), (1_140, 1)] == times_of("steady")


async def test_job_whose_trigger_only_the_code_knows_goes_on(
    scheduler: Scheduler, clock: VirtualClock, times_of: TimesOf
) -> None:
    await clock.sleep_until(at(1_510))

    assert [(1_000, 1), (1_200, 1), (1_500, 1)] == times_of("own")


async def test_deleted_declared_job_stays_deleted(scheduler: Scheduler, clock: VirtualClock, times_of: TimesOf) -> None:
    await clock.sleep_until(at(1_100))

    assert "gone" not in [job.id for job in await scheduler.get_jobs()]
    assert [] == times_of("gone")
    assert [70, 160, 210, 280] == [since(run.started_at) for run in await runs_of(scheduler, "gone")]


async def test_records_of_a_deleted_job_are_there(scheduler: Scheduler) -> None:
    assert {RunStatus.SUCCEEDED} == {run.status for run in await runs_of(scheduler, "removed") if not run.count > 1}
    assert 70.0 == min(due for _, _, due, _ in await records(scheduler, "removed"))


async def test_records_of_passed_instants_are_there_and_grow(scheduler: Scheduler, clock: VirtualClock) -> None:
    missed = [record for record in await records(scheduler, "missed") if record[0] is RunStatus.MISSED]
    before = [record for record in await records(scheduler, "busy") if record[0] is RunStatus.SKIPPED]

    assert [(RunStatus.MISSED, Reason.NO_CATCH_UP, 90.0, 7)] == missed
    assert (RunStatus.SKIPPED, Reason.OVERLAP, 40.0, 2) == before[0]


async def test_dead_letter_can_be_run_again(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    [letter] = [run for run in await scheduler.get_dead_letters() if run.job_id == "letter"]
    again = await scheduler.wait_for_run((await scheduler.retry_dead_letter(letter.id)).id)

    assert RunStatus.FAILED is letter.status
    assert letter.error is not None
    assert ("ValueError", "at first") == (letter.error.type, letter.error.message)
    assert RunStatus.SUCCEEDED is again.status
    assert ("letter", 1, {"of": "the letter"}) in journal.words
    assert letter.id not in [run.id for run in await scheduler.get_dead_letters()]


async def test_result_progress_and_log_of_a_run_are_there(scheduler: Scheduler) -> None:
    [run] = await runs_of(scheduler, "report")

    assert {"rows": 3} == run.result
    assert (3, 4) == run.progress
    assert ("three of four",) == tuple(run.log)


async def test_what_the_dead_node_executed_is_taken_over_or_lost(
    scheduler: Scheduler, clock: VirtualClock, times_of: TimesOf
) -> None:
    await clock.sleep_until(at(1_050))
    [again] = await runs_of(scheduler, "executes")
    [lost] = await runs_of(scheduler, "executes once")

    assert [2] == [attempt for _, attempt in times_of("executes")]
    assert (RunStatus.SUCCEEDED, [Outcome.LOST, Outcome.OK]) == (again.status, [a.outcome for a in again.attempts])
    assert (RunStatus.LOST, Reason.NODE_DIED) == (lost.status, lost.reason)
    assert [] == times_of("executes once")


async def test_job_that_has_had_its_runs_starts_no_more(
    scheduler: Scheduler, clock: VirtualClock, times_of: TimesOf
) -> None:
    job = await scheduler.get_job("counted")
    await clock.sleep_until(at(1_100))

    assert (JobStatus.FINISHED, 2) == (job.status, job.run_count)
    assert [] == times_of("counted")


async def test_new_ids_are_unused(scheduler: Scheduler) -> None:
    known = {run.id for run in await scheduler.get_history(limit=1_000)}
    run = await scheduler.wait_for_run((await scheduler.run_job_now("report")).id)

    assert run.id not in known
    assert run.fence > max(run.fence for run in await scheduler.get_history(limit=1_000) if run.id in known)
