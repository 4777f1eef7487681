"""What an operator asks of runs: start one by hand, run a dead letter again, cancel."""

from __future__ import annotations

import pytest
from support.clocks import T0
from support.nodes import at, spec
from support.states import NODE, World

from asched.model import Overlap, Policy, Reason, RunStatus
from asched.rules import requests
from asched.store import Enqueue, Enqueued, PutStatus


def enqueue(world: World, replay_of: int | None = None, letters: dict[int, bytes | None] | None = None) -> Enqueued:
    items = [Enqueue("a", next(world.tokens), replay_of)]
    [answer] = requests.enqueue(world.step, items, {"a": world.job}, letters or {})
    return answer


def test_a_run_by_hand_is_due_now_and_its_timer_is_in_the_answer() -> None:
    world = World(spec("a", payload=b"[[1],{}]"))

    answer = enqueue(world)

    [run] = world.runs
    assert (run.manual, run.wake, run.payload) == (True, T0, b"[[1],{}]")
    assert (answer.status, answer.timer, answer.run) == (PutStatus.ADDED, run.timer, run.record())


def test_neither_pause_nor_max_runs_keep_a_run_by_hand() -> None:
    world = World(spec("a", max_runs=1))
    world.job.planned_runs = 1
    world.job.paused = True

    assert enqueue(world).timer is not None


@pytest.mark.parametrize(
    ("overlap", "status"),
    [
        (Overlap.SKIP, PutStatus.CONFLICT),
        (Overlap.ALLOW, PutStatus.ADDED),
        (Overlap.QUEUE, PutStatus.ADDED),
        (Overlap.CANCEL_RUNNING, PutStatus.ADDED),
    ],
)
def test_the_overlap_policy_matters_while_a_run_is_active(overlap: Overlap, status: PutStatus) -> None:
    world = World(overlap=overlap)
    world.start()

    assert enqueue(world).status is status


def test_a_run_by_hand_queues_behind_the_active_one() -> None:
    world = World(overlap=Overlap.QUEUE)
    world.start()

    answer = enqueue(world)

    assert (answer.timer, world.runs[1].queued) == (None, True)


def test_only_one_run_queues() -> None:
    world = World(overlap=Overlap.QUEUE)
    world.start()
    enqueue(world)

    assert enqueue(world).status is PutStatus.CONFLICT


def test_a_run_by_hand_supersedes_the_active_one() -> None:
    world = World(overlap=Overlap.CANCEL_RUNNING)
    old = world.start()

    answer = enqueue(world)

    assert answer.cancels == (old.token,)
    assert old.cancel is Reason.SUPERSEDED


def test_a_replay_runs_with_the_arguments_of_its_letter() -> None:
    world = World(spec("a", payload=b"new"))

    enqueue(world, 77, {77: b"old"})

    [run] = world.runs
    assert (run.payload, run.replay_of) == (b"old", 77)


def test_a_letter_or_job_that_is_not_there_is_missing() -> None:
    world = World()

    assert enqueue(world, 77).status is PutStatus.MISSING
    assert requests.enqueue(world.step, [Enqueue("b", 1)], {}, {}) == [Enqueued(PutStatus.MISSING)]


def test_cancelling_a_waiting_run_ends_it() -> None:
    world = World()
    run = world.add_manual()

    answers = requests.cancel_runs(world.step, [run.id])

    assert (run.status, run.reason) == (RunStatus.CANCELLED, Reason.OPERATOR)
    assert answers[run.id].status is RunStatus.CANCELLED


def test_cancelling_an_executing_run_marks_it_for_its_node() -> None:
    world = World()
    run = world.start()

    answers = requests.cancel_runs(world.step, [run.id])

    assert (run.status, run.cancel) == (RunStatus.RUNNING, Reason.OPERATOR)
    assert (answers[run.id].token, answers[run.id].epoch) == (run.token, NODE.epoch)
    assert world.step.hints == [(NODE.epoch, 0)]


def test_cancelling_lets_the_run_that_had_queued_start_and_brings_its_timer() -> None:
    world = World(spec("a", policy=Policy(overlap=Overlap.QUEUE)))
    manual = world.add_manual()
    queued = world.add_queued()
    world.next_step(10)

    answers = requests.cancel_runs(world.step, [manual.id])

    assert answers[manual.id].timers == (queued.timer,)


def test_a_run_that_has_ended_is_not_in_the_answer() -> None:
    world = World()

    assert requests.cancel_runs(world.step, [at(0)]) == {}
