"""The store in this process's memory: nothing survives it, and every worker process has its own.

It keeps the state objects of :mod:`asched.rules` themselves, so its rules need no load and its save is a matter of
heaps and records. No method waits inside: each is one atomic step of the event loop, and several engines may share one
object.

It is on the hot path as well. What it keeps per job is small, and one heap per function orders what comes due. A run
that executes its first attempt is a tuple, and so is its record if it succeeds; only runs of which there is more to
keep become objects.
"""

from __future__ import annotations

import gc
import random
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from asched.clock import Clock
from asched.instants import MAX_INSTANT, SECOND
from asched.model import JobSpec, Origin, Outcome, Overlap, RunStatus
from asched.rules import claims as claim_rules
from asched.rules import ends as end_rules
from asched.rules import jobs as job_rules
from asched.rules import requests, runs
from asched.rules.plain import EARLY, is_plain_claim, is_plain_end
from asched.rules.state import GapState, JobState, NodeState, RunState, Step
from asched.store import (
    AttemptRecord,
    Beat,
    Cancelled,
    ChangeKind,
    Claim,
    Claimed,
    ClaimedRow,
    ClaimRow,
    Counts,
    Deleted,
    Enqueue,
    Enqueued,
    Finish,
    FinishRow,
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
from asched.stores.base import Abilities, BaseStore
from asched.stores.cursors import read_place, read_serial, write_place
from asched.timers import Timers

__all__ = ["MemoryStore"]

_new = tuple.__new__
"""Makes a named tuple for 0.16 us, calling its class takes 0.36; every run that starts makes two."""


class _Job(JobState):
    """A job, and the last of its runs that have ended, oldest first.

    Those stand in a tuple, though it is replaced at each end: it is short, and a tuple of plain runs is no concern of
    the garbage collector, while an object of its own is, and cost a twentieth of a run.
    """

    __slots__ = ("recent",)

    def __init__(self, spec: JobSpec, serial: int, now: int, paused: bool) -> None:
        super().__init__(spec, serial, now, paused)
        self.recent: tuple[_Kept, ...] = ()


_Begun: TypeAlias = tuple[_Job, int, int, bytes | None, int, int]
"""A run that executes its first attempt, and of which there is nothing else to say: job, planned, due, payload, fence,
when it was claimed. Most runs are nothing else until they are a `_Plain`; it costs a third of a `RunState`."""

_Plain: TypeAlias = tuple[
    int, int, str, str, int, int, int, int | None, int | None, int, str | None, bytes | None, bytes | None
]
"""A run that succeeded at once, as it is remembered: turn, id, job's id, function, job's serial number, planned, due,
started, ended, fence, node, payload, result. An exact tuple of ints and strings is no concern of the garbage collector,
and there are 20 of them for each job: as objects they doubled the cost of a run."""


class _Ended:
    """Any other record: of a run that has ended, or of passed instants."""

    __slots__ = ("dead", "job", "listed", "record", "turn")

    def __init__(self, record: RunRecord, job: _Job, turn: int) -> None:
        self.record = record
        self.job = job
        self.turn = turn
        """Its place in the order in which runs ended."""
        self.listed = True
        """It stands in the total history; otherwise only among the last of its job."""
        self.dead = False


_Kept: TypeAlias = "_Ended | _Plain"


class _Lease:
    """A node, and what it executes."""

    __slots__ = ("begun", "epoch", "info", "live", "started", "until")

    def __init__(self, epoch: int, info: NodeInfo, now: int, until: int) -> None:
        self.epoch = epoch
        self.info = info
        self.started = now
        self.until = until
        self.begun: dict[int, _Begun] = {}
        """What it executes, by token, as long as it is no more than that."""
        self.live: dict[int, RunState] = {}
        """What else it executes, by token."""

    @property
    def active(self) -> int:
        return len(self.begun) + len(self.live)

    @property
    def state(self) -> NodeState:
        return NodeState(self.epoch, self.info.name)


class MemoryStore(BaseStore):
    """Keeps a schedule in this process. Several schedulers of one event loop may share one object.

    Args:
        lease: Seconds after which a scheduler that gave no sign is taken for dead by the others. By default none is:
            schedulers that share a process die together, and nobody wakes up to give signs.
    """

    # Beyond thirty attributes the interpreter no longer finds those of a plain object by their place.
    __slots__ = (
        "_able",
        "_clock",
        "_dead",
        "_epoch",
        "_fence",
        "_generations",
        "_history",
        "_ids",
        "_in_order",
        "_jobs",
        "_lease",
        "_leases",
        "_limits",
        "_open_runs",
        "_plain",
        "_ran",
        "_records",
        "_serial",
        "_since",
        "_timers",
        "_tombstones",
        "_total_failures",
        "_total_runs",
        "_turn",
        "_unlisted",
        "caps",
    )

    def __init__(self, *, lease: float = float("inf")) -> None:
        super().__init__()
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
        self._clock: Clock
        self._limits = Limits()
        self._able = Abilities()
        self._jobs: dict[str, _Job] = {}
        self._timers: dict[str, Timers[_Job | Timer]] = {}
        """By function: the jobs by their next occurrence, and the timers of waiting runs."""
        self._open_runs: dict[int, RunState] = {}
        """The runs that have not ended, by id, but for those that are a `_Begun`."""
        self._records: dict[int, _Ended] = {}
        self._plain: dict[int, _Plain] = {}
        self._history: deque[_Kept] = deque()
        self._unlisted = 0
        """The turn of the plain run that was last taken out of the history."""
        self._turn = 0
        self._dead: dict[int, _Ended] = {}
        self._ran: dict[int, _Job] = {}
        self._leases: dict[int, _Lease] = {}
        self._tombstones: dict[str, str | None] = {}
        self._in_order: list[_Job] | None = None
        self._generations: dict[str, int] = {}
        self._serial = 0
        self._ids = 0
        self._epoch = 0
        self._fence = 0
        self._since = 0
        self._total_runs = 0
        self._total_failures = 0

    def __repr__(self) -> str:
        return "MemoryStore()"

    def describe(self) -> str:
        return "memory"

    async def _open(self, namespace: str, limits: Limits, clock: Clock) -> None:
        if self._namespace is not None:
            self._check_namespace(namespace)  # what it held when it was closed is still here
            return
        self._limits = limits
        self._clock = clock
        self._since = clock.now()

    async def _close(self) -> None:
        pass

    def _abandon(self) -> None:
        # Nobody gives signs for these nodes any more: the next one to register takes over what they ran.
        for node in self._leases.values():
            node.until = -1

    async def now(self) -> int:
        return self._clock.now()

    # Nodes

    async def register(self, info: NodeInfo) -> int:
        self._epoch += 1
        now = self._clock.now()
        self._leases[self._epoch] = _Lease(self._epoch, info, now, now + self._lease)
        self._add_node(self._epoch, info)
        self._able.add(info)
        return self._epoch

    async def announce(self, epoch: int, info: NodeInfo) -> None:
        node = self._leases.get(epoch)
        if node is None:
            return
        self._able.remove(node.info)
        self._able.add(info)
        node.info = info

    async def heartbeat(self, epoch: int) -> Beat:
        now = self._clock.now()
        node = self._leases.get(epoch)
        if node is None:
            return Beat(now, False, 0, ())
        node.until = now + self._lease
        cancels = tuple(token for token, run in node.live.items() if run.cancel is not None)
        return Beat(now, True, node.active, cancels)

    async def reap(self) -> list[Reaped]:
        now = self._clock.now()
        reaped = []
        for node in [node for node in self._leases.values() if node.until < now]:
            step = self._step(now)
            self._load_node(step, node)
            reaped.append(end_rules.reap(step, node.state))
            self._remove_node(node)
            self._save(step)
        return reaped

    async def leave(self, epoch: int) -> list[Timer]:
        node = self._leases.get(epoch)
        if node is None:
            return []
        step = self._step(self._clock.now())
        self._load_node(step, node)
        end_rules.release(step, epoch)
        self._remove_node(node)
        self._save(step)
        timers = step.timers()
        self._hint_timers(timers)
        return timers

    def _remove_node(self, node: _Lease) -> None:
        del self._leases[node.epoch]
        self._able.remove(node.info)
        self._drop_node(node.epoch)

    async def nodes(self) -> list[NodeRecord]:
        return [
            NodeRecord(node.epoch, node.info, node.started, node.until, node.active) for node in self._leases.values()
        ]

    # Jobs

    async def put_jobs(self, mode: PutMode, items: Sequence[PutRow]) -> list[Put]:
        now = self._clock.now()
        puts: list[Put] = []
        if mode is _INSERT:
            for row in items:
                if row[0].id in self._jobs or row[4] is not None:
                    break
                puts.append(self._add(row, now))
            else:
                return puts
        return puts + self._put_by_rules(mode, list(map(PutItem._make, items[len(puts) :])), now)

    def _put_by_rules(self, mode: PutMode, items: Sequence[PutItem], now: int) -> list[Put]:
        step = self._step(now)
        jobs = self._jobs
        names = {name for item in items for name in (item.spec.id, *item.aliases)}
        known = {name: self._load(step, jobs[name]) for name in names if name in jobs}
        stones = {name: self._tombstones[name] for name in names if name in self._tombstones}
        rules = job_rules.Puts(step, mode, known, stones, number=self._next_serial, record=self._record, job_type=_Job)
        puts = rules.answers(items)
        self._save(step)
        return puts

    def _add(self, item: PutRow, now: int) -> Put:
        """Add a job under an id that is free: what most puts are."""
        spec, planned, due, paused, _, _, _, _ = item
        self._jobs[spec.id] = job = _Job(spec, self._next_serial(), now, paused)
        self._in_order = None
        self._set_timer(job, planned, due)
        if self._feed is not None:
            self._changed(_JOB_CHANGED, spec.id)
        return _new(Put, (_ADDED, self._record(job), job.timer, ()))

    def _next_serial(self) -> int:
        self._serial += 1
        return self._serial

    def _rename(self, job: _Job, old_id: str) -> None:
        job_id = job.spec.id
        del self._jobs[old_id]
        self._jobs[job_id] = job
        self._in_order = None
        for ended in self._records.values():
            if ended.job is job:
                ended.record = ended.record._replace(job_id=job_id)
        renamed: dict[int, _Plain] = {
            plain[0]: (*plain[:2], job_id, *plain[3:])
            for plain in self._plain.values()
            if plain[_JOB_ID] == old_id and plain[_JOB_SERIAL] == job.id
        }
        if renamed:
            self._plain.update((plain[1], plain) for plain in renamed.values())
            self._history = deque(renamed.get(_turn(kept), kept) for kept in self._history)
            job.recent = tuple(renamed.get(_turn(kept), kept) for kept in job.recent)

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

    async def pause_jobs(self, which: Selection) -> tuple[list[JobRecord], list[Timer]]:
        step, chosen = self._take(which)
        paused = job_rules.pause(step, chosen)
        self._save(step)
        return list(map(self._record, paused)), step.timers()

    async def resume_jobs(self, which: Selection) -> tuple[list[JobRecord], list[Timer]]:
        step, chosen = self._take(which)
        resumed = job_rules.resume(step, chosen, random.random)
        self._save(step)
        return list(map(self._record, resumed)), step.timers()

    async def delete_jobs(self, which: Selection) -> Deleted:
        step, chosen = self._take(which)
        deleted = job_rules.delete(step, chosen)
        self._save(step)
        return deleted

    def _take(self, which: Selection) -> tuple[Step, list[_Job]]:
        """Load the jobs that are chosen."""
        step = self._step(self._clock.now())
        return step, [self._load(step, job) for job in self._selected(which)]

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

    def _record(self, job: JobState) -> JobRecord:
        return job.record(self._able.resolve(job.spec))

    # Timers

    def _set_timer(self, job: _Job, planned: int | None, due: int | None) -> None:
        """Move the job's timer, and bring its heap up to date."""
        job.move(planned, due)
        func = job.spec.func
        heap = self._timers.get(func)
        if heap is None:
            heap = self._timers[func] = Timers()
        if job.planned is None or job.paused:
            heap.discard(job.id)
        else:
            heap.add(job)

    def _heap(self, func: str) -> Timers[_Job | Timer]:
        heap = self._timers.get(func)
        if heap is None:
            heap = self._timers[func] = Timers()
        return heap

    async def window(self, epoch: int, until: int, limit: int) -> Window:
        now = self._clock.now()
        node = self._leases.get(epoch)
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
        node = self._leases.get(epoch)
        if node is None or node.until < now:
            return []
        latest = now + EARLY
        heaps = self._timers
        answers: list[ClaimedRow] = []
        step: Step | None = None
        for claim in claims:
            if is_plain_claim(claim):
                timer, token, _, planned, due, next_planned, next_due, _, _ = claim
                spec = timer.spec
                # Where it comes due, and not by its id among all jobs: those may be a million, scattered in memory.
                heap = heaps.get(spec.func)
                job = None if heap is None else heap.items.get(timer.id)
                if (
                    isinstance(job, _Job)
                    and job.rev == timer.rev
                    and job.due <= latest
                    and (not job.active or job.spec.policy.overlap is _ALLOW)
                ):
                    answers.append(self._start(node, job, token, planned, due, next_planned, next_due, now))
                    continue
            if step is None:
                step = self._step(now)
            answers.append(self._claim_by_rules(step, node, Claim._make(claim)))
        if step is not None:
            self._save(step)
        return answers

    def _claim_by_rules(self, step: Step, node: _Lease, claim: Claim) -> Claimed:
        timer = claim.timer
        if timer.attempt:
            found = [self._open_runs.get(timer.id)]
        else:
            job: _Job | Timer | None = self._jobs.get(timer.spec.id)
            if job is None or job.id != timer.id:
                job = self._heap(timer.spec.func).items.get(timer.id)  # it has another id by now
            if isinstance(job, _Job):
                self._load(step, job)
            found = []
        # Where the claim is repeated, since its answer was lost, its token names the run that it made.
        for run in (*found, self._find(claim.token)):
            if run is not None:
                self._load(step, run.job)
        [answer] = claim_rules.claim(step, node.state, (claim,), self._fences())
        return answer

    def _fences(self) -> Iterator[int]:
        while True:
            self._fence += 1
            yield self._fence

    def _start(
        self, node: _Lease, job: _Job, token: int, planned: int, due: int,
        next_planned: int | None, next_due: int | None, now: int,
    ) -> ClaimedRow:  # fmt: skip
        """Start an occurrence as most start."""
        job.planned_runs += 1
        self._set_timer(job, next_planned, next_due)
        if not job.runs:
            self._ran[job.id] = job
        job.runs += 1
        job.gap = None
        job.last_run = now
        self._fence = fence = self._fence + 1
        node.begun[token] = (job, planned, due, job.spec.payload, fence, now)
        job.active += (token,)
        if self._feed is not None:
            self._changed(_RUN_CHANGED, token)
        return _STARTED, token, token, fence, job.timer, (), 0

    async def finish(self, epoch: int, ends: Sequence[FinishRow]) -> tuple[list[bool], list[Timer]]:
        node = self._leases.get(epoch)
        if node is None:
            return [False] * len(ends), []
        accepted: list[bool] = []
        timers: list[Timer] = []
        begun, name, waits = node.begun, node.info.name, self._open_runs
        step: Step | None = None
        for end in ends:
            token = end[0]
            if token in begun and is_plain_end(end):
                if step is not None:
                    # Records stand in the order of the ends.
                    timers += self._save(step)
                    step = None
                _, _, _, started, ended, _, _, result, _, _, _ = end
                accepted.append(True)
                job = self._succeed(token, begun.pop(token), started, ended, name, result)
                if len(job.active) == 1 and job.active[0] in waits:
                    step = self._step(self._clock.now())
                    self._load(step, job)
                    end_rules.let_queued_start(step)
                continue
            if step is None:
                step = self._step(self._clock.now())
            run = self._find_claim(node, token)
            if run is not None:
                self._load(step, run.job)
            accepted += end_rules.finish(step, node.state, (Finish._make(end),))
        if step is not None:
            timers += self._save(step)
        return accepted, timers

    async def release(self, epoch: int, tokens: Sequence[int]) -> list[Timer]:
        node = self._leases.get(epoch)
        if node is None:
            return []
        step = self._step(self._clock.now())
        for token in tokens:
            run = self._find_claim(node, token)
            if run is not None:
                self._load(step, run.job)
        end_rules.release(step, epoch, tokens)
        return self._save(step)

    async def claims(self, epoch: int) -> list[Live]:
        node = self._leases.get(epoch)
        if node is None:
            return []
        return [
            Live(token, run.id, run.job.spec.id, run.planned, run.attempt, run.fence)
            for run in _executing(node)
            if (token := run.token) is not None
        ]

    async def enqueue(self, items: Sequence[Enqueue]) -> list[Enqueued]:
        step = self._step(self._clock.now())
        jobs, dead = self._jobs, self._dead
        by_id = {item.job_id: self._load(step, jobs[item.job_id]) for item in items if item.job_id in jobs}
        letters = {
            item.replay_of: dead[item.replay_of].record.payload
            for item in items
            if item.replay_of is not None and item.replay_of in dead
        }
        answers = requests.enqueue(step, items, by_id, letters)
        self._save(step)
        return answers

    async def cancel_runs(self, run_ids: Sequence[int]) -> list[Cancelled]:
        step = self._step(self._clock.now())
        for run_id in run_ids:
            run = self._find(run_id)
            if run is not None:
                self._load(step, run.job)
        answers = requests.cancel_runs(step, run_ids)
        self._save(step)
        return [answers[run_id] if run_id in answers else self._cancel_ended(run_id) for run_id in run_ids]

    def _cancel_ended(self, run_id: int) -> Cancelled:
        kept = self._ended(run_id)
        if kept is None:
            return Cancelled(run_id, None)
        record = _run_record(kept)
        return Cancelled(run_id, record.status, job_id=record.job_id)

    async def annotate(self, epoch: int, notes: Sequence[Note]) -> None:
        node = self._leases.get(epoch)
        if node is None:
            return
        for note in notes:
            run = self._find_claim(node, note.token)
            if run is not None:
                runs.note(run, note)
                self._changed(_RUN_CHANGED, run.id)

    # Loading and saving

    def _step(self, now: int) -> Step:
        return Step(now, keeps_letters=self._limits.dead_letters > 0)

    def _load(self, step: Step, job: JobState) -> _Job:
        """Take the job and its open runs into the step."""
        assert isinstance(job, _Job)
        step.jobs[job.id] = job
        for run_id in job.active:
            if run_id not in step.runs:
                run = self._find(run_id)
                assert run is not None
                step.runs[run_id] = run
        gap = job.gap
        if gap is not None and gap.id and gap.id not in self._records:
            job.gap = None  # the record has been forgotten
        return job

    def _load_node(self, step: Step, node: _Lease) -> None:
        """Take all that the node executes into the step."""
        for token in list(node.begun):
            self._unfold(node, token)
        for run in list(node.live.values()):
            self._load(step, run.job)

    def _unfold(self, node: _Lease, token: int) -> None:
        """Give a run that has only begun the form in which more can be kept of it."""
        run = _begun_run(node, token)
        self._open_runs[token] = node.live[token] = run
        del node.begun[token]

    def _find(self, run_id: int) -> RunState | None:
        """Return an open run, in the form in which more can be kept of it."""
        run = self._open_runs.get(run_id)
        if run is None:
            for node in self._leases.values():
                if run_id in node.begun:
                    self._unfold(node, run_id)
                    return self._open_runs[run_id]
        return run

    def _find_claim(self, node: _Lease, token: int) -> RunState | None:
        """Return what the node executes under a token."""
        if token in node.begun:
            self._unfold(node, token)
        return node.live.get(token)

    def _save(self, step: Step) -> list[Timer]:
        """Bring heaps, records and counts up to date; return the timers that arose or moved, and tell of the step."""
        edited = step.edited
        for serial, before in edited.items():
            job = step.jobs[serial]
            assert isinstance(job, _Job)
            if before.func != job.spec.func:
                heap = self._heap(before.func)
                for item in (serial, *job.active):
                    heap.discard(item)
            if before.id != job.spec.id:
                self._rename(job, before.id)
        for job in step.added:
            assert isinstance(job, _Job)
            self._jobs[job.spec.id] = job
            self._in_order = None
        for epoch, token in step.freed:
            if epoch in self._leases:
                self._leases[epoch].live.pop(token, None)
        for run in step.written.values():
            self._open_runs[run.id] = run
            if run.token is not None:
                self._leases[run.epoch].live[run.token] = run
            timer = run.timer
            if timer is None:
                self._heap(run.job.spec.func).discard(run.id)
            else:
                self._heap(run.job.spec.func).add(timer)
        for job in step.changed.values():
            assert isinstance(job, _Job)
            if job.id in step.moved:
                heap = self._heap(job.spec.func)
                if job.planned is None or job.paused:
                    heap.discard(job.id)
                else:
                    heap.add(job)
            if job.runs and not job.gone:
                self._ran[job.id] = job
        for job in step.removed:
            assert isinstance(job, _Job)
            self._remove(job)
        self._save_records(step)
        self._tell(step)
        return step.timers()

    def _save_records(self, step: Step) -> None:
        self._total_runs += step.ends
        self._total_failures += step.failures
        for made in step.records:
            job = made.job
            assert isinstance(job, _Job)
            self._turn += 1
            if isinstance(made, GapState):
                made.id = self._next_serial()
                ended = _Ended(_gap_record(made, step.now), job, self._turn)
                made.instants = 0
            else:
                self._open_runs.pop(made.id, None)
                self._heap(job.spec.func).discard(made.id)
                ended = _Ended(made.record(), job, self._turn)
                ended.dead = made.status.dead and step.keeps_letters
            run_id = ended.record.id
            self._records[run_id] = ended
            if ended.dead:
                self._dead[run_id] = ended
                if len(self._dead) > self._limits.dead_letters:
                    self._discard(next(iter(self._dead)))
            self._keep(job, ended)
            if isinstance(made, GapState) and self._feed is not None:
                self._changed(_RUN_CHANGED, run_id)
        for gap in step.grown.values():
            ended = self._records[gap.id]
            record = ended.record
            ended.record = record._replace(instants=record.instants + gap.instants, last_due=gap.last, ended=step.now)
            gap.instants = 0
            self._changed(_RUN_CHANGED, gap.id)
        for run_id in step.buried:
            self._discard(run_id)
        self._tombstones.update(step.stones)
        for job_id in step.lifted:
            self._tombstones.pop(job_id, None)

    def _succeed(
        self, run_id: int, begun: _Begun, started: int, ended: int, node: str, result: bytes | None
    ) -> _Job:  # fmt: skip
        """End a run as most end; return its job."""
        job, planned, due, payload, fence, _ = begun
        job.active = _without(job.active, run_id)
        job.last_status = _SUCCEEDED
        self._total_runs += 1
        self._turn = turn = self._turn + 1
        spec = job.spec
        kept = turn, run_id, spec.id, spec.func, job.id, planned, due, started, ended, fence, node, payload, result
        self._plain[run_id] = kept
        self._keep(job, kept)
        if self._feed is not None:
            self._changed(_RUN_CHANGED, run_id)
        return job

    # Records

    def _keep(self, job: _Job, kept: _Kept) -> None:
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
            if kept.listed or kept.dead:
                return
            job = None if kept.job.gone else kept.job
        if job is None:
            self._drop(kept)
        elif job.planned is not None or job.spec.origin is _DECLARED or job.active:
            if not job.recent or _turn(kept) < _turn(job.recent[0]):
                self._drop(kept)
        else:
            self._drop(kept)
            if not self._has_records(job):
                job.gone = True
                self._remove(job)
                self._changed(_JOB_REMOVED, job.spec.id)

    def _drop(self, kept: _Kept) -> None:
        if isinstance(kept, tuple):
            self._plain.pop(kept[1], None)
        else:
            self._records.pop(kept.record.id, None)

    def _has_records(self, job: _Job) -> bool:
        for kept in job.recent:
            if self._is_listed(kept):
                return True
        return job.failures > 0 and any(ended.job is job for ended in self._dead.values())

    def _remove(self, job: _Job) -> None:
        """Take a job that is gone out of everything; its records go when nothing else keeps them."""
        del self._jobs[job.spec.id]
        self._in_order = None
        self._ran.pop(job.id, None)
        self._heap(job.spec.func).discard(job.id)
        for kept in job.recent:
            self._forget(kept)

    def _discard(self, run_id: int) -> bool:
        ended = self._dead.pop(run_id, None)
        if ended is None:
            return False
        ended.dead = False
        self._forget(ended)
        self._changed(_RUN_CHANGED, run_id)
        return True

    def _ended(self, run_id: int) -> _Kept | None:
        return self._plain.get(run_id) or self._records.get(run_id)

    def _look_up(self, run_id: int) -> RunRecord | None:
        """Return what is known of the run."""
        kept = self._ended(run_id)
        if kept is not None:
            return _run_record(kept)
        run = self._open_runs.get(run_id)
        if run is not None:
            return run.record()
        for node in self._leases.values():
            if run_id in node.begun:
                return _begun_run(node, run_id).record()
        return None

    async def get_runs(self, run_ids: Sequence[int]) -> list[RunRecord | None]:
        return [self._look_up(run_id) for run_id in run_ids]

    async def list_runs(self, which: RunFilter, limit: int, cursor: str | None = None) -> RunPage:
        after = None if cursor is None else read_place(cursor)
        page: list[_Kept | RunState] = []
        for run in self._newest_first(which):
            if (after is not None and _place(run) >= after) or not _chosen(run, which):
                continue
            if len(page) == limit:
                return [_run_record(run) for run in page], write_place(*_place(page[-1]))
            page.append(run)
        return [_run_record(run) for run in page], None

    def _newest_first(self, which: RunFilter) -> Iterator[_Kept | RunState]:
        if which.dead:
            yield from reversed(self._dead.values())
            return
        active = [_begun_run(node, token) for node in self._leases.values() for token in node.begun]
        active += self._open_runs.values()
        yield from sorted(active, key=_place, reverse=True)
        # The total history stands in order. What was taken out of it and is kept apart ended before all of it.
        yield from reversed(self._history)
        apart: dict[int, _Kept] = {}
        if which.job_id is None:
            apart.update((run_id, ended) for run_id, ended in self._records.items() if not ended.listed)
            apart.update((plain[1], plain) for plain in self._plain.values() if plain[0] <= self._unlisted)
        else:
            job = self._jobs.get(which.job_id)
            recent = job.recent if job is not None else ()
            letters = [ended for ended in self._dead.values() if ended.record.job_id == which.job_id]
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
        startable = sum(run.startable for run in self._open_runs.values())
        return Totals(
            since=self._since,
            jobs=len(self._jobs),
            active_jobs=sum(map(len, self._timers.values())) - startable,
            active_runs=len(self._open_runs) + sum(len(node.begun) for node in self._leases.values()),
            runs=self._total_runs,
            failures=self._total_failures,
            nodes=len(self._leases),
            dead_letters=len(self._dead),
            per_job=counts,
        )

    async def prune(self, limit: int) -> int:
        # The number is bounded where records are made; what is left to do is their age.
        oldest = self._clock.now() - int(self._limits.retention * SECOND)
        before = len(self._records) + len(self._plain)
        grown: list[_Kept] = []
        while self._history and before - len(self._records) - len(self._plain) < limit:
            kept = self._history[0]
            ended = kept[_ENDED] if isinstance(kept, tuple) else kept.record.ended
            if ended is not None and ended < oldest:
                self._unlist()
            elif not isinstance(kept, tuple) and kept.record.instants > 1:
                # A gap that grew is younger than its place; it must not shield what stands behind it.
                grown.append(self._history.popleft())
            else:
                break
        self._history.extendleft(reversed(grown))
        return before - len(self._records) - len(self._plain)

    def _changed(self, kind: ChangeKind, subject: str | int) -> None:
        if self._feed is not None:
            self._feed.note(kind, subject)


# An enum's member is looked up through its class and a descriptor; a global is not.
_STARTED, _SUCCEEDED, _API = Grant.STARTED, RunStatus.SUCCEEDED, Origin.API
_INSERT, _ADDED, _DECLARED, _ALLOW = PutMode.INSERT, PutStatus.ADDED, Origin.DECLARED, Overlap.ALLOW
_JOB_CHANGED, _JOB_REMOVED, _RUN_CHANGED = ChangeKind.JOB, ChangeKind.JOB_REMOVED, ChangeKind.RUN
_JOB_ID: Final = 2
_FUNC: Final = 3
_JOB_SERIAL: Final = 4
_ENDED: Final = 8


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


def _turn(kept: _Kept) -> int:
    return kept[0] if isinstance(kept, tuple) else kept.turn


def _run_id(kept: _Kept) -> int:
    return kept[1] if isinstance(kept, tuple) else kept.record.id


def _place(kept: _Kept | RunState) -> tuple[bool, int, int]:
    """Return what orders runs, oldest first: ended ones as they ended, then active ones as they are due."""
    return (True, kept.due, kept.id) if isinstance(kept, RunState) else (False, _turn(kept), 0)


def _begun_run(node: _Lease, token: int) -> RunState:
    job, planned, due, payload, fence, now = node.begun[token]
    run = RunState(token, job, planned, due, payload)
    run.status = RunStatus.RUNNING
    run.attempt = 1
    run.token = token
    run.epoch = node.epoch
    run.node = node.info.name
    run.fence = fence
    run.started = now
    return run


def _executing(node: _Lease) -> list[RunState]:
    """Return all that the node executes, to be read."""
    return [*node.live.values(), *(_begun_run(node, token) for token in node.begun)]


def _without(active: tuple[int, ...], run_id: int) -> tuple[int, ...]:
    return () if len(active) == 1 else tuple(other for other in active if other != run_id)


def _matches(spec: JobSpec, query: str) -> bool:
    words: Iterable[str] = (spec.id, spec.name, spec.func, spec.group, *spec.tags)
    return any(query in word.casefold() for word in words)


def _chosen(kept: _Kept | RunState, which: RunFilter) -> bool:
    if isinstance(kept, tuple):
        job_id, func, status = kept[_JOB_ID], kept[_FUNC], RunStatus.SUCCEEDED
    elif isinstance(kept, RunState):
        job_id, func, status = kept.job.spec.id, kept.job.spec.func, kept.status
    else:
        job_id, func, status = kept.record.job_id, kept.record.func, kept.record.status
    if which.job_id is not None and job_id != which.job_id:
        return False
    if which.func is not None and which.func not in (func, func.rpartition(":")[2]):
        return False
    return which.status is None or status is which.status


def _run_record(kept: _Kept | RunState) -> RunRecord:
    if isinstance(kept, RunState):
        return kept.record()
    return _plain_record(kept) if isinstance(kept, tuple) else kept.record


def _plain_record(plain: _Plain) -> RunRecord:
    _, run_id, job_id, func, _, planned, due, started, ended, fence, node, payload, result = plain
    attempt = AttemptRecord(1, node or "", due if started is None else started, ended, Outcome.OK, None)
    record = (
        run_id, job_id, func, _SUCCEEDED, None, due, planned, started, ended, 1, (attempt,),
        None, result, None, (), False, None, fence, node, 1, due, payload,
    )  # fmt: skip
    return _new(RunRecord, record)


def _gap_record(gap: GapState, now: int) -> RunRecord:
    spec = gap.job.spec
    return RunRecord(
        gap.id, spec.id, spec.func, gap.status, gap.reason, gap.first, gap.first, None, now, 0, (), None, None, None,
        (), False, None, 0, None, gap.instants, gap.last, None,
    )  # fmt: skip
