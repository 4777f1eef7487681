"""The Postgres store beyond the contract: its options, what it says when something is wrong, its schema, its hints."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
from support.clocks import SettableClock
from support.nodes import FAR, Actor, history, info, item, job, spec
from support.pgbouncer import PgBouncer, require_pgbouncer
from support.postgres import DSN, Require, address, drop, require_postgres, url

from asched import Once, Scheduler
from asched.clock import SystemClock
from asched.errors import InvalidArgument, SchemaTooNew, StoreUnavailable
from asched.instants import SECOND, to_datetime
from asched.model import Reason, RunStatus
from asched.store import Gap, Grant, JobFilter, Limits, PutMode, PutStatus, RunFilter, Selection
from asched.stores import open_url
from asched.stores.postgres import PostgresStore, migrate
from asched.stores.postgres.schedule import qualified
from asched.stores.postgres.store import _OF_STEPS
from asched.stores.sql import Migration, migrations

pytestmark = pytest.mark.service

CLOCK = SystemClock()
NEWEST = migrations("postgres")[-1].version
NOWHERE = "postgresql://somebody:s3cret@127.0.0.1:1/jobs"


@pytest.fixture
def schema(require: Require) -> Any:
    require_postgres(require)
    name = f"asched_unit_{secrets.token_hex(4)}"
    yield name
    drop(name)


@pytest.fixture
async def direct(schema: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the test's own."""
    connection = await asyncpg.connect(DSN)
    yield connection
    await connection.close()


@pytest.fixture
async def opened(schema: str) -> AsyncIterator[Callable[..., Any]]:
    """Open a store in the test's schema; all are closed at the end."""
    stores: list[PostgresStore] = []

    async def opened(namespace: str = "default", **options: Any) -> PostgresStore:
        store = PostgresStore(options.pop("dsn", DSN), schema=options.pop("schema", schema), **options)
        await store.open(namespace, Limits(), CLOCK)
        stores.append(store)
        return store

    yield opened
    for store in stores:
        await store.close()


async def joined(store: PostgresStore, name: str = "node") -> Actor:
    return await Actor.join(store, SettableClock(CLOCK.now()), name)


async def refused(place: str) -> StoreUnavailable | InvalidArgument:
    """Open a store that cannot be opened; return why."""
    store = open_url(place)
    with pytest.raises((StoreUnavailable, InvalidArgument)) as caught:
        await store.open("default", Limits(), CLOCK)
    assert isinstance(caught.value, StoreUnavailable | InvalidArgument)
    assert "\n" not in str(caught.value)
    return caught.value


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what a log or a database holds sets no event
            await asyncio.sleep(0.01)


async def tables(connection: asyncpg.Connection, schema: str) -> int:
    count: int = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = $1", schema)
    return count


# Options


def settings(store: PostgresStore) -> dict[str, object]:
    return {
        "schema": store.schema,
        "migrate": store._migrate,
        "listen": store._listens,
        "listen_dsn": store._listen_dsn,
        "lease": store.caps.lease,
        "poll": store.caps.poll,
        "statement_cache_size": store._statement_cache_size,
        "on_lease_lost": store.caps.on_lease_lost,
    }


def test_every_option_stands_in_the_constructor_or_in_the_url() -> None:
    options = {
        "schema": "jobs", "migrate": "check", "listen": False, "listen_dsn": "postgresql://direct:5433/jobs",
        "lease": 12.5, "poll": 0.25, "statement_cache_size": 0, "on_lease_lost": "finish",
    }  # fmt: skip
    query = (
        "schema=jobs&migrate=check&listen=off&listen_dsn=postgresql%3A%2F%2Fdirect%3A5433%2Fjobs&lease=12.5&poll=0.25"
        "&statement_cache_size=0&on_lease_lost=finish"
    )

    constructed = PostgresStore("postgresql://host/jobs", **options)  # type: ignore[arg-type]  # of several types
    read = open_url(f"postgresql://host/jobs?{query}")

    assert isinstance(read, PostgresStore)
    assert options == settings(constructed) == settings(read)


