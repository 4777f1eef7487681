"""Adding, replacing, updating, reading, listing and deleting jobs."""

from __future__ import annotations

import pytest
from support.clocks import T0, SettableClock
from support.nodes import FAR, MINUTELY, Actor, at, history, ids, item, job, run, spec

from asched.model import Backoff, CatchUp, JobStatus, OnCrash, Overlap, Policy, Reason, RunStatus
from asched.store import Deleted, JobFilter, PutMode, PutStatus, Selection, Store
from asched.triggers import Cron, Daily, Hourly, Interval, Once, Weekly


async def test_an_added_job_is_read_back_as_it_was_given(store: Store, node: Actor) -> None:
    everything = spec(
        "a/ü ☃",
        policy=Policy(7.5, 1, Backoff(1.0, 3.0, 9.0, False), Overlap.QUEUE, CatchUp.ALL, 60.0, OnCrash.LOST, 2.5, True),
        name="Mail it",
        group="post",
        tags=("x", "y"),
        payload=b'[["\xc3\xa9"],{"n":1}]',
        max_runs=9,
    ).replace(starting=T0, until=FAR)

    [put] = await store.put_jobs(PutMode.INSERT, [item(everything, at(5), planned=at(3))])

    assert put.status is PutStatus.ADDED
    record = await job(store, "a/ü ☃")
    assert put.record == record
    assert record.spec == everything
    assert (record.planned, record.due) == (at(3), at(5))
    assert (record.version, record.created, record.updated, record.paused) == (1, T0, T0, False)
    assert (record.active, record.counts, record.planned_runs) == (0, (0, 0, 0), 0)
    assert (record.last_run, record.last_status, record.status) == (None, None, JobStatus.SCHEDULED)


@pytest.mark.parametrize(
    "trigger",
    [
        MINUTELY,
        Interval(weeks=1).bound(T0, "UTC"),
        Hourly(30, timezone="Asia/Kolkata"),
        Daily("09:00", timezone="America/New_York"),
        Weekly(["mon", "fri"], "10:00:05", timezone="UTC"),
        Cron("0 9 * * MON-FRI", timezone="Asia/Tokyo"),
        Once("2027-01-01 00:00:00", timezone="Europe/Paris"),
    ],
    ids=lambda trigger: type(trigger).__name__,
)
async def test_every_trigger_comes_back_equal(store: Store, trigger: Interval) -> None:
    await store.put_jobs(PutMode.INSERT, [item(spec("a", trigger=trigger))])

    assert (await job(store, "a")).spec.trigger == trigger


async def test_an_added_job_brings_its_timer(store: Store, node: Actor) -> None:
    [put] = await store.put_jobs(PutMode.INSERT, [item(spec("a"), at(5), planned=at(3))])

    assert put.timer is not None
    assert (put.timer.due, put.timer.planned, put.timer.attempt, put.timer.spec.id) == (at(5), at(3), 0, "a")
    assert await node.due(at(5)) == [put.timer]


async def test_a_job_added_paused_or_without_a_future_has_no_timer(store: Store, node: Actor) -> None:
    paused, finished = await store.put_jobs(
        PutMode.INSERT, [item(spec("paused"), paused=True), item(spec("finished"), None)]
    )

    assert (paused.timer, finished.timer) == (None, None)
    assert await node.due(FAR) == []
    assert (await job(store, "paused")).status is JobStatus.PAUSED
    assert (await job(store, "finished")).status is JobStatus.FINISHED


async def test_a_job_with_an_occurrence_and_no_instant_to_act_has_no_timer(store: Store, node: Actor) -> None:
    [put] = await store.put_jobs(PutMode.INSERT, [item(spec("a"), None, planned=T0)])

    assert put.timer is None
    assert await node.due(FAR) == []


async def test_answers_stand_in_the_order_of_the_items(store: Store) -> None:
    await store.put_jobs(PutMode.INSERT, [item(spec("b"))])

    puts = await store.put_jobs(PutMode.INSERT, [item(spec("a")), item(spec("b")), item(spec("c"))])

    assert [put.status for put in puts] == [PutStatus.ADDED, PutStatus.EXISTS, PutStatus.ADDED]
    assert [put.record.spec.id for put in puts if put.record] == ["a", "b", "c"]


async def test_one_call_may_name_an_id_twice(store: Store) -> None:
    puts = await store.put_jobs(PutMode.INSERT, [item(spec("a", name="first")), item(spec("a", name="second"))])

    assert [put.status for put in puts] == [PutStatus.ADDED, PutStatus.EXISTS]
    assert (await job(store, "a")).spec.name == "first"


