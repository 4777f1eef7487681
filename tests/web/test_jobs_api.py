"""Jobs, runs, groups and dead letters over HTTP, with what is refused and how."""

from __future__ import annotations

from typing import Any

import pytest
from web.driver import Client
from web.sample import HOSTILE, MODULE, interval_job

from asched import Scheduler, StoreUnavailable
from asched_web import create_app

SCHEDULES: dict[str, tuple[str, dict[str, Any], str]] = {
    "seconds": ("interval", {"interval": 90, "unit": "seconds"}, "Every 90 seconds"),
    "weeks": ("interval", {"interval": 2, "unit": "weeks"}, "Every 14 days"),
    "without a unit": ("interval", {"interval": 30}, "Every 30 seconds"),
    "daily": ("daily", {"time": "02:00"}, "Every day at 02:00"),
    "weekly by number": ("weekly", {"time": "10:00", "days": [0, 4]}, "Monday and Friday at 10:00"),
    "weekly by name": ("weekly", {"time": "10:00", "days": ["mon", "friday"]}, "Monday and Friday at 10:00"),
    "hourly": ("hourly", {"time": "30"}, "Every hour at :30"),
    "hourly with a colon": ("hourly", {"time": ":30"}, "Every hour at :30"),
    "cron": ("cron", {"expression": "*/5 * * * *"}, "Every 5 minutes"),
    "once, later": ("once", {"delay": 10, "unit": "hours"}, ""),
    "once, at": ("once", {"at": "2100-01-01 00:00:00"}, ""),
}


@pytest.mark.parametrize("name", SCHEDULES)
async def test_every_schedule_of_the_contract_is_taken(client: Client, name: str) -> None:
    kind, config, sentence = SCHEDULES[name]
    answer = await client.post("/api/jobs", interval_job(schedule_type=kind, schedule_config=config))

    assert 201 == answer.status, answer.body
    job = (await client.get(f"/api/jobs/{answer.json()['job_id']}")).json()["job"]
    assert kind == job["schedule_type"]
    assert sentence.lower() in job["schedule"].lower()
    assert job["schedule_zh"]
    assert job["next_run"].endswith("+00:00")


