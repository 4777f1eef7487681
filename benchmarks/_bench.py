"""What the benchmarks share: contenders in environments of their own, interleaved rounds, tables, kept results.

A benchmark is one file with one question. It registers rows, each a function that measures one contender once and
returns figures by name. Every measurement runs in a fresh process of the contender's own environment; rounds visit
all rows in turn, so that a noisy minute falls on everybody. Only the standard library is imported here: the
environments of the peers hold the peer and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import inspect
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
ENVIRONMENTS = ROOT / ".nox" / "bench-peers"

LIMIT, PEER, OURS = "limit", "peer", "asched"

APSCHEDULER = "apscheduler==3.11.3"
FASTSCHEDULER = "fastscheduler==0.2.1"
CHECKOUT = f"-e{ROOT}"
"""asched as it stands here, core only, in an environment of its own."""

Figures = dict[str, float]
Report = dict[str, Any]
"""What is kept of a run, as JSON."""
Measure = Callable[..., Figures | Awaitable[Figures]]

# A measurement that takes longer is a finding of its own, and must not take the whole run with it.
_PATIENCE = 300.0
_SENTINEL = "@figures "


@dataclass
class Row:
    """One line of a table: a contender in one case."""

    case: str
    name: str
    role: str
    measure: Measure | None
    arguments: dict[str, object]
    quick: dict[str, object]
    requires: str | None
    rounds: int | None
    unable: str | None
    only_full: bool
    smaller: bool
    values: dict[str, list[float]] = field(default_factory=dict)


@dataclass
class Goal:
    """What asched wants to reach: ``metric`` at most ``at_most``, or at most ``times_limit`` of the limit's."""

    case: str
    metric: str
    at_most: float | None
    times_limit: float | None
    python: str | None
    row: str | None
    compared: bool


