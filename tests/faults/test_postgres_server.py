"""The PostgreSQL server crashes, is away, and comes back. The tests stop a server of their own."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys
from pathlib import Path

import pytest
from support.cluster import Cluster
from support.conductor import LEASE, Piece, assert_all_is_well, nodes_playing
from support.place import Place
from support.processes import says, until
from support.proxy import proxy_to
from web.driver import Client

from asched import Interval, RunStatus, Scheduler, StoreUnavailable
from asched_web import create_app

log = logging.getLogger(__name__)

pytestmark = [
    pytest.mark.faults,
    pytest.mark.service,
    pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals"),
]


async def test_a_server_that_crashes_under_load_loses_nothing(
    cluster: Cluster, own_place: Place, tmp_path: Path
) -> None:
    async with nodes_playing(Piece(jobs=60, seconds=10), own_place.effects, tmp_path, 0, own_place.url()) as conductor:
        for _ in range(3):
            await asyncio.sleep(2.5)
            await asyncio.to_thread(cluster.restart, "immediate")
        await conductor.come_to_an_end()
        verdict = await conductor.judge()

    assert_all_is_well(verdict, conductor)
    assert verdict.ran > 100


async def test_the_outage_of_the_server_is_survived_and_no_end_of_a_run_is_lost(
    cluster: Cluster, own_place: Place, tmp_path: Path
) -> None:
    # Some of the jobs take two seconds: the server goes while they run, and their ends are kept until it is back.
    piece = Piece(jobs=24, seconds=15, step=3)
    # Twice the lease of the other tests: that none is missed must not depend on how busy the machine is.
    lease = 2 * LEASE
    url = own_place.url(lease=lease)
    async with nodes_playing(piece, own_place.effects, tmp_path, 0, url, work=2.0) as conductor:
        await own_place.effects.reach(4, "job LIKE 'work%'")
        await asyncio.to_thread(cluster.stop, "immediate")
        for node in conductor.nodes:
            await says(node.log, "the store is unavailable, nothing is started until it is back")
        await asyncio.sleep(2 * lease)
        await asyncio.to_thread(cluster.start)
        for node in conductor.nodes:
            await says(node.log, "the store is back")
        await conductor.come_to_an_end()
        verdict = await conductor.judge()

    assert_all_is_well(verdict, conductor)
    # Nobody took another one for dead because the server was away, so every end that had been kept was recorded.
    assert verdict.rescued == 0
    assert verdict.ran_twice == 0
    assert "was refused" not in conductor.texts()


async def test_status_and_events_say_that_the_server_is_away_and_that_it_is_back(
    cluster: Cluster, own_place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = Scheduler(own_place.url())
    told: list[str] = []
    done = asyncio.Event()
    release = asyncio.Event()
    for name in ("store.unavailable", "store.available"):
        scheduler.on(name)(lambda event: told.append(event.name))

    async def slow() -> str:
        await release.wait()
        done.set()
        return "done"

    scheduler.register_function(slow, name="app:slow")
    client = Client(create_app(scheduler, auth=None))
    async with scheduler:
        assert (await client.get("/healthz")).status == 200
        await scheduler.run_job_now((await scheduler.add_job("app:slow", Interval(hours=1), id="slow")).id)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(cluster.stop, "fast")

        async def is_unhealthy() -> bool:
            return (await client.get("/healthz")).status != 200

        await until(is_unhealthy)
        health = await client.get("/healthz")
        with pytest.raises(StoreUnavailable):
            await scheduler.get_statistics()
        release.set()
        await done.wait()
        await asyncio.to_thread(cluster.start)

        async def is_recorded() -> bool:
            if not scheduler.store_available:
                return False
            [run] = await scheduler.get_history("slow")
            return run.status is not RunStatus.RUNNING

        await until(is_recorded)
        runs = await scheduler.get_history("slow")
        again = await client.get("/healthz")

    assert (health.status, health.json()) == (503, {"status": "store_unavailable"})
    assert (again.status, again.json()) == (200, {"status": "ok"})
    assert told == ["store.unavailable", "store.available"]
    assert [(run.status, run.result, len(run.attempts)) for run in runs] == [(RunStatus.SUCCEEDED, "done", 1)]
    messages = [record.message for record in caplog.records]
    assert any(message.startswith("the store is unavailable") for message in messages)
    assert "the store is back" in messages


async def test_a_stop_during_the_outage_ends_in_time(cluster: Cluster, own_place: Place, tmp_path: Path) -> None:
    piece = Piece(jobs=16, seconds=30)
    async with nodes_playing(piece, own_place.effects, tmp_path, 0, own_place.url(), stop_timeout=2.0) as conductor:
        await own_place.effects.reach(1)
        await asyncio.to_thread(cluster.stop, "immediate")
        at_once, later, _ = conductor.nodes
        await at_once.end()
        await says(later.log, "the store is unavailable")
        await later.end()


async def test_a_start_during_the_outage_is_refused_and_can_be_repeated(cluster: Cluster, own_place: Place) -> None:
    scheduler = Scheduler(own_place.url())
    await asyncio.to_thread(cluster.stop, "fast")

    with pytest.raises(StoreUnavailable):
        await scheduler.start()

    assert not scheduler.running
    await asyncio.to_thread(cluster.start)
    async with scheduler:
        assert scheduler.running


async def test_the_way_back_is_asked_for_with_back_off_and_jitter(place: Place, tmp_path: Path) -> None:
    async with proxy_to(*place.address) as proxy:
        url = place.through(proxy.port)
        async with nodes_playing(
            Piece(jobs=16, seconds=14), place.effects, tmp_path, 0, place.url(), ({"store": url},)
        ) as conductor:
            await place.effects.reach(1)
            proxy.reject()
            times = []
            seen = proxy.attempts
            loop = asyncio.get_running_loop()
            end = loop.time() + 6
            while loop.time() < end:
                await asyncio.sleep(0.01)
                if proxy.attempts > seen:
                    seen = proxy.attempts
                    times.append(loop.time())
            proxy.heal()
            await conductor.come_to_an_end()
            verdict = await conductor.judge()

    waits = [later - earlier for earlier, later in itertools.pairwise(times)]
    log.info("%d attempts in 6 s, waits %s", len(times), [round(wait, 2) for wait in waits])
    assert_all_is_well(verdict, conductor)
    # The loop, the recorder and the listener back off to 5 s each, and the heartbeat asks 4 to 8 times in a lease of
    # 1.5 s. Whoever asks again at once gets to thousands.
    assert 5 <= len(times) <= 100
    assert len({round(wait, 2) for wait in waits}) > 5
