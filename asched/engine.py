"""The loop that drives a schedule: wait for the next due timer, plan it, claim it, start it, record its end.

One task waits, plans and claims; one records what has ended. Each has one call to the store in flight, and what
comes due meanwhile is the next batch, so a burst groups itself. Every store goes through here in the same way.

The engine holds a window of what comes due soonest: every timer up to a horizon, in a heap. Beyond the horizon it
asks the store again. A timer in the window may be out of date; the claim finds out.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from asched import retry
from asched.clock import Clock
from asched.errors import Abort, StoreUnavailable
from asched.instants import HOUR, SECOND, to_datetime
from asched.model import ErrorInfo, OnCrash, Origin, Outcome, Overlap, Reason, RunStatus, format_run_id
from asched.planner import plan, plan_skip
from asched.registry import Registry
from asched.reports import RemoteError, describe_error
from asched.runner import CurrentRun, Halt, Notes, Runner
from asched.store import (
    TOKEN_BITS,
    Cancelled,
    Claimed,
    ClaimedRow,
    ClaimRow,
    Finish,
    FinishRow,
    Grant,
    NodeInfo,
    Note,
    Store,
    Timer,
)
from asched.timers import Timers

__all__ = ["CORRECTION", "Engine", "Failure", "Listener", "RetryRule"]

log = logging.getLogger("asched")

# A suspended machine or a clock that is set is noticed when the loop looks next, so it never sleeps longer.
_LONGEST_SLEEP = 30.0
# A wall clock that went this much further than time did was set; slewing stays far below.
_JUMP = SECOND
# Cron's own limit: a clock set back further than this is being corrected, and the schedule follows it.
# Source: cron(8), Debian, "local time changes of less than three hours".
CORRECTION = 3 * HOUR
# The share of a lease after which it is renewed, and the one that is left unused before its end.
_BEAT, _MARGIN = 1 / 3, 1 / 6
_PRUNE_EVERY = 600.0
_PRUNE_BATCH = 1_000
_NOTES_EVERY = 0.5
_PATIENCE_AFTER_CANCEL = 1.0
_BLAME_EVERY = 60.0
_RETRY_FIRST, _RETRY_LIMIT = 0.05, 5.0
# A part that raised what nobody expected is started again after this long, twice as long each time.
_RESTART_FIRST, _RESTART_LIMIT = 0.1, 30.0
# A timer whose claim alone fails is set aside for so long; the others go on.
_ASIDE = 30.0
# Interrupted attempts that one log line names.
_NAMED = 10
_BUSY_AGAIN = 1.0
# A look at a store that is polled reaches this many polls ahead, so that one late poll leaves no hole. Each more is
# read and unpacked again every time, while nothing starts: at 2,000 due a second three held up starts by 30 ms.
_AHEAD = 2
_FOREVER = 2**62
# A look that brings back what is held already brings at most so many: 0.6 us each, while nothing else happens.
_LOOK_AT_MOST = 10_000
# The window may hold this many times what one look at the store brings before it is cut.
_WINDOW_SLACK = 8

Listener = Callable[[str, str | None, int | None, dict[str, Any]], None]
"""Told of an event: its name, job id, run id, and what else belongs to it."""


class RetryRule:
    """Which errors of a declared job are worth another attempt. Exceptions have no stored form; code has them."""

    __slots__ = ("give_up_on", "on")

    def __init__(self, on: tuple[type[BaseException], ...], give_up_on: tuple[type[BaseException], ...]) -> None:
        self.on = on
        self.give_up_on = give_up_on

    def admits(self, error: BaseException) -> bool:
        """Tell whether the error, or one in its exception groups, is worth another attempt and none forbids it."""
        return retry.find(error, self.on) is not None and retry.find(error, self.give_up_on) is None


_ANY_FAILURE = RetryRule(retry.FAILURES, ())


class Failure(NamedTuple):
    """A part of the engine that does not work at the moment."""

    part: str
    error: str
    since: datetime
    """By the store's clock."""


