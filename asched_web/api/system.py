"""The scheduler itself: status, health, functions, nodes, and this interface's own description."""

from __future__ import annotations

from asched.errors import NotStarted, StoreUnavailable
from asched.version import VERSION
from asched_web.endpoint import Endpoint, Listing, checked_query
from asched_web.http import Request, Response, json_response
from asched_web.openapi import document
from asched_web.schema import failures_json, moment, node_json, split_function, statistics_json
from asched_web.site import Site

__all__ = ["ENDPOINTS"]


async def get_status(site: Site, request: Request) -> Response:
    checked_query(request, {})
    scheduler = site.scheduler
    try:
        statistics = statistics_json(await scheduler.get_statistics(), per_job=True)
    except (NotStarted, StoreUnavailable):
        # The rest is known without a store, and a page that opens meanwhile needs it.
        statistics = None
    return json_response(
        {
            "running": scheduler.running,
            "healthy": scheduler.healthy,
            "failures": failures_json(scheduler.failures),
            "statistics": statistics,
            "as_of": moment(await site.now()),
            "name": scheduler.name,
            "title": site.title,
            "timezone": scheduler.timezone,
            "version": VERSION,
            "read_only": site.read_only,
            "actions": [action for action in ("view", "operate", "edit") if await _may(site, request, action)],
        }
    )


async def _may(site: Site, request: Request, action: str) -> bool:
    return action == "view" or (not site.read_only and await request.permits(action))


async def get_health(site: Site, request: Request) -> Response:
    """Say only whether it works: this is open to everybody."""
    scheduler = site.scheduler
    if not scheduler.running:
        return json_response({"status": "stopped"}, 503)
    if scheduler.failures:
        return json_response({"status": "failed"}, 503)
    if not scheduler.store_available:
        return json_response({"status": "store_unavailable"}, 503)
    return json_response({"status": "ok"})


async def list_functions(site: Site, request: Request) -> Response:
    checked_query(request, {})
    names = [split_function(name) for name in site.scheduler.functions()]
    return json_response({"functions": [{"func_module": module, "func_name": name} for module, name in names]})


async def list_nodes(site: Site, request: Request) -> Listing:
    checked_query(request, {})
    return Listing({"nodes": [node_json(node) for node in await site.scheduler.nodes()]})


async def get_openapi(site: Site, request: Request) -> Response:
    checked_query(request, {})
    # The table imports this module.
    from asched_web.api import ENDPOINTS

    return json_response(document(ENDPOINTS, site.title))


ENDPOINTS = (
    Endpoint("GET", "/healthz", "Whether jobs run: ok, stopped, failed, store_unavailable", None, "health", get_health),
    Endpoint("GET", "/api/status", "Whether the scheduler runs, and its counts", "view", "status", get_status),
    Endpoint("GET", "/api/functions", "The functions that jobs may name", "view", "functions", list_functions),
    Endpoint("GET", "/api/nodes", "The processes that work on the schedule", "view", "nodes", lister=list_nodes),
    Endpoint("GET", "/api/openapi.json", "This interface, as OpenAPI 3.1", None, "openapi", get_openapi),
)
