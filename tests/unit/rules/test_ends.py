"""What an end leaves: a record, a run that waits for another attempt, and the run that had queued behind it."""

from __future__ import annotations

import pytest
from support.clocks import T0
from support.nodes import BOOM, at, spec
from support.states import NODE, OTHER_NODE, World

from asched.model import OnCrash, Outcome, Overlap, Policy, Reason, RunStatus
from asched.rules import ends, requests
from asched.store import Note


def test_a_success_becomes_a_record_and_frees_the_claim() -> None:
    world = World()
    run = world.start()
    token = run.token

    accepted = ends.finish(world.step, NODE, [world.end_of(run, result=b"7")])

    assert accepted == [True]
    assert (run.status, run.result, run.ended, run.token) == (RunStatus.SUCCEEDED, b"7", T0, None)
    assert (world.step.records, world.step.freed) == ([run], [(NODE.epoch, token)])
    assert (world.job.active, world.job.last_status, world.job.failures) == ((), RunStatus.SUCCEEDED, 0)


def test_a_claim_ends_once() -> None:
    world = World()
    end = world.end_of(world.start())

    assert ends.finish(world.step, NODE, [end, end]) == [True, False]
    assert len(world.step.records) == 1


def test_the_claim_of_another_node_is_not_touched() -> None:
    world = World()
    end = world.end_of(world.start(NODE))

    assert ends.finish(world.step, OTHER_NODE, [end]) == [False]
    assert len(world.runs) == 1


def test_a_final_failure_is_counted() -> None:
    world = World()
    run = world.start()

    ends.finish(world.step, NODE, [world.end_of(run, RunStatus.FAILED)])

    assert (world.job.failures, world.step.failures, world.step.ends) == (1, 1, 1)
    assert [(attempt.number, attempt.error) for attempt in run.attempts] == [(1, BOOM)]


def test_a_retry_waits_with_the_next_number_and_its_timer_is_in_the_answer() -> None:
    world = World()
    run = world.start()
    world.next_step()

    ends.finish(world.step, NODE, [world.end_of(run, RunStatus.RETRYING, due=at(5))])

    assert (run.status, run.next_attempt, run.wake) == (RunStatus.RETRYING, 2, at(5))
    assert world.step.timers() == [run.timer]
    assert world.step.records == []


def test_the_number_of_an_interrupted_attempt_is_used_again() -> None:
    world = World()
    run = world.start()

    ends.finish(world.step, NODE, [world.end_of(run, RunStatus.PENDING, due=T0, counts=False)])

    assert run.next_attempt == 1
    assert [attempt.outcome for attempt in run.attempts] == [Outcome.INTERRUPTED]


def test_a_cancelled_run_that_would_wait_ends_instead() -> None:
    world = World()
    run = world.start()
    requests.cancel_runs(world.step, [run.id])

    ends.finish(world.step, NODE, [world.end_of(run, RunStatus.RETRYING, due=at(5))])

    assert (run.status, run.reason, run.timer) == (RunStatus.CANCELLED, Reason.OPERATOR, None)


def test_a_run_of_a_deleted_job_that_would_wait_ends_instead() -> None:
    world = World()
    run = world.start()
    world.job.gone = True

    ends.finish(world.step, NODE, [world.end_of(run, RunStatus.RETRYING, due=at(5))])

    assert (run.status, run.reason) == (RunStatus.CANCELLED, Reason.JOB_CANCELLED)


def test_the_run_that_had_queued_may_start_and_its_timer_is_in_the_answer() -> None:
    world = World(overlap=Overlap.QUEUE)
    run = world.start()
    queued = world.add_queued()
    world.next_step(10)

    ends.finish(world.step, NODE, [world.end_of(run)])

    assert not queued.queued
    assert world.step.timers() == [queued.timer]


