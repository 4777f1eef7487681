"""Groups: labels of jobs, counted, and steered in one step."""

from __future__ import annotations

from support.nodes import FAR, Actor, ids, job, spec

from asched.store import Selection, Store


async def test_groups_are_listed_by_name_with_their_jobs_and_how_many_are_paused(store: Store, node: Actor) -> None:
    await node.add(spec("a", group="x"), spec("b", group="x"), spec("c", group="ä"), spec("d"))
    await store.pause_jobs(ids("b", "d"))

    assert await store.groups() == [("default", 1, 1), ("x", 2, 1), ("ä", 1, 0)]


async def test_a_group_goes_with_its_last_job(store: Store, node: Actor) -> None:
    await node.add(spec("a", group="x"))
    await store.delete_jobs(ids("a"))

    assert await store.groups() == []


async def test_a_group_is_deleted_in_one_step(store: Store, node: Actor) -> None:
    await node.add(spec("a", group="x"), spec("b"), spec("c", group="x"))

    deleted = await store.delete_jobs(Selection(group="x"))

    assert sorted(deleted.ids) == ["a", "c"]
    assert [timer.spec.id for timer in await node.due(FAR)] == ["b"]


async def test_a_job_that_joins_a_paused_group_is_not_paused(store: Store, node: Actor) -> None:
    await node.add(spec("a", group="x"))
    await store.pause_jobs(Selection(group="x"))
    await node.add(spec("b", group="x"))

    assert not (await job(store, "b")).paused


async def test_a_group_that_does_not_exist_has_no_jobs(store: Store, node: Actor) -> None:
    await node.add(spec("a"))

    assert await store.pause_jobs(Selection(group="nobody")) == ([], [])
    assert await store.resume_jobs(Selection(group="nobody")) == ([], [])
    assert await store.delete_jobs(Selection(group="nobody")) == ((), ())
