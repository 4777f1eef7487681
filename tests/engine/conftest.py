"""A scheduler in virtual time, and stores that outlive one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest
from support.postgres import make_postgres
from support.schedules import Journal
from support.store_factories import FACTORIES, Factory, Require

from asched import MemoryStore, Scheduler
from asched.store import Store
from asched.stores.sqlite import SQLiteStore
from asched.testing import VirtualClock, VirtualTimeLoop

# A scheduler that is alone in virtual time would ask a real server some thousand times for each day it skips, and what
# it might hear from others takes real time that nobody counts.
_FACTORIES = {**FACTORIES, "postgres": partial(make_postgres, lease=7_200.0, poll=3_600.0, listen=False)}

# Two schedulers that hear each other. The store polls so rarely that a test which passes has heard a hint.
_HEARING_FACTORIES = {**FACTORIES, "postgres": partial(make_postgres, poll=600.0)}
_GRACE = 1.0
"""Real seconds for which virtual time waits for a notification from the server before it jumps. It is spent only
where time has to pass, so a test must not let much of it pass."""

MakeScheduler: TypeAlias = Callable[[], Scheduler]


@pytest.fixture
async def journal(clock: VirtualClock) -> Journal:
    return Journal(clock)


@pytest.fixture
async def scheduler(clock: VirtualClock) -> Scheduler:
    """A scheduler in memory, not started."""
    return Scheduler(clock=clock)


@pytest.fixture(params=list(FACTORIES))
def reopen(request: pytest.FixtureRequest, tmp_path: Path, require: Require) -> Callable[[], Store]:
    """Each call returns a store over the same data, as the next process would make it.

    What is in memory cannot outlive the process; there it is the same object again.
    """
    stores: list[Store] = []

    def make() -> Store:
        if not stores or not isinstance(stores[0], MemoryStore):
            stores.append(_FACTORIES[request.param](tmp_path, require))
        return stores[-1]

    return make


@pytest.fixture(params=list(FACTORIES))
def two_stores(request: pytest.FixtureRequest, tmp_path: Path, require: Require) -> tuple[Store, Store]:
    """The stores of two schedulers that share one schedule: one object where the store belongs to a process."""
    return _shared_by_two(FACTORIES[request.param], tmp_path, require)


@pytest.fixture(params=list(FACTORIES))
async def two_hearing_stores(request: pytest.FixtureRequest, tmp_path: Path, require: Require) -> tuple[Store, Store]:
    """As ``two_stores``, but virtual time waits for the hints that travel through a server."""
    stores = _shared_by_two(_HEARING_FACTORIES[request.param], tmp_path, require)
    if stores[0] is not stores[1]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop.grace = _GRACE
    return stores


def _shared_by_two(make: Factory, directory: Path, require: Require) -> tuple[Store, Store]:
    first = make(directory, require)
    return first, first if isinstance(first, MemoryStore | SQLiteStore) else make(directory, require)