def test_the_queued_run_goes_on_waiting_while_another_one_is_active() -> None:
    world = World(overlap=Overlap.QUEUE)
    run = world.start()
    world.add_manual()
    queued = world.add_queued()

    ends.finish(world.step, NODE, [world.end_of(run)])

    assert (queued.queued, queued.timer) == (True, None)


def test_a_replay_that_succeeds_buries_its_letter() -> None:
    world = World()
    run = world.start()
    run.replay_of = 77

    ends.finish(world.step, NODE, [world.end_of(run)])

    assert world.step.buried == [77]


def test_a_replay_that_fails_leaves_its_letter() -> None:
    world = World()
    run = world.start()
    run.replay_of = 77

    ends.finish(world.step, NODE, [world.end_of(run, RunStatus.FAILED)])

    assert world.step.buried == []


def test_a_last_note_is_kept_with_the_end() -> None:
    world = World()
    run = world.start()

    ends.finish(world.step, NODE, [world.end_of(run, note=Note(run.id, 1.0, 2.0, ("a line",)))])

    assert (run.progress, run.log) == ((1.0, 2.0), ("a line",))


def test_a_claim_that_is_given_back_waits_as_if_it_had_never_been() -> None:
    world = World()
    run = world.start()
    world.next_step(3)

    ends.release(world.step, NODE.epoch, [run.id])

    assert (run.status, run.next_attempt, run.started, run.attempts) == (RunStatus.PENDING, 1, None, ())
    assert world.step.timers() == [run.timer]


def test_a_node_that_leaves_gives_back_all_it_holds_and_nothing_else() -> None:
    world = World(overlap=Overlap.ALLOW)
    mine = world.start(NODE)
    world.next_step(60)
    theirs = world.start(OTHER_NODE)

    ends.release(world.step, NODE.epoch)

    assert (mine.token, theirs.epoch) == (None, OTHER_NODE.epoch)


def test_a_dead_node_s_run_waits_for_another_attempt_and_the_lost_one_counts() -> None:
    world = World()
    run = world.start()
    world.next_step(40)

    reaped = ends.reap(world.step, NODE)

    assert (run.status, run.next_attempt, run.wake) == (RunStatus.PENDING, 2, at(40))
    assert [(attempt.number, attempt.outcome) for attempt in run.attempts] == [(1, Outcome.LOST)]
    assert (reaped.rescued, reaped.lost) == ((run.timer,), ())


@pytest.mark.parametrize(
    "policy", [Policy(on_crash=OnCrash.LOST), Policy(max_retries=0)], ids=["policy", "no attempts left"]
)
def test_a_dead_node_s_run_is_lost_by_its_policy_or_without_attempts(policy: Policy) -> None:
    world = World(spec("a", policy=policy))
    run = world.start()

    reaped = ends.reap(world.step, NODE)

    assert (run.status, run.reason) == (RunStatus.LOST, Reason.NODE_DIED)
    assert (reaped.rescued, reaped.lost) == ((), (run.id,))


def test_what_had_queued_behind_a_lost_run_is_rescued_too() -> None:
    world = World(spec("a", policy=Policy(overlap=Overlap.QUEUE, on_crash=OnCrash.LOST)))
    world.start()
    queued = world.add_queued()
    world.next_step(40)

    assert ends.reap(world.step, NODE).rescued == (queued.timer,)


def test_what_a_node_leaves_ends_in_the_order_in_which_it_was_claimed() -> None:
    world = World(spec("a", policy=Policy(overlap=Overlap.ALLOW, on_crash=OnCrash.LOST)))
    first = world.start()
    world.next_step(60)
    second = world.start()
    # A store may load them in any order.
    world.step.runs = {second.id: second, first.id: first}

    assert ends.reap(world.step, NODE).lost == (first.id, second.id)


def test_after_a_plain_end_the_queued_run_may_start() -> None:
    world = World(overlap=Overlap.QUEUE)
    queued = world.add_queued()
    world.next_step(10)

    ends.let_queued_start(world.step)

    assert world.step.timers() == [queued.timer]
