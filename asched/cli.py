"""The command line. It prints, sets signal handlers and starts servers, which the rest of asched leaves alone.

Exit codes: 0 is success, 1 a failure while running, 2 a command that cannot be understood, 128 + n the death by
signal n. What goes wrong is said in one line on standard error; a traceback is shown for the user's own module only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import importlib
import importlib.util
import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
import webbrowser
from collections.abc import Awaitable, Callable, Coroutine, Iterator, MutableMapping, Sequence
from datetime import UTC, datetime
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

from asched import demo
from asched.clock import SystemClock
from asched.errors import AschedError, InvalidArgument, MissingExtra
from asched.instants import from_datetime, to_datetime
from asched.scheduler import Scheduler
from asched.store import Limits
from asched.stores import open_url
from asched.triggers import Cron, preview
from asched.triggers.plan import Note
from asched.version import VERSION

if TYPE_CHECKING:
    import uvicorn

__all__ = ["main"]

_PREFIX = "/scheduler"
_DEMO_URL = "sqlite:///asched-demo.db"
_PORT = 8000
_PORTS_TRIED = 50
# The demonstration's longest job takes twelve seconds and is made to be interrupted.
_DEMO_DRAIN = 1.0
# Seconds after the drain that a cancelled coroutine gets to end.
_LAST_PATIENCE = 1.0
# uvicorn waits so long for open requests; event streams end by themselves within two seconds.
_REQUESTS_DRAIN = 3
# Idle worker threads are gone long before.
_THREADS_GRACE = 1.0
_BROKEN_PIPE = 128 + 13

T = TypeVar("T", int, float)
_Action: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
_Scope: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_ASGI: TypeAlias = Callable[[_Scope, _Receive, _Send], Awaitable[None]]


class _Failure(Exception):
    """Said in one line; ends the command with ``code``."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(argv)
    try:
        code = int(options.command(options))
        # What is still in the buffer may break the pipe as well, and later than here nobody would catch it.
        sys.stdout.flush()
        return code
    except _Failure as failure:
        _say(str(failure))
        return failure.code
    except InvalidArgument as error:
        _say(str(error))
        return 2
    except AschedError as error:
        _say(str(error))
        return 1
    except BrokenPipeError:
        # The reader has what it wanted (`asched next ... | head -1`). Python flushes once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asched",
        description="Run, show and try out schedules of asched.",
        epilog="examples:\n"
        "  asched demo                                      see it at work\n"
        "  asched run app:scheduler                         run the schedule of app.py\n"
        "  asched web app:scheduler                         run it and serve its dashboard\n"
        "  asched next '0 9 * * MON-FRI' --tz Asia/Tokyo    when would this cron expression run?\n"
        "  asched migrate postgresql://user@host/database   bring a store to this version's schema",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"asched {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = commands.add_parser("demo", help="run a mixed schedule and watch it", description=_demo.__doc__)
    where = command.add_mutually_exclusive_group()
    where.add_argument("--memory", action="store_true", help="keep nothing")
    where.add_argument("--store", metavar="URL", help=f"where the schedule is kept (default: {_DEMO_URL})")
    command.add_argument("--port", type=_port, default=_PORT, help="of the dashboard; if taken, the next free one")
    command.add_argument("--no-browser", action="store_true", help="do not open the dashboard in a browser")
    command.add_argument("--seconds", type=_seconds, metavar="N", help="end after so many seconds")
    command.set_defaults(command=_demo)

    command = commands.add_parser("run", help="run a schedule", description=_run.__doc__)
    command.add_argument("target", metavar="MODULE:SCHEDULER", help="such as app:scheduler, found from this directory")
    command.add_argument(
        "--drain", type=_seconds, metavar="S", help="wait so long for running jobs (default: the scheduler's drain)"
    )
    command.set_defaults(command=_run)

    command = commands.add_parser("web", help="run a schedule and serve its dashboard", description=_web.__doc__)
    command.add_argument("target", metavar="MODULE:SCHEDULER", help="such as app:scheduler, found from this directory")
    command.add_argument("--host", default="127.0.0.1", help="address to listen on; not loopback: needs a token")
    command.add_argument("--port", type=_port, default=_PORT, help="0 for any free one (default: 8000)")
    command.add_argument(
        "--token",
        default=os.environ.get("ASCHED_TOKEN"),
        help="bearer token that may do everything; better in ASCHED_TOKEN, for other users see arguments",
    )
    command.add_argument(
        "--drain", type=_seconds, metavar="S", help="wait so long for running jobs (default: the scheduler's drain)"
    )
    command.set_defaults(command=_web)

    command = commands.add_parser("next", help="show when a cron expression runs", description=_next.__doc__)
    command.add_argument("expression", metavar="EXPRESSION", help="5 fields, 6 with seconds first, or @daily and such")
    command.add_argument("--tz", default="UTC", metavar="ZONE", help="time zone, such as Europe/Paris (default: UTC)")
    command.add_argument("-n", type=_count, default=5, metavar="N", help="how many instants (default: 5)")
    command.add_argument("--after", type=_instant, metavar="ISO", help="count from here instead of from now")
    command.set_defaults(command=_next)

    command = commands.add_parser("migrate", help="bring a store to this version", description=_migrate.__doc__)
    command.add_argument("url", metavar="URL", help="such as postgresql://user@host/database or sqlite:///jobs.db")
    command.set_defaults(command=_migrate)
    return parser


