"""Dashboards to look at, each a server of its own: ``python sites.py NAME PORT [NUMBER]``."""

from __future__ import annotations

import asyncio
import inspect
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from asched import MemoryStore, Scheduler, StoreUnavailable, current_run
from asched_web import create_app

log = logging.getLogger("work")

#: What an outsider might get into a field: markup, attributes, templates, scripts. Each sets `pwned` if it runs.
HOSTILE = [
    "<img src=x onerror=window.pwned=1>",
    "\" onmouseover=\"window.pwned=2\" x=\"",
    "' onfocus='window.pwned=3' autofocus='",
    "</script><script>window.pwned=4</script>",
    "<svg onload=window.pwned=5>",
    "javascript:window.pwned=6",
    "${window.pwned=7}{{constructor.constructor('window.pwned=8')()}}",
    "<iframe srcdoc='<script>parent.pwned=9</script>'></iframe>",
]  # fmt: skip
_ALL = " ".join(HOSTILE)


def work(*args: object, **kwargs: object) -> dict[str, object]:
    return {"rows": 12, "args": list(args)}


async def fail(order: int = 0) -> None:
    raise ConnectionError(f"the courier does not answer (order {order})")


async def wait(seconds: float = 3600) -> None:
    run = current_run()
    log.info("waiting for %s seconds", seconds)
    for step in range(1, 1000):
        if run is not None:
            run.progress(min(step, 40), 100)
        await asyncio.sleep(0.5)
        if step <= 20:
            log.info("step %d", step)


async def gone() -> None:
    """A function that the next program has no more."""
    await asyncio.sleep(3600)


async def nap(long: float = 1.5) -> None:
    """Take long the first time, as a run does that waits out a downtime, and a moment afterwards."""
    first = not _naps
    _naps.append(long)
    await asyncio.sleep(long if first else 0.02)


_naps: list[float] = []


async def betray() -> str:
    """Log, return and raise what should be text and nothing else."""
    log.info("log %s", _ALL)
    run = current_run()
    if run is not None and run.attempt == 1 and run.job_id.endswith("raises"):
        raise ValueError(_ALL)
    return _ALL


FUNCTIONS = (work, fail, wait, nap, betray)


async def add(s: Scheduler, func: str, kind: str, config: dict[str, object], **options: object) -> None:
    await s.create_job(
        func_name=func, func_module=__name__, schedule_type=kind, schedule_config=config, **options,  # type: ignore[arg-type]
    )  # fmt: skip


async def populate(s: Scheduler) -> None:
    """Make something of everything: states, ends, groups, zones and every kind of trigger."""
    await add(
        s,
        "work",
        "interval",
        {"interval": 30, "unit": "seconds"},
        job_id="orders",
        job_name="Import orders",
        group="shop",
        tags=["nightly", "erp"],
        args=[1, "two"],
        kwargs={"password": "hunter2", "region": "EU"},
    )
    await add(
        s,
        "work",
        "cron",
        {"expression": "0 9 * * MON-FRI"},
        job_id="market",
        job_name="Open the market",
        group="offices",
        timezone="Asia/Tokyo",
    )
    await add(
        s,
        "work",
        "daily",
        {"time": "02:30"},
        job_id="backup",
        job_name="Back up the database",
        group="maintenance",
        timezone="America/New_York",
        timeout=600,
        overlap="queue",
    )
    await add(
        s,
        "work",
        "weekly",
        {"time": "16:00", "days": [4]},
        job_id="review",
        job_name="Weekly review",
        group="offices",
        timezone="Europe/Berlin",
    )
    await add(
        s, "work", "hourly", {"time": "30"}, job_id="tidy", job_name="Tidy up", group="maintenance", enabled=False
    )
    await add(s, "work", "once", {"delay": 0, "unit": "seconds"}, job_id="welcome", job_name="Welcome")
    await add(
        s,
        "fail",
        "interval",
        {"interval": 3, "unit": "hours"},
        job_id="parcels",
        job_name="Send parcels",
        group="shop",
        max_retries=0,
        args=[4711],
    )
    await add(
        s,
        "wait",
        "interval",
        {"interval": 1, "unit": "days"},
        job_id="crawl",
        job_name="Crawl the catalogue",
        group="shop",
    )
    for n in range(6):
        await add(
            s,
            "work",
            "daily",
            {"time": "00:00"},
            job_id=f"midnight-{n}",
            job_name=f"Close the books {n}",
            group="accounts",
        )
    for _ in range(3):
        await s.run_job_now("parcels")
        await asyncio.sleep(0.05)
    for _ in range(8):
        await s.run_job_now("orders")
        await asyncio.sleep(0.03)
    await s.run_job_now("crawl")


async def betrayed(s: Scheduler) -> None:
    """Put hostile text into every field that takes text."""
    for n, text in enumerate(HOSTILE):
        await add(s, "betray", "interval", {"interval": 1, "unit": "days"}, job_id=f"{n} {text} raises", job_name=text,
            group=text, tags=[text], args=[text], kwargs={text: text}, max_retries=0,
        )  # fmt: skip
        await add(s, "work", "interval", {"interval": 1, "unit": "days"}, job_id=f"{n} {text} works", job_name=text,
            group=text, args=[text],
        )  # fmt: skip
        await s.run_job_now(f"{n} {text} raises")
        await s.run_job_now(f"{n} {text} works")


