"""Runs that wait: started by hand, retried, cancelled; and what a running attempt notes."""

from __future__ import annotations

from support.clocks import SettableClock
from support.nodes import FAR, Actor, at, history, ids, item, job, run, spec

from asched.model import Overlap, Policy, Reason, RunStatus
from asched.store import Cancelled, Enqueue, Gap, Grant, Note, PutMode, PutStatus, Store


async def test_a_start_by_hand_is_a_waiting_run_due_now(store: Store, node: Actor) -> None:
    await node.add(spec("a", payload=b"[[1],{}]"), due=at(60))
    await node.advance(5)

    enqueued = await node.enqueue("a")

    assert enqueued.status is PutStatus.ADDED
    assert enqueued.run is not None
    assert enqueued.run == await run(store, node.tokens[-1])
    assert (enqueued.run.status, enqueued.run.manual, enqueued.run.due) == (RunStatus.PENDING, True, at(5))
    assert (enqueued.run.started, enqueued.run.attempt, enqueued.run.attempts) == (None, 0, ())
    assert enqueued.timer is not None
    assert (enqueued.timer.id, enqueued.timer.attempt, enqueued.timer.payload) == (enqueued.run.id, 1, b"[[1],{}]")
    assert await node.due() == [enqueued.timer]


async def test_a_start_by_hand_moves_neither_next_run_nor_max_runs(store: Store, node: Actor) -> None:
    await node.add(spec("a", max_runs=1), due=at(60))
    before = await node.timer("a")
    enqueued = await node.enqueue("a")
    assert enqueued.timer is not None
    claimed = await node.claim(enqueued.timer)
    await node.finish(claimed.token)

    assert await node.timer("a") == before
    record = await job(store, "a")
    assert (record.counts.runs, record.planned_runs) == (1, 0)


async def test_a_start_by_hand_of_an_unknown_job_is_missing(store: Store, node: Actor) -> None:
    enqueued = await node.enqueue("nobody")

    assert (enqueued.status, enqueued.timer, enqueued.run) == (PutStatus.MISSING, None, None)


async def test_paused_and_finished_jobs_can_be_started_by_hand(store: Store, node: Actor) -> None:
    await store.put_jobs(PutMode.INSERT, [item(spec("paused"), paused=True), item(spec("finished"), None)])

    for job_id in ("paused", "finished"):
        enqueued = await node.enqueue(job_id)
        assert enqueued.timer is not None
        assert enqueued.timer in await node.due()
        assert (await node.claim(enqueued.timer)).grant is Grant.STARTED


