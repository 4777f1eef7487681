"""Answers that change nothing: plain functions on a connection that reads, run in its thread.

None of them begins or ends a transaction: :mod:`asched.stores.sqlite.store` gathers calls and runs them in one, so
that the parts of a page come from one snapshot.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from heapq import merge
from typing import Any

import orjson

from asched.clock import Clock
from asched.model import JobSpec, JobStatus, Origin
from asched.store import (
    Counts,
    JobFilter,
    JobPage,
    JobRecord,
    Live,
    NodeInfo,
    NodeRecord,
    RunFilter,
    RunPage,
    RunRecord,
    Timer,
    Totals,
    Window,
)
from asched.stores.base import Abilities
from asched.stores.cursors import read_place, read_serial, write_place
from asched.stores.rows import STATUSES, RunRow, SpecRow, node_info_of, run_record, spec_of
from asched.stores.sql import statements
from asched.triggers import Trigger
from asched.triggers.absent import CodeTrigger

__all__ = ["FOREVER", "SPEC_COLUMNS", "SQL", "Pages", "as_json"]

SQL = statements("sqlite")

FOREVER = 2**63 - 1

SPEC_COLUMNS = len(SpecRow._fields) - 1
"""Columns of ``spec``. What is searched through is not read; the function's name follows them."""

_AFTER_FUNC = SPEC_COLUMNS + 1
_RUN_COLUMNS = len(RunRow._fields)


