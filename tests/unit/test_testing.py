"""Virtual time: when it jumps, when it stands still, and what it refuses."""

from __future__ import annotations

import asyncio
import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from anyio._backends._asyncio import AsyncIOBackend

from asched import offload
from asched.errors import InvalidArgument
from asched.instants import SECOND
from asched.testing import VirtualClock, VirtualTimeLoop, run_virtual, virtual_clock

virtual_time = pytest.mark.virtual_time

# Longer than the recount of a held loop, short enough for many tests: real seconds that a thread works.
WORK = 0.2


# Jumping


@virtual_time
async def test_month_of_minutely_wake_ups_is_over_when_it_has_passed(clock: VirtualClock) -> None:
    for _ in range(30 * 24 * 60):
        await asyncio.sleep(60)

    assert clock.elapsed() == 30 * 86_400


@virtual_time
async def test_tasks_wake_in_the_order_of_their_timers(clock: VirtualClock) -> None:
    woken: list[tuple[float, float]] = []

    async def sleeper(seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((seconds, clock.elapsed()))

    delays = [float(n) for n in range(1, 500)]
    random.Random(7).shuffle(delays)
    async with asyncio.TaskGroup() as tasks:
        for delay in delays:
            tasks.create_task(sleeper(delay))

    assert woken == [(delay, delay) for delay in sorted(delays)]


@virtual_time
async def test_ready_tasks_run_before_time_moves(clock: VirtualClock) -> None:
    async def busy() -> float:
        for _ in range(1_000):
            await asyncio.sleep(0)
        return clock.elapsed()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.sleep(0.001))
        worker = tasks.create_task(busy())

    assert worker.result() == 0


@virtual_time
async def test_timeouts_of_asyncio_and_anyio_end_at_their_instant(clock: VirtualClock) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3600):
            await asyncio.Event().wait()
    with pytest.raises(TimeoutError), anyio.fail_after(1800):
        await anyio.sleep_forever()
    with anyio.move_on_after(600) as scope:
        await anyio.sleep(601)

    assert scope.cancelled_caught
    assert clock.elapsed() == 3600 + 1800 + 600


