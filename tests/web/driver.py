"""Calls an ASGI application without a server, and objects to every message out of order.

What a server forgives, another does not: a second start, a body before it, a send after the end, a header in capitals
or of the wrong type. Every test that goes through here is a test of that as well.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from asched_web.http import ASGIApp, Message, Scope

PATIENCE = 60.0

Headers = Mapping[str, str] | Sequence[tuple[str, str]]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    raw_headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def json(self) -> Any:
        return json.loads(self.body)


def scope_of(
    method: str, target: str, headers: Headers = (), *, root_path: str = "", stripped: bool = False, **changes: Any
) -> Scope:
    """Return an HTTP scope as most servers make it; ``stripped`` takes ``root_path`` out of ``path``."""
    raw, _, query = target.partition("?")
    path = unquote(raw)
    if stripped:
        path = path.removeprefix(root_path) or "/"
    pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    if "host" not in {name.lower() for name, _ in pairs}:
        pairs.insert(0, ("host", "localhost:8000"))
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": raw.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": root_path,
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }
    for name, value in changes.items():
        if value is None:
            scope.pop(name, None)
        else:
            scope[name] = value
    return scope


class Exchange:
    """One request while it is being answered. The client side of it is here; the application has the other."""

    def __init__(self, app: ASGIApp, scope: Scope, chunks: Iterable[bytes] = ()) -> None:
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        parts = list(chunks) or [b""]
        for index, chunk in enumerate(parts):
            more = index < len(parts) - 1
            self._to_app.put_nowait({"type": "http.request", "body": chunk, "more_body": more})
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self.ended = False
        self.reading = asyncio.Event()
        """Cleared, the client takes nothing: ``send`` blocks, as behind a full socket."""
        self.reading.set()
        self._length = 0
        self.task = asyncio.ensure_future(app(scope, self._to_app.get, self._send))

    async def _send(self, message: Message) -> None:
        await self.reading.wait()
        self._check(message)
        self._from_app.put_nowait(message)

    def _check(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            assert self.status is None, "a second http.response.start"
            assert isinstance(message["status"], int)
            assert 200 <= message["status"] <= 599
            for name, value in message["headers"]:
                assert type(name) is bytes, f"header name {name!r} is not bytes"
                assert type(value) is bytes, f"value of {name!r} is not bytes"
                assert name == name.lower(), f"header {name!r} is not in lower case"
                assert b"\n" not in value, f"header {name!r} would be split"
                assert b"\r" not in value, f"header {name!r} would be split"
                assert name not in (b"transfer-encoding", b"keep-alive"), "hop-by-hop headers belong to the server"
            names = [name for name, _ in message["headers"]]
            assert names.count(b"content-length") <= 1
            assert names.count(b"content-type") <= 1
            self.status = message["status"]
            self.raw_headers = list(message["headers"])
            self.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
        elif kind == "http.response.body":
            assert self.status is not None, "a body before the start"
            assert not self.ended, "a message after the end"
            assert type(message.get("body", b"")) is bytes
            self._length += len(message.get("body", b""))
            if not message.get("more_body", False):
                self.ended = True
        else:
            raise AssertionError(f"unknown message {kind}")

    def disconnect(self) -> None:
        self._to_app.put_nowait({"type": "http.disconnect"})

    async def chunk(self) -> bytes:
        """Return the next piece of the body; ``b""`` when there is no more."""
        while True:
            if self.ended and self._from_app.empty():
                return b""
            getter = asyncio.ensure_future(self._from_app.get())
            done, _ = await asyncio.wait({getter, self.task}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            if getter not in done:
                getter.cancel()
                if self.task in done:
                    self.task.result()
                    if self._from_app.empty():
                        return b""
                    continue
                raise TimeoutError("the application sends nothing")
            message = getter.result()
            if message["type"] == "http.response.body" and message.get("body"):
                return message["body"]

    async def finish(self) -> Answer:
        """Wait for the whole answer and for the application to return."""
        parts: list[bytes] = []
        while part := await self.chunk():
            parts.append(part)
        await asyncio.wait_for(self.task, PATIENCE)
        body = b"".join(parts)
        assert self.status is not None, "the application returned without an answer"
        assert self.ended, "the application returned in the middle of its answer"
        declared = self.headers.get("content-length")
        if declared is not None and self.status not in (204, 304) and body:
            assert int(declared) == len(body), "content-length is not the length of the body"
        return Answer(self.status, self.headers, body, self.raw_headers)


class Client:
    """Asks one application, under one prefix."""

    def __init__(self, app: ASGIApp, prefix: str = "", **scope: Any) -> None:
        self.app = app
        self.prefix = prefix
        self.scope = scope

    def open(self, method: str, path: str, headers: Headers = (), chunks: Iterable[bytes] = ()) -> Exchange:
        return Exchange(self.app, scope_of(method, self.prefix + path, headers, **self.scope), chunks)

    async def request(
        self, method: str, path: str, *, headers: Headers = (), body: bytes = b"", json_body: object = ...
    ) -> Answer:
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        if json_body is not ...:
            body = json.dumps(json_body).encode()
            pairs.append(("content-type", "application/json"))
        if body:
            pairs.append(("content-length", str(len(body))))
        return await self.open(method, path, pairs, [body]).finish()

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.request("GET", path, **options)

    async def post(self, path: str, json_body: object = ..., **options: Any) -> Answer:
        return await self.request("POST", path, json_body=json_body, **options)

    async def put(self, path: str, json_body: object = ..., **options: Any) -> Answer:
        return await self.request("PUT", path, json_body=json_body, **options)

    async def delete(self, path: str, **options: Any) -> Answer:
        return await self.request("DELETE", path, **options)

    def stream(self, path: str = "/events", headers: Headers = ()) -> Stream:
        return Stream(self.open("GET", path, headers))


@dataclass(frozen=True)
class ServerEvent:
    name: str
    data: Any
    id: str | None


class Stream:
    """Reads server-sent events by the rules of the HTML standard."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.retry: int | None = None
        self.comments: list[str] = []
        self.raw = b""
        self._rest = b""

    async def next(self) -> ServerEvent | None:
        """Return the next event; ``None`` at the end of the stream."""
        while True:
            while b"\n\n" in self._rest:
                block, _, self._rest = self._rest.partition(b"\n\n")
                event = self._parse(block.decode())
                if event is not None:
                    return event
            chunk = await self.exchange.chunk()
            if not chunk:
                assert not self._rest, f"the stream ends within an event: {self._rest!r}"
                return None
            self.raw += chunk
            self._rest += chunk

    def _parse(self, block: str) -> ServerEvent | None:
        name, data, id = "message", [], None
        for line in block.split("\n"):
            key, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if key == "":
                self.comments.append(value)
            elif key == "retry":
                self.retry = int(value)
            elif key == "event":
                name = value
            elif key == "data":
                data.append(value)
            elif key == "id":
                id = value
        if not data:
            return None
        text = "\n".join(data)
        return ServerEvent(name, text if name == "shutdown" else json.loads(text), id)

    async def until(self, name: str) -> ServerEvent:
        """Return the next event of this name; others before it are dropped."""
        async for event in self:
            if event.name == name:
                return event
        raise AssertionError(f"the stream ended without {name}")

    async def __aiter__(self) -> AsyncIterator[ServerEvent]:
        while (event := await self.next()) is not None:
            yield event

    async def leave(self) -> None:
        """Close the connection and wait for the application to notice."""
        self.exchange.disconnect()
        await asyncio.wait_for(self.exchange.task, PATIENCE)


async def run_lifespan(app: ASGIApp) -> tuple[asyncio.Queue[Message], asyncio.Queue[Message], asyncio.Task[None]]:
    """Start the application's lifespan; return the queue to it, the one from it and its task."""
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    from_app: asyncio.Queue[Message] = asyncio.Queue()
    scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    task = asyncio.ensure_future(app(scope, to_app.get, from_app.put))
    to_app.put_nowait({"type": "lifespan.startup"})
    return to_app, from_app, task
