"""Run every benchmark, or those named, one after the other, and write the table of what was asked and reached.

    python benchmarks/_run.py [--quick] [name ...]

A benchmark is any file here whose name has no leading underscore. One that fails does not stop the others.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from _table import write_table

HERE = Path(__file__).resolve().parent

# The newest Python changes what the loop costs (eager tasks), so this question is asked there as well.
ALSO_ON = {"burst_async": "3.13"}


def main(arguments: list[str]) -> int:
    flags = [argument for argument in arguments if argument.startswith("-")]
    names = [Path(argument).stem for argument in arguments if not argument.startswith("-")]
    every = [path.stem for path in sorted(HERE.glob("[!_]*.py"))]
    unknown = sorted(set(names) - set(every))
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(every)}", file=sys.stderr)
        return 2
    failed = []
    for name in names or every:
        source = (HERE / f"{name}.py").read_text("utf-8")
        if "--quick" in flags and not names and "_bench import" not in source and "--quick" not in source:
            print(f"-- {name}: has no quick form, left out\n")
            continue
        commands = [[name]]
        if name in ALSO_ON and "--quick" not in flags and not any(flag.startswith("--python") for flag in flags):
            commands.append([name, "--python", ALSO_ON[name], "--no-peers", "--rounds", "3"])
        for command in commands:
            print(f"-- {' '.join(command)}", flush=True)
            began = time.perf_counter()
            done = subprocess.run([sys.executable, str(HERE / f"{command[0]}.py"), *command[1:], *flags], check=False)
            print(f"-- {time.perf_counter() - began:.0f} s\n", flush=True)
            if done.returncode:
                failed.append(" ".join(command))
    if "--quick" not in flags:
        print(write_table())
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
