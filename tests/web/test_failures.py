"""A part of the scheduler that failed is shown: in the health, in the status and in the stream."""

from __future__ import annotations

from web.driver import Client

from asched import Scheduler
from asched_web import create_app


async def test_health_status_and_stream_say_which_part_failed_and_why() -> None:
    async with Scheduler() as scheduler:
        client = Client(create_app(scheduler, install_signal_handlers=False))
        engine = scheduler._engine
        assert engine is not None
        engine.fail("claims", RuntimeError("postgresql://ann:secret@host/db is odd"))

        health = await client.get("/healthz")
        status = (await client.get("/api/status")).json()
        engine.works("claims")
        recovered = await client.get("/healthz")

    assert (503, {"status": "failed"}) == (health.status, health.json())
    assert (True, False) == (status["running"], status["healthy"])
    [failure] = status["failures"]
    assert "claims" == failure["part"]
    assert "RuntimeError" in failure["error"] and "secret" not in failure["error"]
    assert 200 == recovered.status
