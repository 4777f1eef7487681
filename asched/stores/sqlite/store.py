"""The life of an SQLite store: its file, its connections, and how a call becomes durable.

How a call becomes durable. Calls that write are queued. While a transaction is in flight they gather; then all of
them are the next one: one hop into the thread of the connection, one ``BEGIN IMMEDIATE``, one ``COMMIT``, one fsync
for all (group commit by back-pressure). No call is answered before its COMMIT has returned. A call that fails takes
no other with it: the transaction is rolled back and each of its calls runs again in one of its own.

Reads have connections of their own. WAL lets them see what is committed while the writer waits for the disk, so a
window that follows an answered claim sees it. The engine's looks and the operators' lists are two connections: a
search through a million jobs must not keep the loop from its timers.

The thread hop. aiosqlite brings each statement into its thread with 70 us; a batch of three statements over 500 rows
takes less than ten times that. Its way to run a function there is private. But every one of its methods runs the
sqlite3 method of the same name in its thread, on a connection whose class the caller may choose (``factory``, passed
on to :func:`sqlite3.connect`). Ours (:class:`_Connection`) does in ``commit()`` the piece of work that was handed to
it, so ``await connection.commit()`` is one hop for a whole transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from asched import offload
from asched.clock import Clock
from asched.errors import InvalidArgument, MissingExtra, SchemaTooNew, StoreLocked, StoreUnavailable
from asched.store import (
    Beat,
    Cancelled,
    Claimed,
    ClaimRow,
    Deleted,
    Enqueue,
    Enqueued,
    FinishRow,
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
from asched.stores.base import Abilities, BaseStore, read_options
from asched.stores.lockfile import OwnerLock
from asched.stores.sql import migrations
from asched.stores.sqlite.ledger import Ledger
from asched.stores.sqlite.pages import SQL, Pages
from asched.tasks import carry_through
from asched.triggers import Trigger

if TYPE_CHECKING:
    import aiosqlite

__all__ = ["SQLiteStore"]

T = TypeVar("T")
Book = TypeVar("Book", bound=Pages)

Synchronous = Literal["NORMAL", "FULL", "EXTRA"]

_LOCK_RETRY = 0.05
"""Seconds between two tries for the lock. A restart hands it over within one of them."""

# A page cache that holds the timers of a million jobs.
_CACHE_KIB = 64 * 1024

# Pages of the log, 16 MiB, after which it is written back. Timers lie scattered, and a page that was changed twice
# meanwhile is written once: four times SQLite's default brings a third more runs a second among a million timers, and
# one commit in twenty then takes some 50 ms. On a small disk the log must leave room for the database it is written
# back to: it takes at most this share of what is free.
_CHECKPOINT, _PAGE, _LOG_SHARE = 4096, 4096, 1 / 8

# Statements that a connection keeps prepared; there are about 110.
_STATEMENTS = 160


class SQLiteStore(BaseStore):
    """Keeps a schedule in an SQLite file that one process owns.

    Schedulers of that process may share the object. What each setting of ``synchronous`` promises stands in
    docs/stores.md: with ``FULL`` nothing acknowledged is lost by a power cut, with ``NORMAL`` nothing by a killed
    process.

    Args:
        path: The file. It is made when it does not exist; its directory must. A relative path is one of the directory
            in which the store is made.
        synchronous: SQLite's setting of that name.
        lock_timeout: Seconds to wait for another process to let go of the file.
        busy_timeout: Seconds to wait for a program that writes to the same file without owning the schedule.
        lease: Seconds after which a scheduler of this process that gave no sign is taken for dead by another one of
            the same process. One scheduler alone needs none.
        read_only: Look at the file without owning it, while its owner runs or not. Calls that write raise.

    Raises:
        InvalidArgument: The path is empty, or SQLite's word for a database in memory.
        MissingExtra: aiosqlite is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Synchronous = "FULL",
        lock_timeout: float = 5.0,
        busy_timeout: float = 5.0,
        lease: float = float("inf"),
        read_only: bool = False,
    ) -> None:
        super().__init__()
        if find_spec("aiosqlite") is None:
            raise MissingExtra("SQLiteStore needs aiosqlite: pip install 'asched-py[sqlite]'")
        name = os.fspath(path)
        if not name or name == ":memory:":
            raise InvalidArgument("a database in memory forgets everything; use MemoryStore for that", field="path")
        if synchronous not in ("NORMAL", "FULL", "EXTRA"):
            raise InvalidArgument(
                f"synchronous is 'NORMAL', 'FULL' or 'EXTRA', not {synchronous!r}", field="synchronous"
            )
        self.caps = StoreCaps(
            name="sqlite",
            durable=True,
            shared=False,
            claim_batch=500,
            window=10_000,
            poll=float("inf"),
            lease=lease,
        )
        # Bound now: a directory that the process changes to later must not bring another file, or another lock.
        self.path = Path(name).absolute()
        self.commits = 0
        """Transactions committed since it was opened."""
        self._synchronous = synchronous
        self._lock_timeout = lock_timeout
        self._busy_timeout = busy_timeout
        self._read_only = read_only
        self._clock: Clock
        self._lock = OwnerLock(self.path)
        self._abilities = Abilities()
        self._triggers: dict[str, Trigger] = {}
        self._reaped: list[Reaped] = []
        self._writer: _Line[Ledger]
        self._looks: _Line[Pages]
        self._lists: _Line[Pages]
        self._lines: list[_Line[Any]] = []

    @classmethod
    def from_options(cls, path: str, options: Mapping[str, str]) -> SQLiteStore:
        """Return the store of a URL's path and query.

        Raises:
            InvalidArgument: There is no such option, or its value is none.
            MissingExtra: aiosqlite is not installed.
        """
        return cls(path, **read_options("sqlite", options, _OPTIONS))

    def __repr__(self) -> str:
        return f"SQLiteStore({str(self.path)!r})"

    def describe(self) -> str:
        return f"sqlite {self.path}"

    # Opening

    def _check_namespace(self, namespace: str) -> None:
        if namespace != self._namespace:
            raise InvalidArgument(
                f"{self!r} holds the schedule {self._namespace!r}; a process can have one schedule open in a "
                f"file, give {namespace!r} a file of its own",
                field="store",
            )

    async def _open(self, namespace: str, limits: Limits, clock: Clock) -> None:
        """Make the file ready.

        Raises:
            InvalidArgument: The path is a directory, or its directory does not exist.
            StoreUnavailable: The file cannot be written, or it is damaged, or no SQLite database at all. It is left
                as it was.
        """
        self._clock = clock
        self._check_path()
        if not self._read_only:
            await self._own()
        self._lines = []
        try:
            # Not cancelled half way: a thread of aiosqlite answers to the loop, which may be closed by then.
            await carry_through(self._connect(namespace, limits, self._lines))
        except BaseException:
            try:
                await self._cut()
            finally:
                self._lock.release()
            raise

    def _check_path(self) -> None:
        path = self.path
        if path.is_dir():
            raise InvalidArgument(
                f"{path} is a directory; name a file in it, for example {path / 'jobs.db'}", field="path"
            )
        if not path.parent.is_dir():
            raise InvalidArgument(
                f"the directory {path.parent} of the database does not exist; make it first", field="path"
            )
        if self._read_only and not path.exists():
            raise InvalidArgument(f"there is no database {path} to look at", field="path")
        effective = os.access in os.supports_effective_ids
        if not self._read_only and path.exists() and not os.access(path, os.W_OK, effective_ids=effective):
            raise StoreUnavailable(
                f"{path} is read-only for this process; give it write permission, or open it read_only"
            )

    async def _own(self) -> None:
        tries = max(1, round(self._lock_timeout / _LOCK_RETRY))
        for turn in range(tries):
            if self._lock.acquire():
                return
            if turn < tries - 1:
                await asyncio.sleep(_LOCK_RETRY)
        owner = self._lock.owner()
        raise StoreLocked(
            f"{self.path} is in use by {owner}; an SQLite schedule belongs to one process. Stop that process, or run "
            "one worker only (uvicorn --workers 4 starts four). Where several processes are to share a schedule, use "
            "Scheduler('postgresql://...')",
            owner=owner,
        )

    async def _connect(self, namespace: str, limits: Limits, lines: list[_Line[Any]]) -> None:
        writer = await self._line(lines)

        def begin(db: sqlite3.Connection) -> tuple[int, int]:
            return self._prepare(db, namespace)

        ns, _ = await writer.run(begin)
        writer.book = Ledger(writer.db, ns, self._clock, self._abilities, self._triggers, limits, self.caps.lease)
        writer.transact = _write if self._read_only else _writing_to(self.path)
        self._writer = writer
        for name in ("_looks", "_lists"):
            line: _Line[Pages] = await self._line(lines)
            line.book = Pages(line.db, ns, self._clock, self._abilities, self._triggers)
            line.transact = _read
            setattr(self, name, line)

    async def _line(self, lines: list[_Line[Any]]) -> _Line[Any]:
        import aiosqlite

        made: list[_Connection] = []

        def factory(*arguments: Any, **options: Any) -> _Connection:
            connection = _Connection(*arguments, **options)
            made.append(connection)
            return connection

        mode = "ro" if self._read_only else "rwc"
        try:
            connection = await aiosqlite.connect(
                f"{self.path.as_uri()}?mode={mode}",
                uri=True,
                timeout=self._busy_timeout,
                isolation_level=None,
                cached_statements=_STATEMENTS,
                factory=factory,
            )
        except sqlite3.Error as error:
            raise _away(self.path, error) from error
        line: _Line[Any] = _Line(self.path, connection, made[0])
        lines.append(line)
        return line

    def _prepare(self, db: sqlite3.Connection, namespace: str) -> tuple[int, int]:
        """Check the file, then bring it up to date; return the number of the schedule and the schema found."""
        version = _schema_version(db)
        newest = migrations("sqlite")[-1].version
        if version > newest:
            raise SchemaTooNew(
                f"{self.path} was written by a newer asched (schema {version}, this one knows {newest}); upgrade "
                "asched, or use another file"
            )
        if self._read_only:
            found = db.execute(SQL["schedule"], (namespace,)).fetchone() if version else None
            return (found[0] if found else 0), version
        [mode] = db.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreUnavailable(f"{self.path} cannot use a write-ahead log here; SQLite needs a local file system")
        db.execute(f"PRAGMA synchronous = {self._synchronous}")
        db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        room = int(shutil.disk_usage(self.path.parent).free * _LOG_SHARE / _PAGE)
        db.execute(f"PRAGMA wal_autocheckpoint = {max(1, min(_CHECKPOINT, room))}")
        db.execute("BEGIN IMMEDIATE")
        try:
            migrate(db, version)
            found = db.execute(SQL["schedule"], (namespace,)).fetchone()
            if found is None:
                found = db.execute(SQL["add_schedule"], (namespace, self._clock.now())).fetchone()
            [ns] = found
            db.execute(SQL["abandon_nodes"], (ns,))
        except BaseException:
            db.rollback()
            raise
        sqlite3.Connection.commit(db)
        return ns, newest

    async def _close(self) -> None:
        self._triggers.clear()
        try:
            # The last connection to close checkpoints, and that must be one that may write.
            for line in reversed(self._lines):
                await line.close()
        finally:
            self._lock.release()

    async def _cut(self) -> None:
        # aiosqlite's threads are no daemons: a program that dies with an open store would hang at its exit. A thread
        # answers to the loop, which must not be closed before it has.
        for line in self._lines:
            await line.stop()

    def _abandon(self) -> None:
        self._lines = []
        self._triggers.clear()
        self._lock.release()

    async def now(self) -> int:
        return self._clock.now()

    # Nodes

    async def register(self, info: NodeInfo) -> int:
        epoch, reaped = await self._write(lambda ledger: ledger.register(info))
        self._add_node(epoch, info)
        self._reaped += reaped
        return epoch

    async def announce(self, epoch: int, info: NodeInfo) -> None:
        known = self._nodes.get(epoch)
        if known is None:
            return
        await self._write(lambda ledger: ledger.announce(epoch, info))
        self._abilities.remove(known)
        self._abilities.add(info)
        self._nodes[epoch] = info

    async def heartbeat(self, epoch: int) -> Beat:
        return await self._write(lambda ledger: ledger.heartbeat(epoch))

    async def reap(self) -> list[Reaped]:
        """As the contract says. What the first node to register found left by earlier processes comes first."""
        reaped = await self._write(lambda ledger: ledger.reap())
        for dead in reaped:
            self._drop_node(dead.epoch)
        found, self._reaped = [*self._reaped, *reaped], []
        return found

    async def leave(self, epoch: int) -> list[Timer]:
        timers = await self._write(lambda ledger: ledger.leave(epoch))
        self._drop_node(epoch)
        self._hint_timers(timers)
        return timers

    def _add_node(self, epoch: int, info: NodeInfo) -> None:
        super()._add_node(epoch, info)
        self._abilities.add(info)

    def _drop_node(self, epoch: int) -> None:
        info = self._nodes.get(epoch)
        if info is not None:
            self._abilities.remove(info)
        super()._drop_node(epoch)

    async def nodes(self) -> list[NodeRecord]:
        return await self._looks.call(lambda pages: pages.nodes())

    # Jobs

    async def put_jobs(self, mode: PutMode, items: Sequence[PutRow]) -> list[Put]:
        named = list(map(PutItem._make, items))
        return await self._write(lambda ledger: ledger.put_jobs(mode, named))

    async def get_jobs(self, ids: Sequence[str]) -> list[JobRecord | None]:
        return await self._lists.call(lambda pages: pages.get_jobs(ids))

    async def list_jobs(self, which: JobFilter, limit: int, cursor: str | None = None) -> JobPage:
        return await self._lists.call(lambda pages: pages.list_jobs(which, limit, cursor))

    async def pause_jobs(self, which: Selection) -> tuple[list[JobRecord], list[Timer]]:
        return await self._write(lambda ledger: ledger.pause_jobs(which))

    async def resume_jobs(self, which: Selection) -> tuple[list[JobRecord], list[Timer]]:
        return await self._write(lambda ledger: ledger.resume_jobs(which))

    async def delete_jobs(self, which: Selection) -> Deleted:
        return await self._write(lambda ledger: ledger.delete_jobs(which))

    async def groups(self) -> list[tuple[str, int, int]]:
        return await self._lists.call(lambda pages: pages.groups())

    async def next_id(self) -> int:
        return await self._write(lambda ledger: ledger.next_id())

    async def generation(self, declarations: str) -> int:
        return await self._write(lambda ledger: ledger.generation(declarations))

    # Timers and claims

    async def window(self, epoch: int, until: int, limit: int) -> Window:
        info = self._nodes.get(epoch)
        if info is None:
            return Window([], None, self._clock.now())
        return await self._looks.call(lambda pages: pages.window(info, until, limit))

    async def claim(self, epoch: int, claims: Sequence[ClaimRow]) -> list[Claimed]:
        return await self._write(lambda ledger: ledger.claim(epoch, claims))

    async def finish(self, epoch: int, ends: Sequence[FinishRow]) -> tuple[list[bool], list[Timer]]:
        return await self._write(lambda ledger: ledger.finish(epoch, ends))

    async def release(self, epoch: int, tokens: Sequence[int]) -> list[Timer]:
        return await self._write(lambda ledger: ledger.release(epoch, tokens))

    async def claims(self, epoch: int) -> list[Live]:
        # An engine asks this to learn whether a store that was away is back. A full disk can be read.
        return await self._write(lambda ledger: ledger.claims_after_a_write(epoch))

    async def enqueue(self, items: Sequence[Enqueue]) -> list[Enqueued]:
        return await self._write(lambda ledger: ledger.enqueue(items))

    async def cancel_runs(self, run_ids: Sequence[int]) -> list[Cancelled]:
        return await self._write(lambda ledger: ledger.cancel_runs(run_ids))

    async def annotate(self, epoch: int, notes: Sequence[Note]) -> None:
        await self._write(lambda ledger: ledger.annotate(epoch, notes))

    # Records

    async def get_runs(self, run_ids: Sequence[int]) -> list[RunRecord | None]:
        return await self._lists.call(lambda pages: pages.get_runs(run_ids))

    async def list_runs(self, which: RunFilter, limit: int, cursor: str | None = None) -> RunPage:
        return await self._lists.call(lambda pages: pages.list_runs(which, limit, cursor))

    async def discard_dead_letters(self, run_ids: Sequence[int] | None) -> int:
        return await self._write(lambda ledger: ledger.discard_dead_letters(run_ids))

    async def totals(self, *, per_job: bool = True) -> Totals:
        return await self._lists.call(lambda pages: pages.totals(per_job))

    async def prune(self, limit: int) -> int:
        return await self._write(lambda ledger: ledger.prune(limit))

    async def _write(self, work: Callable[[Ledger], T]) -> T:
        if self._read_only:
            raise InvalidArgument(f"{self.path} was opened read_only; nothing can be changed", field="read_only")
        answer, runs, step = await self._writer.call(lambda ledger: ledger.call(work))
        self.commits = self._writer.turns
        self._tell_runs(runs)
        self._tell(step)
        return answer


