"""Two nodes of one PostgreSQL schedule: whatever one does is seen and steered through the application of the other."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest
from support.postgres import DSN, Require, drop, require_postgres
from web.driver import Client

from asched import PostgresStore, Scheduler
from asched_web import create_app

pytestmark = pytest.mark.service


class Node:
    """A scheduler, its application, and what its functions did here."""

    def __init__(self, schema: str) -> None:
        self.scheduler = Scheduler(PostgresStore(DSN, schema=schema, lease=3.0, poll=0.2))
        self.began: list[str] = []
        self.cancelled: list[str] = []
        self.first = asyncio.Event()
        self.client = Client(create_app(self.scheduler, install_signal_handlers=False))

        async def long() -> None:
            self.began.append("long")
            self.first.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled.append("long")
                raise

        async def short() -> None:
            self.began.append("short")
            self.first.set()

        self.scheduler.register_function(long, name="app:long")
        self.scheduler.register_function(short, name="app:short")

    async def close(self) -> None:
        hub = self.client.app.site.open_hub  # type: ignore[attr-defined]
        if hub is not None:
            await hub.aclose()
        await self.scheduler.stop(wait=False)


@pytest.fixture
async def nodes(require: Require) -> AsyncIterator[tuple[Node, Node]]:
    require_postgres(require)
    schema = f"asched_web_{secrets.token_hex(4)}"
    a, b = Node(schema), Node(schema)
    await a.scheduler.start()
    await b.scheduler.start()
    yield a, b
    await a.close()
    await b.close()
    drop(schema)


def job(func: str, job_id: str, seconds: int = 3600) -> dict[str, object]:
    return {
        "func_name": func, "func_module": "app", "job_id": job_id, "schedule_type": "interval",
        "schedule_config": {"interval": seconds, "unit": "seconds"},
    }  # fmt: skip


async def began(node: Node, other: Node) -> tuple[Node, Node]:
    """Return the node on which a run began, and the other one."""
    waits = [asyncio.ensure_future(each.first.wait()) for each in (node, other)]
    _, pending = await asyncio.wait(waits, timeout=60, return_when=asyncio.FIRST_COMPLETED)
    for wait in pending:
        wait.cancel()
    return (node, other) if node.began else (other, node)


async def test_each_application_shows_all_nodes_and_all_runs(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    await a.client.post("/api/jobs", job("short", "seen"))
    run_id = (await a.client.post("/api/jobs/seen/run")).json()["run_id"]
    await b.scheduler.wait_for_run(run_id)

    for node in nodes:
        shown = (await node.client.get("/api/nodes")).json()["nodes"]
        assert len(shown) == 2
        [run] = (await node.client.get("/api/history?job_id=seen")).json()["history"]
        assert (run["run_id"], run["status"]) == (run_id, "succeeded")


async def test_a_run_is_cancelled_through_the_node_that_does_not_execute_it(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    await a.client.post("/api/jobs", job("long", "held"))
    run_id = (await a.client.post("/api/jobs/held/run")).json()["run_id"]
    executing, other = await began(a, b)

    answer = await other.client.post(f"/api/runs/{run_id}/cancel")
    async with asyncio.timeout(60):
        ended = await other.scheduler.wait_for_run(run_id)

    assert answer.status == 200
    assert (str(ended.status), str(ended.reason)) == ("cancelled", "operator")
    assert executing.cancelled == ["long"]


async def test_a_job_is_paused_resumed_run_and_deleted_through_any_node(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    await a.client.post("/api/jobs", job("short", "job", seconds=1))
    await began(a, b)
    assert (await b.client.post("/api/jobs/job/pause")).status == 200
    runs = len(a.began) + len(b.began)
    await asyncio.sleep(1.5)

    assert len(a.began) + len(b.began) <= runs + 1
    assert (await a.client.get("/api/jobs/job")).json()["job"]["status"] == "paused"
    run_id = (await b.client.post("/api/jobs/job/run")).json()["run_id"]
    assert str((await a.scheduler.wait_for_run(run_id)).status) == "succeeded"
    assert (await a.client.post("/api/jobs/job/resume")).status == 200
    assert (await b.client.get("/api/jobs/job")).json()["job"]["status"] in ("scheduled", "running")
    assert (await b.client.delete("/api/jobs/job")).status == 200
    assert (await a.client.get("/api/jobs/job")).status == 404


async def test_the_stream_of_one_node_tells_what_happens_on_the_other(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    stream = b.client.stream()
    await stream.until("snapshot")

    # A function that only the other node has: what the stream tells of it has come through the database.
    async def alone() -> None:
        a.began.append("alone")

    a.scheduler.register_function(alone, name="app:alone")
    await a.client.post("/api/jobs", job("alone", "far"))
    telling = asyncio.ensure_future(stream.until("job"))
    async with asyncio.timeout(60):
        # Whoever follows says so in the database, and the other node takes note when it looks next.
        while not (await asyncio.wait([telling], timeout=0.2))[0]:
            await a.client.post("/api/jobs/far/pause")
            await a.client.post("/api/jobs/far/resume")
    added = await telling
    run_id = (await a.client.post("/api/jobs/far/run")).json()["run_id"]
    async with asyncio.timeout(60):
        while (told := await stream.until("run")).data["run_id"] != run_id or told.data["status"] != "succeeded":
            pass
    await stream.leave()

    assert added.data["job_id"] == "far"
    assert a.began == ["alone"]
