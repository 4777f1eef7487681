"""Jobs that code declares at each start: what is kept, what wins, who was there before."""

from __future__ import annotations

from support.clocks import SettableClock
from support.nodes import FAR, FUNC, Actor, at, history, ids, info, item, job, spec

from asched.model import JobSpec, JobStatus, Origin, Reason, RunStatus
from asched.store import Gap, Grant, Put, PutItem, PutMode, PutStatus, Store


def declared(job_id: str = "a", declaration: str = "v1", generation: int = 0, func: str = FUNC, name: str = "",
             max_runs: int | None = None) -> JobSpec:  # fmt: skip
    return spec(
        job_id, origin=Origin.DECLARED, declaration=declaration, generation=generation, func=func, name=name or job_id,
        max_runs=max_runs,
    )  # fmt: skip


async def declare(store: Store, *items: PutItem) -> Put:
    """Declare these jobs; return the last answer."""
    return (await store.put_jobs(PutMode.DECLARE, items))[-1]


async def test_a_new_declaration_is_added(store: Store) -> None:
    put = await declare(store, item(declared(), at(60)))

    assert put.status is PutStatus.ADDED
    assert (await job(store, "a")).due == at(60)


async def test_an_unchanged_declaration_keeps_next_run_pause_counters_and_edits(
    store: Store, clock: SettableClock
) -> None:
    node = await Actor.join(store, clock, declarations={"a"})
    await declare(store, item(declared()))
    await node.run_once("a")
    await store.put_jobs(PutMode.UPDATE, [item(declared(name="edited"), replan=False)])
    await store.pause_jobs(ids("a"))
    before = await job(store, "a")

    put = await declare(store, item(declared(), at(999)))

    assert put.status is PutStatus.KEPT
    assert await job(store, "a") == before
    assert (before.spec.name, before.paused, before.counts.runs) == ("edited", True, 1)


async def test_a_kept_declaration_brings_its_timer(store: Store, clock: SettableClock) -> None:
    node = await Actor.join(store, clock, declarations={"a"})
    await declare(store, item(declared(), at(60)))

    put = await declare(store, item(declared(), at(999)))

    assert put.timer == await node.timer("a")


async def test_a_changed_declaration_wins_over_edits_and_keeps_pause_and_counters(
    store: Store, clock: SettableClock
) -> None:
    node = await Actor.join(store, clock, declarations={"a"})
    await declare(store, item(declared()))
    await node.run_once("a")
    await store.put_jobs(PutMode.UPDATE, [item(declared(name="edited"), replan=False)])
    await store.pause_jobs(ids("a"))

    put = await declare(store, item(declared(declaration="v2"), at(999)))

    record = await job(store, "a")
    assert put.status is PutStatus.REPLACED
    assert (record.spec.name, record.spec.declaration, record.due) == ("a", "v2", at(999))
    assert (record.paused, record.counts.runs) == (True, 1)


async def test_a_declaration_that_says_paused_pauses(store: Store) -> None:
    await declare(store, item(declared()))

    await declare(store, item(declared(declaration="v2"), paused=True))

    assert (await job(store, "a")).paused


async def test_an_older_generation_does_not_replace_a_newer_one(store: Store) -> None:
    await declare(store, item(declared(declaration="new", generation=2)))
    before = await job(store, "a")

    put = await declare(store, item(declared(declaration="old", generation=1), at(999)))

    assert put.status is PutStatus.KEPT
    assert await job(store, "a") == before


async def test_a_newer_generation_replaces_an_older_one(store: Store) -> None:
    await declare(store, item(declared(declaration="old", generation=1)))

    put = await declare(store, item(declared(declaration="new", generation=2)))

    assert put.status is PutStatus.REPLACED
    assert (await job(store, "a")).spec.generation == 2


