"""Text that is logged, stored or shown: without passwords, printable, and of bounded length."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["masked", "printable", "shown"]

# The user has no colon: were both parts able to hold them, a long row of colons would take quadratic time.
_CREDENTIALS = r"(?<=://)[^:/\s'\"<>@]*:[^/\s'\"<>]*@"


def masked(text: str) -> str:
    """Return the text with the user and password of every URL in it replaced by ``***``. O(length)."""
    return re.sub(_CREDENTIALS, "***@", text) if "://" in text else text


def printable(text: str) -> str:
    """Return the text as a plain ``str`` with NUL and lone surrogates escaped. O(length).

    PostgreSQL refuses NUL, UTF-8 has no lone surrogates. ``surrogateescape`` makes them, in file names for example.
    """
    if not str.isascii(text):
        text = str.encode(text, "utf-8", "backslashreplace").decode()
    return str.replace(text, "\0", "\\x00")


def shown(value: object, limit: int) -> str:
    """Return the repr of a value, at most ``limit`` characters of it, whatever the value's own ``__repr__`` does.

    The built-in containers are walked only as far as they are shown: a repr of a huge one would take seconds, and one
    of shared parts may take for ever.
    """
    text = ""
    try:
        for piece in _pieces(value, limit, frozenset()):
            text += piece
            if len(text) > limit:
                return text[: limit - 3] + "..."
    except BaseException as error:  # noqa: BLE001 - user code: the value's own __repr__
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"[:limit]
    return text


def _pieces(value: object, limit: int, above: frozenset[int]) -> Iterator[str]:
    """Yield the repr of a value piece by piece; ``above`` are the ids of the containers around it."""
    if isinstance(value, str | bytes):
        yield repr(value[: limit + 1])
    elif type(value) is int and value.bit_length() > 4 * limit:
        yield f"<int of {value.bit_length()} bits>"
    elif type(value) not in _BRACKETS or not value:
        yield repr(value)
    elif id(value) in above:
        yield "...".join(_BRACKETS[type(value)])
    else:
        yield from _container(value, limit, above | {id(value)})


def _container(value: object, limit: int, above: frozenset[int]) -> Iterator[str]:
    opening, closing = _BRACKETS[type(value)]
    yield opening
    if isinstance(value, dict):
        for index, (key, item) in enumerate(value.copy().items()):
            yield ", " if index else ""
            yield from _pieces(key, limit, above)
            yield ": "
            yield from _pieces(item, limit, above)
    elif isinstance(value, list | tuple | set):
        for index, item in enumerate(value if isinstance(value, tuple) else value.copy()):
            yield ", " if index else ""
            yield from _pieces(item, limit, above)
        if isinstance(value, tuple) and len(value) == 1:
            yield ","
    yield closing


_BRACKETS: dict[type, tuple[str, str]] = {list: ("[", "]"), tuple: ("(", ")"), set: ("{", "}"), dict: ("{", "}")}
