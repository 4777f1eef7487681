"""All stores at once: whatever is done to each of them, they answer alike and hold the same.

The memory store is the model, short enough to be read. Numbers that a store chooses itself (serials, epochs, fences,
revisions) are left out or named after what they stand for; everything else must be equal.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.clocks import SettableClock
from support.nodes import BOOM, MINUTELY, ids, info, item, spec
from support.store_factories import FACTORIES, Require, make_store

from asched.instants import SECOND
from asched.model import Backoff, CatchUp, OnCrash, Origin, Outcome, Overlap, Policy, Reason, RunStatus
from asched.planner import plan, plan_skip
from asched.store import (
    TOKEN_BITS,
    Claimed,
    ClaimedRow,
    Enqueue,
    Finish,
    Gap,
    Grant,
    JobFilter,
    JobRecord,
    Limits,
    Note,
    PutItem,
    PutMode,
    RunFilter,
    RunRecord,
    Selection,
    Store,
    Timer,
)

Label: TypeAlias = "tuple[int, int] | None"
JOB_IDS = ("a", "b", "c")
DECLARED_IDS = ("x", "y")
EVERY_JOB = (*JOB_IDS, *DECLARED_IDS)
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
selections = st.sampled_from(
    [*map(ids, EVERY_JOB), ids(*EVERY_JOB), Selection(group="default"), Selection(func="work")]
)
which = st.integers(0, 5)
# What is done less often than work, by what it is about: each of these is as likely as a turn of work.
NODES = {
    "join": st.just({}),
    "leave": st.fixed_dictionaries({"which": which}),
    "let_time_pass": st.fixed_dictionaries(
        {"seconds": st.sampled_from([0.5, 10, 40, 200]), "alive": st.sets(st.integers(0, 2))}
    ),
    "reap": st.just({}),
}
JOBS = {
    "add": st.fixed_dictionaries(
        {
            "job_id": st.sampled_from(JOB_IDS),
            "policy": policies,
            "max_runs": st.none() | st.integers(1, 3),
            "paused": st.booleans(),
            "mode": st.sampled_from([PutMode.INSERT, PutMode.KEEP, PutMode.REPLACE]),
            "payload": st.sampled_from([None, b"[[1],{}]"]),
            "passed": st.booleans(),
        }
    ),
    "declare": st.fixed_dictionaries(
        {
            "job_id": st.sampled_from(DECLARED_IDS),
            "words": st.sampled_from(["v1", "v2"]),
            "newer": st.booleans(),
            "alias": st.sampled_from([(), ("x",), ("y",), ("a",)]),
        }
    ),
    "delete": st.fixed_dictionaries({"job_id": st.sampled_from(EVERY_JOB)}),
    "pause": st.fixed_dictionaries({"which": selections}),
    "resume": st.fixed_dictionaries({"which": selections}),
    "update": st.fixed_dictionaries(
        {
            "job_id": st.sampled_from(EVERY_JOB),
            "policy": policies,
            "replan": st.booleans(),
            "right": st.booleans(),
        }
    ),
}
RUNS = {
    "annotate": st.fixed_dictionaries(
        {"which": which, "done": st.sampled_from([None, 1.5]), "line": st.sampled_from(["", "a line"])}
    ),
    "cancel": st.fixed_dictionaries({"index": st.integers(0, 20)}),
    "discard_letters": st.fixed_dictionaries({"everything": st.booleans(), "index": which}),
    "enqueue": st.fixed_dictionaries(
        {"job_id": st.sampled_from(EVERY_JOB), "replayed": which, "letter": st.booleans()}
    ),
    "release": st.fixed_dictionaries({"which": which}),
}
STATUSES = (
    RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.CANCELLED, RunStatus.RETRYING,
    RunStatus.PENDING,
)  # fmt: skip
_OUTCOMES = {RunStatus.SUCCEEDED: Outcome.OK, RunStatus.PENDING: Outcome.INTERRUPTED}


class Side:
    """One of the stores, and the names of the numbers that it has chosen."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.epochs: list[int] = []
        """By the index of the node."""

    def token(self, label: tuple[int, int]) -> int:
        return self.epochs[label[0]] << TOKEN_BITS | label[1]

    def label(self, number: int | None) -> Label:
        """Return the name of a token or a run; of a record of passed instants, which has none, ``None``."""
        if number is None or number < 1 << TOKEN_BITS:
            return None
        return self.epochs.index(number >> TOKEN_BITS), number & ((1 << TOKEN_BITS) - 1)

    def timer(self, timer: Timer | None) -> Any:
        if timer is None:
            return None
        name = self.label(timer.id) if timer.attempt else timer.spec.id
        return name, timer.due, timer.planned, timer.attempt, timer.payload, timer.spec

    def timers(self, timers: Any) -> Any:
        return sorted(map(self.timer, timers), key=repr)

    def claimed(self, answer: ClaimedRow) -> Any:
        claimed = Claimed._make(answer)
        cancels = sorted(map(repr, map(self.label, claimed.cancels)))
        return (
            claimed.grant, self.label(claimed.token), self.label(claimed.run_id), self.timer(claimed.next), cancels,
            claimed.due,
        )  # fmt: skip

    def job(self, record: JobRecord | None) -> Any:
        return None if record is None else record._replace(serial=0)

    def run(self, record: RunRecord | None) -> Any:
        if record is None:
            return None
        return record._replace(id=self.label(record.id), replay_of=self.label(record.replay_of), fence=0)

    async def everything(self) -> Any:
        """Return all there is to see, named."""
        store = self.store
        jobs, _ = await store.list_jobs(JobFilter(), 100)
        runs, _ = await store.list_runs(RunFilter(), 1_000)
        letters, _ = await store.list_runs(RunFilter(dead=True), 1_000)
        claims = {
            index: sorted(
                (repr(self.label(live.token)), live.job_id, live.attempt) for live in await store.claims(epoch)
            )
            for index, epoch in enumerate(self.epochs)
        }
        totals = await store.totals()
        return {
            "jobs": [self.job(record) for record in jobs],
            "runs": sorted((self.run(record) for record in runs), key=repr),
            "letters": sorted((self.run(record) for record in letters), key=repr),
            "claims": claims,
            "groups": await store.groups(),
            "totals": totals._replace(per_job=dict(sorted(totals.per_job.items()))),
            "nodes": [(self.epochs.index(n.epoch), n.lease_until, n.active) for n in await store.nodes()],
        }


