"""Starts a real server, opens streams with bare sockets, sends a signal, and says what became of each."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
START_PATIENCE = 60.0
HANGS = 6.0
"""Seconds after the signal at which a process counts as hanging."""

_PYTHON = [sys.executable]

# Where a server has no command line, served.py is the program.
SERVERS: dict[str, Sequence[str]] = {
    "uvicorn": ["-m", "uvicorn", "served:APP", "--port", "{port}"],
    "uvicorn h11 asyncio": [
        "-m", "uvicorn", "served:APP", "--port", "{port}", "--http", "h11", "--loop", "asyncio",
    ],
    "uvicorn --reload": ["-m", "uvicorn", "served:APP", "--port", "{port}", "--reload"],
    "uvicorn --workers 2": ["-m", "uvicorn", "served:APP", "--port", "{port}", "--workers", "2"],
    "uvicorn.run": ["served.py", "uvicorn.run", "{port}"],
    "uvicorn in a thread": ["served.py", "uvicorn in a thread", "{port}"],
    "hypercorn": ["-m", "hypercorn", "served:APP", "--bind", "127.0.0.1:{port}"],
    "hypercorn -w 0": ["-m", "hypercorn", "served:APP", "--bind", "127.0.0.1:{port}", "-w", "0"],
    "hypercorn -k uvloop": ["-m", "hypercorn", "served:APP", "--bind", "127.0.0.1:{port}", "-k", "uvloop"],
    "hypercorn -w 2": ["-m", "hypercorn", "served:APP", "--bind", "127.0.0.1:{port}", "-w", "2"],
    "hypercorn.serve": ["served.py", "hypercorn.serve", "{port}"],
    # Its embedded HTTP/1 server admits backlog/workers requests at a time, streams among them.
    "granian": ["-m", "granian", "--interface", "asgi", "--port", "{port}", "--no-ws", "served:APP"],
    "daphne": ["-m", "daphne", "-p", "{port}", "served:APP"],
    "gunicorn uvicorn-worker": [
        "-m", "gunicorn", "served:APP", "-b", "127.0.0.1:{port}", "-k", "uvicorn_worker.UvicornWorker",
    ],
}  # fmt: skip

_MODULES = {"gunicorn uvicorn-worker": "uvicorn_worker", "hypercorn -k uvloop": "uvloop"}

PREFIX = {"ROOT": "", "MOUNTED": "/scheduler", "BESIDE": "/scheduler", "LARGE": ""}

# What is the server's own, by server and signal; docs/shutdown.md has the causes.
NO_LIFESPAN = frozenset({"daphne"})
"""They never tell an application that they start or stop."""
HANGS_ITSELF = frozenset({("gunicorn uvicorn-worker", "SIGINT")})
"""SIGINT to the master alone: it waits its graceful timeout of 30 s, with no stream open as well."""
OWN_NOISE = {"daphne": re.compile(r"INFO +Killed \d+ pending application instances")}

# What a log may not hold when nothing went wrong.
NOISE = re.compile(
    r"Traceback|\bERROR\b|CancelledError|[Tt]imeout|timed out|Exception|without completing|"
    r"was never (?:awaited|retrieved)|Killed|CRITICAL"
)


def is_installed(server: str) -> bool:
    return importlib.util.find_spec(_MODULES.get(server, server.split()[0].split(".")[0])) is not None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


LIMIT = 2.0
"""Seconds within which a process is to be gone."""


@dataclass
class Server:
    """A server process and what it wrote."""

    name: str
    app: str
    port: int
    process: subprocess.Popen[bytes]
    log_path: Path
    notes_path: Path

    @property
    def log(self) -> str:
        return self.log_path.read_text("utf-8", "replace")

    @property
    def notes(self) -> list[str]:
        return self.notes_path.read_text().splitlines() if self.notes_path.exists() else []

    @property
    def noise(self) -> list[str]:
        own = OWN_NOISE.get(self.name)
        return [line for line in self.log.splitlines() if NOISE.search(line) and not (own and own.search(line))]

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{PREFIX[self.app]}{path}"


@contextmanager
def serving(name: str, app: str, extra: Sequence[str] = ()) -> Iterator[Server]:
    """Run a server until the block ends; what is left of its process group is killed then."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        log_path, notes_path = Path(folder) / "log", Path(folder) / "notes"
        words = [word.format(port=port) for word in (*SERVERS[name], *extra)]
        environment = os.environ | {"ASCHED_TEST_APP": app, "ASCHED_TEST_LOG": str(notes_path)}
        environment.pop("PYTHONWARNINGS", None)
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [*_PYTHON, *words], cwd=HERE, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment,
                start_new_session=True, preexec_fn=_hear_interrupts,
            )  # fmt: skip
        server = Server(name, app, port, process, log_path, notes_path)
        try:
            _wait_until_up(server)
            yield server
        finally:
            _kill_group(process)


