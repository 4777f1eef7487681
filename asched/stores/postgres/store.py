"""The shared store: any number of nodes work on one schedule in a PostgreSQL database.

What a call does inside the database stands in :mod:`~asched.stores.postgres.ledger`,
:mod:`~asched.stores.postgres.plain` and :mod:`~asched.stores.postgres.pages`; here is how it gets there and what
happens when it does not.

Faults. A call that does not reach the database, or whose answer does not come back in time, raises
:class:`~asched.StoreUnavailable` and its connection is dropped; the next call makes a new one. Whether the call was
carried out is then not known here: the engine asks with :meth:`PostgresStore.claims`. A call that met another one in
the database (a deadlock, a job added twice at once) is made again.

Jobs that others hold. A transaction of a user's that changes a job (``connection=``) keeps its row for as long as it is
open. The loop works on many jobs at once and goes on without that one: its claims are answered ``BUSY``, its ends are
taken later, its runs are rescued later. A user who changes the job waits, and is refused after some seconds.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import Literal, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from asched.clock import Clock
from asched.errors import InvalidArgument, MissingExtra, StoreUnavailable
from asched.instants import SECOND
from asched.options import check_count, check_seconds
from asched.rules.plain import is_plain_claim
from asched.store import (
    Beat,
    Cancelled,
    Changes,
    Claim,
    Claimed,
    ClaimedRow,
    ClaimRow,
    Deleted,
    Enqueue,
    Enqueued,
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
from asched.stores.base import BaseStore, read_options
from asched.stores.following import ALL_NODES, Feed
from asched.stores.postgres.dsn import checked_dsn, place_of
from asched.stores.postgres.errors import (
    Overtaken,
    again,
    checked_connection,
    is_of_job_ids,
    mistakes_told_apart,
    refused_settings,
)
from asched.stores.postgres.feed import FeedReader
from asched.stores.postgres.lanes import Lane, Messenger
from asched.stores.postgres.ledger import Ledger
from asched.stores.postgres.migrations import check_current, migrate_schema
from asched.stores.postgres.pages import Pages
from asched.stores.postgres.plain import PlainPaths
from asched.stores.postgres.schedule import Connection, Schedule, qualified
from asched.stores.rows import node_info_text

__all__ = ["Migrate", "PostgresStore", "migrate"]

T = TypeVar("T")
Migrate = Literal["auto", "check", "off"]

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

_SCHEMA_NAME = re.compile(r"(?!pg_)[A-Za-z_][A-Za-z0-9_]{0,47}")


class PostgresStore(BaseStore):
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
        super().__init__()
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
        self._dsn = checked_dsn(dsn, "dsn")
        self._listen_dsn = self._dsn if listen_dsn is None else checked_dsn(listen_dsn, "listen_dsn")
        self._migrate = migrate
        self._pooled = statement_cache_size == 0
        self._statement_cache_size = statement_cache_size
        self._origin = 0
        """Marks what this store has told, for itself and in the feed. Drawn at each opening: a copy of the object in a
        forked process is another one."""
        self._schedule: Schedule
        self._reader: FeedReader
        self._messenger: Messenger | None = None
        self._make_lanes()
        self._listens = listen

    def _make_lanes(self) -> None:
        """Make lanes without a connection. Their locks belong to the event loop that uses them first."""
        lane = self._lane
        self._loop_lane = lane(settings=_OF_THE_LOOP)
        self._ends_lane = lane(settings=_OF_THE_LOOP)
        self._steps_lane = lane(settings=_OF_STEPS)
        self._lists_lane = lane()
        self._beat_lane = lane(timeout=max(0.2, self.caps.lease / 3))
        self._lanes = (self._loop_lane, self._ends_lane, self._steps_lane, self._lists_lane, self._beat_lane)

    @classmethod
    def from_url(cls, url: str) -> PostgresStore:
        """Return the store of a URL whose query holds its options beside those of asyncpg.

        Raises:
            InvalidArgument: An option has a value that it cannot have.
            MissingExtra: asyncpg is not installed.
        """
        address, _, query = url.partition("?")
        options = parse_qsl(query, keep_blank_values=True)
        own = {name: text for name, text in options if name in _OPTIONS}
        others = [(name, text) for name, text in options if name not in _OPTIONS]
        return cls(f"{address}?{urlencode(others)}" if others else address, **read_options("postgres", own, _OPTIONS))

    def __repr__(self) -> str:
        return f"PostgresStore({place_of(self._dsn)!r}, schema={self.schema!r})"

    def describe(self) -> str:
        return f"postgres {place_of(self._dsn)}, schema {self.schema}"

    # Life

    async def _open(self, namespace: str, limits: Limits, clock: Clock) -> None:
        """Make the schedule ready. The clock is not used: the database has one, and all nodes go by it.

        Raises:
            InvalidArgument: asyncpg or the server refuses an option of the address, or the schema is older than this
                release and ``migrate`` is ``"check"``.
            SchemaTooNew: A newer asched has written the schema, which this one cannot read.
            StoreUnavailable: The database cannot be reached, or refuses the user; the message says what to do.
        """
        self._make_lanes()
        self._origin = secrets.randbits(62)
        try:
            with mistakes_told_apart():
                ns = await self._steps_lane.run(lambda connection: self._prepare(connection, namespace))
                # All of them now: a role that may not have so many is told at the start, not by jobs that stand still.
                await asyncio.gather(*(lane.run(_touch) for lane in self._lanes))
        except BaseException:
            for lane in self._lanes:
                lane.drop()
            raise
        self._schedule = Schedule(self.schema, ns, limits, self._origin)
        self._reader = FeedReader(self._schedule)
        if self._listens:
            channel = f"asched_{self.schema}_{ns}"
            self._messenger = Messenger(
                lambda: self._connect(self._listen_dsn, {}), channel, self._origin, self._hints.give
            )

    async def _prepare(self, connection: Connection, namespace: str) -> int:
        """Return the number of the schedule."""
        encoding = await connection.fetchval("SHOW server_encoding")
        if encoding != "UTF8":
            raise InvalidArgument(
                f"the database of {self.describe()} is encoded as {encoding}, which cannot hold every text; make one "
                "with CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0",
                field="store",
            )
        if self._migrate == "auto":
            await migrate_schema(connection, self.schema)
        elif self._migrate == "check":
            await check_current(connection, self.schema)
        sql = qualified(self.schema)
        await connection.execute(sql["add_schedule"], namespace)
        ns = int(await connection.fetchval(sql["schedule"], namespace))
        await connection.execute(sql["add_tally"], ns)
        return ns

    async def _close(self) -> None:
        if self._messenger is not None:
            await self._messenger.close()
            self._messenger = None
        for lane in self._lanes:
            await lane.close()

    async def _cut(self) -> None:
        for lane in self._lanes:
            lane.drop()

    def _abandon(self) -> None:
        self._messenger = None

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
        self._add_node(epoch, info)
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
            self._drop_node(epoch)
            return Beat(now, False, 0, ())
        return Beat(now, True, claims, tuple(cancels))

    async def reap(self) -> list[Reaped]:
        # Without waiting for anybody: this is the heartbeat's connection, and the next look comes with the next beat.
        reaped = await self._step(self._beat_lane, Ledger.reap, patient=False)
        for dead in reaped:
            self._drop_node(dead.epoch)
        return reaped

    async def leave(self, epoch: int) -> list[Timer]:
        timers = await self._step(self._steps_lane, lambda ledger: ledger.leave(epoch))
        self._drop_node(epoch)
        self._hint_timers(timers)
        if self._messenger is not None:
            await self._messenger.flush()
        return timers

    def _drop_node(self, epoch: int) -> None:
        super()._drop_node(epoch)
        self._schedule.forget_abilities()

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
            return await self._put_inside(checked_connection(connection), mode, named)
        return await self._step(self._steps_lane, lambda ledger: ledger.put_jobs(mode, named), begin=False)

    async def _put_inside(self, connection: Connection, mode: PutMode, items: Sequence[PutItem]) -> list[Put]:
        import asyncpg

        for _ in range(_TRIES):
            # What is written here is news to this process as well, once it is committed: others' changes are read
            # from the feed, and this is marked as one of theirs.
            outside = Schedule(self.schema, self._schedule.ns, self._schedule.limits, 0)
            outside.functions = self._schedule.functions
            outside.triggers = self._schedule.triggers
            outside.followed = self._schedule.followed
            ledger = Ledger(outside, connection)
            try:
                async with connection.transaction():
                    answers = await ledger.put_jobs(mode, items)
                    await ledger.save()
                return answers
            except Overtaken:
                continue
            except asyncpg.UniqueViolationError as error:
                if not is_of_job_ids(error):
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

    async def pause_jobs(self, which: Selection) -> tuple[list[JobRecord], list[Timer]]:
        return await self._step(self._steps_lane, lambda ledger: ledger.pause_jobs(which))

    async def resume_jobs(self, which: Selection) -> tuple[list[JobRecord], list[Timer]]:
        return await self._step(self._steps_lane, lambda ledger: ledger.resume_jobs(which))

    async def delete_jobs(self, which: Selection) -> Deleted:
        return await self._step(self._steps_lane, lambda ledger: ledger.delete_jobs(which))

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

    async def claim(self, epoch: int, claims: Sequence[ClaimRow]) -> Sequence[ClaimedRow]:
        plain: list[ClaimRow] = []
        timers: set[int] = set()
        for claim in claims:
            timer_id = claim[0].id
            if timer_id not in timers and is_plain_claim(claim):
                plain.append(claim)
            timers.add(timer_id)
        answers: dict[int, ClaimedRow] = {}
        if plain:
            found = await self._loop_lane.run(
                lambda connection: PlainPaths(self._schedule, connection).claim(epoch, plain)
            )
            if found is None:
                return []
            answers = found
            self._tell_runs(token for token, answer in found.items() if answer[0] is Grant.STARTED)
        others = [Claim._make(claim) for claim in claims if claim[1] not in answers]
        if others:
            answered = await self._step(
                self._loop_lane, lambda ledger: ledger.claim(epoch, others), epoch, begin=False, patient=None
            )
            if not answered and not answers:
                return []
            # The lease may have run out between the two; what had been started by then stands.
            answers.update(zip((claim.token for claim in others), answered, strict=False))
        return [answers.get(claim[1]) or Claimed(Grant.STALE, claim[1]) for claim in claims]

    async def finish(self, epoch: int, ends: Sequence[FinishRow]) -> tuple[Sequence[bool | None], list[Timer]]:
        if not ends:
            return [], []
        name = self._nodes[epoch].name if epoch in self._nodes else ""
        return await self._step(
            self._ends_lane, lambda ledger: ledger.finish(epoch, name, ends), epoch, begin=False, patient=None
        )

    async def release(self, epoch: int, tokens: Sequence[int]) -> list[Timer]:
        return await self._step(self._ends_lane, lambda ledger: ledger.release(epoch, tokens), patient=None)

    async def claims(self, epoch: int) -> list[Live]:
        async def work(connection: Connection) -> list[Live]:
            # An engine asks this to learn whether a store that was away is back. A standby can be read.
            await connection.execute(self._sql("write_nothing"), epoch)
            return await Pages(self._schedule, connection).claims(epoch)

        return await self._loop_lane.run(work)

    async def enqueue(self, items: Sequence[Enqueue]) -> list[Enqueued]:
        return await self._step(self._steps_lane, lambda ledger: ledger.enqueue(items))

    async def cancel_runs(self, run_ids: Sequence[int]) -> list[Cancelled]:
        return await self._step(self._steps_lane, lambda ledger: ledger.cancel_runs(run_ids))

    async def annotate(self, epoch: int, notes: Sequence[Note]) -> None:
        await self._step(self._ends_lane, lambda ledger: ledger.annotate(epoch, notes))

    # Records

    async def get_runs(self, run_ids: Sequence[int]) -> list[RunRecord | None]:
        return await self._read(lambda pages: pages.get_runs(run_ids))

    async def list_runs(self, which: RunFilter, limit: int, cursor: str | None = None) -> RunPage:
        return await self._read(lambda pages: pages.list_runs(which, limit, cursor))

    async def discard_dead_letters(self, run_ids: Sequence[int] | None) -> int:
        return await self._step(self._steps_lane, lambda ledger: ledger.retention.bury(run_ids))

    async def totals(self, *, per_job: bool = True) -> Totals:
        return await self._read(lambda pages: pages.totals(per_job))

    async def prune(self, limit: int) -> int:
        pruned = 0

        def look(ledger: Ledger) -> Awaitable[tuple[int, int]]:
            return ledger.retention.prune(limit - pruned)

        while pruned < limit:
            # One transaction each: where everything is kept there are many looks, and others wait for the marks.
            looked_at, forgotten = await self._step(self._steps_lane, look, begin=False)
            pruned += forgotten
            if not looked_at:
                break
        return pruned

    # Hints

    def wake(self, epoch: int, due: int) -> None:
        super().wake(epoch, due)
        if self._messenger is not None:
            self._messenger.send(ALL_NODES, due)

    def _hint(self, epoch: int, due: int) -> None:
        """Hint to a node, wherever it is."""
        super()._hint(epoch, due)
        if self._messenger is not None and epoch not in self._hints:
            self._messenger.send(epoch, due)

    async def changes(self, cursor: int | None) -> Changes:
        if self._feed is None:
            self._feed = Feed()
        if cursor is None:
            await self._lists_lane.run(self._reader.skip)
            return self._feed.since(None)
        changes = await self._lists_lane.run(self._reader.read)
        if changes is None:
            # What a crash of the server has taken is not known.
            self._feed.break_off()
        else:
            self._feed.add(changes)
        return self._feed.since(cursor)

    # Ways in

    async def _read(self, work: Callable[[Pages], Awaitable[T]]) -> T:
        return await self._lists_lane.run(lambda connection: work(Pages(self._schedule, connection)))

    async def _step(
        self,
        lane: Lane,
        work: Callable[[Ledger], Awaitable[T]],
        epoch: int = 0,
        *,
        begin: bool = True,
        patient: bool | None = True,
    ) -> T:
        """Do one step in one transaction, again if another one stood in its way, and tell of it afterwards.

        Args:
            epoch: The node that counts the ends of the step.
            begin: False where the work reads the clock itself.
            patient: As for :meth:`_transaction`.
        """

        async def once(connection: Connection, patient: bool) -> tuple[T, Ledger]:
            ledger = Ledger(self._schedule, connection, patient=patient)
            if begin:
                await ledger.read_clock()
            answer = await work(ledger)
            await ledger.save(epoch)
            return answer, ledger

        answer, ledger = await self._transaction(lane, once, patient=patient)
        ledger.remember()
        self._tell_runs(ledger.ended)
        self._tell(ledger.step)
        return answer

    async def _transaction(
        self, lane: Lane, work: Callable[[Connection, bool], Awaitable[T]], *, patient: bool | None
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
                    async with connection.transaction(isolation="read_committed"):
                        if self._pooled:
                            await connection.execute(f"SET LOCAL lock_timeout = '{_BRIEFLY}'")
                        return await work(connection, True)
                except asyncpg.LockNotAvailableError:
                    pass
            async with connection.transaction(isolation="read_committed"):
                return await work(connection, patient is True)

        for turn in range(_TRIES):
            try:
                return await lane.run(inside, again())
            except (*again(), asyncpg.UniqueViolationError) as error:
                if isinstance(error, asyncpg.UniqueViolationError) and not is_of_job_ids(error):
                    raise
                await asyncio.sleep(_TRY_AGAIN * (turn + secrets.randbelow(100) / 100))
        raise StoreUnavailable(f"{self.describe()}: others stood in the way of a change {_TRIES} times")

    def _lane(self, *, timeout: float = _COMMAND_TIMEOUT, settings: Mapping[str, str] | None = None) -> Lane:
        return Lane(self.describe, lambda: self._connect(self._dsn, settings or {}, timeout))

    async def _connect(self, dsn: str, settings: Mapping[str, str], timeout: float = _COMMAND_TIMEOUT) -> Connection:
        import asyncpg

        # Poolers know few of the server's settings by name and refuse a connection that brings another.
        pause = min(_LONGEST_PAUSE, self.caps.lease / 3)
        options = {
            # A role or a database may have other defaults. Each of these would fail calls, or end idle connections.
            "default_transaction_isolation": "read committed",
            "statement_timeout": "0",
            "idle_session_timeout": "0",
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
        except refused_settings() as error:
            raise asyncpg.ClientConfigurationError(
                f"{error}; remove it from the address: what is neither an option of the store ({', '.join(_OPTIONS)}) "
                "nor of asyncpg is sent to the server as a setting"
            ) from error


async def _touch(connection: Connection) -> None:
    """Do nothing: the lane has made its connection."""


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
        with mistakes_told_apart():
            return await lane.run(lambda connection: migrate_schema(connection, store.schema))
