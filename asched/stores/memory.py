"""The store in this process's memory: nothing survives it, and every worker process has its own.

It is the executable form of the contract in :mod:`asched.store`: no method waits inside, so each is one atomic
step of the event loop, and several engines may share one object. It is on the hot path as well. What it keeps per
job is small, one heap per function orders what comes due, and a run is one object from its claim until its record
is forgotten.
"""

from __future__ import annotations

import gc
import random
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from asched.clock import Clock
from asched.errors import InvalidArgument
from asched.instants import MAX_INSTANT, SECOND
from asched.model import ErrorInfo, JobSpec, OnCrash, Origin, Outcome, Overlap, Reason, RunStatus
from asched.planner import jittered, passed_while_paused
from asched.store import (
    AttemptRecord,
    Beat,
    Cancelled,
    ChangeKind,
    Changes,
    Claim,
    Claimed,
    ClaimedRow,
    ClaimRow,
    Counts,
    Deleted,
    Enqueue,
    Enqueued,
    FinishRow,
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
    PutRow,
    PutStatus,
    Reaped,
    RunFilter,
    RunPage,
    RunRecord,
    Selection,
    StoreCaps,
    Timer,
    Totals,
    Window,
)
from asched.stores.cursors import read_place, read_serial, write_place
from asched.stores.following import Feed, Hints
from asched.timers import Timers

__all__ = ["MemoryStore"]

# A claim this far in the future is refused. The slack covers the reading of two clocks of one machine.
_EARLY = SECOND // 20
_new = tuple.__new__
"""Makes a named tuple for 0.16 us, calling its class takes 0.36; every run that starts makes two."""


class _Job:
    """A job: its spec, what comes next and what it has behind it. Small, because there may be a million.

    What it has behind it stands in tuples, though they are replaced at each change: they are short, mostly empty or
    of one, and a tuple of plain runs is no concern of the garbage collector, while an object of its own is, and cost a
    twentieth of a run.
    """

    __slots__ = (
        "active",
        "created",
        "due",
        "failures",
        "gap",
        "id",
        "last_run",
        "last_status",
        "paused",
        "planned",
        "planned_runs",
        "recent",
        "retries",
        "rev",
        "runs",
        "spec",
        "updated",
        "version",
    )

    def __init__(self, spec: JobSpec, serial: int, now: int, paused: bool) -> None:
        self.spec = spec
        self.id = serial
        """Its serial number, by which the heap knows it."""
        self.planned: int | None = None
        """Its next occurrence, if it has one, and the instant to act."""
        self.due = 0
        self.version = 1
        self.rev = 0
        self.created = now
        self.updated = now
        self.paused = paused
        self.active: tuple[int, ...] = ()
        """The runs that have not ended, oldest first."""
        self.recent: tuple[_Kept, ...] = ()
        """The last ended ones, oldest first."""
        self.runs = 0
        self.failures = 0
        self.retries = 0
        self.planned_runs = 0
        self.last_run: int | None = None
        self.last_status: RunStatus | None = None
        self.gap: _Run | None = None
        """The record of instants passed that the next ones may join."""

    @property
    def timer(self) -> Timer | None:
        # Made when it is asked for: kept, it would be a fourth object of each job for the garbage collector to visit.
        planned = self.planned
        return None if planned is None else Timer(self.id, self.rev, self.due, planned, self.spec)


_Begun: TypeAlias = tuple[_Job, int, int, bytes | None, int, int]
"""A run that executes its first attempt, and of which there is nothing else to say: job, planned, due, payload, fence,
when it was claimed. Most runs are nothing else until they are a `_Plain`; it costs a third of a `_Run`."""


class _Run:
    """A run of which there is more to keep: it waits, was retried, failed, or left a note."""

    __slots__ = (
        "attempt",
        "due",
        "ended",
        "epoch",
        "fence",
        "id",
        "job",
        "listed",
        "more",
        "node",
        "payload",
        "planned",
        "started",
        "status",
        "token",
        "turn",
    )

    def __init__(
        self, run_id: int, job: _Job, planned: int, due: int, payload: bytes | None,
        status: RunStatus = RunStatus.PENDING, attempt: int = 0, token: int = 0, epoch: int = 0, fence: int = 0,
        node: str | None = None, started: int | None = None,
    ) -> None:  # fmt: skip
        self.id = run_id
        self.job = job
        self.planned = planned
        self.due = due
        self.payload = payload
        self.status = status
        self.attempt = attempt
        self.token = token
        self.epoch = epoch
        self.fence = fence
        self.node = node
        self.started = started
        self.ended: int | None = None
        self.turn = 0
        """Its place in the order in which runs ended."""
        self.listed = False
        """It stands in the total history; otherwise only among the last of its job."""
        self.more: _More | None = None


class _More:
    """What most runs do not have."""

    __slots__ = (
        "attempts",
        "began",
        "cancel",
        "dead",
        "error",
        "instants",
        "last_due",
        "log",
        "manual",
        "progress",
        "queued",
        "reason",
        "replay_of",
        "result",
    )

    def __init__(self) -> None:
        self.attempts: list[AttemptRecord] = []
        self.began: int | None = None
        """When the attempt was claimed, if it is not the first claim of the run."""
        self.cancel: Reason | None = None
        """Why the attempt that executes is to be cancelled."""
        self.instants = 1
        self.dead = False
        self.error: ErrorInfo | None = None
        self.last_due: int | None = None
        self.log: tuple[str, ...] = ()
        self.manual = False
        self.progress: tuple[float, float | None] | None = None
        self.queued = False
        self.reason: Reason | None = None
        self.replay_of: int | None = None
        self.result: bytes | None = None


_Plain: TypeAlias = tuple[int, int, str, str, int, int, int, int | None, int | None, int, str | None, bytes | None]
"""A run that succeeded at once, as it is remembered: turn, id, job's id, function, job's serial number, planned, due,
started, ended, fence, node, payload. An exact tuple of ints and strings is no concern of the garbage collector, and
there are 20 of them for each job: as objects they doubled the cost of a run."""

_Kept: TypeAlias = "_Run | _Plain"


class _Node:
    """A node, and what it executes."""

    __slots__ = ("begun", "epoch", "info", "lease_until", "live", "started")

    def __init__(self, epoch: int, info: NodeInfo, now: int, lease_until: int) -> None:
        self.epoch = epoch
        self.info = info
        self.started = now
        self.lease_until = lease_until
        self.begun: dict[int, _Begun] = {}
        """What it executes, by token, as long as it is no more than that."""
        self.live: dict[int, _Run] = {}
        """What else it executes, by token."""

    @property
    def active(self) -> int:
        return len(self.begun) + len(self.live)


_DEAD = frozenset({RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.LOST})


