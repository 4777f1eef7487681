"""Records of runs: reading, paging, counting, and how much is kept."""

from __future__ import annotations

import pytest
from support.clocks import SettableClock
from support.nodes import FAR, Actor, at, history, ids, item, job, outcomes, run, spec
from support.store_factories import OpenStore

from asched.errors import InvalidArgument
from asched.instants import DAY, SECOND
from asched.model import JobStatus, Origin, Overlap, Policy, Reason, RunStatus
from asched.store import Gap, JobFilter, Limits, PutMode, RunFilter, RunRecord, Store


async def page_through(store: Store, which: RunFilter, limit: int) -> list[RunRecord]:
    found: list[RunRecord] = []
    cursor: str | None = None
    while True:
        page, cursor = await store.list_runs(which, limit, cursor)
        assert len(page) <= limit
        found += page
        if cursor is None:
            return found
        assert len(page) == limit


async def test_get_runs_answers_in_order_with_none_for_the_unknown(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b"))
    a, b = await node.run_once("a"), await node.run_once("b")

    found = await store.get_runs([b, 1 << 50, a])

    assert [record and record.id for record in found] == [b, None, a]


async def test_runs_are_listed_newest_first(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    run_ids = [await node.run_once("a") for _ in range(5)]

    assert [record.id for record in await history(store)] == run_ids[::-1]


async def test_newest_is_what_ended_last(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b"))
    slow = await node.start("a")
    quick = await node.run_once("b")
    await node.advance(1)
    await node.finish(slow.token)

    assert [record.id for record in await history(store)] == [slow.run_id, quick]


async def test_runs_that_have_not_ended_come_first(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b"), spec("c"))
    executing = await node.start("a")
    waiting = await node.fail_once("b")
    ended = await node.run_once("c")

    listed = [record.id for record in await history(store)]
    assert set(listed[:2]) == {executing.run_id, waiting.id}
    assert listed[2:] == [ended]


async def test_pages_of_runs_join_without_overlap(store: Store, node: Actor) -> None:
    await node.add(spec("a", policy=Policy(overlap=Overlap.ALLOW)))
    for _ in range(7):
        await node.run_once("a")
    for _ in range(4):
        await node.start("a")
    everything = [record.id for record in await history(store)]

    for limit in (1, 2, 3, 11, 50):
        assert [record.id for record in await page_through(store, RunFilter(), limit)] == everything
    assert len(everything) == 11


async def test_a_full_last_page_of_runs_has_no_cursor(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    for _ in range(4):
        await node.run_once("a")

    page, cursor = await store.list_runs(RunFilter(), 4)

    assert (len(page), cursor) == (4, None)


async def test_pages_of_runs_stay_whole_while_others_start_and_end(store: Store, node: Actor) -> None:
    await node.add(spec("a"), spec("b", policy=Policy(overlap=Overlap.ALLOW)))
    run_ids = [await node.run_once("a") for _ in range(6)]

    first, cursor = await store.list_runs(RunFilter(), 2)
    await node.run_once("a")
    await node.start("b")
    second, cursor = await store.list_runs(RunFilter(), 2, cursor)
    await node.run_once("a")
    third, _ = await store.list_runs(RunFilter(), 2, cursor)

    assert [record.id for record in (*first, *second, *third)] == run_ids[::-1]


async def test_runs_are_filtered_by_job_function_and_status(store: Store, clock: SettableClock) -> None:
    node = await Actor.join(store, clock, functions={"app:work", "other:work", "app:play"})
    await node.add(spec("a"), spec("b", func="other:work"), spec("c", func="app:play"))
    a = await node.run_once("a")
    b = await node.run_once("b", RunStatus.FAILED)
    c = await node.run_once("c", RunStatus.FAILED)
    d = (await node.start("c")).run_id

    async def found(which: RunFilter) -> set[int]:
        return {record.id for record in await page_through(store, which, 2)}

    assert await found(RunFilter(job_id="a")) == {a}
    assert await found(RunFilter(func="work")) == {a, b}
    assert await found(RunFilter(func="app:play")) == {c, d}
    assert await found(RunFilter(status=RunStatus.FAILED)) == {b, c}
    assert await found(RunFilter(status=RunStatus.RUNNING)) == {d}
    assert await found(RunFilter(job_id="c", status=RunStatus.FAILED)) == {c}
    assert await found(RunFilter(job_id="nobody")) == set()


async def test_a_skipped_instant_is_in_the_list_of_its_job(store: Store, node: Actor) -> None:
    await node.add(spec("a"), due=at(60))
    await store.pause_jobs(ids("a"))
    await node.move_to(at(90))
    await store.resume_jobs(ids("a"))

    [record] = (await store.list_runs(RunFilter(job_id="a", status=RunStatus.SKIPPED), 10))[0]
    assert record.reason is Reason.PAUSED


async def test_totals_count_what_ran(store: Store, node: Actor, clock: SettableClock) -> None:
    clock.advance(7)
    await node.add(spec("a"), spec("b"), spec("c"), spec("idle"))
    await store.put_jobs(PutMode.INSERT, [item(spec("finished"), None), item(spec("paused"), paused=True)])
    await node.run_once("a")
    await node.run_once("a", RunStatus.FAILED)
    await node.fail_once("b")
    await node.start("c")

    totals = await store.totals()
    assert totals.since == at(0)
    assert (totals.jobs, totals.active_jobs, totals.active_runs) == (6, 4, 2)
    assert (totals.runs, totals.failures, totals.nodes, totals.dead_letters) == (2, 1, 1, 1)
    assert totals.per_job == {"a": (2, 1, 0), "b": (1, 0, 0), "c": (1, 0, 0)}
    assert await store.totals(per_job=False) == totals._replace(per_job={})


async def test_a_cancelled_run_is_counted_and_no_failure(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    retry = await node.fail_once("a")
    await store.cancel_runs([retry.id])

    totals = await store.totals()
    assert (totals.runs, totals.failures, totals.active_runs) == (1, 0, 0)


async def run_and_prune(store: Store, node: Actor, job_id: str, times: int) -> list[int]:
    run_ids = [await node.run_once(job_id) for _ in range(times)]
    while await store.prune(1_000):
        pass
    return run_ids


async def test_the_limit_of_records_is_that_of_the_whole_schedule(open_store: OpenStore, clock: SettableClock) -> None:
    store = await open_store(Limits(history=10, kept_per_job=2))
    node = await Actor.join(store, clock)
    await node.add(spec("a"))

    run_ids = await run_and_prune(store, node, "a", 30)

    assert [record.id for record in await history(store)] == run_ids[:-11:-1]
    assert await store.get_runs(run_ids[:20]) == [None] * 20


async def test_each_job_with_a_future_keeps_its_last_records_whatever_its_neighbours_do(
    open_store: OpenStore, clock: SettableClock
) -> None:
    store = await open_store(Limits(history=10, kept_per_job=3))
    node = await Actor.join(store, clock)
    await node.add(spec("quiet"), spec("loud"))
    quiet = await run_and_prune(store, node, "quiet", 5)
    loud = await run_and_prune(store, node, "loud", 40)

    assert [record.id for record in await history(store, "quiet")] == quiet[:1:-1]
    assert [record.id for record in await history(store, "loud")] == loud[:-11:-1]
    listed = [record.id for record in await page_through(store, RunFilter(), 4)]
    assert listed == [*loud[:-11:-1], *quiet[:1:-1]]


async def test_a_finished_job_of_the_api_goes_with_its_last_record(open_store: OpenStore, clock: SettableClock) -> None:
    store = await open_store(Limits(history=5, kept_per_job=3))
    node = await Actor.join(store, clock)
    await node.add(spec("once", max_runs=1), spec("loud"))
    await run_and_prune(store, node, "once", 1)
    await run_and_prune(store, node, "loud", 4)
    assert (await job(store, "once")).status is JobStatus.FINISHED

    await run_and_prune(store, node, "loud", 5)

    assert await store.get_jobs(["once"]) == [None]
    assert await history(store, "once") == []
    assert (await store.totals()).jobs == 1


async def test_records_kept_for_a_future_go_with_it(open_store: OpenStore, clock: SettableClock) -> None:
    store = await open_store(Limits(history=5, kept_per_job=3))
    node = await Actor.join(store, clock)
    await node.add(spec("a", max_runs=4), spec("loud"))
    early = await run_and_prune(store, node, "a", 3)
    await run_and_prune(store, node, "loud", 6)
    assert len(await history(store, "a")) == 3
    last = await run_and_prune(store, node, "a", 1)

    await run_and_prune(store, node, "loud", 6)

    assert await store.get_runs(early + last) == [None] * 4
    assert await store.get_jobs(["a"]) == [None]
    assert {record.job_id for record in await history(store)} == {"loud"}


async def test_a_finished_declared_job_stays_without_records(open_store: OpenStore, clock: SettableClock) -> None:
    store = await open_store(Limits(history=5, kept_per_job=0))
    node = await Actor.join(store, clock, declarations={"once"})
    await store.put_jobs(PutMode.DECLARE, [item(spec("once", origin=Origin.DECLARED, declaration="v1", max_runs=1))])
    await node.add(spec("loud"))
    await run_and_prune(store, node, "once", 1)

    await run_and_prune(store, node, "loud", 9)

    assert (await job(store, "once")).status is JobStatus.FINISHED
    assert await history(store, "once") == []


async def test_records_of_a_deleted_job_stay_as_long_as_others(open_store: OpenStore, clock: SettableClock) -> None:
    store = await open_store(Limits(history=5, kept_per_job=3))
    node = await Actor.join(store, clock)
    await node.add(spec("gone"), spec("loud"))
    gone = await run_and_prune(store, node, "gone", 2)
    await store.delete_jobs(ids("gone"))
    assert [record.id for record in await history(store, "gone")] == gone[::-1]

    await run_and_prune(store, node, "loud", 5)

    assert await history(store, "gone") == []


async def test_prune_takes_records_past_their_age_in_bounded_batches(
    open_store: OpenStore, clock: SettableClock
) -> None:
    store = await open_store(Limits(retention=3_600.0, kept_per_job=2))
    node = await Actor.join(store, clock)
    await node.add(spec("a"))
    run_ids = [await node.run_once("a") for _ in range(10)]
    await node.move_to(at(540) + 3_600 * SECOND - 1)
    assert await store.prune(3) == 3
    assert await store.prune(1_000) == 5

    assert await store.prune(1_000) == 0
    assert [record.id for record in await history(store)] == run_ids[:-3:-1]


async def test_prune_by_age_leaves_each_job_with_a_future_its_last_records(
    open_store: OpenStore, clock: SettableClock
) -> None:
    store = await open_store(Limits(kept_per_job=2))
    node = await Actor.join(store, clock)
    await node.add(spec("a"), spec("once", max_runs=1))
    run_ids = [await node.run_once("a") for _ in range(5)]
    await node.run_once("once")
    await node.move_to(clock.now() + 8 * DAY)

    while await store.prune(100):
        pass

    assert [record.id for record in await history(store)] == run_ids[:2:-1]
    assert await store.get_jobs(["once"]) == [None]


async def test_a_gap_that_grows_for_long_does_not_keep_what_came_after_it(
    open_store: OpenStore, clock: SettableClock
) -> None:
    store = await open_store(Limits(retention=3_600.0, kept_per_job=1))
    node = await Actor.join(store, clock)
    await node.add(spec("a"), spec("b"))
    for minute in range(70):
        await node.move_to(at(60 * minute))
        timer = await node.timer("a")
        gap = Gap(RunStatus.SKIPPED, Reason.ABANDONED, timer.planned, timer.planned, 1)
        await node.claim(timer, start=False, gap=gap)
        if minute < 5:
            await node.run_once("b")

    while await store.prune(100):
        pass

    assert len(await history(store, "b")) == 1
    assert await outcomes(store, "a") == [(RunStatus.SKIPPED, Reason.ABANDONED, at(0), at(69 * 60), 70)]


async def test_active_runs_are_never_pruned(open_store: OpenStore, clock: SettableClock) -> None:
    store = await open_store(Limits(history=2, kept_per_job=1))
    node = await Actor.join(store, clock)
    await node.add(spec("a"), spec("loud"))
    active = await node.start("a")

    await run_and_prune(store, node, "loud", 9)
    await node.move_to(clock.now() + 30 * DAY)
    await store.prune(100)

    assert (await run(store, active.run_id)).status is RunStatus.RUNNING


async def test_history_outlives_the_pause_and_resume_of_its_job(store: Store, node: Actor) -> None:
    await node.add(spec("a"))
    run_id = await node.run_once("a")
    await store.pause_jobs(ids("a"))
    await store.resume_jobs(ids("a"))

    assert [record.id for record in await history(store, "a")] == [run_id]
    assert await node.due(FAR) != []


@pytest.mark.parametrize("cursor", ["", "x", "1.2", "1.2.3.4", "2.0.0", "1.x.0", "1.0." + "9" * 30])
async def test_a_cursor_that_no_page_came_with_is_refused(store: Store, node: Actor, cursor: str) -> None:
    await node.add(spec("a"))

    for which in (RunFilter(), RunFilter(dead=True)):
        with pytest.raises(InvalidArgument, match="cursor"):
            await store.list_runs(which, 10, cursor)
    with pytest.raises(InvalidArgument, match="cursor"):
        await store.list_jobs(JobFilter(), 10, cursor)
    with pytest.raises(InvalidArgument, match="cursor"):
        await store.list_jobs(JobFilter(), 10, "9" * 30)
