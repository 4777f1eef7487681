"""``add_job(connection=)``: a job and the rows it is about are there together or not at all."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest
from support.postgres import DSN, Require, address, drop, require_postgres, url

from asched import Interval, InvalidArgument, JobExists, JobNotFound, Once, Scheduler
from asched.clock import SystemClock
from asched.instants import SECOND, to_datetime

pytestmark = pytest.mark.service

DAILY = Interval(days=1)
POLL = 0.1


@dataclass
class Shop:
    """A scheduler, and a connection to its database beside a table of the shop's own."""

    scheduler: Scheduler
    database: asyncpg.Connection
    table: str
    reminded: asyncio.Queue[int] = field(default_factory=asyncio.Queue)

    async def remind(self, number: int) -> None:
        self.reminded.put_nowait(number)

    async def order(self, number: int) -> None:
        await self.database.execute(f"INSERT INTO {self.table} VALUES ($1)", number)

    async def orders(self) -> list[int]:
        return [row[0] for row in await self.database.fetch(f"SELECT id FROM {self.table} ORDER BY id")]

    async def jobs(self) -> list[str]:
        return [job.id for job in await self.scheduler.get_jobs()]


@pytest.fixture
async def shop(require: Require) -> AsyncIterator[Shop]:
    require_postgres(require)
    schema = f"asched_inside_{secrets.token_hex(4)}"
    scheduler = Scheduler(url(schema, poll=POLL))
    database = await asyncpg.connect(DSN)
    shop = Shop(scheduler, database, f"{schema}.shop_order")
    scheduler.register_function(shop.remind, name="shop:remind")
    async with scheduler:
        await database.execute(f"CREATE TABLE {shop.table} (id integer PRIMARY KEY)")
        yield shop
    await database.close()
    drop(schema)


