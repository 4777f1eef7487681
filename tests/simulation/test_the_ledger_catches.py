"""The simulation can fail: with one rule of the scheduler broken, some small world differs from its ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from types import ModuleType

import pytest
from simulation.play import differences, play
from simulation.world import pausing, small

import asched.engine
import asched.planner
import asched.stores.memory
import asched.triggers.calendar
import asched.triggers.cron
from asched import retry
from asched.engine import Engine
from asched.errors import InvalidTrigger
from asched.instants import DAY, MINUTE
from asched.model import Backoff, CatchUp, JobSpec, RunStatus
from asched.rules import claims as claim_rules
from asched.rules import ends as end_rules
from asched.rules import jobs as job_rules
from asched.rules import runs as run_rules
from asched.rules.state import JobState, NodeState, RunState, Step
from asched.runner import Runner
from asched.store import Claim, Claimed, ClaimRow, Finish, Gap, Timer
from asched.triggers import Interval, Trigger

# Worlds in which, between them, every rule below is at work.
WORLDS = range(40)

Breaks = Callable[[pytest.MonkeyPatch], None]


def next_is_taken_from_now(patch: pytest.MonkeyPatch) -> None:
    plan = asched.engine.plan

    def broken(timer: Timer, token: int, now: int, since: int, chance: Callable[[], float]) -> ClaimRow:
        claim = Claim._make(plan(timer, token, now, since, chance))
        if claim.timer.attempt or not isinstance(timer.spec.trigger, Interval) or claim.next_planned is None:
            return claim
        later = now + timer.spec.trigger.step_us
        return claim._replace(next_planned=later, next_due=later)

    patch.setattr(asched.engine, "plan", broken)


def what_was_missed_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    plan = asched.engine.plan
    patch.setattr(asched.engine, "plan", lambda timer, *rest: Claim._make(plan(timer, *rest))._replace(gap=None))


def gaps_count_one_too_few(patch: pytest.MonkeyPatch) -> None:
    def broken(spec: JobSpec, status: RunStatus, reason: object, first: int, last: int) -> Gap:
        gap = gap_of(spec, status, reason, first, last)  # type: ignore[arg-type]
        return gap._replace(instants=max(1, gap.instants - 1))

    gap_of = asched.planner._gap
    patch.setattr(asched.planner, "_gap", broken)


def a_resume_plans_one_instant_late(patch: pytest.MonkeyPatch) -> None:
    resumed = job_rules.passed_while_paused

    def broken(spec: JobSpec, planned: int | None, now: int) -> tuple[Gap | None, int | None]:
        gap, upcoming = resumed(spec, planned, now)
        return gap, upcoming if upcoming is None else asched.planner.instant_after(spec, upcoming)

    patch.setattr(job_rules, "passed_while_paused", broken)


def instants_passed_in_a_pause_are_caught_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(job_rules, "passed_while_paused", lambda spec, planned, now: (None, planned))


def fixed_times_come_in_both_passes_of_a_fold(patch: pytest.MonkeyPatch) -> None:
    for module in (asched.triggers.calendar, asched.triggers.cron):
        _force_plan(patch, module, follows=True)


def wildcards_come_once_in_a_fold(patch: pytest.MonkeyPatch) -> None:
    for module in (asched.triggers.calendar, asched.triggers.cron):
        _force_plan(patch, module, follows=False)


def _force_plan(patch: pytest.MonkeyPatch, module: ModuleType, follows: bool) -> None:
    plan = module.plan
    patch.setattr(module, "plan", lambda pattern, zone, _: plan(pattern, zone, follows))


def the_window_is_two_hours_longer(patch: pytest.MonkeyPatch) -> None:
    plan = asched.engine.plan

    def broken(timer: Timer, token: int, now: int, since: int, chance: Callable[[], float]) -> ClaimRow:
        policy = timer.spec.policy
        if policy.catch_up is CatchUp.ALL and policy.catch_up_window is not None:
            longer = policy.replace(catch_up_window=policy.catch_up_window + 7200)
            claim = plan(timer.replace(spec=timer.spec.replace(policy=longer)), token, now, since, chance)
            return Claim._make(claim)._replace(timer=timer)
        return plan(timer, token, now, since, chance)

    patch.setattr(asched.engine, "plan", broken)


def a_downtime_is_not_noticed(patch: pytest.MonkeyPatch) -> None:
    plan = asched.engine.plan
    patch.setattr(asched.engine, "plan", lambda timer, token, now, since, chance: plan(timer, token, now, -DAY, chance))


def jobs_end_six_hours_before_until(patch: pytest.MonkeyPatch) -> None:
    following = asched.planner._next

    def broken(trigger: Trigger, after: int, until: int | None) -> int | None:
        return following(trigger, after, None if until is None else until - DAY // 4)

    patch.setattr(asched.planner, "_next", broken)


def retries_wait_a_millisecond_more(patch: pytest.MonkeyPatch) -> None:
    delay = retry.delay

    def broken(backoff: Backoff, failed: int, chance: float) -> float:
        return delay(backoff, failed, chance) + 0.001

    patch.setattr(retry, "delay", broken)


def one_retry_too_many(patch: pytest.MonkeyPatch) -> None:
    end_failed = Engine._end_failed

    def broken(self: Engine, run: asched.engine.CurrentRun, *rest: object) -> object:
        policy = run.spec.policy
        spec, run.spec = run.spec, run.spec.replace(policy=policy.replace(max_retries=policy.max_retries + 1))
        try:
            return end_failed(self, run, *rest)  # type: ignore[arg-type]
        finally:
            run.spec = spec

    patch.setattr(Engine, "_end_failed", broken)


def a_run_that_queued_is_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(run_rules, "unqueue", lambda step, job: None)


def a_queue_holds_any_number(patch: pytest.MonkeyPatch) -> None:
    overlap = claim_rules._overlap

    def broken(step: Step, node: NodeState, job: JobState, *rest: object) -> Claimed:
        queued = [run for run in step.open_runs(job) if run.queued]
        _set_queued(queued, False)
        try:
            return overlap(step, node, job, *rest)  # type: ignore[arg-type]
        finally:
            _set_queued(queued, True)

    patch.setattr(claim_rules, "_overlap", broken)


def _set_queued(runs: Iterable[RunState], queued: bool) -> None:
    for run in runs:
        run.queued = queued


def a_start_does_not_close_the_gap(patch: pytest.MonkeyPatch) -> None:
    # Where a start is plain the memory store closes it without the rules.
    patch.setattr(asched.stores.memory, "is_plain_claim", lambda claim: False)
    patch.setattr(Step, "close_gap", lambda self, job: None)


def gaps_of_two_reasons_are_one(patch: pytest.MonkeyPatch) -> None:
    pass_gap = Step.pass_gap

    def broken(self: Step, job: JobState, gap: Gap) -> None:
        known = job.gap
        pass_gap(self, job, gap if known is None else gap._replace(status=known.status, reason=known.reason))

    patch.setattr(Step, "pass_gap", broken)


def max_runs_are_one_too_many(patch: pytest.MonkeyPatch) -> None:
    use = claim_rules._use_occurrence

    def broken(step: Step, job: JobState, one: Claim) -> None:
        job.planned_runs -= job.planned_runs == 0
        use(step, job, one)

    patch.setattr(claim_rules, "_use_occurrence", broken)


def a_pause_holds_runs_started_by_hand(patch: pytest.MonkeyPatch) -> None:
    renew = run_rules._renew

    def broken(step: Step, run: RunState) -> None:
        renew(step, run)
        run.held = run.job.paused

    patch.setattr(run_rules, "_renew", broken)


def a_pause_holds_no_retries(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(run_rules, "renew_waiting", lambda step, job: None)


def what_is_superseded_goes_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(run_rules, "supersede", lambda step, job: ())


def an_interrupted_attempt_counts(patch: pytest.MonkeyPatch) -> None:
    finish = end_rules._finish

    def broken(step: Step, node: NodeState, run: RunState, one: Finish) -> None:
        finish(step, node, run, one._replace(counts=True))

    patch.setattr(end_rules, "_finish", broken)


def a_step_back_replans_everything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(asched.engine, "CORRECTION", MINUTE)


def intervals_stand_still_after_a_step_back(patch: pytest.MonkeyPatch) -> None:
    async def broken(self: object, now: int, correction: bool) -> None:
        return None

    patch.setattr(asched.Scheduler, "_replan", broken)


def timeouts_are_a_millisecond_late(patch: pytest.MonkeyPatch) -> None:
    arm = Runner._arm

    def broken(self: Runner) -> None:
        self._loop.call_later(0.001, arm, self)

    patch.setattr(Runner, "_arm", broken)


BROKEN: list[Breaks] = [
    next_is_taken_from_now,
    what_was_missed_is_forgotten,
    gaps_count_one_too_few,
    a_resume_plans_one_instant_late,
    instants_passed_in_a_pause_are_caught_up,
    the_window_is_two_hours_longer,
    fixed_times_come_in_both_passes_of_a_fold,
    wildcards_come_once_in_a_fold,
    a_downtime_is_not_noticed,
    jobs_end_six_hours_before_until,
    retries_wait_a_millisecond_more,
    one_retry_too_many,
    a_run_that_queued_is_lost,
    a_queue_holds_any_number,
    a_start_does_not_close_the_gap,
    gaps_of_two_reasons_are_one,
    max_runs_are_one_too_many,
    a_pause_holds_runs_started_by_hand,
    a_pause_holds_no_retries,
    what_is_superseded_goes_on,
    an_interrupted_attempt_counts,
    a_step_back_replans_everything,
    intervals_stand_still_after_a_step_back,
    timeouts_are_a_millisecond_late,
]


@pytest.mark.parametrize("breaks", BROKEN, ids=lambda breaks: breaks.__name__)
def test_some_world_shows_that(breaks: Breaks, monkeypatch: pytest.MonkeyPatch) -> None:
    breaks(monkeypatch)

    found = None
    for world in chain([pausing()], map(small, WORLDS)):
        try:
            found = differences(world, play(world))
        except InvalidTrigger as error:
            # A trigger with other rules may end before it began.
            found = [str(error)]
        if found:
            break

    assert found
