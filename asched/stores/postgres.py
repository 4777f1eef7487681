"""The shared store: any number of nodes work on one schedule in a PostgreSQL database.

What a call does inside the database stands in :mod:`asched.stores.postgres_ledger`; here is how it gets there and
what happens when it does not.

Connections. Each kind of call has one of its own (:class:`_Lane`), made when it is first used and made again when it
was lost: what the loop asks (windows and claims), the ends of runs, the changes that somebody asks for, the lists of
the dashboard, the heartbeat, and the hints. A slow list holds up no claim, and nothing holds up the heartbeat.

Faults. A call that does not reach the database, or whose answer does not come back in time, raises
:class:`~asched.StoreUnavailable` and its connection is dropped; the next call makes a new one. Whether the call was
carried out is then not known here: the engine asks with :meth:`PostgresStore.claims`. A call that met another one in
the database (a deadlock, a job added twice at once) is made again.

Jobs that somebody holds. A transaction of a user's that changes a job (``connection=``) keeps its row for as long as
it is open. What the loop does with many jobs at once is done without that one: its claims are answered ``BUSY``, its
ends are taken later, its runs are rescued later. Who changes it by hand waits, and is refused after some seconds.

Hints. ``NOTIFY`` makes every commit of the cluster wait in one queue, so it is never part of a transaction that does
something else: a connection of its own sends what has gathered, at once when it was quiet and then every 10 ms. Hints
may be lost; each node looks at the database once in ``poll`` seconds, and that alone is complete. A pooler that
shares connections between transactions loses all of them; that is found out, said once, and then only polled.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson

from asched import offload
from asched.clock import Clock
from asched.errors import InvalidArgument, MissingExtra, SchemaTooNew, StoreUnavailable
from asched.instants import SECOND
from asched.masking import masked
from asched.model import Overlap
from asched.options import check_count, check_seconds
from asched.store import (
    Beat,
    Cancelled,
    Change,
    ChangeKind,
    Changes,
    Claim,
    Claimed,
    ClaimRow,
    Deleted,
    Enqueue,
    Enqueued,
    Finish,
    FinishRow,
    Grant,
    JobFilter,
    JobPage,
    JobRecord,
    Limits,
    Live,
    NodeInfo,
    NodeRecord,
    Note,
    Put,
    PutItem,
    PutMode,
    PutRow,
    Reaped,
    RunFilter,
    RunPage,
    RunRecord,
    Selection,
    StoreCaps,
    Timer,
    Totals,
    Window,
)
from asched.stores.following import ALL_NODES, Feed, Hints, News
from asched.stores.postgres_ledger import (
    EARLY,
    Connection,
    Overtaken,
    Pages,
    Schedule,
    Step,
    is_plain_end,
    is_plain_start,
)
from asched.stores.rows import node_info_text
from asched.stores.sql import migrations

__all__ = ["Migrate", "PostgresStore", "migrate"]

log = logging.getLogger("asched")

# A NamedTuple's own constructor is a Python function; this is what it calls, in half the time.
_new = tuple.__new__
# An enum's member is looked up through its class and a descriptor; a global is not.
_STARTED = Grant.STARTED

T = TypeVar("T")
Migrate = Literal["auto", "check", "off"]

# Rows of the feed may become visible out of the order of their numbers. So far back it is read again.
_FEED_OVERLAP = 10 * SECOND
_FEED_SWEEP = 30.0

_COMMAND_TIMEOUT = 10.0
_CONNECT_TIMEOUT = 10.0
# No step holds a job's row for longer; whoever waits longer says so instead of hanging.
_LOCK_TIMEOUT = "5s"
# A transaction of a user's may hold a job's row for as long as it likes. The loop, and the ends of runs, wait this long
# for it, which is much more than a step takes, and then go on without that job.
_BRIEFLY = "250ms"
# A node that is stopped in the middle of a step holds the rows of its jobs. Before those who wait for them give up the
# server ends its session, and with it the step.
_LONGEST_PAUSE = 3.0
# A step that met another one is made again this often; each time one of the two got through.
_TRIES = 8
_TRY_AGAIN = 0.005

_HINT_EVERY = 0.01
_LISTEN_CHECK = 5.0
_LISTEN_AGAIN, _LISTEN_AGAIN_LIMIT = 0.1, 5.0

# The lock under which a schema is changed.
_ADVISORY = 0x61736368656400
_SCHEMA_NAME = re.compile(r"(?!pg_)[A-Za-z_][A-Za-z0-9_]{0,47}")


class PostgresStore:
    """Keeps a schedule in a PostgreSQL database (14 or later) that any number of nodes share.

    Args:
        dsn: ``postgresql://user@host/database``. What stands in its query goes to asyncpg: ``sslmode``,
            ``sslrootcert``, ``passfile``, ``target_session_attrs`` and so on.
        schema: The database schema of the tables. It is made when it does not exist.
        migrate: ``"auto"`` makes and upgrades the tables when the store is opened; ``"check"`` refuses to open an
            older schema, for roles that may not change it; ``"off"`` does not look.
        listen_dsn: Where hints are sent and heard, if ``dsn`` leads through a pooler that shares connections.
        listen: False: hear no hints, only poll.
        lease: Seconds that a node may go without a heartbeat before others take over its runs.
        poll: Seconds between two looks at the database. A change that no hint tells of is seen within it.
        statement_cache_size: Statements kept prepared on a connection; 0 behind a pooler that shares connections
            between transactions.
        on_lease_lost: What a node does with its running attempts when it learns that others have taken them over:
            ``"cancel"`` them, or let them ``"finish"`` though their ends are refused.

    Raises:
        InvalidArgument: An option has a value that it cannot have.
        MissingExtra: asyncpg is not installed.
    """

    def __init__(
        self,
        dsn: str,
        *,
        schema: str = "asched",
        migrate: Migrate = "auto",
        listen_dsn: str | None = None,
        listen: bool = True,
        lease: float = 30.0,
        poll: float = 1.0,
        statement_cache_size: int = 200,
        on_lease_lost: Literal["cancel", "finish"] = "cancel",
    ) -> None:
        if find_spec("asyncpg") is None:
            raise MissingExtra("PostgresStore needs asyncpg: pip install 'asched-py[postgres]'")
        if not isinstance(schema, str) or not _SCHEMA_NAME.fullmatch(schema):
            raise InvalidArgument(
                "schema must be up to 48 letters, digits and underscores and not begin with pg_, not "
                f"{str(schema)[:60]!r}",
                field="schema",
            )
        if migrate not in ("auto", "check", "off"):
            raise InvalidArgument(f"migrate is 'auto', 'check' or 'off', not {migrate!r}", field="migrate")
        if on_lease_lost not in ("cancel", "finish"):
            raise InvalidArgument(
                f"on_lease_lost is 'cancel' or 'finish', not {on_lease_lost!r}", field="on_lease_lost"
            )
        for name, seconds in (("lease", lease), ("poll", poll)):
            if not 0.05 <= check_seconds(seconds, name) <= 86_400:
                raise InvalidArgument(f"{name} must be 0.05 to 86400 seconds, not {seconds!r}", field=name)
        check_count(statement_cache_size, "statement_cache_size", least=0, most=100_000)
        self.caps = StoreCaps(
            name="postgres",
            durable=True,
            shared=True,
            claim_batch=500,
            window=10_000,
            poll=poll,
            lease=lease,
            own_clock=True,
            on_lease_lost=on_lease_lost,
            transactions=True,
        )
        self.schema = schema
        self._dsn = _checked_dsn(dsn, "dsn")
        self._listen_dsn = self._dsn if listen_dsn is None else _checked_dsn(listen_dsn, "listen_dsn")
        self._migrate = migrate
        self._pooled = statement_cache_size == 0
        self._statement_cache_size = statement_cache_size
        self._namespace: str | None = None
        self._users = 0
        self._origin = secrets.randbits(62)
        self._schedule: Schedule
        self._nodes: dict[int, NodeInfo] = {}
        self._hints = Hints()
        self._messenger: _Messenger | None = None
        self._feed: Feed | None = None
        self._feed_told: dict[int, int] = {}
        """Rows of the feed that were read, with the instant of each, as far back as rows may still turn up."""
        self._feed_floor = 0
        self._feed_swept = 0.0
        lane = self._lane
        self._loop_lane = lane(settings=_OF_THE_LOOP)
        self._ends_lane = lane(settings=_OF_THE_LOOP)
        self._steps_lane = lane(settings=_OF_STEPS)
        self._lists_lane = lane()
        self._beat_lane = lane(timeout=max(0.2, lease / 3))
        self._listens = listen

    @classmethod
    def from_url(cls, url: str) -> PostgresStore:
        """Return the store of a URL whose query holds its options beside those of asyncpg.

        Raises:
            InvalidArgument: An option has a value that it cannot have.
            MissingExtra: asyncpg is not installed.
        """
        address, _, query = url.partition("?")
        own: dict[str, Any] = {}
        others: list[tuple[str, str]] = []
        for name, text in parse_qsl(query, keep_blank_values=True):
            read = _OPTIONS.get(name)
            if read is None:
                others.append((name, text))
                continue
            try:
                own[name] = read(text)
            except (ValueError, KeyError):
                raise InvalidArgument(f"{text!r} is no value of the postgres option {name!r}", field="store") from None
        return cls(f"{address}?{urlencode(others)}" if others else address, **own)

    def __repr__(self) -> str:
        return f"PostgresStore({_place(self._dsn)!r}, schema={self.schema!r})"

    def describe(self) -> str:
        return f"postgres {_place(self._dsn)}, schema {self.schema}"

    # Opening

    async def open(self, namespace: str, limits: Limits, clock: Clock) -> None:
        """As the contract says. The clock is not used: the database has one, and all nodes go by it.

        Raises:
            InvalidArgument: asyncpg or the server refuses an option of the address, or the schema is older than this
                release and ``migrate`` is ``"check"``.
            SchemaTooNew: A newer asched has written the schema, which this one cannot read.
            StoreUnavailable: The database cannot be reached, or refuses the user; the message says what to do.
        """
        if self._users:
            if namespace != self._namespace:
                raise InvalidArgument(
                    f"{self!r} holds the schedule {self._namespace!r}; make another store object for {namespace!r}",
                    field="store",
                )
            self._users += 1
            return
        try:
            with _mistakes_told_apart():
                ns = await self._steps_lane.run(lambda connection: self._prepare(connection, namespace))
        except BaseException:
            await self._steps_lane.close()
            raise
        self._schedule = Schedule(self.schema, ns, limits, self._origin)
        self._namespace = namespace
        self._users = 1
        if self._listens:
            channel = f"asched_{self.schema}_{ns}"
            self._messenger = _Messenger(
                lambda: self._connect(self._listen_dsn, {}), channel, self._origin, self._hints.give
            )

    async def _prepare(self, connection: Connection, namespace: str) -> int:
        if self._migrate == "auto":
            await _migrate(connection, self.schema)
        elif self._migrate == "check":
            found = await _schema_version(connection, self.schema)
            newest = migrations("postgres")[-1].version
            if found is None or found[0] < newest:
                have = "no tables" if found is None else f"version {found[0]}"
                raise InvalidArgument(
                    f"the schema {self.schema!r} has {have} and this asched needs version {newest}; run "
                    "'asched migrate URL', or open it with migrate='auto'",
                    field="migrate",
                )
            _check_readable(found, self.schema)
        sql = Schedule(self.schema, 0, Limits(), 0).sql
        await connection.execute(sql["add_schedule"], namespace)
        ns = int(await connection.fetchval(sql["schedule"], namespace))
        await connection.execute(sql["add_tally"], ns)
        return ns

    async def close(self) -> None:
        if not self._users:
            return
        self._users -= 1
        if self._users:
            return
        self._hints.close()
        self._nodes.clear()
        if self._messenger is not None:
            await self._messenger.close()
            self._messenger = None
        for lane in (self._loop_lane, self._ends_lane, self._steps_lane, self._lists_lane, self._beat_lane):
            await lane.close()

    async def now(self) -> int:
        return int(await self._loop_lane.run(lambda connection: connection.fetchval(self._sql("clock"))))

    def _sql(self, name: str) -> str:
        return self._schedule.sql[name]

    # Nodes

    async def register(self, info: NodeInfo) -> int:
        lease = self.caps.lease
        words = (self._schedule.ns, info.name, int(lease * SECOND), node_info_text(info))
        # Nobody repeats this as a heartbeat is repeated, so it may take as long as any other call; past its own lease
        # it would be worth nothing.
        patience = min(lease, _COMMAND_TIMEOUT)
        epoch = int(
            await self._beat_lane.run(
                lambda connection: connection.fetchval(self._sql("register"), *words, timeout=patience)
            )
        )
        self._nodes[epoch] = info
        self._hints.join(epoch)
        self._schedule.forget_abilities()
        return epoch

    async def announce(self, epoch: int, info: NodeInfo) -> None:
        if epoch not in self._nodes:
            return
        await self._steps_lane.run(
            lambda connection: connection.execute(
                self._sql("announce"), epoch, self._schedule.ns, info.name, node_info_text(info)
            )
        )
        self._nodes[epoch] = info
        self._schedule.forget_abilities()

    async def heartbeat(self, epoch: int) -> Beat:
        lease = int(self.caps.lease * SECOND)
        now, alive, claims, cancels = await self._beat_lane.run(
            lambda connection: connection.fetchrow(self._sql("heartbeat"), epoch, self._schedule.ns, lease)
        )
        if not alive:
            self._gone(epoch)
            return Beat(now, False, 0, ())
        return Beat(now, True, claims, tuple(cancels))

    async def reap(self) -> list[Reaped]:
        # Without waiting for anybody: this is the heartbeat's connection, and the next look comes with the next beat.
        reaped = await self._step(self._beat_lane, lambda step: step.reap(), patient=False)
        for dead in reaped:
            self._gone(dead.epoch)
        return reaped

    async def leave(self, epoch: int) -> list[Timer]:
        timers = await self._step(self._steps_lane, lambda step: step.leave(epoch))
        self._gone(epoch)
        for timer in timers:
            self._hint(ALL_NODES, timer.due)
        if self._messenger is not None:
            await self._messenger.flush()
        return timers

    def _gone(self, epoch: int) -> None:
        self._schedule.forget_abilities()
        self._nodes.pop(epoch, None)
        self._hints.leave(epoch)

    async def nodes(self) -> list[NodeRecord]:
        return await self._read(lambda pages: pages.nodes())

    # Jobs

    async def put_jobs(self, mode: PutMode, items: Sequence[PutRow], connection: object | None = None) -> list[Put]:
        """As the contract says.

        Args:
            connection: An asyncpg connection with a transaction of the caller's own, which the jobs are then part
                of. Nodes see them within ``poll`` seconds of its commit.

        Raises:
            InvalidArgument: The connection is none of asyncpg's, not in a transaction, or leads to a database that does
                not hold this schema.
        """
        named = list(map(PutItem._make, items))
        functions = {item.spec.func for item in named}
        schedule = self._schedule
        if any(name not in schedule.functions for name in functions):
            await self._steps_lane.run(lambda own: schedule.add_functions(own, functions))
        if connection is not None:
            return await self._put_inside(_checked(connection), mode, named)
        return await self._step(self._steps_lane, lambda step: step.put_jobs(mode, named), begin=False)

    async def _put_inside(self, connection: Connection, mode: PutMode, items: Sequence[PutItem]) -> list[Put]:
        import asyncpg

        for _ in range(_TRIES):
            # What is written here is news to this process as well, once it is committed: others' changes are read
            # from the feed, and this is marked as one of theirs.
            outside = Schedule(self.schema, self._schedule.ns, self._schedule.limits, 0)
            outside.functions = self._schedule.functions
            outside.triggers = self._schedule.triggers
            outside.followed = self._schedule.followed
            step = Step(outside, connection)
            try:
                async with connection.transaction():
                    answers = await step.put_jobs(mode, items)
                    await step.write()
                return answers
            except Overtaken:
                continue
            except asyncpg.UniqueViolationError as error:
                if not _is_of_job_ids(error):
                    raise
            except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
                raise InvalidArgument(
                    f"connection leads to a database without the schema {self.schema!r} of this schedule",
                    field="connection",
                ) from error
        raise StoreUnavailable(f"{self.describe()}: the jobs are being changed by others all the time")

    async def get_jobs(self, ids: Sequence[str]) -> list[JobRecord | None]:
        return await self._read(lambda pages: pages.get_jobs(ids))

    async def list_jobs(self, which: JobFilter, limit: int, cursor: str | None = None) -> JobPage:
        return await self._read(lambda pages: pages.list_jobs(which, limit, cursor))

    async def pause_jobs(self, which: Selection) -> list[JobRecord]:
        return await self._step(self._steps_lane, lambda step: step.pause_jobs(which))

    async def resume_jobs(self, which: Selection) -> tuple[list[JobRecord], list[Timer]]:
        return await self._step(self._steps_lane, lambda step: step.resume_jobs(which))

    async def delete_jobs(self, which: Selection) -> Deleted:
        deleted = await self._step(self._steps_lane, lambda step: step.delete_jobs(which))
        for run in deleted.runs:
            if run.epoch is not None:
                self._hint(run.epoch, 0)
        return deleted

    async def groups(self) -> list[tuple[str, int, int]]:
        return await self._read(lambda pages: pages.groups())

    async def next_id(self) -> int:
        return await self._number("next_id")

    async def generation(self, declarations: str) -> int:
        return await self._number("generation", declarations)

    async def _number(self, statement: str, *values: object) -> int:
        return int(
            await self._steps_lane.run(
                lambda connection: connection.fetchval(self._sql(statement), self._schedule.ns, *values)
            )
        )

    # Timers and claims

    async def window(self, epoch: int, until: int, limit: int) -> Window:
        info = self._nodes.get(epoch)
        if info is None:
            return Window([], None, await self.now())
        return await self._loop_lane.run(
            lambda connection: Pages(self._schedule, connection).window(epoch, info, until, limit)
        )

    async def claim(self, epoch: int, claims: Sequence[ClaimRow]) -> list[Claimed]:
        if not claims:
            return []
        named = list(map(Claim._make, claims))
        answers: dict[int, Claimed] = {}
        taken: set[int] = set()
        plain: list[Claim] = []
        others: list[Claim] = []
        for claim in named:
            timer_id = claim.timer.id
            if timer_id not in taken and is_plain_start(claim):
                plain.append(claim)
            else:
                others.append(claim)
            taken.add(timer_id)
        if plain:
            left = await self._loop_lane.run(lambda connection: self._claim_plain(connection, epoch, plain, answers))
            if left is None:
                return []
            if left:
                unanswered = {claim.token for claim in (*left, *others)}
                others = [claim for claim in named if claim.token in unanswered]
        if others:
            found = await self._step(
                self._loop_lane, lambda step: step.claim(epoch, others), epoch, begin=False, patient=None
            )
            if not found and not answers:
                return []
            # The lease may have run out between the two; what had been started by then stands.
            answers.update(zip((claim.token for claim in others), found, strict=False))
        return [answers.get(claim.token) or Claimed(Grant.STALE, claim.token) for claim in named]

    async def _claim_plain(
        self, connection: Connection, epoch: int, claims: list[Claim], answers: dict[int, Claimed]
    ) -> list[Claim] | None:
        """Start what only needs to be started; return the claims that need a closer look, ``None`` for a dead node."""
        schedule = self._schedule
        rows = [
            (
                timer.id, timer.rev, token, planned, due, next_planned if next_due is not None else None,
                next_due if next_planned is not None else None, timer.spec.policy.overlap is Overlap.ALLOW,
                timer.spec.payload,
            )
            for timer, token, _, planned, due, next_planned, next_due, _, _ in claims
        ]  # fmt: skip
        columns = [list(column) for column in zip(*rows, strict=True)]
        started = await connection.fetch(self._sql("claim"), epoch, schedule.ns, *columns, EARLY)
        now = started[0][2]
        if now is None:
            return None
        fences = {token: fence for token, fence, _ in started}
        # The one row that says that nothing started.
        fences.pop(None, None)
        missed: list[Claim] = []
        for claim in claims:
            timer, token, _, _, _, next_planned, next_due, _, _ = claim
            fence = fences.get(token)
            if fence is None:
                missed.append(claim)
                continue
            following = None
            if next_planned is not None and next_due is not None:
                following = Timer(timer.id, timer.rev + 1, next_due, next_planned, timer.spec)
            answers[token] = _new(Claimed, (_STARTED, token, token, fence, following, (), 0))
        self._publish_runs(fences)
        await self._tell_followers(connection, fences)
        return await self._look_closer(connection, missed, answers, now) if missed else []

    async def _look_closer(
        self, connection: Connection, missed: list[Claim], answers: dict[int, Claimed], now: int
    ) -> list[Claim]:
        """Answer claims that another node was faster with, without waiting for it; return the others."""
        schedule = self._schedule
        serials = [claim.timer.id for claim in missed]
        places = {
            row[0]: row
            for row in await connection.fetch(self._sql("timer_places"), serials, [claim.token for claim in missed])
        }
        left = []
        for claim in missed:
            timer, token = claim.timer, claim.token
            place = places.get(timer.id)
            if place is None:
                left.append(claim)
                continue
            _, rev, edition, planned, due, paused, gone, known = place
            if known or (rev == timer.rev and not paused and not gone and due is not None and due <= now + EARLY):
                left.append(claim)
            elif rev == timer.rev and due is not None and not paused:
                answers[token] = Claimed(Grant.EARLY, token)
            else:
                spec = schedule.spec(timer.id, edition)
                following = None
                if spec is not None and due is not None and not paused and not gone:
                    following = Timer(timer.id, rev, due, planned, spec)
                answers[token] = Claimed(Grant.STALE, token, next=following)
        return left

    async def finish(self, epoch: int, ends: Sequence[FinishRow]) -> tuple[list[bool | None], list[Timer]]:
        if not ends:
            return [], []
        named = list(map(Finish._make, ends))

        async def work(connection: Connection, patient: bool) -> tuple[dict[int, int], list[Timer], News, set[int]]:
            left: set[int] = set()
            if not patient:
                tokens = [end.token for end in named]
                left = {row[0] for row in await connection.fetch(self._sql("hold_free_timers"), tokens, epoch)}
            return *await self._finish(connection, epoch, [end for end in named if end.token not in left]), left

        accepted, timers, news, left = await self._transaction(self._ends_lane, work, patient=None)
        self._publish_runs(accepted.values())
        self._tell(news)
        # Of two ends with one token the first counts.
        return [None if end.token in left else accepted.pop(end.token, None) is not None for end in named], timers

    async def _finish(
        self, connection: Connection, epoch: int, ends: Sequence[Finish]
    ) -> tuple[dict[int, int], list[Timer], News]:
        """Record ends; return the runs that ended or wait by their tokens, the timers that arose, and other news."""
        accepted: dict[int, int] = {}
        plain: dict[int, Finish] = {}
        others: dict[int, Finish] = {}
        for end in ends:
            if end.token not in plain and end.token not in others:
                (plain if is_plain_end(end) else others)[end.token] = end
        if others:
            # Both kinds in one order: else two nodes could wait for each other.
            await connection.fetch(self._sql("hold_timers"), list(plain.keys() | others.keys()), epoch)
        later: set[int] = set()
        if plain:
            rows = [(end.token, end.started, end.ended, end.result) for end in plain.values()]
            tokens, *columns = [list(column) for column in zip(*rows, strict=True)]
            for token, job in await connection.fetch(self._sql("finish"), tokens, epoch, self._schedule.ns, *columns):
                if job is not None:
                    later.add(job)
                    continue
                accepted[token] = token
                del plain[token]
        timers: list[Timer] = []
        news = News([], [])
        if plain or others or later:
            step = Step(self._schedule, connection)
            await step.begin()
            name = self._nodes[epoch].name if epoch in self._nodes else ""
            found, timers = await step.finish(epoch, name, [*plain.values(), *others.values()])
            accepted.update(found)
            timers += await step.unqueue_jobs(later)
            await step.write(epoch)
            news = step.news
        await self._tell_followers(connection, accepted.values())
        return accepted, timers, news

    async def release(self, epoch: int, tokens: Sequence[int]) -> list[Timer]:
        return await self._step(self._ends_lane, lambda step: step.release(epoch, tokens), patient=None)

    async def claims(self, epoch: int) -> list[Live]:
        return await self._loop_lane.run(lambda connection: Pages(self._schedule, connection).claims(epoch))

    async def enqueue(self, items: Sequence[Enqueue]) -> list[Enqueued]:
        return await self._step(self._steps_lane, lambda step: step.enqueue(items))

    async def cancel_runs(self, run_ids: Sequence[int]) -> list[Cancelled]:
        return await self._step(self._steps_lane, lambda step: step.cancel_runs(run_ids))

    async def annotate(self, epoch: int, notes: Sequence[Note]) -> None:
        await self._step(self._ends_lane, lambda step: step.annotate(epoch, notes))

    # Records

    async def get_runs(self, run_ids: Sequence[int]) -> list[RunRecord | None]:
        return await self._read(lambda pages: pages.get_runs(run_ids))

    async def list_runs(self, which: RunFilter, limit: int, cursor: str | None = None) -> RunPage:
        return await self._read(lambda pages: pages.list_runs(which, limit, cursor))

    async def discard_dead_letters(self, run_ids: Sequence[int] | None) -> int:
        return await self._step(self._steps_lane, lambda step: step.discard_dead_letters(run_ids))

    async def totals(self, *, per_job: bool = True) -> Totals:
        return await self._read(lambda pages: pages.totals(per_job))

    async def prune(self, limit: int) -> int:
        pruned = 0
        while pruned < limit:
            # One transaction each: where everything is kept there are many looks, and others wait for the marks.
            look = partial(Step.prune, limit=limit - pruned)
            looked_at, forgotten = await self._step(self._steps_lane, look)
            pruned += forgotten
            if not looked_at:
                break
        return pruned

    # Hints

    def watch(self, epoch: int) -> AsyncIterator[int]:
        return self._hints.watch(epoch)

    def wake(self, epoch: int, due: int) -> None:
        self._hints.give_others(epoch, due)
        if self._messenger is not None:
            self._messenger.send(ALL_NODES, due)

    def _hint(self, epoch: int, due: int) -> None:
        """Hint to a node, wherever it is."""
        self._hints.give(epoch, due)
        if self._messenger is not None and epoch not in self._hints:
            self._messenger.send(epoch, due)

    # The feed

    async def changes(self, cursor: int | None) -> Changes:
        if self._feed is None:
            # Nothing is kept before somebody follows: a feed would cost every run of those who do not.
            self._feed = Feed()
        if cursor is None:
            await self._lists_lane.run(self._skip_feed)
        elif await self._lists_lane.run(self._read_feed):
            # What a crash of the server has taken is not known.
            self._feed.break_off()
        return self._feed.since(cursor)

    async def _skip_feed(self, connection: Connection) -> None:
        if not self._feed_told:
            self._feed_floor = await connection.fetchval(self._sql("feed_end"))

    async def _read_feed(self, connection: Connection) -> bool:
        """Take in what other nodes have changed; return whether some of it is lost."""
        ns = self._schedule.ns
        await connection.execute(self._sql("follow"), ns)
        told = self._feed_told
        rows = await connection.fetch(self._sql("told"), ns, self._feed_floor)
        if told and max(told) not in {row[0] for row in rows}:
            # The newest row stays as long as there is a table. After a crash its numbers begin anew as well.
            told.clear()
            self._feed_floor = 0
            return True
        newest = 0
        for seq, at, origin, text in rows:
            newest = max(newest, at)
            if seq in told:
                continue
            told[seq] = at
            if origin != self._origin:
                self._publish([Change(ChangeKind(kind), subject) for kind, subject in orjson.loads(text)])
        for seq in [seq for seq, at in told.items() if at < newest - _FEED_OVERLAP]:
            del told[seq]
            self._feed_floor = max(self._feed_floor, seq)
        now = asyncio.get_running_loop().time()
        if now - self._feed_swept > _FEED_SWEEP:
            self._feed_swept = now
            await connection.execute(self._sql("forget_told"), ns)
        return False

    def _publish(self, changes: list[Change]) -> None:
        if self._feed is not None:
            self._feed.add(changes)

    def _publish_runs(self, runs: Iterable[int]) -> None:
        if self._feed is not None:
            self._publish([Change(ChangeKind.RUN, run) for run in runs])

    def _tell(self, news: News) -> None:
        """Tell this process, and whoever is hinted to, what a step has changed."""
        self._publish(news.changes)
        for hinted, due in news.hints:
            self._hint(hinted, due)

    async def _tell_followers(self, connection: Connection, runs: Collection[int]) -> None:
        """Tell the followers elsewhere of runs, if there are any followers."""
        schedule = self._schedule
        if runs and schedule.followed:
            text = orjson.dumps([(ChangeKind.RUN, run) for run in runs]).decode()
            await connection.execute(self._sql("tell"), schedule.ns, self._origin, text)

    # Ways in

    async def _read(self, work: Callable[[Pages], Awaitable[T]]) -> T:
        return await self._lists_lane.run(lambda connection: work(Pages(self._schedule, connection)))

    async def _step(
        self,
        lane: _Lane,
        work: Callable[[Step], Awaitable[T]],
        epoch: int = 0,
        *,
        begin: bool = True,
        patient: bool | None = True,
    ) -> T:
        """Do one step in one transaction, again if another one stood in its way, and tell of it afterwards.

        Args:
            begin: False where the work reads the clock itself.
            patient: As for :meth:`_transaction`.
        """

        async def once(connection: Connection, patient: bool) -> tuple[T, Step]:
            step = Step(self._schedule, connection, patient=patient)
            if begin:
                await step.begin()
            answer = await work(step)
            await step.write(epoch)
            return answer, step

        answer, step = await self._transaction(lane, once, patient=patient)
        step.remember()
        self._tell(step.news)
        return answer

    async def _transaction(
        self, lane: _Lane, work: Callable[[Connection, bool], Awaitable[T]], *, patient: bool | None
    ) -> T:
        """Do work in a transaction, again if another one stood in its way.

        Args:
            work: Is told whether to wait for jobs that others hold.
            patient: ``None``: wait briefly, and then do it without those jobs.
        """
        import asyncpg

        async def inside(connection: Connection) -> T:
            if patient is None:
                try:
                    async with connection.transaction():
                        if self._pooled:
                            await connection.execute(f"SET LOCAL lock_timeout = '{_BRIEFLY}'")
                        return await work(connection, True)
                except asyncpg.LockNotAvailableError:
                    pass
            async with connection.transaction():
                return await work(connection, patient is True)

        for turn in range(_TRIES):
            try:
                return await lane.run(inside)
            except (*_again(), asyncpg.UniqueViolationError) as error:
                if isinstance(error, asyncpg.UniqueViolationError) and not _is_of_job_ids(error):
                    raise
                await asyncio.sleep(_TRY_AGAIN * (turn + secrets.randbelow(100) / 100))
        raise StoreUnavailable(f"{self.describe()}: others stood in the way of a change {_TRIES} times")

    def _lane(self, *, timeout: float = _COMMAND_TIMEOUT, settings: Mapping[str, str] | None = None) -> _Lane:
        return _Lane(self.describe, lambda: self._connect(self._dsn, settings or {}, timeout))

    async def _connect(self, dsn: str, settings: Mapping[str, str], timeout: float = _COMMAND_TIMEOUT) -> Connection:
        import asyncpg

        # Poolers know few of the server's settings by name and refuse a connection that brings another.
        pause = min(_LONGEST_PAUSE, self.caps.lease / 3)
        options = {
            "jit": "off",
            "lock_timeout": _LOCK_TIMEOUT,
            "idle_in_transaction_session_timeout": f"{pause * 1000:.0f}ms",
            **settings,
        }
        # What the address says of them counts.
        said = dict(parse_qsl(urlsplit(dsn).query))
        ours = {"application_name": "asched", **({} if self._pooled else options)}
        try:
            return await asyncpg.connect(
                dsn,
                timeout=min(_CONNECT_TIMEOUT, timeout),
                command_timeout=timeout,
                statement_cache_size=self._statement_cache_size,
                max_cached_statement_lifetime=0,
                server_settings={name: value for name, value in ours.items() if name not in said},
            )
        except _refused_settings() as error:
            raise asyncpg.ClientConfigurationError(
                f"{error}; an option that is neither the store's ({', '.join(_OPTIONS)}) nor asyncpg's is a setting of "
                "the server"
            ) from error


# The statements of the loop go to some rows of large tables by their keys, with batches of one or of hundreds. A plan
# that is made once for all of them, while the tables are small, is a disaster later; making one takes 0.5 ms.
_OF_THE_LOOP = {"plan_cache_mode": "force_custom_plan", "enable_seqscan": "off", "lock_timeout": _BRIEFLY}
# A step goes to its rows by keys as well. It comes alone, so its plans are kept, even those made for an empty table.
_OF_STEPS = {"enable_seqscan": "off"}

_OPTIONS: dict[str, Callable[[str], object]] = {
    "schema": str,
    "migrate": str,
    "listen_dsn": str,
    "listen": lambda text: {"on": True, "1": True, "true": True, "off": False, "0": False, "false": False}[
        text.lower()
    ],
    "lease": float,
    "poll": float,
    "statement_cache_size": int,
    "on_lease_lost": str,
}


class _Lane:
    """One connection, used by one call at a time; made when it is needed, dropped when anything went wrong with it."""

    def __init__(self, place: Callable[[], str], connect: Callable[[], Awaitable[Connection]]) -> None:
        self._place = place
        self._connect = connect
        self._connection: Connection | None = None
        self._lock = asyncio.Lock()

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do work on the connection.

        Raises:
            StoreUnavailable: There is none, or it was lost meanwhile; then it is not known what became of the work.
        """
        async with self._lock:
            # Virtual time waits for the database as for a thread.
            offload.begin()
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = None
                    self._connection = await self._connect()
                return await work(self._connection)
            except Exception as error:
                # The driver has one class for a connection that it has given up and for a call that it cannot make.
                if not _is_fault(error) and not (_is_refusal(error) and self._is_lost()):
                    raise
                self._drop()
                raise _unavailable(self._place(), error) from error
            except BaseException:
                # Cancelled in the middle: the connection may be in a transaction, or about to get an answer.
                self._drop()
                raise
            finally:
                offload.end()

    def _is_lost(self) -> bool:
        return self._connection is None or self._connection.is_closed()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def close(self) -> None:
        async with self._lock:
            connection, self._connection = self._connection, None
            if connection is None:
                return
            offload.begin()
            try:
                await connection.close(timeout=1.0)
            except Exception as error:
                if not _is_fault(error) and not _is_refusal(error):
                    raise
            finally:
                offload.end()