class Benchmark:
    """One question, its rows and its goals.

    Args:
        file: ``__file__`` of the benchmark.
        question: Its docstring; the first line stands above the table.
        key: The figure whose ratios are shown.
        rounds: How often each row is measured, in interleaved rounds.
    """

    def __init__(self, file: str, question: str, key: str, rounds: int = 5) -> None:
        self.file = Path(file).resolve()
        self.question = question.strip()
        self.key = key
        self.rounds = rounds
        self.rows: list[Row] = []
        self.goals: list[Goal] = []
        self.facts: dict[str, str] = {}
        """What of the machine matters beside the processor, such as a server and its settings."""

    def row(
        self,
        name: str,
        role: str,
        measure: Measure,
        *,
        case: str = "",
        requires: str | None = None,
        rounds: int | None = None,
        quick: dict[str, object] | None = None,
        only_full: bool = False,
        smaller: bool = False,
        **arguments: object,
    ) -> None:
        """Add a contender: ``measure(**arguments)`` in an environment with ``requires``, or in asched's own.

        Args:
            quick: Arguments that replace others under ``--quick``.
            only_full: Leave the row out under ``--quick``.
            smaller: It does less than the others; it is shown, and never the best peer.
        """
        self.rows.append(
            Row(case, name, role, measure, arguments, quick or {}, requires, rounds, None, only_full, smaller)
        )

    def unable(self, name: str, reason: str, *, case: str = "") -> None:
        """Show a peer that cannot take part, with the reason."""
        self.rows.append(Row(case, name, PEER, None, {}, {}, None, None, reason, False, False))

    def goal(
        self,
        metric: str,
        *,
        case: str = "",
        at_most: float | None = None,
        times_limit: float | None = None,
        python: str | None = None,
        row: str | None = None,
        compared: bool = True,
    ) -> None:
        """Say what asched is to reach in ``case``, on any Python or on one.

        Args:
            row: The contender it is about, where asched has several in the case.
            compared: False for a figure whose ratio to another's says nothing.
        """
        self.goals.append(Goal(case, metric, at_most, times_limit, python, row, compared))

    def main(self) -> None:
        """Measure as the command line says, print, and keep the results of a full run."""
        parser = argparse.ArgumentParser(description=self.question)
        parser.add_argument("--quick", action="store_true", help="one round, smaller numbers; keeps no results")
        parser.add_argument("--rounds", type=int, help=f"rounds (default {self.rounds})")
        parser.add_argument("--python", help="a version such as 3.13 (default: the one that runs this)")
        parser.add_argument("--only", help="contenders to measure, parts of their names, comma separated")
        parser.add_argument("--no-peers", action="store_true", help="the limits and asched alone")
        parser.add_argument("--no-save", action="store_true", help="keep no results")
        parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
        options = parser.parse_args()
        if options.measure is not None:
            self._measure_here(options.measure, options.quick)
            return
        rows = [row for row in self.rows if not (options.quick and row.only_full)]
        if options.no_peers:
            rows = [row for row in rows if row.role != PEER]
        if options.only:
            wanted = options.only.split(",")
            rows = [row for row in rows if any(part in row.name for part in wanted)]
        rounds = options.rounds or (1 if options.quick else self.rounds)
        report = self._run(rows, rounds, options.python, options.quick)
        print(render(report))
        if not (options.quick or options.no_save or options.only):
            RESULTS.mkdir(exist_ok=True)
            suffix = f"-py{options.python.replace('.', '')}" if options.python else ""
            path = RESULTS / f"{self.file.stem}{suffix}.json"
            path.write_text(json.dumps(report, indent=1) + "\n", "utf-8")

    def _measure_here(self, index: int, quick: bool) -> None:
        row = self.rows[index]
        assert row.measure is not None
        arguments = {**row.arguments, **(row.quick if quick else {})}
        if inspect.iscoroutinefunction(row.measure):
            figures = asyncio.run(row.measure(**arguments))
        else:
            figures = row.measure(**arguments)
        print(_SENTINEL + json.dumps(figures), flush=True)
        # What a peer still has to write is of no interest, and takes a while.
        os._exit(0)

    def _run(self, rows: list[Row], rounds: int, python: str | None, quick: bool) -> Report:
        interpreters: dict[str | None, Path] = {}
        for row in rows:
            if row.measure is not None and row.requires not in interpreters:
                interpreters[row.requires] = _interpreter(row.requires, python)
        load = os.getloadavg()[0]
        began = time.time()
        for turn in range(rounds):
            for row in rows:
                if row.measure is None or row.unable or turn >= (row.rounds or rounds):
                    continue
                command = [str(interpreters[row.requires]), str(self.file), "--measure", str(self.rows.index(row))]
                command += ["--quick"] * quick
                figures = _ask(command, row)
                if not figures and "gave up" not in str(row.unable):
                    figures = _ask(command, row)  # a machine that stood still for a second spoils a burst
                for name, value in figures.items():
                    row.values.setdefault(name, []).append(value)
                if row.values:
                    row.unable = None
        own = interpreters.get(None) or Path(sys.executable)
        machine = machine_facts(own)
        machine |= self.facts
        machine |= {"load_before": load, "load_after": os.getloadavg()[0], "seconds": round(time.time() - began, 1)}
        return self._report(rows, rounds, quick, machine)

    def _report(self, rows: list[Row], rounds: int, quick: bool, machine: Report) -> Report:
        version = ".".join(str(machine["python"]).split(".")[:2])
        lines: list[Report] = []
        for row in rows:
            base = next((r for r in rows if r.case == row.case and r.role == LIMIT and self.key in r.values), None)
            line: Report = {"case": row.case, "name": row.name, "role": row.role, "unable": row.unable}
            line["figures"] = {
                name: {"median": statistics.median(v), "min": min(v), "max": max(v), "values": v}
                for name, v in row.values.items()
            }
            if quick and row.quick:
                line["name"] += f" (--quick: {', '.join(f'{k}={v}' for k, v in row.quick.items())})"
            # A smaller measurement has no ratio to a larger one.
            alike = base is not None and (not quick or base.quick == row.quick)
            if base is not None and alike and self.key in row.values:
                line["times_limit"] = _ratio(row.values[self.key], base.values[self.key])
            lines.append(line)
        return {
            "benchmark": self.file.stem,
            "question": self.question.splitlines()[0],
            "key": self.key,
            "quick": quick,
            "commit": commit(),
            "at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "machine": machine,
            "rounds": rounds,
            "rows": lines,
            "goals": [
                verdict
                for goal in self.goals
                if goal.python in (None, version) and (verdict := _judge(goal, rows, quick)) is not None
            ],
        }


def _judge(goal: Goal, rows: list[Row], quick: bool) -> Report | None:
    metric = goal.metric

    def of(role: str) -> list[Row]:
        return [row for row in rows if row.case == goal.case and row.role == role and metric in row.values]

    ours = next((row for row in of(OURS) if goal.row in (None, row.name)), None)
    if ours is None or (quick and ours.quick and goal.at_most is not None):
        return None  # the goal is about the full size
    limit = next(iter(of(LIMIT)), None) if goal.compared else None
    peers = [row for row in of(PEER) if goal.compared and not row.smaller and not (quick and row.quick != ours.quick)]
    peer = min(peers, key=lambda row: statistics.median(row.values[metric]), default=None)
    reached = statistics.median(ours.values[metric])
    bound = goal.at_most
    ratio = None if limit is None else _ratio(ours.values[metric], limit.values[metric])
    if goal.times_limit is not None:
        met = ratio is not None and ratio <= goal.times_limit
        text = f"<= {goal.times_limit:g} x limit"
    else:
        assert bound is not None
        met = reached <= bound
        text = f"<= {bound:g}"
    return {
        "case": goal.case,
        "name": ours.name,
        "metric": metric,
        "goal": text,
        "limit": None if limit is None else statistics.median(limit.values[metric]),
        "peer": None if peer is None else statistics.median(peer.values[metric]),
        "peer_name": None if peer is None else peer.name,
        "asched": reached,
        "times_limit": ratio,
        "times_peer": None if peer is None else _ratio(ours.values[metric], peer.values[metric]),
        "met": met,
    }


