"""Turn the kept results into the table of goals.

``python benchmarks/_table.py`` writes ``results/table.md`` and the same table into ``docs/performance.md``.
"""

from __future__ import annotations

import json
from typing import TypedDict

from _bench import RESULTS, ROOT, shown

PAGE = ROOT / "docs" / "performance.md"
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


def write_table() -> str:
    """Write the table from the results there are, and return it."""
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
            f"{machine.get('cores')} cores of {machine.get('cpu')}, {machine.get('kernel')}; load "
            f"{machine.get('load_before', 0):.1f} to {machine.get('load_after', 0):.1f}; commit "
            f"{report.get('commit')}, {report.get('at')}: {path.stem}"
        ] = None
        for goal in goals:
            what = ": ".join(part for part in (report["benchmark"], goal["case"]) if part)
            peer = "-" if goal["peer"] is None else f"{shown(goal['peer'])} ({goal['peer_name']})"
            limit = "-" if goal["limit"] is None else shown(goal["limit"])
            ratio = "" if goal["times_limit"] is None else f" ({shown(goal['times_limit'])} x)"
            lines.append(
                f"| {what}: {_UNITS.get(goal['metric'], goal['metric'])}, Python {python} | {limit} | {peer} | "
                f"**{shown(goal['asched'])}**{ratio} | {goal['goal']} | {'met' if goal['met'] else '**missed**'} |"
            )
    text = "\n".join([*lines, "", "Measured on:", "", *(f"* {machine}" for machine in machines), ""])
    (RESULTS / "table.md").write_text(text, "utf-8")
    before, begin, rest = PAGE.read_text("utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if begin and end:
        PAGE.write_text(f"{before}{_BEGIN}\n\n{text}\n{_END}{after}", "utf-8")
    return text


if __name__ == "__main__":
    print(write_table())
