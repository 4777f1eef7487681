"""What the dashboard needs to be true of the interface: while the store is away, before a job is saved, of a letter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from web.driver import Client
from web.sample import interval_job, wait_long, work

from asched import Interval, MemoryStore, Scheduler, StoreUnavailable
from asched.store import Live, Window
from asched_web import create_app

INTERVAL = {"schedule_type": "interval", "schedule_config": {"interval": 3600, "unit": "seconds"}}


class AwayStore(MemoryStore):
    """A store that cannot be reached while ``away`` is set."""

    away = False

    def check(self) -> None:
        if self.away:
            raise StoreUnavailable("away")

    async def window(self, epoch: int, until: int, limit: int) -> Window:
        self.check()
        return await super().window(epoch, until, limit)

    async def claims(self, epoch: int) -> list[Live]:
        self.check()
        return await super().claims(epoch)

    async def claim(self, *args: Any) -> Any:
        self.check()
        return await super().claim(*args)

    async def totals(self, **options: Any) -> Any:
        self.check()
        return await super().totals(**options)


async def test_status_says_who_this_is_and_what_may_be_done_while_the_store_is_away() -> None:
    store = AwayStore()
    async with Scheduler(store) as scheduler:
        client = Client(create_app(scheduler, title="Acme", install_signal_handlers=False))
        store.away = True
        answer = await client.get("/api/status")

    status = answer.json()
    assert (200, None, "Acme") == (answer.status, status["statistics"], status["title"])
    assert ["view", "operate", "edit"] == status["actions"]


async def test_stream_begins_anew_when_the_store_is_back() -> None:
    store = AwayStore()
    async with Scheduler(store) as scheduler:
        await scheduler.add_job(work, Interval(seconds=0.2), id="tick")
        client = Client(create_app(scheduler, install_signal_handlers=False))
        stream = client.stream()
        await stream.until("snapshot")
        store.away = True
        async for event in scheduler.subscribe():
            if event.name == "store.unavailable":
                break
        store.away = False
        reset = await stream.until("reset")
        snapshot = await stream.until("snapshot")
        await stream.leave()
        await client.app.site.hub.aclose()  # type: ignore[attr-defined]

    assert {"reason": "gap"} == reset.data
    assert ["tick"] == [job["job_id"] for job in snapshot.data["jobs"]]
    assert snapshot.data["store_available"]


async def instants(client: Client, **body: Any) -> list[datetime]:
    answer = await client.post("/api/preview", INTERVAL | body)
    assert 200 == answer.status, answer.body
    return [datetime.fromisoformat(instant["at"]) for instant in answer.json()["instants"]]


async def test_preview_begins_at_starting_and_ends_at_until(client: Client) -> None:
    begin = datetime(2100, 1, 1, 9, tzinfo=UTC)
    end = begin + timedelta(hours=2)

    found = await instants(client, starting=begin.isoformat(), until=end.isoformat())

    assert [begin, begin + timedelta(hours=1), end] == found


async def test_preview_of_an_edit_is_what_the_edit_brings(client: Client) -> None:
    later = {"schedule_config": {"interval": 7200, "unit": "seconds"}}
    starting = datetime.now(UTC) + timedelta(minutes=90)
    await client.post("/api/jobs", interval_job(job_id="j"))
    [first, *_] = (await client.get("/api/jobs/j/preview")).json()["instants"]

    same = await instants(client, job_id="j", n=1)
    moved = await instants(client, job_id="j", n=1, starting=starting.isoformat())
    changed = await instants(client, job_id="j", n=1, **later)
    await client.put("/api/jobs/j", {"starting": starting.isoformat()})
    [brought, *_] = (await client.get("/api/jobs/j/preview")).json()["instants"]

    assert [datetime.fromisoformat(first["at"])] == same
    assert [datetime.fromisoformat(brought["at"])] == moved
    assert changed[0] > same[0] + timedelta(minutes=59)


async def test_preview_of_an_edit_of_no_job_is_refused(client: Client) -> None:
    assert 404 == (await client.post("/api/preview", INTERVAL | {"job_id": "nope"})).status
    assert 422 == (await client.post("/api/preview", INTERVAL | {"starting": "soon"})).status


async def test_run_says_whether_it_is_a_letter_and_one_that_is_none_is_refused_in_these_words(
    client: Client, scheduler: Scheduler
) -> None:
    await client.post("/api/jobs", interval_job(job_id="bad", func_name="fail", max_retries=0))
    run_id = (await client.post("/api/jobs/bad/run")).json()["run_id"]
    await scheduler.wait_for_run(run_id)
    before = (await client.get(f"/api/runs/{run_id}")).json()["run"]["dead_letter"]
    await client.delete(f"/api/dead-letters/{run_id}")
    after = (await client.get(f"/api/runs/{run_id}")).json()["run"]["dead_letter"]
    answers = [
        await client.post(f"/api/dead-letters/{run_id}/retry"),
        await client.delete(f"/api/dead-letters/{run_id}"),
    ]

    assert (True, False) == (before, after)
    assert [(404, "No dead letter", "bad")] * 2 == [
        (answer.status, answer.json()["error"], answer.json()["job_id"]) for answer in answers
    ]
    assert all("it is no dead letter" in answer.json()["detail"] for answer in answers)


async def test_run_that_succeeded_is_no_letter(client: Client, scheduler: Scheduler) -> None:
    await client.post("/api/jobs", interval_job(job_id="good"))
    run_id = (await client.post("/api/jobs/good/run")).json()["run_id"]
    await scheduler.wait_for_run(run_id)

    assert not (await client.get(f"/api/runs/{run_id}")).json()["run"]["dead_letter"]


@pytest.mark.parametrize("known", [False, True])
async def test_job_without_its_function_is_not_on_the_agenda(known: bool) -> None:
    store = MemoryStore()
    async with Scheduler(store) as first:
        await first.add_job(wait_long, Interval(hours=6), id="orphan")
    second = Scheduler(store)
    if known:
        second.register_function(wait_long)
    async with second:
        client = Client(create_app(second, install_signal_handlers=False))
        agenda = (await client.get("/api/agenda")).json()

    assert (4 if known else 0) == len(agenda["entries"])
