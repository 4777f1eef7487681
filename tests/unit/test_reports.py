"""What is kept of a function's result, progress, log records and errors."""

from __future__ import annotations

import enum
import logging
import sys
import threading
from collections import Counter, OrderedDict
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from asched.arguments import decode_result
from asched.masking import printable, shown
from asched.reports import TRACEBACK_LIMIT, describe_error, encode_result, log_line, number


class Real(float):
    """As NumPy's float64 is: a subclass of float whose own methods do what they like."""

    def __repr__(self) -> str:
        return "Real"

    def __float__(self) -> float:
        raise ZeroDivisionError

    def __sub__(self, other: object) -> float:  # type: ignore[override]  # so that NaN would look finite
        return 0.0


class Whole(int):
    def __repr__(self) -> str:
        return "Whole"

    def __int__(self) -> int:
        raise ZeroDivisionError


class Index:
    """As NumPy's int64 is: no subclass of int."""

    def __index__(self) -> int:
        return 7


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


# Results


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (Real(0.5), 0.5), (Whole(5), 5), (Level.HIGH, 3), (Colour.RED, "red"),
        ([Real(1), {"a": Whole(2)}], [1, {"a": 2}]), (Counter("aab"), {"a": 2, "b": 1}), (OrderedDict(a=1), {"a": 1}),
        ({Colour.RED: 1}, {"red": 1}),
    ],
    ids=repr,
)  # fmt: skip
def test_result_of_a_subclass_becomes_a_plain_value(value: object, kept: object) -> None:
    assert kept == decode_result(encode_result(value))


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (Whole(2**70), "Whole"), (Real("nan"), "Real"), ([2**64], "[18446744073709551616]"), ({1: "a"}, "{1: 'a'}"),
        (10**5_000, f"<int of {(10**5_000).bit_length()} bits>"), (["\udcff"], "['\\udcff']"), ((set(),), "(set(),)"),
        ({"a": (1, b"x"), "b": {2}}, "{'a': (1, b'x'), 'b': {2}}"),
    ],
    ids=["subclass", "nan", "inside", "key", "too long to print", "surrogate", "one", "nested"],
)  # fmt: skip
def test_result_that_no_store_can_take_is_a_repr(value: object, kept: str) -> None:
    assert kept == decode_result(encode_result(value))


def test_result_that_holds_itself_is_kept_as_its_repr() -> None:
    around: list[object] = [1]
    around.append({"again": around})

    assert "[1, {'again': [...]}]" == decode_result(encode_result(around))


def test_result_of_shared_parts_is_cut_before_it_is_written_out() -> None:
    shared: list[object] = ["x"]
    for _ in range(80):  # 2**80 texts when written out
        shared = [shared, shared]

    kept = decode_result(encode_result(shared))

    assert 1_000 == len(kept)
    assert kept.startswith("[[[")


def test_result_that_another_thread_goes_on_changing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    result: dict[str, Any] = {"numbers": [], "object": object()}
    done = threading.Event()

    def change() -> None:
        turn = 0
        while not done.is_set():
            turn += 1
            result[str(turn)] = turn
            result["numbers"].append(turn)
            if turn % 50 == 0:
                for key in range(turn - 49, turn + 1):
                    del result[str(key)]
                result["numbers"].clear()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=change)
    thread.start()
    try:
        kept = [encode_result(result) for _ in range(300)]
        del result["object"]
        kept += [encode_result(result) for _ in range(300)]
    finally:
        done.set()
        thread.join()
        sys.setswitchinterval(interval)

    assert all(kept)
    assert not any("whose repr raises" in str(decode_result(one)) for one in kept)


# Progress


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (1, 1), (0.5, 0.5), (Whole(5), 5), (Real(0.5), 0.5), (Index(), 7), (Decimal("0.5"), 0.5), (Fraction(1, 2), 0.5),
        (2**63 - 1, 2**63 - 1), (2**63, 2.0**63), (-(2**70), -(2.0**70)), (10**400, sys.float_info.max),
        (-(10**400), -sys.float_info.max),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_number_becomes_a_plain_one_that_fits(given: object, kept: float) -> None:
    plain = number(given)

    assert (type(kept), kept) == (type(plain), plain)


@pytest.mark.parametrize(
    "given",
    [True, None, "1", b"1", float("nan"), Real("nan"), float("inf"), -float("inf"), Decimal("nan"), object(), 1j],
)
def test_what_is_no_finite_number_is_none(given: object) -> None:
    assert number(given) is None


# Texts