@virtual_time
async def test_cancelled_sleep_moves_no_time(clock: VirtualClock) -> None:
    task = asyncio.create_task(asyncio.sleep(1_000_000))
    await asyncio.sleep(5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # More than asyncio keeps before it cleans its heap of cancelled timers.
    for other in [asyncio.create_task(asyncio.sleep(500_000)) for _ in range(300)]:
        await asyncio.sleep(0)
        other.cancel()
    await asyncio.sleep(5)

    assert clock.elapsed() == 10


@virtual_time
async def test_sleeping_until_a_deadline_of_the_loop_comes_to_an_end(clock: VirtualClock) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(7.00325)
    deadline = loop.time() + 1.0
    assert deadline > 8.00325, "the sum is ahead of the microsecond by a rounding error, or this shows nothing"
    sleeps = 0
    while loop.time() < deadline and sleeps < 10:
        await asyncio.sleep(deadline - loop.time())
        sleeps += 1

    assert sleeps <= 3
    assert clock.elapsed() == pytest.approx(8.00325, abs=2e-6)


@virtual_time
async def test_timers_a_microsecond_apart_ring_apart_after_sixty_years(clock: VirtualClock) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(60 * 365.25 * 86_400)
    began = clock.now()
    rung: list[tuple[int, int]] = []

    def ring(wanted: int) -> None:
        rung.append((wanted, clock.now() - began))

    for microseconds in random.Random(11).sample(range(1, 2_001), 2_000):
        loop.call_later(microseconds / SECOND, ring, microseconds)
    await asyncio.sleep(1)

    assert rung == [(n, n) for n in range(1, 2_001)]


@virtual_time
@pytest.mark.parametrize("seconds", [1e-9, 0.5e-6, 1.5e-6, 2.5e-6, 0.9999995, 1e-300])
async def test_timers_between_microseconds_ring(clock: VirtualClock, seconds: float) -> None:
    await asyncio.sleep(seconds)

    assert 0 <= clock.elapsed() - seconds < 1e-6 or abs(clock.elapsed() - seconds) <= 0.5e-6


# Standing still


@virtual_time
@pytest.mark.parametrize("to_thread", ["anyio", "asyncio", "executor", "own executor"])
async def test_time_stands_still_while_a_thread_works(clock: VirtualClock, to_thread: str) -> None:
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    async with asyncio.timeout(0.001):
        if to_thread == "anyio":
            await anyio.to_thread.run_sync(time.sleep, WORK)
        elif to_thread == "asyncio":
            await asyncio.to_thread(time.sleep, WORK)
        elif to_thread == "executor":
            await loop.run_in_executor(None, time.sleep, WORK)
        else:
            with ThreadPoolExecutor(1) as executor:
                await loop.run_in_executor(executor, time.sleep, WORK)

    assert clock.elapsed() == 0
    assert time.perf_counter() - began >= WORK


@virtual_time
async def test_time_stands_still_while_counted_work_is_out(clock: VirtualClock) -> None:
    loop = asyncio.get_running_loop()
    back = asyncio.Event()

    def come_back() -> None:
        offload.end()
        back.set()

    def work() -> None:
        time.sleep(WORK)
        loop.call_soon_threadsafe(come_back)

    offload.begin()
    thread = threading.Thread(target=work)
    thread.start()
    async with asyncio.timeout(0.001):
        await back.wait()
    thread.join()

    assert clock.elapsed() == 0


@virtual_time
async def test_time_goes_on_between_and_after_pieces_of_work(clock: VirtualClock) -> None:
    for _ in range(50):
        await asyncio.sleep(60)
        await anyio.to_thread.run_sync(time.sleep, 0.001)
        await asyncio.to_thread(time.sleep, 0.001)

    assert clock.elapsed() == 3000


@virtual_time
async def test_work_that_nobody_waits_for_any_more_stops_no_time(clock: VirtualClock) -> None:
    release = threading.Event()

    async def start_and_abandon() -> None:
        await anyio.to_thread.run_sync(release.wait, abandon_on_cancel=True)

    task = asyncio.create_task(start_and_abandon())
    # The task needs some turns to reach its thread; time does not move in them.
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    future = asyncio.get_running_loop().run_in_executor(None, release.wait)
    future.cancel()
    await asyncio.sleep(3600)
    release.set()

    assert clock.elapsed() == 3600


@virtual_time
async def test_worker_threads_that_idle_stop_no_time(clock: VirtualClock) -> None:
    release = threading.Event()

    async def idle() -> None:
        offload.uncounted.set(True)
        await anyio.to_thread.run_sync(release.wait)

    async def idle_in_executor() -> None:
        offload.uncounted.set(True)
        await asyncio.to_thread(release.wait)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(idle())
        tasks.create_task(idle_in_executor())
        await asyncio.sleep(3600)
        release.set()

    assert clock.elapsed() == 3600


@virtual_time
async def test_waiting_for_a_thread_token_stops_no_time(clock: VirtualClock) -> None:
    limiter = anyio.CapacityLimiter(1)

    async def hold() -> None:
        async with limiter:
            await anyio.sleep(30)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold)
        await anyio.sleep(1)
        await anyio.to_thread.run_sync(time.sleep, 0.01, limiter=limiter)

    assert clock.elapsed() == 30
    assert limiter.borrowed_tokens == 0


@virtual_time
async def test_thread_that_waits_for_the_loop_lets_time_pass(clock: VirtualClock) -> None:
    def work() -> float:
        time.sleep(0.05)
        anyio.from_thread.run(anyio.sleep, 3600)
        time.sleep(0.05)
        return clock.elapsed()

    with anyio.fail_after(3600.001):
        at_return = await anyio.to_thread.run_sync(work)

    assert at_return == 3600
    assert clock.elapsed() == 3600


@virtual_time
async def test_piece_of_work_in_a_worker_that_stays_is_waited_for(clock: VirtualClock) -> None:
    loop = asyncio.get_running_loop()
    back = asyncio.Event()
    pieces: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def stay() -> None:
        while (piece := pieces.get()) is not None:
            piece()

    async def worker() -> None:
        offload.uncounted.set(True)
        await anyio.to_thread.run_sync(stay)

    def come_back() -> None:
        offload.end()
        back.set()

    def work() -> None:
        time.sleep(0.05)
        anyio.from_thread.run(anyio.sleep, 3600)
        time.sleep(0.05)
        loop.call_soon_threadsafe(come_back)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker())
        await asyncio.sleep(60)
        offload.begin()
        pieces.put(work)
        async with asyncio.timeout(3600.001):
            await back.wait()
        pieces.put(None)

    assert clock.elapsed() == 3660


