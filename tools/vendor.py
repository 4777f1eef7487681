"""Fetch the dashboard's third-party files from the npm registry, or check that they are what was fetched.

    python tools/vendor.py          fetch the archives again and compare every file, byte for byte
    python tools/vendor.py --write  fetch them and write the files and VENDOR.md, after a change of the table below

A browser without an import map, which a strict Content-Security-Policy forbids to write inline, resolves relative
names only. So the names by which these files import each other are rewritten, and nothing else: VENDOR.md says where.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import tarfile
import urllib.request
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "asched_web" / "static" / "vendor"
FOR_TESTS = ROOT / "tests" / "browser" / "vendor"


class Source(NamedTuple):
    """One file of one package of the registry."""

    package: str
    version: str
    licence: str
    path: str
    """Inside the archive."""
    target: str
    imports: tuple[tuple[str, str], ...] = ()
    """Names rewritten: as published, as vendored."""

    @property
    def url(self) -> str:
        base = self.package.rpartition("/")[2]
        return f"https://registry.npmjs.org/{self.package}/-/{base}-{self.version}.tgz"

    @property
    def licence_file(self) -> str:
        return f"licences/{self.package.replace('@', '').replace('/', '-')}.txt"


PREACT = ('"preact"', '"./preact.mjs"')
SOURCES: dict[Path, tuple[Source, ...]] = {SHIPPED: (
    Source("preact", "11.2.0", "MIT", "dist/preact.mjs", "preact.mjs"),
    Source("preact", "11.2.0", "MIT", "hooks/dist/hooks.mjs", "hooks.mjs", (PREACT,)),
    Source("htm", "3.1.1", "Apache-2.0", "dist/htm.mjs", "htm.mjs"),
    Source("@preact/signals-core", "1.14.5", "MIT", "dist/signals-core.mjs", "signals-core.mjs"),
    Source(
        "@preact/signals", "2.11.4", "MIT", "dist/signals.mjs", "signals.mjs",
        (PREACT, ('"preact/hooks"', '"./hooks.mjs"'), ('"@preact/signals-core"', '"./signals-core.mjs"')),
    ),
), FOR_TESTS: (
    Source("axe-core", "4.14.1", "MPL-2.0", "axe.min.js", "axe.min.js"),
)}  # fmt: skip

HEAD = """\
# Third-party files

Written by `nox -s vendor -- --write`, checked by `nox -s vendor` against the registry and by
`tests/web/test_static_front_end.py` against this page. Each is the file as published, save for the names by which
these files import each other; the last column has all that was rewritten.

| file | package | version | licence | archive | sha256 as published | sha256 here | rewritten |
|---|---|---|---|---|---|---|---|
"""


def archive(url: str) -> dict[str, bytes]:
    """Return the files of an npm archive, by their path inside the package."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        data = answer.read()
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        for member in tar.getmembers():
            handle = tar.extractfile(member) if member.isfile() else None
            if handle is not None:
                files[member.name.partition("/")[2]] = handle.read()
    return files


def rewritten(source: Source, published: bytes) -> bytes:
    text = published.decode()
    for name, relative in source.imports:
        if f"from{name}" not in text:
            raise SystemExit(f"{source.package} {source.version}: {source.path} no longer imports {name}")
        text = text.replace(f"from{name}", f"from{relative}")
    return text.encode()


def wanted(sources: tuple[Source, ...]) -> dict[str, bytes]:
    """Return every file of a directory as it has to be, fetched now."""
    archives = {url: archive(url) for url in dict.fromkeys(source.url for source in sources)}
    files: dict[str, bytes] = {}
    page = HEAD
    for source in sources:
        published = archives[source.url][source.path]
        here = rewritten(source, published)
        files[source.target] = here
        files[source.licence_file] = archives[source.url]["LICENSE"]
        changes = "<br>".join(f"`{old}` to `{new}`" for old, new in source.imports) or "nothing"
        page += (
            f"| `{source.target}` | {source.package} | {source.version} | [{source.licence}]({source.licence_file}) "
            f"| <{source.url}>, `{source.path}` | `{hashlib.sha256(published).hexdigest()}` "
            f"| `{hashlib.sha256(here).hexdigest()}` | {changes} |\n"
        )
    files["VENDOR.md"] = page.encode()
    return files


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="write the files instead of comparing them")
    write = parser.parse_args().write
    wrong = [name for directory, sources in SOURCES.items() for name in compare(directory, wanted(sources), write)]
    for name in wrong:
        print(f"{name}: missing, changed, or not named in this script")
    if not wrong:
        print("all files are as published")
    return 1 if wrong else 0


def compare(directory: Path, files: dict[str, bytes], write: bool) -> list[str]:
    """Return the paths of files that differ, after writing them if asked to."""
    if write:
        for name, data in files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes(data)
    here = {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }
    shown = directory.relative_to(ROOT).as_posix()
    return sorted(f"{shown}/{name}" for name in {*files, *here} if files.get(name) != here.get(name))


if __name__ == "__main__":
    sys.exit(main())