# Arguments


def _number(kind: Callable[[str], T], least: T, most: T, what: str) -> Callable[[str], T]:
    def read(text: str) -> T:
        try:
            number = kind(text)
        except ValueError:
            number = None
        # NaN fails the comparison as well.
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no {what}")
        return number

    return read


_seconds = _number(float, 0.0, 1e9, "number of seconds")
_count = _number(int, 1, 100_000, "number from 1 to 100000")
_port = _number(int, 0, 65_535, "port, which is 0 to 65535")


def _instant(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


# Commands


def _demo(options: argparse.Namespace) -> int:
    """Run a mixed schedule of a small company: jobs that succeed, fail, retry, time out and overlap, shown live. It is
    kept in asched-demo.db in this directory: kill it, start it again, and it goes on where it was."""
    scheduler, kept = _demo_scheduler(options)
    # Failures are part of the show and have their line in it; tracebacks would tear the table apart.
    logging.getLogger("asched").addHandler(logging.NullHandler())
    site, address = _demo_site(scheduler, options.port)
    table = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    async def beside() -> None:
        print(f"{kept}; {await demo.greeting(scheduler)}", flush=True)
        if address is not None and not options.no_browser and _has_browser():
            # A browser that blocks must not hold up the schedule, nor the end.
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        title = f"asched {VERSION}    {kept}" + ("" if address is None else f"    {address}")
        await demo.follow(scheduler, title, table=table)

    async def last_words() -> None:
        print(await demo.summary(scheduler), flush=True)

    return _run_foreground(scheduler, _DEMO_DRAIN, site, beside, options.seconds, last_words)


def _run(options: argparse.Namespace) -> int:
    """Run the jobs of a scheduler until Ctrl+C or SIGTERM; then start nothing more, wait for what runs, and end. A
    second Ctrl+C ends at once."""
    scheduler = _load(options.target)
    _configure_logging()
    return _run_foreground(scheduler, options.drain)


def _web(options: argparse.Namespace) -> int:
    """Run the jobs of a scheduler, as `asched run` does, and serve its dashboard and API."""
    if not options.token and not _is_loopback(options.host):
        raise _Failure(
            f"{options.host} can be reached by others: give a --token (or ASCHED_TOKEN), or listen on 127.0.0.1", 2
        )
    _require_web()
    scheduler = _load(options.target)
    _configure_logging()
    from asched_web import create_app

    app = create_app(scheduler, auth={options.token: "edit"} if options.token else None, install_signal_handlers=False)
    listener = _listen(options.host, options.port)
    if listener is None:
        raise _Failure(f"port {options.port} of {options.host} is taken; choose another with --port, 0 for any")
    print(f"dashboard at {_address(listener)}/", flush=True)
    return _run_foreground(scheduler, options.drain, (app, listener))


def _next(options: argparse.Namespace) -> int:
    """Say in words and instants when a cron expression runs, and what changes of the clocks do to it."""
    trigger = Cron(options.expression, timezone=options.tz)
    after = SystemClock().now() if options.after is None else from_datetime(options.after)
    zone = trigger.timezone or "UTC"
    print(trigger.describe() if zone != "UTC" else f"{trigger.describe()} (UTC)")
    for instant, note in preview(trigger, after, options.n):
        moment = to_datetime(instant)
        local = moment.astimezone(ZoneInfo(zone))
        offset = local.isoformat()[-6:]
        line = f"  {local:%a %Y-%m-%d %H:%M:%S} {offset}"
        if zone != "UTC":
            line += f"   {moment:%Y-%m-%d %H:%M:%S} UTC"
        print(line + _note(note, local.fold))
    return 0


def _note(note: Note | None, fold: int) -> str:
    if note is None:
        return ""
    if note == "gap":
        return "   the clock skips the time asked for; this is the end of the gap"
    return f"   the clock reads this twice; this is the {'second' if fold else 'first'} time"


def _migrate(options: argparse.Namespace) -> int:
    """Bring the schema of a store to what this version of asched needs, and say from which version to which."""
    store = open_url(options.url)
    if store.caps.name == "postgres":
        from asched.stores import postgres

        before, after = asyncio.run(postgres.migrate(options.url))
        if before == after:
            print(f"{store.describe()} is up to date, at version {after}")
        else:
            print(f"{store.describe()} went from {f'version {before}' if before else 'nothing'} to version {after}")
        return 0

    async def open_and_close() -> None:
        await store.open("default", Limits(10_000, 7 * 86_400.0, 500), SystemClock())
        await store.close()

    asyncio.run(open_and_close())
    if not store.caps.durable:
        print(f"{store.describe()} keeps nothing, so there is nothing to migrate")
    else:
        print(f"{store.describe()} has the schema of asched {VERSION}")
    return 0


# Running in the foreground


def _run_foreground(
    scheduler: Scheduler,
    drain: float | None,
    site: tuple[_ASGI, socket.socket] | None = None,
    beside: _Action | None = None,
    seconds: float | None = None,
    last_words: _Action | None = None,
) -> int:
    """Run the scheduler until a signal, its own stop, or ``seconds`` have passed; then drain and return 0."""
    asyncio.run(_foreground(scheduler, drain, site, beside, seconds, last_words))
    _await_threads()
    return 0


async def _foreground(
    scheduler: Scheduler,
    drain: float | None,
    site: tuple[_ASGI, socket.socket] | None,
    beside: _Action | None,
    seconds: float | None,
    last_words: _Action | None,
) -> None:
    ending = asyncio.Event()
    with _told_to_end(ending.set) as received:
        scheduler.on("scheduler.stopping")(lambda event: ending.set())
        await scheduler.start()
        if beside is None:
            jobs = (await scheduler.get_statistics(per_job=False)).active_jobs
            _say(f"{jobs} job(s) scheduled, kept in {scheduler.store.describe()}; Ctrl+C ends")
        tasks = [asyncio.create_task(_wait_for(ending))]
        serving = None
        try:
            if beside is not None:
                tasks.append(asyncio.create_task(beside()))
            if site is not None:
                server = _server(site[0])
                serving = asyncio.create_task(server.serve(sockets=[site[1]]))
                tasks.append(serving)
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if serving is not None:
                # Asked and not cancelled: open streams then get their last event.
                scheduler.shutdown_connection()
                server.should_exit = True
                tasks.remove(serving)
            failed = await _cancel(tasks)
            if scheduler.running:
                await _announce_drain(
                    scheduler, scheduler.drain if drain is None else drain, bool(received), last_words
                )
            # Streams end while jobs do.
            await asyncio.gather(scheduler.stop(timeout=drain), *filter(None, (serving,)))
    if failed is not None:
        raise failed
    await _leave_behind()


async def _leave_behind() -> None:
    """End the process although a job ignores its cancellation: the event loop would wait for it for ever."""
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=_LAST_PATIENCE)
    names = sorted(task.get_name() for task in left if not task.done())
    if names:
        _say(f"ends without waiting for {', '.join(names)}, which ignored the cancellation")
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _await_threads() -> None:
    """Say so where a thread that a job's timeout left behind holds up the exit of the process."""
    waiting_until = time.perf_counter() + _THREADS_GRACE
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.main_thread():
            thread.join(max(0.0, waiting_until - time.perf_counter()))
    busy = sum(not thread.daemon for thread in threading.enumerate()) - 1
    if busy:
        _say(f"waiting for {busy} thread(s) still inside a job; Ctrl+C ends at once")


