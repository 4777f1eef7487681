"""Store records turned into what the user gets."""

from __future__ import annotations

from datetime import datetime

from asched.arguments import decode_arguments, decode_result
from asched.errors import RunNotFound
from asched.instants import SECOND, to_datetime
from asched.model import Attempt, Job, JobCounts, Node, Progress, Run, Statistics
from asched.runner import format_run_id
from asched.store import JobRecord, NodeRecord, RunRecord, Totals

__all__ = ["job_view", "node_view", "parse_run_id", "run_view", "statistics_view"]


def job_view(record: JobRecord) -> Job:
    spec = record.spec
    args, kwargs = decode_arguments(spec.payload)
    counts = record.counts
    return Job(
        spec.id,
        spec.name,
        spec.func,
        spec.origin,
        spec.trigger,
        spec.group,
        spec.tags,
        tuple(args),
        kwargs,
        spec.policy,
        record.status,
        record.paused,
        None if record.paused or record.due is None else to_datetime(record.due),
        _moment(record.last_run),
        record.last_status,
        record.active,
        counts.runs,
        counts.failures,
        counts.retries,
        to_datetime(record.created),
        to_datetime(record.updated),
        record.version,
        _moment(spec.starting),
        _moment(spec.until),
        spec.max_runs,
    )


def run_view(record: RunRecord) -> Run:
    args, kwargs = decode_arguments(record.payload)
    return Run(
        id=format_run_id(record.id),
        job_id=record.job_id,
        func=record.func,
        status=record.status,
        reason=record.reason,
        due_at=to_datetime(record.due),
        planned_at=to_datetime(record.planned),
        started_at=_moment(record.started),
        ended_at=_moment(record.ended),
        attempt=record.attempt,
        attempts=tuple(
            Attempt(a.number, a.node, to_datetime(a.started), _moment(a.ended), a.outcome, a.error)
            for a in record.attempts
        ),
        error=record.error,
        result=decode_result(record.result),
        progress=None if record.progress is None else Progress(*record.progress),
        log=record.log,
        manual=record.manual,
        replay_of=None if record.replay_of is None else format_run_id(record.replay_of),
        fence=record.fence,
        node=record.node,
        count=record.instants,
        last_due_at=to_datetime(record.last_due),
        args=tuple(args),
        kwargs=kwargs,
    )


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


def parse_run_id(run_id: str) -> int:
    """Return the number a run id stands for.

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


def _moment(instant: int | None) -> datetime | None:
    return None if instant is None else to_datetime(instant)
