"""The page of promises names tests; each must be there."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "promises.md"
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE.read_text("utf-8"))))


@functools.cache
def names_in(path: Path) -> frozenset[str]:
    """Return the names of the tests that a file defines."""
    tree = ast.parse(path.read_text("utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_every_test_that_a_promise_names_exists(file: str) -> None:
    path = ROOT / "tests" / file

    assert path.is_file()
    assert {name for other, name in NAMED if other == file} <= names_in(path)


def test_every_promise_names_a_test() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    promises = [line for line in rows if not line.startswith("| Promise |")]

    assert len(promises) > 50
    assert [] == [line for line in promises if "::test_" not in line]
