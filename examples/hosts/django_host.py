"""asched beside a Django application under ASGI: Django knows no lifespan, so `attach` brings one.

    pip install 'asched-py[web]' django uvicorn
    uvicorn django_host:app

`manage.py runserver` serves in a thread that its autoreloader kills; use an ASGI server.
"""

from __future__ import annotations

import os

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from asched import Scheduler
from asched_web import attach

scheduler = Scheduler()


@scheduler.every(30).seconds
def background_task() -> None:
    print("Background work")


def index(request: HttpRequest) -> HttpResponse:
    return HttpResponse("the dashboard is at /scheduler/")


urlpatterns = [path("", index)]

if not settings.configured:  # a project of yours has its settings module instead
    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["127.0.0.1", "localhost"],
        SECRET_KEY=os.environ.get("SECRET_KEY", "an example, not a secret"),
    )

app = attach(get_asgi_application(), "/scheduler", scheduler)  # type: ignore[arg-type]
