"""The window: every due timer that the node knows how to run, in due order, and none else."""

from __future__ import annotations

import random

from support.clocks import T0, SettableClock
from support.nodes import FAR, Actor, at, ids, info, item, spec

from asched.model import Origin, Overlap, Policy
from asched.store import Grant, PutMode, Store


async def test_window_gives_due_timers_earliest_first(store: Store, node: Actor) -> None:
    shuffled = list(range(50))
    random.Random(1).shuffle(shuffled)
    await store.put_jobs(PutMode.INSERT, [item(spec(f"job-{second}"), at(second)) for second in shuffled])

    assert [timer.due for timer in await node.due(at(49))] == [at(second) for second in range(50)]


async def test_window_includes_the_instant_itself_and_nothing_later(store: Store, node: Actor) -> None:
    await store.put_jobs(PutMode.INSERT, [item(spec("a"), at(10)), item(spec("b"), at(10) + 1)])

    assert [timer.spec.id for timer in await node.due(at(10))] == ["a"]


async def test_window_tells_the_time_of_the_store(store: Store, node: Actor, clock: SettableClock) -> None:
    clock.advance(5)

    assert (await store.window(node.epoch, FAR, 10)).now == clock.now()


async def test_without_anything_later_there_is_no_horizon(store: Store, node: Actor) -> None:
    await store.put_jobs(PutMode.INSERT, [item(spec("a"), at(10))])

    window = await store.window(node.epoch, at(10), 10)

    assert (len(window.timers), window.horizon) == (1, None)


async def test_up_to_the_horizon_nothing_is_missing(store: Store, node: Actor) -> None:
    await store.put_jobs(PutMode.INSERT, [item(spec(f"job-{second}"), at(second)) for second in range(20)])

    for until, limit in ((at(5), 100), (FAR, 7), (at(12), 4), (at(3), 4), (at(3), 3)):
        window = await store.window(node.epoch, until, limit)
        assert window.horizon is not None
        within = [second for second in range(20) if at(second) <= window.horizon]
        shown = [timer.due for timer in window.timers]
        assert [at(second) for second in within] == shown[: len(within)]
        assert len(shown) == min(limit, sum(1 for second in range(20) if at(second) <= until))


async def test_windows_from_horizon_to_horizon_meet_every_timer(store: Store, node: Actor) -> None:
    await store.put_jobs(PutMode.INSERT, [item(spec(f"job-{second}"), at(second)) for second in range(20)])

    horizon = (await store.window(node.epoch, at(4), 100)).horizon

    assert horizon is not None
    assert at(4) <= horizon < at(5)


async def test_many_timers_of_one_instant_come_in_pieces_as_they_are_claimed(
    store: Store, node: Actor, clock: SettableClock
) -> None:
    await node.add(*[spec(f"job-{number}") for number in range(25)])
    seen: list[str] = []

    while timers := await node.due(limit=10):
        assert len(timers) == min(10, 25 - len(seen))
        seen += [timer.spec.id for timer in timers]
        granted = await node.take([node.claim_of(timer) for timer in timers])
        assert {claimed.grant for claimed in granted} == {Grant.STARTED}

    assert sorted(seen) == sorted(f"job-{number}" for number in range(25))


async def test_a_cut_through_one_instant_puts_the_horizon_before_it(store: Store, node: Actor) -> None:
    await node.add(*[spec(f"job-{number}") for number in range(5)], due=at(30))

    window = await store.window(node.epoch, FAR, 3)

    assert len(window.timers) == 3
    assert window.horizon is not None
    assert window.horizon < at(30)


async def test_timers_of_several_functions_come_in_one_order(store: Store, clock: SettableClock) -> None:
    node = await Actor.join(store, clock, functions={"app:0", "app:1", "app:2"})
    jobs = [item(spec(f"job-{second}", func=f"app:{second % 3}"), at(second)) for second in range(30)]
    await store.put_jobs(PutMode.INSERT, jobs)

    window = await store.window(node.epoch, FAR, 10)

    assert [timer.spec.id for timer in window.timers] == [f"job-{second}" for second in range(10)]
    assert window.horizon is not None
    assert at(9) <= window.horizon < at(10)


