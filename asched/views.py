"""What the user gets of a job or a run: the store's record, seen as datetimes, seconds and values.

A view holds the record and translates a field when it is asked for. Most are never asked for: a page of 50 jobs shows
ten fields of thirty, and an event that nobody reads shows none.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from asched.arguments import decode_arguments, decode_result
from asched.instants import SECOND, to_datetime
from asched.model import (
    Attempt,
    Backoff,
    CatchUp,
    ErrorInfo,
    JobCounts,
    JobStatus,
    Node,
    OnCrash,
    Origin,
    Overlap,
    Policy,
    Progress,
    Reason,
    RunStatus,
    Statistics,
    format_run_id,
)
from asched.store import JobRecord, NodeRecord, RunRecord, Totals
from asched.triggers import Trigger

__all__ = ["Job", "Run", "node_view", "statistics_view"]


class Job:
    """A stored intention: a function, a trigger, and how to handle what comes due. A snapshot; it does not change."""

    __slots__ = ("_record",)

    def __init__(self, record: JobRecord) -> None:
        self._record = record

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and self._record == other._record

    def __hash__(self) -> int:
        return hash((self.id, self.version))

    def __repr__(self) -> str:
        return f"<Job {self.id!r} {self.status}, {self.trigger.describe()!r}, next run {self.next_run_at}>"

    @property
    def id(self) -> str:
        return self._record.spec.id

    @property
    def name(self) -> str:
        return self._record.spec.name

    @property
    def func(self) -> str:
        """The function's name, ``module:qualname``."""
        return self._record.spec.func

    @property
    def origin(self) -> Origin:
        return self._record.spec.origin

    @property
    def trigger(self) -> Trigger:
        return self._record.spec.trigger

    @property
    def group(self) -> str:
        return self._record.spec.group

    @property
    def tags(self) -> tuple[str, ...]:
        return self._record.spec.tags

    @property
    def args(self) -> tuple[Any, ...]:
        return tuple(decode_arguments(self._record.spec.payload)[0])

    @property
    def kwargs(self) -> dict[str, Any]:
        return decode_arguments(self._record.spec.payload)[1]

    @property
    def policy(self) -> Policy:
        return self._record.spec.policy

    @property
    def timeout(self) -> float | None:
        """Seconds an attempt may take."""
        return self.policy.timeout

    @property
    def max_retries(self) -> int:
        return self.policy.max_retries

    @property
    def backoff(self) -> Backoff:
        return self.policy.backoff

    @property
    def overlap(self) -> Overlap:
        return self.policy.overlap

    @property
    def catch_up(self) -> CatchUp:
        return self.policy.catch_up

    @property
    def catch_up_window(self) -> float | None:
        """Seconds."""
        return self.policy.catch_up_window

    @property
    def on_crash(self) -> OnCrash:
        return self.policy.on_crash

    @property
    def jitter(self) -> float:
        """Seconds."""
        return self.policy.jitter

    @property
    def status(self) -> JobStatus:
        return self._record.status

    @property
    def paused(self) -> bool:
        return self._record.paused

    @property
    def next_run_at(self) -> datetime | None:
        """When the next run starts, jitter included; ``None`` while paused and when there is none."""
        return None if self._record.paused else _moment(self._record.due)

    @property
    def last_run_at(self) -> datetime | None:
        return _moment(self._record.last_run)

    @property
    def last_status(self) -> RunStatus | None:
        return self._record.last_status

    @property
    def active_runs(self) -> int:
        """Runs that have not ended, those that wait for a retry included."""
        return self._record.active

    @property
    def run_count(self) -> int:
        """Runs that started, manual ones included."""
        return self._record.counts.runs

    @property
    def failure_count(self) -> int:
        """Runs that ended as failed, timed out or lost."""
        return self._record.counts.failures

    @property
    def retry_count(self) -> int:
        """Attempts beyond the first, over all runs."""
        return self._record.counts.retries

    @property
    def created_at(self) -> datetime:
        return to_datetime(self._record.created)

    @property
    def updated_at(self) -> datetime:
        return to_datetime(self._record.updated)

    @property
    def version(self) -> int:
        """Grows with every change of the job, by hand or by its declaration."""
        return self._record.version

    @property
    def starting(self) -> datetime | None:
        return _moment(self._record.spec.starting)

    @property
    def until(self) -> datetime | None:
        return _moment(self._record.spec.until)

    @property
    def max_runs(self) -> int | None:
        return self._record.spec.max_runs


