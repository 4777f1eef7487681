"""The words that describe a job: what is taken, what is refused and how that is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asched.errors import InvalidArgument, InvalidTrigger
from asched.instants import from_datetime
from asched.model import Backoff, CatchUp, JobSpec, OnCrash, Overlap, Policy
from asched.options import (
    check_count,
    check_instant,
    check_label,
    check_seconds,
    check_tags,
    check_trigger,
    choose,
    fingerprint,
    make_backoff,
    make_policy,
)
from asched.triggers import Cron, Interval

WORDS: dict[str, Any] = {
    "timeout": None, "max_retries": 3, "backoff": None, "overlap": "skip", "catch_up": "latest",
    "catch_up_window": None, "on_crash": "rerun", "jitter": 0, "in_process": False,
}  # fmt: skip


def policy(**words: Any) -> Policy:
    return make_policy(**WORDS | words)


def test_words_of_no_special_wish_make_the_default_policy() -> None:
    assert Policy() == policy()


def test_words_become_a_policy() -> None:
    made = policy(
        timeout=timedelta(minutes=1), max_retries=0, backoff=5, overlap="allow", catch_up="all", catch_up_window=60,
        on_crash="lost", jitter=1.5, in_process=True,
    )  # fmt: skip

    assert made == Policy(
        60.0, 0, Backoff(5, 1, 5, jitter=False), Overlap.ALLOW, CatchUp.ALL, 60.0, OnCrash.LOST, 1.5, True
    )


def test_equal_policies_are_one_object() -> None:
    assert policy(timeout=5) is policy(timeout=5.0) is policy(timeout=timedelta(seconds=5))


def test_true_is_no_one_though_they_are_equal() -> None:
    policy(max_retries=1, timeout=1)

    with pytest.raises(InvalidArgument, match="max_retries"):
        policy(max_retries=True, timeout=1)
    with pytest.raises(InvalidArgument, match="timeout"):
        policy(max_retries=1, timeout=True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timeout", 0), ("timeout", -1), ("timeout", "5"), ("timeout", float("nan")), ("timeout", float("inf")),
        ("timeout", 1e12), ("timeout", []), ("max_retries", -1), ("max_retries", 1_001), ("max_retries", 1.0),
        ("max_retries", None), ("backoff", -1), ("backoff", "fast"), ("backoff", Backoff(-1)),
        ("backoff", Backoff(1, 0.5)), ("backoff", Backoff(1, 2, -5)), ("backoff", Backoff(1, 2, 5, "no")),  # type: ignore[arg-type]
        ("overlap", "wait"), ("overlap", None), ("catch_up", "newest"), ("catch_up", "all"), ("catch_up_window", -1),
        ("on_crash", "retry"), ("jitter", -1), ("jitter", None), ("in_process", 1), ("in_process", None),
    ],
)  # fmt: skip
def test_wrong_word_is_refused_by_its_name(field: str, value: object) -> None:
    with pytest.raises(InvalidArgument, match=field) as caught:
        policy(**{field: value})

    assert field in (caught.value.field or "").replace("catch_up_window", "catch_up_window catch_up")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, Backoff()), (..., Backoff()), (0, Backoff(0, 1, 0, False)), (2.5, Backoff(2.5, 1, 2.5, False)),
     (timedelta(minutes=1), Backoff(60, 1, 60, False)), (Backoff(1, 3, 9, False), Backoff(1, 3, 9, False))],
)  # fmt: skip
def test_backoff_is_seconds_or_a_backoff(value: object, expected: Backoff) -> None:
    assert expected == make_backoff(value)


@pytest.mark.parametrize("label", ["a", "x" * 200, "Nächtlicher Bericht", "a/b c:d#2", "日本", "...", "a."])
def test_label_is_any_printable_text(label: str) -> None:
    assert label == check_label(label, "id")


@pytest.mark.parametrize(
    "label", ["", ".", "..", "x" * 201, "a\nb", "a\tb", "\x00", "\x7f", "a\u2028b", "\ud800", None, 5, b"a"]
)
def test_wrong_label_is_refused(label: object) -> None:
    with pytest.raises(InvalidArgument, match="1 to 200 printable characters") as caught:
        check_label(label, "group")

    assert "group" == caught.value.field
    assert len(str(caught.value)) < 250


def test_tags_are_kept_once_in_their_order() -> None:
    assert ("b", "a") == check_tags(["b", "a", "b"])
    assert () == check_tags([])


@pytest.mark.parametrize("tags", ["night", 5, None, ["ok", ""], [str(number) for number in range(51)]])
def test_wrong_tags_are_refused(tags: Any) -> None:
    with pytest.raises(InvalidArgument, match="tags"):
        check_tags(tags)


def test_seconds_are_numbers_or_timedeltas() -> None:
    assert [5.0, 0.0, 90.0] == [check_seconds(value, "x") for value in (5, 0, timedelta(minutes=1.5))]
    with pytest.raises(InvalidArgument, match="more than 0"):
        check_seconds(0, "x", above_zero=True)


@pytest.mark.parametrize("value", [0, 4, 1.0, True, "2", None])
def test_count_out_of_range_is_refused(value: object) -> None:
    with pytest.raises(InvalidArgument, match="whole number from 1 to 3"):
        check_count(value, "n", least=1, most=3)


def test_instant_is_an_aware_datetime_or_none() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)

    assert check_instant(None, "until") is None
    assert from_datetime(moment) == check_instant(moment, "until")
    for wrong in (datetime(2026, 1, 1), "2026-01-01", 0, moment.date()):  # noqa: DTZ001 - naive on purpose
        with pytest.raises(InvalidArgument, match="until"):
            check_instant(wrong, "until")


def test_word_out_of_a_few_is_refused_with_all_of_them() -> None:
    assert Overlap.ALLOW is choose(Overlap, "allow", "overlap")
    with pytest.raises(InvalidArgument, match="'skip', 'queue', 'cancel_running', 'allow', not 'x'"):
        choose(Overlap, "x", "overlap")


class Own:
    def next_after(self, after: datetime) -> datetime | None:
        return None

    def describe(self, lang: str = "en") -> str:
        return "never"

    def fingerprint(self) -> str:
        return "own"


def test_trigger_is_one_of_ours_or_has_its_methods() -> None:
    own = Own()

    assert own is check_trigger(own)
    for wrong in ("* * * * *", None, 60, timedelta(60), Interval, Own):
        with pytest.raises(InvalidTrigger, match="a trigger is wanted"):
            check_trigger(wrong)


SPEC = JobSpec("job", "job", "app:work", Interval(minutes=5))


@pytest.mark.parametrize(
    "change",
    [
        {"trigger": Interval(minutes=6)}, {"group": "x"}, {"tags": ("x",)}, {"policy": Policy(timeout=5)},
        {"starting": 1}, {"until": 1}, {"max_runs": 1}, {"payload": b"[[1],{}]"},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_changed_declaration_has_another_fingerprint(change: dict[str, Any]) -> None:
    assert fingerprint(SPEC, False, ()) != fingerprint(SPEC.replace(**change), False, ())


def test_pause_and_retried_errors_are_part_of_the_fingerprint() -> None:
    prints = {fingerprint(SPEC, False, ()), fingerprint(SPEC, True, ()), fingerprint(SPEC, False, (ValueError,))}

    assert 3 == len(prints)


def test_unchanged_declaration_has_the_same_fingerprint_under_another_id_and_function() -> None:
    twin = JobSpec("new", "job", "app:renamed", Interval(minutes=5), generation=7)

    assert fingerprint(SPEC, False, ()) == fingerprint(twin, False, ())
    assert fingerprint(SPEC.replace(trigger=Cron("0 9 * * *")), False, ()) == fingerprint(
        SPEC.replace(trigger=Cron("0 9 * * *")), False, ()
    )
