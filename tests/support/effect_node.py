"""A node whose jobs leave effects: a program with a scheduler that is killed, stopped and cut off by tests.

Each job's function writes what it does to a table of effects, through a connection of its own that nobody disturbs,
and asks a sink that refuses a fence lower than the highest it has seen. Run as ``python -m support.effect_node`` with
:class:`Orders` as JSON. It says ``ready <epoch>`` once it runs and ends cleanly on SIGTERM.

With ``guarded`` false the engine forgets that its lease ends, which must be found out by whoever judges the effects.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any

import asyncpg
import orjson

import asched.scheduler
from asched import Scheduler, current_run
from asched.clock import SystemClock
from asched.engine import Engine
from asched.instants import SECOND
from asched.model import Overlap
from asched.store import Beat, Claim, Claimed, NodeInfo, Store
from asched.stores import open_url


@dataclass(frozen=True)
class Orders:
    """What a node is told at its start."""

    store: str
    effects: str
    """URL of the database with the effects."""
    schema: str
    """Of the effects."""
    name: str
    functions: tuple[str, ...] = ()
    """Those it has; all by default."""
    clock_offset: float = 0.0
    """Seconds by which its wall clock is wrong."""
    answers_take: float = 0.0
    """Seconds from the answer to a claim to its arrival: a slow network."""
    work: float = 0.3
    """Seconds that a job at work takes before its effect."""
    hang: float = 3.0
    """Seconds for which SIGUSR1 holds its event loop."""
    stop_timeout: float = 15.0
    guarded: bool = True
    fenced: bool = True
    """The sink looks at the fence."""

    def to_json(self) -> str:
        return orjson.dumps(asdict(self)).decode()


class OffsetClock(SystemClock):
    """A wall clock that is wrong by a constant."""

    def __init__(self, seconds: float) -> None:
        self._offset = round(seconds * SECOND)

    def now(self) -> int:
        return super().now() + self._offset


class UnguardedEngine(Engine):
    """An engine for which every lease is good for ever."""

    @property
    def _lease_ends(self) -> float:
        return float("inf")

    @_lease_ends.setter
    def _lease_ends(self, value: float) -> None:
        pass


class WatchedStore:
    """A store that notes how long the lease lasts, as one who does not trust the engine would."""

    def __init__(self, store: Store, answers_take: float) -> None:
        self._store = store
        self._answers_take = answers_take
        self.lease_until = float("inf")
        """On the clock that goes on during a suspend."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def register(self, info: NodeInfo) -> int:
        asked = NODE.clock.elapsed()
        epoch = await self._store.register(info)
        self.lease_until = asked + self._store.caps.lease
        return epoch

    async def heartbeat(self, epoch: int) -> Beat:
        asked = NODE.clock.elapsed()
        beat = await self._store.heartbeat(epoch)
        if beat.alive:
            self.lease_until = max(self.lease_until, asked + self._store.caps.lease)
        return beat

    async def claim(self, epoch: int, claims: Sequence[Claim]) -> list[Claimed]:
        answers = await self._store.claim(epoch, claims)
        if self._answers_take:
            await asyncio.sleep(self._answers_take)
        return answers


class _Node:
    """What the functions of this process share."""

    orders: Orders
    clock: SystemClock
    store: WatchedStore
    sink: asyncpg.Pool
    loop: asyncio.AbstractEventLoop


NODE = _Node()


async def leave_effect(late: bool | None = None) -> None:
    run = current_run()
    assert run is not None
    if late is None:
        late = is_late()
    # Runs of a job that may overlap have fences of their own: the later one is no reason to refuse the earlier.
    guarded = f"{run.job_id}@{run.planned}" if run.spec.policy.overlap is Overlap.ALLOW else run.job_id
    await NODE.sink.execute(
        f"SELECT {NODE.orders.schema}.leave_effect($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        run.job_id, guarded, run.run_id, run.planned, run.attempt, run.fence, run.token, NODE.orders.name,
        late, NODE.orders.fenced,
    )  # fmt: skip


def is_late() -> bool:
    """Tell whether this node's lease has run out: then nothing may begin any more."""
    return NODE.clock.elapsed() > NODE.store.lease_until


async def note() -> None:
    await leave_effect()


def note_in_thread() -> None:
    # The coroutine runs in the context of this thread, and so in its run.
    asyncio.run_coroutine_threadsafe(leave_effect(is_late()), NODE.loop).result()


async def work() -> None:
    late = is_late()
    await asyncio.sleep(NODE.orders.work)
    await leave_effect(late)


async def fail_now_and_then() -> None:
    await leave_effect()
    if random.random() < 0.2:
        raise RuntimeError("now and then")


FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function for function in (note, note_in_thread, work, fail_now_and_then)
}


def hang(signum: int, frame: FrameType | None) -> None:
    """Hold the event loop, as a job does that computes without a pause."""
    time.sleep(NODE.orders.hang)


async def main(orders: Orders) -> None:
    NODE.orders = orders
    NODE.clock = OffsetClock(orders.clock_offset)
    NODE.store = WatchedStore(open_url(orders.store), orders.answers_take)
    NODE.loop = asyncio.get_running_loop()
    if not orders.guarded:
        asched.scheduler.Engine = UnguardedEngine
    signal.signal(signal.SIGUSR1, hang)
    stopping = asyncio.Event()
    NODE.loop.add_signal_handler(signal.SIGTERM, stopping.set)
    async with asyncpg.create_pool(orders.effects, min_size=1, max_size=2) as NODE.sink:
        scheduler = Scheduler(NODE.store, clock=NODE.clock, history_limit=1_000_000)
        for name, function in FUNCTIONS.items():
            if not orders.functions or name in orders.functions:
                scheduler.register_function(function)
        await scheduler.start()
        engine = scheduler._engine
        assert engine is not None
        os.write(1, f"ready {engine.epoch}\n".encode())
        await stopping.wait()
        await scheduler.stop(timeout=orders.stop_timeout)


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    asyncio.run(main(Orders(**orjson.loads(sys.argv[1]))))
