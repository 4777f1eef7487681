"""Plays a world on the real scheduler in virtual time, and compares what it left with the ledger."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import takewhile

from simulation.calendars import SECOND, Every, Once, Schedule
from simulation.ledger import Entry, JobPlan, Ledger, Move, World

from asched import JobBusy, Scheduler, current_run, triggers
from asched.events import Event
from asched.instants import from_datetime, to_datetime
from asched.store import RunFilter, RunRecord
from asched.stores import MemoryStore
from asched.testing import VirtualClock, run_virtual, virtual_clock

_DRAIN = 20_000
"""Records after which the history is read out; it keeps three times as many."""
_PAGE = 5_000
_NEIGHBOURS = 4
_KINDS = {"hourly": triggers.Hourly, "daily": triggers.Daily, "weekly": triggers.Weekly, "cron": triggers.Cron}
_LONGEST_LOOK = 30 * SECOND


@dataclass
class Played:
    """What the scheduler left behind."""

    entries: dict[str, list[Entry]] = field(default_factory=dict)
    noticed: list[int] = field(default_factory=list)
    """Ticks at which a step or a suspend was noticed."""
    refused: dict[str, list[int]] = field(default_factory=dict)
    """Job id -> ticks of starts by hand that were busy."""
    records: int = 0


def trigger_of(schedule: Schedule) -> triggers.Trigger:
    """Say to asched what the schedule means."""
    if isinstance(schedule, Every):
        anchor = None if schedule.anchor is None else to_datetime(schedule.anchor)
        return triggers.Interval(seconds=schedule.step / SECOND, anchor=anchor)
    if isinstance(schedule, Once):
        if schedule.delay is not None:
            return triggers.Once(timedelta(microseconds=schedule.delay))
        assert schedule.reading is not None
        return triggers.Once(to_datetime(schedule.reading).replace(tzinfo=None), timezone=schedule.zone)
    kind, *words = schedule.words
    make: Callable[..., triggers.Trigger] = _KINDS[str(kind)]
    return make(*words, timezone=schedule.zone)


class Stage:
    """One scheduler on one store, and what is read from it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.played = Played()
        self.clock: VirtualClock = virtual_clock()
        self.store = MemoryStore(lease=1e9)
        self.scheduler = Scheduler(
            self.store,
            clock=self.clock,
            max_concurrency=100_000,
            history_limit=3 * _DRAIN,
            history_retention=timedelta(days=3650),
        )
        self.scheduler.on("clock.jumped")(self._on_jump)
        self._plans = {plan.id: plan for plan in world.jobs}
        self._ahead = 0
        """The wall clock minus world begin and ticks."""
        self._seen: set[int] = set()
        self._drained = 0
        """Runs that had ended when the history was last read out."""
        self._open_gaps: dict[str, int] = {}
        self._final: dict[int, tuple[str, Entry]] = {}

    # The functions of all jobs

    async def work(self) -> None:
        run = current_run()
        assert run is not None
        duration, fails = self._plans[run.job_id].work.script(run.planned, run.attempt)
        if duration:
            await asyncio.sleep(duration / SECOND)
        if fails:
            raise RuntimeError("as the world wants it")

    def work_in_thread(self) -> None:
        assert current_run() is not None

    # The play

    async def play(self) -> Played:
        for plan in self.world.jobs:
            if plan.declared:
                self._declare(plan)
        await self.scheduler.start()
        for plan in self.world.jobs:
            if not plan.declared:
                await self._add(plan)
        for move in self.world.moves:
            await self._reach(move.at)
            await self._make(move)
        await self._reach(self.world.end)
        await self.scheduler.stop(timeout=1e7)
        await self._drain()
        for job_id, entry in self._final.values():
            self.played.entries.setdefault(job_id, []).append(entry)
        self.played.records = len(self._seen)
        return self.played

    async def _reach(self, tick: int) -> None:
        loop = asyncio.get_running_loop()
        while (left := tick - round(loop.time() * SECOND)) > 0:
            # A day at a time, so that the history is read out before it overflows.
            await asyncio.sleep(min(left, 86_400 * SECOND) / SECOND)
            if (await self.store.totals()).runs - self._drained >= _DRAIN:
                await self._drain()

    async def _make(self, move: Move) -> None:
        scheduler = self.scheduler
        if move.kind == "pause":
            await scheduler.pause_job(move.job)
        elif move.kind == "resume":
            await scheduler.resume_job(move.job)
        elif move.kind == "run":
            try:
                await scheduler.run_job_now(move.job)
            except JobBusy:
                self.played.refused.setdefault(move.job, []).append(move.at)
        elif move.kind == "stop":
            await scheduler.stop(wait=move.seconds >= 0, timeout=max(move.seconds, 0))
        elif move.kind == "start":
            await scheduler.start()
        else:
            self._ahead += int(move.seconds * SECOND)
            if move.kind == "step":
                self.clock.step(move.seconds)
            else:
                self.clock.suspend(move.seconds)

    def _on_jump(self, event: Event) -> None:
        self.played.noticed.append(from_datetime(event.at) - self._ahead - self.world.begin)

    def _declare(self, plan: JobPlan) -> None:
        builder = (
            self.scheduler.trigger(trigger_of(plan.schedule))
            .id(plan.id).overlap(plan.overlap).catch_up(plan.catch_up, window=plan.window)
            .retries(plan.max_retries, backoff=plan.backoff).on_crash(plan.on_crash).jitter(plan.jitter)
        )  # fmt: skip
        if plan.timeout is not None:
            builder = builder.timeout(plan.timeout)
        if plan.starting is not None:
            builder = builder.starting(to_datetime(plan.starting))
        if plan.until is not None:
            builder = builder.until(to_datetime(plan.until))
        if plan.max_runs is not None:
            builder = builder.max_runs(plan.max_runs)
        builder.do(self.work_in_thread if plan.in_thread else self.work)

    async def _add(self, plan: JobPlan) -> None:
        await self.scheduler.add_job(
            self.work_in_thread if plan.in_thread else self.work,
            trigger_of(plan.schedule),
            id=plan.id,
            timeout=plan.timeout,
            max_retries=plan.max_retries,
            backoff=plan.backoff,
            overlap=plan.overlap,
            catch_up=plan.catch_up,
            catch_up_window=plan.window,
            on_crash=plan.on_crash,
            jitter=plan.jitter,
            starting=None if plan.starting is None else to_datetime(plan.starting),
            until=None if plan.until is None else to_datetime(plan.until),
            max_runs=plan.max_runs,
        )

    # The history

    async def _drain(self) -> None:
        """Read the records that ended since, and again those that may have grown."""
        grown = await self.store.get_runs(list(self._open_gaps.values()))
        self._keep(record for record in grown if record is not None)
        self._drained = (await self.store.totals()).runs
        new: list[RunRecord] = []
        cursor: str | None = None
        while True:
            records, cursor = await self.store.list_runs(RunFilter(), _PAGE, cursor)
            unseen = list(takewhile(self._is_unseen, records))
            new += unseen
            if cursor is None or len(unseen) < len(records):
                break
        self._keep(reversed(new))

    def _is_unseen(self, record: RunRecord) -> bool:
        return record.ended is None or record.id not in self._seen

    def _keep(self, records: Iterable[RunRecord]) -> None:
        for record in records:
            if record.ended is not None:
                self._seen.add(record.id)
            if record.started is None and record.status in ("skipped", "missed"):
                self._open_gaps[record.job_id] = record.id
            self._final[record.id] = record.job_id, entry_of(record)


