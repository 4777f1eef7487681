"""Server-sent events: one hub for each event loop, one stream for each client.

The hub reads the scheduler's events, merges what concerns the same job or run for up to a tenth of a second, encodes
each message once, gives it a number and hands the same bytes to every client. A ring of the latest messages lets a
client that comes back go on where it was. A client that asks for more than the ring has, whose queue is full or that
arrives new gets a snapshot: made at most once a second, shared by all who need one.

A client's queue is bounded and nothing waits for a client: each has a writer of its own, which is the only one that
awaits ``send``, and which can be cancelled or, at shutdown, have its connection cut.

The hub works only while it is needed. Making events costs the scheduler's hot path, so the subscription ends some
time after the last client left and the last list was read.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import orjson

from asched.errors import MissingExtra, NotStarted
from asched.events import Event, Subscription
from asched.views import Job, Run
from asched_web.http import Headers, Receive, Responder
from asched_web.schema import Wire, job_json, run_json
from asched_web.shutdown import abort_connection, watcher_of

if TYPE_CHECKING:
    from sse_starlette.event import ServerSentEvent

    from asched import Scheduler

__all__ = ["Feed", "Hub", "encode_event"]

log = logging.getLogger("asched.web")

HEADERS: Final[Headers] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    # no-transform: a proxy that compresses holds messages back until its buffer is full.
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]

MERGE: Final = 0.1
"""Seconds for which changes of one job are merged into one message."""
RING: Final = 1_000
"""Messages kept for clients that come back; at ten changes a second, what happened in 100 s."""
BURST: Final = 500
"""Changes in one merge above which clients are told to read a snapshot: it is shorter than the changes."""
QUEUE: Final = 256
"""Batches that may wait for one client. With one every 0.1 s it has not read for 25 s."""
QUEUE_BYTES: Final = 4 * 1024 * 1024
MERGE_A_CLIENT: Final = 0.0005
"""Seconds that each client adds to the time between two messages, past 200 of them. A write to each costs 20 us and
more: 1,000 clients and ten changes a second took a fifth of a processor without this, and take less than a tenth."""
KEEPALIVE_AFTER: Final = 15.0
"""Seconds of silence after which a comment is sent; proxies cut connections that are idle for 30 to 60 s."""
BLOCKED: Final = 30.0
"""Seconds for which one ``send`` may take nothing before the client counts as gone."""
GOODBYE: Final = 0.5
"""Seconds that a goodbye may take at shutdown, then the connection is cut."""
LINGER: Final = 60.0
"""Seconds for which events are encoded for the ring after the last client left: reloads find it complete."""
IDLE_LOOK: Final = 10.0
"""Seconds between two looks at whether anybody still needs the scheduler's events."""
SNAPSHOT_AGE: Final = 1.0
STATS_EVERY: Final = 1.0
RECONNECT: Final = 2_000
"""Milliseconds after which a client may come back."""

KEEPALIVE: Final = b": keepalive\n\n"
SHUTDOWN: Final = b"event: shutdown\ndata: bye\n\n"


@functools.cache
def _server_sent_event() -> type[ServerSentEvent]:
    # The import takes a fifth of a second where uvicorn is installed, and patches uvicorn's signal handler: only
    # who opens a stream pays for it.
    try:
        from sse_starlette.event import ServerSentEvent
    except ModuleNotFoundError:
        raise MissingExtra(
            "server-sent events need sse-starlette: pip install 'asched-py[web]'", name="sse_starlette"
        ) from None
    return ServerSentEvent


def encode_event(name: str, data: object, id: str) -> bytes:
    """Return one message with its data as one line of JSON.

    Raises:
        MissingExtra: sse-starlette is not installed.
    """
    return _server_sent_event()(orjson.dumps(data).decode(), event=name, id=id, sep="\n").encode()


class Feed(Protocol):
    """What the hub asks for, in the words of the wire; also while the scheduler is stopped or its store away."""

    async def snapshot(self) -> Wire: ...

    async def statistics(self) -> Wire: ...


class _Message(NamedTuple):
    seq: int
    data: bytes


