"""A server with four workers on one PostgreSQL schedule: each runs the same program, each occurrence runs once."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Require
from support.conductor import store_at
from support.effects import all_runs
from support.place import Place
from support.processes import ends, says

from asched.model import RunStatus

pytestmark = [pytest.mark.faults, pytest.mark.service]

STARTED = "Application startup complete"

APP = """
import os

import asyncpg
from asched import Scheduler, current_run
from asched_web import create_app

scheduler = Scheduler(os.environ["STORE"])


async def work():
    run = current_run()
    connection = await asyncpg.connect(os.environ["EFFECTS"], server_settings={"search_path": os.environ["SCHEMA"]})
    await connection.execute(
        "SELECT leave_effect($1, $1, $2, $3, $4, $5, $6, $7, false, true)",
        run.job_id, run.run_id, run.planned, run.attempt, run.fence, run.token, str(os.getpid()),
    )
    await connection.close()


for number in range(20):
    scheduler.every(1).seconds.id(f"job-{number}").do(work)

app = create_app(scheduler)
"""


@pytest.fixture
def workers(place: Place, tmp_path: Path, require: Require) -> Iterator[Path]:
    """The log of a server with four workers."""
    require("hosts", importlib.util.find_spec("uvicorn") is not None, "uvicorn is not installed")
    (tmp_path / "served_app.py").write_text(APP)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "uvicorn", "served_app:app", "--workers", "4", "--port", str(port)]
    environment = {
        **os.environ, "STORE": place.url(), "EFFECTS": place.effects.url, "SCHEMA": place.effects.schema,
    }  # fmt: skip
    with (tmp_path / "log").open("wb") as output:
        server = subprocess.Popen(
            words, cwd=tmp_path, stdout=output, stderr=output, start_new_session=True, env=environment
        )
    yield tmp_path / "log"
    os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(20)
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


async def test_each_occurrence_runs_once_on_one_of_four_workers(place: Place, workers: Path) -> None:
    await says(workers, STARTED, 4)
    await place.effects.reach(await place.effects.count() + 100)

    rows = await place.effects.rows("SELECT job, planned, node FROM effect")
    assert set(Counter((row["job"], row["planned"]) for row in rows).values()) == {1}
    assert len({row["node"] for row in rows}) > 1


async def test_a_worker_that_is_killed_is_replaced_and_its_runs_are_not_lost(place: Place, workers: Path) -> None:
    await says(workers, STARTED, 4)
    await place.effects.reach(20)
    [row] = await place.effects.rows("SELECT node FROM effect ORDER BY serial DESC LIMIT 1")
    os.kill(int(row["node"]), signal.SIGKILL)
    await ends(int(row["node"]))
    await says(workers, STARTED, 5)
    await place.effects.reach(await place.effects.count() + 60)

    async with store_at(place.url()) as store:
        runs = await all_runs(store)
    final = Counter((run.job_id, run.planned) for run in runs if run.status.final)
    assert set(final.values()) == {1}
    effects = {(row["job"], row["planned"]) for row in await place.effects.rows("SELECT job, planned FROM effect")}
    assert {(run.job_id, run.planned) for run in runs if run.status is RunStatus.SUCCEEDED} <= effects
