"""Dead letters: what makes one, how many are kept, and how a replay takes one away."""

from __future__ import annotations

import pytest
from support.clocks import SettableClock
from support.nodes import BOOM, Actor, ids, item, run, spec
from support.store_factories import OpenStore

from asched.model import OnCrash, Outcome, Policy, RunStatus
from asched.store import Limits, PutMode, PutStatus, RunFilter, Store


async def letters(store: Store) -> list[int]:
    return [record.id for record in (await store.list_runs(RunFilter(dead=True), 1_000))[0]]


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.TIMED_OUT])
async def test_a_final_failure_is_a_dead_letter_with_arguments_and_error(
    store: Store, node: Actor, status: RunStatus
) -> None:
    await node.add(spec("a", payload=b"[[1],{}]"))
    run_id = await node.run_once("a", status)

    [letter] = (await store.list_runs(RunFilter(dead=True), 10))[0]
    assert (letter.id, letter.status, letter.error, letter.payload) == (run_id, status, BOOM, b"[[1],{}]")
    assert [attempt.outcome for attempt in letter.attempts] != [Outcome.OK]
    assert (await store.totals()).dead_letters == 1


async def test_a_lost_run_is_a_dead_letter(store: Store, node: Actor, clock: SettableClock) -> None:
    await node.add(spec("a", policy=Policy(on_crash=OnCrash.LOST)))
    claimed = await node.start("a")
    clock.advance(store.caps.lease + 1)
    await store.reap()

    assert await letters(store) == [claimed.run_id]


