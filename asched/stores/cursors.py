"""The text between one page of a list and the next, which may come back from anybody."""

from __future__ import annotations

from asched.errors import InvalidArgument

__all__ = ["read_place", "read_serial", "write_place"]

# What a column of a database holds.
_LEAST, _GREATEST = -(2**63), 2**63 - 1


def read_serial(cursor: str) -> int:
    """Return the number of the last job that was told.

    Raises:
        InvalidArgument: No page came with this cursor.
    """
    return _number(cursor, cursor)


def write_place(active: bool, place: int, run_id: int) -> str:
    """Return the cursor after the run at this place; ``active`` ones are told before those that have ended."""
    return f"{active:d}.{place}.{run_id}"


def read_place(cursor: str) -> tuple[bool, int, int]:
    """Return what :func:`write_place` was given.

    Raises:
        InvalidArgument: No page came with this cursor.
    """
    parts = cursor.split(".")
    if len(parts) != 3 or parts[0] not in ("0", "1"):
        raise _refusal(cursor)
    return parts[0] == "1", _number(parts[1], cursor), _number(parts[2], cursor)


def _number(text: str, cursor: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise _refusal(cursor) from None
    if not _LEAST <= number <= _GREATEST:
        raise _refusal(cursor)
    return number


def _refusal(cursor: str) -> InvalidArgument:
    return InvalidArgument(
        f"{cursor!r} is no cursor of a page: pass the one that the page before came with", field="cursor"
    )
