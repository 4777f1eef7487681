"""The ASGI application: from a scope to an endpoint and back, and the two ways into a host's lifespan."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from asched.errors import AschedError, Forbidden, InvalidArgument
from asched.options import check_seconds
from asched_web.api import ENDPOINTS
from asched_web.auth import Action, Auth, Guard, authenticator, identify
from asched_web.endpoint import Endpoint
from asched_web.http import (
    ASGIApp,
    ClientGone,
    Fault,
    Headers,
    Message,
    Problem,
    Receive,
    Request,
    Responder,
    Response,
    Scope,
    Send,
    masked,
    problem_of,
)
from asched_web.lists import Key
from asched_web.routing import Match, Router, raw_segments
from asched_web.schema import REDACTED_WORDS, pointer_of
from asched_web.shutdown import install_shutdown_handlers, uninstall_shutdown_handlers, watcher_of
from asched_web.site import Site
from asched_web.static import asset, matches

if TYPE_CHECKING:
    from asched import Scheduler

__all__ = ["App", "attach", "create_app", "lifespan"]

log = logging.getLogger("asched.web")

"""Seconds that running attempts are given when the host stops."""

_CORS_REQUEST_HEADERS: Final = b"authorization, content-type, if-match, if-none-match, last-event-id"

LISTS_NEED: Final = 10.0
"""Seconds for which changes are followed after a list was read."""


_BUG: Final = Problem(500, "the server failed to answer; its log says why")


class _Page(NamedTuple):
    """A path that is no endpoint of the interface: the shell, a file, the stream."""

    method: str
    path: str


_SHELL = _Page("GET", "/")
_FILE = _Page("GET", "/static/{path...}")
_EVENTS = _Page("GET", "/events")


class App:
    """One scheduler's dashboard and HTTP interface, as an ASGI 3 callable."""

    def __init__(
        self,
        site: Site,
        *,
        auth: Auth | None,
        allowed_hosts: Collection[str],
        cors_origins: Collection[str],
        base_path: str | None,
        install_signal_handlers: bool,
        drain: float | None,
    ) -> None:
        self.site = site
        self._drain = drain
        self._ask = None if auth is None else authenticator(auth)
        self._guard = Guard(allowed_hosts, cors_origins, check_host=auth is None)
        self._router: Router[Endpoint | _Page] = Router([*ENDPOINTS, _SHELL, _FILE, _EVENTS], base_path=base_path)
        self._install_signal_handlers = install_signal_handlers
        self._warned = auth is not None
        # Lists may be answered before anything is looked at where everybody gets the same.
        self._open_to_all = auth is None and not self._guard.origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            if self._open_to_all and scope["method"] == "GET" and await self._answer_kept(scope, send):
                return
            await self._http(scope, receive, send)
        elif kind == "lifespan":
            await self._lifespan(receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise RuntimeError(f"ASGI scopes of type {kind!r} are not known here")

    # Lists that are kept ---------------------------------------------------------------------------------------

    async def _answer_kept(self, scope: Scope, send: Send) -> bool:
        """Answer from a list that is encoded already. This is the whole path of most requests."""
        key = (scope.get("raw_path") or scope["path"], scope["query_string"], scope.get("root_path"))
        entry = self.site.lists.entries.get(key)
        if entry is None or entry.expires <= asyncio.get_running_loop().time():
            return False
        # Exactly one Host: with none, or with two, it is not known who is asked.
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not self._guard.trusts(hosts[0]):
            return False
        for name, value in scope["headers"]:
            if name == b"if-none-match" and matches(value, entry.etag):
                await send({"type": "http.response.start", "status": 304, "headers": [*entry.headers_304]})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return True
        await send({"type": "http.response.start", "status": 200, "headers": [*entry.headers]})
        await send({"type": "http.response.body", "body": entry.body, "more_body": False})
        return True

    async def _list(self, endpoint: Endpoint, request: Request, responder: Responder) -> None:
        lister = endpoint.lister
        assert lister is not None
        hub = self.site.hub
        hub.need(LISTS_NEED)
        if not hub.follows:
            # A turn of the loop, in which the hub subscribes: what is read before that cannot be kept.
            await asyncio.sleep(0)
        scope = request.scope
        key: Key = (scope.get("raw_path") or scope["path"], scope["query_string"], scope.get("root_path"))
        try:
            entry = await self.site.lists.get(key, lambda: lister(self.site, request), self.site.now, keep=hub.follows)
        except AschedError:
            raise
        except ValueError:
            # A cursor means something to its store only, which reads it as what it made.
            if "cursor" not in request.query:
                raise
            fault = Fault("?cursor", "is not the next_cursor of a page of this list")
            raise Problem(422, "the query is not valid: cursor leads nowhere", faults=[fault]) from None
        if matches(request.headers.get(b"if-none-match"), entry.etag):
            await responder.start(304, entry.headers_304)
            await responder.end()
        else:
            await responder.start(200, entry.headers)
            await responder.end(entry.body)

    # Requests --------------------------------------------------------------------------------------------------

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._warn_once()
        responder = Responder(send, head=scope["method"] == "HEAD")
        try:
            request = Request(scope, receive)
            responder.extra = self._cors_headers(request)
            response = await self._respond(request, responder)
        except ClientGone:
            return
        except AschedError as error:
            problem = problem_of(error, pointer_of)
            if problem is None or responder.started:
                log.exception("%s %s failed", scope["method"], scope["path"])
                if responder.started:
                    # The server must cut the connection, or the half that was sent would pass for the whole.
                    raise
                problem = _BUG
            response = problem.response()
        except Exception:
            # The application's own auth, or a bug of ours.
            log.exception("%s %s failed", scope["method"], scope["path"])
            if responder.started:
                raise
            response = _BUG.response()
        if response is not None:
            await responder.whole(response)

    async def _respond(self, request: Request, responder: Responder) -> Response | None:
        match = self._router.resolve(request.scope)
        if match is None:
            raise Problem(404, "there is nothing at this path; /api/openapi.json lists what there is")
        if request.method == "OPTIONS":
            return self._options(match, request)
        found = match.routes.get("GET" if request.method == "HEAD" else request.method)
        if found is None:
            raise Problem(405, f"this path takes {_allowed(match)}", headers=[(b"allow", _allowed(match).encode())])
        request.params = match.params
        if found is not _FILE and not (isinstance(found, Endpoint) and found.path == "/healthz"):
            self._guard.check_host(request)
        if isinstance(found, Endpoint):
            return await self._endpoint(found, request, responder)
        if found is _EVENTS:
            return await self._events(request, responder)
        if found is _FILE:
            return asset(request, match.params["path"])
        return self._shell(request)

    async def _endpoint(self, endpoint: Endpoint, request: Request, responder: Responder) -> Response | None:
        if endpoint.action is not None:
            await self._authenticate(request, endpoint.action)
        if endpoint.writes:
            if self.site.read_only:
                raise Problem(403, "this dashboard is read-only")
            self._guard.check(request)
        if endpoint.lister is not None:
            await self._list(endpoint, request, responder)
            return None
        assert endpoint.handler is not None
        try:
            return await endpoint.handler(self.site, request)
        finally:
            if endpoint.writes:
                # Its client may ask at once, and must not be told what was true before. A write that failed half
                # way through a lost connection may have happened, too.
                self.site.lists.drop()

    async def _authenticate(self, request: Request, action: Action) -> None:
        ask = self._ask
        if ask is None:
            return
        await identify(ask, request, action)

        async def permits(other: str) -> bool:
            try:
                await identify(ask, request, cast(Action, other))
            except (Problem, Forbidden):
                return False
            return True

        request.permits = permits

    async def _events(self, request: Request, responder: Responder) -> Response | None:
        await self._authenticate(request, "view")
        hub = self.site.hub
        if request.method == "HEAD":
            return Response(200, b"", [(b"content-type", b"text/event-stream; charset=utf-8")])
        self._arm()
        watcher_of(hub.loop).look_for_server(hub.loop)
        if hub.stopping:
            raise Problem(503, "the server is stopping", headers=[(b"retry-after", b"2")])
        if hub.open_streams >= hub.max_streams:
            raise Problem(
                503, f"{hub.max_streams} streams are open, which is max_streams", headers=[(b"retry-after", b"10")]
            )
        last_id = request.query.get("last_id")
        header = request.headers.get(b"last-event-id")
        if header is not None:
            last_id = header.decode("latin-1")
        await hub.serve(responder, request.receive, last_id)
        return None

    def _shell(self, request: Request) -> Response:
        segments = raw_segments(request.scope)
        if segments is not None and segments[-1] != "":
            # Without the slash the page's relative URLs would start one level too high. The target is relative as
            # well, because only the browser knows the prefixes that proxies took away.
            query = request.scope.get("query_string", b"")
            target = f"./{segments[-1]}/".encode("latin-1") + (b"?" + query if query else b"")
            return Response(307, b"", [(b"location", target), (b"cache-control", b"no-cache")])
        return asset(request, "index.html")

    def _options(self, match: Match[Endpoint | _Page], request: Request) -> Response:
        allowed = _allowed(match).encode()
        headers: Headers = [(b"allow", allowed)]
        if request.headers.get(b"access-control-request-method") and self._cors_headers(request):
            headers += [
                (b"access-control-allow-methods", allowed),
                (
                    b"access-control-allow-headers",
                    _CORS_REQUEST_HEADERS,
                ),
                (b"access-control-max-age", b"600"),
            ]
        return Response(204, b"", headers)

    def _cors_headers(self, request: Request) -> Headers:
        if not self._guard.origins:
            return []
        headers: Headers = [(b"vary", b"Origin")]
        origin = request.headers.get(b"origin", b"")
        if origin.decode("latin-1").lower() in self._guard.origins:
            headers.append((b"access-control-allow-origin", origin))
            headers.append((b"access-control-expose-headers", b"etag, retry-after"))
        return headers

    # Life ------------------------------------------------------------------------------------------------------

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        context = self.lifespan()
        try:
            await context.__aenter__()
        except Exception as error:  # noqa: BLE001 - the server logs it and ends, which is what the message is for
            await send({"type": "lifespan.startup.failed", "message": masked(f"{type(error).__name__}: {error}")})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await context.__aexit__(None, None, None)
        except Exception as error:  # noqa: BLE001
            await send({"type": "lifespan.shutdown.failed", "message": masked(f"{type(error).__name__}: {error}")})
            return
        await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def lifespan(self, drain: float | None = None) -> AsyncIterator[None]:
        """Start the scheduler unless it runs; at the end close the streams, and stop what was started here."""
        self._warn_once()
        self._arm()
        try:
            async with _running(self.site.scheduler, self._drain if drain is None else drain):
                try:
                    yield
                finally:
                    hub = self.site.open_hub
                    if hub is not None:
                        await hub.aclose()
        finally:
            if self._install_signal_handlers:
                uninstall_shutdown_handlers(self.site.scheduler)

    def _arm(self) -> None:
        if self._install_signal_handlers:
            install_shutdown_handlers(self.site.scheduler)

    def _warn_once(self) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "the dashboard of %r has no auth: whoever reaches it may see and change every job; "
                "pass auth=... or read_only=True to create_app",
                self.site.scheduler.name,
            )


