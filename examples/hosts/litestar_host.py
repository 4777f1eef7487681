"""asched in a Litestar application.

Litestar's mount takes the prefix out of the path and says nowhere that it did; asched_web finds its way from the raw
path. `copy_scope=True` keeps Litestar's own scope as it was.

    pip install 'asched-py[web]' litestar uvicorn
    uvicorn litestar_host:app
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar, asgi
from litestar.types import Receive, Scope, Send

from asched import Scheduler
from asched_web import create_app, lifespan

scheduler = Scheduler()
dashboard = create_app(scheduler)


@scheduler.every(30).seconds
async def background_task() -> None:
    print("Background work")


@asgi("/scheduler", is_mount=True, copy_scope=True)
async def mount(scope: Scope, receive: Receive, send: Send) -> None:
    await dashboard(scope, receive, send)  # type: ignore[arg-type]


@asynccontextmanager
async def app_lifespan(app: Litestar) -> AsyncIterator[None]:
    async with lifespan(scheduler):
        yield


app = Litestar(route_handlers=[mount], lifespan=[app_lifespan])
