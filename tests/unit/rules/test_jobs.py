"""What becomes of a job: it is put, declared, paused, resumed and deleted."""

from __future__ import annotations

from itertools import count

import pytest
from support.clocks import T0
from support.nodes import at, item, spec
from support.states import NODE, World

from asched.model import JobSpec, Origin, Overlap, Reason, RunStatus
from asched.rules import ends, jobs
from asched.rules.state import GapState, JobState, Step
from asched.store import Gap, Put, PutItem, PutMode, PutStatus
from asched.triggers.absent import CodeTrigger

V1 = spec("a", origin=Origin.DECLARED, declaration="v1", generation=1)
V2 = V1.replace(declaration="v2", generation=2)
PAST = Gap(RunStatus.MISSED, Reason.PAST, at(-60), at(-60), 1)


def put(step: Step, mode: PutMode, one: PutItem, *known: JobState, stones: dict[str, str | None] | None = None) -> Put:
    by_id = {job.spec.id: job for job in known}
    numbers = count(9)
    puts = jobs.Puts(step, mode, by_id, stones or {}, number=lambda: next(numbers), record=lambda job: job.record(True))
    [answer] = puts.answers([one])
    return answer


def world_with_a_retry(job: JobSpec | None = None) -> World:
    """A job whose occurrence has failed once; its retry is due in five seconds."""
    world = World(job)
    run = world.start()
    ends.finish(world.step, NODE, [world.end_of(run, RunStatus.RETRYING, due=at(5))])
    world.next_step(1)
    return world


# Putting


def test_a_new_job_gets_the_next_number_and_its_timer_is_in_the_answer() -> None:
    step = Step(T0, keeps_letters=True)

    answer = put(step, PutMode.INSERT, item(spec("a"), at(60)))

    [job] = step.added
    assert (answer.status, answer.timer, job.id) == (PutStatus.ADDED, job.timer, 9)


def test_an_instant_that_had_passed_is_recorded_with_the_new_job() -> None:
    step = Step(T0, keeps_letters=True)

    put(step, PutMode.INSERT, item(spec("a"), at(60), gap=PAST))

    [record] = step.records
    assert isinstance(record, GapState)
    assert (record.reason, record.first) == (Reason.PAST, at(-60))


def test_a_job_that_is_added_paused_brings_no_timer() -> None:
    step = Step(T0, keeps_letters=True)

    assert put(step, PutMode.INSERT, item(spec("a"), at(60), paused=True)).timer is None


@pytest.mark.parametrize(("mode", "status"), [(PutMode.INSERT, PutStatus.EXISTS), (PutMode.KEEP, PutStatus.KEPT)])
def test_insert_and_keep_leave_a_job_that_exists(mode: PutMode, status: PutStatus) -> None:
    world = World()
    before = world.job.rev

    answer = put(world.step, mode, item(spec("a", payload=b"new"), at(60)), world.job)

    assert (answer.status, answer.timer) == (status, None)
    assert (world.job.rev, world.step.edited) == (before, {})


def test_two_items_of_one_id_meet_each_other() -> None:
    step = Step(T0, keeps_letters=True)
    puts = jobs.Puts(step, PutMode.INSERT, {}, {}, number=lambda: 9, record=lambda job: job.record(True))

    answers = puts.answers([item(spec("a")), item(spec("a"))])

    assert [answer.status for answer in answers] == [PutStatus.ADDED, PutStatus.EXISTS]


def test_replacing_keeps_counters_and_runs() -> None:
    world = world_with_a_retry()

    put(world.step, PutMode.REPLACE, item(spec("a", payload=b"new"), at(90)), world.job)

    assert (world.job.runs, len(world.runs), world.job.version) == (1, 1, 2)
    assert (world.job.planned, world.job.spec.payload) == (at(90), b"new")


def test_an_update_of_a_job_that_is_not_there_is_missing() -> None:
    assert put(Step(T0, keeps_letters=True), PutMode.UPDATE, item(spec("a"))).status is PutStatus.MISSING


def test_an_update_made_for_another_version_is_a_conflict() -> None:
    world = World()

    answer = put(world.step, PutMode.UPDATE, item(spec("a", payload=b"new"), version=7), world.job)

    assert (answer.status, world.job.spec.payload) == (PutStatus.CONFLICT, None)


def test_an_update_moves_the_timer_only_if_it_says_so() -> None:
    world = World()

    put(world.step, PutMode.UPDATE, item(spec("a"), at(90), replan=False), world.job)

    assert (world.job.planned, world.job.rev) == (T0, 2)


def test_a_waiting_retry_gets_a_new_revision_when_its_job_is_edited_and_its_timer_is_in_the_answer() -> None:
    world = world_with_a_retry()
    [run] = world.runs
    before = run.rev

    answer = put(world.step, PutMode.UPDATE, item(spec("a", payload=b"new"), at(90), replan=False), world.job)

    assert run.rev == before + 1
    assert answer.waiting == (run.timer,)
    assert run.timer is not None and run.timer.spec.payload == b"new"


# Declarations


