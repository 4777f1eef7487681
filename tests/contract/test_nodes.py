"""Registering, leases, rescue and leaving."""

from __future__ import annotations

from support.clocks import SettableClock
from support.nodes import Actor, history, ids, info, job, run, spec

from asched.model import OnCrash, Outcome, Overlap, Policy, Reason, RunStatus
from asched.store import Grant, Store


async def test_an_epoch_is_positive_small_and_never_used_before(store: Store) -> None:
    epochs = [await store.register(info()) for _ in range(3)]
    await store.leave(epochs[2])
    epochs.append(await store.register(info()))

    assert len(set(epochs)) == 4
    assert all(0 < epoch < 2**25 for epoch in epochs)


async def test_a_node_is_listed_with_what_it_said_of_itself_and_its_lease(store: Store, clock: SettableClock) -> None:
    said = info("web-1", {"app:a", "app:b"}, {"job-1"})
    epoch = await store.register(said)

    [record] = await store.nodes()
    assert (record.epoch, record.info, record.started, record.active) == (epoch, said, clock.now(), 0)
    assert record.lease_until >= clock.now() + int(min(store.caps.lease, 1e6) * 1_000_000)


async def test_a_node_is_listed_with_the_number_of_its_claims(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b"))
    await node.start("a")
    await node.start("b")

    [record] = await store.nodes()
    assert record.active == 2


async def test_announce_replaces_what_the_node_knows(store: Store, node: Actor) -> None:
    await node.add(spec("a", func="app:later"))
    assert await node.due() == []

    await store.announce(node.epoch, info("node", {"app:later"}))

    assert [timer.spec.id for timer in await node.due()] == ["a"]
    assert (await job(store, "a")).resolved


async def test_a_heartbeat_tells_the_time_and_the_number_of_claims(
    store: Store, node: Actor, clock: SettableClock
) -> None:
    await node.add(spec("a"))
    await node.start("a")
    clock.advance(3)

    beat = await store.heartbeat(node.epoch)
    assert (beat.now, beat.alive, beat.claims, beat.cancels) == (clock.now(), True, 1, ())


async def test_a_heartbeat_renews_the_lease(store: Store, node: Actor, clock: SettableClock) -> None:
    clock.advance(store.caps.lease * 0.9)
    await store.heartbeat(node.epoch)
    clock.advance(store.caps.lease * 0.9)

    assert await store.reap() == []


async def test_a_lease_that_has_run_out_refuses_claims(store: Store, node: Actor, clock: SettableClock) -> None:
    await node.add(spec("a"))
    timer = await node.timer("a")
    clock.advance(store.caps.lease + 1)

    assert await node.take([node.claim_of(timer)]) == []
    assert (await job(store, "a")).counts.runs == 0


async def test_an_unknown_epoch_claims_nothing(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    timer = await node.timer("a")

    assert await store.claim(node.epoch + 7, [node.claim_of(timer)]) == []
    assert (await node.claim(timer)).grant is Grant.STARTED


async def test_a_heartbeat_revives_a_lease_that_ran_out_unreaped(
    store: Store, node: Actor, clock: SettableClock
) -> None:
    await node.add(spec("a"))
    clock.advance(store.caps.lease + 1)

    beat = await store.heartbeat(node.epoch)

    assert beat.alive
    assert (await node.claim(await node.timer("a"))).grant is Grant.STARTED


async def test_a_reaped_node_stays_dead_whatever_it_does(store: Store, node: Actor, clock: SettableClock) -> None:
    await node.add(spec("a"))
    timer = await node.timer("a")
    clock.advance(store.caps.lease + 1)
    await store.reap()

    assert not (await store.heartbeat(node.epoch)).alive
    assert await node.take([node.claim_of(timer)]) == []
    assert await store.nodes() == []


async def test_reap_leaves_nodes_alone_whose_lease_stands(store: Store, node: Actor, clock: SettableClock) -> None:
    clock.advance(store.caps.lease * 0.5)
    other = await Actor.join(store, clock, "other")
    clock.advance(store.caps.lease * 0.6)

    [reaped] = await store.reap()

    assert reaped.epoch == node.epoch
    assert [record.epoch for record in await store.nodes()] == [other.epoch]


async def test_reap_gives_a_run_back_due_now_with_the_attempt_lost_and_counted(
    store: Store, node: Actor, clock: SettableClock
) -> None:
    await node.add(spec("a", payload=b"[[1],{}]"))
    claimed = await node.start("a")
    clock.advance(store.caps.lease + 1)
    other = await Actor.join(store, clock, "other")

    [reaped] = await store.reap()

    assert (reaped.epoch, reaped.node, reaped.lost) == (node.epoch, "node", ())
    [timer] = reaped.rescued
    assert (timer.id, timer.due, timer.attempt, timer.payload) == (claimed.run_id, clock.now(), 2, b"[[1],{}]")
    record = await run(store, claimed.run_id)
    assert record.status is RunStatus.PENDING
    assert [(attempt.number, attempt.node, attempt.outcome) for attempt in record.attempts] == [
        (1, "node", Outcome.LOST)
    ]
    again = await other.claim(timer)
    assert (again.grant, again.run_id) == (Grant.STARTED, claimed.run_id)
    assert (await run(store, claimed.run_id)).attempt == 2


async def test_reap_is_done_once(store: Store, node: Actor, clock: SettableClock) -> None:
    await node.add(spec("a"))
    await node.start("a")
    clock.advance(store.caps.lease + 1)
    await store.reap()

    assert await store.reap() == []


async def test_a_run_whose_job_wants_no_second_start_is_lost_with_its_node(
    store: Store, node: Actor, clock: SettableClock
) -> None:
    await node.add(spec("a", policy=Policy(on_crash=OnCrash.LOST)))
    claimed = await node.start("a")
    clock.advance(store.caps.lease + 1)

    [reaped] = await store.reap()

    assert (reaped.rescued, reaped.lost) == ((), (claimed.run_id,))
    record = await run(store, claimed.run_id)
    assert (record.status, record.reason, record.ended) == (RunStatus.LOST, Reason.NODE_DIED, clock.now())
    assert (await job(store, "a")).counts.failures == 1


async def test_a_run_whose_attempts_are_used_up_is_lost(store: Store, node: Actor, clock: SettableClock) -> None:
    await node.add(spec("a", policy=Policy(max_retries=1)))
    first = await node.start("a")
    clock.advance(store.caps.lease + 1)
    [reaped] = await store.reap()
    second = await Actor.join(store, clock, "second")
    await second.claim(reaped.rescued[0])
    clock.advance(store.caps.lease + 1)

    [reaped] = await store.reap()

    assert reaped.lost == (first.run_id,)
    record = await run(store, first.run_id)
    assert record.status is RunStatus.LOST
    assert [(attempt.number, attempt.node) for attempt in record.attempts] == [(1, "node"), (2, "second")]


async def test_a_lost_attempt_began_when_it_was_claimed(store: Store, node: Actor, clock: SettableClock) -> None:
    await node.add(spec("a"))
    retry = await node.fail_once("a", seconds=7)
    clock.set(retry.due)
    claimed = await node.claim(retry)
    began = clock.now()
    clock.advance(store.caps.lease + 1)

    await store.reap()

    lost = (await run(store, claimed.run_id)).attempts[-1]
    assert (lost.started, lost.ended, lost.outcome) == (began, clock.now(), Outcome.LOST)


async def test_a_run_queued_behind_a_lost_one_is_rescued_with_it(
    store: Store, node: Actor, clock: SettableClock
) -> None:
    await node.add(spec("a", policy=Policy(on_crash=OnCrash.LOST, overlap=Overlap.QUEUE)))
    await node.start("a")
    await node.advance(60)
    queued = await node.claim(await node.timer("a"))
    assert queued.grant is Grant.QUEUED
    clock.advance(store.caps.lease + 1)

    [reaped] = await store.reap()

    assert [timer.id for timer in reaped.rescued] == [queued.run_id]


async def test_the_run_of_a_deleted_job_ends_with_its_node(store: Store, node: Actor, clock: SettableClock) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    await store.delete_jobs(ids("a"))
    clock.advance(store.caps.lease + 1)

    [reaped] = await store.reap()

    assert reaped.rescued == ()
    assert (await run(store, claimed.run_id)).status is RunStatus.CANCELLED


async def test_leave_gives_claims_back_and_counts_nothing(store: Store, node: Actor, clock: SettableClock) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    other = await Actor.join(store, clock, "other")

    [timer] = await store.leave(node.epoch)

    assert (timer.id, timer.attempt, timer.due) == (claimed.run_id, 1, clock.now())
    assert (await run(store, claimed.run_id)).status is RunStatus.PENDING
    assert [record.epoch for record in await store.nodes()] == [other.epoch]
    assert (await other.claim(timer)).grant is Grant.STARTED
    counts = (await job(store, "a")).counts
    assert (counts.runs, counts.retries) == (1, 0)


async def test_a_node_that_left_is_dead(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    await store.leave(node.epoch)

    assert not (await store.heartbeat(node.epoch)).alive
    assert await store.finish(node.epoch, [node.end_of(claimed.token)]) == ([False], [])
    assert await store.leave(node.epoch) == []


async def test_the_end_of_a_rescued_attempt_is_refused(store: Store, node: Actor, clock: SettableClock) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    clock.advance(store.caps.lease + 1)
    await store.reap()

    assert await store.finish(node.epoch, [node.end_of(claimed.token)]) == ([False], [])
    [record] = await history(store, "a")
    assert record.status is RunStatus.PENDING


async def test_a_job_is_resolved_while_a_live_node_has_its_function(
    store: Store, node: Actor, clock: SettableClock
) -> None:
    await node.add(spec("a"))
    assert (await job(store, "a")).resolved

    await store.leave(node.epoch)
    assert not (await job(store, "a")).resolved

    await Actor.join(store, clock)
    assert (await job(store, "a")).resolved
