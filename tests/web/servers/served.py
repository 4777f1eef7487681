"""The applications that the servers of this folder run, each in a process of its own.

``ASCHED_TEST_APP`` says which: ``ROOT`` is asched_web alone, ``MOUNTED`` the same in a FastAPI application,
``BESIDE`` has streams of the host's own next to ours, ``LARGE`` has much to say. All write a line to the file that
``ASCHED_TEST_LOG`` names when a lifespan ends, which is how a test outside learns of it. Run as a program, it serves
in the ways that have no command line.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from asched import Scheduler
from asched_web import create_app, lifespan

logging.basicConfig(level=logging.INFO)

scheduler = Scheduler()


@scheduler.every(1).seconds
async def tick() -> None: ...


def note(line: str) -> None:
    path = os.environ.get("ASCHED_TEST_LOG")
    if path:
        with Path(path).open("a") as log:
            log.write(line + "\n")


class Noted:
    """Tells of the end of a lifespan."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_and_note(message: Any) -> None:
            await send(message)
            if message["type"] == "lifespan.shutdown.complete":
                note("lifespan shutdown")

        await self.app(scope, receive, send_and_note if scope["type"] == "lifespan" else send)


def root() -> Any:
    return Noted(create_app(scheduler))


def mounted() -> Any:
    from fastapi import FastAPI

    @asynccontextmanager
    async def host_lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with lifespan(scheduler):
            yield
        note("lifespan shutdown")

    host = FastAPI(lifespan=host_lifespan)
    host.mount("/scheduler", create_app(scheduler))
    return host


def beside() -> Any:
    """A host whose own streams are those of sse-starlette, with no word about shutdown."""
    from fastapi import FastAPI
    from sse_starlette.sse import EventSourceResponse

    host = mounted()
    assert isinstance(host, FastAPI)

    async def count() -> AsyncIterator[dict[str, str]]:
        for number in range(10**9):
            yield {"event": "number", "data": str(number)}
            await asyncio.sleep(0.05)

    @host.get("/own")
    async def own() -> EventSourceResponse:
        return EventSourceResponse(count())

    return host


def large() -> Any:
    """A snapshot of 10 MB: more than sockets buffer, so a client that does not read blocks ``send``."""
    for number in range(1000):
        scheduler.every(3600).seconds.id(f"j{number}").tags(*(f"{tag:0200}" for tag in range(50))).do(tick)
    return root()


APP = {"ROOT": root, "MOUNTED": mounted, "BESIDE": beside, "LARGE": large}[os.environ["ASCHED_TEST_APP"]]()


def main(how: str, port: int) -> None:
    app = APP
    if how == "uvicorn.run":
        importlib.import_module("uvicorn").run(app, port=port)
    elif how == "uvicorn in a thread":
        _serve_in_thread(app, port)
    elif how == "hypercorn.serve":
        asyncio.run(_hypercorn(app, port))
    else:
        raise SystemExit(f"nothing is known of {how!r}")


def _serve_in_thread(app: Any, port: int) -> None:
    """What a program does that has another main loop: the server's thread gets no signals."""
    import signal

    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=port))
    thread = threading.Thread(target=server.run)
    told = threading.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: told.set())
    thread.start()
    told.wait()
    server.should_exit = True
    thread.join()


async def _hypercorn(app: Any, port: int) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    await serve(app, config)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
