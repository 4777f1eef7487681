"""Arguments and results as JSON, the same in every store."""

from __future__ import annotations

import datetime
import decimal
import enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asched.arguments import (
    ARGUMENT_LIMIT,
    RESULT_LIMIT,
    decode_arguments,
    decode_result,
    encode_arguments,
)
from asched.errors import InvalidArgument
from asched.reports import encode_result

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(st.lists(VALUES, max_size=4), st.dictionaries(st.text("abc_", min_size=1, max_size=5), VALUES, max_size=3))
def test_arguments_come_back_as_they_went(args: list[Any], kwargs: dict[str, Any]) -> None:
    assert (args, kwargs) == decode_arguments(encode_arguments(args, kwargs))


@given(VALUES)
def test_results_come_back_as_they_went(value: Any) -> None:
    assert value == decode_result(encode_result(value))


@pytest.mark.parametrize("value", [True, False, 1, 0, 1.0, -0.0, 2**63 - 1, -(2**63), 1e308, 5e-324])
def test_numbers_keep_type_and_value(value: Any) -> None:
    [[back], _] = decode_arguments(encode_arguments([value], None))

    assert (type(value), repr(value)) == (type(back), repr(back))


def test_no_arguments_are_stored_as_nothing() -> None:
    assert encode_arguments((), None) is None
    assert encode_arguments([], {}) is None
    assert ([], {}) == decode_arguments(None)


def test_tuple_becomes_a_list() -> None:
    assert ([[1, [2]]], {}) == decode_arguments(encode_arguments(((1, (2,)),), None))


class Colour(str, enum.Enum):  # noqa: UP042 - a str that is no plain str
    RED = "red"


@pytest.mark.parametrize(
    "value",
    [
        b"bytes", {1, 2}, 2**63, -(2**63) - 1, float("nan"), float("inf"), datetime.datetime(2026, 1, 1),  # noqa: DTZ001
        decimal.Decimal(1), Colour.RED, pytest.param(object(), id="object"), len, {1: "a"}, {"a": {2: 3}}, "\ud800",
        {"\ud800": 1}, 1j,
    ],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize(
    ("wrap", "path"),
    [
        (lambda value: ([value], {}), "args[0]"),
        (lambda value: ([1, {"a": [0, value]}], {}), "args[1].a[1]"),
        (lambda value: ([], {"when": value}), "kwargs.when"),
        (lambda value: ([], {"when": ({"x": value},)}), "kwargs.when[0].x"),
    ],
    ids=["first", "inside", "by name", "inside by name"],
)
def test_what_is_not_json_is_refused_with_the_path_to_it(value: object, wrap: Any, path: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        encode_arguments(*wrap(value))

    assert caught.value.field is not None
    assert caught.value.field.startswith(path)
    assert caught.value.field in str(caught.value)


def test_advice_is_to_bind_what_is_not_json() -> None:
    with pytest.raises(InvalidArgument, match=r"args\[0\] is <object.*of type object.*partial or a closure"):
        encode_arguments([object()], None)


def test_value_whose_repr_fails_is_refused_like_any_other() -> None:
    class Awkward:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    with pytest.raises(InvalidArgument, match="whose repr raises ZeroDivisionError"):
        encode_arguments([Awkward()], None)


@pytest.mark.parametrize(
    ("args", "kwargs", "field"),
    [("abc", None, "args"), (b"abc", None, "args"), ({1: 2}, None, "args"), (5, None, "args"), ((), [1], "kwargs"),
     ((), {1: 2}, "kwargs")],
)  # fmt: skip
def test_wrong_containers_are_refused(args: Any, kwargs: Any, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        encode_arguments(args, kwargs)

    assert field == caught.value.field


def test_arguments_of_64_kib_are_taken_and_one_byte_more_is_not() -> None:
    fits = "x" * (ARGUMENT_LIMIT - len('[[""],{}]'))
    payload = encode_arguments([fits], None)

    assert payload is not None
    assert ARGUMENT_LIMIT == 64 * 1024 == len(payload)
    with pytest.raises(InvalidArgument, match="pass a reference"):
        encode_arguments([fits + "x"], None)


def test_nesting_is_bounded() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]

    with pytest.raises(InvalidArgument, match="100 levels"):
        encode_arguments([deep], None)
    assert isinstance(decode_result(encode_result(deep)), str)


def test_no_run_sees_what_another_did_to_its_arguments() -> None:
    payload = encode_arguments([[1]], None)
    [first], _ = decode_arguments(payload)
    first.append(2)

    assert ([[1]], {}) == decode_arguments(payload)


def test_result_of_64_kib_is_kept_and_a_larger_one_is_shortened() -> None:
    fits = "x" * (RESULT_LIMIT - 2)

    assert fits == decode_result(encode_result(fits))
    short = decode_result(encode_result(fits + "x"))
    assert 1_000 == len(short)
    assert short.endswith("...")


@pytest.mark.parametrize("value", [{1, 2}, b"x", 2**64, object, "\ud800"])
def test_result_that_is_not_json_is_kept_as_its_repr(value: object) -> None:
    assert repr(value).encode(errors="backslashreplace").decode() == decode_result(encode_result(value))


def test_nothing_is_kept_of_none() -> None:
    assert encode_result(None) is None
    assert decode_result(None) is None