async def many(s: Scheduler) -> None:
    """10,000 jobs, of which fifty a second start."""
    for n in range(10_000):
        seconds = 10 if n < 500 else 86_400
        await add(s, "work", "interval", {"interval": seconds, "unit": "seconds"}, job_id=f"job-{n:05}",
            job_name=f"Job {n:05}", group=f"group {n % 40:02}", jitter=9 if n < 500 else 0, catch_up="skip",
        )  # fmt: skip


async def away(s: Scheduler) -> None:
    """Something of everything, and a job each second, so that the engine notices soon that its store is away."""
    await populate(s)
    await add(s, "work", "interval", {"interval": 1, "unit": "seconds"}, job_id="tick", job_name="Tick")


async def earlier(store: MemoryStore) -> None:
    """What an earlier program left: a run that it interrupted, and one whose function went with it."""
    first = Scheduler(store)
    for func in (wait, gone):
        first.register_function(func)
    async with first:
        for func in ("wait", "gone"):
            await add(first, func, "interval", {"interval": 10, "unit": "minutes"}, job_id=func)
            await first.run_job_now(func)
        await asyncio.sleep(0.3)
        await first.stop(wait=False)


async def past(s: Scheduler) -> None:
    """A job of which one run took much longer than all others."""
    await add(s, "nap", "interval", {"interval": 1, "unit": "days"}, job_id="nap", job_name="Nap")
    for _ in range(20):
        await s.wait_for_run((await s.run_job_now("nap")).id)


async def lively(s: Scheduler) -> None:
    """Thirty jobs that start each second and ten that do not: the history grows all the time."""
    for n in range(10):
        await add(s, "work", "interval", {"interval": 1, "unit": "days"}, job_id=f"still-{n}", job_name=f"Still {n}")
    for n in range(30):
        await add(s, "work", "interval", {"interval": 1, "unit": "seconds"}, job_id=f"beat-{n:02}",
            job_name=f"Beat {n:02}", group="beats", jitter=0.9,
        )  # fmt: skip


async def letters(s: Scheduler) -> None:
    """More failures than letters are kept, of two jobs of one name whose errors are alike."""
    for id in ("first", "second"):
        await add(s, "fail", "interval", {"interval": 1, "unit": "days"}, job_id=id, max_retries=0,
            job_name="Send the quarterly statements to all customers", args=[1],
        )  # fmt: skip
        for _ in range(4):
            run = await s.run_job_now(id)
            await s.wait_for_run(run.id)


async def nothing(s: Scheduler) -> None:
    """A schedule without a job."""


CONTENTS: dict[str, Callable[[Scheduler], Awaitable[None]]] = {
    "populated": populate, "betrayed": betrayed, "many": many, "empty": nothing, "token": populate,
    "read-only": populate, "away": away, "lively": lively, "letters": letters,
    "past": past,
}  # fmt: skip
OPTIONS: dict[str, dict[str, object]] = {
    "token": {"auth": {"look": "view", "steer": "operate", "make": "edit"}},
    "read-only": {"read_only": True},
}


class AwayStore(MemoryStore):
    """A store that cannot be reached between one SIGUSR1 and the next."""

    away = False

    def turn(self) -> None:
        self.away = not self.away


def _reachable(name: str) -> Callable[..., Awaitable[Any]]:
    method = getattr(MemoryStore, name)

    async def asked(self: AwayStore, *args: Any, **options: Any) -> Any:
        if self.away:
            raise StoreUnavailable("cannot reach postgresql://10.0.0.7:5432/jobs: [Errno 104] Connection reset by peer")
        return await method(self, *args, **options)

    return asked


for _name, _ in inspect.getmembers(MemoryStore, inspect.iscoroutinefunction):
    if not _name.startswith("_") and _name not in ("open", "close"):
        setattr(AwayStore, _name, _reachable(_name))


STORES: dict[str, Callable[[], Scheduler]] = {
    "away": lambda: Scheduler(AwayStore()),
    "letters": lambda: Scheduler(max_dead_letters=5),
}


async def main(name: str, port: int) -> None:
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("asched").setLevel(logging.CRITICAL)
    scheduler = STORES.get(name, Scheduler)()
    store = scheduler.store
    if isinstance(store, AwayStore):
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, store.turn)
    if name == "past" and isinstance(store, MemoryStore):
        await earlier(store)
    for func in FUNCTIONS:
        scheduler.register_function(func)
    app = create_app(scheduler, title="Acme", **OPTIONS.get(name, {}))  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", timeout_graceful_shutdown=5))
    await scheduler.start()
    await CONTENTS[name](scheduler)
    try:
        await server.serve()
    finally:
        await scheduler.stop(wait=False)


if __name__ == "__main__":
    # The functions are stored under this module's own name, as a program's would be.
    sys.modules["sites"] = sys.modules["__main__"]
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
