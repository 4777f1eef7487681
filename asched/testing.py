"""Virtual time: a loop whose clock jumps to the next timer when nothing else is left to do.

A schedule of a month runs in a second, in the order and at the instants of the real thing, since nothing is
patched: timers, timeouts, tasks and the scheduler are the real ones, and only ``loop.time()`` differs.

    from asched import Scheduler
    from asched.testing import run_virtual, virtual_clock

    async def month() -> int:
        clock = virtual_clock()
        async with Scheduler(clock=clock) as scheduler:
            ...
            await clock.sleep_until(datetime(2026, 2, 1, tzinfo=UTC))
        return reports_sent

    assert run_virtual(month(), start="2026-01-01T00:00:00Z") == 31

What takes real time takes no virtual time. The clock stands still while a thread works: sync jobs,
``loop.run_in_executor``, ``asyncio.to_thread`` and ``anyio.to_thread`` are waited for, and so is all that is
counted in :mod:`asched.offload`. Sockets and subprocesses cannot be seen to work; ``grace`` gives them real
time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import selectors
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Executor
from datetime import UTC, datetime
from typing import Any, TypeVar, TypeVarTuple, Unpack

import anyio
from anyio._backends._asyncio import AsyncIOBackend, WorkerThread

from asched import instants, offload
from asched.errors import InvalidArgument

__all__ = ["VirtualClock", "VirtualTimeLoop", "run_virtual", "virtual_clock"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

logger = logging.getLogger(__name__)

DEFAULT_START = datetime(2026, 1, 1, tzinfo=UTC)

# How long the loop sits in a real select() while work is out, before it counts again. The result of a piece
# wakes the loop at once; only a thread that enters `letting_time_pass` does not, and waits this long at most.
_RECOUNT = 0.01

# Real seconds of standing still after which the log says why; a hung test is then a log line and not a
# riddle.
_STILL_WARNING = 10.0

# asyncio calls a timer due when it is less than the clock's resolution ahead. Half a microsecond makes that
# the same as rounding to whole microseconds, which is what the loop counts in: of two timers a microsecond
# apart the later one never rings with the earlier. The float arithmetic of asyncio keeps this true for 68
# virtual years.
_RESOLUTION = 0.5e-6

_MICROSECONDS = 1e6


class VirtualClock:
    """A clock for :class:`asched.Scheduler` that shows the time of a :class:`VirtualTimeLoop`.

    It counts whole microseconds and is exact over any number of years: a task that sleeps until an instant
    finds the clock at that instant, not a microsecond before or after it.

    Args:
        loop: The loop whose time it follows.
        start: The aware instant at which ``loop.time()`` is zero.

    Raises:
        InvalidArgument: ``start`` is naive.
    """

    def __init__(self, loop: VirtualTimeLoop, start: datetime = DEFAULT_START) -> None:
        if start.utcoffset() is None:
            raise InvalidArgument(
                f"start={start!r} has no time zone; give it one, for example tzinfo=datetime.UTC",
                field="start",
            )
        self._loop = loop
        self._start = instants.from_datetime(start)
        self._stepped = 0
        self._suspended = 0

    def now(self) -> int:
        """Return the wall clock's instant: microseconds since 1970-01-01 UTC."""
        return self._start + self._loop.microseconds + self._suspended + self._stepped

    def now_datetime(self) -> datetime:
        """Return the wall clock's instant as an aware UTC datetime."""
        return instants.to_datetime(self.now())

    def elapsed(self) -> float:
        """Return seconds since the loop began, time spent suspended included, steps of the wall clock not."""
        return (self._loop.microseconds + self._suspended) / _MICROSECONDS

    def step(self, seconds: float) -> None:
        """Set the wall clock forward, or back if negative, as an operator or NTP does. No time elapses.

        Raises:
            InvalidArgument: ``seconds`` is not finite.
        """
        self._stepped += _whole_microseconds(seconds)

    def suspend(self, seconds: float) -> None:
        """Put the machine to sleep: wall clock and ``elapsed()`` go on, timers of the loop do not.

        That is Linux: ``CLOCK_BOOTTIME`` counts a suspend and ``CLOCK_MONOTONIC``, by which asyncio sleeps,
        does not, so each sleep ends later by the whole suspend.

        Raises:
            InvalidArgument: ``seconds`` is negative or not finite.
        """
        if seconds < 0:
            raise InvalidArgument(
                f"a machine cannot be suspended for {seconds} s; step() sets the clock back", field="seconds"
            )
        self._suspended += _whole_microseconds(seconds)

    async def sleep_until(self, moment: datetime) -> None:
        """Wait until the wall clock shows ``moment`` or later; not at all if it does already.

        A step forward during the sleep wakes nobody, as in a real machine.

        Raises:
            InvalidArgument: ``moment`` is naive.
        """
        if moment.utcoffset() is None:
            raise InvalidArgument(
                f"moment={moment!r} has no time zone; give it one, for example tzinfo=datetime.UTC",
                field="moment",
            )
        target = instants.from_datetime(moment)
        # More than one turn only when the clock is set back during the sleep.
        while (left := target - self.now()) > 0:  # noqa: ASYNC110 - it does not poll
            await anyio.sleep(left / _MICROSECONDS)

    @contextlib.contextmanager
    def letting_time_pass(self) -> Iterator[None]:
        """Let time go on while the calling worker thread is inside: it waits, it does not work.

        For tests of a ``def`` job that outlives its timeout: without this the clock would stand still as long
        as the job holds its thread, and the timeout would never come.
        """
        self._loop._waiting_threads.append(None)
        try:
            yield
        finally:
            self._loop._waiting_threads.pop()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose ``time()`` starts at zero and jumps to the next timer when nothing is ready.

    The class is a loop factory: ``asyncio.Runner(loop_factory=VirtualTimeLoop)``, or for anyio's pytest
    plugin an ``anyio_backend`` fixture that returns ``("asyncio", {"loop_factory": VirtualTimeLoop})``.

    Time stands still while a piece of work is out (see the module). When every task waits and neither a timer
    nor work that is out can wake one, running the loop raises ``RuntimeError`` with the places where they
    wait.

    Args:
        start: What ``clock`` shows at ``time()`` zero.
        grace: Real seconds that sockets, pipes and subprocesses are given to say something before each jump.
            Zero is enough for two ends inside this loop; a server or a subprocess needs what it takes to
            answer.
        patience: Real seconds without anything to wait for after which the loop gives up. A thread that is
            not counted may still call back in this time. While a socket or a subprocess is open it waits on.

    Attributes:
        clock: The clock of this loop.
    """

    # Of asyncio.BaseEventLoop; typeshed does not show it. Cancelled timers are off its top when select() is
    # called.
    _scheduled: list[asyncio.TimerHandle]
    _selector: _VirtualSelector

    def __init__(self, *, start: datetime = DEFAULT_START, grace: float = 0.0, patience: float = 5.0) -> None:
        selector = _VirtualSelector()
        super().__init__(selector)
        selector.loop = self
        self._clock_resolution = _RESOLUTION
        self.microseconds = 0
        self.grace = grace
        self.patience = patience
        self.clock = VirtualClock(self, start)
        self._rested_at = -1.0
        """When a timer last rang that found time at rest."""
        self._waiting_threads: deque[None] = deque()
        self._children: list[asyncio.SubprocessTransport] = []
        # Calls into threads that this loop waits for; changed on the loop's thread only.
        self._calls = 0
        # Work that left before this loop existed cannot wake it. A loop that was closed with work out would
        # otherwise stop the time of all loops after it.
        self._foreign = offload.outstanding()

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self.microseconds / _MICROSECONDS

    def _is_held(self) -> bool:
        """Return whether work is out, so that time stands still."""
        pieces = offload.outstanding()
        if pieces < self._foreign:
            self._foreign = pieces
        return pieces - self._foreign + self._calls - len(self._waiting_threads) > 0

    def _jump(self) -> bool:
        """Set the time to that of the next timer; return False if there is none."""
        when = self._scheduled[0].when() if self._scheduled else math.inf
        if when == math.inf:
            return False
        target = max(self.microseconds, round(when * _MICROSECONDS))
        # A timer between two microseconds, in the worst case exactly half way, must not find time at rest.
        if when >= target / _MICROSECONDS + self._clock_resolution:
            target += 1
        if target == self.microseconds and when > self.time():
            # It is ahead by a rounding error. A task that sleeps until that instant sleeps again: time must not stand.
            if when == self._rested_at:
                target += 1
            self._rested_at = when
        self.microseconds = target
        return True

    def run_forever(self) -> None:
        with _counted_threads():
            super().run_forever()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        if not offload.uncounted.get():
            self._calls += 1
            future.add_done_callback(self._call_returned)
        return future

    async def subprocess_exec(self, *args: Any, **kwargs: Any) -> tuple[asyncio.SubprocessTransport, Any]:
        return self._with_child(await super().subprocess_exec(*args, **kwargs))

    async def subprocess_shell(self, *args: Any, **kwargs: Any) -> tuple[asyncio.SubprocessTransport, Any]:
        return self._with_child(await super().subprocess_shell(*args, **kwargs))

    def _with_child(self, started: tuple[asyncio.SubprocessTransport, Any]) -> tuple[asyncio.SubprocessTransport, Any]:
        self._children.append(started[0])
        return started

    def _has_outside(self) -> bool:
        """Return whether a socket, a pipe or a subprocess may have something to say, nobody knows when."""
        # The end of a process comes through the selector only where pidfd is in use (Linux, Python 3.12),
        # else from a thread of asyncio's.
        if self._children:
            self._children = [child for child in self._children if child.get_returncode() is None]
        # One is the loop's own wake-up pipe.
        return len(self._selector.get_map()) > 1 or bool(self._children)

    async def shutdown_default_executor(self, *args: float | None, **kwargs: float | None) -> None:
        # It waits for a thread, from Python 3.12 on with a timeout that would come at once.
        with self._holding():
            await super().shutdown_default_executor(*args, **kwargs)

    @contextlib.contextmanager
    def _holding(self) -> Iterator[None]:
        """Stop the time for the block. For the loop's own thread."""
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1

    @contextlib.contextmanager
    def _lending(self) -> Iterator[None]:
        """Let time go on for the block: a thread that is waited for waits in turn for this loop."""
        self._calls -= 1
        try:
            yield
        finally:
            self._calls += 1

    def _call_returned(self, _: asyncio.Future[Any]) -> None:
        self._calls -= 1


