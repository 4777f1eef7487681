"""What all stores do alike: one schedule and its users, the nodes of this process, their hints, the feed of changes."""

from __future__ import annotations

import asyncio
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from asched.clock import Clock
from asched.errors import InvalidArgument
from asched.model import JobSpec
from asched.rules.state import Step, resolved
from asched.store import ChangeKind, Changes, Limits, NodeInfo, Timer
from asched.stores.following import ALL_NODES, Feed, Hints
from asched.tasks import carry_through

__all__ = ["Abilities", "BaseStore", "read_options"]


_LAST_OUT: weakref.WeakSet[asyncio.Task[None]] = weakref.WeakSet()
"""The tasks that wait for the end of an event loop; they do not wait for each other."""


class Abilities:
    """What the live nodes of this process can run, all together."""

    def __init__(self) -> None:
        self.functions: Counter[str] = Counter()
        self.declarations: Counter[str] = Counter()

    def add(self, info: NodeInfo) -> None:
        self.functions.update(info.functions)
        self.declarations.update(info.declarations)

    def remove(self, info: NodeInfo) -> None:
        for held, names in ((self.functions, info.functions), (self.declarations, info.declarations)):
            held.subtract(names)
            for name in names:
                if not held[name]:
                    del held[name]

    def resolve(self, spec: JobSpec) -> bool:
        """Tell whether one of them can run the job."""
        return resolved(spec, self.functions, self.declarations)


class BaseStore:
    """Life and news of a store. A store of its own opens and closes what it keeps its schedule in.

    One object serves one schedule. Several schedulers of one event loop may open it: the first opens it, the last to
    close it closes it.
    """

    def __init__(self) -> None:
        self._namespace: str | None = None
        self._users = 0
        self._nodes: dict[int, NodeInfo] = {}
        """The nodes of this process, by epoch."""
        self._hints = Hints()
        self._feed: Feed | None = None
        """Made when somebody first asks for changes: kept before that, it would cost every run."""
        self._last_out: asyncio.Task[None] | None = None

    async def open(self, namespace: str, limits: Limits, clock: Clock) -> None:
        """As the contract says; :meth:`_open` says what a store may raise besides.

        Raises:
            InvalidArgument: The object holds a schedule of another name.
        """
        if self._users:
            self._check_namespace(namespace)
        else:
            await self._open(namespace, limits, clock)
            self._namespace = namespace
            self._users = 1
            self._last_out = asyncio.create_task(self._leave_last(), name="a store's end")
            _LAST_OUT.add(self._last_out)
            try:
                # A task that is cancelled before its first step never comes to its except.
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                await carry_through(self.close())
                raise
            return
        self._users += 1

    def _check_namespace(self, namespace: str) -> None:
        if namespace != self._namespace:
            raise InvalidArgument(
                f"{self!r} holds the schedule {self._namespace!r}; give {namespace!r} a store of its own",
                field="store",
            )

    async def _open(self, namespace: str, limits: Limits, clock: Clock) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        if not self._users:
            return
        self._users -= 1
        if self._users:
            return
        for epoch in list(self._nodes):
            self._drop_node(epoch)
        if self._last_out is not None:
            self._last_out.cancel()
            self._last_out = None
        await self._close()

    async def _close(self) -> None:
        raise NotImplementedError

    async def _leave_last(self) -> None:
        """Cut the connections when the event loop ends and nobody has closed the store.

        A loop that ends cancels its tasks. Those that record what they did need the store until they are over.
        """
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            if self._users:
                while others := asyncio.all_tasks() - set(_LAST_OUT):
                    await asyncio.wait(others)
                await self._cut()
            raise

    async def _cut(self) -> None:
        """Close what the event loop would leave open, without a word to the other side."""

    def abandon(self) -> None:
        """Let go of everything at once: the event loop that opened the store is closed."""
        self._users = 0
        self._nodes.clear()
        self._hints = Hints()
        self._feed = None
        self._last_out = None
        self._abandon()

    def _abandon(self) -> None:
        """Forget what belongs to the event loop that is closed."""

    # The nodes of this process

    def _add_node(self, epoch: int, info: NodeInfo) -> None:
        self._nodes[epoch] = info
        self._hints.join(epoch)

    def _drop_node(self, epoch: int) -> None:
        """Forget a node that left or was reaped; its :meth:`watch` ends."""
        self._nodes.pop(epoch, None)
        self._hints.leave(epoch)

    # Hints and news

    def watch(self, epoch: int) -> AsyncIterator[int]:
        return self._hints.watch(epoch)

    def wake(self, epoch: int, due: int) -> None:
        self._hints.give_others(epoch, due)

    def _hint(self, epoch: int, due: int) -> None:
        """Hint to one node, or to :data:`ALL_NODES`."""
        self._hints.give(epoch, due)

    def _hint_timers(self, timers: Iterable[Timer]) -> None:
        """Hint to every node at timers that no caller takes in: the one that let them go has left."""
        earliest = min((timer.due for timer in timers), default=None)
        if earliest is not None:
            self._hint(ALL_NODES, earliest)

    def _tell(self, step: Step) -> None:
        """Tell this process, and the nodes that are hinted to, of a step that is committed."""
        if self._feed is not None:
            self._feed.add(step.changes)
        for epoch, due in step.hints:
            self._hint(epoch, due)

    def _tell_runs(self, runs: Iterable[int]) -> None:
        """Tell this process of runs that the plain paths have changed."""
        if self._feed is not None:
            for run_id in runs:
                self._feed.note(ChangeKind.RUN, run_id)

    async def changes(self, cursor: int | None) -> Changes:
        if self._feed is None:
            self._feed = Feed()
        return self._feed.since(cursor)


def read_options(store: str, options: Mapping[str, str], readers: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """Return the values of a URL's options.

    Args:
        store: The store's name, for messages.
        readers: By option, what reads its text; one that raises ``ValueError`` or ``KeyError`` refuses it.

    Raises:
        InvalidArgument: There is no such option, or its text is no value of it.
    """
    values: dict[str, Any] = {}
    for name, text in options.items():
        read = readers.get(name)
        if read is None:
            have = f"it has {', '.join(readers)}" if readers else "it has none"
            raise InvalidArgument(f"the {store} store has no option {name!r}; {have}", field="store")
        try:
            values[name] = read(text)
        except (ValueError, KeyError):
            raise InvalidArgument(f"{text!r} is no value of the {store} option {name!r}", field="store") from None
    return values