_OPTIONS: dict[str, Callable[[str], object]] = {
    "synchronous": str.upper,
    "lock_timeout": float,
    "busy_timeout": float,
    "read_only": lambda text: {"1": True, "true": True, "0": False, "false": False}[text.lower()],
}


class _Connection(sqlite3.Connection):
    """A connection that does in ``commit()`` what was handed to it; see the head of this module."""

    piece: Callable[[], None] | None = None

    def commit(self) -> None:
        piece, self.piece = self.piece, None
        if piece is None:
            super().commit()
        else:
            piece()


class _Call(Generic[T]):
    """A call that waits for its answer."""

    __slots__ = ("answer", "error", "future", "work")

    def __init__(self, work: Callable[[Any], T], future: asyncio.Future[T]) -> None:
        self.work = work
        self.future = future
        self.answer: T
        self.error: BaseException | None = None


class _Line(Generic[Book]):
    """The way into the thread of one connection. All that waits goes in one piece, the next when it is back."""

    book: Book
    transact: Callable[[sqlite3.Connection, Book, Sequence[_Call[Any]]], None]

    def __init__(self, path: Path, connection: aiosqlite.Connection, db: _Connection) -> None:
        self.db = db
        self.turns = 0
        """Transactions that ended well."""
        self._path = path
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Call[Any]] = []
        self._flight: asyncio.Task[None] | None = None
        self._scheduled = False
        self._stopped = False

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run something in the thread while no call is there yet."""
        answers: list[T] = []

        def piece() -> None:
            answers.append(work(self.db))

        self.db.piece = piece
        offload.begin()
        try:
            await self._connection.commit()
        except sqlite3.Error as error:
            raise _away(self._path, error) from error
        finally:
            offload.end()
        return answers[0]

    def call(self, work: Callable[[Book], T]) -> asyncio.Future[T]:
        """Queue a call; its future has the answer once it is committed."""
        future: asyncio.Future[T] = self._loop.create_future()
        if self._stopped:
            future.set_exception(StoreUnavailable(f"{self._path} is closed"))
            return future
        self._waiting.append(_Call(work, future))
        # Not at once: what the loop calls in the same turn belongs into the same transaction.
        if self._flight is None and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._hand_over)
        return future

    def _hand_over(self) -> None:
        self._scheduled = False
        calls = [call for call in self._waiting if not call.future.done()]
        self._waiting.clear()
        if not calls:
            return
        self.db.piece = lambda: self._do(calls)
        offload.begin()
        self._flight = self._loop.create_task(self._connection.commit())
        self._flight.add_done_callback(lambda flight: self._come_back(flight, calls))

    def _do(self, calls: list[_Call[Any]]) -> None:
        """In the thread: do the calls in one transaction, or, if one of them fails, each in its own."""
        try:
            self.transact(self.db, self.book, calls)
        except Exception as error:  # noqa: BLE001 - whatever a call raises is its caller's, and no other's
            if len(calls) == 1:
                calls[0].error = error
                return
        else:
            self.turns += 1
            return
        for call in calls:
            self._do([call])

    def _come_back(self, flight: asyncio.Task[None], calls: list[_Call[Any]]) -> None:
        offload.end()
        self._flight = None
        lost = asyncio.CancelledError() if flight.cancelled() else flight.exception()
        for call in calls:
            if call.future.done():
                continue
            error = lost or call.error
            if error is None:
                call.future.set_result(call.answer)
            elif isinstance(error, asyncio.CancelledError):
                call.future.cancel()
            elif self._stopped and isinstance(error, ValueError):
                call.future.set_exception(StoreUnavailable(f"{self._path} is closed"))
            else:
                call.future.set_exception(_away(self._path, error))
        if self._waiting and not self._scheduled:
            self._hand_over()

    async def close(self) -> None:
        """Let what is under way end, and close the connection."""
        while self._flight is not None or self._scheduled:
            if self._flight is not None:
                await asyncio.wait([self._flight])
            await asyncio.sleep(0)
        # Of a thread that has ended aiosqlite would wait for ever.
        if not self._stopped:
            self._stopped = True
            await self._connection.close()

    async def stop(self) -> None:
        """End the thread after what it has to do, whether or not anybody waits for that."""
        self._stopped = True
        ended = self._connection.stop()
        if ended is not None:
            await asyncio.wait([ended])


def _writing_to(path: Path) -> Callable[[sqlite3.Connection, Ledger, Sequence[_Call[Any]]], None]:
    """Return what does calls in a transaction as long as the file under this path is the one that is open."""
    opened = os.stat(path)

    def write(db: sqlite3.Connection, ledger: Ledger, calls: Sequence[_Call[Any]]) -> None:
        try:
            there = os.stat(path)
            same = (there.st_dev, there.st_ino) == (opened.st_dev, opened.st_ino)
        except OSError:
            same = False
        if not same:
            # What is written to the open file would be acknowledged, and lost when it is closed.
            raise StoreUnavailable(
                f"{path} was removed or replaced while it was open; nothing of the call was kept. Stop the scheduler "
                "and start it again to go on with the file that is there now"
            )
        _write(db, ledger, calls)

    return write


def _write(db: sqlite3.Connection, ledger: Ledger, calls: Sequence[_Call[Any]]) -> None:
    try:
        db.execute("BEGIN IMMEDIATE")
        for call in calls:
            call.answer = call.work(ledger)
        sqlite3.Connection.commit(db)
    except BaseException as error:
        ledger.forget_all()
        # A full disk has rolled it back already.
        if db.in_transaction:
            db.rollback()
        if _code(error) == sqlite3.SQLITE_FULL:
            # What the log holds may fit into the database as it is; then the log begins anew in the room it has.
            with contextlib.suppress(sqlite3.Error):
                db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        raise


def _read(db: sqlite3.Connection, pages: Pages, calls: Sequence[_Call[Any]]) -> None:
    # One transaction is one snapshot: what a page is made of fits together.
    db.execute("BEGIN")
    try:
        for call in calls:
            call.answer = call.work(pages)
    finally:
        db.rollback()


# What SQLite says of a value or a statement. Anything else is a matter of the file, its disk or its other users.
_MISTAKES = frozenset(
    {
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_TOOBIG,
    }
)
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def _code(error: BaseException) -> int:
    # An extended code has the plain one in its lowest byte.
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def _away(path: Path, error: BaseException) -> BaseException:
    """Return the error of the contract for one of SQLite's."""
    if not isinstance(error, sqlite3.Error):
        return error
    code = _code(error)
    if code in _DAMAGED:
        return StoreUnavailable(
            f"{path} is damaged, or no SQLite database at all ({error}); nothing was written to it. Restore it from a "
            "backup, or name another file"
        )
    if code in _MISTAKES or isinstance(error, sqlite3.ProgrammingError):
        return error
    return StoreUnavailable(f"{path}: {error}; nothing of the call was kept")


def _schema_version(db: sqlite3.Connection) -> int:
    """Return the version of the schema, 0 where there is none. Reading it finds out whether the file is sound."""
    found = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'asched_schema'").fetchone()
    if found is None:
        return 0
    [version] = db.execute("SELECT version FROM asched_schema").fetchone()
    return int(version)


def migrate(db: sqlite3.Connection, version: int) -> None:
    """Apply what has been added to the schema since ``version``, inside the caller's transaction."""
    if version == 0:
        db.execute("CREATE TABLE IF NOT EXISTS asched_schema (version INTEGER NOT NULL) STRICT")
        db.execute("INSERT INTO asched_schema VALUES (0)")
    for migration in migrations("sqlite"):
        if migration.version <= version:
            continue
        # executescript() would commit what stands before it.
        statement = ""
        for line in migration.text.splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                db.execute(statement)
                statement = ""
        db.execute("UPDATE asched_schema SET version = ?", (migration.version,))