class _Messenger:
    """Sends and hears hints over a connection of its own, and makes a new one for as long as it takes."""

    def __init__(
        self, connect: Callable[[], Awaitable[Connection]], channel: str, origin: int,
        heard: Callable[[int, int], None],
    ) -> None:  # fmt: skip
        self._connect = connect
        self._channel = channel
        self._origin = origin
        self._heard = heard
        self._connection: Connection | None = None
        self._speaking = asyncio.Lock()
        self._echoed = asyncio.Event()
        self._waiting: dict[int, int] = {}
        """Earliest instant by epoch."""
        self._sender: asyncio.Task[None] | None = None
        self._listener = asyncio.create_task(self._listen())

    def send(self, epoch: int, due: int) -> None:
        """Hint soon, together with others; where there is no connection it is lost."""
        known = self._waiting.get(epoch)
        self._waiting[epoch] = due if known is None else min(known, due)
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())

    async def _send(self) -> None:
        try:
            while self._waiting:
                await self._notify()
                # Whatever comes within this goes together; after a quiet time nothing waits.
                await asyncio.sleep(_HINT_EVERY)
        finally:
            self._sender = None

    async def _notify(self) -> None:
        waiting, self._waiting = self._waiting, {}
        connection = self._connection
        if connection is None:
            return
        try:
            await self._say(connection, list(waiting.items())[:200])
        except Exception as error:
            if not _is_fault(error) and not _is_refusal(error):
                raise
            connection.terminate()

    async def _say(self, connection: Connection, hints: list[tuple[int, int]]) -> None:
        async with self._speaking:
            await connection.execute("SELECT pg_notify($1, $2)", self._channel, json.dumps([self._origin, hints]))

    async def flush(self) -> None:
        """Send what waits now; the caller is about to go."""
        if self._waiting:
            await self._notify()

    async def _listen(self) -> None:
        delay = _LISTEN_AGAIN
        warned = False
        while True:
            connection: Connection | None = None
            try:
                connection = await self._connect()
                lost = asyncio.Event()
                connection.add_termination_listener(lambda _, lost=lost: lost.set())
                await connection.add_listener(self._channel, self._on_message)
                self._echoed.clear()
                self._connection = connection
                # What was sent while nobody listened is lost: look at everything.
                self._heard(ALL_NODES, 0)
                await self._check()
                delay, warned = _LISTEN_AGAIN, False
                while not lost.is_set():
                    try:
                        async with asyncio.timeout(_LISTEN_CHECK):
                            await lost.wait()
                    except TimeoutError:
                        # A peer that is gone without a word is not seen otherwise.
                        async with self._speaking:
                            await connection.execute("SELECT 1")
            except _Deaf:
                log.warning(
                    "hints do not come back from the database, as through a pooler that shares connections; it is "
                    "only polled. Give listen_dsn= the address of the database itself"
                )
                self._connection = None
                return
            except Exception as error:
                if not _is_fault(error) and not _is_refusal(error):
                    raise
                if not warned:
                    log.warning("no hints until the connection for them is back: %s", masked(str(error)))
                    warned = True
            finally:
                self._connection = None
                if connection is not None:
                    connection.terminate()
            await asyncio.sleep(delay * (0.5 + secrets.randbelow(100) / 200))
            delay = min(2 * delay, _LISTEN_AGAIN_LIMIT)

    async def _check(self) -> None:
        # Said over another connection: through a pooler the listener itself may be lent the session that listens, and
        # would hear itself, but nobody else.
        other = await self._connect()
        try:
            await self._say(other, [])
            await other.close(timeout=1.0)
        finally:
            other.terminate()
        try:
            async with asyncio.timeout(_LISTEN_CHECK):
                await self._echoed.wait()
        except TimeoutError:
            raise _Deaf from None

    def _on_message(self, connection: Connection, pid: int, channel: str, payload: str) -> None:
        try:
            origin, hints = json.loads(payload)
            if origin == self._origin:
                self._echoed.set()
                return
            for epoch, due in hints:
                self._heard(int(epoch), int(due))
        except (ValueError, TypeError):
            # Anybody may write into the channel; what is not understood means at most that there is something.
            self._heard(ALL_NODES, 0)

    async def close(self) -> None:
        tasks = [task for task in (self._listener, self._sender) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Deaf(Exception):
    """Hints are sent and do not arrive."""


# Migrations


async def migrate(url: str) -> tuple[int, int]:
    """Bring the schema of a URL up to date; return the version it had, 0 for none, and the one it has.

    Raises:
        SchemaTooNew: A newer asched has written it, which this one cannot read.
        InvalidArgument: The URL has an option that is none, or with a value that it cannot have.
        StoreUnavailable: The database cannot be reached, or refuses the user.
    """
    store = PostgresStore.from_url(url)
    async with AsyncExitStack() as stack:
        lane = store._lane(timeout=600.0)
        stack.push_async_callback(lane.close)
        with _mistakes_told_apart():
            return await lane.run(lambda connection: _migrate(connection, store.schema))


async def _schema_version(connection: Connection, schema: str) -> tuple[int, int] | None:
    """Return version and least reader of the schema; ``None`` where there is none."""
    # Not with to_regclass(): a session that did not find the table once goes on not finding it while it waits for the
    # one that makes it.
    if not await connection.fetchval(
        "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = 'meta')", schema
    ):
        return None
    row = await connection.fetchrow(f'SELECT version, min_reader FROM "{schema}".meta')
    return row[0], row[1]


def _check_readable(found: tuple[int, int], schema: str) -> None:
    version, min_reader = found
    newest = migrations("postgres")[-1].version
    if min_reader > newest:
        raise SchemaTooNew(
            f"the schema {schema!r} was written by a newer asched (version {version}, readable from {min_reader} on; "
            f"this one knows {newest}); upgrade asched"
        )
    if version > newest:
        log.warning(
            "the schema %r is newer (version %d) than this asched (%d), which can read it", schema, version, newest
        )


async def _migrate(connection: Connection, schema: str) -> tuple[int, int]:
    newest = migrations("postgres")[-1].version
    found = await _schema_version(connection, schema)
    if found is None or found[0] < newest:
        async with connection.transaction():
            # Of nodes that start at once the first does it, and the others find it done.
            await connection.execute("SET LOCAL lock_timeout = '60s'")
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _ADVISORY)
            found = await _schema_version(connection, schema)
            version = 0 if found is None else found[0]
            if version == 0:
                await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
            for migration in migrations("postgres"):
                if migration.version > version:
                    await connection.execute(_qualify(migration.text, schema))
                    await connection.execute(f'UPDATE "{schema}".meta SET version = $1', migration.version)
            return version, max(version, newest)
    _check_readable(found, schema)
    return found[0], found[0]


