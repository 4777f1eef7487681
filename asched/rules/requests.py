"""What operators ask of runs: start one by hand, run a dead letter again, cancel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from asched.model import Overlap, Reason, RunStatus
from asched.rules import runs
from asched.rules.state import JobState, Step
from asched.store import Cancelled, Enqueue, Enqueued, PutStatus

__all__ = ["cancel_runs", "enqueue"]


def enqueue(
    step: Step, items: Sequence[Enqueue], by_id: Mapping[str, JobState], letters: Mapping[int, bytes | None]
) -> list[Enqueued]:
    """Make waiting runs that are due now. Pause and ``max_runs`` do not matter, the overlap policy does.

    Args:
        by_id: The jobs that are asked for and exist.
        letters: The payload of each dead letter that is asked for and exists.
    """
    return [_enqueue(step, item, by_id.get(item.job_id), letters) for item in items]


def _enqueue(step: Step, item: Enqueue, job: JobState | None, letters: Mapping[int, bytes | None]) -> Enqueued:
    if job is None or (item.replay_of is not None and item.replay_of not in letters):
        return Enqueued(PutStatus.MISSING)
    cancels: tuple[int, ...] = ()
    queued = False
    if job.active:
        overlap = job.spec.policy.overlap
        if overlap is Overlap.SKIP:
            return Enqueued(PutStatus.CONFLICT)
        if overlap is Overlap.QUEUE:
            if any(run.queued for run in step.open_runs(job)):
                return Enqueued(PutStatus.CONFLICT)
            queued = True
        if overlap is Overlap.CANCEL_RUNNING:
            cancels = runs.supersede(step, job)
    payload = job.spec.payload if item.replay_of is None else letters[item.replay_of]
    run = runs.add_run(step, job, item.run_id, step.now, step.now, payload, queued=queued)
    run.manual = True
    run.replay_of = item.replay_of
    return Enqueued(PutStatus.ADDED, run.timer, cancels, run.record())


def cancel_runs(step: Step, run_ids: Sequence[int]) -> dict[int, Cancelled]:
    """End waiting runs, and mark executing ones for their nodes. Runs that have ended are not in the answer."""
    answers: dict[int, Cancelled] = {}
    for run_id in run_ids:
        run = step.runs.get(run_id)
        if run is None:
            continue
        job = run.job
        if run.token is not None:
            runs.mark_cancel(step, run, Reason.OPERATOR)
            answers[run_id] = Cancelled(run_id, run.status, run.token, run.epoch, job.spec.id)
            continue
        runs.end(step, run, RunStatus.CANCELLED, step.now, Reason.OPERATOR)
        runs.unqueue(step, job)
        # A run that had queued behind this one may start now.
        freed = [step.runs[other].timer for other in job.active if other in step.moved]
        timers = tuple(timer for timer in freed if timer is not None)
        answers[run_id] = Cancelled(run_id, RunStatus.CANCELLED, job_id=job.spec.id, timers=timers)
    return answers