def test_options_have_defaults() -> None:
    store = PostgresStore("postgresql://host/jobs")

    assert settings(store) == {
        "schema": "asched", "migrate": "auto", "listen": True, "listen_dsn": "postgresql://host/jobs", "lease": 30.0,
        "poll": 1.0, "statement_cache_size": 200, "on_lease_lost": "cancel",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", "two words"), ("schema", ""), ("schema", 's";--'), ("schema", "x" * 49), ("schema", "pg_mine"),
        ("schema", 5), ("migrate", "never"), ("migrate", True), ("lease", 0), ("lease", 100_000), ("lease", "30"),
        ("lease", float("nan")), ("poll", -1), ("poll", 0.01), ("poll", None), ("statement_cache_size", -1),
        ("statement_cache_size", 2.5), ("on_lease_lost", "panic"), ("listen_dsn", "mysql://host/jobs"),
        ("listen_dsn", 7), ("listen_dsn", "postgresql://u:p/w@host/jobs"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_the_name_of_its_option(field: str, value: object) -> None:
    with pytest.raises(InvalidArgument, match=field) as caught:
        PostgresStore("postgresql://host/jobs", **{field: value})  # type: ignore[arg-type]  # wrong on purpose

    assert field == caught.value.field


@pytest.mark.parametrize(
    "query",
    ["schema=a-b", "migrate=never", "listen=maybe", "lease=long", "poll=nan", "statement_cache_size=1.5",
     "on_lease_lost=panic", "listen_dsn=host"],
)  # fmt: skip
def test_a_wrong_value_in_the_url_is_refused_by_the_name_of_its_option(query: str) -> None:
    with pytest.raises(InvalidArgument, match=query.partition("=")[0]):
        open_url(f"postgresql://host/jobs?{query}")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg", "postgres+psycopg"])
async def test_schemes_of_others_are_understood(schema: str, scheme: str) -> None:
    store = open_url(f"{scheme}://{DSN.partition('://')[2]}?schema={schema}")

    await store.open("default", Limits(), CLOCK)

    assert (await store.totals()).jobs == 0
    await store.close()


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:s3/cret@host/jobs", "postgresql://u:s3@cret@host/jobs", "postgresql://u:s3#cret@host/jobs",
        "postgresql://u:12?3cret@host/jobs", "postgresql://u:12#3cret@host/jobs", "postgresql://u:12/3cret@host/jobs",
        "postgresql://u:s3[cret@host/jobs", "postgresql://u:s3℀cret@host/jobs", "host=db password=s3cret",
        "mysql://u:s3cret@host/jobs", "postgresql://host:port/s3cret",
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_read_is_refused_without_being_shown(dsn: str) -> None:
    with pytest.raises(InvalidArgument) as of_constructor:
        PostgresStore(dsn)
    with pytest.raises(InvalidArgument) as of_url:
        open_url(dsn)

    assert "dsn" == of_constructor.value.field
    assert "cret" not in f"{of_constructor.value} {of_url.value}"


@pytest.mark.parametrize(
    ("dsn", "place"),
    [
        ("postgresql://u:s3cret@host/jobs", "host/jobs"),
        ("postgresql://u:s%40%2Fcret@host:5433/jobs", "host:5433/jobs"),
        ("postgresql://host/jobs?user=u&password=s3cret", "host/jobs"),
        ("postgresql://u:s3cret@[::1]:5433/jobs", "[::1]:5433/jobs"),
        ("postgresql://u:s3cret@one:5432,two:5433/jobs", "one:5432,two:5433/jobs"),
        ("postgresql:///jobs?host=/run/postgresql&password=s3cret", "/run/postgresql/jobs"),
        ("postgresql://u:s3cret@host", "host"),
    ],
)
def test_a_password_is_not_shown(dsn: str, place: str) -> None:
    store = PostgresStore(dsn, listen_dsn=dsn, schema="work")

    assert f"postgres {place}, schema work" == store.describe()
    assert f"PostgresStore({place!r}, schema='work')" == repr(store)
    assert "cret" not in repr(Scheduler(store))


def test_without_the_driver_the_error_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['asyncpg'] = None\n"
        "from asched import MissingExtra, Scheduler\n"
        "try: Scheduler('postgresql://host/jobs')\n"
        "except MissingExtra as error: print(error)\n"
    )

    assert "pip install 'asched-py[postgres]'" in _python(program)


def test_the_driver_is_loaded_when_a_store_is_opened_and_not_before() -> None:
    program = "import sys, asched; asched.Scheduler('postgresql://host/jobs'); print('asyncpg' in sys.modules)"

    assert "False\n" == _python(program)


def _python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout


async def test_one_object_holds_one_schedule(opened: Callable[..., Any]) -> None:
    store = await opened("one")

    with pytest.raises(InvalidArgument, match="a store of its own"):
        await store.open("two", Limits(), CLOCK)


# What stands in the address goes to asyncpg


async def test_a_server_without_tls_is_refused_where_the_address_requires_it(schema: str) -> None:
    error = await refused(url(schema, sslmode="require"))

    assert isinstance(error, StoreUnavailable)
    assert "rejected SSL upgrade" in str(error)


@pytest.mark.parametrize("mode", ["disable", "prefer"])
async def test_a_server_without_tls_is_taken_where_the_address_allows_it(schema: str, mode: str) -> None:
    store = open_url(url(schema, sslmode=mode))

    await store.open("default", Limits(), CLOCK)

    await store.close()


async def test_certificates_are_looked_for_where_the_address_says(schema: str) -> None:
    error = await refused(url(schema, sslmode="verify-full", sslrootcert="/nowhere/root.crt"))

    assert "No such file" in str(error)


async def test_a_server_that_is_no_standby_is_refused_where_the_address_asks_for_one(schema: str) -> None:
    error = await refused(url(schema, target_session_attrs="standby"))

    assert isinstance(error, StoreUnavailable)
    assert "None of the hosts match" in str(error)


async def test_the_first_host_that_answers_is_taken(schema: str) -> None:
    hosts = DSN.replace("@", "@127.0.0.1:1,", 1)
    store = open_url(f"{hosts}?schema={schema}&target_session_attrs=primary")

    await store.open("default", Limits(), CLOCK)

    await store.close()


async def test_settings_of_the_address_win_over_those_of_the_store(schema: str, direct: asyncpg.Connection) -> None:
    store = open_url(url(schema, application_name="shop", lock_timeout="1234ms"))
    await store.open("default", Limits(), CLOCK)
    assert isinstance(store, PostgresStore)

    async def ask(connection: asyncpg.Connection) -> tuple[str, str, str]:
        names = ("application_name", "lock_timeout", "jit")
        return tuple([await connection.fetchval(f"SHOW {name}") for name in names])  # type: ignore[return-value]

    assert ("shop", "1234ms", "off") == await store._steps_lane.run(ask)
    await store.close()


@pytest.mark.parametrize("option", ["connect_timeout=5", "channel_binding=require", "gssencmode=disable"])
def test_an_option_that_only_libpq_has_is_to_be_removed(option: str) -> None:
    with pytest.raises(InvalidArgument, match=f"remove {option.partition('=')[0]} from dsn"):
        PostgresStore(f"postgresql://u@host/db?{option}")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("pool_size", "5", 'unrecognized configuration parameter "pool_size"; remove it from the address'),
        ("jit", "perhaps", '"jit" requires a Boolean value'),
        ("block_size", "1", '"block_size" cannot be changed'),
        ("sslmode", "perhaps", "`sslmode` parameter must be one of"),
        ("target_session_attrs", "any-of-them", "target_session_attrs"),
    ],
)
async def test_an_option_that_nobody_knows_is_a_mistake_and_named(
    schema: str, name: str, value: str, said: str
) -> None:
    place = url(schema, **{name: value})

    error = await refused(place)
    with pytest.raises(InvalidArgument, match=name):
        await migrate(place)

    assert isinstance(error, InvalidArgument)
    assert said in str(error)


