"""What immutable things with slots have in common, and that each of them keeps to it."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from asched import Interval, Overlap, Policy
from asched.model import JobSpec
from asched.registry import Function
from asched.store import Timer
from asched.values import Value

SPEC = JobSpec("a", "A", "m:a", Interval(seconds=10), tags=("x",), policy=Policy(timeout=2.5))
EXAMPLES: list[Value] = [
    SPEC.policy,
    SPEC,
    Timer(1, 2, 30, 20, SPEC, 1, b"[[],{}]"),
    Function("m:len", len, False, True),
]


@pytest.mark.parametrize("value", EXAMPLES, ids=lambda value: type(value).__name__)
def test_its_slots_are_what_it_is_made_of(value: Value) -> None:
    assert set(value.__slots__) == set(inspect.signature(type(value)).parameters)
    assert type(value)(**value.asdict()).values() == value.values()


@pytest.mark.parametrize("value", EXAMPLES, ids=lambda value: type(value).__name__)
def test_equal_fields_make_equal_values(value: Value) -> None:
    twin = value.replace()

    assert twin is not value
    assert twin == value
    assert hash(twin) == hash(value)


@pytest.mark.parametrize("value", EXAMPLES, ids=lambda value: type(value).__name__)
def test_any_other_field_makes_another_value(value: Value) -> None:
    for field in value.__slots__:
        changed = value.replace(**{field: "other"})

        assert changed != value, field
        assert changed.asdict() == value.asdict() | {field: "other"}


def test_values_of_two_classes_are_not_equal_though_their_fields_are() -> None:
    class Other(Value):
        __slots__ = Policy.__slots__
        __init__ = Policy.__init__

    assert Policy() != Other()
    assert Policy() != Policy().values()


def test_a_field_that_there_is_not_is_refused() -> None:
    with pytest.raises(TypeError, match="retries"):
        Policy().replace(retries=3)


def test_a_value_shows_its_fields_by_name() -> None:
    assert repr(Function("m:len", len, False, True)) == (
        "Function(call=<built-in function len>, is_async=False, name='m:len', stable=True)"
    )


@pytest.mark.parametrize("value", EXAMPLES, ids=lambda value: type(value).__name__)
def test_a_value_can_be_copied_and_pickled(value: Value) -> None:
    assert copy.deepcopy(value) == value
    assert pickle.loads(pickle.dumps(value)) == value


def test_changing_a_policy_leaves_the_first_as_it_was() -> None:
    first = Policy()

    second = first.replace(overlap=Overlap.ALLOW)

    assert (first.overlap, second.overlap) == (Overlap.SKIP, Overlap.ALLOW)


def test_a_policy_that_jobs_share_cannot_be_changed_in_place() -> None:
    policy = Policy(timeout=5.0)

    with pytest.raises(AttributeError, match=r"replace\(timeout=\.\.\.\)"):
        policy.timeout = 10.0  # type: ignore[misc]  # what the type checker refuses is tried

    assert policy.timeout == 5.0