async def test_one_call_may_start_a_job_twice_as_its_policy_says(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b", policy=Policy(overlap=Overlap.ALLOW)))

    answers = await store.enqueue([Enqueue(job_id, node.token()) for job_id in "aabb"])

    assert [answer.status for answer in answers] == [
        PutStatus.ADDED, PutStatus.CONFLICT, PutStatus.ADDED, PutStatus.ADDED
    ]  # fmt: skip


async def test_a_start_by_hand_is_retried_as_others_are(store: Store, node: Actor) -> None:
    await node.add(spec("a"), due=at(60))
    enqueued = await node.enqueue("a")
    assert enqueued.timer is not None
    claimed = await node.claim(enqueued.timer)

    [retry] = await node.finish(claimed.token, RunStatus.RETRYING, due=at(5))

    assert (retry.id, retry.attempt) == (claimed.run_id, 2)
    assert (await run(store, claimed.run_id)).manual


async def test_an_unknown_run_cannot_be_cancelled(store: Store) -> None:
    [cancelled] = await store.cancel_runs([12345])

    assert (cancelled.run_id, cancelled.status) == (12345, None)


async def test_a_waiting_run_is_cancelled_at_once(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    retry = await node.fail_once("a")

    [cancelled] = await store.cancel_runs([retry.id])

    assert cancelled == Cancelled(retry.id, RunStatus.CANCELLED, None, None, "a")
    record = await run(store, retry.id)
    assert (record.status, record.reason, record.ended) == (RunStatus.CANCELLED, Reason.OPERATOR, at(0))
    assert await node.waiting("a") == []
    assert (await node.claim(retry)).grant is Grant.STALE
    assert (await job(store, "a")).active == 0


async def test_an_executing_run_is_marked_for_its_node(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b"))
    claimed = await node.start("a")
    await node.start("b")

    [cancelled] = await store.cancel_runs([claimed.run_id])

    assert cancelled == Cancelled(claimed.run_id, RunStatus.RUNNING, claimed.token, node.epoch, "a")
    assert (await store.heartbeat(node.epoch)).cancels == (claimed.token,)
    assert (await store.heartbeat(node.epoch)).cancels == (claimed.token,)
    await node.finish(claimed.token, RunStatus.CANCELLED, reason=Reason.OPERATOR)
    assert (await store.heartbeat(node.epoch)).cancels == ()


async def test_a_final_run_is_left_alone_by_cancel(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    run_id = await node.run_once("a")
    before = await run(store, run_id)

    [cancelled] = await store.cancel_runs([run_id])

    assert (cancelled.status, cancelled.token) == (RunStatus.SUCCEEDED, None)
    assert await run(store, run_id) == before


async def test_a_cancelled_run_whose_attempt_fails_meanwhile_is_not_retried(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    await store.cancel_runs([claimed.run_id])

    timers = await node.finish(claimed.token, RunStatus.RETRYING, due=at(5))

    assert timers == []
    record = await run(store, claimed.run_id)
    assert (record.status, record.reason) == (RunStatus.CANCELLED, Reason.OPERATOR)


async def test_a_cancelled_run_that_succeeds_meanwhile_has_succeeded(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    await store.cancel_runs([claimed.run_id])

    await node.finish(claimed.token)

    assert (await run(store, claimed.run_id)).status is RunStatus.SUCCEEDED


async def test_a_cancelled_run_whose_node_dies_is_not_started_again(
    store: Store, node: Actor, clock: SettableClock
) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    await store.cancel_runs([claimed.run_id])
    clock.advance(store.caps.lease + 1)

    [reaped] = await store.reap()

    assert reaped.rescued == ()
    record = await run(store, claimed.run_id)
    assert (record.status, record.reason) == (RunStatus.CANCELLED, Reason.OPERATOR)


async def test_a_cancelled_run_that_is_released_is_cancelled(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    await store.cancel_runs([claimed.run_id])

    assert await store.release(node.epoch, [claimed.token]) == []
    assert (await run(store, claimed.run_id)).status is RunStatus.CANCELLED


async def test_cancel_answers_in_order(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b"))
    waiting = await node.fail_once("a")
    executing = await node.start("b")

    answers = await store.cancel_runs([executing.run_id, 1 << 40, waiting.id])

    assert [answer.status for answer in answers] == [RunStatus.RUNNING, None, RunStatus.CANCELLED]


async def test_notes_are_shown_and_replace_those_before(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    await node.note(claimed.token, 1, 10, "one")
    await node.note(claimed.token, 2, None, "one", "two")

    record = await run(store, claimed.run_id)
    assert (record.progress, record.log) == ((2, None), ("one", "two"))


async def test_notes_outlive_the_attempt(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    await node.note(claimed.token, 1, 10, "one")
    await node.finish(claimed.token)

    record = await run(store, claimed.run_id)
    assert (record.progress, record.log) == ((1, 10), ("one",))


async def test_notes_of_claims_not_held_are_dropped(store: Store, node: Actor, clock: SettableClock) -> None:
    other = await Actor.join(store, clock, "other")
    await node.add(spec("a"))
    claimed = await node.start("a")

    await store.annotate(other.epoch, [Note(claimed.token, 9, 9, ("foreign",))])
    await store.annotate(node.epoch + 99, [Note(claimed.token, 9, 9, ("nobody",))])
    await node.note(claimed.token + 1, 9, 9, "unknown")

    record = await run(store, claimed.run_id)
    assert (record.progress, record.log) == (None, ())


async def test_a_waiting_run_keeps_the_arguments_it_was_made_with(store: Store, node: Actor) -> None:
    await node.add(spec("a", payload=b"[[1],{}]"), due=at(60))
    enqueued = await node.enqueue("a")
    assert enqueued.timer is not None
    await store.put_jobs(PutMode.UPDATE, [item(spec("a", payload=b"[[2],{}]"), replan=False)])

    [timer] = await node.waiting("a")
    assert (timer.payload, timer.spec.payload) == (b"[[1],{}]", b"[[2],{}]")
    assert (await node.claim(enqueued.timer)).grant is Grant.STALE
    assert (await node.claim(timer)).grant is Grant.STARTED


async def test_active_counts_executing_and_waiting_runs(store: Store, node: Actor) -> None:
    await node.add(spec("a", policy=Policy(overlap=Overlap.ALLOW)))
    await node.fail_once("a", seconds=500)
    await node.start("a")
    await node.enqueue("a")

    assert (await job(store, "a")).active == 3
    await store.delete_jobs(ids("a"))
    assert sorted(record.status for record in await history(store, "a")) == [
        RunStatus.CANCELLED, RunStatus.CANCELLED, RunStatus.RUNNING
    ]  # fmt: skip


async def test_a_gap_is_no_run_that_can_be_cancelled(store: Store, node: Actor) -> None:
    gap = Gap(RunStatus.MISSED, Reason.PAST, at(-60), at(-60), 1)
    await store.put_jobs(PutMode.INSERT, [item(spec("a"), gap=gap)])
    [record] = await history(store, "a")

    [cancelled] = await store.cancel_runs([record.id])

    assert cancelled.status is RunStatus.MISSED
    assert [timer.due for timer in await node.due(FAR)] == [at(0)]
