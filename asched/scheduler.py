"""The scheduler: what the user holds. Decorators, management, and life; the work is the engine's."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache, partial
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, cast

from asched import offload
from asched.arguments import decode_arguments, encode_arguments
from asched.clock import Clock, SystemClock
from asched.door import Door
from asched.engine import CORRECTION, Engine, Failure, RetryRule
from asched.errors import (
    AlreadyStarted,
    FunctionUnknown,
    InvalidArgument,
    InvalidTrigger,
    JobBusy,
    JobExists,
    JobNotFound,
    NotStarted,
    RunNotFound,
    StoreUnavailable,
    TriggerNotStorable,
    VersionConflict,
    WrongLoop,
)
from asched.events import Event, EventBus, Subscription, in_hook
from asched.instants import SECOND, to_datetime
from asched.model import (
    Group,
    JobSpec,
    JobStatus,
    Node,
    Origin,
    Page,
    Policy,
    Reason,
    RunStatus,
    Statistics,
    format_run_id,
    parse_run_id,
)
from asched.options import (
    check_count,
    check_instant,
    check_label,
    check_seconds,
    check_tags,
    check_trigger,
    choose,
    fingerprint,
    make_policy,
)
from asched.planner import first_between, first_instant, jittered
from asched.registry import Function, Registry
from asched.runner import RUN_LOG, current_run
from asched.store import (
    Change,
    ChangeKind,
    Enqueue,
    Enqueued,
    Gap,
    JobFilter,
    JobRecord,
    Limits,
    NodeInfo,
    PutItem,
    PutMode,
    PutStatus,
    RunFilter,
    Selection,
    Store,
    TransactionalStore,
)
from asched.stores import MemoryStore, open_url
from asched.tasks import carry_through
from asched.triggers import BuiltIn, Interval, Once, Trigger, is_storable
from asched.triggers.config import from_config, to_config
from asched.triggers.occurrences import next_instant
from asched.triggers.zones import canonical
from asched.version import VERSION
from asched.views import Job, Run, node_view, statistics_view

if TYPE_CHECKING:
    from asched.builder import JobBuilder, Options

__all__ = ["Scheduler"]

log = logging.getLogger("asched")
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

IfExists = Literal["raise", "replace", "keep"]
_PUT_MODES = {"raise": PutMode.INSERT, "replace": PutMode.REPLACE, "keep": PutMode.KEEP}
_LIST_LIMIT = 1_000
_DECLARE_BATCH = 500
# How often a node that somebody watches asks the store what other nodes did.
_FOLLOW_EVERY = 1.0
_WAIT_POLL = 1.0
# Seconds that running hooks get after the drain.
_HOOKS_AT_LEAST, _HOOKS_AT_MOST = 1.0, 10.0
_chance = random.random


class _Declared(NamedTuple):
    """A job that the code declares."""

    id: str
    function: Function
    trigger: Trigger
    options: Options
    payload: bytes | None


class Scheduler:
    """Runs jobs at their time inside an asyncio program.

    Args:
        store: ``None`` for memory, a URL such as ``"sqlite:///jobs.db"``, or a store object. In memory every
            worker process has a schedule of its own and runs every job.
        name: Namespace of the schedule: two names on one database do not meet.
        timezone: Zone of triggers that name none, from the IANA database. The host's own zone plays no part.
        max_workers: Most worker threads for plain functions.
        max_concurrency: Most runs at a time in this process.
        catch_up_window: Seconds; how far back missed instants are caught up, for jobs that do not say.
        history_limit: Records kept in all; each job with a future keeps its last 20 besides.
        history_retention: How long records are kept.
        max_dead_letters: Failed runs kept for replay.
        generation: With several nodes the declarations of the highest one win; by default the time at which
            the store first saw this set of declarations.
        drain: Seconds that a stop gives running attempts, unless it says otherwise.
        clock: Where the time comes from; tests give a virtual one.

    Raises:
        InvalidArgument: An argument is wrong; unknown zones come with a suggestion.
        MissingExtra: The store's driver is not installed.
    """

    def __init__(
        self,
        store: str | Store | None = None,
        *,
        name: str = "default",
        timezone: str = "UTC",
        max_workers: int = 40,
        max_concurrency: int = 1_000,
        catch_up_window: float | timedelta | None = None,
        history_limit: int = 10_000,
        history_retention: timedelta = timedelta(days=7),
        max_dead_letters: int = 500,
        generation: int | None = None,
        drain: float | timedelta = 30,
        clock: Clock | None = None,
    ) -> None:
        self.name = check_label(name, "name")
        self.timezone = canonical(timezone)
        self._max_workers = check_count(max_workers, "max_workers", least=1, most=10_000)
        self._max_concurrency = check_count(max_concurrency, "max_concurrency", least=1, most=1_000_000)
        self._window = None if catch_up_window is None else check_seconds(catch_up_window, "catch_up_window")
        self._limits = Limits(
            check_count(history_limit, "history_limit", least=0, most=2**31 - 1),
            check_seconds(history_retention, "history_retention"),
            check_count(max_dead_letters, "max_dead_letters", least=0, most=2**31 - 1),
        )
        if generation is not None:
            check_count(generation, "generation", least=0, most=2**62)
        self._generation = generation
        self.drain = check_seconds(drain, "drain")
        self._clock = clock if clock is not None else SystemClock()
        self.store: Store = _make_store(store)
        self._registry = Registry()
        self._bus = EventBus()
        self._declared: dict[str, _Declared] = {}
        self._undeclared: list[_Declared] = []
        """Declared while the scheduler runs; the next management call, or the next turn, stores them."""
        self._known_changed = False
        self._rules: dict[str, RetryRule] = {}
        self._engine: Engine | None = None
        self._life: Literal["stopped", "starting", "running", "stopping"] = "stopped"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._number = next(_numbers)
        self._started: int | None = None
        self._ending: asyncio.Task[None] | None = None
        self._shutdown_requested = False
        self._started_up: asyncio.Event
        """Set when a start has come to its end, good or bad."""
        self._stopped: asyncio.Event
        """Set when it has stopped, or a signal asks for that. Belongs to the event loop of this start."""
        self._untold: list[tuple[str, int, str | None, int | None, dict[str, Any]]] = []
        self._teller: asyncio.Task[None] | None = None
        self._follower: asyncio.Task[None] | None = None
        self._waiters: dict[int, list[asyncio.Future[None]]] = {}
        self._door = Door()
        self._hook_patience = 0.0
        """Seconds that hooks get which still run when the drain is over."""

    def __repr__(self) -> str:
        return f"<asched.Scheduler {self.name!r} on {self.store.describe()}, {self._life}>"

    # Life

    @property
    def running(self) -> bool:
        return self._life == "running"

    @property
    def executing(self) -> int:
        """Attempts that this process executes at the moment."""
        return 0 if self._engine is None else len(self._engine.running)

    @property
    def healthy(self) -> bool:
        """It runs, its store can be reached, and no part of it waits to be started again after a failure."""
        return self.running and self.store_available and not self.failures

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Parts of the scheduler that failed and have not recovered yet. They are started again by themselves."""
        return () if self._engine is None else tuple(self._engine.failed.values())

    async def start(self) -> None:
        """Open the store, store what the code declares, and begin to run jobs.

        Raises:
            AlreadyStarted: It runs, or is about to.
            StoreLocked: Another process owns the store.
            StoreUnavailable: The store cannot be reached.

        The same object may run again under another event loop. If its last one ended without :meth:`stop`, a warning
        says so, and what ran then follows the crash policy of its jobs.
        """
        if self._life != "stopped" and self._loop is not None and self._loop.is_closed():
            self._abandon()
        if self._life != "stopped":
            raise AlreadyStarted(f"the scheduler is {self._life} already; call stop() first")
        offload.refuse_scheduler()
        self._life = "starting"
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._shutdown_requested = False
        self._started_up = asyncio.Event()
        try:
            await self.store.open(self.name, self._limits, self._clock)
            try:
                await self._begin()
            except BaseException:
                # A task of its own, which is carried through however often the start is cancelled.
                await carry_through(self._undo_start())
                raise
        except BaseException:
            self._life = "stopped"
            self._engine = None
            self._started_up.set()
            raise
        self._life = "running"
        self._door.open()
        self._stopped = asyncio.Event()
        self._started_up.set()
        RUN_LOG.install()
        self._tell("scheduler.started", None, None, {})

    async def _undo_start(self) -> None:
        """Leave nothing behind of a start that failed."""
        engine = self._engine
        try:
            if engine is not None and engine.epoch:
                await self.store.leave(engine.epoch)
        except StoreUnavailable as error:
            log.warning("could not deregister this node, the store is unavailable: %s", error)
        finally:
            await self.store.close()

    def _abandon(self) -> None:
        """Let go of everything that belongs to an event loop which is closed."""
        log.warning(
            "the event loop of %r was closed without stop(); what ran then follows the crash policy of its jobs. "
            "Await stop(), or use 'async with', before the loop ends", self,
        )  # fmt: skip
        RUN_LOG.remove()
        self._door.close()
        self._bus.abandon()
        self._engine = self._follower = self._teller = self._ending = None
        self._started = None
        self._untold.clear()
        self._waiters.clear()
        self.store.abandon()
        self._life = "stopped"

    async def _begin(self) -> None:
        now = await self.store.now()
        self._started = now
        generation = self._generation
        if generation is None:
            generation = await self.store.generation(self._digest())
        info = self._node_info(generation)
        self._engine = engine = Engine(
            self.store,
            self._clock,
            self._registry,
            node=info,
            watched_since=now,
            max_workers=self._max_workers,
            max_concurrency=self._max_concurrency,
            rules=self._rules,
            tell=self._tell,
            listening=self._listening,
            replan=self._replan,
        )
        await engine.register()
        await self._notice_set_back()
        self._undeclared.clear()
        self._known_changed = False
        await self._store_declared(list(self._declared.values()), now)
        # Here, so that jobs added before the event loop next turns find a window to be taken into.
        await engine.look()
        engine.start()

    async def stop(self, wait: bool = True, timeout: float | None = None) -> None:
        """Start nothing more and end. Stopping a scheduler that is stopped does nothing.

        Args:
            wait: Let running attempts end, for at most ``timeout`` seconds. What is interrupted then, or at once
                with ``wait=False``, is recorded as interrupted and runs again at the next start if its
                ``on_crash`` is ``rerun``; that costs it no attempt. Waiting retries stay stored.
            timeout: ``None``: the scheduler's ``drain``. Hooks that still run afterwards get what is left of it, at
                least 1 s and at most 10 s, and none with ``wait=False``.

        A second call with a shorter wait shortens the first. Called from a job or a hook it returns at once: its
        caller is among what is waited for.

        Raises:
            WrongLoop: The scheduler runs under another event loop.
        """
        timeout = self.drain if timeout is None else check_seconds(timeout, "timeout")
        if self._life != "stopped" and self._loop is not None and self._loop.is_closed():
            self._abandon()
        self._check_loop()
        if self._life == "starting":
            await self._started_up.wait()
        if self._life not in ("running", "stopping"):
            return
        if self._ending is None:
            # A task of its own: it is carried through when the caller is cancelled.
            self._ending = asyncio.ensure_future(self._end(wait, timeout))
            self._ending.add_done_callback(_report)
        elif self._engine is not None:
            self._hook_patience = min(self._hook_patience, _hook_patience(wait, timeout))
            self._engine.hasten(wait, timeout)
        run = current_run()
        if run is not None and self._engine is not None and self._engine.running.get(run.token) is run:
            return
        if in_hook(self._bus):
            return
        await asyncio.shield(self._ending)

    async def _end(self, wait: bool, timeout: float) -> None:
        engine = self._require()
        self._hook_patience = _hook_patience(wait, timeout)
        self._tell("scheduler.stopping", None, None, {})
        try:
            await self._settle()
        except StoreUnavailable as error:
            log.warning("what was declared last is not stored, the store is away: %s", error)
        self._life = "stopping"
        try:
            await engine.stop(wait, timeout)
        finally:
            RUN_LOG.remove()
            self._follower = None
            self._door.close()
            await self._tell_all()
            for waiting in self._waiters.values():
                for future in waiting:
                    future.cancel()
            self._waiters.clear()
            await self._bus.close(self._hook_patience)
            try:
                await self.store.close()
            finally:
                self._engine = None
                self._started = None
                self._life = "stopped"
                self._ending = None
                self._stopped.set()

    async def __aenter__(self) -> Scheduler:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def run_forever(self) -> None:
        """Run until cancelled, stopped, or told to end by SIGINT or SIGTERM; then drain and stop.

        A second signal ends the drain: what still runs is interrupted.
        """
        if self._life == "stopped":
            await self.start()
        with _signals(self._on_signal):
            try:
                await self._stopped.wait()
            finally:
                await self.stop()

    def _on_signal(self) -> None:
        self.shutdown_connection()
        if self._stopped.is_set() and self._life != "stopped":
            log.warning("a second signal: the drain ends now")
            task = asyncio.ensure_future(self.stop(wait=False))
            task.add_done_callback(_report)
        self._stopped.set()

    def from_thread(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Call a coroutine function on the scheduler's event loop, from another thread, and return its answer.

        The way in for worker threads and for programs without an event loop of their own, such as a Flask view:
        ``scheduler.from_thread(scheduler.run_job_now, "report")``. The call runs in a copy of the caller's context.

        Raises:
            NotStarted: The scheduler does not run, or its drain ended meanwhile. Nothing is started.
            WrongLoop: This is the thread of the scheduler's event loop, which would wait for itself.
        """
        return self._door.call(function, args)

    def shutdown_connection(self) -> None:
        """Ask the streams of a web application on this scheduler to end. Safe in a signal handler."""
        # One store of a bool: atomic, and free of locks that the interrupted code might hold.
        self._shutdown_requested = True

    def is_shutdown_requested(self) -> bool:
        return self._shutdown_requested

    def _check_loop(self) -> None:
        """Refuse what another event loop, or another thread, asks of a scheduler that runs."""
        if self._life != "stopped" and self._loop is not asyncio.get_running_loop():
            raise WrongLoop(
                "the scheduler runs on another event loop than this call; from another thread use "
                "scheduler.from_thread(coroutine_function, *arguments)"
            )

    def _require(self) -> Engine:
        self._check_loop()
        engine = self._engine
        if engine is None or self._life not in ("running", "stopping"):
            raise NotStarted(
                "the scheduler does not run; await scheduler.start() first. Before that only decorators, "
                "register_function() and on() work"
            )
        return engine

    # Declaring

    def every(self, amount: float) -> JobBuilder:
        """Run every so many seconds, minutes, hours, days or weeks of elapsed time: ``every(10).minutes``."""
        Interval(seconds=amount)
        return self._builder("every", _amount=amount)

    @property
    def hourly(self) -> JobBuilder:
        """Run once in each hour: ``hourly.at(":30")``."""
        return self._builder("hourly")

    @property
    def daily(self) -> JobBuilder:
        """Run once on each date: ``daily.at("09:00")``."""
        return self._builder("daily")

    @property
    def weekly(self) -> JobBuilder:
        """Run on days of the week: ``weekly.monday.at("10:00")``."""
        return self._builder("weekly")

    def cron(self, expression: str, *, tz: str | None = None) -> JobBuilder:
        """Run as the cron expression says, of 5 fields, or of 6 with seconds first."""
        return self._builder("cron", _expression=expression, _zone=tz)._checked()

    def once(self, delay: float) -> JobBuilder:
        """Run once, so many seconds (or ``.minutes``, ``.hours`` ...) after the job is first stored."""
        return self._builder("once", _amount=delay)._checked()

    def at(self, moment: datetime | str, *, tz: str | None = None) -> JobBuilder:
        """Run once at this instant; without an offset it is read in ``tz``, or the scheduler's zone."""
        return self._builder("at", _moment=moment, _zone=tz)._checked()

    def trigger(self, trigger: Trigger) -> JobBuilder:
        """Run when this trigger says, one of your own for example."""
        return self._builder("own", _own=check_trigger(trigger))

    def _builder(self, kind: str, **said: Any) -> JobBuilder:
        from asched.builder import JobBuilder, Options

        return JobBuilder(
            _declare=self._declare,
            _window=self._window,
            _kind=kind,
            _options=Options(catch_up_window=self._window),
            **said,
        )

    def register_function(self, func: Callable[..., Any], name: str | None = None) -> str:
        """Let jobs name this function; return the name they use.

        Args:
            name: Where a function has no name of its own (a lambda, a partial), or another one is wanted.

        Raises:
            InvalidArgument: Another function has this name.
            UnstableFunction: It has no name of its own, none is given, and the store outlives the process.
        """
        self._check_thread()
        return self._register(func, name)[0].name

    def _check_thread(self) -> None:
        """Refuse, while the scheduler runs, what another thread than the loop's would declare."""
        if self._life != "stopped" and threading.get_ident() != self._thread:
            raise AlreadyStarted(
                "the scheduler runs: declare jobs and register functions on the thread of the scheduler's event loop, "
                "or before start()"
            )

    def _register(self, func: Callable[..., Any], name: str | None = None) -> tuple[Function, bool]:
        known = len(self._registry)
        function, replaced = self._registry.register(func, name, durable=self.store.caps.durable)
        if len(self._registry) > known:
            self._announce()
        return function, replaced

    def functions(self) -> list[str]:
        """Return the names of the registered functions."""
        return sorted(self._registry.names())

    def _declare(
        self,
        func: Callable[..., Any],
        trigger: Trigger,
        options: Options,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> str:
        self._check_thread()
        payload = encode_arguments(args, kwargs)
        options.policy()
        function, replaced = self._register(func)
        if replaced:
            # The module or cell was executed again; its declarations take the place of those before.
            for old_id in [d.id for d in self._declared.values() if d.function.name == function.name]:
                if self._declared[old_id].function.call is not function.call:
                    del self._declared[old_id]
        job_id = options.id or self._unused_id(function.name)
        holder = self._declared.get(job_id)
        if holder is not None and holder.function.name != function.name:
            raise JobExists(job_id)
        declared = _Declared(job_id, function, trigger, options, payload)
        self._declared[job_id] = declared
        self._rules[job_id] = RetryRule(options.on, options.give_up_on)
        if self._life in ("running", "starting"):
            self._undeclared.append(declared)
            self._announce()
        return job_id

    def _unused_id(self, name: str) -> str:
        if name not in self._declared:
            return name
        return next(f"{name}#{n}" for n in count(2) if f"{name}#{n}" not in self._declared)

    def _announce(self) -> None:
        """Tell the store, in the next turn of the loop, of functions and declarations made while it runs."""
        self._known_changed = True
        if self._life == "running" and self._loop is not None:
            self._loop.call_soon(self._settle_soon)

    def _settle_soon(self) -> None:
        if self._life == "running" and (self._known_changed or self._undeclared):
            task = asyncio.ensure_future(self._settle())
            task.add_done_callback(_report)

    async def _settle(self) -> None:
        """Store what was declared since. Every management call begins with this, so it sees those jobs."""
        if not self._known_changed and not self._undeclared:
            return
        engine = self._require()
        pending, self._undeclared = self._undeclared, []
        self._known_changed = False
        engine.node = self._node_info(engine.node.generation)
        await self.store.announce(engine.epoch, engine.node)
        await self._store_declared(pending, engine.now())
        engine.look_again()

    async def _store_declared(self, declared: Sequence[_Declared], now: int) -> None:
        engine = self._require_engine()
        items = [self._declared_item(d, now, engine.node.generation) for d in declared]
        for start in range(0, len(items), _DECLARE_BATCH):
            batch = items[start : start + _DECLARE_BATCH]
            puts = await self.store.put_jobs(PutMode.DECLARE, batch)
            engine.take_in([timer for put in puts for timer in put.timers])
            for item, put in zip(batch, puts, strict=True):
                if put.status is PutStatus.ADDED:
                    self._tell("job.added", item.spec.id, None, {})
                elif put.status is PutStatus.REPLACED:
                    self._tell("job.updated", item.spec.id, None, {})

    def _require_engine(self) -> Engine:
        if self._engine is None:
            raise NotStarted("the scheduler does not run")
        return self._engine

    def _declared_item(self, declared: _Declared, now: int, generation: int) -> PutItem:
        options = declared.options
        spec = JobSpec(
            id=declared.id,
            name=options.name or _short_name(declared.function.name),
            func=declared.function.name,
            trigger=declared.trigger,
            group=options.group,
            tags=options.tags,
            payload=declared.payload,
            policy=options.policy(),
            origin=Origin.DECLARED,
            starting=options.starting,
            until=options.until,
            max_runs=options.max_runs,
            generation=generation,
        )
        digest = fingerprint(spec, options.paused, (*options.on, *options.give_up_on))
        spec = spec.replace(declaration=digest, trigger=self._bound(declared.trigger, now, options.starting))
        planned = first_instant(spec, now)
        gap = None
        if planned is None and isinstance(spec.trigger, Once):
            past = next_instant(spec.trigger, _BEFORE_ALL)
            if past is not None:
                gap = Gap(RunStatus.MISSED, Reason.PAST, past, past, 1)
        due = jittered(spec, planned, _chance)
        return PutItem(spec, planned, due, paused=options.paused, gap=gap, aliases=options.aliases)

    def _bound(self, trigger: Trigger, now: int, starting: int | None) -> Trigger:
        if not isinstance(trigger, BuiltIn):
            return trigger
        bound = trigger.bound(now, self.timezone, starting)
        if isinstance(bound, Interval) and bound.step_us < _SHORT_INTERVAL:
            log.warning("%s: an interval this short keeps the event loop busy", bound.describe())
        elif isinstance(bound, Once) and bound.note is not None:
            log.warning("%r lies in a clock change (%s); it runs at %s", trigger, bound.note, bound.at)
        return bound

    def _digest(self) -> str:
        # Imported here, and the builder below: a fifth of what importing asched would cost.
        import hashlib

        text = "\n".join(sorted(f"{d.id} {d.function.name} {d.trigger.fingerprint()}" for d in self._declared.values()))
        return hashlib.sha256(text.encode()).hexdigest()

    def _node_info(self, generation: int) -> NodeInfo:
        host = socket.gethostname()
        name = f"{host}:{os.getpid()}"
        return NodeInfo(
            # The other schedulers of this process may share the store, and each must know what the others did.
            name=name if self._number == 1 else f"{name}#{self._number}",
            host=host,
            pid=os.getpid(),
            version=VERSION,
            generation=generation,
            functions=self._registry.names(),
            declarations=frozenset(self._declared),
        )

    # Jobs

    async def add_job(
        self,
        func: Callable[..., Any] | str,
        trigger: Trigger,
        *,
        id: str | None = None,
        name: str | None = None,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        group: str = "default",
        tags: Iterable[str] = (),
        timeout: float | timedelta | None = None,
        max_retries: int = 3,
        backoff: object = None,
        overlap: str = "skip",
        catch_up: str = "latest",
        catch_up_window: float | timedelta | None = None,
        on_crash: str = "rerun",
        jitter: float | timedelta = 0.0,
        in_process: bool = False,
        paused: bool = False,
        starting: datetime | None = None,
        until: datetime | None = None,
        max_runs: int | None = None,
        if_exists: IfExists = "raise",
        connection: object | None = None,
    ) -> Job:
        """Store a job and return it. O(log n) in the number of jobs.

        Args:
            func: The function, or the name of one that is registered.
            id: By default ``job_1``, ``job_2``, ... by the store's counter.
            args: JSON values: they must survive this process.
            if_exists: What to do when a job has the id: ``raise``, ``replace`` it, or ``keep`` it as it is.
            connection: With a ``PostgresStore``: an asyncpg connection in a transaction of the caller's own. The job is
                there if and only if that commits; nodes, this one too, see it within ``poll`` seconds afterwards.
                Errors of the connection come as asyncpg raises them.

        Raises:
            InvalidArgument: A value is wrong, or the store takes no connection; nothing was stored.
            InvalidTrigger: The trigger has no instant to come.
            TriggerNotStorable: A trigger class of one's own, in a store that outlives the process.
            JobExists: The id is taken.
        """
        engine = self._require()
        if self._known_changed or self._undeclared:
            await self._settle()
        function = self._function(func)
        if catch_up_window is None:
            catch_up_window = self._window
        policy = make_policy(
            timeout, max_retries, backoff, overlap, catch_up, catch_up_window, on_crash, jitter, in_process
        )
        if not isinstance(if_exists, str) or if_exists not in _PUT_MODES:
            raise InvalidArgument(
                f"if_exists must be 'raise', 'replace' or 'keep', not {if_exists!r}", field="if_exists"
            )
        if not is_storable(trigger):
            self._check_storable(check_trigger(trigger))
        now = engine.now()
        start_at = None if starting is None else check_instant(starting, "starting")
        func_name = function.name
        called = _short_name(func_name) if name is None else check_label(name, "name")
        bound = self._bound(trigger, now, start_at)
        if group != "default":
            check_label(group, "group")
        labels = check_tags(tags) if tags != () else ()
        payload = encode_arguments(args, kwargs) if args or kwargs else None
        end_at = None if until is None else check_instant(until, "until")
        if max_runs is not None:
            check_count(max_runs, "max_runs", least=1, most=2**31 - 1)
        if id is not None:
            check_label(id, "id")
        if not isinstance(paused, bool):
            raise InvalidArgument(f"paused must be True or False, not {paused!r}", field="paused")
        planned = self._first(bound, now, start_at, end_at)
        if func_name not in engine.node.functions:
            # Before the job is stored: while no node is known to have the function, the job is unresolved.
            await self._settle()
        mode = _PUT_MODES[if_exists]
        inside = None if connection is None else self._transactional()
        while True:
            job_id = f"job_{await self.store.next_id()}" if id is None else id
            spec = JobSpec(
                job_id, called, func_name, bound, group, labels, payload, policy, _API, start_at, end_at, max_runs
            )
            due = jittered(spec, planned, _chance) if policy.jitter else planned
            row = (spec, planned, due, paused, None, True, None, ())
            if inside is None:
                [put] = await self.store.put_jobs(mode, (row,))
            else:
                [put] = await inside.put_jobs(mode, (row,), connection)
            status, record = put.status, put.record
            if status is not _EXISTS:
                break
            if id is not None:
                raise JobExists(id)
        assert record is not None
        if inside is not None:
            # Whether it comes to be is not known yet; the commit tells nobody, so it is found by looking.
            return Job(record)
        engine.take_in(put.timers)
        if self._bus.wanted and status is not PutStatus.KEPT:
            self._tell("job.added" if status is PutStatus.ADDED else "job.updated", record.spec.id, None, {})
        return Job(record)

    async def create_job(
        self,
        *,
        func_name: str,
        func_module: str,
        schedule_type: str,
        schedule_config: Mapping[str, Any],
        job_name: str | None = None,
        job_id: str | None = None,
        timezone: str | None = None,
        enabled: bool = True,
        **options: Any,
    ) -> Job:
        """Store a job described as requests describe it; ``options`` are those of :meth:`add_job`.

        Raises:
            FunctionUnknown: The function is not registered.
            InvalidTrigger: ``schedule_type`` or ``schedule_config`` is wrong; ``field`` says where.
        """
        self._require()
        function = self._registry.find(func_name, func_module)
        trigger = from_config(schedule_type, schedule_config, timezone)
        unknown = options.keys() - _CREATE_OPTIONS
        if unknown:
            raise InvalidArgument(f"create_job() has no option {min(unknown)!r}", field=min(unknown))
        if not isinstance(enabled, bool):
            raise InvalidArgument(f"enabled must be True or False, not {enabled!r}", field="enabled")
        return await self.add_job(function.call, trigger, id=job_id, name=job_name, paused=not enabled, **options)

    def _transactional(self) -> TransactionalStore:
        if not self.store.caps.transactions:
            raise InvalidArgument(
                "connection is for a PostgresStore, whose jobs may lie in the same database as your rows; the "
                f"{self.store.caps.name} store has no transaction that you could share",
                field="connection",
            )
        return cast("TransactionalStore", self.store)

    def _function(self, func: Callable[..., Any] | str) -> Function:
        if isinstance(func, str):
            module, _, name = func.rpartition(":")
            return self._registry.find(name, module)
        return self._registry.known(func) or self._register(func)[0]

    def _check_storable(self, trigger: Trigger) -> None:
        if self.store.caps.durable and not is_storable(trigger):
            raise TriggerNotStorable(
                f"{type(trigger).__name__} is a class of your own and {self.store.caps.name} has no form for it; "
                "declare the job with @scheduler.trigger(...), so that the code supplies it at each start"
            )

    def _first(self, trigger: Trigger, now: int, starting: int | None, until: int | None) -> int:
        planned = first_between(trigger, now, starting, until)
        if planned is None:
            raise InvalidTrigger(
                f"{trigger.describe()} has no instant to come"
                + (" before 'until'" if until is not None else "")
                + "; a moment in the past cannot be scheduled, run_job_now() starts a job at once",
                field="trigger",
            )
        return planned

    async def get_job(self, id: str) -> Job:
        return Job(await self._job_record(id))

    async def _job_record(self, job_id: str) -> JobRecord:
        self._require()
        await self._settle()
        record = None
        if _is_text(job_id):
            [record] = await self.store.get_jobs((job_id,))
        if record is None:
            raise JobNotFound(job_id)
        return record

    async def get_jobs(
        self,
        group: str | None = None,
        status: JobStatus | str | None = None,
        query: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Job]:
        """Return jobs in the order they were made; all of them unless ``limit`` is given.

        Args:
            query: Part of an id, name, function, group or tag; case does not matter.
            cursor: ``next_cursor`` of the page before.
        """
        self._require()
        await self._settle()
        which = JobFilter(
            None if group is None else check_label(group, "group"),
            None if status is None else choose(JobStatus, status, "status"),
            _check_text(query, "query"),
        )
        jobs: Page[Job] = Page()
        wanted = None if limit is None else check_count(limit, "limit", least=1, most=1_000_000)
        while True:
            ask = _LIST_LIMIT if wanted is None else min(wanted - len(jobs), _LIST_LIMIT)
            records, cursor = await self.store.list_jobs(which, ask, _check_cursor(cursor))
            jobs.extend(Job(record) for record in records)
            if cursor is None or (wanted is not None and len(jobs) >= wanted):
                jobs.next_cursor = cursor
                return jobs
            await asyncio.sleep(0)

    async def update_job(self, id: str, *, version: int | None = None, **changes: Any) -> Job:
        """Change what a job is: any argument of :meth:`add_job` but ``id`` and ``if_exists``; all or nothing.

        A changed trigger, ``starting`` or ``until`` plans the next run anew; other changes leave it.

        Args:
            version: The version the caller read; another one raises ``VersionConflict``.
        """
        engine = self._require()
        record = await self._job_record(id)
        while True:
            if version is not None and record.version != version:
                raise VersionConflict(id, version, record.version)
            now = engine.now()
            spec, replan = self._edited(record.spec, changes, now)
            paused = changes.get("paused", record.paused)
            planned, due = record.planned, record.due
            if replan:
                planned = self._first(spec.trigger, now, spec.starting, spec.until)
                due = jittered(spec, planned, _chance)
            row = (spec, planned, due, False, None, replan, record.version, ())
            [put] = await self.store.put_jobs(_UPDATE, (row,))
            if put.record is None:
                raise JobNotFound(id)
            if put.status is not _CONFLICT:
                break
            # Somebody was faster. Without a version of the caller's the change is made to what is there now.
            record = put.record
        engine.take_in(put.timers)
        self._tell("job.updated", id, None, {})
        if paused is not record.paused:
            return await (self.pause_job(id) if paused else self.resume_job(id))
        return Job(put.record)

    def _edited(self, spec: JobSpec, changes: Mapping[str, Any], now: int) -> tuple[JobSpec, bool]:
        """Return the spec with the changes, and whether the next run must be planned anew."""
        unknown = changes.keys() - _UPDATE_OPTIONS
        if unknown:
            raise InvalidArgument(
                f"update_job() cannot change {min(unknown)!r}; it can change {', '.join(sorted(_UPDATE_OPTIONS))}",
                field=min(unknown),
            )
        if not isinstance(changes.get("paused", False), bool):
            raise InvalidArgument(f"paused must be True or False, not {changes['paused']!r}", field="paused")
        # Only what changes is made anew: to check and build the rest again would cost a third of an update.
        said: dict[str, Any] = {}
        for field, read in _READ.items():
            if field in changes:
                said[field] = read(changes[field])
        if "func" in changes:
            said["func"] = self._function(changes["func"]).name
        words = {word: changes[word] for word in Policy.__slots__ if word in changes}
        if words:
            said["policy"] = make_policy(**(spec.policy.asdict() | words))
        if "args" in changes or "kwargs" in changes:
            args, kwargs = decode_arguments(spec.payload)
            said["payload"] = encode_arguments(changes.get("args", args), changes.get("kwargs", kwargs))
        edited = spec.replace(**said)
        trigger = self._edited_trigger(spec.trigger, changes)
        if trigger is not None:
            self._check_storable(trigger)
            edited = edited.replace(trigger=self._bound(trigger, now, edited.starting))
        same = (edited.trigger, edited.starting, edited.until) == (spec.trigger, spec.starting, spec.until)
        return edited, trigger is not None or not same

    def _edited_trigger(self, trigger: Trigger, changes: Mapping[str, Any]) -> Trigger | None:
        if "trigger" in changes:
            return check_trigger(changes["trigger"])
        if "schedule_type" in changes or "schedule_config" in changes or "timezone" in changes:
            kind, config, zone = to_config(trigger)
            new_kind = changes.get("schedule_type", kind)
            if new_kind != kind and "schedule_config" not in changes:
                raise InvalidTrigger(
                    f"a change from {kind} to {new_kind} needs its schedule_config", field="schedule_config"
                )
            changed = from_config(new_kind, changes.get("schedule_config", config), changes.get("timezone", zone))
            # The anchor has no form in a request; words that say the same interval again must not move its phase.
            return None if to_config(changed) == (kind, config, zone) else changed
        return None

    async def preview(self, trigger_or_job_id: Trigger | str, n: int = 10) -> list[datetime]:
        """Return the next ``n`` instants, jitter left out, of a trigger or of a job."""
        check_count(n, "n", least=1, most=_LIST_LIMIT)
        if isinstance(trigger_or_job_id, str):
            record = await self._job_record(trigger_or_job_id)
            spec = record.spec
            now = self._require().now()
        else:
            trigger = check_trigger(trigger_or_job_id)
            now = self._clock.now() if self._engine is None else self._engine.now()
            spec = JobSpec("preview", "preview", "", self._bound(trigger, now, None))
        instants: list[datetime] = []
        instant = first_instant(spec, now)
        while instant is not None and len(instants) < n:
            instants.append(to_datetime(instant))
            instant = next_instant(spec.trigger, instant)
            if instant is not None and spec.until is not None and instant > spec.until:
                break
        return instants

    async def pause_job(self, id: str) -> Job:
        """Plan no more runs. What runs goes on; a waiting retry waits for the job to be resumed."""
        records = await self._pause(_only(id))
        return Job(records[0]) if records else await self.get_job(id)

    async def resume_job(self, id: str) -> Job:
        """Plan from now on. Instants passed meanwhile are recorded as skipped, not caught up."""
        records = await self._resume(_only(id))
        return Job(records[0]) if records else await self.get_job(id)

    async def cancel_job(self, id: str, running: Literal["finish", "cancel"] = "finish") -> None:
        """Delete a job. Its waiting retries end; a running attempt ends by itself or is cancelled.

        The history keeps its runs. A declared job stays deleted until its declaration changes.
        """
        if not await self._cancel(_only(id), running):
            raise JobNotFound(id)

    async def cancel_job_by_name(self, func_name: str) -> int:
        """Delete the jobs of this function, ``module:qualname`` or the part after the colon; return how many."""
        return await self._cancel(Selection(func=_check_text(func_name, "func_name")))

    async def run_job_now(self, id: str) -> Run:
        """Start a run at once, beside the schedule: neither the next run nor ``max_runs`` moves.

        Works on paused and finished jobs.

        Raises:
            JobBusy: A run is active and the overlap policy is ``skip``, or one queues already.
            FunctionUnknown: No node has the job's function.
        """
        record = await self._job_record(id)
        if not record.resolved:
            raise FunctionUnknown(record.spec.func)
        return await self._enqueue(id, None)

    async def _enqueue(self, job_id: str, replay_of: int | None) -> Run:
        engine = self._require()
        if engine.has_abandoned(job_id):
            raise JobBusy(job_id)
        [answer] = await self.store.enqueue((Enqueue(job_id, engine.next_token(), replay_of),))
        if answer.status is PutStatus.CONFLICT:
            raise JobBusy(job_id)
        if answer.status is PutStatus.MISSING or answer.run is None:
            raise JobNotFound(job_id) if replay_of is None else RunNotFound(format_run_id(replay_of))
        return self._enqueued(engine, answer)

    def _enqueued(self, engine: Engine, answer: Enqueued) -> Run:
        assert answer.run is not None
        engine.supersede(answer.cancels)
        if answer.timer is not None:
            engine.take_in((answer.timer,))
        return Run(answer.run)

    # Groups

    async def get_groups(self) -> list[Group]:
        self._require()
        await self._settle()
        return [Group(*row) for row in await self.store.groups()]

    async def pause_group(self, group: str) -> int:
        """Pause the jobs that are in the group now, in one step; return how many were not paused."""
        return len(await self._pause(Selection(group=check_label(group, "group"))))

    async def resume_group(self, group: str) -> int:
        return len(await self._resume(Selection(group=check_label(group, "group"))))

    async def cancel_group(self, group: str) -> int:
        return await self._cancel(Selection(group=check_label(group, "group")))

    async def _pause(self, which: Selection) -> list[JobRecord]:
        engine = self._require()
        await self._settle()
        records, timers = await self.store.pause_jobs(which)
        engine.take_in(timers)
        for record in records:
            self._tell("job.paused", record.spec.id, None, {})
        return records

    async def _resume(self, which: Selection) -> list[JobRecord]:
        engine = self._require()
        await self._settle()
        records, timers = await self.store.resume_jobs(which)
        engine.take_in(timers)
        for record in records:
            self._tell("job.resumed", record.spec.id, None, {})
        return records

    async def _cancel(self, which: Selection, running: str = "finish") -> int:
        engine = self._require()
        if running not in ("finish", "cancel"):
            raise InvalidArgument(f"running must be 'finish' or 'cancel', not {running!r}", field="running")
        await self._settle()
        deleted = await self.store.delete_jobs(which)
        active = [run for run in deleted.runs if run.token is not None]
        if running == "cancel" and active:
            await self.store.cancel_runs([run.run_id for run in active])
            engine.cancel(active, Reason.JOB_CANCELLED)
        for run in deleted.runs:
            if run.token is None:
                self._tell("run.cancelled", run.job_id, run.run_id, {})
        for job_id in deleted.ids:
            self._tell("job.removed", job_id, None, {})
        return len(deleted.ids)

    # Runs

    async def get_run(self, id: str) -> Run:
        self._require()
        [record] = await self.store.get_runs((parse_run_id(id),))
        if record is None:
            raise RunNotFound(id)
        return Run(record)

    async def cancel_run(self, id: str) -> Run:
        """Cancel a run: a waiting one ends at once, a coroutine is cancelled, a thread is left behind.

        A run that has ended stays as it is.
        """
        engine = self._require()
        [answer] = await self.store.cancel_runs((parse_run_id(id),))
        if answer.status is None:
            raise RunNotFound(id)
        if answer.token is not None:
            engine.cancel((answer,), Reason.OPERATOR)
        else:
            self._tell("run.cancelled", answer.job_id, answer.run_id, {})
            engine.take_in(answer.timers)
        return await self.get_run(id)

    async def wait_for_run(self, id: str) -> Run:
        """Wait until the run has its final status, on whichever node, and return it."""
        self._require()
        number = parse_run_id(id)
        while True:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.setdefault(number, []).append(future)
            try:
                run = await self.get_run(id)
                if run.status.final:
                    return run
                # A run on another node, or one that ends without a word here, is found by asking again.
                await asyncio.wait((future,), timeout=_WAIT_POLL)
                if future.cancelled():
                    raise NotStarted("the scheduler was stopped while a run was waited for")
            finally:
                waiting = self._waiters.get(number, [])
                if future in waiting:
                    waiting.remove(future)
                if not waiting:
                    self._waiters.pop(number, None)

    async def get_history(
        self,
        job_id: str | None = None,
        func_name: str | None = None,
        status: RunStatus | str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Run]:
        """Return runs, those not ended first, then the newest first."""
        which = RunFilter(
            _check_text(job_id, "job_id"),
            _check_text(func_name, "func_name"),
            None if status is None else choose(RunStatus, status, "status"),
        )
        return await self._runs(which, limit, cursor)

    async def _runs(self, which: RunFilter, limit: int, cursor: str | None) -> Page[Run]:
        self._require()
        check_count(limit, "limit", least=1, most=_LIST_LIMIT)
        records, following = await self.store.list_runs(which, limit, _check_cursor(cursor))
        return Page([Run(record) for record in records], following)

    async def get_dead_letters(self, limit: int = 100, cursor: str | None = None) -> Page[Run]:
        """Return the runs that failed for good and wait for a decision, newest first."""
        return await self._runs(RunFilter(dead=True), limit, cursor)

    async def retry_dead_letter(self, run_id: str) -> Run:
        """Run a dead letter again, with its own arguments; the letter goes when that succeeds.

        Raises:
            RunNotFound: There is no such letter.
            JobNotFound: Its job was deleted.
        """
        number = parse_run_id(run_id)
        run = await self.get_run(run_id)
        await self._job_record(run.job_id)
        return await self._enqueue(run.job_id, number)

    async def discard_dead_letter(self, run_id: str) -> None:
        self._require()
        if not await self.store.discard_dead_letters((parse_run_id(run_id),)):
            raise RunNotFound(run_id)

    async def clear_dead_letters(self) -> int:
        self._require()
        return await self.store.discard_dead_letters(None)

    async def get_statistics(self, *, per_job: bool = True) -> Statistics:
        """Return how much there is and has been.

        Args:
            per_job: With the counts of each job that has run. They are what this costs where there are many jobs.
        """
        engine = self._require()
        totals = await self.store.totals(per_job=per_job)
        return statistics_view(totals, self.running, self._started, engine.now())

    async def nodes(self) -> list[Node]:
        """Return the processes that work on this schedule."""
        self._require()
        has_lease = self.store.caps.lease != float("inf")
        return [node_view(record, has_lease) for record in await self.store.nodes()]

    @property
    def store_available(self) -> bool:
        """False while the store cannot be reached; the scheduler waits for it."""
        return self._engine is None or self._engine.available

    # Events

    def subscribe(self) -> Subscription:
        """Return an iterator over the events from now on, those of other nodes included."""
        self._require()
        subscription = self._bus.subscribe()
        if self._follower is None:
            self._follower = self._require().spawn("follower", self._follow)
        return subscription

    def on(self, event_name: str) -> Callable[[F], F]:
        """Call a function, sync or async, with each event of this name; its errors are logged."""

        def register(hook: F) -> F:
            self._bus.on(event_name, hook)
            return hook

        return register

    def _listening(self) -> bool:
        return self._bus.wanted or bool(self._waiters)

    def _tell(self, name: str, job_id: str | None, run_id: int | None, data: dict[str, Any]) -> None:
        """Take note of an event. It goes out in the next turn, with job and run as the store has them then."""
        if run_id is not None and self._waiters:
            for future in self._waiters.get(run_id, ()):
                if not future.done():
                    future.set_result(None)
        if not self._bus.wanted or not self._bus.wants(name):
            return
        now = self._clock.now() if self._engine is None else self._engine.now()
        self._untold.append((name, now, job_id, run_id, data))
        if self._teller is None:
            self._teller = asyncio.ensure_future(self._tell_all())
            self._teller.add_done_callback(_report)

    async def _tell_all(self) -> None:
        await asyncio.sleep(0)
        try:
            while self._untold:
                told, self._untold = self._untold[:_DECLARE_BATCH], self._untold[_DECLARE_BATCH:]
                job_ids = list({job_id for _, _, job_id, _, _ in told if job_id is not None})
                run_ids = list({run_id for _, _, _, run_id, _ in told if run_id is not None})
                try:
                    found_jobs = await self.store.get_jobs(job_ids) if job_ids else []
                    found_runs = await self.store.get_runs(run_ids) if run_ids else []
                except StoreUnavailable:
                    found_jobs, found_runs = [], []
                except Exception as error:  # noqa: BLE001 - events without their records are better than none
                    log.error("events go out without their jobs and runs, which could not be read: %s", error)
                    found_jobs, found_runs = [], []
                jobs = {record.spec.id: Job(record) for record in found_jobs if record is not None}
                runs = {record.id: Run(record) for record in found_runs if record is not None}
                events = []
                for name, at, job_id, run_id, data in told:
                    run = None if run_id is None else runs.get(run_id)
                    text = None if run_id is None else format_run_id(run_id)
                    job = None if job_id is None else jobs.get(job_id)
                    events.append(_new(Event, (name, to_datetime(at), job_id, text, job, run, data)))
                self._bus.publish(events)
        finally:
            self._teller = None

    async def _follow(self) -> None:
        """Publish what other nodes did, as long as somebody listens."""
        cursor = (await self.store.changes(None)).cursor
        while self.running and self._bus.wanted:
            await asyncio.sleep(_FOLLOW_EVERY)
            try:
                if len(await self.store.nodes()) < 2:
                    cursor = (await self.store.changes(None)).cursor
                else:
                    changes = await self.store.changes(cursor)
                    cursor = changes.cursor
                    await self._publish_changes(dict.fromkeys(changes.changes))
                self._require().works("follower")
            except StoreUnavailable:
                continue
        self._follower = None

    async def _publish_changes(self, changes: Iterable[Change]) -> None:
        mine = self._require().node.name
        for change in changes:
            if change.kind is ChangeKind.JOB_REMOVED:
                self._tell("job.removed", str(change.id), None, {})
            elif change.kind is ChangeKind.JOB:
                self._tell("job.updated", str(change.id), None, {})
            else:
                [record] = await self.store.get_runs((int(change.id),))
                if record is not None and record.node != mine:
                    name = _RUN_EVENTS.get(record.status, "run.progress")
                    self._tell(name, record.job_id, record.id, {})

    async def _notice_set_back(self) -> None:
        """Plan again if the clock was ahead when the store was used last: its records tell of a later time than now."""
        records, _ = await self.store.list_runs(RunFilter(), _LAST_RECORDS)
        # Asked after them: other nodes write records all the time, and a start may take long.
        now = await self.store.now()
        latest = max((max(record.ended or 0, record.started or 0) for record in records), default=0)
        if latest > now + SECOND:
            log.warning("the clock was set back by %.1f s since the store was used last", (latest - now) / SECOND)
            await self._replan(now, latest - now >= CORRECTION)

    async def _replan(self, now: int, correction: bool) -> None:
        """Plan again after the clock was set back.

        Intervals are elapsed time and must not stand still until the clock has caught up. Wall-clock triggers have
        run at the instants that come again, and wait, unless the clock was so wrong that their plans mean nothing.
        """
        engine = self._require_engine()
        cursor: str | None = None
        while True:
            records, cursor = await self.store.list_jobs(JobFilter(), _LIST_LIMIT, cursor)
            items = []
            for record in records:
                if record.planned is None or not (correction or isinstance(record.spec.trigger, Interval)):
                    continue
                planned = first_instant(record.spec, now)
                if planned is not None and planned < record.planned:
                    due = jittered(record.spec, planned, _chance)
                    items.append(PutItem(record.spec, planned, due, replan=True, version=record.version))
            if items:
                puts = await self.store.put_jobs(PutMode.UPDATE, items)
                engine.take_in([timer for put in puts for timer in put.timers])
            if cursor is None:
                break
        engine.look_again()


# A NamedTuple's own constructor is a Python function; this is what it calls, in half the time.
_new = tuple.__new__
# An enum's member is looked up through its class and a descriptor; a global is not.
_API, _UPDATE, _EXISTS, _CONFLICT = Origin.API, PutMode.UPDATE, PutStatus.EXISTS, PutStatus.CONFLICT
_numbers = count(1)
_BEFORE_ALL = -(2**62)
# Runs that have not ended come first in a list; of those that have, the newest few tell what time it was.
_LAST_RECORDS = 50
_SHORT_INTERVAL = SECOND // 100
_CREATE_OPTIONS = frozenset(
    {
        "args", "kwargs", "group", "tags", "timeout", "max_retries", "backoff", "overlap", "catch_up",
        "catch_up_window", "on_crash", "jitter", "in_process", "starting", "until", "max_runs", "if_exists",
    }
)  # fmt: skip
_UPDATE_OPTIONS = (_CREATE_OPTIONS - {"if_exists"}) | {
    "func", "trigger", "name", "paused", "schedule_type", "schedule_config", "timezone",
}  # fmt: skip
_RUN_EVENTS = {
    RunStatus.RUNNING: "run.started",
    RunStatus.RETRYING: "run.retrying",
    RunStatus.SUCCEEDED: "run.succeeded",
    RunStatus.FAILED: "run.failed",
    RunStatus.TIMED_OUT: "run.timed_out",
    RunStatus.CANCELLED: "run.cancelled",
    RunStatus.SKIPPED: "run.skipped",
    RunStatus.MISSED: "run.missed",
    RunStatus.LOST: "run.lost",
}


def _make_store(store: object) -> Store:
    if store is None:
        return MemoryStore()
    if isinstance(store, str):
        return open_url(store)
    if isinstance(store, type) or not hasattr(store, "caps"):
        raise InvalidArgument(
            f"store must be a URL such as 'sqlite:///jobs.db', a store object or None, not {store!r}", field="store"
        )
    return store  # type: ignore[return-value]  # a store of the user's own is held to the contract by its tests


def _is_text(value: object) -> bool:
    # A lone surrogate is legal in a str and in no store, a NUL not in every store.
    return (
        isinstance(value, str)
        and "\0" not in value
        and (value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value))
    )


def _check_text(value: str | None, field: str) -> str | None:
    if value is not None and not _is_text(value):
        raise InvalidArgument(f"{field} must be text, not {repr(value)[:100]}", field=field)
    return value


def _only(job_id: str) -> Selection:
    if not _is_text(job_id):
        raise JobNotFound(job_id)
    return _new(Selection, ((job_id,), None, None))


def _check_cursor(cursor: str | None) -> str | None:
    if cursor is not None and not (isinstance(cursor, str) and 0 < len(cursor) <= 200 and cursor.isascii()):
        raise InvalidArgument(f"cursor must be the next_cursor of a page, not {cursor!r}", field="cursor")
    return cursor


def _check_max_runs(value: object) -> int | None:
    return None if value is None else check_count(value, "max_runs", least=1, most=2**31 - 1)


_READ: dict[str, Callable[[Any], Any]] = {
    "name": partial(check_label, field="name"),
    "group": partial(check_label, field="group"),
    "tags": check_tags,
    "starting": partial(check_instant, field="starting"),
    "until": partial(check_instant, field="until"),
    "max_runs": _check_max_runs,
}
"""How a change of a field is checked, where that needs nothing but its value."""


@lru_cache(maxsize=1024)  # 100,000 jobs of one function share one text
def _short_name(function_name: str) -> str:
    return function_name.rpartition(":")[2]


def _hook_patience(wait: bool, timeout: float) -> float:
    return min(max(timeout, _HOOKS_AT_LEAST), _HOOKS_AT_MOST) if wait else 0.0


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("work beside the loop failed", exc_info=task.exception())


@contextlib.contextmanager
def _signals(on_signal: Callable[[], None]) -> Iterator[None]:
    """Have SIGINT and SIGTERM call ``on_signal`` where this is the program's main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            loop.add_signal_handler(number, on_signal)
    except NotImplementedError:  # Windows: Ctrl+C cancels the main task, which drains as well
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            if handler is not None:
                signal.signal(number, handler)