async def test_every_option_is_taken_and_shown(client: Client) -> None:
    options = {
        "job_id": "nightly/räum auf",
        "job_name": "tidy",
        "max_retries": 1,
        "timeout": 5.5,
        "timezone": "Asia/Tokyo",
        "args": [1, {"a": [None, True]}],
        "kwargs": {"x": "y"},
        "group": "night",
        "overlap": "queue",
        "catch_up": "all",
        "catch_up_window": 60,
        "on_crash": "lost",
        "jitter": 2,
        "tags": ["a", "b"],
        "starting": "2100-01-01T00:00:00+09:00",
        "until": "2100-02-01T00:00:00+09:00",
        "max_runs": 3,
    }
    schedule = {"schedule_type": "daily", "schedule_config": {"time": "02:00"}}
    answer = await client.post("/api/jobs", interval_job(**options, **schedule, enabled=False))
    job = (await client.get("/api/jobs/nightly%2Fr%C3%A4um%20auf")).json()["job"]

    assert 201 == answer.status, answer.body
    changed = {"starting": "2099-12-31T15:00:00+00:00", "until": "2100-01-31T15:00:00+00:00"}
    assert options | changed == {name: job[name] for name in options}
    assert job["paused"] is True
    assert "paused" == job["status"]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a missing member": ({"func_name": ...}, "/func_name"),
    "an unknown member": ({"intervall": 3}, "/intervall"),
    "an unknown member of the config": (
        {"schedule_config": {"interval": 3, "unitt": "hours"}},
        "/schedule_config/unitt",
    ),
    "an interval of zero": ({"schedule_config": {"interval": 0}}, "/schedule_config/interval"),
    "a negative interval": ({"schedule_config": {"interval": -1}}, "/schedule_config/interval"),
    "a unit that is none": ({"schedule_config": {"interval": 1, "unit": "moons"}}, "/schedule_config/unit"),
    "a cron that cannot be": (
        {"schedule_type": "cron", "schedule_config": {"expression": "0 0 31 2 *"}},
        "/schedule_config/expression",
    ),
    "a day that is none": (
        {"schedule_type": "weekly", "schedule_config": {"time": "10:00", "days": [9]}},
        "/schedule_config/days",
    ),
    "a zone that is none": ({"timezone": "Mars/Olympus"}, "/timezone"),
    "a schedule type that is none": ({"schedule_type": "yearly"}, "/schedule_type"),
    "a past moment": ({"schedule_type": "once", "schedule_config": {"at": "2001-01-01"}}, "/schedule_config"),
    "a text for a number": ({"timeout": "5"}, "/timeout"),
    "a timeout of zero": ({"timeout": 0}, "/timeout"),
    "true for a number": ({"max_retries": True}, "/max_retries"),
    "a number beyond 64 bits": ({"args": [2**63]}, "/args/0"),
    "an id of a dot": ({"job_id": ".."}, "/job_id"),
    "an id with a control character": ({"job_id": "a\nb"}, "/job_id"),
    "an empty group": ({"group": ""}, "/group"),
    "a group that is too long": ({"group": "x" * 201}, "/group"),
    "a naive moment": ({"starting": "2100-01-01T00:00:00"}, "/starting"),
    "no object": ([], ""),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_wrong_is_pointed_at_and_nothing_is_made(client: Client, name: str) -> None:
    changes, pointer = WRONG[name]
    body: Any = changes
    if isinstance(changes, dict):
        body = {key: value for key, value in interval_job(**changes).items() if value is not ...}
    answer = await client.post("/api/jobs", body)

    assert 422 == answer.status, answer.body
    assert "application/problem+json" == answer.headers["content-type"]
    assert pointer in [fault["pointer"] for fault in answer.json()["errors"]], answer.body
    assert [] == (await client.get("/api/jobs")).json()["jobs"]


async def test_an_id_that_is_taken_is_a_conflict(client: Client) -> None:
    await client.post("/api/jobs", interval_job(job_id="one"))
    answer = await client.post("/api/jobs", interval_job(job_id="one"))

    assert (409, "one") == (answer.status, answer.json()["job_id"])


MISSING = [
    ("GET", "/api/jobs/nope"),
    ("PUT", "/api/jobs/nope"),
    ("DELETE", "/api/jobs/nope"),
    *(("POST", f"/api/jobs/nope/{verb}") for verb in ("pause", "resume", "enable", "disable", "run", "cancel")),
    ("GET", "/api/jobs/nope/runs"),
    ("GET", "/api/jobs/nope/preview"),
    ("GET", "/api/runs/nope"),
    ("GET", "/api/runs/0x1"),
    ("POST", "/api/runs/nope/cancel"),
    ("GET", "/api/groups/nope/jobs"),
    ("POST", "/api/groups/nope/pause"),
    ("POST", "/api/groups/nope/resume"),
    ("DELETE", "/api/groups/nope"),
    ("POST", "/api/dead-letters/nope/retry"),
    ("DELETE", "/api/dead-letters/nope"),
    ("GET", "/api/nope"),
    ("GET", "/static/nope.js"),
    ("GET", "/static/../http.py"),
    ("GET", "/static/%2e%2e/http.py"),
    ("GET", "/api/jobs/%ff"),
    ("GET", "/api/jobs/%00"),
    ("GET", "/api/jobs/" + "x" * 201),
]


@pytest.mark.parametrize(("method", "path"), MISSING)
async def test_what_does_not_exist_is_404_and_never_200(client: Client, method: str, path: str) -> None:
    answer = await client.request(method, path, json_body={} if method == "PUT" else ...)

    assert 404 == answer.status
    assert "application/problem+json" == answer.headers["content-type"]
    assert {"type", "title", "status", "error", "detail"} <= answer.json().keys()


async def test_a_problem_names_the_job(client: Client) -> None:
    assert "nope" == (await client.get("/api/jobs/nope")).json()["job_id"]