@virtual_time
async def test_thread_says_that_it_waits_and_meets_its_timeout(clock: VirtualClock) -> None:
    release = threading.Event()

    def overlong() -> None:
        with clock.letting_time_pass():
            release.wait()

    with anyio.move_on_after(5) as scope:
        await anyio.to_thread.run_sync(overlong, abandon_on_cancel=True)
    release.set()

    assert scope.cancelled_caught
    assert clock.elapsed() == 5


def test_work_left_out_by_a_closed_loop_stops_no_later_one() -> None:
    async def leave_one_out() -> None:
        offload.begin()

    async def sleep() -> float:
        await asyncio.sleep(3600)
        return virtual_clock().elapsed()

    run_virtual(leave_one_out())
    try:
        elapsed = run_virtual(sleep())
    finally:
        offload.end()

    assert elapsed == 3600


# Sockets and subprocesses


@virtual_time
async def test_two_ends_of_a_socket_in_one_loop_need_no_grace(clock: VirtualClock) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            await asyncio.sleep(60)
            writer.write(line)
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for n in range(20):
            writer.write(b"%d\n" % n)
            async with asyncio.timeout(61):
                assert await reader.readline() == b"%d\n" % n
        writer.close()
        await writer.wait_closed()
        assert await reader.read() == b""

    assert clock.elapsed() == 20 * 60


def test_grace_gives_a_slow_server_time_to_answer() -> None:
    near, far = socket.socketpair()

    def serve() -> None:
        time.sleep(WORK)
        far.sendall(b"hello\n")

    async def ask() -> tuple[bytes, float]:
        reader, writer = await asyncio.open_connection(sock=near)
        async with asyncio.timeout(1):
            line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return line, virtual_clock().elapsed()

    thread = threading.Thread(target=serve)
    thread.start()
    answer = run_virtual(ask(), grace=20)
    thread.join()
    far.close()

    assert answer == (b"hello\n", 0)


def test_without_grace_time_does_not_wait_for_a_socket() -> None:
    near, far = socket.socketpair()

    async def ask() -> float:
        _, writer = await asyncio.open_connection(sock=near)
        await asyncio.sleep(3600)
        writer.close()
        await writer.wait_closed()
        return virtual_clock().elapsed()

    elapsed = run_virtual(ask())
    far.close()

    assert elapsed == 3600


def test_grace_gives_a_subprocess_time_to_end() -> None:
    async def run() -> tuple[bytes, int | None, float]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print('done')", stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(1):
            out, _ = await process.communicate()
        return out.strip(), process.returncode, virtual_clock().elapsed()

    assert run_virtual(run(), grace=20) == (b"done", 0, 0)


def test_open_socket_is_waited_for_when_no_timer_is_left() -> None:
    near, far = socket.socketpair()

    def serve() -> None:
        time.sleep(WORK)
        far.sendall(b"late\n")

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection(sock=near)
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return line

    thread = threading.Thread(target=serve)
    thread.start()
    line = run_virtual(ask(), patience=0.01)
    thread.join()
    far.close()

    assert line == b"late\n"


# Deadlock


def test_deadlock_is_an_error_that_says_where_tasks_wait() -> None:
    async def wait_for_nothing() -> None:
        await asyncio.sleep(60)
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="no timer will bring") as error:
        run_virtual(wait_for_nothing(), patience=0.01)
    assert "test_testing.py" in str(error.value)
    assert "wait_for_nothing" in str(error.value)


def test_endless_sleep_alone_is_a_deadlock() -> None:
    with pytest.raises(RuntimeError, match="no timer will bring"):
        run_virtual(anyio.sleep_forever(), patience=0.01)


def test_uncounted_thread_may_call_back_within_the_patience() -> None:
    async def wait_for_thread() -> float:
        loop = asyncio.get_running_loop()
        back = asyncio.Event()
        timer = threading.Timer(WORK, loop.call_soon_threadsafe, [back.set])
        timer.start()
        await back.wait()
        timer.join()
        return virtual_clock().elapsed()

    assert run_virtual(wait_for_thread(), patience=20) == 0


def test_loop_ends_cleanly_after_a_deadlock_with_cleanup_that_sleeps() -> None:
    cleaned_up_at: list[float] = []

    async def wait_for_nothing() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(60)
            cleaned_up_at.append(virtual_clock().elapsed())

    with pytest.raises(RuntimeError, match="deadlock"):
        run_virtual(wait_for_nothing(), patience=0.01)
    assert cleaned_up_at == [60]


