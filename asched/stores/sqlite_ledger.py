"""What a schedule's calls do inside SQLite: plain functions on a connection, run in its thread.

:class:`Pages` reads, :class:`Ledger` reads and writes. Neither begins nor ends a transaction, waits, or knows of an
event loop; :mod:`asched.stores.sqlite` gathers calls into transactions and runs them. One process owns the file, and
one connection writes, so nothing changes between two statements of a call. A call therefore decides in Python, as
the memory store does, and SQL does what it is good at: the rows of a batch come in by one statement, and go out by a
few.

A call may run twice: if its transaction fails, it is rolled back and the call runs again alone. What it remembers
outside of the database must bear that (:meth:`Ledger.forget_all`).
"""

from __future__ import annotations

import random
import re
import sqlite3
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import cache
from heapq import merge
from typing import Any, NamedTuple

import orjson

from asched.clock import Clock
from asched.instants import SECOND
from asched.model import ErrorInfo, JobSpec, JobStatus, OnCrash, Origin, Outcome, Overlap, Reason, RunStatus
from asched.planner import jittered, passed_while_paused
from asched.store import (
    AttemptRecord,
    Beat,
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
    node_info_text,
    progress_text,
    run_record,
    spec_of,
    spec_row,
)
from asched.stores.sql import statements
from asched.triggers import Trigger, is_storable

__all__ = ["Abilities", "Ledger", "Pages"]

SQL = statements("sqlite")

# A claim this far in the future is refused. The slack covers the reading of two clocks of one machine.
_EARLY = SECOND // 20
_FOREVER = 2**63 - 1
_DEAD = frozenset({RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.LOST})
_WAITING = frozenset({RunStatus.PENDING, RunStatus.RETRYING})
_SPEC_COLUMNS = 13

# A statement that takes rows is kept prepared for each of these numbers of rows. Five times the largest are well below
# the 32,766 parameters that SQLite takes at least.
_ROW_COUNTS = (1, 8, 64, 512)
_MOST_ROWS = _ROW_COUNTS[-1]
_ROWS = re.compile(r"\{rows (\d+)\}")

# A NamedTuple's own constructor is a Python function; this is what it calls, in half the time.
_new = tuple.__new__
# An enum's member is looked up through its class and a descriptor; a global is not.
_STARTED, _SUCCEEDED = Grant.STARTED, RunStatus.SUCCEEDED


class Abilities:
    """What the live nodes of this process can run, and the triggers that only their code has.

    It is written on the loop's thread, after the commit, and read by all.
    """

    def __init__(self) -> None:
        self.functions: Counter[str] = Counter()
        self.declarations: Counter[str] = Counter()
        self.triggers: dict[str, Trigger] = {}

    def add(self, info: NodeInfo) -> None:
        self.functions.update(info.functions)
        self.declarations.update(info.declarations)

    def remove(self, info: NodeInfo) -> None:
        self.functions.subtract(info.functions)
        self.declarations.subtract(info.declarations)


class _JobRow(NamedTuple):
    spec: JobSpec
    serial: int
    version: int
    created: int
    updated: int
    rev: int
    planned: int | None
    due: int | None
    paused: int
    runs: int
    failures: int
    retries: int
    planned_runs: int
    last_run: int | None
    last_status: str | None
    gap: int | None
    active: int

    def timer(self) -> Timer | None:
        if self.due is None or self.planned is None:
            return None
        return Timer(self.serial, self.rev, self.due, self.planned, self.spec)


class _Open(NamedTuple):
    """A run that has not ended, taken out of the table."""

    id: int
    job: int
    func: int
    planned: int
    due: int
    attempt: int
    token: int | None
    epoch: int | None
    fence: int
    node: str | None
    started: int | None
    claimed: int | None
    payload: bytes | None
    rev: int
    manual: int
    cancel: str | None
    replay_of: int | None
    attempts_json: str | None
    result: bytes | None
    progress_json: str | None
    log_json: str | None

    @property
    def began(self) -> int:
        """When the present attempt began, as far as the store knows."""
        if self.claimed is not None:
            return self.claimed
        return self.due if self.started is None else self.started


class _State:
    """What a claim must know of a job, kept up to date over the claims of one batch."""

    __slots__ = ("active", "due", "func", "gap", "paused", "planned_runs", "rev")

    def __init__(
        self, rev: int, due: int | None, paused: int, planned_runs: int, gap: int | None, func: int, active: int
    ) -> None:
        self.rev = rev
        self.due = due
        self.paused = paused
        self.planned_runs = planned_runs
        self.gap = gap
        self.func = func
        self.active = active


class Pages:
    """Answers that change nothing.

    Args:
        ns: The schedule's number; 0, which no schedule has, in a file that does not hold it.
    """

    def __init__(self, db: sqlite3.Connection, ns: int, clock: Clock, limits: Limits, abilities: Abilities) -> None:
        self.db = db
        self.ns = ns
        self.clock = clock
        self.limits = limits
        self.abilities = abilities

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
        found = {row.spec.id: self._record(row) for row in self._jobs("jobs_by_id", self.ns, _json(ids))}
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
            values.append(_json([name for name, nodes in self.abilities.functions.items() if nodes > 0]))
        statement = f"{SQL['job']} WHERE {' AND '.join(conditions)} ORDER BY j.serial"
        page: list[JobRecord] = []
        with closing(self.db.execute(statement, values)) as rows:
            for row in rows:
                record = self._record(self._job_row(row))
                if which.status is not None and record.status is not which.status:
                    continue
                if len(page) == limit:
                    return page, str(page[-1].serial)
                page.append(record)
        return page, None

    def groups(self) -> list[tuple[str, int, int]]:
        paused = dict(self.db.execute(SQL["groups_paused"], (self.ns,)).fetchall())
        return [(name, jobs, paused.get(name, 0)) for name, jobs in self.db.execute(SQL["groups"], (self.ns,))]

    def _jobs(self, statement: str, *values: object) -> list[_JobRow]:
        return [self._job_row(row) for row in self.db.execute(SQL[statement], values).fetchall()]

    def _job_row(self, row: Sequence[Any]) -> _JobRow:
        spec = spec_of(row, row[_SPEC_COLUMNS], self.abilities.triggers)
        return _JobRow(spec, *row[_SPEC_COLUMNS + 1 :])

    def _record(self, row: _JobRow) -> JobRecord:
        return JobRecord(
            row.spec, row.serial, row.version, row.created, row.updated, bool(row.paused),
            row.planned, row.due, row.active, Counts(row.runs, row.failures, row.retries), row.planned_runs,
            row.last_run, None if row.last_status is None else STATUSES[row.last_status], self._resolved(row.spec),
        )  # fmt: skip

    def _resolved(self, spec: JobSpec) -> bool:
        able = self.abilities
        if not able.functions[spec.func]:
            return False
        return spec.origin is Origin.API or able.declarations[spec.id] > 0

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
                spec = spec_of(row[6:], name, self.abilities.triggers)
                if type(spec.trigger) is CodeTrigger:
                    continue
                if due > until or len(found) == limit:
                    horizon = due - 1
                    break
                found.append(Timer(timer_id, rev, due, planned, spec, attempt, payload))
        return Window(found, horizon, now)

    # Records

    def get_runs(self, run_ids: Sequence[int]) -> list[RunRecord | None]:
        ids = _json(run_ids)
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
            place = _FOREVER
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
            values.append(_json(serials))
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