class Hub:
    """The streams of one application on one event loop."""

    def __init__(self, scheduler: Scheduler, feed: Feed, on_change: Callable[[], None], max_streams: int) -> None:
        """``on_change`` is called for every event, also while no client is there."""
        self._scheduler = scheduler
        self._feed = feed
        self._on_change = on_change
        self.max_streams = max_streams
        self._loop = asyncio.get_running_loop()
        self._clients: set[Client] = set()
        self._pump: asyncio.Task[None] | None = None
        self._events: Subscription | None = None
        self._idle_check: asyncio.TimerHandle | None = None
        self.follows = False
        """Changes are heard of, so what was read can be kept until one comes."""
        self._wanted_until = 0.0
        self.closing = False

        # Ids of another process, or of this one before a gap, must not look like ours.
        self._epoch = secrets.token_hex(4)
        self._seq = 0
        self._ring: deque[_Message] = deque(maxlen=RING)
        self._floor = 0  # messages up to this number are no longer in the ring
        self._jobs: dict[str, Job | None] = {}
        self._runs: dict[str, Run] = {}
        self._merge: asyncio.TimerHandle | None = None
        self._merged_at = 0.0
        self._encodes_until = 0.0
        self._last_sent = self._loop.time()

        self._snapshot: tuple[float, int, bytes] | None = None
        self._snapshot_lock = asyncio.Lock()
        self._stats_due = False
        self._stats_at = 0.0
        self._stats_task: asyncio.Task[None] | None = None

    # Clients ---------------------------------------------------------------------------------------------------

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    @property
    def open_streams(self) -> int:
        return len(self._clients)

    @property
    def stopping(self) -> bool:
        """No stream is opened any more."""
        return self.closing or self._scheduler.is_shutdown_requested() or watcher_of(self._loop).server_stops

    async def serve(self, responder: Responder, receive: Receive, last_id: str | None) -> None:
        """Stream until the client leaves or the server stops.

        Raises:
            MissingExtra: sse-starlette is not installed; nothing was sent.
        """
        _server_sent_event()
        client = Client(self, responder)
        self._clients.add(client)
        self._encodes_until = self._loop.time() + LINGER
        self.need(LINGER)
        watcher_of(self._loop).watch(self)
        try:
            await responder.start(200, HEADERS)
            await client.run(receive, last_id)
        finally:
            self._clients.discard(client)
            self._wanted_until = self._encodes_until = self._loop.time() + LINGER

    def tick(self, now: float, server_stops: bool) -> None:
        """The watcher's look at this hub, ten times a second while there are streams."""
        if self.closing or server_stops or self._scheduler.is_shutdown_requested():
            for client in self._clients:
                client.say_goodbye(now)
            return
        if now - self._last_sent >= KEEPALIVE_AFTER:
            self._broadcast(KEEPALIVE)
        for client in self._clients:
            client.drop_if_blocked(now)
        if self._stats_due and now - self._stats_at >= STATS_EVERY and self._stats_task is None:
            self._stats_due = False
            self._stats_at = now
            self._stats_task = self._loop.create_task(self._send_statistics())

    def close(self) -> None:
        """End all streams with the next tick; the host has stopped."""
        self.closing = True

    async def aclose(self) -> None:
        """Stop working: the event loop is about to end."""
        self.close()
        for timer in (self._merge, self._idle_check):
            if timer is not None:
                timer.cancel()
        tasks = [task for task in (self._pump, self._stats_task) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # From the scheduler ----------------------------------------------------------------------------------------

    def need(self, seconds: float) -> None:
        """Follow the scheduler's events for so long, or on."""
        self._wanted_until = max(self._wanted_until, self._loop.time() + seconds)
        if self._pump is None or self._pump.done():
            self._pump = self._loop.create_task(self._follow())

            self._idle_check = self._loop.call_later(min(LINGER, IDLE_LOOK), self._rest)

    @property
    def _needed(self) -> bool:
        return bool(self._clients) or self._loop.time() < self._wanted_until

    def _rest(self) -> None:
        """Stop following when nobody has asked for a while."""
        if self._needed:
            self._idle_check = self._loop.call_later(min(LINGER, IDLE_LOOK), self._rest)
        elif self._events is not None:
            # Not by cancelling the task: the traceback of that would keep the subscription alive, and the scheduler
            # makes events as long as there is one.
            self._events.close()

    async def _follow(self) -> None:
        while self._needed:
            try:
                self._events = self._scheduler.subscribe()
            except NotStarted:
                await asyncio.sleep(MERGE)
                continue
            self.follows = True
            # What happened before the subscription went unheard.
            self._on_change()
            self._everything_changed("restarted")
            try:
                async for event in self._events:
                    self._take(event)
            finally:
                self._events = None
                self.follows = False
                self._on_change()
                self._stats_due = True
            if self._needed:
                await asyncio.sleep(MERGE)

    def _take(self, event: Event) -> None:
        self._on_change()
        now = self._loop.time()
        if not self._clients and now >= self._encodes_until:
            # Nobody reads, so nothing is encoded, and the ring no longer has everything.
            self._forget()
            return
        self._stats_due = True
        if event.name in ("events.dropped", "store.available"):
            # While the store was away changes of other nodes went unheard, and a client that came meanwhile was told
            # of nothing but the outage.
            self._everything_changed("gap")
            return
        if event.run is not None:
            self._runs.pop(event.run.id, None)
            self._runs[event.run.id] = event.run
        if event.job is not None:
            self._jobs.pop(event.job.id, None)
            self._jobs[event.job.id] = event.job
        elif event.name == "job.removed" and event.job_id is not None:
            self._jobs[event.job_id] = None
        if self._merge is None and (self._runs or self._jobs):
            apart = max(MERGE, MERGE_A_CLIENT * len(self._clients))
            self._merge = self._loop.call_later(max(0.0, self._merged_at + apart - now), self._send_merged)

    def _send_merged(self) -> None:
        self._merge = None
        self._merged_at = self._loop.time()
        runs, self._runs = self._runs, {}
        jobs, self._jobs = self._jobs, {}
        if len(runs) + len(jobs) > BURST:
            self._everything_changed("burst")
            return
        changes: list[tuple[str, Wire]] = [("run", run_json(run)) for run in runs.values()]
        for job_id, job in jobs.items():
            changes.append(("job_removed", {"job_id": job_id}) if job is None else ("job", job_json(job)))
        self._publish(changes)

    def _publish(self, messages: Iterable[tuple[str, Wire]]) -> None:
        batch: list[bytes] = []
        for name, data in messages:
            self._seq += 1
            encoded = encode_event(name, data, self._id(self._seq))
            if len(self._ring) == RING:
                self._floor = self._ring[0].seq
            self._ring.append(_Message(self._seq, encoded))
            batch.append(encoded)
        if batch:
            self._broadcast(b"".join(batch))

    def _broadcast(self, data: bytes) -> None:
        self._last_sent = self._loop.time()
        for client in self._clients:
            client.put(data)

    def _forget(self) -> None:
        """Let nobody resume from before now."""
        self._seq += 1
        self._floor = self._seq
        self._ring.clear()
        self._snapshot = None

    def _everything_changed(self, reason: str) -> None:
        self._runs.clear()
        self._jobs.clear()
        self._forget()
        for client in self._clients:
            client.start_anew(reason)

    async def _send_statistics(self) -> None:
        try:
            self._publish([("stats", await self._feed.statistics())])
        finally:
            self._stats_task = None

    # To clients ------------------------------------------------------------------------------------------------

    def _id(self, seq: int) -> str:
        return f"{self._epoch}-{seq}"

    def missed_since(self, last_id: str | None) -> bytes | None:
        """Return what came after the message of this id; ``None`` if that is not known."""
        epoch, _, number = (last_id or "").partition("-")
        if epoch != self._epoch or not number.isdecimal() or len(number) > 18:
            return None
        seq = int(number)
        if not self._floor <= seq <= self._seq or not self.follows:
            return None
        return b"".join(message.data for message in self._ring if message.seq > seq)

    async def snapshot(self) -> tuple[int, bytes]:
        """Return the state of everything, and the number of the message it may already contain."""
        async with self._snapshot_lock:
            while True:
                now = self._loop.time()
                made = self._snapshot
                if made is not None and now - made[0] < SNAPSHOT_AGE and made[1] >= self._floor:
                    return made[1], made[2]
                # The number is read first: messages made meanwhile are sent again after the snapshot, which does
                # no harm, since each carries the whole job or run.
                seq = self._seq
                data = await self._feed.snapshot()
                self._snapshot = now, seq, encode_event("snapshot", data, self._id(seq))

    def since(self, seq: int) -> bytes:
        return b"".join(message.data for message in self._ring if message.seq > seq)


class Client:
    """One open stream: a bounded queue, and the writer that empties it."""

    def __init__(self, hub: Hub, responder: Responder) -> None:
        self._hub = hub
        self._responder = responder
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._wake = asyncio.Event()
        self._anew: str | None = None
        self._live = False
        self._leaving_since: float | None = None
        self._sending_since: float | None = None
        self._writer: asyncio.Task[None] | None = None

    def put(self, data: bytes) -> None:
        """Queue a batch; if there is no room, forget what waits and start anew."""
        if not self._live:
            return
        if len(self._queue) >= QUEUE or self._queued + len(data) > QUEUE_BYTES:
            self.start_anew("slow")
            return
        self._queue.append(data)
        self._queued += len(data)
        self._wake.set()

    def start_anew(self, reason: str) -> None:
        """Send a reset and a snapshot instead of what waits."""
        if not self._live:
            return
        self._queue.clear()
        self._queued = 0
        self._anew = reason
        self._live = False
        self._wake.set()

    def say_goodbye(self, now: float) -> None:
        if self._leaving_since is None:
            self._leaving_since = now
            self._wake.set()
        elif now - self._leaving_since > GOODBYE:
            self._cut()

    def drop_if_blocked(self, now: float) -> None:
        if self._sending_since is not None and now - self._sending_since > BLOCKED:
            self._cut()

    def _cut(self) -> None:
        if self._sending_since is not None:
            # The server would wait for the socket to take what it has buffered.
            abort_connection(self._responder.send)
        if self._writer is not None:
            self._writer.cancel()

    async def run(self, receive: Receive, last_id: str | None) -> None:
        """Serve the client until it leaves or is told to."""
        loop = self._hub.loop
        writer = self._writer = loop.create_task(self._write(last_id))
        listener = loop.create_task(_left(receive))
        try:
            await asyncio.wait({writer, listener}, return_when=asyncio.FIRST_COMPLETED)
            if not writer.done() and self._hub.stopping:
                # uvicorn 0.43 and 0.44 report a disconnect to every stream when they stop, with the client still there.
                self.say_goodbye(loop.time())
                await asyncio.wait({writer}, timeout=GOODBYE)
        except asyncio.CancelledError:
            # daphne, gunicorn's quick stop and graceful timeouts cancel us; the client should still know why.
            await _stop(writer)
            with contextlib.suppress(Exception):
                async with asyncio.timeout(GOODBYE):
                    await self._part()
            raise
        finally:
            await _stop(listener)
            await _stop(writer)
        if not writer.cancelled() and (error := writer.exception()) is not None:
            raise error

    async def _write(self, last_id: str | None) -> None:
        first = f"retry: {RECONNECT}\n\n".encode()
        missed = self._hub.missed_since(last_id)
        if missed is not None:
            self._live = True
            await self._send(first + missed)
        else:
            await self._send_snapshot(first)
        while self._leaving_since is None:
            if self._anew is not None:
                reason, self._anew = self._anew, None
                await self._send_snapshot(_unnumbered("reset", {"reason": reason}))
                continue
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
                continue
            batch = b"".join(self._queue)
            self._queue.clear()
            self._queued = 0
            await self._send(batch)
        await self._part()

    async def _send_snapshot(self, before: bytes) -> None:
        # Nothing between the snapshot and going live awaits, or messages in between would be lost.
        seq, snapshot = await self._hub.snapshot()
        self._live = True
        await self._send(b"".join((before, snapshot, self._hub.since(seq))))

    async def _send(self, data: bytes) -> None:
        self._sending_since = self._hub.loop.time()
        await self._responder.chunk(data)
        self._sending_since = None

    async def _part(self) -> None:
        if not self._responder.ended:
            await self._send(SHUTDOWN)
            await self._responder.end()


def _unnumbered(name: str, data: Wire) -> bytes:
    # Without an id: a client that loses the connection here must not resume from before the reset.
    return f"event: {name}\ndata: {orjson.dumps(data).decode()}\n\n".encode()


async def _left(receive: Receive) -> None:
    """Return when the client has left. Some servers deliver the request's empty body first."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
