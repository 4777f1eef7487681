"""An occurrence that comes due while the job is active, under each policy, whatever keeps the job active."""

from __future__ import annotations

from typing import Literal, TypeAlias

import pytest
from support.clocks import SettableClock
from support.nodes import Actor, at, history, item, job, outcomes, run, spec

from asched.model import Overlap, Policy, Reason, RunStatus
from asched.store import Claimed, Grant, PutMode, PutStatus, Store

Kept: TypeAlias = Literal["executing", "retrying", "by hand"]
ACTIVE: tuple[Kept, ...] = ("executing", "retrying", "by hand")


async def make_active(node: Actor, overlap: Overlap, kept: Kept) -> int:
    """Add job ``a`` and give it an active run; return the run's id. Time stands at the next occurrence then."""
    await node.add(spec("a", policy=Policy(overlap=overlap)), due=at(60) if kept == "by hand" else at(0))
    if kept == "executing":
        run_id = (await node.start("a")).run_id
    elif kept == "retrying":
        run_id = (await node.fail_once("a", seconds=600)).id
    else:
        enqueued = await node.enqueue("a")
        assert enqueued.timer is not None
        run_id = (await node.claim(enqueued.timer)).run_id
    await node.move_to(at(60))
    return run_id


async def meet(node: Actor, **changes: object) -> Claimed:
    return await node.claim(await node.timer("a"), **changes)


@pytest.mark.parametrize("kept", ACTIVE)
async def test_skip_lets_the_occurrence_pass(store: Store, node: Actor, kept: Kept) -> None:
    active = await make_active(node, Overlap.SKIP, kept)

    claimed = await meet(node)

    assert (claimed.grant, claimed.run_id) == (Grant.PASSED, 0)
    assert claimed.next == await node.timer("a")
    [skipped] = [record for record in await history(store, "a") if record.id != active]
    assert (skipped.status, skipped.reason, skipped.due) == (RunStatus.SKIPPED, Reason.OVERLAP, at(60))
    assert not (await run(store, active)).status.final
    assert (await job(store, "a")).active == 1


@pytest.mark.parametrize("kept", ACTIVE)
async def test_allow_starts_beside_what_is_active(store: Store, node: Actor, kept: Kept) -> None:
    active = await make_active(node, Overlap.ALLOW, kept)

    claimed = await meet(node)

    assert claimed.grant is Grant.STARTED
    assert not (await run(store, active)).status.final
    assert (await job(store, "a")).active == 2


@pytest.mark.parametrize("kept", ACTIVE)
async def test_queue_holds_one_and_skips_the_next(store: Store, node: Actor, kept: Kept) -> None:
    await make_active(node, Overlap.QUEUE, kept)

    first = await meet(node)
    await node.advance(60)
    second = await meet(node)

    assert (first.grant, second.grant) == (Grant.QUEUED, Grant.PASSED)
    assert (await run(store, first.run_id)).status is RunStatus.PENDING
    [skipped] = [record for record in await history(store, "a") if record.status is RunStatus.SKIPPED]
    assert (skipped.reason, skipped.due) == (Reason.OVERLAP, at(120))
    assert (await job(store, "a")).active == 2


@pytest.mark.parametrize("kept", ["executing", "by hand"])
async def test_a_queued_run_starts_when_the_active_one_ends(store: Store, node: Actor, kept: Kept) -> None:
    active = await make_active(node, Overlap.QUEUE, kept)
    queued = await meet(node)
    [live] = [live for live in await store.claims(node.epoch) if live.run_id == active]

    [timer] = await node.finish(live.token)

    assert (timer.id, timer.attempt, timer.planned, timer.due) == (queued.run_id, 1, at(60), at(60))
    assert await node.waiting("a") == [timer]
    started = await node.claim(timer)
    assert (started.grant, started.run_id) == (Grant.STARTED, queued.run_id)
    record = await job(store, "a")
    assert (record.active, record.counts.runs) == (1, 2)


async def test_a_queued_run_waits_through_the_retries_of_the_active_one(store: Store, node: Actor) -> None:
    active = await make_active(node, Overlap.QUEUE, "executing")
    await meet(node)

    [retry] = await node.finish(active, RunStatus.RETRYING, due=at(65))
    assert retry.id == active
    await node.move_to(at(65))
    again = await node.claim(retry)
    timers = await node.finish(again.token, RunStatus.FAILED)

    assert [timer.attempt for timer in timers] == [1]