class MemoryStore:
    """Keeps a schedule in this process. Several schedulers of one event loop may share one object.

    Args:
        lease: Seconds after which a scheduler that gave no sign is taken for dead by the others. By default none is:
            schedulers that share a process die together, and nobody wakes up to give signs.
    """

    # Beyond thirty attributes the interpreter no longer finds those of a plain object by their place.
    __slots__ = (
        "__weakref__",
        "_clock",
        "_dead",
        "_declarations",
        "_epoch",
        "_feed",
        "_fence",
        "_functions",
        "_generations",
        "_hints",
        "_history",
        "_ids",
        "_in_order",
        "_jobs",
        "_lease",
        "_limits",
        "_namespace",
        "_nodes",
        "_plain",
        "_ran",
        "_revision",
        "_runs",
        "_serial",
        "_since",
        "_timers",
        "_tombstones",
        "_total_failures",
        "_total_runs",
        "_turn",
        "_unlisted",
        "_users",
        "_waiting",
        "caps",
    )

    def __init__(self, *, lease: float = float("inf")) -> None:
        self.caps = StoreCaps(
            name="memory",
            durable=False,
            shared=True,
            claim_batch=_batch(),
            window=2_048,
            poll=float("inf"),
            lease=lease,
        )
        self._lease = int(lease * SECOND) if lease < float("inf") else MAX_INSTANT
        self._namespace: str | None = None
        self._users = 0
        self._clock: Clock
        self._limits = Limits()
        self._jobs: dict[str, _Job] = {}
        self._timers: dict[str, Timers[_Job | Timer]] = {}
        """By function: the jobs by their next occurrence, and the timers of waiting runs."""
        self._waiting: dict[int, Timer] = {}
        self._runs: dict[int, _Run] = {}
        self._plain: dict[int, _Plain] = {}
        self._history: deque[_Kept] = deque()
        self._unlisted = 0
        """The turn of the plain run that was last taken out of the history."""
        self._turn = 0
        self._dead: dict[int, _Run] = {}
        self._ran: dict[int, _Job] = {}
        self._nodes: dict[int, _Node] = {}
        self._functions: Counter[str] = Counter()
        self._declarations: Counter[str] = Counter()
        self._tombstones: dict[str, str | None] = {}
        self._in_order: list[_Job] | None = None
        self._generations: dict[str, int] = {}
        self._serial = 0
        self._ids = 0
        self._epoch = 0
        self._fence = 0
        self._revision = 0
        self._since = 0
        self._total_runs = 0
        self._total_failures = 0
        self._feed: Feed | None = None
        self._hints = Hints()

    def __repr__(self) -> str:
        return "MemoryStore()"

    def describe(self) -> str:
        return "memory"

    async def open(self, namespace: str, limits: Limits, clock: Clock) -> None:
        if self._namespace is None:
            self._namespace = namespace
            self._limits = limits
            self._clock = clock
            self._since = clock.now()
        elif namespace != self._namespace:
            raise InvalidArgument(
                f"this MemoryStore holds the schedule {self._namespace!r}; make another one for {namespace!r}",
                field="store",
            )
        self._users += 1

    async def close(self) -> None:
        self._users -= 1

    async def now(self) -> int:
        return self._clock.now()

    # Nodes

    async def register(self, info: NodeInfo) -> int:
        self._epoch += 1
        now = self._clock.now()
        self._nodes[self._epoch] = _Node(self._epoch, info, now, now + self._lease)
        self._hints.join(self._epoch)
        self._functions.update(info.functions)
        self._declarations.update(info.declarations)
        return self._epoch

    async def announce(self, epoch: int, info: NodeInfo) -> None:
        node = self._nodes.get(epoch)
        if node is None:
            return
        self._forget_abilities(node)
        node.info = info
        self._functions.update(info.functions)
        self._declarations.update(info.declarations)

    async def heartbeat(self, epoch: int) -> Beat:
        now = self._clock.now()
        node = self._nodes.get(epoch)
        if node is None:
            return Beat(now, False, 0, ())
        node.lease_until = now + self._lease
        cancels = tuple(token for token, run in node.live.items() if run.more is not None and run.more.cancel)
        return Beat(now, True, node.active, cancels)

    async def reap(self) -> list[Reaped]:
        now = self._clock.now()
        reaped = []
        for node in [node for node in self._nodes.values() if node.lease_until < now]:
            del self._nodes[node.epoch]
            self._forget_abilities(node)
            rescued: list[Timer] = []
            lost: list[int] = []
            for run in self._unfold_all(node):
                policy = run.job.spec.policy
                self._record_attempt(run, node, _began(run), now, Outcome.LOST, None)
                if policy.on_crash is OnCrash.LOST or run.attempt > policy.max_retries:
                    self._end(run, RunStatus.LOST, now, Reason.NODE_DIED)
                    lost.append(run.id)
                    rescued.extend(self._unqueue(run.job))
                else:
                    rescued.extend(self._wait(run, RunStatus.PENDING, now, run.attempt + 1, now))
            self._hints.leave(node.epoch)
            reaped.append(Reaped(node.epoch, node.info.name, tuple(rescued), tuple(lost)))
        return reaped

    async def leave(self, epoch: int) -> list[Timer]:
        node = self._nodes.pop(epoch, None)
        if node is None:
            return []
        self._forget_abilities(node)
        self._hints.leave(epoch)
        now = self._clock.now()
        return [timer for run in self._unfold_all(node) for timer in self._give_back(run, now)]

    async def nodes(self) -> list[NodeRecord]:
        return [
            NodeRecord(node.epoch, node.info, node.started, node.lease_until, node.active)
            for node in self._nodes.values()
        ]

    def _forget_abilities(self, node: _Node) -> None:
        for held, names in (
            (self._functions, node.info.functions),
            (self._declarations, node.info.declarations),
        ):
            held.subtract(names)
            for name in names:
                if not held[name]:
                    del held[name]

    # Jobs

    async def put_jobs(self, mode: PutMode, items: Sequence[PutRow]) -> list[Put]:
        now = self._clock.now()
        puts: list[Put] = []
        for row in items:
            spec = row[0]
            if mode is _INSERT and spec.id not in self._jobs:
                puts.append(self._add(row, now))
            else:
                puts.append(self._put(mode, PutItem._make(row), now))
        return puts

    def _put(self, mode: PutMode, item: PutItem, now: int) -> Put:
        spec = item.spec
        job = self._jobs.get(spec.id)
        if mode is _DECLARE:
            return self._declare(job, item, now)
        if job is None:
            if mode is _UPDATE:
                return Put(PutStatus.MISSING, None, None)
            return self._add(item, now)
        if mode is _INSERT:
            return Put(PutStatus.EXISTS, self._record(job), None)
        if mode is _KEEP:
            return Put(PutStatus.KEPT, self._record(job), None)
        if mode is _UPDATE:
            if item.version is not None and item.version != job.version:
                return Put(PutStatus.CONFLICT, self._record(job), None)
            self._replace(job, spec, item, now, job.paused, item.replan)
        else:
            self._replace(job, spec, item, now, item.paused, replan=True)
        return Put(_REPLACED, self._record(job), None if job.paused else job.timer)

    def _declare(self, job: _Job | None, item: PutItem, now: int) -> Put:
        spec = item.spec
        if job is None:
            for known in (spec.id, *item.aliases):
                if known in self._tombstones and self._tombstones[known] == spec.declaration:
                    return Put(PutStatus.KEPT, None, None)
            self._tombstones.pop(spec.id, None)
            old = next((self._jobs[alias] for alias in item.aliases if alias in self._jobs), None)
            if old is None:
                return self._add(item, now)
            self._rename(old, spec.id)
            if old.spec.declaration == spec.declaration:
                carried = old.spec.replace(id=spec.id, name=spec.name, func=spec.func, generation=spec.generation)
                self._replace(old, carried, item, now, old.paused, replan=False)
            else:
                self._replace(old, spec, item, now, old.paused or item.paused, replan=True)
            return Put(PutStatus.REPLACED, self._record(old), None if old.paused else old.timer)
        if job.spec.declaration == spec.declaration:
            newer = spec.generation > job.spec.generation
            if newer or (spec.generation == job.spec.generation and spec.func != job.spec.func):
                self._drop_timer(job)
                job.spec = job.spec.replace(func=spec.func, generation=spec.generation)
                self._set_timer(job, job.planned, job.due)
                self._renew_timers(job)
            return Put(PutStatus.KEPT, self._record(job), None if job.paused else job.timer)
        if job.spec.generation > spec.generation:
            return Put(PutStatus.KEPT, self._record(job), None)
        self._replace(job, spec, item, now, job.paused or item.paused, replan=True)
        return Put(PutStatus.REPLACED, self._record(job), None if job.paused else job.timer)

    def _rename(self, job: _Job, job_id: str) -> None:
        old_id = job.spec.id
        self._changed(_JOB_REMOVED, old_id)
        self._jobs[job_id] = self._jobs.pop(old_id)
        self._in_order = None
        renamed: dict[int, _Plain] = {
            plain[0]: (*plain[:2], job_id, *plain[3:])
            for plain in self._plain.values()
            if plain[_JOB_ID] == old_id and plain[_JOB_SERIAL] == job.id
        }
        if renamed:
            self._plain.update((plain[1], plain) for plain in renamed.values())
            self._history = deque(renamed.get(_turn(kept), kept) for kept in self._history)
            job.recent = tuple(renamed.get(_turn(kept), kept) for kept in job.recent)

    def _add(self, item: PutRow, now: int) -> Put:
        spec, planned, due, paused, gap, _, _, _ = item
        self._serial = serial = self._serial + 1
        self._jobs[spec.id] = job = _Job(spec, serial, now, paused)
        self._in_order = None
        if gap is not None:
            self._pass(job, gap)
        self._set_timer(job, planned, due)
        if self._feed is not None:
            self._changed(_JOB_CHANGED, spec.id)
        return _new(Put, (_ADDED, self._record(job), None if paused else job.timer))

    def _replace(self, job: _Job, spec: JobSpec, item: PutItem, now: int, paused: bool, replan: bool) -> None:
        self._drop_timer(job)
        job.spec = spec
        job.version += 1
        job.updated = now
        job.paused = paused
        if replan:
            job.gap = None
            if item.gap is not None:
                self._pass(job, item.gap)
            self._set_timer(job, item.planned, item.due)
        else:
            self._set_timer(job, job.planned, job.due)
        self._renew_timers(job)
        self._changed(_JOB_CHANGED, spec.id)

    async def get_jobs(self, ids: Sequence[str]) -> list[JobRecord | None]:
        jobs = self._jobs
        return [self._record(jobs[job_id]) if job_id in jobs else None for job_id in ids]

    async def list_jobs(self, which: JobFilter, limit: int, cursor: str | None = None) -> JobPage:
        after = 0 if cursor is None else read_serial(cursor)
        query = which.query.casefold() if which.query else None
        page: list[JobRecord] = []
        for job in self._jobs_after(after):
            if which.group is not None and job.spec.group != which.group:
                continue
            if query is not None and not _matches(job.spec, query):
                continue
            record = self._record(job)
            if which.status is not None and record.status is not which.status:
                continue
            if len(page) == limit:
                return page, str(page[-1].serial)
            page.append(record)
        return page, None

    def _jobs_after(self, serial: int) -> Iterator[_Job]:
        # The dict has the order of the serial numbers until a job takes another id, and knows no place inside.
        # A sorted list does; while jobs are only listed it is made once.
        if self._in_order is None:
            self._in_order = sorted(self._jobs.values(), key=_serial)
        jobs = self._in_order
        return (jobs[index] for index in range(bisect_right(jobs, serial, key=_serial), len(jobs)))

    async def pause_jobs(self, which: Selection) -> list[JobRecord]:
        now = self._clock.now()
        paused = []
        for job in self._selected(which):
            if job.paused:
                continue
            self._touch(job, now)
            job.paused = True
            self._heap(job).discard(job.id)
            for timer in self._waits(job):
                if not self._manual(timer):
                    self._heap(job).discard(timer.id)
            paused.append(self._record(job))
        return paused

    async def resume_jobs(self, which: Selection) -> tuple[list[JobRecord], list[Timer]]:
        now = self._clock.now()
        resumed: list[JobRecord] = []
        timers: list[Timer] = []
        for job in self._selected(which):
            if not job.paused:
                continue
            self._touch(job, now)
            job.paused = False
            if job.planned is not None:
                gap, planned = passed_while_paused(job.spec, job.planned, now)
                due = job.due
                if gap is not None:
                    self._pass(job, gap)
                    due = jittered(job.spec, planned, random.random) or 0
                self._set_timer(job, planned, due if planned is not None else None)
            timer = job.timer
            if timer is not None:
                timers.append(timer)
            timers.extend(self._renew_timers(job))
            resumed.append(self._record(job))
        return resumed, timers

    async def delete_jobs(self, which: Selection) -> Deleted:
        now = self._clock.now()
        ids: list[str] = []
        runs: list[Cancelled] = []
        for job in self._selected(which):
            self._remove(job)
            if job.spec.origin is _DECLARED:
                self._tombstones[job.spec.id] = job.spec.declaration
            for run in self._active_runs(job):
                if run.token:
                    runs.append(Cancelled(run.id, RunStatus.RUNNING, run.token, run.epoch, job.spec.id))
                else:
                    self._end(run, RunStatus.CANCELLED, now, Reason.JOB_CANCELLED)
                    runs.append(Cancelled(run.id, RunStatus.CANCELLED, job_id=job.spec.id))
            ids.append(job.spec.id)
        return _new(Deleted, (tuple(ids), tuple(runs)))

    async def groups(self) -> list[tuple[str, int, int]]:
        jobs: Counter[str] = Counter()
        paused: Counter[str] = Counter()
        for job in self._jobs.values():
            jobs[job.spec.group] += 1
            paused[job.spec.group] += job.paused
        return [(name, count, paused[name]) for name, count in sorted(jobs.items())]

    async def next_id(self) -> int:
        self._ids += 1
        return self._ids

    async def generation(self, declarations: str) -> int:
        return self._generations.setdefault(declarations, self._clock.now())

    def _selected(self, which: Selection) -> list[_Job]:
        if which.ids is not None:
            return [self._jobs[job_id] for job_id in dict.fromkeys(which.ids) if job_id in self._jobs]
        if which.group is not None:
            return [job for job in self._jobs.values() if job.spec.group == which.group]
        wanted = which.func
        return [job for job in self._jobs.values() if wanted in (job.spec.func, job.spec.func.rpartition(":")[2])]

    def _touch(self, job: _Job, now: int) -> None:
        job.version += 1
        job.updated = now
        job.rev += 1
        self._changed(_JOB_CHANGED, job.spec.id)

    def _remove(self, job: _Job) -> None:
        del self._jobs[job.spec.id]
        self._in_order = None
        self._ran.pop(job.id, None)
        self._drop_timer(job)
        job.planned = None
        job.rev = -1
        for run in job.recent:
            self._forget(run)
        self._changed(_JOB_REMOVED, job.spec.id)

    def _record(self, job: _Job) -> JobRecord:
        spec, planned = job.spec, job.planned
        resolved = spec.func in self._functions and (spec.origin is _API or spec.id in self._declarations)
        counts = _new(Counts, (job.runs, job.failures, job.retries)) if job.runs else _NO_COUNTS
        state = (
            spec, job.id, job.version, job.created, job.updated, job.paused,
            planned, None if planned is None else job.due,
            len(job.active), counts, job.planned_runs, job.last_run, job.last_status, resolved,
        )  # fmt: skip
        return _new(JobRecord, state)

    # Timers

    def _heap(self, job: _Job) -> Timers[_Job | Timer]:
        heap = self._timers.get(job.spec.func)
        if heap is None:
            heap = self._timers[job.spec.func] = Timers()
        return heap

    def _set_timer(self, job: _Job, planned: int | None, due: int | None) -> None:
        """Move the job's timer; every move is a new revision."""
        job.rev += 1
        func = job.spec.func
        heap = self._timers.get(func)
        if heap is None:
            heap = self._timers[func] = Timers()
        if planned is None or due is None:
            heap.discard(job.id)
            job.planned = None
            return
        job.planned, job.due = planned, due
        if not job.paused:
            heap.add(job)

    def _drop_timer(self, job: _Job) -> None:
        """Take everything of the job out of its heap, before its function changes or it goes."""
        heap = self._timers.get(job.spec.func)
        if heap is None:
            return
        heap.discard(job.id)
        for timer in self._waits(job):
            heap.discard(timer.id)

    def _renew_timers(self, job: _Job) -> list[Timer]:
        """Give the job's waiting runs the spec as it is now; return those that may start."""
        ready = []
        for old in self._waits(job):
            self._revision += 1
            timer = self._waiting[old.id] = old.replace(spec=job.spec, rev=self._revision)
            if self._startable(job, timer):
                self._heap(job).add(timer)
                ready.append(timer)
        return ready

    def _waits(self, job: _Job) -> list[Timer]:
        if not job.active:
            return []
        return [self._waiting[run_id] for run_id in job.active if run_id in self._waiting]

    def _manual(self, timer: Timer) -> bool:
        more = self._runs[timer.id].more
        return more is not None and more.manual

    def _startable(self, job: _Job, timer: Timer) -> bool:
        more = self._runs[timer.id].more
        if more is None:
            return not job.paused
        return not more.queued and (more.manual or not job.paused)

    async def window(self, epoch: int, until: int, limit: int) -> Window:
        now = self._clock.now()
        node = self._nodes.get(epoch)
        if node is None:
            return Window([], None, now)
        found: list[Timer] = []
        cut: int | None = None
        declared = node.info.declarations
        heaps = [self._timers[func] for func in node.info.functions & self._timers.keys()]
        # The function that is due first comes first: what it fills is no longer walked through in the others.
        heaps.sort(key=_earliest)
        for heap in heaps:
            count = 0
            for item in heap.ascending():
                if item.due > until or count == limit:
                    cut = item.due - 1 if cut is None else min(cut, item.due - 1)
                    break
                spec = item.spec
                if spec.origin is _API or spec.id in declared:
                    timer = item.timer if isinstance(item, _Job) else item
                    assert timer is not None
                    found.append(timer)
                    count += 1
            if heap is not heaps[0]:
                found.sort(key=_due_order)
            if len(found) >= limit:
                last = found[limit - 1].due
                until = min(until, last)
                if len(found) > limit:
                    cut = found[limit].due - 1 if cut is None else min(cut, found[limit].due - 1)
                    del found[limit:]
        return Window(found, cut, now)

    async def claim(self, epoch: int, claims: Sequence[ClaimRow]) -> list[ClaimedRow]:
        now = self._clock.now()
        node = self._nodes.get(epoch)
        if node is None or node.lease_until < now:
            return []
        latest = now + _EARLY
        heaps = self._timers
        answers: list[ClaimedRow] = []
        for claim in claims:
            timer, token, start, planned, due, next_planned, next_due, gap, _ = claim
            spec = timer.spec
            if timer.attempt:
                answers.append(self._claim_waiting(node, timer, token, latest, now))
                continue
            # Where it comes due, and not by its id among all jobs: those may be a million, scattered in memory.
            heap = heaps.get(spec.func)
            job = None if heap is None else heap.items.get(timer.id)
            if not isinstance(job, _Job) or job.rev != timer.rev:
                answers.append(self._known(node, token, self._jobs.get(spec.id)))
                continue
            if job.due > latest:
                answers.append(Claimed(Grant.EARLY, token))
                continue
            if not start or (job.active and job.spec.policy.overlap is not Overlap.ALLOW):
                answers.append(self._pass_or_start(node, job, Claim._make(claim), now))
                continue
            if gap is not None:
                self._pass(job, gap)
            answers.append(self._start(node, job, token, planned, due, next_planned, next_due, now))
        return answers

    def _start(
        self, node: _Node, job: _Job, token: int, planned: int, due: int,
        next_planned: int | None, next_due: int | None, now: int, cancels: tuple[int, ...] = (),
    ) -> ClaimedRow:  # fmt: skip
        job.planned_runs += 1
        spec = job.spec
        if spec.max_runs is not None and job.planned_runs >= spec.max_runs:
            next_planned = None
        self._set_timer(job, next_planned, next_due)
        if not job.runs:
            self._ran[job.id] = job
        job.runs += 1
        job.gap = None
        job.last_run = now
        self._fence = fence = self._fence + 1
        node.begun[token] = (job, planned, due, spec.payload, fence, now)
        job.active += (token,)
        if self._feed is not None:
            self._changed(_RUN_CHANGED, token)
        return _STARTED, token, token, fence, None if next_planned is None else job.timer, cancels, 0

    def _pass_or_start(self, node: _Node, job: _Job, claim: Claim, now: int) -> ClaimedRow:
        """Handle a claim that lets instants pass, or that meets an active run."""
        overlap = job.spec.policy.overlap
        if claim.start and claim.wait:
            return Claimed(Grant.BUSY, claim.token)
        if claim.gap is not None:
            self._pass(job, claim.gap)
        following = claim.next_planned, claim.next_due
        if claim.start and overlap is Overlap.CANCEL_RUNNING:
            cancels = self._supersede(job, now)
            return self._start(node, job, claim.token, claim.planned, claim.due, *following, now, cancels)
        grant = Grant.PASSED
        if claim.start:
            if overlap is Overlap.QUEUE and self._queued(job) is None:
                job.planned_runs += 1
                max_runs = job.spec.max_runs
                if max_runs is not None and job.planned_runs >= max_runs:
                    following = None, None
                job.gap = None
                run = self._queue(job, claim.token, claim.planned, claim.due, manual=False)
                self._wait_for(run, run.due, 1)
                grant = Grant.QUEUED
            else:
                instant = claim.planned
                self._pass(job, Gap(RunStatus.SKIPPED, Reason.OVERLAP, instant, instant, 1))
        self._set_timer(job, *following)
        return Claimed(grant, claim.token, claim.token if grant is Grant.QUEUED else 0, next=job.timer)

    def _known(self, node: _Node, token: int, job: _Job | None) -> Claimed:
        """Answer a claim whose timer has moved on: by this very claim, if its answer was lost.

        Whoever comes second learns where the timer has moved to. Nobody polls this store, and the node that was
        first may be gone when the timer comes due.
        """
        self._unfold(node, token)
        run = node.live.get(token)
        if run is not None:
            return Claimed(Grant.STARTED, token, run.id, run.fence, run.job.timer)
        queued = self._waiting.get(token)
        if queued is not None and self._runs[token].attempt == 0:
            return Claimed(Grant.QUEUED, token, token, next=self._runs[token].job.timer)
        return Claimed(Grant.STALE, token, next=None if job is None or job.paused else job.timer)

    def _claim_waiting(self, node: _Node, timer: Timer, token: int, latest: int, now: int) -> Claimed:
        held = node.live.get(token)
        if held is not None and held.id == timer.id:
            return Claimed(Grant.STARTED, token, held.id, held.fence, due=held.due)
        current = self._waiting.get(timer.id)
        if current is None or current.rev != timer.rev:
            return Claimed(Grant.STALE, token)
        run = self._runs[timer.id]
        if not self._startable(run.job, current):
            return Claimed(Grant.STALE, token)
        if current.due > latest:
            return Claimed(Grant.EARLY, token)
        del self._waiting[timer.id]
        self._heap(run.job).discard(timer.id)
        job = run.job
        if run.attempt == 0:
            if not job.runs:
                self._ran[job.id] = job
            job.runs += 1
        elif current.attempt > run.attempt:
            job.retries += 1
        self._fence += 1
        run.fence = self._fence
        run.attempt = current.attempt
        run.token = token
        run.epoch = node.epoch
        run.node = node.info.name
        run.status = RunStatus.RUNNING
        run.started = run.started or now
        self._more(run).began = now
        node.live[token] = run
        job.last_run = now
        self._changed(_RUN_CHANGED, run.id)
        return Claimed(Grant.STARTED, token, run.id, run.fence, due=run.due)

    async def finish(self, epoch: int, ends: Sequence[FinishRow]) -> tuple[list[bool], list[Timer]]:
        node = self._nodes.get(epoch)
        if node is None:
            return [False] * len(ends), []
        accepted: list[bool] = []
        timers: list[Timer] = []
        begun, live, name = node.begun, node.live, node.info.name
        for end in ends:
            token, status, outcome, started, ended, reason, error, result, due, counts, note = end
            if token in begun:
                if status is _SUCCEEDED and result is None and note is None:
                    accepted.append(True)
                    job = self._succeed(token, begun.pop(token), started, ended, name)
                    if job.active:
                        timers.extend(self._unqueue(job))
                    continue
                self._unfold(node, token)
            run = live.pop(token, None)
            if run is None:
                accepted.append(False)
                continue
            accepted.append(True)
            if run.attempt == 1 and (run.more is None or not run.more.attempts):
                run.started = started
            if status is not _SUCCEEDED or run.more is not None:
                self._record_attempt(run, node, started, ended, outcome, error)
            if result is not None or note is not None:
                more = self._more(run)
                more.result = result
                if note is not None:
                    _annotate(more, note)
            if status in _WAITING:
                attempt = run.attempt + 1 if counts else run.attempt
                timers.extend(self._wait(run, status, due or ended, attempt, ended))
                continue
            self._end(run, status, ended, reason)
            if run.job.active:
                timers.extend(self._unqueue(run.job))
        return accepted, timers

    async def release(self, epoch: int, tokens: Sequence[int]) -> list[Timer]:
        node = self._nodes.get(epoch)
        timers: list[Timer] = []
        if node is None:
            return timers
        now = self._clock.now()
        for token in tokens:
            self._unfold(node, token)
            run = node.live.pop(token, None)
            if run is not None:
                timers.extend(self._give_back(run, now))
        return timers

    async def claims(self, epoch: int) -> list[Live]:
        node = self._nodes.get(epoch)
        if node is None:
            return []
        return [
            Live(run.token, run.id, run.job.spec.id, run.planned, run.attempt, run.fence) for run in _executing(node)
        ]

    async def enqueue(self, items: Sequence[Enqueue]) -> list[Enqueued]:
        return [self._enqueue(item) for item in items]

    def _enqueue(self, item: Enqueue) -> Enqueued:
        now = self._clock.now()
        letter = self._dead.get(item.replay_of) if item.replay_of is not None else None
        job = self._jobs.get(item.job_id)
        if job is None or (item.replay_of is not None and letter is None):
            return Enqueued(PutStatus.MISSING)
        cancels: tuple[int, ...] = ()
        queued = False
        if job.active:
            overlap = job.spec.policy.overlap
            if overlap is Overlap.SKIP or (overlap is Overlap.QUEUE and self._queued(job) is not None):
                return Enqueued(PutStatus.CONFLICT)
            queued = overlap is Overlap.QUEUE
            if overlap is Overlap.CANCEL_RUNNING:
                cancels = self._supersede(job, now)
        run = self._queue(job, item.run_id, now, now, manual=True)
        more = self._more(run)
        more.queued = queued
        more.replay_of = item.replay_of
        if letter is not None:
            run.payload = letter.payload
        timer = self._wait_for(run, now, 1)
        return Enqueued(PutStatus.ADDED, None if queued else timer, cancels, _run_record(run))

    async def cancel_runs(self, run_ids: Sequence[int]) -> list[Cancelled]:
        now = self._clock.now()
        answers = []
        for run_id in run_ids:
            run = self._find(run_id)
            if run is None:
                plain = self._plain.get(run_id)
                answers.append(
                    Cancelled(run_id, None)
                    if plain is None
                    else Cancelled(run_id, RunStatus.SUCCEEDED, job_id=plain[_JOB_ID])
                )
            elif run.token:
                self._more(run).cancel = Reason.OPERATOR
                self._hints.give(run.epoch, 0)
                answers.append(Cancelled(run_id, run.status, run.token, run.epoch, run.job.spec.id))
            else:
                if not run.status.final:
                    self._end(run, RunStatus.CANCELLED, now, Reason.OPERATOR)
                    self._unqueue(run.job)
                answers.append(Cancelled(run_id, run.status, job_id=run.job.spec.id))
        return answers

    async def annotate(self, epoch: int, notes: Sequence[Note]) -> None:
        node = self._nodes.get(epoch)
        if node is None:
            return
        for note in notes:
            self._unfold(node, note.token)
            run = node.live.get(note.token)
            if run is not None:
                _annotate(self._more(run), note)
                self._changed(_RUN_CHANGED, run.id)

    # The life of a run

    def _unfold(self, node: _Node, token: int) -> None:
        """Give a run that has only begun the form in which more can be kept of it."""
        if token in node.begun:
            self._runs[token] = node.live[token] = _begun_run(node, token)
            del node.begun[token]

    def _unfold_all(self, node: _Node) -> list[_Run]:
        """Return all that the node executes, in the form in which more can be kept of it."""
        for token in list(node.begun):
            self._unfold(node, token)
        return list(node.live.values())

    def _find(self, run_id: int) -> _Run | None:
        """Return the run, in the form in which more can be kept of it, unless it is unknown or a `_Plain`."""
        for node in self._nodes.values():
            self._unfold(node, run_id)
        return self._runs.get(run_id)

    def _look_up(self, run_id: int) -> _Kept | None:
        """Return what is known of the run, to be read."""
        kept: _Kept | None = self._plain.get(run_id) or self._runs.get(run_id)
        if kept is None:
            for node in self._nodes.values():
                if run_id in node.begun:
                    return _begun_run(node, run_id)
        return kept

    def _active_runs(self, job: _Job) -> list[_Run]:
        if not job.active:
            return []
        return [run for run in map(self._find, job.active) if run is not None]

    def _more(self, run: _Run) -> _More:
        if run.more is None:
            run.more = _More()
        return run.more

    def _queue(self, job: _Job, run_id: int, planned: int, due: int, *, manual: bool) -> _Run:
        """Make a waiting run; it cannot be claimed before it has a timer."""
        run = _Run(run_id, job, planned, due, job.spec.payload)
        self._runs[run_id] = run
        job.active = (*job.active, run_id)
        more = self._more(run)
        more.manual = manual
        more.queued = not manual
        self._changed(_RUN_CHANGED, run_id)
        return run

    def _give_back(self, run: _Run, now: int) -> list[Timer]:
        """Let a claimed run wait whose attempt did not begin, or is not to count."""
        if run.more is None or not run.more.attempts:
            run.started = None
        return self._wait(run, RunStatus.PENDING, now, run.attempt, now)

    def _wait(self, run: _Run, status: RunStatus, due: int, attempt: int, now: int) -> list[Timer]:
        """Let a run that was executed wait for its next attempt; of a deleted job, or once cancelled, end it."""
        job = run.job
        cancel = run.more.cancel if run.more is not None else None
        if job.rev < 0 or cancel is not None:
            self._end(run, RunStatus.CANCELLED, now, cancel or Reason.JOB_CANCELLED)
            return self._unqueue(job)
        run.token = run.epoch = 0
        run.status = status
        self._changed(_RUN_CHANGED, run.id)
        timer = self._wait_for(run, due, attempt)
        return [timer] if self._startable(run.job, timer) else []

    def _wait_for(self, run: _Run, due: int, attempt: int) -> Timer:
        self._revision += 1
        timer = Timer(run.id, self._revision, due, run.planned, run.job.spec, attempt, run.payload)
        self._waiting[run.id] = timer
        if self._startable(run.job, timer):
            self._heap(run.job).add(timer)
        return timer

    def _unqueue(self, job: _Job) -> list[Timer]:
        """Let the run that queued start, now that nothing else of the job is active."""
        if len(job.active) != 1 or job.rev < 0:
            return []
        run = self._queued(job)
        if run is None:
            return []
        self._more(run).queued = False
        timer = self._wait_for(run, run.due, 1)
        return [timer] if self._startable(job, timer) else []

    def _queued(self, job: _Job) -> _Run | None:
        """Return the run that waits for the active ones of the job to end."""
        for run_id in job.active:
            run = self._runs.get(run_id)
            if run is not None and run.more is not None and run.more.queued:
                return run
        return None

    def _supersede(self, job: _Job, now: int) -> tuple[int, ...]:
        """End the job's waiting runs and return the tokens of those that execute."""
        tokens = []
        for run in self._active_runs(job):
            if run.token:
                self._more(run).cancel = Reason.SUPERSEDED
                self._hints.give(run.epoch, 0)
                tokens.append(run.token)
            else:
                self._end(run, RunStatus.CANCELLED, now, Reason.SUPERSEDED)
        return tuple(tokens)

    def _succeed(self, run_id: int, begun: _Begun, started: int, ended: int, node: str) -> _Job:
        """End a run as most end; return its job."""
        job, planned, due, payload, fence, _ = begun
        job.active = _without(job.active, run_id)
        job.last_status = _SUCCEEDED
        self._total_runs += 1
        self._turn = turn = self._turn + 1
        spec = job.spec
        kept = turn, run_id, spec.id, spec.func, job.id, planned, due, started, ended, fence, node, payload
        self._plain[run_id] = kept
        self._keep(job, kept, run_id)
        return job

    def _end(self, run: _Run, status: RunStatus, now: int, reason: Reason | None) -> None:
        """Give a run its final status and its place in the history."""
        job = run.job
        run_id = run.id
        job.active = _without(job.active, run_id)
        if self._waiting and self._waiting.pop(run_id, None) is not None:
            self._heap(job).discard(run_id)
        run.token = run.epoch = 0
        run.status = status
        run.ended = now
        job.last_status = status
        more = run.more
        if reason is not None:
            more = self._more(run)
            more.reason = reason
        self._total_runs += 1
        if status in _DEAD:
            job.failures += 1
            self._total_failures += 1
            if self._limits.dead_letters:
                self._more(run).dead = True
                self._dead[run_id] = run
                if len(self._dead) > self._limits.dead_letters:
                    self._discard(next(iter(self._dead)))
        elif more is not None and more.replay_of is not None and status is _SUCCEEDED:
            self._discard(more.replay_of)
        self._list(run, job)

    def _pass(self, job: _Job, gap: Gap) -> None:
        """Record instants that do not start. They join the record before them when that has the same reason."""
        open_gap = job.gap
        if (
            open_gap is not None
            and open_gap.id in self._runs
            and open_gap.status is gap.status
            and open_gap.more is not None
            and open_gap.more.reason is gap.reason
        ):
            open_gap.more.instants += gap.instants
            open_gap.more.last_due = gap.last
            open_gap.ended = self._clock.now()
            self._changed(_RUN_CHANGED, open_gap.id)
            return
        self._serial += 1
        run = _Run(self._serial, job, gap.first, gap.first, None)
        run.status = gap.status
        run.ended = self._clock.now()
        more = self._more(run)
        more.reason = gap.reason
        more.instants = gap.instants
        more.last_due = gap.last
        self._runs[run.id] = run
        job.gap = run
        self._list(run, job)

    # Records

    def _list(self, run: _Run, job: _Job) -> None:
        """Give an ended run its place in the order of ends."""
        self._turn = run.turn = self._turn + 1
        run.listed = True
        self._keep(job, run, run.id)

    def _keep(self, job: _Job, kept: _Kept, run_id: int) -> None:
        """Put what is kept of an ended run into the total history and among the last of its job; forget the oldest."""
        recent = job.recent
        most = self._limits.kept_per_job
        if len(recent) < most:
            job.recent = (*recent, kept)
        elif most:
            job.recent = (*recent[1:], kept)
            oldest = recent[0]
            if not isinstance(oldest, tuple):
                self._forget(oldest)
            elif oldest[0] <= self._unlisted:
                self._plain.pop(oldest[1], None)
        self._history.append(kept)
        if len(self._history) > self._limits.history:
            self._unlist()
        if self._feed is not None:
            self._changed(_RUN_CHANGED, run_id)

    def _is_listed(self, kept: _Kept) -> bool:
        """Tell whether the run stands in the total history, and not only among the last of its job."""
        return kept[0] > self._unlisted if isinstance(kept, tuple) else kept.listed

    def _unlist(self) -> None:
        """Take the oldest run out of the total history."""
        kept = self._history.popleft()
        if isinstance(kept, tuple):
            self._unlisted = kept[0]
        else:
            kept.listed = False
        self._forget(kept)

    def _forget(self, kept: _Kept) -> None:
        """Drop the record unless something keeps it: the total history, the last of a job with a future, a letter."""
        if isinstance(kept, tuple):
            if kept[0] > self._unlisted:
                return
            job = self._ran.get(kept[_JOB_SERIAL])
        else:
            if kept.listed or (kept.more is not None and kept.more.dead):
                return
            job = kept.job if kept.job.rev >= 0 else None
        if job is None:
            self._drop(kept)
        elif job.planned is not None or job.spec.origin is _DECLARED or job.active:
            if not job.recent or _turn(kept) < _turn(job.recent[0]):
                self._drop(kept)
        else:
            self._drop(kept)
            if not self._has_records(job):
                self._remove(job)

    def _drop(self, kept: _Kept) -> None:
        if isinstance(kept, tuple):
            self._plain.pop(kept[1], None)
        else:
            self._runs.pop(kept.id, None)

    def _has_records(self, job: _Job) -> bool:
        for kept in job.recent:
            if self._is_listed(kept):
                return True
        return job.failures > 0 and any(run.job is job for run in self._dead.values())

    def _discard(self, run_id: int) -> bool:
        run = self._dead.pop(run_id, None)
        if run is None:
            return False
        assert run.more is not None
        run.more.dead = False
        self._forget(run)
        self._changed(_RUN_CHANGED, run_id)
        return True

    def _record_attempt(
        self, run: _Run, node: _Node, started: int, ended: int, outcome: Outcome, error: ErrorInfo | None
    ) -> None:
        more = self._more(run)
        more.attempts.append(AttemptRecord(run.attempt, node.info.name, started, ended, outcome, error))
        more.error = error

    async def get_runs(self, run_ids: Sequence[int]) -> list[RunRecord | None]:
        return [None if kept is None else _run_record(kept) for kept in map(self._look_up, run_ids)]

    async def list_runs(self, which: RunFilter, limit: int, cursor: str | None = None) -> RunPage:
        after = None if cursor is None else read_place(cursor)
        page: list[_Kept] = []
        for run in self._newest_first(which):
            if (after is not None and _place(run) >= after) or not _chosen(run, which):
                continue
            if len(page) == limit:
                return [_run_record(run) for run in page], write_place(*_place(page[-1]))
            page.append(run)
        return [_run_record(run) for run in page], None

    def _newest_first(self, which: RunFilter) -> Iterator[_Kept]:
        if which.dead:
            yield from reversed(self._dead.values())
            return
        runs = self._runs
        active = [run for node in self._nodes.values() for run in _executing(node)]
        active += [runs[run_id] for run_id in self._waiting]
        yield from sorted(active, key=_place, reverse=True)
        # The total history stands in order. What was taken out of it and is kept apart ended before all of it.
        yield from reversed(self._history)
        apart: dict[int, _Kept] = {}
        if which.job_id is None:
            apart.update((run.id, run) for run in runs.values() if run.turn and not run.listed)
            apart.update((plain[1], plain) for plain in self._plain.values() if plain[0] <= self._unlisted)
        else:
            job = self._jobs.get(which.job_id)
            recent = job.recent if job is not None else ()
            letters = [run for run in self._dead.values() if run.job.spec.id == which.job_id]
            apart.update((_run_id(kept), kept) for kept in (*recent, *letters) if not self._is_listed(kept))
        yield from sorted(apart.values(), key=_place, reverse=True)

    async def discard_dead_letters(self, run_ids: Sequence[int] | None) -> int:
        wanted = list(self._dead) if run_ids is None else run_ids
        return sum(self._discard(run_id) for run_id in wanted)

    async def totals(self, *, per_job: bool = True) -> Totals:
        counts: dict[str, Counts] = {}
        for job in self._ran.values() if per_job else ():
            counts[job.spec.id] = Counts(job.runs, job.failures, job.retries)
        # The heaps hold what may come due: of each job its occurrence, and the waiting runs that may start.
        startable = [timer for timer in self._waiting.values() if self._startable(self._runs[timer.id].job, timer)]
        return Totals(
            since=self._since,
            jobs=len(self._jobs),
            active_jobs=sum(map(len, self._timers.values())) - len(startable),
            active_runs=len(self._waiting) + sum(node.active for node in self._nodes.values()),
            runs=self._total_runs,
            failures=self._total_failures,
            nodes=len(self._nodes),
            dead_letters=len(self._dead),
            per_job=counts,
        )

    async def prune(self, limit: int) -> int:
        # The number is bounded where records are made; what is left to do is their age.
        oldest = self._clock.now() - int(self._limits.retention * SECOND)
        before = len(self._runs) + len(self._plain)
        grown: list[_Kept] = []
        while self._history and before - len(self._runs) - len(self._plain) < limit:
            kept = self._history[0]
            ended = kept[_ENDED] if isinstance(kept, tuple) else kept.ended
            if ended is not None and ended < oldest:
                self._unlist()
            elif not isinstance(kept, tuple) and kept.more is not None and kept.more.instants > 1:
                # A gap that grew is younger than its place; it must not shield what stands behind it.
                grown.append(self._history.popleft())
            else:
                break
        self._history.extendleft(reversed(grown))
        return before - len(self._runs) - len(self._plain)

    # Hints

    def watch(self, epoch: int) -> AsyncIterator[int]:
        return self._hints.watch(epoch)

    def wake(self, epoch: int, due: int) -> None:
        self._hints.give_others(epoch, due)

    async def changes(self, cursor: int | None) -> Changes:
        # Nothing is kept before somebody follows: a feed would cost every run of those who do not.
        if self._feed is None:
            self._feed = Feed()
        return self._feed.since(cursor)

    def _changed(self, kind: ChangeKind, subject: str | int) -> None:
        if self._feed is not None:
            self._feed.note(kind, subject)


