"""What ``asched demo`` runs: a small company's schedule, and a view of it in the terminal.

Everything is real: the jobs fail, retry, overlap, time out and report progress as any other job does, only more
often. Started again on the same store it goes on where it was.
"""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from asched.clock import SystemClock
from asched.events import Event
from asched.instants import to_datetime
from asched.model import JobStatus, RunStatus, Statistics
from asched.runner import current_run
from asched.scheduler import Scheduler
from asched.triggers import BuiltIn
from asched.views import Job

__all__ = ["build", "follow", "greeting", "summary"]

log = logging.getLogger(__name__)

_EVENT_LINES = 9
# People read slower than this, and a terminal over a slow line keeps up with it.
_REDRAW_EVERY = 0.5
_CLOCK = SystemClock()


# The jobs


async def heartbeat() -> None:
    """Shortest job there is: it shows that the schedule lives."""


def make_thumbnails() -> str:
    """A plain function; it may block, for it runs in a worker thread."""
    time.sleep(1.2)
    return f"{random.randint(3, 40)} pictures"


async def fetch_exchange_rates() -> float:
    """Fails twice and succeeds at the third attempt, which is what retries are for."""
    await asyncio.sleep(0.2)
    attempt = _attempt()
    if attempt < 3:
        raise ConnectionError(f"the bank does not answer (attempt {attempt})")
    return round(random.uniform(1.05, 1.15), 4)


async def send_parcels() -> str:
    """Fails for 40 seconds of each minute: a dead letter, which succeeds if replayed in the other 20."""
    await asyncio.sleep(0.1)
    if to_datetime(_CLOCK.now()).second < 40:
        raise TimeoutError("the courier's service is down; it is up from second 40 to 59 of each minute")
    return "handed over"


async def query_warehouse() -> None:
    """Takes longer than its timeout allows, every time."""
    await asyncio.sleep(3600)


async def import_catalogue() -> str:
    """Takes 12 seconds, reports progress and logs. Kill the process meanwhile: it is run again at the next start."""
    run = current_run()
    pages = 24
    for page in range(1, pages + 1):
        await asyncio.sleep(0.5)
        if run is not None:
            run.progress(page, pages)
        if page % 6 == 0:
            log.info("page %d of %d imported", page, pages)
    return f"{pages} pages"


def greet_kathmandu() -> str:
    return f"it is {to_datetime(_CLOCK.now()).astimezone(ZoneInfo('Asia/Kathmandu')):%H:%M} in Kathmandu"


def open_market() -> str:
    return "the market is open"


async def review_week() -> str:
    return "a good week"


async def remove_old_files() -> int:
    return random.randint(0, 9)


def welcome() -> str:
    return "you have been here for ten seconds"


def _attempt() -> int:
    run = current_run()
    return 1 if run is None else run.attempt


def build(store: str | None) -> Scheduler:
    """Return the demonstration's scheduler.

    Args:
        store: A store's URL, or ``None`` for memory.

    Raises:
        MissingExtra: The store's driver is not installed.
        InvalidArgument: No store has this URL.
    """
    s = Scheduler(store, name="demo")
    s.every(2).seconds.id("heartbeat").group("monitoring").do(heartbeat)
    s.every(5).seconds.id("thumbnails").group("shop").do(make_thumbnails)
    s.every(10).seconds.id("exchange-rates").group("shop").retries(3, backoff=0.7).do(fetch_exchange_rates)
    s.every(20).seconds.id("parcels").group("shop").retries(1, backoff=1).do(send_parcels)
    s.every(9).seconds.id("catalogue").group("imports").no_catch_up().do(import_catalogue)
    s.every(30).seconds.id("warehouse").group("imports").timeout(2).retries(0).do(query_warehouse)
    s.cron("* * * * *", tz="Asia/Kathmandu").id("kathmandu").group("offices").do(greet_kathmandu)
    s.cron("0 9 * * MON-FRI", tz="Asia/Tokyo").id("tokyo-opening").group("offices").do(open_market)
    s.weekly.friday.at("16:00", tz="Europe/Berlin").id("weekly-review").group("offices").do(review_week)
    s.hourly.at(":30").id("old-files").group("maintenance").paused().do(remove_old_files)
    s.once(10).seconds.id("welcome").group("maintenance").do(welcome)
    return s


# The view


async def greeting(scheduler: Scheduler) -> str:
    """Return what the store knew before this start."""
    stats = await scheduler.get_statistics(per_job=False)
    letters = len(await scheduler.get_dead_letters(limit=1_000))
    if not scheduler.store.caps.durable:
        return "a new schedule, which ends with this process"
    if not stats.total_runs:
        return "a new schedule; kill this process when you like and start it again"
    return f"goes on after {_count(stats.total_runs, 'run')}, {_count(letters, 'dead letter')} kept"


async def summary(scheduler: Scheduler) -> str:
    """Return one line for the end of the demonstration."""
    stats = await scheduler.get_statistics(per_job=False)
    words = f"{_count(stats.total_runs, 'run')} in all, {stats.total_failures} failed"
    if stats.active_runs:
        again = "runs again at the next start" if scheduler.store.caps.durable else "is given up"
        words += f"; of {_count(stats.active_runs, 'active run')}, what does not end within a second {again}"
    return words


