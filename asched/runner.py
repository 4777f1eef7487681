"""One attempt: call the user's function as a coroutine, in a worker thread or in a process, and say how it ended.

The runner knows nothing of stores, retries or schedules. The engine starts a :class:`CurrentRun` here and finds it
in :attr:`Runner.ended` when the attempt is over, with its outcome.

Each coroutine gets a task of its own: sharing one would share ``asyncio.current_task()``, and with it
``asyncio.timeout`` and task groups, between runs. Threads are anyio's worker threads, but they stay: one hop through
``to_thread.run_sync`` costs 40 to 70 us, a thread that pulls the next call from a queue 4 to 5. They hold tokens of
the runner's own limiter, so they take none of the application's.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import queue
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from datetime import datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from asched import offload
from asched.arguments import decode_arguments
from asched.errors import InvalidArgument
from asched.instants import SECOND, to_datetime
from asched.masking import masked, printable, shown
from asched.model import JobSpec, Outcome, Reason, format_run_id
from asched.registry import Function
from asched.reports import encode_result, log_line, number
from asched.timers import Timers

__all__ = ["BLOCKING", "RUN_LOG", "CurrentRun", "Halt", "Runner", "current_run"]

if TYPE_CHECKING:
    from asched.processes import Workers

log = logging.getLogger("asched")

BLOCKING = 0.1
"""Seconds. A job that holds the event loop longer at a stretch is named in a warning."""
LOG_LINES = 200
LOG_BYTES = 16 * 1024
# A worker thread with nothing to do goes after this many seconds.
_THREAD_IDLE = 10.0
# A thread costs 60 to 100 us to start and a short call 5: threads are added only for calls that still wait after this.
_THREAD_PATIENCE = 0.001
_THREADS_AT_ONCE = 4
_BLOCKING_US = int(BLOCKING * SECOND)
_Coroutine = types.CoroutineType
# An enum's member is looked up through its class and a descriptor; a global is not.
_OK = Outcome.OK


class Halt(IntEnum):
    """Why an attempt was told to end before its time."""

    TIMEOUT = 1
    CANCEL = 2
    STOP = 3


class Notes:
    """Progress and log of an attempt so far."""

    __slots__ = ("done", "lines", "log_bytes", "total")

    def __init__(self) -> None:
        self.done: float | None = None
        self.total: float | None = None
        self.lines: list[str] = []
        self.log_bytes = 0

    @property
    def is_full(self) -> bool:
        return len(self.lines) >= LOG_LINES or self.log_bytes >= LOG_BYTES


class CurrentRun:
    """The attempt that is executing, as the function in it sees it through :func:`current_run`."""

    __slots__ = (
        "_function",
        "_note",
        "attempt",
        "back",
        "due",
        "ended",
        "entered",
        "fence",
        "halt",
        "notes",
        "outcome",
        "over",
        "payload",
        "planned",
        "reason",
        "run_id",
        "spec",
        "started",
        "task",
        "token",
        "value",
    )

    # Set when there is something to set: a run is made for each call, and most set each once.
    ended: int
    outcome: Outcome
    back: tuple[Any, Outcome]
    """What a thread brought back; the loop's thread decides whether it still counts."""

    def __init__(
        self,
        token: int,
        run_id: int,
        spec: JobSpec,
        function: Function,
        attempt: int,
        due: int,
        planned: int,
        fence: int,
        payload: bytes | None,
        note: Callable[[CurrentRun], None],
    ) -> None:
        self.token = token
        self.run_id = run_id
        self.spec = spec
        self._function = function
        self.attempt = attempt
        """Which attempt of the run this is, from 1."""
        self.due = due
        self.planned = planned
        self.fence = fence
        """Grows with every attempt of the job; a receiver that remembers the highest can refuse a stale one."""
        self.payload = payload
        self._note = note
        self.started = 0
        self.task: asyncio.Task[None] | None = None
        self.value: Any = None
        """The result as JSON, or the exception, as ``outcome`` says."""
        self.halt: Halt | None = None
        self.reason: Reason | None = None
        """Why it was cancelled."""
        self.over = False
        self.entered: float | None = None
        """When its thread entered the function, on the event loop's clock."""
        self.notes: Notes | None = None

    @property
    def id(self) -> str:
        return format_run_id(self.run_id)

    @property
    def job_id(self) -> str:
        return self.spec.id

    @property
    def due_at(self) -> datetime:
        return to_datetime(self.due)

    @property
    def cancelled(self) -> bool:
        """The run was cancelled, timed out or the scheduler stops. A thread cannot be interrupted; it can ask."""
        return self.halt is not None

    def progress(self, done: float, total: float | None = None) -> None:
        """Say how far the run is. From any thread; the store hears of it within a second.

        Numbers of NumPy are taken too; one beyond 64 bits becomes the nearest float.

        Raises:
            InvalidArgument: Not finite numbers.
        """
        plain_done, plain_total = number(done), None if total is None else number(total)
        for name, given, plain in (("done", done, plain_done), ("total", total, plain_total)):
            if plain is None and (given is not None or name == "done"):
                raise InvalidArgument(f"{name} must be a finite number, not {shown(given, 80)}", field=name)
        notes = self._noted()
        notes.done, notes.total = plain_done, plain_total
        self._note(self)

    def write(self, line: str) -> None:
        """Add a line to the run's log, passwords of URLs masked; past 200 lines or 16 KiB it is dropped."""
        notes = self._noted()
        if notes.is_full or len(line) > 2 * LOG_BYTES:
            return
        line = printable(masked(line))
        size = len(line.encode())
        if notes.log_bytes + size > LOG_BYTES:
            return
        notes.log_bytes += size
        notes.lines.append(line)
        self._note(self)

    def _noted(self) -> Notes:
        if self.notes is None:
            self.notes = Notes()
        return self.notes


