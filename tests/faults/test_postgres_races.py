"""Nodes of one Postgres schedule that do everything at once: what the rows say fits together afterwards."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator

import asyncpg
import pytest
from support.clocks import SettableClock
from support.nodes import info, spec
from support.postgres import DSN, Require, drop, require_postgres

from asched.clock import SystemClock
from asched.model import CatchUp, Origin, Outcome, Overlap, Policy, RunStatus
from asched.planner import plan
from asched.store import TOKEN_BITS, Claim, Enqueue, Finish, Grant, Limits, Note, PutItem, PutMode, RunFilter, Selection
from asched.stores.postgres import PostgresStore
from asched.triggers import Interval

pytestmark = [pytest.mark.faults, pytest.mark.service]

CLOCK = SystemClock()
QUICK = Interval(seconds=0.05, anchor=None).bound(0, "UTC")


class Racer:
    """A node with connections of its own."""

    def __init__(self, store: PostgresStore, epoch: int) -> None:
        self.store = store
        self.epoch = epoch
        self.held: list[int] = []
        self.granted: list[tuple[str, int]] = []
        self._count = 0

    def token(self) -> int:
        self._count += 1
        return self.epoch << TOKEN_BITS | self._count

    async def claims(self) -> list[Claim]:
        now = CLOCK.now()
        window = await self.store.window(self.epoch, now, 200)
        return [Claim._make(plan(timer, self.token(), now, 0, random.random)) for timer in window.timers]

    async def claim(self, claims: list[Claim]) -> None:
        for (grant, token, *_), claim in zip(await self.store.claim(self.epoch, claims), claims, strict=True):
            if grant is Grant.STARTED:
                self.held.append(token)
                self.granted.append((claim.timer.spec.id, claim.planned))


@pytest.fixture
async def racers(require: Require) -> AsyncIterator[list[Racer]]:
    require_postgres(require)
    schema = f"asched_races_{secrets.token_hex(4)}"
    made: list[Racer] = []
    for number in range(3):
        store = PostgresStore(DSN, schema=schema, lease=30.0)
        await store.open("races", Limits(history=200, dead_letters=5, kept_per_job=3), SettableClock())
        made.append(Racer(store, await store.register(info(f"node-{number}"))))
    yield made
    for racer in made:
        await racer.store.close()
    drop(schema)


async def add(racer: Racer, count: int, overlap: Overlap, catch_up: CatchUp = CatchUp.LATEST) -> None:
    now = CLOCK.now()
    policy = Policy(overlap=overlap, catch_up=catch_up, catch_up_window=60.0)
    items = [PutItem(spec(f"{overlap}-{number}", policy=policy, trigger=QUICK), now, now) for number in range(count)]
    await racer.store.put_jobs(PutMode.INSERT, items)


async def test_of_nodes_that_claim_the_same_timers_at_once_exactly_one_gets_each(racers: list[Racer]) -> None:
    await add(racers[0], 400, Overlap.SKIP)
    claims = [await racer.claims() for racer in racers]
    # The same order, the opposite one, and none: whoever comes second must not wait in a circle.
    claims[1].reverse()
    random.shuffle(claims[2])

    await asyncio.gather(*(racer.claim(own) for racer, own in zip(racers, claims, strict=True)))

    granted = Counter(job for racer in racers for job, _ in racer.granted)
    assert len(granted) == 200
    assert set(granted.values()) == {1}


async def test_nodes_that_declare_the_same_jobs_at_once_store_each_once(racers: list[Racer]) -> None:
    now = CLOCK.now()
    items = [PutItem(spec(f"job-{number}", origin=Origin.DECLARED, declaration="v1"), now, now) for number in range(50)]

    answers = await asyncio.gather(
        *(racer.store.put_jobs(PutMode.DECLARE, random.sample(items, len(items))) for racer in racers)
    )

    serials = {put.record.serial for puts in answers for put in puts if put.record is not None}
    assert len(serials) == 50
    assert (await racers[0].store.totals()).jobs == 50


async def test_an_id_that_goes_to_a_renamed_job_and_to_a_new_one_at_once_is_given_once(
    racers: list[Racer],
) -> None:
    first, second = racers[0].store, racers[1].store
    for number in range(20):
        old, new = (spec(f"{word}-{number}", origin=Origin.DECLARED, declaration=word) for word in ("old", "new"))
        await first.put_jobs(PutMode.DECLARE, [PutItem(old, None, None)])

        await asyncio.gather(
            first.put_jobs(PutMode.DECLARE, [PutItem(new, None, None, aliases=(old.id,))]),
            second.put_jobs(PutMode.KEEP, [PutItem(new, None, None)]),
        )

    found = await first.get_jobs([f"new-{number}" for number in range(20)])
    assert None not in found


async def storm(racers: list[Racer], seed: int, seconds: float) -> None:
    """Let every node do at random what nodes and operators do, side by side."""
    end = asyncio.get_running_loop().time() + seconds

    async def claiming(racer: Racer) -> None:
        while asyncio.get_running_loop().time() < end:
            await racer.claim(await racer.claims())

    async def ending(racer: Racer, chance: random.Random) -> None:
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0)
            count = chance.randint(1, 30)
            tokens, racer.held = racer.held[:count], racer.held[count:]
            now = CLOCK.now()
            ends = []
            for token in tokens:
                status = chance.choices(
                    [RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.RETRYING, RunStatus.PENDING], [20, 1, 2, 1]
                )[0]
                ends.append(Finish(token, status, Outcome.OK, now, now, due=now + 1000, counts=status != "pending"))
            accepted, _ = await racer.store.finish(racer.epoch, ends)
            assert False not in accepted
            racer.held += [token for token, kept in zip(tokens, accepted, strict=True) if kept is None]

    async def operating(racer: Racer, chance: random.Random) -> None:
        store = racer.store
        while asyncio.get_running_loop().time() < end:
            ids = tuple(f"{chance.choice(list(Overlap))}-{chance.randrange(20)}" for _ in range(3))
            match chance.randrange(8):
                case 0:
                    await store.pause_jobs(Selection(ids=ids))
                case 1 | 2:
                    await store.resume_jobs(Selection(ids=tuple(f"{o}-{n}" for o in Overlap for n in range(20))))
                case 3:
                    await store.enqueue([Enqueue(job_id, racer.token() | 1 << 30) for job_id in ids])
                case 4:
                    page, _ = await store.list_runs(RunFilter(), 50)
                    await store.cancel_runs([record.id for record in page][:5])
                case 5:
                    await store.annotate(racer.epoch, [Note(token, 1, 2, ("line",)) for token in racer.held[:20]])
                case 6:
                    records = [record for record in await store.get_jobs(ids) if record is not None]
                    items = [
                        PutItem(record.spec.replace(name=str(chance.random())), None, None, replan=False)
                        for record in {record.spec.id: record for record in records}.values()
                    ]
                    await store.put_jobs(PutMode.UPDATE, items)
                case _:
                    await store.prune(100)
                    await store.totals()

    chance = random.Random(seed)
    async with asyncio.TaskGroup() as group:
        for racer in racers:
            group.create_task(claiming(racer))
            group.create_task(ending(racer, random.Random(chance.random())))
            group.create_task(operating(racer, random.Random(chance.random())))


async def contradictions(schema: str) -> dict[str, int]:
    """Count what must not be: rows that say different things of one fact."""
    connection = await asyncpg.connect(DSN, server_settings={"search_path": schema})
    found = {}
    for name, query in CONTRADICTIONS.items():
        found[name] = await connection.fetchval(f"SELECT count(*) FROM ({query}) q")
    await connection.close()
    return found


CONTRADICTIONS = {
    "active runs miscounted": (
        "SELECT 1 FROM timer t WHERE active <> (SELECT count(*) FROM run r WHERE r.job = t.job)"
    ),
    "queued flag wrong": (
        "SELECT 1 FROM timer t WHERE queued <> EXISTS (SELECT 1 FROM run r WHERE r.job = t.job AND r.queued)"
    ),
    "a queued run that nothing will free": (
        "SELECT 1 FROM run r WHERE queued AND (SELECT count(*) FROM run o WHERE o.job = r.job) = 1"
    ),
    "an instant with two runs": (
        "SELECT job, planned FROM (SELECT job, planned, manual FROM run UNION ALL SELECT job, planned, manual "
        "FROM history WHERE status NOT IN ('skipped', 'missed')) a WHERE NOT manual GROUP BY 1, 2 HAVING count(*) > 1"
    ),
    "a run that is open and ended": "SELECT 1 FROM run JOIN history USING (id)",
    "held though its job is not paused": (
        "SELECT 1 FROM run r JOIN timer t USING (job) WHERE r.token IS NULL AND r.held <> (t.paused AND NOT r.manual)"
    ),
    "skip with two runs": (
        "SELECT 1 FROM timer t JOIN job j ON j.serial = t.job WHERE j.id LIKE 'skip-%' AND t.active > 1"
    ),
    "a timer without its job": "SELECT 1 FROM timer t WHERE NOT EXISTS (SELECT 1 FROM job j WHERE j.serial = t.job)",
}


async def calm_down(racers: list[Racer]) -> None:
    for racer in racers:
        now = CLOCK.now()
        held = [live.token for live in await racer.store.claims(racer.epoch)]
        await racer.store.finish(
            racer.epoch, [Finish(token, RunStatus.SUCCEEDED, Outcome.OK, now, now) for token in held]
        )


@pytest.mark.parametrize("seconds", [4, pytest.param(60, marks=pytest.mark.long)])
async def test_whatever_is_done_at_once_the_rows_fit_together(racers: list[Racer], seconds: float) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - repeats the run
    for overlap in Overlap:
        await add(racers[0], 20, overlap)

    await storm(racers, seed, seconds)

    wrong = {name: count for name, count in (await contradictions(racers[0].store.schema)).items() if count}
    assert wrong == {}
    await calm_down(racers)
    assert (await racers[0].store.totals()).runs > 10 * seconds
    assert await racers[0].store.claims(racers[0].epoch) == []
