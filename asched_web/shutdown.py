"""How open streams hear that the server stops, before the server waits for them.

Every server tested waits for its open responses before it tells the application that it stops, so a stream that
waits for that word keeps the process alive. The signal therefore comes here first:

* :class:`_Link` stands in front of the server's own signal handler, sets the schedulers' flags and calls the handler
  it replaced. ``signal.signal`` only: ``loop.add_signal_handler`` replaces the handlers that hypercorn, granian and
  gunicorn set in the same way, and they then never stop.
* :class:`Watcher` polls flags and :mod:`~asched_web.probes` every 0.1 s, once per event loop for all its streams,
  and only while there are some.

The flag lives on the scheduler. Setting it takes no lock and does no I/O, so it is safe inside a signal handler.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Protocol, TypeAlias
from weakref import WeakKeyDictionary, WeakSet, ref

from asched_web.probes import Probe, find_server

if TYPE_CHECKING:
    from asched import Scheduler

__all__ = ["Watched", "Watcher", "install_shutdown_handlers", "uninstall_shutdown_handlers", "watcher_of"]

log = logging.getLogger("asched.web")

POLL = 0.1
"""Seconds between two looks at the flags."""

# With nobody behind us a signal means the end of the process at once. Streams get this long to say goodbye, and
# the server's lifespan that much more.
_DRAIN, _AFTER_DRAIN = 1.0, 0.5

# Looking for the server costs a walk over all tasks; while none is found it is not repeated with each stream.
_PROBE_AGAIN = 1.0

_Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | signal.Handlers | None

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGQUIT", "SIGBREAK") if hasattr(signal, name)
)
# gunicorn tells its workers to stop at once with SIGQUIT. Left alone where nobody handles it: it makes core dumps.
_ONLY_IF_HANDLED = frozenset({getattr(signal, "SIGQUIT", None)})


class _Chain:
    """What all links of the process share. ``received`` is the last signal, for the log."""

    def __init__(self) -> None:
        self.schedulers: WeakSet[Scheduler] = WeakSet()
        self.should_exit = False
        self.received: int | None = None
        self.dies_of: int | None = None


_chain = _Chain()


class _Link:
    """One handler of ours, in front of the one it found.

    ``should_exit`` is looked for by sse-starlette, which finds the server through the handler's ``__self__``. With a
    plain function in front, a host's own streams of that library would never end.
    """

    def __init__(self, previous: _Handler) -> None:
        self.previous = previous

    @property
    def should_exit(self) -> bool:
        return _chain.should_exit

    def on_signal(self, signum: int, frame: FrameType | None) -> None:
        # No lock and no logging: the signal may have interrupted code that holds the lock either would want.
        _chain.should_exit = True
        _chain.received = signum
        for scheduler in list(_chain.schedulers):
            scheduler.shutdown_connection()
        if callable(self.previous):
            self.previous(signum, frame)
        elif self.previous == signal.SIG_DFL:
            self._default(signum)

    def _default(self, signum: int) -> None:
        if _chain.dies_of is not None:
            # A parent may send the signal twice; the drain goes on.
            return
        if not any(watcher.can_drain for watcher in list(_watchers.values())):
            die_of(signum)
        _chain.dies_of = signum


def die_of(signum: int) -> None:
    """Let the signal do what it does by default, which ends the process."""
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)


def install_shutdown_handlers(scheduler: Scheduler) -> None:
    """Let SIGINT and SIGTERM end the scheduler's open streams before the server waits for them.

    Call it once the server has set its own handlers: in the application's lifespan. Applications made by
    :func:`~asched_web.create_app` do so by themselves, with their first stream at the latest. Calling it again is
    cheap and changes nothing, and outside the main thread, where Python takes no signal handlers, it does nothing.
    """
    _chain.schedulers.add(scheduler)
    if threading.current_thread() is not threading.main_thread():
        return
    for signum in _SIGNALS:
        previous = signal.getsignal(signum)
        if isinstance(getattr(previous, "__self__", None), _Link):
            continue
        # Ignored (nohup, a shell's `&`, hypercorn's workers) means that the server runs on: so do the streams.
        # None is a handler that Python did not set and cannot call.
        if previous is None or previous == signal.SIG_IGN:
            continue
        if signum in _ONLY_IF_HANDLED and previous == signal.SIG_DFL:
            continue
        signal.signal(signum, _Link(previous).on_signal)


def uninstall_shutdown_handlers(scheduler: Scheduler) -> None:
    """Undo :func:`install_shutdown_handlers`; a handler that others have put in front of ours stays."""
    _chain.schedulers.discard(scheduler)
    if _chain.schedulers:
        return
    _chain.should_exit = False
    _chain.received = None
    if threading.current_thread() is not threading.main_thread() or _chain.dies_of is not None:
        return
    for signum in _SIGNALS:
        link = getattr(signal.getsignal(signum), "__self__", None)
        if isinstance(link, _Link):
            signal.signal(signum, link.previous)


class Watched(Protocol):
    """Something with streams on one event loop."""

    @property
    def open_streams(self) -> int: ...

    def tick(self, now: float, server_stops: bool) -> None:
        """Look at the flag and at the clock. ``now`` is the loop's time, in seconds."""
        ...


