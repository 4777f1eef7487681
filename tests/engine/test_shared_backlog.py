"""Of a backlog that other nodes see as well each node takes its own part first, and then what is left."""

from __future__ import annotations

import time

import pytest
from support.schedules import Journal, at

from asched import MemoryStore, Once, Scheduler
from asched.store import Window
from asched.testing import VirtualClock

pytestmark = pytest.mark.virtual_time

JOBS = 40


class SharedStore(MemoryStore):
    """Tells its node that it is the first of two. The other one does nothing."""

    looks = 0

    async def window(self, epoch: int, until: int, limit: int) -> Window:
        self.looks += 1
        return (await super().window(epoch, until, limit))._replace(share=(0, 2))


@pytest.fixture
def store() -> SharedStore:
    return SharedStore(lease=30.0)


async def test_its_own_part_comes_first_and_the_rest_is_not_left_undone(
    store: SharedStore, clock: VirtualClock, journal: Journal
) -> None:
    async def work(serial: int) -> None:
        journal.note(str(serial))

    async with Scheduler(store, clock=clock, max_concurrency=4) as scheduler:
        for number in range(JOBS):
            await scheduler.add_job(work, Once(at(60)), args=[number])
        await clock.sleep_until(at(70))

    ran = [int(word) for word in journal.words]
    assert list(range(JOBS)) == sorted(ran)
    # The numbers of the jobs in the store count from one or two up, in the order in which they were added.
    assert 1 == len({number % 2 for number in ran[: JOBS // 2]})
    assert 1 == len({number % 2 for number in ran[JOBS // 2 :]})


async def test_what_fits_at_once_is_no_backlog(store: SharedStore, clock: VirtualClock, journal: Journal) -> None:
    async def work(serial: int) -> None:
        journal.note(str(serial))

    async with Scheduler(store, clock=clock) as scheduler:
        for number in range(10):
            await scheduler.add_job(work, Once(at(60)), args=[number])
        await clock.sleep_until(at(70))

    assert [str(number) for number in range(10)] == journal.words


async def test_functions_that_wait_for_a_thread_do_not_make_it_look_all_the_time(
    store: SharedStore, clock: VirtualClock, journal: Journal
) -> None:
    def work(serial: int) -> None:
        time.sleep(0.001)
        journal.note(str(serial))

    async with Scheduler(store, clock=clock, max_workers=2, max_concurrency=4) as scheduler:
        for number in range(JOBS):
            await scheduler.add_job(work, Once(at(60)), args=[number])
        await clock.sleep_until(at(59))
        looks = store.looks
        await clock.sleep_until(at(70))

    assert list(range(JOBS)) == sorted(int(word) for word in journal.words)
    assert 5 > store.looks - looks