async def test_an_unchanged_declaration_of_a_newer_generation_guards_against_older_ones(store: Store) -> None:
    await declare(store, item(declared(declaration="same", generation=1)))
    await declare(store, item(declared(declaration="same", generation=3)))

    put = await declare(store, item(declared(declaration="other", generation=2)))

    assert put.status is PutStatus.KEPT
    assert (await job(store, "a")).spec.declaration == "same"


async def test_an_unchanged_declaration_whose_function_moved_follows_it(store: Store, clock: SettableClock) -> None:
    await declare(store, item(declared(), at(60)))
    node = await Actor.join(store, clock, functions={"app2:work"}, declarations={"a"})

    put = await declare(store, item(declared(func="app2:work"), at(999)))

    assert put.status is PutStatus.KEPT
    timer = await node.timer("a")
    assert (timer.spec.func, timer.due) == ("app2:work", at(60))


async def test_a_timer_of_the_function_before_the_move_is_stale(store: Store, clock: SettableClock) -> None:
    node = await Actor.join(store, clock, functions={FUNC, "app2:work"}, declarations={"a"})
    await declare(store, item(declared()))
    before = await node.timer("a")
    await declare(store, item(declared(func="app2:work")))

    assert (await node.claim(before)).grant is Grant.STALE
    assert (await node.claim(await node.timer("a"))).grant is Grant.STARTED


async def test_an_alias_carries_the_job_over_with_state_and_history(store: Store, clock: SettableClock) -> None:
    node = await Actor.join(store, clock, declarations={"old", "new"})
    await declare(store, item(declared("old")))
    run_id = await node.run_once("old")
    await store.pause_jobs(ids("old"))
    before = await job(store, "old")

    put = await declare(store, item(declared("new"), at(999), aliases=("older", "old")))

    assert put.status is PutStatus.REPLACED
    assert await store.get_jobs(["old"]) == [None]
    after = await job(store, "new")
    assert (after.serial, after.counts, after.due, after.paused, after.created) == (
        before.serial, before.counts, before.due, True, before.created
    )  # fmt: skip
    assert [record.id for record in await history(store, "new")] == [run_id]


async def test_a_renamed_job_can_be_claimed_under_its_new_id(store: Store, clock: SettableClock) -> None:
    node = await Actor.join(store, clock, declarations={"old", "new"})
    await declare(store, item(declared("old")))
    before = await node.timer("old")
    await declare(store, item(declared("new"), aliases=("old",)))

    assert (await node.claim(before)).grant is Grant.STALE
    claimed = await node.start("new")
    assert (await history(store, "new"))[0].id == claimed.run_id


async def test_a_waiting_run_goes_along_with_a_renamed_job(store: Store, clock: SettableClock) -> None:
    node = await Actor.join(store, clock, declarations={"old", "new"})
    await declare(store, item(declared("old")))
    retry = await node.fail_once("old")

    await declare(store, item(declared("new"), aliases=("old",)))

    [timer] = await node.waiting("new")
    assert timer.id == retry.id
    clock.set(timer.due)
    assert (await node.claim(timer)).grant is Grant.STARTED


async def test_a_renamed_job_whose_declaration_changed_is_planned_anew(store: Store) -> None:
    await declare(store, item(declared("old")))

    await declare(store, item(declared("new", "v2"), at(999), aliases=("old",)))

    record = await job(store, "new")
    assert (record.due, record.spec.declaration) == (at(999), "v2")


async def test_an_id_that_a_renamed_job_leaves_is_free_for_another_of_the_same_batch(store: Store) -> None:
    await declare(store, item(declared("old"), at(5)))
    before = await job(store, "old")

    puts = await store.put_jobs(
        PutMode.DECLARE, [item(declared("new"), aliases=("old",)), item(declared("old", "v2"), at(7))]
    )

    assert [put.status for put in puts] == [PutStatus.REPLACED, PutStatus.ADDED]
    renamed, added = await job(store, "new"), await job(store, "old")
    assert (renamed.serial, renamed.due, added.due) == (before.serial, at(5), at(7))
    assert added.serial != before.serial


