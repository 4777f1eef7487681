"""The OpenAPI document, made from the table of endpoints: what is not routed is not in it, and the other way round."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from asched.version import VERSION
from asched_web.endpoint import Endpoint
from asched_web.http import Problem
from asched_web.schema import ANSWERS, COMPONENTS, EVENTS, ID, Wire

__all__ = ["document"]


def document(endpoints: Iterable[Endpoint], title: str) -> Wire:
    """Return the document as JSON-compatible objects."""
    paths: dict[str, dict[str, object]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    paths["/events"] = {"get": _events()}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": VERSION},
        # Relative to where this document is, so that it is right under every mount point and proxy.
        "servers": [{"url": ".."}],
        "paths": paths,
        "components": {
            "schemas": {**COMPONENTS, **{f"Event.{name}": schema for name, schema in EVENTS.items()}},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"bearer": []}],
    }


def _operation(endpoint: Endpoint) -> Wire:
    responses: dict[str, object] = {
        str(endpoint.status): {
            "description": "success",
            "content": {"application/json": {"schema": ANSWERS[endpoint.answer]}},
        }
    }
    if endpoint.lister is not None:
        responses["304"] = {"description": "the list is still the one of If-None-Match"}
    for status in sorted(_statuses(endpoint)):
        responses[str(status)] = _problem(status)
    if endpoint.path == "/healthz":
        responses["503"] = {**_mapping(responses["200"]), "description": "jobs do not run"}
    operation: Wire = {
        "operationId": endpoint.method.lower() + re.sub(r"\W+", "_", endpoint.path).rstrip("_"),
        "summary": endpoint.summary,
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": ID}
                for name in re.findall(r"\{(\w+)\}", endpoint.path)
            ),
            *({"name": name, "in": "query", "schema": schema} for name, schema in endpoint.query.items()),
            *([_IF_MATCH] if 412 in endpoint.errors else []),
        ],
        "responses": responses,
    }
    if endpoint.body is not None:
        schema = {"$ref": f"#/components/schemas/{endpoint.body}"}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "the ETag of the job that the change was made for",
    "schema": {"type": "string", "pattern": '^(\\*|"[0-9]+")$'},
}


def _statuses(endpoint: Endpoint) -> set[int]:
    statuses = set(endpoint.errors)
    if endpoint.action is None:
        return statuses | {422}
    statuses |= {401, 403, 422, 503}
    if endpoint.writes:
        statuses |= {421}
    if endpoint.writes or endpoint.body is not None:
        statuses |= {400, 413, 415}
    return statuses


def _problem(status: int) -> Wire:
    return {
        "description": Problem(status, "").error,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _events() -> Wire:
    names = ", ".join(EVENTS)
    return {
        "operationId": "get_events",
        "summary": f"Server-sent events: {names}; the schema Event.<name> is that of an event's data",
        "parameters": [
            {"name": "last_id", "in": "query", "schema": {"type": "string", "maxLength": 100}},
            {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string", "maxLength": 100}},
        ],
        "responses": {
            "200": {"description": "a stream", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
            **{str(status): _problem(status) for status in (401, 403, 503)},
        },
    }


def _mapping(value: object) -> Mapping[str, object]:
    assert isinstance(value, Mapping)
    return value