def create_app(
    scheduler: Scheduler,
    *,
    title: str = "asched",
    read_only: bool = False,
    auth: Auth | None = None,
    allowed_hosts: Collection[str] = (),
    cors_origins: Collection[str] = (),
    base_path: str | None = None,
    redact: Collection[str] = REDACTED_WORDS,
    max_streams: int = 2_000,
    drain: float | None = None,
    install_signal_handlers: bool = True,
) -> App:
    """Return the dashboard and HTTP interface of a scheduler as an ASGI 3 application.

    It runs at the root of a server or mounted under any prefix. At the root its lifespan starts and stops the
    scheduler; a mounted application gets no lifespan from most hosts, see :func:`lifespan` and :func:`attach`.

    Args:
        title: Name of the dashboard.
        read_only: Refuse everything that changes something.
        auth: A function ``(scope, action)`` that returns an identity, ``None`` for nobody, or raises
            :class:`~asched.Forbidden`; it may be a coroutine function. Or a mapping of bearer tokens to ``"view"``,
            ``"operate"`` or ``"edit"``.
        allowed_hosts: Names, with or without a port, by which this server may be addressed; needed without ``auth``
            where it is not an IP address or ``localhost``.
        cors_origins: Origins whose pages may call this interface, such as ``"https://ops.example.com"``.
        base_path: The prefix in ``path``, for a host whose ``root_path`` is wrong.
        redact: Words; arguments with one of them in their name are shown as ``***``.
        max_streams: Open event streams; further ones are answered 503.
        drain: Seconds that running attempts are given when the application stops the scheduler; ``None``: the
            scheduler's own ``drain``.
        install_signal_handlers: Stand in front of the server's handlers of SIGINT and SIGTERM, so that open streams
            end before the server waits for them. See :func:`install_shutdown_handlers`.

    Raises:
        InvalidArgument: An argument is wrong.
    """
    if isinstance(allowed_hosts, str) or isinstance(cors_origins, str) or isinstance(redact, str):
        raise InvalidArgument("allowed_hosts, cors_origins and redact are lists of texts, not one text")
    if isinstance(max_streams, bool) or not isinstance(max_streams, int) or max_streams < 1:
        raise InvalidArgument(f"max_streams must be a whole number from 1, not {max_streams!r}", field="max_streams")
    if drain is not None:
        drain = check_seconds(drain, "drain")
    site = Site(scheduler, title=title, read_only=read_only, redact=redact, max_streams=max_streams)
    return App(
        site,
        auth=auth,
        allowed_hosts=allowed_hosts,
        cors_origins=cors_origins,
        base_path=base_path,
        install_signal_handlers=install_signal_handlers,
        drain=drain,
    )