class Run:
    """The record of handling one occurrence, or one start by hand. A snapshot; it does not change.

    A record of instants that never started can stand for many: ``due_at`` is the first, ``last_due_at`` the last,
    ``count`` how many.
    """

    __slots__ = ("_record",)

    def __init__(self, record: RunRecord) -> None:
        self._record = record

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self._record == other._record

    def __hash__(self) -> int:
        return hash(self._record.id)

    def __repr__(self) -> str:
        return f"<Run {self.id!r} of {self.job_id!r} {self.status}, attempt {self.attempt}, due {self.due_at}>"

    @property
    def id(self) -> str:
        return format_run_id(self._record.id)

    @property
    def job_id(self) -> str:
        return self._record.job_id

    @property
    def func(self) -> str:
        return self._record.func

    @property
    def status(self) -> RunStatus:
        return self._record.status

    @property
    def reason(self) -> Reason | None:
        return self._record.reason

    @property
    def due_at(self) -> datetime:
        return to_datetime(self._record.due)

    @property
    def planned_at(self) -> datetime:
        """What the trigger named; ``due_at`` is that plus the jitter drawn."""
        return to_datetime(self._record.planned)

    @property
    def started_at(self) -> datetime | None:
        return _moment(self._record.started)

    @property
    def ended_at(self) -> datetime | None:
        return _moment(self._record.ended)

    @property
    def attempt(self) -> int:
        """The number of the latest attempt; 0 before the first."""
        return self._record.attempt

    @property
    def error(self) -> ErrorInfo | None:
        return self._record.error

    @property
    def result(self) -> Any:
        """What the function returned; where that is not JSON, its repr."""
        return decode_result(self._record.result)

    @property
    def log(self) -> tuple[str, ...]:
        return self._record.log

    @property
    def manual(self) -> bool:
        return self._record.manual

    @property
    def fence(self) -> int:
        """Grows with every claim of the job, whichever node makes it."""
        return self._record.fence

    @property
    def node(self) -> str | None:
        return self._record.node

    @property
    def count(self) -> int:
        return self._record.instants

    @property
    def last_due_at(self) -> datetime:
        return to_datetime(self._record.last_due)

    @property
    def args(self) -> tuple[Any, ...]:
        return tuple(decode_arguments(self._record.payload)[0])

    @property
    def kwargs(self) -> dict[str, Any]:
        return decode_arguments(self._record.payload)[1]

    @property
    def duration(self) -> float | None:
        """Seconds from the first start to the end; ``None`` while there is none."""
        started, ended = self._record.started, self._record.ended
        return None if started is None or ended is None else (ended - started) / SECOND

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        return tuple(
            Attempt(a.number, a.node, to_datetime(a.started), _moment(a.ended), a.outcome, a.error)
            for a in self._record.attempts
        )

    @property
    def progress(self) -> Progress | None:
        progress = self._record.progress
        return None if progress is None else Progress(*progress)

    @property
    def replay_of(self) -> str | None:
        """The dead letter that this run repeats."""
        replay_of = self._record.replay_of
        return None if replay_of is None else format_run_id(replay_of)


def node_view(record: NodeRecord, has_lease: bool) -> Node:
    info = record.info
    return Node(
        name=info.name,
        host=info.host,
        pid=info.pid,
        epoch=record.epoch,
        started_at=to_datetime(record.started),
        lease_until=to_datetime(record.lease_until) if has_lease else None,
        active_runs=record.active,
        functions=tuple(sorted(info.functions)),
        version=info.version,
        generation=info.generation,
    )


def statistics_view(totals: Totals, running: bool, started: int | None, now: int) -> Statistics:
    return Statistics(
        running=running,
        uptime=0.0 if started is None else (now - started) / SECOND,
        active_jobs=totals.active_jobs,
        active_runs=totals.active_runs,
        total_runs=totals.runs,
        total_failures=totals.failures,
        success_rate=1.0 if not totals.runs else 1 - totals.failures / totals.runs,
        per_job={job_id: JobCounts(c.runs, c.failures, c.retries) for job_id, c in totals.per_job.items()},
        nodes=totals.nodes,
        since=to_datetime(totals.since),
    )


def _moment(instant: int | None) -> datetime | None:
    return None if instant is None else to_datetime(instant)
