"""A heap of things that come due. It knows no clock: the caller says what time it is.

Entries are integers, ``due << 64 | id``: they compare in one step and cost a third of what tuples do, in time
(0.5 against 1.4 us for a push and a pop) and in memory. The item itself stands in a dict under its id. As long as the
heap is known to be sorted, what is due is a slice of it, for a tenth of what popping costs; a push that does not
belong at the end makes it an ordinary heap until it is next filled or sorted.

A replaced or discarded item leaves its entry in the heap: removing it would cost O(n), skipping it at the top
costs O(log n) once. As long as there are as many entries as items, none is stale and none need be looked at. An item
that is moved in a loop could fill the heap with such entries, so it is rebuilt when they outnumber the live ones
(``test_stale_entries_stay_below_the_live_ones``).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from heapq import heapify, heappop, heappush, heapreplace
from typing import Generic, Protocol, TypeVar

__all__ = ["Due", "Timers"]

_ID_BITS = 64
_ID_MASK = (1 << _ID_BITS) - 1
# Below this many entries a rebuild is not worth its call.
_SMALL = 64
# Up to this many entries sorting all of them beats walking the heap, and takes at most some milliseconds.
_SORTED_AT_ONCE = 16_384


class Due(Protocol):
    """What the heap can hold: an id, unique and in 64 bits, and an instant."""

    @property
    def id(self) -> int: ...
    @property
    def due(self) -> int: ...


T = TypeVar("T", bound=Due)


class Timers(Generic[T]):
    """Items by due instant. Equal instants come in the order of their ids."""

    __slots__ = ("_heap", "_in_order", "items")

    def __init__(self) -> None:
        self.items: dict[int, T] = {}
        """The live items by id. Read it; change it through the methods."""
        self._heap: list[int] = []
        self._in_order = True

    def __len__(self) -> int:
        return len(self.items)

    def add(self, item: T) -> None:
        """Add the item, or replace the one with its id. O(log n)."""
        heap, item_id = self._heap, item.id
        self.items[item_id] = item
        entry = item.due << _ID_BITS | item_id
        # What has come due stands at the top and mostly comes back later: its old entry makes room for the new one.
        if heap and heap[0] & _ID_MASK == item_id:
            heapreplace(heap, entry)
            self._in_order = len(heap) == 1
            return
        if self._in_order and (not heap or entry > heap[-1]):
            heap.append(entry)
        else:
            heappush(heap, entry)
            self._in_order = False
        if len(heap) > 2 * len(self.items) + _SMALL:
            self._rebuild()

    def discard(self, item_id: int) -> T | None:
        """Take out the item with this id, if there is one, and return it. O(1)."""
        return self.items.pop(item_id, None)

    def first_due(self) -> int | None:
        """Return the earliest due instant."""
        heap, items, in_order = self._heap, self.items, self._in_order
        stale = 0
        while stale < len(heap):
            entry = heap[stale]
            item = items.get(entry & _ID_MASK)
            if item is not None and item.due == entry >> _ID_BITS:
                break
            if in_order:
                stale += 1
            else:
                heappop(heap)
        del heap[:stale]
        return heap[0] >> _ID_BITS if heap else None

    def pop_due(self, now: int, limit: int) -> list[T]:
        """Take out at most ``limit`` items due at or before ``now``, earliest first."""
        heap, items = self._heap, self.items
        taken: list[T] = []
        stale = len(heap) > len(items)
        # One comparison decides for the whole entry: every id at `now` lies below this bound.
        bound = (now + 1) << _ID_BITS
        while heap and heap[0] < bound and (wanted := limit - len(taken)) > 0:
            if self._in_order:
                entries = heap[: min(wanted, bisect_left(heap, bound))]
                del heap[: len(entries)]
            else:
                entries = [heappop(heap)]
                while heap and heap[0] < bound and len(entries) < wanted:
                    entries.append(heappop(heap))
            if not stale:
                taken += [items.pop(entry & _ID_MASK) for entry in entries]
                continue
            for entry in entries:
                item = items.pop(entry & _ID_MASK, None)
                if item is not None:
                    if item.due == entry >> _ID_BITS:
                        taken.append(item)
                    else:
                        items[item.id] = item  # it was moved; another entry stands for it
        return taken

    def ascending(self) -> Iterator[T]:
        """Yield the items earliest first and leave them in. Do not change the heap meanwhile."""
        items = self.items
        few = self._in_order or len(self._heap) <= _SORTED_AT_ONCE
        entries = self._sorted() if few else self._best_first()
        if len(self._heap) == len(items):
            for entry in entries:
                yield items[entry & _ID_MASK]
            return
        seen = -1
        for entry in entries:
            # An item that was moved away and back has two equal entries; they come out side by side.
            if entry == seen:
                continue
            seen = entry
            item = items.get(entry & _ID_MASK)
            if item is not None and item.due == entry >> _ID_BITS:
                yield item

    def _sorted(self) -> list[int]:
        if not self._in_order:
            # A sorted list is a heap as well, and sorting it again when little has changed is O(n).
            self._heap.sort()
            self._in_order = True
        # Stale entries gather at the top, where items come due; left there, every look would pass all of them.
        self.first_due()
        return self._heap

    def _best_first(self) -> Iterator[int]:
        """Yield the entries in order; the k first cost O(k log k), however many there are.

        A child in a heap is never earlier than its parent, so only the children of what has been yielded can
        come next.
        """
        self.first_due()
        heap = self._heap
        frontier = [(heap[0], 0)] if heap else []
        while frontier:
            entry, index = heappop(frontier)
            for child in (2 * index + 1, 2 * index + 2):
                if child < len(heap):
                    heappush(frontier, (heap[child], child))
            yield entry

    def fill(self, ordered: list[T]) -> None:
        """Hold these items, earliest first, instead of what was there."""
        self.items = {item.id: item for item in ordered}
        self._heap = [item.due << _ID_BITS | item.id for item in ordered]
        self._in_order = True

    def keep_earliest(self, count: int) -> int | None:
        """Drop all but the ``count`` earliest items; return the due instant of the earliest dropped."""
        if len(self.items) <= count:
            return None
        entries = sorted(item.due << _ID_BITS | item.id for item in self.items.values())
        for entry in entries[count:]:
            del self.items[entry & _ID_MASK]
        self._heap = entries[:count]  # sorted, and so a heap
        self._in_order = True
        return entries[count] >> _ID_BITS

    def _rebuild(self) -> None:
        self._heap = [item.due << _ID_BITS | item.id for item in self.items.values()]
        heapify(self._heap)
        self._in_order = False
