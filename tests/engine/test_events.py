"""Events: told after the store has them, to subscribers and hooks."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable

import pytest
from support.schedules import at, since

from asched import Event, Interval, InvalidArgument, Job, Run, RunStatus, Scheduler
from asched.events import EventBus
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time


async def work() -> str:
    return "done"


async def bad() -> None:
    raise ValueError("always")


class Listener:
    """Collects the events of a scheduler from now on."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.events: list[Event] = []
        self._subscription = scheduler.subscribe()
        self._task = asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        async for event in self._subscription:
            self.events.append(event)

    def names(self, job_id: str | None = None) -> list[str]:
        return [event.name for event in self.events if job_id is None or event.job_id == job_id]

    async def ended(self) -> None:
        await self._task


async def test_life_of_a_job_is_told(scheduler: Scheduler, clock: VirtualClock) -> None:
    async with scheduler:
        listener = Listener(scheduler)
        await scheduler.add_job(work, Interval(seconds=10), id="job")
        await clock.sleep_until(at(11))
        await scheduler.update_job("job", tags=["new"])
        await scheduler.pause_job("job")
        await scheduler.resume_job("job")
        await scheduler.cancel_job("job")
    await listener.ended()

    assert [
        "job.added", "run.started", "run.succeeded", "job.updated", "job.paused", "job.resumed", "job.removed",
    ] == listener.names("job")  # fmt: skip


