"""What goes wrong around a store: nodes that die and come back, answers that are lost, clocks that step, reopening."""

from __future__ import annotations

from pathlib import Path

from support.clocks import SettableClock
from support.nodes import FAR, Actor, at, history, ids, item, job, run, spec
from support.store_factories import OpenStore, Require, make_store

from asched.instants import HOUR
from asched.model import OnCrash, Overlap, Policy, RunStatus
from asched.store import Grant, JobFilter, PutMode, Store


async def test_a_zombie_starts_nothing_and_its_ends_are_refused(
    store: Store, node: Actor, clock: SettableClock
) -> None:
    await node.add(spec("a"), spec("b"))
    zombie = await node.start("a")
    untaken = await node.timer("b")
    clock.advance(store.caps.lease + 1)
    other = await Actor.join(store, clock, "other")
    [reaped] = await store.reap()
    rescued = await other.claim(reaped.rescued[0])

    assert await store.finish(node.epoch, [node.end_of(zombie.token)]) == ([False], [])
    assert await store.release(node.epoch, [zombie.token]) == []
    assert await node.take([node.claim_of(untaken)]) == []
    assert await store.claims(node.epoch) == []
    assert rescued.fence > zombie.fence
    await other.finish(rescued.token)
    assert (await run(store, zombie.run_id)).status is RunStatus.SUCCEEDED
    assert (await other.claim(untaken)).grant is Grant.STARTED


async def test_each_end_of_a_rescued_run_is_recorded_once(store: Store, node: Actor, clock: SettableClock) -> None:
    await node.add(spec("a", max_runs=1))
    first = await node.start("a")
    clock.advance(store.caps.lease + 1)
    other = await Actor.join(store, clock, "other")
    [reaped] = await store.reap()
    second = await other.claim(reaped.rescued[0])

    accepted = [
        (await store.finish(node.epoch, [node.end_of(first.token)]))[0],
        (await store.finish(other.epoch, [other.end_of(second.token)]))[0],
        (await store.finish(other.epoch, [other.end_of(second.token)]))[0],
    ]

    assert accepted == [[False], [True], [False]]
    [record] = await history(store, "a")
    assert record.status is RunStatus.SUCCEEDED
    assert (await job(store, "a")).counts == (1, 0, 1)


async def test_a_run_survives_node_after_node(store: Store, clock: SettableClock) -> None:
    first = await Actor.join(store, clock)
    await first.add(spec("a", policy=Policy(max_retries=3)))
    run_id = (await first.start("a")).run_id
    for number in range(3):
        clock.advance(store.caps.lease + 1)
        node = await Actor.join(store, clock, f"node-{number}")
        [reaped] = await store.reap()
        [timer] = reaped.rescued
        assert timer.attempt == number + 2
        assert (await node.claim(timer)).grant is Grant.STARTED
    clock.advance(store.caps.lease + 1)
    [reaped] = await store.reap()

    assert reaped.lost == (run_id,)
    assert [attempt.number for attempt in (await run(store, run_id)).attempts] == [1, 2, 3, 4]


async def test_the_runs_of_a_dead_node_do_not_hold_up_its_jobs_for_ever(
    store: Store, node: Actor, clock: SettableClock
) -> None:
    await node.add(spec("a", policy=Policy(on_crash=OnCrash.LOST)))
    await node.start("a")
    clock.advance(max(store.caps.lease + 1, 60))
    other = await Actor.join(store, clock, "other")
    await store.reap()

    assert (await job(store, "a")).active == 0
    assert (await other.claim(await other.timer("a"))).grant is Grant.STARTED