def _ratio(values: list[float], base: list[float]) -> float | None:
    """Return the median of the ratios within a round: what slows a whole round down cancels out."""
    pairs = [(a, b) for a, b in zip(values, base, strict=False) if b]
    return statistics.median(a / b for a, b in pairs) if pairs else None


def _ask(command: list[str], row: Row) -> Figures:
    # The directory of a benchmark that is run is on the path; nothing else of the checkout is.
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE, env=environment, check=False, cwd=ROOT
        )
    except subprocess.TimeoutExpired:
        row.unable = f"gave up after {_PATIENCE:g} s"
        return {}
    found = [line for line in done.stdout.splitlines() if line.startswith(_SENTINEL)]
    if done.returncode or not found:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        row.unable = f"failed: {last[0]}"
        print(f"{row.case} {row.name}: failed\n{done.stderr}", file=sys.stderr)
        return {}
    figures: Figures = json.loads(found[-1].removeprefix(_SENTINEL))
    return figures


# Environments


def _interpreter(requires: str | None, python: str | None) -> Path:
    """Return the interpreter of an environment that holds ``requires`` (``None``: this checkout, core only)."""
    here = ".".join(map(str, sys.version_info[:2]))
    if requires is None and python in (None, here) and _has_asched():
        return Path(sys.executable)
    return environment(requires or CHECKOUT, python or here)


def _has_asched() -> bool:
    from importlib.util import find_spec

    return find_spec("asched") is not None


def environment(requires: str, python: str) -> Path:
    """Make a virtual environment with some requirements, or find the one made before; return its interpreter."""
    label = "asched" if requires.startswith("-e") else requires.split()[0].replace("==", "-")
    folder = ENVIRONMENTS / f"{label}-py{python}"
    interpreter = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "complete"
    if done.exists():
        return interpreter
    shutil.rmtree(folder, ignore_errors=True)
    packages = ["-e", requires[2:]] if requires.startswith("-e") else requires.split()
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv:
        _check([uv, "venv", "-q", "--no-python-downloads", "--python", _find_python(python), str(folder)])
        _check([uv, "pip", "install", "-q", "--compile-bytecode", "--python", str(interpreter), *packages])
    else:
        _check([_find_python(python), "-m", "venv", str(folder)])
        _check([str(interpreter), "-m", "pip", "install", "-q", *packages])
    done.touch()
    return interpreter


def _find_python(version: str) -> str:
    """Return an interpreter of this version: the one that runs this, one on the PATH, or one of pyenv's."""
    if version == ".".join(map(str, sys.version_info[:2])):
        return sys.executable
    # pyenv hides all but its active versions behind shims that fail.
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for candidate in (shutil.which(f"python{version}"), *sorted(map(str, pyenv.glob(f"{version}.*/bin/python")))):
        if candidate and subprocess.run([candidate, "-V"], capture_output=True, check=False).returncode == 0:
            return candidate
    raise SystemExit(f"no Python {version} was found; install it, or leave --python out")


