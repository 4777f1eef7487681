"""The plain batch: what a store answers without the rules is what the rules would have decided.

Two stores of one kind are asked the same, and to one of them nothing is plain (:class:`~support.by_rules.ByRules`).
Both choose their numbers alike, so all they answer and hold must be equal, revisions of timers and records included.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from support.by_rules import ByRules
from support.clocks import SettableClock
from support.nodes import BOOM, FAR, FUNC, MINUTELY, ids, info, item, spec
from support.store_factories import ALONE, Require

from asched.instants import SECOND
from asched.model import Backoff, OnCrash, Origin, Outcome, Overlap, Policy, Reason, RunStatus
from asched.store import (
    TOKEN_BITS,
    Beat,
    Change,
    Claim,
    Claimed,
    Enqueue,
    Finish,
    Gap,
    Grant,
    JobFilter,
    Limits,
    Note,
    Put,
    PutItem,
    PutMode,
    RunFilter,
    RunRecord,
    Selection,
    Store,
    Timer,
)

MINUTE = 60 * SECOND
OTHER = "app:other"
JOB_IDS = ("a", "b", "c", "d")
DECLARED_IDS = ("x", "y")
EVERY_JOB = (*JOB_IDS, *DECLARED_IDS)
# As many as take some seconds: a look at everything is cheap in memory.
EXAMPLES = {"memory": 60, "sqlite": 15, "postgres": 6}
# Stores that keep the order of a batch of ends among its records. Elsewhere the plain ends come first.
KEEP_ORDER = ("memory", "sqlite")
FEW = Limits(history=6, dead_letters=2, kept_per_job=2)

TimersIn: TypeAlias = Callable[[Any], Iterable["Timer | None"]]

policies = st.builds(
    Policy,
    timeout=st.none(),
    max_retries=st.integers(0, 1),
    backoff=st.just(Backoff(1, 1, 1, False)),
    # A run that queues needs the longest story: it starts when the one before it ends.
    overlap=st.sampled_from([*Overlap, Overlap.QUEUE, Overlap.QUEUE]),
    on_crash=st.sampled_from(OnCrash),
    jitter=st.just(0.0),
    in_process=st.just(False),
)
job_ids = st.sampled_from(JOB_IDS)
every_job = st.sampled_from(EVERY_JOB)
index = st.integers(0, 11)
# Most jobs are bounded by nothing: otherwise hardly a claim is plain.
bounds = st.sampled_from([*[None] * 6, 1, 2])
selections = st.sampled_from(
    [*map(ids, JOB_IDS * 3), ids(*JOB_IDS), Selection(func="work"), Selection(group="default")]
)

some = st.lists(index, min_size=1, max_size=3)
NODES = {
    "a_node_joins_or_leaves": st.fixed_dictionaries({"which": index}),
    "old_records_go": st.just({}),
    "the_dead_are_reaped": st.just({}),
    "time_passes": st.fixed_dictionaries({"seconds": st.sampled_from([0.5, 10, 60, 200]), "alive": st.booleans()}),
}
JOBS = {
    "a_job_is_declared": st.fixed_dictionaries(
        {
            "name": st.sampled_from(DECLARED_IDS),
            "words": st.sampled_from(["v1", "v2"]),
            "newer": st.booleans(),
            "alias": st.sampled_from([(), ("x",), ("y",), ("a",)]),
        }
    ),
    "a_job_is_deleted": st.fixed_dictionaries({"name": every_job}),
    "a_job_is_edited": st.fixed_dictionaries(
        {"name": every_job, "policy": policies, "func": st.sampled_from([FUNC, OTHER]), "replan": st.booleans()}
    ),
    "jobs_are_added": st.fixed_dictionaries(
        {
            "added": st.lists(
                st.tuples(
                    job_ids, policies, bounds, st.booleans(), st.sampled_from([None, b"[[1],{}]"]), st.booleans()
                ),
                min_size=1,
                max_size=4,
            ),
            "mode": st.sampled_from([PutMode.INSERT, PutMode.INSERT, PutMode.INSERT, PutMode.KEEP, PutMode.REPLACE]),
        }
    ),
    "jobs_are_paused": st.fixed_dictionaries({"which": selections}),
    "jobs_are_resumed": st.fixed_dictionaries({"which": selections}),
}
RUNS = {
    "a_job_is_run_by_hand": st.fixed_dictionaries({"name": every_job, "letter": st.none() | index}),
    "a_letter_is_discarded": st.fixed_dictionaries({"place": index}),
    "an_attempt_is_annotated": st.fixed_dictionaries({"place": index, "done": st.sampled_from([None, 1.5])}),
    "claims_are_given_back": st.fixed_dictionaries({"which": index, "places": some}),
    "runs_are_cancelled": st.fixed_dictionaries({"places": some}),
}

CLAIMS = (
    "start", "start", "start", "start", "last", "with a gap", "pass", "pass", "wait", "again", "following", "stale",
    "ahead",
)  # fmt: skip
claim_batches = st.lists(st.tuples(index, st.sampled_from(CLAIMS)), min_size=1, max_size=6)

# Half of all ends are plain.
STATUSES = (
    *[RunStatus.SUCCEEDED] * 8, RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.CANCELLED, RunStatus.RETRYING,
    RunStatus.PENDING,
)  # fmt: skip
OUTCOMES = {
    RunStatus.SUCCEEDED: Outcome.OK,
    RunStatus.FAILED: Outcome.ERROR,
    RunStatus.TIMED_OUT: Outcome.TIMEOUT,
    RunStatus.CANCELLED: Outcome.CANCELLED,
    RunStatus.RETRYING: Outcome.ERROR,
    RunStatus.PENDING: Outcome.INTERRUPTED,
}
End: TypeAlias = tuple[int, RunStatus, "bytes | None", str, str]
ends = st.tuples(
    index,
    st.sampled_from(STATUSES),
    st.sampled_from([None, None, b"7"]),
    st.sampled_from([*[""] * 6, "a note", "a reason"]),
    st.sampled_from(["held", "held", "held", "held", "held", "any", "made up"]),
)
end_batches = st.lists(ends, min_size=1, max_size=6)


WORK = {
    "all_that_executes_ends": st.fixed_dictionaries({"which": index, "picks": st.lists(ends, min_size=1, max_size=3)}),
    "all_that_is_due_is_claimed": st.fixed_dictionaries({"which": index, "passing": st.sets(index, max_size=1)}),
    "attempts_end": st.fixed_dictionaries({"which": index, "picks": end_batches}),
    "timers_are_claimed": st.fixed_dictionaries(
        {"which": index, "seconds": st.sampled_from([0, 60, 60]), "picks": claim_batches}
    ),
}


ACTIONS = {**WORK, **NODES, **JOBS, **RUNS}
# Three turns in five are work, and what was paused is mostly resumed soon.
LIKELIHOOD = [*WORK] * 6 + [*NODES, *JOBS, *RUNS, "jobs_are_resumed", "jobs_are_resumed"]


class Look(NamedTuple):
    """What a store answered, and how it is afterwards."""

    given: Any
    changes: set[Change]
    seen: dict[str, Any]


class Twins(RuleBasedStateMachine):
    """Two stores of one kind, of which the second asks the rules about everything."""

    kind: str
    require: Require

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        # run() of a runner takes and gives back SIGINT each time, a fifth of this test.
        self.wait = self.runner.get_loop().run_until_complete
        self.directory = tempfile.TemporaryDirectory()
        self.clock = SettableClock()
        self.by_rules: ByRules
        self.stores: tuple[Store, ...] = ()
        self.cursors = [0, 0]
        self.nodes: list[int] = []
        """The epochs of nodes that may claim. The first is the watcher's; it never leaves, and sees all timers."""
        self.left: list[int] = []
        self.counter = 0
        self.generation = 0
        self.sent: list[tuple[int, Claim]] = []
        """Claims that were made, with the epoch of their node."""
        self.granted: list[tuple[int, int]] = []
        """Epoch and token of every claim that was granted."""
        self.known: dict[int, list[Timer]] = {}
        """Every timer that was ever seen, by its id, oldest first."""
        self.fences: dict[tuple[Store, str], int] = {}
        """The last fence of each job, in each of the stores."""
        self.ended: dict[int, int] = {}
        """The number of the call in which each run ended."""
        self.seen: dict[str, Any] = {"timers": []}

    @initialize(
        limits=st.sampled_from([Limits(), FEW]),
        chosen=st.lists(st.tuples(policies, bounds), min_size=len(JOB_IDS), max_size=len(JOB_IDS)),
    )
    def begin(self, limits: Limits, chosen: list[tuple[Policy, int | None]]) -> None:
        if self.kind not in KEEP_ORDER:
            limits = Limits()  # which records go depends on their order
        plain, by_rules = (self._make(name, limits) for name in ("plain", "by-rules"))
        self.by_rules = ByRules(by_rules)
        self.calls = 0
        self.stores = plain, self.by_rules
        self.cursors = [self.wait(store.changes(None)).cursor for store in self.stores]
        self.join()
        first = self.next_minute()
        jobs = [spec(name, policy=policy, max_runs=most) for name, (policy, most) in zip(JOB_IDS, chosen, strict=True)]
        self.put(PutMode.INSERT, [item(job, first) for job in jobs])

    def _make(self, name: str, limits: Limits) -> Store:
        place = Path(self.directory.name) / name
        place.mkdir()
        store = ALONE[self.kind](place, self.require)
        self.wait(store.open("twins", limits, self.clock))
        return store

    def teardown(self) -> None:
        for store in self.stores:
            self.wait(store.close())
        self.runner.close()
        self.directory.cleanup()

    # Asking both

    def ask(self, question: Callable[[Store], Awaitable[Any]], timers: TimersIn = lambda answer: ()) -> Any:
        """Ask both stores, and return the answer that both give.

        Args:
            timers: Finds the timers in the answer. Every timer that has moved must be among them.
        """
        answer, by_rules = self.wait(self._look(question))
        assert answer.given == by_rules.given
        assert answer.changes == by_rules.changes
        for what, seen in answer.seen.items():
            if what in ("runs", "letters") and self.kind not in KEEP_ORDER:
                assert self._in_order_of_calls(seen) == self._in_order_of_calls(by_rules.seen[what])
            else:
                assert seen == by_rules.seen[what], what
        self._check_moves(answer.seen["timers"], list(timers(answer.given)))
        self.seen = answer.seen
        self.calls += 1
        return answer.given

    def _in_order_of_calls(self, runs: Sequence[RunRecord]) -> list[RunRecord]:
        """Return them in an order that is the same for the ends of one batch, and otherwise the store's own."""
        ended = [record for record in runs if record.ended is not None]
        calls = [self.ended.setdefault(record.id, self.calls) for record in ended]
        assert calls == sorted(calls, reverse=True)
        return [*(record for record in runs if record.ended is None), *sorted(ended, key=_run_id)]

    async def _look(self, question: Callable[[Store], Awaitable[Any]]) -> list[Look]:
        looks = []
        for place, store in enumerate(self.stores):
            given = await question(store)
            changes = await store.changes(self.cursors[place])
            assert changes.complete
            self.cursors[place] = changes.cursor
            looks.append(Look(given, set(changes.changes), await self._everything(store)))
        return looks

    def _check_moves(self, timers: Sequence[Timer], answered: Sequence[Timer | None]) -> None:
        before = {timer.id: timer for timer in self.seen["timers"]}
        for timer in timers:
            known = before.get(timer.id)
            if known is None or (known.rev, known.due, known.attempt) != (timer.rev, timer.due, timer.attempt):
                assert timer in answered, f"{timer} moved, and the answer does not bring it"
                self.known.setdefault(timer.id, []).append(timer)

    async def _everything(self, store: Store) -> dict[str, Any]:
        jobs, _ = await store.list_jobs(JobFilter(), 1_000)
        runs, _ = await store.list_runs(RunFilter(), 1_000)
        letters, _ = await store.list_runs(RunFilter(dead=True), 1_000)
        totals = await store.totals()
        return {
            "jobs": jobs,
            "timers": (await store.window(self.nodes[0], FAR, 1_000)).timers,
            "runs": list(map(_without_fence, runs)),
            "letters": list(map(_without_fence, letters)),
            "claims": {
                epoch: sorted(live._replace(fence=0) for live in await store.claims(epoch))
                for epoch in (*self.nodes, *self.left)
            },
            "groups": await store.groups(),
            "totals": totals._replace(per_job=dict(sorted(totals.per_job.items()))),
            "nodes": await store.nodes(),
        }

    # Nodes and time

    def join(self) -> None:
        known = info(f"node-{len(self.nodes)}", {FUNC, OTHER}, DECLARED_IDS)
        epoch, by_rules = (self.wait(store.register(known)) for store in self.stores)
        assert epoch == by_rules
        self.nodes.append(epoch)

    # One rule, which draws by itself: hypothesis leaves out some rules of each example, and what happens here only
    # means something together.
    @rule(data=st.data())
    def go_on(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(LIKELIHOOD))
        getattr(self, name)(**data.draw(ACTIONS[name]))

    def a_node_joins_or_leaves(self, which: int) -> None:
        if len(self.nodes) < 3:
            self.join()
            return
        epoch = self.nodes.pop(1 + which % (len(self.nodes) - 1))
        self.left.append(epoch)
        self.ask(lambda store: store.leave(epoch), lambda timers: timers)

    def time_passes(self, seconds: float, alive: bool) -> None:
        self.clock.advance(seconds)
        epochs = self.nodes[:] if alive else self.nodes[:1]

        async def beat(store: Store) -> list[Beat]:
            beats = [await store.heartbeat(epoch) for epoch in epochs]
            return [beat._replace(cancels=tuple(sorted(beat.cancels))) for beat in beats]

        self.ask(beat)

    def the_dead_are_reaped(self) -> None:
        reaped = self.ask(
            lambda store: store.reap(), lambda reaped: [timer for dead in reaped for timer in dead.rescued]
        )
        for dead in reaped:
            self.nodes.remove(dead.epoch)
            self.left.append(dead.epoch)

    def old_records_go(self) -> None:
        self.ask(lambda store: store.prune(100))

    # Jobs

    def next_minute(self) -> int:
        return self.clock.now() // MINUTE * MINUTE + MINUTE

    def put(self, mode: PutMode, items: Sequence[PutItem]) -> list[Put]:
        puts: list[Put] = self.ask(
            lambda store: store.put_jobs(mode, items), lambda puts: [timer for put in puts for timer in put.timers]
        )
        return puts

    def jobs_are_added(
        self, added: list[tuple[str, Policy, int | None, bool, bytes | None, bool]], mode: PutMode
    ) -> None:
        first = self.next_minute()
        gap = Gap(RunStatus.MISSED, Reason.PAST, first - MINUTE, first - MINUTE, 1)
        self.put(
            mode,
            [
                item(
                    spec(name, policy=policy, max_runs=most, payload=payload), first, paused=paused,
                    gap=gap if passed else None,
                )
                for name, policy, most, paused, payload, passed in added
            ],
        )  # fmt: skip

    def a_job_is_edited(self, name: str, policy: Policy, func: str, replan: bool) -> None:
        [record] = self.wait(self.stores[0].get_jobs([name]))
        if record is not None:
            changed = record.spec.replace(policy=policy, func=func)
            self.put(PutMode.UPDATE, [item(changed, self.next_minute(), replan=replan)])

    def a_job_is_declared(self, name: str, words: str, newer: bool, alias: tuple[str, ...]) -> None:
        self.generation += newer
        job = spec(name, origin=Origin.DECLARED, declaration=words, generation=self.generation, trigger=MINUTELY)
        aliases = tuple(other for other in alias if other != name)
        self.put(PutMode.DECLARE, [item(job, self.next_minute(), aliases=aliases)])

    def jobs_are_paused(self, which: Selection) -> None:
        self.ask(lambda store: store.pause_jobs(which), lambda answer: answer[1])

    def jobs_are_resumed(self, which: Selection) -> None:
        self.ask(lambda store: store.resume_jobs(which), lambda answer: answer[1])

    def a_job_is_deleted(self, name: str) -> None:
        self.ask(lambda store: store.delete_jobs(ids(name)))

    # Claims

    def timers_are_claimed(self, which: int, seconds: float, picks: list[tuple[int, str]]) -> None:
        """Claims of every kind in one batch, several of one job among them."""
        self.time_passes(seconds, alive=True)
        epoch = self.pick(which)
        claims: list[Claim] = []
        for place, kind in picks:
            claim = self.claim_of(epoch, place, kind, claims)
            if claim is not None:
                claims.append(claim)
        self.send(epoch, claims)

    def all_that_is_due_is_claimed(self, which: int, passing: set[int]) -> None:
        """What happens most: a minute later, a node starts what has come due, but for some that passes."""
        self.time_passes(60, alive=True)
        now = self.clock.now()
        epoch = self.pick(which)
        due = [self.start(epoch, timer) for timer in self.seen["timers"] if timer.due <= now]
        for place in passing & set(range(len(due))):
            if not due[place].timer.attempt:
                due[place] = _passing(due[place])
        self.send(epoch, due)

    def pick(self, which: int) -> int:
        """Return a node, now and then one that has left."""
        nodes = [*self.nodes, *self.nodes, *self.left[-1:]]
        return nodes[which % len(nodes)]

    def claim_of(self, epoch: int, place: int, kind: str, before: Sequence[Claim]) -> Claim | None:
        if kind == "again":
            mine = [*(claim for node, claim in self.sent if node == epoch), *before]
            return mine[-1 - place % len(mine)] if mine else None
        if kind == "following":
            moved = [claim for claim in before if claim.next_due is not None]
            return self.start(epoch, _following(moved[-1 - place % len(moved)])) if moved else None
        if kind == "stale":
            old = [timers[-2] for timers in self.known.values() if len(timers) > 1]
            return self.start(epoch, old[place % len(old)]) if old else None
        if kind == "ahead":
            # A revision of which no node was told: of a job that is paused or has ended, or of a run that is held.
            shown = {timer.id for timer in self.seen["timers"]}
            last = [timers[-1] for timer_id, timers in self.known.items() if timer_id not in shown]
            guess = last[place % len(last)] if last else None
            return guess and self.start(epoch, guess.replace(rev=guess.rev + 1))
        timers = self.seen["timers"]
        if not timers:
            return None
        timer: Timer = timers[place % len(timers)]
        start = self.start(epoch, timer)
        if timer.attempt or kind == "start":
            return start
        planned = timer.planned
        if kind == "last":
            return start._replace(next_planned=None, next_due=None)
        if kind == "with a gap":
            gap = Gap(RunStatus.MISSED, Reason.COALESCED, planned, planned, 1)
            return start._replace(gap=gap, planned=planned + 1, due=planned + 1)
        if kind == "pass":
            return _passing(start)
        return start._replace(wait=True)

    def start(self, epoch: int, timer: Timer) -> Claim:
        self.counter += 1
        token = epoch << TOKEN_BITS | self.counter
        if timer.attempt:
            return Claim(timer, token)
        later = timer.planned + MINUTE
        return Claim(timer, token, True, timer.planned, timer.due, later, later + SECOND)

    def send(self, epoch: int, claims: list[Claim]) -> None:
        self.sent += [(epoch, claim) for claim in claims]
        fences: dict[tuple[Store, str], int] = {}
        granted: list[tuple[int, int]] = []

        async def claim(store: Store) -> list[Claimed]:
            answers = list(map(Claimed._make, await store.claim(epoch, claims)))
            live = {live.token: live for live in await store.claims(epoch)}
            granted.clear()
            for answer in answers:
                if answer.grant is Grant.STARTED and (epoch, answer.token) not in self.granted:
                    granted.append((epoch, answer.token))
                    held = live[answer.token]
                    job = store, held.job_id
                    assert held.fence == answer.fence > self.fences.get(job, 0)
                    fences[job] = max(answer.fence, fences.get(job, 0))
            # Within a batch a store may give the fences in another order.
            return [answer._replace(fence=0) for answer in answers]

        self.ask(claim, lambda answers: [answer.next for answer in answers])
        self.granted += dict.fromkeys(granted)
        # The second store does not go the plain way as well, or this would compare a store with itself.
        assert self.by_rules.asked >= len(self.granted)
        self.fences.update(fences)

    # Ends

    def attempts_end(self, which: int, picks: list[End]) -> None:
        """Ends of every kind in one batch, of claims that ended already or are another node's among them."""
        epoch = self.pick_busy(which)
        chosen = [self.end_of(epoch, number, *pick) for number, pick in enumerate(picks)]
        self.finish(epoch, [end for end in chosen if end is not None])

    def all_that_executes_ends(self, which: int, picks: list[End]) -> None:
        """What happens most: all that a node executes ends, in these ways in turn."""
        epoch = self.pick_busy(which)
        numbers = range(len(self.held(epoch)))
        chosen = [self.end_of(epoch, number, number, *picks[number % len(picks)][1:4], "held") for number in numbers]
        self.finish(epoch, [end for end in chosen if end is not None])

    def pick_busy(self, which: int) -> int:
        busy = [epoch for epoch in self.nodes if self.held(epoch)]
        return busy[which % len(busy)] if busy else self.pick(which)

    def held(self, epoch: int) -> list[int]:
        return [live.token for live in self.seen["claims"].get(epoch, ())]

    def end_of(
        self, epoch: int, number: int, place: int, status: RunStatus, result: bytes | None, more: str, whose: str
    ) -> Finish | None:
        now = self.clock.now()
        if whose == "held":
            tokens = self.held(epoch)
        elif whose == "any":
            tokens = [token for _, token in self.granted[-12:]]
        else:
            tokens = [epoch << TOKEN_BITS | 10**6 + place]
        if not tokens:
            return None
        token = tokens[place % len(tokens)]
        return Finish(
            token, status, OUTCOMES[status], now - 100 - number, now - 50 + number,
            reason=Reason.OPERATOR if more == "a reason" and not status.waiting else None,
            error=BOOM if OUTCOMES[status] is Outcome.ERROR else None, result=result,
            due=now + SECOND if status.waiting else None, counts=status is not RunStatus.PENDING,
            note=Note(token, 1.0, 2.0, ("line",)) if more == "a note" else None,
        )  # fmt: skip

    def finish(self, epoch: int, finished: list[Finish]) -> None:
        async def finish(store: Store) -> Any:
            accepted, timers = await store.finish(epoch, finished)
            return list(accepted), sorted(timers, key=_timer_order)

        self.ask(finish, lambda answer: answer[1])

    def claims_are_given_back(self, which: int, places: list[int]) -> None:
        epoch = self.pick(which)
        held = self.held(epoch)
        tokens = [held[place % len(held)] for place in places] if held else []
        self.ask(lambda store: store.release(epoch, tokens), lambda timers: timers)

    # Runs

    def a_job_is_run_by_hand(self, name: str, letter: int | None) -> None:
        letters: list[RunRecord] = self.seen["letters"]
        replay_of = None
        if letter is not None and letters:
            chosen = letters[letter % len(letters)]
            name, replay_of = chosen.job_id, chosen.id
        self.counter += 1
        run_id = self.nodes[0] << TOKEN_BITS | self.counter
        self.ask(
            lambda store: store.enqueue([Enqueue(name, run_id, replay_of)]),
            lambda answers: [answer.timer for answer in answers],
        )

    def runs_are_cancelled(self, places: list[int]) -> None:
        runs = self.seen["runs"]
        if runs:
            chosen = [runs[place % len(runs)].id for place in places]
            self.ask(
                lambda store: store.cancel_runs(chosen),
                lambda answers: [timer for answer in answers for timer in answer.timers],
            )

    def an_attempt_is_annotated(self, place: int, done: float | None) -> None:
        epoch = self.pick(place)
        held = self.held(epoch)
        if held:
            note = Note(held[place % len(held)], done, None, ("a line",))
            self.ask(lambda store: store.annotate(epoch, [note]))

    def a_letter_is_discarded(self, place: int) -> None:
        letters = self.seen["letters"]
        if letters:
            self.ask(lambda store: store.discard_dead_letters([letters[place % len(letters)].id]))