async def test_a_queued_run_starts_when_the_waiting_one_before_it_is_cancelled(store: Store, node: Actor) -> None:
    active = await make_active(node, Overlap.QUEUE, "retrying")
    queued = await meet(node)

    await store.cancel_runs([active])

    assert [timer.id for timer in await node.waiting("a")] == [queued.run_id]


async def test_a_queued_run_starts_after_the_last_one_though_the_policy_has_become_allow(
    store: Store, node: Actor
) -> None:
    active = await make_active(node, Overlap.QUEUE, "retrying")
    queued = await meet(node)
    changed = (await job(store, "a")).spec.replace(policy=Policy(overlap=Overlap.ALLOW))
    await store.put_jobs(PutMode.UPDATE, [item(changed, replan=False)])
    beside = await node.enqueue("a")
    assert beside.timer is not None
    [retry] = [timer for timer in await node.waiting("a") if timer.id == active]
    await node.move_to(retry.due)
    again, other = await node.claim(retry), await node.claim(beside.timer)

    first = await node.finish(again.token, RunStatus.FAILED)
    last = await node.finish(other.token)

    assert first == []
    assert [timer.id for timer in last] == [queued.run_id]
    assert await node.waiting("a") == last


async def test_a_queued_run_starts_after_one_that_came_later_and_started_beside_it(store: Store, node: Actor) -> None:
    active = await make_active(node, Overlap.QUEUE, "executing")
    queued = await meet(node)
    changed = (await job(store, "a")).spec.replace(policy=Policy(overlap=Overlap.ALLOW))
    await store.put_jobs(PutMode.UPDATE, [item(changed, replan=False)])
    later = await node.start("a")

    first = await node.finish(active)
    last = await node.finish(later.token)

    assert first == []
    assert [timer.id for timer in last] == [queued.run_id]


async def test_a_queued_run_counts_towards_max_runs(store: Store, node: Actor) -> None:
    await node.add(spec("a", policy=Policy(overlap=Overlap.QUEUE), max_runs=2))
    await node.start("a")
    await node.advance(60)

    queued = await meet(node)

    assert (queued.grant, queued.next) == (Grant.QUEUED, None)
    assert (await job(store, "a")).due is None


@pytest.mark.parametrize("kept", ["executing", "by hand"])
async def test_cancel_running_starts_and_names_what_must_end(store: Store, node: Actor, kept: Kept) -> None:
    active = await make_active(node, Overlap.CANCEL_RUNNING, kept)
    [live] = await store.claims(node.epoch)

    claimed = await meet(node)

    assert (claimed.grant, claimed.cancels) == (Grant.STARTED, (live.token,))
    assert (await store.heartbeat(node.epoch)).cancels == (live.token,)
    assert (await run(store, active)).status is RunStatus.RUNNING
    await node.finish(live.token, RunStatus.CANCELLED, reason=Reason.SUPERSEDED)
    assert (await store.heartbeat(node.epoch)).cancels == ()
    assert (await run(store, active)).reason is Reason.SUPERSEDED


async def test_cancel_running_ends_what_waits(store: Store, node: Actor) -> None:
    active = await make_active(node, Overlap.CANCEL_RUNNING, "retrying")

    claimed = await meet(node)

    assert (claimed.grant, claimed.cancels) == (Grant.STARTED, ())
    record = await run(store, active)
    assert (record.status, record.reason) == (RunStatus.CANCELLED, Reason.SUPERSEDED)
    assert await node.waiting("a") == []
    assert (await job(store, "a")).active == 1


async def test_a_superseded_run_whose_node_dies_is_not_started_again(
    store: Store, node: Actor, clock: SettableClock
) -> None:
    active = await make_active(node, Overlap.CANCEL_RUNNING, "executing")
    other = await Actor.join(store, clock, "other")
    assert (await other.claim(await other.timer("a"))).cancels == (active,)
    clock.advance(store.caps.lease - 1)
    await store.heartbeat(other.epoch)
    clock.advance(2)

    [reaped] = await store.reap()

    assert (reaped.epoch, reaped.rescued) == (node.epoch, ())
    record = await run(store, active)
    assert (record.status, record.reason) == (RunStatus.CANCELLED, Reason.SUPERSEDED)


