"""What happened, told after the store has committed it."""

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple, Self
from weakref import ref

from asched.errors import InvalidArgument
from asched.views import Job, Run

__all__ = ["EVENTS", "Event", "EventBus", "Hook", "Subscription", "in_hook"]

log = logging.getLogger("asched")

EVENTS = frozenset(
    {
        "job.added", "job.updated", "job.removed", "job.paused", "job.resumed",
        "run.started", "run.progress", "run.retrying", "run.succeeded", "run.failed", "run.timed_out", "run.cancelled",
        "run.skipped", "run.missed", "run.lost",
        "scheduler.started", "scheduler.stopping", "clock.jumped", "loop.blocked",
        "scheduler.failed", "scheduler.recovered", "store.unavailable", "store.available", "events.dropped",
    }
)  # fmt: skip

# A subscriber that reads nothing for this many events is told that it missed some.
_BACKLOG = 10_000


_NOTHING_ELSE: Mapping[str, Any] = MappingProxyType({})


class Event(NamedTuple):
    """A fact. ``job`` and ``run`` are as they stood right after it."""

    name: str
    at: datetime
    job_id: str | None = None
    run_id: str | None = None
    job: Job | None = None
    run: Run | None = None
    data: Mapping[str, Any] = _NOTHING_ELSE


Hook = Callable[[Event], Awaitable[None] | None]


class Subscription:
    """An endless iterator over the events since it was made. Dropping it, or ``aclose()``, ends it."""

    def __init__(self, leave: "Callable[[Subscription], None]") -> None:
        self._leave = leave
        self._events: deque[Event] = deque()
        self._dropped = 0
        self._ready = asyncio.Event()
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        if self._dropped:
            lost, self._dropped = self._dropped, 0
            return Event("events.dropped", self._events[0].at, data={"count": lost})
        return self._events.popleft()

    def put(self, events: Sequence[Event]) -> None:
        self._events.extend(events)
        surplus = len(self._events) - _BACKLOG
        for _ in range(surplus):
            self._events.popleft()
        self._dropped += max(surplus, 0)
        self._ready.set()

    def close(self) -> None:
        """Let the reader have what is there and then end."""
        self._closed = True
        self._ready.set()

    async def aclose(self) -> None:
        """End at once: what was not read is dropped, and nothing more is collected for this reader."""
        self._leave(self)
        self._events.clear()
        self.close()


class EventBus:
    """Hands events to subscribers and hooks of this process."""

    def __init__(self) -> None:
        # Weak, because a reader that is gone without a word must not collect events for ever.
        self._subscribers: set[ref[Subscription]] = set()
        self._hooks: dict[str, list[Hook]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.wanted = False
        """Somebody listens. An attribute, because each run and each change of a job asks before it makes an event."""

    def on(self, name: str, hook: Hook) -> None:
        if not isinstance(name, str) or name not in EVENTS:
            raise InvalidArgument(f"there is no event {name!r}; the events are {', '.join(sorted(EVENTS))}")
        if not callable(hook):
            raise InvalidArgument(f"a hook must be callable, not {hook!r}", field="hook")
        self._hooks.setdefault(name, []).append(hook)
        self.wanted = True

    def wants(self, name: str) -> bool:
        return bool(self._subscribers) or name in self._hooks

    def subscribe(self) -> Subscription:
        """Return the events from now on. One who falls 10,000 behind gets ``events.dropped`` with their number."""
        subscription = Subscription(self._leave)
        self._subscribers.add(ref(subscription, self._forget))
        self.wanted = True
        return subscription

    def _leave(self, subscription: Subscription) -> None:
        self._forget(ref(subscription))

    def _forget(self, subscriber: ref[Subscription]) -> None:
        self._subscribers.discard(subscriber)
        self.wanted = bool(self._hooks or self._subscribers)

    def _readers(self) -> list[Subscription]:
        # Over a copy: the collector may take a reader away at any moment.
        return [reader for subscriber in tuple(self._subscribers) if (reader := subscriber()) is not None]

    def publish(self, events: Sequence[Event]) -> None:
        for subscription in self._readers():
            subscription.put(events)
        for event in events if self._hooks else ():
            for hook in self._hooks.get(event.name, ()):
                self._call(hook, event)

    def _call(self, hook: Hook, event: Event) -> None:
        try:
            answer = hook(event)
            if inspect.isawaitable(answer):
                task = asyncio.create_task(_finish(self, hook, answer), name=f"the hook {hook!r} for {event.name}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        except Exception:
            log.exception("the hook %r for %s failed", hook, event.name)

    async def close(self, patience: float) -> None:
        """End the subscriptions once they are read, and give the hooks that run so many seconds to end."""
        self.forget_readers()
        if self._tasks and patience > 0:
            await asyncio.wait(self._tasks, timeout=patience)
        for task in self._tasks:
            log.warning("%s did not end within the stop's %.0f s and is cancelled", task.get_name(), patience)
            task.cancel()
        if self._tasks:
            # One turn for those that listen; a hook that swallows its cancellation is left behind.
            await asyncio.wait(self._tasks, timeout=_LAST_TURN)
        self._tasks.clear()

    def forget_readers(self) -> None:
        for subscription in self._readers():
            subscription.close()
        self._subscribers.clear()
        self.wanted = bool(self._hooks)

    def abandon(self) -> None:
        """Forget readers and running hooks: their event loop is gone."""
        self._subscribers.clear()
        self._tasks.clear()
        self.wanted = bool(self._hooks)


def in_hook(bus: EventBus) -> bool:
    """Tell whether the caller is a hook of this bus, or was started by one."""
    return _hook_of.get() is bus


_hook_of: ContextVar[EventBus | None] = ContextVar("asched_hook", default=None)
_LAST_TURN = 0.1


async def _finish(bus: EventBus, hook: Hook, answer: Awaitable[None]) -> None:
    _hook_of.set(bus)
    try:
        await answer
    except Exception:
        log.exception("the hook %r failed", hook)
