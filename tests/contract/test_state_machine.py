"""Any order of calls, by nodes that die, against a small model of what must hold.

The model knows only what was asked and answered: which jobs there are, which tokens are held by whom, which ended.
It predicts nothing of timers; what it claims it takes from the store's own window.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from support.clocks import SettableClock
from support.nodes import MINUTELY, ids, info, item, spec
from support.store_factories import Require, make_store

from asched.instants import SECOND
from asched.model import Backoff, CatchUp, OnCrash, Outcome, Overlap, Policy, Reason, RunStatus
from asched.planner import plan, plan_skip
from asched.store import (
    TOKEN_BITS,
    Claim,
    Claimed,
    Enqueue,
    Finish,
    Grant,
    JobFilter,
    PutItem,
    PutMode,
    PutStatus,
    RunFilter,
    RunRecord,
    Timer,
)
from asched.triggers.occurrences import count_between

T = TypeVar("T")
JOB_IDS = ("a", "b", "c")
policies = st.builds(
    Policy,
    timeout=st.none(),
    max_retries=st.integers(0, 2),
    backoff=st.just(Backoff(1, 1, 1, False)),
    overlap=st.sampled_from(Overlap),
    catch_up=st.sampled_from(CatchUp),
    catch_up_window=st.just(120.0),
    on_crash=st.sampled_from(OnCrash),
    jitter=st.just(0.0),
    in_process=st.just(False),
)
job_ids = st.sampled_from(JOB_IDS)
ENDS = (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.RETRYING, RunStatus.PENDING)


class StoreMachine(RuleBasedStateMachine):
    kind: str
    require: Require

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.clock = SettableClock()
        made = make_store(self.kind, self.clock, Path(self.directory.name), self.require)
        self.store = self.wait(made)
        self.nodes: list[int] = []
        self.counter = 0
        self.held: dict[int, tuple[int, int]] = {}
        """Claims by token: the epoch and the run."""
        self.gone: set[tuple[int, int]] = set()
        """Epoch and token of claims that ended; each must be refused from then on."""
        self.final: dict[int, RunRecord] = {}
        self.fences: dict[str, int] = {}
        self.made: dict[str, tuple[int, int]] = {}
        """The serial number of each job, and its first planned instant."""
        self.join()

    def wait(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)

    def take(self, epoch: int, claims: list[Claim]) -> list[Claimed]:
        return list(map(Claimed._make, self.wait(self.store.claim(epoch, claims))))

    def teardown(self) -> None:
        self.wait(self.store.close())
        self.runner.close()
        self.directory.cleanup()

    def token(self, epoch: int) -> int:
        self.counter += 1
        return epoch << TOKEN_BITS | self.counter

    def release_all(self, epoch: int) -> None:
        for token, (owner, _) in list(self.held.items()):
            if owner == epoch:
                self.let_go(token)

    def let_go(self, token: int) -> None:
        epoch, _ = self.held.pop(token)
        self.gone.add((epoch, token))

    # Nodes and time

    @precondition(lambda self: len(self.nodes) < 3)
    @rule()
    def join(self) -> None:
        epoch = self.wait(self.store.register(info()))
        assert epoch not in self.nodes
        self.nodes.append(epoch)

    @rule(seconds=st.sampled_from([0.5, 10, 40, 200]), alive=st.sets(st.integers(0, 2)))
    def let_time_pass(self, seconds: float, alive: set[int]) -> None:
        self.clock.advance(seconds)
        for index in alive & set(range(len(self.nodes))):
            assert self.wait(self.store.heartbeat(self.nodes[index])).alive

    @rule()
    def reap(self) -> None:
        for reaped in self.wait(self.store.reap()):
            self.nodes.remove(reaped.epoch)
            self.release_all(reaped.epoch)

    @precondition(lambda self: self.nodes)
    @rule(which=st.integers(0, 2))
    def leave(self, which: int) -> None:
        epoch = self.nodes.pop(which % len(self.nodes))
        self.wait(self.store.leave(epoch))
        self.release_all(epoch)

    # Jobs

    @rule(job_id=job_ids, policy=policies, max_runs=st.none() | st.integers(1, 3), paused=st.booleans())
    def add(self, job_id: str, policy: Policy, max_runs: int | None, paused: bool) -> None:
        first = self.clock.now() // (60 * SECOND) * 60 * SECOND + 60 * SECOND
        put = PutItem(spec(job_id, policy=policy, max_runs=max_runs, trigger=MINUTELY), first, first, paused)
        [added] = self.wait(self.store.put_jobs(PutMode.INSERT, [put]))
        assert (added.status is PutStatus.EXISTS) == (job_id in self.made)
        if added.status is PutStatus.ADDED:
            assert added.record is not None
            self.made[job_id] = (added.record.serial, first)

    @rule(job_id=job_ids, policy=policies)
    def update(self, job_id: str, policy: Policy) -> None:
        [record] = self.wait(self.store.get_jobs([job_id]))
        if record is not None:
            changed = record.spec.replace(policy=policy)
            [put] = self.wait(
                self.store.put_jobs(PutMode.UPDATE, [item(changed, replan=False, version=record.version)])
            )
            assert put.record is not None
            assert (put.record.due, put.record.active) == (record.due, record.active)

    @rule(job_id=job_ids)
    def pause(self, job_id: str) -> None:
        self.wait(self.store.pause_jobs(ids(job_id)))

    @rule(job_id=job_ids)
    def resume(self, job_id: str) -> None:
        self.wait(self.store.resume_jobs(ids(job_id)))

    @rule(job_id=job_ids)
    def delete(self, job_id: str) -> None:
        deleted = self.wait(self.store.delete_jobs(ids(job_id)))
        assert deleted.ids == ((job_id,) if self.made.pop(job_id, None) else ())

    # Runs

    def due(self, epoch: int) -> list[Timer]:
        window = self.wait(self.store.window(epoch, self.clock.now(), 100))
        assert [timer.due for timer in window.timers] == sorted(timer.due for timer in window.timers)
        return window.timers

    @precondition(lambda self: self.nodes)
    @rule(which=st.integers(0, 2), racer=st.integers(0, 2), skip=st.booleans(), again=st.booleans())
    def claim(self, which: int, racer: int, skip: bool, again: bool) -> None:
        epoch, other = self.nodes[which % len(self.nodes)], self.nodes[racer % len(self.nodes)]
        now = self.clock.now()
        timers = self.due(epoch)
        claims = [
            plan_skip(timer, self.token(epoch), now, Reason.ABANDONED, lambda: 0.0)
            if skip and not timer.attempt
            else Claim._make(plan(timer, self.token(epoch), now, now - 90 * SECOND, lambda: 0.0))
            for timer in timers
        ]
        answers = self.take(epoch, claims)
        for claimed, timer in zip(answers, timers, strict=False):
            assert claimed.grant is not Grant.EARLY
            if claimed.grant is Grant.STARTED:
                assert claimed.token not in self.held
                assert claimed.fence > self.fences.get(timer.spec.id, 0)
                self.fences[timer.spec.id] = claimed.fence
                self.held[claimed.token] = (epoch, claimed.run_id)
        if again and answers:
            repeated = self.take(epoch, claims)
            for first, second in zip(answers, repeated, strict=True):
                if first.grant in (Grant.STARTED, Grant.QUEUED):
                    assert (second.grant, second.run_id, second.fence) == (first.grant, first.run_id, first.fence)
                elif first.grant is not Grant.BUSY:
                    assert second.grant is Grant.STALE
        if answers:
            stolen = self.take(other, [claim._replace(token=self.token(other)) for claim in claims])
            assert {claimed.grant for claimed in stolen} <= {Grant.STALE, Grant.BUSY}

    @precondition(lambda self: self.held)
    @rule(data=st.data(), status=st.sampled_from(ENDS))
    def finish(self, data: st.DataObject, status: RunStatus) -> None:
        token = data.draw(st.sampled_from(sorted(self.held)))
        epoch, _ = self.held[token]
        now = self.clock.now()
        end = Finish(token, status, Outcome.ERROR, now, now, due=now + SECOND, counts=status is not RunStatus.PENDING)
        accepted, _ = self.wait(self.store.finish(epoch, [end, end]))
        assert accepted == [True, False]
        self.let_go(token)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(sorted(self.held)))
        self.wait(self.store.release(self.held[token][0], [token]))
        self.let_go(token)

    @precondition(lambda self: self.nodes)
    @rule(job_id=job_ids)
    def enqueue(self, job_id: str) -> None:
        [enqueued] = self.wait(self.store.enqueue([Enqueue(job_id, self.token(self.nodes[0]))]))
        assert (enqueued.status is PutStatus.MISSING) == (job_id not in self.made)

    @rule(index=st.integers(0, 5))
    def cancel(self, index: int) -> None:
        runs = self.records()
        if runs:
            chosen = runs[index % len(runs)]
            [cancelled] = self.wait(self.store.cancel_runs([chosen.id]))
            executing = chosen.id in {run_id for _, run_id in self.held.values()}
            assert (cancelled.token is not None) == executing

    @precondition(lambda self: self.gone)
    @rule(data=st.data())
    def finish_what_is_gone(self, data: st.DataObject) -> None:
        epoch, token = data.draw(st.sampled_from(sorted(self.gone)))
        now = self.clock.now()
        late = Finish(token, RunStatus.SUCCEEDED, Outcome.OK, now, now)
        assert self.wait(self.store.finish(epoch, [late])) == ([False], [])
        assert self.wait(self.store.release(epoch, [token])) == []

    # What must hold

    def records(self) -> list[RunRecord]:
        return self.wait(self.store.list_runs(RunFilter(), 10_000))[0]

    @invariant()
    def the_store_holds_the_claims_that_were_granted(self) -> None:
        for epoch in self.nodes:
            lives = self.wait(self.store.claims(epoch))
            mine = {token: run_id for token, (owner, run_id) in self.held.items() if owner == epoch}
            assert {live.token: live.run_id for live in lives} == mine

    @invariant()
    def every_run_is_accounted_for(self) -> None:
        records = self.records()
        executing = {run_id for _, run_id in self.held.values()}
        assert {record.id for record in records if record.status is RunStatus.RUNNING} == executing
        for record in records:
            if record.id in self.final:
                kept = self.final[record.id]
                assert (record.status, record.attempts, record.ended) == (kept.status, kept.attempts, kept.ended)
            elif record.status.final and record.status not in (RunStatus.SKIPPED, RunStatus.MISSED):
                self.final[record.id] = record
        assert set(self.final) <= {record.id for record in records}
        active = Counter(record.job_id for record in records if not record.status.final)
        jobs, _ = self.wait(self.store.list_jobs(JobFilter(), 100))
        assert {job.spec.id for job in jobs} == set(self.made)
        for job in jobs:
            beside = active[job.spec.id]
            # Runs of a deleted job that had this id still execute.
            assert job.active <= beside
        totals = self.wait(self.store.totals())
        assert totals.active_runs == active.total()
        assert totals.jobs == len(jobs)
        assert totals.active_jobs == sum(1 for job in jobs if job.due is not None and not job.paused)
        assert totals.runs == len(self.final)

    @invariant()
    def every_planned_instant_has_one_fate(self) -> None:
        planned = [record for record in self.records() if not record.manual]
        starts = [record for record in planned if record.status not in (RunStatus.SKIPPED, RunStatus.MISSED)]
        gaps = [record for record in planned if record.status in (RunStatus.SKIPPED, RunStatus.MISSED)]
        instants = Counter((record.job_id, record.planned) for record in starts)
        for gap in gaps:
            assert gap.instants == 1 + count_between(MINUTELY, gap.planned, gap.last_due)
            instants.update((gap.job_id, instant) for instant in range(gap.planned, gap.last_due + 1, 60 * SECOND))
        jobs, _ = self.wait(self.store.list_jobs(JobFilter(), 100))
        for job in jobs:
            _, first = self.made[job.spec.id]
            if job.planned is not None:
                for instant in range(first, job.planned, 60 * SECOND):
                    assert instants[job.spec.id, instant] == 1, f"{job.spec.id} at {instant}"
        assert not [key for key, count in instants.items() if count > 1]


def test_any_order_of_calls_keeps_the_invariants(kind: str, require: Require) -> None:
    class Machine(StoreMachine):
        pass

    Machine.kind = kind
    Machine.require = staticmethod(require)
    durable = kind != "memory"
    run_state_machine_as_test(
        Machine,
        settings=settings(
            # Each step asks a dozen things, and a durable store waits for its disk.
            max_examples=10 if durable else 40,
            stateful_step_count=25 if durable else 40,
            phases=[Phase.generate] if durable else list(Phase),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