class Engine:
    """Runs a schedule on this node. Made at ``start()``, done for at ``stop()``.

    Args:
        tell: Called for each event once the store has committed it, if ``listening()``.
        replan: Called with the time after the clock was set back, and whether so far that all plans are void.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        registry: Registry,
        *,
        node: NodeInfo,
        watched_since: int,
        max_workers: int,
        max_concurrency: int,
        rules: dict[str, RetryRule],
        tell: Listener,
        listening: Callable[[], bool],
        replan: Callable[[int, bool], Awaitable[None]],
    ) -> None:
        self.store = store
        self.node = node
        self.epoch = 0
        self.running: dict[int, CurrentRun] = {}
        """The attempts this node executes, by token."""
        self.available = True
        """False while the store cannot be reached."""
        self._away_for = 0.0
        """How long the last look for a store that is away was put off; 0 once it has taken claims or ends again."""
        self.failed: dict[str, Failure] = {}
        """Parts that raised what nobody expected, until they work again. They are started again by themselves."""
        self._doing = "window"
        """The part of the loop that is under way."""
        self._clock = clock
        self._registry = registry
        self._rules = rules
        self._tell = tell
        self._listening = listening
        self._replan = replan
        self._loop = asyncio.get_running_loop()
        self._max_concurrency = max_concurrency
        self._timers: Timers[Timer] = Timers()
        self._largest_window = _WINDOW_SLACK * store.caps.window
        self._horizon: int | None = -1
        """Timers due up to here are in ``_timers``; ``None``: all there are."""
        self._cut = True
        """There are more timers beyond the horizon."""
        self._arrived: list[Timer] = []
        """Timers taken in while the store is asked for a window."""
        self._looking = False
        self._for_thread: deque[Timer] = deque()
        """Due timers that wait for a worker thread."""
        self._held: dict[str, list[Timer]] = {}
        """Job id -> due timers that wait for a run, or an abandoned thread, of the job to end."""
        self._asking: set[str] = set()
        """Jobs whose held timers are about to be tried again."""
        self._full = False
        """The last plan left due timers behind for want of room."""
        self._share = (0, 1)
        """This node's place among those that share the schedule, and how many they are."""
        self._others: list[Timer] = []
        """Due timers that are left to the other nodes as long as there are enough for this one."""
        self._others_outdated = False
        """The other nodes may have started some of those by now."""
        self._look_at = 0.0
        self._offset = 0
        """The store's clock minus the one that nobody sets, microseconds."""
        # A store's clock is followed by the one that nobody sets; a wall clock of this machine says nothing of it.
        self.now: Callable[[], int] = self._now_of_store if store.caps.own_clock else clock.now
        """The store's clock, as far as this node knows it. From any thread."""
        self._watched_since = watched_since
        self._sleeper: asyncio.Future[None] | None = None
        self._awake = False
        """Something asked for a wake-up since the loop last looked at what is due."""
        self._ended = asyncio.Event()
        self._unrecorded: list[tuple[CurrentRun, FinishRow]] = []
        """Ends that the store has not taken and that are to be said again."""
        self._put_off_ends: list[tuple[CurrentRun, FinishRow]] = []
        """Ends of runs whose job somebody held; they become unrecorded ones in a moment."""
        self._ended_meanwhile: set[str] | None = None
        """Jobs of which a run ended while the store was asked for claims; its answer may not know of that yet.
        ``None``: no claim is under way."""
        self._unsettled = False
        """The store may hold claims for this node that it does not execute."""
        self._excess = 0
        """Heartbeats in a row at which the store held more claims than are executed here."""
        self._idle = asyncio.Event()
        self._stopping = False
        self._stop_by = float("inf")
        """When the stop ends its wait for attempts, on the event loop's clock."""
        self._drained = False
        """The stop has ended its wait for attempts; none may begin any more."""
        self._tasks: list[asyncio.Task[None]] = []
        self._lease_ends = float("inf")
        self._asked = 0.0
        """When the last heartbeat that came through was sent."""
        self._reaps_from = 0.0
        """Before then this node takes no other one for dead."""
        self._tokens = itertools.count()
        self._exit: BaseException | None = None
        """What a job raised to end the program, until its run is recorded."""
        self._noted: set[CurrentRun] = set()
        self._notes_due = False
        self._blamed: dict[str, float] = {}
        self._runner = Runner(
            self.now, max_workers, self._on_ended, self._on_blocked, self._on_thread_free, self._is_expired
        )
        self._last_clocks = self._read_clocks()

    # Life

    def start(self) -> None:
        """Begin. The node is registered, and what the code declares is stored."""
        self.spawn("loop", self._main)
        self.spawn("recorder", self._record)
        self.spawn("retention", self._prune)
        if self.store.caps.lease != float("inf"):
            self.spawn("heartbeat", self._beat)
        self.spawn("listener", self._listen)

    async def stop(self, wait: bool, timeout: float) -> None:
        """Claim nothing more, let attempts end for at most ``timeout`` seconds, record the others as interrupted.

        A claim that is under way is waited for like an attempt, and what it grants is started: given back, it would
        stay in the store until the next start.
        """
        self._stopping = True
        self._wake()
        if any(task.cancelling() for task in self._tasks):
            # A program that ends by SystemExit: asyncio.run() cancels every task. Ends must still be recorded.
            self.spawn("recorder", self._record)
        self.hasten(wait, timeout)
        await self._until_idle(0.0)
        self._drained = True
        interrupted = [run for run in self.running.values() if not run.over]
        if interrupted:
            named = ", ".join(f"{run.spec.id} (run {run.id})" for run in interrupted[:_NAMED])
            more = len(interrupted) - _NAMED
            log.warning(
                "the stop interrupts %d attempt(s): %s; they run again at the next start, unless on_crash is 'lost'",
                len(interrupted), f"{named} and {more} more" if more > 0 else named,
            )  # fmt: skip
        self._interrupt(list(self.running.values()), Halt.STOP)
        await self._until_idle(_PATIENCE_AFTER_CANCEL)
        for run in list(self.running.values()):
            self._runner.give_up(run)
        if self.available and self.running:
            await self._until_idle(_PATIENCE_AFTER_CANCEL)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runner.close()
        if not await self._record_last():
            return
        try:
            await self.store.leave(self.epoch)
        except StoreUnavailable as error:
            log.warning("could not deregister this node, the store is unavailable: %s", error)

    def hasten(self, wait: bool, timeout: float) -> None:
        """Let the stop wait for attempts no longer than this from now. It never gets longer."""
        self._stop_by = min(self._stop_by, self._loop.time() + (timeout if wait else 0.0))
        self._idle.set()

    def spawn(self, part: str, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        """Keep a part of the scheduler going until it returns, or until the stop."""
        self._tasks = [task for task in self._tasks if not task.done()]
        task = self._loop.create_task(self._guard(part, work))
        self._tasks.append(task)
        return task

    async def _guard(self, part: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        delay = _RESTART_FIRST
        while True:
            # Called in here: a coroutine made outside would never be awaited where the task is cancelled at birth.
            try:
                await work()
                self.works(part)
                return
            except StoreUnavailable:
                # The loop tells of it. This part only has to be there again when the store is back.
                delay = min(2 * delay, _RETRY_LIMIT)
            except Exception as error:  # the last guard: what nobody expected must not end the scheduler in silence
                name = self._doing if part == "loop" else part
                delay = min(2 * delay, _RESTART_LIMIT) if name in self.failed else _RESTART_FIRST
                log.critical("the scheduler's %s failed and is started again in %.1f s", name, delay, exc_info=True)
                self.fail(name, error)
                if part == "loop":
                    # The store may have granted what was never taken up.
                    self._unsettled = True
            await asyncio.sleep(delay)

    def fail(self, part: str, error: Exception) -> None:
        """Take note that a part does not work, and tell once."""
        known = self.failed.get(part)
        text = f"{type(error).__name__}: {error}"
        self.failed[part] = Failure(part, text, to_datetime(self.now()) if known is None else known.since)
        if known is None:
            self._tell("scheduler.failed", None, None, {"part": part, "error": text})

    def works(self, part: str) -> None:
        """Take note that a part has done its work; if it had failed, it has recovered."""
        if self.failed and self.failed.pop(part, None) is not None:
            log.warning("the scheduler's %s works again", part)
            self._tell("scheduler.recovered", None, None, {"part": part})

    async def _until_idle(self, patience: float) -> None:
        """Wait until nothing runs; as long as the stop may still wait, and for ``patience`` seconds at least."""
        at_least = self._loop.time() + patience
        while not self._is_idle():
            self._idle.clear()
            try:
                async with asyncio.timeout_at(max(at_least, self._stop_by)):
                    await self._idle.wait()
            except TimeoutError:
                return

    def _is_idle(self) -> bool:
        """Tell whether nothing runs, waits to be recorded or is about to be granted."""
        return not self.running and self._ended_meanwhile is None

    async def register(self) -> None:
        """Begin a lease under a new epoch."""
        caps = self.store.caps
        asked = self._clock.elapsed()
        first = not self.epoch
        if not first:
            self._reaps_from = asked + caps.lease
        self.epoch = await self.store.register(self.node)
        self._tokens = itertools.count(self.epoch << TOKEN_BITS | 1)
        self._asked = asked
        await self._ask_clock()
        if first:
            self._last_clocks = self._read_clocks()
        self._extend_lease(asked)
        if not caps.shared or caps.lease == float("inf"):
            await self._reap()

    def _extend_lease(self, asked: float) -> None:
        """Take note of a lease that was given some time after ``asked``, on the clock that counts suspended time."""
        self._lease_ends = asked + self.store.caps.lease * (1 - _MARGIN)
        self._is_expired()

    def _is_expired(self) -> bool:
        """Tell whether this node may not start anything: its lease has run out, as far as it knows."""
        left = self._lease_ends - self._clock.elapsed()
        self._runner.starts_until = self.now() + int(min(left, 1e9) * SECOND)
        return left <= 0

    def _now_of_store(self) -> int:
        return self._offset + round(self._clock.elapsed() * SECOND)

    async def _ask_clock(self) -> None:
        asked = self._clock.elapsed()
        self._follow_clock(await self.store.now(), asked)

    def _follow_clock(self, now: int, asked: float) -> None:
        """Take note of what the store's clock said at some time since ``asked``, on the clock that nobody sets.

        The answer may be old: a process that is stopped while it is on its way reads it when it goes on. Taken for the
        present it looks like a clock that was set back, for which all jobs are planned anew. So what is known is
        corrected only as far as the answer contradicts it, wherever between question and arrival the clock was read.
        """
        if_read_now = now - round(self._clock.elapsed() * SECOND)
        if_read_then = now - round(asked * SECOND)
        self._offset = min(max(self._offset, if_read_now), if_read_then)

    def has_abandoned(self, job_id: str) -> bool:
        """Tell whether a thread of the job, past its timeout, still runs here."""
        return job_id in self._runner.abandoned

    def next_token(self) -> int:
        return next(self._tokens)

    # The loop

    async def _main(self) -> None:
        while not self._stopping:
            self._awake = False
            now = self.now()
            if self._clock.elapsed() >= self._lease_ends:
                # Another node may have taken over what is ours. Only the heartbeat can tell, and it wakes the loop.
                await self._rest(_LONGEST_SLEEP, now)
                continue
            try:
                if self._unsettled:
                    await self._reconcile()
                await self._notice_jump()
                if self._must_look():
                    self._doing = "window"
                    await self.look()
                    self.works("window")
                self._doing = "claims"
                await self._start_due(now)
                self._back()
            except StoreUnavailable as error:
                await self._away(error)
                continue
            # The runs just made get their first turn before the next batch is planned.
            await self._sleep(now if self._must_look() else self._next_due())

    async def _start_due(self, now: int) -> None:
        """Plan, claim and start a batch of what is due."""
        claims = self._plan(now)
        if claims:
            self._ended_meanwhile = set()
            try:
                answers = await self._claim(claims)
                self._away_for = 0.0
                self.works("claims")
                if self._clock.elapsed() < self._lease_ends:
                    if unwanted := self._take_up(claims, answers):
                        self.take_in(await self.store.release(self.epoch, unwanted))
                else:
                    # It took too long: others may have taken over by now what was granted. The heartbeat tells.
                    self._unsettled = True
            finally:
                self._ended_meanwhile = None
                if self._stopping and self._is_idle():
                    self._idle.set()

    async def _claim(self, claims: Sequence[ClaimRow]) -> Sequence[ClaimedRow]:
        """Claim a batch; if that fails without a reason that the store knows, each timer by itself.

        One record that the store cannot handle then harms its own job and no other.
        """
        try:
            return await self.store.claim(self.epoch, claims)
        except StoreUnavailable:
            raise
        except Exception:
            if len(claims) == 1:
                raise
            log.exception("a claim of %d timers failed; each is claimed by itself", len(claims))
        answers: list[ClaimedRow] = []
        aside: list[Timer] = []
        for claim in claims:
            try:
                answer = await self.store.claim(self.epoch, (claim,))
            except StoreUnavailable:
                raise
            except Exception as error:
                timer, token, *_ = claim
                log.error(
                    "job %s cannot be claimed and is tried again in %.0f s: %s: %s",
                    timer.spec.id, _ASIDE, type(error).__name__, error,
                )  # fmt: skip
                aside.append(timer)
                if len(aside) == len(claims):
                    raise
                answer = (Claimed(Grant.STALE, token),)
            if not answer:
                return ()
            answers += answer
        if aside:
            self._loop.call_later(_ASIDE, self.take_in, aside)
        return answers

    def _must_look(self) -> bool:
        if self._loop.time() >= self._look_at:
            return True
        if not self._cut or self._full or self._for_thread or (self._others and not self._others_outdated):
            return False
        first = self._timers.first_due()
        assert self._horizon is not None
        # Past the horizon, but no earlier than its next microsecond: nothing unknown can lie between.
        return first is None or first > self._horizon + 1

    async def look(self) -> None:
        """Bring the window up to date with the store."""
        caps = self.store.caps
        if caps.poll == float("inf"):
            # What was taken in since the last look would otherwise be dropped, to be brought again piece by piece.
            ahead, limit = _FOREVER, max(caps.window, min(len(self._timers), _LOOK_AT_MOST))
        else:
            ahead, limit = self.now() + int(_AHEAD * caps.poll * SECOND), caps.window
        self._look_at = self._loop.time() + caps.poll
        self._arrived.clear()
        self._looking = True
        try:
            window = await self.store.window(self.epoch, ahead, limit)
        finally:
            self._looking = False
        self._timers.fill(window.timers)
        self._for_thread.clear()
        self._held.clear()
        self._others.clear()
        self._others_outdated = False
        self._share = window.share
        self._cut = window.horizon is not None and window.horizon < ahead
        self._horizon = window.horizon if self._cut else ahead if ahead < _FOREVER else None
        # What arose while the store was asked may be newer than its answer.
        arrived, self._arrived = self._arrived, []
        self._keep(arrived)

    def _plan(self, now: int) -> list[ClaimRow]:
        """Take what is due and there is room for, and decide about each."""
        runner = self._runner
        batch = self.store.caps.claim_batch
        room = min(self._max_concurrency - len(self.running), batch)
        threads = runner.max_workers - runner.in_threads
        due: list[Timer] = []
        waiting = self._for_thread
        while waiting and len(due) < min(room, threads):
            due.append(waiting.popleft())
        due += self._take_due(now, room - len(due))
        self._full = len(due) >= room and room < batch
        claims: list[ClaimRow] = []
        function_of, tokens, since, abandoned = self._registry.get, self._tokens, self._watched_since, runner.abandoned
        for timer in due:
            spec = timer.spec
            function = function_of(spec.func)
            if function is None:
                continue  # it stays in the store, where the next look leaves it too
            try:
                if abandoned and spec.id in abandoned and spec.policy.overlap is not Overlap.ALLOW:
                    if timer.attempt:
                        self._held.setdefault(spec.id, []).append(timer)
                    else:
                        claims.append(plan_skip(timer, next(tokens), now, Reason.ABANDONED, random.random))
                    continue
                if not function.is_async or spec.policy.in_process:
                    if threads <= 0:
                        waiting.append(timer)
                        continue
                    threads -= 1
                claims.append(plan(timer, next(tokens), now, since, random.random))
            except Exception:  # user code: a trigger class of the user's own
                log.exception(
                    "the trigger of job %s failed; the job stands still until it is changed or the scheduler "
                    "starts again", spec.id,
                )  # fmt: skip
        return claims

    def _take_due(self, now: int, limit: int) -> list[Timer]:
        """Take out at most so many timers that are due.

        Nodes that share a backlog would all ask for the same ones, and all but one of them in vain. So each begins
        with its own part; when that is done it looks again, and takes what the others have left.
        """
        due = self._timers.pop_due(now, limit)
        place, nodes = self._share
        if nodes > 1 and len(due) == limit > 1:
            mine: list[Timer] = []
            while due:
                for timer in due:
                    (mine if timer.id % nodes == place else self._others).append(timer)
                due = self._timers.pop_due(now, limit - len(mine))
            due = mine
        others = self._others
        if due or not others or limit <= 0 or self._for_thread:
            self._others_outdated = self._others_outdated or bool(due)
            return due
        if self._others_outdated:
            self._look_at = 0.0
            return due
        # From the end: whose part it is begins at the other.
        self._others, due = others[:-limit], others[: -limit - 1 : -1]
        return due

    def _take_up(self, claims: Sequence[ClaimRow], answers: Sequence[ClaimedRow]) -> list[int]:
        """Start the granted claims; return the tokens of those that came after the drain, which do not start."""
        unwanted: list[int] = []
        if not answers:
            # The lease ran out by the store's clock. Everything stands as it was.
            self._lease_ends = float("-inf")
            for timer, *_ in claims:
                self._timers.add(timer)
            return unwanted
        running, timers, horizon, noted = self.running, self._timers, self._horizon, self._on_noted
        function_of, start = self._registry.get, self._runner.start
        listening, drained = self._listening(), self._drained
        lost = 0
        for claim, answer in zip(claims, answers, strict=True):
            grant, token, run_id, fence, following, cancels, first_due = answer
            timer, _, _, planned, due, _, _, gap, _ = claim
            if following is not None and (horizon is None or following.due <= horizon):
                timers.add(following)
            if grant is _STARTED and drained:
                unwanted.append(token)
                self._halt(cancels, Reason.SUPERSEDED)
            elif grant is _STARTED:
                spec, attempt = timer.spec, timer.attempt
                function = function_of(spec.func)
                assert function is not None
                if attempt:
                    due, payload = first_due, timer.payload
                else:
                    attempt, payload = 1, spec.payload
                run = CurrentRun(token, run_id, spec, function, attempt, due, planned, fence, payload, noted)
                running[token] = run
                if cancels:
                    self._halt(cancels, Reason.SUPERSEDED)
                if listening:
                    self._tell("run.started", spec.id, run_id, {})
                start(run)
                if listening and gap is not None:
                    self._tell_gap(claim)
            elif grant is Grant.BUSY:
                self._hold(timer)
            elif grant is Grant.EARLY:
                # The clocks disagree. It stays, and is asked for again in a moment.
                self._loop.call_later(0.05, self.take_in, (timer,))
            elif grant is Grant.STALE:
                lost += 1
            elif listening:
                self._tell_gap(claim)
        if lost > len(claims) // 2:
            self._others_outdated = True
        self._trim()
        return unwanted

    def _tell_gap(self, claim: ClaimRow) -> None:
        timer, _, start, _, _, _, _, gap, _ = claim
        if gap is not None:
            data = {"count": gap.instants, "reason": str(gap.reason)}
            self._tell(f"run.{gap.status}", timer.spec.id, None, data)
        elif not start or timer.attempt == 0:
            self._tell("run.skipped", timer.spec.id, None, {"count": 1, "reason": str(Reason.OVERLAP)})

    def take_in(self, timers: Sequence[Timer]) -> None:
        """Add timers that arose here, if they lie within the window, and wake up for them."""
        if not timers:
            return
        earliest = timers[0].due if len(timers) == 1 else min([timer.due for timer in timers])
        if self._horizon is None or earliest <= self._horizon:
            self._keep(timers)
            self._trim()
        if self._looking:
            self._arrived.extend(timers)
        self.store.wake(self.epoch, earliest)
        if earliest <= self._wakes_at:
            self._wake()

    def _keep(self, timers: Iterable[Timer]) -> None:
        held, horizon, declared = self._timers.items, self._horizon, self.node.declarations
        for timer in timers:
            spec = timer.spec
            if horizon is not None and timer.due > horizon:
                continue
            if spec.func in self._registry and (spec.origin is Origin.API or spec.id in declared):
                known = held.get(timer.id)
                if known is None or known.rev <= timer.rev:
                    self._timers.add(timer)

    def look_again(self) -> None:
        """Ask the store for the window before anything else is started."""
        self._look_at = 0.0
        self._wake()

    def _trim(self) -> None:
        if len(self._timers.items) <= self._largest_window:
            return
        dropped = self._timers.keep_earliest(self.store.caps.window)
        if dropped is not None:
            self._horizon = dropped - 1
            self._cut = True

    # Sleeping

    _wakes_at = 0
    """The instant the loop will look next; what comes due earlier must wake it."""

    def _next_due(self) -> int | None:
        # What is due and was left behind waits for room, not for time.
        if self._full:
            return None
        return 0 if self._others and not self._for_thread else self._timers.first_due()

    async def _sleep(self, until: int | None) -> None:
        now = self.now()
        delay = _LONGEST_SLEEP
        if until is not None:
            delay = min(delay, (until - now) / SECOND)
        await self._rest(min(delay, self._look_at - self._loop.time()), now)

    async def _rest(self, delay: float, now: int) -> None:
        """Sleep until something asks for a wake-up, at most so many seconds."""
        if delay <= 0 or self._awake:
            await asyncio.sleep(0)
            return
        self._wakes_at = now + int(delay * SECOND)
        self._sleeper = self._loop.create_future()
        handle = self._loop.call_at(self._loop.time() + delay, self._wake)
        try:
            await self._sleeper
        finally:
            handle.cancel()
            self._sleeper = None
            self._wakes_at = 0

    def _wake(self) -> None:
        # While the loop waits for the store it does not sleep, and must not fall asleep afterwards.
        self._awake = True
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)

    async def _notice_jump(self) -> None:
        """Compare the clocks: one that was set, or a machine that slept, changes what was missed."""
        clocks = now, elapsed, ticks = self._read_clocks()
        last_now, last_elapsed, last_ticks = self._last_clocks
        passed = elapsed - last_elapsed
        step = now - last_now - int(passed * SECOND)
        slept = passed - (ticks - last_ticks)
        if abs(step) <= _JUMP and slept <= _JUMP / SECOND:
            self._last_clocks = clocks
            return
        log.warning(
            "the clock jumped by %+.1f s and the machine slept for %.1f s; what passed meanwhile counts as missed",
            step / SECOND,
            max(slept, 0.0),
        )
        self._watched_since = now
        self._tell("clock.jumped", None, None, {"seconds": step / SECOND, "slept": max(slept, 0.0)})
        if step < -_JUMP:
            await self._replan(now, -step >= CORRECTION)
            self.look_again()
        # Not before: a store that is away leaves the jump to be noticed again when it is back.
        self._last_clocks = clocks

    def _read_clocks(self) -> tuple[int, float, float]:
        """Return the store's clock, the one that counts suspended time and the event loop's, which does not."""
        return self.now(), self._clock.elapsed(), self._loop.time()

    async def _away(self, error: StoreUnavailable) -> None:
        """Wait until the store is back. Nothing starts meanwhile, what runs goes on."""
        if self.available:
            self.available = False
            log.error("the store is unavailable, nothing is started until it is back: %s", error)
            self._tell("store.unavailable", None, None, {"error": str(error)})
        while not self._stopping:
            # It goes on growing where a store can be read and takes no claims: a standby, a full disk, a locked table.
            self._away_for = min(2 * self._away_for or _RETRY_FIRST, _RETRY_LIMIT)
            await asyncio.sleep(self._away_for * (0.5 + random.random() / 2))
            try:
                await self._reconcile()
            except StoreUnavailable:
                continue
            self._watched_since = self.now()
            self.look_again()
            return

    def _back(self) -> None:
        """Take note that the loop has gone through with the store."""
        if not self.available:
            self.available = True
            log.warning("the store is back")
            self._tell("store.available", None, None, {})

    async def _reconcile(self) -> None:
        """Give back claims whose answer was lost: the store holds them, this node does not run them.

        Only the loop calls it, while no claim is under way.
        """
        await self._ask_clock()
        held = await self.store.claims(self.epoch)
        orphans = [live.token for live in held if live.token not in self.running]
        if orphans:
            log.warning("%d claims whose answer was lost, or came too late, are given back", len(orphans))
            self.take_in(await self.store.release(self.epoch, orphans))
        self._unsettled = False
        self._excess = 0
        self._look_at = 0.0

    # Ends

    def _on_ended(self) -> None:
        self._ended.set()

    def _on_thread_free(self, job_id: str) -> None:
        """A thread that was left behind has come back."""
        self._let_go(job_id)
        self._wake()

    async def _record(self) -> None:
        """Write ends of attempts, all that are there in one call."""
        while True:
            if not self._runner.ended and not self._unrecorded:
                self._ended.clear()
                await self._ended.wait()
            again = bool(self._unrecorded)
            ended, ends = self._take_ends()
            delay = _RETRY_FIRST
            try:
                while True:
                    try:
                        accepted, timers = await self._finish(ended, ends, again)
                        break
                    except StoreUnavailable as error:
                        again = True
                        log.warning("%d ends of runs wait for the store, which is away: %s", len(ends), error)
                        self._raise_exit()
                        await asyncio.sleep(delay * (0.5 + random.random() / 2))
                        delay = min(2 * delay, _RETRY_LIMIT)
            except BaseException:
                # Cancelled by the stop, or about to be started again: what it held is told then.
                self._unrecorded += zip(ended, ends, strict=True)
                raise
            self._on_recorded(ended, ends, accepted, timers)

    async def _record_last(self) -> bool:
        """Write the ends that the store has not taken so far, once more: it may be back by now.

        Returns:
            False: the store is away. Then the node must not leave either. Leaving gives back what a node has not
            begun, to run again without being counted; attempts that took place follow their crash policy.
        """
        self._end_again()
        ended, ends = self._take_ends()
        if not ends:
            return True
        try:
            accepted, timers = await self._finish(ended, ends, True)
        except StoreUnavailable as error:
            log.error(
                "the store is unavailable, so the ends of %d attempts are not recorded; their runs follow the crash "
                "policy of their jobs once this node's lease has run out: %s",
                len(ends), error,
            )  # fmt: skip
            self._raise_exit()
            return False
        self._on_recorded(ended, ends, accepted, timers)
        return True

    def _take_ends(self) -> tuple[list[CurrentRun], list[FinishRow]]:
        """Take out the attempts that have ended and are not recorded."""
        runner = self._runner
        ended, runner.ended = runner.ended, []
        ends = [self._end(run) for run in ended]
        for run, end in self._unrecorded:
            ended.append(run)
            ends.append(end)
        self._unrecorded.clear()
        return ended, ends

    async def _finish(
        self, ended: Sequence[CurrentRun], ends: Sequence[FinishRow], again: bool
    ) -> tuple[Sequence[bool | None], list[Timer]]:
        """Write ends; ``again``: the store may have taken them before, though its answer was lost."""
        accepted: Sequence[bool | None]
        try:
            accepted, timers = await self.store.finish(self.epoch, ends)
        except StoreUnavailable:
            raise
        except Exception:
            log.exception("the ends of %d attempts could not be recorded; each is recorded by itself", len(ends))
            accepted, timers = await self._finish_each(ended, ends)
        self.works("recorder")
        if again and not all(accepted):
            accepted = await self._settle_ends(ended, accepted)
        return accepted, timers

    async def _finish_each(
        self, ended: Sequence[CurrentRun], ends: Sequence[FinishRow]
    ) -> tuple[list[bool | None], list[Timer]]:
        """Write ends one by one; what the store does not take is written without its result, error text and notes."""
        accepted: list[bool | None] = []
        timers: list[Timer] = []
        for run, end in zip(ended, ends, strict=True):
            try:
                kept, arose = await self.store.finish(self.epoch, (end,))
            except StoreUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - whatever an end holds must not keep others from being recorded
                log.error(
                    "run %s of job %s is recorded without its result, error text, progress and log, which the store "
                    "refuses: %s: %s",
                    run.id, run.spec.id, type(error).__name__, error,
                )  # fmt: skip
                kept, arose = await self.store.finish(self.epoch, (_bare(end, error),))
            accepted += kept
            timers += arose
        return accepted, timers

    def _on_recorded(
        self,
        ended: list[CurrentRun],
        ends: list[FinishRow],
        accepted: Sequence[bool | None],
        timers: Sequence[Timer],
    ) -> None:
        self._raise_exit()
        if None in accepted:
            ended, ends, accepted = self._put_off(ended, ends, accepted)
        running = self.running
        for run in ended:
            running.pop(run.token, None)
        if self._held:
            for run in ended:
                self._let_go(run.spec.id)
        if self._ended_meanwhile is not None:
            self._ended_meanwhile.update(run.spec.id for run in ended)
        if not all(accepted):
            self._report_refused(ends, accepted)
        if timers:
            self.take_in(timers)
        if self._listening():
            for run, (_, status, *_), kept in zip(ended, ends, accepted, strict=True):
                if kept:
                    self._tell(_EVENT_OF.get(status, "run.progress"), run.spec.id, run.run_id, {})
        if self._full or self._for_thread:
            self._wake()
        if not running and self._is_idle():
            self._idle.set()

    def _put_off(
        self, ended: Sequence[CurrentRun], ends: Sequence[FinishRow], accepted: Sequence[bool | None]
    ) -> tuple[list[CurrentRun], list[FinishRow], list[bool | None]]:
        """Have ends recorded later whose job somebody holds; return the others."""
        answered = list(zip(ended, ends, accepted, strict=True))
        later = [(run, end) for run, end, kept in answered if kept is None]
        now = [(run, end, kept) for run, end, kept in answered if kept is not None]
        self._put_off_ends += later
        self._loop.call_later(_BUSY_AGAIN, self._end_again)
        return [run for run, _, _ in now], [end for _, end, _ in now], [kept for _, _, kept in now]

    def _end_again(self) -> None:
        self._unrecorded += self._put_off_ends
        self._put_off_ends.clear()
        self._ended.set()

    async def _settle_ends(self, ended: Sequence[CurrentRun], accepted: Sequence[bool | None]) -> list[bool | None]:
        """Tell ends that were recorded, though the answer was lost, from ends that were refused."""
        records = await self.store.get_runs([run.run_id for run in ended])
        return [
            kept
            if kept is not False
            else (
                record is not None
                and any(
                    (attempt.number, attempt.node, attempt.ended) == (run.attempt, self.node.name, run.ended)
                    for attempt in record.attempts
                )
            )
            for run, kept, record in zip(ended, accepted, records, strict=True)
        ]

    def _raise_exit(self) -> None:
        """Let a ``KeyboardInterrupt`` or ``SystemExit`` of a job go on its way, now that its run is recorded."""
        if self._exit is not None:
            error, self._exit = self._exit, None
            # Raised from a callback it leaves the loop as if the program itself had raised it.
            self._loop.call_soon(_reraise, error)

    def _hold(self, timer: Timer) -> None:
        """Keep a due timer until the run it met has ended."""
        job_id = timer.spec.id
        if self._ended_meanwhile and job_id in self._ended_meanwhile:
            self._timers.add(timer)
            return
        self._held.setdefault(job_id, []).append(timer)
        # The end of an attempt here lets it go at once. Ends elsewhere are asked for again, by one alarm a job:
        # a job that is behind is held after each of its runs.
        if job_id not in self._asking and not any(run.spec.id == job_id for run in self.running.values()):
            self._asking.add(job_id)
            self._loop.call_later(_BUSY_AGAIN, self._ask_again, job_id)

    def _ask_again(self, job_id: str) -> None:
        self._asking.discard(job_id)
        self._let_go(job_id)

    def _let_go(self, job_id: str) -> None:
        """Consider the held timers of a job again."""
        if job_id in self._held and job_id not in self._runner.abandoned:
            for timer in self._held.pop(job_id):
                self._timers.add(timer)
            self._wake()

    def _end(self, run: CurrentRun) -> FinishRow:
        outcome = run.outcome
        notes = run.notes
        note = None if notes is None else _note(run.token, notes)
        if outcome is _OK:
            return run.token, _SUCCEEDED, _OK, run.started, run.ended, None, None, run.value, None, True, note
        started = run.started or run.ended
        if outcome in _HALTED and run.value is not None:
            self._report_clean_up(run)
        if outcome is Outcome.INTERRUPTED:
            # What never began may begin elsewhere, whatever the policy says.
            if run.started and run.spec.policy.on_crash is OnCrash.LOST:
                status, due = RunStatus.LOST, None
            else:
                status, due = RunStatus.PENDING, run.ended
            return Finish(
                run.token, status, outcome, started, run.ended, Reason.STOPPED, due=due, counts=False, note=note
            )
        if outcome is Outcome.CANCELLED:
            return Finish(run.token, RunStatus.CANCELLED, outcome, started, run.ended, run.reason, note=note)
        return self._end_failed(run, outcome, started, note)

    def _end_failed(self, run: CurrentRun, outcome: Outcome, started: int, note: Note | None) -> Finish:
        spec, policy = run.spec, run.spec.policy
        fault: Any = run.value
        run.value = None  # an exception's traceback holds the frames, and they the run: a cycle
        if outcome is Outcome.ERROR:
            error = describe_error(fault)
        if isinstance(fault, RemoteError):
            fault = fault.error
        aborted = retry.find(fault, (Abort,)) is not None
        # The program is about to end, whatever else went wrong at the same time.
        decisive = self._note_exit(fault) or fault
        if outcome is Outcome.TIMEOUT:
            error = ErrorInfo("TimeoutError", f"the attempt took longer than {policy.timeout:g} s", "")
            final = RunStatus.TIMED_OUT
            admitted = True
        else:
            final = RunStatus.FAILED
            admitted = self._rules.get(spec.id, _ANY_FAILURE).admits(decisive)
        if not aborted and admitted and run.attempt <= policy.max_retries:
            wait = retry.delay(policy.backoff, run.attempt, random.random())
            log.warning(
                "run %s of job %s failed in attempt %d, next in %.1f s: %s: %s",
                run.id, spec.id, run.attempt, wait, error.type, error.message,
            )  # fmt: skip
            due = run.ended + int(wait * SECOND)
            return Finish(run.token, RunStatus.RETRYING, outcome, started, run.ended, error=error, due=due, note=note)
        log.error(
            "run %s of job %s failed for good in attempt %d: %s: %s\n%s",
            run.id, spec.id, run.attempt, error.type, error.message, error.traceback.rstrip(),
        )  # fmt: skip
        reason = Reason.ABORTED if aborted or not admitted else None
        return Finish(run.token, final, outcome, started, run.ended, reason, error, note=note)

    def _report_clean_up(self, run: CurrentRun) -> None:
        """Log what an attempt raised after it was told to end. It does not count, and must not vanish either."""
        fault, run.value = run.value, None
        if not isinstance(fault, BaseException) or isinstance(fault, asyncio.CancelledError):
            return
        self._note_exit(fault.error if isinstance(fault, RemoteError) else fault)
        error = describe_error(fault)
        log.warning(
            "run %s of job %s was told to end (%s) and raised on its way out: %s: %s\n%s",
            run.id, run.spec.id, run.outcome, error.type, error.message, error.traceback.rstrip(),
        )  # fmt: skip

    def _note_exit(self, fault: object) -> BaseException | None:
        """Keep an error that is to end the program until the run is recorded, and return it."""
        found = retry.find(fault, (KeyboardInterrupt, SystemExit))
        if found is not None:
            self._exit = found
        return found

    def _report_refused(self, ends: Sequence[FinishRow], accepted: Sequence[bool | None]) -> None:
        for (token, status, *_), kept in zip(ends, accepted, strict=True):
            if not kept:
                log.error(
                    "the end of attempt %s (%s) was refused: another node has taken the run over",
                    format_run_id(token),
                    status,
                )

    # Cancelling

    def cancel(self, cancelled: Iterable[Cancelled], reason: Reason) -> None:
        """Cancel those of the runs that execute here; other nodes have been told by the store."""
        self._halt((run.token for run in cancelled if run.token is not None), reason)

    def supersede(self, tokens: Iterable[int]) -> None:
        self._halt(tokens, Reason.SUPERSEDED)

    def _halt(self, tokens: Iterable[int], reason: Reason) -> None:
        for token in tokens:
            run = self.running.get(token)
            if run is not None and run.halt is None:
                run.reason = reason
                self._runner.halt(run, Halt.CANCEL)

    def _interrupt(self, runs: Iterable[CurrentRun], why: Halt) -> None:
        for run in runs:
            self._runner.halt(run, why)

    # Progress and log lines

    def _on_noted(self, run: CurrentRun) -> None:
        # From any thread: a set's add is atomic, and the timer is set by the loop's own thread.
        self._noted.add(run)
        if not self._notes_due:
            self._notes_due = True
            try:
                self._loop.call_soon_threadsafe(self._loop.call_later, _NOTES_EVERY, self._send_notes)
            except RuntimeError:  # a thread left behind outlives the event loop
                pass

    def _send_notes(self) -> None:
        self._notes_due = False
        if not self._stopping:
            self.spawn("notes", self._write_notes)

    async def _write_notes(self) -> None:
        runs, self._noted = self._noted, set()
        notes = [_note(run.token, run.notes) for run in runs if run.notes is not None and not run.over]
        if not notes:
            return
        try:
            await self.store.annotate(self.epoch, notes)
        except StoreUnavailable:
            return  # they come again with the run's end
        except Exception as error:  # noqa: BLE001 - whatever a note holds must not stop a part of the scheduler
            log.error("progress and log lines of %d runs could not be kept until they end: %s", len(notes), error)
            return
        if self._listening():
            for run in runs:
                if not run.over:
                    self._tell("run.progress", run.spec.id, run.run_id, {})

    def _on_blocked(self, run: CurrentRun, seconds: float) -> None:
        now = self._loop.time()
        last = self._blamed.get(run.spec.id)
        if last is not None and now - last < _BLAME_EVERY:
            return
        self._blamed[run.spec.id] = now
        log.warning(
            "job %s held the event loop for %.0f ms; a plain 'def' would run in a thread",
            run.spec.id,
            seconds * 1000,
        )
        self._tell("loop.blocked", run.spec.id, run.run_id, {"seconds": seconds})

    # What happens beside the loop

    async def _beat(self) -> None:
        """Renew the lease; hear of cancels; end nodes that are gone."""
        caps = self.store.caps
        delay = caps.lease * _BEAT
        while True:
            await asyncio.sleep(delay)
            asked = self._clock.elapsed()
            try:
                beat = await self.store.heartbeat(self.epoch)
                if not beat.alive:
                    await self._on_lease_lost()
                    continue
                self._follow_clock(beat.now, asked)
                self._extend_lease(asked)
                if asked - self._asked > caps.lease * (1 - _BEAT):
                    # What kept this node from the store may have kept others: they get time to say that they live.
                    self._reaps_from = asked + caps.lease
                self._asked = asked
                self._halt(beat.cancels, Reason.OPERATOR)
                # One such answer means nothing, since claims and ends are under way; an orphan is there twice.
                self._excess = self._excess + 1 if beat.claims > len(self.running) else 0
                if self._excess > 1:
                    self._unsettled = True
                if asked >= self._reaps_from:
                    await self._reap()
            except StoreUnavailable as error:
                log.warning("no heartbeat: %s", error)
                # With jitter: the nodes have all lost the store at once, and shall not all come back at once.
                delay = caps.lease * _BEAT / 2 * (0.5 + random.random() / 2)
                continue
            delay = caps.lease * _BEAT
            self.works("heartbeat")
            self._wake()

    async def _reap(self) -> None:
        """Take over what nodes left that are gone; in a store of one process, at the start, the process before."""
        for reaped in await self.store.reap():
            log.log(
                logging.WARNING if reaped.rescued or reaped.lost else logging.INFO,
                "node %s is gone; %d of its runs are taken over, %d are lost",
                reaped.node, len(reaped.rescued), len(reaped.lost),
            )  # fmt: skip
            self.take_in(reaped.rescued)
            self.look_again()

    async def _on_lease_lost(self) -> None:
        """Others have taken over what ran here: end it, or let it end in vain, and begin anew under another epoch."""
        cancel = self.store.caps.on_lease_lost == "cancel"
        log.error(
            "this node was taken for dead; its %d runs are others' now and %s here",
            len(self.running), "cancelled" if cancel else "go on in vain",
        )  # fmt: skip
        if cancel:
            self._interrupt(list(self.running.values()), Halt.CANCEL)
            self.running.clear()
        await self.register()
        self.look_again()

    async def _listen(self) -> None:
        """Follow the other nodes' hints."""
        while True:
            epoch = self.epoch
            try:
                async for due in self.store.watch(epoch):
                    self.works("listener")
                    if due == 0:
                        beat = await self.store.heartbeat(epoch)
                        self._halt(beat.cancels, Reason.OPERATOR)
                        self.look_again()
                    elif self._horizon is None or due <= self._horizon:
                        self.look_again()
            except StoreUnavailable:
                pass
            await asyncio.sleep(_RETRY_LIMIT)

    async def _prune(self) -> None:
        while True:
            await asyncio.sleep(_PRUNE_EVERY)
            try:
                pruned = _PRUNE_BATCH
                while pruned == _PRUNE_BATCH:
                    pruned = await self.store.prune(_PRUNE_BATCH)
                self.works("retention")
            except StoreUnavailable:
                continue


# An enum's member is looked up through its class and a descriptor; a global is not.
_OK, _SUCCEEDED, _STARTED = Outcome.OK, RunStatus.SUCCEEDED, Grant.STARTED
_HALTED = (Outcome.INTERRUPTED, Outcome.CANCELLED)
_EVENT_OF = {
    RunStatus.SUCCEEDED: "run.succeeded",
    RunStatus.FAILED: "run.failed",
    RunStatus.TIMED_OUT: "run.timed_out",
    RunStatus.CANCELLED: "run.cancelled",
    RunStatus.LOST: "run.lost",
    RunStatus.RETRYING: "run.retrying",
}


def _bare(end: FinishRow, error: Exception) -> Finish:
    """Return an end without what a store may refuse."""
    said = ErrorInfo(type(error).__name__, "the store refused what this attempt left; the log says why", "")
    kept = Finish._make(end)
    return kept._replace(error=None if kept.error is None else said, result=None, note=None)


def _note(token: int, notes: Notes) -> Note:
    return Note(token, notes.done, notes.total, tuple(notes.lines))


def _reraise(error: BaseException) -> None:
    raise error