async def test_put_changes_what_it_names_and_leaves_the_rest(client: Client) -> None:
    await client.post("/api/jobs", interval_job(job_id="j", kwargs={"x": 1}, group="g", max_retries=7))
    answer = await client.put("/api/jobs/j", {"job_name": "new", "schedule_config": {"interval": 5}, "enabled": False})
    job = (await client.get("/api/jobs/j")).json()["job"]

    assert 200 == answer.status, answer.body
    assert ("new", {"interval": 5, "unit": "seconds"}, True) == (job["job_name"], job["schedule_config"], job["paused"])
    assert ({"x": 1}, "g", 7) == (job["kwargs"], job["group"], job["max_retries"])


@pytest.mark.parametrize(
    ("before", "change"),
    [
        (("weekly", {"time": "10:00", "days": [1]}), {"time": "11:00", "days": [2]}),
        (("hourly", {"time": ":10"}), {"time": "20"}),
        (("once", {"delay": 3600}), {"delay": 10, "unit": "minutes"}),
    ],
)
async def test_put_changes_every_kind_of_schedule(client: Client, before: Any, change: dict[str, Any]) -> None:
    await client.post("/api/jobs", interval_job(job_id="j", schedule_type=before[0], schedule_config=before[1]))
    answer = await client.put("/api/jobs/j", {"schedule_config": change})

    assert 200 == answer.status, answer.body
    job = (await client.get("/api/jobs/j")).json()["job"]
    assert before[0] == job["schedule_type"]


async def test_put_is_all_or_nothing(client: Client) -> None:
    await client.post("/api/jobs", interval_job(job_id="j"))
    before = (await client.get("/api/jobs/j")).json()["job"]
    answer = await client.put("/api/jobs/j", {"job_name": "new", "timezone": "Mars/Olympus"})
    after = (await client.get("/api/jobs/j")).json()["job"]

    assert 422 == answer.status
    assert before | {"next_run_in": 0} == after | {"next_run_in": 0}


async def test_if_match_guards_a_change(client: Client) -> None:
    await client.post("/api/jobs", interval_job(job_id="j"))
    tag = (await client.get("/api/jobs/j")).headers["etag"]
    first = await client.put("/api/jobs/j", {"job_name": "a"}, headers={"if-match": tag})
    second = await client.put("/api/jobs/j", {"job_name": "b"}, headers={"if-match": tag})
    third = await client.put("/api/jobs/j", {"job_name": "c"}, headers={"if-match": first.headers["etag"]})

    assert [200, 412, 200] == [first.status, second.status, third.status]
    assert "c" == (await client.get("/api/jobs/j")).json()["job"]["job_name"]


async def test_a_masked_argument_that_is_sent_back_keeps_its_value(client: Client, scheduler: Scheduler) -> None:
    await client.post("/api/jobs", interval_job(job_id="j", kwargs={"api_key": "s3cret", "n": 1}))
    shown = (await client.get("/api/jobs/j")).json()["job"]["kwargs"]
    await client.put("/api/jobs/j", {"kwargs": shown | {"n": 2}})

    assert {"api_key": "***", "n": 1} == shown
    assert {"api_key": "s3cret", "n": 2} == (await scheduler.get_job("j")).kwargs


async def test_pages_lead_to_each_other_and_hold_each_job_once(client: Client) -> None:
    for number in range(7):
        await client.post("/api/jobs", interval_job(job_id=f"j{number}"))
    seen: list[str] = []
    path = "/api/jobs?limit=3"
    while True:
        page = (await client.get(path)).json()
        seen += [job["job_id"] for job in page["jobs"]]
        if page["next_cursor"] is None:
            break
        path = f"/api/jobs?limit=3&cursor={page['next_cursor']}"

    assert [f"j{number}" for number in range(7)] == seen


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "limit=", "limit=1.5", "status=odd", "nope=1", "cursor=", "group="]
)
async def test_a_wrong_query_is_refused(client: Client, query: str) -> None:
    answer = await client.get(f"/api/jobs?{query}")

    assert 422 == answer.status
    assert "?" + query.partition("=")[0] == answer.json()["errors"][0]["pointer"]


