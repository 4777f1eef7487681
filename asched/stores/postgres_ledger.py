"""What a schedule's calls do inside Postgres: coroutines on a connection that somebody else opened and watches.

:class:`Pages` reads. A :class:`Step` changes: it takes the rows of the jobs it is about in ``asched.timer``, which no
other step gets before this one has ended; it reads their open runs; then it decides in Python, without waiting, on
plain objects, as the memory store does; and :meth:`Step.write` sends what has changed, a statement for each table.
What most runs are made of, a start and a success, needs no look before it is written: those two are one statement
each (``claim`` and ``finish`` in ``statements.sql``), and a step only takes what they leave.

Neither begins nor ends a transaction, and neither knows of the driver: :mod:`asched.stores.postgres` does. A step may
run twice, when its transaction fails because another one stood in its way, so nothing of it is kept outside before it
is committed.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import orjson

from asched.instants import SECOND
from asched.model import ErrorInfo, JobSpec, JobStatus, OnCrash, Origin, Outcome, Overlap, Reason, RunStatus
from asched.planner import jittered, passed_while_paused
from asched.store import (
    AttemptRecord,
    Cancelled,
    Change,
    ChangeKind,
    Claim,
    Claimed,
    Counts,
    Deleted,
    Enqueue,
    Enqueued,
    Finish,
    Gap,
    Grant,
    JobFilter,
    JobPage,
    JobRecord,
    Limits,
    Live,
    NodeInfo,
    NodeRecord,
    Note,
    Put,
    PutItem,
    PutMode,
    PutStatus,
    Reaped,
    RunFilter,
    RunPage,
    RunRecord,
    Selection,
    Timer,
    Totals,
    Window,
)
from asched.stores.cursors import read_place, read_serial, write_place
from asched.stores.following import ALL_NODES, News
from asched.stores.rows import (
    STATUSES,
    CodeTrigger,
    RunRow,
    attempts_text,
    log_text,
    node_info_of,
    progress_text,
    run_record,
    spec_of,
    spec_row,
)
from asched.stores.sql import statements
from asched.triggers import Trigger, is_storable

__all__ = [
    "EARLY",
    "Connection",
    "Overtaken",
    "Pages",
    "Schedule",
    "Step",
    "is_plain_end",
    "is_plain_start",
]

Connection: TypeAlias = Any
"""An asyncpg connection: its ``fetch`` and ``execute`` are all that is used here."""

EARLY = SECOND // 20
"""A claim this far in the future is refused. The slack covers the answer's way to the node that reads the clock."""

_FOREVER = 2**63 - 1
_DEAD = frozenset({RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.LOST})
_WAITING = frozenset({RunStatus.PENDING, RunStatus.RETRYING})
_SPEC_COLUMNS = 13
# In a row of ``job``, after the spec, its function's name, version, created and updated.
_TIMER_COLUMN = _SPEC_COLUMNS + 4
_RUN_COLUMNS = len(RunRow._fields)
_ABILITIES_FOR = 1.0
# Specs kept in memory; a job of ours is 0.5 to 1 KiB with its trigger.
_SPECS = 20_000


class Overtaken(Exception):
    """Another node was faster in a way that no lock shows; the step begins anew."""


