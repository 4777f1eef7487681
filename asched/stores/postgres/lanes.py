"""Connections of a store: lanes for its calls, and one more for the hints between nodes.

Each kind of call has a lane of its own, made when it is first used and made again when it was lost: what the loop asks
(windows and claims), the ends of runs, the changes that a user asks for, the lists of the dashboard, and the heartbeat.
A slow list holds up no claim, and nothing holds up the heartbeat.

``NOTIFY`` makes every commit of the cluster wait in one queue, so it is never part of a transaction that does something
else: the messenger sends what has gathered, at once when it was quiet and then every 10 ms. Hints may be lost; each
node looks at the database once in ``poll`` seconds, and that alone is complete. A pooler that shares connections
between transactions loses all of them; the messenger finds that out, says so once, and the node then only polls.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeVar

from asched import offload
from asched.masking import masked
from asched.stores.following import ALL_NODES
from asched.stores.postgres.errors import is_fault, is_refusal, unavailable
from asched.stores.postgres.schedule import Connection

__all__ = ["Lane", "Messenger"]

log = logging.getLogger("asched")

T = TypeVar("T")

_HINT_EVERY = 0.01
_LISTEN_CHECK = 5.0
_LISTEN_AGAIN, _LISTEN_AGAIN_LIMIT = 0.1, 5.0


class Lane:
    """One connection, used by one call at a time; made when it is needed, dropped when anything went wrong with it."""

    def __init__(self, place: Callable[[], str], connect: Callable[[], Awaitable[Connection]]) -> None:
        self._place = place
        self._connect = connect
        self._connection: Connection | None = None
        self._lock = asyncio.Lock()

    async def run(
        self, work: Callable[[Connection], Awaitable[T]], passed_on: tuple[type[BaseException], ...] = ()
    ) -> T:
        """Do work on the connection.

        Args:
            passed_on: Errors that the caller deals with, although they are faults of the database.

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
            except passed_on:
                raise
            except Exception as error:
                # The driver has one class for a connection that it has given up and for a call that it cannot make.
                if not is_fault(error) and not (is_refusal(error) and self._is_lost()):
                    raise
                self.drop()
                raise unavailable(self._place(), error) from error
            except BaseException:
                # Cancelled in the middle: the connection may be in a transaction, or about to get an answer.
                self.drop()
                raise
            finally:
                offload.end()

    def _is_lost(self) -> bool:
        return self._connection is None or self._connection.is_closed()

    def drop(self) -> None:
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
                if not is_fault(error) and not is_refusal(error):
                    raise
            finally:
                offload.end()


class Messenger:
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
            if not is_fault(error) and not is_refusal(error):
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
                if not is_fault(error) and not is_refusal(error):
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
