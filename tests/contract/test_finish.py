"""Ends of attempts: what is recorded, what arises, and what is refused."""

from __future__ import annotations

import pytest
from support.clocks import SettableClock
from support.nodes import BOOM, Actor, at, history, ids, job, run, spec

from asched.instants import SECOND
from asched.model import Outcome, Overlap, Policy, Reason, RunStatus
from asched.store import Note, Store

FINAL = (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.CANCELLED)


@pytest.mark.parametrize("status", FINAL)
async def test_a_final_end_is_the_state_of_the_run_and_the_job(store: Store, node: Actor, status: RunStatus) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")

    timers = await node.finish(claimed.token, status)

    assert timers == []
    assert (await run(store, claimed.run_id)).status is status
    record = await job(store, "a")
    assert (record.active, record.last_status) == (0, status)
    assert record.counts.failures == (status in (RunStatus.FAILED, RunStatus.TIMED_OUT))
    assert await store.claims(node.epoch) == []


async def test_an_end_keeps_times_result_reason_and_note(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")

    await node.finish(
        claimed.token,
        started=at(0) + 7,
        ended=at(2),
        result=b'{"rows":3}',
        reason=Reason.ABORTED,
        note=Note(claimed.token, 3, 4, ("one", "two")),
    )

    record = await run(store, claimed.run_id)
    assert (record.started, record.ended, record.result, record.reason) == (
        at(0) + 7, at(2), b'{"rows":3}', Reason.ABORTED
    )  # fmt: skip
    assert (record.progress, record.log) == ((3, 4), ("one", "two"))


async def test_a_success_shows_its_attempt(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")

    await node.finish(claimed.token, started=at(1), ended=at(2))

    record = await run(store, claimed.run_id)
    assert record.attempts == ((1, "node", at(1), at(2), Outcome.OK, None),)
    assert (record.attempt, record.error) == (1, None)


async def test_a_running_attempt_is_shown_as_well(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")

    [attempt] = (await run(store, claimed.run_id)).attempts
    assert (attempt.number, attempt.node, attempt.started, attempt.ended, attempt.outcome) == (
        1, "node", at(0), None, None
    )  # fmt: skip


async def test_a_failed_attempt_becomes_a_retry_when_the_end_says_so(store: Store, node: Actor) -> None:
    await node.add(spec("a", payload=b"[[1],{}]"))
    claimed = await node.start("a")

    [timer] = await node.finish(claimed.token, RunStatus.RETRYING, due=at(9))

    assert (timer.id, timer.due, timer.planned, timer.attempt, timer.payload) == (
        claimed.run_id, at(9), at(0), 2, b"[[1],{}]"
    )  # fmt: skip
    assert await node.waiting("a") == [timer]
    record = await run(store, claimed.run_id)
    assert (record.status, record.error, record.ended) == (RunStatus.RETRYING, BOOM, None)
    after = await job(store, "a")
    assert (after.active, after.counts.failures) == (1, 0)


async def test_the_attempts_of_a_run_are_kept_one_by_one(store: Store, node: Actor, clock: SettableClock) -> None:
    await node.add(spec("a"))
    retry = await node.fail_once("a")
    await node.move_to(retry.due)
    second = await node.claim(retry)
    assert (await run(store, retry.id)).status is RunStatus.RUNNING
    await node.finish(second.token, result=b"1")

    record = await run(store, retry.id)
    assert [(attempt.number, attempt.started, attempt.outcome, attempt.error) for attempt in record.attempts] == [
        (1, at(0), Outcome.ERROR, BOOM),
        (2, retry.due, Outcome.OK, None),
    ]
    assert (record.status, record.attempt, record.started, record.error) == (RunStatus.SUCCEEDED, 2, at(0), None)
    counts = (await job(store, "a")).counts
    assert (counts.runs, counts.failures, counts.retries) == (1, 0, 1)


async def test_a_retry_does_not_move_the_schedule(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    await node.fail_once("a", seconds=45)

    assert (await node.timer("a")).due == at(60)


async def test_an_interrupted_attempt_uses_no_number(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")

    [timer] = await node.finish(claimed.token, RunStatus.PENDING, due=at(0), counts=False)

    assert timer.attempt == 1
    assert (await run(store, claimed.run_id)).status is RunStatus.PENDING
    again = await node.claim(timer)
    await node.finish(again.token)
    record = await run(store, claimed.run_id)
    assert [(attempt.number, attempt.outcome) for attempt in record.attempts] == [
        (1, Outcome.INTERRUPTED),
        (1, Outcome.OK),
    ]
    counts = (await job(store, "a")).counts
    assert (counts.runs, counts.retries) == (1, 0)


@pytest.mark.parametrize("status", FINAL)
async def test_the_counts_of_a_deleted_job_do_not_come_back_when_its_run_ends(
    store: Store, node: Actor, status: RunStatus
) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    await store.delete_jobs(ids("a"))

    await node.finish(claimed.token, status, reason=Reason.OPERATOR)

    assert (await store.totals()).per_job == {}


async def test_an_end_is_accepted_once(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    end = node.end_of(claimed.token)
    await store.finish(node.epoch, [end])

    assert await store.finish(node.epoch, [end]) == ([False], [])
    assert len(await history(store, "a")) == 1
    assert (await store.totals()).runs == 1


@pytest.mark.parametrize("statuses", [
    (RunStatus.SUCCEEDED, RunStatus.SUCCEEDED), (RunStatus.SUCCEEDED, RunStatus.FAILED),
    (RunStatus.FAILED, RunStatus.SUCCEEDED),
])  # fmt: skip
async def test_of_two_ends_of_one_token_in_a_batch_the_first_counts(
    store: Store, node: Actor, statuses: tuple[RunStatus, RunStatus]
) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    first, second = (node.end_of(claimed.token, status) for status in statuses)

    accepted, _ = await store.finish(node.epoch, [first, first if first == second else second])

    assert list(accepted) == [True, False]
    assert (await run(store, claimed.run_id)).status is statuses[0]
    assert (await store.totals()).runs == 1


async def test_a_refused_end_changes_nothing(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    await node.finish(claimed.token, RunStatus.FAILED)
    before = await run(store, claimed.run_id)

    for status in (RunStatus.SUCCEEDED, RunStatus.RETRYING):
        answer = await store.finish(node.epoch, [node.end_of(claimed.token, status, due=at(9))])
        assert answer == ([False], [])

    assert await run(store, claimed.run_id) == before
    assert await node.waiting("a") == []


async def test_an_end_needs_the_epoch_of_the_claim(store: Store, node: Actor, clock: SettableClock) -> None:
    other = await Actor.join(store, clock, "other")
    await node.add(spec("a"))
    claimed = await node.start("a")

    assert await store.finish(other.epoch, [other.end_of(claimed.token)]) == ([False], [])
    assert (await run(store, claimed.run_id)).status is RunStatus.RUNNING


async def test_the_token_of_an_earlier_attempt_is_refused(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    first = await node.start("a")
    [timer] = await node.finish(first.token, RunStatus.RETRYING, due=at(0))
    second = await node.claim(timer)

    assert await store.finish(node.epoch, [node.end_of(first.token)]) == ([False], [])
    assert (await run(store, first.run_id)).status is RunStatus.RUNNING
    await node.finish(second.token)


async def test_answers_stand_in_the_order_of_the_ends(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b"), spec("c"))
    a, b, c = [await node.start(job_id) for job_id in "abc"]
    await node.finish(b.token)

    ends = [node.end_of(token) for token in (c.token, b.token, a.token, c.token)]
    accepted, _ = await store.finish(node.epoch, ends)

    assert accepted == [True, False, True, False]


@pytest.mark.parametrize(
    "statuses",
    [(RunStatus.FAILED, RunStatus.SUCCEEDED), (RunStatus.SUCCEEDED, RunStatus.FAILED)],
    ids=["failed, succeeded", "succeeded, failed"],
)
async def test_the_last_end_of_a_batch_says_how_the_job_went_last(
    store: Store, node: Actor, statuses: tuple[RunStatus, RunStatus]
) -> None:
    await node.add(spec("a", policy=Policy(overlap=Overlap.ALLOW)), spec("b"))
    first, second, other = await node.start("a"), await node.start("a"), await node.start("b")

    ends = [node.end_of(claimed.token, status) for claimed, status in zip((first, second), statuses, strict=True)]
    accepted, _ = await store.finish(node.epoch, [*ends, node.end_of(other.token)])

    assert accepted == [True, True, True]
    assert (await job(store, "a")).last_status is statuses[1]
    assert (await job(store, "b")).last_status is RunStatus.SUCCEEDED


async def test_an_end_is_accepted_after_the_lease_ran_out_unreaped(
    store: Store, node: Actor, clock: SettableClock
) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    clock.advance(store.caps.lease + 1)

    assert await store.finish(node.epoch, [node.end_of(claimed.token)]) == ([True], [])


async def test_release_gives_a_claim_back_as_if_it_had_not_begun(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    await node.advance(1)

    [timer] = await store.release(node.epoch, [claimed.token])

    assert (timer.id, timer.attempt, timer.due) == (claimed.run_id, 1, at(1))
    record = await run(store, claimed.run_id)
    assert (record.status, record.attempts, record.started) == (RunStatus.PENDING, (), None)
    again = await node.claim(timer)
    await node.finish(again.token)
    counts = (await job(store, "a")).counts
    assert (counts.runs, counts.retries) == (1, 0)


async def test_release_of_a_retry_keeps_its_number(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    retry = await node.fail_once("a")
    await node.move_to(retry.due)
    claimed = await node.claim(retry)

    [timer] = await store.release(node.epoch, [claimed.token])

    assert timer.attempt == 2
    await node.claim(timer)
    assert (await job(store, "a")).counts.retries == 1


async def test_release_touches_only_claims_of_this_token_and_epoch(
    store: Store, node: Actor, clock: SettableClock
) -> None:
    other = await Actor.join(store, clock, "other")
    await node.add(spec("a"))
    claimed = await node.start("a")

    assert await store.release(other.epoch, [claimed.token]) == []
    assert await store.release(node.epoch, [claimed.token + 99]) == []
    await node.finish(claimed.token)
    assert await store.release(node.epoch, [claimed.token]) == []


async def test_final_states_are_final(store: Store, node: Actor, clock: SettableClock) -> None:
    await node.add(spec("a", policy=Policy(max_retries=0)))
    run_id = await node.run_once("a", RunStatus.FAILED)
    before = await run(store, run_id)

    await store.cancel_runs([run_id])
    await store.release(node.epoch, [run_id])
    await node.note(run_id, 1, 2, "late")
    clock.advance(store.caps.lease + 1)
    await store.reap()

    assert await run(store, run_id) == before


async def test_a_batch_of_ends_is_one_step(store: Store, node: Actor) -> None:
    jobs = [spec(f"job-{number}") for number in range(store.caps.claim_batch)]
    await node.add(*jobs)
    timers = await node.due(limit=len(jobs))
    granted = await node.take([node.claim_of(timer) for timer in timers])

    accepted, _ = await store.finish(node.epoch, [node.end_of(claimed.token) for claimed in granted])

    assert accepted == [True] * len(jobs)
    assert (await store.totals()).runs == len(jobs)
    assert at(0) <= min(record.ended or 0 for record in await history(store)) < at(0) + SECOND