async def _wait_for(event: asyncio.Event) -> None:
    await event.wait()


async def _announce_drain(scheduler: Scheduler, drain: float, by_signal: bool, last_words: _Action | None) -> None:
    active = scheduler.executing
    if active and by_signal:
        _say(f"waiting up to {drain:g} s for {active} active run(s); Ctrl+C ends at once")
    if last_words is not None:
        await last_words()


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> BaseException | None:
    """Cancel tasks, wait for them, and return the first error that was no cancellation."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return next((error for error in map(_error_of, tasks) if error is not None), None)


def _error_of(task: asyncio.Task[None]) -> BaseException | None:
    return None if task.cancelled() else task.exception()


@contextlib.contextmanager
def _told_to_end(end: Callable[[], None]) -> Iterator[list[int]]:
    """Call ``end`` on the loop at the first SIGINT or SIGTERM, and let a second one kill.

    ``signal.signal`` and not the loop's handlers: these wait for the loop, which a job may be blocking. What a second
    one does stays in place afterwards, since a thread in a job can hold up the exit and Ctrl+C must still work then.
    """
    loop = asyncio.get_running_loop()
    received: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for other in (signal.SIGINT, signal.SIGTERM):
            signal.signal(other, _die)
        loop.call_soon_threadsafe(end)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    try:
        yield received
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _die)


def _die(number: int, frame: FrameType | None) -> None:
    """End the process as the signal does by default, also as PID 1 of a container, which ignores that default."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def _load(target: str) -> Scheduler:
    """Return the scheduler that ``module:attribute`` names; what the module raises is shown with its traceback."""
    name, _, attribute = target.partition(":")
    attribute = attribute or "scheduler"
    if name.endswith(".py") or "/" in name:
        module = name.removesuffix(".py").strip("./").replace("/", ".")
        raise _Failure(f"a module is wanted, not a file: asched run {module}:{attribute}", 2)
    # The command's own folder comes first otherwise, and the user's modules are not there.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: object = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise _Failure(f"there is no module {name!r} in {os.getcwd()} nor among the installed ones", 2) from None
        traceback.print_exc()
        raise _Failure(f"{name} could not be imported") from None
    except Exception:  # noqa: BLE001  # the user's module is user code
        traceback.print_exc()
        raise _Failure(f"{name} could not be imported") from None
    for part in attribute.split("."):
        if not hasattr(found, part):
            known = sorted(key for key, value in vars(found).items() if isinstance(value, Scheduler))
            hint = f"; it has {', '.join(f'{name}:{key}' for key in known)}" if known else ""
            raise _Failure(f"{name} has no {attribute!r}{hint}", 2)
        found = getattr(found, part)
    if not isinstance(found, Scheduler):
        raise _Failure(f"{name}:{attribute} is no asched.Scheduler but of type {type(found).__name__}", 2)
    return found


