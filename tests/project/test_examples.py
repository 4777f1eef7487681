"""Every example runs, ends by itself and prints what its docstring says."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support.postgres import DSN, Require, require_postgres

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
TESTED_EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/test_*.py"))


def promised_output(path: Path) -> list[str]:
    """Return the indented block at the end of the docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert docstring is not None, f"{path.name} does not say what it shows"
    assert "Prints:\n\n" in docstring, f"{path.name} does not say what it prints"
    return textwrap.dedent(docstring.partition("Prints:\n\n")[2]).splitlines()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_prints_what_it_promises(path: Path, tmp_path: Path, require: Require) -> None:
    arguments = []
    if "asched-py[sqlite]" in path.read_text("utf-8"):
        pytest.importorskip("aiosqlite")
    if "asched-py[postgres]" in path.read_text("utf-8"):
        require_postgres(require)
        arguments = [DSN]

    done = subprocess.run(
        [sys.executable, "-W", "error", str(path), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )

    assert "" == done.stderr
    assert 0 == done.returncode
    assert promised_output(path) == done.stdout.splitlines()
    assert [] == list(tmp_path.iterdir()), "an example leaves no files behind"


@pytest.mark.parametrize("folder", TESTED_EXAMPLES, ids=lambda folder: folder.name)
def test_tests_of_an_example_pass(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]

    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280, check=False)

    assert 0 == done.returncode, done.stdout
