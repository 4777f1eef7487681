"""The servers of the tests of faults, and a place on them that belongs to one test."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from conftest import Require
from support.cluster import Cluster, find_binaries
from support.place import Place, place_on
from support.postgres import DSN, require_postgres


@pytest.fixture(scope="session")
def server(require: Require) -> str:
    """URL of the PostgreSQL server that tests share."""
    require_postgres(require)
    return DSN


@pytest.fixture
async def place(server: str) -> AsyncIterator[Place]:
    """A schedule on the shared server."""
    async with place_on(server, server) as place:
        yield place


@pytest.fixture(scope="session")
def own_cluster(require: Require) -> Iterator[Cluster]:
    binaries = find_binaries()
    require("postgres", binaries is not None, "initdb and pg_ctl were not found")
    assert binaries is not None
    if os.geteuid() == 0:
        import pwd

        users = {user.pw_name for user in pwd.getpwall()}
        able = "postgres" in users and shutil.which("runuser") is not None
        require("postgres", able, "root cannot run a server, and there is no user postgres or no runuser")
    directory = Path(tempfile.mkdtemp(prefix="asched-pg-"))
    cluster = Cluster(binaries, directory)
    try:
        cluster.make()
        cluster.start()
        yield cluster
    finally:
        if cluster.running:
            cluster.stop("immediate")
        shutil.rmtree(directory)


@pytest.fixture
async def cluster(own_cluster: Cluster) -> Cluster:
    """A server that this test may stop."""
    if not own_cluster.running:
        await asyncio.to_thread(own_cluster.start)
    return own_cluster


@pytest.fixture
async def own_place(cluster: Cluster, server: str) -> AsyncIterator[Place]:
    """A schedule on the server that may be stopped; the effects are on the one that stays."""
    async with place_on(cluster.address, server) as place:
        yield place
        if not cluster.running:
            await asyncio.to_thread(cluster.start)
