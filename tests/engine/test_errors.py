"""Bad input: each error names the remedy, and nothing is half done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.schedules import at

import asched
from asched import (
    Abort,
    AlreadyStarted,
    AschedError,
    Daily,
    Forbidden,
    FunctionUnknown,
    Interval,
    InvalidArgument,
    InvalidTrigger,
    Job,
    JobBusy,
    JobExists,
    JobNotFound,
    MissingExtra,
    NotStarted,
    Once,
    RunNotFound,
    Scheduler,
    SchemaTooNew,
    StoreLocked,
    StoreUnavailable,
    TriggerNotStorable,
    UnstableFunction,
    VersionConflict,
    WrongLoop,
)
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time

Call = Callable[[Scheduler], Awaitable[object]]


async def work(*args: object, **kwargs: object) -> None:
    pass


def test_every_error_is_an_asched_error_and_the_standard_one_it_resembles() -> None:
    kinds: dict[type[AschedError], type[Exception]] = {
        InvalidArgument: ValueError, InvalidTrigger: ValueError, TriggerNotStorable: TypeError,
        FunctionUnknown: LookupError, UnstableFunction: ValueError, JobNotFound: LookupError, RunNotFound: LookupError,
        JobExists: AschedError, JobBusy: AschedError, VersionConflict: AschedError, NotStarted: RuntimeError,
        AlreadyStarted: RuntimeError, WrongLoop: RuntimeError, StoreUnavailable: ConnectionError,
        StoreLocked: AschedError, SchemaTooNew: AschedError,
        MissingExtra: ImportError, Forbidden: PermissionError, Abort: AschedError,
    }  # fmt: skip
    exported = {
        kind
        for kind in map(vars(asched).get, asched.__all__)
        if isinstance(kind, type) and issubclass(kind, AschedError) and kind is not AschedError
    }

    assert exported == kinds.keys()
    assert all(
        issubclass(kind, (AschedError, standard)) and issubclass(kind, standard) for kind, standard in kinds.items()
    )


class Own:
    """A trigger class of a user's own: every ten seconds of the clock."""

    def next_after(self, after: datetime) -> datetime | None:
        second = int(after.timestamp()) // 10 * 10 + 10
        return datetime.fromtimestamp(second, UTC)

    def describe(self, lang: str = "en") -> str:
        return "every ten seconds"

    def fingerprint(self) -> str:
        return "ten"


WRONG: dict[str, tuple[Call, type[AschedError], str]] = {
    "past moment": (lambda s: s.add_job(work, Once(at(-1))), InvalidTrigger, r"run_job_now\(\) starts a job at once"),
    "until before the first": (
        lambda s: s.add_job(work, Daily("09:00"), until=at(60)), InvalidTrigger, "before 'until'",
    ),
    "no trigger": (lambda s: s.add_job(work, "09:00"), InvalidTrigger, "a trigger is wanted"),  # type: ignore[arg-type]
    "no function": (lambda s: s.add_job(None, Interval(hours=1)), InvalidArgument, "give a function"),  # type: ignore[arg-type]
    "unknown function": (lambda s: s.add_job("a:b", Interval(hours=1)), FunctionUnknown, "register_function first"),
    "argument": (lambda s: s.add_job(work, Interval(hours=1), args=[{1}]), InvalidArgument, "partial or a closure"),
    "large argument": (lambda s: s.add_job(work, Interval(hours=1), args=["x" * 65_536]), InvalidArgument, "reference"),
    "id": (lambda s: s.add_job(work, Interval(hours=1), id="."), InvalidArgument, "1 to 200 printable"),
    "id taken": (lambda s: s.add_job(work, Interval(hours=1), id="there"), JobExists, "if_exists='replace'"),
    "paused": (lambda s: s.add_job(work, Interval(hours=1), paused=1), InvalidArgument, "True or False"),  # type: ignore[arg-type]
    "naive": (
        lambda s: s.add_job(work, Interval(hours=1), until=datetime(2027, 1, 1)), InvalidArgument, "tzinfo",  # noqa: DTZ001
    ),
    "unknown job": (lambda s: s.get_job("nobody"), JobNotFound, r"get_jobs\(\) lists"),
    "unknown run": (lambda s: s.get_run("ff"), RunNotFound, "never existed or its record has been pruned"),
    "no change": (lambda s: s.update_job("there", colour="red"), InvalidArgument, "it can change"),
    "old version": (lambda s: s.update_job("there", version=7, name="x"), VersionConflict, "read it again"),
    "started": (lambda s: s.start(), AlreadyStarted, "is running"),
    "cursor": (lambda s: s.get_jobs(cursor="\n" * 300), InvalidArgument, "next_cursor of a page"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "error", "advice"), WRONG.values(), ids=WRONG.keys())