@pytest.mark.parametrize(
    ("text", "kept"), [("a\0b", "a\\x00b"), ("\udcff", "\\udcff"), ("5 €", "5 €"), (Colour.RED, "red")]
)
def test_text_is_printable(text: str, kept: str) -> None:
    assert (str, kept) == (type(printable(text)), printable(text))


@pytest.mark.parametrize(
    "value",
    [
        [], (), {}, set(), [1], (1,), (1, 2), {1: [2]}, {"a"}, frozenset([1]), "it's", b"x", None, Whole(1), [[[]]],
        Counter("a"),
    ],
    ids=repr,
)  # fmt: skip
def test_short_value_is_shown_by_its_repr(value: object) -> None:
    assert repr(value) == shown(value, 100)


def test_long_value_is_cut() -> None:
    assert repr("x" * 100)[:7] + "..." == shown("x" * 100, 10)
    assert "[0, 1, ..." == shown(list(range(1_000_000)), 10)


# Log records


class Detached:
    def __str__(self) -> str:
        raise RuntimeError("not bound to a session")

    __repr__ = __str__


def _record(message: object, *args: object, **more: Any) -> logging.LogRecord:
    return logging.LogRecord("app", logging.INFO, "app.py", 7, message, args, more.pop("exc_info", None), **more)


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (_record("fine %d", 1), "fine 1"),
        (_record(b"bytes"), "b'bytes'"),
        (_record("%d", "x"), "log record of app.py:7 could not be formatted (TypeError): '%d'"),
        (_record("%s", Detached()), "log record of app.py:7 could not be formatted (RuntimeError): '%s'"),
        (
            _record(Detached()),
            "log record of app.py:7 could not be formatted (RuntimeError): <Detached, whose repr raises RuntimeError>",
        ),
        (_record("no error", exc_info=(None, None, None)), "no error\nNoneType: None"),
        (_record("odd", exc_info=1), "log record of app.py:7 could not be formatted (TypeError): 'odd'"),
    ],
    ids=["fine", "bytes", "arguments", "argument", "message", "no error", "odd"],
)
def test_line_of_a_log_record(record: logging.LogRecord, line: str) -> None:
    assert line == log_line(record)


def test_record_stays_as_it_is_for_the_handlers_of_the_host() -> None:
    try:
        raise ValueError("of the job")
    except ValueError as error:
        record = _record("failed", exc_info=(ValueError, error, error.__traceback__), sinfo="the stack")
    before = dict(vars(record))
    line = log_line(record)

    assert line.startswith("failed\nTraceback")
    assert line.endswith("ValueError: of the job\nthe stack")
    assert before == vars(record)
    assert record.exc_text is None


# Errors


class Unreadable(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError

    __repr__ = __str__


class Endless(Exception):
    def __str__(self) -> str:
        return f"{self.args[0]}"


def _raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - whatever the test gives
        return caught


def test_error_without_a_message_keeps_its_traceback() -> None:
    told = describe_error(_raised(Unreadable()))

    assert "in _raised\n    raise error" in told.traceback
    assert told.traceback.splitlines()[-1].endswith("Unreadable: <exception str() failed>")


def test_error_whose_message_holds_the_error_is_described() -> None:
    error = Endless()
    error.args = (error,)

    told = describe_error(_raised(error))

    assert ("Endless", "(its message could not be read: RecursionError)") == told[:2]


def test_error_that_causes_itself_is_described() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first

    told = describe_error(_raised(first))

    assert ("ValueError", "first") == told[:2]
    assert told.traceback.endswith("ValueError: first\n")


def test_error_whose_traceback_cannot_be_formatted_is_described() -> None:
    no_text: Any = 5
    told = describe_error(_raised(SyntaxError("strange", ("file", 1, 1, no_text))))

    assert ("SyntaxError", "strange (file, line 1)") == told[:2]
    assert "in _raised\n    raise error" in told.traceback
    assert told.traceback.endswith(
        "(the traceback could not be read to its end: AttributeError)\nSyntaxError: strange (file, line 1)\n"
    )


def test_error_in_groups_of_any_depth_is_described() -> None:
    error: Exception = ValueError("innermost")
    for _ in range(20_000):
        error = ExceptionGroup("group", [error])

    told = describe_error(_raised(error))

    assert ("ExceptionGroup", "group (1 sub-exception)") == told[:2]
    assert "in _raised" in told.traceback


def test_huge_error_is_cut_to_its_limits() -> None:
    told = describe_error(_raised(ValueError("\udcff\0€" * 5_000_000)))

    assert 4_096 == len(told.message)
    assert len(told.traceback.encode()) <= TRACEBACK_LIMIT
    assert told.message.startswith("\\udcff\\x00€")
