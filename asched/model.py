"""What asched speaks of: jobs, runs, attempts, policies and their states.

Two layers share this module. :class:`JobSpec`, :class:`Policy` and the enums are what the engine and the stores
pass to each other: instants are integer microseconds. :class:`Attempt`, :class:`Node`, :class:`Statistics` and their
like are what the user gets: instants are aware UTC datetimes, durations float seconds. Named tuples, because a frozen
dataclass takes ten times as long to define and three times as long to make; what every run reads is a
:class:`~asched.values.Value`. The tuples' annotations are evaluated, because each one left as text costs a call of the
compiler when its class is made.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeAlias, TypeVar

from asched.errors import RunNotFound
from asched.values import Value

if TYPE_CHECKING:
    from asched.triggers import Trigger

__all__ = [
    "DEFAULT_POLICY",
    "JSON",
    "Attempt",
    "Backoff",
    "CatchUp",
    "ErrorInfo",
    "Group",
    "JobCounts",
    "JobSpec",
    "JobStatus",
    "Node",
    "OnCrash",
    "Origin",
    "Outcome",
    "Overlap",
    "Page",
    "Policy",
    "Progress",
    "Reason",
    "RunStatus",
    "Statistics",
    "format_run_id",
    "parse_run_id",
]

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
T = TypeVar("T")


class JobStatus(StrEnum):
    """The first of these that holds is the job's status."""

    UNRESOLVED = "unresolved"
    """No live node has the function, or the declaration; the job is kept and does not run."""
    PAUSED = "paused"
    RUNNING = "running"
    FINISHED = "finished"
    """The trigger has no further instant."""
    SCHEDULED = "scheduled"


class RunStatus(StrEnum):
    """Where a run stands. The last seven are final."""

    PENDING = "pending"
    """Waits to be started: queued behind another run, asked for by hand, or interrupted by a stop."""
    RUNNING = "running"
    RETRYING = "retrying"
    """An attempt failed and the next one waits for its back-off."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    """Not started although the scheduler was there; ``reason`` says why."""
    MISSED = "missed"
    """Not started because no scheduler was there, or others stood for it; ``reason`` says which."""
    LOST = "lost"
    """The node died while the run was active, and the job asked not to be run again."""

    @property
    def final(self) -> bool:
        return self not in _OPEN

    @property
    def waiting(self) -> bool:
        """The run has not ended, and no node executes it."""
        return self in _WAITING

    @property
    def dead(self) -> bool:
        """The run failed for good: it is a dead letter."""
        return self in _DEAD


_OPEN = frozenset({RunStatus.PENDING, RunStatus.RUNNING, RunStatus.RETRYING})
_WAITING = frozenset({RunStatus.PENDING, RunStatus.RETRYING})
_DEAD = frozenset({RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.LOST})


class Reason(StrEnum):
    """Why an instant did not start, or a run ended as it did."""

    OVERLAP = "overlap"
    """The job was active and its overlap policy admits no other run."""
    PAUSED = "paused"
    ABANDONED = "abandoned"
    """A thread of an earlier attempt, past its timeout, still runs on this node."""
    COALESCED = "coalesced"
    """A newer instant was due as well and stands for this one."""
    NO_CATCH_UP = "no_catch_up"
    """The instant passed while nothing ran, and the job catches up on nothing."""
    CATCH_UP_WINDOW = "catch_up_window"
    """The instant passed longer ago than the job's catch-up window."""
    CATCH_UP_LIMIT = "catch_up_limit"
    """More instants passed than one catch-up replays."""
    PAST = "past"
    """The instant lay in the past when the job was declared."""
    OPERATOR = "operator"
    """Somebody cancelled the run."""
    JOB_CANCELLED = "job_cancelled"
    SUPERSEDED = "superseded"
    """A newer run of the job took its place (overlap ``cancel_running``)."""
    ABORTED = "aborted"
    """The function raised :class:`~asched.Abort`, or an error that ends retrying."""
    NODE_DIED = "node_died"
    STOPPED = "stopped"
    """The scheduler stopped while the run was active."""


