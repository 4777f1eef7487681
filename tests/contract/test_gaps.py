"""Instants that do not start: one record for a row of one fate, a new one when the fate changes."""

from __future__ import annotations

from support.nodes import Actor, at, history, ids, item, outcomes, run, spec

from asched.model import Reason, RunStatus
from asched.store import Gap, Grant, PutMode, Store

SKIPPED = RunStatus.SKIPPED
MISSED = RunStatus.MISSED


async def let_pass(node: Actor, minute: int, status: RunStatus = SKIPPED, reason: Reason = Reason.ABANDONED) -> None:
    """Let the instant of this minute pass."""
    await node.move_to(at(60 * minute))
    timer = await node.timer("a")
    assert timer.planned == at(60 * minute)
    claimed = await node.claim(timer, start=False, gap=Gap(status, reason, timer.planned, timer.planned, 1))
    assert claimed.grant is Grant.PASSED


async def test_adjoining_gaps_of_one_reason_are_one_record(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    for minute in range(4):
        await let_pass(node, minute)

    assert await outcomes(store, "a") == [(SKIPPED, Reason.ABANDONED, at(0), at(180), 4)]


async def test_a_record_of_many_instants_is_looked_up_by_its_id(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    await let_pass(node, 0)
    [first] = await history(store, "a")
    await let_pass(node, 1)

    record = await run(store, first.id)
    assert (record.instants, record.due, record.planned, record.last_due) == (2, at(0), at(0), at(60))
    assert (record.started, record.attempts, record.node, record.manual) == (None, (), None, False)
    assert record.ended == at(60)


async def test_another_reason_begins_another_record(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    await let_pass(node, 0)
    await let_pass(node, 1, MISSED, Reason.NO_CATCH_UP)
    await let_pass(node, 2, MISSED, Reason.CATCH_UP_WINDOW)
    await let_pass(node, 3, MISSED, Reason.CATCH_UP_WINDOW)

    assert await outcomes(store, "a") == [
        (SKIPPED, Reason.ABANDONED, at(0), at(0), 1),
        (MISSED, Reason.NO_CATCH_UP, at(60), at(60), 1),
        (MISSED, Reason.CATCH_UP_WINDOW, at(120), at(180), 2),
    ]


async def test_a_start_closes_the_gap(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    await let_pass(node, 0)
    await node.run_once("a")
    await let_pass(node, 2)

    assert await outcomes(store, "a") == [
        (SKIPPED, Reason.ABANDONED, at(0), at(0), 1),
        (RunStatus.SUCCEEDED, None, at(60), at(60), 1),
        (SKIPPED, Reason.ABANDONED, at(120), at(120), 1),
    ]


async def test_the_gap_of_a_start_joins_the_record_before_it_and_closes_it(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    await let_pass(node, 0, MISSED, Reason.COALESCED)
    await node.move_to(at(180))
    gap = Gap(MISSED, Reason.COALESCED, at(60), at(120), 2)
    claimed = await node.claim(
        await node.timer("a"), planned=at(180), due=at(180), gap=gap, next_planned=at(240), next_due=at(240)
    )
    await node.finish(claimed.token)
    await let_pass(node, 4, MISSED, Reason.COALESCED)

    assert await outcomes(store, "a") == [
        (MISSED, Reason.COALESCED, at(0), at(120), 3),
        (RunStatus.SUCCEEDED, None, at(180), at(180), 1),
        (MISSED, Reason.COALESCED, at(240), at(240), 1),
    ]


async def test_a_new_plan_closes_the_gap(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    await let_pass(node, 0)
    await store.put_jobs(PutMode.UPDATE, [item(spec("a"), at(60))])
    await let_pass(node, 1)

    assert [instants for *_, instants in await outcomes(store, "a")] == [1, 1]


async def test_an_edit_that_leaves_the_plan_leaves_the_gap_open(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    await let_pass(node, 0)
    await store.put_jobs(PutMode.UPDATE, [item(spec("a", name="new"), replan=False)])
    await let_pass(node, 1)

    assert [instants for *_, instants in await outcomes(store, "a")] == [2]


async def test_gaps_of_two_jobs_are_two_records(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b"))
    timers = await node.due()
    claims = [
        node.claim_of(timer, start=False, gap=Gap(SKIPPED, Reason.ABANDONED, timer.planned, timer.planned, 1))
        for timer in timers
    ]

    await node.take(claims)

    assert len(await history(store, "a")) == len(await history(store, "b")) == 1


async def test_two_pauses_without_a_start_between_are_one_record(store: Store, node: Actor) -> None:
    await node.add(spec("a"), due=at(60))
    for until in (at(130), at(250)):
        await store.pause_jobs(ids("a"))
        await node.move_to(until)
        await store.resume_jobs(ids("a"))

    assert await outcomes(store, "a") == [(SKIPPED, Reason.PAUSED, at(60), at(240), 4)]


async def test_gaps_count_neither_as_runs_nor_as_failures(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    for minute in range(3):
        await let_pass(node, minute)

    totals = await store.totals()
    assert (totals.runs, totals.failures, totals.active_runs, totals.per_job) == (0, 0, 0, {})
