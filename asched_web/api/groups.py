"""Groups: labels on jobs, and one step for all that bear one."""

from __future__ import annotations

from typing import Any

from asched_web.api.jobs import job_rows
from asched_web.endpoint import Endpoint, Listing, checked_body, checked_query, path_text
from asched_web.http import Problem, Request, Response, json_response
from asched_web.schema import CURSOR, LIMIT, group_json
from asched_web.site import Site

__all__ = ["ENDPOINTS"]

_PAGE = {"limit": LIMIT, "cursor": CURSOR}


async def list_groups(site: Site, request: Request) -> Listing:
    checked_query(request, {})
    return Listing({"groups": [group_json(group) for group in await site.scheduler.get_groups()], "next_cursor": None})


async def list_jobs_of_group(site: Site, request: Request) -> Listing:
    group = path_text(request, "group")
    query: dict[str, Any] = checked_query(request, _PAGE)
    page = await site.scheduler.get_jobs(group=group, limit=query.get("limit", 50), cursor=query.get("cursor"))
    if not page:
        await _check_known(site, group)
    return job_rows(page, page.next_cursor)


async def pause_group(site: Site, request: Request) -> Response:
    group = path_text(request, "group")
    await checked_body(request, None)
    count = await site.scheduler.pause_group(group)
    if not count:
        await _check_known(site, group)
    return json_response({"success": True, "message": f"Paused {count} jobs in group {group}", "paused": count})


async def resume_group(site: Site, request: Request) -> Response:
    group = path_text(request, "group")
    await checked_body(request, None)
    count = await site.scheduler.resume_group(group)
    if not count:
        await _check_known(site, group)
    return json_response({"success": True, "message": f"Resumed {count} jobs in group {group}", "resumed": count})


async def cancel_group(site: Site, request: Request) -> Response:
    group = path_text(request, "group")
    await checked_body(request, None)
    count = await site.scheduler.cancel_group(group)
    if not count:
        raise _unknown(group)
    return json_response({"success": True, "message": f"Cancelled {count} jobs in group {group}", "cancelled": count})


async def _check_known(site: Site, group: str) -> None:
    """A group exists as long as a job bears its name; only where no job was found does it cost a look."""
    if all(known.name != group for known in await site.scheduler.get_groups()):
        raise _unknown(group)


def _unknown(group: str) -> Problem:
    return Problem(404, f"no job is in the group {group!r}", error="Group not found")


ENDPOINTS = (
    Endpoint("GET", "/api/groups", "Groups, with how many jobs each has", "view", "groups", lister=list_groups),
    Endpoint("DELETE", "/api/groups/{group}", "Delete the jobs of a group", "edit", "cancelled", cancel_group,
             errors=(404,), writes=True),
    Endpoint("GET", "/api/groups/{group}/jobs", "The jobs of a group", "view", "jobs", lister=list_jobs_of_group,
             query=_PAGE, errors=(404,)),
    Endpoint("POST", "/api/groups/{group}/pause", "Pause the jobs of a group", "operate", "paused", pause_group,
             errors=(404,), writes=True),
    Endpoint("POST", "/api/groups/{group}/resume", "Resume the jobs of a group", "operate", "resumed", resume_group,
             errors=(404,), writes=True),
)  # fmt: skip
