"""Functions that jobs of these tests name, and a request that makes such a job."""

from __future__ import annotations

import asyncio
from typing import Any

HOSTILE = "<img src=x onerror=alert(1)>\"'\u2028</script>"


def work(n: int = 0, **rest: Any) -> int:
    return n


async def fail() -> None:
    raise ValueError(f"connection to postgresql://user:hunter2@db/x failed {HOSTILE}")


async def wait_long() -> None:
    await asyncio.sleep(3600)


MODULE = work.__module__


def interval_job(**changes: Any) -> dict[str, Any]:
    """The body that makes a job which is not due for an hour."""
    body = {
        "func_name": "work",
        "func_module": MODULE,
        "schedule_type": "interval",
        "schedule_config": {"interval": 3600, "unit": "seconds"},
    }
    return body | changes