class Ledger(Pages):
    """Everything that changes. One of its methods is one step; several may share a transaction.

    Args:
        lease: Seconds that a node may go without a heartbeat; infinite for the owner of a file that has no other.
    """

    def __init__(
        self, db: sqlite3.Connection, ns: int, clock: Clock, limits: Limits, abilities: Abilities, lease: float
    ) -> None:
        super().__init__(db, ns, clock, limits, abilities)
        self.followed = False
        """Somebody asks for changes: only then are they told."""
        self._lease = lease
        self._functions: dict[str, int] = {}
        self._seq: int | None = None
        self._news = News([], [])
        self._records: list[tuple[Any, ...]] = []
        self._last: dict[int, RunStatus] = {}
        """How the last run of each job ended, in this call."""
        self._ends = 0
        self._failed: list[int] = []
        self._buried: list[int] = []
        self._listed = 0
        """Records of the call that are written but not yet counted."""

    def forget_all(self) -> None:
        """Forget what was remembered of the database: a transaction has been rolled back."""
        self._functions.clear()
        self._seq = None
        self._news = News([], [])
        self._records.clear()
        self._last.clear()
        self._ends = 0
        self._failed.clear()
        self._buried.clear()
        self._listed = 0

    # Nodes

    def register(self, info: NodeInfo) -> tuple[int, list[Reaped]]:
        """Begin a lease, and reap at once what belonged to processes before this one."""
        reaped = self._reap(0)
        now = self.clock.now()
        epoch = self._number("next_epoch")
        self._do("add_node", epoch, self.ns, info.name, now, self._lease_end(now), node_info_text(info))
        return epoch, reaped

    def announce(self, epoch: int, info: NodeInfo) -> None:
        self._do("announce", info.name, node_info_text(info), epoch, self.ns)

    def heartbeat(self, epoch: int) -> Beat:
        now = self.clock.now()
        if self._one("node", epoch, self.ns) is None:
            return Beat(now, False, 0, ())
        if self._lease_end(now) != _FOREVER:
            self._do("renew", self._lease_end(now), epoch, self.ns)
        cancels = tuple(token for (token,) in self._do("cancels", epoch))
        return Beat(now, True, len(self.claims(epoch)), cancels)

    def _lease_end(self, now: int) -> int:
        return _FOREVER if self._lease == float("inf") else now + int(self._lease * SECOND)

    def reap(self) -> list[Reaped]:
        return self._reap(self.clock.now())

    def _reap(self, before: int) -> list[Reaped]:
        now = self.clock.now()
        reaped = []
        for epoch, name in self._do("dead_nodes", self.ns, before).fetchall():
            self._do("remove_node", epoch, self.ns)
            rescued: list[Timer] = []
            lost: list[int] = []
            for run in self._take("take_of_node", epoch):
                policy = self._job_of(run)[0].policy
                run = self._with_attempt(run, name, run.began, now, Outcome.LOST, None)
                if policy.on_crash is OnCrash.LOST or run.attempt > policy.max_retries:
                    self._end(run, RunStatus.LOST, now, Reason.NODE_DIED)
                    lost.append(run.id)
                    rescued.extend(self._unqueue([run.job]))
                else:
                    rescued.extend(self._wait(run, RunStatus.PENDING, now, run.attempt + 1, now))
            reaped.append(Reaped(epoch, name, tuple(rescued), tuple(lost)))
        return reaped

    def leave(self, epoch: int) -> list[Timer]:
        if self._one("remove_node", epoch, self.ns) is None:
            return []
        now = self.clock.now()
        return [timer for run in self._take("take_of_node", epoch) for timer in self._give_back(run, now)]

    # Jobs

    def put_jobs(self, mode: PutMode, items: Sequence[PutItem]) -> list[Put]:
        return _Puts(self, mode, items).answers()

    def pause_jobs(self, which: Selection) -> list[JobRecord]:
        now = self.clock.now()
        chosen = [row for row in self._selected(which) if not row.paused]
        self.db.executemany(SQL["pause_timer"], [(row.serial,) for row in chosen])
        self.db.executemany(SQL["touch_job"], [(now, row.serial) for row in chosen])
        self._renew_waiting([row for row in chosen if row.active], paused=True)
        self._changed_jobs(chosen)
        return [
            self._record(row._replace(paused=1, rev=row.rev + 1, version=row.version + 1, updated=now))
            for row in chosen
        ]

    def resume_jobs(self, which: Selection) -> tuple[list[JobRecord], list[Timer]]:
        now = self.clock.now()
        resumed: list[JobRecord] = []
        timers: list[Timer] = []
        chosen = [row for row in self._selected(which) if row.paused]
        for row in chosen:
            planned, due, open_gap = row.planned, row.due, row.gap
            if planned is not None:
                gap, planned = passed_while_paused(row.spec, planned, now)
                if gap is not None:
                    open_gap = self._pass(row.serial, gap, open_gap)
                    due = jittered(row.spec, planned, random.random)
            row = row._replace(
                paused=0, planned=planned, due=due, gap=open_gap, rev=row.rev + 1, version=row.version + 1, updated=now
            )
            self._set_timer(row)
            self._do("touch_job", now, row.serial)
            if (timer := row.timer()) is not None:
                timers.append(timer)
            if row.active:
                self._renew_waiting([row], paused=False)
                timers.extend(self._startable(row))
            resumed.append(self._record(row))
        self._changed_jobs(chosen)
        return resumed, timers

    def delete_jobs(self, which: Selection) -> Deleted:
        now = self.clock.now()
        rows = self._selected(which)
        runs: list[Cancelled] = []
        self.db.executemany(SQL["remove_timer"], [(row.serial,) for row in rows])
        self.db.executemany(SQL["remove_job"], [(row.serial,) for row in rows])
        for row in rows:
            job_id = row.spec.id
            self._changed(ChangeKind.JOB_REMOVED, job_id)
            if row.spec.origin is Origin.DECLARED:
                self._do("add_tombstone", self.ns, job_id, row.spec.declaration)
            if not row.active:
                continue
            for run_id, token, epoch, _ in self._do("active_of", row.serial).fetchall():
                if token is not None:
                    runs.append(Cancelled(run_id, RunStatus.RUNNING, token, epoch, job_id))
                else:
                    [run] = self._take("take_waiting", run_id)
                    self._end(run, RunStatus.CANCELLED, now, Reason.JOB_CANCELLED)
                    runs.append(Cancelled(run_id, RunStatus.CANCELLED, job_id=job_id))
        self._flush_ends()
        self._forget_of_jobs([row.serial for row in rows])
        return Deleted(tuple(row.spec.id for row in rows), tuple(runs))

    def next_id(self) -> int:
        return self._number("next_id", self.ns)

    def generation(self, declarations: str) -> int:
        self._do("add_generation", self.ns, declarations, self.clock.now())
        return self._number("generation", self.ns, declarations)

    def _selected(self, which: Selection) -> list[_JobRow]:
        if which.ids is not None:
            found = {row.spec.id: row for row in self._jobs("jobs_by_id", self.ns, _json(which.ids))}
            return [found[job_id] for job_id in dict.fromkeys(which.ids) if job_id in found]
        if which.group is not None:
            return self._jobs("jobs_by_group", self.ns, which.group)
        return self._jobs("jobs_by_func", self.ns, which.func)

    def _set_timer(self, row: _JobRow) -> None:
        """Write the timer of a job that somebody changed. The row's revision is one above the stored one."""
        self._do("set_timer", self._func(row.spec.func), row.planned, row.due, row.paused, row.gap, row.serial)

    def _renew_waiting(self, rows: Iterable[_JobRow], *, paused: bool) -> None:
        """Give the waiting runs of these jobs a new revision: their spec, or whether they may start, has changed."""
        values = [(self._func(row.spec.func), paused, row.serial) for row in rows]
        self.db.executemany(SQL["renew_waiting"], values)

    def _startable(self, row: _JobRow) -> list[Timer]:
        return [
            Timer(run_id, rev, wake, planned, row.spec, attempt, payload)
            for run_id, rev, wake, planned, attempt, payload in self._do("startable", row.serial)
        ]

    def _func(self, name: str) -> int:
        known = self._functions
        if name not in known:
            known.update(self._do("functions", self.ns).fetchall())
        if name not in known:
            known[name] = self._number("add_function", self.ns, name, name.rpartition(":")[2])
        return known[name]

    # Claims

    def claim(self, epoch: int, claims: Sequence[Claim]) -> list[Claimed]:
        node = self._one("live_node", epoch, self.ns, self.clock.now())
        if node is None:
            return []
        return _Claims(self, epoch, node[0], claims).answers()

    def finish(self, epoch: int, ends: Sequence[Finish]) -> tuple[list[bool], list[Timer]]:
        node = self._one("node", epoch, self.ns)
        if node is None:
            return [False] * len(ends), []
        first = self._next_seq(len(ends))
        plain = self._end_plain(epoch, ends, first)
        if len(plain) < len(ends):
            return self._end_mixed(epoch, node[0], ends, first, plain)
        self._ends += len(plain)
        self._last.update(dict.fromkeys(plain.values(), _SUCCEEDED))
        self._changed_runs(plain)
        return [True] * len(ends), self._unqueue(plain.values())

    def _end_mixed(
        self, epoch: int, node: str, ends: Sequence[Finish], first: int, plain: dict[int, int]
    ) -> tuple[list[bool], list[Timer]]:
        """Record the ends that are not plain, and answer for all in their order."""
        taken = self._take_tokens(epoch, [end.token for end in ends if end.token not in plain])
        accepted: list[bool] = []
        timers: list[Timer] = []
        jobs = set(plain.values())
        for seq, end in enumerate(ends, first):
            job = plain.pop(end.token, None)
            if job is not None:
                self._count_end(end.token, _SUCCEEDED, job)
                accepted.append(True)
                continue
            run = taken.pop(end.token, None)
            accepted.append(run is not None)
            if run is None:
                continue
            status = end.status
            # An interrupted attempt is followed by another of the same number; the run began with the first.
            first_attempt = run.attempt == 1 and run.attempts_json is None
            started = end.started if first_attempt else run.started
            if status is not RunStatus.SUCCEEDED or run.claimed is not None or run.attempts_json is not None:
                run = self._with_attempt(run, node, end.started, end.ended, end.outcome, end.error)
            run = _with_result(run._replace(started=started), end)
            if status in _WAITING:
                attempt = run.attempt + 1 if end.counts else run.attempt
                timers.extend(self._wait(run, status, end.due or end.ended, attempt, end.ended))
                continue
            self._end(run, status, end.ended, end.reason, seq)
            jobs.add(run.job)
        timers.extend(self._unqueue(jobs))
        return accepted, timers

    def _end_plain(self, epoch: int, ends: Sequence[Finish], first: int) -> dict[int, int]:
        """Record the runs that went well and have nothing more to tell; return their tokens with their jobs."""
        tokens = [end.token for end in ends if end.status is _SUCCEEDED and end.note is None]
        if not tokens:
            return {}
        ids, serials = self._row("plain_runs", epoch, _json(tokens))
        jobs: dict[int, int] = dict(zip(orjson.loads(ids), orjson.loads(serials), strict=True))
        if not jobs:
            return jobs
        rows: list[object] = []
        left = set(jobs)
        for seq, end in enumerate(ends, first):
            token, status, _, started, ended, _, _, result, _, _, note = end
            if token in left and status is _SUCCEEDED and note is None:
                left.remove(token)
                rows += (token, started, ended, result, seq)
        self._do_rows("record_plain", 5, rows, self.ns)
        self._do("remove_plain", _json(list(jobs)))
        self._listed += len(jobs)
        return jobs

    def release(self, epoch: int, tokens: Sequence[int]) -> list[Timer]:
        if self._one("node", epoch, self.ns) is None:
            return []
        now = self.clock.now()
        taken = self._take_tokens(epoch, tokens)
        return [timer for run in taken.values() for timer in self._give_back(run, now)]

    def enqueue(self, items: Sequence[Enqueue]) -> list[Enqueued]:
        return [self._enqueue(item, self.clock.now()) for item in items]

    def _enqueue(self, item: Enqueue, now: int) -> Enqueued:
        self._flush_ends()
        letter = self._one("letter", item.replay_of) if item.replay_of is not None else None
        jobs = self._jobs("jobs_by_id", self.ns, _json([item.job_id]))
        if not jobs or (item.replay_of is not None and letter is None):
            return Enqueued(PutStatus.MISSING)
        [row] = jobs
        cancels: tuple[int, ...] = ()
        queued = False
        if row.active:
            overlap = row.spec.policy.overlap
            if overlap is Overlap.SKIP or (overlap is Overlap.QUEUE and self._has_queued(row.serial)):
                return Enqueued(PutStatus.CONFLICT)
            queued = overlap is Overlap.QUEUE
            if overlap is Overlap.CANCEL_RUNNING:
                cancels = self._supersede(row.serial, now)
        payload = letter[0] if letter is not None else row.spec.payload
        self._do(
            "queue_run", item.run_id, row.serial, self._func(row.spec.func), now, now, payload, now, queued, False,
            True, item.replay_of,
        )  # fmt: skip
        self._changed(ChangeKind.RUN, item.run_id)
        timer = None if queued else Timer(item.run_id, 1, now, now, row.spec, 1, payload)
        [record] = self.get_runs([item.run_id])
        return Enqueued(PutStatus.ADDED, timer, cancels, record)

    def cancel_runs(self, run_ids: Sequence[int]) -> list[Cancelled]:
        return [self._cancel_run(run_id, self.clock.now()) for run_id in run_ids]

    def _cancel_run(self, run_id: int, now: int) -> Cancelled:
        self._flush_ends()
        place = self._one("run_places", _json([run_id]))
        if place is None:
            return Cancelled(run_id, None)
        _, status, token, epoch, job_id = place
        if token is not None:
            self._do("mark_cancel", Reason.OPERATOR, run_id)
            self._hint(epoch, 0)
            return Cancelled(run_id, STATUSES[status], token, epoch, job_id)
        if STATUSES[status].final:
            return Cancelled(run_id, STATUSES[status], job_id=job_id)
        [run] = self._take("take_waiting", run_id)
        self._end(run, RunStatus.CANCELLED, now, Reason.OPERATOR)
        for timer in self._unqueue([run.job]):
            # The answer has no place for it, so those who may start it are told otherwise.
            self._hint_all(timer.due)
        return Cancelled(run_id, RunStatus.CANCELLED, job_id=job_id)

    def annotate(self, epoch: int, notes: Sequence[Note]) -> None:
        for note in notes:
            found = self._one("annotate", progress_text(note.done, note.total), log_text(note.log), note.token, epoch)
            if found is not None:
                self._changed(ChangeKind.RUN, found[0])

    def claims_after_a_write(self, epoch: int) -> list[Live]:
        """Answer only where something can be written."""
        self._number("next_fences", 1)
        return self.claims(epoch)

    # The life of a run

    def _take(self, statement: str, *values: object) -> list[_Open]:
        return [_Open._make(row) for row in self._do(statement, *values).fetchall()]

    def _take_tokens(self, epoch: int, tokens: Sequence[int]) -> dict[int, _Open]:
        """Take what the node executes under these tokens out of the open runs."""
        taken = {run.id: run for run in self._take("take_first", _json(tokens), epoch)}
        later = [token for token in tokens if token not in taken]
        if later:
            taken.update((run.token or 0, run) for run in self._take("take_later", _json(later), epoch))
        return taken

    def _job_of(self, run: _Open) -> tuple[JobSpec, bool, bool]:
        """Return the spec of a run's job, whether it is paused, and whether it is gone."""
        row = self._row("job_of_run", run.job)
        spec = spec_of(row, row[_SPEC_COLUMNS], self.abilities.triggers)
        return spec, bool(row[_SPEC_COLUMNS + 1]), bool(row[_SPEC_COLUMNS + 2])

    def _give_back(self, run: _Open, now: int) -> list[Timer]:
        """Let a claimed run wait whose attempt did not begin, or is not to count."""
        if run.attempts_json is None:
            run = run._replace(started=None)
        return self._wait(run, RunStatus.PENDING, now, run.attempt, now)

    def _wait(self, run: _Open, status: RunStatus, due: int, attempt: int, now: int) -> list[Timer]:
        """Let a run that was executed wait for its next attempt; of a deleted job, or once cancelled, end it."""
        spec, paused, gone = self._job_of(run)
        if gone or run.cancel is not None:
            self._end(run, RunStatus.CANCELLED, now, Reason(run.cancel or Reason.JOB_CANCELLED))
            return self._unqueue([run.job])
        held = paused and not run.manual
        self._do(
            "put_back", run.id, run.job, self._func(spec.func), status, run.planned, run.due, run.attempt, run.fence,
            run.node, run.started, run.payload, run.rev + 1, due, attempt, held, run.manual, run.replay_of,
            run.attempts_json, run.result, run.progress_json, run.log_json,
        )  # fmt: skip
        self._changed(ChangeKind.RUN, run.id)
        return [] if held else [Timer(run.id, run.rev + 1, due, run.planned, spec, attempt, run.payload)]

    def _unqueue(self, jobs: Iterable[int]) -> list[Timer]:
        """Let runs start that had queued behind others of these jobs, where nothing else is active now."""
        timers: list[Timer] = []
        if not self._number("any_queued"):
            return timers
        for (run_id,) in self._do("alone_in_queue", _json(list(jobs))).fetchall():
            job, rev, wake, planned, payload, held = self._row("unqueue", run_id)
            if not held:
                [row] = self._jobs("jobs_by_serial", _json([job]))
                timers.append(Timer(run_id, rev, wake, planned, row.spec, 1, payload))
        return timers

    def _has_queued(self, job: int) -> bool:
        return any(queued for _, _, _, queued in self._do("active_of", job).fetchall())

    def _supersede(self, job: int, now: int) -> tuple[int, ...]:
        """End the job's waiting runs and return the tokens of those that execute."""
        tokens = []
        for run_id, token, epoch, _ in self._do("active_of", job).fetchall():
            if token is not None:
                self._do("mark_cancel", Reason.SUPERSEDED, run_id)
                self._hint(epoch, 0)
                tokens.append(token)
            else:
                [run] = self._take("take_waiting", run_id)
                self._end(run, RunStatus.CANCELLED, now, Reason.SUPERSEDED)
        return tuple(tokens)

    def _with_attempt(
        self, run: _Open, node: str, started: int, ended: int, outcome: Outcome, error: ErrorInfo | None
    ) -> _Open:
        attempt = AttemptRecord(run.attempt, node, started, ended, outcome, error)
        return run._replace(attempts_json=attempts_text(run.attempts_json, attempt))

    # Records

    def _end(self, run: _Open, status: RunStatus, now: int, reason: Reason | None, seq: int | None = None) -> None:
        """Give a run its final status; it is written with the others of the call."""
        dead = status in _DEAD and self.limits.dead_letters > 0
        self._records.append((
            seq or self._next_seq(1), run.id, self.ns, run.job, status, reason, run.due, run.planned, run.started, now,
            run.attempt, run.fence, run.node, run.payload, run.manual, run.replay_of, run.attempts_json, run.result,
            run.progress_json, run.log_json, 1, run.due, dead,
        ))  # fmt: skip
        if run.replay_of is not None and status is RunStatus.SUCCEEDED:
            self._buried.append(run.replay_of)
        self._count_end(run.id, status, run.job)

    def _count_end(self, run_id: int, status: RunStatus, job: int) -> None:
        self._ends += 1
        self._last[job] = status
        if status in _DEAD:
            self._failed.append(job)
        self._changed(ChangeKind.RUN, run_id)

    def _pass(self, job: int, gap: Gap, open_gap: int | None) -> int:
        """Record instants that do not start, and return the record's id.

        They join the record before them when that has the same reason.
        """
        now = self.clock.now()
        if open_gap is not None:
            self._flush_ends()
            if self._one("grow_gap", gap.instants, gap.last, now, open_gap, gap.status, gap.reason) is not None:
                self._changed(ChangeKind.RUN, open_gap)
                return open_gap
        serial = self._next_serial(1)
        self._records.append((
            self._next_seq(1), serial, self.ns, job, gap.status, gap.reason, gap.first, gap.first, None, now, 0, 0,
            None, None, False, None, None, None, None, None, gap.instants, gap.last, False,
        ))  # fmt: skip
        self._changed(ChangeKind.RUN, serial)
        return serial

    def _next_serial(self, count: int) -> int:
        """Return the first of so many new numbers."""
        return self._number("next_serials", count) - count + 1

    def _flush_ends(self) -> None:
        """Write the records that the call has made so far, and what follows from them."""
        records, last, failed, buried = self._records, self._last, self._failed, self._buried
        listed = self._listed + len(records)
        if not listed:
            return
        ends = self._ends
        self._records, self._last, self._failed, self._buried = [], {}, [], []
        self._ends = self._listed = 0
        if records:
            self.db.executemany(SQL["record"], records)
        statuses = set(last.values())
        for status in statuses:
            jobs = list(last) if len(statuses) == 1 else [job for job in last if last[job] is status]
            self._do("last_status", status, _json(jobs))
        self._do("count_ends", ends, len(failed), listed, self.ns)
        if failed:
            self.db.executemany(SQL["count_failure"], [(job,) for job in failed])
            excess = self._do("letters_over", self.ns, self.limits.dead_letters).fetchall()
            buried = [*buried, *(run_id for (run_id,) in excess)]
        for run_id in buried:
            self._bury(run_id)

    def _next_seq(self, count: int) -> int:
        if self._seq is None:
            self._seq = self._number("last_seq")
        first = self._seq + 1
        self._seq += count
        return first

    def discard_dead_letters(self, run_ids: Sequence[int] | None) -> int:
        if run_ids is None:
            run_ids = [run_id for (run_id,) in self._do("letters", self.ns).fetchall()]
        return sum(self._bury(run_id) for run_id in run_ids)

    def _bury(self, run_id: int) -> bool:
        """Take the mark of a dead letter from a run."""
        found = self._one("bury", run_id, self.ns)
        if found is None:
            return False
        self._forget_of_jobs([found[1]])
        self._changed(ChangeKind.RUN, run_id)
        return True

    # Retention

    def prune(self, limit: int) -> int:
        # The oldest records lose their place in the total history, and new ones push older ones out of the last of
        # their job. Both only name jobs to look at; a look that finds everything kept goes on with the next ones.
        pruned = 0
        while pruned < limit:
            looked_at, forgotten = self._prune_some(limit - pruned)
            pruned += forgotten
            if not looked_at:
                break
        return pruned

    def _prune_some(self, limit: int) -> tuple[int, int]:
        listed, floor, mark = self._row("marks", self.ns)
        oldest = self.clock.now() - int(self.limits.retention * SECOND)
        excess = listed - self.limits.history
        jobs: list[int] = []
        grown: list[int] = []
        for seq, job, ended, instants in self._do("oldest_listed", self.ns, floor, limit).fetchall():
            if len(jobs) < excess or ended < oldest:
                jobs.append(job)
                floor = seq
            elif instants > 1:
                # A gap that grew is younger than its place; it must not shield what stands behind it.
                grown.append(seq)
            else:
                break
        for seq in grown:
            if seq < floor:
                self._do("move_to_end", seq, self._next_seq(1))
        newer = self._do("newer_than_mark", mark, self.ns, limit).fetchall()
        if not jobs and not newer:
            return 0, 0
        self._do("set_marks", listed - len(jobs), floor, newer[-1][0] if newer else mark, self.ns)
        touched = list({*jobs, *(job for _, job in newer)})
        return len(touched), self._forget_of_jobs(touched)

    def _forget_of_jobs(self, jobs: Sequence[int]) -> int:
        """Delete records of these jobs that nothing keeps any more; return how many."""
        if not jobs:
            return 0
        _, floor, _ = self._row("marks", self.ns)
        forgotten = self._do("forget_of_jobs", self.limits.kept_per_job, _json(jobs), floor).rowcount
        self._remove_endless(jobs)
        return forgotten

    def _remove_endless(self, jobs: Sequence[int]) -> None:
        """Remove those of the jobs that have neither a future nor a record left."""
        serials = _json(jobs)
        for serial, job_id in self._do("jobs_without_end", serials).fetchall():
            self._do("remove_timer", serial)
            self._do("remove_job", serial)
            self._changed(ChangeKind.JOB_REMOVED, job_id)
        self._do("purge_jobs", serials)

    # News

    def settle(self) -> News:
        """Write what the call has gathered, and return what it changed."""
        self._flush_ends()
        news, self._news = self._news, News([], [])
        return news

    def _changed(self, kind: ChangeKind, subject: str | int) -> None:
        if self.followed:
            self._news.changes.append(Change(kind, subject))

    def _changed_runs(self, ids: Iterable[int]) -> None:
        if self.followed:
            self._news.changes.extend([Change(ChangeKind.RUN, run_id) for run_id in ids])

    def _changed_jobs(self, rows: Iterable[_JobRow]) -> None:
        for row in rows:
            self._changed(ChangeKind.JOB, row.spec.id)

    def _hint(self, epoch: int, due: int) -> None:
        self._news.hints.append((epoch, due))

    def _hint_all(self, due: int) -> None:
        self._news.hints.append((ALL_NODES, due))

    # Statements

    def _do(self, statement: str, *values: object) -> sqlite3.Cursor:
        return self.db.execute(SQL[statement], values)

    def _do_rows(self, statement: str, width: int, rows: Sequence[object], *values: object) -> list[sqlite3.Cursor]:
        """Run a statement that takes rows, given as one list: tuples that stay would call the garbage collector.

        The other values come after the rows.
        """
        cursors = []
        for start in range(0, len(rows), _MOST_ROWS * width):
            some = [*rows[start : start + _MOST_ROWS * width]]
            count = next(count for count in _ROW_COUNTS if count * width >= len(some))
            some += [None] * (count * width - len(some))
            some += values
            cursors.append(self.db.execute(_with_rows(statement, count), some))
        return cursors

    def _one(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self.db.execute(SQL[statement], values).fetchone()
        return row

    def _row(self, statement: str, *values: object) -> tuple[Any, ...]:
        """Return the answer of a statement that always has one."""
        row: tuple[Any, ...]
        [row] = self.db.execute(SQL[statement], values).fetchall()
        return row

    def _number(self, statement: str, *values: object) -> int:
        [number] = self._row(statement, *values)
        return int(number)


class _Claims:
    """One batch of claims: what it must know is read at once, what it starts is written at once."""

    def __init__(self, ledger: Ledger, epoch: int, node: str, claims: Sequence[Claim]) -> None:
        self._ledger = ledger
        self._epoch = epoch
        self._node = node
        self._claims = claims
        self._now = ledger.clock.now()
        self._latest = self._now + _EARLY
        self._fence = ledger._number("next_fences", len(claims)) - len(claims)
        self._states: dict[int, _State] = {}
        self._waiting: dict[int, tuple[Any, ...]] = {}
        self._timers: list[object] = []
        self._runs: list[object] = []

    def answers(self) -> list[Claimed]:
        plain = self._plain()
        if len(plain) == len(self._claims):
            answers = [self._start_plain(fence, claim) for fence, claim in enumerate(self._claims, self._fence + 1)]
        else:
            answers = self._look_at_each(plain)
        self._write()
        return answers

    def _plain(self) -> dict[int, Claim]:
        """Return the claims, by timer, that start as they are: their timers stand as planned, and nothing is active."""
        plain: dict[int, Claim] = {}
        rows: list[object] = []
        for claim in self._claims:
            timer = claim.timer
            spec = timer.spec
            if (
                claim.start
                and claim.gap is None
                and not timer.attempt
                and spec.max_runs is None
                and timer.id not in plain
            ):
                plain[timer.id] = claim
                rows += (timer.id, timer.rev, spec.policy.overlap is Overlap.ALLOW)
        for cursor in self._ledger._do_rows("claims_to_look_at", 3, rows, self._latest):
            [others] = cursor.fetchone()
            for job in orjson.loads(others):
                del plain[job]
        return plain

    def _start_plain(self, fence: int, claim: Claim) -> Claimed:
        timer, token, _, planned, due, next_planned, next_due, _, _ = claim
        timer_id, rev, spec = timer.id, timer.rev, timer.spec
        following = None
        if next_planned is None or next_due is None:
            next_planned = next_due = None
        else:
            following = Timer(timer_id, rev + 1, next_due, next_planned, spec)
        self._timers += (timer_id, next_planned, next_due)
        self._runs += (token, timer_id, planned, due, fence, spec.payload)
        if self._ledger.followed:
            self._ledger._changed(ChangeKind.RUN, token)
        return _new(Claimed, (_STARTED, token, token, fence, following, (), 0))

    def _look_at_each(self, plain: dict[int, Claim]) -> list[Claimed]:
        """Start the plain ones, and then see for each other what its timer, or its waiting run, has become."""
        started: dict[int, Claimed] = {}
        others: list[Timer] = []
        for fence, claim in enumerate(self._claims, self._fence + 1):
            if plain.get(claim.timer.id) is claim:
                started[fence] = self._start_plain(fence, claim)
            else:
                others.append(claim.timer)
        # A batch may claim a job twice: the second one meets what the first has done.
        self._write()
        ledger = self._ledger
        jobs = _json([timer.id for timer in others if not timer.attempt])
        runs = _json([timer.id for timer in others if timer.attempt])
        self._states.update((row[0], _State(*row[1:])) for row in ledger._do("claim_states", jobs))
        self._waiting.update((row[0], row) for row in ledger._do("waiting_states", runs))
        answers = []
        for claim in self._claims:
            self._fence += 1
            if self._fence in started:
                answers.append(started[self._fence])
            elif claim.timer.attempt:
                answers.append(self._claim_waiting(claim.timer, claim.token))
            else:
                answers.append(self._claim_occurrence(claim))
        return answers

    def _claim_occurrence(self, claim: Claim) -> Claimed:
        timer = claim.timer
        state = self._states.get(timer.id)
        if state is None or state.rev != timer.rev or state.paused:
            return self._known(claim.token)
        if state.due is None or state.due > self._latest:
            return Claimed(Grant.EARLY, claim.token)
        if claim.start and (not state.active or timer.spec.policy.overlap is Overlap.ALLOW):
            if claim.gap is not None:
                self._ledger._pass(timer.id, claim.gap, state.gap)
            return self._start(claim, state, ())
        return self._pass_or_start(claim, state)

    def _start(self, claim: Claim, state: _State, cancels: tuple[int, ...]) -> Claimed:
        max_runs = claim.timer.spec.max_runs
        state.planned_runs += 1
        if max_runs is not None and state.planned_runs >= max_runs:
            claim = claim._replace(next_planned=None)
        claimed = self._start_plain(self._fence, claim)
        state.rev += 1
        state.due = None if claimed.next is None else claimed.next.due
        state.gap = None
        state.active += 1
        return claimed._replace(cancels=cancels) if cancels else claimed

    def _pass_or_start(self, claim: Claim, state: _State) -> Claimed:
        """Handle a claim that lets instants pass, or that meets an active run."""
        ledger, timer, token = self._ledger, claim.timer, claim.token
        if claim.start and claim.wait:
            return Claimed(Grant.BUSY, token)
        # What an earlier claim of the batch started must be in the table before it is looked at.
        self._write()
        overlap = timer.spec.policy.overlap
        if claim.gap is not None:
            state.gap = ledger._pass(timer.id, claim.gap, state.gap)
        if claim.start and overlap is Overlap.CANCEL_RUNNING:
            return self._start(claim, state, ledger._supersede(timer.id, self._now))
        planned, due = claim.next_planned, claim.next_due
        grant = Grant.PASSED
        if claim.start:
            if overlap is Overlap.QUEUE and not ledger._has_queued(timer.id):
                state.planned_runs += 1
                if timer.spec.max_runs is not None and state.planned_runs >= timer.spec.max_runs:
                    planned = None
                state.gap = None
                state.active += 1
                ledger._do(
                    "queue_run", token, timer.id, state.func, claim.planned, claim.due, timer.spec.payload, claim.due,
                    True, False, False, None,
                )  # fmt: skip
                ledger._changed(ChangeKind.RUN, token)
                grant = Grant.QUEUED
            else:
                gap = Gap(RunStatus.SKIPPED, Reason.OVERLAP, claim.planned, claim.planned, 1)
                state.gap = ledger._pass(timer.id, gap, state.gap)
        if planned is None or due is None:
            planned = due = None
        ledger._do("pass_timer", planned, due, state.planned_runs, state.gap, timer.id)
        state.rev += 1
        state.due = due
        following = None
        if planned is not None and due is not None:
            following = Timer(timer.id, state.rev, due, planned, timer.spec)
        return Claimed(grant, token, token if grant is Grant.QUEUED else 0, next=following)

    def _known(self, token: int) -> Claimed:
        """Answer a claim whose timer has moved on: by this very claim, if its answer was lost."""
        ledger = self._ledger
        run = ledger._one("run_of_token", token, self._epoch)
        if run is not None:
            return Claimed(Grant.STARTED, token, run[0], run[1], self._timer_of(run[2]))
        queued = ledger._one("waiting_states", _json([token]))
        if queued is not None and queued[3] == 0 and queued[5] is None:
            return Claimed(Grant.QUEUED, token, token, next=self._timer_of(queued[8]))
        return Claimed(Grant.STALE, token)

    def _timer_of(self, job: int) -> Timer | None:
        rows = self._ledger._jobs("jobs_by_serial", _json([job]))
        return rows[0].timer() if rows else None

    def _claim_waiting(self, timer: Timer, token: int) -> Claimed:
        row = self._waiting.get(timer.id)
        if row is None:
            return Claimed(Grant.STALE, token)
        run_id, rev, wake, attempt, next_attempt, holder, queued, held, job, fence, epoch, due = row
        if holder == token and epoch == self._epoch:
            return Claimed(Grant.STARTED, token, run_id, fence, due=due)
        if holder is not None or wake is None or rev != timer.rev or queued or held:
            return Claimed(Grant.STALE, token)
        if wake > self._latest:
            return Claimed(Grant.EARLY, token)
        del self._waiting[timer.id]
        ledger, now = self._ledger, self._now
        ledger._do("start_waiting", next_attempt, token, self._epoch, self._fence, self._node, now, now, run_id)
        ledger._do("count_waiting", attempt == 0, attempt != 0 and next_attempt > attempt, now, job)
        ledger._changed(ChangeKind.RUN, run_id)
        return Claimed(Grant.STARTED, token, run_id, self._fence, due=due)

    def _write(self) -> None:
        if self._runs:
            self._ledger._do_rows("start_runs", 6, self._runs, self._epoch, self._node, self._now)
            self._ledger._do_rows("start_timers", 3, self._timers, self._now)
            self._runs.clear()
            self._timers.clear()


class _Puts:
    """One batch of jobs to store. New ones are written together at the end."""

    def __init__(self, ledger: Ledger, mode: PutMode, items: Sequence[PutItem]) -> None:
        self._ledger = ledger
        self._mode = mode
        self._items = items
        self._now = ledger.clock.now()
        wanted = [name for item in items for name in (item.spec.id, *item.aliases)]
        self._known = {row.spec.id: row for row in ledger._jobs("jobs_by_id", ledger.ns, _json(wanted))}
        self._tombstones: dict[str, str | None] = {}
        if mode is PutMode.DECLARE:
            self._tombstones.update(ledger._do("tombstones", ledger.ns, _json(wanted)).fetchall())
        missing = sum(1 for item in items if item.spec.id not in self._known) if mode is not PutMode.UPDATE else 0
        self._serial = ledger._next_serial(missing) if missing else 0
        self._jobs: list[tuple[Any, ...]] = []
        self._timers: list[tuple[Any, ...]] = []

    def answers(self) -> list[Put]:
        answers = [self._put(item) for item in self._items]
        self._write()
        return answers

    def _put(self, item: PutItem) -> Put:
        row = self._known.get(item.spec.id)
        if self._mode is PutMode.DECLARE:
            return self._declare(row, item)
        if row is None:
            if self._mode is PutMode.UPDATE:
                return Put(PutStatus.MISSING, None, None)
            return self._add(item)
        if self._mode is PutMode.INSERT:
            return Put(PutStatus.EXISTS, self._ledger._record(row), None)
        if self._mode is PutMode.KEEP:
            return Put(PutStatus.KEPT, self._ledger._record(row), None)
        if self._mode is PutMode.UPDATE:
            if item.version is not None and item.version != row.version:
                return Put(PutStatus.CONFLICT, self._ledger._record(row), None)
            return self._replace(row, item.spec, item, bool(row.paused), item.replan)
        return self._replace(row, item.spec, item, item.paused, replan=True)

    def _declare(self, row: _JobRow | None, item: PutItem) -> Put:
        spec = item.spec
        ledger = self._ledger
        if row is None:
            for name in (spec.id, *item.aliases):
                if name in self._tombstones and self._tombstones[name] == spec.declaration:
                    return Put(PutStatus.KEPT, None, None)
            if spec.id in self._tombstones:
                del self._tombstones[spec.id]
                ledger._do("remove_tombstone", ledger.ns, spec.id)
            old = next((self._known[alias] for alias in item.aliases if alias in self._known), None)
            if old is None:
                return self._add(item)
            del self._known[old.spec.id]
            ledger._changed(ChangeKind.JOB_REMOVED, old.spec.id)
            if old.spec.declaration != spec.declaration:
                return self._replace(old, spec, item, bool(old.paused) or item.paused, replan=True)
            carried = self._kept(old.spec, spec).replace(
                id=spec.id, name=spec.name, func=spec.func, generation=spec.generation
            )
            return self._replace(old, carried, item, bool(old.paused), replan=False)
        if row.spec.declaration == spec.declaration:
            newer = spec.generation > row.spec.generation
            kept = row._replace(spec=self._kept(row.spec, spec))
            if newer or (spec.generation == row.spec.generation and spec.func != row.spec.func):
                changed = kept.spec.replace(func=spec.func, generation=spec.generation)
                kept = kept._replace(spec=changed, rev=row.rev + 1)
                self._write()
                self._change(kept)
            self._known[spec.id] = kept
            return Put(PutStatus.KEPT, ledger._record(kept), None if kept.paused else kept.timer())
        if row.spec.generation > spec.generation:
            return Put(PutStatus.KEPT, ledger._record(row), None)
        return self._replace(row, spec, item, bool(row.paused) or item.paused, replan=True)

    def _kept(self, stored: JobSpec, declared: JobSpec) -> JobSpec:
        """Return the stored spec; a trigger of which only the code knows is the one that the code has given."""
        if is_storable(stored.trigger) or is_storable(declared.trigger):
            return stored
        self._ledger.abilities.triggers[declared.id] = declared.trigger
        return stored.replace(trigger=declared.trigger)

    def _add(self, item: PutItem) -> Put:
        ledger, spec, now = self._ledger, item.spec, self._now
        columns = spec_row(spec)
        self._supply(spec)
        serial = self._serial
        self._serial += 1
        planned, due = (item.planned, item.due) if item.due is not None else (None, None)
        gap = None if item.gap is None else ledger._pass(serial, item.gap, None)
        func = ledger._func(spec.func)
        self._jobs.append((serial, ledger.ns, func, now, now, *columns))
        self._timers.append((serial, func, planned, due, item.paused, gap))
        row = _JobRow(
            spec, serial, 1, now, now, 1, planned, due, int(item.paused), 0, 0, 0, 0, None, None, gap, 0
        )  # fmt: skip
        self._known[spec.id] = row
        ledger._changed(ChangeKind.JOB, spec.id)
        return Put(PutStatus.ADDED, ledger._record(row), None if item.paused else row.timer())

    def _replace(self, row: _JobRow, spec: JobSpec, item: PutItem, paused: bool, replan: bool) -> Put:
        ledger = self._ledger
        self._write()
        row = row._replace(spec=spec, version=row.version + 1, updated=self._now, rev=row.rev + 1, paused=int(paused))
        if replan:
            gap = None if item.gap is None else ledger._pass(row.serial, item.gap, None)
            planned, due = (item.planned, item.due) if item.due is not None else (None, None)
            row = row._replace(planned=planned, due=due, gap=gap)
        self._change(row)
        self._supply(spec)
        self._known[spec.id] = row
        ledger._changed(ChangeKind.JOB, spec.id)
        return Put(PutStatus.REPLACED, ledger._record(row), None if row.paused else row.timer())

    def _change(self, row: _JobRow) -> None:
        ledger = self._ledger
        func = ledger._func(row.spec.func)
        ledger._do("change_job", func, row.version, row.updated, *spec_row(row.spec), row.serial)
        ledger._set_timer(row)
        if row.active:
            ledger._renew_waiting([row], paused=bool(row.paused))

    def _supply(self, spec: JobSpec) -> None:
        if is_storable(spec.trigger):
            self._ledger.abilities.triggers.pop(spec.id, None)
        elif type(spec.trigger) is not CodeTrigger:
            self._ledger.abilities.triggers[spec.id] = spec.trigger

    def _write(self) -> None:
        if self._jobs:
            self._ledger.db.executemany(SQL["add_job"], self._jobs)
            self._ledger.db.executemany(SQL["add_timer"], self._timers)
            self._jobs.clear()
            self._timers.clear()


_RUN_COLUMNS = len(RunRow._fields)

_STATUS_CONDITIONS = {
    # Which nodes live is not known to the database: each of these is looked at once more.
    JobStatus.UNRESOLVED: "(j.origin = 'declared' OR f.name NOT IN (SELECT value FROM json_each(?)))",
    JobStatus.PAUSED: "j.serial IN (SELECT job FROM asched_timer WHERE paused = 1)",
    JobStatus.RUNNING: "j.serial IN (SELECT job FROM asched_run) AND t.paused = 0",
    JobStatus.FINISHED: "t.due IS NULL AND t.paused = 0",
    JobStatus.SCHEDULED: "t.due IS NOT NULL AND t.paused = 0",
}


@cache
def _with_rows(statement: str, count: int) -> str:
    """Return the text of a statement that takes so many rows."""

    def values(columns: re.Match[str]) -> str:
        row = f"({', '.join('?' * int(columns[1]))})"
        return f"VALUES {', '.join([row] * count)}"

    return _ROWS.sub(values, SQL[statement])


def _json(values: Sequence[object]) -> str:
    return orjson.dumps(values).decode()


def _with_result(run: _Open, end: Finish) -> _Open:
    if end.result is not None or end.note is not None:
        run = run._replace(result=end.result)
    if end.note is not None:
        run = run._replace(
            progress_json=progress_text(end.note.done, end.note.total) or run.progress_json,
            log_json=log_text(end.note.log) or run.log_json,
        )
    return run


def _named(name: str, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for row in rows:
        yield name, row


def _due_order(named: tuple[str, tuple[Any, ...]]) -> tuple[int, int]:
    row = named[1]
    return row[0], row[1]


def _place_of(cursor: str | None) -> tuple[bool, int, int]:
    """Return whether active runs are still to be told, and the place after which to go on."""
    return (True, _FOREVER, _FOREVER) if cursor is None else read_place(cursor)
