"""Makes the tables of a schema, brings them up to date, and refuses those of a newer asched."""

from __future__ import annotations

import logging
import re

from asched.errors import InvalidArgument, SchemaTooNew
from asched.stores.postgres.schedule import Connection
from asched.stores.sql import migrations

__all__ = ["check_current", "migrate_schema"]

log = logging.getLogger("asched")

# The lock under which a schema is changed.
_ADVISORY = 0x61736368656400


async def check_current(connection: Connection, schema: str) -> None:
    """Refuse a schema that this release would have to change first.

    Raises:
        InvalidArgument: It is older, or has no tables.
        SchemaTooNew: A newer asched has written it, which this one cannot read.
    """
    found = await _schema_version(connection, schema)
    newest = migrations("postgres")[-1].version
    if found is None or found[0] < newest:
        have = "no tables" if found is None else f"version {found[0]}"
        raise InvalidArgument(
            f"the schema {schema!r} has {have} and this asched needs version {newest}; run 'asched migrate URL', or "
            "open it with migrate='auto'",
            field="migrate",
        )
    _check_readable(found, schema)


async def _schema_version(connection: Connection, schema: str) -> tuple[int, int] | None:
    """Return version and least reader of the schema; ``None`` where there is none."""
    # Not with to_regclass(): a session that did not find the table once goes on not finding it while it waits for the
    # one that makes it.
    if not await connection.fetchval(
        "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = 'meta')", schema
    ):
        return None
    row = await connection.fetchrow(f'SELECT version, min_reader FROM "{schema}".meta')
    return row[0], row[1]


def _check_readable(found: tuple[int, int], schema: str) -> None:
    version, min_reader = found
    newest = migrations("postgres")[-1].version
    if min_reader > newest:
        raise SchemaTooNew(
            f"the schema {schema!r} was written by a newer asched (version {version}, readable from {min_reader} on; "
            f"this one knows {newest}); upgrade asched"
        )
    if version > newest:
        log.warning(
            "the schema %r is newer (version %d) than this asched (%d), which can read it", schema, version, newest
        )


async def migrate_schema(connection: Connection, schema: str) -> tuple[int, int]:
    """Bring a schema up to date; return the version it had, 0 for none, and the one it has.

    Raises:
        SchemaTooNew: A newer asched has written it, which this one cannot read.
    """
    newest = migrations("postgres")[-1].version
    found = await _schema_version(connection, schema)
    if found is None or found[0] < newest:
        async with connection.transaction(isolation="read_committed"):
            # Of nodes that start at once the first does it, and the others find it done.
            await connection.execute("SET LOCAL lock_timeout = '60s'")
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _ADVISORY)
            found = await _schema_version(connection, schema)
            version = 0 if found is None else found[0]
            # IF NOT EXISTS asks for the right to make one although it is there; a role may own it and no more.
            if version == 0 and not await connection.fetchval(
                "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1)", schema
            ):
                await connection.execute(f'CREATE SCHEMA "{schema}"')
            for migration in migrations("postgres"):
                if migration.version > version:
                    await connection.execute(_qualify(migration.text, schema))
                    await connection.execute(f'UPDATE "{schema}".meta SET version = $1', migration.version)
            return version, max(version, newest)
    _check_readable(found, schema)
    return found[0], found[0]


def _qualify(text: str, schema: str) -> str:
    return re.sub(r"\basched\.", f'"{schema}".', text)