async def test_lists_are_filtered(client: Client) -> None:
    await client.post("/api/jobs", interval_job(job_id="alpha", group="x"))
    await client.post("/api/jobs", interval_job(job_id="omega", group="y", enabled=False))

    for query, wanted in [
        ("group=x", ["alpha"]),
        ("status=paused", ["omega"]),
        ("q=OMEG", ["omega"]),
        ("q=zzz", []),
        ("q=", ["alpha", "omega"]),
    ]:
        assert wanted == [job["job_id"] for job in (await client.get(f"/api/jobs?{query}")).json()["jobs"]], query


async def test_a_run_is_listed_and_read_with_its_attempts(client: Client, scheduler: Scheduler) -> None:
    await client.post("/api/jobs", interval_job(job_id="j", args=[7], kwargs={"password": "p"}))
    run_id = (await client.post("/api/jobs/j/run")).json()["run_id"]
    await scheduler.wait_for_run(run_id)
    [row] = (await client.get("/api/jobs/j/runs")).json()["history"]
    run = (await client.get(f"/api/runs/{run_id}")).json()["run"]

    assert (run_id, "succeeded", True, MODULE) == (row["run_id"], row["status"], row["manual"], row["func_module"])
    assert ("succeeded", 7, [7], {"password": "***"}) == (run["status"], run["result"], run["args"], run["kwargs"])
    assert ["ok"] == [attempt["outcome"] for attempt in run["attempts"]]


async def test_the_history_stays_when_the_job_is_gone(client: Client, scheduler: Scheduler) -> None:
    await client.post("/api/jobs", interval_job(job_id="j"))
    await scheduler.wait_for_run((await client.post("/api/jobs/j/run")).json()["run_id"])
    await client.delete("/api/jobs/j")

    assert 1 == len((await client.get("/api/jobs/j/runs")).json()["history"])
    assert 1 == len((await client.get("/api/history?job_id=j&status=succeeded")).json()["history"])
    assert [] == (await client.get("/api/jobs/j/runs?status=failed")).json()["history"]


async def test_a_running_job_that_may_not_overlap_is_busy(client: Client) -> None:
    await client.post("/api/jobs", interval_job(job_id="j", func_name="wait_long"))
    first = await client.post("/api/jobs/j/run")
    second = await client.post("/api/jobs/j/run")

    assert [200, 409] == [first.status, second.status]


async def test_a_run_is_cancelled_once(client: Client, scheduler: Scheduler) -> None:
    await client.post("/api/jobs", interval_job(job_id="j", func_name="wait_long"))
    run_id = (await client.post("/api/jobs/j/run")).json()["run_id"]
    first = await client.post(f"/api/runs/{run_id}/cancel")
    run = await scheduler.wait_for_run(run_id)
    second = await client.post(f"/api/runs/{run_id}/cancel")

    assert (200, "cancelled", 409) == (first.status, run.status, second.status)


async def dead_letter(client: Client, scheduler: Scheduler) -> str:
    await client.post("/api/jobs", interval_job(job_id="bad", func_name="fail", max_retries=0))
    run_id: str = (await client.post("/api/jobs/bad/run")).json()["run_id"]
    await scheduler.wait_for_run(run_id)
    return run_id


async def test_a_dead_letter_is_shown_retried_and_discarded(client: Client, scheduler: Scheduler) -> None:
    run_id = await dead_letter(client, scheduler)
    page = (await client.get("/api/dead-letters")).json()
    retried = await client.post(f"/api/dead-letters/{run_id}/retry")
    again = await scheduler.wait_for_run(retried.json()["run_id"])

    assert (1, [run_id]) == (page["total"], [letter["run_id"] for letter in page["dead_letters"]])
    assert (200, run_id) == (retried.status, again.replay_of)
    assert 200 == (await client.delete(f"/api/dead-letters/{run_id}")).status
    assert 404 == (await client.delete(f"/api/dead-letters/{run_id}")).status


