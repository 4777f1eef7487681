"""Runs: the history, one run with all its attempts, and the end of one."""

from __future__ import annotations

from typing import Any

from asched.model import Page, parse_run_id
from asched.store import RunFilter
from asched.views import Run
from asched_web.endpoint import Endpoint, Listing, checked_body, checked_query, path_text
from asched_web.http import Problem, Request, Response, json_response
from asched_web.schema import CURSOR, ID, LIMIT, RUN_STATUS, run_detail, run_json
from asched_web.site import Site

__all__ = ["ENDPOINTS"]

_PAGE = {"limit": LIMIT, "cursor": CURSOR}
_HISTORY_QUERY = {"func_name": ID, "job_id": ID, "status": RUN_STATUS, **_PAGE}
_JOB_RUNS_QUERY = {"status": RUN_STATUS, **_PAGE}


def _rows(page: Page[Run]) -> Listing:
    return Listing({"history": [run_json(run) for run in page], "next_cursor": page.next_cursor})


async def list_history(site: Site, request: Request) -> Listing:
    query: dict[str, Any] = checked_query(request, _HISTORY_QUERY)
    return _rows(await site.scheduler.get_history(**query))


async def list_runs_of_job(site: Site, request: Request) -> Listing:
    job_id = path_text(request, "job_id")
    query: dict[str, Any] = checked_query(request, _JOB_RUNS_QUERY)
    page = await site.scheduler.get_history(job_id=job_id, **query)
    if not page and not await site.scheduler.get_history(job_id=job_id, limit=1):
        # A job that was deleted still has its history; one without either does not exist.
        await site.scheduler.get_job(job_id)
    return _rows(page)


async def get_run(site: Site, request: Request) -> Response:
    run = await site.scheduler.get_run(path_text(request, "run_id"))
    return json_response({"run": run_detail(run, site.redactor, dead_letter=await _is_letter(site, run))})


async def _is_letter(site: Site, run: Run) -> bool:
    """Say whether a run is still a dead letter. Runs do not know, and one job has few letters."""
    if not run.status.dead:
        return False
    cursor: str | None = None
    number = parse_run_id(run.id)
    while True:
        letters, cursor = await site.scheduler.store.list_runs(RunFilter(job_id=run.job_id, dead=True), 1_000, cursor)
        if any(letter.id == number for letter in letters):
            return True
        if cursor is None:
            return False


async def cancel_run(site: Site, request: Request) -> Response:
    run_id = path_text(request, "run_id")
    await checked_body(request, None)
    run = await site.scheduler.get_run(run_id)
    if run.status.final:
        raise Problem(
            409,
            f"run {run_id!r} has ended as {run.status}; only a run that waits or runs can be cancelled",
            error="Run has ended",
            job_id=run.job_id,
        )
    run = await site.scheduler.cancel_run(run_id)
    return json_response(
        {"success": True, "message": f"Run {run_id} is being cancelled", "run_id": run_id, "job_id": run.job_id}
    )


ENDPOINTS = (
    Endpoint("GET", "/api/history", "Runs: those not ended first, then the newest first", "view", "history",
             lister=list_history, query=_HISTORY_QUERY),
    Endpoint("GET", "/api/jobs/{job_id}/runs", "The runs of one job, also of one that was deleted", "view", "history",
             lister=list_runs_of_job, query=_JOB_RUNS_QUERY, errors=(404,)),
    Endpoint("GET", "/api/runs/{run_id}", "One run with its attempts, log, result and traceback", "view", "run",
             get_run, errors=(404,)),
    Endpoint("POST", "/api/runs/{run_id}/cancel", "End a run that waits or runs", "operate", "done", cancel_run,
             errors=(404, 409), writes=True),
)  # fmt: skip
