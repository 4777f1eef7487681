"""The store contract: what a schedule's memory promises, whatever it is made of.

Every store keeps the same things. A **job** is a spec with a state. Its **timer** is the next occurrence: the
instant the trigger named (``planned``), the instant to act (``due``: planned plus jitter), and a revision that
every change raises. A **run** is created when a timer is claimed; a run that waits (for a retry, behind another
run, or because it was started by hand) is a timer too, its ``attempt`` says which attempt comes next. A **claim**
says that one node executes one attempt; it dies with the node's lease.

All list arguments are batches and each call is one atomic step. Instants are integer microseconds UTC on the
store's own clock. Nothing calls back into the scheduler. What a call decides stands in :mod:`asched.rules`, once for
all stores.

Each answer brings every timer that arose or moved in the call and may be claimed, so that a node holds what is due
without asking again; where ``caps.poll`` is infinite it never does. The caller takes in the timers of functions that
it has, and hints at them to the other nodes with :meth:`Store.wake`.

The invariants below are tests that run against every store (``tests/contract``):

1.  A timer of revision r is claimed at most once; claim, advance and run record are one atomic step.
2.  There is at most one run for each (job, planned instant) of the trigger.
3.  A claim needs a live node lease, by the store's clock, in the same step; reap and claim exclude each other.
4.  A timer still in the store's future is not claimed, whatever the node's clock says.
5.  ``finish`` and ``release`` touch only claims with this token and epoch; others are refused, not an error.
6.  ``claim`` and ``finish`` are idempotent by token.
7.  ``reap`` turns each claim of a dead node into a waiting run or into ``lost``, as the job's crash policy says.
8.  ``window`` returns every due timer that the node knows how to run, in due order, and none else.
9.  The fence grows with each claim of a job.
10. Hints may be lost; a node that only polls misses nothing.

Every method raises :class:`~asched.StoreUnavailable` when the store cannot be reached; then nothing of the call
has happened, or (``claim``, ``finish``) calling again with the same tokens finds out.
"""

from collections.abc import AsyncIterator, Sequence
from enum import IntEnum, StrEnum
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from asched.clock import Clock
from asched.model import ErrorInfo, JobSpec, JobStatus, Outcome, Reason, RunStatus
from asched.values import Value

__all__ = [
    "TOKEN_BITS",
    "AttemptRecord",
    "Beat",
    "Cancelled",
    "Change",
    "ChangeKind",
    "Changes",
    "Claim",
    "ClaimRow",
    "Claimed",
    "ClaimedRow",
    "Counts",
    "Deleted",
    "Enqueue",
    "Enqueued",
    "Finish",
    "FinishRow",
    "Gap",
    "Grant",
    "JobFilter",
    "JobPage",
    "JobRecord",
    "Limits",
    "Live",
    "NodeInfo",
    "NodeRecord",
    "Note",
    "Put",
    "PutItem",
    "PutMode",
    "PutRow",
    "PutStatus",
    "Reaped",
    "RunFilter",
    "RunPage",
    "RunRecord",
    "Selection",
    "Store",
    "StoreCaps",
    "Timer",
    "Totals",
    "TransactionalStore",
    "Window",
]


TOKEN_BITS = 38
"""A token is ``epoch << TOKEN_BITS | n``, 63 bits with its epoch: a node that starts 1,000 runs a second has enough of
them for eight years, and there are epochs for 33 million starts of a node."""


class StoreCaps(NamedTuple):
    """What differs between stores, all of it in one place."""

    name: str
    durable: bool
    """Survives the process. Then functions need names that a later process finds."""
    shared: bool
    """Several nodes may open it at the same time; then nodes hold leases and others rescue their runs."""
    claim_batch: int
    """Most timers in one ``claim``."""
    window: int
    """Most timers that one ``window`` should ask for."""
    poll: float
    """Seconds between windows while no hint comes; infinite where hints cannot be lost."""
    lease: float
    """Seconds a node may go without a heartbeat."""
    own_clock: bool = False
    """The store has a clock of its own, by which all nodes go; theirs may be wrong."""
    on_lease_lost: Literal["cancel", "finish"] = "cancel"
    """What a node does with its attempts when it learns that others have taken their runs over."""
    transactions: bool = False
    """Jobs may be put within a transaction of the caller's: it is a :class:`TransactionalStore`."""