@asynccontextmanager
async def lifespan(scheduler: Scheduler, drain: float | None = None) -> AsyncIterator[None]:
    """Run the scheduler for as long as the host runs; for the lifespan of a host that mounts the application.

    Installs the shutdown handlers, starts the scheduler unless it runs, and stops it afterwards.

    Args:
        drain: Seconds that running attempts are given at the end; 0 interrupts them at once, which costs them no
            attempt. ``None``: the scheduler's own ``drain``.
    """
    install_shutdown_handlers(scheduler)
    try:
        async with _running(scheduler, drain):
            yield
    finally:
        uninstall_shutdown_handlers(scheduler)


@asynccontextmanager
async def _running(scheduler: Scheduler, drain: float | None) -> AsyncIterator[None]:
    mine = not scheduler.running
    if mine:
        await scheduler.start()
    try:
        yield
    finally:
        if mine:
            scheduler.shutdown_connection()
            await scheduler.stop(wait=drain != 0, timeout=drain)


def attach(host_app: ASGIApp, path: str, scheduler: Scheduler, **options: object) -> ASGIApp:
    """Return an application that is ``host_app`` with the dashboard at ``path``.

    For hosts that mount nothing, mount wrongly, or have no lifespan to hook into, such as Django: it stands around the
    host, runs the scheduler with the server's lifespan, and lets the host's lifespan run inside.

    Args:
        path: Where the dashboard is, such as ``"/scheduler"``.
        options: Those of :func:`create_app`.
    """
    prefix = "/" + path.strip("/")
    if prefix == "/":
        raise InvalidArgument(f"path must be below the root, such as '/scheduler', not {path!r}", field="path")
    return _Attached(host_app, prefix, create_app(scheduler, **options))  # type: ignore[arg-type]


