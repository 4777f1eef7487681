"""What does an event cost that goes to a thousand clients, next to an application that sends one chunk to each?

Both run under uvicorn on one core; the clients are bare sockets in this process. Ten times a second one job changes.
Counted are the processor time of the server for each message that arrived, and how long after the change the last
client had it. The limit writes the same bytes to every stream from one loop, with no queue, no ring and no watcher.

    python benchmarks/sse_fanout.py [--quick]
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

EVERY = 0.1
_TICKS = os.sysconf("SC_CLK_TCK")


def build() -> object:
    """Make the application that is measured; uvicorn calls this."""
    from asched import Scheduler
    from asched.triggers import Interval
    from asched_web import create_app

    scheduler = Scheduler()

    def work() -> None: ...

    app = create_app(scheduler)

    async def change() -> None:
        number = 0
        while True:
            await asyncio.sleep(EVERY)
            number += 1
            await scheduler.update_job("job", name=f"at {time.time():.6f} {number}")

    async def with_job(scope, receive, send):  # type: ignore[no-untyped-def]
        if scope["type"] == "http":
            await app(scope, receive, send)
            return
        tasks = []

        async def filled(message):  # type: ignore[no-untyped-def]
            if message["type"] == "lifespan.startup.complete":
                await scheduler.add_job(work, Interval(hours=1), id="job")
                tasks.append(asyncio.ensure_future(change()))
            await send(message)

        await app(scope, receive, filled)

    return with_job


def limit() -> object:
    """Make the application that writes one chunk to each stream in turn."""
    sends: list[object] = []
    tasks: list[object] = []
    padding = "x" * 560  # as long as a job

    async def change() -> None:
        while True:
            await asyncio.sleep(EVERY)
            data = f'event: job\ndata: {{"job_name":"at {time.time():.6f} 1","padding":"{padding}"}}\n\n'.encode()
            for send in sends:
                await send({"type": "http.response.body", "body": data, "more_body": True})  # type: ignore[operator]

    async def app(scope, receive, send):  # type: ignore[no-untyped-def]
        if not tasks:
            tasks.append(asyncio.ensure_future(change()))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"event: snapshot\ndata: 1\n\n", "more_body": True})
        sends.append(send)
        while (await receive())["type"] != "http.disconnect":
            pass
        sends.remove(send)

    return app


class Reader(asyncio.Protocol):
    """Notes how late each change arrived."""

    def __init__(self, late: list[float]) -> None:
        self.late = late

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")

    def data_received(self, data: bytes) -> None:
        now = time.time()
        at = data.find(b'"job_name":"at ')
        if at >= 0 and b"event: job\n" in data:
            self.late.append(now - float(data[at + 15 :].split(b" ", 1)[0]))


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def measure(name: str, clients: int, seconds: float) -> tuple[float, float, float]:
    """Return microseconds of processor time for each message, and the middle and worst lateness in milliseconds."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["-m", "uvicorn", f"sse_fanout:{name}", "--factory", "--port", str(port), "--no-access-log",
             "--log-level", "error", "--lifespan", "on" if name == "build" else "off"]  # fmt: skip
    process = subprocess.Popen([sys.executable, *words], cwd=Path(__file__).parent)  # noqa: ASYNC220 - before anything is measured
    late: list[float] = []
    loop = asyncio.get_running_loop()
    try:
        for _ in range(200):
            try:
                links = [(await loop.create_connection(lambda: Reader(late), "127.0.0.1", port))[0]]
                break
            except OSError:
                await asyncio.sleep(0.05)
        links += [
            (await loop.create_connection(lambda: Reader(late), "127.0.0.1", port))[0] for _ in range(clients - 1)
        ]
        await asyncio.sleep(2)
        late.clear()
        before = processor_seconds(process.pid)
        await asyncio.sleep(seconds)
        used, arrived = processor_seconds(process.pid) - before, sorted(late)
        for link in links:
            link.close()
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait)
    return used / max(1, len(arrived)) * 1e6, statistics.median(arrived) * 1e3, arrived[-1] * 1e3


def main(clients: int, seconds: float) -> None:
    print(f"{clients} clients, a change every {EVERY} s, 3 rounds in turn, {seconds:g} s each")
    print("| contender | processor time for each message | middle lateness | worst lateness |")
    print("|---|---|---|---|")
    rounds = [
        (asyncio.run(measure("limit", clients, seconds)), asyncio.run(measure("build", clients, seconds)))
        for _ in range(3)
    ]
    for name, column in (("limit", 0), ("asched_web", 1)):
        cost, middle, worst = (statistics.median(round[column][i] for round in rounds) for i in range(3))
        print(f"| {name} | {cost:.1f} us | {middle:.1f} ms | {worst:.1f} ms |")
    print(f"ratio of processor time: {statistics.median(ours[0] / limit[0] for limit, ours in rounds):.2f}")


if __name__ == "__main__":
    main(*((100, 1.0) if "--quick" in sys.argv else (1000, 5.0)))
