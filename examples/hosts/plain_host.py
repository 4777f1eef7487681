"""asched_web alone, at the root of a server: its lifespan starts and stops the scheduler.

pip install 'asched-py[web,server]'
uvicorn plain_host:app --port 8000
"""

from __future__ import annotations

import logging

from asched import Scheduler
from asched_web import create_app

logging.basicConfig(level=logging.INFO)  # to see "sent shutdown signal to SSE connections" at Ctrl+C

scheduler = Scheduler()


@scheduler.every(30).seconds
def background_task() -> None:
    print("Background work")


app = create_app(scheduler)
