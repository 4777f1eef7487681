"""Jobs: list, make, read, change, delete, steer, and look ahead."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from asched.errors import FunctionUnknown, TriggerNotStorable
from asched.instants import from_datetime, to_datetime
from asched.planner import first_between
from asched.triggers import BuiltIn, Trigger, next_instant
from asched.triggers import preview as preview_of
from asched.triggers.config import from_config, to_config
from asched.views import Job
from asched_web.endpoint import Endpoint, Listing, checked_body, checked_query, path_text
from asched_web.http import Problem, Request, Response, json_response
from asched_web.schema import (
    CANCEL_JOB_QUERY,
    CURSOR,
    ID,
    JOB_STATUS,
    LIMIT,
    SEARCH,
    Wire,
    job_arguments,
    job_changes,
    job_detail,
    job_json,
    moment,
    split_function,
    timezone_of,
)
from asched_web.site import Site
from asched_web.validation import Schema

__all__ = ["ENDPOINTS", "job_rows"]

_PAGE = {"limit": LIMIT, "cursor": CURSOR}
_N: dict[str, Schema] = {"n": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 10}}


def job_rows(jobs: Sequence[Job], next_cursor: str | None) -> Listing:
    rows = [(job_json(job), job.next_run_at) for job in jobs]
    return Listing({"jobs": [row for row, _ in rows], "next_cursor": next_cursor}, rows)


async def list_jobs(site: Site, request: Request) -> Listing:
    query: dict[str, Any] = checked_query(request, LIST_JOBS_QUERY)
    page = await site.scheduler.get_jobs(
        group=query.get("group"),
        status=query.get("status"),
        query=query.get("q") or None,
        limit=query.get("limit", 50),
        cursor=query.get("cursor"),
    )
    return job_rows(page, page.next_cursor)


LIST_JOBS_QUERY = {"group": ID, "status": JOB_STATUS, "q": SEARCH, **_PAGE}


async def create_job(site: Site, request: Request) -> Response:
    body = await checked_body(request, "CreateJob")
    arguments: dict[str, Any] = job_arguments(body)
    arguments["func_module"] = _module_meant(site, body)
    job = await site.scheduler.create_job(**arguments)
    return _done(f"Job {job.id} created", job.id, status=201)


def _module_meant(site: Site, body: dict[str, object]) -> object:
    """Return the module that ``__main__`` stands for.

    It is the program that was started. Where that is a server (``uvicorn app:app``), whoever asks means the program
    served; that is plain as long as one module alone has registered a function of this name.
    """
    module = body["func_module"]
    if module == "__main__":
        known = [split_function(name) for name in site.scheduler.functions()]
        modules = [holder for holder, name in known if name == body["func_name"]]
        if len(modules) == 1:
            return modules[0]
    return module


async def get_job(site: Site, request: Request) -> Response:
    job = await site.scheduler.get_job(path_text(request, "job_id"))
    as_of = await site.now()
    return json_response(
        {"job": job_detail(job, as_of, site.redactor), "as_of": moment(as_of)},
        headers=[(b"etag", _etag(job.version))],
    )


async def update_job(site: Site, request: Request) -> Response:
    job_id = path_text(request, "job_id")
    body = await checked_body(request, "UpdateJob")
    job = await site.scheduler.get_job(job_id)
    version = _expected_version(request, job)
    if "func_module" in body:
        body["func_module"] = _module_meant(site, {"func_name": split_function(job.func)[1], **body})
    changes: dict[str, Any] = job_changes(body, job, site.redactor)
    if changes:
        job = await site.scheduler.update_job(job_id, version=version, **changes)
    return json_response(
        {"success": True, "message": f"Job {job_id} updated", "job_id": job_id},
        headers=[(b"etag", _etag(job.version))],
    )


def _etag(version: int) -> bytes:
    return f'"{version}"'.encode()


def _expected_version(request: Request, job: Job) -> int | None:
    """Return the version that ``If-Match`` asks for.

    Raises:
        Problem: 412: the header names none that a job could have, or not the one it has.
    """
    condition = request.headers.get(b"if-match", b"*").strip()
    if condition == b"*":
        return None
    tags = [tag.strip() for tag in condition.split(b",")]
    if _etag(job.version) in tags:
        return job.version
    raise Problem(
        412,
        f"job {job.id!r} is at version {job.version}, and If-Match asks for {condition.decode('latin-1')}; "
        "read it again and repeat the change",
        error="Job was changed",
        job_id=job.id,
        headers=[(b"etag", _etag(job.version))],
    )


async def cancel_job(site: Site, request: Request) -> Response:
    job_id = path_text(request, "job_id")
    query: dict[str, Any] = checked_query(request, {"running": CANCEL_JOB_QUERY})
    await checked_body(request, None)
    await site.scheduler.cancel_job(job_id, running=query.get("running", "finish"))
    return _done(f"Job {job_id} cancelled", job_id)


async def pause_job(site: Site, request: Request) -> Response:
    job_id = path_text(request, "job_id")
    await checked_body(request, None)
    await site.scheduler.pause_job(job_id)
    return _done(f"Job {job_id} paused", job_id)


async def resume_job(site: Site, request: Request) -> Response:
    job_id = path_text(request, "job_id")
    await checked_body(request, None)
    await site.scheduler.resume_job(job_id)
    return _done(f"Job {job_id} resumed", job_id)


async def run_job(site: Site, request: Request) -> Response:
    job_id = path_text(request, "job_id")
    await checked_body(request, None)
    try:
        run = await site.scheduler.run_job_now(job_id)
    except FunctionUnknown as error:
        # The request is right; it is the job's state that forbids it.
        raise Problem(
            409,
            f"no running node has the function {error.func!r} of job {job_id!r}; start one that registers it",
            error="Job is unresolved",
            job_id=job_id,
        ) from None
    return json_response({"success": True, "message": f"Job {job_id} started", "job_id": job_id, "run_id": run.id})


async def preview_job(site: Site, request: Request) -> Response:
    job_id = path_text(request, "job_id")
    query: dict[str, Any] = checked_query(request, _N)
    job = await site.scheduler.get_job(job_id)
    instants = await site.scheduler.preview(job_id, query.get("n", 10))
    return await _preview(site, job.trigger, instants)


async def preview_schedule(site: Site, request: Request) -> Response:
    body: dict[str, Any] = await checked_body(request, "PreviewRequest")
    trigger = from_config(body["schedule_type"], body["schedule_config"], body.get("timezone"))
    now = from_datetime(await site.now())
    starting, until = (_instant(body.get(name)) for name in ("starting", "until"))
    kept = await _kept_trigger(site, trigger, body.get("job_id"))
    bound = trigger.bound(now, site.scheduler.timezone, starting) if kept is None else kept
    instants: list[datetime] = []
    at = first_between(bound, now, starting, until)
    while at is not None and len(instants) < body.get("n", 10):
        instants.append(to_datetime(at))
        at = next_instant(bound, at)
        if until is not None and at is not None and at > until:
            break
    return await _preview(site, bound, instants)


async def _kept_trigger(site: Site, trigger: BuiltIn, job_id: str | None) -> Trigger | None:
    """Return the job's own trigger if an edit to ``trigger`` would leave it alone, with its phase."""
    if job_id is None:
        return None
    job = await site.scheduler.get_job(job_id)
    try:
        same = to_config(job.trigger) == to_config(trigger)
    except TriggerNotStorable:
        return None
    return job.trigger if same else None


