"""The dashboard's files: small, whole, in two languages, and nothing in them parses markup."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest

import asched_web

STATIC = Path(asched_web.__file__).resolve().parent / "static"
VENDOR = STATIC / "vendor"
OURS = sorted(path for path in STATIC.rglob("*.js") if VENDOR not in path.parents)
SVG = "http://www.w3.org/2000/svg"
"""A name and no address."""
SHELL, ALL = 45 * 1024, 100 * 1024

Message = str | dict[str, str]


def messages(lang: str) -> dict[str, Message]:
    found: dict[str, Message] = {}
    for name in (f"{lang}.json", f"{lang}.views.json"):
        found |= json.loads((STATIC / "i18n" / name).read_text("utf-8"))
    return found


def names_in(message: Message) -> set[str]:
    texts = message.values() if isinstance(message, dict) else [message]
    return {name for text in texts for name in re.findall(r"\{(\w+)\}", text)}


def imports_of(path: Path) -> list[Path]:
    """Return what a module imports before it runs; what it imports later is left out."""
    text = path.read_text("utf-8")
    return [path.parent / name for name in re.findall(r"""from\s*["'](\.[^"']+)["']""", text)]


def shell() -> set[Path]:
    """Return every file that the page needs before any view."""
    page = (STATIC / "index.html").read_text("utf-8")
    files = {STATIC / "index.html", STATIC / "i18n" / "zh.json", STATIC / "chevron.svg"}
    files |= {STATIC / name for name in re.findall(r'(?:href|src)="\./static/([^"]+)"', page)}
    todo = list(files)
    while todo:
        path = todo.pop()
        if path.suffix in (".js", ".mjs"):
            for imported in imports_of(path):
                if (resolved := imported.resolve()) not in files:
                    files.add(resolved)
                    todo.append(resolved)
    return files


def weight(files: set[Path]) -> int:
    return sum(len(gzip.compress(path.read_bytes(), 9)) for path in files)


def test_vendored_files_are_those_of_the_lock() -> None:
    rows = [
        line.split("|") for line in (VENDOR / "VENDOR.md").read_text("utf-8").splitlines() if line.startswith("| `")
    ]
    locked = {row[1].strip(" `"): row[7].strip(" `") for row in rows}
    here = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.glob("*.mjs")}

    assert locked == here
    assert all(len(digest) == 64 for digest in locked.values())


def test_every_licence_that_the_lock_names_is_there() -> None:
    page = (VENDOR / "VENDOR.md").read_text("utf-8")
    named = set(re.findall(r"\((licences/[^)]+)\)", page))

    assert named
    assert all((VENDOR / name).read_text("utf-8").strip() for name in named)


def test_languages_have_the_same_keys_and_placeholders() -> None:
    english, chinese = messages("en"), messages("zh")

    assert list(english) == list(chinese)
    assert {} == {key: (names_in(english[key]), names_in(chinese[key])) for key in english
                  if names_in(english[key]) != names_in(chinese[key])}  # fmt: skip
    assert all({"one", "other"} == set(text) for text in english.values() if isinstance(text, dict))
    assert all({"other"} == set(text) for text in chinese.values() if isinstance(text, dict))


def test_chinese_is_chinese() -> None:
    same = {
        key
        for key, text in messages("zh").items()
        if not re.search(r"[\u4e00-\u9fff]", json.dumps(text, ensure_ascii=False))
    }

    assert {"jobs.searchHint", "type.cron"} >= same - {"jobs.searchHint"}


def test_every_key_is_used_and_every_used_key_exists() -> None:
    code = "\n".join(path.read_text("utf-8") for path in OURS)
    literal = set(re.findall(r"""["'`]([a-z_]+\.[A-Za-z0-9_.-]+)["'`]""", code))
    families = set(re.findall(r"""["'`]((?:[a-zA-Z]+\.)+(?:\w+_)?)\$\{""", code))
    families |= {
        f"{name}." for name in re.findall(r"""word\("(\w+)\"""", code) + re.findall(r"""family="(\w+)\"""", code)
    }
    families |= {"overlap.", "catch_up.", "on_crash.", "status."}
    known = set(messages("en"))

    called = set(re.findall(r"""\bt\(\s*["']([^"']+)["']""", code))
    assert set() == called - known
    assert [] == sorted(key for key in known - literal if not any(key.startswith(family) for family in families))


@pytest.mark.parametrize(
    "forbidden",
    ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function",
     "dangerouslySetInnerHTML", "http://", "https://"],
)  # fmt: skip
def test_nothing_parses_markup_or_names_another_host(forbidden: str) -> None:
    holders = [
        path.name for path in OURS if forbidden in path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    ]

    assert [] == holders


def test_page_has_neither_inline_code_nor_inline_style() -> None:
    page = (STATIC / "index.html").read_text("utf-8")

    assert not re.search(r"<script(?![^>]*\ssrc=)", page)
    assert not re.search(r"<style|\sstyle=|\son\w+=", page)
    assert not re.search(r"""(?:href|src)="(?!\./)""", page)


def test_every_file_that_is_named_is_there() -> None:
    missing = [str(imported) for path in OURS for imported in imports_of(path) if not imported.resolve().is_file()]
    lazy = [
        path.parent / name for path in OURS for name in re.findall(r"""import\("([^"]+)"\)""", path.read_text("utf-8"))
    ]

    assert [] == missing
    assert lazy
    assert all(path.resolve().is_file() for path in lazy)
    assert all(path.is_file() for path in shell())


def test_shell_and_whole_stay_within_their_weight() -> None:
    everything = {
        path for path in STATIC.rglob("*") if path.suffix in (".html", ".js", ".mjs", ".css", ".json", ".svg")
    }

    assert weight(shell()) <= SHELL, weight(shell())
    assert weight(everything) <= ALL, weight(everything)