async def test_insert_refuses_an_id_that_exists_and_changes_nothing(store: Store, node: Actor) -> None:
    await node.add(spec("a", name="first"))
    before = await job(store, "a")

    [put] = await store.put_jobs(PutMode.INSERT, [item(spec("a", name="second"), at(99))])

    assert (put.status, put.record, put.timer) == (PutStatus.EXISTS, before, None)
    assert await job(store, "a") == before


async def test_keep_adds_what_is_missing_and_leaves_what_is_there(store: Store, node: Actor) -> None:
    await node.add(spec("a", name="first"))
    before = await job(store, "a")

    kept, added = await store.put_jobs(PutMode.KEEP, [item(spec("a", name="second"), at(99)), item(spec("b"))])

    assert (kept.status, added.status) == (PutStatus.KEPT, PutStatus.ADDED)
    assert await job(store, "a") == before


async def test_replace_takes_spec_plan_and_pause_and_keeps_counters_and_history(store: Store, node: Actor) -> None:
    await node.add(spec("a", name="first"))
    old_run = await node.run_once("a", RunStatus.FAILED)
    before = await job(store, "a")

    [put] = await store.put_jobs(PutMode.REPLACE, [item(spec("a", name="second"), at(500), paused=True)])

    after = await job(store, "a")
    assert (put.status, put.timer) == (PutStatus.REPLACED, None)
    assert (after.spec.name, after.due, after.paused) == ("second", at(500), True)
    assert (after.version, after.created, after.counts) == (before.version + 1, before.created, before.counts)
    assert [record.id for record in await history(store, "a")] == [old_run]


async def test_replace_adds_what_is_missing(store: Store) -> None:
    [put] = await store.put_jobs(PutMode.REPLACE, [item(spec("a"))])

    assert put.status is PutStatus.ADDED


async def test_update_changes_a_job_and_leaves_its_timer_and_pause(
    store: Store, node: Actor, clock: SettableClock
) -> None:
    await node.add(spec("a"), due=at(60))
    await store.pause_jobs(ids("a"))
    clock.advance(1)

    [put] = await store.put_jobs(PutMode.UPDATE, [item(spec("a", name="new"), at(999), replan=False)])

    record = await job(store, "a")
    assert put.status is PutStatus.REPLACED
    assert (record.spec.name, record.due, record.paused, record.updated) == ("new", at(60), True, clock.now())


async def test_update_moves_the_timer_when_the_item_says_so(store: Store, node: Actor) -> None:
    await node.add(spec("a"), due=at(60))

    [put] = await store.put_jobs(PutMode.UPDATE, [item(spec("a"), at(999))])

    assert put.timer is not None
    assert put.timer.due == at(999)
    assert await node.due(at(998)) == []
    assert await node.due(at(999)) == [put.timer]


async def test_update_of_an_unknown_job_is_missing(store: Store) -> None:
    [put] = await store.put_jobs(PutMode.UPDATE, [item(spec("a"))])

    assert (put.status, put.record, put.timer) == (PutStatus.MISSING, None, None)
    assert await store.get_jobs(["a"]) == [None]