class _Abilities(NamedTuple):
    """What the nodes of a schedule can run, taken together."""

    functions: frozenset[str]
    declarations: frozenset[str]


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
        self._abilities = _Abilities(frozenset(), frozenset())
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
        return spec_of(row, row[_SPEC_COLUMNS], self.triggers)

    async def abilities(self, connection: Connection) -> _Abilities:
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
            self._abilities = _Abilities(
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


class _Job:
    """A job as a step holds it: its row in ``asched.timer``, and what of its other rows the step has read."""

    __slots__ = (
        "active", "changed", "created", "declared", "due", "edition", "failures", "func", "gap", "gone", "last_run",
        "last_status", "open_gap", "paused", "planned", "planned_runs", "queued", "retries", "rev", "runs", "serial",
        "spec", "total_runs", "updated", "version",
    )  # fmt: skip

    def __init__(self, row: Sequence[Any]) -> None:
        (
            self.serial, self.func, self.rev, self.edition, self.planned, self.due, self.paused, self.declared,
            self.gone, self.active, self.queued, self.total_runs, self.failures, self.retries, self.planned_runs,
            self.last_run, self.last_status, self.gap,
        ) = row  # fmt: skip
        self.spec: JobSpec
        self.version = 0
        self.created = 0
        self.updated = 0
        self.runs: list[_Run] = []
        """Those that have not ended."""
        self.open_gap: _Passed | None = None
        """What ``gap`` names."""
        self.changed = False

    def row(self) -> tuple[Any, ...]:
        return (
            self.serial, self.func, self.rev, self.edition, self.planned, self.due, self.paused, self.declared,
            self.gone, self.active, self.queued, self.total_runs, self.failures, self.retries, self.planned_runs,
            self.last_run, self.last_status, self.gap,
        )  # fmt: skip

    def timer(self) -> Timer | None:
        if self.due is None or self.planned is None:
            return None
        return Timer(self.serial, self.rev, self.due, self.planned, self.spec)

    def move(self, planned: int | None, due: int | None) -> None:
        """Set the timer; every move is a new revision."""
        if planned is None or due is None:
            planned = due = None
        self.planned, self.due = planned, due
        self.rev += 1
        self.changed = True


class _Run:
    """A run that has not ended, as a step holds it."""

    __slots__ = (
        "attempt", "attempts_json", "cancel", "changed", "claimed", "due", "epoch", "fence", "func", "held", "id",
        "job", "log_json", "manual", "next_attempt", "node", "payload", "planned", "progress_json", "queued",
        "replay_of", "result", "rev", "started", "status", "token", "wake",
    )  # fmt: skip

    def __init__(self, row: Sequence[Any], job: _Job) -> None:
        (
            self.id, _, self.func, self.status, self.planned, self.due, self.attempt, self.token, self.epoch,
            self.fence, self.node, self.started, self.claimed, self.payload, self.rev, self.wake, self.next_attempt,
            self.queued, self.held, self.manual, self.cancel, self.replay_of, self.attempts_json, self.result,
            self.progress_json, self.log_json,
        ) = row  # fmt: skip
        self.job = job
        self.changed = False

    def row(self) -> tuple[Any, ...]:
        return (
            self.id, self.job.serial, self.func, self.status, self.planned, self.due, self.attempt, self.token,
            self.epoch, self.fence, self.node, self.started, self.claimed, self.payload, self.rev, self.wake,
            self.next_attempt, self.queued, self.held, self.manual, self.cancel, self.replay_of, self.attempts_json,
            self.result, self.progress_json, self.log_json,
        )  # fmt: skip

    @property
    def began(self) -> int:
        """When the present attempt began, as far as the store knows."""
        if self.claimed is not None:
            return int(self.claimed)
        return int(self.due if self.started is None else self.started)

    def timer(self) -> Timer | None:
        """Return the timer of a run that waits and may start."""
        if self.token is not None or self.wake is None or self.queued or self.held:
            return None
        return Timer(self.id, self.rev, self.wake, self.planned, self.job.spec, self.next_attempt, self.payload)

    def record(self) -> RunRecord:
        spec = self.job.spec
        return run_record(RunRow(
            self.id, spec.id, spec.func, self.status, None, self.due, self.planned, self.started, self.claimed, None,
            self.attempt, self.attempts_json, self.result, self.progress_json, self.log_json, self.manual,
            self.replay_of, self.fence, self.node, 1, self.due, self.payload,
        ))  # fmt: skip

    def add_attempt(self, node: str, started: int, ended: int, outcome: Outcome, error: ErrorInfo | None) -> None:
        attempt = AttemptRecord(self.attempt, node, started, ended, outcome, error)
        self.attempts_json = attempts_text(self.attempts_json, attempt)


class _Passed:
    """A record of instants that did not start, of which the step may add some. ``id`` is 0 until it is written."""

    __slots__ = ("first", "id", "instants", "job", "last", "reason", "status")

    def __init__(self, record_id: int, job: _Job, gap: Gap, instants: int) -> None:
        self.id = record_id
        self.job = job
        self.status = str(gap.status)
        self.reason = str(gap.reason)
        self.first = gap.first
        self.last = gap.last
        self.instants = instants
        """Those the step adds."""


class Pages:
    """Answers that change nothing."""

    def __init__(self, schedule: Schedule, connection: Connection) -> None:
        self.schedule = schedule
        self.connection = connection
        self._sql = schedule.sql

    async def _fetch(self, statement: str, *values: object) -> list[Any]:
        rows: list[Any] = await self.connection.fetch(self._sql[statement], *values)
        return rows

    async def _row(self, statement: str, *values: object) -> Any:
        """Return the answer of a statement that always has one."""
        [row] = await self._fetch(statement, *values)
        return row

    # Nodes

    async def nodes(self) -> list[NodeRecord]:
        return [
            NodeRecord(epoch, node_info_of(info), started, lease_until, active)
            for epoch, info, started, lease_until, active in await self._fetch("nodes", self.schedule.ns)
        ]

    async def claims(self, epoch: int) -> list[Live]:
        return [Live(*row) for row in await self._fetch("claims", epoch)]

    # Jobs

    async def get_jobs(self, ids: Sequence[str]) -> list[JobRecord | None]:
        rows = await self._fetch("jobs_by_id", self.schedule.ns, ids)
        able = await self.schedule.abilities(self.connection)
        found = {row[0]: _record(self._job(row), able) for row in rows}
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
        statement = f"{self._sql['job']} WHERE {' AND '.join(conditions)} ORDER BY j.serial LIMIT {limit + 1}"
        rows = await self.connection.fetch(statement, *values)
        page = [_record(self._job(row), able) for row in rows[:limit]]
        return page, str(page[-1].serial) if len(rows) > limit else None

    def _job(self, row: Sequence[Any]) -> _Job:
        """Return the job of a row of ``job``."""
        job = _Job(row[_TIMER_COLUMN:])
        job.spec = self.schedule.spec_of(row)
        job.version, job.created, job.updated = row[_SPEC_COLUMNS + 1 : _TIMER_COLUMN]
        return job

    async def groups(self) -> list[tuple[str, int, int]]:
        return [tuple(row) for row in await self._fetch("groups", self.schedule.ns)]

    # Timers

    async def window(self, epoch: int, info: NodeInfo, until: int, limit: int) -> Window:
        schedule = self.schedule
        rows = await self._fetch(
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
            for row in await self._fetch("specs", unknown):
                serial, edition = row[_SPEC_COLUMNS + 1], row[_SPEC_COLUMNS + 2]
                spec = schedule.spec_of(row)
                schedule.learn(serial, edition, spec)
                if editions[serial] == edition:
                    found[serial] = spec
        return found

    # Records

    async def get_runs(self, run_ids: Sequence[int]) -> list[RunRecord | None]:
        rows = await self._fetch("runs_by_id", run_ids)
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
                f"{self._sql['open_runs']} WHERE {' AND '.join(conditions)} "
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
            f"{self._sql['ended_runs']} WHERE {' AND '.join(conditions)} ORDER BY h.seq DESC LIMIT {limit + 1}",
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
            jobs = [row[0] for row in await self._fetch("serials_of_id", ns, which.job_id)]
        if which.func is not None:
            # Not by name in the join: all records are read there where few or none are of the function.
            functions = [row[0] for row in await self._fetch("functions_named", ns, which.func)]
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
        row = await self._row("schedule_totals", self.schedule.ns)
        since, runs, failures, jobs, active_jobs, active_runs, nodes, dead_letters = map(int, row)
        counts = await self._fetch("counts_per_job", self.schedule.ns) if per_job else ()
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


class Step(Pages):
    """One change of the schedule: jobs are taken, looked at, changed, and written. Make one for each transaction.

    Args:
        patient: Wait for jobs that others hold. Otherwise they are left out, as those that do not exist.
    """

    def __init__(self, schedule: Schedule, connection: Connection, *, patient: bool = True) -> None:
        super().__init__(schedule, connection)
        self.patient = patient
        self.news = News([], [])
        self.now = 0
        self._jobs: dict[int, _Job] = {}
        self._runs: dict[int, _Run] = {}
        """Those that have not ended, of the jobs that are held."""
        self._ended: list[_Run] = []
        self._records: list[tuple[Any, ...] | _Passed] = []
        """Of ended runs and of instants that did not start, in the order in which they came about."""
        self._grown: dict[int, _Passed] = {}
        self._ends = 0
        self._failures = 0
        self._buried: list[int] = []
        self._touched: set[int] = set()
        """Jobs that may have lost what keeps their records, or their last one."""
        self._added: list[_Job] = []
        self._edited: dict[int, _Job] = {}
        self._left: list[int] = []
        """Nodes that are gone with this step."""

    # Taking and writing

    async def begin(self) -> None:
        """Read the store's clock, for the whole step."""
        [self.now] = await self._row("clock")

    async def take(self, serials: Iterable[int]) -> list[_Job]:
        """Hold these jobs, with their specs and open runs, until the transaction ends; unknown ones are left out."""
        wanted = sorted(set(serials) - self._jobs.keys())
        if not wanted:
            return []
        rows = await self._fetch("lock_timers" if self.patient else "lock_free_timers", wanted)
        taken = [_Job(row) for row in rows]
        for job in taken:
            self._jobs[job.serial] = job
        # The rows are ours from here on: what a new statement sees now stays so.
        specs = await self.specs({job.serial: job.edition for job in taken})
        for job in taken:
            job.spec = specs[job.serial]
        active = [job.serial for job in taken if job.active]
        if active:
            for row in await self._fetch("runs_of_jobs", active):
                job = self._jobs[row[1]]
                run = _Run(row, job)
                job.runs.append(run)
                self._runs[run.id] = run
        return taken

    async def read_gaps(self) -> None:
        """Read the records that the next instants which do not start may join."""
        jobs = {job.gap: job for job in self._jobs.values() if job.gap is not None}
        for record_id, status, reason in await self._fetch("gaps", list(jobs)) if jobs else ():
            job = jobs[record_id]
            job.open_gap = _Passed(record_id, job, Gap(RunStatus(status), Reason(reason), 0, 0, 0), 0)

    async def write(self, epoch: int = 0) -> None:
        """Send what has changed; nothing of the step comes after it.

        Args:
            epoch: The node that counts the runs which ended; 0 is the one that stands for all that are gone.

        Raises:
            Overtaken: A job of this id has been added meanwhile.
        """
        ns = self.schedule.ns
        await self._write_records()
        await self._write_jobs()
        changed = [job for job in self._jobs.values() if job.changed]
        if changed:
            await self._fetch("write_timers", *_columns([job.row() for job in changed]))
        runs = [run.row() for run in self._runs.values() if run.changed]
        if runs:
            await self._fetch("write_runs", ns, *_columns(runs))
        if self._ended:
            await self._fetch("remove_runs", [run.id for run in self._ended])
        gone = [job.serial for job in changed if job.gone and not job.runs]
        if gone:
            await self._fetch("remove_timers", gone)
            self._touched.update(gone)
        # Rows that several nodes count in come last, so that they are held for the least time.
        for left in self._left:
            await self._fetch("remove_node", left, ns)
        if self._ends:
            await self._fetch("count_ends", ns, epoch, self._ends, self._failures)
        await self._bury()
        await self._forget()
        if self.news.changes and self.schedule.followed:
            text = orjson.dumps(self.news.changes, default=tuple).decode()
            await self._fetch("tell", ns, self.schedule.origin, text)

    async def _write_jobs(self) -> None:
        ns, added, edited = self.schedule.ns, self._added, list(self._edited.values())
        if added:
            rows: list[tuple[object, ...]] = [
                (
                    job.serial, job.func, job.created, *spec_row(job.spec), job.planned, job.due, job.paused, job.gap,
                )
                for job in added
            ]  # fmt: skip
            [written] = await self._row("add_jobs", ns, *_columns(rows))
            if written != len(rows):
                raise Overtaken
        if edited:
            rows = [(job.serial, job.func, job.version, job.updated, *spec_row(job.spec)) for job in edited]
            await self._fetch("change_jobs", *_columns(rows))

    def remember(self) -> None:
        """Keep the specs that the step has written; to be called once it is committed."""
        for job in (*self._added, *self._edited.values()):
            self.schedule.learn(job.serial, job.edition, job.spec)

    async def _write_records(self) -> None:
        fresh = [record for record in self._records if isinstance(record, _Passed)]
        if fresh:
            serials = await self._fetch("serials", len(fresh))
            for passed, [serial] in zip(fresh, serials, strict=True):
                passed.id = serial
                if passed.job.open_gap is passed:
                    passed.job.gap = serial
                self._changed(ChangeKind.RUN, serial)
        if self._records:
            rows = [self._passed_row(record) if isinstance(record, _Passed) else record for record in self._records]
            await self._fetch("record", self.schedule.ns, *_columns(rows))
        if self._grown:
            grown = [(gap.id, gap.instants, gap.last, self.now) for gap in self._grown.values()]
            await self._fetch("grow_gaps", *_columns(grown))

    def _passed_row(self, gap: _Passed) -> tuple[Any, ...]:
        return (
            gap.id, gap.job.serial, gap.status, gap.reason, gap.first, gap.first, None, self.now, 0, 0, None, None,
            False, None, None, None, None, None, gap.instants, gap.last, False,
        )  # fmt: skip

    async def _bury(self) -> None:
        """Take the mark of a dead letter from runs that were replayed, and from the oldest where there are too many."""
        limit = self.schedule.limits.dead_letters
        buried = list(self._buried)
        if self._failures and limit:
            buried += [row[0] for row in await self._fetch("letters_over", self.schedule.ns, limit)]
        if buried:
            await self.bury(buried)

    def _changed(self, kind: ChangeKind, subject: str | int) -> None:
        self.news.changes.append(Change(kind, subject))

    # Claims

    async def claim(self, epoch: int, claims: Sequence[Claim]) -> list[Claimed]:
        """Take timers, whatever is about them; an empty answer says that the node is dead."""
        node = await self._fetch("live_node", epoch, self.schedule.ns)
        if not node:
            return []
        [(name, self.now)] = node
        waiting = [claim.timer.id for claim in claims if claim.timer.attempt]
        serials = [claim.timer.id for claim in claims if not claim.timer.attempt]
        if waiting:
            serials += [row[0] for row in await self._fetch("jobs_of_runs", waiting)]
        await self.take(serials)
        await self.read_gaps()
        fences = [row[0] for row in await self._fetch("fences", len(claims))]
        return [
            _Claiming(self, epoch, name, claim, fence).answer() for claim, fence in zip(claims, fences, strict=True)
        ]

    def job(self, serial: int) -> _Job | None:
        return self._jobs.get(serial)

    def run(self, run_id: int) -> _Run | None:
        return self._runs.get(run_id)

    def held_by(self, job: _Job, token: int, epoch: int) -> _Run | None:
        return next((run for run in job.runs if run.token == token and run.epoch == epoch), None)

    # Ends

    async def finish(self, epoch: int, name: str, ends: Sequence[Finish]) -> tuple[dict[int, int], list[Timer]]:
        """Record ends of attempts, whatever they are; return the runs of those tokens that are held."""
        await self.take([row[0] for row in await self._fetch("jobs_of_tokens", [end.token for end in ends], epoch)])
        held = {run.token: run for run in self._runs.values() if run.token is not None and run.epoch == epoch}
        accepted: dict[int, int] = {}
        timers: list[Timer] = []
        for end in ends:
            run = held.get(end.token)
            if run is not None:
                accepted[end.token] = run.id
                timers += self._finish(run, name, end)
        return accepted, timers

    def _finish(self, run: _Run, name: str, end: Finish) -> list[Timer]:
        status = end.status
        # An interrupted attempt is followed by another of the same number; the run began with the first.
        if run.attempt == 1 and run.attempts_json is None:
            run.started = end.started
        if status is not RunStatus.SUCCEEDED or run.claimed is not None or run.attempts_json is not None:
            run.add_attempt(name, end.started, end.ended, end.outcome, end.error)
        if end.result is not None or end.note is not None:
            run.result = end.result
        if end.note is not None:
            run.progress_json = progress_text(end.note.done, end.note.total) or run.progress_json
            run.log_json = log_text(end.note.log) or run.log_json
        if status in _WAITING:
            attempt = run.attempt + 1 if end.counts else run.attempt
            return self.wait(run, status, end.due or end.ended, attempt, end.ended)
        self.end(run, status, end.ended, end.reason)
        return self.unqueue(run.job)

    async def unqueue_jobs(self, serials: Iterable[int]) -> list[Timer]:
        """Let queued runs of these jobs start where nothing else is active, and drop jobs that are gone for good."""
        timers: list[Timer] = []
        for job in await self.take(serials):
            job.changed = job.changed or job.gone
            timers += self.unqueue(job)
        return timers

    async def release(self, epoch: int, tokens: Sequence[int]) -> list[Timer]:
        await self.take([row[0] for row in await self._fetch("jobs_of_tokens", tokens, epoch)])
        wanted = set(tokens)
        held = [run for run in self._runs.values() if run.token in wanted and run.epoch == epoch]
        return [timer for run in held for timer in self.give_back(run)]

    async def reap(self) -> list[Reaped]:
        """End nodes whose lease has run out."""
        dead = await self._fetch("dead_nodes", self.schedule.ns)
        held = await self._leave([epoch for epoch, _ in dead])
        reaped = []
        for epoch, name in dead:
            if epoch not in self._left and not held[epoch]:
                continue
            rescued: list[Timer] = []
            lost: list[int] = []
            for run in held[epoch]:
                policy = run.job.spec.policy
                run.add_attempt(name, run.began, self.now, Outcome.LOST, None)
                if policy.on_crash is OnCrash.LOST or run.attempt > policy.max_retries:
                    self.end(run, RunStatus.LOST, self.now, Reason.NODE_DIED)
                    lost.append(run.id)
                    rescued += self.unqueue(run.job)
                else:
                    rescued += self.wait(run, RunStatus.PENDING, self.now, run.attempt + 1, self.now)
            reaped.append(Reaped(epoch, name, tuple(rescued), tuple(lost)))
        return reaped

    async def leave(self, epoch: int) -> list[Timer]:
        if not await self._fetch("hold_node", epoch, self.schedule.ns):
            return []
        held = await self._leave([epoch])
        return [timer for run in held[epoch] for timer in self.give_back(run)]

    async def _leave(self, epochs: Sequence[int]) -> dict[int, list[_Run]]:
        """Take what these nodes execute, whose rows are held, and let the nodes go with the step."""
        held: dict[int, list[_Run]] = {epoch: [] for epoch in epochs}
        if epochs:
            rows = await self._fetch("jobs_of_nodes", epochs)
            await self.take([serial for _, serial in rows])
            # A job that could not be had keeps its node, for the next to come; but the node is dead from here on.
            kept = {epoch for epoch, serial in rows if serial not in self._jobs}
            for epoch in kept:
                await self._fetch("end_lease", epoch)
            self._left += [epoch for epoch in epochs if epoch not in kept]
            for run in self._runs.values():
                if run.token is not None and run.epoch in held:
                    held[run.epoch].append(run)
        return held

    # The life of a run

    def start(self, run: _Run, epoch: int, node: str, token: int, fence: int) -> None:
        run.status = str(RunStatus.RUNNING)
        run.token = token
        run.epoch = epoch
        run.node = node
        run.fence = fence
        run.wake = None
        run.started = self.now if run.started is None else run.started
        run.changed = True
        run.job.last_run = self.now
        run.job.changed = True
        self._changed(ChangeKind.RUN, run.id)

    def add_run(
        self, job: _Job, run_id: int, planned: int, due: int, payload: bytes | None, *, manual: bool = False,
        queued: bool = False, replay_of: int | None = None,
    ) -> _Run:  # fmt: skip
        """Make a run that waits for its first attempt."""
        run = _Run(
            (
                run_id, job.serial, job.func, str(RunStatus.PENDING), planned, due, 0, None, None, 0, None, None, None,
                payload, 1, due, 1, queued, False, manual, None, replay_of, None, None, None, None,
            ),
            job,
        )  # fmt: skip
        run.changed = True
        self._runs[run_id] = run
        job.runs.append(run)
        job.active += 1
        job.queued = job.queued or queued
        job.changed = True
        self._changed(ChangeKind.RUN, run_id)
        return run

    def give_back(self, run: _Run) -> list[Timer]:
        """Let a claimed run wait whose attempt did not begin, or is not to count."""
        if run.attempts_json is None:
            run.started = None
        return self.wait(run, RunStatus.PENDING, self.now, run.attempt, self.now)

    def wait(self, run: _Run, status: RunStatus, due: int, attempt: int, now: int) -> list[Timer]:
        """Let a run that was executed wait for its next attempt; of a deleted job, or once cancelled, end it."""
        job = run.job
        if job.gone or run.cancel is not None:
            self.end(run, RunStatus.CANCELLED, now, Reason(run.cancel or Reason.JOB_CANCELLED))
            return self.unqueue(job)
        run.status = str(status)
        run.func = job.func
        run.token = run.epoch = run.claimed = None
        run.rev += 1
        run.wake = due
        run.next_attempt = attempt
        run.held = job.paused and not run.manual
        run.changed = True
        self._changed(ChangeKind.RUN, run.id)
        timer = run.timer()
        return [] if timer is None else [timer]

    def end(self, run: _Run, status: RunStatus, now: int, reason: Reason | None) -> None:
        """Give a run its final status."""
        job = run.job
        dead = status in _DEAD and self.schedule.limits.dead_letters > 0
        self._records.append((
            run.id, job.serial, str(status), None if reason is None else str(reason), run.due, run.planned,
            run.started, now, run.attempt, run.fence, run.node, run.payload, run.manual, run.replay_of,
            run.attempts_json, run.result, run.progress_json, run.log_json, 1, run.due, dead,
        ))  # fmt: skip
        if run.replay_of is not None and status is RunStatus.SUCCEEDED:
            self._buried.append(run.replay_of)
        self._ends += 1
        if status in _DEAD:
            job.failures += 1
            self._failures += 1
        job.runs.remove(run)
        job.active -= 1
        job.queued = any(other.queued for other in job.runs)
        job.last_status = str(status)
        job.changed = True
        self._ended.append(run)
        del self._runs[run.id]
        self._changed(ChangeKind.RUN, run.id)

    def unqueue(self, job: _Job) -> list[Timer]:
        """Let the run that queued start, now that nothing else of the job is active."""
        if job.gone or len(job.runs) != 1 or not job.runs[0].queued:
            return []
        [run] = job.runs
        run.queued = False
        run.rev += 1
        run.wake = run.due
        run.changed = True
        job.queued = False
        job.changed = True
        timer = run.timer()
        return [] if timer is None else [timer]

    def supersede(self, job: _Job) -> tuple[int, ...]:
        """End the job's waiting runs and return the tokens of those that execute."""
        tokens = []
        for run in list(job.runs):
            if run.token is None:
                self.end(run, RunStatus.CANCELLED, self.now, Reason.SUPERSEDED)
            else:
                self.mark_cancel(run, Reason.SUPERSEDED)
                tokens.append(run.token)
        return tuple(tokens)

    def mark_cancel(self, run: _Run, reason: Reason) -> None:
        run.cancel = str(reason)
        run.changed = True
        self.news.hints.append((run.epoch, 0))

    def pass_gap(self, job: _Job, gap: Gap) -> None:
        """Record instants that do not start. They join the record before them when that has the same reason."""
        known = job.open_gap
        job.changed = True
        if known is not None and (known.status, known.reason) == (str(gap.status), str(gap.reason)):
            known.instants += gap.instants
            known.last = gap.last
            if known.id:
                self._grown[known.id] = known
                self._changed(ChangeKind.RUN, known.id)
            return
        job.open_gap = _Passed(0, job, gap, gap.instants)
        self._records.append(job.open_gap)

    def close_gap(self, job: _Job) -> None:
        job.gap = job.open_gap = None
        job.changed = True

    # Runs by hand

    async def enqueue(self, items: Sequence[Enqueue]) -> list[Enqueued]:
        ids = [item.job_id for item in items]
        await self.take(row[0] for row in await self._fetch("serials_by_id", self.schedule.ns, ids))
        replayed = [item.replay_of for item in items if item.replay_of is not None]
        letters = {row[0]: row[2] for row in await self._fetch("letters", replayed)} if replayed else {}
        by_id = {job.spec.id: job for job in self._jobs.values() if not job.gone}
        return [self._enqueue(item, by_id.get(item.job_id), letters) for item in items]

    def _enqueue(self, item: Enqueue, job: _Job | None, letters: Mapping[int, bytes | None]) -> Enqueued:
        if job is None or (item.replay_of is not None and item.replay_of not in letters):
            return Enqueued(PutStatus.MISSING)
        cancels: tuple[int, ...] = ()
        queued = False
        if job.runs:
            overlap = job.spec.policy.overlap
            if overlap is Overlap.SKIP or (overlap is Overlap.QUEUE and job.queued):
                return Enqueued(PutStatus.CONFLICT)
            queued = overlap is Overlap.QUEUE
            if overlap is Overlap.CANCEL_RUNNING:
                cancels = self.supersede(job)
        payload = job.spec.payload if item.replay_of is None else letters[item.replay_of]
        run = self.add_run(
            job, item.run_id, self.now, self.now, payload, manual=True, queued=queued, replay_of=item.replay_of
        )
        return Enqueued(PutStatus.ADDED, run.timer(), cancels, run.record())

    async def cancel_runs(self, run_ids: Sequence[int]) -> list[Cancelled]:
        await self.take([row[0] for row in await self._fetch("jobs_of_runs", run_ids)])
        answers: dict[int, Cancelled] = {}
        for run_id in run_ids:
            run = self._runs.get(run_id)
            if run is None:
                continue
            job_id = run.job.spec.id
            if run.token is not None:
                self.mark_cancel(run, Reason.OPERATOR)
                answers[run_id] = Cancelled(run_id, RunStatus(run.status), run.token, run.epoch, job_id)
                continue
            self.end(run, RunStatus.CANCELLED, self.now, Reason.OPERATOR)
            answers[run_id] = Cancelled(run_id, RunStatus.CANCELLED, job_id=job_id)
            for timer in self.unqueue(run.job):
                # The answer has no place for it, so those who may start it are told otherwise.
                self.news.hints.append((ALL_NODES, timer.due))
        others = [run_id for run_id in run_ids if run_id not in answers]
        if others:
            for run_id, status, job_id in await self._fetch("run_places", others):
                answers[run_id] = Cancelled(run_id, STATUSES[status], job_id=job_id)
        return [answers.get(run_id, Cancelled(run_id, None)) for run_id in run_ids]

    async def annotate(self, epoch: int, notes: Sequence[Note]) -> None:
        rows = [
            (token, progress_text(note.done, note.total), log_text(note.log))
            for token, note in {note.token: note for note in notes}.items()
        ]
        if rows:
            for [run_id] in await self._fetch("annotate", epoch, *_columns(rows)):
                self._changed(ChangeKind.RUN, run_id)

    # Jobs

    async def put_jobs(self, mode: PutMode, items: Sequence[PutItem]) -> list[Put]:
        return await _Puts(self, mode, items).answers()

    async def pause_jobs(self, which: Selection) -> list[JobRecord]:
        able = await self.schedule.abilities(self.connection)
        chosen = [job for job in await self.select(which) if not job.paused]
        for job in chosen:
            job.paused = True
            self._touch(job)
            self.renew_waiting(job)
        await self._touch_rows(chosen)
        return [_record(job, able) for job in chosen]

    async def resume_jobs(self, which: Selection) -> tuple[list[JobRecord], list[Timer]]:
        able = await self.schedule.abilities(self.connection)
        chosen = [job for job in await self.select(which) if job.paused]
        await self.read_gaps()
        timers: list[Timer] = []
        for job in chosen:
            job.paused = False
            if job.planned is not None:
                gap, planned = passed_while_paused(job.spec, job.planned, self.now)
                if gap is not None:
                    self.pass_gap(job, gap)
                    job.planned, job.due = planned, jittered(job.spec, planned, random.random)
            self._touch(job)
            timer = job.timer()
            timers += [] if timer is None else [timer]
            timers += self.renew_waiting(job)
        await self._touch_rows(chosen)
        return [_record(job, able) for job in chosen], timers

    async def delete_jobs(self, which: Selection) -> Deleted:
        chosen = await self.select(which)
        runs: list[Cancelled] = []
        for job in chosen:
            spec = job.spec
            self._changed(ChangeKind.JOB_REMOVED, spec.id)
            job.gone = True
            job.move(None, None)
            for run in list(job.runs):
                if run.token is not None:
                    runs.append(Cancelled(run.id, RunStatus.RUNNING, run.token, run.epoch, spec.id))
                else:
                    self.end(run, RunStatus.CANCELLED, self.now, Reason.JOB_CANCELLED)
                    runs.append(Cancelled(run.id, RunStatus.CANCELLED, job_id=spec.id))
        serials = [job.serial for job in chosen]
        stones = [(job.spec.id, job.spec.declaration) for job in chosen if job.spec.origin is Origin.DECLARED]
        if stones:
            await self._fetch("add_tombstones", self.schedule.ns, *_columns(stones))
        await self._fetch("delete_jobs", serials)
        self._touched.update(serials)
        return Deleted(tuple(job.spec.id for job in chosen), tuple(runs))

    async def select(self, which: Selection) -> list[_Job]:
        """Hold the jobs that are chosen, in the order of the choice or in that in which they were made."""
        ns = self.schedule.ns
        if which.ids is not None:
            found = await self._fetch("serials_by_id", ns, list(which.ids))
        elif which.group is not None:
            found = await self._fetch("serials_by_group", ns, which.group)
        else:
            found = await self._fetch("serials_by_func", ns, which.func)
        taken = await self.take(row[0] for row in found)
        await self.read_rows(taken)
        # Between the choice and the lock a job may have been deleted, renamed or moved.
        jobs = [job for job in taken if not job.gone and _chosen(job.spec, which)]
        if which.ids is not None:
            by_id = {job.spec.id: job for job in jobs}
            return [by_id[job_id] for job_id in dict.fromkeys(which.ids) if job_id in by_id]
        return jobs

    async def read_rows(self, jobs: Sequence[_Job]) -> None:
        """Read of held jobs what only records tell."""
        held = {job.serial: job for job in jobs}
        for row in await self._fetch("jobs_by_serial", list(held)):
            job = held[row[_TIMER_COLUMN]]
            job.version, job.created, job.updated = row[_SPEC_COLUMNS + 1 : _TIMER_COLUMN]

    def _touch(self, job: _Job) -> None:
        """Note that somebody changed the job; its row follows with :meth:`_touch_rows`."""
        job.rev += 1
        job.version += 1
        job.updated = self.now
        job.changed = True
        self._changed(ChangeKind.JOB, job.spec.id)

    async def _touch_rows(self, jobs: Sequence[_Job]) -> None:
        await self._fetch("touch_jobs", [job.serial for job in jobs], self.now)

    def renew_waiting(self, job: _Job) -> list[Timer]:
        """Give the waiting runs of a job a new revision: their spec, or whether they may start, has changed."""
        timers = []
        for run in job.runs:
            if run.token is None:
                run.func = job.func
                run.rev += 1
                run.held = job.paused and not run.manual
                run.changed = True
                timer = run.timer()
                timers += [] if timer is None else [timer]
        return timers

    def add_job(self, job: _Job) -> None:
        self._jobs[job.serial] = job
        self._added.append(job)

    def edit_job(self, job: _Job) -> None:
        """Have the job's spec written."""
        self._edited[job.serial] = job
        job.edition += 1
        job.changed = True

    # Records

    async def discard_dead_letters(self, run_ids: Sequence[int] | None) -> int:
        if run_ids is None:
            run_ids = [row[0] for row in await self._fetch("all_letters", self.schedule.ns)]
        return await self.bury(run_ids)

    async def bury(self, run_ids: Sequence[int]) -> int:
        found = await self._fetch("bury", self.schedule.ns, run_ids)
        for run_id, serial in found:
            self._changed(ChangeKind.RUN, run_id)
            self._touched.add(serial)
        return len(found)

    async def _forget(self) -> None:
        """Drop what nothing keeps any more. It may have to wait for jobs beside those that are held."""
        if self._touched:
            [floor] = await self._row("floor", self.schedule.ns)
            await self._forget_of_jobs(sorted(self._touched), floor)

    async def _forget_of_jobs(self, serials: Sequence[int], floor: int) -> int:
        ns, limits = self.schedule.ns, self.schedule.limits
        forgotten = await self._fetch("forget_of_jobs", ns, serials, limits.kept_per_job, floor)
        held = await self._fetch("endless", serials)
        # The condition on records was looked at before the jobs were held; one may have got a record by then.
        kept = {row[0] for row in await self._fetch("jobs_with_records", [row[0] for row in held])} if held else set()
        endless = [row for row in held if row[0] not in kept]
        if endless:
            ended = [row[0] for row in endless]
            await self._fetch("delete_jobs", ended)
            await self._fetch("remove_timers", ended)
            for _, job_id in endless:
                self._changed(ChangeKind.JOB_REMOVED, job_id)
        await self._fetch("purge_jobs", serials)
        return len(forgotten)

    async def prune(self, limit: int) -> tuple[int, int]:
        """Look for records that nothing keeps any more; return how many jobs that was about, and how many went.

        The oldest records lose their place in the total history, and new ones push older ones out of the last of
        their job. Both only name jobs to look at; a look that finds everything kept is followed by another.
        """
        ns, limits = self.schedule.ns, self.schedule.limits
        marks = await self._fetch("marks", ns)
        if not marks:
            return 0, 0
        [(floor, mark, now)] = marks
        oldest = now - int(limits.retention * SECOND)
        excess = await self._fetch("newest_excess", ns, floor, limits.history)
        too_many = excess[0][0] if excess else 0
        jobs: set[int] = set()
        grown: list[int] = []
        for seq, job, ended, instants in await self._fetch("oldest_listed", ns, floor, limit):
            if seq <= too_many or ended < oldest:
                jobs.add(job)
                floor = seq
            elif instants > 1:
                # A gap that grew is younger than its place; it must not shield what stands behind it.
                grown.append(seq)
            else:
                break
        overtaken = [seq for seq in grown if seq < floor]
        if overtaken:
            await self._fetch("move_to_end", ns, overtaken)
        newer = await self._fetch("newer_than_mark", ns, mark, limit)
        if not jobs and not newer:
            return 0, 0
        await self._fetch("set_marks", ns, floor, newer[-1][0] if newer else mark)
        touched = sorted({*jobs, *(job for _, job in newer)})
        return len(touched), await self._forget_of_jobs(touched, floor)


class _Claiming:
    """One claim that is more than a start: what becomes of it, and the state it leaves."""

    def __init__(self, step: Step, epoch: int, node: str, claim: Claim, fence: int) -> None:
        self._step = step
        self._epoch = epoch
        self._node = node
        self._claim = claim
        self._fence = fence

    def answer(self) -> Claimed:
        timer = self._claim.timer
        latest = self._step.now + EARLY
        if timer.attempt:
            return self._claim_waiting(latest)
        job = self._step.job(timer.id)
        if job is None and not self._step.patient:
            return Claimed(Grant.BUSY, self._claim.token)
        if job is None or job.rev != timer.rev or job.paused or job.gone:
            return self._known(job)
        if job.due is None or job.due > latest:
            return Claimed(Grant.EARLY, self._claim.token)
        if self._claim.start and (not job.runs or job.spec.policy.overlap is Overlap.ALLOW):
            if self._claim.gap is not None:
                self._step.pass_gap(job, self._claim.gap)
            return self._start(job, ())
        return self._pass_or_start(job)

    def _start(self, job: _Job, cancels: tuple[int, ...]) -> Claimed:
        _, token, _, planned, due, next_planned, next_due, _, _ = self._claim
        self._count_planned(job)
        job.total_runs += 1
        self._step.close_gap(job)
        job.move(*self._following(job, next_planned, next_due))
        run = self._step.add_run(job, token, planned, due, job.spec.payload)
        run.attempt = 1
        run.next_attempt = 0
        run.rev = 0
        self._step.start(run, self._epoch, self._node, token, self._fence)
        return Claimed(Grant.STARTED, token, token, self._fence, job.timer(), cancels)

    def _count_planned(self, job: _Job) -> None:
        job.planned_runs += 1
        job.changed = True

    def _following(self, job: _Job, planned: int | None, due: int | None) -> tuple[int | None, int | None]:
        max_runs = job.spec.max_runs
        if max_runs is not None and job.planned_runs >= max_runs:
            return None, None
        return planned, due

    def _pass_or_start(self, job: _Job) -> Claimed:
        """Handle a claim that lets instants pass, or that meets an active run."""
        step, claim = self._step, self._claim
        if claim.start and claim.wait:
            return Claimed(Grant.BUSY, claim.token)
        overlap = job.spec.policy.overlap
        if claim.gap is not None:
            step.pass_gap(job, claim.gap)
        if claim.start and overlap is Overlap.CANCEL_RUNNING:
            return self._start(job, step.supersede(job))
        following = claim.next_planned, claim.next_due
        grant = Grant.PASSED
        if claim.start:
            if overlap is Overlap.QUEUE and not job.queued:
                self._count_planned(job)
                following = self._following(job, *following)
                step.close_gap(job)
                step.add_run(job, claim.token, claim.planned, claim.due, job.spec.payload, queued=True)
                grant = Grant.QUEUED
            else:
                step.pass_gap(job, Gap(RunStatus.SKIPPED, Reason.OVERLAP, claim.planned, claim.planned, 1))
        job.move(*following)
        return Claimed(grant, claim.token, claim.token if grant is Grant.QUEUED else 0, next=job.timer())

    def _known(self, job: _Job | None) -> Claimed:
        """Answer a claim whose timer has moved on: by this very claim, if its answer was lost."""
        token = self._claim.token
        if job is None:
            return Claimed(Grant.STALE, token)
        run = self._step.held_by(job, token, self._epoch)
        following = None if job.paused or job.gone else job.timer()
        if run is not None:
            return Claimed(Grant.STARTED, token, run.id, run.fence, None if job.gone else job.timer())
        queued = self._step.run(token)
        if queued is not None and queued.token is None and queued.attempt == 0:
            return Claimed(Grant.QUEUED, token, token, next=None if job.gone else job.timer())
        return Claimed(Grant.STALE, token, next=following)

    def _claim_waiting(self, latest: int) -> Claimed:
        step, timer, token = self._step, self._claim.timer, self._claim.token
        run = step.run(timer.id)
        if run is None:
            return Claimed(Grant.STALE if step.patient else Grant.BUSY, token)
        if run.token == token and run.epoch == self._epoch:
            return Claimed(Grant.STARTED, token, run.id, run.fence, due=run.due)
        if run.timer() is None or run.rev != timer.rev:
            return Claimed(Grant.STALE, token)
        if run.wake > latest:
            return Claimed(Grant.EARLY, token)
        job = run.job
        if run.attempt == 0:
            job.total_runs += 1
        elif run.next_attempt > run.attempt:
            job.retries += 1
        run.attempt = run.next_attempt
        run.claimed = step.now
        step.start(run, self._epoch, self._node, token, self._fence)
        return Claimed(Grant.STARTED, token, run.id, self._fence, due=run.due)


class _Puts:
    """One batch of jobs to store. New ones are written together at the end."""

    def __init__(self, step: Step, mode: PutMode, items: Sequence[PutItem]) -> None:
        self._step = step
        self._schedule = step.schedule
        self._mode = mode
        self._items = items
        self._known: dict[str, _Job] = {}
        self._tombstones: dict[str, str | None] = {}
        self._lifted: list[str] = []
        self._serials: list[int] = []

    async def answers(self) -> list[Put]:
        step, ns = self._step, self._schedule.ns
        ids = list({item.spec.id for item in self._items})
        wanted = list({name for item in self._items for name in (item.spec.id, *item.aliases)})
        numbers = 0 if self._mode is PutMode.UPDATE else len(ids)
        step.now, known, self._serials = await step._row("look_before_put", ns, wanted, numbers, ids)
        self._serials.reverse()
        taken = await step.take(known)
        if taken:
            await step.read_rows(taken)
            await step.read_gaps()
        self._known = {job.spec.id: job for job in taken if not job.gone}
        if self._mode is PutMode.DECLARE:
            self._tombstones = dict(await step._fetch("tombstones", ns, wanted))
        able = await self._schedule.abilities(step.connection)
        puts = []
        for item in self._items:
            status, job, timer = self._put(item)
            puts.append(Put(status, None if job is None else _record(job, able), timer))
        if self._lifted:
            await step._fetch("remove_tombstones", ns, self._lifted)
        return puts

    def _put(self, item: PutItem) -> tuple[PutStatus, _Job | None, Timer | None]:
        job = self._known.get(item.spec.id)
        if self._mode is PutMode.DECLARE:
            return self._declare(job, item)
        if job is None:
            if self._mode is PutMode.UPDATE:
                return PutStatus.MISSING, None, None
            return self._add(item)
        if self._mode is PutMode.INSERT:
            return PutStatus.EXISTS, job, None
        if self._mode is PutMode.KEEP:
            return PutStatus.KEPT, job, None
        if self._mode is PutMode.UPDATE:
            if item.version is not None and item.version != job.version:
                return PutStatus.CONFLICT, job, None
            return self._replace(job, item.spec, item, job.paused, item.replan)
        return self._replace(job, item.spec, item, item.paused, replan=True)

    def _declare(self, job: _Job | None, item: PutItem) -> tuple[PutStatus, _Job | None, Timer | None]:
        spec = item.spec
        if job is None:
            for name in (spec.id, *item.aliases):
                if name in self._tombstones and self._tombstones[name] == spec.declaration:
                    return PutStatus.KEPT, None, None
            if spec.id in self._tombstones:
                del self._tombstones[spec.id]
                self._lifted.append(spec.id)
            old = next((self._known[alias] for alias in item.aliases if alias in self._known), None)
            if old is None:
                return self._add(item)
            del self._known[old.spec.id]
            self._step._changed(ChangeKind.JOB_REMOVED, old.spec.id)
            if old.spec.declaration != spec.declaration:
                return self._replace(old, spec, item, old.paused or item.paused, replan=True)
            carried = self._kept(old.spec, spec).replace(
                id=spec.id, name=spec.name, func=spec.func, generation=spec.generation
            )
            return self._replace(old, carried, item, old.paused, replan=False)
        if job.spec.declaration == spec.declaration:
            newer = spec.generation > job.spec.generation
            job.spec = self._kept(job.spec, spec)
            self._schedule.learn(job.serial, job.edition, job.spec)
            if newer or (spec.generation == job.spec.generation and spec.func != job.spec.func):
                self._change(job, job.spec.replace(func=spec.func, generation=spec.generation))
                job.rev += 1
            return PutStatus.KEPT, job, None if job.paused else job.timer()
        if job.spec.generation > spec.generation:
            return PutStatus.KEPT, job, None
        return self._replace(job, spec, item, job.paused or item.paused, replan=True)

    def _kept(self, stored: JobSpec, declared: JobSpec) -> JobSpec:
        """Return the stored spec; a trigger of which only the code knows is the one that the code has given."""
        if is_storable(stored.trigger) or is_storable(declared.trigger):
            return stored
        self._schedule.triggers[declared.id] = declared.trigger
        return stored.replace(trigger=declared.trigger)

    def _add(self, item: PutItem) -> tuple[PutStatus, _Job | None, Timer | None]:
        step, spec = self._step, item.spec
        spec_row(spec)  # what has no stored form is refused before anything is written
        planned, due = (item.planned, item.due) if item.due is not None else (None, None)
        job = _Job((
            self._number(), self._schedule.functions[spec.func], 1, 1, planned, due, item.paused,
            spec.origin is Origin.DECLARED, False, 0, False, 0, 0, 0, 0, None, None, None,
        ))  # fmt: skip
        job.spec = spec
        job.version = 1
        job.created = job.updated = step.now
        step.add_job(job)
        if item.gap is not None:
            step.pass_gap(job, item.gap)
        self._supply(spec)
        self._known[spec.id] = job
        step._changed(ChangeKind.JOB, spec.id)
        return PutStatus.ADDED, job, None if item.paused else job.timer()

    def _number(self) -> int:
        # A job that was there is gone by the time it is held: it has to be looked for again.
        if not self._serials:
            raise Overtaken
        return self._serials.pop()

    def _replace(
        self, job: _Job, spec: JobSpec, item: PutItem, paused: bool, replan: bool
    ) -> tuple[PutStatus, _Job | None, Timer | None]:
        step = self._step
        spec_row(spec)
        job.paused = paused
        self._change(job, spec)
        job.version += 1
        job.updated = step.now
        if replan:
            job.gap = job.open_gap = None
            if item.gap is not None:
                step.pass_gap(job, item.gap)
            job.move(*((item.planned, item.due) if item.due is not None else (None, None)))
        else:
            job.rev += 1
        self._supply(spec)
        self._known[spec.id] = job
        step._changed(ChangeKind.JOB, spec.id)
        return PutStatus.REPLACED, job, None if job.paused else job.timer()

    def _change(self, job: _Job, spec: JobSpec) -> None:
        job.spec = spec
        job.func = self._schedule.functions[spec.func]
        job.declared = spec.origin is Origin.DECLARED
        self._step.renew_waiting(job)
        self._step.edit_job(job)

    def _supply(self, spec: JobSpec) -> None:
        if is_storable(spec.trigger):
            self._schedule.triggers.pop(spec.id, None)
        elif type(spec.trigger) is not CodeTrigger:
            self._schedule.triggers[spec.id] = spec.trigger


def is_plain_start(claim: Claim) -> bool:
    """Tell whether the claim needs no look before it is written; what the job's runs say, the statement finds out."""
    timer, _, start, _, _, _, _, gap, _ = claim
    return start and gap is None and not timer.attempt and timer.spec.max_runs is None


def is_plain_end(end: Finish) -> bool:
    return end.status is RunStatus.SUCCEEDED and end.note is None and end.reason is None


_STATUS_CONDITIONS = {
    JobStatus.UNRESOLVED: "NOT {resolved}",
    JobStatus.PAUSED: "{resolved} AND t.paused",
    JobStatus.RUNNING: "{resolved} AND NOT t.paused AND t.active > 0",
    JobStatus.FINISHED: "{resolved} AND NOT t.paused AND t.active = 0 AND t.due IS NULL",
    JobStatus.SCHEDULED: "{resolved} AND NOT t.paused AND t.active = 0 AND t.due IS NOT NULL",
}


def _record(job: _Job, able: _Abilities) -> JobRecord:
    spec = job.spec
    resolved = spec.func in able.functions and (spec.origin is Origin.API or spec.id in able.declarations)
    return JobRecord(
        spec, job.serial, job.version, job.created, job.updated, job.paused, job.planned, job.due, job.active,
        Counts(job.total_runs, job.failures, job.retries), job.planned_runs, job.last_run,
        None if job.last_status is None else STATUSES[job.last_status], resolved,
    )  # fmt: skip


def _run_of(row: Sequence[Any]) -> RunRecord:
    return run_record(RunRow._make(row[:_RUN_COLUMNS]))


def _chosen(spec: JobSpec, which: Selection) -> bool:
    if which.ids is not None:
        return spec.id in which.ids
    if which.group is not None:
        return spec.group == which.group
    return which.func in (spec.func, spec.func.rpartition(":")[2])


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Turn rows into columns, as ``unnest`` wants them."""
    return [list(column) for column in zip(*rows, strict=True)]