# An enum's member is looked up through its class and a descriptor; a global is not.
_STARTED, _SUCCEEDED, _RUNNING, _API = Grant.STARTED, RunStatus.SUCCEEDED, RunStatus.RUNNING, Origin.API
_INSERT, _KEEP, _UPDATE, _DECLARE = PutMode.INSERT, PutMode.KEEP, PutMode.UPDATE, PutMode.DECLARE
_ADDED, _REPLACED, _DECLARED = PutStatus.ADDED, PutStatus.REPLACED, Origin.DECLARED
_JOB_CHANGED, _JOB_REMOVED, _RUN_CHANGED = ChangeKind.JOB, ChangeKind.JOB_REMOVED, ChangeKind.RUN
_JOB_ID: Final = 2
_FUNC: Final = 3
_JOB_SERIAL: Final = 4
_ENDED: Final = 8
_NO_COUNTS = Counts()
_NOTHING = _More()
_WAITING = frozenset({RunStatus.PENDING, RunStatus.RETRYING})


def _batch() -> int:
    """Return how many claims a batch may have: as long as the garbage collector does not notice them.

    When a batch and what the one before left stay below the threshold of the youngest generation, they are gone
    before it looks. When a run in flight was some 14 objects, each batch of 64 set off a collection on Python 3.11,
    and what it found alive a full one per 10,000 runs: 2 us of 11 a run, and a stall of 13 ms. A run is fewer now, and
    64 no longer does; it would save one instruction in a hundred, and hold up the loop for longer.
    """
    return min(64, max(32, gc.get_threshold()[0] // 20))


def _serial(job: _Job) -> int:
    return job.id


def _due_order(timer: Timer) -> tuple[int, int]:
    return timer.due, timer.id


def _earliest(heap: Timers[_Job | Timer]) -> int:
    first = next(heap.ascending(), None)
    return MAX_INSTANT if first is None else first.due


def _began(run: _Run) -> int:
    """Return when the run's present attempt began, as far as the store knows."""
    if run.more is not None and run.more.began is not None:
        return run.more.began
    return run.due if run.started is None else run.started


def _turn(kept: _Kept) -> int:
    return kept[0] if isinstance(kept, tuple) else kept.turn


def _run_id(kept: _Kept) -> int:
    return kept[1] if isinstance(kept, tuple) else kept.id


def _place(kept: _Kept) -> tuple[bool, int, int]:
    """Return what orders runs, oldest first: ended ones as they ended, then active ones as they are due."""
    if isinstance(kept, tuple):
        return False, kept[0], 0
    return (False, kept.turn, 0) if kept.turn else (True, kept.due, kept.id)


def _begun_run(node: _Node, token: int) -> _Run:
    job, planned, due, payload, fence, now = node.begun[token]
    return _Run(token, job, planned, due, payload, _RUNNING, 1, token, node.epoch, fence, node.info.name, now)


def _executing(node: _Node) -> list[_Run]:
    """Return all that the node executes, to be read."""
    return [*node.live.values(), *(_begun_run(node, token) for token in node.begun)]


def _without(active: tuple[int, ...], run_id: int) -> tuple[int, ...]:
    return () if len(active) == 1 else tuple(other for other in active if other != run_id)


def _matches(spec: JobSpec, query: str) -> bool:
    words: Iterable[str] = (spec.id, spec.name, spec.func, spec.group, *spec.tags)
    return any(query in word.casefold() for word in words)


def _chosen(kept: _Kept, which: RunFilter) -> bool:
    if isinstance(kept, tuple):
        job_id, func, status = kept[_JOB_ID], kept[_FUNC], RunStatus.SUCCEEDED
    else:
        job_id, func, status = kept.job.spec.id, kept.job.spec.func, kept.status
    if which.job_id is not None and job_id != which.job_id:
        return False
    if which.func is not None and which.func not in (func, func.rpartition(":")[2]):
        return False
    return which.status is None or status is which.status


def _annotate(more: _More, note: Note) -> None:
    if note.done is not None:
        more.progress = (note.done, note.total)
    if note.log:
        more.log = note.log


def _run_record(kept: _Kept) -> RunRecord:
    if isinstance(kept, tuple):
        return _plain_record(kept)
    run = kept
    more = run.more or _NOTHING
    attempts = tuple(more.attempts)
    if run.status is RunStatus.RUNNING or (run.status is RunStatus.SUCCEEDED and not attempts):
        outcome = Outcome.OK if run.status is RunStatus.SUCCEEDED else None
        attempts += (AttemptRecord(run.attempt, run.node or "", _began(run), run.ended, outcome, None),)
    spec, due = run.job.spec, run.due
    record = (
        run.id, spec.id, spec.func, run.status, more.reason, due, run.planned, run.started, run.ended,
        run.attempt, attempts, more.error, more.result, more.progress, more.log, more.manual, more.replay_of,
        run.fence, run.node, more.instants, due if more.last_due is None else more.last_due, run.payload,
    )  # fmt: skip
    return _new(RunRecord, record)


def _plain_record(plain: _Plain) -> RunRecord:
    _, run_id, job_id, func, _, planned, due, started, ended, fence, node, payload = plain
    attempt = AttemptRecord(1, node or "", due if started is None else started, ended, Outcome.OK, None)
    record = (
        run_id, job_id, func, _SUCCEEDED, None, due, planned, started, ended, 1, (attempt,),
        None, None, None, (), False, None, fence, node, 1, due, payload,
    )  # fmt: skip
    return _new(RunRecord, record)
