"""The OpenAPI document and what the application does say the same."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from web.driver import Client
from web.sample import interval_job

from asched import Scheduler
from asched_web.api import ENDPOINTS
from asched_web.schema import EVENTS, inlined

jsonschema_rs = pytest.importorskip("jsonschema_rs", reason="schemathesis is not installed (dependency group hosts)")


def validate(value: object, schema: object) -> None:
    jsonschema_rs.validator_for(schema, validate_formats=True).validate(value)


@pytest.fixture
async def populated(client: Client, scheduler: Scheduler) -> dict[str, str]:
    """Ids of a job and a run that succeeded, and of a dead letter; another job runs, one is paused."""
    await client.post("/api/jobs", interval_job(job_id="ok", args=[1], kwargs={"a": None}, tags=["t"], group="g"))
    await client.post("/api/jobs", interval_job(job_id="bad", func_name="fail", max_retries=0))
    await client.post("/api/jobs", interval_job(job_id="busy", func_name="wait_long"))
    await client.post("/api/jobs", interval_job(job_id="still", enabled=False, until="2100-01-01T00:00:00Z"))
    ids = {}
    for job_id in ("ok", "bad", "busy"):
        ids[job_id] = (await client.post(f"/api/jobs/{job_id}/run")).json()["run_id"]
    for job_id in ("ok", "bad"):
        await scheduler.wait_for_run(ids[job_id])
    return ids


async def test_every_endpoint_is_in_the_document_and_nothing_else(client: Client) -> None:
    document = (await client.get("/api/openapi.json")).json()
    shown = {(method.upper(), path) for path, item in document["paths"].items() for method in item}

    assert {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS} | {("GET", "/events")} == shown
    assert "3.1.0" == document["openapi"]


PAGE = Path(__file__).parents[2] / "docs" / "http-api.md"


@pytest.mark.skipif(not PAGE.exists(), reason="the pages are not where the tests are")
def test_every_endpoint_is_on_the_page() -> None:
    named = set()
    for row in re.findall(r"^\| `([A-Z]+) ([^`?]+)[^`]*`((?:, `/\w+`)*) \|", PAGE.read_text("utf-8"), re.MULTILINE):
        method, path, others = row
        named |= {(method, path)} | {(method, path.rpartition("/")[0] + other) for other in re.findall(r"/\w+", others)}
    routed = {(endpoint.method, endpoint.path.replace("{job_id}", "{id}")) for endpoint in ENDPOINTS}

    assert routed | {("GET", "/"), ("GET", "/events")} == named


async def test_every_object_in_the_document_is_closed(client: Client) -> None:
    document = (await client.get("/api/openapi.json")).json()
    free = {"args", "kwargs", "schedule_config", "openapi"}
    opened: list[str] = []

    def look(value: Any, where: str) -> None:
        if isinstance(value, dict):
            if "properties" in value and value.get("additionalProperties") is not False:
                opened.append(where)
            for key, member in value.items():
                if key not in free:
                    look(member, f"{where}/{key}")
        elif isinstance(value, list):
            for index, item in enumerate(value):
                look(item, f"{where}/{index}")

    look(document["components"]["schemas"], "")
    look(document["paths"], "")

    assert [] == opened


async def test_every_answer_is_what_its_schema_says(client: Client, populated: dict[str, str]) -> None:
    document = (await client.get("/api/openapi.json")).json()
    names = {"job_id": "ok", "run_id": populated["bad"], "group": "g"}
    checked = 0
    for path, item in document["paths"].items():
        if "get" not in item or path == "/events":
            continue
        answer = await client.get(path.format(**names))
        content = item["get"]["responses"][str(answer.status)]["content"]
        schema = content[answer.headers["content-type"]]["schema"]
        validate(answer.json(), {**schema, "components": document["components"]})
        checked += 1

    assert checked == sum("get" in item for item in document["paths"].values()) - 1


async def test_every_event_is_what_its_schema_says(client: Client, scheduler: Scheduler) -> None:
    stream = client.stream()
    seen = set()
    event = await stream.next()
    await client.post("/api/jobs", interval_job(job_id="j"))
    while event is not None and seen < set(EVENTS):
        schema = inlined(EVENTS[event.name])
        validate(event.data, schema)
        seen.add(event.name)
        if event.name == "job" and "run" not in seen:
            await client.post("/api/jobs/j/run")
        elif event.name == "run" and "job_removed" not in seen:
            await client.delete("/api/jobs/j")
        elif event.name == "stats" and "reset" not in seen and "job_removed" in seen:
            client.app.site.hub._everything_changed("gap")  # type: ignore[attr-defined]
        elif event.name == "snapshot" and "reset" in seen:
            scheduler.shutdown_connection()
        event = await stream.next()

    assert set(EVENTS) == seen


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_schemathesis_finds_nothing(
    scheduler: Scheduler, make_client: Callable[..., Client], populated: dict[str, str]
) -> None:
    """All its checks, over an application with jobs, runs and dead letters."""
    pytest.importorskip("schemathesis")
    from web.contract import check

    client = make_client()
    failures = await check(client, populated)

    assert [] == failures, json.dumps(failures, indent=1)[:8000]
