"""Arguments and results as JSON, the same in every store.

Arguments are refused when they are given, with the path to the value: a job that cannot be stored must not be made.
A result comes too late to be refused; what JSON cannot hold is kept as its repr.

orjson is imported where it is used: it brings json, uuid and zoneinfo with it, a third of what importing asched costs,
and jobs without arguments never need it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from asched.errors import InvalidArgument

__all__ = ["ARGUMENT_LIMIT", "RESULT_LIMIT", "decode_arguments", "decode_result", "encode_arguments", "encode_result"]

ARGUMENT_LIMIT = 64 * 1024
RESULT_LIMIT = 64 * 1024
_REPR_LIMIT = 1_000
_LEAST, _GREATEST = -(2**63), 2**63 - 1
# Deeper than any honest argument and shallower than the recursion limit of a decoder in another language.
_DEPTH = 100


def encode_arguments(args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> bytes | None:
    """Return ``[args, kwargs]`` as JSON, ``None`` when both are empty. O(size).

    Raises:
        InvalidArgument: Something is not JSON, or all together exceeds 64 KiB; ``field`` is the path to it.
    """
    if not args and not kwargs:
        return None
    if isinstance(args, str | bytes) or not isinstance(args, Sequence):
        raise InvalidArgument(f"args must be a list or tuple, not {args!r}", field="args")
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise InvalidArgument(f"kwargs must be a dict, not {kwargs!r}", field="kwargs")
    for index, value in enumerate(args):
        _check(value, f"args[{index}]", 0)
    for key, value in (kwargs or {}).items():
        if not isinstance(key, str):
            raise InvalidArgument(f"kwargs has the key {key!r}; names of arguments are str", field="kwargs")
        _check(value, f"kwargs.{key}", 0)
    import orjson

    payload = orjson.dumps([list(args), dict(kwargs or {})])
    if len(payload) > ARGUMENT_LIMIT:
        raise InvalidArgument(
            f"the arguments take {len(payload):,} bytes as JSON, more than {ARGUMENT_LIMIT:,}; "
            "pass a reference, such as a path or a key, instead of the data",
            field="args",
        )
    return payload


def decode_arguments(payload: bytes | None) -> tuple[list[Any], dict[str, Any]]:
    if payload is None:
        return [], {}
    import orjson

    args, kwargs = orjson.loads(payload)
    return args, kwargs


def encode_result(value: Any) -> bytes | None:
    """Return a result as JSON: itself, or where that cannot be, its repr, shortened. ``None`` for ``None``."""
    if value is None:
        return None
    import orjson

    try:
        _check(value, "result", 0)
        data = orjson.dumps(value)
        if len(data) <= RESULT_LIMIT:
            return data
    except (InvalidArgument, TypeError):
        pass
    text = _show(value, _REPR_LIMIT)
    return orjson.dumps(text.encode(errors="backslashreplace").decode())


def decode_result(data: bytes | None) -> Any:
    if data is None:
        return None
    import orjson

    return orjson.loads(data)


def _check(value: Any, path: str, depth: int) -> None:
    kind = type(value)
    if kind is str:
        # A lone surrogate is legal in a str and not in JSON.
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise _refusal(value, path, "it contains a lone surrogate") from None
        return
    if value is None or kind is bool:
        return
    if kind is int:
        if not _LEAST <= value <= _GREATEST:
            raise _refusal(value, path, "it does not fit in 64 bits; pass it as a str")
        return
    if kind is float:
        if not math.isfinite(value):
            raise _refusal(value, path, "JSON has no such number")
        return
    if depth >= _DEPTH:
        raise InvalidArgument(f"{path[:200]} is nested more than {_DEPTH} levels deep", field=path[:200])
    if kind is list or kind is tuple:
        for index, item in enumerate(value):
            _check(item, f"{path}[{index}]", depth + 1)
        return
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise _refusal(key, path, "keys of a dict are str")
            _check(key, path, depth + 1)
            _check(item, f"{path}.{key}", depth + 1)
        return
    raise _refusal(
        value,
        path,
        "it is not JSON (None, bool, int, float, str, list, dict); bind it in a partial or a closure instead",
    )


def _refusal(value: Any, path: str, why: str) -> InvalidArgument:
    text = _show(value, 80)
    return InvalidArgument(f"{path} is {text}, of type {type(value).__name__}: {why}", field=path)


def _show(value: Any, limit: int) -> str:
    try:
        text = repr(value)
    except BaseException as error:  # noqa: BLE001 - user code: the value's own __repr__
        text = f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return text if len(text) <= limit else text[: limit - 3] + "..."
