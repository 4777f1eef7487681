"""Nodes on one PostgreSQL schedule are killed, stopped, hung and restarted; their effects are judged."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import asyncpg
import pytest
from support.conductor import (
    ENOUGH,
    Piece,
    assert_all_is_well,
    freeze,
    freeze_past_lease,
    hang,
    kill,
    nodes_playing,
    play,
    restart,
)
from support.place import Place
from support.processes import until
from support.proxy import proxy_to

from asched.store import TOKEN_BITS

pytestmark = [
    pytest.mark.faults,
    pytest.mark.service,
    pytest.mark.xdist_group(
        "postgres_nodes"
    ),  # a server has a hundred connections, and each of these tests takes twenty
    pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals"),
]

ALL = {kill: 4, freeze: 2, freeze_past_lease: 2, hang: 1, restart: 1}
LONG = Piece(jobs=150, seconds=120)
# An answer to a claim takes this long, so that there is nearly always one under way when a node is frozen.
SLOW_NETWORK = 0.3


async def test_every_occurrence_is_accounted_for_while_nodes_are_killed_and_frozen(
    place: Place, tmp_path: Path
) -> None:
    verdict, conductor = await play(Piece(seconds=15), place.effects, tmp_path, place.url(), ALL)

    assert_all_is_well(verdict, conductor)
    assert verdict.ran > ENOUGH * verdict.occurrences
    assert verdict.rescued > 0


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_ten_thousand_occurrences_are_accounted_for_while_nodes_are_killed_and_frozen(
    place: Place, tmp_path: Path
) -> None:
    verdict, conductor = await play(LONG, place.effects, tmp_path, place.url(), ALL, answers_take=SLOW_NETWORK)

    assert_all_is_well(verdict, conductor)
    assert verdict.ran > 10_000
    assert verdict.rescued > 50
    assert verdict.stale_effects > 0, "no effect was stale, so nothing was shown"


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("lack", "broken"), [("guarded", "late_starts"), ("fenced", "stale_accepted")])
async def test_the_long_run_without_the_guard_or_without_the_fence_is_found_out(
    place: Place, tmp_path: Path, lack: str, broken: str
) -> None:
    verdict, conductor = await play(
        LONG, place.effects, tmp_path, place.url(), ALL, answers_take=SLOW_NETWORK, **{lack: False}
    )

    assert list(verdict.broken) == [broken], f"seed {conductor.seed}: {verdict}"


async def test_a_scheduler_without_the_start_guard_is_found_out(place: Place, tmp_path: Path) -> None:
    verdict, conductor = await play(
        Piece(seconds=12), place.effects, tmp_path, place.url(), {freeze_past_lease: 1},
        guarded=False, answers_take=SLOW_NETWORK,
    )  # fmt: skip

    assert list(verdict.broken) == ["late_starts"], f"seed {conductor.seed}: {verdict}"


async def test_the_same_scheduler_with_the_start_guard_is_not(place: Place, tmp_path: Path) -> None:
    verdict, conductor = await play(
        Piece(seconds=12), place.effects, tmp_path, place.url(), {freeze_past_lease: 1}, answers_take=SLOW_NETWORK
    )

    assert_all_is_well(verdict, conductor)


async def test_a_sink_that_does_not_look_at_the_fence_is_found_out(place: Place, tmp_path: Path) -> None:
    verdict, conductor = await play(
        Piece(seconds=12), place.effects, tmp_path, place.url(), {freeze_past_lease: 1}, fenced=False
    )  # fmt: skip

    assert list(verdict.broken) == ["stale_accepted"], f"seed {conductor.seed}: {verdict}"


async def test_clocks_an_hour_apart_change_nothing(place: Place, tmp_path: Path) -> None:
    each = ({"clock_offset": 3600.0}, {"clock_offset": -3600.0}, {"clock_offset": 2.0})

    verdict, conductor = await play(
        Piece(jobs=60, seconds=10), place.effects, tmp_path, place.url(), {kill: 1, freeze_past_lease: 1}, each
    )

    assert_all_is_well(verdict, conductor)
    assert verdict.ran > ENOUGH * verdict.occurrences


async def test_a_claim_whose_answer_comes_after_the_lease_starts_nothing(place: Place, tmp_path: Path) -> None:
    async def exists(rows: str) -> bool:
        return bool(await place.effects.rows(f"SELECT FROM {rows}"))

    async with proxy_to(*place.address) as proxy:
        cut_off = {
            "store": place.through(proxy.port, application_name=place.schema),
            # No job of these is lost with its node.
            "functions": ("note_in_thread", "fail_now_and_then"),
        }
        # Far apart: an instant that has passed when the next one is due is folded, which is no plain claim.
        piece = Piece(jobs=40, seconds=12, step=4)
        async with nodes_playing(piece, place.effects, tmp_path, 0, place.url(), (cut_off, {})) as conductor:
            node, other = conductor.nodes

            async def is_gone() -> bool:
                return not await exists(f"{place.schema}.node WHERE epoch = {node.epoch}")

            await until(lambda: exists(f"effect WHERE node = '{node.orders.name}'"))
            # The other one may not be faster. Nobody can write a claim down: the next one waits within the server.
            other.freeze()
            blocker = await asyncpg.connect(place.server)
            async with blocker.transaction():
                await blocker.execute(f"LOCK TABLE {place.schema}.run IN SHARE MODE")
                await until(place.claim_waits)
                proxy.stall_answers()
            await blocker.close()
            # It is taken, and its node hears of it when the other has taken over.
            await until(lambda: exists(f"{place.schema}.run WHERE epoch = {node.epoch}"))
            other.thaw()
            await until(is_gone)
            proxy.heal()
            await conductor.come_to_an_end()
            verdict = await conductor.judge()

    assert_all_is_well(verdict, conductor)
    assert verdict.rescued > 0
    assert verdict.late_starts == 0


async def test_a_job_that_holds_the_loop_past_the_lease_costs_its_node_the_runs_and_not_the_schedule(
    place: Place, tmp_path: Path
) -> None:
    piece = Piece(jobs=40, seconds=7)
    async with nodes_playing(piece, place.effects, tmp_path, 0, place.url(), ({}, {})) as conductor:
        hung, other = conductor.nodes
        await place.effects.reach(1, f"node = '{hung.orders.name}'")
        hung.send(signal.SIGUSR1)
        await conductor.come_to_an_end()
        verdict = await conductor.judge()
        after = await place.effects.rows(
            f"SELECT FROM effect WHERE node = '{hung.orders.name}' AND token >> {TOKEN_BITS} > {hung.epoch}"
        )

    assert_all_is_well(verdict, conductor)
    assert "this node was taken for dead" in hung.text()
    assert f"node {other.epoch}" not in other.text()
    assert after, "the node did not come back"
