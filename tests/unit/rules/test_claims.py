"""What becomes of a claim: a run starts, is queued, or instants pass; or nothing changes and the node is told why."""

from __future__ import annotations

import pytest
from support.clocks import T0
from support.nodes import at, spec
from support.states import NODE, OTHER_NODE, World

from asched.model import Overlap, Reason, RunStatus
from asched.rules import ends
from asched.rules.plain import EARLY
from asched.rules.state import GapState
from asched.store import Gap, Grant

PASSED = Gap(RunStatus.MISSED, Reason.COALESCED, at(-60), at(-60), 1)


def test_a_claim_starts_a_run_under_its_token_and_moves_the_timer() -> None:
    world = World()
    claim = world.claim_of(world.occurrence())

    answer = world.claim(claim)

    run = world.step.runs[answer.run_id]
    assert (answer.grant, answer.run_id, answer.next) == (Grant.STARTED, claim.token, world.job.timer)
    assert (run.status, run.attempt, run.token, run.epoch) == (RunStatus.RUNNING, 1, claim.token, NODE.epoch)
    assert (world.job.planned, world.job.rev, world.job.runs, world.job.planned_runs) == (at(60), 2, 1, 1)


def test_each_attempt_that_starts_gets_the_next_fence() -> None:
    world = World(overlap=Overlap.ALLOW)

    fences = [world.start().fence]
    world.next_step(60)
    fences.append(world.start().fence)

    assert fences == [1, 2]


def test_a_stale_claim_is_told_where_the_timer_stands() -> None:
    world = World()
    late = world.claim_of(world.occurrence())
    world.start(OTHER_NODE)

    answer = world.claim(late)

    assert (answer.grant, answer.next) == (Grant.STALE, world.job.timer)
    assert answer.next is not None and answer.next.due == at(60)


def test_a_stale_claim_of_a_waiting_run_is_told_where_the_run_stands() -> None:
    world = World()
    run = world.start()
    ends.finish(world.step, NODE, [world.end_of(run, RunStatus.RETRYING, due=T0)])
    assert run.timer is not None
    old = run.timer.replace(rev=run.timer.rev - 1)

    answer = world.claim(world.claim_of(old))

    assert (answer.grant, answer.next) == (Grant.STALE, run.timer)


def test_a_claim_whose_answer_was_lost_is_answered_as_before() -> None:
    world = World()
    claim = world.claim_of(world.occurrence())
    first = world.claim(claim)

    again = world.claim(claim)

    assert again == first
    assert len(world.runs) == 1


def test_another_node_learns_nothing_by_the_token_of_a_claim() -> None:
    world = World()
    claim = world.claim_of(world.occurrence())
    world.claim(claim)

    assert world.claim(claim, OTHER_NODE).grant is Grant.STALE


def test_a_claim_that_comes_before_the_store_s_time_takes_nothing() -> None:
    world = World()
    world.job.move(T0 + EARLY + 1, T0 + EARLY + 1)
    claim = world.claim_of(world.occurrence())

    assert world.claim(claim).grant is Grant.EARLY
    assert world.runs == []


def test_the_way_of_an_answer_is_not_early() -> None:
    world = World()
    world.job.move(T0 + EARLY, T0 + EARLY)

    assert world.claim(world.claim_of(world.occurrence())).grant is Grant.STARTED


def test_a_job_that_somebody_holds_is_busy() -> None:
    world = World()
    claim = world.claim_of(world.occurrence())

    assert world.claim(claim, held=frozenset({world.job.id})).grant is Grant.BUSY
    assert world.step.changed == {}


@pytest.mark.parametrize("mark", ["paused", "gone"])
def test_a_job_that_is_paused_or_deleted_starts_nothing(mark: str) -> None:
    world = World()
    claim = world.claim_of(world.occurrence())
    setattr(world.job, mark, True)

    assert world.claim(claim).grant is Grant.STALE
    assert world.runs == []


def test_the_last_of_max_runs_ends_the_timer() -> None:
    world = World(spec("a", max_runs=1))

    answer = world.claim(world.claim_of(world.occurrence()))

    assert (answer.grant, answer.next, world.job.planned) == (Grant.STARTED, None, None)


def test_a_start_closes_the_record_of_passed_instants() -> None:
    world = World()
    world.job.gap = GapState(world.job, RunStatus.MISSED, Reason.COALESCED)

    world.start()

    assert world.job.gap is None


