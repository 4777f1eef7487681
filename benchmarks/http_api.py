"""How many requests a second does the HTTP interface answer, next to an application that only sends cached bytes?

Both run under uvicorn (uvloop, httptools) on one core, one after the other in turns, asked by wrk from the same
machine. The limit sends the very bytes and as many headers as the interface does, with a dictionary look-up by path;
what is left below it is what our own code costs. Processor time for each request is the figure that counts: requests a
second depend on what else the machine does.

    python benchmarks/http_api.py [--quick]
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

JOBS = 100
ROUNDS = 3
CONNECTIONS = 64
GOAL = 0.8


def build() -> object:
    """Make the application that is measured; uvicorn calls this."""
    from asched import Scheduler
    from asched.triggers import Interval
    from asched_web import create_app

    scheduler = Scheduler()

    def work() -> None: ...

    app = create_app(scheduler)

    async def with_jobs(scope, receive, send):  # type: ignore[no-untyped-def]
        if scope["type"] == "http":
            await app(scope, receive, send)
            return

        async def filled(message):  # type: ignore[no-untyped-def]
            if message["type"] == "lifespan.startup.complete":
                for number in range(JOBS):
                    await scheduler.add_job(work, Interval(hours=1), id=f"job-{number}", group=f"g{number % 7}")
            await send(message)

        await app(scope, receive, filled)

    return with_jobs


def limit() -> object:
    """Make the application that sends cached bytes."""
    folder = Path(os.environ["ASCHED_BENCH"])
    body, tag = (folder / "body").read_bytes(), (folder / "tag").read_bytes()
    shared = [
        (b"etag", tag),
        (b"cache-control", b"private, no-cache"),
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
        (b"referrer-policy", b"no-referrer"),
    ]
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *shared]
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    unchanged = {"type": "http.response.start", "status": 304, "headers": shared}
    paths = {"/api/jobs": {"type": "http.response.body", "body": body}}
    nothing = {"type": "http.response.body", "body": b""}

    async def app(scope, receive, send):  # type: ignore[no-untyped-def]
        for name, value in scope["headers"]:
            if name == b"if-none-match" and value == tag:
                await send(unchanged)
                await send(nothing)
                return
        await send(start)
        await send(paths[scope["path"]])

    return app


Server = tuple["subprocess.Popen[bytes]", str]


def serve(name: str, folder: Path) -> Server:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["-m", "uvicorn", f"http_api:{name}", "--factory", "--port", str(port), "--no-access-log",
             "--log-level", "error", "--lifespan", "on" if name == "build" else "off"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, *words], cwd=Path(__file__).parent, env=os.environ | {"ASCHED_BENCH": str(folder)}
    )
    url = f"http://127.0.0.1:{port}/api/jobs?limit=100"
    for _ in range(200):
        try:
            urllib.request.urlopen(url).read()
            return process, url
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"{name} did not come up")


def wrk(server: Server, seconds: float, tag: bytes | None) -> tuple[float, float]:
    """Return requests a second, and microseconds of the server's processor time for each."""
    process, url = server
    words = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", url]
    if tag is not None:
        words[1:1] = ["-H", f"If-None-Match: {tag.decode()}"]
    before = processor_seconds(process.pid)
    output = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    used = processor_seconds(process.pid) - before
    rate, count = re.search(r"Requests/sec: +([\d.]+)", output), re.search(r"(\d+) requests in", output)
    if rate is None or count is None or (tag is None and "Non-2xx" in output):
        raise SystemExit(output)
    return float(rate[1]), used / int(count[1]) * 1e6


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(seconds: float) -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("this benchmark needs wrk: apt-get install wrk")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = serve("build", folder)
        try:
            with urllib.request.urlopen(ours[1]) as answer:
                (folder / "body").write_bytes(answer.read())
                tag = answer.headers["etag"].encode()
                (folder / "tag").write_bytes(tag)
            cached = serve("limit", folder)
            try:
                measure(cached, ours, tag, seconds, (folder / "body").stat().st_size)
            finally:
                stop(cached)
        finally:
            stop(ours)


def stop(server: Server) -> None:
    server[0].send_signal(signal.SIGTERM)
    server[0].wait()


def measure(cached: Server, ours: Server, tag: bytes, seconds: float, size: int) -> None:
    print(f"GET /api/jobs with {JOBS} jobs ({size:,} bytes), {CONNECTIONS} connections, {ROUNDS} rounds in turn")
    print("| answer | contender | requests | processor time for each | limit's share | goal |")
    print("|---|---|---|---|---|---|")
    for shown, condition in (("200", None), ("304", tag)):
        pairs = [(wrk(cached, seconds, condition), wrk(ours, seconds, condition)) for _ in range(ROUNDS)]
        share = statistics.median(limit[1] / our[1] for limit, our in pairs)
        for name, column in (("limit, cached bytes", 0), ("asched_web", 1)):
            rate, cost = (statistics.median(pair[column][i] for pair in pairs) for i in (0, 1))
            verdict = f"{share:.2f} | {GOAL}" if column else " | "
            print(f"| {shown} | {name} | {rate:,.0f}/s | {cost:.1f} us | {verdict} |")


if __name__ == "__main__":
    main(1 if "--quick" in sys.argv else 5)
