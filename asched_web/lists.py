"""Lists, encoded once for all who ask for them.

An entry is kept until the scheduler tells of a change, and no longer than a few seconds, because news of other nodes
can be lost. Changes drop the entries at most once a second; a write through this application drops them at once, so
that its client reads what it wrote. The ETag is a digest of what the list says apart from the time it was made, so a
list that was read again and says the same keeps its tag.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

import orjson

from asched_web.endpoint import Listing
from asched_web.http import API_HEADERS, Headers

__all__ = ["Entry", "Key", "Lists"]

Key = tuple[object, object, object]
"""Raw path, query string and root path: what makes two requests ask for the same list."""

EVERY: Final = 1.0
"""Seconds between two encodings of one list, at least, however often it changes."""
KEPT: Final = 2.0
"""Seconds for which an entry is taken for true without news."""
MOST: Final = 256
"""Lists kept; each may have a megabyte."""


class Entry:
    """One encoded list."""

    __slots__ = ("body", "digest", "etag", "expires", "headers", "headers_304")

    def __init__(self, body: bytes, digest: bytes, expires: float) -> None:
        self.body = body
        self.digest = digest
        self.etag = b'W/"' + digest + b'"'
        self.expires = expires
        shared: Headers = [(b"etag", self.etag), (b"cache-control", b"private, no-cache"), *API_HEADERS]
        self.headers: Headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            *shared,
        ]
        self.headers_304: Headers = shared


class Lists:
    """The entries of one application."""

    def __init__(self) -> None:
        self.entries: dict[Key, Entry] = {}
        self._old: dict[Key, Entry] = {}
        """Entries dropped, kept for their bytes in case nothing in them has changed."""
        self._locks: dict[Key, asyncio.Lock] = {}
        self._generation = 0
        self._dropped_at = float("-inf")
        self._drop_later: asyncio.TimerHandle | None = None

    def changed(self) -> None:
        """Something changed: drop the entries, now or when a second has passed since the last time."""
        if self._drop_later is not None:
            return
        loop = asyncio.get_running_loop()
        wait = self._dropped_at + EVERY - loop.time()
        if wait <= 0:
            self.drop()
        else:
            self._drop_later = loop.call_later(wait, self.drop)

    def drop(self) -> None:
        if self._drop_later is not None:
            self._drop_later.cancel()
            self._drop_later = None
        self._dropped_at = asyncio.get_running_loop().time()
        self._generation += 1
        if self.entries:
            self._old = self.entries
            self.entries = {}

    async def get(
        self, key: Key, make: Callable[[], Awaitable[Listing]], now: Callable[[], Awaitable[datetime]], *, keep: bool
    ) -> Entry:
        """Return the entry, made if there is none; several who ask at once share one making."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                entry = self.entries.get(key)
                loop = asyncio.get_running_loop()
                if entry is not None and entry.expires > loop.time():
                    return entry
                generation = self._generation
                listing = await make()
                as_of = await now()
                entry = _encoded(listing, as_of, self._old.get(key) or entry, loop.time() + KEPT)
                # What was read before a change must not outlive it.
                if keep and generation == self._generation:
                    if len(self.entries) >= MOST:
                        self.entries.clear()
                    self.entries[key] = entry
                return entry
        finally:
            if not lock.locked():
                self._locks.pop(key, None)


def _encoded(listing: Listing, as_of: datetime, old: Entry | None, expires: float) -> Entry:
    digest = hashlib.blake2b(orjson.dumps(listing.body), digest_size=12).hexdigest().encode()
    if old is not None and old.digest == digest:
        return Entry(old.body, digest, expires)
    for row, next_run_at in listing.upcoming:
        row["next_run_in"] = None if next_run_at is None else (next_run_at - as_of).total_seconds()
    return Entry(orjson.dumps({**listing.body, "as_of": as_of.isoformat()}), digest, expires)