# What is wrong is said


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        (NOWHERE, "postgres 127.0.0.1:1/jobs, schema asched: .*Connect call failed"),
        ("postgresql://u:s3cret@nowhere.invalid/jobs", "postgres nowhere.invalid/jobs, schema asched: .*not known"),
        ("postgresql:///jobs?host=/nowhere&password=s3cret", "postgres /nowhere/jobs, schema asched: .*No such file"),
    ],
)
async def test_a_server_that_is_not_there_is_named(dsn: str, said: str) -> None:
    store = open_url(dsn)

    with pytest.raises(StoreUnavailable, match=said) as caught:
        await store.open("default", Limits(), CLOCK)

    assert "s3cret" not in str(caught.value)


async def test_a_database_that_does_not_exist_is_named(schema: str) -> None:
    error = await refused(f"{address(database='no_such_jobs')}?schema={schema}")

    assert 'database "no_such_jobs" does not exist' in str(error)


async def test_a_user_that_does_not_exist_is_named(schema: str) -> None:
    error = await refused(f"{address(user='no_such_user:s3cret')}?schema={schema}")

    assert isinstance(error, StoreUnavailable)
    assert 'role "no_such_user" does not exist' in str(error)
    assert "s3cret" not in str(error)


async def test_a_wrong_password_is_called_that(schema: str, require: Require) -> None:
    require_pgbouncer(require)
    pooler = await asyncio.to_thread(PgBouncer, users='"postgres" "right"\n')
    try:
        error = await refused(pooler.url(schema, user="postgres:s3cret", statement_cache_size=0))
    finally:
        await asyncio.to_thread(pooler.close)

    assert isinstance(error, StoreUnavailable)
    assert "password authentication failed" in str(error)
    assert "s3cret" not in str(error)