_current: contextvars.ContextVar[CurrentRun | None] = contextvars.ContextVar("asched.current_run", default=None)
_set_current = _current.set


def current_run() -> CurrentRun | None:
    """Return the run that the caller is part of; ``None`` outside of one."""
    return _current.get()


class RunLog:
    """Gives the log records made inside a run to the run, as long as a scheduler of the process runs.

    It is a record factory. A handler on the root logger would do the same, but logging takes any handler there for a
    sign that it has been configured: ``basicConfig()`` would do nothing any more, and without it errors would no
    longer reach stderr.
    """

    def __init__(self) -> None:
        self._users = 0
        self._before: Callable[..., logging.LogRecord] = logging.LogRecord
        self._thread = threading.local()

    def install(self) -> None:
        self._users += 1
        if self._users == 1:
            self._before = logging.getLogRecordFactory()
            logging.setLogRecordFactory(self._make)

    def remove(self) -> None:
        self._users -= 1
        # Whoever has put a factory on top of this one since keeps calling it, which does no harm.
        if self._users == 0 and logging.getLogRecordFactory() == self._make:
            logging.setLogRecordFactory(self._before)

    def _make(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._before(*args, **kwargs)
        run = _current.get()
        if run is not None and not run.over and not (run.notes is not None and run.notes.is_full):
            # An object may log while it is formatted. Its records go to the host's handlers alone: each of them would
            # be formatted twice here, and each within it twice again.
            if not getattr(self._thread, "formats", False):
                self._thread.formats = True
                try:
                    line = log_line(record)
                finally:
                    self._thread.formats = False
                run.write(line)
        return record


RUN_LOG = RunLog()


class _Deadline(NamedTuple):
    id: int
    due: int
    """Microseconds on the event loop's clock."""
    run: CurrentRun


class Runner:
    """Starts attempts and collects their ends. Belongs to one event loop, on whose thread all calls come.

    Args:
        now: The store's clock, as far as this node knows it. From any thread.
        max_workers: Most worker threads.
        ready: Called when ``ended`` is no longer empty.
        blocked: Told of a job that held the loop, with the seconds.
        freed: Told of a job whose abandoned thread came back.
        expired: Asked whether nothing may begin any more, once ``starts_until`` has passed; from any thread.
    """

    def __init__(
        self,
        now: Callable[[], int],
        max_workers: int,
        ready: Callable[[], None],
        blocked: Callable[[CurrentRun, float], None],
        freed: Callable[[str], None],
        expired: Callable[[], bool],
    ) -> None:
        self.ended: list[CurrentRun] = []
        """Attempts that are over; the engine takes the list away."""
        self.in_threads = 0
        """Attempts handed to threads or processes that have not come back, abandoned ones included."""
        self.abandoned: dict[str, int] = {}
        """Job id -> threads past their timeout that still run."""
        self.max_workers = max_workers
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self._now = now
        self._context = contextvars.copy_context()
        self._ready = ready
        self._blocked = blocked
        self._freed = freed
        self._expired = expired
        self.starts_until = 2**62
        """The instant up to which an attempt may begin without asking. A process that was stopped, or a
        job that held the loop, may have let the node's lease run out since the attempt was granted."""
        self._deadlines: Timers[_Deadline] = Timers()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0
        self._unarmed: list[CurrentRun] = []
        # Loaded when a scheduler starts: it is a third of what importing asched would cost.
        from anyio import CapacityLimiter

        self._limiter = CapacityLimiter(max_workers)
        self._workers: Workers | None = None
        self._calls: queue.SimpleQueue[tuple[CurrentRun, contextvars.Context] | None] = queue.SimpleQueue()
        self._returned: deque[CurrentRun] = deque()
        self._signalled = False
        self._threads: set[asyncio.Task[None]] = set()
        self._growing = False
        self._handed = 0
        """Calls put into the queue so far."""
        self._overdue = 0
        """As many of them were there when it was last asked whether more threads are wanted: those that still wait
        have waited long enough."""
        self._closed = False

    # Starting

    def start(self, run: CurrentRun) -> None:
        """Start the attempt. Its function begins within this turn of the loop, or when a thread is free."""
        context = self._context.copy()
        spec = run.spec
        policy = spec.policy
        if policy.in_process:
            self.in_threads += 1
            run.task = self._loop.create_task(self._attempt_in_process(run), context=context)
        elif run._function.is_async:
            task = _new_task(self._attempt(run), loop=self._loop, name=spec.id, context=context)
            if not run.over:  # an eager task may have come to its end already
                run.task = task
                # The function may have cancelled its own run before its first wait, when there was no task yet.
                if run.halt is not None:
                    task.cancel()
        else:
            context.run(_set_current, run)
            self._start_in_thread(run, context)
        if policy.timeout is not None:
            if not self._unarmed:
                self._loop.call_soon(self._arm)
            self._unarmed.append(run)

    async def _attempt(self, run: CurrentRun) -> None:
        """Drive the user's coroutine; the first step by hand, since most runs need no other."""
        began = self._now()
        if began > self.starts_until and self._expired():
            run.outcome = Outcome.INTERRUPTED
            self._over(run, began)
            return
        run.started = began
        _set_current(run)
        stepped = False
        try:
            coroutine = run._function.call() if run.payload is None else _call(run)
            if type(coroutine) is not _Coroutine:
                coroutine = _awaited(coroutine)
            try:
                waits_for = coroutine.send(None)
            except StopIteration as stop:
                run.value = stop.value
            else:
                stepped = True
                took = self._now() - began
                if took >= _BLOCKING_US:
                    self._blocked(run, took / SECOND)
                run.value = await self._steps(run, coroutine, waits_for)
            if run.value is not None:
                run.value = encode_result(run.value)
            run.outcome = _OK
        except BaseException as error:  # noqa: BLE001 - the edge where user code is called
            self._fail(run, error)
        ended = self._now()
        self._over(run, ended)
        # By the wall clock, which is read for the record anyway; most runs have no other step.
        if not stepped and ended - began >= _BLOCKING_US:
            self._blocked(run, (ended - began) / SECOND)

    @types.coroutine
    def _steps(self, run: CurrentRun, coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> Generator[Any, Any, Any]:
        """Drive a coroutine from its second step on, and time each: the slow one is known by name."""
        while True:
            thrown: BaseException | None = None
            value = None
            try:
                value = yield waits_for
            except BaseException as error:  # noqa: BLE001 - a cancellation on its way to the user's code
                thrown = error
            mark = self._time()
            try:
                waits_for = coroutine.send(value) if thrown is None else coroutine.throw(thrown)
            except StopIteration as stop:
                return stop.value
            finally:
                took = self._time() - mark
                if took >= BLOCKING:
                    self._blocked(run, took)

    def _fail(self, run: CurrentRun, error: BaseException) -> None:
        run.value = error
        # What was told to end may raise anything on its way out: a clean-up that fails, a task group, a worker process
        # that is gone.
        run.outcome = Outcome.ERROR if run.halt is None else _HALTED[run.halt]

    def _over(self, run: CurrentRun, now: int) -> None:
        """Hand the attempt to the engine, once."""
        if run.over:
            return
        run.over = True
        run.ended = now
        # The task holds the context and the context the run: left alone, each run would be a cycle, and the
        # garbage collector's work cost more than the run's own.
        run.task = None
        if run.halt is not None and run.halt is Halt.TIMEOUT:
            # A function that swallowed its cancellation is late all the same.
            run.outcome = Outcome.TIMEOUT
        if self._deadlines.items:
            self._deadlines.discard(run.token)
        if not self.ended:
            self._ready()
        self.ended.append(run)

    # Ending

    def halt(self, run: CurrentRun, why: Halt) -> None:
        """Make the attempt end: a coroutine and a process are cancelled, a thread is left behind."""
        if run.over or run.halt is not None:
            return
        run.halt = why
        if run.task is not None:
            run.task.cancel()
            if not run.started:
                # A task cancelled before its first step never enters its coroutine, which so cannot tell its end.
                if run.spec.policy.in_process:
                    self.in_threads -= 1
                run.outcome = _HALTED[why]
                self._over(run, self._now())
        elif not run._function.is_async:
            run.outcome = _HALTED[why]
            self.abandoned[run.spec.id] = self.abandoned.get(run.spec.id, 0) + 1
            self._over(run, self._now())

    def give_up(self, run: CurrentRun) -> None:
        """Record the attempt as ended although its coroutine swallowed the cancellation and goes on."""
        if not run.over:
            run.outcome = _HALTED[run.halt or Halt.STOP]
            self._over(run, self._now())

    async def close(self) -> None:
        """Let the idle threads go. A thread still in a user's function is left behind and ends when it returns."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        # One for every thread there can be: a program that ends by an exception has cancelled the tasks that host
        # them, and the threads would hold up its exit until they have been idle for long enough.
        for _ in range(self.max_workers):
            self._calls.put(None)
        # These threads are on their way out, which takes no virtual time.
        offload.begin()
        try:
            busy = sum(self.abandoned.values())
            while len(self._threads) > busy:
                await asyncio.wait(self._threads, return_when=asyncio.FIRST_COMPLETED, timeout=1.0)
                busy = sum(self.abandoned.values())
            if self._workers is not None:
                await self._workers.close()
        finally:
            offload.end()

    # Timeouts

    def _arm(self) -> None:
        """Set the deadlines of attempts that outlived their first turn; most did not."""
        runs, self._unarmed = self._unarmed, []
        now = round(self._time() * SECOND)
        for run in runs:
            if not run.over:
                timeout = run.spec.policy.timeout
                assert timeout is not None
                self._deadlines.add(_Deadline(run.token, now + round(timeout * SECOND), run))
        self._set_alarm()

    def _set_alarm(self) -> None:
        first = self._deadlines.first_due()
        if first is None or (self._alarm is not None and self._alarm_at <= first):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = first
        self._alarm = self._loop.call_at(first / SECOND, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        # A timer may fire a clock tick early; what is due at the time it was set for is due.
        now = max(round(self._time() * SECOND), self._alarm_at)
        for deadline in self._deadlines.pop_due(now, 1_000_000):
            run = deadline.run
            timeout = run.spec.policy.timeout
            assert timeout is not None
            if not run.started:
                # It has waited for a thread so far. The time counts from the function's entry.
                self._deadlines.add(_Deadline(run.token, now + round(timeout * SECOND), run))
                continue
            if run.entered is not None and (late := round((run.entered + timeout) * SECOND)) > now:
                self._deadlines.add(_Deadline(run.token, late, run))
                continue
            self.halt(run, Halt.TIMEOUT)
        self._set_alarm()

    # Threads

    def _start_in_thread(self, run: CurrentRun, context: contextvars.Context) -> None:
        self.in_threads += 1
        offload.begin()
        self._calls.put((run, context))
        self._handed += 1
        if len(self._threads) < min(self.in_threads, _THREADS_AT_ONCE, self.max_workers):
            self._add_threads(1)
        elif not self._growing and len(self._threads) < min(self.in_threads, self.max_workers):
            self._growing = True
            self._overdue = self._handed
            self._loop.call_later(_THREAD_PATIENCE, self._grow)

    def _grow(self) -> None:
        """Double the threads while calls have waited since the last time."""
        self._growing = False
        waiting = self._calls.qsize()
        if not waiting or self._closed:
            return
        # They are taken in their order. Forty threads for a burst of short calls cost a third of it.
        overdue, self._overdue = self._overdue, self._handed
        if self._handed - waiting < overdue:
            self._add_threads(min(waiting, len(self._threads) or 1, self.max_workers - len(self._threads)))
        if len(self._threads) < self.max_workers:
            self._growing = True
            self._loop.call_later(_THREAD_PATIENCE, self._grow)

    def _add_threads(self, count: int) -> None:
        context = contextvars.copy_context()
        context.run(offload.uncounted.set, True)
        for _ in range(count):
            task = self._loop.create_task(self._host_thread(), context=context)
            self._threads.add(task)
            task.add_done_callback(self._thread_gone)

    async def _host_thread(self) -> None:
        import anyio.to_thread

        await anyio.to_thread.run_sync(self._pull, limiter=self._limiter, abandon_on_cancel=True)

    def _thread_gone(self, task: asyncio.Task[None]) -> None:
        self._threads.discard(task)
        if not task.cancelled():
            task.exception()
        # A call may have come between the thread's last look at the queue and its end.
        if self._calls.qsize() and not self._threads and not self._closed:
            self._add_threads(1)

    def _pull(self) -> None:
        """Run calls in a worker thread until none comes for a while."""
        calls, returned = self._calls, self._returned
        while True:
            try:
                item = calls.get(timeout=_THREAD_IDLE)
            except queue.Empty:
                return
            if item is None:
                return
            run, context = item
            context.run(self._attempt_in_thread, run)
            returned.append(run)
            # Set before the call: a thread that sees it set knows that a collection is still to come, and the
            # collection unsets it before it looks.
            if not self._signalled:
                self._signalled = True
                try:
                    self._loop.call_soon_threadsafe(self._collect)
                except RuntimeError:  # the loop was closed while an abandoned function still ran
                    return
            del item, run, context

    def _attempt_in_thread(self, run: CurrentRun) -> None:
        if run.over:
            return
        began = self._now()
        if began > self.starts_until and self._expired():
            run.back = None, Outcome.INTERRUPTED
            return
        run.started = began
        run.entered = self._time()
        try:
            value = _call(run)
            if isinstance(value, types.CoroutineType):
                value.close()
                raise TypeError(
                    f"{run._function.name} is a plain function that returned a coroutine, which nobody awaits; "
                    "declare it with 'async def'"
                )
            value = encode_result(value)
            outcome = Outcome.OK
        except BaseException as error:  # noqa: BLE001 - the edge where user code is called
            value, outcome = error, Outcome.ERROR
        run.back = value, outcome

    def _collect(self) -> None:
        """Take up what the threads returned."""
        self._signalled = False
        returned = self._returned
        while returned:
            run = returned.popleft()
            offload.end()
            self.in_threads -= 1
            if run.over:
                self._return_abandoned(run)
                continue
            run.value, run.outcome = run.back
            self._over(run, self._now())

    def _return_abandoned(self, run: CurrentRun) -> None:
        left = self.abandoned.get(run.spec.id, 0) - 1
        if left > 0:
            self.abandoned[run.spec.id] = left
        else:
            self.abandoned.pop(run.spec.id, None)
        self._freed(run.spec.id)

    # Processes

    async def _attempt_in_process(self, run: CurrentRun) -> None:
        # Loaded where it is needed: a tenth of what importing asched would cost.
        from asched.processes import Workers

        run.started = self._now()
        offload.begin()
        try:
            args, kwargs = _arguments(run)
            if self._workers is None:
                self._workers = Workers()
            run.value = await self._workers.call(run._function.call, args, kwargs, run.write)
            run.outcome = Outcome.OK
        except BaseException as error:  # noqa: BLE001 - the edge where user code is called
            self._fail(run, error)
        finally:
            offload.end()
            self.in_threads -= 1
        self._over(run, self._now())


if sys.version_info >= (3, 12):
    # Eager: a run that never waits is over when the constructor returns, without a turn of the loop.
    _new_task = functools.partial(asyncio.Task, eager_start=True)
else:
    _new_task = asyncio.Task

_HALTED = {Halt.TIMEOUT: Outcome.TIMEOUT, Halt.CANCEL: Outcome.CANCELLED, Halt.STOP: Outcome.INTERRUPTED}


def _call(run: CurrentRun) -> Any:
    if run.payload is None:
        return run._function.call()
    args, kwargs = _arguments(run)
    return run._function.call(*args, **kwargs)


def _arguments(run: CurrentRun) -> tuple[list[Any], dict[str, Any]]:
    return decode_arguments(run.payload)


async def _awaited(awaitable: Any) -> Any:
    return await awaitable
