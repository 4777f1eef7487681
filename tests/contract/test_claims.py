"""Claims: once each, in time, under a live lease, in one step, and again with the same token."""

from __future__ import annotations

import asyncio

import pytest
from support.clocks import SettableClock
from support.nodes import FAR, Actor, at, history, ids, item, job, outcomes, run, spec

from asched.instants import SECOND
from asched.model import Overlap, Policy, Reason, RunStatus
from asched.store import Gap, Grant, PutMode, RunFilter, Store


async def test_a_claim_advances_the_timer_and_records_the_run_in_one_step(store: Store, node: Actor) -> None:
    await node.add(spec("a", payload=b"[[7],{}]"))
    timer = await node.timer("a")

    claimed = await node.claim(timer, next_planned=at(60), next_due=at(61))

    assert claimed.grant is Grant.STARTED
    assert (claimed.token, claimed.run_id, claimed.cancels) == (node.tokens[-1], node.tokens[-1], ())
    assert claimed.next == await node.timer("a")
    assert claimed.next is not None
    assert (claimed.next.planned, claimed.next.due) == (at(60), at(61))
    record = await run(store, claimed.run_id)
    assert (record.status, record.job_id, record.func) == (RunStatus.RUNNING, "a", "app:work")
    assert (record.planned, record.due, record.started) == (timer.planned, timer.due, at(0))
    assert (record.attempt, record.node, record.fence, record.payload) == (1, "node", claimed.fence, b"[[7],{}]")
    assert (record.manual, record.instants, record.ended) == (False, 1, None)
    after = await job(store, "a")
    assert (after.active, after.counts.runs, after.planned_runs, after.last_run) == (1, 1, 1, at(0))


