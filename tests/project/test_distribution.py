"""What a user gets from ``pip install asched-py``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email.parser import Parser
from pathlib import Path, PurePosixPath
from typing import ForwardRef

import pytest

from asched import events, model, registry, store, views
from asched.version import VERSION

# One worker builds for all of this file.
pytestmark = pytest.mark.xdist_group("distribution")

PACKAGES = ("asched", "asched_web")

# `asched` on PyPI is another project. Each pattern matches a way to require it or to look it up; the test below has a
# sample of each. A name next to one of the characters in the brackets is part of a longer name, a path or a module.
OTHER = r"(?<![\w./-])asched(?![\w./-])"
NAMES_THE_OTHER_PROJECT = (
    # A command and its arguments, as a line of a shell or as a list of strings. Wrapped prose may break the line in
    # front of the name.
    rf"\b(?:pip\d?|pipx|uv|uvx|poetry|pdm|session)\b[^\n`|;&]*\b(?:install|add)(?:\s+|\b[^\n`|;&]*){OTHER}",
    rf"\buvx\s+{OTHER}|--(?:with|from)[\s=]+{OTHER}",
    # A requirement: with extras, with a version, with an address, or in a list.
    rf"{OTHER} ?(?:\[[\w{{]|(?:[=~!]=|[<>]=?) ?\d|@ ?\w)",
    r"dependencies\s*=\s*\[[^\]]*[\"']asched[\"']",
    # The built files, and a look-up by the distribution's name.
    r"\basched-[\d*][^\s/]*\.(?:whl|tar\.gz|dist-info)",
    r"\b(?:version|distribution|metadata|requires|files)\([\"']asched[\"']\)",
)

# The three dependencies of the core and what they bring themselves.
CORE = {"asched", "anyio", "idna", "orjson", "typing_extensions", "tzdata"}

# Prints the top-level names of all modules that come from neither the standard library nor the interpreter.
SHOW_FOREIGN_MODULES = """
import json, sys
before = set(sys.modules)
import asched
names = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps(sorted(names - sys.stdlib_module_names)))
"""


def source_files(root: Path) -> set[str]:
    """Return the files of both packages as the checkout has them."""
    return {
        path.relative_to(root).as_posix()
        for package in PACKAGES
        for path in (root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def metadata(wheel: Path) -> dict[str, list[str]]:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        message = Parser().parsestr(archive.read(name).decode())
    return {key: message.get_all(key, []) for key in set(message.keys())}


def requirements_of_the_other_project(text: str) -> list[str]:
    joined = text.replace("\\\n", " ")
    return [found[0] for pattern in NAMES_THE_OTHER_PROJECT for found in re.finditer(pattern, joined)]


def foreign_modules(python: str | Path, folder: Path) -> set[str]:
    """Import asched in a fresh interpreter, away from the checkout, and return whose modules came with it."""
    done = subprocess.run(
        [str(python), "-c", SHOW_FOREIGN_MODULES],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
        check=True,
        capture_output=True,
        text=True,
    )
    return set(json.loads(done.stdout))


def test_wheel_holds_every_file_of_both_packages(root: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert source_files(root) == packed
    assert {"asched/py.typed", "asched_web/py.typed"} <= packed


def test_wheel_carries_the_licence_and_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {PurePosixPath(name).name: name for name in archive.namelist()}
        entry_points = archive.read(names["entry_points.txt"]).decode()

    assert "LICENSE" in names
    assert "asched = asched.__main__:main" in entry_points


def test_version_of_the_wheel_is_that_of_the_code(wheel: Path) -> None:
    assert [VERSION] == metadata(wheel)["Version"]


def test_sdist_holds_sources_and_tests_and_nothing_made_by_tools(root: Path, sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}

    assert source_files(root) <= packed
    assert {"README.md", "LICENSE", "CHANGELOG.md", "noxfile.py", "pyproject.toml"} <= packed
    assert "tests/project/test_distribution.py" in packed
    made = {".git", ".nox", ".venv", "dist", "build", "__pycache__", ".mypy_cache"}
    assert not [name for name in packed if made & set(PurePosixPath(name).parts)]


def test_core_depends_on_three_packages_and_all_is_the_sum_of_the_other_extras(wheel: Path) -> None:
    fields = metadata(wheel)
    by_extra: dict[str, set[str]] = {"": set()}
    for line in fields["Requires-Dist"]:
        requirement, _, extra = line.replace("'", '"').partition('; extra == "')
        by_extra.setdefault(extra.rstrip('"'), set()).add(requirement)

    everything = by_extra.pop("all")
    core = {requirement.partition(">")[0] for requirement in by_extra.pop("")}
    assert {"anyio", "orjson", "tzdata"} == core
    assert set().union(*by_extra.values()) == everything


def test_distribution_is_asched_py_and_nothing_in_the_repository_requires_the_other_asched(
    root: Path, wheel: Path, sdist: Path
) -> None:
    # The source distribution has what the checkout has, without what tools made, and is all there is when unpacked.
    with tarfile.open(sdist) as archive:
        contents = {
            member.name.partition("/")[2]: file.read()
            for member in archive.getmembers()
            if (file := archive.extractfile(member)) is not None
        }
    contents |= {
        path.relative_to(root).as_posix(): path.read_bytes() for path in (root / ".ci").rglob("*") if path.is_file()
    }
    texts = {name: content.decode(errors="replace") for name, content in contents.items() if b"\0" not in content}

    found = {name: wrong for name, text in texts.items() if (wrong := requirements_of_the_other_project(text))}

    assert {"README.md", "docs/tutorial.md", "asched/cli.py", "noxfile.py", "pyproject.toml"} <= texts.keys()
    assert {} == found
    assert ["asched-py"] == metadata(wheel)["Name"]
    assert wheel.name.startswith("asched_py-")
    assert sdist.name.startswith("asched_py-")


@pytest.mark.parametrize(
    "requirement",
    [
        "pip install {}",
        "python -m pip install --upgrade 'uvicorn' {}",
        "`pip install\n{}`",
        "pip install \\\n    {}",
        '["-m", "pip", "install", "{}"]',
        'session.install("{}")',
        "uv add {}",
        "uv pip install '{}[web]'",
        "uvx {} demo",
        "pipx install {}",
        "uvx --from {} asched demo",
        "It needs {}[sqlite].",
        "f'{}[{{extra}}]'",
        "{}>=0.1",
        "{} == 0.1.0",
        "{} @ git+https://example.org/repository",
        'dependencies = [\n    "uvicorn",\n    "{}",\n]',
        "{}-0.1.0-py3-none-any.whl",
        'importlib.metadata.version("{}")',
    ],
)
def test_each_way_to_require_the_other_asched_is_found_and_ours_is_not(requirement: str) -> None:
    other = requirements_of_the_other_project(requirement.format("asched"))
    ours = requirements_of_the_other_project(requirement.format("asched-py"))

    assert other
    assert not ours


def test_importing_asched_loads_only_the_core_though_every_extra_is_installed(tmp_path: Path) -> None:
    # Here all drivers are installed: an import that is merely guarded by try would succeed, and be seen.
    assert foreign_modules(sys.executable, tmp_path) <= CORE


def test_named_tuples_that_every_import_makes_are_made_of_types() -> None:
    # A text in their place is compiled at each import: under "from __future__ import annotations" all of them are.
    made = [
        named
        for module in (store, model, views, events, registry)
        for named in vars(module).values()
        if isinstance(named, type) and hasattr(named, "_fields") and named.__module__ == module.__name__
    ]
    assert len(made) > 30

    texts = [
        (named.__name__, name)
        for named in made
        for name, kind in named.__annotations__.items()
        if isinstance(kind, ForwardRef | str)
    ]

    assert texts == []


@pytest.mark.slow
def test_wheel_alone_in_a_fresh_environment_imports(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", str(wheel)]
    subprocess.run(install, check=True, capture_output=True, text=True)

    assert foreign_modules(python, tmp_path) <= CORE


@pytest.mark.skipif("ASCHED_TEST_INSTALLED" not in os.environ, reason="the checkout is under test")
@pytest.mark.parametrize("package", PACKAGES)
def test_suite_runs_against_the_installed_package(package: str) -> None:
    module = __import__(package)

    assert Path(sysconfig.get_path("purelib")) == Path(str(module.__file__)).parents[1]