async def test_event_carries_the_job_and_the_run_as_they_stand_after_it(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    async with scheduler:
        listener = Listener(scheduler)
        await scheduler.add_job(work, Interval(seconds=10), id="job")
        await clock.sleep_until(at(11))
    await listener.ended()

    told = {event.name: event for event in listener.events}
    ended = told["run.succeeded"]
    assert isinstance(ended.job, Job) and isinstance(ended.run, Run)
    assert ("job", 1, 20) == (ended.job.id, ended.job.run_count, since(ended.job.next_run_at))
    assert (ended.run_id, RunStatus.SUCCEEDED, "done") == (ended.run.id, ended.run.status, ended.run.result)
    assert 10 == since(ended.at)


@pytest.mark.parametrize(
    ("declare", "expected"),
    [
        (lambda s: s.once(10).retries(1, backoff=1).id("job")(bad), ["run.started", "run.retrying", "run.started",
                                                                     "run.failed"]),
        (lambda s: s.once(10).timeout(2).retries(0).id("job").do(asyncio.sleep, 60), ["run.started", "run.timed_out"]),
        (lambda s: s.every(10).seconds.id("job").do(asyncio.sleep, 15), ["run.started", "run.skipped", "run.succeeded",
                                                                         "run.started"]),
        (lambda s: s.every(10).seconds.overlap("cancel_running").id("job").do(asyncio.sleep, 15),
         ["run.started", "run.started", "run.cancelled", "run.started", "run.cancelled"]),
    ],
    ids=["failure", "timeout", "overlap", "superseded"],
)  # fmt: skip
async def test_fate_of_each_run_is_told(
    declare: Callable[[Scheduler], object], expected: list[str], scheduler: Scheduler, clock: VirtualClock
) -> None:
    declare(scheduler)
    async with scheduler:
        listener = Listener(scheduler)
        await clock.sleep_until(at(31))
        names = [name for name in listener.names("job") if name.startswith("run.")]

    assert expected == names


async def test_scheduler_tells_of_its_own_start_and_stop(scheduler: Scheduler) -> None:
    heard: list[str] = []
    for name in ("scheduler.started", "scheduler.stopping"):
        scheduler.on(name)(lambda event: heard.append(event.name))
    async with scheduler:
        await asyncio.sleep(1)

    assert ["scheduler.started", "scheduler.stopping"] == heard


async def test_hooks_are_sync_or_async_and_hear_their_event_only(scheduler: Scheduler, clock: VirtualClock) -> None:
    heard: list[tuple[str, str]] = []

    @scheduler.on("run.succeeded")
    def plain(event: Event) -> None:
        heard.append(("plain", event.name))

    @scheduler.on("run.succeeded")
    async def coroutine(event: Event) -> None:
        await asyncio.sleep(1)
        heard.append(("coroutine", event.name))

    scheduler.once(10)(work)
    scheduler.once(10).retries(0)(bad)
    async with scheduler:
        await clock.sleep_until(at(12))

    assert [("plain", "run.succeeded"), ("coroutine", "run.succeeded")] == heard


async def test_hook_that_fails_is_logged_and_harms_nobody(
    scheduler: Scheduler, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    @scheduler.on("run.succeeded")
    def plain(event: Event) -> None:
        raise ZeroDivisionError("plain")

    @scheduler.on("run.succeeded")
    async def coroutine(event: Event) -> None:
        raise ZeroDivisionError("coroutine")

    @scheduler.on("run.succeeded")
    def last(event: Event) -> None:
        heard.append(event.name)

    scheduler.every(10).seconds(work)
    async with scheduler:
        await clock.sleep_until(at(25))

    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert ["run.succeeded"] * 2 == heard
    assert 4 == len(errors)
    assert all("hook" in record.getMessage() and record.exc_info for record in errors)


async def test_decorator_of_a_hook_returns_the_hook(scheduler: Scheduler) -> None:
    def hook(event: Event) -> None:
        pass

    assert hook is scheduler.on("job.added")(hook)


async def test_unknown_event_is_refused_with_those_there_are(scheduler: Scheduler) -> None:
    with pytest.raises(InvalidArgument, match=r"run\.succeeded"):
        scheduler.on("run.ended")(print)


async def test_subscription_begins_with_the_call(scheduler: Scheduler) -> None:
    async with scheduler:
        subscription = scheduler.subscribe()
        await scheduler.add_job(work, Interval(seconds=10), id="job")
        event = await anext(subscription)

    assert ("job.added", "job") == (event.name, event.job_id)


async def test_subscription_ends_when_the_scheduler_stops(scheduler: Scheduler) -> None:
    async with scheduler:
        listener = Listener(scheduler)
    await listener.ended()

    assert ["scheduler.stopping"] == [name for name in listener.names() if name != "scheduler.started"]


async def test_slow_subscriber_holds_up_nobody_and_is_told_what_it_missed(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    async with scheduler:
        subscription = scheduler.subscribe()
        await scheduler.add_job(work, Interval(seconds=1), id="job")
        await clock.sleep_until(at(6_000.5))
        first = await anext(subscription)
        second = await anext(subscription)
        runs = (await scheduler.get_job("job")).run_count

    assert 6_000 == runs
    # An event for the job, and two for each run; ten thousand are kept.
    assert ("events.dropped", 1 + 12_000 - 10_000) == (first.name, first.data["count"])
    assert second.name.startswith("run.")


async def test_events_come_after_the_commit(scheduler: Scheduler, clock: VirtualClock) -> None:
    seen: list[RunStatus] = []

    @scheduler.on("run.succeeded")
    async def hook(event: Event) -> None:
        assert event.run_id is not None
        seen.append((await scheduler.get_run(event.run_id)).status)

    scheduler.every(10).seconds(work)
    async with scheduler:
        await clock.sleep_until(at(35))

    assert [RunStatus.SUCCEEDED] * 3 == seen


async def test_a_subscription_that_was_dropped_without_a_word_no_longer_costs_anything() -> None:
    bus = EventBus()
    subscription = bus.subscribe()
    other = bus.subscribe()
    await other.aclose()
    assert bus.wanted

    del subscription
    gc.collect()

    assert not bus.wanted


async def test_closed_subscription_no_longer_costs_anything() -> None:
    bus = EventBus()
    subscription = bus.subscribe()
    assert bus.wanted

    await subscription.aclose()

    assert not bus.wanted
    with pytest.raises(StopAsyncIteration):
        await anext(subscription)
