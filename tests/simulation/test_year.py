"""A year in fourteen zones, more than a million occurrences: every record is what the ledger says."""

from __future__ import annotations

import os

import pytest
from simulation.play import differences, play
from simulation.world import year

OCCURRENCES = 1_150_000
SEED = int(os.environ.get("ASCHED_YEAR", "1"))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_record_of_a_year_is_what_the_ledger_says() -> None:
    world = year(SEED, OCCURRENCES)

    played = play(world)

    accounted = sum(entry.count for entries in played.entries.values() for entry in entries)
    assert accounted >= 1_000_000
    assert [] == differences(world, played)