async def test_equal_instants_come_in_the_order_the_jobs_were_made(store: Store, clock: SettableClock) -> None:
    node = await Actor.join(store, clock, functions={"app:0", "app:1"})
    await node.add(*[spec(f"job-{number}", func=f"app:{number % 2}") for number in range(6)])

    assert [timer.spec.id for timer in await node.due()] == [f"job-{number}" for number in range(6)]


async def test_timers_of_unknown_functions_are_neither_returned_nor_lost(
    store: Store, node: Actor, clock: SettableClock
) -> None:
    await node.add(spec("known"), spec("unknown", func="app:unknown"))
    window = await store.window(node.epoch, FAR, 10)
    assert ([timer.spec.id for timer in window.timers], window.horizon) == (["known"], None)

    other = await Actor.join(store, clock, "other", {"app:unknown"})

    assert [timer.spec.id for timer in await other.due()] == ["unknown"]


async def test_timers_of_undeclared_jobs_are_neither_returned_nor_lost(store: Store, clock: SettableClock) -> None:
    node = await Actor.join(store, clock, declarations={"mine"})
    for job_id in ("mine", "theirs"):
        await store.put_jobs(PutMode.DECLARE, [item(spec(job_id, origin=Origin.DECLARED, declaration="v"))])
    assert [timer.spec.id for timer in await node.due()] == ["mine"]

    await store.announce(node.epoch, info("node", declarations={"mine", "theirs"}))

    assert [timer.spec.id for timer in await node.due()] == ["mine", "theirs"]


async def test_a_node_that_knows_no_function_has_an_empty_window(store: Store, clock: SettableClock) -> None:
    node = await Actor.join(store, clock, functions=())
    await node.add(spec("a"))

    window = await store.window(node.epoch, FAR, 10)
    assert (window.timers, window.horizon) == ([], None)


async def test_paused_and_deleted_jobs_are_not_in_the_window(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b"), spec("c"))
    await store.pause_jobs(ids("a"))
    await store.delete_jobs(ids("b"))

    window = await store.window(node.epoch, FAR, 10)
    assert ([timer.spec.id for timer in window.timers], window.horizon) == (["c"], None)


async def test_retries_and_occurrences_stand_in_one_order(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    await node.fail_once("a", seconds=20)
    await store.put_jobs(PutMode.INSERT, [item(spec("b"), at(10)), item(spec("c"), at(30))])

    assert [(timer.spec.id, timer.attempt) for timer in await node.due(at(59))] == [("b", 0), ("a", 2), ("c", 0)]


async def test_a_run_queued_behind_another_is_not_in_the_window(store: Store, node: Actor) -> None:
    await node.add(spec("a", policy=Policy(overlap=Overlap.QUEUE)))
    await node.start("a")
    await node.advance(60)

    assert (await node.claim(await node.timer("a"))).grant is Grant.QUEUED

    assert [timer.attempt for timer in await node.due(FAR)] == [0]


async def test_looking_changes_nothing(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b"))

    assert await store.window(node.epoch, FAR, 10) == await store.window(node.epoch, FAR, 10)


async def test_every_change_gives_the_timer_a_new_revision(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    timer = await node.timer("a")
    changes = [
        store.put_jobs(PutMode.UPDATE, [item(spec("a"), replan=False)]),
        store.put_jobs(PutMode.UPDATE, [item(spec("a"))]),
        store.put_jobs(PutMode.REPLACE, [item(spec("a"))]),
    ]

    for change in changes:
        await change
        changed = await node.timer("a")
        assert changed.rev > timer.rev
        assert (await node.claim(timer)).grant is Grant.STALE
        timer = changed


async def test_overdue_timers_of_other_nodes_functions_stay_out_of_the_way(store: Store, clock: SettableClock) -> None:
    node = await Actor.join(store, clock, functions={"app:mine"})
    foreign = [item(spec(f"job-{number}", func="app:theirs"), T0 - number) for number in range(10_000)]
    await store.put_jobs(PutMode.INSERT, foreign)
    await store.put_jobs(PutMode.INSERT, [item(spec("mine", func="app:mine"))])

    window = await store.window(node.epoch, clock.now(), 10)

    assert ([timer.spec.id for timer in window.timers], window.horizon) == (["mine"], None)
