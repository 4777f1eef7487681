"""``asched web``: the schedule with its dashboard and API, safe by default."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from support.processes import AT_ONCE

pytest.importorskip("uvicorn")

APP = """
    from asched import Scheduler

    scheduler = Scheduler()

    @scheduler.every(60).seconds.id("tick")
    async def tick(): ...
"""


@pytest.fixture
def serve(start, module) -> Callable[..., tuple[object, str]]:
    def serve(*arguments: str):
        module("app", APP)
        process = start("web", "app:scheduler", "--port", "0", *arguments)
        found = re.search(r"http://\S+", process.read_until("dashboard at"))
        assert found is not None
        return process, found[0]

    return serve


def get(url: str, token: str | None = None) -> dict[str, object]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
        return json.load(answer)


def test_api_shows_the_jobs_that_run(serve) -> None:
    process, address = serve()

    jobs = get(f"{address}api/jobs")["jobs"]

    assert ["tick"] == [job["job_id"] for job in jobs]
    assert 0 == process.end()[0]


@pytest.mark.parametrize("bound", [AT_ONCE, pytest.param(2.0, marks=pytest.mark.long)])
def test_open_event_stream_does_not_hold_up_the_end(serve, bound: float) -> None:
    process, address = serve()
    with urllib.request.urlopen(f"{address}events", timeout=60) as stream:
        stream.readline()

        code, seconds = process.end(signal.SIGTERM)

        assert 0 == code
        assert seconds < bound
        assert b"event: shutdown" in stream.read()


def test_token_is_asked_for_where_one_is_given(serve) -> None:
    process, address = serve("--token", "sesame")

    with pytest.raises(urllib.error.HTTPError) as refused:
        get(f"{address}api/jobs")
    refused.value.close()

    assert 401 == refused.value.code
    assert 1 == len(get(f"{address}api/jobs", token="sesame")["jobs"])
    assert 0 == process.end()[0]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_address_that_others_reach_needs_a_token(asched, module, host: str) -> None:
    module("app", APP)

    done = asched("web", "app:scheduler", "--host", host)

    assert 2 == done.returncode
    assert done.stderr.startswith(f"asched: {host} can be reached by others: give a --token")


def test_port_that_is_taken_is_an_error_that_names_the_option(asched, module) -> None:
    module("app", APP)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]

        done = asched("web", "app:scheduler", "--port", str(port))

    assert 1 == done.returncode
    assert f"asched: port {port} of 127.0.0.1 is taken; choose another with --port, 0 for any\n" == done.stderr


def test_host_that_does_not_exist_is_an_error_in_one_line(asched, module) -> None:
    module("app", APP)

    done = asched("web", "app:scheduler", "--host", "host.invalid", "--token", "sesame")

    assert 1 == done.returncode
    assert done.stderr.startswith("asched: cannot listen on host.invalid")
    assert 1 == done.stderr.count("\n")


def test_web_without_its_packages_names_the_extras_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules |= {'sse_starlette': None, 'uvicorn': None}\n"
        "from asched.cli import main; sys.exit(main(['web', 'app:scheduler']))"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert 1 == done.returncode
    assert "asched: it needs more packages: pip install 'asched-py[web]' 'asched-py[server]'\n" == done.stderr
