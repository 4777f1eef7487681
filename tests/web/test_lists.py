"""Lists are encoded once per change, at most once a second, and never older than what their reader did."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from web.driver import Client
from web.sample import interval_job

from asched import Scheduler
from asched_web.lists import Lists


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows by one with each list that is encoded."""
    from asched_web import lists

    made: list[object] = []
    original = lists._encoded

    def encoded(listing: object, *rest: object) -> object:
        made.append(listing)
        return original(listing, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(lists, "_encoded", encoded)
    return made


async def test_an_unchanged_list_is_encoded_once(client: Client, encodings: list[object]) -> None:
    answers = [await client.get("/api/jobs") for _ in range(20)]

    assert 1 == len({answer.body for answer in answers})
    assert 1 == len(encodings)


async def test_who_asks_at_once_shares_one_reading(client: Client, encodings: list[object]) -> None:
    await client.get("/api/groups")
    encodings.clear()
    await asyncio.gather(*(client.get("/api/jobs") for _ in range(20)))

    assert 1 == len(encodings)


async def test_the_tag_answers_304_until_something_changes(client: Client) -> None:
    await client.post("/api/jobs", interval_job(job_id="a"))
    first = await client.get("/api/jobs")
    tag = first.headers["etag"]
    same = await client.get("/api/jobs", headers={"if-none-match": tag})
    listed = await client.get("/api/jobs", headers={"if-none-match": f'"x", {tag}'})
    any_tag = await client.get("/api/jobs", headers={"if-none-match": "*"})
    other = await client.get("/api/jobs", headers={"if-none-match": 'W/"x"'})
    await client.post("/api/jobs", interval_job(job_id="b"))
    changed = await client.get("/api/jobs", headers={"if-none-match": tag})

    assert tag.startswith('W/"')
    assert [304, 304, 304, 200, 200] == [a.status for a in (same, listed, any_tag, other, changed)]
    assert b"" == same.body
    assert tag == same.headers["etag"]
    assert ["a", "b"] == [job["job_id"] for job in changed.json()["jobs"]]


WRITES: list[tuple[str, str, object]] = [
    ("POST", "/api/jobs/a/pause", ...),
    ("POST", "/api/jobs/a/resume", ...),
    ("PUT", "/api/jobs/a", {"job_name": "new"}),
    ("DELETE", "/api/jobs/a", ...),
]


async def test_a_client_reads_what_it_wrote(client: Client) -> None:
    await client.post("/api/jobs", interval_job(job_id="a"))
    for method, path, body in WRITES:
        before = await client.get("/api/jobs")
        await client.request(method, path, json_body=body)
        after = await client.get("/api/jobs", headers={"if-none-match": before.headers["etag"]})

        assert 200 == after.status, (method, path)


@pytest.mark.parametrize("bound", [60, pytest.param(2.5, marks=pytest.mark.long)])
async def test_changes_made_elsewhere_show_by_themselves(client: Client, scheduler: Scheduler, bound: float) -> None:
    await client.post("/api/jobs", interval_job(job_id="a"))
    await client.get("/api/jobs")
    await client.get("/api/jobs")
    await scheduler.pause_job("a")
    async with asyncio.timeout(bound):
        while not (await client.get("/api/jobs")).json()["jobs"][0]["paused"]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_list_that_is_read_again_unchanged_keeps_its_bytes(client: Client) -> None:
    await client.post("/api/jobs", interval_job(job_id="a"))
    first = await client.get("/api/jobs")
    client.app.site.lists.drop()  # type: ignore[attr-defined]
    second = await client.get("/api/jobs")

    assert first.body == second.body


async def test_two_paths_that_decode_alike_are_two_lists(client: Client) -> None:
    await client.post("/api/jobs", interval_job(job_id="a", group="x/jobs"))
    whole = await client.get("/api/groups/x%2Fjobs/jobs")
    again = await client.get("/api/groups/x%2Fjobs/jobs")
    split = await client.get("/api/groups/x/jobs/jobs")

    assert [200, 200, 404] == [whole.status, again.status, split.status]


async def test_a_list_with_an_error_is_not_kept(client: Client) -> None:
    assert 404 == (await client.get("/api/groups/g/jobs")).status
    await client.post("/api/jobs", interval_job(job_id="a", group="g"))

    assert 200 == (await client.get("/api/groups/g/jobs")).status


async def test_no_query_can_fill_the_memory(client: Client) -> None:
    from asched_web.lists import MOST

    for number in range(MOST + 50):
        await client.get(f"/api/jobs?q={number}")

    assert len(client.app.site.lists.entries) <= MOST  # type: ignore[attr-defined]
    assert {} == client.app.site.lists._locks  # type: ignore[attr-defined]


async def test_a_storm_of_changes_drops_the_lists_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = Lists()
    dropped: list[float] = []
    drop: Callable[[], None] = lists.drop

    def counted() -> None:
        dropped.append(0)
        drop()

    monkeypatch.setattr(lists, "drop", counted)
    for _ in range(1000):
        lists.changed()

    assert 1 == len(dropped)
    assert lists._drop_later is not None
    lists._drop_later.cancel()


async def test_what_was_read_before_a_change_is_not_kept_after_it() -> None:
    from datetime import UTC, datetime

    from asched_web.endpoint import Listing

    lists = Lists()

    async def make() -> Listing:
        lists.drop()  # somebody writes while the list is read
        return Listing({"jobs": []})

    async def now() -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    await lists.get(("/api/jobs", b"", ""), make, now, keep=True)

    assert {} == lists.entries