def test_instants_of_one_reason_join_the_record_before_them() -> None:
    world = World()
    world.claim(world.claim_of(world.occurrence(), start=False, gap=PASSED))
    world.step.now = at(60)
    world.claim(world.claim_of(world.occurrence(), start=False, gap=PASSED._replace(first=at(0), last=at(0))))

    [record] = world.step.records
    assert isinstance(record, GapState)
    assert (record.first, record.last, record.instants) == (at(-60), at(0), 2)


def test_instants_of_another_reason_begin_another_record() -> None:
    world = World()
    world.claim(world.claim_of(world.occurrence(), start=False, gap=PASSED))
    world.step.now = at(60)
    world.claim(world.claim_of(world.occurrence(), start=False, gap=PASSED._replace(reason=Reason.ABANDONED)))

    assert [record.reason for record in world.step.records] == [Reason.COALESCED, Reason.ABANDONED]


def test_under_skip_an_occurrence_that_meets_an_active_run_passes() -> None:
    world = World(overlap=Overlap.SKIP)
    world.start()
    world.next_step(60)

    answer = world.claim(world.claim_of(world.occurrence()))

    assert (answer.grant, answer.next) == (Grant.PASSED, world.job.timer)
    assert [(record.status, record.reason) for record in world.step.records] == [(RunStatus.SKIPPED, Reason.OVERLAP)]
    assert world.job.planned_runs == 1


def test_an_occurrence_that_is_to_wait_stays_where_it_is() -> None:
    world = World(overlap=Overlap.SKIP)
    world.start()
    world.next_step(60)
    claim = world.claim_of(world.occurrence(), wait=True)

    assert world.claim(claim).grant is Grant.BUSY
    assert (world.job.timer, world.step.records) == (claim.timer, [])


def test_under_allow_the_run_starts_beside_the_others() -> None:
    world = World(overlap=Overlap.ALLOW)
    world.start()
    world.next_step(60)

    world.start()

    assert [run.status for run in world.runs] == [RunStatus.RUNNING, RunStatus.RUNNING]


def test_under_queue_one_run_waits_and_the_next_occurrence_passes() -> None:
    world = World(overlap=Overlap.QUEUE)
    world.start()
    world.next_step(60)

    first = world.claim(world.claim_of(world.occurrence()))
    world.next_step(120)
    second = world.claim(world.claim_of(world.occurrence()))

    assert (first.grant, second.grant) == (Grant.QUEUED, Grant.PASSED)
    assert [run.queued for run in world.runs] == [False, True]
    assert world.runs[1].timer is None


def test_a_queued_claim_that_is_repeated_is_answered_as_before() -> None:
    world = World(overlap=Overlap.QUEUE)
    world.start()
    world.next_step(60)
    claim = world.claim_of(world.occurrence())
    first = world.claim(claim)

    assert world.claim(claim) == first


def test_under_cancel_running_the_new_run_starts_and_the_others_are_to_be_cancelled() -> None:
    world = World(overlap=Overlap.CANCEL_RUNNING)
    old = world.start()
    waiting = world.add_manual()
    world.next_step(60)

    answer = world.claim(world.claim_of(world.occurrence()))

    assert (answer.grant, answer.cancels) == (Grant.STARTED, (old.token,))
    assert old.cancel is Reason.SUPERSEDED
    assert (waiting.status, waiting.reason) == (RunStatus.CANCELLED, Reason.SUPERSEDED)
    assert (NODE.epoch, 0) in world.step.hints


def test_a_waiting_run_starts_whatever_else_is_active() -> None:
    world = World(overlap=Overlap.SKIP)
    world.start()
    manual = world.add_manual()
    assert manual.timer is not None

    answer = world.claim(world.claim_of(manual.timer))

    assert (answer.grant, answer.run_id, answer.due) == (Grant.STARTED, manual.id, manual.due)
    assert world.job.runs == 2


def test_a_retry_is_counted_and_an_interrupted_attempt_is_not() -> None:
    world = World()
    run = world.start()
    ends.finish(world.step, NODE, [world.end_of(run, RunStatus.PENDING, due=T0, counts=False)])
    assert run.timer is not None
    world.claim(world.claim_of(run.timer))
    first = (run.attempt, world.job.retries)

    ends.finish(world.step, NODE, [world.end_of(run, RunStatus.RETRYING, due=T0)])
    assert run.timer is not None
    world.claim(world.claim_of(run.timer))

    assert first == (1, 0)
    assert (run.attempt, world.job.retries, world.job.runs) == (2, 1, 1)