class Watcher:
    """Polls for everything on one event loop that has open streams."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Weak: the table of watchers is keyed by loops, and a value that held its key would keep it for ever.
        self._loop = ref(loop)
        self._in_main_thread = threading.current_thread() is threading.main_thread()
        self._watched: set[Watched] = set()
        self._handle: asyncio.TimerHandle | None = None
        self._probe: Probe | None = None
        self._probe_again = 0.0
        self._default_at: float | None = None
        self._logged = False

    @property
    def open_streams(self) -> int:
        return sum(watched.open_streams for watched in self._watched)

    @property
    def can_drain(self) -> bool:
        """There is something to wait for, and this watcher will still be there to end the process afterwards."""
        loop = self._loop()
        return self._in_main_thread and loop is not None and loop.is_running() and self.open_streams > 0

    @property
    def server_stops(self) -> bool:
        return self._probe is not None and self._probe()

    def watch(self, watched: Watched) -> None:
        """Poll until its last stream has ended."""
        self._watched.add(watched)
        loop = asyncio.get_running_loop()
        self.look_for_server(loop)
        if self._handle is None:
            self._logged = False
            self._handle = loop.call_later(POLL, self._tick)

    def look_for_server(self, loop: asyncio.AbstractEventLoop) -> None:
        """Find out what runs this loop, unless that is known. A server that stops may be followed by another."""
        if self._probe is not None and not self._probe():
            return
        if loop.time() >= self._probe_again:
            self._probe_again = loop.time() + _PROBE_AGAIN
            self._probe = find_server(loop)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._handle = None
        self._log_signal()
        stops = self.server_stops
        for watched in list(self._watched):
            watched.tick(now, stops)
            if not watched.open_streams:
                self._watched.discard(watched)
        if _chain.dies_of is not None and self._in_main_thread:
            self._die_when_drained(now, _chain.dies_of)
        if self._watched or _chain.dies_of is not None:
            self._handle = loop.call_later(POLL, self._tick)

    def _log_signal(self) -> None:
        if _chain.received is not None and not self._logged:
            self._logged = True
            log.info("Signal %d received, sent shutdown signal to SSE connections", _chain.received)

    def _die_when_drained(self, now: float, signum: int) -> None:
        if self._default_at is None:
            self._default_at = now + _DRAIN + _AFTER_DRAIN
        if not self._watched:
            self._default_at = min(self._default_at, now + _AFTER_DRAIN)
        if now >= self._default_at:
            die_of(signum)


_watchers: WeakKeyDictionary[asyncio.AbstractEventLoop, Watcher] = WeakKeyDictionary()


def watcher_of(loop: asyncio.AbstractEventLoop) -> Watcher:
    """Return the loop's watcher."""
    watcher = _watchers.get(loop)
    if watcher is None:
        watcher = _watchers[loop] = Watcher(loop)
    return watcher


def abort_connection(send: object) -> None:
    """Cut the connection behind a ``send`` that a client does not read from, where the server is uvicorn.

    uvicorn would wait for the socket to take what is buffered. Its cycle object holds the transport; elsewhere
    nothing is found and nothing done.
    """
    with contextlib.suppress(AttributeError, TypeError):
        send.__self__.transport.abort()  # type: ignore[attr-defined]
