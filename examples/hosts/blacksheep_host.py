"""asched in a BlackSheep application.

pip install 'asched-py[web]' blacksheep uvicorn
uvicorn blacksheep_host:app
"""

from __future__ import annotations

from blacksheep import Application

from asched import Scheduler
from asched_web import attach

scheduler = Scheduler()
blacksheep = Application()


@scheduler.every(30).seconds
async def background_task() -> None:
    print("Background work")


@blacksheep.router.get("/")
async def index() -> str:
    return "the dashboard is at /scheduler/"


app = attach(blacksheep, "/scheduler", scheduler)  # type: ignore[arg-type]
