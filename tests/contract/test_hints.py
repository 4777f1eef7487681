"""What nodes hear of each other: hints to look, and the feed of changes. Neither is needed to miss nothing."""

from __future__ import annotations

import asyncio

from support.clocks import SettableClock
from support.nodes import Actor, at, ids, item, spec

from asched.model import RunStatus
from asched.store import Change, ChangeKind, Grant, Note, PutMode, Store

# Real seconds that a hint may take through a server.
PATIENCE = 5.0


async def test_a_node_that_only_polls_misses_nothing(store: Store, node: Actor, clock: SettableClock) -> None:
    other = await Actor.join(store, clock, "other")
    await node.add(spec("a"))
    retry = await node.fail_once("a")
    await node.move_to(retry.due)
    await store.heartbeat(other.epoch)

    assert [timer.id for timer in await other.due()] == [retry.id]
    claimed = await other.claim(retry)
    await store.cancel_runs([claimed.run_id])
    assert (await store.heartbeat(other.epoch)).cancels == (claimed.token,)


async def test_hints_are_merged_while_nobody_reads(store: Store, node: Actor, clock: SettableClock) -> None:
    if not store.caps.shared:
        assert [record.epoch for record in await store.nodes()] == [node.epoch]
        return
    other = await Actor.join(store, clock, "other")
    hints = store.watch(other.epoch)
    waiting = asyncio.ensure_future(anext(hints))
    await asyncio.sleep(0)
    for second in (30, 10, 20):
        store.wake(node.epoch, at(second))

    assert await asyncio.wait_for(waiting, PATIENCE) <= at(10)


async def test_a_cancel_is_hinted_to_the_node_that_executes(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    hints = store.watch(node.epoch)
    waiting = asyncio.ensure_future(anext(hints))
    await asyncio.sleep(0)

    await store.cancel_runs([claimed.run_id])

    assert await asyncio.wait_for(waiting, PATIENCE) == 0


async def test_watching_ends_when_the_node_leaves(store: Store, node: Actor) -> None:
    async def watch() -> list[int]:
        return [due async for due in store.watch(node.epoch)]

    watching = asyncio.ensure_future(watch())
    await asyncio.sleep(0)

    await store.leave(node.epoch)

    # A store that has only now begun to hear of others says "look at everything" first.
    assert set(await asyncio.wait_for(watching, PATIENCE)) <= {0}


async def test_waking_others_where_there_are_none_is_harmless(store: Store, node: Actor) -> None:
    store.wake(node.epoch, at(10))

    await node.add(spec("a"))
    assert (await node.claim(await node.timer("a"))).grant is Grant.STARTED


async def changed(store: Store, cursor: int) -> set[Change]:
    """What changed since the cursor, which must be remembered completely."""
    found = await store.changes(cursor)
    assert found.complete
    return set(found.changes)


async def test_without_a_cursor_the_feed_tells_the_present_one(store: Store, node: Actor) -> None:
    await node.add(spec("a"))

    now = await store.changes(None)

    assert (now.changes, now.complete) == ((), True)
    assert await store.changes(now.cursor) == now


async def test_the_feed_names_jobs_and_runs_that_changed(store: Store, node: Actor) -> None:
    cursor = (await store.changes(None)).cursor
    await node.add(spec("a"))
    await node.add(spec("b"), due=at(60))
    assert await changed(store, cursor) == {Change(ChangeKind.JOB, "a"), Change(ChangeKind.JOB, "b")}

    cursor = (await store.changes(cursor)).cursor
    claimed = await node.start("a")
    assert Change(ChangeKind.RUN, claimed.run_id) in await changed(store, cursor)

    cursor = (await store.changes(cursor)).cursor
    await node.note(claimed.token, 1, 2)
    assert Change(ChangeKind.RUN, claimed.run_id) in await changed(store, cursor)

    cursor = (await store.changes(cursor)).cursor
    await node.finish(claimed.token)
    assert Change(ChangeKind.RUN, claimed.run_id) in await changed(store, cursor)

    cursor = (await store.changes(cursor)).cursor
    await store.pause_jobs(ids("b"))
    assert await changed(store, cursor) == {Change(ChangeKind.JOB, "b")}

    cursor = (await store.changes(cursor)).cursor
    await store.resume_jobs(ids("b"))
    assert await changed(store, cursor) == {Change(ChangeKind.JOB, "b")}

    cursor = (await store.changes(cursor)).cursor
    await store.put_jobs(PutMode.UPDATE, [item(spec("b", name="new"), at(60))])
    assert await changed(store, cursor) == {Change(ChangeKind.JOB, "b")}

    cursor = (await store.changes(cursor)).cursor
    await store.delete_jobs(ids("b"))
    assert await changed(store, cursor) == {Change(ChangeKind.JOB_REMOVED, "b")}


async def test_the_feed_tells_of_runs_made_by_hand_cancelled_and_rescued(
    store: Store, node: Actor, clock: SettableClock
) -> None:
    await node.add(spec("a"), spec("b"), due=at(60))
    cursor = (await store.changes(None)).cursor
    enqueued = await node.enqueue("a")
    assert enqueued.run is not None
    assert Change(ChangeKind.RUN, enqueued.run.id) in await changed(store, cursor)

    cursor = (await store.changes(cursor)).cursor
    await store.cancel_runs([enqueued.run.id])
    assert Change(ChangeKind.RUN, enqueued.run.id) in await changed(store, cursor)

    claimed = await node.start("b")
    cursor = (await store.changes(cursor)).cursor
    clock.advance(store.caps.lease + 1)
    await store.reap()
    assert Change(ChangeKind.RUN, claimed.run_id) in await changed(store, cursor)


async def test_a_rename_is_a_removal_and_a_change(store: Store) -> None:
    await store.put_jobs(PutMode.DECLARE, [item(spec("old", declaration="v1"))])
    cursor = (await store.changes(None)).cursor

    await store.put_jobs(PutMode.DECLARE, [item(spec("new", declaration="v1"), aliases=("old",))])

    assert await changed(store, cursor) == {Change(ChangeKind.JOB_REMOVED, "old"), Change(ChangeKind.JOB, "new")}


async def test_every_follower_has_a_place_of_its_own(store: Store, node: Actor) -> None:
    slow = quick = (await store.changes(None)).cursor
    await node.add(spec("a"))
    quick = (await store.changes(quick)).cursor
    await node.add(spec("b"))

    assert await changed(store, quick) == {Change(ChangeKind.JOB, "b")}
    assert await changed(store, slow) == {Change(ChangeKind.JOB, "a"), Change(ChangeKind.JOB, "b")}


async def test_a_follower_that_fell_too_far_behind_is_told(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    cursor = (await store.changes(None)).cursor
    for number in range(40):
        await store.annotate(node.epoch, [Note(claimed.token, number, None, ())] * 500)

    found = await store.changes(cursor)

    assert not found.complete or Change(ChangeKind.RUN, claimed.run_id) in found.changes
    after = await store.changes(found.cursor)
    assert (after.changes, after.complete) == ((), True)


async def test_a_refused_end_is_no_change(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    await node.finish(claimed.token)
    cursor = (await store.changes(None)).cursor

    await store.finish(node.epoch, [node.end_of(claimed.token, RunStatus.FAILED)])

    assert await changed(store, cursor) == set()
