"""asched in a FastAPI application: the scheduler lives as long as the application, the dashboard is at /scheduler/.

pip install 'asched-py[web]' fastapi uvicorn
uvicorn fastapi_host:app
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from asched import Scheduler
from asched_web import create_app, lifespan

scheduler = Scheduler()


@scheduler.every(30).seconds
def background_task() -> None:
    print("Background work")


def my_task() -> None:
    print("Task executed!")


scheduler.register_function(my_task)  # now POST /scheduler/api/jobs may name it


@asynccontextmanager
async def app_lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with lifespan(scheduler):
        yield


app = FastAPI(lifespan=app_lifespan)
app.mount("/scheduler", create_app(scheduler))


@app.get("/")
async def index() -> dict[str, str]:
    return {"dashboard": "/scheduler/"}
