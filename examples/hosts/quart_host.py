"""asched beside a Quart application: Quart mounts no ASGI application, so `attach` stands around it.

pip install 'asched-py[web]' quart hypercorn
hypercorn quart_host:app
"""

from __future__ import annotations

from quart import Quart

from asched import Scheduler
from asched_web import attach

scheduler = Scheduler()
quart = Quart(__name__)


@scheduler.every(30).seconds
async def background_task() -> None:
    print("Background work")


@quart.get("/")
async def index() -> str:
    return "the dashboard is at /scheduler/"


app = attach(quart, "/scheduler", scheduler)  # type: ignore[arg-type]