class NodeInfo(NamedTuple):
    name: str
    host: str
    pid: int
    version: str
    generation: int
    functions: frozenset[str]
    declarations: frozenset[str]
    """Ids of the jobs that this node's code declares."""


class NodeRecord(NamedTuple):
    epoch: int
    info: NodeInfo
    started: int
    lease_until: int
    active: int


class Beat(NamedTuple):
    """Answer to a heartbeat."""

    now: int
    """The store's clock."""
    alive: bool
    """False: the lease ended and the node was reaped. Its claims are others' now; register again."""
    claims: int
    """How many claims the store holds for this node."""
    cancels: tuple[int, ...]
    """Tokens of claims that somebody asked to cancel and that have not ended."""


class Timer(Value):
    """Something that will come due: a job's next occurrence (``attempt`` 0), or a waiting run's next attempt."""

    __slots__ = ("attempt", "due", "id", "payload", "planned", "rev", "spec")

    def __init__(
        self, id: int, rev: int, due: int, planned: int, spec: JobSpec, attempt: int = 0, payload: bytes | None = None
    ) -> None:
        self.id: Final = id
        """The job's serial number, or the run's id. They share one number space."""
        self.rev: Final = rev
        self.due: Final = due
        self.planned: Final = planned
        self.spec: Final = spec
        self.attempt: Final = attempt
        self.payload: Final = payload
        """A waiting run's own arguments: they do not change when the job's do."""


class Window(NamedTuple):
    timers: list[Timer]
    horizon: int | None
    """Every timer of the node due at or before this instant is in ``timers``; ``None``: there are no more at all."""
    now: int
    share: tuple[int, int] = (0, 1)
    """The node's place among the live ones, and how many they are: of a backlog each takes its own part first."""


class Gap(NamedTuple):
    """Consecutive planned instants of one job that share a fate. Adjoining gaps of one reason become one record."""

    status: RunStatus
    reason: Reason
    first: int
    last: int
    instants: int


class Claim(NamedTuple):
    """Take a timer: start a run for it, or (``start`` false) let it pass.

    For an occurrence the planner has worked out ``planned`` and ``due`` of the run (after a catch-up, not those
    of the timer), the ``gap`` of instants before it that do not start, and the timer's next instants.
    """

    timer: Timer
    token: int
    """Unique over the life of the store: the node's epoch and a counter. It becomes the id of a new run."""
    start: bool = True
    planned: int = 0
    due: int = 0
    next_planned: int | None = None
    next_due: int | None = None
    gap: Gap | None = None
    wait: bool = False
    """An occurrence that meets an active run stays where it is (``BUSY``) instead of following the overlap policy."""


ClaimRow: TypeAlias = tuple[Timer, int, bool, int, int, int | None, int | None, Gap | None, bool]
"""A :class:`Claim` whose fields may have no names. Claims, their answers and ends come by the thousand; whoever makes
or reads all of them does so by place, as plain tuples: CPython makes those in a third of the time and unpacks them
four times as fast, a tenth of what a run costs. ``Claim._make(row)`` gives a row its names."""


class Grant(IntEnum):
    """What became of a claim."""

    STARTED = 0
    PASSED = 1
    """The timer moved on and no run started: by ``start=False``, or by the job's overlap policy."""
    QUEUED = 2
    """A waiting run was made that starts when the active one ends."""
    BUSY = 3
    """Nothing changed: the job is active and ``wait`` was said, or somebody holds the job; ask again later."""
    STALE = 4
    """Nothing changed: the timer is not what the node thought, or another node took it."""
    EARLY = 5
    """Nothing changed: by the store's clock it is not due."""


class Claimed(NamedTuple):
    grant: Grant
    token: int
    run_id: int = 0
    fence: int = 0
    next: Timer | None = None
    """Of an occurrence, the job's timer as it stands now; of a ``STALE`` waiting run, the run's. ``None``: there is
    none, or it may not be claimed."""
    cancels: tuple[int, ...] = ()
    """Tokens of other claims of the job that must now be cancelled (``cancel_running``); theirs to record."""
    due: int = 0
    """Of a waiting run that started: when it was due at first. Its timer tells only when this attempt was."""


