"""The pages keep up with the code: their Python runs, and the reference names all there is.

The blocks of a page run one after the other, as one program in a fresh process.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path

import pytest
from support.postgres import Require, own_database, require_postgres

import asched
from asched import errors
from asched.builder import JobBuilder
from asched.events import EVENTS

DOCS = Path(__file__).parents[2] / "docs"
# Where the database of the pages' shop is said to be.
SHOP = "postgresql://shop:secret@db.internal/shop"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Their blocks are parts of the reader's program, which a host serves or pytest runs; examples/ has them whole.
FRAGMENTS = {"testing", "fastapi", "mounting"}

PAGES = [
    page
    for page in sorted([DOCS / "tutorial.md", *(DOCS / "guides").glob("*.md")])
    if page.stem not in FRAGMENTS and BLOCK.search(page.read_text("utf-8"))
]


def program(page: Path) -> str:
    """Return the page's blocks at the lines where they stand, so that a traceback points into the page."""
    text = page.read_text("utf-8")
    lines = [""] * text.count("\n")
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1))
        body = block[1].splitlines()
        lines[first : first + len(body)] = body
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_of_the_page_runs(page: Path, tmp_path: Path, require: Require) -> None:
    source = program(page)
    if "sqlite:///" in source:
        pytest.importorskip("aiosqlite")
    script = tmp_path / f"{page.stem.replace('-', '_')}.py"
    with ExitStack() as stack:
        if SHOP in source:
            require_postgres(require)
            source = source.replace(SHOP, stack.enter_context(own_database()))
        script.write_text(source, "utf-8")

        done = subprocess.run(
            [sys.executable, "-W", "error", script.name],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    assert 0 == done.returncode, done.stderr


def reference(page: str) -> str:
    return (DOCS / "reference" / page).read_text("utf-8")


def public_names(kind: type) -> list[str]:
    return [name for name in dir(kind) if not name.startswith("_")]


def missing(names: Iterable[str], page: str) -> list[str]:
    text = reference(page)
    return [name for name in names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w])", text)]


def test_reference_names_every_method_of_the_scheduler() -> None:
    names = set(public_names(asched.Scheduler)) | set(inspect.signature(asched.Scheduler).parameters)

    assert [] == missing(names, "scheduler.md")


def test_reference_names_every_word_of_the_builder() -> None:
    units = {f"{unit}" for unit in ("second", "minute", "hour", "day", "week")}
    between = {"tuesday", "wednesday", "thursday", "friday", "saturday"}

    assert [] == missing(set(public_names(JobBuilder)) - units - between, "scheduler.md")


def test_reference_names_every_argument_of_add_job() -> None:
    names = set(inspect.signature(asched.Scheduler.add_job).parameters) - {"self"}

    assert [] == missing(names, "scheduler.md")


@pytest.mark.parametrize(
    "kind", [asched.Job, asched.Run, asched.Statistics, asched.Node, asched.Group, asched.Attempt, asched.Policy]
)
def test_reference_names_every_field(kind: type) -> None:
    inherited = set(dir(tuple)) | {"interned"}  # the latter is the stores' business

    assert [] == missing(set(public_names(kind)) - inherited, "jobs-and-runs.md")


@pytest.mark.parametrize("kind", [asched.JobStatus, asched.RunStatus, asched.Outcome])
def test_reference_names_every_state(kind: type[StrEnum]) -> None:
    assert [] == missing(map(str, kind), "jobs-and-runs.md")


def test_reference_names_every_event() -> None:
    assert [] == missing(EVENTS, "events.md")


def test_reference_names_every_error() -> None:
    assert [] == missing((name for name in errors.__all__ if name != "AschedError"), "errors.md")


@pytest.mark.parametrize("command", ["demo", "run", "web", "next", "migrate"])
def test_reference_names_every_option(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "asched", command, "--help"], capture_output=True, text=True, check=True
    )
    options = set(re.findall(r"(?<!\w)--?[a-z-]+", done.stdout)) - {"-h", "--help", "-"}

    assert [] == missing(options, "command-line.md")
