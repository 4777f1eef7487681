"""Many small worlds, each a few days around a change of clocks: every record is what the ledger says."""

from __future__ import annotations

import os

import pytest
from simulation.play import differences, play
from simulation.world import pausing, small

# ASCHED_WORLDS=2000:2100 plays others; a failure names its seed.
FIRST, LAST = map(int, os.environ.get("ASCHED_WORLDS", "0:40").split(":"))


@pytest.mark.parametrize("seed", range(FIRST, LAST))
def test_every_record_of_a_small_world_is_what_the_ledger_says(seed: int) -> None:
    world = small(seed)

    played = play(world)

    assert played.records > 0
    assert [] == differences(world, played), f"play this world alone with ASCHED_WORLDS={seed}:{seed + 1}"


def test_every_record_beside_pauses_in_the_wait_for_a_retry_is_what_the_ledger_says() -> None:
    world = pausing()

    assert [] == differences(world, play(world))