async def test_update_made_for_another_version_is_a_conflict(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    version = (await job(store, "a")).version
    [first] = await store.put_jobs(PutMode.UPDATE, [item(spec("a", name="first"), version=version)])

    [second] = await store.put_jobs(PutMode.UPDATE, [item(spec("a", name="second"), version=version)])

    assert (first.status, second.status) == (PutStatus.REPLACED, PutStatus.CONFLICT)
    assert second.record == await job(store, "a")
    assert second.record.spec.name == "first"


async def test_a_changed_function_moves_the_timer_to_the_nodes_that_have_it(
    store: Store, node: Actor, clock: SettableClock
) -> None:
    other = await Actor.join(store, clock, "other", {"app:other"})
    await node.add(spec("a"))

    await store.put_jobs(PutMode.UPDATE, [item(spec("a", func="app:other"), replan=False)])

    assert await node.due(FAR) == []
    assert [timer.spec.func for timer in await other.due(FAR)] == ["app:other"]


async def test_a_waiting_run_takes_the_new_function_and_policy_and_keeps_its_arguments(
    store: Store, node: Actor, clock: SettableClock
) -> None:
    other = await Actor.join(store, clock, "other", {"app:other"})
    await node.add(spec("a", payload=b"[[1],{}]"))
    retry = await node.fail_once("a")

    await store.put_jobs(
        PutMode.UPDATE, [item(spec("a", func="app:other", payload=b"[[2],{}]", policy=Policy(timeout=3)), replan=False)]
    )

    assert await node.waiting("a") == []
    [timer] = await other.waiting("a")
    assert (timer.id, timer.payload, timer.spec.policy.timeout) == (retry.id, b"[[1],{}]", 3)


async def test_get_jobs_answers_in_order_with_none_for_the_unknown(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b"))

    found = await store.get_jobs(["b", "nobody", "a"])

    assert [record and record.spec.id for record in found] == ["b", None, "a"]


async def test_list_jobs_gives_pages_in_the_order_jobs_were_made(store: Store, node: Actor) -> None:
    await node.add(*[spec(job_id) for job_id in "edcba"])

    first, cursor = await store.list_jobs(JobFilter(), 2)
    second, cursor = await store.list_jobs(JobFilter(), 2, cursor)
    third, end = await store.list_jobs(JobFilter(), 2, cursor)

    assert [[record.spec.id for record in page] for page in (first, second, third)] == [["e", "d"], ["c", "b"], ["a"]]
    assert end is None


async def test_a_full_last_page_has_no_cursor(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b"))

    page, cursor = await store.list_jobs(JobFilter(), 2)

    assert (len(page), cursor) == (2, None)


async def test_pages_of_jobs_stay_whole_while_jobs_come_and_go(store: Store, node: Actor) -> None:
    await node.add(*[spec(f"job-{number}") for number in range(6)])

    first, cursor = await store.list_jobs(JobFilter(), 2)
    await store.delete_jobs(ids("job-1", "job-2"))
    await node.add(spec("job-new"))
    second, cursor = await store.list_jobs(JobFilter(), 2, cursor)
    rest, _ = await store.list_jobs(JobFilter(), 9, cursor)

    assert [record.spec.id for record in (*first, *second, *rest)] == [
        "job-0", "job-1", "job-3", "job-4", "job-5", "job-new"
    ]  # fmt: skip


async def test_a_renamed_job_keeps_its_place_in_the_list(store: Store) -> None:
    jobs = [spec(job_id, declaration="d") for job_id in "abc"]
    await store.put_jobs(PutMode.DECLARE, [item(declared) for declared in jobs])
    await store.put_jobs(PutMode.DECLARE, [item(spec("z", declaration="d"), aliases=("a",))])

    first, cursor = await store.list_jobs(JobFilter(), 1)
    rest, _ = await store.list_jobs(JobFilter(), 9, cursor)

    assert [record.spec.id for record in (*first, *rest)] == ["z", "b", "c"]


async def test_list_jobs_filters_by_group_and_status(store: Store, node: Actor) -> None:
    await node.add(spec("a", group="x"), spec("b", group="y"), spec("c", group="x"), spec("e", func="app:nobody"))
    await store.put_jobs(PutMode.INSERT, [item(spec("d"), None)])
    await store.pause_jobs(ids("c"))
    await node.start("b")

    async def found(which: JobFilter) -> list[str]:
        return [record.spec.id for record in (await store.list_jobs(which, 10))[0]]

    assert await found(JobFilter(group="x")) == ["a", "c"]
    assert await found(JobFilter(group="x", status=JobStatus.PAUSED)) == ["c"]
    assert await found(JobFilter(status=JobStatus.RUNNING)) == ["b"]
    assert await found(JobFilter(status=JobStatus.SCHEDULED)) == ["a"]
    assert await found(JobFilter(status=JobStatus.FINISHED)) == ["d"]
    assert await found(JobFilter(status=JobStatus.UNRESOLVED)) == ["e"]


async def test_a_query_finds_part_of_id_name_function_group_or_tag_in_any_case(store: Store, node: Actor) -> None:
    await node.add(
        spec("mail-1", name="x"),
        spec("b", name="Send MAIL"),
        spec("c", func="app:mailer"),
        spec("d", group="e-mail"),
        spec("e", tags=("urgent", "Mail")),
        spec("f"),
        spec("g", name="100%"),
    )

    async def found(query: str) -> list[str]:
        return [record.spec.id for record in (await store.list_jobs(JobFilter(query=query), 10))[0]]

    assert await found("mAiL") == ["mail-1", "b", "c", "d", "e"]
    assert await found("0%") == ["g"]
    assert await found("_") == []


async def test_a_filtered_list_pages_too(store: Store, node: Actor) -> None:
    await node.add(*[spec(f"job-{number}", group="even" if number % 2 == 0 else "odd") for number in range(8)])

    first, cursor = await store.list_jobs(JobFilter(group="odd"), 3)
    rest, end = await store.list_jobs(JobFilter(group="odd"), 3, cursor)

    assert [record.spec.id for record in (*first, *rest)] == ["job-1", "job-3", "job-5", "job-7"]
    assert end is None


async def test_delete_takes_the_job_and_its_future_and_history_keeps_the_id(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    run_id = await node.run_once("a")

    deleted = await store.delete_jobs(ids("a", "nobody", "a"))

    assert deleted == Deleted(("a",), ())
    assert await store.get_jobs(["a"]) == [None]
    assert await node.due(FAR) == []
    assert (await store.list_jobs(JobFilter(), 9)) == ([], None)
    assert (await run(store, run_id)).job_id == "a"
    assert [record.id for record in await history(store, "a")] == [run_id]


async def test_delete_cancels_waiting_runs(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    retry = await node.fail_once("a")

    deleted = await store.delete_jobs(ids("a"))

    [cancelled] = deleted.runs
    assert (cancelled.run_id, cancelled.status, cancelled.token) == (retry.id, RunStatus.CANCELLED, None)
    record = await run(store, retry.id)
    assert (record.status, record.reason) == (RunStatus.CANCELLED, Reason.JOB_CANCELLED)
    assert await node.due(FAR) == []


async def test_delete_lists_executing_runs_and_lets_them_end(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")

    deleted = await store.delete_jobs(ids("a"))

    [still] = deleted.runs
    assert (still.run_id, still.status, still.token, still.epoch) == (
        claimed.run_id, RunStatus.RUNNING, claimed.token, node.epoch
    )  # fmt: skip
    assert [record.id for record in await history(store, "a")] == [claimed.run_id]
    assert (await store.totals()).active_runs == 1
    await node.finish(claimed.token)
    assert (await run(store, claimed.run_id)).status is RunStatus.SUCCEEDED
    assert [record.id for record in await history(store, "a")] == [claimed.run_id]


async def test_the_attempt_of_a_deleted_job_is_not_retried(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    claimed = await node.start("a")
    await store.delete_jobs(ids("a"))

    timers = await node.finish(claimed.token, RunStatus.RETRYING, due=at(5))

    assert timers == []
    record = await run(store, claimed.run_id)
    assert (record.status, record.reason) == (RunStatus.CANCELLED, Reason.JOB_CANCELLED)
    assert await node.due(FAR) == []


async def test_a_claim_that_comes_after_the_delete_is_stale(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    timer = await node.timer("a")
    await store.delete_jobs(ids("a"))

    claimed = await node.claim(timer)

    assert claimed.grant.name == "STALE"
    assert await history(store, "a") == []


async def test_a_job_added_after_a_delete_is_a_new_one(store: Store, node: Actor, clock: SettableClock) -> None:
    await node.add(spec("a"))
    old = await node.timer("a")
    old_run = await node.run_once("a")
    await store.delete_jobs(ids("a"))
    clock.advance(1)

    await node.add(spec("a"))

    assert (await node.claim(old)).grant.name == "STALE"
    record = await job(store, "a")
    assert (record.counts.runs, record.created, record.version) == (0, clock.now(), 1)
    assert [listed.id for listed in await history(store, "a")] == [old_run]


async def test_delete_selects_by_function_name(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b", func="other:work"), spec("c", func="app:play"))

    by_name = await store.delete_jobs(Selection(func="work"))
    by_path = await store.delete_jobs(Selection(func="app:play"))

    assert sorted(by_name.ids) == ["a", "b"]
    assert by_path.ids == ("c",)


async def test_next_id_counts_and_never_repeats(store: Store, node: Actor) -> None:
    first = [await store.next_id() for _ in range(3)]
    await node.add(spec("a"))
    await store.delete_jobs(ids("a"))

    assert first == [1, 2, 3]
    assert await store.next_id() == 4


async def test_every_change_of_a_job_raises_its_version(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    versions = [(await job(store, "a")).version]

    await store.pause_jobs(ids("a"))
    versions.append((await job(store, "a")).version)
    await store.resume_jobs(ids("a"))
    versions.append((await job(store, "a")).version)
    await store.put_jobs(PutMode.UPDATE, [item(spec("a"))])
    versions.append((await job(store, "a")).version)
    await node.run_once("a")

    assert versions == sorted(set(versions))
    assert (await job(store, "a")).version == versions[-1]
