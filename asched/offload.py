"""How many pieces of work are out in other threads or processes and have not come back.

Virtual time (:mod:`asched.testing`) stands still while this is not zero: a thread that works takes real time,
and a clock that jumped meanwhile would show its caller a timeout that never was. Whoever hands work out
counts it here; the numbers are worth nothing in production and cost less than 0.1 us a piece.

The rule for the caller: :func:`begin` before the work leaves, :func:`end` on the loop's thread when its
result is taken up, whether or not anybody still waits for it. An ``end`` in the working thread would leave a
moment in which nothing is out and nothing is ready, and time would jump in it.
"""

from __future__ import annotations

from collections import deque
from contextvars import ContextVar

__all__ = ["begin", "end", "outstanding", "uncounted"]

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