def _qualify(text: str, schema: str) -> str:
    return re.sub(r"\basched\.", f'"{schema}".', text)


# Errors


def _again() -> tuple[type[BaseException], ...]:
    """Errors of a transaction that another one stood in the way of: it has done nothing and may be tried again."""
    import asyncpg

    return (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, Overtaken)


def _is_of_job_ids(error: Exception) -> bool:
    """Tell whether a job was about to get an id that another one has taken meanwhile."""
    return getattr(error, "constraint_name", None) == "job_id"


def _refused_settings() -> tuple[type[BaseException], ...]:
    """Errors of a connection whose settings the server does not take."""
    import asyncpg

    return (asyncpg.UndefinedObjectError, asyncpg.InvalidParameterValueError, asyncpg.CantChangeRuntimeParamError)


@contextmanager
def _mistakes_told_apart() -> Iterator[None]:
    """While a store is opened, let what no waiting would mend be a mistake of the caller's."""
    import asyncpg

    try:
        yield
    except StoreUnavailable as error:
        if isinstance(error.__cause__, asyncpg.ClientConfigurationError):
            raise InvalidArgument(str(error), field="store") from error.__cause__
        raise


def _is_fault(error: Exception) -> bool:
    """Tell whether the database, or the way to it, is the matter, and not a mistake of ours."""
    import asyncpg

    return isinstance(
        error,
        (
            OSError,  # TimeoutError and ConnectionError among them
            asyncpg.PostgresConnectionError,
            asyncpg.OperatorInterventionError,
            asyncpg.InsufficientResourcesError,
            asyncpg.InvalidAuthorizationSpecificationError,
            asyncpg.InvalidCatalogNameError,
            asyncpg.InsufficientPrivilegeError,
            asyncpg.ReadOnlySQLTransactionError,
            asyncpg.LockNotAvailableError,
            asyncpg.IdleInTransactionSessionTimeoutError,
            asyncpg.PostgresSystemError,
            asyncpg.UndefinedTableError,
            asyncpg.UndefinedFunctionError,
            asyncpg.InvalidSchemaNameError,
            asyncpg.InvalidSQLStatementNameError,
            asyncpg.DuplicatePreparedStatementError,
        ),
    )


