"""A node as the contract tests drive it: each helper is one call of the store with the usual arguments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from support.clocks import T0, SettableClock

from asched.instants import SECOND
from asched.model import DEFAULT_POLICY, ErrorInfo, JobSpec, Origin, Outcome, Policy, Reason, RunStatus
from asched.store import (
    TOKEN_BITS,
    Claim,
    Claimed,
    Enqueue,
    Enqueued,
    Finish,
    Gap,
    Grant,
    JobRecord,
    NodeInfo,
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
from asched.triggers import Interval, Trigger

FUNC = "app:work"
FAR = T0 + 10**9 * SECOND
BOOM = ErrorInfo("ValueError", "boom", "Traceback: boom")
MINUTELY = Interval(minutes=1, anchor=None).bound(T0, "UTC")

_OUTCOMES = {
    RunStatus.SUCCEEDED: Outcome.OK,
    RunStatus.FAILED: Outcome.ERROR,
    RunStatus.RETRYING: Outcome.ERROR,
    RunStatus.TIMED_OUT: Outcome.TIMEOUT,
    RunStatus.CANCELLED: Outcome.CANCELLED,
    RunStatus.PENDING: Outcome.INTERRUPTED,
}


def at(seconds: float) -> int:
    """The instant so many seconds after the beginning of a test."""
    return T0 + round(seconds * SECOND)


def spec(job_id: str, *, policy: Policy = DEFAULT_POLICY, func: str = FUNC, trigger: Trigger = MINUTELY,
         name: str | None = None, group: str = "default", tags: tuple[str, ...] = (), payload: bytes | None = None,
         origin: Origin = Origin.API, max_runs: int | None = None, declaration: str | None = None,
         generation: int = 0) -> JobSpec:  # fmt: skip
    """A job that comes due every full minute."""
    return JobSpec(
        job_id, name or job_id, func, trigger, group, tags, payload, policy, origin,
        max_runs=max_runs, declaration=declaration, generation=generation,
    )  # fmt: skip


def item(job: JobSpec, due: int | None = T0, *, paused: bool = False, gap: Gap | None = None, replan: bool = True,
         version: int | None = None, aliases: tuple[str, ...] = (), planned: int | None = None) -> PutItem:  # fmt: skip
    return PutItem(job, due if planned is None else planned, due, paused, gap, replan, version, aliases)


def ids(*job_ids: str) -> Selection:
    return Selection(ids=job_ids)


def info(name: str = "node", functions: Iterable[str] = (FUNC,), declarations: Iterable[str] = ()) -> NodeInfo:
    return NodeInfo(name, "host", 1, "0", 0, frozenset(functions), frozenset(declarations))


@dataclass
class Actor:
    """One registered node of a store."""

    store: Store
    clock: SettableClock
    epoch: int
    tokens: list[int] = field(default_factory=list)

    @classmethod
    async def join(
        cls, store: Store, clock: SettableClock, name: str = "node", functions: Iterable[str] = (FUNC,),
        declarations: Iterable[str] = (),
    ) -> Actor:  # fmt: skip
        return cls(store, clock, await store.register(info(name, functions, declarations)))

    def token(self) -> int:
        """A new token, as nodes make them."""
        token = self.epoch << TOKEN_BITS | len(self.tokens) + 1
        self.tokens.append(token)
        return token

    async def move_to(self, now: int) -> None:
        """Let it be ``now``; the node has kept its lease."""
        self.clock.set(now)
        await self.store.heartbeat(self.epoch)

    async def advance(self, seconds: float) -> int:
        """Let time pass; the node has kept its lease."""
        await self.move_to(self.clock.now() + round(seconds * SECOND))
        return self.clock.now()

    async def add(self, *jobs: JobSpec, due: int | None = T0) -> list[Put]:
        return await self.store.put_jobs(PutMode.INSERT, [item(job, due) for job in jobs])

    async def due(self, until: int | None = None, limit: int = 100) -> list[Timer]:
        """The timers due by now, or by ``until``."""
        return (await self.store.window(self.epoch, self.clock.now() if until is None else until, limit)).timers

    async def timer(self, job_id: str) -> Timer:
        """The job's next occurrence, whenever it is."""
        [timer] = [timer for timer in await self.due(FAR) if timer.spec.id == job_id and not timer.attempt]
        return timer

    async def waiting(self, job_id: str) -> list[Timer]:
        """The timers of the job's waiting runs that may start at some time."""
        return [timer for timer in await self.due(FAR) if timer.spec.id == job_id and timer.attempt]

    def claim_of(self, timer: Timer, **changes: object) -> Claim:
        """A claim that starts the timer, and moves an occurrence on by a minute."""
        following = None if timer.attempt else timer.planned + 60 * SECOND
        claim = Claim(timer, self.token(), True, timer.planned, timer.due, following, following)
        return claim._replace(**changes)  # type: ignore[arg-type]  # the caller names fields of a Claim

    async def claim(self, timer: Timer, **changes: object) -> Claimed:
        [claimed] = await self.take([self.claim_of(timer, **changes)])
        return claimed

    async def take(self, claims: Sequence[Claim]) -> list[Claimed]:
        return list(map(Claimed._make, await self.store.claim(self.epoch, claims)))

    async def start(self, job_id: str, **changes: object) -> Claimed:
        """Start the job's next occurrence; time moves to it if it has not come."""
        timer = await self.timer(job_id)
        await self.move_to(max(self.clock.now(), timer.due))
        claimed = await self.claim(timer, **changes)
        assert claimed.grant is Grant.STARTED, claimed
        return claimed

    def end_of(self, token: int, status: RunStatus = RunStatus.SUCCEEDED, **changes: object) -> Finish:
        now = self.clock.now()
        end = Finish(token, status, _OUTCOMES[status], now, now)
        if status in (RunStatus.FAILED, RunStatus.RETRYING, RunStatus.TIMED_OUT):
            end = end._replace(error=BOOM)
        return end._replace(**changes)  # type: ignore[arg-type]  # the caller names fields of a Finish

    async def finish(self, token: int, status: RunStatus = RunStatus.SUCCEEDED, **changes: object) -> list[Timer]:
        """End the attempt, which the store must accept; return the timers that arose."""
        [accepted], timers = await self.store.finish(self.epoch, [self.end_of(token, status, **changes)])
        assert accepted
        return timers

    async def run_once(self, job_id: str, status: RunStatus = RunStatus.SUCCEEDED) -> int:
        """Start the job's next occurrence and end it; return the id of the run."""
        claimed = await self.start(job_id)
        await self.finish(claimed.token, status)
        return claimed.run_id

    async def enqueue(self, job_id: str, replay_of: int | None = None) -> Enqueued:
        [enqueued] = await self.store.enqueue([Enqueue(job_id, self.token(), replay_of)])
        return enqueued

    async def fail_once(self, job_id: str, *, seconds: float = 5) -> Timer:
        """Start the job's next occurrence and let its attempt fail; return the timer of the retry."""
        claimed = await self.start(job_id)
        due = self.clock.now() + round(seconds * SECOND)
        [timer] = await self.finish(claimed.token, RunStatus.RETRYING, due=due)
        return timer

    async def note(self, token: int, done: float | None = None, total: float | None = None, *log: str) -> None:
        await self.store.annotate(self.epoch, [Note(token, done, total, log)])


async def job(store: Store, job_id: str) -> JobRecord:
    [record] = await store.get_jobs([job_id])
    assert record is not None, f"no job {job_id}"
    return record


async def run(store: Store, run_id: int) -> RunRecord:
    [record] = await store.get_runs([run_id])
    assert record is not None, f"no run {run_id}"
    return record


async def history(store: Store, job_id: str | None = None, limit: int = 1_000) -> list[RunRecord]:
    return (await store.list_runs(RunFilter(job_id=job_id), limit))[0]


async def outcomes(store: Store, job_id: str) -> list[tuple[RunStatus, Reason | None, int, int, int]]:
    """Status, reason, first and last instant and number of each record of the job, oldest first."""
    return [
        (record.status, record.reason, record.due, record.last_due, record.instants)
        for record in sorted(await history(store, job_id), key=lambda record: (record.due, record.id))
    ]


async def live_tokens(store: Store, epochs: Sequence[int]) -> set[int]:
    return {live.token for epoch in epochs for live in await store.claims(epoch)}