def _check(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")


# Facts


def commit() -> str:
    """Return the short id of the commit, with a ``+`` if the measured packages differ from it."""

    def git(*arguments: str) -> str:
        try:
            return subprocess.run(
                ["git", *arguments], capture_output=True, text=True, cwd=ROOT, check=True
            ).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""

    short = git("rev-parse", "--short", "HEAD") or "unknown"
    return short + ("+" if git("status", "--porcelain", "--", "asched", "asched_web") else "")


def machine_facts(interpreter: Path | None = None) -> Report:
    """Describe the machine and the Python that measured."""
    version = platform.python_version()
    if interpreter is not None and interpreter != Path(sys.executable):
        code = "import platform; print(platform.python_version())"
        version = subprocess.run(
            [str(interpreter), "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    return {
        "cpu": processor,
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": version,
    }


# Tables


def shown(value: float | None) -> str:
    if value is None:
        return "-"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1_000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.01 else f"{value:.2g}"


def render(report: Report) -> str:
    """Return a report as markdown: a table per case, medians with ranges, then the goals."""
    machine: Report = report["machine"]
    rows: list[Report] = report["rows"]
    out = [
        f"## {report['benchmark']}: {report['question']}",
        "",
        f"{machine['cores']} cores of {machine['cpu']}, {machine['kernel']}, Python {machine['python']}, "
        f"{machine['server'] + ', ' if 'server' in machine else ''}"
        f"load {machine['load_before']:.1f} to {machine['load_after']:.1f}; commit {report['commit']}, "
        f"{report['at']}; median (range) of {report['rounds']} interleaved rounds"
        + (", --quick: do not quote" if report["quick"] else ""),
    ]
    for case in dict.fromkeys(row["case"] for row in rows):
        lines = [row for row in rows if row["case"] == case]
        names = list(dict.fromkeys(name for row in lines for name in row["figures"]))
        out += ["", *([f"**{case}**", ""] if case else [])]
        out.append("| | " + " | ".join([*names, f"{report['key']} / limit"]) + " |")
        out.append("|---|" + "---:|" * (len(names) + 1))
        for row in lines:
            figures: dict[str, dict[str, float]] = row["figures"]
            cells = []
            for name in names:
                figure = figures.get(name)
                if figure is None:
                    cells.append("-")
                elif figure["min"] == figure["max"]:
                    cells.append(shown(figure["median"]))
                else:
                    cells.append(f"{shown(figure['median'])} ({shown(figure['min'])}..{shown(figure['max'])})")
            cells.append(shown(row.get("times_limit")))
            if row["unable"]:
                cells[0] = str(row["unable"])
            label = f"{row['role']}: {row['name']}" if row["role"] != OURS else f"**{row['name']}**"
            out.append(f"| {label} | " + " | ".join(cells) + " |")
    goals: list[Report] = report["goals"]
    if goals:
        out += ["", "Goals:", ""]
        for goal in goals:
            out.append(
                f"* {'met' if goal['met'] else '**MISSED**'}: "
                f"{', '.join(str(part) for part in (goal['case'], goal['name'], goal['metric']) if part)}: "
                f"{shown(goal['asched'])} (goal {goal['goal']}"
                + (f"; {shown(goal['times_limit'])} x limit" if goal["times_limit"] is not None else "")
                + (f"; {shown(goal['times_peer'])} x {goal['peer_name']}" if goal["times_peer"] is not None else "")
                + ")"
            )
    return "\n".join(out) + "\n"


# Measuring


class Stall:
    """Finds how long the event loop did not get to a ticker, in seconds, and how much CPU passed meanwhile."""

    def __init__(self, period: float = 0.005) -> None:
        self.period = period
        self.lags: list[float] = []
        self._task = asyncio.ensure_future(self._tick())

    @property
    def worst(self) -> float:
        return max(self.lags, default=0.0)

    async def _tick(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(self.period)
            self.lags.append(time.perf_counter() - before - self.period)

    def stop(self) -> None:
        self._task.cancel()


class Burst:
    """Measures from a due instant until the last of ``count`` runs has ended and been recorded.

    The job calls ``run_ended``; what the scheduler does after a run (its record, its next due time) is waited for
    and counted too.
    """

    def __init__(self, count: int, *, collect: bool = True) -> None:
        self.count = count
        self.last = 0.0
        self._collect = collect
        self._marks: list[None] = []

    def run_ended(self) -> None:
        # Also called in threads: a list's append is atomic, an addition is not.
        self._marks.append(None)
        if len(self._marks) == self.count:
            self.last = time.time()

    async def measure(self, due: float, settle: float = 0.06) -> Figures:
        """Wait for the due instant (seconds since the epoch), measure, and return the figures of the burst."""
        if self._collect:
            # What the adding left to the garbage collector is not the runs' cost. The same for every contender.
            gc.collect()
        lead = due - 0.02 - time.time()
        if lead < 0.1:
            raise RuntimeError("the jobs were in place too late; the benchmark must leave more time for adding them")
        await asyncio.sleep(lead)
        cpu = time.process_time()
        stall = Stall()
        deadline = due + 120
        # The last run may end in a thread, and an event set from there would be part of what is measured.
        while not self.last and time.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await asyncio.sleep(settle)
        stall.stop()
        cpu = time.process_time() - cpu
        done = len(self._marks)
        if done != self.count:
            raise RuntimeError(f"{done} of {self.count} runs came")
        return {
            "cpu_us_per_run": 1e6 * cpu / self.count,
            "runs_per_s": self.count / (self.last - due),
            "stall_ms": 1e3 * stall.worst,
        }


def resident_bytes() -> int:
    """Return the memory of this process that is in RAM. Linux only."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
