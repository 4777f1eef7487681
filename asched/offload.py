"""Which work is out in other threads or processes, and whether this process is one of those.

How many pieces are out and have not come back:

Virtual time (:mod:`asched.testing`) stands still while this is not zero: a thread that works takes real time,
and a clock that jumped meanwhile would show its caller a timeout that never was. Whoever hands work out
counts it here; the numbers are worth nothing in production and cost less than 0.1 us a piece.

The rule for the caller: :func:`begin` before the work leaves, :func:`end` on the loop's thread when its
result is taken up, whether or not anybody still waits for it. An ``end`` in the working thread would leave a
moment in which nothing is out and nothing is ready, and time would jump in it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from asched.errors import AlreadyStarted

__all__ = ["become_worker", "begin", "calling", "end", "outstanding", "refuse_scheduler", "uncounted"]

# A deque as a counter: its append, pop and len are atomic for any mix of threads, with and without the GIL,
# where `count += 1` is three steps and loses updates, and a lock costs as much as the work here. An end
# without its begin is an IndexError and not a number that is silently wrong from then on.
_pieces: deque[None] = deque()
_add = _pieces.append
_remove = _pieces.pop

#: True in a context whose calls into threads are no work by themselves: worker threads that stay and wait for
#: pieces, each of which is counted on its own. Virtual time does not wait for a call made in such a context.
uncounted: ContextVar[bool] = ContextVar("asched.offload.uncounted", default=False)


def begin() -> None:
    """Count one piece of work as handed out. Any thread may call it."""
    _add(None)


def end() -> None:
    """Count one piece of work as come back.

    Raises:
        IndexError: Nothing is out: an ``end`` was called twice, or without its ``begin``.
    """
    _remove()


def outstanding() -> int:
    """Return how many pieces are out, in this process, over all event loops."""
    return len(_pieces)


_is_worker = False
_caller: int | None = None
"""In a worker process: the thread that calls a job's function."""


def become_worker() -> None:
    """Take note that this process executes jobs for another one."""
    global _is_worker
    _is_worker = True


@contextmanager
def calling() -> Iterator[None]:
    """Call a job's function inside: what it does in this thread is what the job asks for."""
    global _caller
    _caller = threading.get_ident()
    try:
        yield
    finally:
        _caller = None


def refuse_scheduler() -> None:
    """Raise if the main script runs the program in a worker process, instead of being loaded by it.

    Raises:
        AlreadyStarted: This is a worker process, and no function of a job is called in this thread.
    """
    if _is_worker and _caller != threading.get_ident():
        raise AlreadyStarted(
            "this is a worker process of a scheduler that runs already, and it only loads the main script; "
            "put the lines that start the program under: if __name__ == '__main__':"
        )
