-- The schema of one database that may hold several schedules (`ns`), each shared by any number of nodes.
--
-- The row of a job in `timer` is its lock: whoever changes the job, its timer or one of its runs holds that row first,
-- and takes several of them in the order of `job`. A run's row is therefore never waited for.
--
-- `timer` is narrow, because every occurrence writes it; `job` is wide and changes when somebody edits it; `run` holds
-- what has not ended, its rows with a `token` are the live claims; `history` is only appended to.
--
-- Instants are microseconds since 1970-01-01 UTC, by the database's clock. Texts ending in `_json` are JSON; they are
-- `text`, since `jsonb` refuses the NUL that a log line may hold. There are no foreign keys: each would add a look-up
-- and a lock to every run.

-- One row. A release reads a schema whose `min_reader` it reaches, and refuses a later one.
CREATE TABLE asched.meta (
    version integer NOT NULL,
    min_reader integer NOT NULL
);

INSERT INTO asched.meta VALUES (0, 1);

CREATE FUNCTION asched.clock() RETURNS bigint LANGUAGE sql VOLATILE
    AS 'SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint';

-- The number space of jobs and of records that are no runs. Run ids are tokens and lie above 2**38.
CREATE SEQUENCE asched.serial AS bigint;
CREATE SEQUENCE asched.epoch AS integer;
CREATE SEQUENCE asched.fence AS bigint;

CREATE TABLE asched.schedule (
    ns integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    since bigint NOT NULL,
    next_id bigint NOT NULL DEFAULT 0,
    -- Records at or below `floor` are kept only as the last of their job or as dead letters. Up to `mark` they have
    -- been looked at for pushing older ones out of their job's last records.
    floor bigint NOT NULL DEFAULT 0,
    mark bigint NOT NULL DEFAULT 0,
    -- Until then somebody follows the feed; otherwise nothing is written into it.
    followed_until bigint NOT NULL DEFAULT 0
);

-- Ended runs, a row for each node so that nodes do not wait for each other; those of nodes that are gone under 0.
CREATE TABLE asched.tally (
    ns integer NOT NULL,
    epoch integer NOT NULL,
    runs bigint NOT NULL DEFAULT 0,
    failures bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (ns, epoch)
) WITH (fillfactor = 50);

CREATE TABLE asched.function (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ns integer NOT NULL,
    name text NOT NULL,
    -- The part after the colon.
    short text NOT NULL,
    UNIQUE (ns, name)
);

