"""A wall clock that is set, and a machine that sleeps."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest
from support.schedules import Journal, at, records, since

from asched import Daily, Event, Interval, MemoryStore, Once, Reason, RunStatus, Scheduler
from asched.clock import Clock
from asched.instants import SECOND
from asched.store import Beat, Limits, NodeInfo, Store
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time

HOUR = 3_600.0


def declare(scheduler: Scheduler, journal: Journal) -> None:
    @scheduler.every(10).minutes.id("interval")
    async def interval() -> None:
        journal.note("interval")

    @scheduler.daily.at("06:00").id("daily")
    async def daily() -> None:
        journal.note("daily")


def times(journal: Journal, word: str) -> list[float]:
    return [time for time, said in zip(journal.times, journal.words, strict=True) if said == word]


async def test_step_back_of_less_than_three_hours_repeats_no_daily_and_stalls_no_interval(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    declare(scheduler, journal)
    elapsed: list[float] = []

    @scheduler.every(10).minutes
    async def beside() -> None:
        elapsed.append(clock.elapsed())

    async with scheduler:
        # Not at an instant of a job: which of the two came first would be a matter of luck.
        await clock.sleep_until(at(6.5 * HOUR + 5))
        clock.step(-2 * HOUR)
        await asyncio.sleep(3 * HOUR)
        planned = (await scheduler.get_job("daily")).next_run_at

    assert [6 * HOUR] == times(journal, "daily")
    assert 30 * HOUR == since(planned)
    gaps = [later - earlier for earlier, later in itertools.pairwise(elapsed)]
    assert max(gaps) <= 640
    assert 9.5 * 6 - 1 <= len(elapsed) <= 9.5 * 6 + 1


async def test_step_back_of_more_than_three_hours_plans_everything_anew(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    declare(scheduler, journal)
    async with scheduler:
        await clock.sleep_until(at(6.5 * HOUR + 5))
        clock.step(-4 * HOUR)
        await clock.sleep_until(at(7 * HOUR))

    # The wall clock was wrong, and shows six o'clock a second time: now it is true.
    assert [6 * HOUR, 6 * HOUR] == times(journal, "daily")


async def test_one_shot_waits_for_its_wall_time_when_the_clock_is_set_back(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def work() -> None:
        journal.note()

    async with scheduler:
        await scheduler.add_job(work, Once(at(HOUR)), id="job")
        await clock.sleep_until(at(0.9 * HOUR))
        clock.step(-0.5 * HOUR)
        await asyncio.sleep(0.65 * HOUR)

    assert [HOUR] == journal.times


@pytest.mark.parametrize("way", ["step", "suspend"])
async def test_jump_forward_gives_what_catch_up_allows_and_no_burst(
    way: str, scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def work() -> None:
        journal.note("latest")

    async def skipping() -> None:
        journal.note("skip")

    async with scheduler:
        await scheduler.add_job(work, Interval(minutes=10), id="latest")
        await scheduler.add_job(skipping, Interval(minutes=10), id="skip", catch_up="skip")
        await clock.sleep_until(at(905))
        getattr(clock, way)(5 * HOUR)
        await asyncio.sleep(20 * 60)
        latest, skip = await records(scheduler, "latest"), await records(scheduler, "skip")

    jumped = 905 + 5 * HOUR
    late = [time for time in times(journal, "latest") if time > 905]
    assert jumped <= late[0] <= jumped + 30
    assert [19_200, 19_800] == late[1:]
    assert [19_200, 19_800] == [time for time in times(journal, "skip") if time > 905]
    assert (RunStatus.MISSED, Reason.COALESCED, 20 * 60, 29) in latest
    assert (RunStatus.MISSED, Reason.NO_CATCH_UP, 20 * 60, 30) in skip


async def test_jump_is_told_as_an_event_and_in_the_log(
    scheduler: Scheduler, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[tuple[float, float]] = []

    @scheduler.on("clock.jumped")
    def hear(event: Event) -> None:
        heard.append((event.data["seconds"], event.data["slept"]))

    async with scheduler:
        await asyncio.sleep(100)
        clock.step(50)
        await asyncio.sleep(100)
        clock.step(-50)
        await asyncio.sleep(100)
        clock.suspend(50)
        await asyncio.sleep(100)

    assert [(50, 0), (-50, 0), (0, 50)] == [(round(seconds), round(slept)) for seconds, slept in heard]
    assert 3 == sum("the clock jumped" in record.getMessage() for record in caplog.records)


async def test_slewed_clock_is_no_jump(scheduler: Scheduler, clock: VirtualClock) -> None:
    heard: list[Event] = []
    scheduler.on("clock.jumped")(heard.append)
    async with scheduler:
        for _ in range(100):
            clock.step(0.015)
            await asyncio.sleep(30)

    assert [] == heard


async def test_run_goes_on_over_a_step_with_its_timeout_in_elapsed_time(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    async def work() -> None:
        await asyncio.sleep(20)

    async with scheduler:
        await scheduler.add_job(work, Once(at(10)), id="job", timeout=30, max_retries=0)
        await clock.sleep_until(at(15))
        clock.step(HOUR)
        await asyncio.sleep(60)
        [record] = await records(scheduler, "job")

    assert RunStatus.SUCCEEDED is record[0]


async def test_daily_job_runs_once_a_day_for_a_fortnight(
    scheduler: Scheduler, clock: VirtualClock, journal: Journal
) -> None:
    async def work() -> None:
        journal.note()

    async with scheduler:
        await scheduler.add_job(work, Daily("06:00"))
        await clock.sleep_until(at(14 * 24 * HOUR))

    assert [(day * 24 + 6) * HOUR for day in range(14)] == journal.times


async def test_a_start_after_the_clock_was_ahead_stalls_no_interval(
    reopen: Callable[[], Store], clock: VirtualClock, journal: Journal
) -> None:
    async with Scheduler(reopen(), clock=clock) as scheduler:
        scheduler.register_function(journal.note, name="app:note")
        await scheduler.add_job("app:note", Interval(minutes=10), id="job", args=("ran",))
        clock.step(+1 * HOUR)
        await asyncio.sleep(650)
    clock.step(-1 * HOUR)
    ahead = len(journal.words)
    async with Scheduler(reopen(), clock=clock) as scheduler:
        scheduler.register_function(journal.note, name="app:note")
        await asyncio.sleep(1_250)

    assert ahead >= 1
    assert len(journal.words) == ahead + 2


class Remote(MemoryStore):
    """A store whose clock is its own, as a database's is, and can be set."""

    def __init__(self) -> None:
        super().__init__(lease=30.0)
        self.caps = self.caps._replace(own_clock=True)
        self.ahead = 0.0

    async def open(self, namespace: str, limits: Limits, clock: Clock) -> None:
        store = self

        class Shifted:
            def now(self) -> int:
                return clock.now() + int(store.ahead * SECOND)

            def elapsed(self) -> float:
                return clock.elapsed()

        await super().open(namespace, limits, Shifted())