class Pages:
    """Answers that change nothing.

    Args:
        ns: The schedule's number; 0, which no schedule has, in a file that does not hold it.
        abilities: What the nodes can run. The loop's thread writes it after the commit.
        triggers: Triggers that only the code of this process has, by job id.
    """

    def __init__(
        self, db: sqlite3.Connection, ns: int, clock: Clock, abilities: Abilities, triggers: dict[str, Trigger]
    ) -> None:
        self.db = db
        self.ns = ns
        self.clock = clock
        self.abilities = abilities
        self.triggers = triggers

    # Nodes

    def nodes(self) -> list[NodeRecord]:
        return [
            NodeRecord(epoch, node_info_of(info), started, lease_until, active)
            for epoch, info, started, lease_until, active in self.db.execute(SQL["nodes"], (self.ns,))
            if lease_until >= 0
        ]

    def claims(self, epoch: int) -> list[Live]:
        return [Live(*row) for row in self.db.execute(SQL["claims"], (epoch,))]

    # Jobs

    def get_jobs(self, ids: Sequence[str]) -> list[JobRecord | None]:
        rows = self.db.execute(SQL["jobs_by_id"], (self.ns, as_json(ids))).fetchall()
        found = {row[0]: self._record(row) for row in rows}
        return [found.get(job_id) for job_id in ids]

    def list_jobs(self, which: JobFilter, limit: int, cursor: str | None) -> JobPage:
        # The unary plus keeps the planner from an index: the table has the order of the page, and a page of 50 of a
        # million jobs must not sort them.
        conditions = ["+j.ns = ?" if which.group is None else "j.ns = ?", "j.deleted = 0", "j.serial > ?"]
        values: list[Any] = [self.ns, 0 if cursor is None else read_serial(cursor)]
        if which.group is not None:
            conditions.append("j.group_name = ?")
            values.append(which.group)
        if which.query:
            conditions.append("instr(j.search, ?)")
            values.append(which.query.casefold())
        if which.status is not None:
            conditions.append(_STATUS_CONDITIONS[which.status])
        if which.status is JobStatus.UNRESOLVED:
            values.append(as_json(list(self.abilities.functions)))
        statement = f"{SQL['job']} WHERE {' AND '.join(conditions)} ORDER BY j.serial"
        page: list[JobRecord] = []
        with closing(self.db.execute(statement, values)) as rows:
            for row in rows:
                record = self._record(row)
                if which.status is not None and record.status is not which.status:
                    continue
                if len(page) == limit:
                    return page, str(page[-1].serial)
                page.append(record)
        return page, None

    def groups(self) -> list[tuple[str, int, int]]:
        paused = dict(self.db.execute(SQL["groups_paused"], (self.ns,)).fetchall())
        return [(name, jobs, paused.get(name, 0)) for name, jobs in self.db.execute(SQL["groups"], (self.ns,))]

    def _record(self, row: Sequence[Any]) -> JobRecord:
        """Return the job of a row of ``job``."""
        spec = self._spec(row)
        serial, version, created, updated, paused, planned, due, active = row[_AFTER_FUNC : _AFTER_FUNC + 8]
        runs, failures, retries, planned_runs, last_run, last_status = row[_AFTER_FUNC + 8 :]
        return JobRecord(
            spec, serial, version, created, updated, bool(paused), planned, due, active,
            Counts(runs, failures, retries), planned_runs, last_run,
            None if last_status is None else STATUSES[last_status], self.abilities.resolve(spec),
        )  # fmt: skip

    def _spec(self, row: Sequence[Any]) -> JobSpec:
        """Return the spec of a row that begins with its columns and the name of its function."""
        return spec_of(row, row[SPEC_COLUMNS], self.triggers)

    # Timers

    def window(self, info: NodeInfo, until: int, limit: int) -> Window:
        # Every function has an index of its own instants; merged lazily, only what is returned is read.
        now = self.clock.now()
        known = dict(self.db.execute(SQL["functions"], (self.ns,)).fetchall())
        found: list[Timer] = []
        horizon: int | None = None
        with ExitStack() as cursors:
            streams = []
            for name in info.functions & known.keys():
                for which in ("due_jobs", "due_runs"):
                    rows = self.db.execute(SQL[which], (known[name],))
                    cursors.callback(rows.close)
                    streams.append(_named(name, rows))
            for name, row in merge(*streams, key=_due_order):
                due, timer_id, rev, planned, attempt, payload = row[:6]
                if row[8] == Origin.DECLARED and row[6] not in info.declarations:
                    continue
                spec = spec_of(row[6:], name, self.triggers)
                if type(spec.trigger) is CodeTrigger:
                    continue
                if due > until or len(found) == limit:
                    horizon = due - 1
                    break
                found.append(Timer(timer_id, rev, due, planned, spec, attempt, payload))
        return Window(found, horizon, now)

    # Records

    def get_runs(self, run_ids: Sequence[int]) -> list[RunRecord | None]:
        ids = as_json(run_ids)
        found: dict[int, RunRecord] = {}
        for statement, table in (("open_runs", "r"), ("ended_runs", "h")):
            rows = self.db.execute(f"{SQL[statement]} WHERE {table}.id IN (SELECT value FROM json_each(?))", (ids,))
            found.update((row[0], run_record(RunRow._make(row[:_RUN_COLUMNS]))) for row in rows.fetchall())
        return [found.get(run_id) for run_id in run_ids]

    def list_runs(self, which: RunFilter, limit: int, cursor: str | None) -> RunPage:
        page: list[RunRecord] = []
        place: str | None = None
        # A statement that is left in the middle keeps its snapshot, and the next look would see the past.
        with closing(self._newest_first(which, cursor)) as rows:
            for row in rows:
                if len(page) == limit:
                    return page, place
                page.append(run_record(RunRow._make(row[:_RUN_COLUMNS])))
                ended = len(row) > _RUN_COLUMNS
                place = (
                    write_place(False, row[_RUN_COLUMNS], 0) if ended else write_place(True, page[-1].due, page[-1].id)
                )
        return page, None

    def _newest_first(self, which: RunFilter, cursor: str | None) -> Generator[tuple[Any, ...], None, None]:
        """Yield active runs as they are due, then ended ones as they ended, latest first."""
        active, place, run_id = _place_of(cursor)
        conditions, values = self._run_conditions(which)
        if active and not which.dead:
            where = " AND ".join([*conditions, "(r.due, r.id) < (?, ?)"]).replace("{run}", "r")
            order = "ORDER BY r.due DESC, r.id DESC"
            with closing(
                self.db.execute(f"{SQL['open_runs']} WHERE {where} {order}", [*values, place, run_id])
            ) as rows:
                yield from rows
            place = FOREVER
        if which.dead:
            conditions.append("h.dead = 1")
        where = " AND ".join([*conditions, "h.seq < ?"]).replace("{run}", "h")
        order = "ORDER BY h.seq DESC"
        with closing(self.db.execute(f"{SQL['ended_runs']} WHERE {where} {order}", [*values, place])) as rows:
            yield from rows

    def _run_conditions(self, which: RunFilter) -> tuple[list[str], list[Any]]:
        conditions = ["j.ns = ?"]
        values: list[int | str] = [self.ns]
        if which.job_id is not None:
            # A deleted job's records and those of the one that took its id are told together.
            serials = [serial for (serial,) in self.db.execute(SQL["serials_of_id"], (self.ns, which.job_id))]
            conditions.append("{run}.job IN (SELECT value FROM json_each(?))")
            values.append(as_json(serials))
        if which.func is not None:
            conditions.append("? IN (f.name, f.short)")
            values.append(which.func)
        if which.status is not None:
            conditions.append("{run}.status = ?")
            values.append(which.status)
        return conditions, values

    def totals(self, per_job: bool) -> Totals:
        jobs, active_jobs, active_runs, nodes, dead_letters = self.db.execute(SQL["totals"], (self.ns,)).fetchone()
        since, runs, failures = self.db.execute(SQL["schedule_totals"], (self.ns,)).fetchone() or (0, 0, 0)
        counts = self.db.execute(SQL["counts_per_job"], (self.ns,)).fetchall() if per_job else ()
        return Totals(
            since=since,
            jobs=jobs,
            active_jobs=active_jobs,
            active_runs=active_runs,
            runs=runs,
            failures=failures,
            nodes=nodes,
            dead_letters=dead_letters,
            per_job={job_id: Counts(*numbers) for job_id, *numbers in counts},
        )


_STATUS_CONDITIONS = {
    # Which nodes live is not known to the database: each of these is looked at once more.
    JobStatus.UNRESOLVED: "(j.origin = 'declared' OR f.name NOT IN (SELECT value FROM json_each(?)))",
    JobStatus.PAUSED: "j.serial IN (SELECT job FROM asched_timer WHERE paused = 1)",
    JobStatus.RUNNING: "j.serial IN (SELECT job FROM asched_run) AND t.paused = 0",
    JobStatus.FINISHED: "t.due IS NULL AND t.paused = 0",
    JobStatus.SCHEDULED: "t.due IS NOT NULL AND t.paused = 0",
}


def as_json(values: Sequence[object]) -> str:
    return orjson.dumps(values).decode()


def _named(name: str, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for row in rows:
        yield name, row


def _due_order(named: tuple[str, tuple[Any, ...]]) -> tuple[int, int]:
    row = named[1]
    return row[0], row[1]


def _place_of(cursor: str | None) -> tuple[bool, int, int]:
    """Return whether active runs are still to be told, and the place after which to go on."""
    return (True, FOREVER, FOREVER) if cursor is None else read_place(cursor)