async def test_a_run_is_due_when_the_claim_says(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    await node.advance(600)

    claimed = await node.claim(
        await node.timer("a"), planned=at(540), due=at(541), next_planned=at(660), next_due=at(660)
    )

    record = await run(store, claimed.run_id)
    assert (record.planned, record.due) == (at(540), at(541))


async def test_a_timer_of_one_revision_is_claimed_once(store: Store, node: Actor, clock: SettableClock) -> None:
    other = await Actor.join(store, clock, "other")
    await node.add(spec("a"))
    timer = await node.timer("a")

    first = await node.claim(timer)
    second = await other.claim(timer)
    third = await node.claim(timer)

    assert [claimed.grant for claimed in (first, second, third)] == [Grant.STARTED, Grant.STALE, Grant.STALE]
    assert len(await history(store, "a")) == 1
    assert (await job(store, "a")).counts.runs == 1


async def test_a_node_that_comes_second_is_told_where_the_timer_stands(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b", max_runs=9))
    timers = [await node.timer("a"), await node.timer("b")]
    first = [await node.claim(timer) for timer in timers]

    second = [await node.claim(timer) for timer in timers]

    assert [claimed.grant for claimed in second] == [Grant.STALE, Grant.STALE]
    assert [claimed.next for claimed in second] == [claimed.next for claimed in first]
    assert None not in [claimed.next for claimed in second]


async def test_a_node_that_comes_second_for_a_retry_is_told_of_the_one_after_it(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    retry = await node.fail_once("a")
    await node.move_to(retry.due)
    again = (await node.claim(retry)).token
    _, [later] = await store.finish(node.epoch, [node.end_of(again, RunStatus.RETRYING, due=retry.due + SECOND)])

    claimed = await node.claim(retry)

    assert (claimed.grant, claimed.next) == (Grant.STALE, later)


async def test_of_nodes_that_race_exactly_one_wins_each_timer(store: Store, node: Actor, clock: SettableClock) -> None:
    nodes = [node, await Actor.join(store, clock, "second"), await Actor.join(store, clock, "third")]
    await node.add(*[spec(f"job-{number}") for number in range(30)])
    timers = await node.due()

    answers = await asyncio.gather(*(racer.take([racer.claim_of(timer) for timer in timers]) for racer in nodes))

    for grants in zip(*answers, strict=True):
        assert sorted(claimed.grant for claimed in grants) == [Grant.STARTED, Grant.STALE, Grant.STALE]
    assert len(await history(store)) == 30


async def test_one_batch_cannot_claim_a_timer_twice(store: Store, node: Actor) -> None:
    await node.add(spec("a", policy=Policy(overlap=Overlap.ALLOW)))
    timer = await node.timer("a")

    answers = await node.take([node.claim_of(timer), node.claim_of(timer)])

    assert [claimed.grant for claimed in answers] == [Grant.STARTED, Grant.STALE]


async def test_a_claim_that_stands_in_a_batch_twice_starts_one_run(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claim = node.claim_of(await node.timer("a"))

    first, second = await node.take([claim, claim])

    assert first == second
    assert first.grant is Grant.STARTED
    assert len(await history(store)) == 1


async def test_answers_stand_in_the_order_of_the_claims(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b"))
    await store.put_jobs(PutMode.INSERT, [item(spec("c"), at(1000))])
    timers = {timer.spec.id: timer for timer in await node.due(FAR)}
    await node.claim(timers["b"])
    claims = [node.claim_of(timers[job_id]) for job_id in ("c", "b", "a")]

    answers = await node.take(claims)

    assert [claimed.grant for claimed in answers] == [Grant.EARLY, Grant.STALE, Grant.STARTED]
    assert [claimed.token for claimed in answers] == [claim.token for claim in claims]


async def test_there_is_one_run_for_each_planned_instant(store: Store, node: Actor) -> None:
    await node.add(spec("a", policy=Policy(overlap=Overlap.ALLOW)))
    for _ in range(5):
        timer = await node.timer("a")
        await node.move_to(timer.due)
        await node.claim(timer)
        await node.claim(timer)

    planned = [record.planned for record in await history(store, "a")]
    assert sorted(planned) == [at(60 * minute) for minute in range(5)]


async def test_a_timer_in_the_stores_future_is_not_claimed(store: Store, node: Actor) -> None:
    await node.add(spec("a"), due=at(10))
    timer = await node.timer("a")

    early = await node.claim(timer)

    assert early.grant is Grant.EARLY
    assert await node.timer("a") == timer
    assert await history(store, "a") == []
    await node.move_to(at(10))
    assert (await node.claim(timer)).grant is Grant.STARTED


async def test_a_claim_cannot_talk_a_timer_into_being_due(store: Store, node: Actor) -> None:
    await node.add(spec("a"), due=at(10))
    timer = await node.timer("a")

    claimed = await node.claim(timer.replace(due=at(0)), due=at(0), planned=at(0))

    assert claimed.grant is Grant.EARLY


async def test_a_retry_in_the_stores_future_is_not_claimed(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    retry = await node.fail_once("a", seconds=5)

    assert (await node.claim(retry)).grant is Grant.EARLY
    await node.move_to(retry.due)
    assert (await node.claim(retry)).grant is Grant.STARTED


async def test_a_claim_repeated_with_its_token_finds_the_run_it_made(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claim = node.claim_of(await node.timer("a"))

    first = await node.take([claim])
    second = await node.take([claim])

    assert second == first
    assert len(await history(store, "a")) == 1
    assert (await job(store, "a")).counts.runs == 1


async def test_a_repeated_claim_is_answered_though_the_job_was_deleted_meanwhile(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claim = node.claim_of(await node.timer("a"))
    [first] = await node.take([claim])
    await store.delete_jobs(ids("a"))

    [second] = await node.take([claim])

    assert (second.grant, second.run_id, second.fence) == (Grant.STARTED, first.run_id, first.fence)


async def test_a_repeated_claim_of_a_retry_finds_it(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    retry = await node.fail_once("a")
    await node.move_to(retry.due)
    claim = node.claim_of(retry)

    first = await node.take([claim])
    second = await node.take([claim])

    assert second == first
    assert (await job(store, "a")).counts.retries == 1


async def test_a_repeated_claim_that_queued_finds_its_run(store: Store, node: Actor) -> None:
    await node.add(spec("a", policy=Policy(overlap=Overlap.QUEUE)))
    await node.start("a")
    await node.advance(60)
    claim = node.claim_of(await node.timer("a"))

    first = await node.take([claim])
    second = await node.take([claim])

    assert first[0].grant is Grant.QUEUED
    assert second == first


async def test_a_claim_repeated_after_its_run_ended_starts_nothing(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claim = node.claim_of(await node.timer("a"))
    await node.take([claim])
    await node.finish(claim.token)

    [again] = await node.take([claim])

    assert again.grant is Grant.STALE
    assert [record.status for record in await history(store, "a")] == [RunStatus.SUCCEEDED]


async def test_claims_lists_what_the_node_holds(store: Store, node: Actor, clock: SettableClock) -> None:
    other = await Actor.join(store, clock, "other")
    await node.add(spec("a"), spec("b"), spec("c"))
    a, b, c = [await actor.start(job_id) for actor, job_id in ((node, "a"), (node, "b"), (other, "c"))]
    await node.finish(b.token)

    assert await store.claims(node.epoch) == [(a.token, a.run_id, "a", at(0), 1, a.fence)]
    assert [live.token for live in await store.claims(other.epoch)] == [c.token]


async def test_the_fence_grows_with_each_claim_of_a_job(store: Store, node: Actor, clock: SettableClock) -> None:
    await node.add(spec("a", policy=Policy(overlap=Overlap.ALLOW)))
    fences = [(await node.start("a")).fence]
    retry = await node.fail_once("a")
    fences.append((await run(store, retry.id)).fence)
    await node.move_to(retry.due)
    fences.append((await node.claim(retry)).fence)
    clock.advance(store.caps.lease + 1)
    await store.reap()
    other = await Actor.join(store, clock, "other")
    fences += [(await other.claim(timer)).fence for timer in await other.waiting("a")]

    assert len(fences) == 5
    assert fences == sorted(set(fences))
    assert fences[0] > 0


async def test_a_claim_that_lets_an_instant_pass_records_its_gap_and_moves_the_timer(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    await node.advance(300)
    gap = Gap(RunStatus.MISSED, Reason.NO_CATCH_UP, at(0), at(240), 5)

    passed = await node.claim(await node.timer("a"), start=False, gap=gap, next_planned=at(300), next_due=at(300))

    assert (passed.grant, passed.run_id) == (Grant.PASSED, 0)
    assert passed.next == await node.timer("a")
    assert await outcomes(store, "a") == [(RunStatus.MISSED, Reason.NO_CATCH_UP, at(0), at(240), 5)]
    record = await job(store, "a")
    assert (record.counts.runs, record.planned_runs, record.active, record.due) == (0, 0, 0, at(300))


async def test_a_claim_that_starts_records_the_gap_before_it(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    await node.advance(300)
    gap = Gap(RunStatus.MISSED, Reason.COALESCED, at(0), at(240), 5)

    claimed = await node.claim(
        await node.timer("a"), planned=at(300), due=at(300), gap=gap, next_planned=at(360), next_due=at(360)
    )

    assert claimed.grant is Grant.STARTED
    assert await outcomes(store, "a") == [
        (RunStatus.MISSED, Reason.COALESCED, at(0), at(240), 5),
        (RunStatus.RUNNING, None, at(300), at(300), 1),
    ]


async def test_the_last_instant_leaves_no_timer(store: Store, node: Actor) -> None:
    await node.add(spec("a"))

    claimed = await node.claim(await node.timer("a"), next_planned=None, next_due=None)

    assert claimed.next is None
    assert await node.due(FAR) == []
    assert (await job(store, "a")).due is None


async def test_after_max_runs_occurrences_the_timer_ends(store: Store, node: Actor) -> None:
    await node.add(spec("a", max_runs=2))
    await node.run_once("a")

    last = await node.start("a")

    assert last.next is None
    assert await node.due(FAR) == []
    record = await job(store, "a")
    assert (record.planned_runs, record.due) == (2, None)


async def test_instants_that_pass_and_starts_by_hand_do_not_count_towards_max_runs(store: Store, node: Actor) -> None:
    await node.add(spec("a", max_runs=1))
    gap = Gap(RunStatus.SKIPPED, Reason.ABANDONED, at(0), at(0), 1)
    await node.claim(await node.timer("a"), start=False, gap=gap)
    manual = await node.enqueue("a")
    assert manual.timer is not None
    by_hand = await node.claim(manual.timer)
    await node.finish(by_hand.token)

    assert (await job(store, "a")).planned_runs == 0
    assert (await node.start("a")).next is None


async def test_a_paused_jobs_timer_is_stale(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    timer = await node.timer("a")
    await store.pause_jobs(ids("a"))

    assert (await node.claim(timer)).grant is Grant.STALE
    assert await history(store, "a") == []


async def test_a_stale_claim_leaves_no_gap(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    timer = await node.timer("a")
    await node.run_once("a")

    await node.claim(timer, gap=Gap(RunStatus.MISSED, Reason.COALESCED, at(-60), at(-60), 1))

    assert [record.status for record in await history(store, "a")] == [RunStatus.SUCCEEDED]


async def test_reap_and_claim_exclude_each_other(store: Store, node: Actor, clock: SettableClock) -> None:
    await node.add(*[spec(f"job-{number}") for number in range(20)])
    timers = await node.due()
    clock.advance(store.caps.lease + 1)
    other = await Actor.join(store, clock, "other")

    claims = [node.claim_of(timer) for timer in timers]
    answers, reaped = await asyncio.gather(node.take(claims), other.store.reap())

    assert answers == []
    assert [(each.epoch, each.rescued) for each in reaped] == [(node.epoch, ())]
    assert (await store.list_runs(RunFilter(), 10))[0] == []


async def test_the_edge_of_the_lease_is_the_same_for_claim_and_reap(
    store: Store, node: Actor, clock: SettableClock
) -> None:
    await node.add(*[spec(f"job-{number}") for number in range(3)])
    timers = await node.due()
    [me] = await store.nodes()

    for edge, timer in zip((-1, 0, 1), timers, strict=True):
        clock.set(me.lease_until + edge * SECOND // 1_000)
        granted = await node.take([node.claim_of(timer)])
        reaped = await store.reap()
        assert bool(granted) != bool(reaped)


@pytest.mark.parametrize("number", [8, 9, 65, 500])
async def test_a_batch_of_any_size_is_answered_in_its_order(store: Store, node: Actor, number: int) -> None:
    number = min(number, store.caps.claim_batch)
    busy, once, paused = number // 2, 3, 5
    jobs = [spec(f"job-{n}", policy=Policy(max_retries=0), payload=b"[[%d],{}]" % n) for n in range(number)]
    jobs[once] = jobs[once].replace(max_runs=1)
    await node.add(*jobs)
    timers = sorted(await node.due(limit=number), key=lambda timer: int(timer.spec.id.partition("-")[2]))
    active = await node.claim(timers[busy])
    assert active.next is not None
    timers[busy] = active.next
    await node.move_to(active.next.due)
    await store.pause_jobs(ids(f"job-{paused}"))
    claims = [node.claim_of(timer) for timer in timers]

    granted = await node.take(claims)

    expected = [Grant.STARTED] * number
    expected[busy], expected[paused] = Grant.PASSED, Grant.STALE
    assert [claimed.grant for claimed in granted] == expected
    assert [claimed.token for claimed in granted] == [claim.token for claim in claims]
    started = [claimed for claimed in granted if claimed.grant is Grant.STARTED]
    fences = [claimed.fence for claimed in started]
    # They grow with the claims of each job; between jobs they only differ.
    assert len(set(fences)) == len(fences)
    assert granted[once].next is None
    assert all(claimed.next is not None for claimed in started if claimed is not granted[once])
    ends = [node.end_of(claimed.token, result=b"%d" % claimed.token) for claimed in started]
    ends[1] = node.end_of(ends[1].token, RunStatus.FAILED)
    ends[2] = ends[2]._replace(token=node.token())
    accepted, _ = await store.finish(node.epoch, [*ends, node.end_of(active.token)])
    assert accepted == [index != 2 for index in range(len(ends) + 1)]
    records = await store.get_runs([claimed.run_id for claimed in started])
    statuses = [record.status for record in records if record is not None]
    assert statuses == [_status_after(index) for index in range(len(started))]
    assert records[-1] is not None
    assert (records[-1].result, records[-1].payload) == (b"%d" % started[-1].token, b"[[%d],{}]" % (number - 1))


def _status_after(index: int) -> RunStatus:
    return {1: RunStatus.FAILED, 2: RunStatus.RUNNING}.get(index, RunStatus.SUCCEEDED)
