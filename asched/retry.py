"""How long to wait before the next attempt."""

from __future__ import annotations

from asched.model import Backoff

__all__ = ["delay"]


def delay(backoff: Backoff, failed: int, chance: float) -> float:
    """Return the seconds to wait after ``failed`` failed attempts (1 or more).

    Args:
        chance: A number drawn uniformly from [0, 1); with full jitter it is the share of the bound to wait.

    Source: "Exponential Backoff and Jitter", AWS Architecture Blog, 2015 (full jitter).
    """
    # Past 64 doublings any limit is reached, and a larger exponent would overflow a float.
    bound = min(backoff.limit, backoff.first * backoff.factor ** min(failed - 1, 64))
    return bound * chance if backoff.jitter else bound
