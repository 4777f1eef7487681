"""The embedded store: one SQLite file, one process, nothing acknowledged is lost.

:mod:`~asched.stores.sqlite.store` holds its life and its connections, :mod:`~asched.stores.sqlite.ledger` loads and
saves what the rules decide about, :mod:`~asched.stores.sqlite.pages` answers what only reads.
"""

from __future__ import annotations

from asched.stores.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
