"""States made by hand, for tests of the rules: a job, its runs, and the step in which something becomes of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from support.clocks import T0
from support.nodes import BOOM, at, spec

from asched.model import JobSpec, Outcome, Overlap, Policy, RunStatus
from asched.rules import claims, runs
from asched.rules.state import JobState, NodeState, RunState, Step
from asched.store import Claim, Claimed, Finish, Timer

NODE = NodeState(5, "node")
OTHER_NODE = NodeState(6, "other")


class World:
    """One job whose first occurrence is due at the beginning of the test, and a step that has loaded it."""

    def __init__(self, job: JobSpec | None = None, *, overlap: Overlap = Overlap.SKIP, retries: int = 3) -> None:
        if job is None:
            job = spec("a", policy=Policy(overlap=overlap, max_retries=retries))
        self.job = JobState(job, 1, T0, False)
        self.job.move(T0, T0)
        self.fences: Iterator[int] = count(1)
        self.tokens = count(101)
        self.step = self.next_step()

    def next_step(self, seconds: float = 0) -> Step:
        """Begin another step, so many seconds after the beginning of the test. What is open is loaded."""
        known = self.step.runs if hasattr(self, "step") else {}
        self.step = Step(at(seconds), keeps_letters=True)
        self.step.load(self.job, [known[run_id] for run_id in self.job.active])
        return self.step

    @property
    def runs(self) -> list[RunState]:
        return self.step.open_runs(self.job)

    def occurrence(self) -> Timer:
        timer = self.job.timer
        assert timer is not None
        return timer

    def claim_of(self, timer: Timer, **changes: object) -> Claim:
        """A claim that starts the timer; an occurrence moves on by a minute."""
        following = None if timer.attempt else timer.planned + at(60) - T0
        claim = Claim(timer, next(self.tokens), True, timer.planned, timer.due, following, following)
        return claim._replace(**changes)  # type: ignore[arg-type]  # the caller names fields of a Claim

    def claim(self, one: Claim, node: NodeState = NODE, held: frozenset[int] = frozenset()) -> Claimed:
        [answer] = claims.claim(self.step, node, [one], self.fences, held)
        return answer

    def start(self, node: NodeState = NODE) -> RunState:
        """Start the next occurrence, and return its run."""
        answer = self.claim(self.claim_of(self.occurrence(), start=True), node)
        return self.step.runs[answer.run_id]

    def add_manual(self) -> RunState:
        """Make a run as an operator asks for it."""
        run = runs.add_run(self.step, self.job, next(self.tokens), self.step.now, self.step.now, None)
        run.manual = True
        return run

    def add_queued(self) -> RunState:
        """Make a run that waits for the active ones to end."""
        return runs.add_run(self.step, self.job, next(self.tokens), self.step.now, self.step.now, None, queued=True)

    def end_of(self, run: RunState, status: RunStatus = RunStatus.SUCCEEDED, **changes: object) -> Finish:
        assert run.token is not None
        outcome = {RunStatus.SUCCEEDED: Outcome.OK, RunStatus.PENDING: Outcome.INTERRUPTED}.get(status, Outcome.ERROR)
        end = Finish(run.token, status, outcome, self.step.now, self.step.now)
        if outcome is Outcome.ERROR:
            end = end._replace(error=BOOM)
        return end._replace(**changes)  # type: ignore[arg-type]  # the caller names fields of a Finish
