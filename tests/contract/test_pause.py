"""Pausing and resuming: what is held, what is not, and how the time between is accounted for."""

from __future__ import annotations

import pytest
from support.nodes import FAR, Actor, at, ids, item, job, outcomes, run, spec

from asched.model import JobStatus, Origin, Overlap, Policy, Reason, RunStatus
from asched.store import Grant, PutMode, Selection, Store
from asched.triggers import Interval, Once


async def test_pause_takes_the_timer_out_and_tells_which_jobs_it_paused(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b"))

    paused, _ = await store.pause_jobs(ids("a", "nobody"))

    assert paused == [await job(store, "a")]
    assert (paused[0].paused, paused[0].status) == (True, JobStatus.PAUSED)
    assert [timer.spec.id for timer in await node.due(FAR)] == ["b"]


async def test_a_job_that_is_paused_already_is_not_told_again(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b"))
    await store.pause_jobs(ids("a"))

    paused, _ = await store.pause_jobs(ids("a", "b"))
    assert [record.spec.id for record in paused] == ["b"]


async def test_resume_plans_from_now_and_counts_what_passed(store: Store, node: Actor) -> None:
    await node.add(spec("a"), due=at(60))
    await store.pause_jobs(ids("a"))
    await node.move_to(at(200))

    resumed, timers = await store.resume_jobs(ids("a", "nobody"))

    assert resumed == [await job(store, "a")]
    assert [(timer.planned, timer.due) for timer in timers] == [(at(240), at(240))]
    assert await node.due(FAR) == timers
    assert await outcomes(store, "a") == [(RunStatus.SKIPPED, Reason.PAUSED, at(60), at(180), 3)]


async def test_an_instant_of_the_very_moment_of_resuming_has_passed(store: Store, node: Actor) -> None:
    await node.add(spec("a"), due=at(60))
    await store.pause_jobs(ids("a"))
    await node.move_to(at(120))

    _, [timer] = await store.resume_jobs(ids("a"))

    assert timer.due == at(180)
    assert await outcomes(store, "a") == [(RunStatus.SKIPPED, Reason.PAUSED, at(60), at(120), 2)]


async def test_a_short_pause_keeps_the_next_run_and_its_jitter(store: Store, node: Actor) -> None:
    await store.put_jobs(PutMode.INSERT, [item(spec("a", policy=Policy(jitter=30)), at(75), planned=at(60))])
    await store.pause_jobs(ids("a"))
    await node.move_to(at(50))

    _, [timer] = await store.resume_jobs(ids("a"))

    assert (timer.planned, timer.due) == (at(60), at(75))
    assert await outcomes(store, "a") == []


async def test_a_resumed_job_with_jitter_draws_it_anew(store: Store, node: Actor) -> None:
    await store.put_jobs(PutMode.INSERT, [item(spec("a", policy=Policy(jitter=30)), at(75), planned=at(60))])
    await store.pause_jobs(ids("a"))
    await node.move_to(at(100))

    _, [timer] = await store.resume_jobs(ids("a"))

    assert timer.planned == at(120)
    assert at(120) <= timer.due < at(150)


async def test_resuming_what_is_not_paused_changes_nothing(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    before = await job(store, "a")

    assert await store.resume_jobs(ids("a")) == ([], [])
    assert await job(store, "a") == before


async def test_a_one_shot_that_passed_while_paused_is_finished(store: Store, node: Actor) -> None:
    one_shot = spec("a", trigger=Once("2026-01-01 00:01:00", timezone="UTC"))
    await store.put_jobs(PutMode.INSERT, [item(one_shot, at(60))])
    await store.pause_jobs(ids("a"))
    await node.move_to(at(100))

    [resumed], timers = await store.resume_jobs(ids("a"))

    assert timers == []
    assert resumed.status is JobStatus.FINISHED
    assert await outcomes(store, "a") == [(RunStatus.SKIPPED, Reason.PAUSED, at(60), at(60), 1)]


async def test_until_bounds_what_resume_plans_and_counts(store: Store, node: Actor) -> None:
    await store.put_jobs(PutMode.INSERT, [item(spec("a").replace(until=at(120)), at(60))])
    await store.pause_jobs(ids("a"))
    await node.move_to(at(400))

    [resumed], _ = await store.resume_jobs(ids("a"))

    assert resumed.due is None
    assert await outcomes(store, "a") == [(RunStatus.SKIPPED, Reason.PAUSED, at(60), at(120), 2)]


async def test_a_paused_job_holds_its_retries(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    retry = await node.fail_once("a")
    await store.pause_jobs(ids("a"))
    await node.move_to(retry.due)

    assert await node.due(FAR) == []
    assert (await node.claim(retry)).grant is Grant.STALE
    assert (await run(store, retry.id)).status is RunStatus.RETRYING

    _, timers = await store.resume_jobs(ids("a"))

    assert {timer.attempt for timer in timers} == {0, 2}
    [timer] = await node.waiting("a")
    assert timer in timers
    assert (await node.claim(timer)).grant is Grant.STARTED


async def test_an_attempt_that_fails_while_its_job_is_paused_waits_for_the_resume(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    await store.pause_jobs(ids("a"))

    assert await node.finish(claimed.token, RunStatus.RETRYING, due=at(5)) == []

    assert await node.due(FAR) == []
    await store.resume_jobs(ids("a"))
    assert [timer.id for timer in await node.waiting("a")] == [claimed.run_id]


async def test_a_rescued_run_of_a_paused_job_waits_for_the_resume(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    await store.pause_jobs(ids("a"))
    assert await store.leave(node.epoch) == []
    other = await Actor.join(store, node.clock, "other")
    assert await other.due(FAR) == []

    await store.resume_jobs(ids("a"))

    assert [timer.id for timer in await other.waiting("a")] == [claimed.run_id]


async def test_pause_lets_executing_attempts_end(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    await store.pause_jobs(ids("a"))

    await node.finish(claimed.token)

    assert (await run(store, claimed.run_id)).status is RunStatus.SUCCEEDED


async def test_pause_does_not_hold_starts_by_hand(store: Store, node: Actor) -> None:
    await node.add(spec("a"), due=at(60))
    before = await node.enqueue("a")
    await store.pause_jobs(ids("a"))

    [timer] = await node.due(FAR)
    assert before.run is not None
    assert timer.id == before.run.id
    claimed = await node.claim(timer)
    [retry] = await node.finish(claimed.token, RunStatus.RETRYING, due=at(0))
    assert (await node.claim(retry)).grant is Grant.STARTED


async def test_a_run_that_queued_waits_out_the_pause(store: Store, node: Actor) -> None:
    await node.add(spec("a", policy=Policy(overlap=Overlap.QUEUE)))
    active = await node.start("a")
    await node.advance(60)
    queued = await node.claim(await node.timer("a"))
    await store.pause_jobs(ids("a"))

    assert await node.finish(active.token) == []
    assert await node.due(FAR) == []

    await store.resume_jobs(ids("a"))
    assert [timer.id for timer in await node.waiting("a")] == [queued.run_id]


async def test_a_job_finished_by_pause_and_resume_keeps_its_waiting_runs(store: Store, node: Actor) -> None:
    await node.add(spec("a", max_runs=1))
    retry = await node.fail_once("a")
    await store.pause_jobs(ids("a"))

    _, timers = await store.resume_jobs(ids("a"))

    assert [timer.id for timer in timers] == [retry.id]


async def test_jobs_are_paused_and_resumed_by_group_and_by_function(store: Store, node: Actor) -> None:
    await node.add(spec("a", group="x"), spec("b", group="x", func="app:other"), spec("c"))

    of_group, _ = await store.pause_jobs(Selection(group="x"))
    of_func, _ = await store.pause_jobs(Selection(func="work"))
    assert [record.spec.id for record in of_group] == ["a", "b"]
    assert [record.spec.id for record in of_func] == ["c"]
    resumed, timers = await store.resume_jobs(Selection(func="app:work"))
    assert [record.spec.id for record in resumed] == ["a", "c"]
    assert [timer.spec.id for timer in timers] == ["a", "c"]
    assert (await job(store, "b")).paused


PUTS = {
    PutMode.REPLACE: spec("a", trigger=Interval(seconds=90).bound(at(0), "UTC")),
    PutMode.UPDATE: spec("a", trigger=Interval(seconds=90).bound(at(0), "UTC")),
    PutMode.DECLARE: spec("a", origin=Origin.DECLARED, declaration="new"),
}


@pytest.mark.parametrize("mode", PUTS)
async def test_what_passed_in_a_pause_is_recorded_when_the_job_gets_another_plan(
    mode: PutMode, store: Store, node: Actor
) -> None:
    await node.add(spec("a", origin=PUTS[mode].origin, declaration="old"), due=at(60))
    await store.pause_jobs(ids("a"))
    await node.move_to(at(200))
    await store.put_jobs(mode, [item(PUTS[mode], at(270))])
    await node.move_to(at(280))
    await store.resume_jobs(ids("a"))

    passed = (RunStatus.SKIPPED, Reason.PAUSED, at(60), at(180), 3)
    after = [] if mode is PutMode.REPLACE else [(RunStatus.SKIPPED, Reason.PAUSED, at(270), at(270), 1)]
    assert await outcomes(store, "a") == [passed, *after]


async def test_an_edit_that_leaves_the_plan_leaves_what_passed_in_the_pause_to_its_end(
    store: Store, node: Actor
) -> None:
    await node.add(spec("a"), due=at(60))
    await store.pause_jobs(ids("a"))
    await node.move_to(at(200))
    await store.put_jobs(PutMode.UPDATE, [item(spec("a", name="other"), replan=False)])
    before = await outcomes(store, "a")
    await store.resume_jobs(ids("a"))

    assert before == []
    assert await outcomes(store, "a") == [(RunStatus.SKIPPED, Reason.PAUSED, at(60), at(180), 3)]
