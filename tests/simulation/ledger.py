"""The ledger: what must become of every instant of a job, worked out one event at a time.

It shares no code with asched. Time here is ``tick``: microseconds that the program has run. The wall clock is the
tick plus an offset that steps and suspends change, so one job's story is a walk over stretches of constant
offset in which the scheduler either watches or does not. Within a stretch it is a plain list of events: something
is due, an attempt ends. Jobs know nothing of each other.

Where the rules leave a choice, ``docs/simulation.md`` says what is taken to be right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from simulation.calendars import SECOND, Every, Instants, Once, Schedule, instants_of

REPLAYS = 1_000
CORRECTION = 3 * 3600 * SECOND
_NEVER = 2**62


@dataclass(frozen=True)
class Work:
    """What the function does, decided by the instant and the attempt alone."""

    seed: int
    durations: tuple[int, ...]
    """Microseconds, one of which is chosen; 0 returns in its first turn."""
    fails: int = 0
    """One attempt in so many fails; 0: none."""

    def script(self, planned: int, attempt: int) -> tuple[int, bool]:
        mixed = ((planned // 1000 * 1_000_003) ^ (attempt * 7919) ^ self.seed) * 0x9E3779B1 & 0xFFFFFFFF
        mixed ^= mixed >> 15
        duration = self.durations[mixed % len(self.durations)]
        # An end never falls on a whole second, so that it never meets an instant by accident.
        return (duration and duration + 1 + (mixed >> 8) % 997), bool(self.fails) and (mixed >> 12) % self.fails == 0


@dataclass(frozen=True)
class JobPlan:
    id: str
    schedule: Schedule
    work: Work
    overlap: str = "skip"
    catch_up: str = "latest"
    window: float | None = None
    timeout: float | None = None
    max_retries: int = 3
    backoff: float | None = 3.117
    """Seconds, always the same; ``None``: the default, drawn at random."""
    on_crash: str = "rerun"
    jitter: float = 0.0
    starting: int | None = None
    until: int | None = None
    max_runs: int | None = None
    in_thread: bool = False
    declared: bool = False


@dataclass(frozen=True)
class Move:
    """Something that happens to the program from outside.

    Args:
        at: The tick.
        seconds: How far the clock is set, or the machine sleeps; for ``stop`` its timeout, -1: without waiting.
    """

    at: int
    kind: Literal["pause", "resume", "run", "step", "suspend", "stop", "start"]
    job: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class World:
    seed: int
    begin: int
    end: int
    """Tick at which the program stops for good, and lets what runs end."""
    jobs: tuple[JobPlan, ...]
    moves: tuple[Move, ...]


@dataclass(frozen=True, order=True)
class Entry:
    """One record, as the ledger expects it and as the scheduler left it. Instants are microseconds."""

    planned: int
    started: int
    """-1: never."""
    status: str
    reason: str
    due: int
    ended: int
    """-1 where nothing ran."""
    count: int
    last: int
    manual: bool
    attempts: tuple[tuple[int, int, int, str], ...]
    """Number, start, end and outcome of each."""


@dataclass
class _Run:
    number: int
    planned: int
    due: int
    manual: bool
    state: Literal["running", "waiting", "queued"]
    wake: int
    """Wall instant at which it may start, while it waits."""
    attempt: int = 1
    began: int = 0
    ends: int = 0
    """Tick at which the attempt ends."""
    ending: str = ""
    started: int = -1
    retrying: bool = False
    attempts: list[tuple[int, int, int, str]] = field(default_factory=list)


@dataclass
class _Gap:
    status: str
    reason: str
    first: int
    last: int
    count: int


class Ledger:
    """One job's story.

    Args:
        noticed: The ticks at which the scheduler noticed the steps and suspends of the world, in their order. When
            it looks at the clock is its own affair, within its longest sleep.
    """

    def __init__(self, world: World, plan: JobPlan, noticed: Sequence[int]) -> None:
        self.plan = plan
        self.world = world
        self.entries: list[Entry] = []
        self.refused: list[int] = []
        """Ticks of starts by hand that were refused as busy."""
        set_by = self._clock_set_by(world.moves)
        self.instants: Instants = instants_of(
            plan.schedule, world.begin, plan.starting, world.begin + world.end + set_by, back=set_by
        )
        self._offset = world.begin
        self._watched = world.begin
        self._up = True
        self._paused = False
        self._held = False
        self._started_runs = 0
        self._numbers = 0
        self._active: list[_Run] = []
        self._gap: _Gap | None = None
        self._tick = 0
        self._planned = self._first(world.begin)
        self._play(noticed)

    # The world's moves

    @staticmethod
    def _clock_set_by(moves: Iterable[Move]) -> int:
        """Return no less than the clock is ever ahead of or behind its first setting."""
        return int(sum(abs(move.seconds) for move in moves if move.kind in ("step", "suspend")) * SECOND)

    def _play(self, noticed: Sequence[int]) -> None:
        notices = iter(noticed)
        for move in self.world.moves:
            if move.job and move.job != self.plan.id:
                continue
            self._advance(move.at)
            if move.kind == "pause":
                self._paused = True
            elif move.kind == "resume":
                self._resume()
            elif move.kind == "run":
                self._run_by_hand()
            elif move.kind in ("step", "suspend"):
                self._set_clock(move, next(notices))
            elif move.kind == "stop":
                self._stop(move.seconds)
            else:
                self._up = True
                self._watched = self._now()
        self._advance(self.world.end)
        self._stop(float("inf"))
        self._close_gap()
        for run in self._active:
            self._enter(run, "retrying" if run.retrying else "pending", "", -1)

    def _set_clock(self, move: Move, noticed: int) -> None:
        self._offset += int(move.seconds * SECOND)
        # Nothing starts before the scheduler has looked at the clock, what runs goes on.
        self._up = False
        self._advance(noticed + 1)
        self._tick = noticed
        self._up = True
        now = self._now()
        self._watched = now
        if move.seconds > 0 or self._planned is None:
            return
        if isinstance(self.plan.schedule, Every) or -move.seconds * SECOND >= CORRECTION:
            again = self._first(now)
            if again is not None and again < self._planned:
                self._planned = again
                self._held = False
                self._close_gap()

    def _stop(self, timeout: float) -> None:
        self._up = False
        limit = _NEVER if timeout == float("inf") else self._tick + int(max(timeout, 0) * SECOND)
        for run in sorted(self._running(), key=lambda run: run.ends):
            if run.ends <= limit:
                self._tick = run.ends
                self._end_attempt(run)
        self._tick = self._tick if limit == _NEVER else limit
        for run in self._running():
            run.ending = "interrupted"
            self._end_attempt(run)
        self._held = False

    def _resume(self) -> None:
        if not self._paused:
            return
        self._paused = False
        self._held = False
        now = self._now()
        if self._planned is not None and self._planned <= now:
            passed = self._passed(now)
            self._pass("skipped", "paused", passed)
            self._planned = self._next(passed[-1])

    def _run_by_hand(self) -> None:
        now = self._now()
        overlap = self.plan.overlap
        state: Literal["waiting", "queued"] = "waiting"
        if self._active:
            if overlap == "skip" or (overlap == "queue" and self._queued()):
                self.refused.append(self._tick)
                return
            if overlap == "queue":
                state = "queued"
            elif overlap == "cancel_running":
                self._supersede()
        self._active.append(_Run(self._number(), now, now, True, state, now))

    # The walk

    def _now(self) -> int:
        return self._tick + self._offset

    def _advance(self, until: int) -> None:
        """Let everything happen that happens before the tick ``until``."""
        while True:
            while self._up and self._start_one():
                pass
            running = self._running()
            ends = min((run.ends for run in running), default=_NEVER)
            comes = ends
            if self._up:
                if self._planned is not None and not self._paused and not self._held:
                    comes = min(comes, self._planned - self._offset)
                if self._held and not running and not self._paused:
                    comes = min(comes, self._leaves_window() - self._offset)
                comes = min(comes, *(run.wake - self._offset for run in self._active if self._may_start(run)), _NEVER)
            if comes >= until:
                self._tick = until
                return
            self._tick = max(self._tick, comes)
            if self._held and not running and self._leaves_window() <= self._now():
                self._held = False
            if ends <= self._tick:
                self._end_attempt(next(run for run in running if run.ends == ends))

    def _start_one(self) -> bool:
        """Handle the earliest thing that is due now, the trigger's instant before a waiting run of the same."""
        now = self._now()
        due: list[tuple[int, int, _Run | None]] = [
            (run.wake, run.number, run) for run in self._active if run.wake <= now and self._may_start(run)
        ]
        if self._planned is not None and self._planned <= now and not self._paused and not self._held:
            due.append((self._planned, 0, None))
        if not due:
            return False
        run = min(due, key=lambda item: item[:2])[2]
        if run is None:
            self._decide(now)
        else:
            self._begin(run)
        return True

    def _running(self) -> list[_Run]:
        return [run for run in self._active if run.state == "running"]

    def _queued(self) -> bool:
        return any(run.state == "queued" for run in self._active)

    def _may_start(self, run: _Run) -> bool:
        return run.state == "waiting" and (run.manual or not self._paused)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    # Instants

    def _first(self, now: int) -> int | None:
        starting = self.plan.starting
        if starting is not None and starting > now:
            return self._next(starting - 1)
        return self._next(now - 1 if isinstance(self.plan.schedule, Once) else now)

    def _next(self, instant: int) -> int | None:
        following = self.instants.after(instant)
        if following is not None and self.plan.until is not None and following > self.plan.until:
            return None
        return following

    def _passed(self, now: int) -> list[int]:
        assert self._planned is not None
        until = now if self.plan.until is None else min(now, self.plan.until)
        return self.instants.through(self._planned, until)

    def _leaves_window(self) -> int:
        """Return when an instant held for replay gets too old to wait on."""
        if self._planned is None or self._planned >= self._watched or self.plan.window is None:
            return _NEVER
        return self._planned + int(self.plan.window * SECOND) + 1

    # Policies

    def _decide(self, now: int) -> None:
        passed = self._passed(now)
        newest, plan = passed[-1], self.plan
        oldest_wanted = -_NEVER if plan.window is None else now - int(plan.window * SECOND)
        watched = self._watched
        if plan.catch_up == "skip" and newest < watched:
            self._let_pass("no_catch_up", passed)
        elif plan.catch_up == "skip":
            self._meet(passed, newest, "no_catch_up")
        elif plan.catch_up == "latest":
            if newest < watched and newest < oldest_wanted:
                self._let_pass("catch_up_window", passed)
            else:
                self._meet(passed, newest, "coalesced")
        else:
            too_old = [instant for instant in passed if instant < min(oldest_wanted, watched)]
            if too_old:
                self._let_pass("catch_up_window", too_old)
            elif len(passed) > REPLAYS:
                self._let_pass("catch_up_limit", passed[:-REPLAYS])
            else:
                behind = len(passed) > 1 or passed[0] < watched
                if behind and self._active and plan.overlap != "allow":
                    # A replay waits for the one before it instead of being skipped.
                    self._held = True
                else:
                    self._meet(passed[:1], passed[0], "coalesced")

    def _let_pass(self, reason: str, instants: list[int]) -> None:
        self._pass("missed", reason, instants)
        self._planned = self._next(instants[-1])

    def _meet(self, passed: list[int], instant: int, reason: str) -> None:
        """Start the newest of the instants, or do what the overlap policy says."""
        if len(passed) > 1:
            self._pass("missed", reason, passed[:-1])
        self._planned = self._next(instant)
        overlap = self.plan.overlap
        queue = False
        if self._active and overlap != "allow":
            if overlap == "skip" or (overlap == "queue" and self._queued()):
                self._pass("skipped", "overlap", [instant])
                return
            if overlap == "cancel_running":
                self._supersede()
            queue = overlap == "queue"
        self._close_gap()
        self._started_runs += 1
        if self._started_runs == self.plan.max_runs:
            self._planned = None
        run = _Run(self._number(), instant, instant, False, "queued" if queue else "waiting", instant)
        self._active.append(run)
        if not queue:
            self._begin(run)

    def _supersede(self) -> None:
        for run in list(self._active):
            if run.state == "running":
                run.ending = "cancelled"
                run.ends = self._tick
            else:
                self._active.remove(run)
                self._enter(run, "cancelled", "superseded", self._now())

    # Runs

    def _begin(self, run: _Run) -> None:
        run.state = "running"
        run.retrying = False
        run.began = self._now()
        if run.started < 0:
            run.started = run.began
        duration, fails = self.plan.work.script(run.planned, run.attempt)
        run.ends = self._tick + duration
        run.ending = "error" if fails else "ok"
        if self.plan.timeout is not None and duration > self.plan.timeout * SECOND:
            run.ends = self._tick + round(self.plan.timeout * SECOND)
            run.ending = "timeout"

    def _end_attempt(self, run: _Run) -> None:
        ended = self._now()
        run.attempts.append((run.attempt, run.began, ended, run.ending))
        self._held = False
        run.state = "waiting"
        if run.ending == "interrupted" and self.plan.on_crash == "rerun":
            run.wake = ended
            return
        if run.ending in ("error", "timeout") and run.attempt <= self.plan.max_retries:
            assert self.plan.backoff is not None
            run.attempt += 1
            run.retrying = True
            run.wake = ended + int(self.plan.backoff * SECOND)
            return
        status, reason = {
            "ok": ("succeeded", ""),
            "error": ("failed", ""),
            "timeout": ("timed_out", ""),
            "cancelled": ("cancelled", "superseded"),
            "interrupted": ("lost", "stopped"),
        }[run.ending]
        self._active.remove(run)
        self._enter(run, status, reason, ended)
        if len(self._active) == 1 and self._active[0].state == "queued":
            self._active[0].state = "waiting"

    # Records

    def _enter(self, run: _Run, status: str, reason: str, ended: int) -> None:
        self.entries.append(
            Entry(run.planned, run.started, status, reason, run.due, ended, 1, run.due, run.manual, tuple(run.attempts))
        )

    def _pass(self, status: str, reason: str, instants: list[int]) -> None:
        gap = self._gap
        if gap is not None and (gap.status, gap.reason) == (status, reason):
            gap.last = instants[-1]
            gap.count += len(instants)
            return
        self._close_gap()
        self._gap = _Gap(status, reason, instants[0], instants[-1], len(instants))

    def _close_gap(self) -> None:
        gap, self._gap = self._gap, None
        if gap is not None:
            self.entries.append(
                Entry(gap.first, -1, gap.status, gap.reason, gap.first, -1, gap.count, gap.last, False, ())
            )
