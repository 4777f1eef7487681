"""What the pages, commands and scripts say about each other, and about files that must be there."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import asched

ROOT = Path(__file__).parents[2]

KINDS = ("added", "changed", "fixed", "removed", "breaking")
FOLDERS = ("changes", "docs", "examples")
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))])
FENCE = re.compile(r"^(```+)(\w*)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def code_blocks(page: Path, language: str) -> list[str]:
    return [body for _, tag, body in FENCE.findall(page.read_text("utf-8")) if tag == language]


def anchors(page: Path) -> set[str]:
    """Return the fragments by which a page's headings can be linked to, spelled as code hosts do."""
    titles = re.findall(r"^#+ +(.+)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def relative_links(page: Path) -> Iterator[tuple[Path, str]]:
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", without_code(page.read_text("utf-8"))):
        if not re.match(r"[a-z]+:", target):
            path, _, fragment = target.partition("#")
            yield (page.parent / path if path else page), fragment


def sessions() -> set[str]:
    """Return the names of the sessions that noxfile.py defines."""
    tree = ast.parse((ROOT / "noxfile.py").read_text("utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any("nox.session" in ast.unparse(decorator) for decorator in node.decorator_list)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(page: Path) -> None:
    broken = [
        f"{path}#{fragment}"
        for path, fragment in relative_links(page)
        if not path.exists() or (fragment and fragment not in anchors(path))
    ]

    assert [] == broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_named_in_pages_exist(page: Path) -> None:
    named = re.findall(r"`((?:examples|benchmarks)/[\w/.-]+\.\w+)`", page.read_text("utf-8"))

    assert [] == [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_in_pages_compiles(page: Path) -> None:
    for block in code_blocks(page, "python"):
        compile(block, str(page), "exec")


def test_readme_warns_of_the_memory_store_before_anything_else() -> None:
    paragraphs = (ROOT / "README.md").read_text("utf-8").split("\n\n")

    assert "In memory, each worker process runs every job" in paragraphs[2]


def test_readme_has_two_commands_and_both_name_sessions_that_exist() -> None:
    commands = [block.strip() for block in code_blocks(ROOT / "README.md", "sh")]

    assert ["demo", "tests"] == [command.rpartition(" ")[2] for command in commands]
    assert {"demo", "tests", "lint", "bench"} <= sessions()


@pytest.mark.skipif(not (ROOT / ".ci").exists(), reason="a source distribution has no .ci")
def test_ci_runs_the_command_of_the_readme() -> None:
    command = code_blocks(ROOT / "README.md", "sh")[-1].strip()
    script = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()

    assert f"{command} || tests=failed" in script


def test_contributing_names_the_sessions_that_exist() -> None:
    named = set(re.findall(r"`nox -s (\w+)", (ROOT / "CONTRIBUTING.md").read_text("utf-8")))

    assert sessions() == named


def test_readme_names_only_extras_that_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = set(re.findall(rf"{project['name']}\[(\w+)\]", (ROOT / "README.md").read_text("utf-8")))

    assert set() < named <= set(project["optional-dependencies"])


def test_news_fragments_have_a_name_that_says_what_they_are() -> None:
    pattern = re.compile(rf"[a-z0-9]+(-[a-z0-9]+)*\.({'|'.join(KINDS)})\.md")
    names = {path.name for path in (ROOT / "changes").iterdir()} - {"README.md"}

    assert [] == sorted(name for name in names if not pattern.fullmatch(name))


def test_news_fragments_are_prose() -> None:
    fragments = {path.name: path.read_text("utf-8") for path in (ROOT / "changes").glob("*.*.md")}

    assert [] == [name for name, text in fragments.items() if not text.strip() or re.match(r"[#*-] ", text)]


def test_public_names_exist() -> None:
    assert [] == [name for name in getattr(asched, "__all__", []) if not hasattr(asched, name)]


@pytest.mark.skipif(not (ROOT / "docs" / "reference").is_dir(), reason="docs/reference is not written")
def test_public_names_are_in_the_reference() -> None:
    reference = "\n".join(page.read_text("utf-8") for page in (ROOT / "docs" / "reference").rglob("*.md"))
    unnamed = [name for name in asched.__all__ if not re.search(rf"\b{re.escape(name)}\b", reference)]

    assert [] == unnamed


def test_the_tables_of_costs_are_those_of_the_results(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/_table.py", "--check"], cwd=root, capture_output=True, text=True, check=False
    )

    assert not done.returncode, done.stdout + done.stderr
