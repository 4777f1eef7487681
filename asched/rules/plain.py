"""What a store may answer without the rules: starts and successes that need no look before they are written.

Most of what a schedule does is plain: an occurrence starts while nothing else of its job is active, and its run
succeeds. A store does these by one statement, or in one loop. It must leave everything else to the rules.

A claim that is plain by :func:`is_plain_claim` starts plainly if, besides, the store finds the job's timer in the
claim's revision, not paused, due by its own clock and :data:`EARLY`, and nothing of the job active unless its overlap
policy is ``ALLOW``. Such a start moves the timer to the claim's next instants, counts a run and a planned run, closes
the gap record and makes a run that executes attempt 1 under the claim's token, which is its id.

An end that is plain by :func:`is_plain_end` is written plainly if the run executes its first attempt under the token
that is its id, and has neither earlier attempts nor a letter that it replays. Afterwards the run that had queued behind
it may start, which is again a matter of the rules, and so is the end of a deleted job's last run.
"""

from __future__ import annotations

from asched.instants import SECOND
from asched.model import RunStatus
from asched.store import ClaimRow, FinishRow

__all__ = ["EARLY", "is_plain_claim", "is_plain_end"]

EARLY = SECOND // 20
"""A claim may come this much before its timer is due by the store's clock: the store's answer takes time to reach the
node that reads it."""


def is_plain_claim(claim: ClaimRow) -> bool:
    """Tell whether a claim only starts one occurrence: no instants pass before it, and no ``max_runs`` counts it."""
    timer, _, start, _, _, _, _, gap, _ = claim
    return start and gap is None and not timer.attempt and timer.spec.max_runs is None


def is_plain_end(end: FinishRow) -> bool:
    """Tell whether an end is a success that leaves nothing to keep but its result."""
    _, status, _, _, _, reason, _, _, _, _, note = end
    return status is RunStatus.SUCCEEDED and note is None and reason is None
