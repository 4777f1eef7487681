"""What an error of the driver means: the step met another one, the database is away, or the caller made a mistake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from asched.errors import InvalidArgument, StoreUnavailable
from asched.masking import masked
from asched.stores.postgres.schedule import Connection

__all__ = [
    "CONNECTIONS",
    "Overtaken",
    "again",
    "checked_connection",
    "is_fault",
    "is_of_job_ids",
    "is_refusal",
    "mistakes_told_apart",
    "refused_settings",
    "unavailable",
]


CONNECTIONS = 5
"""Connections that a node holds, besides the one for hints."""


class Overtaken(Exception):
    """Another node was faster in a way that no lock shows; the step begins anew."""


def again() -> tuple[type[BaseException], ...]:
    """Errors of a transaction that another one stood in the way of: it has done nothing and may be tried again."""
    import asyncpg

    return (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, Overtaken)


def is_of_job_ids(error: Exception) -> bool:
    """Tell whether a job was about to get an id that another one has taken meanwhile."""
    return getattr(error, "constraint_name", None) == "job_id"


def refused_settings() -> tuple[type[BaseException], ...]:
    """Errors of a connection whose settings the server does not take."""
    import asyncpg

    return (asyncpg.UndefinedObjectError, asyncpg.InvalidParameterValueError, asyncpg.CantChangeRuntimeParamError)


@contextmanager
def mistakes_told_apart() -> Iterator[None]:
    """While a store is opened, let what no waiting would mend be a mistake of the caller's."""
    import asyncpg

    try:
        yield
    except StoreUnavailable as error:
        if isinstance(error.__cause__, asyncpg.ClientConfigurationError):
            raise InvalidArgument(str(error), field="store") from error.__cause__
        raise


def is_fault(error: Exception) -> bool:
    """Tell whether the database, or the way to it, is the matter, and not a value that the caller gave.

    Mistakes are listed, faults are not: poolers, proxies and servers have more errors than a list of them, and a fault
    that is taken for a mistake stops what waiting would have mended.
    """
    import asyncpg

    if isinstance(error, asyncpg.DataError | asyncpg.IntegrityConstraintViolationError):
        return False
    return isinstance(error, OSError | asyncpg.PostgresError)  # TimeoutError and ConnectionError are OSErrors


def is_refusal(error: Exception) -> bool:
    import asyncpg

    return isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError)


def unavailable(place: str, error: Exception) -> StoreUnavailable:
    import asyncpg

    # Details and hints of the server are lines of their own.
    text = " ".join(masked(str(error)).split()) or type(error).__name__
    hint = ""
    if isinstance(error, asyncpg.UndefinedTableError | asyncpg.UndefinedFunctionError | asyncpg.InvalidSchemaNameError):
        hint = "; run 'asched migrate URL', or open it with migrate='auto'"
    elif isinstance(
        error, asyncpg.InvalidSQLStatementNameError | asyncpg.DuplicatePreparedStatementError
    ) or text.startswith("unsupported startup parameter"):
        hint = "; behind a pooler that shares connections between transactions say statement_cache_size=0"
    elif isinstance(error, asyncpg.InsufficientPrivilegeError):
        hint = "; grant the role what it lacks, or let another one run 'asched migrate URL'"
    elif isinstance(error, asyncpg.TooManyConnectionsError):
        hint = (
            f"; a node needs {CONNECTIONS} connections, and one more for hints: raise the limit of the role, the "
            "database or the server, or close what others hold"
        )
    elif isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        hint = "; a standby, or a server that is being replaced: the address must lead to the primary"
    return StoreUnavailable(f"{place}: {text}{hint}")


def checked_connection(connection: object) -> Connection:
    import asyncpg

    usable: Any = connection
    if not isinstance(connection, asyncpg.Connection | asyncpg.pool.PoolConnectionProxy):
        raise InvalidArgument(
            f"connection must be an asyncpg connection, not {type(connection).__name__}", field="connection"
        )
    if not usable.is_in_transaction():
        raise InvalidArgument(
            "connection must be in a transaction: async with connection.transaction(): ...", field="connection"
        )
    return usable
