"""Random management calls beside jobs that fail and succeed: no run is stuck, and no instant is without its record."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator

import pytest
from support.management import Player

import asched.rules.claims
import asched.rules.jobs
import asched.rules.runs
from asched import MemoryStore, Reason, Scheduler
from asched.model import JobSpec
from asched.planner import instant_after
from asched.rules.state import JobState, NodeState, RunState, Step
from asched.store import Claimed, Gap, Store, Timer
from asched.testing import VirtualClock, run_virtual, virtual_clock

LEASE = 30.0
# ASCHED_MANAGEMENT=100:200 plays others; a failure names its seed.
FIRST, LAST = map(int, os.environ.get("ASCHED_MANAGEMENT", "0:2").split(":"))
CALLS = 40


async def faults_after(seed: int, stores: tuple[Store, ...], clock: VirtualClock, calls: int = CALLS) -> list[str]:
    """Play, and return what is wrong afterwards, with all that was done before it."""
    schedulers = [Scheduler(store, clock=clock, history_limit=100_000) for store in stores]
    player = Player(seed, schedulers, clock)
    for scheduler in schedulers:
        await scheduler.start()
    try:
        await player.play(calls)
        await player.come_to_rest(LEASE + 4)
        faults = await player.faults()
        return [*faults, *player.said] if faults else []
    finally:
        for scheduler in schedulers:
            await scheduler.stop(wait=False)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Every failure is logged, by the hundred."""
    caplog.set_level(logging.CRITICAL, "asched")


@pytest.mark.virtual_time
@pytest.mark.parametrize("seed", range(FIRST, LAST))
async def test_one_scheduler_accounts_for_everything(
    seed: int, two_stores: tuple[Store, Store], clock: VirtualClock
) -> None:
    assert [] == await faults_after(seed, two_stores[:1], clock)


@pytest.mark.virtual_time
@pytest.mark.parametrize("seed", range(FIRST, LAST))
async def test_two_schedulers_account_for_everything(
    seed: int, two_stores: tuple[Store, Store], clock: VirtualClock
) -> None:
    assert [] == await faults_after(seed, two_stores, clock)


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.virtual_time
@pytest.mark.parametrize("seed", range(1_000, 1_020))
@pytest.mark.parametrize("schedulers", [1, 2])
async def test_many_calls_leave_nothing_behind(
    seed: int, schedulers: int, two_stores: tuple[Store, Store], clock: VirtualClock
) -> None:
    assert [] == await faults_after(seed, two_stores[:schedulers], clock, calls=5 * CALLS)


# With one of these the calls leave something behind.


def nobody_hears_of_waiting_runs_that_an_edit_has_renewed(patch: pytest.MonkeyPatch) -> None:
    claim_waiting = asched.rules.claims._claim_waiting

    def broken(step: Step, node: NodeState, timer: Timer, token: int, fences: Iterator[int]) -> Claimed:
        return claim_waiting(step, node, timer, token, fences)._replace(next=None)

    patch.setattr(asched.rules.claims, "_claim_waiting", broken)
    patch.setattr(asched.rules.jobs, "_waiting", lambda step, job: [])


def queued_runs_are_not_let_go(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(asched.rules.runs, "unqueue", lambda step, job: None)


def what_passed_in_a_pause_is_forgotten_by_a_new_plan(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(asched.rules.jobs, "_passed_unrecorded", lambda job, now: None)


def what_passed_in_a_pause_is_forgotten_at_its_end(patch: pytest.MonkeyPatch) -> None:
    def broken(spec: JobSpec, planned: int | None, now: int) -> tuple[None, int | None]:
        return None, planned if planned is None or planned > now else instant_after(spec, now)

    patch.setattr(asched.rules.jobs, "passed_while_paused", broken)


def retries_of_runs_by_hand_are_held_by_a_pause(patch: pytest.MonkeyPatch) -> None:
    renew = asched.rules.runs._renew

    def broken(step: Step, run: RunState) -> None:
        renew(step, run)
        run.held = run.job.paused

    patch.setattr(asched.rules.runs, "_renew", broken)


def a_pause_lasts_for_the_runs_that_wait(patch: pytest.MonkeyPatch) -> None:
    renew = asched.rules.runs._renew

    def broken(step: Step, run: RunState) -> None:
        held = run.held
        renew(step, run)
        run.held = held or run.held

    patch.setattr(asched.rules.runs, "_renew", broken)


def skipped_occurrences_leave_no_record(patch: pytest.MonkeyPatch) -> None:
    passes = Step.pass_gap

    def broken(self: Step, job: JobState, gap: Gap) -> None:
        if gap.reason is not Reason.OVERLAP:
            passes(self, job, gap)

    patch.setattr(Step, "pass_gap", broken)


BROKEN: list[Callable[[pytest.MonkeyPatch], None]] = [
    nobody_hears_of_waiting_runs_that_an_edit_has_renewed,
    queued_runs_are_not_let_go,
    what_passed_in_a_pause_is_forgotten_by_a_new_plan,
    what_passed_in_a_pause_is_forgotten_at_its_end,
    retries_of_runs_by_hand_are_held_by_a_pause,
    a_pause_lasts_for_the_runs_that_wait,
    skipped_occurrences_leave_no_record,
]


@pytest.mark.parametrize("breaks", BROKEN, ids=lambda breaks: breaks.__name__)
def test_some_seed_shows_that(breaks: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    breaks(monkeypatch)

    async def play(seed: int) -> list[str]:
        return await faults_after(seed, (MemoryStore(lease=LEASE),), virtual_clock())

    assert any(run_virtual(play(seed)) for seed in range(30))