class _VirtualSelector(selectors.DefaultSelector):
    """The selector of the platform, which moves the loop's time instead of waiting for it."""

    loop: VirtualTimeLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if ready := self._outside():
            return ready
        if self.loop._jump():
            return []
        # Something outside may answer, however late.
        if self.loop._has_outside():
            return super().select(None)
        if ready := super().select(self.loop.patience):
            return ready
        raise RuntimeError(_deadlock(self.loop))

    def _outside(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what sockets and threads have brought, waiting for the work that is out."""
        stood_still = 0.0
        while True:
            # The count is read before the poll: work that comes back between the two has written to the
            # wake-up pipe before its end was counted. The other way round a result could be overtaken by a
            # timer.
            held = self.loop._is_held()
            if held:
                wait = _RECOUNT
            elif self.loop.grace and self.loop._has_outside():
                wait = self.loop.grace
            else:
                wait = 0
            if (ready := super().select(wait)) or not held:
                return ready
            stood_still += _RECOUNT
            if stood_still - _RECOUNT < _STILL_WARNING <= stood_still:
                logger.warning(
                    "virtual time has stood still for %.0f real seconds: work is out in threads or processes "
                    "(%d pieces counted by asched.offload) and does not come back; a thread that waits for "
                    "virtual time must say so with clock.letting_time_pass()",
                    stood_still,
                    offload.outstanding(),
                )


def virtual_clock() -> VirtualClock:
    """Return the clock of the virtual loop that runs here.

    Raises:
        RuntimeError: No loop runs, or not a virtual one.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        loop = None
    if not isinstance(loop, VirtualTimeLoop):
        raise RuntimeError(
            "virtual_clock() needs a virtual loop around it: run the coroutine with "
            "asched.testing.run_virtual, or give asched.testing.VirtualTimeLoop as loop_factory"
        )
    return loop.clock


def run_virtual(
    main: Coroutine[Any, Any, T],
    *,
    start: datetime | str = DEFAULT_START,
    grace: float = 0.0,
    patience: float = 5.0,
) -> T:
    """Run a coroutine to its end in virtual time and return its result, as ``asyncio.run`` does in real time.

    Args:
        main: What to run; inside, :func:`virtual_clock` returns the clock.
        start: The wall clock's first instant, an aware datetime or ISO 8601 with an offset or ``Z``.
        grace: See :class:`VirtualTimeLoop`, in real seconds.
        patience: See :class:`VirtualTimeLoop`, in real seconds.

    Raises:
        InvalidArgument: ``start`` is naive or no date.
        RuntimeError: A loop runs in this thread already; or every task waits for what cannot come.
    """
    try:
        begins = _aware(start)
        _refuse_nesting()
    except BaseException:
        # A coroutine that is never awaited warns at a random place later.
        main.close()
        raise
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(start=begins, grace=grace, patience=patience)) as runner:
        return runner.run(main)


