"""Jobs made, read, listed, changed and cancelled while the scheduler runs."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from support.schedules import Journal, at, last_run, records, runs_of, since

from asched import (
    Backoff,
    CatchUp,
    Cron,
    Daily,
    FunctionUnknown,
    Interval,
    InvalidArgument,
    InvalidTrigger,
    JobExists,
    JobNotFound,
    JobStatus,
    Once,
    OnCrash,
    Overlap,
    Reason,
    RunStatus,
    Scheduler,
    VersionConflict,
)
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time


async def work(*args: object, **kwargs: object) -> None:
    pass


async def other() -> None:
    pass


MODULE = work.__module__


async def test_every_option_of_add_job_is_kept(scheduler: Scheduler) -> None:
    async with scheduler:
        job = await scheduler.add_job(
            work, Interval(seconds=10), id="job", name="Work", args=[1, "a"], kwargs={"b": [None]}, group="reports",
            tags=["x", "y", "x"], timeout=5, max_retries=7, backoff=Backoff(1, 3, 60, jitter=False), overlap="queue",
            catch_up="all", catch_up_window=60, on_crash="lost", jitter=2, in_process=True, paused=True,
            starting=at(100), until=at(200), max_runs=4,
        )  # fmt: skip
        same = await scheduler.get_job("job")

    assert job == same
    assert ("job", "Work", f"{MODULE}:work", "reports", ("x", "y")) == (job.id, job.name, job.func, job.group, job.tags)
    assert ((1, "a"), {"b": [None]}) == (job.args, job.kwargs)
    assert (5, 7, Backoff(1, 3, 60, jitter=False), Overlap.QUEUE, CatchUp.ALL, 60, OnCrash.LOST, 2, True) == (
        job.timeout, job.max_retries, job.policy.backoff, job.overlap, job.catch_up, job.policy.catch_up_window,
        job.on_crash, job.policy.jitter, job.policy.in_process,
    )  # fmt: skip
    assert (True, JobStatus.PAUSED, None) == (job.paused, job.status, job.next_run_at)
    assert (at(100), at(200), 4, 1) == (job.starting, job.until, job.max_runs, job.version)
    assert (at(0), at(0), None, None, 0, 0) == (
        job.created_at, job.updated_at, job.last_run_at, job.last_status, job.run_count, job.active_runs,
    )  # fmt: skip


async def test_options_left_out_have_the_documented_defaults(scheduler: Scheduler) -> None:
    async with scheduler:
        job = await scheduler.add_job(work, Interval(seconds=10))

    assert ("job_1", "work", "default", ()) == (job.id, job.name, job.group, job.tags)
    assert (None, 3, Backoff(2, 2, 3_600, jitter=True)) == (job.timeout, job.max_retries, job.policy.backoff)
    assert (Overlap.SKIP, CatchUp.LATEST, OnCrash.RERUN, 0) == (
        job.overlap,
        job.catch_up,
        job.on_crash,
        job.policy.jitter,
    )
    assert (JobStatus.SCHEDULED, 10) == (job.status, since(job.next_run_at))


async def test_ids_come_from_a_counter_and_pass_over_those_taken(scheduler: Scheduler) -> None:
    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=10), id="job_2")
        ids = [(await scheduler.add_job(work, Interval(seconds=10))).id for _ in range(3)]

    assert ["job_1", "job_3", "job_4"] == ids


async def test_id_that_exists_is_refused_replaced_or_kept(scheduler: Scheduler, clock: VirtualClock) -> None:
    async with scheduler:
        first = await scheduler.add_job(work, Interval(seconds=10), id="job", tags=["first"])
        with pytest.raises(JobExists, match="if_exists"):
            await scheduler.add_job(work, Interval(seconds=20), id="job")
        refused = await scheduler.get_job("job")
        kept = await scheduler.add_job(work, Interval(seconds=20), id="job", if_exists="keep")
        await clock.sleep_until(at(5))
        replaced = await scheduler.add_job(work, Interval(seconds=20), id="job", if_exists="replace")
        with pytest.raises(InvalidArgument, match="if_exists"):
            await scheduler.add_job(work, Interval(seconds=20), id="job", if_exists="ignore")  # type: ignore[arg-type]
        jobs = await scheduler.get_jobs()

    assert first == refused == kept
    assert ((), 25, 2) == (replaced.tags, since(replaced.next_run_at), replaced.version)
    assert [replaced] == jobs


async def test_function_may_be_named_by_its_registered_name(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    name = scheduler.register_function(lambda: journal.note(), name="note")
    async with scheduler:
        job = await scheduler.add_job(name, Interval(seconds=10))
        with pytest.raises(FunctionUnknown, match="register_function"):
            await scheduler.add_job("nobody:knows", Interval(seconds=10))
        await clock.sleep_until(at(11))

    assert name == job.func
    assert [10] == journal.times


@pytest.mark.parametrize(
    ("schedule_type", "config", "trigger"),
    [
        ("interval", {"interval": 5, "unit": "minutes"}, Interval(minutes=5, anchor=at(0))),
        ("daily", {"time": "02:00"}, Daily("02:00", timezone="UTC")),
        ("cron", {"expression": "*/5 * * * *"}, Cron("*/5 * * * *", timezone="UTC")),
        ("once", {"delay": 10, "unit": "seconds"}, Once(at(10))),
        ("once", {"at": "2026-01-02T00:00:00Z"}, Once(datetime(2026, 1, 2, tzinfo=UTC))),
    ],
)
async def test_create_job_makes_what_a_request_describes(
    schedule_type: str, config: dict[str, Any], trigger: object, scheduler: Scheduler
) -> None:
    scheduler.register_function(work)
    async with scheduler:
        job = await scheduler.create_job(
            func_name="work", func_module=MODULE, schedule_type=schedule_type, schedule_config=config,
            job_name="Nightly", max_retries=5, args=[1], group="night", enabled=False,
        )  # fmt: skip
        twin = await scheduler.add_job(work, trigger)  # type: ignore[arg-type]  # one of several classes

    assert ("job_1", "Nightly", 5, (1,), "night", JobStatus.PAUSED) == (
        job.id, job.name, job.max_retries, job.args, job.group, job.status,
    )  # fmt: skip
    assert twin.trigger == job.trigger


@pytest.mark.parametrize(
    ("change", "error", "field"),
    [
        ({"func_name": "nobody"}, FunctionUnknown, None),
        ({"schedule_type": "sometimes"}, InvalidTrigger, "schedule_type"),
        ({"schedule_config": {}}, InvalidTrigger, "schedule_config"),
        ({"schedule_config": {"interval": "5"}}, InvalidTrigger, "schedule_config"),
        ({"timezone": "Mars/Olympus"}, InvalidArgument, "time"),
        ({"colour": "red"}, InvalidArgument, "colour"),
        ({"enabled": "yes"}, InvalidArgument, "enabled"),
        ({"max_retries": -1}, InvalidArgument, "max_retries"),
        ({"job_id": ".."}, InvalidArgument, "id"),
    ],
)
async def test_create_job_refuses_what_is_wrong_and_stores_nothing(
    change: dict[str, Any], error: type[Exception], field: str | None, scheduler: Scheduler
) -> None:
    scheduler.register_function(work)
    good: dict[str, Any] = {
        "func_name": "work", "func_module": MODULE, "schedule_type": "interval", "schedule_config": {"interval": 5},
    }  # fmt: skip
    async with scheduler:
        with pytest.raises(error) as caught:
            await scheduler.create_job(**good | change)
        jobs = await scheduler.get_jobs()
        job = await scheduler.create_job(**good)

    assert [] == jobs
    assert "job_1" == job.id
    if field is not None:
        assert isinstance(caught.value, InvalidArgument)
        assert field in (caught.value.field or "")


async def test_main_is_understood_as_the_module_that_runs(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__spec__", None)
    monkeypatch.setattr(main, "__file__", "/srv/app.py", raising=False)

    async def in_main() -> None:
        pass

    in_main.__module__, in_main.__qualname__ = "__main__", "in_main"
    name = scheduler.register_function(in_main)
    async with scheduler:
        job = await scheduler.create_job(
            func_name="in_main", func_module="__main__", schedule_type="interval", schedule_config={"interval": 5}
        )

    assert "app:in_main" == name == job.func


# Listing


async def test_jobs_are_listed_in_the_order_they_were_made_and_filtered(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    async with scheduler:
        await scheduler.add_job(work, Interval(hours=1), id="a", group="x", name="Alpha")
        await scheduler.add_job(other, Interval(hours=1), id="b", group="y", tags=["Nightly"], paused=True)
        await scheduler.add_job(work, Once(at(10)), id="c", group="x")
        await scheduler.add_job(asyncio.sleep, Once(at(10)), id="d", args=[100])
        await clock.sleep_until(at(20))

        async def ids(**which: Any) -> list[str]:
            return [job.id for job in await scheduler.get_jobs(**which)]

        answers = {
            "all": await ids(),
            "group": await ids(group="x"),
            "paused": await ids(status="paused"),
            "running": await ids(status=JobStatus.RUNNING),
            "finished": await ids(status="finished"),
            "scheduled in x": await ids(status="scheduled", group="x"),
            "name": await ids(query="ALPHA"),
            "tag": await ids(query="night"),
            "function": await ids(query="other"),
            "none": await ids(query="zebra"),
        }

    assert {
        "all": ["a", "b", "c", "d"], "group": ["a", "c"], "paused": ["b"], "running": ["d"], "finished": ["c"],
        "scheduled in x": ["a"], "name": ["a"], "tag": ["b"], "function": ["b"], "none": [],
    } == answers  # fmt: skip


async def test_pages_hold_every_job_once_though_others_come_and_go(scheduler: Scheduler) -> None:
    async with scheduler:
        for number in range(25):
            await scheduler.add_job(work, Interval(hours=1), id=f"{number:02}")
        page = await scheduler.get_jobs(limit=10)
        seen = [job.id for job in page]
        await scheduler.cancel_job("09")
        await scheduler.add_job(work, Interval(hours=1), id="late")
        while page.next_cursor is not None:
            page = await scheduler.get_jobs(limit=10, cursor=page.next_cursor)
            seen += [job.id for job in page]

    assert [*(f"{number:02}" for number in range(25)), "late"] == seen


@pytest.mark.parametrize(
    "which", [{"limit": 0}, {"limit": -1}, {"limit": True}, {"limit": "5"}, {"status": "asleep"}, {"group": ""},
              {"cursor": ""}, {"cursor": 5}]
)  # fmt: skip
async def test_wrong_filter_is_refused(which: dict[str, Any], scheduler: Scheduler) -> None:
    async with scheduler:
        with pytest.raises(InvalidArgument):
            await scheduler.get_jobs(**which)


@pytest.mark.parametrize("job_id", ["nobody", "", None, 5])
@pytest.mark.parametrize("call", ["get_job", "update_job", "pause_job", "resume_job", "cancel_job", "run_job_now"])
async def test_unknown_job_is_told_of(call: str, job_id: object, scheduler: Scheduler) -> None:
    async with scheduler:
        with pytest.raises(JobNotFound):
            await getattr(scheduler, call)(job_id)


# Changing


@pytest.mark.parametrize(
    "change",
    [
        {"name": "New"}, {"group": "new"}, {"tags": ("new",)}, {"timeout": 5.0}, {"max_retries": 9}, {"args": (2,)},
        {"kwargs": {"a": 1}}, {"overlap": Overlap.ALLOW}, {"catch_up": CatchUp.SKIP}, {"on_crash": OnCrash.LOST},
        {"max_runs": 5},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
async def test_update_changes_what_it_names_and_leaves_the_plan(
    change: dict[str, Any], scheduler: Scheduler, clock: VirtualClock
) -> None:
    async with scheduler:
        before = await scheduler.add_job(work, Interval(seconds=10), id="job")
        await clock.sleep_until(at(5))
        after = await scheduler.update_job("job", **change)
        stored = await scheduler.get_job("job")

    [(field, value)] = change.items()
    assert value == getattr(after, field)
    assert after == stored
    assert (before.next_run_at, 2, at(5)) == (after.next_run_at, after.version, after.updated_at)
    untouched = ("id", "name", "func", "trigger", "group", "tags", "args", "kwargs", "starting", "until", "created_at")
    assert [getattr(before, name) for name in untouched if name != field] == [
        getattr(after, name) for name in untouched if name != field
    ]


async def test_update_of_the_trigger_plans_anew(scheduler: Scheduler, clock: VirtualClock, journal: Journal) -> None:
    async def note() -> None:
        journal.note()

    async with scheduler:
        await scheduler.add_job(note, Interval(seconds=10), id="job")
        await clock.sleep_until(at(15))
        slower = await scheduler.update_job("job", trigger=Interval(seconds=30))
        await clock.sleep_until(at(50))
        bounded = await scheduler.update_job("job", until=at(80))
        await clock.sleep_until(at(200))

    assert 45 == since(slower.next_run_at)
    assert 75 == since(bounded.next_run_at)
    assert [10, 45, 75] == journal.times


async def test_update_with_the_same_trigger_keeps_the_phase(scheduler: Scheduler, clock: VirtualClock) -> None:
    async with scheduler:
        job = await scheduler.add_job(work, Interval(seconds=10), id="job")
        await clock.sleep_until(at(15))
        same = await scheduler.update_job("job", trigger=job.trigger, name="renamed")

    assert 20 == since(same.next_run_at)


async def test_update_of_the_schedule_in_the_form_of_requests_merges(scheduler: Scheduler) -> None:
    async with scheduler:
        await scheduler.add_job(work, Daily("02:00"), id="job")
        moved = await scheduler.update_job("job", timezone="Asia/Tokyo")
        timed = await scheduler.update_job("job", schedule_config={"time": "03:00"})
        turned = await scheduler.update_job("job", schedule_type="cron", schedule_config={"expression": "0 4 * * *"})
        with pytest.raises(InvalidTrigger, match="schedule_config"):
            await scheduler.update_job("job", schedule_type="daily")

    assert Daily("02:00", timezone="Asia/Tokyo") == moved.trigger
    assert Daily("03:00", timezone="Asia/Tokyo") == timed.trigger
    assert Cron("0 4 * * *", timezone="Asia/Tokyo") == turned.trigger


async def test_update_pauses_and_resumes(scheduler: Scheduler) -> None:
    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=10), id="job")
        paused = await scheduler.update_job("job", paused=True, name="sleepy")
        resumed = await scheduler.update_job("job", paused=False)

    assert (JobStatus.PAUSED, "sleepy") == (paused.status, paused.name)
    assert JobStatus.SCHEDULED is resumed.status


async def test_update_of_the_function_takes_effect_at_the_next_run(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def old() -> None:
        journal.note("old")

    async def new() -> None:
        journal.note("new")

    async with scheduler:
        await scheduler.add_job(old, Interval(seconds=10), id="job")
        await clock.sleep_until(at(11))
        await scheduler.update_job("job", func=new)
        await clock.sleep_until(at(31))

    assert ["old", "new", "new"] == journal.words
    assert [10, 20, 30] == journal.times


@pytest.mark.parametrize(
    "change",
    [
        {"if_exists": "keep"}, {"colour": "red"}, {"name": ""}, {"group": "a\nb"}, {"tags": "night"}, {"timeout": 0},
        {"max_retries": 1.5}, {"args": "abc"}, {"args": [{1}]}, {"kwargs": {1: 2}}, {"overlap": "wait"},
        {"catch_up": "all"}, {"jitter": -1}, {"paused": "yes"}, {"until": at(-1)}, {"starting": "soon"},
        {"max_runs": 0}, {"trigger": None}, {"trigger": Interval}, {"schedule_config": {"every": 5}},
        {"func": 5},
    ],
    ids=lambda change: "-".join(f"{key}" for key in change),
)  # fmt: skip
async def test_wrong_update_is_refused_whole(change: dict[str, Any], scheduler: Scheduler) -> None:
    async with scheduler:
        before = await scheduler.add_job(work, Interval(seconds=10), id="job")
        with pytest.raises(InvalidArgument):
            await scheduler.update_job("job", **{"name": "half done", **change})
        after = await scheduler.get_job("job")

    assert before == after


async def test_update_of_a_version_that_is_past_is_refused(scheduler: Scheduler) -> None:
    async with scheduler:
        job = await scheduler.add_job(work, Interval(seconds=10), id="job")
        second = await scheduler.update_job("job", version=job.version, name="second")
        with pytest.raises(VersionConflict, match="version 2, not 1") as caught:
            await scheduler.update_job("job", version=job.version, name="third")
        kept = await scheduler.get_job("job")

    assert (1, 2) == (caught.value.expected, caught.value.actual)
    assert second == kept


async def test_preview_shows_the_next_instants_without_jitter(scheduler: Scheduler, clock: VirtualClock) -> None:
    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=10), id="job", jitter=5, until=at(35))
        of_job = await scheduler.preview("job")
        of_trigger = await scheduler.preview(Cron("0 9 * * *", timezone="Asia/Tokyo"), n=2)
        with pytest.raises(JobNotFound):
            await scheduler.preview("nobody")
        for wrong in (0, 1_001, True):
            with pytest.raises(InvalidArgument):
                await scheduler.preview("job", n=wrong)

    assert [10, 20, 30] == [since(moment) for moment in of_job]
    assert [datetime(2026, 1, day, tzinfo=UTC) for day in (2, 3)] == of_trigger


async def test_preview_of_a_trigger_needs_no_running_scheduler(scheduler: Scheduler) -> None:
    instants = await scheduler.preview(Interval(seconds=10), n=3)

    assert [10, 20, 30] == [since(moment) for moment in instants]


# Cancelling


async def test_cancelled_job_is_gone_and_its_history_stays(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def note() -> None:
        journal.note()

    async with scheduler:
        await scheduler.add_job(note, Interval(seconds=10), id="job")
        await clock.sleep_until(at(15))
        await scheduler.cancel_job("job")
        await clock.sleep_until(at(60))
        with pytest.raises(JobNotFound):
            await scheduler.get_job("job")
        history = await records(scheduler, "job")

    assert [10] == journal.times
    assert [(RunStatus.SUCCEEDED, None, 10, 1)] == history


async def test_cancelled_job_lets_its_running_attempt_finish_unless_told_otherwise(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    async with scheduler:
        for job_id in ("finish", "cancel"):
            await scheduler.add_job(asyncio.sleep, Once(at(10)), id=job_id, args=[20])
        await clock.sleep_until(at(15))
        await scheduler.cancel_job("finish")
        await scheduler.cancel_job("cancel", running="cancel")
        await clock.sleep_until(at(40))
        finished, cancelled = await last_run(scheduler, "finish"), await last_run(scheduler, "cancel")
        with pytest.raises(InvalidArgument, match="'finish' or 'cancel'"):
            await scheduler.add_job(work, Interval(hours=1), id="x")
            await scheduler.cancel_job("x", running="kill")  # type: ignore[arg-type]  # the point of the test
        kept = await scheduler.get_job("x")

    assert (RunStatus.SUCCEEDED, 30) == (finished.status, since(finished.ended_at))
    assert (RunStatus.CANCELLED, Reason.JOB_CANCELLED, 15) == (
        cancelled.status,
        cancelled.reason,
        since(cancelled.ended_at),
    )
    assert "x" == kept.id


async def test_id_of_a_cancelled_job_can_be_used_again(scheduler: Scheduler, clock: VirtualClock) -> None:
    async with scheduler:
        await scheduler.add_job(work, Interval(seconds=10), id="job")
        await clock.sleep_until(at(15))
        await scheduler.cancel_job("job")
        again = await scheduler.add_job(work, Interval(seconds=10), id="job")
        await clock.sleep_until(at(26))
        runs = await runs_of(scheduler, "job")

    assert (0, 1) == (again.run_count, again.version)
    assert [10, 25] == [since(run.due_at) for run in runs]


async def test_jobs_of_one_function_are_cancelled_by_its_name(scheduler: Scheduler) -> None:
    async with scheduler:
        for _ in range(3):
            await scheduler.add_job(work, Interval(hours=1))
        await scheduler.add_job(other, Interval(hours=1), id="other")
        by_full_name = await scheduler.cancel_job_by_name(f"{MODULE}:work")
        none = await scheduler.cancel_job_by_name("work")
        left = [job.id for job in await scheduler.get_jobs()]
        by_name = await scheduler.cancel_job_by_name("other")

    assert (3, 0, 1) == (by_full_name, none, by_name)
    assert ["other"] == left
