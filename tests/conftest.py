"""What all tests share: the event loop they run on, virtual time, and services that may be missing."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from support.store_factories import FACTORIES

from asched.testing import VirtualClock, VirtualTimeLoop, virtual_clock

# Whoever is started in the background of a shell ignores SIGINT, and so would every process that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

#: ``require(name, available, reason)``; see the fixture of this name.
Require = Callable[[str, bool, str], None]


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """asyncio; the loop of a test marked ``virtual_time``, and of its async fixtures, is the virtual one."""
    if request.node.get_closest_marker("virtual_time") is None:
        return "asyncio", {}
    return "asyncio", {"loop_factory": VirtualTimeLoop}


@pytest.fixture
async def clock() -> VirtualClock:
    """The clock of a test marked ``virtual_time``; it starts at 2026-01-01T00:00:00Z."""
    return virtual_clock()


@pytest.fixture(scope="session")
def require() -> Require:
    """Skip the test when a service is missing, or fail it where ``ASCHED_REQUIRE`` names the service.

    ``ASCHED_REQUIRE`` is a comma list such as ``postgres,redis,chromium``. A skip is then never silent: what
    the environment promises must be there.
    """

    def check(name: str, available: bool, reason: str) -> None:
        if available:
            return
        if name in {word.strip() for word in os.environ.get("ASCHED_REQUIRE", "").split(",")}:
            pytest.fail(f"ASCHED_REQUIRE names {name}, but {reason}", pytrace=False)
        pytest.skip(f"{name}: {reason}")

    return check


# How pytest groups its reports, with the word for them.
_OUTCOMES = {"passed": "passed", "failed": "failed", "error": "in error", "skipped": "skipped", "xfailed": "xfailed"}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how the contract suite went for each store; the stores that a run leaves out show as well."""
    found = {store: Counter[str]() for store in FACTORIES}
    for store, outcome in _contract_reports(terminalreporter):
        found[store][outcome] += 1
    if not any(found.values()):
        return
    parts = [
        f"{store} {', '.join(f'{n} {word}' for word, n in counts.items()) or 'not run'}"
        for store, counts in found.items()
    ]
    skipped = sum(counts["skipped"] for counts in found.values())
    terminalreporter.write_line(f"contract: {', '.join(parts)}, {f'{skipped} skipped' if skipped else 'none skipped'}")


def _contract_reports(reporter: pytest.TerminalReporter) -> Iterator[tuple[str, str]]:
    """Yield store and outcome of each test in ``contract/``. The store is the first of its parameters."""
    for category, word in _OUTCOMES.items():
        for report in reporter.stats.get(category, []):
            name = re.search(r"\bcontract/.*?\[(\w+)", report.nodeid)
            if name is not None and name[1] in FACTORIES:
                yield name[1], word
