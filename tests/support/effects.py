"""What jobs did, as rows of a table, and the judgement over it: the only witness that counts in a test of faults.

The functions of :mod:`support.effect_node` write ``effect`` while the nodes are killed. Afterwards what the store
says became of each run is copied beside it, as ``record`` and ``attempt``, and the judgement is SQL over these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import asyncpg
from support.processes import until

from asched.model import Outcome
from asched.store import JobFilter, JobRecord, RunFilter, RunRecord, Store

_PAGE = 1_000

_TABLES = """
CREATE SCHEMA {schema};
SET search_path TO {schema};

CREATE TABLE sink (
    guarded text PRIMARY KEY,
    fence bigint NOT NULL
);

CREATE TABLE effect (
    serial bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job text NOT NULL,
    guarded text NOT NULL,
    run bigint NOT NULL,
    planned bigint NOT NULL,
    attempt integer NOT NULL,
    fence bigint NOT NULL,
    token bigint NOT NULL,
    node text NOT NULL,
    -- The function was entered when the node's lease had run out.
    late boolean NOT NULL,
    accepted boolean NOT NULL,
    at bigint NOT NULL
);

CREATE TABLE planned (
    job text PRIMARY KEY,
    func text NOT NULL,
    lost boolean NOT NULL,
    first bigint NOT NULL,
    step bigint NOT NULL,
    instants bigint NOT NULL
);

CREATE TABLE record (
    run bigint PRIMARY KEY,
    job text NOT NULL,
    status text NOT NULL,
    reason text,
    final boolean NOT NULL,
    planned bigint NOT NULL,
    instants bigint NOT NULL,
    fence bigint NOT NULL
);

CREATE TABLE attempt (
    run bigint NOT NULL,
    number integer NOT NULL,
    outcome text
);