class Outcome(StrEnum):
    """How one attempt ended."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """The scheduler stopped before the attempt was done; it does not count against the retries."""
    LOST = "lost"
    """The node died."""


class Overlap(StrEnum):
    """What happens to an instant that comes due while a run of the job is active."""

    SKIP = "skip"
    QUEUE = "queue"
    """Keep one, and start it when the active run ends; any further one is skipped."""
    CANCEL_RUNNING = "cancel_running"
    ALLOW = "allow"


class CatchUp(StrEnum):
    """What happens to instants that passed while no scheduler was there."""

    LATEST = "latest"
    """One run stands for all of them; its due time is the newest."""
    ALL = "all"
    """Each gets its run within the catch-up window, one after the other unless overlap is allowed."""
    SKIP = "skip"


class OnCrash(StrEnum):
    """What happens to a run whose node died."""

    RERUN = "rerun"
    """Start it again: at least once."""
    LOST = "lost"
    """Record it as lost: at most once."""


class Origin(StrEnum):
    """Who made the job."""

    DECLARED = "declared"
    """A decorator in the code."""
    API = "api"
    """A call of ``add_job``, or a request."""


class Backoff(NamedTuple):
    """Seconds between attempts: ``first``, then ``factor`` times as long each time, at most ``limit``.

    With ``jitter`` the wait is drawn uniformly between 0 and that bound ("full jitter"), so that jobs that
    failed together do not come back together.
    """

    first: float = 2.0
    factor: float = 2.0
    limit: float = 3600.0
    jitter: bool = True


_BACKOFF = Backoff()


class Policy(Value):
    """How a job's occurrences are handled. Durations are seconds. Equal policies are one object."""

    __slots__ = (
        "backoff",
        "catch_up",
        "catch_up_window",
        "in_process",
        "jitter",
        "max_retries",
        "on_crash",
        "overlap",
        "timeout",
    )

    def __init__(
        self,
        timeout: float | None = None,
        max_retries: int = 3,
        backoff: Backoff = _BACKOFF,
        overlap: Overlap = Overlap.SKIP,
        catch_up: CatchUp = CatchUp.LATEST,
        catch_up_window: float | None = None,
        on_crash: OnCrash = OnCrash.RERUN,
        jitter: float = 0.0,
        in_process: bool = False,
    ) -> None:
        self.timeout: Final = timeout
        self.max_retries: Final = max_retries
        self.backoff: Final = backoff
        self.overlap: Final = overlap
        self.catch_up: Final = catch_up
        self.catch_up_window: Final = catch_up_window
        self.on_crash: Final = on_crash
        self.jitter: Final = jitter
        self.in_process: Final = in_process

    def __setattr__(self, name: str, value: object) -> None:
        # Unlike the other values it is in users' hands, and one object stands for the policies of many jobs.
        if hasattr(self, name):
            raise AttributeError(f"a policy does not change; policy.replace({name}=...) returns another one")
        super().__setattr__(name, value)

    def interned(self) -> "Policy":
        """Return the one object that stands for this policy, so that 100,000 jobs share a few."""
        return _POLICIES.setdefault(self, self)


_POLICIES: dict[Policy, Policy] = {}
DEFAULT_POLICY = Policy().interned()


class JobSpec(Value):
    """What a job is, apart from what has become of it. An edit is a new spec."""

    __slots__ = (
        "declaration",
        "func",
        "generation",
        "group",
        "id",
        "max_runs",
        "name",
        "origin",
        "payload",
        "policy",
        "starting",
        "tags",
        "trigger",
        "until",
    )

    def __init__(
        self,
        id: str,
        name: str,
        func: str,
        trigger: "Trigger",
        group: str = "default",
        tags: tuple[str, ...] = (),
        payload: bytes | None = None,
        policy: Policy = DEFAULT_POLICY,
        origin: Origin = Origin.API,
        starting: int | None = None,
        until: int | None = None,
        max_runs: int | None = None,
        declaration: str | None = None,
        generation: int = 0,
    ) -> None:
        self.id: Final = id
        self.name: Final = name
        self.func: Final = func
        """``module:qualname``, the name in the registry."""
        self.trigger: Final = trigger
        self.group: Final = group
        self.tags: Final = tags
        self.payload: Final = payload
        """``[args, kwargs]`` as JSON, ``None`` when both are empty. Bytes, so that no run sees another's changes."""
        self.policy: Final = policy
        self.origin: Final = origin
        self.starting: Final = starting
        self.until: Final = until
        self.max_runs: Final = max_runs
        self.declaration: Final = declaration
        """Fingerprint of the decorator's words; a changed one replaces edits made by operators."""
        self.generation: Final = generation


class ErrorInfo(NamedTuple):
    """An exception as it is kept: class name, message, and the formatted traceback."""

    type: str
    message: str
    traceback: str


class Progress(NamedTuple):
    done: float
    total: float | None


class Attempt(NamedTuple):
    """One call of the function inside a run. ``outcome`` is ``None`` while it runs."""

    number: int
    node: str
    started_at: datetime
    ended_at: datetime | None
    outcome: Outcome | None
    error: ErrorInfo | None


class Node(NamedTuple):
    """One process that works on the schedule."""

    name: str
    host: str
    pid: int
    epoch: int
    started_at: datetime
    lease_until: datetime | None
    """When others may take over its runs; ``None`` where the store has one owner."""
    active_runs: int
    functions: tuple[str, ...]
    version: str
    generation: int


class Group(NamedTuple):
    """A label and the jobs that bear it."""

    name: str
    jobs: int
    paused: int


class JobCounts(NamedTuple):
    """What has become of a job's runs so far."""

    runs: int
    failures: int
    retries: int


class Statistics(NamedTuple):
    """Counts since ``since``, over all nodes that share the store."""

    running: bool
    uptime: float
    """Seconds since this scheduler started; 0 when it does not run."""
    active_jobs: int
    """Jobs that have a next run."""
    active_runs: int
    total_runs: int
    """Runs that reached a final state other than skipped and missed."""
    total_failures: int
    success_rate: float
    """Between 0 and 1; 1 when nothing has run."""
    per_job: dict[str, JobCounts]
    nodes: int
    since: datetime


class Page(list[T], Generic[T]):
    """A list that knows where the next one begins. ``next_cursor`` is ``None`` on the last page."""

    def __init__(self, items: Sequence[T] = (), next_cursor: str | None = None) -> None:
        super().__init__(items)
        self.next_cursor = next_cursor


def format_run_id(run_id: int) -> str:
    """Return the id that users see for a run's number."""
    return format(run_id, "x")


def parse_run_id(run_id: str) -> int:
    """Return the number that a run's id stands for.

    Raises:
        RunNotFound: It stands for none, so no run has it.
    """
    try:
        number = int(run_id, 16)
    except (ValueError, TypeError):
        raise RunNotFound(run_id) from None
    # int() takes "0x1", "1_0" and "+1" as well; an id has one spelling.
    if format_run_id(number) != run_id or number >= 2**63:
        raise RunNotFound(run_id)
    return number
