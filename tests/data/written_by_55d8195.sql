CREATE SCHEMA asched_written_before;
CREATE FUNCTION asched_written_before.clock() RETURNS bigint
    LANGUAGE sql
    AS $$SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint$$;
CREATE SEQUENCE asched_written_before.epoch
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE UNLOGGED TABLE asched_written_before.feed (
    seq bigint NOT NULL,
    ns integer NOT NULL,
    at bigint NOT NULL,
    origin bigint NOT NULL,
    changes_json text NOT NULL
);
ALTER TABLE asched_written_before.feed ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME asched_written_before.feed_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE SEQUENCE asched_written_before.fence
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE asched_written_before.function (
    id integer NOT NULL,
    ns integer NOT NULL,
    name text NOT NULL,
    short text NOT NULL
);
ALTER TABLE asched_written_before.function ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME asched_written_before.function_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE asched_written_before.generation (
    ns integer NOT NULL,
    declarations text NOT NULL,
    first_seen bigint NOT NULL
);
CREATE TABLE asched_written_before.history (
    ns integer NOT NULL,
    seq bigint NOT NULL,
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
    dead boolean NOT NULL
);
ALTER TABLE asched_written_before.history ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME asched_written_before.history_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE asched_written_before.job (
    serial bigint NOT NULL,
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
    search text NOT NULL,
    version integer NOT NULL,
    created bigint NOT NULL,
    updated bigint NOT NULL,
    deleted boolean DEFAULT false NOT NULL
);
CREATE TABLE asched_written_before.meta (
    version integer NOT NULL,
    min_reader integer NOT NULL
);
CREATE TABLE asched_written_before.node (
    epoch integer NOT NULL,
    ns integer NOT NULL,
    name text NOT NULL,
    started bigint NOT NULL,
    lease_until bigint NOT NULL,
    info_rev integer DEFAULT 1 NOT NULL,
    info_json text NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE asched_written_before.run (
    id bigint NOT NULL,
    ns integer NOT NULL,
    job bigint NOT NULL,
    func integer NOT NULL,
    status text NOT NULL,
    planned bigint NOT NULL,
    due bigint NOT NULL,
    attempt integer NOT NULL,
    token bigint,
    epoch integer,
    fence bigint DEFAULT 0 NOT NULL,
    node text,
    started bigint,
    claimed bigint,
    payload bytea,
    rev bigint DEFAULT 0 NOT NULL,
    wake bigint,
    next_attempt integer DEFAULT 0 NOT NULL,
    queued boolean DEFAULT false NOT NULL,
    held boolean DEFAULT false NOT NULL,
    manual boolean DEFAULT false NOT NULL,
    cancel text,
    replay_of bigint,
    attempts_json text,
    result bytea,
    progress_json text,
    log_json text
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='5000', autovacuum_vacuum_cost_delay='0');
CREATE TABLE asched_written_before.schedule (
    ns integer NOT NULL,
    name text NOT NULL,
    since bigint NOT NULL,
    next_id bigint DEFAULT 0 NOT NULL,
    floor bigint DEFAULT 0 NOT NULL,
    mark bigint DEFAULT 0 NOT NULL,
    followed_until bigint DEFAULT 0 NOT NULL
);
ALTER TABLE asched_written_before.schedule ALTER COLUMN ns ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME asched_written_before.schedule_ns_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE SEQUENCE asched_written_before.serial
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE asched_written_before.tally (
    ns integer NOT NULL,
    epoch integer NOT NULL,
    runs bigint DEFAULT 0 NOT NULL,
    failures bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE asched_written_before.timer (
    job bigint NOT NULL,
    ns integer NOT NULL,
    func integer NOT NULL,
    rev bigint NOT NULL,
    edition integer NOT NULL,
    planned bigint,
    due bigint,
    paused boolean NOT NULL,
    declared boolean NOT NULL,
    gone boolean DEFAULT false NOT NULL,
    active integer DEFAULT 0 NOT NULL,
    queued boolean DEFAULT false NOT NULL,
    runs bigint DEFAULT 0 NOT NULL,
    failures bigint DEFAULT 0 NOT NULL,
    retries bigint DEFAULT 0 NOT NULL,
    planned_runs bigint DEFAULT 0 NOT NULL,
    last_run bigint,
    last_status text,
    gap bigint
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_cost_delay='0');
CREATE TABLE asched_written_before.tombstone (
    ns integer NOT NULL,
    id text NOT NULL,
    declaration text
);
INSERT INTO asched_written_before.function OVERRIDING SYSTEM VALUE VALUES (1, 1, 'program:gone', 'gone');
INSERT INTO asched_written_before.function OVERRIDING SYSTEM VALUE VALUES (2, 1, 'program:nightly', 'nightly');
INSERT INTO asched_written_before.function OVERRIDING SYSTEM VALUE VALUES (3, 1, 'program:own', 'own');
INSERT INTO asched_written_before.function OVERRIDING SYSTEM VALUE VALUES (4, 1, 'program:steady', 'steady');
INSERT INTO asched_written_before.function OVERRIDING SYSTEM VALUE VALUES (5, 1, 'program:work', 'work');
INSERT INTO asched_written_before.generation VALUES (1, 'e0f7aeb176d98f6367a7ae18fae1428297367df8be24980a857cff97e1dd752c', 1767225600000000);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 1, 274877906945, 12, 'succeeded', NULL, 1767225610000000, 1767225610000000, 1767225610000000, 1767225610000000, 1, 1, 'vm:1142#3', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225610000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 2, 274877906947, 12, 'succeeded', NULL, 1767225620000000, 1767225620000000, 1767225620000000, 1767225620000000, 1, 3, 'vm:1142#3', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225620000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 3, 274877906948, 14, 'succeeded', NULL, 1767225620000000, 1767225620000000, 1767225620000000, 1767225620000000, 1, 4, 'vm:1142#3', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225620000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 4, 274877906949, 12, 'succeeded', NULL, 1767225630000000, 1767225630000000, 1767225630000000, 1767225630000000, 1, 5, 'vm:1142#3', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225630000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 6, 274877906951, 12, 'succeeded', NULL, 1767225640000000, 1767225640000000, 1767225640000000, 1767225640000000, 1, 6, 'vm:1142#3', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225640000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 7, 274877906952, 14, 'succeeded', NULL, 1767225640000000, 1767225640000000, 1767225640000000, 1767225640000000, 1, 8, 'vm:1142#3', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225640000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 8, 274877906953, 12, 'succeeded', NULL, 1767225650000000, 1767225650000000, 1767225650000000, 1767225650000000, 1, 9, 'vm:1142#3', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225650000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 5, 17, 11, 'skipped', 'overlap', 1767225640000000, 1767225640000000, NULL, 1767225660000000, 0, 0, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, 2, 1767225660000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 9, 274877906954, 1, 'succeeded', NULL, 1767225660000000, 1767225660000000, 1767225660000000, 1767225660000000, 1, 10, 'vm:1142#3', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225660000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 10, 274877906956, 12, 'succeeded', NULL, 1767225660000000, 1767225660000000, 1767225660000000, 1767225660000000, 1, 11, 'vm:1142#3', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225660000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 11, 274877906946, 11, 'succeeded', NULL, 1767225620000000, 1767225620000000, 1767225620000000, 1767225670000000, 1, 2, 'vm:1142#3', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225620000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 12, 274877906957, 2, 'succeeded', NULL, 1767225670000000, 1767225670000000, 1767225670000000, 1767225670000000, 1, 13, 'vm:1142#3', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225670000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 13, 274877906958, 12, 'succeeded', NULL, 1767225670000000, 1767225670000000, 1767225670000000, 1767225670000000, 1, 14, 'vm:1142#3', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225670000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 14, 274877906959, 13, 'succeeded', NULL, 1767225670000000, 1767225670000000, 1767225670000000, 1767225670000000, 1, 15, 'vm:1142#3', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225670000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 15, 274877906961, 12, 'succeeded', NULL, 1767225680000000, 1767225680000000, 1767225680000000, 1767225680000000, 1, 17, 'vm:1142#3', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225680000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 16, 274877906960, 11, 'succeeded', NULL, 1767225680000000, 1767225680000000, 1767225680000000, 1767225730000000, 1, 16, 'vm:1142#3', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225680000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 17, 18, 12, 'missed', 'no_catch_up', 1767225690000000, 1767225690000000, NULL, 1767225760000000, 0, 0, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, 7, 1767225750000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 18, 19, 11, 'missed', 'coalesced', 1767225700000000, 1767225700000000, NULL, 1767225760000000, 0, 0, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, 3, 1767225740000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 19, 549755813889, 12, 'succeeded', NULL, 1767225760000000, 1767225760000000, 1767225760000000, 1767225760000000, 1, 21, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225760000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 20, 549755813891, 1, 'succeeded', NULL, 1767225720000000, 1767225720000000, 1767225760000000, 1767225760000000, 1, 18, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225720000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 21, 549755813892, 2, 'succeeded', NULL, 1767225740000000, 1767225740000000, 1767225760000000, 1767225760000000, 1, 19, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225740000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 22, 549755813893, 13, 'succeeded', NULL, 1767225740000000, 1767225740000000, 1767225760000000, 1767225760000000, 1, 20, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225740000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 23, 549755813894, 12, 'succeeded', NULL, 1767225770000000, 1767225770000000, 1767225770000000, 1767225770000000, 1, 23, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225770000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 25, 549755813895, 1, 'succeeded', NULL, 1767225780000000, 1767225780000000, 1767225780000000, 1767225780000000, 1, 24, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225780000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 26, 549755813897, 12, 'succeeded', NULL, 1767225780000000, 1767225780000000, 1767225780000000, 1767225780000000, 1, 25, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225780000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 27, 549755813898, 12, 'succeeded', NULL, 1767225790000000, 1767225790000000, 1767225790000000, 1767225790000000, 1, 27, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225790000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 24, 20, 11, 'skipped', 'overlap', 1767225780000000, 1767225780000000, NULL, 1767225800000000, 0, 0, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, 2, 1767225800000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 28, 549755813900, 12, 'succeeded', NULL, 1767225800000000, 1767225800000000, 1767225800000000, 1767225800000000, 1, 28, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225800000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 29, 549755813890, 11, 'succeeded', NULL, 1767225760000000, 1767225760000000, 1767225760000000, 1767225810000000, 1, 22, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225760000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 30, 549755813901, 2, 'succeeded', NULL, 1767225810000000, 1767225810000000, 1767225810000000, 1767225810000000, 1, 30, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225810000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 31, 549755813902, 12, 'succeeded', NULL, 1767225810000000, 1767225810000000, 1767225810000000, 1767225810000000, 1, 31, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225810000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 32, 549755813903, 13, 'succeeded', NULL, 1767225810000000, 1767225810000000, 1767225810000000, 1767225810000000, 1, 32, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225810000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 33, 549755813905, 12, 'succeeded', NULL, 1767225820000000, 1767225820000000, 1767225820000000, 1767225820000000, 1, 34, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225820000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 34, 549755813906, 12, 'succeeded', NULL, 1767225830000000, 1767225830000000, 1767225830000000, 1767225830000000, 1, 35, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225830000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 36, 549755813907, 1, 'succeeded', NULL, 1767225840000000, 1767225840000000, 1767225840000000, 1767225840000000, 1, 36, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225840000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 37, 549755813909, 12, 'succeeded', NULL, 1767225840000000, 1767225840000000, 1767225840000000, 1767225840000000, 1, 37, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225840000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 38, 549755813910, 12, 'succeeded', NULL, 1767225850000000, 1767225850000000, 1767225850000000, 1767225850000000, 1, 39, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225850000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 35, 21, 11, 'skipped', 'overlap', 1767225840000000, 1767225840000000, NULL, 1767225860000000, 0, 0, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, 2, 1767225860000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 39, 549755813912, 12, 'succeeded', NULL, 1767225860000000, 1767225860000000, 1767225860000000, 1767225860000000, 1, 40, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225860000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 40, 549755813904, 11, 'succeeded', NULL, 1767225820000000, 1767225820000000, 1767225820000000, 1767225870000000, 1, 33, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225820000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 41, 549755813913, 12, 'succeeded', NULL, 1767225870000000, 1767225870000000, 1767225870000000, 1767225870000000, 1, 42, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225870000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 42, 549755813914, 2, 'succeeded', NULL, 1767225880000000, 1767225880000000, 1767225880000000, 1767225880000000, 1, 43, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225880000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 43, 549755813916, 12, 'succeeded', NULL, 1767225880000000, 1767225880000000, 1767225880000000, 1767225880000000, 1, 45, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225880000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 44, 549755813917, 13, 'succeeded', NULL, 1767225880000000, 1767225880000000, 1767225880000000, 1767225880000000, 1, 46, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225880000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 45, 549755813918, 12, 'succeeded', NULL, 1767225890000000, 1767225890000000, 1767225890000000, 1767225890000000, 1, 47, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225890000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 46, 22, 11, 'skipped', 'overlap', 1767225900000000, 1767225900000000, NULL, 1767225920000000, 0, 0, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, 2, 1767225920000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 56, 23, 11, 'skipped', 'overlap', 1767225960000000, 1767225960000000, NULL, 1767225980000000, 0, 0, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, 2, 1767225980000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 64, 24, 11, 'skipped', 'overlap', 1767226020000000, 1767226020000000, NULL, 1767226040000000, 0, 0, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, 2, 1767226040000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 67, 25, 11, 'skipped', 'overlap', 1767226080000000, 1767226080000000, NULL, 1767226100000000, 0, 0, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, 2, 1767226100000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 70, 26, 11, 'skipped', 'overlap', 1767226140000000, 1767226140000000, NULL, 1767226160000000, 0, 0, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, 2, 1767226160000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 47, 549755813919, 1, 'succeeded', NULL, 1767225900000000, 1767225900000000, 1767225900000000, 1767225900000000, 1, 48, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225900000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 48, 549755813920, 4, 'succeeded', NULL, 1767225900000000, 1767225900000000, 1767225900000000, 1767225900000000, 1, 49, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225900000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 49, 549755813922, 12, 'succeeded', NULL, 1767225900000000, 1767225900000000, 1767225900000000, 1767225900000000, 1, 50, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225900000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 50, 549755813923, 12, 'succeeded', NULL, 1767225910000000, 1767225910000000, 1767225910000000, 1767225910000000, 1, 52, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225910000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 51, 549755813925, 12, 'succeeded', NULL, 1767225920000000, 1767225920000000, 1767225920000000, 1767225920000000, 1, 53, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225920000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 52, 549755813915, 11, 'succeeded', NULL, 1767225880000000, 1767225880000000, 1767225880000000, 1767225930000000, 1, 44, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225880000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 53, 549755813926, 12, 'succeeded', NULL, 1767225930000000, 1767225930000000, 1767225930000000, 1767225930000000, 1, 55, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225930000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 54, 549755813928, 12, 'succeeded', NULL, 1767225940000000, 1767225940000000, 1767225940000000, 1767225940000000, 1, 57, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225940000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 55, 549755813929, 12, 'succeeded', NULL, 1767225950000000, 1767225950000000, 1767225950000000, 1767225950000000, 1, 58, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225950000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 57, 549755813930, 1, 'succeeded', NULL, 1767225960000000, 1767225960000000, 1767225960000000, 1767225960000000, 1, 59, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225960000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 58, 549755813932, 12, 'succeeded', NULL, 1767225960000000, 1767225960000000, 1767225960000000, 1767225960000000, 1, 60, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225960000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 59, 549755813933, 12, 'succeeded', NULL, 1767225970000000, 1767225970000000, 1767225970000000, 1767225970000000, 1, 62, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225970000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 60, 549755813935, 12, 'succeeded', NULL, 1767225980000000, 1767225980000000, 1767225980000000, 1767225980000000, 1, 63, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225980000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 61, 549755813927, 11, 'succeeded', NULL, 1767225940000000, 1767225940000000, 1767225940000000, 1767225990000000, 1, 56, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225940000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 62, 549755813936, 12, 'succeeded', NULL, 1767225990000000, 1767225990000000, 1767225990000000, 1767225990000000, 1, 65, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767225990000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 63, 549755813939, 12, 'succeeded', NULL, 1767226000000000, 1767226000000000, 1767226000000000, 1767226000000000, 1, 68, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767226000000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 65, 549755813940, 1, 'succeeded', NULL, 1767226020000000, 1767226020000000, 1767226020000000, 1767226020000000, 1, 69, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767226020000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 66, 549755813938, 11, 'succeeded', NULL, 1767226000000000, 1767226000000000, 1767226000000000, 1767226050000000, 1, 67, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767226000000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 68, 549755813944, 1, 'succeeded', NULL, 1767226080000000, 1767226080000000, 1767226080000000, 1767226080000000, 1, 73, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767226080000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 69, 549755813943, 11, 'succeeded', NULL, 1767226060000000, 1767226060000000, 1767226060000000, 1767226110000000, 1, 72, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767226060000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 71, 549755813949, 1, 'succeeded', NULL, 1767226140000000, 1767226140000000, 1767226140000000, 1767226140000000, 1, 78, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767226140000000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 72, 549755813955, 10, 'succeeded', NULL, 1767226150500000, 1767226150500000, 1767226150500000, 1767226150500000, 1, 82, 'vm:1142#4', NULL, true, NULL, '[[1,"vm:1142#4",1767226150500000,1767226150500000,"ok",null]]', '\x7b22726f7773223a337d', '[3,4]', '["three of four"]', 1, 1767226150500000, false);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 73, 549755813957, 9, 'failed', NULL, 1767226150500000, 1767226150500000, 1767226150500000, 1767226150500000, 1, 83, 'vm:1142#4', '\x5b5b7b226f66223a22746865206c6574746572227d5d2c7b7d5d', true, NULL, '[[1,"vm:1142#4",1767226150500000,1767226150500000,"error",["ValueError","at first","Traceback (most recent call last):\n  File \"/tmp/wt/engines/tests/support/written_before.py\", line 55, in function\n    return await self._run(args)\n           ^^^^^^^^^^^^^^^^^^^^^\n  File \"/tmp/wt/engines/tests/support/written_before.py\", line 67, in _run\n    raise ValueError(\"at first\")\nValueError: at first\n"]]]', NULL, NULL, NULL, 1, 1767226150500000, true);
INSERT INTO asched_written_before.history OVERRIDING SYSTEM VALUE VALUES (1, 74, 549755813948, 11, 'succeeded', NULL, 1767226120000000, 1767226120000000, 1767226120000000, 1767226170000000, 1, 77, 'vm:1142#4', NULL, false, NULL, NULL, NULL, NULL, NULL, 1, 1767226120000000, false);
INSERT INTO asched_written_before.job VALUES (4, 1, 'own', 'own', 3, 'declared', 'default', NULL, '{"type":"code","fingerprint":"every five minutes"}', NULL, NULL, NULL, NULL, NULL, 'b169a9ddacdc7815c78dc67379216e66', 1767225600000000, 'own
own
program:own
default', 1, 1767225600000000, 1767225600000000, false);
INSERT INTO asched_written_before.job VALUES (5, 1, 'retry', 'work', 5, 'api', 'default', NULL, '{"type":"interval","microseconds":500000000,"unit":"seconds","anchor":"2026-01-01T00:00:00+00:00"}', NULL, '{"backoff":[1000.0,1.0,1000.0,false]}', NULL, NULL, NULL, NULL, 0, 'retry
work
program:work
default', 1, 1767225600000000, 1767225600000000, false);
INSERT INTO asched_written_before.job VALUES (6, 1, 'by hand', 'work', 5, 'api', 'default', '["a","b"]', '{"type":"interval","microseconds":18000000000,"unit":"hours","anchor":"2026-01-01T00:00:00+00:00"}', '\x5b5b22616e20617267756d656e74225d2c7b7d5d', '{"backoff":[900.0,1.0,900.0,false]}', NULL, NULL, NULL, NULL, 0, 'by hand
work
program:work
default
a
b', 1, 1767225600000000, 1767225600000000, false);
INSERT INTO asched_written_before.job VALUES (8, 1, 'queue', 'work', 5, 'api', 'default', NULL, '{"type":"interval","microseconds":18000000000,"unit":"hours","anchor":"2026-01-01T00:00:00+00:00"}', NULL, '{"backoff":[800.0,1.0,800.0,false],"overlap":"queue"}', NULL, NULL, NULL, NULL, 0, 'queue
work
program:work
default', 1, 1767225600000000, 1767225600000000, false);
INSERT INTO asched_written_before.job VALUES (9, 1, 'letter', 'work', 5, 'api', 'default', NULL, '{"type":"interval","microseconds":18000000000,"unit":"hours","anchor":"2026-01-01T00:00:00+00:00"}', '\x5b5b7b226f66223a22746865206c6574746572227d5d2c7b7d5d', '{"max_retries":0}', NULL, NULL, NULL, NULL, 0, 'letter
work
program:work
default', 1, 1767225600000000, 1767225600000000, false);
INSERT INTO asched_written_before.job VALUES (10, 1, 'report', 'work', 5, 'api', 'default', NULL, '{"type":"interval","microseconds":18000000000,"unit":"hours","anchor":"2026-01-01T00:00:00+00:00"}', NULL, NULL, NULL, NULL, NULL, NULL, 0, 'report
work
program:work
default', 1, 1767225600000000, 1767225600000000, false);
INSERT INTO asched_written_before.job VALUES (11, 1, 'busy', 'work', 5, 'api', 'default', NULL, '{"type":"interval","microseconds":20000000,"unit":"seconds","anchor":"2026-01-01T00:00:00+00:00"}', NULL, NULL, NULL, NULL, NULL, NULL, 0, 'busy
work
program:work
default', 1, 1767225600000000, 1767225600000000, false);
INSERT INTO asched_written_before.job VALUES (12, 1, 'missed', 'work', 5, 'api', 'default', NULL, '{"type":"interval","microseconds":10000000,"unit":"seconds","anchor":"2026-01-01T00:00:00+00:00"}', NULL, '{"catch_up":"skip"}', NULL, 1767226000000000, NULL, NULL, 0, 'missed
work
program:work
default', 1, 1767225600000000, 1767225600000000, false);
INSERT INTO asched_written_before.job VALUES (14, 1, 'counted', 'work', 5, 'api', 'default', NULL, '{"type":"interval","microseconds":20000000,"unit":"seconds","anchor":"2026-01-01T00:00:00+00:00"}', NULL, NULL, NULL, NULL, 2, NULL, 0, 'counted
work
program:work
default', 1, 1767225600000000, 1767225600000000, false);
INSERT INTO asched_written_before.job VALUES (15, 1, 'executes', 'work', 5, 'api', 'default', NULL, '{"type":"once","at":"2026-01-01T00:09:50+00:00","timezone":"UTC"}', NULL, NULL, NULL, NULL, NULL, NULL, 0, 'executes
work
program:work
default', 1, 1767225600000000, 1767225600000000, false);
INSERT INTO asched_written_before.job VALUES (16, 1, 'executes once', 'work', 5, 'api', 'default', NULL, '{"type":"once","at":"2026-01-01T00:09:50+00:00","timezone":"UTC"}', NULL, '{"on_crash":"lost"}', NULL, NULL, NULL, NULL, 0, 'executes once
work
program:work
default', 1, 1767225600000000, 1767225600000000, false);
INSERT INTO asched_written_before.job VALUES (13, 1, 'removed', 'work', 5, 'api', 'default', NULL, '{"type":"interval","microseconds":70000000,"unit":"seconds","anchor":"2026-01-01T00:00:00+00:00"}', NULL, NULL, NULL, NULL, NULL, NULL, 0, 'removed
work
program:work
default', 1, 1767225600000000, 1767225600000000, true);
INSERT INTO asched_written_before.job VALUES (2, 1, 'gone', 'gone', 1, 'declared', 'default', NULL, '{"type":"interval","microseconds":70000000,"unit":"seconds","anchor":"2026-01-01T00:00:00+00:00"}', NULL, '{"max_retries":1}', NULL, NULL, NULL, '4d9839a4a654b47e35a67c3cf65407d4', 1767225600000000, 'gone
gone
program:gone
default', 1, 1767225600000000, 1767225600000000, true);
INSERT INTO asched_written_before.job VALUES (3, 1, 'nightly', 'nightly', 2, 'declared', 'night', NULL, '{"type":"daily","time":"03:00","timezone":"Europe/Berlin"}', NULL, NULL, NULL, NULL, NULL, '38aa69c4a45c78bce399a9d380d343cb', 1767225600000000, 'nightly
nightly
program:nightly
night', 2, 1767225600000000, 1767225900500000, false);
INSERT INTO asched_written_before.job VALUES (1, 1, 'steady', 'edited', 4, 'declared', 'default', NULL, '{"type":"interval","microseconds":60000000,"unit":"seconds","anchor":"2026-01-01T00:00:00+00:00"}', NULL, '{"timeout":50.0}', NULL, NULL, NULL, '00e5ed4c90f73043c6d4356ac005eeeb', 1767225600000000, 'steady
edited
program:steady
default', 2, 1767225600000000, 1767225900500000, false);
INSERT INTO asched_written_before.job VALUES (7, 1, 'held', 'work', 5, 'api', 'default', NULL, '{"type":"interval","microseconds":400000000,"unit":"seconds","anchor":"2026-01-01T00:00:00+00:00"}', NULL, '{"backoff":[300.0,1.0,300.0,false]}', NULL, NULL, NULL, NULL, 0, 'held
work
program:work
default', 2, 1767225600000000, 1767226050500000, false);
INSERT INTO asched_written_before.meta VALUES (1, 1);
INSERT INTO asched_written_before.node VALUES (2, 1, 'vm:1142#4', 1767225760000000, 1767226220000000, 1, '["vm:1142#4","vm",1142,"0.1.0",1767225600000000,["program:gone","program:nightly","program:own","program:steady","program:work"],["gone","nightly","own","steady"]]');
INSERT INTO asched_written_before.run VALUES (549755813937, 1, 7, 5, 'retrying', 1767226000000000, 1767226000000000, 1, NULL, NULL, 66, 'vm:1142#4', 1767226000000000, NULL, NULL, 2, 1767226300000000, 2, false, true, false, NULL, NULL, '[[1,"vm:1142#4",1767226000000000,1767226000000000,"error",["ValueError","at first","Traceback (most recent call last):\n  File \"/tmp/wt/engines/tests/support/written_before.py\", line 55, in function\n    return await self._run(args)\n           ^^^^^^^^^^^^^^^^^^^^^\n  File \"/tmp/wt/engines/tests/support/written_before.py\", line 67, in _run\n    raise ValueError(\"at first\")\nValueError: at first\n"]]]', NULL, NULL, NULL);
INSERT INTO asched_written_before.run VALUES (549755813946, 1, 5, 5, 'retrying', 1767226100000000, 1767226100000000, 1, NULL, NULL, 75, 'vm:1142#4', 1767226100000000, NULL, NULL, 1, 1767227100000000, 2, false, false, false, NULL, NULL, '[[1,"vm:1142#4",1767226100000000,1767226100000000,"error",["ValueError","at first","Traceback (most recent call last):\n  File \"/tmp/wt/engines/tests/support/written_before.py\", line 55, in function\n    return await self._run(args)\n           ^^^^^^^^^^^^^^^^^^^^^\n  File \"/tmp/wt/engines/tests/support/written_before.py\", line 67, in _run\n    raise ValueError(\"at first\")\nValueError: at first\n"]]]', NULL, NULL, NULL);
INSERT INTO asched_written_before.run VALUES (549755813951, 1, 6, 5, 'retrying', 1767226150500000, 1767226150500000, 1, NULL, NULL, 80, 'vm:1142#4', 1767226150500000, NULL, '\x5b5b22616e20617267756d656e74225d2c7b7d5d', 2, 1767227050500000, 2, false, false, true, NULL, NULL, '[[1,"vm:1142#4",1767226150500000,1767226150500000,"error",["ValueError","at first","Traceback (most recent call last):\n  File \"/tmp/wt/engines/tests/support/written_before.py\", line 55, in function\n    return await self._run(args)\n           ^^^^^^^^^^^^^^^^^^^^^\n  File \"/tmp/wt/engines/tests/support/written_before.py\", line 67, in _run\n    raise ValueError(\"at first\")\nValueError: at first\n"]]]', NULL, NULL, NULL);
INSERT INTO asched_written_before.run VALUES (549755813953, 1, 8, 5, 'retrying', 1767226150500000, 1767226150500000, 1, NULL, NULL, 81, 'vm:1142#4', 1767226150500000, NULL, NULL, 2, 1767226950500000, 2, false, false, true, NULL, NULL, '[[1,"vm:1142#4",1767226150500000,1767226150500000,"error",["ValueError","at first","Traceback (most recent call last):\n  File \"/tmp/wt/engines/tests/support/written_before.py\", line 55, in function\n    return await self._run(args)\n           ^^^^^^^^^^^^^^^^^^^^^\n  File \"/tmp/wt/engines/tests/support/written_before.py\", line 67, in _run\n    raise ValueError(\"at first\")\nValueError: at first\n"]]]', NULL, NULL, NULL);
INSERT INTO asched_written_before.run VALUES (549755813960, 1, 8, 5, 'pending', 1767226160500000, 1767226160500000, 0, NULL, NULL, 0, NULL, NULL, NULL, NULL, 1, 1767226160500000, 1, true, false, true, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO asched_written_before.run VALUES (549755813961, 1, 11, 5, 'running', 1767226180000000, 1767226180000000, 1, 549755813961, 2, 85, 'vm:1142#4', 1767226180000000, NULL, NULL, 0, NULL, 0, false, false, false, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO asched_written_before.run VALUES (549755813962, 1, 15, 5, 'running', 1767226190000000, 1767226190000000, 1, 549755813962, 2, 86, 'vm:1142#4', 1767226190000000, NULL, NULL, 0, NULL, 0, false, false, false, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO asched_written_before.run VALUES (549755813963, 1, 16, 5, 'running', 1767226190000000, 1767226190000000, 1, 549755813963, 2, 87, 'vm:1142#4', 1767226190000000, NULL, NULL, 0, NULL, 0, false, false, false, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO asched_written_before.schedule OVERRIDING SYSTEM VALUE VALUES (1, 'written:default', 1767225600000000, 0, 0, 0, 0);
INSERT INTO asched_written_before.tally VALUES (1, 0, 15, 0);
INSERT INTO asched_written_before.tally VALUES (1, 2, 49, 1);
INSERT INTO asched_written_before.timer VALUES (14, 1, 5, 3, 1, NULL, NULL, false, false, false, 0, false, 2, 0, 0, 2, 1767225640000000, 'succeeded', NULL);
INSERT INTO asched_written_before.timer VALUES (3, 1, 2, 2, 1, 1767232800000000, 1767232800000000, true, true, false, 0, false, 0, 0, 0, 0, NULL, NULL, NULL);
INSERT INTO asched_written_before.timer VALUES (4, 1, 3, 2, 1, 1767226200000000, 1767226200000000, false, true, false, 0, false, 1, 0, 0, 1, 1767225900000000, 'succeeded', NULL);
INSERT INTO asched_written_before.timer VALUES (7, 1, 5, 3, 1, 1767226400000000, 1767226400000000, true, false, false, 1, false, 1, 0, 0, 1, 1767226000000000, NULL, NULL);
INSERT INTO asched_written_before.timer VALUES (5, 1, 5, 2, 1, 1767226600000000, 1767226600000000, false, false, false, 1, false, 1, 0, 0, 1, 1767226100000000, NULL, NULL);
INSERT INTO asched_written_before.timer VALUES (11, 1, 5, 27, 1, 1767226200000000, 1767226200000000, false, false, false, 1, false, 10, 0, 0, 10, 1767226180000000, 'succeeded', NULL);
INSERT INTO asched_written_before.timer VALUES (15, 1, 5, 2, 1, NULL, NULL, false, false, false, 1, false, 1, 0, 0, 1, 1767226190000000, NULL, NULL);
INSERT INTO asched_written_before.timer VALUES (16, 1, 5, 2, 1, NULL, NULL, false, false, false, 1, false, 1, 0, 0, 1, 1767226190000000, NULL, NULL);
INSERT INTO asched_written_before.timer VALUES (12, 1, 5, 34, 1, NULL, NULL, false, false, false, 0, false, 33, 0, 0, 33, 1767226000000000, 'succeeded', NULL);
INSERT INTO asched_written_before.timer VALUES (1, 1, 4, 11, 2, 1767226200000000, 1767226200000000, false, true, false, 0, false, 9, 0, 0, 9, 1767226140000000, 'succeeded', NULL);
INSERT INTO asched_written_before.timer VALUES (6, 1, 5, 1, 1, 1767243600000000, 1767243600000000, false, false, false, 1, false, 1, 0, 0, 0, 1767226150500000, NULL, NULL);
INSERT INTO asched_written_before.timer VALUES (10, 1, 5, 1, 1, 1767243600000000, 1767243600000000, false, false, false, 0, false, 1, 0, 0, 0, 1767226150500000, 'succeeded', NULL);
INSERT INTO asched_written_before.timer VALUES (8, 1, 5, 1, 1, 1767243600000000, 1767243600000000, false, false, false, 2, true, 1, 0, 0, 0, 1767226150500000, NULL, NULL);
INSERT INTO asched_written_before.timer VALUES (9, 1, 5, 1, 1, 1767243600000000, 1767243600000000, false, false, false, 0, false, 1, 1, 0, 0, 1767226150500000, 'failed', NULL);
INSERT INTO asched_written_before.tombstone VALUES (1, 'gone', '4d9839a4a654b47e35a67c3cf65407d4');
SELECT pg_catalog.setval('asched_written_before.epoch', 2, true);
SELECT pg_catalog.setval('asched_written_before.feed_seq_seq', 1, false);
SELECT pg_catalog.setval('asched_written_before.fence', 87, true);
SELECT pg_catalog.setval('asched_written_before.function_id_seq', 5, true);
SELECT pg_catalog.setval('asched_written_before.history_seq_seq', 74, true);
SELECT pg_catalog.setval('asched_written_before.schedule_ns_seq', 2, true);
SELECT pg_catalog.setval('asched_written_before.serial', 26, true);
ALTER TABLE ONLY asched_written_before.feed
    ADD CONSTRAINT feed_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY asched_written_before.function
    ADD CONSTRAINT function_ns_name_key UNIQUE (ns, name);
ALTER TABLE ONLY asched_written_before.function
    ADD CONSTRAINT function_pkey PRIMARY KEY (id);
ALTER TABLE ONLY asched_written_before.generation
    ADD CONSTRAINT generation_pkey PRIMARY KEY (ns, declarations);
ALTER TABLE ONLY asched_written_before.history
    ADD CONSTRAINT history_pkey PRIMARY KEY (ns, seq);
ALTER TABLE ONLY asched_written_before.job
    ADD CONSTRAINT job_pkey PRIMARY KEY (serial);
ALTER TABLE ONLY asched_written_before.node
    ADD CONSTRAINT node_pkey PRIMARY KEY (epoch);
ALTER TABLE ONLY asched_written_before.run
    ADD CONSTRAINT run_pkey PRIMARY KEY (id);
ALTER TABLE ONLY asched_written_before.schedule
    ADD CONSTRAINT schedule_name_key UNIQUE (name);
ALTER TABLE ONLY asched_written_before.schedule
    ADD CONSTRAINT schedule_pkey PRIMARY KEY (ns);
ALTER TABLE ONLY asched_written_before.tally
    ADD CONSTRAINT tally_pkey PRIMARY KEY (ns, epoch);
ALTER TABLE ONLY asched_written_before.timer
    ADD CONSTRAINT timer_pkey PRIMARY KEY (job);
ALTER TABLE ONLY asched_written_before.tombstone
    ADD CONSTRAINT tombstone_pkey PRIMARY KEY (ns, id);
CREATE INDEX history_dead ON asched_written_before.history USING btree (ns, seq) WHERE dead;
CREATE UNIQUE INDEX history_id ON asched_written_before.history USING btree (id);
CREATE INDEX history_job ON asched_written_before.history USING btree (job, seq);
CREATE INDEX job_deleted ON asched_written_before.job USING btree (ns, id) WHERE deleted;
CREATE INDEX job_func ON asched_written_before.job USING btree (func);
CREATE INDEX job_group ON asched_written_before.job USING btree (ns, group_name) WHERE (NOT deleted);
CREATE UNIQUE INDEX job_id ON asched_written_before.job USING btree (ns, id) WHERE (NOT deleted);
CREATE INDEX job_serial ON asched_written_before.job USING btree (ns, serial) WHERE (NOT deleted);
CREATE INDEX run_epoch ON asched_written_before.run USING btree (epoch) WHERE (token IS NOT NULL);
CREATE INDEX run_job ON asched_written_before.run USING btree (job);
CREATE INDEX run_token ON asched_written_before.run USING btree (token) WHERE (token <> id);
CREATE INDEX run_wake ON asched_written_before.run USING btree (func, wake) WHERE ((wake IS NOT NULL) AND (token IS NULL) AND (NOT queued) AND (NOT held));
CREATE INDEX timer_due ON asched_written_before.timer USING btree (func, due) WHERE ((due IS NOT NULL) AND (NOT paused));
