"""Every host of examples/hosts under a real server: the same requests, a proxy that strips a prefix, and the end."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from web.servers.harness import free_port

pytestmark = [pytest.mark.faults, pytest.mark.timeout(60)]

HOSTS = Path(__file__).parents[3] / "examples" / "hosts"
NAMES = sorted(path.stem.removesuffix("_host") for path in HOSTS.glob("*_host.py"))
SERVERS = {"uvicorn": ["--port"], "hypercorn": ["--bind"]}

BODY = {
    "func_name": "background_task",
    "schedule_type": "interval",
    "schedule_config": {"interval": 1, "unit": "hours"},
    "job_id": "a/b é",
}


def command(server: str, host: str, port: int, root_path: str) -> list[str]:
    words = [sys.executable, "-m", server, f"{host}_host:app"]
    words += ["--port", str(port)] if server == "uvicorn" else ["--bind", f"127.0.0.1:{port}"]
    return [*words, "--root-path", root_path] if root_path else words


@pytest.fixture
def serve(require: Callable[[str, bool, str], None], tmp_path: Path) -> Iterator[Callable[..., str]]:
    processes: list[subprocess.Popen[bytes]] = []

    def start(server: str, host: str, root_path: str = "") -> str:
        for module in (server, *([] if host == "plain" else [host])):
            require("hosts", importlib.util.find_spec(module) is not None, f"{module} is not installed")
        port = free_port()
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                command(server, host, port, root_path),
                cwd=HOSTS,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        processes.append(process)
        url = f"http://127.0.0.1:{port}"
        prefix = "" if host == "plain" else "/scheduler"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if httpx.get(f"{url}{prefix}/healthz").status_code == 200:
                    return url + prefix
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError((tmp_path / "log").read_text())

    yield start
    for process in processes:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def exercise(url: str, module: str) -> None:
    """Ask for everything whose path is difficult."""
    with httpx.Client(base_url=url) as client:
        assert 201 == client.post("/api/jobs", json=BODY | {"func_module": module}).status_code
        assert "a/b é" == client.get("/api/jobs/a%2Fb%20%C3%A9").json()["job"]["job_id"]
        assert 200 == client.post("/api/jobs/a%2Fb%20%C3%A9/pause").status_code
        assert client.get("/api/jobs?status=paused").json()["jobs"][0]["paused"]
        assert "<!doctype html>" in client.get("/").text.lower()
        assert 200 == client.get("/static/index.html").status_code
        assert 404 == client.get("/api/nothing").status_code
        assert 200 == client.delete("/api/jobs/a%2Fb%20%C3%A9").status_code
        with client.stream("GET", "/events") as stream:
            assert next(line for line in stream.iter_lines() if line.startswith("event:")) == "event: snapshot"


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("host", NAMES)
def test_every_host_serves_everything(host: str, server: str, serve: Callable[..., str]) -> None:
    exercise(serve(server, host), f"{host}_host")


@pytest.mark.parametrize("host", [name for name in NAMES if name != "plain"])
def test_the_dashboard_without_its_slash_is_found(host: str, serve: Callable[..., str]) -> None:
    url = serve("uvicorn", host)
    answer = httpx.get(url, follow_redirects=True)

    assert 200 == answer.status_code
    assert str(answer.url).endswith("/scheduler/")


@pytest.mark.parametrize("host", [name for name in NAMES if name != "plain"])
def test_a_path_that_only_begins_like_the_prefix_is_the_hosts(host: str, serve: Callable[..., str]) -> None:
    url = serve("uvicorn", host)

    assert 404 == httpx.get(url + "s/api/jobs").status_code


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("host", ["plain", "fastapi", "django"])
def test_a_proxy_that_strips_its_prefix_changes_nothing(host: str, server: str, serve: Callable[..., str]) -> None:
    """The server is told --root-path; what it makes of that differs from one to the other."""
    exercise(serve(server, host, "/proxy"), f"{host}_host")
