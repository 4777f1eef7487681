"""Parts of the scheduler that raise what nobody expected: they are told, started again, and harm nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from support.schedules import Journal, at, last_run

from asched import Interval, Once, RunStatus, Scheduler, current_run
from asched.store import ClaimedRow, ClaimRow, FinishRow, Store, Timer
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time


class Odd(Exception):
    """No error that a store is known to raise."""


class Breaking:
    """A store some of whose calls raise. It stands around a real one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.broken: dict[str, int] = {}
        """By the call's name: how often it still raises."""
        self.poison: set[str] = set()
        """Jobs whose claims, and whose runs' ends with a result, the store does not take."""

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)
        if name not in ("window", "heartbeat", "reap", "prune", "annotate", "changes", "get_runs", "get_jobs"):
            return call

        async def maybe(*arguments: Any, **options: Any) -> Any:
            self.break_at(name)
            return await call(*arguments, **options)

        return maybe

    def break_at(self, name: str) -> None:
        left = self.broken.get(name, 0)
        if left:
            self.broken[name] = left - 1
            raise Odd(name)

    async def claim(self, epoch: int, claims: Sequence[ClaimRow]) -> Sequence[ClaimedRow]:
        self.break_at("claim")
        if any(claim[0].spec.id in self.poison for claim in claims):
            raise Odd("poisoned")
        return await self._store.claim(epoch, claims)

    async def finish(self, epoch: int, ends: Sequence[FinishRow]) -> tuple[Sequence[bool | None], list[Timer]]:
        self.break_at("finish")
        if any(end[7] == b'"bad"' for end in ends):
            raise Odd("a value")
        return await self._store.finish(epoch, ends)


FOREVER = 10**9


@pytest.fixture
def store(reopen: Callable[[], Store]) -> Breaking:
    return Breaking(reopen())


class Watched:
    """A scheduler with a job of every 10 s, and what it tells of its parts."""

    def __init__(self, store: Breaking, clock: VirtualClock, journal: Journal) -> None:
        self.scheduler = Scheduler(store, clock=clock)  # type: ignore[arg-type]  # it stands around one
        self.told: list[tuple[str, object]] = []
        for name in ("scheduler.failed", "scheduler.recovered"):
            self.scheduler.on(name)(lambda event: self.told.append((event.name, event.data["part"])))

        async def tick() -> None:
            journal.note()

        self.scheduler.register_function(tick, name="tick")
        self.tick = tick

    async def __aenter__(self) -> Watched:
        await self.scheduler.start()
        await self.scheduler.add_job(self.tick, Interval(seconds=10), id="tick")
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.scheduler.stop(wait=False)


@pytest.mark.parametrize(("call", "part"), [("claim", "claims"), ("window", "window")])
async def test_a_loop_that_fails_once_goes_on(
    store: Breaking, clock: VirtualClock, journal: Journal, call: str, part: str
) -> None:
    async with Watched(store, clock, journal) as watched:
        await clock.sleep_until(at(15))
        store.broken[call] = 1
        if call == "window":
            watched.scheduler._engine.look_again()  # type: ignore[union-attr]
        await clock.sleep_until(at(45))

        assert [10, 20, 30, 40] == [round(time) for time in journal.times]
        assert [("scheduler.failed", part), ("scheduler.recovered", part)] == watched.told
        assert watched.scheduler.healthy


async def test_a_loop_that_always_fails_is_not_healthy_and_says_which_part_and_why(
    store: Breaking, clock: VirtualClock, journal: Journal
) -> None:
    async with Watched(store, clock, journal) as watched:
        store.broken["claim"] = FOREVER
        await clock.sleep_until(at(100))
        [failure] = watched.scheduler.failures
        healthy, running = watched.scheduler.healthy, watched.scheduler.running
        jobs = await watched.scheduler.get_jobs()
        store.broken.clear()
        await clock.sleep_until(at(145))

        assert (False, True) == (healthy, running)
        assert ("claims", "Odd: claim", at(10)) == (failure.part, failure.error, failure.since.replace(microsecond=0))
        assert ["tick"] == [job.id for job in jobs]
        assert [("scheduler.failed", "claims"), ("scheduler.recovered", "claims")] == watched.told
        assert journal.times[-1] == 140
        assert watched.scheduler.healthy


