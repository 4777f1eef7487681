"""What a process remembers of a schedule between two calls, and how its statements are sent."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import orjson

from asched.model import JobSpec
from asched.rules.state import resolved
from asched.store import Change, ChangeKind, Limits, NodeInfo
from asched.stores.rows import node_info_of, spec_of
from asched.stores.sql import statements
from asched.triggers import Trigger

__all__ = ["SPEC_COLUMNS", "Abilities", "Connection", "Schedule", "Session", "columns_of", "qualified", "run_changes"]

Connection: TypeAlias = Any
"""An asyncpg connection."""

SPEC_COLUMNS = 13
"""So many columns of a row are the job's spec; its function's name follows."""
_ABILITIES_FOR = 1.0
# Specs kept in memory; a job of ours is 0.5 to 1 KiB with its trigger.
_SPECS = 20_000


class Abilities(NamedTuple):
    """What the nodes of a schedule can run, taken together."""

    functions: frozenset[str]
    declarations: frozenset[str]

    def resolve(self, spec: JobSpec) -> bool:
        """Tell whether one of them can run the job."""
        return resolved(spec, self.functions, self.declarations)


class Schedule:
    """What a process remembers of a schedule between two calls. All of it is a copy and may be forgotten.

    Args:
        schema: The database schema of the tables, an identifier.
    """

    def __init__(self, schema: str, ns: int, limits: Limits, origin: int) -> None:
        self.ns = ns
        self.limits = limits
        self.origin = origin
        """Marks what this process has written into the feed."""
        self.sql = qualified(schema)
        self.triggers: dict[str, Trigger] = {}
        """Triggers that only the code of this process has, by job id."""
        self.functions: dict[str, int] = {}
        self.followed = False
        """Somebody elsewhere follows the changes, as of the last look."""
        self._specs: dict[int, tuple[int, JobSpec]] = {}
        self._nodes: dict[int, tuple[int, NodeInfo]] = {}
        self._abilities = Abilities(frozenset(), frozenset())
        self._abilities_until = float("-inf")

    def forget_abilities(self) -> None:
        """Ask again next time: a node of this process has come, gone or learned something."""
        self._abilities_until = float("-inf")

    def spec(self, serial: int, edition: int) -> JobSpec | None:
        known = self._specs.get(serial)
        return known[1] if known is not None and known[0] == edition else None

    def learn(self, serial: int, edition: int, spec: JobSpec) -> None:
        if len(self._specs) >= _SPECS:
            self._specs.clear()
        self._specs[serial] = edition, spec

    def spec_of(self, row: Sequence[Any]) -> JobSpec:
        return spec_of(row, row[SPEC_COLUMNS], self.triggers)

    async def abilities(self, connection: Connection) -> Abilities:
        """Return what the nodes can run, at most a second ago.

        What they say of themselves is read again only where it has changed.
        """
        now = asyncio.get_running_loop().time()
        if now < self._abilities_until:
            return self._abilities
        self._abilities_until = now + _ABILITIES_FOR
        revs = dict(await connection.fetch(self.sql["node_revs"], self.ns))
        known = self._nodes
        unknown = [epoch for epoch, rev in revs.items() if epoch not in known or known[epoch][0] != rev]
        if unknown or len(revs) != len(known):
            for epoch, rev, info in await connection.fetch(self.sql["node_infos"], unknown):
                known[epoch] = rev, node_info_of(info)
            for epoch in known.keys() - revs.keys():
                del known[epoch]
            infos = [info for _, info in known.values()]
            self._abilities = Abilities(
                frozenset().union(*(info.functions for info in infos)),
                frozenset().union(*(info.declarations for info in infos)),
            )
        return self._abilities

    async def add_functions(self, connection: Connection, names: Iterable[str]) -> None:
        """Give numbers to functions that have none. They are never taken away, so no step needs to wait for them."""
        if all(name in self.functions for name in names):
            return
        self.functions.update(await connection.fetch(self.sql["functions"], self.ns))
        missing = sorted({name for name in names if name not in self.functions})
        if missing:
            shorts = [name.rpartition(":")[2] for name in missing]
            await connection.execute(self.sql["add_functions"], self.ns, missing, shorts)
            self.functions.update(await connection.fetch(self.sql["functions"], self.ns))


def qualified(schema: str) -> dict[str, str]:
    """Return the statements with the name of the schema in use."""
    quoted = f'"{schema}".'
    return {name: _SCHEMA.sub(quoted, text) for name, text in statements("postgres").items()}


_SCHEMA = re.compile(r"\basched\.")


class Session:
    """One connection that is asked the statements of a schedule by their names."""

    def __init__(self, schedule: Schedule, connection: Connection) -> None:
        self.schedule = schedule
        self.connection = connection
        self.sql = schedule.sql

    async def fetch(self, statement: str, *values: object) -> list[Any]:
        rows: list[Any] = await self.connection.fetch(self.sql[statement], *values)
        return rows

    async def row(self, statement: str, *values: object) -> Any:
        """Return the answer of a statement that always has one."""
        [row] = await self.fetch(statement, *values)
        return row

    async def specs(self, editions: Mapping[int, int]) -> dict[int, JobSpec]:
        """Return the specs of jobs, by serial number, in the editions given; what has another by now is left out.

        They are taken together at once: what the process remembers may be forgotten while the database is asked.
        """
        schedule = self.schedule
        found: dict[int, JobSpec] = {}
        unknown: list[int] = []
        for serial, edition in editions.items():
            spec = schedule.spec(serial, edition)
            if spec is None:
                unknown.append(serial)
            else:
                found[serial] = spec
        if unknown:
            for row in await self.fetch("specs", unknown):
                serial, edition = row[SPEC_COLUMNS + 1], row[SPEC_COLUMNS + 2]
                spec = schedule.spec_of(row)
                schedule.learn(serial, edition, spec)
                if editions[serial] == edition:
                    found[serial] = spec
        return found

    async def tell_followers(self, changes: Iterable[tuple[str, str | int]]) -> None:
        """Write changes, kind and subject of each, for the followers elsewhere, if there are any."""
        schedule = self.schedule
        if schedule.followed and (told := list(changes)):
            text = orjson.dumps(told, default=tuple).decode()
            await self.fetch("tell", schedule.ns, schedule.origin, text)


def run_changes(runs: Iterable[int]) -> Iterator[Change]:
    return (Change(ChangeKind.RUN, run_id) for run_id in runs)


def columns_of(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Turn rows into columns, as ``unnest`` wants them."""
    return [list(column) for column in zip(*rows, strict=True)]
