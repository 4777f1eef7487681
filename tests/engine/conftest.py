"""A scheduler in virtual time, and stores that outlive one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest
from support.postgres import make_postgres
from support.schedules import Journal
from support.store_factories import FACTORIES, Require

from asched import MemoryStore, Scheduler
from asched.store import Store
from asched.testing import VirtualClock

# A scheduler that is alone in virtual time would ask a real server some thousand times for each day it skips, and what
# it might hear from others takes real time that nobody counts.
_FACTORIES = {**FACTORIES, "postgres": partial(make_postgres, lease=7_200.0, poll=3_600.0, listen=False)}

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