def _passing(claim: Claim) -> Claim:
    """Return the claim that lets the instant pass; the next one that passes joins its record."""
    planned = claim.timer.planned
    gap = Gap(RunStatus.MISSED, Reason.COALESCED, planned, planned, 1)
    return claim._replace(start=False, planned=0, due=0, gap=gap)


def _following(claim: Claim) -> Timer:
    """Return the timer that a claim leaves behind."""
    timer = claim.timer
    assert claim.next_planned is not None and claim.next_due is not None
    return timer.replace(rev=timer.rev + 1, planned=claim.next_planned, due=claim.next_due)


def _without_fence(record: RunRecord) -> RunRecord:
    return record._replace(fence=0)


def _run_id(record: RunRecord) -> int:
    return record.id


def _timer_order(timer: Timer) -> tuple[int, int]:
    return timer.due, timer.id


@pytest.mark.parametrize(
    ("times", "phases"),
    [(1, [Phase.generate]), pytest.param(20, [Phase.generate, Phase.shrink], marks=pytest.mark.long)],
    ids=["short", "long"],
)
def test_what_a_store_answers_by_itself_is_what_the_rules_decide(
    kind: str, times: int, phases: list[Phase], require: Require
) -> None:
    class Machine(Twins):
        pass

    Machine.kind = kind
    Machine.require = staticmethod(require)
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=times * EXAMPLES[kind],
            stateful_step_count=40,
            phases=phases,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
