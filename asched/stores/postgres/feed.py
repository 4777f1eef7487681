"""Reads from the database what other nodes have changed."""

from __future__ import annotations

import asyncio

import orjson

from asched.instants import SECOND
from asched.store import Change, ChangeKind
from asched.stores.postgres.schedule import Connection, Schedule

__all__ = ["FeedReader"]

# Rows of the feed may become visible out of the order of their numbers. So far back it is read again.
_OVERLAP = 10 * SECOND
_SWEEP = 30.0


class FeedReader:
    """How far a process has read the feed."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._told: dict[int, int] = {}
        """Rows that were read, with the instant of each, as far back as rows may still turn up."""
        self._floor = 0
        self._swept = 0.0

    async def skip(self, connection: Connection) -> None:
        """Begin with what comes from now on, unless something was read already."""
        # The other nodes tell from their next look at the schedule on, not only after the first read.
        await connection.execute(self._schedule.sql["follow"], self._schedule.ns)
        if not self._told:
            self._floor = await connection.fetchval(self._schedule.sql["feed_end"])

    async def read(self, connection: Connection) -> list[Change] | None:
        """Return what other nodes have changed since the last time; ``None``: some of it is lost."""
        schedule, sql, told = self._schedule, self._schedule.sql, self._told
        await connection.execute(sql["follow"], schedule.ns)
        rows = await connection.fetch(sql["told"], schedule.ns, self._floor)
        if told and max(told) not in {row[0] for row in rows}:
            # The newest row stays as long as there is a table. After a crash its numbers begin anew as well.
            told.clear()
            self._floor = 0
            return None
        now = asyncio.get_running_loop().time()
        if now - self._swept > _SWEEP:
            self._swept = now
            await connection.execute(sql["forget_told"], schedule.ns)
        # Nothing waits from here on: what is marked as told is told.
        changes: list[Change] = []
        newest = 0
        for seq, at, origin, text in rows:
            newest = max(newest, at)
            if seq in told:
                continue
            told[seq] = at
            if origin != schedule.origin:
                changes += [Change(ChangeKind(kind), subject) for kind, subject in orjson.loads(text)]
        for seq in [seq for seq, at in told.items() if at < newest - _OVERLAP]:
            del told[seq]
            self._floor = max(self._floor, seq)
        return changes