ClaimedRow: TypeAlias = tuple[Grant, int, int, int, Timer | None, tuple[int, ...], int]
"""A :class:`Claimed` whose fields may have no names."""


class Note(NamedTuple):
    """Progress and log lines of a running attempt. They replace what was noted for the run before."""

    token: int
    done: float | None
    total: float | None
    log: tuple[str, ...]


class Finish(NamedTuple):
    """The end of an attempt, and what becomes of its run: a final status, or ``RETRYING``/``PENDING`` at ``due``."""

    token: int
    status: RunStatus
    outcome: Outcome
    started: int
    ended: int
    reason: Reason | None = None
    error: ErrorInfo | None = None
    result: bytes | None = None
    due: int | None = None
    counts: bool = True
    """False: the attempt was interrupted and its number is used again."""
    note: Note | None = None


FinishRow: TypeAlias = tuple[
    int, RunStatus, Outcome, int, int, Reason | None, ErrorInfo | None, bytes | None, int | None, bool, Note | None
]
"""A :class:`Finish` whose fields may have no names."""


class Live(NamedTuple):
    """A claim as the store holds it."""

    token: int
    run_id: int
    job_id: str
    planned: int
    attempt: int
    fence: int


class PutMode(StrEnum):
    INSERT = "insert"
    """Refuse an id that exists."""
    KEEP = "keep"
    """Leave a job that exists as it is."""
    REPLACE = "replace"
    """Take its place: new spec, new plan; counters and history stay."""
    DECLARE = "declare"
    """As the rules for declarations: see :meth:`Store.put_jobs`."""
    UPDATE = "update"
    """Change a job that exists; its timer moves only if the item says so."""


class PutItem(NamedTuple):
    spec: JobSpec
    planned: int | None
    """First planned instant, ``None`` when the trigger has none left."""
    due: int | None
    paused: bool = False
    gap: Gap | None = None
    """An instant that had passed before the job was made; recorded when the job is added."""
    replan: bool = True
    """``UPDATE``: move the timer to ``planned`` and ``due``."""
    version: int | None = None
    """``UPDATE``: the version the change was made for; another one is ``CONFLICT``."""
    aliases: tuple[str, ...] = ()
    """``DECLARE``: ids that this job had before; the first that exists is renamed, with state and history."""


PutRow: TypeAlias = tuple[JobSpec, int | None, int | None, bool, Gap | None, bool, int | None, tuple[str, ...]]
"""A :class:`PutItem` whose fields may have no names. Jobs are added by the hundred thousand, and a plain tuple is made
in a third of the time."""


class PutStatus(StrEnum):
    ADDED = "added"
    REPLACED = "replaced"
    KEPT = "kept"
    EXISTS = "exists"
    MISSING = "missing"
    CONFLICT = "conflict"


class Counts(NamedTuple):
    runs: int = 0
    failures: int = 0
    retries: int = 0


class JobRecord(NamedTuple):
    """A job with its state."""

    spec: JobSpec
    serial: int
    version: int
    created: int
    updated: int
    paused: bool
    planned: int | None
    due: int | None
    active: int
    """Runs that have not ended, waiting ones included."""
    counts: Counts
    planned_runs: int
    """Occurrences that started; what ``max_runs`` bounds."""
    last_run: int | None
    last_status: RunStatus | None
    resolved: bool
    """Some live node has the function, and the declaration if it is a declared job."""

    @property
    def status(self) -> JobStatus:
        if not self.resolved:
            return JobStatus.UNRESOLVED
        if self.paused:
            return JobStatus.PAUSED
        if self.active:
            return JobStatus.RUNNING
        if self.due is None:
            return JobStatus.FINISHED
        return JobStatus.SCHEDULED


class Put(NamedTuple):
    status: PutStatus
    record: JobRecord | None
    timer: Timer | None
    """The job's own timer as it stands now, unless it has none, is paused, or the job was left as it was."""
    waiting: tuple[Timer, ...] = ()
    """Timers of the job's waiting runs that may start. They have a new revision: nodes drop those they hold."""

    @property
    def timers(self) -> tuple[Timer, ...]:
        """All that arose or moved."""
        return self.waiting if self.timer is None else (self.timer, *self.waiting)


