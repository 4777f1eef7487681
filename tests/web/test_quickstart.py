"""The quick start's requests, word for word apart from the function's module, against an application at /scheduler."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import pytest
from web.driver import Answer, Client, run_lifespan
from web.sample import MODULE

from asched import Scheduler
from asched_web import attach


async def nothing_here(scope: object, receive: object, send: object) -> None:
    raise AssertionError("the host was asked")


@pytest.fixture
async def requests(scheduler: Scheduler) -> AsyncIterator[Client]:
    app = attach(nothing_here, "/scheduler", scheduler, install_signal_handlers=False)  # type: ignore[arg-type]
    yield Client(app, "/scheduler")
    await app._app.site.hub.aclose()  # type: ignore[attr-defined]


async def create(requests: Client, **changes: object) -> Answer:
    return await requests.post(
        "/api/jobs",
        {
            "func_name": "work",
            "func_module": MODULE,
            "job_name": "hourly_cleanup",
            "schedule_type": "interval",
            "schedule_config": {"interval": 60, "unit": "seconds"},
        }
        | changes,
    )


async def test_an_interval_job_is_made_and_answers_with_its_id(requests: Client) -> None:
    answer = await create(requests)

    assert 201 == answer.status
    assert {"success": True, "message": "Job job_1 created", "job_id": "job_1"} == answer.json()


async def test_the_job_is_listed_with_the_fields_of_the_quick_start(requests: Client) -> None:
    await create(requests)
    [job] = (await requests.get("/api/jobs")).json()["jobs"]

    wanted = {
        "job_id": "job_1",
        "job_name": "hourly_cleanup",
        "func_name": "work",
        "func_module": MODULE,
        "status": "scheduled",
        "schedule_type": "interval",
        "schedule_config": {"interval": 60, "unit": "seconds"},
        "max_retries": 3,
        "paused": False,
        "run_count": 0,
    }
    assert wanted == {name: job[name] for name in wanted}
    assert 59 < job["next_run_in"] <= 60


async def test_main_is_the_program_that_was_started(
    scheduler: Scheduler, requests: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__spec__", None)
    monkeypatch.setattr(main, "__file__", "/srv/program.py", raising=False)
    scheduler.register_function(lambda: None, name="program:my_task")
    answer = await create(requests, func_name="my_task", func_module="__main__")

    assert 201 == answer.status


async def test_main_is_the_program_that_is_served_where_a_server_was_started(requests: Client) -> None:
    answer = await create(requests, func_module="__main__")
    unknown = await create(requests, func_module="__main__", func_name="nope")

    assert (201, 422) == (answer.status, unknown.status)
    assert MODULE == (await requests.get("/api/jobs")).json()["jobs"][0]["func_module"]


async def test_main_is_not_guessed_between_two_modules(scheduler: Scheduler, requests: Client) -> None:
    scheduler.register_function(lambda: None, name="elsewhere:work")
    answer = await create(requests, func_module="__main__")

    assert 422 == answer.status


async def test_a_job_is_paused_resumed_run_and_deleted(requests: Client) -> None:
    await create(requests)

    for verb, paused in [("pause", True), ("resume", False), ("disable", True), ("enable", False)]:
        answer = await requests.post(f"/api/jobs/job_1/{verb}")
        assert (200, True, "job_1") == (answer.status, answer.json()["success"], answer.json()["job_id"])
        assert paused is (await requests.get("/api/jobs/job_1")).json()["job"]["paused"]
    assert "run_id" in (await requests.post("/api/jobs/job_1/run")).json()
    assert 200 == (await requests.delete("/api/jobs/job_1")).status
    assert 404 == (await requests.get("/api/jobs/job_1")).status


async def test_a_group_is_paused_resumed_and_cancelled(requests: Client) -> None:
    for _ in range(3):
        await create(requests, group="background")
    await create(requests, group="other")

    assert 3 == (await requests.post("/api/groups/background/pause")).json()["paused"]
    assert 3 == (await requests.post("/api/groups/background/resume")).json()["resumed"]
    assert 3 == (await requests.delete("/api/groups/background")).json()["cancelled"]
    assert ["other"] == [group["name"] for group in (await requests.get("/api/groups")).json()["groups"]]


async def test_an_unregistered_function_is_refused_with_the_remedy(requests: Client) -> None:
    answer = await create(requests, func_name="unknown")

    assert 422 == answer.status
    assert "Function not registered" == answer.json()["error"]
    assert "call register_function first" in answer.json()["detail"]
    assert "/func_name" == answer.json()["errors"][0]["pointer"]


async def test_the_host_gets_what_is_not_under_the_prefix(scheduler: Scheduler) -> None:
    app = attach(nothing_here, "/scheduler", scheduler, install_signal_handlers=False)  # type: ignore[arg-type]

    with pytest.raises(AssertionError, match="the host was asked"):
        await Client(app).get("/schedulers/api/jobs")


async def test_the_scheduler_runs_for_as_long_as_the_host(scheduler: Scheduler) -> None:
    await scheduler.stop()
    to_app, from_app, task = await run_lifespan(
        attach(nothing_here, "/scheduler", scheduler, install_signal_handlers=False)  # type: ignore[arg-type]
    )

    assert "lifespan.startup.complete" == (await from_app.get())["type"]
    assert scheduler.running
    to_app.put_nowait({"type": "lifespan.shutdown"})
    assert "lifespan.shutdown.complete" == (await from_app.get())["type"]
    await task
    assert not scheduler.running
