"""Answers that change nothing: the window, the lists, and what a node holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asched.model import JobStatus, RunStatus
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
from asched.stores.cursors import read_place, read_serial, write_place
from asched.stores.postgres.schedule import SPEC_COLUMNS, Abilities, Session
from asched.stores.rows import STATUSES, RunRow, node_info_of, run_record
from asched.triggers.absent import CodeTrigger

__all__ = ["Pages"]

_FOREVER = 2**63 - 1
# In a row of ``job``, after the spec, its function's name, version, created and updated.
_TIMER_COLUMN = SPEC_COLUMNS + 4
_RUN_COLUMNS = len(RunRow._fields)


class Pages(Session):
    """Answers that change nothing."""

    # Nodes

    async def nodes(self) -> list[NodeRecord]:
        return [
            NodeRecord(epoch, node_info_of(info), started, lease_until, active)
            for epoch, info, started, lease_until, active in await self.fetch("nodes", self.schedule.ns)
        ]

    async def claims(self, epoch: int) -> list[Live]:
        return [Live(*row) for row in await self.fetch("claims", epoch)]

    # Jobs

    async def get_jobs(self, ids: Sequence[str]) -> list[JobRecord | None]:
        rows = await self.fetch("jobs_by_id", self.schedule.ns, ids)
        able = await self.schedule.abilities(self.connection)
        found = {row[0]: self._job_record(row, able) for row in rows}
        return [found.get(job_id) for job_id in ids]

    async def list_jobs(self, which: JobFilter, limit: int, cursor: str | None) -> JobPage:
        able = await self.schedule.abilities(self.connection)
        # Of both tables: Postgres may walk over either, and would begin with the first job there is.
        conditions = ["j.ns = $1", "NOT j.deleted", "j.serial > $2", "t.job > $2"]
        values: list[Any] = [self.schedule.ns, 0 if cursor is None else read_serial(cursor)]
        if which.group is not None:
            values.append(which.group)
            conditions.append(f"j.group_name = ${len(values)}")
        if which.query:
            values.append(which.query.casefold())
            conditions.append(f"strpos(j.search, ${len(values)}) > 0")
        if which.status is not None:
            values += [list(able.functions), list(able.declarations)]
            resolved = (
                f"(f.name = ANY(${len(values) - 1}::text[]) "
                f"AND (j.origin <> 'declared' OR j.id = ANY(${len(values)}::text[])))"
            )
            conditions.append(_STATUS_CONDITIONS[which.status].format(resolved=resolved))
        statement = f"{self.sql['job']} WHERE {' AND '.join(conditions)} ORDER BY j.serial LIMIT {limit + 1}"
        rows = await self.connection.fetch(statement, *values)
        page = [self._job_record(row, able) for row in rows[:limit]]
        return page, str(page[-1].serial) if len(rows) > limit else None

    def _job_record(self, row: Sequence[Any], able: Abilities) -> JobRecord:
        """Return the record of a row of ``job``."""
        spec = self.schedule.spec_of(row)
        version, created, updated = row[SPEC_COLUMNS + 1 : _TIMER_COLUMN]
        (
            serial, _, _, _, planned, due, paused, _, _, active, _, runs, failures, retries, planned_runs, last_run,
            last_status, _,
        ) = row[_TIMER_COLUMN:]  # fmt: skip
        return JobRecord(
            spec, serial, version, created, updated, paused, planned, due, active, Counts(runs, failures, retries),
            planned_runs, last_run, None if last_status is None else STATUSES[last_status], able.resolve(spec),
        )  # fmt: skip

    async def groups(self) -> list[tuple[str, int, int]]:
        return [tuple(row) for row in await self.fetch("groups", self.schedule.ns)]

    # Timers

    async def window(self, epoch: int, info: NodeInfo, until: int, limit: int) -> Window:
        schedule = self.schedule
        rows = await self.fetch(
            "window", schedule.ns, list(info.functions), until, limit + 1, list(info.declarations), epoch
        )
        now, followed_until, place, nodes = rows[0][8:]
        schedule.followed = followed_until > now
        specs = await self.specs({row[6]: row[7] for row in rows if row[6] is not None})
        found: list[Timer] = []
        horizon: int | None = None
        for due, timer_id, rev, planned, attempt, payload, serial, _, _, _, _, _ in rows:
            if due is None:
                break  # the one row that says there is none
            if due > until or len(found) == limit:
                horizon = due - 1
                break
            spec = specs.get(serial)
            # An edit between the two statements; the timer has moved with it and is asked for again.
            if spec is not None and type(spec.trigger) is not CodeTrigger:
                found.append(Timer(timer_id, rev, due, planned, spec, attempt, payload))
        # Its own lease may have run out; then it is a matter of others alone.
        return Window(found, horizon, now, (place, max(nodes, place + 1)))

    # Records

    async def get_runs(self, run_ids: Sequence[int]) -> list[RunRecord | None]:
        rows = await self.fetch("runs_by_id", run_ids)
        found = {row[0]: run_record(RunRow._make(row[:_RUN_COLUMNS])) for row in rows}
        return [found.get(run_id) for run_id in run_ids]

    async def list_runs(self, which: RunFilter, limit: int, cursor: str | None) -> RunPage:
        """Return active runs as they are due, then ended ones as they ended, latest first."""
        active, place, run_id = (True, _FOREVER, _FOREVER) if cursor is None else read_place(cursor)
        job_ids, functions = await self._numbers(which)
        if [] in (job_ids, functions):
            return [], None
        page: list[RunRecord] = []
        rows: list[Any] = []
        if active and not which.dead:
            conditions, values = self._run_conditions("r", job_ids, functions, which.status)
            values += [place, run_id]
            conditions.append(f"(r.due, r.id) < (${len(values) - 1}, ${len(values)})")
            rows = await self.connection.fetch(
                f"{self.sql['open_runs']} WHERE {' AND '.join(conditions)} "
                f"ORDER BY r.due DESC, r.id DESC LIMIT {limit + 1}",
                *values,
            )
            page = [_run_of(row) for row in rows[:limit]]
            if len(rows) > limit:
                return page, write_place(True, page[-1].due, page[-1].id)
            place = _FOREVER
        elif active:
            place = _FOREVER
        conditions, values = self._run_conditions("h", job_ids, functions, which.status)
        if which.dead:
            conditions.append("h.dead")
        values.append(place)
        conditions.append(f"h.seq < ${len(values)}")
        more = await self.connection.fetch(
            f"{self.sql['ended_runs']} WHERE {' AND '.join(conditions)} ORDER BY h.seq DESC LIMIT {limit + 1}",
            *values,
        )
        # What has ended since the first statement stands on this page already.
        known = {run.id for run in page}
        more = [row for row in more if row[0] not in known]
        room = limit - len(page)
        page += [_run_of(row) for row in more[:room]]
        if len(more) <= room:
            return page, None
        if room:
            return page, write_place(False, more[room - 1][_RUN_COLUMNS], 0)
        return page, write_place(True, page[-1].due, page[-1].id)

    async def _numbers(self, which: RunFilter) -> tuple[list[int] | None, list[int] | None]:
        """Return the jobs and the functions that are asked for, ``None`` for all."""
        ns = self.schedule.ns
        jobs = functions = None
        if which.job_id is not None:
            # A deleted job's records and those of the one that took its id are told together.
            jobs = [row[0] for row in await self.fetch("serials_of_id", ns, which.job_id)]
        if which.func is not None:
            # Not by name in the join: all records are read there where few or none are of the function.
            functions = [row[0] for row in await self.fetch("functions_named", ns, which.func)]
        return jobs, functions

    def _run_conditions(
        self, table: str, jobs: list[int] | None, functions: list[int] | None, status: RunStatus | None
    ) -> tuple[list[str], list[Any]]:
        conditions = [f"{table}.ns = $1"]
        values: list[Any] = [self.schedule.ns]
        for condition, value in (
            (f"{table}.job = ANY(${{}}::bigint[])", jobs),
            ("j.func = ANY(${}::integer[])", functions),
            (f"{table}.status = ${{}}", None if status is None else str(status)),
        ):
            if value is not None:
                values.append(value)
                conditions.append(condition.format(len(values)))
        return conditions, values

    async def totals(self, per_job: bool) -> Totals:
        row = await self.row("schedule_totals", self.schedule.ns)
        since, runs, failures, jobs, active_jobs, active_runs, nodes, dead_letters = map(int, row)
        counts = await self.fetch("counts_per_job", self.schedule.ns) if per_job else ()
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
    JobStatus.UNRESOLVED: "NOT {resolved}",
    JobStatus.PAUSED: "{resolved} AND t.paused",
    JobStatus.RUNNING: "{resolved} AND NOT t.paused AND t.active > 0",
    JobStatus.FINISHED: "{resolved} AND NOT t.paused AND t.active = 0 AND t.due IS NULL",
    JobStatus.SCHEDULED: "{resolved} AND NOT t.paused AND t.active = 0 AND t.due IS NOT NULL",
}


def _run_of(row: Sequence[Any]) -> RunRecord:
    return run_record(RunRow._make(row[:_RUN_COLUMNS]))