class AttemptRecord(NamedTuple):
    number: int
    node: str
    started: int
    ended: int | None
    outcome: Outcome | None
    error: ErrorInfo | None


class RunRecord(NamedTuple):
    id: int
    job_id: str
    func: str
    status: RunStatus
    reason: Reason | None
    due: int
    planned: int
    started: int | None
    ended: int | None
    attempt: int
    attempts: tuple[AttemptRecord, ...]
    error: ErrorInfo | None
    result: bytes | None
    progress: tuple[float, float | None] | None
    log: tuple[str, ...]
    manual: bool
    replay_of: int | None
    fence: int
    node: str | None
    instants: int
    """How many planned instants the record stands for."""
    last_due: int
    payload: bytes | None


class Selection(NamedTuple):
    """Which jobs: those with these ids, or those in this group, or those of this function."""

    ids: tuple[str, ...] | None = None
    group: str | None = None
    func: str | None = None


class JobFilter(NamedTuple):
    group: str | None = None
    status: JobStatus | None = None
    query: str | None = None
    """Part of the id, name, function, group or a tag; case does not matter."""


class RunFilter(NamedTuple):
    job_id: str | None = None
    func: str | None = None
    """``module:qualname``, or the part after the colon."""
    status: RunStatus | None = None
    dead: bool = False
    """Dead letters only."""


class Enqueue(NamedTuple):
    """Start a job by hand (``run_id`` the id of the new run), or run a dead letter again (``replay_of``)."""

    job_id: str
    run_id: int
    replay_of: int | None = None


class Enqueued(NamedTuple):
    status: PutStatus
    """``ADDED``; ``MISSING`` (job or letter); ``CONFLICT``: active, and the overlap policy refuses."""
    timer: Timer | None = None
    cancels: tuple[int, ...] = ()
    run: RunRecord | None = None


class Cancelled(NamedTuple):
    """What cancelling a run met: it waited and is now final, or it is executed under ``token`` by ``epoch``."""

    run_id: int
    status: RunStatus | None
    """The run's status now; ``None``: no such run."""
    token: int | None = None
    epoch: int | None = None
    job_id: str = ""
    timers: tuple[Timer, ...] = ()
    """The run that had queued behind this one, if it may start now."""


class Deleted(NamedTuple):
    ids: tuple[str, ...]
    runs: tuple[Cancelled, ...]
    """Active runs of the deleted jobs, as :class:`Cancelled` tells."""


class Reaped(NamedTuple):
    epoch: int
    node: str
    rescued: tuple[Timer, ...]
    lost: tuple[int, ...]


class ChangeKind(StrEnum):
    JOB = "job"
    JOB_REMOVED = "job_removed"
    RUN = "run"


class Change(NamedTuple):
    kind: ChangeKind
    id: str | int


class Changes(NamedTuple):
    cursor: int
    changes: tuple[Change, ...]
    complete: bool
    """False: more happened since the cursor than is remembered; look at everything again."""


class Totals(NamedTuple):
    since: int
    jobs: int
    active_jobs: int
    active_runs: int
    runs: int
    failures: int
    nodes: int
    dead_letters: int
    per_job: dict[str, Counts]
    """Of the jobs that have run."""


class Limits(NamedTuple):
    """How much a store remembers."""

    history: int = 10_000
    retention: float = 7 * 86_400.0
    """Seconds."""
    dead_letters: int = 500
    kept_per_job: int = 20


JobPage: TypeAlias = tuple[list[JobRecord], str | None]
RunPage: TypeAlias = tuple[list[RunRecord], str | None]


