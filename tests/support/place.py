"""A schedule on a PostgreSQL server that belongs to one test, and the effects of its jobs."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg
from support.conductor import LEASE
from support.effects import Effects


@dataclass(frozen=True)
class Place:
    """A schedule of a test's own and the effects of its jobs."""

    server: str
    schema: str
    effects: Effects

    def url(self, server: str | None = None, **options: object) -> str:
        """Return the URL of the schedule, by way of another server (or port of a proxy) if one is given."""
        query = {"schema": self.schema, "lease": LEASE, **options}
        return f"{server or self.server}?{'&'.join(f'{name}={value}' for name, value in query.items())}"

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.server)
        assert parts.hostname is not None
        return parts.hostname, parts.port or 5432

    def through(self, port: int, **options: object) -> str:
        """Return the URL of the schedule by way of this port."""
        parts = urlsplit(self.server)
        return self.url(f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}", **options)

    async def claim_waits(self) -> bool:
        """Tell whether a claim waits for a lock within the server. For nodes that go ``through`` under its name."""
        return bool(
            await self.effects.rows(
                f"SELECT FROM pg_stat_activity WHERE application_name = '{self.schema}' "
                "AND wait_event_type = 'Lock' AND query LIKE 'WITH me AS %'"
            )
        )


@asynccontextmanager
async def place_on(server: str, effects_server: str) -> AsyncIterator[Place]:
    schema = f"fault_{uuid.uuid4().hex[:10]}"
    effects = Effects(effects_server, f"{schema}_effects")
    await effects.create()
    yield Place(server, schema, effects)
    await effects.drop()
    connection = await asyncpg.connect(server)
    await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    await connection.close()
