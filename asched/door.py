"""The door for other threads: a coroutine function is called on the scheduler's event loop, its answer waited for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any, TypeVar

from asched.errors import NotStarted, WrongLoop

__all__ = ["Door"]

T = TypeVar("T")

# The loop may be closed without a stop; a thread that waits looks for that this often, in seconds.
_LOOK = 0.5


class Door:
    """Open from ``start()`` to the end of the drain. Its visits are changed on the event loop's thread alone."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._visits: dict[Future[Any], asyncio.Task[Any]] = {}

    def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def close(self) -> None:
        """Refuse further calls; cancel those under way and release their threads with ``NotStarted``."""
        self._loop = None
        visits, self._visits = self._visits, {}
        for future, task in visits.items():
            task.cancel()
            if not future.done():
                future.set_exception(_closed())

    def call(self, function: Callable[..., Coroutine[Any, Any, T]], args: tuple[Any, ...]) -> T:
        loop = self._loop
        if loop is None or loop.is_closed():
            raise _closed()
        if threading.get_ident() == self._thread:
            raise WrongLoop(
                "from_thread() waits, and this is the thread of the scheduler's event loop: await the call instead"
            )
        future: Future[T] = Future()
        context = copy_context()

        def begin() -> None:
            if self._loop is not loop:
                future.set_exception(_closed())
                return
            task = loop.create_task(function(*args), context=context)
            self._visits[future] = task
            task.add_done_callback(lambda task: self._end(future, task))

        try:
            loop.call_soon_threadsafe(begin)
        except RuntimeError:  # closed in this moment
            raise _closed() from None
        while True:
            try:
                return future.result(_LOOK)
            except TimeoutError:
                # The call's own error, or ours?
                if future.done():
                    raise
                if loop.is_closed():
                    raise _closed() from None

    def _end(self, future: Future[T], task: asyncio.Task[T]) -> None:
        self._visits.pop(future, None)
        if future.done():
            return
        if task.cancelled():
            future.cancel()
        elif (error := task.exception()) is not None:
            future.set_exception(error)
        else:
            future.set_result(task.result())


def _closed() -> NotStarted:
    return NotStarted("the scheduler does not run, or has stopped meanwhile; from_thread() starts nothing")
