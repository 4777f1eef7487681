"""The life of a run: it starts, waits for another attempt, is queued behind another run, and ends."""

from __future__ import annotations

from asched.model import ErrorInfo, Outcome, Reason, RunStatus
from asched.rules.state import JobState, NodeState, RunState, Step
from asched.store import AttemptRecord, Note

__all__ = [
    "add_attempt",
    "add_run",
    "end",
    "give_back",
    "mark_cancel",
    "note",
    "renew_waiting",
    "start",
    "supersede",
    "unqueue",
    "wait",
]


def add_run(
    step: Step, job: JobState, run_id: int, planned: int, due: int, payload: bytes | None, *, queued: bool = False
) -> RunState:
    """Make a run that waits for its first attempt, behind the active ones if it is ``queued``."""
    run = RunState(run_id, job, planned, due, payload)
    run.rev = 1
    run.wake = due
    run.next_attempt = 1
    run.queued = queued
    step.runs[run_id] = run
    job.active = (*job.active, run_id)
    step.note_job(job)
    step.note_run(run)
    step.moved[run_id] = run
    return run


def start(step: Step, run: RunState, node: NodeState, token: int, fence: int) -> None:
    """Let a node execute the next attempt of a run."""
    job = run.job
    run.status = RunStatus.RUNNING
    run.attempt = run.next_attempt
    run.next_attempt = 0
    run.token = token
    run.epoch = node.epoch
    run.node = node.name
    run.fence = fence
    run.wake = None
    if run.started is None:
        run.started = step.now
    job.last_run = step.now
    step.note_job(job)
    step.note_run(run)


def wait(step: Step, run: RunState, status: RunStatus, due: int, attempt: int, ended: int) -> None:
    """Let a run that was executed wait for its next attempt; of a deleted job, or once cancelled, end it.

    Args:
        status: ``RETRYING`` or ``PENDING``.
        due: When the next attempt is due; ``attempt`` is its number.
        ended: When the attempt before it ended.
    """
    job = run.job
    if job.gone or run.cancel is not None:
        end(step, run, RunStatus.CANCELLED, ended, run.cancel or Reason.JOB_CANCELLED)
        unqueue(step, job)
        return
    _free(step, run)
    run.status = status
    run.claimed = None
    run.wake = due
    run.next_attempt = attempt
    _renew(step, run)


def give_back(step: Step, run: RunState) -> None:
    """Let a claimed run wait again: its attempt never began, and the attempt's number is used again."""
    if not run.attempts:
        run.started = None
    wait(step, run, RunStatus.PENDING, step.now, run.attempt, step.now)


def end(step: Step, run: RunState, status: RunStatus, ended: int, reason: Reason | None) -> None:
    """Give a run its final status."""
    job = run.job
    _free(step, run)
    run.status = status
    run.reason = reason
    run.ended = ended
    run.wake = None
    del step.runs[run.id]
    step.written.pop(run.id, None)
    step.moved.pop(run.id, None)
    step.records.append(run)
    place = job.active.index(run.id)
    job.active = job.active[:place] + job.active[place + 1 :]
    job.last_status = status
    step.ends += 1
    if status.dead:
        job.failures += 1
        step.failures += 1
    elif run.replay_of is not None and status is RunStatus.SUCCEEDED:
        step.buried.append(run.replay_of)
    step.note_job(job)
    step.tell_run(run.id)


def unqueue(step: Step, job: JobState) -> None:
    """Let the run that queued start, now that nothing else of the job is active."""
    if job.gone or len(job.active) != 1:
        return
    run = step.runs.get(job.active[0])
    if run is not None and run.queued:
        run.queued = False
        run.wake = run.due
        _renew(step, run)


def supersede(step: Step, job: JobState) -> tuple[int, ...]:
    """End the job's waiting runs, and return the tokens of those that execute and are now to be cancelled."""
    tokens = []
    for run in step.open_runs(job):
        if run.token is None:
            end(step, run, RunStatus.CANCELLED, step.now, Reason.SUPERSEDED)
        else:
            mark_cancel(step, run, Reason.SUPERSEDED)
            tokens.append(run.token)
    return tuple(tokens)


def mark_cancel(step: Step, run: RunState, reason: Reason) -> None:
    """Have the node that executes the run cancel its attempt."""
    run.cancel = reason
    step.written[run.id] = run
    step.hints.append((run.epoch, 0))


def renew_waiting(step: Step, job: JobState) -> None:
    """Give the job's waiting runs a new revision: their spec, or whether they may start, has changed."""
    for run in step.open_runs(job):
        if run.token is None:
            _renew(step, run)


def add_attempt(
    run: RunState, node: str, started: int, ended: int, outcome: Outcome, error: ErrorInfo | None = None
) -> None:
    """Keep the attempt that has just ended."""
    run.attempts = (*run.attempts, AttemptRecord(run.attempt, node, started, ended, outcome, error))


def note(run: RunState, noted: Note) -> None:
    """Keep what an attempt says of itself. It replaces what was noted for the run before."""
    if noted.done is not None:
        run.progress = (noted.done, noted.total)
    if noted.log:
        run.log = noted.log


def _renew(step: Step, run: RunState) -> None:
    run.rev += 1
    run.held = run.job.paused and not run.manual
    step.note_run(run)
    step.moved[run.id] = run


def _free(step: Step, run: RunState) -> None:
    if run.token is not None:
        step.freed.append((run.epoch, run.token))
        run.token = None
        run.epoch = 0