async def test_ends_that_are_refused_for_no_known_reason_are_recorded_when_the_store_takes_them(
    store: Breaking, clock: VirtualClock, journal: Journal
) -> None:
    async with Watched(store, clock, journal) as watched:
        store.broken["finish"] = 3
        await clock.sleep_until(at(55))
        history = await watched.scheduler.get_history("tick")

        assert {RunStatus.SUCCEEDED} == {run.status for run in history}
        assert 50 == journal.times[-1]
        assert watched.scheduler.healthy


async def test_a_result_that_the_store_does_not_take_harms_its_own_run_alone(
    store: Breaking, clock: VirtualClock, journal: Journal
) -> None:
    async with Watched(store, clock, journal) as watched:

        async def bad() -> str:
            return "bad"

        watched.scheduler.register_function(bad, name="bad")
        await watched.scheduler.add_job(bad, Once(at(20)), id="bad")
        await clock.sleep_until(at(45))
        run = await last_run(watched.scheduler, "bad")

        assert (RunStatus.SUCCEEDED, None) == (run.status, run.result)
        assert [10, 20, 30, 40] == journal.times
        assert watched.scheduler.healthy


async def test_a_job_that_cannot_be_claimed_harms_no_other_and_is_tried_again(
    store: Breaking, clock: VirtualClock, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    async with Watched(store, clock, journal) as watched:
        ran: list[float] = []

        async def bad() -> None:
            ran.append(journal.now())

        watched.scheduler.register_function(bad, name="bad")
        await watched.scheduler.add_job(bad, Once(at(20)), id="bad")
        store.poison.add("bad")
        await clock.sleep_until(at(45))
        store.poison.clear()
        await clock.sleep_until(at(95))

        assert [10, 20, 30, 40, 50, 60, 70, 80, 90] == journal.times
        assert 1 == len(ran)
        assert any("job bad cannot be claimed" in record.message for record in caplog.records)


async def test_retention_that_fails_is_started_again(store: Breaking, clock: VirtualClock, journal: Journal) -> None:
    async with Watched(store, clock, journal) as watched:
        store.broken["prune"] = 1
        await clock.sleep_until(at(2_000))

        assert [("scheduler.failed", "retention"), ("scheduler.recovered", "retention")] == watched.told


async def test_progress_that_the_store_does_not_take_harms_nothing(
    store: Breaking, clock: VirtualClock, journal: Journal
) -> None:
    async with Watched(store, clock, journal) as watched:

        async def long() -> None:
            run = current_run()
            assert run is not None
            for done in range(10):
                run.progress(done, 10)
                await asyncio.sleep(1)

        watched.scheduler.register_function(long, name="long")
        await watched.scheduler.add_job(long, Once(at(12)), id="long")
        store.broken["annotate"] = 3
        await clock.sleep_until(at(45))
        run = await last_run(watched.scheduler, "long")

        assert RunStatus.SUCCEEDED is run.status
        assert [10, 20, 30, 40] == journal.times


async def test_followers_of_other_nodes_wait_out_a_store_that_is_away_and_recover_from_a_fault(
    store: Breaking, clock: VirtualClock, journal: Journal
) -> None:
    async with Watched(store, clock, journal) as watched:
        events = watched.scheduler.subscribe()
        store.broken["changes"] = 1
        await clock.sleep_until(at(45))
        failures = watched.scheduler.failures
        await events.aclose()

        assert () == failures
        assert ("scheduler.failed", "follower") in watched.told
        assert ("scheduler.recovered", "follower") in watched.told


async def test_events_go_out_though_their_records_cannot_be_read(
    store: Breaking, clock: VirtualClock, journal: Journal
) -> None:
    async with Watched(store, clock, journal) as watched:
        heard: list[object] = []
        watched.scheduler.on("run.succeeded")(lambda event: heard.append(event.run))
        await clock.sleep_until(at(5))
        store.broken["get_runs"] = store.broken["get_jobs"] = 1
        await clock.sleep_until(at(35))

        assert 3 == len(heard)
        assert heard[-1] is not None
        assert [10, 20, 30] == journal.times
