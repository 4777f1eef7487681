"""The clocks: what each of the two readings does when time is stepped, suspended or simply passes."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta, timezone

import anyio
import pytest

from asched import instants
from asched.clock import Clock, SystemClock
from asched.errors import InvalidArgument
from asched.instants import SECOND
from asched.testing import VirtualClock

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def test_system_clock_shows_the_wall_time_in_microseconds() -> None:
    before = time.time_ns() // 1000
    shown = SystemClock().now()
    after = time.time_ns() // 1000

    assert before <= shown <= after


def test_system_clock_elapses_as_real_time_does() -> None:
    clock: Clock = SystemClock()

    # The process may have to wait between any two of these: what elapsed lies between the inner and the outer time.
    outer_began, began, inner_began = time.monotonic(), clock.elapsed(), time.monotonic()
    time.sleep(0.05)
    inner_ended, ended, outer_ended = time.monotonic(), clock.elapsed(), time.monotonic()

    assert inner_ended - inner_began - 0.001 <= ended - began <= outer_ended - outer_began + 0.001


@pytest.mark.virtual_time
async def test_virtual_clock_begins_at_its_start_with_nothing_elapsed(clock: VirtualClock) -> None:
    assert instants.from_datetime(T0) == clock.now()
    assert clock.now_datetime() == T0
    assert clock.elapsed() == 0


@pytest.mark.virtual_time
async def test_sleeping_moves_wall_clock_and_elapsed_alike(clock: VirtualClock) -> None:
    began = clock.now()
    await anyio.sleep(90.000001)

    assert clock.now() - began == 90_000_001
    assert clock.elapsed() == 90.000001


@pytest.mark.virtual_time
@pytest.mark.parametrize("seconds", [3600.0, -7200.0, 0.000001])
async def test_step_moves_the_wall_clock_and_nothing_elapses(clock: VirtualClock, seconds: float) -> None:
    began = clock.now()
    clock.step(seconds)

    assert clock.now() - began == round(seconds * SECOND)
    assert clock.elapsed() == 0


@pytest.mark.virtual_time
async def test_suspend_moves_both_readings_and_leaves_timers_behind(clock: VirtualClock) -> None:
    began = clock.now()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep, 60)
        await anyio.sleep(10)
        clock.suspend(3600)
        suspended = clock.now(), clock.elapsed()

    assert suspended == (began + 3610 * SECOND, 3610)
    assert clock.now() - began == 3660 * SECOND
    assert clock.elapsed() == 3660


@pytest.mark.virtual_time
async def test_sleep_until_ends_at_the_very_microsecond_over_forty_years(clock: VirtualClock) -> None:
    draw = random.Random(20260101)
    moment = T0
    late = []
    while moment < T0 + timedelta(days=40 * 365.25):
        moment += timedelta(microseconds=draw.randrange(1, 2 * 86_400 * SECOND))
        await clock.sleep_until(moment)
        late.append(clock.now_datetime() - moment)

    assert len(late) > 14_000
    assert set(late) == {timedelta(0)}


@pytest.mark.virtual_time
async def test_sleep_until_outlasts_a_clock_set_back_meanwhile(clock: VirtualClock) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(clock.sleep_until, T0 + timedelta(hours=1))
        await anyio.sleep(60)
        clock.step(-600)

    assert clock.now_datetime() == T0 + timedelta(hours=1)
    assert clock.elapsed() == 4200


@pytest.mark.virtual_time
async def test_sleep_until_takes_any_zone_and_returns_at_once_for_the_past(clock: VirtualClock) -> None:
    await clock.sleep_until(datetime(2026, 1, 1, 9, 0, tzinfo=timezone(timedelta(hours=9))))
    await clock.sleep_until(datetime(2020, 1, 1, tzinfo=UTC))

    assert clock.elapsed() == 0


@pytest.mark.virtual_time
async def test_what_no_clock_can_do_is_refused(clock: VirtualClock) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - the naive one is the point

    with pytest.raises(InvalidArgument, match="no time zone"):
        await clock.sleep_until(naive)
    with pytest.raises(InvalidArgument, match="no time zone"):
        VirtualClock(clock._loop, naive)
    with pytest.raises(InvalidArgument, match="sets the clock back"):
        clock.suspend(-1)
    for seconds in (float("inf"), float("nan")):
        with pytest.raises(InvalidArgument, match="no number of seconds"):
            clock.step(seconds)