def test_a_declaration_that_is_known_keeps_the_job() -> None:
    world = World(V1)
    before = world.job.timer

    answer = put(world.step, PutMode.DECLARE, item(V1, at(90)), world.job)

    assert (answer.status, answer.timer) == (PutStatus.KEPT, before)


def test_a_job_that_is_kept_follows_the_function_of_newer_code() -> None:
    world = World(V1)

    put(world.step, PutMode.DECLARE, item(V1.replace(func="app:moved", generation=2), at(90)), world.job)

    assert (world.job.spec.func, world.job.spec.generation, world.job.planned) == ("app:moved", 2, T0)


def test_another_declaration_replaces_the_job_and_a_pause_stays() -> None:
    world = World(V1)
    world.job.paused = True

    answer = put(world.step, PutMode.DECLARE, item(V2, at(90)), world.job)

    assert (answer.status, world.job.planned, world.job.paused) == (PutStatus.REPLACED, at(90), True)


def test_older_code_changes_nothing() -> None:
    world = World(V2)

    answer = put(world.step, PutMode.DECLARE, item(V1, at(90)), world.job)

    assert (answer.status, world.job.spec) == (PutStatus.KEPT, V2)


def test_a_declaration_takes_over_the_job_under_its_alias() -> None:
    world = World(V1)
    world.job.runs = 7

    put(world.step, PutMode.DECLARE, item(V1.replace(id="b", name="b"), at(90), aliases=("a",)), world.job)

    assert (world.job.spec.id, world.job.runs, world.job.planned) == ("b", 7, T0)
    assert world.step.edited == {world.job.id: V1}


def test_a_declared_job_that_was_deleted_stays_so_until_its_declaration_changes() -> None:
    step = Step(T0, keeps_letters=True)

    same = put(step, PutMode.DECLARE, item(V1), stones={"a": "v1"})
    other = put(step, PutMode.DECLARE, item(V2), stones={"a": "v1"})

    assert (same.status, same.record, other.status) == (PutStatus.KEPT, None, PutStatus.ADDED)
    assert step.lifted == ["a"]


# Pausing


def test_a_paused_job_has_no_timer_and_its_revision_has_moved() -> None:
    world = World()

    paused = jobs.pause(world.step, [world.job])

    assert (paused, world.job.timer, world.job.rev) == ([world.job], None, 2)


def test_pausing_twice_changes_nothing() -> None:
    world = World()
    jobs.pause(world.step, [world.job])

    assert jobs.pause(world.step, [world.job]) == []
    assert world.job.rev == 2


def test_a_retry_is_held_by_a_pause() -> None:
    world = world_with_a_retry()

    jobs.pause(world.step, [world.job])

    [run] = world.runs
    assert run.timer is None


def test_a_manual_run_s_retry_survives_a_pause() -> None:
    world = World()
    manual = world.add_manual()
    assert manual.timer is not None
    world.claim(world.claim_of(manual.timer))
    ends.finish(world.step, NODE, [world.end_of(manual, RunStatus.RETRYING, due=at(5))])
    world.next_step(1)

    jobs.pause(world.step, [world.job])

    assert manual.timer is not None
    assert world.step.timers() == [manual.timer]


def test_a_resumed_job_goes_on_and_so_does_its_retry() -> None:
    world = world_with_a_retry()
    jobs.pause(world.step, [world.job])
    world.next_step(2)

    resumed = jobs.resume(world.step, [world.job], lambda: 0.0)

    [run] = world.runs
    assert resumed == [world.job]
    assert world.step.timers() == [world.job.timer, run.timer]


def test_what_passed_in_a_pause_is_recorded_and_not_made_up_for() -> None:
    world = World()
    jobs.pause(world.step, [world.job])
    world.next_step(150)

    jobs.resume(world.step, [world.job], lambda: 0.0)

    [record] = world.step.records
    assert isinstance(record, GapState)
    assert (record.status, record.reason, record.instants) == (RunStatus.SKIPPED, Reason.PAUSED, 3)
    assert world.job.planned == at(180)


# Deleting


def test_a_job_whose_trigger_is_away_keeps_its_plan_over_a_pause() -> None:
    world = World(V1.replace(trigger=CodeTrigger("of the code")))
    [job] = world.step.jobs.values()
    planned = job.planned
    jobs.pause(world.step, [job])
    world.next_step(600)

    jobs.resume(world.step, [job], lambda: 0.0)

    assert (planned, []) == (job.planned, world.step.records)


def test_a_deleted_job_ends_its_waiting_runs_and_what_executes_goes_on() -> None:
    world = World(overlap=Overlap.ALLOW)
    executing = world.start()
    waiting = world.add_manual()

    deleted = jobs.delete(world.step, [world.job])

    assert (waiting.status, waiting.reason) == (RunStatus.CANCELLED, Reason.JOB_CANCELLED)
    assert executing.status is RunStatus.RUNNING
    assert [(run.run_id, run.status, run.epoch) for run in deleted.runs] == [
        (executing.id, RunStatus.RUNNING, NODE.epoch),
        (waiting.id, RunStatus.CANCELLED, None),
    ]


def test_a_declared_job_that_is_deleted_leaves_a_stone() -> None:
    world = World(V1)

    jobs.delete(world.step, [world.job])

    assert world.step.stones == {"a": "v1"}