def entry_of(record: RunRecord) -> Entry:
    gap = record.status in ("skipped", "missed")
    return Entry(
        planned=record.planned,
        started=-1 if record.started is None else record.started,
        status=str(record.status),
        reason="" if record.reason is None else str(record.reason),
        due=record.due,
        ended=-1 if gap or record.ended is None or not record.status.final else record.ended,
        count=record.instants,
        last=record.last_due,
        manual=record.manual,
        attempts=tuple((a.number, a.started, a.ended or -1, str(a.outcome)) for a in record.attempts),
    )


def play(world: World) -> Played:
    """Run the world to its end on the virtual loop."""

    async def main() -> Played:
        return await Stage(world).play()

    log = logging.getLogger("asched")
    level = log.level
    # Every failure and every jump is logged, by the hundred thousand.
    log.setLevel(logging.CRITICAL)
    try:
        return run_virtual(main(), start=to_datetime(world.begin))
    finally:
        log.setLevel(level)


def differences(world: World, played: Played) -> list[str]:
    """Return what is not as the ledger has it, as text; empty when all is well."""
    found = _jump_differences(world, played)
    if found:
        return found
    for plan in world.jobs:
        ledger = Ledger(world, plan, played.noticed)
        left = sorted(played.entries.get(plan.id, []))
        wanted = sorted(ledger.entries)
        if left != wanted:
            found.append(_tell_job(world, plan, wanted, left))
        refused = played.refused.get(plan.id, [])
        if refused != ledger.refused:
            found.append(f"seed {world.seed}, {plan.id}: busy at ticks {refused}, wanted {ledger.refused}")
    return found


