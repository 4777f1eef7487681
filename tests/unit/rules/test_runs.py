"""The life of a run: it waits, starts, is held or queued, and ends. And what a step notes of it."""

from __future__ import annotations

import pytest
from support.clocks import T0
from support.nodes import at
from support.states import NODE, World

from asched.model import Outcome, Overlap, Reason, RunStatus
from asched.rules import runs
from asched.rules.plain import is_plain_claim, is_plain_end
from asched.rules.state import shown_attempts
from asched.store import Change, ChangeKind, Gap, Note


def test_a_run_that_starts_has_no_timer_and_its_job_knows_when() -> None:
    world = World()
    run = world.add_manual()

    runs.start(world.step, run, NODE, 7, 1)

    assert (run.timer, run.attempt, run.started, world.job.last_run) == (None, 1, T0, T0)


def test_a_run_that_is_made_and_starts_at_once_is_one_change() -> None:
    world = World()

    run = world.start()

    assert world.step.changes == [Change(ChangeKind.RUN, run.id)]


def test_every_wait_is_a_new_revision() -> None:
    world = World()
    run = world.start()

    runs.wait(world.step, run, RunStatus.RETRYING, at(5), 2, at(1))

    assert (run.rev, run.wake, run.next_attempt) == (1, at(5), 2)


def test_a_run_that_waits_while_its_job_is_paused_is_held() -> None:
    world = World()
    run = world.start()
    world.job.paused = True

    runs.wait(world.step, run, RunStatus.RETRYING, at(5), 2, at(1))

    assert (run.held, run.timer) == (True, None)


def test_a_run_started_by_hand_is_not_held() -> None:
    world = World()
    run = world.add_manual()
    runs.start(world.step, run, NODE, 7, 1)
    world.job.paused = True

    runs.wait(world.step, run, RunStatus.RETRYING, at(5), 2, at(1))

    assert (run.held, run.timer is None) == (False, False)


def test_an_end_leaves_nothing_of_the_run_to_be_written_or_claimed() -> None:
    world = World()
    run = world.add_manual()

    runs.end(world.step, run, RunStatus.CANCELLED, at(1), Reason.OPERATOR)

    assert (world.step.written, world.step.moved, world.job.active) == ({}, {}, ())
    assert world.step.records == [run]


def test_the_queued_run_of_a_deleted_job_does_not_start() -> None:
    world = World(overlap=Overlap.QUEUE)
    queued = world.add_queued()
    world.job.gone = True

    runs.unqueue(world.step, world.job)

    assert queued.queued


def test_a_note_replaces_what_it_has_and_leaves_the_rest() -> None:
    world = World()
    run = world.start()

    runs.note(run, Note(7, 1.0, 2.0, ("one",)))
    runs.note(run, Note(7, None, None, ("two",)))

    assert (run.progress, run.log) == ((1.0, 2.0), ("two",))


def test_the_present_attempt_and_the_only_one_of_a_success_are_shown_though_they_are_not_kept() -> None:
    running = shown_attempts(RunStatus.RUNNING, (), 1, "node", at(0), None)
    succeeded = shown_attempts(RunStatus.SUCCEEDED, (), 1, "node", at(0), at(1))

    assert [(attempt.number, attempt.outcome, attempt.ended) for attempt in (*running, *succeeded)] == [
        (1, None, None),
        (1, Outcome.OK, at(1)),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"start": False},
        {"gap": Gap(RunStatus.MISSED, Reason.COALESCED, at(0), at(0), 1)},
    ],
    ids=str,
)
def test_a_claim_by_which_instants_pass_is_not_plain(changes: dict[str, object]) -> None:
    world = World()
    claim = world.claim_of(world.occurrence())

    assert is_plain_claim(claim)
    assert not is_plain_claim(claim._replace(**changes))  # type: ignore[arg-type]


def test_the_claim_of_a_waiting_run_or_of_a_bounded_job_is_not_plain() -> None:
    world = World()
    timer = world.occurrence()
    bounded = timer.replace(spec=timer.spec.replace(max_runs=2))

    assert not is_plain_claim(world.claim_of(timer.replace(attempt=1)))
    assert not is_plain_claim(world.claim_of(bounded))


def test_only_a_success_without_a_note_and_a_reason_is_a_plain_end() -> None:
    world = World()
    end = world.end_of(world.start(), result=b"7")

    assert is_plain_end(end)
    assert not is_plain_end(end._replace(status=RunStatus.FAILED))
    assert not is_plain_end(end._replace(note=Note(end.token, 1.0, None, ())))
    assert not is_plain_end(end._replace(reason=Reason.OPERATOR))
