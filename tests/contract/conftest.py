"""One ``store`` for each kind there is: every test of this directory runs against all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.clocks import SettableClock
from support.nodes import Actor
from support.store_factories import DEFAULT_LIMITS, FACTORIES, OpenStore, Require, make_store

from asched.store import Limits, Store


@pytest.fixture(params=list(FACTORIES))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
async def open_store(kind: str, clock: SettableClock, tmp_path: Path, require: Require) -> AsyncIterator[OpenStore]:
    opened: list[Store] = []

    async def open_one(limits: Limits = DEFAULT_LIMITS) -> Store:
        store = await make_store(kind, clock, tmp_path, require, limits)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store: OpenStore) -> Store:
    return await open_store()


@pytest.fixture
async def node(store: Store, clock: SettableClock) -> Actor:
    """A node that knows the usual function."""
    return await Actor.join(store, clock)