def _configure_logging() -> None:
    # Does nothing where the user's module has set up its own. Must come before start(), which adds a handler.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def _say(message: str) -> None:
    print(f"asched: {message}", file=sys.stderr, flush=True)


# The demonstration's surroundings


def _demo_scheduler(options: argparse.Namespace) -> tuple[Scheduler, str]:
    """Return the scheduler and where it is kept, in words."""
    if options.memory:
        return demo.build(None), "in memory"
    url = options.store or _DEMO_URL
    try:
        scheduler = demo.build(url)
    except MissingExtra as error:
        if options.store:
            raise
        _say(f"{error}; until then the demonstration keeps its schedule in memory")
        return demo.build(None), "in memory"
    return scheduler, scheduler.store.describe()


def _demo_site(scheduler: Scheduler, port: int) -> tuple[tuple[_ASGI, socket.socket] | None, str | None]:
    """Return the dashboard with the socket it listens on, and its address."""
    try:
        _require_web()
    except _Failure as failure:
        _say(f"no dashboard: {failure}")
        return None, None
    from asched_web import create_app

    candidates = [port] if port == 0 else range(port, min(port + _PORTS_TRIED, 65_536))
    listener = next(filter(None, (_listen("127.0.0.1", candidate) for candidate in candidates)), None)
    if listener is None:
        _say(f"no dashboard: ports {port} to {candidates[-1]} are taken")
        return None, None
    address = f"{_address(listener)}{_PREFIX}/"
    taken = "" if listener.getsockname()[1] == port or port == 0 else f" (port {port} is taken)"
    print(f"dashboard at {address}{taken}", flush=True)
    return (_mounted(create_app(scheduler, install_signal_handlers=False)), listener), address


def _has_browser() -> bool:
    """Tell whether a browser would open a window; on a bare terminal it would take the terminal over."""
    if sys.platform not in ("darwin", "win32") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


# The server


def _require_web() -> None:
    missing = [
        f"'asched-py[{extra}]'"
        for extra, module in (("web", "sse_starlette"), ("server", "uvicorn"))
        if importlib.util.find_spec(module) is None
    ]
    if missing:
        raise _Failure(f"it needs more packages: pip install {' '.join(missing)}")


def _server(app: _ASGI) -> uvicorn.Server:
    import uvicorn

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            # Signals are ours: uvicorn would raise them again when it ends, and the drain would die of them.
            yield

    return Server(
        uvicorn.Config(
            app, lifespan="off", log_level="warning", access_log=False, timeout_graceful_shutdown=_REQUESTS_DRAIN
        )
    )


def _listen(host: str, port: int) -> socket.socket | None:
    """Return a socket that listens there, or ``None`` if the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    # Lets a restarted process take the port of connections that are still closing; not that of a living listener.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise _Failure(f"cannot listen on {host}, port {port}: {error.strerror or error}") from None
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _mounted(app: _ASGI) -> _ASGI:
    """Return the application below ``/scheduler``, as a host framework would mount it, with the root leading there."""

    async def mounted(scope: _Scope, receive: _Receive, send: _Send) -> None:
        path = scope.get("path", "")
        if path.startswith(_PREFIX + "/"):
            await app({**scope, "root_path": scope.get("root_path", "") + _PREFIX}, receive, send)
        elif scope["type"] == "http":
            status, headers = (307, [(b"location", b"/scheduler/")]) if path in ("/", _PREFIX) else (404, [])
            headers.append((b"content-length", b"0"))
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b""})

    return mounted
