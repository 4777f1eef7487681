"""A server with several workers on one SQLite file: one of them has it, the others say what to do."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Require

pytestmark = pytest.mark.faults

APP = """
from asched import Scheduler
from asched_web import create_app

scheduler = Scheduler("sqlite:///jobs.db")
app = create_app(scheduler)
"""


@pytest.fixture
def log(tmp_path: Path, require: Require) -> Iterator[Path]:
    require("hosts", importlib.util.find_spec("uvicorn") is not None, "uvicorn is not installed")
    (tmp_path / "served_app.py").write_text(APP)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "uvicorn", "served_app:app", "--workers", "4", "--port", str(port)]
    with (tmp_path / "log").open("wb") as output:
        server = subprocess.Popen(words, cwd=tmp_path, stdout=output, stderr=output, start_new_session=True)
    yield tmp_path / "log"
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def test_one_worker_has_the_file_and_the_others_name_it_and_the_remedy(log: Path) -> None:
    locked = re.compile(r"StoreLocked: .*")
    # The server starts a worker that ended again, so more and more are refused; the test's timeout bounds the wait.
    while len(locked.findall(log.read_text())) < 3:
        time.sleep(0.1)

    text = log.read_text()
    [words] = {re.sub(r"/\S+/", "", message) for message in locked.findall(text)}
    assert re.search(r"pid \d+", words)
    assert "postgresql://" in words
    assert 1 == text.count("Application startup complete")