def _is_refusal(error: Exception) -> bool:
    import asyncpg

    return isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError)


def _unavailable(place: str, error: Exception) -> StoreUnavailable:
    import asyncpg

    # Details and hints of the server are lines of their own.
    text = " ".join(masked(str(error)).split()) or type(error).__name__
    hint = ""
    if isinstance(error, asyncpg.UndefinedTableError | asyncpg.UndefinedFunctionError | asyncpg.InvalidSchemaNameError):
        hint = "; run 'asched migrate URL', or open it with migrate='auto'"
    elif isinstance(
        error, asyncpg.InvalidSQLStatementNameError | asyncpg.DuplicatePreparedStatementError
    ) or text.startswith("unsupported startup parameter"):
        hint = "; behind a pooler that shares connections between transactions say statement_cache_size=0"
    elif isinstance(error, asyncpg.InsufficientPrivilegeError):
        hint = "; grant the role what it lacks, or let another one run 'asched migrate URL'"
    return StoreUnavailable(f"{place}: {text}{hint}")


def _checked(connection: object) -> Connection:
    import asyncpg

    usable: Any = connection
    if not isinstance(connection, asyncpg.Connection | asyncpg.pool.PoolConnectionProxy):
        raise InvalidArgument(
            f"connection must be an asyncpg connection, not {type(connection).__name__}", field="connection"
        )
    if not usable.is_in_transaction():
        raise InvalidArgument(
            "connection must be in a transaction: async with connection.transaction(): ...", field="connection"
        )
    return usable