async def test_other_ends_make_no_dead_letter(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b"))
    await node.run_once("a")
    await node.run_once("a", RunStatus.CANCELLED)
    await node.fail_once("b")

    assert await letters(store) == []


async def test_dead_letters_are_listed_newest_first_in_pages(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    run_ids = [await node.run_once("a", RunStatus.FAILED) for _ in range(5)]

    first, cursor = await store.list_runs(RunFilter(dead=True), 2)
    await node.run_once("a", RunStatus.FAILED)
    rest, end = await store.list_runs(RunFilter(dead=True), 9, cursor)

    assert [record.id for record in (*first, *rest)] == run_ids[::-1]
    assert end is None


async def test_dead_letters_are_filtered_as_runs_are(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b"))
    await node.run_once("a", RunStatus.FAILED)
    b = await node.run_once("b", RunStatus.TIMED_OUT)

    for which in (RunFilter(job_id="b", dead=True), RunFilter(status=RunStatus.TIMED_OUT, dead=True)):
        assert [record.id for record in (await store.list_runs(which, 10))[0]] == [b]


async def test_the_oldest_letter_gives_way_at_the_limit_and_its_run_stays(
    open_store: OpenStore, clock: SettableClock
) -> None:
    store = await open_store(Limits(dead_letters=3))
    node = await Actor.join(store, clock)
    await node.add(spec("a"))
    run_ids = [await node.run_once("a", RunStatus.FAILED) for _ in range(5)]
    while await store.prune(100):
        pass

    assert await letters(store) == run_ids[:1:-1]
    assert (await run(store, run_ids[0])).status is RunStatus.FAILED
    assert (await store.totals()).dead_letters == 3


async def test_a_limit_of_no_letters_keeps_none(open_store: OpenStore, clock: SettableClock) -> None:
    store = await open_store(Limits(dead_letters=0))
    node = await Actor.join(store, clock)
    await node.add(spec("a"))
    await node.run_once("a", RunStatus.FAILED)
    await store.prune(100)

    assert await letters(store) == []


async def test_a_letter_outlives_the_history_around_it(open_store: OpenStore, clock: SettableClock) -> None:
    store = await open_store(Limits(history=3, kept_per_job=1, retention=600.0))
    node = await Actor.join(store, clock)
    await node.add(spec("a"))
    letter = await node.run_once("a", RunStatus.FAILED)
    for _ in range(20):
        await node.run_once("a")
    while await store.prune(100):
        pass

    assert await letters(store) == [letter]
    assert (await run(store, letter)).error == BOOM


async def test_a_finished_job_stays_while_it_has_a_letter(open_store: OpenStore, clock: SettableClock) -> None:
    store = await open_store(Limits(history=3, kept_per_job=1))
    node = await Actor.join(store, clock)
    await node.add(spec("once", max_runs=1), spec("loud"))
    letter = await node.run_once("once", RunStatus.FAILED)
    for _ in range(9):
        await node.run_once("loud")
    while await store.prune(100):
        pass
    assert (await node.enqueue("once", replay_of=letter)).status is PutStatus.ADDED
    [replay] = await node.waiting("once")
    await node.finish((await node.claim(replay)).token)
    for _ in range(9):
        await node.run_once("loud")
    while await store.prune(100):
        pass

    assert await store.get_jobs(["once"]) == [None]
    assert await store.get_runs([letter]) == [None]


async def test_a_finished_job_stays_for_its_letter_when_its_other_records_go(
    open_store: OpenStore, clock: SettableClock
) -> None:
    store = await open_store(Limits(history=3, kept_per_job=1))
    node = await Actor.join(store, clock)
    await node.add(spec("twice", max_runs=2), spec("loud"))
    letter = await node.run_once("twice", RunStatus.FAILED)
    other = await node.run_once("twice")

    for _ in range(9):
        await node.run_once("loud")
    while await store.prune(100):
        pass

    assert await store.get_runs([other]) == [None]
    assert (await node.enqueue("twice", replay_of=letter)).status is PutStatus.ADDED


async def test_a_discarded_letter_is_gone_and_its_run_stays(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    first, second, third = [await node.run_once("a", RunStatus.FAILED) for _ in range(3)]

    assert await store.discard_dead_letters([second, 12345]) == 1
    assert await store.discard_dead_letters([second]) == 0

    assert await letters(store) == [third, first]
    assert (await run(store, second)).status is RunStatus.FAILED
    assert await store.discard_dead_letters(None) == 2
    assert await letters(store) == []
    assert (await store.totals()).dead_letters == 0


async def test_a_replay_is_a_run_of_its_own_with_the_letters_arguments(store: Store, node: Actor) -> None:
    await node.add(spec("a", payload=b"[[1],{}]"))
    letter = await node.run_once("a", RunStatus.FAILED)
    await store.put_jobs(PutMode.UPDATE, [item(spec("a", payload=b"[[2],{}]"), replan=False)])

    enqueued = await node.enqueue("a", replay_of=letter)

    assert enqueued.status is PutStatus.ADDED
    assert enqueued.run is not None
    assert enqueued.run.id != letter
    assert (enqueued.run.replay_of, enqueued.run.payload) == (letter, b"[[1],{}]")
    assert enqueued.timer is not None
    assert enqueued.timer.payload == b"[[1],{}]"
    assert await letters(store) == [letter]


async def test_a_replay_that_succeeds_removes_its_letter(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    letter = await node.run_once("a", RunStatus.FAILED)
    enqueued = await node.enqueue("a", replay_of=letter)
    assert enqueued.timer is not None
    claimed = await node.claim(enqueued.timer)

    await node.finish(claimed.token)

    assert await letters(store) == []
    assert (await run(store, letter)).status is RunStatus.FAILED


async def test_a_replay_that_fails_leaves_its_letter(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    letter = await node.run_once("a", RunStatus.FAILED)
    enqueued = await node.enqueue("a", replay_of=letter)
    assert enqueued.timer is not None
    claimed = await node.claim(enqueued.timer)

    await node.finish(claimed.token, RunStatus.FAILED)

    assert await letters(store) == [claimed.run_id, letter]


async def test_what_is_no_letter_cannot_be_replayed(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    fine = await node.run_once("a")
    letter = await node.run_once("a", RunStatus.FAILED)

    assert (await node.enqueue("a", replay_of=fine)).status is PutStatus.MISSING
    await store.discard_dead_letters([letter])
    assert (await node.enqueue("a", replay_of=letter)).status is PutStatus.MISSING


async def test_the_letter_of_a_deleted_job_stays_and_cannot_be_replayed(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    letter = await node.run_once("a", RunStatus.FAILED)
    await store.delete_jobs(ids("a"))

    assert await letters(store) == [letter]
    assert (await node.enqueue("a", replay_of=letter)).status is PutStatus.MISSING
