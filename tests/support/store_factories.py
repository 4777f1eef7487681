"""The stores that the contract suite runs against, and how to open each.

A new store is one entry of :data:`FACTORIES`. A factory gets a directory of the test's own and returns a store that
is not open yet; called twice with one directory it returns two objects over the same data. What needs a server calls
``require`` first, and names its schema or keys after the directory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeAlias

from support.postgres import make_postgres, make_postgres_alone

from asched.clock import Clock
from asched.store import Limits, Store
from asched.stores.memory import MemoryStore
from asched.stores.sqlite import SQLiteStore

Require: TypeAlias = Callable[[str, bool, str], None]
Factory: TypeAlias = Callable[[Path, Require], Store]


class OpenStore(Protocol):
    """Open the test's store, or open it once more after it was closed."""

    def __call__(self, limits: Limits = ...) -> Awaitable[Store]: ...


NAMESPACE = "contract"
DEFAULT_LIMITS = Limits()


def make_memory(directory: Path, require: Require) -> Store:
    return MemoryStore(lease=30.0)


def make_sqlite(directory: Path, require: Require) -> Store:
    # Nodes of one process share the file; the lease lets the suite end one of them.
    return SQLiteStore(directory / "jobs.db", lease=30.0)


FACTORIES: dict[str, Factory] = {
    "memory": make_memory,
    "sqlite": make_sqlite,
    "postgres": make_postgres,
}

# As above, with nothing else where the store is: it chooses the same numbers as another one that is asked the same.
ALONE: dict[str, Factory] = {**FACTORIES, "postgres": make_postgres_alone}


async def make_store(
    kind: str,
    clock: Clock,
    directory: Path,
    require: Require,
    limits: Limits = DEFAULT_LIMITS,
    namespace: str = NAMESPACE,
) -> Store:
    """Return a store of this kind, open. Closed and made again with the same directory it is reopened."""
    store = FACTORIES[kind](directory, require)
    await store.open(namespace, limits, clock)
    return store
