"""Every server, alone and mounted, with both signals and 1, 10 and 200 streams: prints a table, fails if one fails.

    python tests/web/servers/matrix.py [docs/shutdown-matrix.md]

With a file it writes the table there. Takes about ten minutes on two cores.
"""

from __future__ import annotations

import asyncio
import platform
import signal
import sys
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from web.servers.harness import HANGS_ITSELF, SERVERS, is_installed, serving, stop_with_streams

STREAMS = (1, 10, 200)
SIGNALS = (signal.SIGINT, signal.SIGTERM)
PACKAGES = ("uvicorn", "hypercorn", "granian", "daphne", "gunicorn", "uvicorn-worker", "fastapi", "sse-starlette")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def cell(name: str, app: str, signum: signal.Signals, streams: int) -> tuple[str, list[str]]:
    """Return what the table shows and what went wrong."""
    try:
        with serving(name, app) as server:
            outcome = asyncio.run(stop_with_streams(server, signum, streams))
    except (AssertionError, TimeoutError) as error:
        return "did not start", [f"{name} {app}: {error}"]
    faults = outcome.faults(name, signum)
    if faults:
        return "; ".join(faults), faults
    if outcome.seconds is None:
        return "its own (all told)" if (name, signum.name) in HANGS_ITSELF else "hangs", []
    return f"{outcome.seconds:.2f}", []


def main(target: str | None) -> int:
    columns = [(signum, streams) for signum in SIGNALS for streams in STREAMS]
    rows = [
        "| server | where | " + " | ".join(f"{s.name[3:]} {n}" for s, n in columns) + " |",
        "|---|---|" + "---|" * len(columns),
    ]
    faults = 0
    for name in SERVERS:
        if not is_installed(name):
            say(f"{name}: not installed")
            continue
        for app in ("ROOT", "MOUNTED"):
            shown = []
            for signum, streams in columns:
                text, wrong = cell(name, app, signum, streams)
                faults += bool(wrong)
                shown.append(text)
            rows.append(f"| {name} | {'root' if app == 'ROOT' else 'mounted'} | " + " | ".join(shown) + " |")
            say(rows[-1])
    if target is not None:
        versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
        Path(target).write_text(
            "# How long servers take to stop\n\n"
            "Seconds from the signal (INT, TERM) to the end of the process, with 1, 10 and 200 streams open. In every "
            "cell with a\nnumber each stream got `event: shutdown` and ended cleanly, the server's log had no "
            "traceback and no timeout, and the\nlifespan's shutdown ran where the server has one. "
            "[Shutdown](shutdown.md) says what the other cells mean.\n\n"
            + "\n".join(rows)
            + f"\n\nMade by `nox -s servers` on CPython {platform.python_version()}, {platform.system()}: {versions}.\n"
        )
    say(f"{faults} cells failed")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1] if len(sys.argv) > 1 else None))
