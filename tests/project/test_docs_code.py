"""The Python of the pages runs: the blocks of a page one after the other, as one program in a fresh process."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Their blocks are parts of the reader's program, which a host serves or pytest runs; examples/ has them whole.
FRAGMENTS = {"testing", "fastapi", "mounting"}

PAGES = [
    page
    for page in sorted([*DOCS.glob("*.md"), *(DOCS / "guides").glob("*.md")])
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
def test_python_of_the_page_runs(page: Path, tmp_path: Path) -> None:
    source = program(page)
    if "sqlite:///" in source:
        pytest.importorskip("aiosqlite")
    script = tmp_path / f"{page.stem.replace('-', '_')}.py"
    script.write_text(source, "utf-8")

    done = subprocess.run(
        [sys.executable, "-W", "error", script.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
