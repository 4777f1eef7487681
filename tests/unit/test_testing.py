"""Virtual time: when it jumps, when it stands still, and what it refuses."""

from __future__ import annotations

import asyncio
import time

import anyio
import pytest

from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time


async def test_year_of_minutely_wake_ups_takes_seconds(clock: VirtualClock) -> None:
    began = time.perf_counter()
    for _ in range(365 * 24 * 60):
        await anyio.sleep(60)

    assert 365 * 86_400 == clock.elapsed()
    assert time.perf_counter() - began < 60


async def test_time_stands_still_while_anyio_thread_works(clock: VirtualClock) -> None:
    async with asyncio.timeout(0.001):
        await anyio.to_thread.run_sync(time.sleep, 0.2)

    assert 0 == clock.elapsed()
