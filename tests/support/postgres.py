"""PostgreSQL for the tests: where it is, schemas that go again, and a database clock that a test moves."""

from __future__ import annotations

import asyncio
import atexit
import functools
import inspect
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from asched import offload
from asched.clock import Clock
from asched.store import Limits, Store
from asched.stores.postgres import PostgresStore, migrate

DSN = os.environ.get("ASCHED_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
T = TypeVar("T")
Require = Callable[[str, bool, str], None]


@functools.cache
def _listens() -> bool:
    parts = urlsplit(DSN)
    try:
        socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 5432), timeout=2).close()
    except OSError:
        return False
    return True


def require_postgres(require: Require) -> None:
    require("postgres", _listens(), f"no PostgreSQL listens at {urlsplit(DSN).netloc}")


def url(schema: str, **options: object) -> str:
    """Return the URL of a store in this schema, with options of the store."""
    return "&".join([f"{DSN}?schema={schema}", *(f"{name}={value}" for name, value in options.items())])


def address(user: str | None = None, database: str | None = None) -> str:
    """Return where the tests' server is, for another user (``name`` or ``name:password``) or another database."""
    parts = urlsplit(DSN)
    if user is not None:
        parts = parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}")
    return urlunsplit(parts if database is None else parts._replace(path=f"/{database}"))


def ask(work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """Do something on a connection of its own; the caller may be inside of an event loop or not."""

    async def go() -> T:
        connection = await asyncpg.connect(DSN)
        try:
            return await work(connection)
        finally:
            await connection.close()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(go())
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(go())).result()


@contextmanager
def own_database() -> Iterator[str]:
    """Make a database, for programs that cannot be told of a schema; yield its address, and drop it."""
    name = f"asched_test_{secrets.token_hex(4)}"
    ask(lambda connection: connection.execute(f"CREATE DATABASE {name}"))
    try:
        yield address(database=name)
    finally:
        ask(lambda connection: connection.execute(f"DROP DATABASE {name} WITH (FORCE)"))


def drop(schema: str) -> None:
    ask(lambda connection: connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'))


@functools.cache
def _schema_with_a_settable_clock() -> str:
    """Return this process' schema, in which the clock is a row of a table."""
    schema = f"asched_test_{os.getpid()}"
    _make_schema(schema)
    atexit.register(drop, schema)
    return schema


def _make_schema(schema: str) -> None:
    async def make(connection: asyncpg.Connection) -> None:
        await migrate(url(schema))
        await connection.execute(
            f"""
            CREATE TABLE {schema}.settable_clock AS SELECT 0::bigint AS now;
            CREATE OR REPLACE FUNCTION {schema}.clock() RETURNS bigint LANGUAGE sql
                AS 'SELECT now FROM {schema}.settable_clock';
            """
        )

    drop(schema)
    ask(make)


@asynccontextmanager
async def waited_for() -> AsyncIterator[None]:
    """Let virtual time stand still meanwhile."""
    offload.begin()
    try:
        yield
    finally:
        offload.end()


class ClockedStore:
    """A store whose database goes by the test's clock: it is set before each call."""

    def __init__(self, store: PostgresStore, schedule: str, schema: str) -> None:
        self._store = store
        self._schedule = schedule
        self._schema = schema
        self._clock: Clock
        self._setter: asyncpg.Connection
        self._setting = asyncio.Lock()

    async def open(self, namespace: str, limits: Limits, clock: Clock) -> None:
        self._clock = clock
        async with waited_for():
            self._setter = await asyncpg.connect(DSN)
        await self._set()
        # One schema serves all tests of a process; each has schedules of its own there.
        await self._store.open(f"{self._schedule}:{namespace}", limits, clock)

    async def close(self) -> None:
        await self._store.close()
        async with waited_for():
            await self._setter.close()

    async def _set(self) -> None:
        async with self._setting, waited_for():
            await self._setter.execute(f"UPDATE {self._schema}.settable_clock SET now = $1", self._clock.now())

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._store, name)
        if not inspect.iscoroutinefunction(attribute):
            return attribute

        @functools.wraps(attribute)
        async def at_the_test_s_time(*args: Any, **kwargs: Any) -> Any:
            await self._set()
            return await attribute(*args, **kwargs)

        return at_the_test_s_time


def make_postgres(
    directory: Path, require: Require, *, lease: float = 30.0, poll: float = 1.0, listen: bool = True
) -> Store:
    require_postgres(require)
    schema = _schema_with_a_settable_clock()
    store = PostgresStore(DSN, schema=schema, lease=lease, poll=poll, listen=listen)
    return cast("Store", ClockedStore(store, directory.as_posix(), schema))


class StoreAlone(ClockedStore):
    """A store in a schema of its own, which goes with it."""

    async def close(self) -> None:
        await super().close()
        drop(self._schema)


def make_postgres_alone(directory: Path, require: Require) -> Store:
    require_postgres(require)
    schema = f"asched_test_{os.getpid()}_{secrets.token_hex(4)}"
    _make_schema(schema)
    return cast("Store", StoreAlone(PostgresStore(DSN, schema=schema, lease=30.0, poll=1.0), "alone", schema))