def _jump_differences(world: World, played: Played) -> list[str]:
    jumps = [move.at for move in world.moves if move.kind in ("step", "suspend")]
    late = [
        f"seed {world.seed}: the clock was set at tick {at} and that was noticed at {tick}"
        for at, tick in zip(jumps, played.noticed, strict=False)
        if not at <= tick <= at + _LONGEST_LOOK
    ]
    if len(jumps) != len(played.noticed):
        late.append(f"seed {world.seed}: {len(jumps)} steps and suspends, {len(played.noticed)} noticed")
    return late


def _tell_job(world: World, plan: JobPlan, wanted: list[Entry], left: list[Entry]) -> str:
    too_many = Counter(left) - Counter(wanted)
    lacking = Counter(wanted) - Counter(left)
    lines = [f"seed {world.seed}, {plan}", f"{sum(lacking.values())} records lack, {sum(too_many.values())} are wrong"]
    lines += [
        f"    move {move.kind} {move.seconds or ''} at {to_datetime(world.begin + move.at)}"
        for move in world.moves
        if not move.job or move.job == plan.id
    ]
    marked = sorted([*((e, "  ") for e in (Counter(left) & Counter(wanted)).elements()),
                     *((e, "- ") for e in lacking.elements()), *((e, "+ ") for e in too_many.elements())])  # fmt: skip
    first = next(place for place, (_, mark) in enumerate(marked) if mark != "  ")
    lines.append("'-' the ledger has it, '+' the scheduler left it:")
    lines += [
        mark + _tell_entry(entry) for entry, mark in marked[max(first - _NEIGHBOURS, 0) : first + 3 * _NEIGHBOURS]
    ]
    return "\n".join(lines)


def _tell_entry(entry: Entry) -> str:
    attempts = " ".join(f"{n}:{_hms(start)}..{_hms(end)}={how}" for n, start, end, how in entry.attempts)
    return (
        f"{to_datetime(entry.planned).isoformat()} {entry.status} {entry.reason}{' by hand' if entry.manual else ''} "
        f"due {_hms(entry.due)} started {_hms(entry.started)} ended {_hms(entry.ended)} count {entry.count} "
        f"last {_hms(entry.last)} [{attempts}]"
    )


def _hms(instant: int) -> str:
    return "-" if instant < 0 else to_datetime(instant).strftime("%dT%H:%M:%S.%f")
