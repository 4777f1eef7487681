"""Two servers looked at from inside, where no signal arrives: does the one that runs us stop?

A server in a thread, or a worker process that its parent tells by other means than a signal, stops without anything
an application could hear. Both are recognised among the tasks of the loop, by names that are not their public
interface; whatever is not as expected means "no server found" and never an error. The tests in
tests/web/servers fail when a release changes them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from types import CoroutineType, FrameType
from typing import TypeAlias

__all__ = ["Probe", "find_server"]

Probe: TypeAlias = Callable[[], bool]
"""Tells whether the server is stopping."""


def find_server(loop: asyncio.AbstractEventLoop) -> Probe | None:
    """Return how to ask the server that runs this loop, or ``None``. Costs a look at every task of the loop."""
    for task in asyncio.all_tasks(loop):
        coroutine = task.get_coro()
        probe = _hypercorn(task, coroutine) or _uvicorn(coroutine)
        if probe is not None:
            return probe
    return None


def _uvicorn(coroutine: object) -> Probe | None:
    module = sys.modules.get("uvicorn.server")
    if module is None:
        return None
    # uvicorn.Server.serve() waits somewhere down this chain of awaits; its frame holds the server.
    while isinstance(coroutine, CoroutineType):
        frame: FrameType | None = coroutine.cr_frame
        server = None if frame is None else frame.f_locals.get("self")
        if isinstance(server, module.Server):
            return lambda: _uvicorn_stops(server)
        coroutine = coroutine.cr_await
    return None


def _uvicorn_stops(server: object) -> bool:
    if getattr(server, "should_exit", False):
        return True
    # --limit-max-requests closes the listening sockets and never sets the flag before it waits for us.
    listeners = getattr(server, "servers", [])
    return bool(getattr(server, "started", False) and listeners and not all(s.is_serving() for s in listeners))


def _hypercorn(task: asyncio.Task[object], coroutine: object) -> Probe | None:
    # Each worker awaits its shutdown trigger in a task of this name; when that is done, the worker stops.
    if not isinstance(coroutine, CoroutineType) or coroutine.__name__ != "raise_shutdown":
        return None
    return task.done if "hypercorn" in coroutine.cr_code.co_filename else None
