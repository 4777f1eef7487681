"""Ends: of attempts that executed, of claims that are given back, and of nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from asched.model import OnCrash, Outcome, Reason, RunStatus
from asched.rules import runs
from asched.rules.state import NodeState, RunState, Step
from asched.store import Finish, Reaped

__all__ = ["finish", "let_queued_start", "reap", "release"]


def finish(step: Step, node: NodeState, ends: Sequence[Finish]) -> list[bool]:
    """Record ends of attempts; return for each whether the node held the claim. A second end of one token is refused.

    ``step.timers()`` are then the retries, and the runs that had queued behind the ones that ended.
    """
    executing = {run.token: run for run in step.runs.values() if run.token is not None and run.epoch == node.epoch}
    accepted = []
    for one in ends:
        run = executing.pop(one.token, None)
        accepted.append(run is not None)
        if run is not None:
            _finish(step, node, run, one)
    return accepted


def _finish(step: Step, node: NodeState, run: RunState, one: Finish) -> None:
    status = one.status
    # An interrupted attempt is followed by another of the same number; the run began with the first.
    if run.attempt == 1 and not run.attempts:
        run.started = one.started
    if status is not RunStatus.SUCCEEDED or run.claimed is not None or run.attempts:
        runs.add_attempt(run, node.name, one.started, one.ended, one.outcome, one.error)
    run.result = one.result
    if one.note is not None:
        runs.note(run, one.note)
    if status.waiting:
        attempt = run.attempt + 1 if one.counts else run.attempt
        runs.wait(step, run, status, one.due or one.ended, attempt, one.ended)
    else:
        runs.end(step, run, status, one.ended, one.reason)
        runs.unqueue(step, run.job)


def release(step: Step, epoch: int, tokens: Iterable[int] | None = None) -> None:
    """Let claims of a node wait again whose attempts never began: those with these tokens, or all it holds."""
    wanted = None if tokens is None else set(tokens)
    for run in _executed_by(step, epoch):
        if wanted is None or run.token in wanted:
            runs.give_back(step, run)


def reap(step: Step, node: NodeState) -> Reaped:
    """End what a node executed whose lease has run out.

    Under ``OnCrash.RERUN`` a run waits for its next attempt, due now; the one that died counts. Once the attempts are
    used up, and under ``OnCrash.LOST``, the run is lost.
    """
    lost = []
    before = set(step.moved)
    for run in _executed_by(step, node.epoch):
        policy = run.job.spec.policy
        runs.add_attempt(run, node.name, run.began, step.now, Outcome.LOST)
        if policy.on_crash is OnCrash.LOST or run.attempt > policy.max_retries:
            runs.end(step, run, RunStatus.LOST, step.now, Reason.NODE_DIED)
            lost.append(run.id)
            runs.unqueue(step, run.job)
        else:
            runs.wait(step, run, RunStatus.PENDING, step.now, run.attempt + 1, step.now)
    rescued = [timer for timer in step.timers() if timer.id not in before]
    return Reaped(node.epoch, node.name, tuple(rescued), tuple(lost))


def let_queued_start(step: Step) -> None:
    """After plain ends: let queued runs of the step's jobs start where nothing else of the job is active."""
    for job in step.jobs.values():
        runs.unqueue(step, job)


def _executed_by(step: Step, epoch: int) -> list[RunState]:
    """Return what a node executes, in the order in which it claimed it. Stores load it in orders of their own."""
    return sorted((run for run in step.runs.values() if run.token is not None and run.epoch == epoch), key=_token)


def _token(run: RunState) -> int:
    return run.token or 0
