"""Real servers with open streams are told to stop. matrix.py has all servers; here are those that differ in kind."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import pytest
from support.processes import AT_ONCE
from web.servers.harness import PREFIX, Outcome, Server, is_installed, serving, stop_with_streams

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

KINDS = [
    ("uvicorn", "ROOT", signal.SIGINT),  # chained in front of signal.signal
    ("uvicorn", "MOUNTED", signal.SIGTERM),  # armed by the first stream
    ("uvicorn --workers 2", "ROOT", signal.SIGTERM),  # told by a parent
    ("uvicorn in a thread", "MOUNTED", signal.SIGINT),  # no signal arrives
    ("hypercorn", "MOUNTED", signal.SIGTERM),  # a worker that gets no signal
    ("hypercorn -w 0", "ROOT", signal.SIGINT),  # chained in front of a handler of the loop
    ("granian", "ROOT", signal.SIGTERM),
    ("daphne", "MOUNTED", signal.SIGINT),  # cancels its applications
]


@pytest.fixture
def needs(require: Callable[[str, bool, str], None]) -> Callable[[str], None]:
    def check(server: str) -> None:
        require("hosts", is_installed(server), f"{server.split()[0]} is not installed (dependency group hosts)")

    return check


@pytest.mark.parametrize(("name", "app", "signum"), KINDS, ids=lambda value: getattr(value, "name", value))
async def test_every_stream_is_told_and_the_process_is_gone(
    name: str, app: str, signum: signal.Signals, needs: Callable[[str], None]
) -> None:
    needs(name)
    if app == "MOUNTED":
        needs("fastapi")
    with serving(name, app) as server:
        outcome = await stop_with_streams(server, signum, 10, patience=AT_ONCE)

    assert [] == outcome.faults(name, signum, AT_ONCE), outcome.log


async def test_one_ctrl_c_in_a_terminal_is_enough(needs: Callable[[str], None]) -> None:
    needs("uvicorn")
    with serving("uvicorn --workers 2", "ROOT") as server:
        outcome = await stop_with_streams(server, signal.SIGINT, 10, group=True, patience=AT_ONCE)

    assert [] == outcome.faults("uvicorn --workers 2", signal.SIGINT, AT_ONCE), outcome.log


async def test_the_log_says_what_happened(needs: Callable[[str], None]) -> None:
    needs("uvicorn")
    with serving("uvicorn", "ROOT") as server:
        outcome = await stop_with_streams(server, signal.SIGINT, 1, patience=AT_ONCE)

    assert "Signal 2 received, sent shutdown signal to SSE connections" in outcome.log


async def test_a_client_that_does_not_read_holds_up_nobody(needs: Callable[[str], None]) -> None:
    needs("uvicorn")
    with serving("uvicorn", "LARGE") as server:
        outcome = await stop_with_streams(server, signal.SIGTERM, 5, stalled=3, patience=AT_ONCE)

    assert [] == outcome.faults("uvicorn", signal.SIGTERM, AT_ONCE), outcome.log


async def test_a_server_without_streams_stops_at_once(needs: Callable[[str], None]) -> None:
    needs("uvicorn")
    needs("fastapi")
    with serving("uvicorn", "MOUNTED") as server:
        outcome = await stop_with_streams(server, signal.SIGTERM, 0, patience=AT_ONCE)

    assert [] == outcome.faults("uvicorn", signal.SIGTERM, AT_ONCE), outcome.log


async def test_the_hosts_own_streams_end_beside_ours(needs: Callable[[str], None]) -> None:
    needs("uvicorn")
    needs("fastapi")
    with serving("uvicorn", "BESIDE") as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /own HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"event: number")
        outcome: Outcome = await stop_with_streams(server, signal.SIGTERM, 3, patience=AT_ONCE)
        rest = await asyncio.wait_for(reader.read(), 60)
        writer.close()

    assert rest
    faults = outcome.faults("uvicorn", signal.SIGTERM, AT_ONCE)
    assert [] == [fault for fault in faults if "log" not in fault], outcome.log


async def test_a_server_that_ignores_the_signal_keeps_its_streams(needs: Callable[[str], None]) -> None:
    """As ``nohup`` and a shell's ``&`` start programs: SIGINT is ignored, the server runs on, and so do its streams."""
    needs("hypercorn")
    with serving("hypercorn", "ROOT") as server:
        workers = _children(server)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"GET {PREFIX['ROOT']}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await reader.readuntil(b"event: snapshot")
        for pid in workers:
            os.kill(pid, signal.SIGINT)  # hypercorn's workers ignore it
        await reader.readuntil(b"event: run")
        writer.close()

    assert workers


def _children(server: Server) -> list[int]:
    """Return the server's worker processes; the one beside them watches over semaphores."""
    pids = []
    for folder in os.listdir("/proc"):
        if folder.isdigit():
            try:
                with open(f"/proc/{folder}/stat") as stat, open(f"/proc/{folder}/cmdline") as command:
                    parent, line = int(stat.read().rpartition(")")[2].split()[1]), command.read()
            except OSError:
                continue
            if parent == server.process.pid and "resource_tracker" not in line:
                pids.append(int(folder))
    return pids