class _Attached:
    """Dispatches by prefix, and runs two lifespans in one."""

    def __init__(self, host: ASGIApp, prefix: str, app: App) -> None:
        self._host = host
        self._prefix = prefix
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        root_path = scope.get("root_path") or ""
        path: str = scope["path"]
        # uvicorn puts its --root-path in front of the path, others leave it out.
        inner = path[len(root_path) :] if root_path and path.startswith(root_path + "/") else path
        if inner == self._prefix or inner.startswith(self._prefix + "/"):
            await self._app({**scope, "root_path": root_path + self._prefix}, receive, send)
        else:
            await self._host(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = _HostLifespan(self._host, scope)
        await receive()
        context = self._app.lifespan()
        try:
            await context.__aenter__()
        except Exception as error:  # noqa: BLE001 - told to the server
            await send({"type": "lifespan.startup.failed", "message": masked(f"{type(error).__name__}: {error}")})
            return
        failed = await host.startup()
        if failed is not None:
            await context.__aexit__(None, None, None)
            await send(failed)
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        answer = await host.shutdown()
        await context.__aexit__(None, None, None)
        await send(answer)


class _HostLifespan:
    """The host's side of a lifespan. A host that knows none raises, or returns, before it is asked anything."""

    def __init__(self, host: ASGIApp, scope: Scope) -> None:
        self._host = host
        self._scope = scope
        self._to_host: asyncio.Queue[Message] = asyncio.Queue()
        self._from_host: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> Message | None:
        """Return the host's message if it failed to start."""
        self._task = asyncio.ensure_future(self._run())
        answer = await self._ask("lifespan.startup")
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            return answer
        return None

    async def shutdown(self) -> Message:
        answer = await self._ask("lifespan.shutdown")
        return {"type": "lifespan.shutdown.complete"} if answer is None else answer

    async def _run(self) -> None:
        await self._host(self._scope, self._to_host.get, self._from_host.put)

    async def _ask(self, what: str) -> Message | None:
        """Return the host's answer, ``None`` if it is gone."""
        assert self._task is not None
        if self._task.done():
            return None
        self._to_host.put_nowait({"type": what})
        answer = asyncio.ensure_future(self._from_host.get())
        await asyncio.wait({answer, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        error = self._task.exception()
        if error is not None:
            log.debug("the host's lifespan ended with %r", error)
        return None


def _allowed(match: Match[Endpoint | _Page]) -> str:
    methods = [*match.routes]
    if "GET" in methods:
        methods.append("HEAD")
    return ", ".join(sorted([*methods, "OPTIONS"]))