def _instant(text: str | None) -> int | None:
    return None if text is None else from_datetime(datetime.fromisoformat(text))


async def _preview(site: Site, trigger: Trigger, instants: Sequence[datetime]) -> Response:
    timezone = timezone_of(trigger)
    zone = ZoneInfo(timezone or site.scheduler.timezone)
    notes: dict[int, str | None] = {}
    if instants:
        before = from_datetime(instants[0]) - 1
        notes = {shown.at: shown.note for shown in preview_of(trigger, before, len(instants))}
    shown: list[Wire] = [
        {
            "at": moment(at),
            "local": at.astimezone(zone).isoformat(),
            "note": notes.get(from_datetime(at)),
        }
        for at in instants
    ]
    return json_response(
        {
            "schedule": trigger.describe("en"),
            "schedule_zh": trigger.describe("zh"),
            "timezone": timezone,
            "instants": shown,
            "as_of": moment(await site.now()),
        }
    )


def _done(message: str, job_id: str, status: int = 200) -> Response:
    return json_response({"success": True, "message": message, "job_id": job_id}, status)


def _steer(verb: str, summary: str, handler: Any) -> Endpoint:
    return Endpoint(
        "POST", f"/api/jobs/{{job_id}}/{verb}", summary, "operate", "done", handler, errors=(404, 409), writes=True
    )


ENDPOINTS = (
    Endpoint("GET", "/api/jobs", "Jobs, in the order they were made", "view", "jobs", lister=list_jobs,
             query=LIST_JOBS_QUERY),
    Endpoint("POST", "/api/jobs", "Make a job", "edit", "done", create_job, status=201, body="CreateJob",
             errors=(409,), writes=True),
    Endpoint("GET", "/api/jobs/{job_id}", "One job, with its arguments and policies", "view", "job", get_job,
             errors=(404,)),
    Endpoint("PUT", "/api/jobs/{job_id}", "Change a job: members left out stay, all or nothing", "edit", "done",
             update_job, body="UpdateJob", errors=(404, 409, 412), writes=True),
    Endpoint("DELETE", "/api/jobs/{job_id}", "Delete a job; its history stays", "edit", "done", cancel_job,
             query={"running": CANCEL_JOB_QUERY}, errors=(404,), writes=True),
    Endpoint("POST", "/api/jobs/{job_id}/cancel", "Delete a job, as DELETE does", "edit", "done", cancel_job,
             query={"running": CANCEL_JOB_QUERY}, errors=(404,), writes=True),
    _steer("pause", "Plan no more runs of a job", pause_job),
    _steer("disable", "Plan no more runs of a job, as pause does", pause_job),
    _steer("resume", "Plan the runs of a job from now on", resume_job),
    _steer("enable", "Plan the runs of a job from now on, as resume does", resume_job),
    _steer("run", "Start a run now, beside the schedule", run_job),
    Endpoint("GET", "/api/jobs/{job_id}/preview", "The next instants of a job", "view", "preview", preview_job,
             query=_N, errors=(404,)),
    Endpoint("POST", "/api/preview", "The next instants of a schedule that is no job yet", "view", "preview",
             preview_schedule, body="PreviewRequest", errors=(404,)),
)  # fmt: skip