async def test_ids_move_on_from_job_to_job_in_one_batch(store: Store) -> None:
    await declare(store, *[item(declared(name), at(number)) for number, name in enumerate("abc")])
    before = [await job(store, name) for name in "abc"]

    await store.put_jobs(PutMode.DECLARE, [item(declared(new), aliases=(old,)) for new, old in ("dc", "cb", "ba")])

    after = [await job(store, name) for name in "bcd"]
    assert [record.serial for record in after] == [record.serial for record in before]
    assert await store.get_jobs(["a"]) == [None]


async def test_a_job_that_a_batch_adds_and_changes_is_as_the_last_item_says(store: Store) -> None:
    _, last = await store.put_jobs(PutMode.REPLACE, [item(spec("a"), at(5)), item(spec("a", name="last"), at(7))])

    after = await job(store, "a")
    assert (after.spec.name, after.due, after.version) == ("last", at(7), 2)
    assert last.record == after


async def test_an_alias_is_of_no_account_where_the_job_exists(store: Store) -> None:
    await declare(store, item(declared("old")), item(declared("new")))

    put = await declare(store, item(declared("new"), aliases=("old",)))

    assert put.status is PutStatus.KEPT
    assert (await job(store, "old")).spec.id == "old"


async def test_a_declared_job_deleted_by_hand_stays_so_until_its_declaration_changes(store: Store) -> None:
    await declare(store, item(declared()))
    await store.delete_jobs(ids("a"))

    same = await declare(store, item(declared()))
    assert (same.status, same.record, same.timer) == (PutStatus.KEPT, None, None)
    assert await store.get_jobs(["a"]) == [None]

    changed = await declare(store, item(declared(declaration="v2")))
    assert changed.status is PutStatus.ADDED


async def test_a_job_deleted_by_hand_stays_so_under_a_new_id(store: Store) -> None:
    await declare(store, item(declared("old")))
    await store.delete_jobs(ids("old"))

    put = await declare(store, item(declared("new"), aliases=("old",)))

    assert (put.status, put.record) == (PutStatus.KEPT, None)


async def test_a_job_of_the_api_deleted_by_hand_may_be_declared(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    await store.delete_jobs(ids("a"))

    assert (await declare(store, item(declared()))).status is PutStatus.ADDED


async def test_a_declared_job_is_run_and_resolved_only_where_it_is_declared(store: Store, clock: SettableClock) -> None:
    stranger = await Actor.join(store, clock, "stranger")
    await declare(store, item(declared()))
    assert await stranger.due(FAR) == []
    assert (await job(store, "a")).status is JobStatus.UNRESOLVED

    await store.announce(stranger.epoch, info("stranger", declarations={"a"}))

    assert [timer.spec.id for timer in await stranger.due(FAR)] == ["a"]
    assert (await job(store, "a")).resolved


async def test_an_instant_before_the_declaration_is_recorded_as_missed(store: Store) -> None:
    gap = Gap(RunStatus.MISSED, Reason.PAST, at(-60), at(-60), 1)

    await declare(store, item(declared(), None, gap=gap))

    [record] = await history(store, "a")
    assert (record.status, record.reason, record.due, record.instants) == (RunStatus.MISSED, Reason.PAST, at(-60), 1)
    assert record.started is None


async def test_an_unchanged_declaration_records_its_past_once(store: Store) -> None:
    gap = Gap(RunStatus.MISSED, Reason.PAST, at(-60), at(-60), 1)
    await declare(store, item(declared(), None, gap=gap))

    await declare(store, item(declared(), None, gap=gap))

    assert len(await history(store, "a")) == 1


async def test_a_finished_declared_job_stays_and_is_not_started_again(store: Store, clock: SettableClock) -> None:
    node = await Actor.join(store, clock, declarations={"a"})
    await declare(store, item(declared(max_runs=1)))
    await node.run_once("a")

    await declare(store, item(declared(max_runs=1), at(999)))

    assert (await job(store, "a")).status is JobStatus.FINISHED
    assert await node.due(FAR) == []
