"""Turn the kept results into the tables of goals.

``python benchmarks/_table.py`` writes ``results/table.md``, the same table into ``docs/performance.md`` and the
questions most people have into ``README.md``. With ``--check`` it writes nothing, and fails where a page says something
else than the results.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TypedDict

from _bench import LIMIT, OURS, PEER, RESULTS, ROOT, shown

PAGE = ROOT / "docs" / "performance.md"
README = ROOT / "README.md"
_BEGIN, _END = "<!-- table: written by benchmarks/_table.py -->", "<!-- end of table -->"


class _Goal(TypedDict):
    case: str
    name: str
    metric: str
    goal: str
    limit: float | None
    peer: float | None
    peer_name: str | None
    asched: float
    times_limit: float | None
    met: bool


# How a figure's name is read in a table.
_UNITS = {
    "p50_ms": "p50, ms",
    "p99_ms": "p99, ms",
    "cpu_ms": "CPU, ms",
    "cpu_us_per_run": "CPU a run, us",
    "us_per_run": "time a run, us",
    "stall_ms": "loop stall, ms",
    "add_cpu_s": "add, CPU s",
    "bytes_per_job": "bytes a job",
    "pause_us": "pause one, us",
    "cancel_us": "cancel one, us",
    "idle_cpu_pct": "CPU, %",
    "import_cpu_ms": "import, CPU ms",
    "distributions": "distributions",
    "lag_p99_ms": "loop lag p99, ms",
    "growth_mb": "growth, MB",
    "growth_bytes_per_run": "growth a run, bytes",
}


# What the README shows: result, case, figure, and how a reader would ask.
_SHORT = (
    ("burst_async", "a job that does nothing", "cpu_us_per_run", "an async run, of 10,000 due at once: CPU, us"),
    ("burst_async-py313", "a job that does nothing", "cpu_us_per_run", "the same on Python 3.13"),
    ("burst_async", "a job that does nothing", "stall_ms", "how long those 10,000 hold up the event loop, ms"),
    ("burst_sync", "", "cpu_us_per_run", "a run in a thread, of 2,000 due at once: CPU, us"),
    ("firing_latency", "", "p50_ms", "from due to the function's first line, idle, median: ms"),
    ("scale", "100,000 jobs", "add_cpu_s", "adding 100,000 jobs: CPU, s"),
    ("scale", "100,000 jobs", "bytes_per_job", "holding a job: bytes"),
    ("scale", "an idle process that holds 100,000 jobs", "idle_cpu_pct", "100,000 jobs and nothing due: CPU, %"),
    (
        "postgres_shared",
        "20,000 due at once, one node",
        "us_per_run",
        "a run in a Postgres that others share: time, us",
    ),
    ("postgres_shared", "20,000 due at once, two nodes", "us_per_run", "the same by two processes: time, us"),
    ("import_cost", "", "import_cpu_ms", "the import, on top of asyncio's: CPU, ms"),
)

# Figures without a goal that one asks about all the same: result, case, figure, what it is.
_ALSO = (
    ("scale", "100,000 jobs", "page_us", "one page of 50 of `get_jobs()`, us"),
    ("scale", "100,000 jobs", "update_us", "one `update_job()`, us"),
    ("scale", "100,000 jobs", "group_pause_ms", "`pause_group()` of all 100,000, ms"),
    ("scale", "an idle process that holds 100,000 jobs", "wakeups_per_min", "wake-ups a minute"),
    ("sustained_load", "", "lag_max_ms", "loop lag, the longest, ms"),
    ("sustained_load", "", "cpu_us_per_run", "CPU a run, us"),
    ("postgres_shared", "20,000 due at once, one node", "server_us", "CPU of the server a run, us"),
    ("postgres_shared", "20,000 due at once, one node", "wal_bytes", "WAL a run, bytes"),
    ("postgres_shared", "one run at a time", "us_per_run", "claim and end of one, us"),
    ("postgres_shared", "one run at a time", "wal_bytes", "WAL a run, bytes"),
    ("postgres_shared", "1M stored jobs", "list_ms", "one page of 50 of `get_jobs()`, ms"),
    ("postgres_shared", "1M stored jobs", "pause_ms", "`pause_job()`, ms"),
    ("postgres_shared", "1M stored jobs", "cancel_ms", "`cancel_job()`, ms"),
    ("postgres_shared", "1M stored jobs", "queries_per_min", "queries a minute of a node with nothing due"),
)


def write_table() -> str:
    """Write the tables from the results there are, and return the long one."""
    for path, text in _pages().items():
        path.write_text(text, "utf-8")
    return (RESULTS / "table.md").read_text("utf-8")


def stale_pages() -> list[Path]:
    """Return the files whose tables are not those of the results."""
    return [path for path, text in _pages().items() if path.read_text("utf-8") != text]


def _pages() -> dict[Path, str]:
    table = _long_table()
    return {
        RESULTS / "table.md": table,
        PAGE: _with_table(PAGE, table),
        README: _with_table(README, _short_table()),
    }


def _with_table(page: Path, table: str) -> str:
    before, begin, rest = page.read_text("utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise SystemExit(f"{page} has no place for its table, between {_BEGIN} and {_END}")
    return f"{before}{begin}\n\n{table}\n{end}{after}"


def _short_table() -> str:
    lines = ["| | limit | best peer | asched | goal |", "|---|---:|---:|---:|---:|"]
    for name, case, metric, question in _SHORT:
        report = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
        goals: list[_Goal] = report["goals"]
        for goal in goals:
            if (goal["case"], goal["metric"]) == (case, metric):
                wanted = goal["goal"].replace("x limit", "x the limit")
                lines.append(
                    f"| {question} | {shown(goal['limit'])} | {_peer(goal)} | **{shown(goal['asched'])}** | "
                    f"{wanted if goal['met'] else f'{wanted}, missed'} |"
                )
                break
    return "\n".join([*lines, ""])


def _peer(goal: _Goal) -> str:
    return "-" if goal["peer"] is None else f"{shown(goal['peer'])} ({goal['peer_name']})"


def _long_table() -> str:
    lines = [
        "| question | limit | best peer | asched | goal | |",
        "|---|---:|---:|---:|---:|---|",
    ]
    machines: dict[str, None] = {}
    for path in sorted(RESULTS.glob("*.json")):
        report = json.loads(path.read_text("utf-8"))
        goals: list[_Goal] = report.get("goals", [])
        machine = report.get("machine", {})
        python = ".".join(str(machine.get("python", "")).split(".")[:2])
        machines[
            f"{machine.get('cores')} cores of {machine.get('cpu')}, {machine.get('kernel')}"
            f"{', ' + machine['server'] if 'server' in machine else ''}; load "
            f"{machine.get('load_before', 0):.1f} to {machine.get('load_after', 0):.1f}; commit "
            f"{report.get('commit')}, {report.get('at')}: {path.stem}"
        ] = None
        for goal in goals:
            what = ": ".join(part for part in (report["benchmark"], goal["case"]) if part)
            limit = "-" if goal["limit"] is None else shown(goal["limit"])
            ratio = "" if goal["times_limit"] is None else f" ({shown(goal['times_limit'])} x)"
            lines.append(
                f"| {what}: {_UNITS.get(goal['metric'], goal['metric'])}, Python {python} | {limit} | {_peer(goal)} | "
                f"**{shown(goal['asched'])}**{ratio} | {goal['goal']} | {'met' if goal['met'] else '**missed**'} |"
            )
    for name, case, metric, label in _ALSO:
        rows = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))["rows"]
        found = {
            role: [
                (row["figures"][metric]["median"], row["name"])
                for row in rows
                if row["case"] == case and row["role"] == role and metric in row["figures"]
            ]
            for role in (LIMIT, PEER, OURS)
        }
        limit = shown(found[LIMIT][0][0]) if found[LIMIT] else "-"
        best = min(found[PEER], default=None)
        peer = "-" if best is None else f"{shown(best[0])} ({best[1]})"
        what = ": ".join(part for part in (name, case) if part)
        lines.append(f"| {what}: {label} | {limit} | {peer} | **{shown(found[OURS][0][0])}** | - | |")
    return "\n".join([*lines, "", "Measured on:", "", *(f"* {machine}" for machine in machines), ""])


def main(arguments: list[str]) -> int:
    if "--check" not in arguments:
        print(write_table())
        return 0
    stale = [path.relative_to(ROOT).as_posix() for path in stale_pages()]
    if stale:
        print(f"{', '.join(stale)}: not the table of benchmarks/results; run python benchmarks/_table.py")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
