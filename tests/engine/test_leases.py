"""A node and its lease: nothing begins after its end, and claims that nobody executes are given back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from support.schedules import Journal, at

from asched import Interval, MemoryStore, Once, RunStatus, Scheduler, StoreUnavailable
from asched.model import OnCrash
from asched.store import Beat, Claim, Claimed, Finish, Timer
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time

LEASE = 30.0


class Remote(MemoryStore):
    """A store behind a line that a test can spoil."""

    def __init__(self) -> None:
        super().__init__(lease=LEASE)
        self.claims_take = 0.0
        self.claims_are_lost = 0
        self.ends_are_lost = 0
        self.beats_are_lost = False
        self.beats = 0

    async def claim(self, epoch: int, claims: Sequence[Claim]) -> list[Claimed]:
        answers = await super().claim(epoch, claims)
        if self.claims_take:
            delay, self.claims_take = self.claims_take, 0.0
            await asyncio.sleep(delay)
        if self.claims_are_lost:
            self.claims_are_lost -= 1
            raise StoreUnavailable("the answer was lost")
        return answers

    async def finish(self, epoch: int, ends: Sequence[Finish]) -> tuple[list[bool], list[Timer]]:
        answer = await super().finish(epoch, ends)
        if self.ends_are_lost:
            self.ends_are_lost -= 1
            raise StoreUnavailable("the answer was lost")
        return answer

    async def heartbeat(self, epoch: int) -> Beat:
        self.beats += 1
        if self.beats_are_lost:
            raise StoreUnavailable("the heartbeat was lost")
        return await super().heartbeat(epoch)


@pytest.fixture
def store() -> Remote:
    return Remote()


def scheduler_on(store: Remote, clock: VirtualClock, journal: Journal, takes: float = 0.0) -> Scheduler:
    scheduler = Scheduler(store, clock=clock)

    async def work() -> None:
        journal.note("began")
        await asyncio.sleep(takes)

    scheduler.register_function(work, name="app:work")
    return scheduler


async def test_what_was_granted_too_late_does_not_begin_and_runs_once_the_lease_is_renewed(
    store: Remote, clock: VirtualClock, journal: Journal
) -> None:
    async with scheduler_on(store, clock, journal) as scheduler:
        await scheduler.add_job("app:work", Once(clock.now_datetime() + timedelta(seconds=5)), id="job")
        store.claims_take = 40.0
        store.beats_are_lost = True
        await clock.sleep_until(at(46))
        began_before_the_beat = list(journal.times)
        store.beats_are_lost = False
        await clock.sleep_until(at(60))
        [run] = await scheduler.get_history("job")

    assert began_before_the_beat == []
    assert len(journal.times) == 1
    assert run.status is RunStatus.SUCCEEDED
    assert [attempt.number for attempt in run.attempts][-1] == 1


async def test_a_node_past_its_lease_waits_without_asking_the_store_again_and_again(
    store: Remote, clock: VirtualClock, journal: Journal
) -> None:
    # Of a store that is polled the next look is overdue all the time.
    store.caps = store.caps._replace(poll=1.0)
    async with scheduler_on(store, clock, journal):
        store.beats_are_lost = True
        await clock.sleep_until(at(1_000))

    # Every 2.5 to 5 seconds after the first: at most half of the usual time, since the last one failed.
    assert 190 <= store.beats <= 405


async def test_an_attempt_that_waited_for_the_loop_beyond_the_lease_does_not_begin(
    store: Remote, clock: VirtualClock, journal: Journal
) -> None:
    scheduler = scheduler_on(store, clock, journal)

    async def hog() -> None:
        journal.note("hog")
        engine = scheduler._engine
        assert engine is not None
        # As a job that holds the loop beyond the lease: only the clocks go on.
        engine._lease_ends = engine._clock.elapsed()
        engine._runner.starts_until = 0

    scheduler.register_function(hog, name="app:hog")
    async with scheduler:
        due = Once(clock.now_datetime() + timedelta(seconds=5))
        await scheduler.add_job("app:hog", due, id="a-hog")
        await scheduler.add_job("app:work", due, id="job", on_crash=OnCrash.LOST)
        await clock.sleep_until(at(6))
        begun = list(journal.words)
        await clock.sleep_until(at(30))
        [run] = await scheduler.get_history("job")

    assert begun == ["hog"]
    assert journal.words == ["hog", "began"]
    assert run.status is RunStatus.SUCCEEDED


async def test_a_claim_whose_answer_was_lost_runs_a_moment_later(
    store: Remote, clock: VirtualClock, journal: Journal
) -> None:
    async with scheduler_on(store, clock, journal) as scheduler:
        await scheduler.add_job("app:work", Interval(seconds=10), id="job")
        store.claims_are_lost = 1
        await clock.sleep_until(at(35))
        runs = await scheduler.get_history("job")

    assert len(journal.times) == 3
    assert [run.status for run in runs] == [RunStatus.SUCCEEDED] * 3


async def test_a_claim_that_turns_up_after_the_store_was_asked_is_given_back_by_the_heartbeat(
    store: Remote, clock: VirtualClock, journal: Journal
) -> None:
    async with scheduler_on(store, clock, journal) as scheduler:
        engine = scheduler._engine
        assert engine is not None
        await scheduler.add_job(
            "app:work", Once(clock.now_datetime() + timedelta(seconds=500)), id="job", max_retries=0
        )
        run = await scheduler.run_job_now("job")
        await scheduler.wait_for_run(run.id)
        # As a call that was given up and is committed afterwards: the node knows nothing of it.
        enqueued = await scheduler.run_job_now("job")
        timer = engine._timers.discard(int(enqueued.id, 16))
        assert timer is not None
        await store.claim(engine.epoch, [Claim(timer, engine.next_token())])
        await clock.sleep_until(at(60))
        found = await scheduler.get_run(enqueued.id)

    assert found.status is RunStatus.SUCCEEDED
    assert len(journal.times) == 2


async def test_an_end_whose_answer_was_lost_is_told_as_any_other(
    store: Remote, clock: VirtualClock, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    told = []
    scheduler = scheduler_on(store, clock, journal)
    scheduler.on("run.succeeded")(lambda event: told.append(event.job_id))
    async with scheduler:
        await scheduler.add_job("app:work", Once(clock.now_datetime() + timedelta(seconds=5)), id="job")
        store.ends_are_lost = 1
        await clock.sleep_until(at(20))

    assert told == ["job"]
    assert "was refused" not in caplog.text
