"""What the command says about itself, about mistakes, and about the library that it is no part of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import asched as library


def test_version_is_that_of_the_library(asched) -> None:
    done = asched("--version")

    assert (0, f"asched {library.__version__}\n") == (done.returncode, done.stdout)


@pytest.mark.parametrize("command", ["demo", "run", "web", "next", "migrate"])
def test_help_names_each_command_and_each_command_has_its_own(asched, command: str) -> None:
    everything = asched("--help").stdout
    own = asched(command, "--help")

    assert f"\n    {command}" in everything
    assert 0 == own.returncode
    assert f"usage: asched {command}" in own.stdout


@pytest.mark.parametrize(
    "arguments", [(), ("fly",), ("next",), ("next", "@daily", "-n", "many"), ("web", "a:b", "--port", "x")]
)
def test_what_cannot_be_understood_shows_the_usage_and_ends_with_2(asched, arguments: tuple[str, ...]) -> None:
    done = asched(*arguments)

    assert 2 == done.returncode
    assert "" == done.stdout
    assert done.stderr.startswith("usage: asched")
    assert "_count" not in done.stderr


def test_library_does_not_import_the_command_line() -> None:
    code = "import sys, asched; print([m for m in sys.modules if m in ('argparse', 'asched.cli', 'asched.demo')])"

    assert (
        "[]" == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    )


def test_migrate_says_that_memory_has_nothing_to_migrate(asched) -> None:
    done = asched("migrate", "memory://")

    assert 0 == done.returncode
    assert "nothing to migrate" in done.stdout


def test_migrate_makes_the_file_of_a_new_store(asched, tmp_path: Path) -> None:
    done = asched("migrate", "sqlite:///jobs.db")

    assert 0 == done.returncode, done.stderr
    assert (tmp_path / "jobs.db").exists()
    assert library.__version__ in done.stdout


def test_migrate_of_an_unknown_store_names_those_that_exist(asched) -> None:
    done = asched("migrate", "mysql://host/db")

    assert 2 == done.returncode
    assert done.stderr.startswith("asched: no store has the scheme 'mysql'")
    assert "Traceback" not in done.stderr


def test_migrate_of_a_place_that_does_not_exist_says_so_in_one_line(asched) -> None:
    done = asched("migrate", "sqlite:////nowhere/at/all/jobs.db")

    assert 2 == done.returncode
    assert 1 == done.stderr.count("\n")
    assert "/nowhere/at/all" in done.stderr
