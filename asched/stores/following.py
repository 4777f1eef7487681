"""How nodes of one process hear of what others do: hints to look at the store, and the feed of changes."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from itertools import islice

from asched.store import Change, ChangeKind, Changes

__all__ = ["ALL_NODES", "Feed", "Hints"]

ALL_NODES = 0
"""As the epoch of a hint: every node."""

_REMEMBERED = 16_384
"""Changes kept for those who follow; who falls further behind looks at everything again."""


class _Place:
    """Where a node finds its next hint."""

    __slots__ = ("due", "filled")

    def __init__(self) -> None:
        self.due: int | None = None
        self.filled = asyncio.Event()


class Hints:
    """The nodes of this process, each with the earliest instant it was hinted at and has not read."""

    def __init__(self) -> None:
        self._places: dict[int, _Place] = {}

    def __contains__(self, epoch: int) -> bool:
        return epoch in self._places

    def join(self, epoch: int) -> None:
        self._places[epoch] = _Place()

    def leave(self, epoch: int) -> None:
        """End the node's :meth:`watch`."""
        place = self._places.pop(epoch, None)
        if place is not None:
            place.filled.set()

    def close(self) -> None:
        for epoch in list(self._places):
            self.leave(epoch)

    def give(self, epoch: int, due: int) -> None:
        """Hint to a node, or to all of them; one that is not here is left out."""
        for place in self._places.values() if epoch == ALL_NODES else filter(None, (self._places.get(epoch),)):
            place.due = due if place.due is None else min(place.due, due)
            place.filled.set()

    def give_others(self, epoch: int, due: int) -> None:
        if len(self._places) > 1:
            for other in self._places:
                if other != epoch:
                    self.give(other, due)

    async def watch(self, epoch: int) -> AsyncIterator[int]:
        """Yield the hints of a node until it leaves; what comes while nobody reads is one hint."""
        while (place := self._places.get(epoch)) is not None:
            await place.filled.wait()
            place.filled.clear()
            due, place.due = place.due, None
            if due is not None:
                yield due


class Feed:
    """The last changes, each with a number. A store makes one when somebody asks for the first time."""

    def __init__(self) -> None:
        # A run by its number and a job by its id: two changes of each run are kept, and as tuples of their own they led
        # to a full garbage collection within a burst.
        self._changes: deque[int | str | Change] = deque(maxlen=_REMEMBERED)
        self._end = 0

    def add(self, changes: Iterable[Change]) -> None:
        for change in changes:
            self.note(change.kind, change.id)

    def note(self, kind: ChangeKind, subject: int | str) -> None:
        self._changes.append(Change(kind, subject) if kind is _JOB_REMOVED else subject)
        self._end += 1

    def break_off(self) -> None:
        """Some changes are not known: whoever follows looks at everything again."""
        self._changes.clear()
        self._end += 1

    def since(self, cursor: int | None) -> Changes:
        if cursor is None:
            return Changes(self._end, (), True)
        missed = self._end - cursor
        complete = 0 <= missed <= len(self._changes)
        start = max(0, len(self._changes) - missed)
        return Changes(self._end, tuple(map(_change, islice(self._changes, start, None))), complete)


_RUN, _JOB, _JOB_REMOVED = ChangeKind.RUN, ChangeKind.JOB, ChangeKind.JOB_REMOVED


def _change(noted: int | str | Change) -> Change:
    if isinstance(noted, Change):
        return noted
    return Change(_RUN if isinstance(noted, int) else _JOB, noted)
