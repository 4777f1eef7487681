"""Back-off between attempts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asched.model import Backoff
from asched.retry import delay

backoffs = st.builds(
    Backoff,
    first=st.floats(0, 1e6),
    factor=st.floats(1, 10),
    limit=st.floats(0, 1e7),
    jitter=st.booleans(),
)


@pytest.mark.parametrize(
    ("failed", "seconds"), [(1, 2), (2, 4), (3, 8), (10, 1024), (11, 2048), (12, 3600), (99, 3600)]
)
def test_the_default_doubles_from_two_seconds_up_to_an_hour(failed: int, seconds: float) -> None:
    assert delay(Backoff(jitter=False), failed, 0.5) == seconds


def test_full_jitter_draws_from_zero_up_to_the_bound() -> None:
    assert [delay(Backoff(), 3, chance) for chance in (0.0, 0.25, 0.5)] == [0.0, 2.0, 4.0]


@given(backoffs, st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_finite_and_never_past_the_limit(backoff: Backoff, failed: int, chance: float) -> None:
    wait = delay(backoff, failed, chance)

    assert math.isfinite(wait)
    assert 0 <= wait <= backoff.limit


@given(backoffs, st.integers(1, 200))
def test_waits_never_shrink_from_attempt_to_attempt(backoff: Backoff, failed: int) -> None:
    steady = backoff._replace(jitter=False)

    assert delay(steady, failed, 0.0) <= delay(steady, failed + 1, 0.0)


def test_a_factor_of_one_waits_the_same_each_time() -> None:
    assert {delay(Backoff(5, 1, 60, False), failed, 0.9) for failed in range(1, 9)} == {5}


def test_after_any_number_of_failures_a_huge_factor_does_not_overflow() -> None:
    assert delay(Backoff(1, 1e10, 60, False), 1_000_000, 0.0) == 60
