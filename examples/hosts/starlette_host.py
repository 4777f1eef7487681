"""asched in a Starlette application.

pip install 'asched-py[web]' starlette uvicorn
uvicorn starlette_host:app
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Mount

from asched import Scheduler
from asched_web import create_app, lifespan

scheduler = Scheduler()


@scheduler.every(30).seconds
async def background_task() -> None:
    print("Background work")


@asynccontextmanager
async def app_lifespan(app: Starlette) -> AsyncIterator[None]:
    async with lifespan(scheduler):
        yield


app = Starlette(routes=[Mount("/scheduler", create_app(scheduler))], lifespan=app_lifespan)