class SideBySide(RuleBasedStateMachine):
    require: Require

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.clock = SettableClock()
        # The memory store forgets at once, the others when they are pruned: only letters are few here.
        limits = Limits(dead_letters=3)
        self.sides = [
            Side(self.runner.run(make_store(kind, self.clock, Path(self.directory.name), self.require, limits)))
            for kind in FACTORIES
        ]
        self.nodes: set[int] = set()
        self.counter = 0
        self.held: set[tuple[int, int]] = set()
        """Names of the claims that were granted, and have not ended as far as this test knows."""
        self.generation = 0
        self.join()

    def teardown(self) -> None:
        for side in self.sides:
            self.runner.run(side.store.close())
        self.runner.close()
        self.directory.cleanup()

    def alike(self, ask: Callable[[Side], Awaitable[Any]]) -> Any:
        """Ask each store the same; return the answer that they all give."""
        answers = [self.runner.run(_await(ask(side))) for side in self.sides]
        for kind, answer in zip(FACTORIES, answers, strict=True):
            assert answer == answers[0], kind
        return answers[0]

    def next_label(self, node: int) -> tuple[int, int]:
        self.counter += 1
        return node, self.counter

    def pick(self, which: int) -> int:
        return sorted(self.nodes)[which % len(self.nodes)]

    @rule(data=st.data())
    def steer_nodes(self, data: st.DataObject) -> None:
        self.do(data, NODES)

    @rule(data=st.data())
    def steer_jobs(self, data: st.DataObject) -> None:
        self.do(data, JOBS)

    @rule(data=st.data())
    def steer_runs(self, data: st.DataObject) -> None:
        self.do(data, RUNS)

    def do(self, data: st.DataObject, actions: dict[str, st.SearchStrategy[dict[str, Any]]]) -> None:
        name = data.draw(st.sampled_from(sorted(actions)))
        getattr(self, name)(**data.draw(actions[name]))

    @initialize(chosen=st.lists(policies, min_size=len(JOB_IDS), max_size=len(JOB_IDS)))
    def begin(self, chosen: list[Policy]) -> None:
        for job_id, policy in zip(JOB_IDS, chosen, strict=True):
            self.add(job_id, policy, None, paused=False, mode=PutMode.INSERT, payload=None, passed=False)

    # Nodes and time

    def join(self) -> None:
        if len(self.nodes) > 2:
            return
        index = len(self.sides[0].epochs)

        async def register(side: Side) -> None:
            known = info(f"node-{index}", declarations=DECLARED_IDS)
            side.epochs.append(await side.store.register(known))

        self.alike(register)
        self.nodes.add(index)

    def let_time_pass(self, seconds: float, alive: set[int]) -> None:
        self.clock.advance(seconds)
        for which in alive & set(range(len(self.nodes))):
            node = self.pick(which)

            async def beat(side: Side, node: int = node) -> Any:
                answer = await side.store.heartbeat(side.epochs[node])
                return answer.alive, answer.claims, sorted(map(repr, map(side.label, answer.cancels)))

            self.alike(beat)

    def reap(self) -> None:
        async def reap(side: Side) -> Any:
            return [
                (
                    side.epochs.index(dead.epoch), dead.node, side.timers(dead.rescued),
                    sorted(repr(side.label(run)) for run in dead.lost),
                )
                for dead in await side.store.reap()
            ]  # fmt: skip

        for index, *_ in self.alike(reap):
            self.forget_node(index)

    def leave(self, which: int) -> None:
        if not self.nodes:
            return
        node = self.pick(which)

        async def leave(side: Side) -> Any:
            return side.timers(await side.store.leave(side.epochs[node]))

        self.alike(leave)
        self.forget_node(node)

    def forget_node(self, node: int) -> None:
        self.nodes.discard(node)
        self.held = {label for label in self.held if label[0] != node}

    # Jobs

    def put(self, mode: PutMode, *items: PutItem) -> None:
        async def put(side: Side) -> Any:
            return [
                (answer.status, side.job(answer.record), side.timer(answer.timer), side.timers(answer.waiting))
                for answer in await side.store.put_jobs(mode, items)
            ]

        self.alike(put)

    def next_minute(self) -> int:
        return self.clock.now() // (60 * SECOND) * 60 * SECOND + 60 * SECOND

    def add(
        self, job_id: str, policy: Policy, max_runs: int | None, paused: bool, mode: PutMode, payload: bytes | None,
        passed: bool,
    ) -> None:  # fmt: skip
        first = self.next_minute()
        gap = Gap(RunStatus.MISSED, Reason.PAST, first - 60 * SECOND, first - 60 * SECOND, 1) if passed else None
        job = spec(job_id, policy=policy, max_runs=max_runs, payload=payload, trigger=MINUTELY)
        self.put(mode, PutItem(job, first, first, paused, gap))

    def update(self, job_id: str, policy: Policy, replan: bool, right: bool) -> None:
        [record] = self.runner.run(self.sides[0].store.get_jobs([job_id]))
        if record is not None:
            first = self.next_minute()
            changed = record.spec.replace(policy=policy)
            version = record.version if right else record.version + 1
            self.put(PutMode.UPDATE, item(changed, first, replan=replan, version=version))

    def declare(self, job_id: str, words: str, newer: bool, alias: tuple[str, ...]) -> None:
        self.generation += newer
        first = self.next_minute()
        job = spec(job_id, origin=Origin.DECLARED, declaration=words, generation=self.generation)
        self.put(PutMode.DECLARE, item(job, first, aliases=tuple(name for name in alias if name != job_id)))

    def pause(self, which: Selection) -> None:
        async def pause(side: Side) -> Any:
            paused, timers = await side.store.pause_jobs(which)
            return sorted(map(repr, map(side.job, paused))), side.timers(timers)

        self.alike(pause)

    def resume(self, which: Selection) -> None:
        async def resume(side: Side) -> Any:
            resumed, timers = await side.store.resume_jobs(which)
            return sorted(map(repr, map(side.job, resumed))), side.timers(timers)

        self.alike(resume)

    def delete(self, job_id: str) -> None:
        async def delete(side: Side) -> Any:
            deleted = await side.store.delete_jobs(ids(job_id))
            runs = [(repr(side.label(run.run_id)), run.status, side.label(run.token)) for run in deleted.runs]
            return deleted.ids, sorted(runs, key=repr)

        self.alike(delete)

    # Runs

    @precondition(lambda self: self.nodes)
    @rule(which=st.integers(0, 2), skip=st.booleans(), again=st.booleans(), most=st.integers(1, 10))
    def claim(self, which: int, skip: bool, again: bool, most: int) -> None:
        node = self.pick(which)
        now = self.clock.now()
        first = self.counter

        async def claim(side: Side) -> Any:
            epoch = side.epochs[node]
            window = await side.store.window(epoch, now, 100)
            # Timers of one instant come in the order of their numbers, and those of runs differ between stores.
            timers = sorted(window.timers, key=lambda timer: (timer.due, repr(side.timer(timer))))[:most]
            claims = []
            for number, timer in enumerate(timers, first + 1):
                token = side.token((node, number))
                if skip and not timer.attempt:
                    claims.append(plan_skip(timer, token, now, Reason.ABANDONED, lambda: 0.0))
                else:
                    claims.append(plan(timer, token, now, now - 90 * SECOND, lambda: 0.0))
            answers = [side.claimed(answer) for answer in await side.store.claim(epoch, claims)]
            repeated = [side.claimed(answer) for answer in await side.store.claim(epoch, claims)] if again else []
            return side.timers(window.timers), answers, repeated

        _, answers, _ = self.alike(claim)
        self.counter += most
        self.held |= {label for grant, label, *_ in answers if grant is Grant.STARTED}

    @precondition(lambda self: self.held)
    @rule(data=st.data(), status=st.sampled_from(STATUSES), noted=st.booleans(), result=st.sampled_from([None, b"7"]))
    def finish(self, data: st.DataObject, status: RunStatus, noted: bool, result: bytes | None) -> None:
        labels = data.draw(st.lists(st.sampled_from(sorted(self.held)), min_size=1, max_size=4, unique=True))
        self.end(labels, status, noted, result)

    @precondition(lambda self: self.nodes)
    @rule(which=st.integers(0, 2), status=st.sampled_from(STATUSES))
    def work(self, which: int, status: RunStatus) -> None:
        """What happens most: time passes, a node takes all that is due, and its runs end."""
        self.let_time_pass(60, {0, 1, 2})
        self.claim(which, skip=False, again=False, most=10)
        held = sorted(label for label in self.held if label[0] == self.pick(which))
        if held:
            self.end(held, status, noted=False, result=None)

    def end(self, labels: list[tuple[int, int]], status: RunStatus, noted: bool, result: bytes | None) -> None:
        node = labels[0][0]
        now = self.clock.now()

        async def finish(side: Side) -> Any:
            ends = []
            for label in labels:
                token = side.token(label)
                note = Note(token, 1.0, 2.0, ("line",)) if noted else None
                error = BOOM if status in (RunStatus.FAILED, RunStatus.RETRYING) else None
                ends.append(
                    Finish(
                        token, status, _OUTCOMES.get(status, Outcome.ERROR), now, now, error=error, result=result,
                        due=now + SECOND, counts=status is not RunStatus.PENDING, note=note,
                    )
                )  # fmt: skip
            accepted, timers = await side.store.finish(side.epochs[node], ends)
            return accepted, side.timers(timers)

        accepted, _ = self.alike(finish)
        self.held -= {label for label, kept in zip(labels, accepted, strict=True) if kept}

    def release(self, which: int) -> None:
        if not self.held:
            return
        label = sorted(self.held)[which % len(self.held)]

        async def release(side: Side) -> Any:
            return side.timers(await side.store.release(side.epochs[label[0]], [side.token(label)]))

        self.alike(release)
        self.held.discard(label)

    def annotate(self, which: int, done: float | None, line: str) -> None:
        if not self.held:
            return
        label = sorted(self.held)[which % len(self.held)]

        async def annotate(side: Side) -> None:
            note = Note(side.token(label), done, None, (line,) if line else ())
            await side.store.annotate(side.epochs[label[0]], [note])

        self.alike(annotate)

    def enqueue(self, job_id: str, replayed: int, letter: bool) -> None:
        if not self.nodes:
            return
        label = self.next_label(self.pick(0))
        letters, _ = self.runner.run(self.sides[0].store.list_runs(RunFilter(dead=True), 10))
        names = sorted((self.sides[0].label(record.id), record.job_id) for record in letters)
        chosen = names[replayed % len(names)] if letter and names else None

        async def enqueue(side: Side) -> Any:
            replay_of = None if chosen is None or chosen[0] is None else side.token(chosen[0])
            job = job_id if chosen is None else chosen[1]
            [answer] = await side.store.enqueue([Enqueue(job, side.token(label), replay_of)])
            cancels = sorted(repr(side.label(token)) for token in answer.cancels)
            return answer.status, side.timer(answer.timer), cancels, side.run(answer.run)

        self.alike(enqueue)

    def cancel(self, index: int) -> None:
        runs, _ = self.runner.run(self.sides[0].store.list_runs(RunFilter(), 100))
        names = sorted({label for record in runs if (label := self.sides[0].label(record.id)) is not None})
        if names:
            label = names[index % len(names)]

            async def cancel(side: Side) -> Any:
                [answer] = await side.store.cancel_runs([side.token(label)])
                return answer.status, side.label(answer.token), answer.job_id, side.timers(answer.timers)

            self.alike(cancel)

    def discard_letters(self, everything: bool, index: int) -> None:
        letters, _ = self.runner.run(self.sides[0].store.list_runs(RunFilter(dead=True), 10))
        names = sorted(label for record in letters if (label := self.sides[0].label(record.id)) is not None)

        async def discard(side: Side) -> int:
            chosen = None if everything else [side.token(names[index % len(names)])] if names else []
            return await side.store.discard_dead_letters(chosen)

        self.alike(discard)

    @invariant()
    def all_of_them_hold_the_same(self) -> None:
        self.alike(lambda side: side.everything())


async def _await(answer: Awaitable[Any]) -> Any:
    return await answer


@pytest.mark.service
@pytest.mark.parametrize(
    ("examples", "steps", "phases"),
    [(15, 40, [Phase.generate]), pytest.param(150, 60, [Phase.generate, Phase.shrink], marks=pytest.mark.long)],
    ids=["short", "long"],
)
def test_stores_that_are_asked_the_same_answer_alike(
    examples: int, steps: int, phases: list[Phase], require: Require
) -> None:
    class Machine(SideBySide):
        pass

    Machine.require = staticmethod(require)
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=phases,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
