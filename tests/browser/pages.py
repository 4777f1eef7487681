"""Dashboards as processes, and pages that report whatever should not happen in them."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

HERE = Path(__file__).parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


class Site:
    """A dashboard's server, as a process."""

    def __init__(self, name: str, port: int | None = None) -> None:
        self.name = name
        self.port = port or _free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.process = subprocess.Popen(
            [sys.executable, "sites.py", name, str(self.port)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=HERE,
        )  # fmt: skip
        deadline = time.monotonic() + 40
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                output = self.process.stdout.read().decode() if self.process.stdout else ""
                pytest.fail(f"the site {name} did not start:\n{output}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self, how: int = signal.SIGTERM, patience: float = 10) -> float:
        """Send the signal and return the seconds until the process has ended."""
        begin = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return float("inf")
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()
        return time.monotonic() - begin


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def until(page: Page, expression: str, patience: float = 20) -> None:
    """Wait for an expression to be true. The page's policy forbids what playwright's own waiting for one does."""
    deadline = time.monotonic() + patience
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"{expression} has not come true within {patience} s"
        page.wait_for_timeout(50)


class Watched:
    """A page, and what went wrong in it: errors, refused content, requests to other hosts."""

    def __init__(self, page: Page, site: Site) -> None:
        self.page = page
        self.site = site
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.on("console", self._hear)
        page.on("request", lambda request: self.requests.append(request.url))

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    @property
    def strangers(self) -> list[str]:
        return [url for url in self.requests if not url.startswith((self.site.url, "data:"))]

    def open(self, route: str = "", *, settle: bool = True) -> Page:
        """Go to a route and wait until the page is live and has nothing left to load."""
        here = self.page.url.startswith(self.site.url)
        if here:
            self.page.evaluate("hash => { location.hash = hash }", f"#/{route}")
        else:
            self.page.goto(f"{self.site.url}#/{route}")
        if settle:
            self.settle()
        return self.page

    def settle(self) -> None:
        self.page.wait_for_selector(".connection.tone-good", timeout=20_000)
        until(self.page, "document.querySelector('main h1') !== null && !document.querySelector('.skeleton')")
