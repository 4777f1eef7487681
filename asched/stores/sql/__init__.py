"""The SQL of the stores, as files beside this one: read once, named, numbered.

``statements.sql`` of a store holds what it asks, each statement under a line ``-- name: <name>``. ``{name}`` inside
a statement stands for the text of an earlier one, so that a list of columns is written once. ``NNNN_<what>.sql``
are its migrations, applied in the order of their numbers and never changed after a release.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

__all__ = ["Migration", "migrations", "statements"]

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_REFERENCE = re.compile(r"\{(\w+)\}")
_COMMENT = re.compile(r"^\s*--.*\n?", re.MULTILINE)
_MIGRATION = re.compile(r"(\d{4})_\w+\.sql")


class Migration(NamedTuple):
    version: int
    name: str
    text: str


@cache
def statements(store: str) -> dict[str, str]:
    """Return a store's statements by name, without their comments."""
    text = files(__name__).joinpath(store, "statements.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    found: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        plain = _COMMENT.sub("", body).strip().removesuffix(";")
        found[name] = _REFERENCE.sub(lambda reference: found[reference[1]], plain)
    return found


@cache
def migrations(store: str) -> tuple[Migration, ...]:
    """Return a store's migrations in order; the last one's version is the schema this release writes."""
    return tuple(
        sorted(
            Migration(int(match[1]), file.name, file.read_text(encoding="utf-8"))
            for file in files(__name__).joinpath(store).iterdir()
            if (match := _MIGRATION.fullmatch(file.name))
        )
    )