@pytest.mark.parametrize("overlap", [Overlap.SKIP, Overlap.QUEUE, Overlap.CANCEL_RUNNING])
@pytest.mark.parametrize("kept", ACTIVE)
async def test_an_occurrence_that_would_wait_stays_where_it_is(
    store: Store, node: Actor, overlap: Overlap, kept: Kept
) -> None:
    active = await make_active(node, overlap, kept)
    timer = await node.timer("a")

    claimed = await node.claim(timer, wait=True)

    assert claimed.grant is Grant.BUSY
    assert await node.timer("a") == timer
    assert [record.id for record in await history(store, "a")] == [active]


async def test_an_occurrence_that_waited_starts_once_the_job_is_free(store: Store, node: Actor) -> None:
    active = await make_active(node, Overlap.SKIP, "executing")
    timer = await node.timer("a")
    await node.claim(timer, wait=True)
    await node.finish(active)

    assert (await node.claim(timer, wait=True)).grant is Grant.STARTED


async def test_waiting_matters_not_where_overlap_is_allowed(store: Store, node: Actor) -> None:
    await make_active(node, Overlap.ALLOW, "executing")

    assert (await meet(node, wait=True)).grant is Grant.STARTED


async def test_overlap_looks_at_the_runs_of_all_nodes(store: Store, node: Actor, clock: SettableClock) -> None:
    other = await Actor.join(store, clock, "other")
    await make_active(node, Overlap.SKIP, "executing")
    await store.heartbeat(other.epoch)

    assert (await other.claim(await other.timer("a"))).grant is Grant.PASSED


async def test_overlap_looks_at_one_job_only(store: Store, node: Actor) -> None:
    await make_active(node, Overlap.SKIP, "executing")
    await node.add(spec("b"), due=at(60))

    assert (await node.claim(await node.timer("b"))).grant is Grant.STARTED


async def test_a_retry_starts_whatever_else_is_active(store: Store, node: Actor) -> None:
    await node.add(spec("a", policy=Policy(overlap=Overlap.ALLOW)))
    retry = await node.fail_once("a", seconds=60)
    await node.start("a")

    assert (await node.claim(retry)).grant is Grant.STARTED


@pytest.mark.parametrize("kept", ACTIVE)
async def test_a_start_by_hand_is_refused_under_skip(store: Store, node: Actor, kept: Kept) -> None:
    await make_active(node, Overlap.SKIP, kept)

    enqueued = await node.enqueue("a")

    assert (enqueued.status, enqueued.timer, enqueued.run) == (PutStatus.CONFLICT, None, None)
    assert (await job(store, "a")).active == 1


async def test_a_start_by_hand_queues_under_queue_and_a_second_is_refused(store: Store, node: Actor) -> None:
    active = await make_active(node, Overlap.QUEUE, "executing")

    first = await node.enqueue("a")
    second = await node.enqueue("a")

    assert (first.status, first.timer, second.status) == (PutStatus.ADDED, None, PutStatus.CONFLICT)
    assert first.run is not None
    assert await node.waiting("a") == []
    [timer] = await node.finish(active)
    assert timer.id == first.run.id


async def test_a_start_by_hand_takes_the_place_of_runs_under_cancel_running(store: Store, node: Actor) -> None:
    active = await make_active(node, Overlap.CANCEL_RUNNING, "executing")

    enqueued = await node.enqueue("a")

    assert enqueued.status is PutStatus.ADDED
    assert enqueued.cancels == (active,)
    assert enqueued.timer is not None
    assert (await node.claim(enqueued.timer)).grant is Grant.STARTED


async def test_a_start_by_hand_stands_beside_others_under_allow(store: Store, node: Actor) -> None:
    await make_active(node, Overlap.ALLOW, "executing")

    enqueued = await node.enqueue("a")

    assert (enqueued.status, enqueued.cancels) == (PutStatus.ADDED, ())
    assert (await job(store, "a")).active == 2


async def test_skipped_occurrences_in_a_row_are_one_record(store: Store, node: Actor) -> None:
    await make_active(node, Overlap.SKIP, "by hand")
    for minute in range(1, 5):
        await node.move_to(at(60 * minute))
        await meet(node)

    skipped = [outcome for outcome in await outcomes(store, "a") if outcome[0] is RunStatus.SKIPPED]
    assert skipped == [(RunStatus.SKIPPED, Reason.OVERLAP, at(60), at(240), 4)]
