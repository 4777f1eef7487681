"""Runs schemathesis over an application: real HTTP against a server in this process, all checks, a fixed seed."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn
from web.driver import Client

EXAMPLES = 8

# Words that no schema can hold a random value to: a zone must exist, a function be registered, a cron expression come
# true, a version be the job's. Data that fits the schema may therefore still be refused.
ALSO_REFUSED = ["2xx", "304", "401", "403", "404", "409", "412", "422"]


async def check(client: Client, ids: dict[str, str]) -> list[dict[str, Any]]:
    """Return what schemathesis found."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(client.app, lifespan="off", log_level="error"))  # type: ignore[arg-type]
        server.config.load()
        serving = asyncio.create_task(server._serve([listener]))
        try:
            return await asyncio.to_thread(_run, f"http://127.0.0.1:{listener.getsockname()[1]}", ids)
        finally:
            server.should_exit = True
            await serving


def _run(url: str, ids: dict[str, str]) -> list[dict[str, Any]]:
    import schemathesis
    from schemathesis.config import SchemathesisConfig
    from schemathesis.engine import events, from_schema

    config = SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "generation": {"max-examples": EXAMPLES, "deterministic": True, "database": "none"},
            "checks": {"positive_data_acceptance": {"expected-statuses": ALSO_REFUSED}},
            "phases": {"stateful": {"enabled": False}, "coverage": {"unexpected-methods": ["PATCH", "TRACE"]}},
            "parameters": {"path.job_id": "still", "path.run_id": ids["bad"], "path.group": "g"},
        }
    )
    schema = schemathesis.openapi.from_url(f"{url}/api/openapi.json", config=config)
    schema = schema.exclude(path="/events")
    failures: list[dict[str, Any]] = []
    tested: set[str] = set()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            tested.add(event.label or "")
            for case_id, checks in event.recorder.checks.items():
                for one in checks:
                    if one.failure_info is not None:
                        case = event.recorder.cases[case_id].value
                        shown = f"{case.method} {case.path} {case.path_parameters} {case.query} {case.body!r}"
                        failures.append(
                            {
                                "check": one.name,
                                "case": shown[:600],
                                "what": str(one.failure_info.failure)[:600],
                            }
                        )
        elif isinstance(event, (events.NonFatalError, events.FatalError)):
            failures.append({"check": "error", "case": getattr(event, "label", ""), "what": str(event)[:1000]})
    if len(tested) < 25:
        failures.append({"check": "coverage", "case": "", "what": f"only {sorted(tested)} were tested"})
    return failures