CREATE TABLE asched.node (
    epoch integer PRIMARY KEY,
    ns integer NOT NULL,
    name text NOT NULL,
    started bigint NOT NULL,
    lease_until bigint NOT NULL,
    -- Counts the changes of `info_json`, which others keep until then.
    info_rev integer NOT NULL DEFAULT 1,
    info_json text NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE asched.job (
    serial bigint PRIMARY KEY,
    ns integer NOT NULL,
    id text NOT NULL,
    name text NOT NULL,
    func integer NOT NULL,
    origin text NOT NULL,
    group_name text NOT NULL,
    tags_json text,
    trigger_json text NOT NULL,
    payload bytea,
    policy_json text,
    starting bigint,
    until bigint,
    max_runs integer,
    declaration text,
    generation bigint NOT NULL,
    -- Id, name, function, group and tags, case folded, a line each: what a query looks through.
    search text NOT NULL,
    version integer NOT NULL,
    created bigint NOT NULL,
    updated bigint NOT NULL,
    -- A deleted job stays for the names in its records and goes with the last of them.
    deleted boolean NOT NULL DEFAULT false
);

CREATE UNIQUE INDEX job_id ON asched.job (ns, id) WHERE NOT deleted;
CREATE INDEX job_serial ON asched.job (ns, serial) WHERE NOT deleted;
CREATE INDEX job_group ON asched.job (ns, group_name) WHERE NOT deleted;
CREATE INDEX job_func ON asched.job (func);
CREATE INDEX job_deleted ON asched.job (ns, id) WHERE deleted;

CREATE TABLE asched.timer (
    job bigint PRIMARY KEY,
    ns integer NOT NULL,
    func integer NOT NULL,
    rev bigint NOT NULL,
    -- Counts the changes of what the job is: whoever knows this edition need not read it again.
    edition integer NOT NULL,
    planned bigint,
    due bigint,
    paused boolean NOT NULL,
    declared boolean NOT NULL,
    -- The job was deleted; the row stays as long as one of its runs does.
    gone boolean NOT NULL DEFAULT false,
    -- Runs that have not ended, and whether one of them waits behind another.
    active integer NOT NULL DEFAULT 0,
    queued boolean NOT NULL DEFAULT false,
    runs bigint NOT NULL DEFAULT 0,
    failures bigint NOT NULL DEFAULT 0,
    retries bigint NOT NULL DEFAULT 0,
    planned_runs bigint NOT NULL DEFAULT 0,
    last_run bigint,
    last_status text,
    -- The record of passed instants that the next ones may join.
    gap bigint
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

-- By function first: rows of a function that nobody has must not be walked over by those who look for theirs.
CREATE INDEX timer_due ON asched.timer (func, due) WHERE due IS NOT NULL AND NOT paused;

-- Runs that have not ended. `token` is set while the run is executed; then `epoch` says by whom. `wake` is set while
-- it waits for its `next_attempt`.
CREATE TABLE asched.run (
    id bigint PRIMARY KEY,
    ns integer NOT NULL,
    job bigint NOT NULL,
    func integer NOT NULL,
    status text NOT NULL,
    planned bigint NOT NULL,
    due bigint NOT NULL,
    attempt integer NOT NULL,
    token bigint,
    epoch integer,
    fence bigint NOT NULL DEFAULT 0,
    node text,
    started bigint,
    -- When a waiting run was claimed; the first attempt of an occurrence began when the run did.
    claimed bigint,
    payload bytea,
    rev bigint NOT NULL DEFAULT 0,
    wake bigint,
    next_attempt integer NOT NULL DEFAULT 0,
    queued boolean NOT NULL DEFAULT false,
    -- Its job is paused, and it was not asked for by hand.
    held boolean NOT NULL DEFAULT false,
    manual boolean NOT NULL DEFAULT false,
    -- Why the attempt that executes is to be cancelled.
    cancel text,
    replay_of bigint,
    attempts_json text,
    result bytea,
    progress_json text,
    log_json text
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX run_job ON asched.run (job);
CREATE INDEX run_epoch ON asched.run (epoch) WHERE token IS NOT NULL;
CREATE INDEX run_wake ON asched.run (func, wake)
    WHERE wake IS NOT NULL AND token IS NULL AND NOT queued AND NOT held;
-- The first attempt of an occurrence has the run's id as its token: only later ones need an index.
CREATE INDEX run_token ON asched.run (token) WHERE token <> id;

CREATE TABLE asched.history (
    ns integer NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    id bigint NOT NULL,
    job bigint NOT NULL,
    status text NOT NULL,
    reason text,
    due bigint NOT NULL,
    planned bigint NOT NULL,
    started bigint,
    ended bigint NOT NULL,
    attempt integer NOT NULL,
    fence bigint NOT NULL,
    node text,
    payload bytea,
    manual boolean NOT NULL,
    replay_of bigint,
    attempts_json text,
    result bytea,
    progress_json text,
    log_json text,
    instants bigint NOT NULL,
    last_due bigint NOT NULL,
    dead boolean NOT NULL,
    PRIMARY KEY (ns, seq)
);

CREATE UNIQUE INDEX history_id ON asched.history (id);
CREATE INDEX history_job ON asched.history (job, seq);
CREATE INDEX history_dead ON asched.history (ns, seq) WHERE dead;

-- Declared jobs that somebody deleted, and the declaration that they stay deleted under.
CREATE TABLE asched.tombstone (
    ns integer NOT NULL,
    id text NOT NULL,
    declaration text,
    PRIMARY KEY (ns, id)
);

-- When each set of declarations was first seen.
CREATE TABLE asched.generation (
    ns integer NOT NULL,
    declarations text NOT NULL,
    first_seen bigint NOT NULL,
    PRIMARY KEY (ns, declarations)
);

-- What changed, a row for each step, for those who show other nodes' runs. Not logged: after a crash of the server
-- whoever follows looks at everything again.
CREATE UNLOGGED TABLE asched.feed (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ns integer NOT NULL,
    at bigint NOT NULL,
    -- Which process wrote it; it knows already.
    origin bigint NOT NULL,
    changes_json text NOT NULL
);
