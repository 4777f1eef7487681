"""The project's commands. ``nox -l`` lists them; CONTRIBUTING.md says which to run before a commit."""

from __future__ import annotations

import os
from pathlib import Path

import nox
from python_discovery import get_interpreter

nox.needs_version = ">=2026.4"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.sessions = ["lint", "tests"]

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")

SUPPORTED = ["3.11", "3.12", "3.13", "3.14"]

# pyenv hides all but its active versions behind shims that fail. They are installed all the same.
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
PYENV_BINS = [str(path) for version in SUPPORTED for path in sorted(PYENV.glob(f"{version}.*/bin"))]
os.environ["PATH"] = os.pathsep.join([*PYENV_BINS, os.environ["PATH"]])

INSTALLED = [version for version in SUPPORTED if get_interpreter(version) is not None]
if not INSTALLED:
    raise SystemExit(f"none of Python {', '.join(SUPPORTED)} was found; install one of them")

# The suite runs on these. What breaks on one Python alone sits at the ends of the range: the oldest lacks
# what newer ones brought (eager tasks came with 3.12), the newest warns of what will go.
TESTED = sorted({INSTALLED[0], INSTALLED[-1]}, key=SUPPORTED.index)

# More workers than cores: most of the suite waits for databases and processes. At most eight, since PostgreSQL has a
# hundred connections; tests on it use a schema of their own, so they run side by side, and those with many nodes
# share a worker (xdist_group).
WORKERS = str(min(max(4, 2 * (os.cpu_count() or 1)), 8))


def group(name: str) -> list[str]:
    """Return the requirements of a dependency group of pyproject.toml."""
    return nox.project.dependency_groups(PYPROJECT, name)


@nox.session(python=TESTED)
def tests(session: nox.Session) -> None:
    """Run the suite against the built wheel; arguments after -- go to pytest."""
    # The frameworks and servers that asched_web is mounted in, and the browser, are tried on the newest Python alone:
    # what they do differently does not depend on ours.
    newest = session.python == TESTED[-1]
    session.install(".[all]", *group("test"), *(group("hosts") if newest else []))
    required = [name for name in os.environ.get("ASCHED_REQUIRE", "").split(",") if name]
    env = {"ASCHED_TEST_INSTALLED": "1", "ASCHED_REQUIRE": ",".join([*required, *(["hosts"] if newest else [])])}
    parallel = ["-n", WORKERS, "--dist", "loadgroup"]
    # From tests/: there neither pytest nor a subprocess finds the checkout's packages before the wheel's.
    session.chdir("tests")
    if session.posargs:
        session.run("pytest", *parallel, *session.posargs, env=env)
        return
    session.run("pytest", *parallel, "--ignore=browser", env=env)
    if newest:
        # By itself: Playwright keeps an event loop running in its thread, and no async test can have one there.
        session.run("pytest", "browser", env=env)


@nox.session(python=TESTED[-1])
def long(session: nox.Session) -> None:
    """Run the long forms: a year against its ledger, hundreds of kills, every server; arguments go to pytest."""
    session.install(".[all]", *group("test"), *group("hosts"))
    session.chdir("tests")
    env = {"ASCHED_TEST_INSTALLED": "1"}
    session.run("pytest", "-m", "long", "--timeout", "3600", *session.posargs, env=env)


@nox.session(python=TESTED[-1])
def servers(session: nox.Session) -> None:
    """Stop every server with streams open; writes docs/shutdown-matrix.md anew in about ten minutes."""
    session.install(".[all]", *group("test"), *group("hosts"))
    session.run("python", "tests/web/servers/matrix.py", "docs/shutdown-matrix.md")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types and the direction of imports."""
    session.install("-e", ".[all]", *group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports")


@nox.session
def demo(session: nox.Session) -> None:
    """Run the demonstration until Ctrl+C; arguments after -- go to `asched demo`."""
    session.install(".[all]")
    # Ctrl+C reaches both processes; nox would end the other one after 0.3 s, before it has drained.
    session.run("asched", "demo", *session.posargs, interrupt_timeout=10)


@nox.session
def bench(session: nox.Session) -> None:
    """Run all benchmarks, or those named after --; --quick for a first look."""
    session.install(".[all]", *group("bench"))
    session.run("python", "benchmarks/_run.py", *session.posargs)


@nox.session
def vendor(session: nox.Session) -> None:
    """Compare the dashboard's third-party files with the registry; `-- --write` fetches them anew."""
    session.run("python", "tools/vendor.py", *session.posargs)


@nox.session
def screenshots(session: nox.Session) -> None:
    """Make the pictures of the dashboard in docs/images; needs Chromium."""
    session.install(".[all]", *group("test"))
    session.run("python", "tools/screenshots.py", *session.posargs)