def _hear_interrupts() -> None:
    # A program in the background of a shell, or of a CI runner, is started with SIGINT ignored and passes that on.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _wait_until_up(server: Server) -> None:
    deadline = time.monotonic() + START_PATIENCE
    request = f"GET {PREFIX[server.app]}/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        try:
            with socket.create_connection(("127.0.0.1", server.port), 1) as link:
                link.sendall(request)
                # daphne knows no lifespan, so nothing starts the scheduler and its health is "stopped".
                if link.recv(100).startswith(b"HTTP/1.1 ") and _workers_are_up(server):
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{server.name} did not come up:\n{server.log}")


def _workers_are_up(server: Server) -> bool:
    # One that is interrupted while it still imports is dead, and its parent starts another in its place.
    return server.name != "uvicorn --workers 2" or server.log.count("Application startup complete") >= 2


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


@dataclass
class Outcome:
    """What became of the streams and the process after a signal."""

    streams: int
    goodbyes: int = 0
    """Streams that got ``event: shutdown`` as their last event."""
    clean: int = 0
    """Streams that ended as HTTP says: with the last chunk, before the connection closed."""
    seconds: float | None = None
    """From the signal to the end of the process; ``None`` if it hangs."""
    returncode: int | None = None
    noise: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    log: str = ""

    def faults(self, server: str, signum: signal.Signals, limit: float = LIMIT) -> list[str]:
        """Return what did not go as promised."""
        found = []
        if self.goodbyes != self.streams:
            found.append(f"{self.goodbyes} of {self.streams} streams got the goodbye")
        if self.clean != self.streams:
            found.append(f"{self.clean} of {self.streams} streams ended cleanly")
        if (server, signum.name) not in HANGS_ITSELF:
            if self.seconds is None:
                found.append("the process was still there when it was given up")
            elif self.seconds > limit:
                found.append(f"the process took {self.seconds:.2f} s")
            if server not in NO_LIFESPAN and not self.notes:
                found.append("the lifespan's shutdown did not run")
        if self.noise:
            found.append(f"the log says {self.noise[0]!r}")
        return found


async def _read_stream(server: Server, path: str, opened: asyncio.Event, stall: bool) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost:{server.port}\r\n\r\n".encode())
    received = bytearray()
    began = -1
    try:
        while part := await reader.read(65536):
            received += part
            if began < 0:
                began = received.find(b"event: snapshot")
                if began >= 0 and stall:
                    opened.set()
                    await asyncio.sleep(3600)
            # Whoever reads is counted once it has read everything there is: one still at it is cut off at the end.
            if began >= 0 and not opened.is_set() and received.find(b"\n\n", max(began, len(received) - 2 * 65536)) > 0:
                opened.set()
    except ConnectionError:
        pass
    finally:
        opened.set()
        writer.close()
    return bytes(received)


async def stop_with_streams(
    server: Server,
    signum: signal.Signals,
    streams: int,
    *,
    stalled: int = 0,
    group: bool = False,
    patience: float = HANGS,
) -> Outcome:
    """Open the streams, wait until each has its first event, send the signal, and see.

    Args:
        stalled: So many clients besides that stop reading after their first event.
        group: Send the signal to every process of the server, as Ctrl+C in a terminal does.
        patience: Seconds after which the process, and what its streams still send, is given up.
    """
    target = PREFIX[server.app] + "/events"
    stopped_reading = [asyncio.Event() for _ in range(stalled)]
    stalling = [asyncio.ensure_future(_read_stream(server, target, event, stall=True)) for event in stopped_reading]
    await asyncio.gather(*(event.wait() for event in stopped_reading))
    opened = [asyncio.Event() for _ in range(streams)]
    tasks = []
    for event in opened:
        tasks.append(asyncio.ensure_future(_read_stream(server, target, event, stall=False)))
        if len(tasks) % 50 == 0:
            await asyncio.wait_for(event.wait(), START_PATIENCE)
    await asyncio.wait_for(asyncio.gather(*(event.wait() for event in opened)), START_PATIENCE)
    outcome = Outcome(streams)
    started = time.monotonic()
    (os.killpg if group else os.kill)(server.process.pid, signum)
    while server.process.poll() is None and time.monotonic() - started < patience:  # noqa: ASYNC110 - a process has no event
        await asyncio.sleep(0.01)
    if server.process.poll() is not None:
        outcome.seconds = time.monotonic() - started
        outcome.returncode = server.process.returncode
    # What the process has sent is in the sockets' buffers; a hanging one is given up.
    done, pending = await asyncio.wait(tasks, timeout=patience) if tasks else (set(), set())
    for task in (*pending, *stalling):
        task.cancel()
    await asyncio.gather(*pending, *stalling, return_exceptions=True)
    for task in done:
        received = task.result()
        body = received.partition(b"\r\n\r\n")[2]
        # A chunk may begin between the last event and the empty one that ends the response.
        if b"event: shutdown\ndata: bye\n\n" in body:
            outcome.goodbyes += 1
        if body.endswith(b"0\r\n\r\n"):
            outcome.clean += 1
    outcome.noise, outcome.notes, outcome.log = server.noise, server.notes, server.log
    return outcome
