"""The rules never wait, read no clock, draw no chance and do no I/O: read from their source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import asched.rules

MODULES = sorted(Path(asched.rules.__file__).parent.glob("*.py"))
# What a rule may import: types, and modules of asched that are themselves functions of their arguments.
ALLOWED = {
    "__future__", "collections.abc", "asched.instants", "asched.model", "asched.planner", "asched.rules",
    "asched.rules.plain", "asched.rules.runs", "asched.rules.state", "asched.store", "asched.triggers",
    "asched.triggers.absent",
}  # fmt: skip
WAITS = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
# Builtins by which a module that imports nothing still gets outside.
OUTSIDE = {"open", "print", "input", "__import__", "exec", "eval", "compile", "breakpoint"}


def faults(source: str) -> list[str]:
    """Return what in this source may wait, or see more than its arguments."""
    return [fault for node in ast.walk(ast.parse(source)) for fault in _faults(node)]


def _faults(node: ast.AST) -> Iterator[str]:
    if isinstance(node, WAITS):
        yield type(node).__name__
    elif isinstance(node, ast.Import):
        yield from (f"import {name.name}" for name in node.names if name.name not in ALLOWED)
    elif isinstance(node, ast.ImportFrom) and node.module not in ALLOWED:
        yield f"from {node.module} import"
    elif isinstance(node, ast.Name) and node.id in OUTSIDE:
        yield node.id
    elif isinstance(node, ast.Global):
        yield "global"
    elif isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today") and _is_called_on_a_class(node):
        yield ast.unparse(node)


def _is_called_on_a_class(node: ast.Attribute) -> bool:
    """``step.now`` is a value that a rule is given, ``datetime.now`` is a clock."""
    return isinstance(node.value, ast.Name) and node.value.id in ("datetime", "date", "clock", "Clock")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_a_module_of_the_rules_sees_nothing_but_its_arguments(module: Path) -> None:
    assert faults(module.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "async def rule(): pass",
        "async def rule(store): return await store.now()",
        "import random",
        "import time",
        "from datetime import datetime",
        "from asched.clock import SystemClock",
        "import asyncio",
        "import sqlite3",
        "now = datetime.now()",
        "text = open('file').read()",
        "def rule():\n    global known\n    known = 1",
    ],
)
def test_a_rule_that_sees_more_is_found(source: str) -> None:
    assert faults(source) != []
