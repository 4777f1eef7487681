"""The stores. Import the one you use; each imports its driver and no other."""

from __future__ import annotations

from asched.errors import InvalidArgument
from asched.store import Store
from asched.stores.memory import MemoryStore

__all__ = ["MemoryStore", "open_url"]


def open_url(url: str) -> Store:
    """Return the store that a URL names, not yet opened. Options of the store stand in the query.

    Raises:
        InvalidArgument: No store has this scheme, or the store has no such option.
        MissingExtra: The store's driver is not installed.
    """
    from urllib.parse import parse_qsl, unquote, urlsplit

    try:
        parts = urlsplit(url)
    except ValueError:
        # The error may hold the URL, and that a password.
        raise InvalidArgument("the store's URL cannot be read; is a bracket missing?", field="store") from None
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    scheme = parts.scheme.partition("+")[0]
    if scheme == "memory":
        _refuse(options, "memory")
        return MemoryStore()
    if scheme == "sqlite":
        from asched.stores.sqlite import SQLiteStore

        # As in SQLAlchemy's URLs: three slashes and a relative path, four and an absolute one.
        path = unquote(parts.path).removeprefix("/")
        if parts.netloc or not path:
            raise InvalidArgument(
                "a SQLite URL is sqlite:///jobs.db for a relative path, sqlite:////var/lib/jobs.db for an absolute one",
                field="store",
            )
        return SQLiteStore.from_options(path, options)
    if scheme in ("postgresql", "postgres"):
        from asched.stores.postgres import PostgresStore

        return PostgresStore.from_url(url)
    raise InvalidArgument(
        f"no store has the scheme {parts.scheme!r}; there are sqlite:///jobs.db, postgresql://user@host/database and "
        "memory://, or give a store object",
        field="store",
    )


def _refuse(options: dict[str, str], store: str) -> None:
    for name in options:
        raise InvalidArgument(f"the {store} store has no option {name!r}", field="store")