async def test_a_store_s_clock_that_is_set_back_stalls_no_interval(clock: VirtualClock) -> None:
    elapsed: list[float] = []
    store = Remote()
    scheduler = Scheduler(store, clock=clock)

    @scheduler.every(10).minutes
    async def beside() -> None:
        elapsed.append(clock.elapsed())

    async with scheduler:
        await clock.sleep_until(at(2 * HOUR + 5))
        store.ahead = -2 * HOUR
        await asyncio.sleep(3 * HOUR)

    gaps = [later - earlier for earlier, later in itertools.pairwise(elapsed)]
    assert max(gaps) <= 660
    assert len(elapsed) >= 28


async def test_a_node_whose_own_clock_is_wrong_runs_on_the_store_s_time(clock: VirtualClock) -> None:
    elapsed: list[float] = []
    scheduler = Scheduler(Remote(), clock=clock)

    @scheduler.every(10).minutes
    async def beside() -> None:
        elapsed.append(clock.elapsed())

    async with scheduler:
        store = scheduler.store
        assert isinstance(store, Remote)
        await clock.sleep_until(at(HOUR + 5))
        # The node's clock is set; the store's goes on as before.
        clock.step(+1 * HOUR)
        store.ahead = -1 * HOUR
        await asyncio.sleep(HOUR)
        missed = await scheduler.get_history(status="missed")

    assert [600.0 * number for number in range(1, 13)] == pytest.approx(elapsed, abs=1)
    assert missed == []


class Late(Remote):
    """Its answers arrive long after the clock was read, as in a process that is stopped meanwhile."""

    async def heartbeat(self, epoch: int) -> Beat:
        beat = await super().heartbeat(epoch)
        await asyncio.sleep(5)
        return beat


async def test_an_answer_that_is_read_late_is_no_clock_that_was_set_back(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    elapsed: list[float] = []
    scheduler = Scheduler(Late(), clock=clock)

    @scheduler.every(10).seconds
    async def beside() -> None:
        elapsed.append(clock.elapsed())

    async with scheduler:
        await clock.sleep_until(at(125))

    assert [10.0 * number for number in range(1, 13)] == pytest.approx(elapsed, abs=0.1)
    assert "jumped" not in caplog.text


async def test_a_store_s_clock_that_is_set_back_is_followed_though_its_answers_come_late(clock: VirtualClock) -> None:
    store = Late()
    scheduler = Scheduler(store, clock=clock)
    async with scheduler:
        await clock.sleep_until(at(60))
        store.ahead = -2 * HOUR
        await asyncio.sleep(60)
        engine = scheduler._require()
        behind = (clock.now() - engine.now()) / SECOND

    # It was read within the five seconds before the answer came.
    assert 2 * HOUR - 5 <= behind <= 2 * HOUR + 5


class SlowToStart(Remote):
    """Takes its time with those who start, once it is told to."""

    slow = False

    async def register(self, info: NodeInfo) -> int:
        if self.slow:
            await asyncio.sleep(5)
        return await super().register(info)


async def test_a_start_that_takes_long_while_others_run_jobs_is_no_clock_that_was_set_back(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    elapsed: list[float] = []
    store = SlowToStart()
    first, second = Scheduler(store, clock=clock), Scheduler(store, clock=clock)

    @first.every(1).seconds
    async def beside() -> None:
        elapsed.append(clock.elapsed())

    async with first:
        await clock.sleep_until(at(10.5))
        store.slow = True
        async with second:
            await clock.sleep_until(at(20.5))

    assert list(range(1, 21)) == pytest.approx(elapsed, abs=0.1)
    assert "set back" not in caplog.text
