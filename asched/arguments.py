"""Arguments as JSON, the same in every store.

They are refused when they are given, with the path to the value: a job that cannot be stored must not be made. What a
function returns comes too late to be refused; :mod:`asched.reports` says what is kept of it.

orjson is imported where it is used: it brings json, uuid and zoneinfo with it, a third of what importing asched costs,
and jobs without arguments never need it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from asched.errors import InvalidArgument
from asched.masking import shown

__all__ = [
    "ARGUMENT_LIMIT",
    "RESULT_LIMIT",
    "VALUE_DEPTH",
    "decode_arguments",
    "decode_result",
    "encode_arguments",
    "fits_64_bits",
]

ARGUMENT_LIMIT = 64 * 1024
RESULT_LIMIT = 64 * 1024
_LEAST, _GREATEST = -(2**63), 2**63 - 1
VALUE_DEPTH = 100
"""Deeper than any honest value and shallower than the recursion limit of a decoder in another language."""


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


def decode_result(data: bytes | None) -> Any:
    if data is None:
        return None
    import orjson

    return orjson.loads(data)


def fits_64_bits(value: int) -> bool:
    return _LEAST <= value <= _GREATEST


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
        if not fits_64_bits(value):
            raise _refusal(value, path, "it does not fit in 64 bits; pass it as a str")
        return
    if kind is float:
        if not math.isfinite(value):
            raise _refusal(value, path, "JSON has no such number")
        return
    if depth >= VALUE_DEPTH:
        raise InvalidArgument(f"{path[:200]} is nested more than {VALUE_DEPTH} levels deep", field=path[:200])
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
    text = shown(value, 80)
    return InvalidArgument(f"{path} is {text}, of type {type(value).__name__}: {why}", field=path)