def _checked_dsn(dsn: object, field: str) -> str:
    """Return an address that asyncpg can read, and whose parts can be told apart, so that no password is shown.

    SQLAlchemy's driver is taken out of the scheme: asyncpg is what is used anyway.
    """
    if not isinstance(dsn, str) or not _SCHEME.match(dsn):
        raise InvalidArgument(f"{field} must begin with postgresql://", field=field)
    plain = _SCHEME.sub(r"\1://", dsn)
    try:
        parts = urlsplit(plain)
        users, _, hosts = parts.netloc.rpartition("@")
        # The last colon of an IPv6 address in brackets is none of a port.
        ports = [host.rpartition(":")[2] for host in hosts.split(",") if ":" in host and not host.endswith("]")]
        options = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
        readable = (
            all(port.isdecimal() for port in ports)
            and "@" not in users + parts.path
            and "#" not in plain
            and all(_OPTION_NAME.fullmatch(name) for name in options)
        )
    except ValueError:
        readable = False
    if not readable:
        raise InvalidArgument(
            f"{field} is no address: postgresql://user:password@host:5432/database is wanted; in a password write "
            "@ as %40, / as %2F, ? as %3F and # as %23",
            field=field,
        )
    return plain


_OPTION_NAME = re.compile(r"[A-Za-z_][\w.]*")
_SCHEME = re.compile(r"(postgres(?:ql)?)(?:\+\w+)?://")


def _place(dsn: str) -> str:
    """Return where the database is, without user, password and options."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2] or dict(parse_qsl(parts.query)).get("host", "localhost")
    return f"{host}{parts.path}"
