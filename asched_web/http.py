"""Requests, responses and problems: what HTTP and ASGI ask of every answer, decided once.

Handlers return a :class:`Response` or raise. :class:`Responder` is the only code that calls ``send``; its states
make a message out of order impossible. The table at the end turns errors of asched into statuses.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import parse_qsl

import orjson

from asched.errors import (
    AlreadyStarted,
    AschedError,
    Forbidden,
    FunctionUnknown,
    InvalidArgument,
    InvalidTrigger,
    JobBusy,
    JobExists,
    JobNotFound,
    MissingExtra,
    NotStarted,
    RunNotFound,
    SchemaTooNew,
    StoreLocked,
    StoreUnavailable,
    TriggerNotStorable,
    UnstableFunction,
    VersionConflict,
    WrongLoop,
)
from asched.masking import masked

__all__ = [
    "ASGIApp",
    "ClientGone",
    "Fault",
    "Headers",
    "Message",
    "Problem",
    "Receive",
    "Request",
    "Responder",
    "Response",
    "Scope",
    "Send",
    "json_response",
    "masked",
    "problem_of",
]

# The types of ASGI 3 as its specification gives them: open dictionaries.
Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

MAX_BODY: Final = 1024 * 1024
"""Bytes a request body may have."""

# More parameters than any endpoint takes; parse_qsl refuses longer queries instead of building them.
_MAX_QUERY_FIELDS: Final = 64

_TITLES: Final = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    412: "Precondition failed",
    413: "Body too large",
    415: "Unsupported media type",
    421: "Misdirected request",
    422: "Invalid request",
    500: "Internal error",
    503: "Unavailable",
}

# Every API answer: never interpreted as anything but what it says, never framed, never a document with scripts.
API_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)


class ClientGone(Exception):
    """The client left before its request was complete; there is nobody to answer."""


class Fault(NamedTuple):
    """One thing wrong with a request body or query."""

    pointer: str
    """JSON pointer (RFC 6901) into the body; for a query parameter ``?name``."""
    detail: str


class Problem(AschedError):
    """An answer other than success, as RFC 9457 describes it.

    Args:
        status: The HTTP status.
        detail: What is wrong and what to do about it.
        error: A short phrase; by default the status' own.
        job_id: The job in question.
        faults: What is wrong, part by part.
        headers: Headers that belong to the status, ``Allow`` for example.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        error: str | None = None,
        job_id: str | None = None,
        faults: Sequence[Fault] = (),
        headers: Headers | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.error = error or _TITLES.get(status, "Error")
        self.job_id = job_id
        self.faults = faults
        self.headers = headers or []

    def response(self) -> Response:
        body: dict[str, object] = {
            "type": "about:blank",
            "title": _TITLES.get(self.status, "Error"),
            "status": self.status,
            "error": self.error,
            "detail": masked(self.detail),
        }
        if self.job_id is not None:
            body["job_id"] = self.job_id
        if self.faults:
            body["errors"] = [{"pointer": pointer, "detail": masked(detail)} for pointer, detail in self.faults]
        return Response(
            self.status,
            orjson.dumps(body),
            [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store"), *self.headers],
        )


class Response:
    """A whole answer: status, headers, body. The length is added when it is sent."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes = b"", headers: Headers | None = None) -> None:
        self.status = status
        self.body = body
        self.headers = headers if headers is not None else []


def json_response(value: object, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()) -> Response:
    """Return the value as JSON, not to be stored by anybody."""
    return Response(
        status,
        orjson.dumps(value),
        [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), *headers],
    )


class Request:
    """One HTTP request: the scope, read once."""

    __slots__ = ("_query", "headers", "method", "params", "permits", "receive", "scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        self.params: Mapping[str, str] = {}
        self.permits: Callable[[str], Awaitable[bool]] = _permits_all
        """Tells whether who sent this may do an action."""
        self.headers: dict[bytes, bytes] = {}
        self._query: dict[str, str] | None = None
        for name, value in scope["headers"]:
            # Repeated fields are joined as RFC 9110 says: two Host or two Authorization lines then match nothing.
            self.headers[name] = self.headers[name] + b", " + value if name in self.headers else value

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of one that is repeated the last counts.

        Raises:
            Problem: 422: there are more than any endpoint takes.
        """
        if self._query is None:
            text = self.scope.get("query_string", b"").decode("latin-1")
            try:
                pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
            except ValueError:
                raise Problem(422, f"the query has more than {_MAX_QUERY_FIELDS} parameters") from None
            self._query = dict(pairs)
        return self._query

    async def body(self) -> bytes:
        """Return the whole body.

        Raises:
            Problem: 413: it has more than 1 MiB; the rest is not read and the connection not used again.
            ClientGone: The client left.
        """
        declared = self.headers.get(b"content-length", b"0")
        if not declared.isdigit():
            raise Problem(400, "Content-Length is not a number")
        if int(declared) > MAX_BODY:
            raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > MAX_BODY:
                raise self._too_large()
            if chunk:
                chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)

    async def json(self) -> object:
        """Return the body as JSON; an empty body is ``None``.

        Raises:
            Problem: 400: it is not JSON. 413: it is too long. 415: it says that it is something else.
        """
        body = await self.body()
        kind = self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if not body:
            return None
        if kind != b"application/json":
            raise Problem(415, "the body must be JSON, with Content-Type: application/json")
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise Problem(400, f"the body is not valid JSON: {error}", error="Broken JSON") from None

    def _too_large(self) -> Problem:
        # On HTTP/1 the unread rest of the body would be taken for the next request. HTTP/2 forbids the header.
        old = self.scope.get("http_version", "1.1").startswith("1")
        headers = [(b"connection", b"close")] if old else []
        return Problem(413, f"a body may have {MAX_BODY} bytes at most", headers=headers)


