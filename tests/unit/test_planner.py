"""What becomes of instants that have come due, against a plain list of all instants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asched.instants import SECOND, to_datetime
from asched.model import CatchUp, JobSpec, Policy, Reason, RunStatus
from asched.planner import (
    REPLAY_LIMIT,
    first_instant,
    instant_after,
    jittered,
    passed_while_paused,
    plan,
    plan_skip,
)
from asched.store import Claim, Gap, Timer
from asched.triggers import Cron, Interval, Once, Trigger

T0 = 1_767_225_600 * SECOND
EVERY_10 = Interval(seconds=10, anchor=to_datetime(T0))


def at(seconds: float) -> int:
    return T0 + round(seconds * SECOND)


def no_chance() -> float:
    return 0.0


def spec(trigger: Trigger = EVERY_10, *, starting: int | None = None, until: int | None = None,
         catch_up: CatchUp = CatchUp.LATEST, window: float | None = None, jitter: float = 0.0) -> JobSpec:  # fmt: skip
    policy = Policy(catch_up=catch_up, catch_up_window=window, jitter=jitter)
    return JobSpec("a", "a", "app:work", trigger, policy=policy, starting=starting, until=until)


def timer(job: JobSpec, planned: int, due: int | None = None) -> Timer:
    return Timer(1, 1, planned if due is None else due, planned, job)


def plan_at(job: JobSpec, planned: int, now: int, watched_since: int = 0, due: int | None = None) -> Claim:
    return Claim._make(plan(timer(job, planned, due), 7, now, watched_since, no_chance))


def test_an_instant_in_time_starts_and_the_next_one_follows() -> None:
    claim = plan_at(spec(), at(10), at(10))

    assert (claim.token, claim.start, claim.planned, claim.due) == (7, True, at(10), at(10))
    assert (claim.next_planned, claim.next_due, claim.gap, claim.wait) == (at(20), at(20), None, False)


def test_an_instant_that_comes_late_but_was_watched_starts_whatever_the_policy() -> None:
    for catch_up in CatchUp:
        claim = plan_at(spec(catch_up=catch_up, window=0.0), at(10), at(19), watched_since=at(0))
        assert (claim.start, claim.planned, claim.next_planned) == (True, at(10), at(20))


def test_a_waiting_run_starts_as_it_is() -> None:
    waiting = timer(spec(catch_up=CatchUp.SKIP), at(10), at(50)).replace(attempt=2)

    claim = Claim._make(plan(waiting, 7, at(500), at(400), no_chance))

    assert (claim.start, claim.planned, claim.due, claim.next_planned, claim.gap) == (True, at(10), at(50), None, None)


def test_latest_stands_for_all_that_was_missed() -> None:
    claim = plan_at(spec(), at(10), at(47), watched_since=at(47))

    assert (claim.start, claim.planned, claim.due, claim.next_planned) == (True, at(40), at(40), at(50))
    assert claim.gap == Gap(RunStatus.MISSED, Reason.COALESCED, at(10), at(30), 3)


def test_latest_past_its_window_starts_nothing() -> None:
    claim = plan_at(spec(window=5), at(10), at(47), watched_since=at(47))

    assert (claim.start, claim.next_planned) == (False, at(50))
    assert claim.gap == Gap(RunStatus.MISSED, Reason.CATCH_UP_WINDOW, at(10), at(40), 4)


def test_latest_within_its_window_starts() -> None:
    assert plan_at(spec(window=7), at(10), at(47), watched_since=at(47)).start


def test_skip_starts_nothing_that_was_missed() -> None:
    claim = plan_at(spec(catch_up=CatchUp.SKIP), at(10), at(47), watched_since=at(47))

    assert (claim.start, claim.next_planned) == (False, at(50))
    assert claim.gap == Gap(RunStatus.MISSED, Reason.NO_CATCH_UP, at(10), at(40), 4)


def test_skip_starts_the_newest_when_that_was_watched() -> None:
    claim = plan_at(spec(catch_up=CatchUp.SKIP), at(10), at(47), watched_since=at(35))

    assert (claim.start, claim.planned) == (True, at(40))
    assert claim.gap == Gap(RunStatus.MISSED, Reason.NO_CATCH_UP, at(10), at(30), 3)


def test_all_replays_one_after_the_other_and_waits_for_each() -> None:
    claim = plan_at(spec(catch_up=CatchUp.ALL, window=3600), at(10), at(47), watched_since=at(47))

    assert (claim.start, claim.planned, claim.next_planned, claim.gap, claim.wait) == (True, at(10), at(20), None, True)


def test_all_lets_pass_what_is_older_than_its_window() -> None:
    claim = plan_at(spec(catch_up=CatchUp.ALL, window=20), at(10), at(47), watched_since=at(47))

    assert (claim.start, claim.next_planned) == (False, at(30))
    assert claim.gap == Gap(RunStatus.MISSED, Reason.CATCH_UP_WINDOW, at(10), at(20), 2)


def test_all_lets_everything_pass_when_the_window_holds_none() -> None:
    claim = plan_at(spec(catch_up=CatchUp.ALL, window=3), at(10), at(47), watched_since=at(47))

    assert (claim.start, claim.next_planned) == (False, at(50))
    assert claim.gap == Gap(RunStatus.MISSED, Reason.CATCH_UP_WINDOW, at(10), at(40), 4)


def test_all_replays_a_thousand_at_most_and_the_newest_of_them() -> None:
    job = spec(Interval(seconds=1, anchor=to_datetime(T0)), catch_up=CatchUp.ALL, window=1e6)

    passed = plan_at(job, at(1), at(5_000), watched_since=at(5_000))

    assert not passed.start
    assert passed.gap == Gap(RunStatus.MISSED, Reason.CATCH_UP_LIMIT, at(1), at(4_000), 4_000)
    assert passed.next_planned == at(5_000 - REPLAY_LIMIT + 1)
    assert plan_at(job, passed.next_planned, at(5_000), watched_since=at(5_000)).start


def test_exactly_a_thousand_are_replayed() -> None:
    job = spec(Interval(seconds=1, anchor=to_datetime(T0)), catch_up=CatchUp.ALL, window=1e6)

    assert plan_at(job, at(1), at(REPLAY_LIMIT), watched_since=at(2_000)).start


def test_a_missed_one_shot_starts_late_or_not_as_its_policy_says() -> None:
    for catch_up, starts in ((CatchUp.LATEST, True), (CatchUp.ALL, True), (CatchUp.SKIP, False)):
        job = spec(Once(to_datetime(at(10))), catch_up=catch_up, window=60)
        claim = plan_at(job, at(10), at(40), watched_since=at(40))
        assert (claim.start, claim.next_planned) == (starts, None)


def test_until_is_the_last_instant_and_included() -> None:
    job = spec(until=at(20))

    assert instant_after(job, at(10)) == at(20)
    assert instant_after(job, at(20)) is None
    claim = plan_at(job, at(10), at(90), watched_since=at(90))
    assert (claim.planned, claim.next_planned) == (at(20), None)


def test_starting_is_the_first_instant_and_included() -> None:
    assert first_instant(spec(starting=at(50)), at(0)) == at(50)
    assert first_instant(spec(starting=at(51)), at(0)) == at(60)
    assert first_instant(spec(starting=at(-50)), at(3)) == at(10)


def test_the_first_instant_is_later_than_now_save_for_a_one_shot() -> None:
    assert first_instant(spec(), at(10)) == at(20)
    assert first_instant(spec(Once(to_datetime(at(10)))), at(10)) == at(10)
    assert first_instant(spec(Once(to_datetime(at(10)))), at(11)) is None
    assert first_instant(spec(until=at(5)), at(0)) is None


def test_jitter_is_drawn_between_nothing_and_its_bound() -> None:
    job = spec(jitter=4)

    assert jittered(job, at(10), no_chance) == at(10)
    assert jittered(job, at(10), lambda: 0.5) == at(12)
    assert jittered(job, None, no_chance) is None
    assert jittered(spec(), at(10), lambda: 0.9) == at(10)


def test_a_jittered_instant_keeps_the_moment_it_drew() -> None:
    claim = plan_at(spec(jitter=4), at(10), at(13), watched_since=at(0), due=at(13))

    assert (claim.planned, claim.due, claim.next_planned) == (at(10), at(13), at(20))


def test_an_instant_is_not_passed_over_while_it_could_still_draw_a_later_moment() -> None:
    claim = plan_at(spec(jitter=8), at(10), at(21), watched_since=at(0), due=at(17))

    assert (claim.planned, claim.next_planned, claim.gap) == (at(10), at(20), None)


def test_skipping_lets_all_instants_up_to_now_pass() -> None:
    claim = plan_skip(timer(spec(), at(10)), 7, at(35), Reason.ABANDONED, no_chance)

    assert (claim.start, claim.next_planned) == (False, at(40))
    assert claim.gap == Gap(RunStatus.SKIPPED, Reason.ABANDONED, at(10), at(30), 3)


def test_nothing_passed_in_a_pause_that_ends_before_the_next_instant() -> None:
    assert passed_while_paused(spec(), at(10), at(9)) == (None, at(10))
    assert passed_while_paused(spec(), None, at(9)) == (None, None)


def test_what_passed_in_a_pause_is_counted_and_never_caught_up() -> None:
    gap, upcoming = passed_while_paused(spec(catch_up=CatchUp.ALL, window=1e9), at(10), at(30))

    assert gap == Gap(RunStatus.SKIPPED, Reason.PAUSED, at(10), at(30), 3)
    assert upcoming == at(40)


triggers = st.one_of(
    st.integers(1, 40).map(lambda seconds: Interval(seconds=seconds, anchor=to_datetime(T0))),
    st.sampled_from([Cron("*/7 * * * * *", timezone="UTC"), Cron("0,1,30 * * * * *", timezone="UTC")]),
)


@given(
    trigger=triggers,
    catch_up=st.sampled_from(CatchUp),
    window=st.none() | st.integers(0, 300),
    until=st.none() | st.integers(0, 400),
    away=st.integers(0, 400),
    watched=st.integers(0, 500),
)
def test_every_instant_up_to_now_starts_or_stands_in_a_gap_and_none_twice(
    trigger: Trigger, catch_up: CatchUp, window: int | None, until: int | None, away: int, watched: int
) -> None:
    job = spec(trigger, catch_up=catch_up, window=window, until=None if until is None else at(until))
    now, since = at(away), at(watched)
    instants: list[int] = []
    upcoming = first_instant(job, T0)
    while upcoming is not None and upcoming <= now:
        instants.append(upcoming)
        upcoming = instant_after(job, upcoming)
    started: list[int] = []
    passed: list[int] = []
    planned = first_instant(job, T0)

    while planned is not None and planned <= now:
        claim = plan_at(job, planned, now, since)
        if claim.gap is not None:
            within = [each for each in instants if claim.gap.first <= each <= claim.gap.last]
            assert (within[0], within[-1], len(within)) == (claim.gap.first, claim.gap.last, claim.gap.instants)
            passed += within
        if claim.start:
            started.append(claim.planned)
        planned = claim.next_planned

    assert sorted(started + passed) == instants
    assert planned == upcoming
    missed = [each for each in instants if each < since]
    if catch_up is CatchUp.SKIP:
        assert not set(started) & set(missed)
    if catch_up is CatchUp.LATEST and window is None:
        assert started == instants[-1:]
    if catch_up is CatchUp.ALL:
        assert started == [
            each for each in instants if each >= since or window is None or each >= now - window * SECOND
        ]


@pytest.mark.parametrize("catch_up", list(CatchUp))
def test_a_timer_that_is_no_instant_any_more_is_counted_as_one(catch_up: CatchUp) -> None:
    claim = plan_at(spec(catch_up=catch_up), at(13), at(13))

    assert (claim.start, claim.planned, claim.next_planned) == (True, at(13), at(20))