CREATE FUNCTION leave_effect(
    job text, guarded text, run bigint, planned bigint, attempt integer, fence bigint, token bigint, node text,
    late boolean, fenced boolean
) RETURNS void LANGUAGE plpgsql SET search_path TO {schema} AS $$
DECLARE accepted boolean;
BEGIN
    -- The row of the sink is locked from here, also when its fence is the higher one, so serials follow its order.
    INSERT INTO sink AS seen VALUES (guarded, fence)
        ON CONFLICT ON CONSTRAINT sink_pkey DO UPDATE SET fence = greatest(seen.fence, excluded.fence)
        WHERE seen.fence <= excluded.fence OR NOT fenced;
    accepted := FOUND;
    INSERT INTO effect (job, guarded, run, planned, attempt, fence, token, node, late, accepted, at)
        VALUES (job, guarded, run, planned, attempt, fence, token, node, late, accepted,
                (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
END $$;
"""

# Each instant that was planned, with the final records that account for it.
_ACCOUNT = """
CREATE TEMPORARY VIEW instant AS
    SELECT job, first + n * step AS planned FROM planned, generate_series(0, instants - 1) AS n;
CREATE TEMPORARY VIEW accounted AS
    SELECT record.*, record.planned + n * step AS instant
    FROM record JOIN planned USING (job), generate_series(0, record.instants - 1) AS n WHERE final;
"""

_QUESTIONS = {
    "occurrences": "SELECT count(*) FROM instant",
    "ran": "SELECT count(*) FROM (SELECT DISTINCT job, planned FROM effect) AS e",
    "passed": "SELECT count(*) FROM accounted WHERE status IN ('skipped', 'missed')",
    "lost": "SELECT count(*) FROM accounted WHERE status = 'lost'",
    "rescued": "SELECT count(*) FROM attempt WHERE outcome = 'lost'",
    "ran_twice": """
        SELECT count(*) FROM (
            SELECT FROM effect LEFT JOIN (SELECT run, count(*) AS errors FROM attempt WHERE outcome = 'error'
                GROUP BY run) AS failed USING (run)
            GROUP BY run, errors HAVING count(*) > 1 + coalesce(errors, 0)) AS e""",
    "stale_effects": """
        SELECT count(*) FROM (
            SELECT fence, max(fence) OVER (PARTITION BY guarded ORDER BY serial) AS highest FROM effect) AS e
        WHERE fence < highest""",
    "late_starts": "SELECT count(*) FROM effect WHERE late",
    "never_ran": """
        SELECT count(*) FROM instant WHERE NOT EXISTS (
            SELECT FROM accounted AS a WHERE a.job = instant.job AND a.instant = instant.planned
            AND (status IN ('skipped', 'missed', 'lost', 'cancelled')
                OR EXISTS (SELECT FROM effect WHERE effect.run = a.run)))""",
    "unfinished": "SELECT count(*) FROM record WHERE NOT final",
    "finished_twice": """
        SELECT count(*) FROM (SELECT FROM accounted GROUP BY job, instant HAVING count(*) > 1) AS a""",
    "not_planned": """
        SELECT count(*) FROM accounted LEFT JOIN instant
        ON instant.job = accounted.job AND instant.planned = accounted.instant WHERE instant.job IS NULL""",
    "passed_and_ran": """
        SELECT count(*) FROM effect JOIN accounted AS a ON a.job = effect.job AND a.instant = effect.planned
        WHERE status IN ('skipped', 'missed')""",
    "without_record": "SELECT count(*) FROM effect WHERE run NOT IN (SELECT run FROM record)",
    "started_twice": """
        SELECT count(*) FROM (SELECT FROM effect GROUP BY token HAVING count(*) > 1) AS e""",
    "unexplained": """
        SELECT count(*) FROM (
            SELECT FROM effect LEFT JOIN (SELECT run, count(*) AS attempts FROM attempt GROUP BY run) AS a USING (run)
            GROUP BY run, attempts HAVING count(*) > coalesce(attempts, 0)) AS e""",
    "lost_ran_twice": """
        SELECT count(*) FROM (
            SELECT FROM effect JOIN planned USING (job) WHERE lost GROUP BY effect.job, effect.planned
            HAVING count(*) > 1) AS e""",
    "fence_fell": """
        SELECT count(*) FROM (SELECT fence, max(fence) OVER (PARTITION BY run ORDER BY attempt, token) AS highest
            FROM effect) AS e WHERE fence < highest""",
    "stale_accepted": """
        SELECT count(*) FROM (
            SELECT fence, max(fence) OVER (PARTITION BY guarded ORDER BY serial) AS highest FROM effect
            WHERE accepted) AS e
        WHERE fence < highest""",
}


# A stop can fall into the microseconds between the guard and the function. That it does so twice is no accident.
_TOLERATED = {"late_starts": 1}


@dataclass(frozen=True)
class Plan:
    """The instants of one job: ``first``, and ``instants`` in all, ``step`` microseconds apart."""

    job: str
    func: str
    lost: bool
    first: int
    step: int
    instants: int


@dataclass(frozen=True)
class Verdict:
    """Counts. The first are what happened, those from ``never_ran`` on must be 0."""

    occurrences: int
    ran: int
    """Occurrences with an effect."""
    passed: int
    """Skipped or missed, with the reason on record."""
    lost: int
    rescued: int
    """Attempts that a node left behind and another one ended."""
    ran_twice: int
    """Runs with more effects than attempts that failed would explain."""
    stale_effects: int
    """Effects of an attempt after one with a higher fence had left its own."""
    never_ran: int
    """Instants without a final record, or that are said to have run and left no effect."""
    unfinished: int
    finished_twice: int
    """Instants with two final records."""
    not_planned: int
    """Records of an instant that the job does not have."""
    passed_and_ran: int
    without_record: int
    """Effects of runs that nothing is known of."""
    started_twice: int
    """Claims whose function was entered twice."""
    unexplained: int
    """Runs with more effects than attempts on record."""
    lost_ran_twice: int
    """Occurrences of a job that says ``lost`` with two effects."""
    fence_fell: int
    """Attempts with a lower fence than an earlier one of the same run."""
    stale_accepted: int
    """Stale effects that the sink took."""
    late_starts: int
    """Functions entered when the lease of their node had run out."""

    @property
    def broken(self) -> dict[str, int]:
        """The promises that were not kept."""
        names = [field.name for field in fields(self)]
        counts = asdict(self)
        promises = names[names.index("never_ran") :]
        return {name: counts[name] for name in promises if counts[name] > _TOLERATED.get(name, 0)}


class Effects:
    """The tables in a schema of a test's own. ``url`` is of the database that they are in."""

    def __init__(self, url: str, schema: str) -> None:
        self.url = url
        self.schema = schema

    async def create(self) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(_TABLES.format(schema=self.schema))
        finally:
            await connection.close()

    async def drop(self) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE")
        finally:
            await connection.close()

    async def count(self, condition: str = "true") -> int:
        """Return how many effects fulfil the condition."""
        connection = await asyncpg.connect(self.url)
        try:
            found: int = await connection.fetchval(f"SELECT count(*) FROM {self.schema}.effect WHERE {condition}")
            return found
        finally:
            await connection.close()

    async def reach(self, number: int, condition: str = "true", patience: float = 60.0) -> None:
        """Wait until so many effects fulfil the condition."""

        async def is_reached() -> bool:
            return await self.count(condition) >= number

        await until(is_reached, patience)

    async def rows(self, query: str) -> list[asyncpg.Record]:
        """Return what a query over the tables finds."""
        connection = await asyncpg.connect(self.url, server_settings={"search_path": self.schema})
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    async def judge(self, plans: Sequence[Plan], store: Store) -> Verdict:
        """Compare what was planned with what the store says and with what was done."""
        runs = await all_runs(store)
        connection = await asyncpg.connect(self.url, server_settings={"search_path": self.schema})
        try:
            await connection.execute("TRUNCATE planned, record, attempt")
            await self._copy(connection, "planned", [tuple(asdict(plan).values()) for plan in plans])
            await self._copy(connection, "record", [_record(run) for run in runs])
            attempts = [(run.id, attempt.number, _word(attempt.outcome)) for run in runs for attempt in run.attempts]
            await self._copy(connection, "attempt", attempts)
            await connection.execute("ANALYZE")
            await connection.execute(_ACCOUNT)
            return Verdict(**{name: await connection.fetchval(query) for name, query in _QUESTIONS.items()})
        finally:
            await connection.close()

    async def _copy(self, connection: asyncpg.Connection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        await connection.copy_records_to_table(table, schema_name=self.schema, records=rows)


async def all_runs(store: Store) -> list[RunRecord]:
    runs, cursor = await store.list_runs(RunFilter(), _PAGE)
    while cursor is not None:
        more, cursor = await store.list_runs(RunFilter(), _PAGE, cursor)
        runs += more
    return runs


async def all_jobs(store: Store) -> list[JobRecord]:
    jobs, cursor = await store.list_jobs(JobFilter(), _PAGE)
    while cursor is not None:
        more, cursor = await store.list_jobs(JobFilter(), _PAGE, cursor)
        jobs += more
    return jobs


def _record(run: RunRecord) -> tuple[object, ...]:
    reason = None if run.reason is None else str(run.reason)
    return run.id, run.job_id, str(run.status), reason, run.status.final, run.planned, run.instants, run.fence


def _word(outcome: Outcome | None) -> str | None:
    return None if outcome is None else str(outcome)
