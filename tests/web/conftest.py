"""A scheduler with something of everything, and an application on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from web.driver import Client
from web.sample import fail, wait_long, work

from asched import Scheduler
from asched_web import create_app


@pytest.fixture
async def scheduler() -> AsyncIterator[Scheduler]:
    """A running scheduler with the functions of this module and no job."""
    made = Scheduler()
    for func in (work, fail, wait_long):
        made.register_function(func)
    await made.start()
    try:
        yield made
    finally:
        await made.stop(wait=False)


@pytest.fixture
async def make_client(scheduler: Scheduler) -> AsyncIterator[Callable[..., Client]]:
    """Make an application on the scheduler with the given options, and a client of it."""
    clients: list[Client] = []

    def make(**options: Any) -> Client:
        options.setdefault("install_signal_handlers", False)
        client = Client(create_app(scheduler, **options))
        clients.append(client)
        return client

    yield make
    for client in clients:
        hub = client.app.site.open_hub  # type: ignore[attr-defined]
        if hub is not None:
            await hub.aclose()


@pytest.fixture
async def client(make_client: Callable[..., Client]) -> Client:
    return make_client()
