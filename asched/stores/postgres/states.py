"""Between the rows of a job, its runs and its gap record, and the states that the rules change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asched.model import JobSpec, Origin, Reason
from asched.rules.state import GapState, JobState, RunState
from asched.stores.rows import STATUSES, all_attempts_text, attempts_of, log_of, log_text, progress_of, progress_text

__all__ = ["gap_record", "job_of", "run_of", "run_record", "run_row", "timer_row"]


def job_of(row: Sequence[Any], spec: JobSpec) -> JobState:
    """Return the job of a row of ``timer``; its open runs and its gap record are still to come."""
    serial, _, rev, _, planned, due, paused, _, gone, _, _, runs, failures, retries, planned_runs = row[:15]
    last_run, last_status, _ = row[15:]
    job = JobState(spec, serial, 0, paused)
    job.rev = rev
    if planned is not None:
        job.planned, job.due = planned, due
    job.gone = gone
    job.runs = runs
    job.failures = failures
    job.retries = retries
    job.planned_runs = planned_runs
    job.last_run = last_run
    job.last_status = None if last_status is None else STATUSES[last_status]
    return job


def timer_row(job: JobState, func: int, edition: int, queued: bool) -> tuple[Any, ...]:
    planned = job.planned
    return (
        job.id, func, job.rev, edition, planned, None if planned is None else job.due, job.paused,
        job.spec.origin is Origin.DECLARED, job.gone, len(job.active), queued, job.runs, job.failures, job.retries,
        job.planned_runs, job.last_run, job.last_status, None if job.gap is None else job.gap.id,
    )  # fmt: skip


def run_of(row: Sequence[Any], job: JobState) -> RunState:
    """Return the run of a row of ``run``."""
    (
        run_id, _, _, status, planned, due, attempt, token, epoch, fence, node, started, claimed, payload, rev, wake,
        next_attempt, queued, held, manual, cancel, replay_of, attempts_json, result, progress_json, log_json,
    ) = row  # fmt: skip
    run = RunState(run_id, job, planned, due, payload)
    run.status = STATUSES[status]
    run.attempt = attempt
    run.token = token
    run.epoch = 0 if epoch is None else epoch
    run.fence = fence
    run.node = node
    run.started = started
    run.claimed = claimed
    run.rev = rev
    run.wake = wake
    run.next_attempt = next_attempt
    run.queued = queued
    run.held = held
    run.manual = manual
    run.cancel = None if cancel is None else Reason(cancel)
    run.replay_of = replay_of
    run.attempts = attempts_of(attempts_json)
    run.result = result
    run.progress = progress_of(progress_json)
    run.log = log_of(log_json)
    return run


def run_row(run: RunState, func: int) -> tuple[Any, ...]:
    return (
        run.id, run.job.id, func, run.status, run.planned, run.due, run.attempt, run.token,
        None if run.token is None else run.epoch, run.fence, run.node, run.started, run.claimed, run.payload, run.rev,
        run.wake, run.next_attempt, run.queued, run.held, run.manual, run.cancel, run.replay_of, *_told(run),
    )  # fmt: skip


def run_record(run: RunState, keeps_letters: bool) -> tuple[Any, ...]:
    """Return the row in ``history`` of a run that has ended."""
    return (
        run.id, run.job.id, run.status, run.reason, run.due, run.planned, run.started, run.ended, run.attempt,
        run.fence, run.node, run.payload, run.manual, run.replay_of, *_told(run), 1, run.due,
        run.status.dead and keeps_letters,
    )  # fmt: skip


def gap_record(gap: GapState, now: int) -> tuple[Any, ...]:
    """Return the row in ``history`` of instants that passed."""
    return (
        gap.id, gap.job.id, gap.status, gap.reason, gap.first, gap.first, None, now, 0, 0, None, None, False, None,
        None, None, None, None, gap.instants, gap.last, False,
    )  # fmt: skip


def _told(run: RunState) -> tuple[str | None, bytes | None, str | None, str | None]:
    """Return attempts, result, progress and log."""
    progress = None if run.progress is None else progress_text(*run.progress)
    return all_attempts_text(run.attempts), run.result, progress, log_text(run.log)
