-- The schema of one file that may hold several schedules (`ns`), one of which is open at a time.
--
-- What an occurrence changes is kept apart from what it only reads. `asched_timer` and `asched_run` are narrow: a
-- million timers are 60 MB and stay in the page cache, and a claim rewrites a page of sixty neighbours instead of
-- four. `asched_job` changes when somebody edits the job. `asched_history` is only appended to, in the order in which
-- runs end; its rowid is that order.
--
-- Instants are microseconds since 1970-01-01 UTC. Texts ending in `_json` are JSON.

CREATE TABLE asched_counter (
    -- The number space of jobs and of records that are no runs. Run ids are tokens and lie above 2**38.
    serial INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    fence INTEGER NOT NULL
) STRICT;

INSERT INTO asched_counter VALUES (0, 0, 0);

CREATE TABLE asched_schedule (
    ns INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    since INTEGER NOT NULL,
    next_id INTEGER NOT NULL DEFAULT 0,
    runs INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    -- The history proper is the `listed` rows above `floor`; rows at or below it are kept for their job's last records
    -- or as dead letters. Rows up to `mark` have been looked at for pushing older ones out of their job's last records.
    listed INTEGER NOT NULL DEFAULT 0,
    floor INTEGER NOT NULL DEFAULT 0,
    mark INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE asched_function (
    id INTEGER PRIMARY KEY,
    ns INTEGER NOT NULL,
    name TEXT NOT NULL,
    -- The part after the colon.
    short TEXT NOT NULL,
    UNIQUE (ns, name)
) STRICT;

CREATE TABLE asched_node (
    epoch INTEGER PRIMARY KEY,
    ns INTEGER NOT NULL,
    name TEXT NOT NULL,
    started INTEGER NOT NULL,
    -- Negative: the process that held it is gone.
    lease_until INTEGER NOT NULL,
    info_json TEXT NOT NULL
) STRICT;

CREATE TABLE asched_job (
    serial INTEGER PRIMARY KEY,
    ns INTEGER NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    func INTEGER NOT NULL,
    origin TEXT NOT NULL,
    group_name TEXT NOT NULL,
    tags_json TEXT,
    trigger_json TEXT NOT NULL,
    payload BLOB,
    policy_json TEXT,
    starting INTEGER,
    until INTEGER,
    max_runs INTEGER,
    declaration TEXT,
    generation INTEGER NOT NULL,
    -- Id, name, function, group and tags, case folded, a line each: what a query looks through.
    search TEXT NOT NULL,
    version INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    -- A deleted job stays for the names in its records and goes with the last of them.
    deleted INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX asched_job_id ON asched_job (ns, id) WHERE deleted = 0;
CREATE INDEX asched_job_group ON asched_job (ns, group_name) WHERE deleted = 0;
CREATE INDEX asched_job_func ON asched_job (func) WHERE deleted = 0;
CREATE INDEX asched_job_deleted ON asched_job (ns, id) WHERE deleted = 1;

CREATE TABLE asched_timer (
    job INTEGER PRIMARY KEY,
    func INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    planned INTEGER,
    due INTEGER,
    paused INTEGER NOT NULL,
    runs INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    retries INTEGER NOT NULL DEFAULT 0,
    planned_runs INTEGER NOT NULL DEFAULT 0,
    last_run INTEGER,
    last_status TEXT,
    -- The record of passed instants that the next ones may join.
    gap INTEGER
) STRICT;

-- By function first: rows of a function that nobody has must not be walked over by those who look for theirs.
CREATE INDEX asched_timer_due ON asched_timer (func, due) WHERE due IS NOT NULL AND paused = 0;
CREATE INDEX asched_timer_paused ON asched_timer (job) WHERE paused = 1;

-- Runs that have not ended. `token` is set while the run is executed; then `epoch` says by whom. `wake` is set while
-- it waits for its `next_attempt`.
CREATE TABLE asched_run (
    id INTEGER PRIMARY KEY,
    job INTEGER NOT NULL,
    func INTEGER NOT NULL,
    status TEXT NOT NULL,
    planned INTEGER NOT NULL,
    due INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    token INTEGER,
    epoch INTEGER,
    fence INTEGER NOT NULL DEFAULT 0,
    node TEXT,
    started INTEGER,
    -- When a waiting run was claimed; the first attempt of an occurrence began when the run did.
    claimed INTEGER,
    payload BLOB,
    rev INTEGER NOT NULL DEFAULT 0,
    wake INTEGER,
    next_attempt INTEGER NOT NULL DEFAULT 0,
    queued INTEGER NOT NULL DEFAULT 0,
    -- Its job is paused, and it was not asked for by hand.
    held INTEGER NOT NULL DEFAULT 0,
    manual INTEGER NOT NULL DEFAULT 0,
    -- Why the attempt that executes is to be cancelled.
    cancel TEXT,
    replay_of INTEGER,
    attempts_json TEXT,
    result BLOB,
    progress_json TEXT,
    log_json TEXT
) STRICT;

CREATE INDEX asched_run_job ON asched_run (job);
CREATE INDEX asched_run_wake ON asched_run (func, wake)
    WHERE wake IS NOT NULL AND token IS NULL AND queued = 0 AND held = 0;
CREATE INDEX asched_run_queued ON asched_run (job) WHERE queued = 1;
-- The first attempt of an occurrence has the run's id as its token: only later ones need an index.
CREATE INDEX asched_run_token ON asched_run (token) WHERE token <> id;

CREATE TABLE asched_history (
    -- Given by the store, always above every `floor`: the rowid of a row that was deleted must not come again.
    seq INTEGER PRIMARY KEY,
    id INTEGER NOT NULL,
    ns INTEGER NOT NULL,
    job INTEGER NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    due INTEGER NOT NULL,
    planned INTEGER NOT NULL,
    started INTEGER,
    ended INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    node TEXT,
    payload BLOB,
    manual INTEGER NOT NULL,
    replay_of INTEGER,
    attempts_json TEXT,
    result BLOB,
    progress_json TEXT,
    log_json TEXT,
    instants INTEGER NOT NULL,
    last_due INTEGER NOT NULL,
    dead INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX asched_history_id ON asched_history (id);
-- Every index ends in the rowid: this is (job, seq), and the next one (dead, seq).
CREATE INDEX asched_history_job ON asched_history (job);
CREATE INDEX asched_history_dead ON asched_history (dead) WHERE dead = 1;

-- Declared jobs that somebody deleted, and the declaration that they stay deleted under.
CREATE TABLE asched_tombstone (
    ns INTEGER NOT NULL,
    id TEXT NOT NULL,
    declaration TEXT,
    PRIMARY KEY (ns, id)
) STRICT, WITHOUT ROWID;

-- When each set of declarations was first seen.
CREATE TABLE asched_generation (
    ns INTEGER NOT NULL,
    declarations TEXT NOT NULL,
    first_seen INTEGER NOT NULL,
    PRIMARY KEY (ns, declarations)
) STRICT, WITHOUT ROWID;
