"""The way between the nodes and PostgreSQL fails: connections end, fall silent, or lose what the server answered."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from support.conductor import (
    LEASE,
    Conductor,
    NodeProcess,
    Piece,
    assert_all_is_well,
    nodes_playing,
    play,
    store_at,
)
from support.place import Place
from support.proxy import Proxy, proxy_to

from asched import Once
from asched.instants import SECOND, to_datetime
from asched.model import JobSpec
from asched.store import PutItem, PutMode

pytestmark = [
    pytest.mark.faults,
    pytest.mark.service,
    pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals"),
]

PIECE = Piece(jobs=60, seconds=10)
POLL = 1.0


@pytest.fixture
async def proxies(place: Place) -> AsyncIterator[list[Proxy]]:
    async with proxy_to(*place.address) as a, proxy_to(*place.address) as b, proxy_to(*place.address) as c:
        yield [a, b, c]


def through(place: Place, proxies: list[Proxy], **options: object) -> list[dict[str, object]]:
    return [{"store": place.through(proxy.port, **options)} for proxy in proxies]


def index_of(node: NodeProcess) -> int:
    return int(node.orders.name.removeprefix("node-"))


async def test_sessions_that_the_server_ends_at_random_cost_nothing(place: Place, tmp_path: Path) -> None:
    ended = 0

    async def end_sessions(conductor: Conductor, node: NodeProcess) -> None:
        nonlocal ended
        ended += await terminate(place, f"application_name = 'asched' AND query ~ '{place.schema}' AND random() < 0.3")

    verdict, conductor = await play(PIECE, place.effects, tmp_path, place.url(), {end_sessions: 1})

    assert_all_is_well(verdict, conductor)
    assert ended > 10
    assert verdict.ran > 400


async def test_connections_that_are_reset_at_random_cost_nothing(
    place: Place, proxies: list[Proxy], tmp_path: Path
) -> None:
    async def reset(conductor: Conductor, node: NodeProcess) -> None:
        proxies[index_of(node)].drop()

    verdict, conductor = await play(PIECE, place.effects, tmp_path, place.url(), {reset: 1}, through(place, proxies))

    assert_all_is_well(verdict, conductor)
    assert verdict.ran > 400


async def test_answers_that_are_lost_after_the_server_has_done_the_work_cost_nothing(
    place: Place, proxies: list[Proxy], tmp_path: Path
) -> None:
    async def swallow(conductor: Conductor, node: NodeProcess) -> None:
        proxy = proxies[index_of(node)]
        proxy.swallow()
        await asyncio.sleep(0.1)
        proxy.drop()
        proxy.heal()

    verdict, conductor = await play(PIECE, place.effects, tmp_path, place.url(), {swallow: 1}, through(place, proxies))

    assert_all_is_well(verdict, conductor)
    assert sum(proxy.swallowed for proxy in proxies) > 1_000
    assert verdict.ran > 400
    # Nobody was taken for dead, so each claim whose answer was lost was given back by its own node, unstarted.
    assert verdict.rescued == 0


async def test_a_node_that_is_cut_off_starts_nothing_and_the_others_go_on(
    place: Place, proxies: list[Proxy], tmp_path: Path
) -> None:
    async with nodes_playing(
        Piece(jobs=60, seconds=9), place.effects, tmp_path, 0, place.url(), through(place, proxies)
    ) as conductor:
        lonely = conductor.nodes[0]
        await asyncio.sleep(3)
        cut = await clock(place)
        proxies[0].stall()
        await asyncio.sleep(2 * LEASE)
        healed = await clock(place)
        proxies[0].heal()
        await conductor.come_to_an_end()
        verdict = await conductor.judge()

    assert_all_is_well(verdict, conductor)
    assert verdict.late_starts == 0
    of_lonely = f"node = '{lonely.orders.name}'"
    # What had begun before ends; then there is nothing until the node is back.
    alone = f"at BETWEEN {cut + int(1.3 * LEASE * SECOND)} AND {healed}"
    assert await place.effects.count(f"{of_lonely} AND {alone}") == 0
    assert await place.effects.count(f"NOT {of_lonely} AND {alone}") > 20
    assert await place.effects.count(f"{of_lonely} AND token >> 32 > {lonely.epoch}") > 0


async def test_a_server_that_falls_silent_is_waited_for(place: Place, proxies: list[Proxy], tmp_path: Path) -> None:
    async with nodes_playing(
        Piece(jobs=60, seconds=9), place.effects, tmp_path, 0, place.url(), through(place, proxies)
    ) as conductor:
        await asyncio.sleep(3)
        silent = await clock(place)
        for proxy in proxies:
            proxy.stall()
        await asyncio.sleep(2 * LEASE)
        healed = await clock(place)
        for proxy in proxies:
            proxy.heal()
        await conductor.come_to_an_end()
        verdict = await conductor.judge()

    assert_all_is_well(verdict, conductor)
    assert verdict.late_starts == 0
    assert await place.effects.count(f"at BETWEEN {silent + int(1.3 * LEASE * SECOND)} AND {healed}") == 0
    assert await place.effects.count(f"at > {healed}") > 60


async def test_a_claim_that_is_committed_after_its_connection_was_given_up_is_given_back(
    place: Place, proxies: list[Proxy], tmp_path: Path
) -> None:
    # The server does not notice that its client is gone while it waits for a lock: the claim comes true when nobody
    # asks for it any more.
    async with nodes_playing(
        Piece(jobs=20, seconds=9), place.effects, tmp_path, 0, place.url(), through(place, proxies[:1])
    ) as conductor:
        blocker = await asyncpg.connect(place.server)
        await asyncio.sleep(3)
        async with blocker.transaction():
            await blocker.execute(f"LOCK TABLE {place.schema}.run IN SHARE MODE")
            await asyncio.sleep(0.5)
            proxies[0].drop()
            await asyncio.sleep(0.5)
        await blocker.close()
        await conductor.come_to_an_end()
        verdict = await conductor.judge()

    assert_all_is_well(verdict, conductor)
    assert verdict.rescued == 0


async def test_a_finish_whose_answer_was_lost_is_recorded_once(
    place: Place, proxies: list[Proxy], tmp_path: Path
) -> None:
    # One node, so that nobody else could end its runs, and jobs that are all due at once.
    async with nodes_playing(
        Piece(jobs=16, seconds=4, step=4), place.effects, tmp_path, 0, place.url(), through(place, proxies[:1])
    ) as conductor:
        while not await place.effects.count():
            proxies[0].swallow()
            await asyncio.sleep(0.05)
            proxies[0].drop()
            proxies[0].heal()
            await asyncio.sleep(0.3)
        await conductor.come_to_an_end()
        verdict = await conductor.judge()

    assert_all_is_well(verdict, conductor)
    assert verdict.ran_twice == 0


@pytest.mark.parametrize("lost", ["no listener", "ended listeners"])
async def test_a_hint_that_is_lost_costs_one_poll(place: Place, tmp_path: Path, lost: str) -> None:
    url = place.url(listen="off") if lost == "no listener" else place.url()
    delays: list[float] = []
    async with nodes_playing(Piece(jobs=0), place.effects, tmp_path, 0, url, ({},)), store_at(url) as store:
        for number in range(5):
            if lost == "ended listeners":
                await terminate(place, f"query ~* '^ *listen' AND query ~ '{place.schema}'")
            due = await store.now() + 200_000
            spec = JobSpec(f"job-{number}", f"job-{number}", "support.effect_node:note", Once(to_datetime(due)))
            await store.put_jobs(PutMode.INSERT, [PutItem(spec, due, due)])
            store.wake(0, due)
            await place.effects.reach(1, f"job = '{spec.id}'")
            found = await place.effects.rows(f"SELECT at FROM effect WHERE job = '{spec.id}'")
            delays.append((found[0]["at"] - due) / SECOND)

    assert max(delays) < 2 * POLL, delays


async def terminate(place: Place, condition: str) -> int:
    connection = await asyncpg.connect(place.server)
    try:
        found: int = await connection.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            f"WHERE pid <> pg_backend_pid() AND {condition}"
        )
        return found
    finally:
        await connection.close()


async def clock(place: Place) -> int:
    [row] = await place.effects.rows("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now")
    now: int = row["now"]
    return now
