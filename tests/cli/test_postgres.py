"""The command on a Postgres schedule: it migrates, says what is wrong in one line, and shares the work of others."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import pytest
from support.postgres import DSN, Require, address, ask, drop, require_postgres, url

from asched.stores.postgres import migrate
from asched.stores.sql import migrations

pytestmark = pytest.mark.service

NEWEST = migrations("postgres")[-1].version

APP = """
    import asyncio
    from asched import Scheduler

    scheduler = Scheduler({url!r})

    @scheduler.every(0.2).seconds.id("tick")
    async def tick():
        print("tick", flush=True)

    @scheduler.once(0).id("long").overlap("skip")
    async def long():
        print("long begun", flush=True)
        await asyncio.sleep(1.5)
        print("long done", flush=True)
"""


@pytest.fixture
def schema(require: Require) -> Iterator[str]:
    require_postgres(require)
    name = f"asched_cli_{secrets.token_hex(4)}"
    yield name
    drop(name)


def change(statement: str) -> None:
    ask(lambda connection: connection.execute(statement))


def test_migrate_says_from_which_version_to_which(asched, schema: str) -> None:
    first, second = asched("migrate", url(schema)), asched("migrate", url(schema))

    assert (0, "") == (first.returncode, first.stderr)
    assert first.stdout.endswith(f"schema {schema} went from nothing to version {NEWEST}\n")
    assert (0, "") == (second.returncode, second.stderr)
    assert second.stdout.endswith(f"schema {schema} is up to date, at version {NEWEST}\n")


def test_migrate_of_a_newer_schema_that_can_be_read_says_so_and_leaves_it(asched, schema: str) -> None:
    asyncio.run(migrate(url(schema)))
    change(f"UPDATE {schema}.meta SET version = 99")

    done = asched("migrate", url(schema))

    assert 0 == done.returncode
    assert done.stdout.endswith("is up to date, at version 99\n")
    assert f"the schema '{schema}' is newer (version 99)" in done.stderr


@pytest.mark.parametrize(
    ("place", "code", "said"),
    [
        ("postgresql://u:s3cret@127.0.0.1:1/jobs", 1, "postgres 127.0.0.1:1/jobs, schema asched: "),
        (address(user="no_such_user:s3cret"), 1, 'role "no_such_user" does not exist'),
        (address(database="no_such_jobs"), 1, 'database "no_such_jobs" does not exist'),
        (f"{DSN}?sslmode=require", 1, "rejected SSL upgrade"),
        (f"{DSN}?pool_size=5", 2, 'unrecognized configuration parameter "pool_size"'),
        (f"{DSN}?lease=long", 2, "'long' is no value of the postgres option 'lease'"),
        ("postgresql://u:s3/cret@host/jobs", 2, "in a password write @ as %40"),
    ],
)
def test_what_is_wrong_with_the_address_is_said_in_one_line(
    asched, require: Require, place: str, code: int, said: str
) -> None:
    require_postgres(require)

    done = asched("migrate", place)

    assert code == done.returncode
    assert "" == done.stdout
    assert done.stderr.startswith("asched: ")
    assert said in done.stderr
    assert 1 == done.stderr.count("\n")
    assert "s3cret" not in done.stderr


def test_a_schema_that_is_too_new_is_refused_in_one_line(asched, schema: str) -> None:
    asyncio.run(migrate(url(schema)))
    change(f"UPDATE {schema}.meta SET version = 99, min_reader = 99")

    done = asched("migrate", url(schema))

    assert (1, "") == (done.returncode, done.stdout)
    assert f"asched: the schema '{schema}' was written by a newer asched" in done.stderr
    assert 1 == done.stderr.count("\n")


def test_a_role_without_rights_is_told_what_to_do_in_one_line(asched, schema: str) -> None:
    role = f"{schema}_role"
    change(f"CREATE ROLE {role} LOGIN")
    try:
        done = asched("migrate", f"{address(user=role)}?schema={schema}")
    finally:
        change(f"DROP ROLE {role}")

    assert (1, "") == (done.returncode, done.stdout)
    assert "permission denied for database" in done.stderr
    assert "let another one run 'asched migrate URL'" in done.stderr
    assert 1 == done.stderr.count("\n")


def test_run_says_in_one_line_that_the_database_is_not_there(asched, module) -> None:
    module("app", APP.format(url="postgresql://u:s3cret@127.0.0.1:1/jobs"))

    done = asched("run", "app")

    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("asched: postgres 127.0.0.1:1/jobs, schema asched: ")
    assert 1 == done.stderr.count("\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_waits_at_a_signal_for_what_runs_and_leaves_the_schedule(start, module, schema: str, number: int) -> None:
    module("app", APP.format(url=url(schema)))
    process = start("run", "app")
    process.read_until("long begun")

    code, _ = process.end(number)

    assert 0 == code
    assert "long done" in process.output
    assert "waiting up to 30 s for" in process.output

    async def left(connection: asyncpg.Connection) -> tuple[Any, ...]:
        nodes = await connection.fetchval(f"SELECT count(*) FROM {schema}.node")
        runs = await connection.fetchval(f"SELECT count(*) FROM {schema}.run")
        return nodes, runs

    assert (0, 0) == ask(left)


@pytest.mark.slow
def test_two_processes_share_the_runs_and_each_dashboard_shows_all_of_them(start, module, schema: str) -> None:
    pytest.importorskip("uvicorn")
    module("app", APP.format(url=url(schema)))
    processes = [start("web", "app", "--port", "0") for _ in range(2)]
    sites = [re.search(r"http://\S+", process.read_until("dashboard at"))[0] for process in processes]
    for process in processes:
        process.read_until("tick")

    both = {node["name"] for node in wait_for(sites[0], "api/nodes", "nodes", lambda nodes: len(nodes) == 2)}
    for site in sites:
        assert both == {node["name"] for node in get(site, "api/nodes")["nodes"]}
        seen = wait_for(
            site, "api/history?limit=500", "history",
            lambda runs: both == {run["node"] for run in runs if run["status"] == "succeeded"},
        )  # fmt: skip
        instants = [run["due_at"] for run in seen if run["job_id"] == "tick"]
        assert len(instants) == len(set(instants))

    assert 0 == processes[0].end(signal.SIGTERM)[0]
    assert 1 == len(wait_for(sites[1], "api/nodes", "nodes", lambda nodes: len(nodes) == 1))
    assert 0 == processes[1].end()[0]


def get(site: str, path: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{site}{path}", timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def wait_for(site: str, path: str, field: str, holds: Callable[[list[Any]], bool]) -> list[Any]:
    """Ask until the answer is as it should become; the test's own timeout ends a wait in vain."""
    while True:
        found: list[Any] = get(site, path)[field]
        if holds(found):
            return found
        time.sleep(0.1)
