"""``asched demo``: it runs by itself, anywhere, and again where it was."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from support.processes import AT_ONCE


def test_demo_in_memory_shows_what_runs_and_ends_by_itself(asched) -> None:
    done = asched("demo", "--memory", "--seconds", "8", "--no-browser", "--port", "0")

    assert 0 == done.returncode, done.stderr
    assert "in memory" in done.stdout
    assert re.search(r"^\d\d:\d\d:\d\d  heartbeat +succeeded in \d+\.\d\d s$", done.stdout, re.MULTILINE)
    assert "runs in all" in done.stdout or "run in all" in done.stdout
    assert "\x1b" not in done.stdout


def test_demo_serves_the_dashboard_below_scheduler(start) -> None:
    pytest.importorskip("uvicorn")
    process = start("demo", "--memory", "--no-browser", "--port", "0")
    found = re.search(r"http://\S+", process.read_until("dashboard at"))
    assert found is not None
    process.read_until("heartbeat")

    with urllib.request.urlopen(found[0].replace("/scheduler/", "/"), timeout=60) as answer:
        page, landed = answer.read(), answer.url

    assert found[0] == landed
    assert b"<title>" in page
    assert 0 == process.end()[0]


def test_demo_takes_the_next_free_port_and_says_so(start) -> None:
    pytest.importorskip("uvicorn")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = holder.getsockname()[1]

        line = start("demo", "--memory", "--no-browser", "--port", str(taken)).read_until("dashboard at")

    found = re.search(r"127\.0\.0\.1:(\d+)/scheduler/ \(port (\d+) is taken\)", line)
    assert found is not None
    assert taken < int(found[1])
    assert taken == int(found[2])


@pytest.mark.parametrize("bound", [AT_ONCE, pytest.param(2.0, marks=pytest.mark.long)])
def test_demo_ends_at_once_on_an_interrupt_though_jobs_run(start, bound: float) -> None:
    process = start("demo", "--memory", "--no-browser", "--port", "0")
    process.read_until("thumbnails")

    code, seconds = process.end()

    assert 0 == code
    assert seconds < bound


def test_demo_that_was_killed_goes_on_where_it_was(start, tmp_path: Path) -> None:
    pytest.importorskip("aiosqlite")
    first = start("demo", "--no-browser", "--port", "0")
    first.read_until("heartbeat")
    first.end(signal.SIGKILL)

    second = start("demo", "--no-browser", "--port", "0")
    line = second.read_until("goes on after")

    assert "asched-demo.db" in line
    assert (tmp_path / "asched-demo.db").exists()
    assert 0 == second.end()[0]


def test_second_demo_in_one_folder_names_the_first(start, asched) -> None:
    pytest.importorskip("aiosqlite")
    first = start("demo", "--no-browser", "--port", "0")
    first.read_until("heartbeat")

    done = asched("demo", "--no-browser", "--port", "0")

    assert 1 == done.returncode
    assert f"pid {first.popen.pid}" in done.stderr
    assert "Traceback" not in done.stderr


def on_a_terminal(folder: Path, columns: int) -> str:
    """Return all that a terminal of this width is sent until the table was drawn three times and the demo was ended."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "asched", "demo", "--memory", "--no-browser", "--port", "0"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "LINES": "30"}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=theirs) as process:
        os.close(theirs)
        shown = b""
        told = False
        # Linux says EIO, macOS nothing, once the other side is closed.
        try:
            while data := os.read(ours, 4096):
                shown += data
                if not told and shown.count(b"\x1b[J") >= 3:
                    told = True
                    process.send_signal(signal.SIGINT)
        except OSError:
            pass
        os.close(ours)
    assert 0 == process.returncode
    return shown.decode()


def test_demo_on_a_terminal_redraws_a_table_and_gives_the_screen_back(tmp_path: Path) -> None:
    text = on_a_terminal(tmp_path, columns=150)

    assert 1 == text.count("\x1b[?1049h") == text.count("\x1b[?1049l")
    assert text.count("JOB") >= 3
    assert "Weekdays at 09:00 (Asia/Tokyo)" in text
    assert re.search(r"runs? in all", text.partition("\x1b[?1049l")[2])


def test_demo_on_a_narrow_terminal_leaves_out_what_matters_least(tmp_path: Path) -> None:
    table = on_a_terminal(tmp_path, columns=80).rpartition("\x1b[H")[2].partition("\x1b[J")[0]

    lines = [re.sub(r"\x1b\[[0-9?]*[A-Za-z]", "", line).rstrip() for line in table.splitlines()]
    assert max(map(len, lines)) <= 80
    assert ["JOB", "STATUS", "NEXT", "RUNS", "FAILED", "LAST"] == lines[3].split()


def test_demo_without_aiosqlite_says_so_and_uses_memory(tmp_path: Path) -> None:
    code = "import sys; sys.modules['aiosqlite'] = None; from asched.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "demo", "--seconds", "0", "--no-browser", "--port", "0"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)

    assert 0 == done.returncode, done.stderr
    assert "asched-py[sqlite]" in done.stderr
    assert "in memory" in done.stdout
    assert not (tmp_path / "asched-demo.db").exists()
