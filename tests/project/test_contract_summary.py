"""The run says how many tests of the contract each store has passed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.store_factories import FACTORIES

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_run_prints_the_contract_tests_of_each_store(workers: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", workers, "contract/test_groups.py"]

    done = subprocess.run(
        [*command, "-k", "memory or sqlite"], cwd=TESTS, capture_output=True, text=True, timeout=280, check=False
    )

    others = "".join(f", {store} not run" for store in FACTORIES if store not in ("memory", "sqlite"))
    assert f"contract: memory 5 passed, sqlite 5 passed{others}, none skipped" in done.stdout, done.stdout
