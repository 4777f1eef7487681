"""The event stream: what it says, how it goes on after a break, and how it ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable

import pytest
from web.driver import Client, Stream
from web.sample import interval_job

from asched import Scheduler
from asched_web import sse
from asched_web.schema import Wire
from asched_web.sse import Hub

MakeClient = Callable[..., Client]


@pytest.fixture
async def stream(client: Client) -> AsyncIterator[Stream]:
    opened = client.stream()
    yield opened
    if not opened.exchange.task.done():
        await opened.leave()


def hub_of(client: Client) -> Hub:
    hub: Hub = client.app.site.hub  # type: ignore[attr-defined]
    return hub


async def test_a_stream_begins_with_the_state_of_everything(client: Client, stream: Stream) -> None:
    first = await stream.next()

    assert first is not None
    assert ("snapshot", 2000) == (first.name, stream.retry)
    assert {
        "as_of", "running", "store_available", "failures", "statistics", "jobs", "next_cursor", "runs"
    } == first.data.keys()  # fmt: skip
    assert (200, "text/event-stream; charset=utf-8") == (
        stream.exchange.status,
        stream.exchange.headers["content-type"],
    )
    assert "no-transform" in stream.exchange.headers["cache-control"]


async def test_changes_follow_with_growing_numbers(client: Client, scheduler: Scheduler, stream: Stream) -> None:
    await stream.until("snapshot")
    await client.post("/api/jobs", interval_job(job_id="j"))
    added = await stream.until("job")
    run_id = (await client.post("/api/jobs/j/run")).json()["run_id"]
    ran = await stream.until("run")
    await client.delete("/api/jobs/j")
    removed = await stream.until("job_removed")

    assert ("j", "scheduled") == (added.data["job_id"], added.data["status"])
    assert "next_run_in" not in added.data
    assert run_id == ran.data["run_id"]
    assert {"job_id": "j"} == removed.data
    epochs, numbers = zip(*((event.id or "").split("-") for event in (added, ran, removed)), strict=True)
    assert 1 == len(set(epochs))
    assert sorted(numbers, key=int) == list(numbers)


async def test_statistics_come_after_changes(client: Client, stream: Stream) -> None:
    await client.post("/api/jobs", interval_job(job_id="j"))
    stats = await stream.until("stats")

    assert (True, True, 1) == (
        stats.data["running"], stats.data["store_available"], stats.data["statistics"]["active_jobs"],
    )  # fmt: skip
    assert "per_job" not in stats.data["statistics"]


async def test_changes_of_one_job_within_a_tenth_of_a_second_are_one_message(client: Client, stream: Stream) -> None:
    await client.post("/api/jobs", interval_job(job_id="j"))
    await stream.until("job")
    for _ in range(10):
        await client.post("/api/jobs/j/pause")
        await client.post("/api/jobs/j/resume")
    await client.post("/api/jobs/j/pause")
    last = await stream.until("job")
    while not last.data["paused"]:
        last = await stream.until("job")

    assert stream.raw.count(b"event: job\n") <= 4


@pytest.mark.parametrize("how", ["header", "query"])
async def test_a_client_that_comes_back_goes_on_where_it_was(client: Client, stream: Stream, how: str) -> None:
    await stream.until("snapshot")
    await client.post("/api/jobs", interval_job(job_id="a"))
    seen = await stream.until("job")
    assert seen.id is not None
    await stream.leave()
    other = client.stream()  # changes are encoded whoever listens
    await other.until("snapshot")
    await client.post("/api/jobs", interval_job(job_id="b"))
    await other.until("job")
    back = (
        client.stream(headers={"last-event-id": seen.id})
        if how == "header"
        else client.stream(f"/events?last_id={seen.id}")
    )
    event = await back.until("job")
    await other.leave()
    await back.leave()

    assert "b" == event.data["job_id"]
    assert b"event: snapshot" not in back.raw


@pytest.mark.parametrize(
    "last_id", ["0000-1", "nonsense", "", "-", "9" * 80, "{epoch}-999999", "{epoch}--1", "{epoch}-x"]
)
async def test_an_id_that_says_nothing_brings_a_snapshot(client: Client, stream: Stream, last_id: str) -> None:
    first = await stream.until("snapshot")
    epoch = (first.id or "").partition("-")[0]
    other = client.stream(headers={"last-event-id": last_id.format(epoch=epoch)})
    event = await other.next()
    await other.leave()

    assert event is not None
    assert "snapshot" == event.name


async def test_an_id_older_than_the_ring_brings_a_snapshot(
    client: Client, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await stream.until("snapshot")
    hub = hub_of(client)
    hub._publish(("job_removed", {"job_id": str(number)}) for number in range(sse.RING + 1))
    other = client.stream(headers={"last-event-id": first.id or ""})
    event = await other.next()
    await other.leave()

    assert event is not None
    assert "snapshot" == event.name


async def test_all_clients_get_the_same_bytes(client: Client) -> None:
    streams = [client.stream() for _ in range(5)]
    for one in streams:
        await one.until("snapshot")
    sent: list[bytes] = []
    hub = hub_of(client)
    for connected in hub._clients:
        put = connected.put
        connected.put = lambda data, put=put: (sent.append(data), put(data))[1]  # type: ignore[method-assign]
    hub._publish([("job_removed", {"job_id": "x"})])
    for one in streams:
        await one.until("job_removed")
        await one.leave()

    assert 5 == len(sent)
    assert 1 == len({id(data) for data in sent})


async def test_a_client_that_does_not_read_is_reset_and_holds_up_nobody(client: Client, stream: Stream) -> None:
    slow = client.stream()
    await slow.until("snapshot")
    await stream.until("snapshot")
    slow.exchange.reading.clear()
    hub = hub_of(client)
    for number in range(sse.QUEUE + 10):
        hub._publish([("job_removed", {"job_id": str(number)})])
        await asyncio.sleep(0)
    last = None
    while last is None or last.data["job_id"] != str(sse.QUEUE + 9):
        last = await stream.until("job_removed")
    held = {connected: connected._queued for connected in hub._clients}
    slow.exchange.reading.set()
    reset = await slow.until("reset")
    after = await slow.next()
    await slow.leave()

    assert max(held.values()) <= sse.QUEUE_BYTES
    assert {"reason": "slow"} == reset.data
    assert reset.id is None
    assert after is not None
    assert "snapshot" == after.name


async def test_a_client_whose_socket_takes_nothing_for_long_is_dropped(
    client: Client, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "BLOCKED", 0.2)
    await stream.until("snapshot")
    stream.exchange.reading.clear()
    hub_of(client)._publish([("job_removed", {"job_id": "x"})])
    await asyncio.wait_for(stream.exchange.task, 5)

    assert 0 == hub_of(client).open_streams


async def test_a_client_that_leaves_is_forgotten(client: Client, stream: Stream) -> None:
    await stream.until("snapshot")
    assert 1 == hub_of(client).open_streams
    await stream.leave()

    assert 0 == hub_of(client).open_streams


async def test_silence_is_broken_by_a_comment(client: Client, stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "KEEPALIVE_AFTER", 0.2)
    await stream.until("snapshot")
    async with asyncio.timeout(60):
        while b": keepalive\n\n" not in stream.raw:
            stream.raw += await stream.exchange.chunk()


async def test_a_burst_is_told_as_a_snapshot(
    client: Client, scheduler: Scheduler, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "BURST", 5)
    await stream.until("snapshot")
    for number in range(20):
        await client.post("/api/jobs", interval_job(job_id=f"j{number}", group="g"))
    await stream.until("job")  # whatever came before the burst
    await scheduler.pause_group("g")
    reset = await stream.until("reset")
    snapshot = await stream.until("snapshot")

    assert {"reason": "burst"} == reset.data
    assert 20 == len(snapshot.data["jobs"])
    assert all(job["paused"] for job in snapshot.data["jobs"])


async def test_shutdown_says_goodbye_and_ends_every_stream(client: Client, scheduler: Scheduler) -> None:
    streams = [client.stream() for _ in range(20)]
    for one in streams:
        await one.until("snapshot")
    loop = asyncio.get_running_loop()
    started = loop.time()
    scheduler.shutdown_connection()
    for one in streams:
        assert "bye" == (await one.until("shutdown")).data
        assert await one.next() is None
        await asyncio.wait_for(one.exchange.task, 5)

    assert loop.time() - started < 1
    assert all(one.exchange.ended for one in streams)
    assert streams[0].raw.endswith(b"event: shutdown\ndata: bye\n\n")


async def test_after_the_goodbye_no_stream_is_opened(client: Client, scheduler: Scheduler) -> None:
    scheduler.shutdown_connection()
    answer = await client.get("/events")

    assert (503, "2") == (answer.status, answer.headers["retry-after"])


async def test_a_client_that_does_not_read_does_not_hold_up_the_goodbye(client: Client, scheduler: Scheduler) -> None:
    stream, stuck = client.stream(), client.stream()
    await stream.until("snapshot")
    await stuck.until("snapshot")
    stuck.exchange.reading.clear()
    hub_of(client)._publish([("job_removed", {"job_id": "x"})])
    await stream.until("job_removed")
    scheduler.shutdown_connection()
    await stream.until("shutdown")
    await asyncio.wait_for(stuck.exchange.task, 2)

    assert 0 == hub_of(client).open_streams


async def test_a_stream_that_its_server_cancels_still_says_goodbye(client: Client, stream: Stream) -> None:
    await stream.until("snapshot")
    stream.exchange.task.cancel()
    await stream.until("shutdown")

    with pytest.raises(asyncio.CancelledError):
        await stream.exchange.task
    assert stream.exchange.ended


async def test_a_disconnect_that_a_stopping_server_reports_is_answered_with_goodbye(
    client: Client, scheduler: Scheduler, stream: Stream
) -> None:
    """uvicorn 0.43 and 0.44 report one to every stream when they stop."""
    await stream.until("snapshot")
    scheduler.shutdown_connection()
    stream.exchange.disconnect()

    assert "bye" == (await stream.until("shutdown")).data


async def test_a_stopped_scheduler_alone_is_shown_and_ends_nothing(
    client: Client, scheduler: Scheduler, stream: Stream
) -> None:
    await stream.until("snapshot")
    await scheduler.stop()
    stats = await stream.until("stats")
    while stats.data["running"]:
        stats = await stream.until("stats")
    await scheduler.start()
    await stream.until("reset")
    snapshot = await stream.until("snapshot")

    assert stats.data["statistics"] is None
    assert snapshot.data["running"]


async def test_a_stream_on_a_scheduler_that_never_started_waits_for_it() -> None:
    from asched_web import create_app

    scheduler = Scheduler()
    client = Client(create_app(scheduler, install_signal_handlers=False))
    stream = client.stream()
    first = await stream.until("snapshot")
    async with scheduler:
        await stream.until("reset")
        second = await stream.until("snapshot")
        await stream.leave()
    await hub_of(client).aclose()

    assert [False, True] == [first.data["running"], second.data["running"]]


async def test_streams_are_limited(make_client: MakeClient) -> None:
    client = make_client(max_streams=2)
    streams = [client.stream() for _ in range(2)]
    for one in streams:
        await one.until("snapshot")
    refused = await client.get("/events")
    await streams[0].leave()
    again = client.stream()
    await again.until("snapshot")
    for one in (streams[1], again):
        await one.leave()

    assert 503 == refused.status
    assert "max_streams" in refused.json()["detail"]


async def test_nobody_listens_to_the_scheduler_for_longer_than_it_is_needed(
    client: Client, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "LINGER", 0.1)
    stream = client.stream()
    await stream.until("snapshot")
    assert scheduler._bus.wanted
    await stream.leave()
    async with asyncio.timeout(60):
        while hub_of(client).follows:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    assert not scheduler._bus.wanted


async def test_one_timer_of_the_loop_watches_for_all_streams(client: Client) -> None:
    from asched_web.shutdown import watcher_of

    streams = [client.stream() for _ in range(50)]
    for one in streams:
        await one.until("snapshot")
    watcher = watcher_of(asyncio.get_running_loop())

    assert 50 == watcher.open_streams
    assert 1 == len(watcher._watched)
    for one in streams:
        await one.leave()


async def test_without_sse_starlette_the_answer_names_the_extra(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sse_starlette.event", None)
    sse._server_sent_event.cache_clear()
    answer = await client.get("/events")
    sse._server_sent_event.cache_clear()

    assert 503 == answer.status
    assert "pip install 'asched-py[web]'" in answer.json()["detail"]


def test_importing_the_application_imports_no_framework_and_no_server() -> None:
    code = (
        "import sys, asched_web; "
        "print(sorted({'starlette', 'fastapi', 'uvicorn', 'sse_starlette', 'hypercorn'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()


async def test_a_snapshot_that_a_gap_overtook_is_made_again(client: Client, stream: Stream) -> None:
    await stream.until("snapshot")
    hub = hub_of(client)
    make, made = hub._feed.snapshot, []

    async def overtaken() -> Wire:
        made.append(hub._seq)
        if len(made) == 1:
            hub._forget()
        return await make()

    hub._feed.snapshot = overtaken  # type: ignore[method-assign]
    hub._snapshot = None
    seq, _ = await hub.snapshot()
    hub._feed.snapshot = make  # type: ignore[method-assign]

    assert 2 == len(made)
    assert seq >= hub._floor