async def _permits_all(action: str) -> bool:
    return True


class Responder:
    """Sends one response, message by message, in the only order ASGI allows.

    ``http.response.start`` once, bodies after it, nothing after the last; for HEAD no byte of a body.
    """

    __slots__ = ("_head", "_send", "ended", "extra", "started")

    def __init__(self, send: Send, *, head: bool = False) -> None:
        self._send = send
        self._head = head
        self.started = False
        self.ended = False
        self.extra: Headers = []
        """Headers that every response to this request gets (CORS)."""

    @property
    def send(self) -> Send:
        """The server's own callable, to be looked at and not called."""
        return self._send

    async def whole(self, response: Response) -> None:
        headers = [*response.headers, *API_HEADERS] if not _has_policy(response.headers) else [*response.headers]
        # Neither 204 nor 304 has a body, and a length would be that of the body they do not have.
        if response.status not in (204, 304):
            headers.append((b"content-length", str(len(response.body)).encode()))
        await self.start(response.status, headers)
        await self.end(response.body)

    async def start(self, status: int, headers: Headers) -> None:
        if self.started:
            raise RuntimeError("the response has started")
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, *self.extra]})

    async def chunk(self, body: bytes) -> None:
        if not self.started or self.ended:
            raise RuntimeError("a body comes between the start and the end of its response")
        if not self._head:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, body: bytes = b"") -> None:
        if not self.started or self.ended:
            raise RuntimeError("a response ends once, after its start")
        self.ended = True
        await self._send({"type": "http.response.body", "body": b"" if self._head else body, "more_body": False})


def _has_policy(headers: Headers) -> bool:
    return any(name == b"content-security-policy" for name, _ in headers)


class _Row(NamedTuple):
    status: int
    error: str


# THE table: an error of asched on the left, what HTTP calls it on the right. An error that is not here is a bug
# and answers 500; tests/web/test_problems.py holds that every public error has a row.
_STATUS: Final[dict[type[AschedError], _Row]] = {
    JobNotFound: _Row(404, "Job not found"),
    RunNotFound: _Row(404, "Run not found"),
    FunctionUnknown: _Row(422, "Function not registered"),
    UnstableFunction: _Row(422, "Function has no lasting name"),
    InvalidTrigger: _Row(422, "Invalid schedule"),
    InvalidArgument: _Row(422, "Invalid request"),
    TriggerNotStorable: _Row(409, "Trigger of the program's own"),
    JobExists: _Row(409, "Job exists"),
    JobBusy: _Row(409, "Job is running"),
    AlreadyStarted: _Row(409, "Already started"),
    VersionConflict: _Row(412, "Job was changed"),
    Forbidden: _Row(403, "Forbidden"),
    NotStarted: _Row(503, "Scheduler is not running"),
    WrongLoop: _Row(503, "Scheduler runs on another event loop"),
    StoreUnavailable: _Row(503, "Store is unavailable"),
    StoreLocked: _Row(503, "Store is locked"),
    SchemaTooNew: _Row(503, "Store is too new"),
    MissingExtra: _Row(503, "Extra is not installed"),
}


def problem_of(error: AschedError, pointer: Callable[[str], str]) -> Problem | None:
    """Return the answer to an error, or ``None`` if no client could have caused it.

    Args:
        pointer: Turns the ``field`` of :class:`~asched.InvalidArgument` into a JSON pointer.
    """
    if isinstance(error, Problem):
        return error
    row = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), None)
    if row is None:
        return None
    faults: list[Fault] = []
    if isinstance(error, InvalidArgument):
        faults = [Fault(pointer(error.field or ""), str(error))]
    elif isinstance(error, FunctionUnknown):
        faults = [Fault(pointer("func"), str(error))]
    job_id = getattr(error, "job_id", None)
    headers = [(b"retry-after", b"2")] if row.status == 503 else []
    return Problem(row.status, str(error), error=row.error, job_id=job_id, faults=faults, headers=headers)
