"""The way between the nodes and PostgreSQL fails: connections end, fall silent, or lose what the server answered."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest
from support.conductor import (
    ENOUGH,
    LEASE,
    Act,
    Conductor,
    NodeProcess,
    Piece,
    assert_all_is_well,
    freeze,
    freeze_past_lease,
    hang,
    kill,
    nodes_playing,
    play,
    restart,
    store_at,
)
from support.place import Place
from support.processes import until
from support.proxy import Proxy, proxy_to

from asched import Once
from asched.instants import SECOND, to_datetime
from asched.model import JobSpec
from asched.store import TOKEN_BITS, PutItem, PutMode

pytestmark = [
    pytest.mark.faults,
    pytest.mark.service,
    pytest.mark.xdist_group(
        "postgres_connections"
    ),  # a server has a hundred connections, and each of these tests takes twenty
    pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals"),
]

PIECE = Piece(jobs=60, seconds=10)


class Network:
    """Each node's way to the server, and what befalls it."""

    def __init__(self, place: Place, proxies: Sequence[Proxy]) -> None:
        self.place = place
        self.proxies = proxies
        self.sessions_ended = 0

    def ways(self, nodes: int = 3) -> list[dict[str, object]]:
        """What is different for each node: the port by which it goes to the server."""
        options = {"application_name": self.place.schema}
        return [{"store": self.place.through(proxy.port, **options)} for proxy in self.proxies[:nodes]]

    def of(self, node: NodeProcess) -> Proxy:
        return self.proxies[int(node.orders.name.removeprefix("node-"))]

    async def end_sessions(self, conductor: Conductor, node: NodeProcess) -> None:
        """End some of the sessions of all nodes, as an administrator does."""
        mine = f"application_name = '{self.place.schema}'"
        self.sessions_ended += await terminate(self.place, f"{mine} AND random() < 0.3")

    async def reset(self, conductor: Conductor, node: NodeProcess) -> None:
        self.of(node).drop()

    async def swallow(self, conductor: Conductor, node: NodeProcess) -> None:
        """Let the server do what it is asked and lose its answers, then the connections."""
        proxy = self.of(node)
        proxy.swallow()
        await asyncio.sleep(0.2)
        proxy.drop()
        proxy.heal()

    async def cut_off(self, conductor: Conductor, node: NodeProcess) -> None:
        """Let nothing pass for longer than the lease."""
        self.of(node).stall()
        await asyncio.sleep(LEASE * conductor.chance.uniform(1.5, 2.5))
        self.of(node).heal()


@pytest.fixture
async def network(place: Place) -> AsyncIterator[Network]:
    async with proxy_to(*place.address) as a, proxy_to(*place.address) as b, proxy_to(*place.address) as c:
        yield Network(place, [a, b, c])


async def test_sessions_that_the_server_ends_at_random_cost_nothing(
    place: Place, network: Network, tmp_path: Path
) -> None:
    verdict, conductor = await play(
        PIECE, place.effects, tmp_path, place.url(), {network.end_sessions: 1}, network.ways()
    )

    assert_all_is_well(verdict, conductor)
    assert network.sessions_ended > 10
    assert verdict.ran > ENOUGH * verdict.occurrences


async def test_connections_that_are_reset_at_random_cost_nothing(
    place: Place, network: Network, tmp_path: Path
) -> None:
    verdict, conductor = await play(PIECE, place.effects, tmp_path, place.url(), {network.reset: 1}, network.ways())

    assert_all_is_well(verdict, conductor)
    assert conductor.done["reset"] > 5
    assert verdict.ran > ENOUGH * verdict.occurrences


async def test_answers_that_are_lost_after_the_server_has_done_the_work_cost_nothing(
    place: Place, network: Network, tmp_path: Path
) -> None:
    verdict, conductor = await play(PIECE, place.effects, tmp_path, place.url(), {network.swallow: 1}, network.ways())

    assert_all_is_well(verdict, conductor)
    assert sum(proxy.swallowed for proxy in network.proxies) > 200
    assert verdict.ran > ENOUGH * verdict.occurrences


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_ten_thousand_occurrences_survive_everything_at_once(
    place: Place, network: Network, tmp_path: Path
) -> None:
    acts: dict[Act, int] = {
        kill: 3, freeze: 1, freeze_past_lease: 2, hang: 1, restart: 1,
        network.end_sessions: 2, network.reset: 2, network.swallow: 2, network.cut_off: 2,
    }  # fmt: skip

    verdict, conductor = await play(
        Piece(jobs=150, seconds=120), place.effects, tmp_path, place.url(), acts, network.ways()
    )

    assert_all_is_well(verdict, conductor)
    assert verdict.ran > 10_000
    assert all(conductor.done[act.__name__] > 0 for act in acts)