def _aware(start: datetime | str) -> datetime:
    if isinstance(start, str):
        try:
            start = datetime.fromisoformat(start)
        except ValueError:
            raise InvalidArgument(
                f"start={start!r} is no ISO 8601 date; write it like '2026-01-01T00:00:00Z'", field="start"
            ) from None
    if start.utcoffset() is None:
        raise InvalidArgument(
            f"start={start.isoformat()!r} has no time zone; write it like '2026-01-01T00:00:00Z'",
            field="start",
        )
    return start


def _refuse_nesting() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "run_virtual() starts a loop of its own and cannot be called where one is running; await the "
        "coroutine, or call run_virtual() from a plain function"
    )


def _whole_microseconds(seconds: float) -> int:
    if not math.isfinite(seconds):
        raise InvalidArgument(f"{seconds} is no number of seconds that a clock can move", field="seconds")
    return round(seconds * _MICROSECONDS)


def _deadlock(loop: VirtualTimeLoop) -> str:
    waiting = []
    for task in asyncio.all_tasks(loop):
        stack = task.get_stack(limit=1)
        if stack:
            place = f"{stack[-1].f_code.co_filename}:{stack[-1].f_lineno} in {stack[-1].f_code.co_qualname}"
        else:
            place = repr(task.get_coro())
        waiting.append(f"  {task.get_name()}: {place}")
    return "\n".join(
        [
            "deadlock in virtual time: every task waits for something that no timer will bring",
            *sorted(waiting),
        ]
    )