async def follow(scheduler: Scheduler, title: str, *, table: bool) -> None:
    """Show what happens until cancelled.

    Args:
        title: First line of the table.
        table: Redraw a table in place, for which standard output must be a terminal; else print a line an event.
    """
    if not table:
        async for event in scheduler.subscribe():
            line = _event_line(event)
            if line is not None:
                print(line, flush=True)
        return
    events: deque[str] = deque(maxlen=_EVENT_LINES)
    progress: dict[str, str] = {}
    reader = asyncio.create_task(_collect(scheduler, events, progress))
    # The alternate screen gives the terminal back as it was found.
    _write("\x1b[?1049h\x1b[?25l\x1b[2J")
    try:
        while not reader.done():
            size = shutil.get_terminal_size()
            jobs, stats = await scheduler.get_jobs(), await scheduler.get_statistics(per_job=False)
            lines = _table(title, jobs, stats, progress, events, size.columns)
            # Written over what is there, line by line: clearing first would flicker.
            _write("\x1b[H" + "\x1b[K\n".join(lines[: size.lines - 1]) + "\x1b[K\x1b[J")
            await asyncio.sleep(_REDRAW_EVERY)
        await reader
    finally:
        reader.cancel()
        _write("\x1b[?25h\x1b[?1049l")


async def _collect(scheduler: Scheduler, lines: deque[str], progress: dict[str, str]) -> None:
    async for event in scheduler.subscribe():
        run = event.run
        if run is not None:
            progress.pop(run.job_id, None)
            if run.progress is not None and not run.status.final:
                of = "" if run.progress.total is None else f"/{run.progress.total:g}"
                progress[run.job_id] = f"{run.progress.done:g}{of}"
        line = _event_line(event)
        if line is not None and event.job_id != "heartbeat":
            lines.append(line)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _table(
    title: str,
    jobs: Iterable[Job],
    stats: Statistics,
    progress: Mapping[str, str],
    events: Iterable[str],
    width: int,
) -> list[str]:
    now = to_datetime(_CLOCK.now())
    rows: list[tuple[str, ...]] = [_HEADINGS, *(_row(job, now, progress.get(job.id)) for job in jobs)]
    statuses = [row[_HEADINGS.index("STATUS")] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    shown = list(range(len(_HEADINGS)))
    for heading in _DISPENSABLE:
        if sum(widths[column] + 2 for column in shown) - 2 > width:
            shown.remove(_HEADINGS.index(heading))
    lines = [
        title,
        f"{_count(stats.total_runs, 'run')}, {stats.success_rate:.0%} good, {stats.active_runs} active    Ctrl+C ends",
        "",
    ]
    styles = ["\x1b[1m", *(_STYLES.get(status, "") for status in statuses[1:])]
    for row, style in zip(rows, styles, strict=True):
        text = "  ".join(row[column].ljust(widths[column]) for column in shown).rstrip()
        lines.append(f"{style}{_cut(text, width)}\x1b[0m" if style else _cut(text, width))
    return [*lines, "", *(_cut(line, width) for line in events)]


_HEADINGS: Final = ("JOB", "GROUP", "WHEN", "STATUS", "NEXT", "RUNS", "FAILED", "LAST")
# What a narrow terminal does without, first things first.
_DISPENSABLE: Final = ("GROUP", "WHEN", "FAILED", "RUNS")
_STYLES: Final = {"running": "\x1b[36m", "paused": "\x1b[2m", "finished": "\x1b[2m"}


def _row(job: Job, now: datetime, progress: str | None) -> tuple[str, ...]:
    last = progress or ("" if job.last_status is None else str(job.last_status))
    return (
        job.id, job.group, job.trigger.describe(), str(job.status), _next(job, now), str(job.run_count),
        str(job.failure_count), last,
    )  # fmt: skip


def _next(job: Job, now: datetime) -> str:
    """Return when the job runs next: soon as a wait, later as its own zone's clock reads it."""
    if job.next_run_at is None or job.status is JobStatus.PAUSED:
        return "-"
    zone = job.trigger.timezone if isinstance(job.trigger, BuiltIn) else None
    seconds = max(0.0, (job.next_run_at - now).total_seconds())
    if seconds < 120:
        return f"in {seconds:.0f} s"
    return f"{job.next_run_at.astimezone(ZoneInfo(zone or 'UTC')):%a %H:%M} {zone or 'UTC'}"


def _event_line(event: Event) -> str | None:
    run = event.run
    if run is None or event.name in ("run.started", "run.progress"):
        return None
    return f"{event.at:%H:%M:%S}  {run.job_id:<14}  {_what(event)}"


def _what(event: Event) -> str:
    run = event.run
    assert run is not None
    error = "" if run.error is None else f": {run.error.type}: {run.error.message}".rstrip(": ")
    match run.status:
        case RunStatus.RETRYING | RunStatus.PENDING:
            return f"attempt {run.attempt} failed, will be retried{error}"
        case RunStatus.SUCCEEDED:
            after = "" if len(run.attempts) < 2 else f" at attempt {len(run.attempts)}"
            result = "" if run.result is None else f": {run.result}"
            return f"succeeded{after} in {run.duration or 0.0:.2f} s{result}"
        case RunStatus.FAILED:
            return f"failed, kept as dead letter {run.id}{error}"
        case RunStatus.SKIPPED | RunStatus.MISSED:
            return f"{run.status} ({run.reason})" + (f", {run.count} instants" if run.count > 1 else "")
        case _:
            return f"{run.status}{error}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"