class Store(Protocol):
    """A schedule's memory. One object serves one schedule (``namespace``) of one or more schedulers."""

    caps: StoreCaps

    def describe(self) -> str:
        """Return where the store is, without secrets."""
        ...

    async def open(self, namespace: str, limits: Limits, clock: Clock) -> None:
        """Make ready, migrate, take the lock of a store with one owner.

        Args:
            clock: The store's clock where the store has none of its own.

        Raises:
            StoreLocked: Another process owns it.
            SchemaTooNew: A newer asched has written it.
        """
        ...

    async def close(self) -> None:
        """Let go of everything; what was acknowledged stays."""
        ...

    def abandon(self) -> None:
        """Let go of everything at once and without waiting: the event loop that opened the store is closed."""
        ...

    async def now(self) -> int:
        """Return the store's clock."""
        ...

    # Nodes

    async def register(self, info: NodeInfo) -> int:
        """Begin a node's lease and return its epoch: positive, below 2**25, never used before in this store."""
        ...

    async def announce(self, epoch: int, info: NodeInfo) -> None:
        """Replace what the node says of itself, its functions above all. Look at the window afterwards."""
        ...

    async def heartbeat(self, epoch: int) -> Beat:
        """Renew the lease, also one that has run out, unless the node was reaped meanwhile."""
        ...

    async def reap(self) -> list[Reaped]:
        """End every node whose lease has run out, and give its runs back. Any node calls it, at any time.

        A claim under ``OnCrash.RERUN`` becomes a waiting run, due now, the attempt recorded as lost and counted;
        once the attempts are used up, and under ``OnCrash.LOST``, the run is final: ``lost``. Runs of a job that
        somebody holds stay for a later call; their node is gone nevertheless, and is told of again with them.
        """
        ...

    async def leave(self, epoch: int) -> list[Timer]:
        """End the node's lease by its own wish; claims it still holds go back as waiting runs, uncounted.

        The node's ``watch`` ends, as that of a reaped node does.
        """
        ...

    async def nodes(self) -> list[NodeRecord]: ...

    # Jobs

    async def put_jobs(self, mode: PutMode, items: Sequence[PutRow]) -> list[Put]:
        """Insert, replace, update or declare jobs; the answers stand in the order of the items.

        ``DECLARE``, for each item: an id that does not exist is added, or takes over the job under the first alias
        that exists. A job with the same ``declaration`` is kept: next run, pause, counters and edits; its function
        follows unless the stored ``generation`` is higher. With another declaration it is replaced, pause and
        counters kept, unless the stored ``generation`` is higher. A declared job that was deleted by hand, under
        this id or an alias, stays so until its declaration changes.
        """
        ...

    async def get_jobs(self, ids: Sequence[str]) -> list[JobRecord | None]: ...

    async def list_jobs(self, which: JobFilter, limit: int, cursor: str | None = None) -> JobPage:
        """Return a page of jobs in the order they were made. Cost is that of the rows looked at.

        A job that stays comes exactly once, whatever is added, deleted or renamed between two pages.
        """
        ...

    async def pause_jobs(self, which: Selection) -> tuple[list[JobRecord], list[Timer]]:
        """Take the timers of these jobs out of the window.

        Returns:
            The jobs that were not paused before, and the timers of their waiting runs that start all the same, since
            they were asked for by hand.
        """
        ...

    async def resume_jobs(self, which: Selection) -> tuple[list[JobRecord], list[Timer]]:
        """Plan paused jobs from now, and record what passed meanwhile as ``skipped (paused)``.

        Returns:
            The jobs that were paused before, and the timers of their next occurrences and of their waiting runs.
        """
        ...

    async def delete_jobs(self, which: Selection) -> Deleted:
        """Delete jobs and their waiting runs (``cancelled``). Attempts that execute go on; history stays."""
        ...

    async def groups(self) -> list[tuple[str, int, int]]:
        """Return name, number of jobs and number of paused jobs of each group, by name."""
        ...

    async def next_id(self) -> int:
        """Return 1, 2, 3 ...; never the same again in this store."""
        ...

    async def generation(self, declarations: str) -> int:
        """Return the store's time at which this set of declarations, a digest, was first seen.

        An old version of a program that is started again keeps its old number, and a newer one wins.
        """
        ...

    # Timers and claims

    async def window(self, epoch: int, until: int, limit: int) -> Window:
        """Return timers the node can run, due at or before ``until``, earliest first, at most ``limit``.

        Paused jobs, timers of functions or declarations the node does not have, and runs queued behind another
        run are not among them.
        """
        ...

    async def claim(self, epoch: int, claims: Sequence[ClaimRow]) -> Sequence[ClaimedRow]:
        """Take timers; the answers stand in the order of the claims.

        A waiting run (attempt 1 or more) starts whatever else is active. An occurrence of a job that has active
        runs follows the job's overlap policy in this step. Once ``max_runs`` occurrences have started, the timer
        ends. A claim repeated with its token is answered as before while the run it made is held, or queued, and
        ``STALE`` after that. A ``STALE`` answer brings the timer as it stands now. An empty answer means the node's
        lease has run out: nothing was taken.
        """
        ...

    async def finish(self, epoch: int, ends: Sequence[FinishRow]) -> tuple[Sequence[bool | None], list[Timer]]:
        """Record ends of attempts.

        Returns:
            For each end whether it was accepted, and the timers that arose: retries, and runs that had queued
            behind the ones that ended. ``None``: nothing happened, since somebody holds the job; say it again later.
            A final failure is a dead letter too; a replay that succeeds removes the letter it came from. The run of
            a deleted job ends as ``cancelled`` instead of waiting.
        """
        ...

    async def release(self, epoch: int, tokens: Sequence[int]) -> list[Timer]:
        """Give back claims whose attempt never began; the attempt's number is used again.

        Claims of a job that somebody holds may stay: the heartbeat goes on counting them.
        """
        ...

    async def claims(self, epoch: int) -> list[Live]:
        """Return what the node holds, to settle calls whose answer was lost."""
        ...

    async def enqueue(self, items: Sequence[Enqueue]) -> list[Enqueued]:
        """Make waiting runs that are due now. Pause and ``max_runs`` do not matter, the overlap policy does."""
        ...

    async def cancel_runs(self, run_ids: Sequence[int]) -> list[Cancelled]:
        """End waiting runs; mark executing ones for their node, which hears of it by hint and heartbeat.

        A marked run that would wait again (a retry, a release, its node dies) ends as ``cancelled`` instead.
        """
        ...

    async def annotate(self, epoch: int, notes: Sequence[Note]) -> None:
        """Keep progress and log of attempts that execute; notes of claims not held are dropped."""
        ...

    # Hints

    def watch(self, epoch: int) -> AsyncIterator[int]:
        """Yield, for each hint from other nodes, an instant: something is due at it or later, look at the window.

        0 means: look at everything, cancels too. Hints are merged while nobody reads; they may be lost.
        """
        ...

    def wake(self, epoch: int, due: int) -> None:
        """Hint to the other nodes that something is due at ``due``. Costs nothing where there are none."""
        ...

    async def changes(self, cursor: int | None) -> Changes:
        """Return what changed since the cursor, by any node; ``None`` asks for the present cursor."""
        ...

    # Records

    async def get_runs(self, run_ids: Sequence[int]) -> list[RunRecord | None]: ...

    async def list_runs(self, which: RunFilter, limit: int, cursor: str | None = None) -> RunPage:
        """Return a page of runs, newest first: those that have not ended, the latest due before the others, and
        then those that have, the last to end before the others.

        A record that stays as it is comes exactly once, whatever is added or ends between two pages.
        """
        ...

    async def discard_dead_letters(self, run_ids: Sequence[int] | None) -> int:
        """Remove these dead letters, or all, and return how many; their runs stay in the history."""
        ...

    async def totals(self, *, per_job: bool = True) -> Totals:
        """Return the counts; those of each job, which are as many as there are jobs, may be left out."""
        ...

    async def prune(self, limit: int) -> int:
        """Delete at most ``limit`` records past the :class:`Limits`; return how many.

        A job with a future keeps its last 20 records. A job without one goes with its last record unless it is
        declared.
        """
        ...


class TransactionalStore(Store, Protocol):
    """A store whose jobs may lie beside the user's own rows."""

    async def put_jobs(self, mode: PutMode, items: Sequence[PutRow], connection: object | None = None) -> list[Put]:
        """Do it on this connection if there is one, as a part of its open transaction.

        Then nobody is told: nodes find the jobs when they look at the store after the commit.

        Raises:
            InvalidArgument: It is no connection of this store's driver, leads elsewhere, or has no open transaction.
        """
        ...