async def test_a_lost_answer_to_a_claim_is_settled_through_claims(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b"))
    claims = [node.claim_of(timer) for timer in await node.due()]
    await node.take(claims)

    held = {live.token: live for live in await store.claims(node.epoch)}

    assert set(held) == {claim.token for claim in claims}
    assert (await store.heartbeat(node.epoch)).claims == 2
    await store.release(node.epoch, [claims[0].token])
    await node.finish(claims[1].token)
    assert await store.claims(node.epoch) == []
    assert len(await node.waiting("a")) == 1


async def test_a_lost_answer_to_a_finish_leaves_one_record(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    end = node.end_of(claimed.token, RunStatus.RETRYING, due=at(5))
    await store.finish(node.epoch, [end])

    assert await store.finish(node.epoch, [end]) == ([False], [])
    [timer] = await node.waiting("a")
    assert (timer.attempt, timer.due) == (2, at(5))
    assert len((await run(store, claimed.run_id)).attempts) == 1


async def test_a_store_clock_that_steps_back_loses_and_repeats_nothing(
    store: Store, node: Actor, clock: SettableClock
) -> None:
    await node.add(spec("a"))
    await node.run_once("a")
    await node.run_once("a")
    await node.move_to(at(60) - 2 * HOUR)

    timer = await node.timer("a")
    assert timer.due == at(120)
    assert (await node.claim(timer)).grant is Grant.EARLY
    await node.move_to(at(120))
    assert (await node.claim(timer)).grant is Grant.STARTED
    planned = [record.planned for record in await history(store, "a")]
    assert sorted(planned) == [at(0), at(60), at(120)]


async def test_edits_of_a_job_that_executes_leave_one_run_per_instant(store: Store, node: Actor) -> None:
    await node.add(spec("a", policy=Policy(overlap=Overlap.ALLOW)))
    timer = await node.timer("a")
    await node.claim(timer)
    await store.put_jobs(PutMode.UPDATE, [item(spec("a", name="new"), replan=False)])
    await store.pause_jobs(ids("a"))
    await store.resume_jobs(ids("a"))

    assert (await node.claim(timer)).grant is Grant.STALE
    assert [record.planned for record in await history(store, "a")] == [at(0)]


async def test_what_was_acknowledged_is_there_after_reopening_exactly_where_the_store_is_durable(
    open_store: OpenStore, clock: SettableClock
) -> None:
    store = await open_store()
    node = await Actor.join(store, clock)
    await node.add(spec("a"), spec("b"), spec("c"))
    letter = await node.run_once("a", RunStatus.FAILED)
    retry = await node.fail_once("b")
    await store.pause_jobs(ids("c"))
    await store.next_id()
    jobs = [record._replace(resolved=False) for record in (await store.list_jobs(JobFilter(), 10))[0]]
    runs = await history(store)
    await store.leave(node.epoch)
    await store.close()

    again = await open_store()

    assert bool((await again.list_jobs(JobFilter(), 10))[0]) == again.caps.durable
    if again.caps.durable:
        assert (await again.list_jobs(JobFilter(), 10))[0] == jobs
        assert await history(again) == runs
        assert (await again.totals()).dead_letters == 1
        successor = await Actor.join(again, clock)
        assert successor.epoch != node.epoch
        assert [timer.id for timer in await successor.waiting("b")] == [retry.id]
        assert (await run(again, letter)).status is RunStatus.FAILED
        assert await again.next_id() == 2


async def test_runs_of_a_process_that_died_are_rescued_after_reopening(
    open_store: OpenStore, clock: SettableClock
) -> None:
    store = await open_store()
    node = await Actor.join(store, clock)
    await node.add(spec("a"))
    claimed = await node.start("a")
    await store.close()
    clock.advance(store.caps.lease + 1)

    again = await open_store()
    rescued = [timer.id for reaped in await again.reap() for timer in reaped.rescued]
    successor = await Actor.join(again, clock)

    waiting = [timer.id for timer in await successor.due(FAR) if timer.attempt]
    assert waiting == ([claimed.run_id] if again.caps.durable else [])
    assert set(rescued) <= set(waiting)


async def test_two_schedules_in_one_place_do_not_meet(
    kind: str, clock: SettableClock, tmp_path: Path, require: Require, store: Store, node: Actor
) -> None:
    await node.add(spec("a"))
    if store.caps.durable and not store.caps.shared:
        await store.close()

    other = await make_store(kind, clock, tmp_path, require, namespace="another")

    assert await other.get_jobs(["a"]) == [None]
    assert await (await Actor.join(other, clock)).due(FAR) == []
    assert await other.next_id() == 1
    await other.close()