def soon() -> Once:
    return Once(to_datetime(SystemClock().now() + SECOND // 2))


async def test_job_and_row_are_there_after_the_commit_and_the_job_runs(shop: Shop) -> None:
    async with shop.database.transaction():
        await shop.order(1)
        job = await shop.scheduler.add_job("shop:remind", soon(), args=[1], connection=shop.database)

    assert (["job_1"], [1]) == (await shop.jobs(), await shop.orders())
    assert job.id == "job_1"
    async with asyncio.timeout(60):
        assert 1 == await shop.reminded.get()


async def test_neither_job_nor_row_is_there_after_a_failure(shop: Shop) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        async with shop.database.transaction():
            await shop.order(1)
            await shop.scheduler.add_job("shop:remind", soon(), args=[1], id="reminder", connection=shop.database)
            await shop.order(1)

    assert ([], []) == (await shop.jobs(), await shop.orders())
    with pytest.raises(JobNotFound):
        await shop.scheduler.get_job("reminder")


async def test_nobody_sees_a_job_or_runs_it_before_the_commit(shop: Shop) -> None:
    async with shop.database.transaction():
        await shop.scheduler.add_job("shop:remind", soon(), args=[1], id="reminder", connection=shop.database)
        # It is due within this time, and the scheduler has looked at the database several times.
        await asyncio.sleep(0.5 + 3 * POLL)
        seen, ran = await shop.jobs(), shop.reminded.qsize()

    assert ([], 0) == (seen, ran)
    async with asyncio.timeout(60):
        assert 1 == await shop.reminded.get()


async def test_a_transaction_that_is_given_up_leaves_nothing_that_runs(shop: Shop) -> None:
    transaction = shop.database.transaction()
    await transaction.start()
    await shop.scheduler.add_job("shop:remind", soon(), args=[1], id="never", connection=shop.database)
    await transaction.rollback()

    await shop.scheduler.add_job("shop:remind", Once(to_datetime(SystemClock().now() + SECOND)), args=[2])

    async with asyncio.timeout(60):
        assert 2 == await shop.reminded.get()
    assert shop.reminded.empty()


async def test_the_callers_transaction_goes_on_after_a_job_that_exists_was_refused(shop: Shop) -> None:
    await shop.scheduler.add_job("shop:remind", DAILY, id="reminder")
    async with shop.database.transaction():
        await shop.order(1)
        with pytest.raises(JobExists):
            await shop.scheduler.add_job("shop:remind", DAILY, id="reminder", connection=shop.database)
        await shop.order(2)

    assert [1, 2] == await shop.orders()


async def test_keep_and_replace_are_part_of_the_transaction_too(shop: Shop) -> None:
    await shop.scheduler.add_job("shop:remind", DAILY, id="reminder", args=[1])
    transaction = shop.database.transaction()
    await transaction.start()

    kept = await shop.scheduler.add_job(
        "shop:remind", DAILY, id="reminder", args=[2], if_exists="keep", connection=shop.database
    )
    replaced = await shop.scheduler.add_job(
        "shop:remind", DAILY, id="reminder", args=[3], if_exists="replace", connection=shop.database
    )
    before = await shop.scheduler.get_job("reminder")
    await transaction.commit()

    assert [(1,), (3,), (1,)] == [kept.args, replaced.args, before.args]
    assert (3,) == (await shop.scheduler.get_job("reminder")).args


async def test_a_number_of_a_transaction_that_failed_is_not_used_again(shop: Shop) -> None:
    transaction = shop.database.transaction()
    await transaction.start()
    first = await shop.scheduler.add_job("shop:remind", DAILY, args=[1], connection=shop.database)
    await transaction.rollback()

    second = await shop.scheduler.add_job("shop:remind", DAILY, args=[2])

    assert ("job_1", "job_2") == (first.id, second.id)


async def test_many_jobs_go_into_one_transaction(shop: Shop) -> None:
    async with shop.database.transaction():
        for number in range(20):
            await shop.scheduler.add_job("shop:remind", DAILY, args=[number], connection=shop.database)

    assert 20 == len(await shop.jobs())


async def test_a_connection_of_a_pool_will_do(shop: Shop) -> None:
    async with asyncpg.create_pool(DSN, min_size=1) as pool, pool.acquire() as connection, connection.transaction():
        await shop.scheduler.add_job("shop:remind", DAILY, id="reminder", connection=connection)

    assert ["reminder"] == await shop.jobs()


async def test_a_connection_without_a_transaction_is_refused(shop: Shop) -> None:
    with pytest.raises(InvalidArgument, match=r"async with connection.transaction\(\)") as caught:
        await shop.scheduler.add_job("shop:remind", DAILY, connection=shop.database)

    assert "connection" == caught.value.field
    assert [] == await shop.jobs()


@pytest.mark.parametrize("connection", ["postgresql://host/database", 5, object()])
async def test_what_is_no_connection_of_asyncpg_is_refused(shop: Shop, connection: object) -> None:
    with pytest.raises(InvalidArgument, match="must be an asyncpg connection, not") as caught:
        await shop.scheduler.add_job("shop:remind", DAILY, connection=connection)

    assert "connection" == caught.value.field


async def test_a_connection_to_another_database_is_refused(shop: Shop) -> None:
    elsewhere = await asyncpg.connect(address(database="template1"))
    async with elsewhere.transaction():
        with pytest.raises(InvalidArgument, match="leads to a database without the schema 'asched_inside_"):
            await shop.scheduler.add_job("shop:remind", DAILY, connection=elsewhere)
    await elsewhere.close()


@pytest.mark.parametrize("store", ["memory://", "sqlite:///{}"])
async def test_other_stores_say_which_one_has_transactions(store: str, tmp_path: Path) -> None:
    scheduler = Scheduler(store.format(tmp_path / "jobs.db"))
    scheduler.register_function(print, name="shop:work")

    async with scheduler:
        with pytest.raises(InvalidArgument, match="connection is for a PostgresStore") as caught:
            await scheduler.add_job("shop:work", DAILY, connection=object())

        assert "connection" == caught.value.field
        assert [] == await scheduler.get_jobs()
        assert "job_1" == (await scheduler.add_job("shop:work", DAILY)).id
