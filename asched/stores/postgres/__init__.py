"""The PostgreSQL store.

:mod:`~asched.stores.postgres.store` holds its life and its calls, :mod:`~asched.stores.postgres.lanes` its connections,
:mod:`~asched.stores.postgres.ledger` loads and saves what the rules decide about, :mod:`~asched.stores.postgres.plain`
starts and ends plain runs by one statement, :mod:`~asched.stores.postgres.pages` reads,
:mod:`~asched.stores.postgres.retention` forgets.
"""

from asched.stores.postgres.store import PostgresStore, migrate

__all__ = ["PostgresStore", "migrate"]
