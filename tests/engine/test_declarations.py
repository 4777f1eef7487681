"""What decorators declare, and what becomes of it at the next start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support.schedules import Journal, at, records, runs_of, since

from asched import (
    AlreadyStarted,
    Daily,
    Interval,
    InvalidArgument,
    JobExists,
    JobNotFound,
    JobStatus,
    MemoryStore,
    Origin,
    Reason,
    RunStatus,
    Scheduler,
)
from asched.store import Store
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time

Reopen = Callable[[], Store]


async def report() -> None:
    """A function with a name of its own."""


async def other() -> None:
    """Another one."""


def module_of(func: Callable[..., object]) -> str:
    return f"{func.__module__}:{func.__qualname__}"


# Identity


async def test_id_is_module_and_qualname_then_numbered(scheduler: Scheduler) -> None:
    scheduler.every(1).hours(report)
    scheduler.daily.at("09:00")(report)
    scheduler.every(2).hours.id("mine")(report)
    scheduler.every(3).hours(other)
    async with scheduler:
        ids = [job.id for job in await scheduler.get_jobs()]

    assert [module_of(report), f"{module_of(report)}#2", "mine", module_of(other)] == ids


def test_decorator_returns_the_function_itself(scheduler_in_memory: Scheduler) -> None:
    assert report is scheduler_in_memory.every(1).hours(report)


@pytest.fixture
def scheduler_in_memory() -> Scheduler:
    return Scheduler()


def test_do_returns_the_id_of_the_job(scheduler_in_memory: Scheduler) -> None:
    async def greet(name: str) -> None:
        pass

    first = scheduler_in_memory.every(1).hours.do(greet, "Ada")
    second = scheduler_in_memory.every(1).hours.id("b").do(greet, name="Bob")

    assert first.endswith("greet")
    assert "b" == second


async def test_do_binds_arguments(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    async def greet(name: str, *, loud: bool = False) -> None:
        journal.note((name, loud))

    scheduler.every(10).seconds.do(greet, "Ada")
    scheduler.every(10).seconds.do(greet, name="Bob", loud=True)
    async with scheduler:
        await clock.sleep_until(at(10.5))

    assert [("Ada", False), ("Bob", True)] == journal.words


async def test_declared_and_added_jobs_differ_in_origin(scheduler: Scheduler) -> None:
    scheduler.every(1).hours.id("declared")(report)
    async with scheduler:
        added = await scheduler.add_job(report, Interval(hours=1))
        declared = await scheduler.get_job("declared")

    assert (Origin.API, Origin.DECLARED) == (added.origin, declared.origin)


async def test_id_of_another_function_is_refused(scheduler: Scheduler) -> None:
    scheduler.every(1).hours.id("mine")(report)

    with pytest.raises(JobExists, match="mine"):
        scheduler.every(1).hours.id("mine")(other)


async def test_module_level_name_executed_again_replaces_its_jobs(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    cell = "async def cell():\n    note('{0}')\n"
    module: dict[str, Any] = {"__name__": "notebook", "note": journal.note}
    exec(cell.format("old"), module)
    scheduler.every(10).seconds(module["cell"])
    scheduler.every(25).seconds(module["cell"])
    exec(cell.format("new"), module)
    scheduler.every(15).seconds(module["cell"])
    async with scheduler:
        jobs = await scheduler.get_jobs()
        await clock.sleep_until(at(31))

    assert ["notebook:cell"] == [job.id for job in jobs]
    assert [15, 30] == journal.times
    assert ["new", "new"] == journal.words


async def test_cell_executed_again_while_running_replaces_its_job(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    cell = "async def cell():\n    note('{0}')\n"
    module: dict[str, Any] = {"__name__": "notebook", "note": journal.note}
    async with scheduler:
        exec(cell.format("old"), module)
        scheduler.every(10).seconds(module["cell"])
        await clock.sleep_until(at(11))
        exec(cell.format("new"), module)
        scheduler.every(15).seconds(module["cell"])
        jobs = await scheduler.get_jobs()
        await clock.sleep_until(at(41.5))

    assert ["notebook:cell"] == [job.id for job in jobs]
    assert [10, 26, 41] == journal.times
    assert ["old", "new", "new"] == journal.words


async def test_two_functions_under_one_name_are_refused(scheduler: Scheduler) -> None:
    scheduler.register_function(report, name="job")

    with pytest.raises(InvalidArgument, match="another name"):
        scheduler.register_function(other, name=f"{report.__module__}:job")


# While the scheduler runs


async def test_job_declared_while_running_starts_on_time(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async with scheduler:
        await clock.sleep_until(at(3))

        @scheduler.every(10).seconds
        async def work() -> None:
            journal.note()

        await clock.sleep_until(at(24))

    assert [13, 23] == journal.times


async def test_management_call_sees_a_job_declared_just_before(scheduler: Scheduler) -> None:
    async with scheduler:
        job_id = scheduler.every(10).seconds.do(report)
        job = await scheduler.get_job(job_id)

    assert job_id == job.id
    assert JobStatus.SCHEDULED is job.status


@pytest.mark.parametrize("call", ["get_job", "pause_job", "run_job_now", "preview", "cancel_job"])
async def test_every_management_call_sees_a_job_declared_just_before(call: str, scheduler: Scheduler) -> None:
    async with scheduler:
        job_id = scheduler.every(10).seconds.do(report)
        await getattr(scheduler, call)(job_id)


async def test_declaring_on_another_thread_is_allowed_only_before_start(scheduler: Scheduler) -> None:
    async with scheduler:
        for declare_late in (scheduler.every(10).seconds.do, scheduler.register_function):
            with pytest.raises(AlreadyStarted, match="thread of the scheduler's event loop"):
                await asyncio.to_thread(declare_late, report)
        jobs = await scheduler.get_jobs()

    assert [] == jobs
    assert [] == scheduler.functions()


# Restarts


def declare(scheduler: Scheduler, journal: Journal, *, step: int = 10, id: str | None = None) -> None:
    async def work() -> None:
        journal.note()

    scheduler.register_function(work, name="work")
    builder = scheduler.every(step).seconds
    (builder if id is None else builder.id(id))(work)


async def test_unchanged_declaration_keeps_next_run_and_counters(
    reopen: Reopen, clock: VirtualClock, journal: Journal
) -> None:
    for until in (14, 26):
        scheduler = Scheduler(reopen(), clock=clock)
        declare(scheduler, journal, id="work")
        async with scheduler:
            job = await scheduler.get_job("work")
            await clock.sleep_until(at(until))

    assert [10, 20] == journal.times
    assert 1 == job.run_count
    assert 20 == since(job.next_run_at)


async def test_unchanged_declaration_keeps_pause_and_edits(
    reopen: Reopen, clock: VirtualClock, journal: Journal
) -> None:
    for start in range(2):
        scheduler = Scheduler(reopen(), clock=clock)
        declare(scheduler, journal, id="work")
        async with scheduler:
            if start == 0:
                await scheduler.update_job("work", trigger=Daily("09:00"), tags=["edited"], timeout=5)
                await scheduler.pause_job("work")
            job = await scheduler.get_job("work")

    assert JobStatus.PAUSED is job.status
    assert Daily("09:00", timezone="UTC") == job.trigger
    assert (("edited",), 5) == (job.tags, job.timeout)


async def test_changed_declaration_wins_over_edits_and_plans_anew(
    reopen: Reopen, clock: VirtualClock, journal: Journal
) -> None:
    scheduler = Scheduler(reopen(), clock=clock)
    declare(scheduler, journal, id="work")
    async with scheduler:
        await scheduler.update_job("work", trigger=Daily("09:00"), tags=["edited"])
        await clock.sleep_until(at(15))
    scheduler = Scheduler(reopen(), clock=clock)
    declare(scheduler, journal, step=30, id="work")
    async with scheduler:
        job = await scheduler.get_job("work")
        await clock.sleep_until(at(50))

    assert () == job.tags
    assert 45 == since(job.next_run_at)
    assert [45] == journal.times


async def test_alias_carries_state_and_history_to_the_new_id(
    reopen: Reopen, clock: VirtualClock, journal: Journal
) -> None:
    async def work() -> None:
        journal.note()

    scheduler = Scheduler(reopen(), clock=clock)
    scheduler.register_function(work, name="work")
    scheduler.every(10).seconds.id("old")(work)
    async with scheduler:
        await clock.sleep_until(at(14))
    scheduler = Scheduler(reopen(), clock=clock)
    scheduler.register_function(work, name="work")
    scheduler.every(10).seconds.id("new").aliases("older", "old")(work)
    async with scheduler:
        jobs = await scheduler.get_jobs()
        history = await runs_of(scheduler, "new")
        await clock.sleep_until(at(21))

    assert [("new", 1, 20)] == [(job.id, job.run_count, since(job.next_run_at)) for job in jobs]
    assert ["new"] == [run.job_id for run in history]
    assert [10, 20] == journal.times


async def test_cancel_of_a_declared_job_lasts_until_its_declaration_changes(
    reopen: Reopen, clock: VirtualClock, journal: Journal
) -> None:
    there = []
    for step in (10, 10, 20):
        scheduler = Scheduler(reopen(), clock=clock)
        declare(scheduler, journal, step=step, id="work")
        async with scheduler:
            there.append(len(await scheduler.get_jobs()))
            if len(there) == 1:
                await scheduler.cancel_job("work")
            await clock.sleep_until(at(25 * len(there)))

    assert [1, 0, 1] == there
    assert [70] == journal.times


async def test_once_runs_once_per_store_and_not_per_restart(
    reopen: Reopen, clock: VirtualClock, journal: Journal
) -> None:
    async def work() -> None:
        journal.note()

    for until in (70, 200, 400):
        scheduler = Scheduler(reopen(), clock=clock)
        scheduler.register_function(work, name="work")
        scheduler.once(60).id("work")(work)
        async with scheduler:
            await clock.sleep_until(at(until))
            job = await scheduler.get_job("work")

    assert [60] == journal.times
    assert JobStatus.FINISHED is job.status


async def test_delay_of_a_once_counts_from_the_first_start(
    reopen: Reopen, clock: VirtualClock, journal: Journal
) -> None:
    async def work() -> None:
        journal.note()

    for until in (30, 100):
        scheduler = Scheduler(reopen(), clock=clock)
        scheduler.register_function(work, name="work")
        scheduler.once(60).id("work")(work)
        async with scheduler:
            await clock.sleep_until(at(until))

    assert [60] == journal.times


async def test_past_moment_of_a_declaration_is_recorded_as_missed(scheduler: Scheduler, clock: VirtualClock) -> None:
    scheduler.at("2024-12-25 00:00:00").id("gone")(report)
    async with scheduler:
        job = await scheduler.get_job("gone")
        [run] = await runs_of(scheduler, "gone")

    assert JobStatus.FINISHED is job.status
    assert (RunStatus.MISSED, Reason.PAST) == (run.status, run.reason)
    assert "2024-12-25T00:00:00+00:00" == run.due_at.isoformat()


async def test_past_moment_is_missed_once_and_not_at_each_restart(clock: VirtualClock) -> None:
    store = MemoryStore()
    for _ in range(3):
        scheduler = Scheduler(store, clock=clock)
        scheduler.at("2024-12-25 00:00:00").id("gone")(report)
        async with scheduler:
            history = await runs_of(scheduler, "gone")

    assert 1 == len(history)


async def test_job_of_no_living_declaration_is_unresolved_and_waits(
    reopen: Reopen, clock: VirtualClock, journal: Journal
) -> None:
    scheduler = Scheduler(reopen(), clock=clock)
    declare(scheduler, journal, id="work")
    async with scheduler:
        pass
    scheduler = Scheduler(reopen(), clock=clock)
    async with scheduler:
        job = await scheduler.get_job("work")
        await clock.sleep_until(at(35))
    while_gone = list(journal.times)
    scheduler = Scheduler(reopen(), clock=clock)
    declare(scheduler, journal, id="work")
    async with scheduler:
        await clock.sleep_until(at(41))

    assert JobStatus.UNRESOLVED is job.status
    assert [] == while_gone
    assert [35, 40] == journal.times


async def test_added_job_without_its_function_is_unresolved_until_it_is_registered(
    reopen: Reopen, clock: VirtualClock, journal: Journal
) -> None:
    async def work() -> None:
        journal.note()

    scheduler = Scheduler(reopen(), clock=clock)
    name = scheduler.register_function(work, name="work")
    async with scheduler:
        await scheduler.add_job(name, Interval(seconds=10), id="work")
    scheduler = Scheduler(reopen(), clock=clock)
    async with scheduler:
        before = await scheduler.get_job("work")
        await clock.sleep_until(at(15))
        scheduler.register_function(work, name="work")
        after = await scheduler.get_job("work")
        await clock.sleep_until(at(21))

    assert (JobStatus.UNRESOLVED, JobStatus.SCHEDULED) == (before.status, after.status)
    assert 10 == since(before.next_run_at)
    assert 20 in journal.times


async def test_finished_declared_job_stays_and_an_added_one_goes_with_its_last_record(clock: VirtualClock) -> None:
    scheduler = Scheduler(clock=clock, history_limit=5)

    async def work() -> None:
        pass

    scheduler.once(1).id("declared")(work)
    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=2), id="added", max_runs=1)
        await clock.sleep_until(at(3))
        finished = [(job.id, job.status) for job in await scheduler.get_jobs()]
        await scheduler.add_job(work, Interval(seconds=1), id="busy")
        await clock.sleep_until(at(10))
        left = [job.id for job in await scheduler.get_jobs()]
        with pytest.raises(JobNotFound):
            await scheduler.get_job("added")

    assert [("declared", JobStatus.FINISHED), ("added", JobStatus.FINISHED)] == finished
    assert ["declared", "busy"] == left


async def test_higher_generation_wins_over_a_lower_one(clock: VirtualClock) -> None:
    store = MemoryStore()
    new = Scheduler(store, generation=2, clock=clock)
    new.every(20).seconds.id("work")(report)
    old = Scheduler(store, generation=1, clock=clock)
    old.every(10).seconds.id("work")(report)
    async with new, old:
        job = await old.get_job("work")

    assert 20 == since(job.next_run_at)


async def test_old_version_started_again_does_not_win_by_default(clock: VirtualClock) -> None:
    store = MemoryStore()

    def version(step: int) -> Scheduler:
        scheduler = Scheduler(store, clock=clock)
        scheduler.every(step).seconds.id("work")(report)
        return scheduler

    async with version(10):
        await clock.sleep_until(at(5))
        async with version(20):
            await clock.sleep_until(at(6))
            async with version(10) as restarted:
                job = await restarted.get_job("work")

    assert 25 == since(job.next_run_at)


async def test_declaration_starts_paused_where_it_says_so(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    @scheduler.every(10).seconds.paused().id("work")
    async def work() -> None:
        journal.note()

    async with scheduler:
        before = await scheduler.get_job("work")
        await clock.sleep_until(at(25))
        await scheduler.resume_job("work")
        await clock.sleep_until(at(31))
        history = await records(scheduler, "work")

    assert (JobStatus.PAUSED, None) == (before.status, before.next_run_at)
    assert [30] == journal.times
    assert [(RunStatus.SKIPPED, Reason.PAUSED, 10, 2), (RunStatus.SUCCEEDED, None, 30, 1)] == history