async def test_no_password_is_in_the_log(schema: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    dead = "postgresql://somebody:s3cret@127.0.0.1:1/jobs?password=s3cret"
    store = open_url(f"{address(user='postgres:s3cret')}?schema={schema}&listen_dsn={dead}")
    async with Scheduler(store):
        await until(lambda: "no hints until" in caplog.text)

    assert "s3cret" not in caplog.text


# The schema


async def test_a_schema_is_made_once_and_left_alone_afterwards(schema: str) -> None:
    assert (0, NEWEST) == await migrate(url(schema))

    assert (NEWEST, NEWEST) == await migrate(url(schema))


async def test_of_eight_that_make_a_schema_at_once_one_does_it_and_all_have_it(schema: str) -> None:
    answers = await asyncio.gather(*[migrate(url(schema)) for _ in range(8)])

    assert Counter(answers) == {(0, NEWEST): 1, (NEWEST, NEWEST): 7}


async def test_eight_nodes_that_start_on_an_empty_database_share_one_schedule(opened: Callable[..., Any]) -> None:
    stores = await asyncio.gather(*[opened() for _ in range(8)])
    await stores[0].put_jobs(PutMode.INSERT, [item(spec("a"))])

    assert ["a"] * 8 == [(await job(store, "a")).spec.id for store in stores]


async def test_an_older_schema_is_brought_up_to_date_and_keeps_its_rows(
    schema: str, opened: Callable[..., Any], direct: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await opened()).put_jobs(PutMode.INSERT, [item(spec("a"))])
    _add_migration(monkeypatch, "CREATE TABLE asched.next (n integer);\nINSERT INTO asched.next VALUES (1);")

    assert (NEWEST, NEWEST + 1) == await migrate(url(schema))

    assert "a" == (await job(await opened(), "a")).spec.id
    assert 1 == await direct.fetchval(f"SELECT n FROM {schema}.next")


async def test_a_migration_that_fails_changes_nothing(
    schema: str, direct: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(url(schema))
    _add_migration(monkeypatch, "CREATE TABLE asched.half (n integer);\nNO SQL AT ALL;")
    before = await tables(direct, schema)

    with pytest.raises(StoreUnavailable, match="syntax error"):
        await migrate(url(schema))

    assert before == await tables(direct, schema)
    assert NEWEST == await direct.fetchval(f"SELECT version FROM {schema}.meta")


@pytest.mark.parametrize("how", ["auto", "check"])
async def test_a_schema_that_is_too_new_is_refused_and_left_alone(
    schema: str, direct: asyncpg.Connection, how: str
) -> None:
    await migrate(url(schema))
    await direct.execute(f"UPDATE {schema}.meta SET version = 999, min_reader = 998")

    with pytest.raises(SchemaTooNew, match=f"'{schema}' .*version 999, readable from 998 on.*upgrade asched"):
        await open_url(url(schema, migrate=how)).open("default", Limits(), CLOCK)
    with pytest.raises(SchemaTooNew):
        await migrate(url(schema))

    assert (999, 998) == tuple(await direct.fetchrow(f"SELECT * FROM {schema}.meta"))
    assert 0 == await direct.fetchval(f"SELECT count(*) FROM {schema}.schedule")


@pytest.mark.parametrize("how", ["auto", "check"])
async def test_a_newer_schema_that_this_release_can_read_is_used_and_one_line_says_so(
    schema: str, direct: asyncpg.Connection, opened: Callable[..., Any], how: str, caplog: pytest.LogCaptureFixture
) -> None:
    await migrate(url(schema))
    await direct.execute(f"UPDATE {schema}.meta SET version = 999")

    node = await joined(await opened(migrate=how))
    await node.add(spec("a"))
    await node.run_once("a")

    assert [f"the schema '{schema}' is newer (version 999) than this asched ({NEWEST}), which can read it"] == [
        record.getMessage() for record in caplog.records
    ]
    assert 999 == await direct.fetchval(f"SELECT version FROM {schema}.meta")


async def test_check_refuses_an_empty_and_an_older_schema_and_changes_neither(
    schema: str, direct: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = await refused(url(schema, migrate="check"))
    assert 0 == await tables(direct, schema)

    await migrate(url(schema))
    _add_migration(monkeypatch, "CREATE TABLE asched.next (n integer);")
    older = await refused(url(schema, migrate="check"))

    assert f"has no tables and this asched needs version {NEWEST}" in str(empty)
    assert f"has version {NEWEST} and this asched needs version {NEWEST + 1}" in str(older)
    assert "asched migrate URL" in str(older)
    assert NEWEST == await direct.fetchval(f"SELECT version FROM {schema}.meta")


async def test_off_looks_at_no_version_and_says_what_to_do_when_there_is_nothing(
    schema: str, direct: asyncpg.Connection, opened: Callable[..., Any]
) -> None:
    error = await refused(url(schema, migrate="off"))
    await migrate(url(schema))
    await direct.execute(f"UPDATE {schema}.meta SET version = 999, min_reader = 999")

    await opened(migrate="off")

    assert "does not exist; run 'asched migrate URL', or open it with migrate='auto'" in str(error)


async def test_a_role_that_may_not_make_tables_works_on_those_that_are_there(
    schema: str, direct: asyncpg.Connection, opened: Callable[..., Any]
) -> None:
    role = f"{schema}_role"
    as_role = address(user=role)
    await direct.execute(f"CREATE ROLE {role} LOGIN")
    try:
        lacking = await refused(f"{as_role}?schema={schema}")
        await migrate(url(schema))
        foreign = await refused(f"{as_role}?schema={schema}&migrate=check")
        await direct.execute(
            f"""
            GRANT USAGE ON SCHEMA {schema} TO {role};
            GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role};
            GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role};
            """
        )

        node = await joined(await opened(dsn=as_role, migrate="check"))
        await node.add(spec("a"))
        run_id = await node.run_once("a")
        await node.store.prune(10)

        assert [run_id] == [record.id for record in await history(node.store)]
        assert "permission denied for database" in str(lacking)
        assert "permission denied for schema" in str(foreign)
        assert str(foreign).endswith("grant the role what it lacks, or let another one run 'asched migrate URL'")
        await node.store.close()
    finally:
        await direct.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_window_tells_the_place_among_the_nodes_that_live(opened: Callable[..., Any]) -> None:
    store = await opened()
    elsewhere = await opened("other")
    first, second = await joined(store), await joined(store)
    await joined(elsewhere)

    async def share(node: Actor) -> tuple[int, int]:
        share: tuple[int, int] = (await store.window(node.epoch, FAR, 10)).share
        return share

    assert [(0, 2), (1, 2)] == [await share(first), await share(second)]
    await store.leave(first.epoch)
    assert (0, 1) == await share(second)


async def test_what_the_process_forgets_while_it_reads_more_is_not_missing(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asched.stores.postgres.schedule._SPECS", 10)
    writer, store = await opened(), await opened()
    node = await joined(store)
    first = [item(spec(f"{number}"), CLOCK.now() - SECOND) for number in range(8)]
    more = [item(spec(f"{number}"), CLOCK.now() - SECOND) for number in range(8, 16)]
    await writer.put_jobs(PutMode.INSERT, first)
    await node.due(FAR)
    await writer.put_jobs(PutMode.INSERT, more)

    due = await node.due(FAR)
    paused, _ = await store.pause_jobs(Selection(group="default"))

    assert 16 == len(due) == len(paused)


async def test_two_schedules_in_one_schema_do_not_meet(opened: Callable[..., Any]) -> None:
    one, two = await joined(await opened("one")), await joined(await opened("two"))
    await one.add(spec("a", group="mine"))
    await one.run_once("a")

    assert [None] == await two.store.get_jobs(["a"])
    assert (([], None), []) == (await two.store.list_jobs(JobFilter(), 10), await two.store.groups())
    assert ([], [], 1) == (await two.due(FAR), await history(two.store), len(await two.store.nodes()))
    assert 0 == (await two.store.totals()).runs
    [put] = await two.add(spec("a"))
    assert PutStatus.ADDED is put.status
    assert "mine" == (await job(one.store, "a")).spec.group


async def test_two_schemas_in_one_database_do_not_meet(schema: str, opened: Callable[..., Any]) -> None:
    other = f"{schema}_other"
    try:
        one, two = await joined(await opened()), await joined(await opened(schema=other))
        await one.add(spec("a"))

        assert [None] == await two.store.get_jobs(["a"])
        assert [] == await two.due(FAR)
        assert ["node"] == [record.info.name for record in await two.store.nodes()]
        await two.store.close()
    finally:
        drop(other)


async def test_a_schema_may_have_capitals(schema: str, opened: Callable[..., Any]) -> None:
    name = f"{schema}_Jobs"
    try:
        node = await joined(await opened(schema=name))
        await node.add(spec("a"))

        assert await node.run_once("a")
        await node.store.close()
    finally:
        drop(name)


def _add_migration(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    following = Migration(NEWEST + 1, "next.sql", text)
    monkeypatch.setattr("asched.stores.postgres.migrations.migrations", lambda store: (*migrations(store), following))


# What is kept in memory


async def test_more_jobs_than_a_process_remembers_are_seen_and_held_at_once(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asched.stores.postgres.schedule._SPECS", 3)
    store = await opened()
    node = await joined(store)
    due = CLOCK.now() - SECOND
    await store.put_jobs(PutMode.INSERT, [item(spec(f"job-{number}"), due) for number in range(10)])

    timers = (await store.window(node.epoch, CLOCK.now(), 100)).timers
    claims = [node.claim_of(timer, gap=Gap(RunStatus.SKIPPED, Reason.PAUSED, due, due, 1)) for timer in timers]
    granted = [grant for grant, *_ in await store.claim(node.epoch, claims)]
    paused, _ = await store.pause_jobs(Selection(group="default"))

    assert [10, 10, 10] == [len(timers), granted.count(Grant.STARTED), len(paused)]


async def test_a_claim_that_comes_second_is_told_of_a_timer_whose_job_the_process_has_not_read(
    opened: Callable[..., Any],
) -> None:
    store, other = await opened(), await opened()
    first, second = await joined(store), await joined(other)
    await first.add(spec("a"), due=CLOCK.now() - SECOND)
    timer = await first.timer("a")
    started = await first.claim(timer)

    stale = await second.claim(timer)

    assert (Grant.STARTED, Grant.STALE) == (started.grant, stale.grant)
    assert started.next == stale.next is not None


# Plans


async def rows_read(store: PostgresStore, direct: asyncpg.Connection) -> Counter[str]:
    """How many rows of each table were read so far, by an index or from end to end."""
    if direct.get_server_version().major < 15:
        pytest.skip("the server does not yet count at once what was read")
    for lane in (store._loop_lane, store._ends_lane, store._steps_lane):
        await lane.run(lambda connection: connection.execute("SELECT pg_stat_force_next_flush()"))
        await lane.run(lambda connection: connection.execute("SELECT 1"))
    # What this connection has read counts as well, once it is told: at once, or it would be told in between.
    await direct.execute("SELECT pg_stat_force_next_flush()")
    await direct.execute("SELECT 1")
    rows = await direct.fetch(
        "SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE schemaname = $1",
        store.schema,
    )
    return Counter({table: count for table, count in rows if table in ("timer", "run", "history")})


@pytest.mark.slow
async def test_a_run_reads_a_few_rows_though_its_statements_were_made_when_the_tables_were_small(
    schema: str, opened: Callable[..., Any], direct: asyncpg.Connection
) -> None:
    # After five executions Postgres may keep a statement's plan for good.
    store = await opened()
    node = await joined(store)

    async def claimed(word: str, count: int) -> list[int]:
        jobs = [item(spec(f"{word}-{n}"), CLOCK.now() - SECOND) for n in range(count)]
        await store.put_jobs(PutMode.INSERT, jobs)
        timers = (await store.window(node.epoch, CLOCK.now(), count)).timers
        claims = [node.claim_of(timer, next_planned=None, next_due=None) for timer in timers]
        return [token for _, token, *_ in await store.claim(node.epoch, claims)]

    async def one_run(word: str) -> None:
        [token] = await claimed(word, 1)
        await node.finish(token)

    await one_run("first")
    await direct.execute(f"ANALYZE {schema}.timer, {schema}.run, {schema}.history")
    for number in range(12):
        await one_run(f"small-{number}")
    for number in range(8):
        await claimed(f"many-{number}", 500)
    before = await rows_read(store, direct)
    for number in range(5):
        await one_run(f"large-{number}")

    read = await rows_read(store, direct) - before
    assert {"timer", "run"} <= set(read)
    assert {} == {table: rows for table, rows in read.items() if rows > 500}


async def test_a_batch_of_claims_reads_its_own_rows_however_much_is_due(
    schema: str, opened: Callable[..., Any], direct: asyncpg.Connection
) -> None:
    store = await opened()
    node = await joined(store)
    due = [item(spec(f"{number}"), CLOCK.now() - SECOND) for number in range(2_000)]
    await store.put_jobs(PutMode.INSERT, due)
    # Rows that have been moved lie scattered: it is then that reading all of them seems cheap.
    await direct.execute(f"UPDATE {schema}.timer SET due = due - 1")
    await direct.execute(f"ANALYZE {schema}.timer")
    timers = (await store.window(node.epoch, CLOCK.now(), 300)).timers
    claims = [node.claim_of(timer, next_planned=None, next_due=None) for timer in timers]
    before = await rows_read(store, direct)

    answers = await store.claim(node.epoch, claims)

    assert {Grant.STARTED} == {grant for grant, *_ in answers}
    read = await rows_read(store, direct) - before
    assert 1_500 > read["timer"]


@pytest.mark.slow
async def test_a_page_of_many_jobs_and_records_reads_a_few_rows(
    schema: str, opened: Callable[..., Any], direct: asyncpg.Connection
) -> None:
    if direct.get_server_version().major < 15:
        pytest.skip("the server does not yet count at once what was read")
    store = await opened()
    node = await joined(store)
    rare = await Actor.join(store, SettableClock(CLOCK.now()), "rare", ["app:rare"])
    for actor, job_id, func in ((node, "common", "app:work"), (rare, "rare", "app:rare")):
        await store.put_jobs(PutMode.INSERT, [item(spec(job_id, func=func), CLOCK.now() - SECOND)])
        [timer] = (await store.window(actor.epoch, CLOCK.now(), 9)).timers
        await actor.finish((await actor.claim(timer, next_planned=None, next_due=None)).token)
    for table, changes in (
        ("job", "'serial', g, 'id', 'job-' || g"),
        ("timer", "'job', g"),
        ("history", "'job', g, 'id', g, 'seq', g"),
    ):
        key = "serial" if table == "job" else "job"
        await direct.execute(
            f"INSERT INTO {schema}.{table} OVERRIDING SYSTEM VALUE "
            f"SELECT (jsonb_populate_record(t, jsonb_build_object({changes}))).* "
            f"FROM {schema}.{table} t, generate_series(1001, 51000) g "
            f"WHERE t.{key} = (SELECT serial FROM {schema}.job WHERE id = 'common')"
        )
        await direct.execute(f"VACUUM ANALYZE {schema}.{table}")

    async def rows_read() -> int:
        await store._lists_lane.run(lambda connection: connection.execute("SELECT pg_stat_force_next_flush()"))
        await store._lists_lane.run(lambda connection: connection.execute("SELECT 1"))
        tables = f"FROM pg_stat_user_tables WHERE schemaname = '{schema}'"
        return int(await direct.fetchval(f"SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) {tables}"))

    read: dict[str, int] = {}
    for name, page in (
        ("the last jobs", lambda: store.list_jobs(JobFilter(), 50, "50000")),
        ("records of one job", lambda: store.list_runs(RunFilter(job_id="job-20000"), 50)),
        ("records of a rare function", lambda: store.list_runs(RunFilter(func="app:rare"), 50)),
        ("records of no function", lambda: store.list_runs(RunFilter(func="app:unknown"), 50)),
    ):
        before = await rows_read()
        await page()
        read[name] = await rows_read() - before

    assert {} == {name: rows for name, rows in read.items() if rows > 1_000}


# Retention


async def test_what_was_looked_at_for_pruning_is_let_go_before_the_next_look(
    schema: str, direct: asyncpg.Connection
) -> None:
    store = PostgresStore(f"{DSN}?lock_timeout=200ms", schema=schema)
    await store.open("default", Limits(history=1, kept_per_job=1), CLOCK)
    node = await joined(store)
    for job_id, following in (("kept", FAR), ("goes", None), ("last", FAR)):
        await store.put_jobs(PutMode.INSERT, [item(spec(job_id), CLOCK.now() - SECOND)])
        [timer] = (await store.window(node.epoch, CLOCK.now(), 9)).timers
        await node.finish((await node.claim(timer, next_planned=following, next_due=following)).token)

    async with direct.transaction():
        await direct.execute(
            f"SELECT FROM {schema}.timer WHERE job = (SELECT serial FROM {schema}.job WHERE id = 'goes') FOR UPDATE"
        )
        with pytest.raises(StoreUnavailable):
            await store.prune(1)
    marks = await direct.fetchrow(f"SELECT floor, mark FROM {schema}.schedule")
    pruned = await store.prune(1)

    assert (1, 1) == tuple(marks)
    assert 1 == pruned
    await store.close()


# Hints


@pytest.fixture
async def heard(direct: asyncpg.Connection, schema: str) -> list[list[list[int]]]:
    """What is said in the channel of the first schedule of the schema: of each message, its hints."""
    messages: list[list[list[int]]] = []

    def listen(connection: object, pid: int, channel: str, payload: str) -> None:
        hints = json.loads(payload)[1]
        if hints:
            messages.append(hints)

    await direct.add_listener(f"asched_{schema}_1", listen)
    return messages


async def listening(store: PostgresStore) -> None:
    """Wait until the store can send and hear."""
    hints = store._messenger
    assert hints is not None
    await until(lambda: hints._connection is not None and hints._echoed.is_set())


async def test_the_first_hint_goes_at_once_and_those_behind_it_together(
    opened: Callable[..., Any], heard: list[list[list[int]]]
) -> None:
    store = await opened()
    epoch = await store.register(info())
    await listening(store)

    store.wake(epoch, 5_000)
    await asyncio.sleep(0)
    for due in range(1_000):
        store.wake(epoch, 1_000 + due)
        await asyncio.sleep(0)
    await until(lambda: len(heard) >= 2)

    assert [[0, 5_000]] == heard[0]
    assert [[0, 1_000]] == heard[1]
    assert len(heard) < 50


async def test_a_listener_that_is_cut_off_comes_back(
    opened: Callable[..., Any], direct: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    store, other = await opened(), await opened()
    node, sender = await joined(store), await joined(other, "sender")
    await listening(store)
    await listening(other)
    hints = aiter(store.watch(node.epoch))
    assert store._messenger is not None
    assert store._messenger._connection is not None
    pid = store._messenger._connection.get_server_pid()

    await direct.execute("SELECT pg_terminate_backend($1)", pid)
    # It looks at everything when it is back: what was said meanwhile is lost.
    async with asyncio.timeout(20):
        assert 0 == await anext(hints)
        await listening(store)
        assert store._messenger._connection is not None
        assert pid != store._messenger._connection.get_server_pid()
        other.wake(sender.epoch, 4_711)
        while await anext(hints) != 4_711:
            pass


async def test_what_others_say_in_the_channel_does_no_harm(
    opened: Callable[..., Any], direct: asyncpg.Connection, schema: str
) -> None:
    store, other = await opened(), await opened()
    node, sender = await joined(store), await joined(other, "sender")
    await listening(store)
    await listening(other)
    hints = aiter(store.watch(node.epoch))
    for payload in ("", "garbage", "null", "[]", "[1]", '[1, "x"]', "[1, [[1]]]", '[1, [["a", "b"]]]', "{}", "[1, 2]"):
        await direct.execute("SELECT pg_notify($1, $2)", f"asched_{schema}_1", payload)

        # What cannot be understood means that there is something.
        async with asyncio.timeout(10):
            assert 0 == await anext(hints), payload

    other.wake(sender.epoch, 4_711)

    async with asyncio.timeout(10):
        while await anext(hints) != 4_711:
            pass


async def test_a_node_that_only_polls_misses_nothing(opened: Callable[..., Any], schema: str) -> None:
    begun = asyncio.Queue[str]()
    scheduler = Scheduler(url(schema, listen="off", poll=0.05))

    async def work(name: str) -> None:
        begun.put_nowait(name)

    scheduler.register_function(work, name="app:work")
    async with scheduler:
        store = await opened(listen=False)
        for number in range(5):
            payload = f'[["job-{number}"], {{}}]'.encode()
            await store.put_jobs(
                PutMode.INSERT, [item(spec(f"job-{number}", payload=payload, max_runs=1), CLOCK.now())]
            )

            async with asyncio.timeout(10):
                assert f"job-{number}" == await begun.get()


# Behind a pooler


@pytest.fixture
async def pooler(require: Require, schema: str) -> AsyncIterator[PgBouncer]:
    require_pgbouncer(require)
    pooler = await asyncio.to_thread(PgBouncer)
    yield pooler
    await asyncio.to_thread(pooler.close)


async def test_a_pooler_of_transactions_needs_an_option_and_the_error_names_it(schema: str, pooler: PgBouncer) -> None:
    error = await refused(pooler.url(schema))

    assert "say statement_cache_size=0" in str(error)


@pytest.mark.slow
async def test_schedules_run_through_a_pooler_and_go_on_when_it_was_restarted(schema: str, pooler: PgBouncer) -> None:
    runs: Counter[str] = Counter()
    schedulers = [Scheduler(pooler.url(schema, statement_cache_size=0, listen="off", poll=0.2)) for _ in range(3)]

    async def work(name: str) -> None:
        runs[name] += 1

    async def run_all(word: str) -> None:
        """Add jobs that run once on each scheduler, and wait for all of them."""
        for number in range(60):
            scheduler = schedulers[number % 3]
            await scheduler.add_job(work, _once(), args=(f"{word}-{number}",))
        await until(lambda: sum(count for name, count in runs.items() if name.startswith(word)) >= 60)

    for scheduler in schedulers:
        scheduler.register_function(work, name="work")
        await scheduler.start()
    await run_all("before")

    await asyncio.to_thread(pooler.restart)
    for scheduler in schedulers:
        await _answers(scheduler)
    await run_all("after")

    assert {1} == set(runs.values())
    assert 120 == len(runs)
    for scheduler in schedulers:
        await scheduler.stop()


@pytest.mark.slow
async def test_hints_that_a_pooler_swallows_are_missed_once_and_a_direct_address_brings_them_back(
    opened: Callable[..., Any], schema: str, pooler: PgBouncer, caplog: pytest.LogCaptureFixture
) -> None:
    through = pooler.url(schema).partition("?")[0]
    deaf = await opened(dsn=through, statement_cache_size=0)
    await until(lambda: "hints do not come back" in caplog.text)
    assert "Give listen_dsn=" in caplog.text
    await deaf.close()

    store = await opened(dsn=through, statement_cache_size=0, listen_dsn=DSN)
    other = await opened()
    node, sender = await joined(store), await joined(other, "sender")
    await listening(store)
    await listening(other)
    hints = aiter(store.watch(node.epoch))
    other.wake(sender.epoch, 4_711)

    async with asyncio.timeout(10):
        while await anext(hints) != 4_711:
            pass
    assert 1 == caplog.text.count("hints do not come back")


def _once() -> Once:
    return Once(to_datetime(CLOCK.now() + SECOND // 10))


async def _answers(scheduler: Scheduler) -> None:
    """Wait until the scheduler has its store back."""
    async with asyncio.timeout(30):
        while True:
            try:
                await scheduler.get_statistics()
            except StoreUnavailable:
                await asyncio.sleep(0.02)
            else:
                return


# The feed


async def run_one(store: PostgresStore, node: Actor, job_id: str) -> None:
    await store.put_jobs(PutMode.INSERT, [item(spec(job_id), CLOCK.now() - SECOND)])
    [timer] = [timer for timer in (await store.window(node.epoch, CLOCK.now(), 9)).timers if timer.spec.id == job_id]
    await node.finish((await node.claim(timer, next_planned=None, next_due=None)).token)


async def test_changes_are_written_for_others_only_while_somebody_follows(
    schema: str, opened: Callable[..., Any], direct: asyncpg.Connection
) -> None:
    store, other = await opened(), await opened()
    node = await joined(store)
    written = f"SELECT count(*) FROM {schema}.feed"
    await run_one(store, node, "before")
    unfollowed = await direct.fetchval(written)
    await other.changes((await other.changes(None)).cursor)
    await run_one(store, node, "told")
    followed = await direct.fetchval(written)
    await direct.execute(f"UPDATE {schema}.schedule SET followed_until = followed_until - 60000000")
    await store.window(node.epoch, CLOCK.now(), 9)
    await run_one(store, node, "after")

    assert 0 == unfollowed
    assert 2 <= followed
    assert followed == await direct.fetchval(written)


async def test_whoever_follows_is_told_of_a_crash_that_took_the_changes_and_hears_what_comes_after(
    schema: str, opened: Callable[..., Any], direct: asyncpg.Connection
) -> None:
    store, other = await opened(), await opened()
    node = await joined(store)
    await store.changes((await store.changes(None)).cursor)
    for number in range(3):
        await run_one(store, node, f"unheard-{number}")
    cursor = (await other.changes((await other.changes(None)).cursor)).cursor
    await run_one(store, node, "before")
    cursor = (await other.changes(cursor)).cursor
    # What a crash of the server does to a table that is not logged, and to the sequence of its numbers.
    await direct.execute(f"TRUNCATE {schema}.feed RESTART IDENTITY")
    lost = await other.changes(cursor)
    await run_one(store, node, "after")
    heard = await other.changes(lost.cursor)

    assert not lost.complete
    assert heard.complete
    assert "after" in {change.id for change in heard.changes}


# Plans


@pytest.mark.parametrize("name", ["look_before_put", "serials_by_id", "versions", "lock_timers"])
async def test_rows_are_found_by_their_keys_though_the_plan_was_made_for_an_empty_table(
    opened: Callable[..., Any], direct: asyncpg.Connection, schema: str, name: str
) -> None:
    await opened()
    for setting, value in _OF_STEPS.items():
        await direct.execute(f"SET {setting} = {value}")
    await direct.execute("SET plan_cache_mode = force_generic_plan")
    statement = qualified(schema)[name]
    await direct.execute(f"PREPARE kept AS {statement}")
    wanted = {"look_before_put": "1, '{a}', 1, '{a}'", "serials_by_id": "1, '{a}'"}.get(name, "'{1}'")

    plan = "\n".join(row[0] for row in await direct.fetch(f"EXPLAIN EXECUTE kept ({wanted})"))

    assert re.findall(r"(?:job_id|job_pkey|timer_pkey)", plan), plan
    assert not re.findall(r"Seq Scan|job_group|job_serial", plan), plan
