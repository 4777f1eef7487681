"""Dead letters: runs that failed for good, kept for a decision."""

from __future__ import annotations

from typing import Any

from asched.errors import FunctionUnknown, RunNotFound
from asched_web.endpoint import Endpoint, Listing, checked_body, checked_query, path_text
from asched_web.http import Problem, Request, Response, json_response
from asched_web.schema import CURSOR, LIMIT, run_json
from asched_web.site import Site

__all__ = ["ENDPOINTS"]

_PAGE = {"limit": {**LIMIT, "default": 100}, "cursor": CURSOR}


async def list_dead_letters(site: Site, request: Request) -> Listing:
    query: dict[str, Any] = checked_query(request, _PAGE)
    page = await site.scheduler.get_dead_letters(limit=query.get("limit", 100), cursor=query.get("cursor"))
    totals = await site.scheduler.store.totals(per_job=False)
    return Listing(
        {
            "dead_letters": [run_json(run) for run in page],
            "total": totals.dead_letters,
            "next_cursor": page.next_cursor,
        }
    )


async def retry_dead_letter(site: Site, request: Request) -> Response:
    run_id = path_text(request, "run_id")
    await checked_body(request, None)
    try:
        run = await site.scheduler.retry_dead_letter(run_id)
    except FunctionUnknown as error:
        raise Problem(
            409, f"no running node has the function {error.func!r}; start one that registers it",
            error="Job is unresolved",
        ) from None  # fmt: skip
    except RunNotFound:
        raise await _no_letter(site, run_id) from None
    return json_response(
        {
            "success": True,
            "message": f"Dead letter {run_id} runs again as {run.id}",
            "run_id": run.id,
            "job_id": run.job_id,
        }
    )


async def discard_dead_letter(site: Site, request: Request) -> Response:
    run_id = path_text(request, "run_id")
    await checked_body(request, None)
    try:
        await site.scheduler.discard_dead_letter(run_id)
    except RunNotFound:
        raise await _no_letter(site, run_id) from None
    return json_response({"success": True, "message": f"Dead letter {run_id} discarded", "run_id": run_id})


async def _no_letter(site: Site, run_id: str) -> Problem:
    """Return the answer to a request for a letter that is none: its run may still be in the history.

    Raises:
        RunNotFound: There is no such run either.
    """
    run = await site.scheduler.get_run(run_id)
    return Problem(
        404,
        f"run {run_id!r} is in the history, but it is no dead letter: it did not fail for good, it was discarded or run"
        " again, or newer letters took its place; to run the function again, start the job",
        error="No dead letter",
        job_id=run.job_id,
    )


async def clear_dead_letters(site: Site, request: Request) -> Response:
    await checked_body(request, None)
    count = await site.scheduler.clear_dead_letters()
    return json_response({"success": True, "message": f"Cleared {count} dead letters", "cleared": count})


ENDPOINTS = (
    Endpoint("GET", "/api/dead-letters", "Runs that failed for good, newest first", "view", "dead_letters",
             lister=list_dead_letters, query=_PAGE),
    Endpoint("DELETE", "/api/dead-letters", "Discard all dead letters", "edit", "cleared", clear_dead_letters,
             writes=True),
    Endpoint("POST", "/api/dead-letters/{run_id}/retry", "Run a dead letter again, with its arguments", "operate",
             "done", retry_dead_letter, errors=(404, 409), writes=True),
    Endpoint("DELETE", "/api/dead-letters/{run_id}", "Discard a dead letter", "edit", "done", discard_dead_letter,
             errors=(404,), writes=True),
)  # fmt: skip
