"""The heap of timers against a sorted list."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from asched import timers as timers_module
from asched.timers import Timers


class Item(NamedTuple):
    id: int
    due: int


items = st.builds(
    Item, id=st.integers(0, 12) | st.integers(0, 2**63 - 1), due=st.integers(-5, 20) | st.integers(0, 2**53)
)


def heap_of(*held: Item) -> Timers[Item]:
    timers: Timers[Item] = Timers()
    for each in held:
        timers.add(each)
    return timers


def in_order(held: dict[int, Item]) -> list[Item]:
    return sorted(held.values(), key=lambda each: (each.due, each.id))


class TimersAgainstASortedList(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.timers: Timers[Item] = Timers()
        self.held: dict[int, Item] = {}

    @rule(item=items)
    def add_or_move(self, item: Item) -> None:
        self.timers.add(item)
        self.held[item.id] = item

    @rule(item=items)
    def move_away_and_back(self, item: Item) -> None:
        for due in (item.due, item.due + 7, item.due):
            self.timers.add(Item(item.id, due))
        self.held[item.id] = item

    @rule(item_id=st.integers(0, 12))
    def discard(self, item_id: int) -> None:
        assert self.timers.discard(item_id) == self.held.pop(item_id, None)

    @rule(now=st.integers(-6, 21), limit=st.integers(0, 5))
    def pop(self, now: int, limit: int) -> None:
        expected = [each for each in in_order(self.held) if each.due <= now][:limit]
        assert self.timers.pop_due(now, limit) == expected
        for each in expected:
            del self.held[each.id]

    @rule()
    def look(self) -> None:
        assert list(self.timers.ascending()) == in_order(self.held)

    @rule(count=st.integers(0, 6))
    def look_at_the_first(self, count: int) -> None:
        assert [each for each, _ in zip(self.timers.ascending(), range(count), strict=False)] == in_order(self.held)[
            :count
        ]

    @rule(count=st.integers(0, 6))
    def keep(self, count: int) -> None:
        dropped = in_order(self.held)[count:]
        assert self.timers.keep_earliest(count) == (dropped[0].due if dropped else None)
        for each in dropped:
            del self.held[each.id]

    @rule(held=st.lists(items, max_size=8, unique_by=lambda each: each.id))
    def fill(self, held: list[Item]) -> None:
        self.held = {each.id: each for each in held}
        self.timers.fill(in_order(self.held))

    @invariant()
    def the_first_and_the_number_are_right(self) -> None:
        assert len(self.timers) == len(self.held)
        assert self.timers.items == self.held
        assert self.timers.first_due() == (in_order(self.held)[0].due if self.held else None)


TestTimersAgainstASortedList = TimersAgainstASortedList.TestCase


@given(st.lists(items, max_size=60))
def test_walking_a_large_heap_gives_the_same_order_as_sorting_it(held: list[Item]) -> None:
    sorted_at_once = heap_of(*held)
    walked = heap_of(*held)
    expected = list(sorted_at_once.ascending())

    limit, timers_module._SORTED_AT_ONCE = timers_module._SORTED_AT_ONCE, -1
    try:
        found = list(walked.ascending()) if walked else []
    finally:
        timers_module._SORTED_AT_ONCE = limit

    assert found == expected


def test_stale_entries_stay_below_the_live_ones() -> None:
    timers = heap_of(*(Item(number, number) for number in range(1_000)))
    for turn in range(50):
        for number in range(1_000):
            timers.add(Item(number, 1_000_000 - turn * 1_000 - number))

    assert len(timers._heap) <= 2 * 1_000 + timers_module._SMALL


def test_what_comes_due_and_comes_back_leaves_no_stale_entry() -> None:
    timers = heap_of(*(Item(number, number) for number in range(100)))
    for turn in range(1, 20):
        for number in range(100):
            timers.add(Item(number, turn * 1_000 + number))

    assert len(timers._heap) == 100


def test_a_look_passes_no_stale_entries_at_the_top() -> None:
    timers = heap_of(*(Item(number, number) for number in range(1_000)))
    for number in range(900):
        timers.discard(number)

    next(timers.ascending())

    assert len(timers._heap) == 100


def test_looking_leaves_everything_in() -> None:
    timers = heap_of(Item(1, 5), Item(2, 3))

    assert list(timers.ascending()) == list(timers.ascending()) == [Item(2, 3), Item(1, 5)]


def test_equal_instants_come_in_the_order_of_their_ids() -> None:
    timers = heap_of(Item(3, 7), Item(2**63 - 1, 7), Item(1, 7))

    assert [each.id for each in timers.pop_due(7, 9)] == [1, 3, 2**63 - 1]
