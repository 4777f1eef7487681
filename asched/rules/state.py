"""State that a store has loaded, and the step that collects what the rules decide about it."""

from __future__ import annotations

from collections.abc import Container, Iterable

from asched.model import JobSpec, Origin, Outcome, Reason, RunStatus
from asched.store import (
    AttemptRecord,
    Change,
    ChangeKind,
    Counts,
    Gap,
    JobRecord,
    RunRecord,
    Timer,
)
from asched.triggers import Trigger

__all__ = ["NO_COUNTS", "GapState", "JobState", "NodeState", "RunState", "Step", "resolved", "shown_attempts"]

NO_COUNTS = Counts()


class GapState:
    """The newest record of a job's passed instants. Passed instants of the same status and reason extend it."""

    __slots__ = ("first", "id", "instants", "job", "last", "reason", "status")

    def __init__(self, job: JobState, status: RunStatus, reason: Reason, first: int = 0, last: int = 0) -> None:
        self.id = 0
        """The record's number; 0 until the store has given it one."""
        self.job = job
        self.status = status
        self.reason = reason
        self.first = first
        self.last = last
        self.instants = 0
        """How many instants this step adds."""


class JobState:
    """A job: its spec, what comes next, and what it has behind it. Small, because there may be a million."""

    __slots__ = (
        "active",
        "created",
        "due",
        "failures",
        "gap",
        "gone",
        "id",
        "last_run",
        "last_status",
        "paused",
        "planned",
        "planned_runs",
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
        """The serial number, which the job's timers bear. Users know the job by ``spec.id``."""
        self.planned: int | None = None
        """The next occurrence, if there is one."""
        self.due = 0
        """The instant to act on it; meaningless without one."""
        self.version = 1
        self.rev = 0
        """Revision of the timer: every change that a node must hear of raises it."""
        self.created = now
        self.updated = now
        self.paused = paused
        self.gone = False
        """The job is deleted; attempts that execute are still its own."""
        self.active: tuple[int, ...] = ()
        """Ids of the runs that have not ended, oldest first."""
        self.runs = 0
        """How many runs have started."""
        self.failures = 0
        self.retries = 0
        self.planned_runs = 0
        self.last_run: int | None = None
        self.last_status: RunStatus | None = None
        self.gap: GapState | None = None

    @property
    def timer(self) -> Timer | None:
        """The timer of the next occurrence; ``None`` where none may be claimed."""
        # Made when it is asked for: kept, it would be one more object of each job for the garbage collector to visit.
        planned = self.planned
        return None if planned is None or self.paused else Timer(self.id, self.rev, self.due, planned, self.spec)

    def move(self, planned: int | None, due: int | None) -> None:
        """Set the timer. Without both instants the job has no next occurrence."""
        self.rev += 1
        if planned is None or due is None:
            self.planned = None
        else:
            self.planned, self.due = planned, due

    def record(self, resolved: bool) -> JobRecord:
        planned = self.planned
        counts = Counts(self.runs, self.failures, self.retries) if self.runs or self.failures else NO_COUNTS
        state = (
            self.spec, self.id, self.version, self.created, self.updated, self.paused,
            planned, None if planned is None else self.due,
            len(self.active), counts, self.planned_runs, self.last_run, self.last_status, resolved,
        )  # fmt: skip
        return _new(JobRecord, state)


class RunState:
    """A run that has not ended. ``token`` and ``epoch`` are set while a node executes an attempt of it."""

    __slots__ = (
        "attempt",
        "attempts",
        "cancel",
        "claimed",
        "due",
        "ended",
        "epoch",
        "fence",
        "held",
        "id",
        "job",
        "log",
        "manual",
        "next_attempt",
        "node",
        "payload",
        "planned",
        "progress",
        "queued",
        "reason",
        "replay_of",
        "result",
        "rev",
        "started",
        "status",
        "token",
        "wake",
    )

    def __init__(self, run_id: int, job: JobState, planned: int, due: int, payload: bytes | None) -> None:
        self.id = run_id
        self.job = job
        self.planned = planned
        self.due = due
        self.payload = payload
        self.status = RunStatus.PENDING
        self.reason: Reason | None = None
        self.attempt = 0
        """The attempt that executes, or the last one that did."""
        self.token: int | None = None
        self.epoch = 0
        self.node: str | None = None
        self.fence = 0
        self.started: int | None = None
        self.claimed: int | None = None
        """When the present attempt was claimed, if the run had waited before it."""
        self.ended: int | None = None
        self.rev = 0
        """Revision of the waiting run's timer."""
        self.wake: int | None = None
        """When the next attempt is due; ``None`` while one executes."""
        self.next_attempt = 0
        self.queued = False
        """Waits for the active runs of the job to end."""
        self.held = False
        """Waits for the job to be resumed."""
        self.manual = False
        self.cancel: Reason | None = None
        """Why the attempt that executes is to be cancelled."""
        self.replay_of: int | None = None
        self.attempts: tuple[AttemptRecord, ...] = ()
        """Those that have ended, unless the first one was all there was and succeeded."""
        self.result: bytes | None = None
        self.progress: tuple[float, float | None] | None = None
        self.log: tuple[str, ...] = ()

    @property
    def began(self) -> int:
        """When the present attempt began, as far as the store knows."""
        if self.claimed is not None:
            return self.claimed
        return self.due if self.started is None else self.started

    @property
    def startable(self) -> bool:
        """The run waits, and nothing but the time keeps its next attempt."""
        return self.token is None and self.wake is not None and not self.queued and not self.held

    @property
    def timer(self) -> Timer | None:
        """The timer of the next attempt; ``None`` unless the run waits and may start."""
        if not self.startable or self.wake is None:
            return None
        return Timer(self.id, self.rev, self.wake, self.planned, self.job.spec, self.next_attempt, self.payload)

    def record(self) -> RunRecord:
        spec, attempts = self.job.spec, self.attempts
        state = (
            self.id, spec.id, spec.func, self.status, self.reason, self.due, self.planned, self.started, self.ended,
            self.attempt,
            shown_attempts(self.status, attempts, self.attempt, self.node, self.began, self.ended),
            attempts[-1].error if attempts else None,
            self.result, self.progress, self.log, self.manual, self.replay_of, self.fence, self.node, 1, self.due,
            self.payload,
        )  # fmt: skip
        return _new(RunRecord, state)


def shown_attempts(
    status: RunStatus,
    attempts: tuple[AttemptRecord, ...],
    number: int,
    node: str | None,
    began: int,
    ended: int | None,
) -> tuple[AttemptRecord, ...]:
    """Return a run's attempts with the one that is not kept: the present one, or the only one of a run that went well.

    Args:
        attempts: Those that are kept.
        number: Of the present attempt, or of the last one; ``node``, ``began`` and ``ended`` describe it.
    """
    if status is RunStatus.RUNNING or (status is RunStatus.SUCCEEDED and not attempts):
        outcome = Outcome.OK if status is RunStatus.SUCCEEDED else None
        return (*attempts, AttemptRecord(number, node or "", began, ended, outcome, None))
    return attempts


class NodeState:
    """The node that claims or ends, as far as the rules need it."""

    __slots__ = ("epoch", "name")

    def __init__(self, epoch: int, name: str) -> None:
        self.epoch = epoch
        self.name = name


class Step:
    """One atomic change of a schedule: the state it is about, and what has been decided about it.

    A store makes one for each call, fills ``jobs`` and ``runs`` with what it has loaded, calls a rule, and saves what
    the step has noted. Nothing is written or told before that, so a step that is abandoned leaves no trace outside the
    loaded objects.

    Args:
        now: The store's clock, for the whole step, microseconds.
        keeps_letters: The store keeps dead letters.
    """

    __slots__ = (
        "added",
        "buried",
        "changed",
        "changes",
        "edited",
        "ends",
        "failures",
        "freed",
        "grown",
        "hints",
        "jobs",
        "keeps_letters",
        "lifted",
        "moved",
        "now",
        "records",
        "removed",
        "runs",
        "stones",
        "supplied",
        "touched",
        "written",
    )

    def __init__(self, now: int, *, keeps_letters: bool) -> None:
        self.now = now
        self.keeps_letters = keeps_letters
        # What is loaded.
        self.jobs: dict[int, JobState] = {}
        """By serial number."""
        self.runs: dict[int, RunState] = {}
        """The open runs of those jobs, by id: all of them, or the rules would miss some.

        Where a call is about runs (claims, ends, requests) and a job lets its runs overlap, those that the call names
        and those that are queued are enough. The others matter by their number alone, and there may be thousands.
        """
        # What is to be written.
        self.added: list[JobState] = []
        self.changed: dict[int, JobState] = {}
        """Jobs whose timer, counters or marks have changed; of those that are added, edited or removed too."""
        self.edited: dict[int, JobSpec] = {}
        """By serial number, the spec that was there before."""
        self.touched: list[JobState] = []
        """Jobs that somebody changed without a new spec: ``version`` and ``updated`` have moved."""
        self.removed: list[JobState] = []
        self.written: dict[int, RunState] = {}
        """Open runs that are new or have changed."""
        self.freed: list[tuple[int, int]] = []
        """Epoch and token of the claims that have ended."""
        self.records: list[RunState | GapState] = []
        """New records of the history, in the order in which they came about. A run among them is open no more."""
        self.grown: dict[int, GapState] = {}
        """Gap records that stand for more instants than before, by their number."""
        self.buried: list[int] = []
        """Runs that are dead letters no more."""
        self.stones: dict[str, str | None] = {}
        """Declared jobs that an operator deleted: id and declaration. They stay deleted until it changes."""
        self.lifted: list[str] = []
        """Ids whose stone goes."""
        self.supplied: dict[str, Trigger | None] = {}
        """Triggers that only code has, by job id; ``None``: the store's own form is complete."""
        self.ends = 0
        """Runs that reached a final status, and how many of them failed."""
        self.failures = 0
        # What is to be told after the commit.
        self.moved: dict[int, JobState | RunState] = {}
        """Whatever has a timer that arose or moved, by its id."""
        self.changes: list[Change] = []
        self.hints: list[tuple[int, int]] = []
        """Epoch and instant; an instant of 0 says: look at everything, cancels too."""

    def load(self, job: JobState, runs: Iterable[RunState]) -> None:
        """Take in a job with all its open runs, oldest first."""
        self.jobs[job.id] = job
        for run in runs:
            self.runs[run.id] = run

    def open_runs(self, job: JobState) -> list[RunState]:
        """Return the job's runs that have not ended, oldest first."""
        runs = self.runs
        return [runs[run_id] for run_id in job.active]

    def timers(self) -> list[Timer]:
        """Return every timer that arose or moved in this step and may be claimed, in the order of their moves."""
        return [timer for item in self.moved.values() if (timer := item.timer) is not None]

    def note_job(self, job: JobState) -> None:
        self.changed[job.id] = job

    def note_run(self, run: RunState) -> None:
        """Have an open run written, and told of."""
        self.written[run.id] = run
        self.tell_run(run.id)

    def tell_run(self, run_id: int) -> None:
        change = Change(ChangeKind.RUN, run_id)
        # A run that is made and starts at once is one change.
        if not self.changes or self.changes[-1] != change:
            self.changes.append(change)

    def move(self, job: JobState, planned: int | None, due: int | None) -> None:
        """Set a job's timer; every move is a new revision."""
        job.move(planned, due)
        self.changed[job.id] = job
        self.moved[job.id] = job

    def pass_gap(self, job: JobState, gap: Gap) -> None:
        """Record instants that do not start. They join the record before them when that has the same reason."""
        known = job.gap
        self.changed[job.id] = job
        if known is not None and known.status is gap.status and known.reason is gap.reason:
            known.instants += gap.instants
            known.last = gap.last
            if known.id:
                self.grown[known.id] = known
            return
        job.gap = made = GapState(job, gap.status, gap.reason, gap.first, gap.last)
        made.instants = gap.instants
        self.records.append(made)

    def close_gap(self, job: JobState) -> None:
        """End the job's gap record: the next passed instants begin another one."""
        job.gap = None
        self.changed[job.id] = job

    def tell_job(self, job: JobState) -> None:
        self.changes.append(Change(ChangeKind.JOB, job.spec.id))

    def tell_removed(self, job_id: str) -> None:
        self.changes.append(Change(ChangeKind.JOB_REMOVED, job_id))


def resolved(spec: JobSpec, functions: Container[str], declarations: Container[str]) -> bool:
    """Tell whether some live node can run the job: it has the function, and the declaration of a declared one.

    Args:
        functions: Names that the live nodes have registered.
        declarations: Ids of jobs that their code declares.
    """
    return spec.func in functions and (spec.origin is Origin.API or spec.id in declarations)


_new = tuple.__new__
"""Makes a named tuple for 0.16 us; calling its class takes 0.36."""