async def test_error_says_what_to_do_and_leaves_everything_as_it_was(
    call: Call, error: type[AschedError], advice: str, scheduler: Scheduler
) -> None:
    async def state() -> tuple[list[Job], list[Any], list[Any]]:
        return await scheduler.get_jobs(), await scheduler.get_groups(), await scheduler.get_history()

    async with scheduler:
        await scheduler.add_job(work, Interval(hours=1), id="there", tags=["kept"])
        before = await state()
        with pytest.raises(error, match=advice):
            await call(scheduler)
        after = await state()
        following = await scheduler.add_job(work, Interval(hours=1))

    assert before == after
    # A refused call has used up no id either.
    assert "job_1" == following.id


async def test_wrong_decorator_declares_nothing(scheduler: Scheduler) -> None:
    sentences: list[Callable[[], object]] = [
        lambda: scheduler.every(5)(work),
        lambda: scheduler.daily.do(work, object()),
        lambda: scheduler.weekly(work),
        lambda: scheduler.daily(5),  # type: ignore[arg-type]  # the point of the test
    ]
    for wrong in sentences:
        with pytest.raises(InvalidArgument):
            wrong()
    async with scheduler:
        jobs = await scheduler.get_jobs()

    assert [] == jobs
    assert [] == scheduler.functions()


async def test_trigger_class_of_ones_own_works_for_decorators_and_in_memory(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    times: list[datetime] = []

    @scheduler.trigger(Own()).id("declared")
    async def declared() -> None:
        times.append(clock.now_datetime())

    async with scheduler:
        await clock.sleep_until(at(3))
        added = await scheduler.add_job(work, Own())
        await clock.sleep_until(at(25))

    assert [at(10), at(20)] == times
    assert at(10) == added.next_run_at


async def test_trigger_class_of_ones_own_is_refused_by_a_store_that_outlives_the_process(
    scheduler: Scheduler,
) -> None:
    scheduler.store.caps = scheduler.store.caps._replace(durable=True)  # says so, has no disk
    async with scheduler:
        with pytest.raises(TriggerNotStorable, match=r"@scheduler\.trigger"):
            await scheduler.add_job(work, Own())
        await scheduler.add_job(work, Interval(hours=1), id="job")
        with pytest.raises(TriggerNotStorable):
            await scheduler.update_job("job", trigger=Own())
        jobs = await scheduler.get_jobs()

    assert ["job"] == [job.id for job in jobs]


async def test_trigger_that_fails_harms_no_other_job(
    scheduler: Scheduler, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    times: list[datetime] = []

    class Failing(Own):
        def next_after(self, after: datetime) -> datetime | None:
            if after >= at(10):
                raise ZeroDivisionError("a fault in the user's trigger")
            return super().next_after(after)

    async def fine() -> None:
        times.append(clock.now_datetime())

    async with scheduler:
        await scheduler.add_job(work, Failing(), id="failing")
        await scheduler.add_job(fine, Interval(seconds=10), id="fine")
        await clock.sleep_until(at(35))
        kept = await scheduler.get_job("failing")
        mended = await scheduler.update_job("failing", trigger=Interval(seconds=10))

    assert [at(10), at(20), at(30)] == times
    assert "the trigger of job failing failed" in caplog.text
    assert (at(10), at(45)) == (kept.next_run_at, mended.next_run_at)


@pytest.mark.parametrize("wrong", [7, b"x", [], "\ud800", "a\0b"])
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_what_is_no_text_is_refused_by_every_store_alike(tmp_path: Path, kind: str, wrong: Any) -> None:
    async with Scheduler(None if kind == "memory" else f"sqlite:///{tmp_path}/jobs.db") as scheduler:
        for asked in (
            scheduler.get_jobs(query=wrong),
            scheduler.get_history(job_id=wrong),
            scheduler.get_history(func_name=wrong),
            scheduler.cancel_job_by_name(wrong),
        ):
            with pytest.raises(InvalidArgument, match="must be text"):
                await asked
        for call in (scheduler.get_job, scheduler.pause_job, scheduler.cancel_job, scheduler.run_job_now):
            with pytest.raises(JobNotFound):
                await call(wrong)


def test_a_moment_and_an_event_that_are_none_are_refused_as_such() -> None:
    scheduler = Scheduler()

    with pytest.raises(InvalidTrigger, match="needs a moment"):
        scheduler.at(None)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="there is no event"):
        scheduler.on([])(print)  # type: ignore[arg-type]
