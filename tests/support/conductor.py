"""Starts nodes, disturbs them at random, lets them come to an end, and has their effects judged.

The disturbances follow a seed; ``ASCHED_SEED`` repeats one. When exactly a blow falls depends on the machine, so a
seed repeats the kind of a run and not every microsecond of it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from support.effect_node import FUNCTIONS, Orders, fail_now_and_then, note, note_in_thread, work
from support.effects import Effects, Plan, Verdict, all_jobs, all_runs
from support.processes import until

from asched import Backoff, Interval, Scheduler
from asched.clock import SystemClock
from asched.instants import SECOND, to_datetime
from asched.store import Limits, PutItem, PutMode, Store
from asched.stores import open_url

log = logging.getLogger(__name__)

LEASE = 1.5
ENOUGH = 0.3
"""The share of all occurrences that must have run for a play to mean something. Nodes that a busy machine lets wait
fold those that have passed meanwhile, and those are accounted for too."""
_TESTS = Path(__file__).parents[1]
_HEAD_START = 1.0
_FAILED = "a part of the scheduler failed"
_UNLIMITED = Limits(history=10**9, kept_per_job=10**9)


def make_seed() -> int:
    """Return a new seed, or the one to repeat; it is in the log either way."""
    seed = int(os.environ.get("ASCHED_SEED") or random.randrange(10**6))
    log.info("seed %d", seed)
    return seed


class NodeProcess:
    """A process of :mod:`support.effect_node` that is started again under the same name."""

    def __init__(self, orders: Orders, directory: Path) -> None:
        self.orders = orders
        self.log = directory / f"{orders.name}.log"
        self.epoch = 0
        self.lives = 0
        self.busy = False
        """Something befalls it, and nothing else should."""
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def lives_now(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def text(self) -> str:
        """What it logged, in all its lives."""
        return self.log.read_text() if self.log.exists() else ""

    async def start(self) -> None:
        self.lives += 1
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "support.effect_node", self.orders.to_json(),
                stdout=asyncio.subprocess.PIPE, stderr=output,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_TESTS), os.environ.get("PYTHONPATH", "")])},
            )  # fmt: skip
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            line = await self._process.stdout.readline()
        assert line.startswith(b"ready "), f"{self.orders.name} did not start:\n{self.text()[-4000:]}"
        self.epoch = int(line.split()[1])

    async def kill(self) -> None:
        """As the kernel does, or a power cut: nothing is said."""
        if self.lives_now:
            self.send(signal.SIGKILL)
            await self._gone()

    def freeze(self) -> None:
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self.send(signal.SIGCONT)

    async def end(self, patience: float = 60.0) -> None:
        """Let it end as it is meant to, which must not take longer than this."""
        self.send(signal.SIGTERM)
        async with asyncio.timeout(patience):
            code = await self._gone()
        assert code == 0, f"{self.orders.name} ended with {code}:\n{self.text()[-4000:]}"

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def _gone(self) -> int:
        assert self._process is not None
        code = await self._process.wait()
        # The pipe's transport is closed by what it reads at its end.
        assert self._process.stdout is not None
        await self._process.stdout.read()
        return code


@dataclass(frozen=True)
class Piece:
    """What is played: so many jobs, each once a ``step``, for so long. Seconds."""

    jobs: int = 100
    seconds: float = 10.0
    step: float = 1.0


class Conductor:
    """Three nodes on one schedule, their jobs, and what befalls them."""

    def __init__(
        self, piece: Piece, effects: Effects, directory: Path, seed: int, url: str, orders: Sequence[Orders]
    ) -> None:
        self.piece = piece
        self.effects = effects
        self.nodes = [NodeProcess(each, directory) for each in orders]
        self.plans: list[Plan] = []
        self.done: Counter[str] = Counter()
        """What befell them: kind of act -> how often."""
        self.seed = seed
        self.chance = random.Random(seed)
        self._url = url

    async def begin(self) -> None:
        """Store the jobs in one step, for nodes that run already; the first is due in a moment.

        Stored before the nodes are there, or one by one, the jobs come due too early on a busy machine: then most
        instants have passed before anything runs.
        """
        async with store_at(self._url) as store:
            # On the store's clock, which is not that of a node.
            first = await store.now() + round(_HEAD_START * SECOND)
            items = await self._drafts(first)
            await store.put_jobs(PutMode.INSERT, items)
            store.wake(0, first)

    async def _drafts(self, begin: int) -> list[PutItem]:
        """Make the jobs as a scheduler makes them, and their plans."""
        scheduler = Scheduler()
        for function in FUNCTIONS.values():
            scheduler.register_function(function)
        step = round(self.piece.step * SECOND)
        instants = round(self.piece.seconds / self.piece.step)
        async with scheduler:
            for number in range(self.piece.jobs):
                function, options = _PARTS[number % len(_PARTS)]
                name = f"{function.__name__}-{number}"
                first = begin + number * step // self.piece.jobs
                await scheduler.add_job(
                    function, Interval(seconds=self.piece.step), id=name, max_retries=1_000, paused=True,
                    backoff=Backoff(first=0.1, limit=0.3), starting=to_datetime(first),
                    until=to_datetime(first + (instants - 1) * step), **options,
                )  # fmt: skip
                lost = options.get("on_crash") == "lost"
                self.plans.append(Plan(name, function.__name__, lost, first, step, instants))
            records = await scheduler.store.get_jobs([plan.job for plan in self.plans])
        return [
            PutItem(record.spec, plan.first, plan.first)
            for record, plan in zip(records, self.plans, strict=True)
            if record is not None
        ]

    async def disturb(self, acts: Mapping[Act, int], seconds: float, pause: tuple[float, float] = (0.3, 1.2)) -> None:
        """Begin one act after the other, each as often as its weight says, for so long."""
        kinds, weights = list(acts), list(acts.values())
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        async with asyncio.TaskGroup() as group:
            while loop.time() < end:
                await asyncio.sleep(self.chance.uniform(*pause))
                free = [node for node in self.nodes if not node.busy]
                # One node is left alone: with none there would be less to disturb, not more.
                if len(free) > 1:
                    [act] = self.chance.choices(kinds, weights)
                    self.done[act.__name__] += 1
                    group.create_task(self._befall(self.chance.choice(free), act))

    async def _befall(self, node: NodeProcess, act: Act) -> None:
        node.busy = True
        try:
            await act(self, node)
        finally:
            node.busy = False

    async def come_to_an_end(self, patience: float = 120.0) -> None:
        """Wait until nothing is planned and nothing runs any more; then the nodes end."""
        async with store_at(self._url) as store:

            async def is_over() -> bool:
                return not any(job.due is not None or job.active for job in await all_jobs(store))

            try:
                await until(is_over, patience)
            except TimeoutError:
                pass  # the judgement says what is missing
        await asyncio.gather(*(node.end() for node in self.nodes if node.lives_now))

    async def judge(self) -> Verdict:
        async with store_at(self._url) as store:
            verdict = await self.effects.judge(self.plans, store)
            for run in await all_runs(store):
                if not run.status.final:
                    log.warning("left open: %s", run)
        fates = await self.effects.rows(
            "SELECT status, reason, sum(instants)::int AS instants FROM record GROUP BY status, reason ORDER BY 1, 2"
        )
        [lag] = await self.effects.rows(
            "SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY at - planned) AS us "
            "FROM effect WHERE attempt = 1 AND job NOT LIKE 'work%'"
        )
        log.info("%s; start to effect %s us at 50 and 99 %%", [tuple(row) for row in fates], lag["us"])
        log.info("seed %d: %s; %s", self.seed, dict(self.done), verdict)
        return verdict

    def texts(self) -> str:
        return "".join(node.text() for node in self.nodes)


Act = Callable[[Conductor, NodeProcess], Awaitable[None]]
"""What befalls a node, to the end."""


async def kill(conductor: Conductor, node: NodeProcess) -> None:
    wait = conductor.chance.uniform(0.1, 1.0)
    await node.kill()
    await asyncio.sleep(wait)
    await node.start()


async def freeze(conductor: Conductor, node: NodeProcess) -> None:
    """Stop it for less than its lease."""
    await _freeze(node, LEASE * conductor.chance.uniform(0.1, 0.6))


async def freeze_past_lease(conductor: Conductor, node: NodeProcess) -> None:
    await _freeze(node, LEASE * conductor.chance.uniform(2.0, 2.8))


async def _freeze(node: NodeProcess, seconds: float) -> None:
    node.freeze()
    await asyncio.sleep(seconds)
    node.thaw()


async def hang(conductor: Conductor, node: NodeProcess) -> None:
    """Let a job hold its event loop past the lease."""
    node.send(signal.SIGUSR1)
    await asyncio.sleep(node.orders.hang)


async def restart(conductor: Conductor, node: NodeProcess) -> None:
    await node.end()
    await node.start()


_PARTS: list[tuple[Callable[..., object], dict[str, str]]] = [
    (note, {"overlap": "allow"}),
    (note_in_thread, {"overlap": "allow"}),
    (work, {}),
    (fail_now_and_then, {}),
    (note, {"on_crash": "lost"}),
    (note_in_thread, {}),
    (work, {"on_crash": "lost"}),
    (note, {}),
]
"""Functions and policies of the jobs, one after the other."""


@asynccontextmanager
async def store_at(url: str) -> AsyncIterator[Store]:
    """The store, to look at and to change without a scheduler."""
    store = open_url(url)
    await store.open("default", _UNLIMITED, SystemClock())
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def nodes_playing(
    piece: Piece,
    effects: Effects,
    directory: Path,
    seed: int,
    url: str,
    each: Sequence[Mapping[str, object]] = ({}, {}, {}),
    **orders: object,
) -> AsyncIterator[Conductor]:
    """Nodes that run, and their jobs, which begin in a moment. What is left of the nodes is killed.

    Args:
        url: Of the store.
        each: What is different for each node, another way to the store for example.
        orders: What is different for all.
    """
    base = Orders(url, effects.url, effects.schema, "")
    told = [replace(base, name=f"node-{n}", **{**orders, **own}) for n, own in enumerate(each)]
    conductor = Conductor(piece, effects, directory, seed, url, told)
    try:
        async with store_at(url):
            pass  # makes the schema, which otherwise each node would
        await asyncio.gather(*(node.start() for node in conductor.nodes))
        await conductor.begin()
        yield conductor
    finally:
        await asyncio.gather(*(node.kill() for node in conductor.nodes))


async def play(
    piece: Piece,
    effects: Effects,
    directory: Path,
    url: str,
    acts: Mapping[Act, int],
    each: Sequence[Mapping[str, object]] = ({}, {}, {}),
    **orders: object,
) -> tuple[Verdict, Conductor]:
    """Let nodes run the piece while they are disturbed; return what is to be said of it."""
    async with nodes_playing(piece, effects, directory, make_seed(), url, each, **orders) as conductor:
        await conductor.disturb(acts, piece.seconds)
        await conductor.come_to_an_end()
        return await conductor.judge(), conductor


def assert_all_is_well(verdict: Verdict, conductor: Conductor) -> None:
    where = f"seed {conductor.seed}: {verdict}"
    assert verdict.broken == {}, where
    assert _FAILED not in conductor.texts(), where
    assert "Task exception was never retrieved" not in conductor.texts(), where
