"""What to do with an instant that has come due, and what comes next. Pure: no clock, no waiting, no store.

Two words matter. An instant is **missed** when it came due while nobody watched: before this scheduler started,
while the machine slept, under a clock that jumped, or while the store was away. The catch-up policy decides about
missed instants. An instant that comes late because the loop or the workers were busy is not missed; it starts late.
When several instants of one job have passed, one run with the newest stands for all of them unless the policy
is to replay each.
"""

from __future__ import annotations

from collections.abc import Callable

from asched.instants import SECOND
from asched.model import CatchUp, JobSpec, Reason, RunStatus
from asched.store import Claim, ClaimRow, Gap, Timer
from asched.triggers import Once, Trigger
from asched.triggers.occurrences import count_between, latest_between, next_instant

__all__ = [
    "REPLAY_LIMIT",
    "Chance",
    "first_between",
    "first_instant",
    "instant_after",
    "jittered",
    "passed_while_paused",
    "plan",
    "plan_skip",
]

# At most this many missed instants of a job are replayed by one catch-up.
REPLAY_LIMIT = 1_000

Chance = Callable[[], float]
"""Draws uniformly from [0, 1), as :func:`random.random` does."""


def instant_after(spec: JobSpec, planned: int) -> int | None:
    """Return the job's next planned instant after ``planned``; ``None`` past its end."""
    return _next(spec.trigger, planned, spec.until)


def first_instant(spec: JobSpec, now: int) -> int | None:
    """Return the first planned instant of a job that begins now, or at its ``starting``, which is included."""
    return first_between(spec.trigger, now, spec.starting, spec.until)


def first_between(trigger: Trigger, now: int, starting: int | None, until: int | None) -> int | None:
    """Return what :func:`first_instant` does, of a job that is not made yet."""
    if starting is not None and starting > now:
        after = starting - 1
    else:
        # A one-shot "now" (a delay of 0) is still to come; every other trigger answers strictly later.
        after = now - 1 if isinstance(trigger, Once) else now
    return _next(trigger, after, until)


def _next(trigger: Trigger, after: int, until: int | None) -> int | None:
    upcoming = next_instant(trigger, after)
    return None if upcoming is None or (until is not None and upcoming > until) else upcoming


def jittered(spec: JobSpec, planned: int | None, chance: Chance) -> int | None:
    """Draw the instant to act for a planned instant."""
    if planned is None or not spec.policy.jitter:
        return planned
    return planned + int(spec.policy.jitter * chance() * SECOND)


def plan(timer: Timer, token: int, now: int, watched_since: int, chance: Chance) -> ClaimRow:
    """Decide about a timer that is due at ``now``.

    Args:
        watched_since: What came due before this instant was missed.
    """
    due, planned, spec = timer.due, timer.planned, timer.spec
    if timer.attempt:
        return Claim(timer, token, True, planned, due)
    jitter = spec.policy.jitter
    upcoming = _next(spec.trigger, planned, spec.until)
    # An instant with jitter has passed only when the latest moment it could draw has.
    passed = now - int(jitter * SECOND) if jitter else now
    if (upcoming is None or upcoming > passed) and due >= watched_since:
        following = jittered(spec, upcoming, chance) if jitter else upcoming
        return timer, token, True, planned, due, upcoming, following, None, False
    return _catch_up(timer, token, now, passed, watched_since, chance)


def plan_skip(timer: Timer, token: int, now: int, reason: Reason, chance: Chance) -> Claim:
    """Let every instant of the timer up to ``now`` pass as ``skipped``."""
    spec = timer.spec
    newest = max(_newest(spec, timer.planned, now), timer.planned)
    gap = _gap(spec, RunStatus.SKIPPED, reason, timer.planned, newest)
    upcoming = instant_after(spec, newest)
    return Claim(timer, token, False, newest, newest, upcoming, jittered(spec, upcoming, chance), gap)


def passed_while_paused(spec: JobSpec, planned: int | None, now: int) -> tuple[Gap | None, int | None]:
    """Return the gap of instants from ``planned`` to ``now``, and the first instant after them."""
    if planned is None or planned > now:
        return None, planned
    newest = max(_newest(spec, planned, now), planned)
    return _gap(spec, RunStatus.SKIPPED, Reason.PAUSED, planned, newest), instant_after(spec, newest)


def _catch_up(timer: Timer, token: int, now: int, passed: int, since: int, chance: Chance) -> Claim:
    spec = timer.spec
    policy = spec.policy
    first = timer.planned
    newest = max(_newest(spec, first, passed), first)
    window = None if policy.catch_up_window is None else now - int(policy.catch_up_window * SECOND)

    def missed(instant: int) -> bool:
        return (timer.due if instant == first else instant) < since

    def start(instant: int, reason: Reason, wait: bool = False) -> Claim:
        before = None
        if instant > first:
            before = _gap(spec, RunStatus.MISSED, reason, first, _previous(spec, first, instant))
        due = timer.due if instant == first else instant
        upcoming = instant_after(spec, instant)
        following = jittered(spec, upcoming, chance)
        return Claim(timer, token, True, instant, due, upcoming, following, before, wait)

    def let_pass(last: int, reason: Reason) -> Claim:
        upcoming = instant_after(spec, last)
        gap = _gap(spec, RunStatus.MISSED, reason, first, last)
        return Claim(timer, token, False, last, last, upcoming, jittered(spec, upcoming, chance), gap)

    if policy.catch_up is CatchUp.SKIP:
        return let_pass(newest, Reason.NO_CATCH_UP) if missed(newest) else start(newest, Reason.NO_CATCH_UP)
    if policy.catch_up is CatchUp.LATEST:
        if window is not None and newest < window and missed(newest):
            return let_pass(newest, Reason.CATCH_UP_WINDOW)
        return start(newest, Reason.COALESCED)
    if window is not None and first < window and missed(first):
        # The window is about missed instants; what was watched and comes late is replayed, however old.
        eligible = next_instant(spec.trigger, min(window, since) - 1)
        if eligible is None or eligible > newest:
            return let_pass(newest, Reason.CATCH_UP_WINDOW)
        return let_pass(_previous(spec, first, eligible), Reason.CATCH_UP_WINDOW)
    if count_between(spec.trigger, first - 1, newest) > REPLAY_LIMIT:
        return let_pass(_leave(spec, first, newest, REPLAY_LIMIT), Reason.CATCH_UP_LIMIT)
    return start(first, Reason.COALESCED, wait=True)


def _newest(spec: JobSpec, first: int, until: int) -> int:
    """Return the newest instant of the job from ``first`` to ``until``; ``first`` itself where there is none."""
    bound = until if spec.until is None else min(until, spec.until)
    return latest_between(spec.trigger, first, bound) or first


def _previous(spec: JobSpec, first: int, instant: int) -> int:
    """Return the last instant before ``instant``, at or after ``first``."""
    return latest_between(spec.trigger, first, instant - 1) or first


def _gap(spec: JobSpec, status: RunStatus, reason: Reason, first: int, last: int) -> Gap:
    # `first` itself may be no instant of the trigger any more (an edit keeps the timer), so it is counted apart.
    return Gap(status, reason, first, last, 1 + count_between(spec.trigger, first, last))


def _leave(spec: JobSpec, first: int, newest: int, wanted: int) -> int:
    """Return the instant up to which instants must pass so that ``wanted`` remain. O(log range) counts."""
    low, high = first, newest
    while low < high:
        middle = (low + high) // 2
        if count_between(spec.trigger, middle, newest) <= wanted:
            high = middle
        else:
            low = middle + 1
    return latest_between(spec.trigger, first, low) or first