async def test_all_dead_letters_are_cleared(client: Client, scheduler: Scheduler) -> None:
    await dead_letter(client, scheduler)

    assert {"success": True, "message": "Cleared 1 dead letters", "cleared": 1} == (
        await client.delete("/api/dead-letters")
    ).json()
    assert 0 == (await client.get("/api/dead-letters")).json()["total"]


async def test_passwords_in_errors_are_masked_and_hostile_text_is_only_text(
    client: Client, scheduler: Scheduler
) -> None:
    run_id = await dead_letter(client, scheduler)
    answer = await client.get(f"/api/runs/{run_id}")
    run = answer.json()["run"]

    assert b"hunter2" not in answer.body
    assert "postgresql://***@db/x" in run["error"]["message"]
    assert HOSTILE in run["error"]["message"]
    assert ("application/json", "nosniff") == (answer.headers["content-type"], answer.headers["x-content-type-options"])


async def test_a_preview_tells_of_clock_changes(client: Client) -> None:
    body = {"schedule_type": "daily", "schedule_config": {"time": "02:30"}, "timezone": "America/New_York", "n": 400}
    answer = (await client.post("/api/preview", body)).json()

    assert "America/New_York" == answer["timezone"]
    assert 400 == len(answer["instants"])
    [gap] = [instant for instant in answer["instants"] if instant["note"] == "gap"]
    assert "T03:00:00-04:00" in gap["local"]


async def test_a_jobs_preview_has_its_instants(client: Client) -> None:
    await client.post("/api/jobs", interval_job(job_id="j"))
    answer = (await client.get("/api/jobs/j/preview?n=3")).json()
    job = (await client.get("/api/jobs/j")).json()["job"]

    assert 3 == len(answer["instants"])
    assert job["next_run"] == answer["instants"][0]["at"]


async def test_status_functions_nodes_and_health(client: Client, scheduler: Scheduler) -> None:
    status = (await client.get("/api/status")).json()
    functions = (await client.get("/api/functions")).json()["functions"]
    nodes = (await client.get("/api/nodes")).json()["nodes"]

    assert (True, True) == (status["running"], status["statistics"]["running"])
    assert {"func_module": MODULE, "func_name": "work"} in functions
    assert 1 == len(nodes)
    assert {"status": "ok"} == (await client.get("/healthz")).json()


async def test_a_stopped_scheduler_is_shown_as_such(client: Client, scheduler: Scheduler) -> None:
    await scheduler.stop()
    status = await client.get("/api/status")
    health = await client.get("/healthz")
    jobs = await client.get("/api/jobs")

    assert (200, False, None) == (status.status, status.json()["running"], status.json()["statistics"])
    assert (503, {"status": "stopped"}) == (health.status, health.json())
    assert (503, "2") == (jobs.status, jobs.headers["retry-after"])


class Away(Scheduler):
    """A scheduler that runs and cannot reach its store."""

    @property
    def store_available(self) -> bool:
        return False

    async def get_jobs(self, *args: Any, **options: Any) -> Any:
        raise StoreUnavailable("cannot reach postgresql://u:hunter2@h/db")

    async def get_statistics(self, **options: Any) -> Any:
        raise StoreUnavailable("cannot reach postgresql://u:hunter2@h/db")


async def test_a_store_that_is_away_is_told_and_its_password_is_not() -> None:
    async with Away() as scheduler:
        client = Client(create_app(scheduler, install_signal_handlers=False))
        health = await client.get("/healthz")
        jobs = await client.get("/api/jobs")
        stream = client.stream()
        snapshot = await stream.until("snapshot")
        await stream.leave()
        await client.app.site.hub.aclose()  # type: ignore[attr-defined]

    assert (503, {"status": "store_unavailable"}) == (health.status, health.json())
    assert (503, "Store is unavailable") == (jobs.status, jobs.json()["error"])
    assert b"hunter2" not in jobs.body
    assert (True, False, None) == (
        snapshot.data["running"], snapshot.data["store_available"], snapshot.data["statistics"],
    )  # fmt: skip