# anyio keeps its worker threads to itself, so the two ways between them and the loop are counted at the
# backend, where they all pass: anyio.to_thread, anyio.Path, anyio.open_file, anyio.from_thread. The
# replacements stand only while a virtual loop runs, and do nothing on other loops. Counting busy workers in
# anyio's pools instead was rejected: a worker that idles inside a call of ours cannot be told from one that
# works.
_to_thread = AsyncIOBackend.__dict__["run_sync_in_worker_thread"]
_from_thread = AsyncIOBackend.__dict__["run_async_from_thread"]
_patch_lock = threading.Lock()
_patch_users = 0


async def _counted_to_thread(
    cls: type[AsyncIOBackend],
    func: Callable[[Unpack[Ts]], T],
    args: tuple[*Ts],
    abandon_on_cancel: bool = False,
    limiter: anyio.CapacityLimiter | None = None,
) -> T:
    loop = asyncio.get_running_loop()
    run: Callable[..., Awaitable[T]] = _to_thread.__get__(None, cls)
    if not isinstance(loop, VirtualTimeLoop) or offload.uncounted.get():
        return await run(func, args, abandon_on_cancel=abandon_on_cancel, limiter=limiter)
    # The wait for a token is no work: who holds the token may be sleeping. So it comes before the count
    # begins, and the call itself gets a limiter that never makes it wait.
    async with limiter or cls.current_default_thread_limiter():
        with loop._holding():
            return await run(func, args, abandon_on_cancel=abandon_on_cancel, limiter=anyio.CapacityLimiter(math.inf))


def _counted_from_thread(
    cls: type[AsyncIOBackend],
    func: Callable[[Unpack[Ts]], Coroutine[Any, Any, T]],
    args: tuple[*Ts],
    token: object,
) -> T:
    thread = threading.current_thread()
    counted_by = thread.loop if isinstance(thread, WorkerThread) else None

    async def lent(*args: *Ts) -> T:
        loop = asyncio.get_running_loop()
        # A thread that somebody else started may call with a token, and nobody counts it.
        if not isinstance(loop, VirtualTimeLoop) or loop is not counted_by:
            return await func(*args)
        with loop._lending():
            return await func(*args)

    run: Callable[..., T] = _from_thread.__get__(None, cls)
    return run(lent, args, token)


@contextlib.contextmanager
def _counted_threads() -> Iterator[None]:
    global _patch_users
    with _patch_lock:
        if _patch_users == 0:
            _set_backend(classmethod(_counted_to_thread), classmethod(_counted_from_thread))
        _patch_users += 1
    try:
        yield
    finally:
        with _patch_lock:
            _patch_users -= 1
            if _patch_users == 0:
                _set_backend(_to_thread, _from_thread)


def _set_backend(to_thread: object, from_thread: object) -> None:
    type.__setattr__(AsyncIOBackend, "run_sync_in_worker_thread", to_thread)
    type.__setattr__(AsyncIOBackend, "run_async_from_thread", from_thread)