# Ways to run it


def test_run_virtual_returns_the_result_and_starts_where_told() -> None:
    async def main() -> datetime:
        await asyncio.sleep(86_400)
        return virtual_clock().now_datetime()

    began = datetime(2031, 5, 1, tzinfo=UTC)

    assert run_virtual(main(), start="2031-05-01T00:00:00Z") == began + timedelta(days=1)
    assert run_virtual(main(), start=began) == began + timedelta(days=1)
    assert run_virtual(main(), start="2031-05-01T02:00:00+02:00") == began + timedelta(days=1)


@pytest.mark.parametrize("start", ["2026-01-01", "tomorrow", datetime(2026, 1, 1)])  # noqa: DTZ001 - naive
def test_start_without_zone_or_sense_is_refused(start: str | datetime) -> None:
    with pytest.raises(InvalidArgument, match="start="):
        run_virtual(asyncio.sleep(0), start=start)


def test_asyncio_runner_takes_the_loop_as_factory() -> None:
    async def main() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualTimeLoop, debug=True) as runner:
        assert runner.run(main()) == 3600
        assert runner.run(main()) == 7200


def test_closing_loop_waits_for_the_threads_of_its_executor() -> None:
    ended = threading.Event()

    def work() -> None:
        time.sleep(WORK)
        ended.set()

    async def abandon_it() -> None:
        asyncio.get_running_loop().run_in_executor(None, work).cancel()

    # Without the wait: a warning about 300 seconds on Python 3.12 and later, a deadlock before.
    run_virtual(abandon_it(), patience=0.01)

    assert ended.is_set()


def test_run_virtual_inside_a_loop_is_refused() -> None:
    async def main() -> None:
        run_virtual(asyncio.sleep(1))

    with pytest.raises(RuntimeError, match="cannot be called where one is running"):
        run_virtual(main())
    with pytest.raises(RuntimeError, match="cannot be called where one is running"):
        asyncio.run(main())


def test_virtual_clock_needs_a_virtual_loop() -> None:
    async def main() -> None:
        virtual_clock()

    with pytest.raises(RuntimeError, match="needs a virtual loop"):
        asyncio.run(main())
    with pytest.raises(RuntimeError, match="needs a virtual loop"):
        virtual_clock()


def test_two_loops_in_two_threads_have_times_of_their_own() -> None:
    async def main(seconds: float) -> float:
        for _ in range(1_000):
            await asyncio.sleep(seconds)
        await anyio.to_thread.run_sync(time.sleep, 0.01)
        return virtual_clock().elapsed()

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(lambda: run_virtual(main(1)))
        second = threads.submit(lambda: run_virtual(main(60)))

    assert (first.result(), second.result()) == (1_000, 60_000)


def test_anyio_is_left_as_it_was_found() -> None:
    names = ("run_sync_in_worker_thread", "run_async_from_thread")
    found = [AsyncIOBackend.__dict__[name] for name in names]

    async def main() -> list[object]:
        return [AsyncIOBackend.__dict__[name] for name in names]

    during = run_virtual(main())

    assert all(now is not then for now, then in zip(during, found, strict=True))
    assert [AsyncIOBackend.__dict__[name] for name in names] == found


# The count of work that is out


def test_count_is_exact_with_many_threads() -> None:
    before = offload.outstanding()

    def work() -> None:
        for _ in range(20_000):
            offload.begin()
            offload.begin()
            offload.end()

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(work) for _ in range(8)]:
            done.result()
    counted = offload.outstanding() - before
    for _ in range(counted):
        offload.end()

    assert counted == 8 * 20_000


def test_end_without_begin_is_an_error() -> None:
    left_by_others = offload.outstanding()
    for _ in range(left_by_others):
        offload.end()

    with pytest.raises(IndexError):
        offload.end()
    for _ in range(left_by_others):
        offload.begin()


# What the tests of asched share


def test_missing_service_skips_unless_the_environment_promises_it(
    require: Callable[[str, bool, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASCHED_REQUIRE", "postgres, redis")

    require("redis", True, "it is there")
    with pytest.raises(pytest.fail.Exception, match="ASCHED_REQUIRE names redis, but no server answers"):
        require("redis", False, "no server answers")
    with pytest.raises(pytest.skip.Exception, match="chromium: not installed"):
        require("chromium", False, "not installed")
