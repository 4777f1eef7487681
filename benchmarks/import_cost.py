"""How long does the import take, and how much does the core install bring?

Each package has an environment of its own with nothing else. Time is that of the import alone, in a process that
has imported asyncio already, the median of ten processes with warm caches; distributions count the package itself.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

from _bench import APSCHEDULER, CHECKOUT, FASTSCHEDULER, LIMIT, OURS, PEER, Benchmark, Figures

_TIMED = """
import asyncio, sys, time
known = len(sys.modules)
cpu, began = time.process_time(), time.perf_counter()
import {module}
print(1e3 * (time.perf_counter() - began), 1e3 * (time.process_time() - cpu), len(sys.modules) - known)
"""

# What an environment has before anything is installed, and the tool that installs.
_OF_THE_ENVIRONMENT = {"pip", "setuptools", "wheel"}


def import_of(module: str, processes: int = 10) -> Figures:
    lines = []
    for _ in range(processes + 1):
        done = subprocess.run(
            [sys.executable, "-I", "-c", _TIMED.format(module=module)], capture_output=True, text=True, check=True
        )
        lines.append([float(word) for word in done.stdout.split()])
    del lines[0]  # it may have compiled
    wall, cpu, modules = (statistics.median(column) for column in zip(*lines, strict=True))
    return {"import_ms": wall, "import_cpu_ms": cpu, "modules": modules, **size()}


def size() -> Figures:
    """Count what the environment holds."""
    from importlib.metadata import distributions

    found = {distribution.name.lower(): distribution for distribution in distributions()}
    installed = [found[name] for name in found.keys() - _OF_THE_ENVIRONMENT]
    total = 0
    for distribution in installed:
        for file in distribution.files or ():
            path = Path(str(file.locate()))
            if path.suffix != ".pyc" and path.is_file():
                total += path.stat().st_size
    return {"distributions": len(installed), "megabytes": total / 1e6}


bench = Benchmark(__file__, __doc__, "import_cpu_ms", rounds=3)
quick: dict[str, object] = {"processes": 4}
bench.row("anyio", LIMIT, import_of, requires="anyio", quick=quick, module="anyio")
bench.row("APScheduler 3", PEER, import_of, requires=APSCHEDULER, quick=quick, module="apscheduler.schedulers.asyncio")
bench.row("FastScheduler", PEER, import_of, requires=FASTSCHEDULER, quick=quick, module="fastscheduler")
bench.row("asched", OURS, import_of, requires=CHECKOUT, quick=quick, module="asched")
bench.goal("import_cpu_ms", at_most=20)
bench.goal("distributions", at_most=5, compared=False)

if __name__ == "__main__":
    bench.main()
