"""What a function returns, reports, logs or raises, in the form that every store and every view can take.

A value of the user's comes too late to be refused: the run has happened. So what cannot be kept as it is becomes a
shortened repr, here and nowhere else. Each value is read once, into a copy: another thread may go on changing it.

orjson is imported where it is used, for the reason that :mod:`asched.arguments` gives.
"""

from __future__ import annotations

import logging
import math
import operator
import sys
import traceback
from collections.abc import Iterator
from typing import Any

from asched.arguments import RESULT_LIMIT, VALUE_DEPTH, fits_64_bits
from asched.masking import masked, printable, shown
from asched.model import ErrorInfo

__all__ = ["TRACEBACK_LIMIT", "RemoteError", "describe_error", "encode_result", "log_line", "number"]

MESSAGE_LIMIT = 4096
TRACEBACK_LIMIT = 32 * 1024
_REPR_LIMIT = 1_000
# Texts are cut to this before passwords are looked for, and to their limits afterwards: what a first cut splits lies
# outside of the second.
_TEXT_LIMIT = 2 * TRACEBACK_LIMIT
# Each value takes two bytes of JSON or more.
_MOST_VALUES = RESULT_LIMIT // 2
# The first frames of a traceback are asched's own and say nothing about the job.
_OWN_MODULES = frozenset({"asched.runner", "asched.worker"})


def encode_result(value: Any) -> bytes | None:
    """Return a result as JSON: itself, or where that cannot be, its repr, shortened. ``None`` for ``None``.

    At most 64 KiB. A number or text of a subclass becomes a plain one, a dict or list of a subclass too.
    """
    if value is None:
        return None
    import orjson

    try:
        data = orjson.dumps(_Copy().of(value, 0))
        if len(data) <= RESULT_LIMIT:
            return data
    except _NotJSON:
        pass
    return orjson.dumps(printable(shown(value, _REPR_LIMIT)))


class _NotJSON(Exception):
    """The value has no JSON form, or one that is too large."""


class _Copy:
    """Copies a value into plain JSON types. Containers are copied in one step each, before they are walked."""

    def __init__(self) -> None:
        self._left = _MOST_VALUES

    def of(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > VALUE_DEPTH:
            raise _NotJSON
        # The types' own methods: a subclass's could do anything.
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return _text(value)
        if isinstance(value, int):
            plain = int.__int__(value)
            if not fits_64_bits(plain):
                raise _NotJSON
            return plain
        if isinstance(value, float):
            real = float.__float__(value)
            if not math.isfinite(real):
                raise _NotJSON
            return real
        if isinstance(value, list):
            return [self.of(item, depth + 1) for item in list.copy(value)]
        if isinstance(value, tuple):
            return [self.of(item, depth + 1) for item in tuple.__iter__(value)]
        if isinstance(value, dict):
            return {_key(key): self.of(item, depth + 1) for key, item in dict.copy(value).items()}
        raise _NotJSON


def _text(value: str) -> str:
    if len(value) > RESULT_LIMIT:
        raise _NotJSON
    try:
        return str.encode(value).decode()
    except UnicodeEncodeError:  # a lone surrogate
        raise _NotJSON from None


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise _NotJSON
    return _text(key)


def number(value: object) -> float | None:
    """Return the number as an int of 64 bits or a finite float; ``None`` if it is no number, a bool or not finite.

    Numbers of NumPy, ``Decimal`` and ``Fraction`` are taken. An int beyond 64 bits becomes the nearest float.
    """
    if isinstance(value, bool | str | bytes):
        return None
    try:
        # NumPy's integers are no subclass of int.
        whole = int.__int__(value) if isinstance(value, int) else operator.index(value)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - user code: a number class of the user's own
        try:
            real = float.__float__(value) if isinstance(value, float) else float(value)  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001 - as above
            return None
        return real if math.isfinite(real) else None
    if fits_64_bits(whole):
        return whole
    try:
        return float(whole)
    except OverflowError:
        return sys.float_info.max if whole > 0 else -sys.float_info.max


def log_line(record: logging.LogRecord) -> str:
    """Return the record's message with its traceback, and leave the record as it is for the handlers.

    ``logging.Formatter.format`` would keep the text of the traceback in the record, where the host's formatter finds
    it and does not make its own.
    """
    try:
        lines = [record.getMessage()]
        if record.exc_info:
            lines.append(logging.Formatter().formatException(record.exc_info))
        if record.stack_info:
            lines.append(record.stack_info)
        return "\n".join(lines)
    except Exception as error:  # noqa: BLE001 - user code: the arguments of the record
        return (
            f"log record of {record.filename}:{record.lineno} could not be formatted "
            f"({type(error).__name__}): {shown(record.msg, 200)}"
        )


def describe_error(error: BaseException) -> ErrorInfo:
    """Return what is kept of an exception, without the passwords of URLs.

    The traceback's end matters most, so its beginning is cut.
    """
    if isinstance(error, RemoteError):
        return error.info
    kind = printable(type(error).__name__)[:200]
    try:
        message = str(error)
    except BaseException as fault:  # noqa: BLE001 - user code: the exception's own __str__
        message = f"(its message could not be read: {type(fault).__name__})"
    # Before anything is cut to its limit: half a URL would no longer be known as one.
    message = printable(masked(message[:_TEXT_LIMIT]))[:MESSAGE_LIMIT]
    text = printable(masked("".join(_traceback(error, f"{kind}: {message}\n"))[-_TEXT_LIMIT:]))
    data = text.encode()
    if len(data) > TRACEBACK_LIMIT:
        text = "[...]\n" + data[-TRACEBACK_LIMIT + 6 :].decode(errors="ignore")
    return ErrorInfo(kind, message, text)


def _traceback(error: BaseException, last: str) -> Iterator[str]:
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_globals.get("__name__") in _OWN_MODULES:
        frames = frames.tb_next
    try:
        yield from traceback.format_exception(type(error), error, frames)
    except BaseException as fault:  # noqa: BLE001 - user code: what the traceback shows of the error and its causes
        yield from traceback.format_tb(frames)
        yield f"(the traceback could not be read to its end: {type(fault).__name__})\n"
        yield last


class RemoteError(Exception):
    """What a function raised in a worker process.

    Attributes:
        error: The error; where it could not be pickled, an empty one of its class or an ``Exception``.
        info: Its description, from the process that raised it.
    """

    def __init__(self, error: BaseException, info: ErrorInfo) -> None:
        super().__init__(info.message)
        self.error = error
        self.info = info
