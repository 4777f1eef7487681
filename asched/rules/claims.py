"""Claims: a node takes a timer, and either a run starts or instants pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from asched.model import Overlap, Reason, RunStatus
from asched.rules import runs
from asched.rules.plain import EARLY
from asched.rules.state import JobState, NodeState, RunState, Step
from asched.store import Claim, Claimed, Gap, Grant, Timer

__all__ = ["claim"]


def claim(
    step: Step, node: NodeState, claims: Sequence[Claim], fences: Iterator[int], held: frozenset[int] = frozenset()
) -> list[Claimed]:
    """Take timers for a node whose lease lives; the answers stand in the order of the claims.

    The step holds the jobs of the claims, and those of the runs that the claims' tokens or timers name.

    Args:
        fences: Yields fencing tokens, each greater than those before; one is taken for each attempt that starts.
        held: Ids of timers, jobs' or runs', that another transaction holds. They are ``BUSY``.
    """
    return [_answer(step, node, one, fences, held) for one in claims]


def _answer(step: Step, node: NodeState, one: Claim, fences: Iterator[int], held: frozenset[int]) -> Claimed:
    timer = one.timer
    if timer.id in held:
        return Claimed(Grant.BUSY, one.token)
    if timer.attempt:
        return _claim_waiting(step, node, timer, one.token, fences)
    job = step.jobs.get(timer.id)
    if job is None or job.rev != timer.rev or job.paused or job.gone or job.planned is None:
        return _repeated(step, node, one.token, job)
    if job.due > step.now + EARLY:
        return Claimed(Grant.EARLY, one.token)
    if one.start and (not job.active or job.spec.policy.overlap is Overlap.ALLOW):
        if one.gap is not None:
            step.pass_gap(job, one.gap)
        return _start(step, node, job, one, fences)
    return _overlap(step, node, job, one, fences)


def _start(
    step: Step, node: NodeState, job: JobState, one: Claim, fences: Iterator[int], cancels: tuple[int, ...] = ()
) -> Claimed:
    """Start a run for an occurrence, and move the timer to the next one."""
    _use_occurrence(step, job, one)
    job.runs += 1
    run = runs.add_run(step, job, one.token, one.planned, one.due, job.spec.payload)
    run.rev = 0
    runs.start(step, run, node, one.token, next(fences))
    return Claimed(Grant.STARTED, one.token, run.id, run.fence, job.timer, cancels)


def _overlap(step: Step, node: NodeState, job: JobState, one: Claim, fences: Iterator[int]) -> Claimed:
    """Let instants pass, or follow the job's overlap policy where an occurrence meets an active run."""
    if one.start and one.wait:
        return Claimed(Grant.BUSY, one.token)
    if one.gap is not None:
        step.pass_gap(job, one.gap)
    if not one.start:
        step.move(job, one.next_planned, one.next_due)
        return Claimed(Grant.PASSED, one.token, next=job.timer)
    overlap = job.spec.policy.overlap
    if overlap is Overlap.CANCEL_RUNNING:
        return _start(step, node, job, one, fences, runs.supersede(step, job))
    if overlap is Overlap.QUEUE and not any(run.queued for run in step.open_runs(job)):
        _use_occurrence(step, job, one)
        runs.add_run(step, job, one.token, one.planned, one.due, job.spec.payload, queued=True)
        return Claimed(Grant.QUEUED, one.token, one.token, next=job.timer)
    step.pass_gap(job, Gap(RunStatus.SKIPPED, Reason.OVERLAP, one.planned, one.planned, 1))
    step.move(job, one.next_planned, one.next_due)
    return Claimed(Grant.PASSED, one.token, next=job.timer)


def _use_occurrence(step: Step, job: JobState, one: Claim) -> None:
    """Count an occurrence that has its run, and move the timer; it ends with the last of ``max_runs``."""
    job.planned_runs += 1
    step.close_gap(job)
    max_runs = job.spec.max_runs
    if max_runs is not None and job.planned_runs >= max_runs:
        step.move(job, None, None)
    else:
        step.move(job, one.next_planned, one.next_due)


def _repeated(step: Step, node: NodeState, token: int, job: JobState | None) -> Claimed:
    """Answer a claim whose timer has moved on: as before, if this very claim has moved it and its answer was lost.

    A node that comes second is told where the timer stands now. The node that was first may be gone when the timer
    comes due, and a store that is not polled brings it to nobody else.
    """
    following = None if job is None else job.timer
    run = step.runs.get(token)
    if run is not None and run.token == token and run.epoch == node.epoch:
        return Claimed(Grant.STARTED, token, run.id, run.fence, run.job.timer)
    if run is not None and run.token is None and not run.attempt and not run.manual:
        return Claimed(Grant.QUEUED, token, token, next=run.job.timer)
    return Claimed(Grant.STALE, token, next=following)


def _claim_waiting(step: Step, node: NodeState, timer: Timer, token: int, fences: Iterator[int]) -> Claimed:
    """Start the next attempt of a waiting run, whatever else of the job is active."""
    run: RunState | None = step.runs.get(timer.id)
    if run is None:
        return Claimed(Grant.STALE, token)
    if run.token == token and run.epoch == node.epoch:
        return Claimed(Grant.STARTED, token, run.id, run.fence, due=run.due)
    current = run.timer
    if current is None or current.rev != timer.rev:
        return Claimed(Grant.STALE, token, next=current)
    if current.due > step.now + EARLY:
        return Claimed(Grant.EARLY, token)
    if not run.attempt:
        run.job.runs += 1
    elif run.next_attempt > run.attempt:
        run.job.retries += 1
    run.claimed = step.now
    runs.start(step, run, node, token, next(fences))
    return Claimed(Grant.STARTED, token, run.id, run.fence, due=run.due)