async def test_a_node_that_is_cut_off_starts_nothing_and_the_others_go_on(
    place: Place, network: Network, tmp_path: Path
) -> None:
    async with nodes_playing(
        Piece(jobs=60, seconds=9), place.effects, tmp_path, 0, place.url(), network.ways()
    ) as conductor:
        lonely = conductor.nodes[0]
        await place.effects.reach(1, f"node = '{lonely.orders.name}'")
        cut = await clock(place)
        network.proxies[0].stall()
        await asyncio.sleep(2 * LEASE)
        healed = await clock(place)
        network.proxies[0].heal()
        await conductor.come_to_an_end()
        verdict = await conductor.judge()

    assert_all_is_well(verdict, conductor)
    assert verdict.late_starts == 0
    of_lonely = f"node = '{lonely.orders.name}'"
    # What had begun before ends; then there is nothing until the node is back.
    alone = f"at BETWEEN {cut + int(1.3 * LEASE * SECOND)} AND {healed}"
    assert await place.effects.count(f"{of_lonely} AND {alone}") == 0
    assert await place.effects.count(f"NOT {of_lonely} AND {alone}") > 20
    assert await place.effects.count(f"{of_lonely} AND token >> {TOKEN_BITS} > {lonely.epoch}") > 0


async def test_a_server_that_falls_silent_is_waited_for(place: Place, network: Network, tmp_path: Path) -> None:
    async with nodes_playing(
        Piece(jobs=60, seconds=9), place.effects, tmp_path, 0, place.url(), network.ways()
    ) as conductor:
        await place.effects.reach(60)
        silent = await clock(place)
        for proxy in network.proxies:
            proxy.stall()
        await asyncio.sleep(2 * LEASE)
        healed = await clock(place)
        for proxy in network.proxies:
            proxy.heal()
        await conductor.come_to_an_end()
        verdict = await conductor.judge()

    assert_all_is_well(verdict, conductor)
    assert verdict.late_starts == 0
    assert await place.effects.count(f"at BETWEEN {silent + int(1.3 * LEASE * SECOND)} AND {healed}") == 0
    assert await place.effects.count(f"at > {healed}") > 60


async def test_a_claim_that_is_committed_after_its_connection_was_given_up_is_given_back(
    place: Place, network: Network, tmp_path: Path
) -> None:
    # The server does not notice that its client is gone while it waits for a lock: the claim comes true when nobody
    # asks for it any more.
    async with nodes_playing(
        Piece(jobs=20, seconds=9), place.effects, tmp_path, 0, place.url(), network.ways(1)
    ) as conductor:
        blocker = await asyncpg.connect(place.server)
        await place.effects.reach(1)
        async with blocker.transaction():
            await blocker.execute(f"LOCK TABLE {place.schema}.run IN SHARE MODE")
            await until(place.claim_waits)
            network.proxies[0].drop()
            await asyncio.sleep(0.5)
        await blocker.close()
        await conductor.come_to_an_end()
        verdict = await conductor.judge()

    assert_all_is_well(verdict, conductor)
    assert verdict.rescued == 0


async def test_a_finish_whose_answer_was_lost_is_recorded_once(place: Place, network: Network, tmp_path: Path) -> None:
    # One node, so that nobody else could end its runs, and jobs that are all due at once.
    async with nodes_playing(
        Piece(jobs=16, seconds=4, step=4), place.effects, tmp_path, 0, place.url(), network.ways(1)
    ) as conductor:
        # Longer from time to time: on a busy machine a node needs more than a moment to get anywhere.
        respite = 0.3
        while not await place.effects.count():
            network.proxies[0].swallow()
            await asyncio.sleep(0.05)
            network.proxies[0].drop()
            network.proxies[0].heal()
            await asyncio.sleep(respite)
            respite *= 1.3
        await conductor.come_to_an_end()
        verdict = await conductor.judge()

    assert_all_is_well(verdict, conductor)
    assert verdict.ran_twice == 0


@pytest.mark.parametrize("lost", ["no listener", "connection ended", "hints swallowed"])
async def test_a_hint_that_is_lost_costs_one_poll(place: Place, network: Network, tmp_path: Path, lost: str) -> None:
    [proxy, *_] = network.proxies
    way = place.through(proxy.port).partition("?")[0]
    url = place.url(listen="off") if lost == "no listener" else place.url(listen_dsn=quote(way, safe=""))
    delays: list[float] = []
    async with nodes_playing(Piece(jobs=0), place.effects, tmp_path, 0, url, ({},)), store_at(place.url()) as store:
        for number in range(4):
            if lost == "connection ended":
                proxy.drop()
            if lost == "hints swallowed":
                proxy.swallow()
            due = await store.now() + SECOND // 5
            spec = JobSpec(f"job-{number}", f"job-{number}", "support.effect_node:note", Once(to_datetime(due)))
            await store.put_jobs(PutMode.INSERT, [PutItem(spec, due, due)])
            store.wake(0, due)
            await place.effects.reach(1, f"job = '{spec.id}'")
            found = await place.effects.rows(f"SELECT at FROM effect WHERE job = '{spec.id}'")
            delays.append((found[0]["at"] - due) / SECOND)

    # Without a poll the loop would look after half a minute, or never. The poll itself is every second.
    assert max(delays) < 10, delays


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
