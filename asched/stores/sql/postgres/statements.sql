-- What the Postgres store asks. Lists come in as arrays, one for each column: `unnest` puts them side by side again.
-- Every statement that changes a job, a timer or a run is sent by one who holds the job's row in `timer`, or takes it
-- first itself; see 0001_first.sql.

-- Reading jobs

-- name: spec
j.id, j.name, j.origin, j.group_name, j.tags_json, j.trigger_json, j.payload, j.policy_json, j.starting, j.until,
j.max_runs, j.declaration, j.generation

-- name: timer
t.job, t.func, t.rev, t.edition, t.planned, t.due, t.paused, t.declared, t.gone, t.active, t.queued, t.runs,
t.failures, t.retries, t.planned_runs, t.last_run, t.last_status, t.gap

-- name: job
SELECT {spec}, f.name, j.version, j.created, j.updated, {timer}
FROM asched.job j
JOIN asched.timer t ON t.job = j.serial
JOIN asched.function f ON f.id = j.func

-- name: known_ids
-- Which of these ids are jobs. Each id is asked for as a range of one, in the order of its index, for the planner: a plan
-- that is made while the table is empty is kept, and by any other index it walks over all jobs of the schedule.
SELECT k.serial, k.id FROM (SELECT DISTINCT unnest($2::text[]) AS id) AS a CROSS JOIN LATERAL (
    SELECT serial, id FROM asched.job WHERE ns = $1 AND NOT deleted AND id >= a.id AND id <= a.id ORDER BY ns, id LIMIT 1
) AS k

-- name: jobs_by_id
{job} WHERE j.serial = ANY(ARRAY(SELECT serial FROM ({known_ids}) AS known))

-- name: versions
-- What only an edit and a record need of a job.
SELECT serial, version, created, updated FROM asched.job WHERE serial = ANY($1::bigint[])

-- name: specs
SELECT {spec}, f.name, j.serial, t.edition
FROM asched.job j JOIN asched.timer t ON t.job = j.serial JOIN asched.function f ON f.id = j.func
WHERE j.serial = ANY($1::bigint[])

-- name: serials_by_id
SELECT serial FROM ({known_ids}) AS known

-- name: serials_by_group
SELECT serial FROM asched.job WHERE ns = $1 AND NOT deleted AND group_name = $2

-- name: functions_named
SELECT id FROM asched.function WHERE ns = $1 AND $2::text IN (name, short)

-- name: serials_by_func
SELECT serial FROM asched.job
WHERE NOT deleted AND func IN ({functions_named})

-- name: groups
SELECT j.group_name, count(*), count(*) FILTER (WHERE t.paused)
FROM asched.job j JOIN asched.timer t ON t.job = j.serial
WHERE j.ns = $1 AND NOT j.deleted GROUP BY j.group_name ORDER BY j.group_name

-- The window

-- name: runnable
-- A declared job belongs to nodes whose code declares it.
(NOT t.declared OR EXISTS (SELECT 1 FROM asched.job j WHERE j.serial = t.job AND j.id = ANY($5::text[])))

-- name: due_job
SELECT t.due, t.job AS id, t.rev, t.planned, 0 AS attempt, NULL::bytea AS payload, t.job, t.edition
FROM asched.timer t
WHERE t.func = f.id AND t.due IS NOT NULL AND NOT t.paused AND {runnable}

-- name: due_run
SELECT r.wake AS due, r.id, r.rev, r.planned, r.next_attempt, r.payload, t.job, t.edition
FROM asched.run r JOIN asched.timer t ON t.job = r.job
WHERE r.func = f.id AND r.wake IS NOT NULL AND r.token IS NULL AND NOT r.queued AND NOT r.held AND {runnable}

-- name: window
-- Of each function what is due up to $3, and the first that comes later: it says how far nothing is missing.
SELECT w.due, w.id, w.rev, w.planned, w.attempt, w.payload, w.job, w.edition, s.now, s.followed_until, s.place, s.nodes
FROM (
    -- In here the clock is read once, not for each row.
    SELECT c.ns, c.followed_until, asched.clock() AS now, count(n.epoch) FILTER (WHERE n.epoch < $6) AS place,
        count(n.epoch) AS nodes
    FROM asched.schedule c LEFT JOIN asched.node n ON n.ns = c.ns AND n.lease_until >= asched.clock()
    WHERE c.ns = $1 GROUP BY c.ns, c.followed_until
) s LEFT JOIN (
    asched.function f CROSS JOIN LATERAL (
        ({due_job} AND t.due <= $3 ORDER BY t.due LIMIT $4)
        UNION ALL
        ({due_job} AND t.due > $3 ORDER BY t.due LIMIT 1)
        UNION ALL
        ({due_run} AND r.wake <= $3 ORDER BY r.wake LIMIT $4)
        UNION ALL
        ({due_run} AND r.wake > $3 ORDER BY r.wake LIMIT 1)
    ) w
) ON f.ns = s.ns AND f.name = ANY($2::text[])
ORDER BY w.due, w.id LIMIT $4

-- name: functions
SELECT name, id FROM asched.function WHERE ns = $1

-- name: add_functions
INSERT INTO asched.function (ns, name, short) SELECT $1, n.name, n.short
FROM unnest($2::text[], $3::text[]) AS n (name, short) ON CONFLICT DO NOTHING

-- Nodes

-- name: clock
SELECT asched.clock()

-- name: register
WITH fresh AS (SELECT nextval('asched.epoch')::integer AS epoch, asched.clock() AS now), tallied AS (
    INSERT INTO asched.tally (ns, epoch) SELECT $1, epoch FROM fresh
)
INSERT INTO asched.node (epoch, ns, name, started, lease_until, info_json)
SELECT epoch, $1, $2, now, now + $3, $4 FROM fresh RETURNING epoch

-- name: announce
UPDATE asched.node SET name = $3, info_json = $4, info_rev = info_rev + 1 WHERE epoch = $1 AND ns = $2

-- name: heartbeat
-- A node without a lease has been reaped, though some of its runs are still to be taken over.
WITH renewed AS (
    UPDATE asched.node SET lease_until = asched.clock() + $3 WHERE epoch = $1 AND ns = $2 AND lease_until > 0
    RETURNING epoch
)
SELECT asched.clock(), EXISTS (SELECT 1 FROM renewed),
    (SELECT count(*) FROM asched.run WHERE epoch = $1 AND token IS NOT NULL),
    ARRAY(SELECT token FROM asched.run WHERE epoch = $1 AND token IS NOT NULL AND cancel IS NOT NULL ORDER BY token)

-- name: write_nothing
-- Shows whether the database can be written to. The lease stays as it is.
UPDATE asched.node SET info_rev = info_rev WHERE epoch = $1

-- name: live_node
-- KEY SHARE and the FOR UPDATE of a reap exclude each other; a heartbeat passes.
SELECT name, asched.clock() FROM asched.node
WHERE epoch = $1 AND ns = $2 AND lease_until >= asched.clock() FOR KEY SHARE

-- name: dead_nodes
SELECT epoch, name FROM asched.node WHERE ns = $1 AND lease_until < asched.clock() ORDER BY epoch
FOR UPDATE SKIP LOCKED

-- name: end_lease
UPDATE asched.node SET lease_until = 0 WHERE epoch = $1

-- name: hold_node
SELECT name FROM asched.node WHERE epoch = $1 AND ns = $2 FOR UPDATE

-- name: remove_node
WITH removed AS (DELETE FROM asched.node WHERE epoch = $1 AND ns = $2 RETURNING name), folded AS (
    DELETE FROM asched.tally WHERE epoch = $1 AND ns = $2 AND EXISTS (SELECT 1 FROM removed) RETURNING runs, failures
), added AS (
    UPDATE asched.tally t SET runs = t.runs + f.runs, failures = t.failures + f.failures
    FROM folded f WHERE t.ns = $2 AND t.epoch = 0
)
SELECT name FROM removed

-- name: nodes
SELECT n.epoch, n.info_json, n.started, n.lease_until,
    (SELECT count(*) FROM asched.run r WHERE r.epoch = n.epoch AND r.token IS NOT NULL)
FROM asched.node n WHERE n.ns = $1 ORDER BY n.epoch

-- name: node_revs
SELECT epoch, info_rev FROM asched.node WHERE ns = $1

-- name: node_infos
SELECT epoch, info_rev, info_json FROM asched.node WHERE epoch = ANY($1::integer[])

-- name: claims
SELECT r.token, r.id, j.id, r.planned, r.attempt, r.fence
FROM asched.run r JOIN asched.job j ON j.serial = r.job
WHERE r.epoch = $1 AND r.token IS NOT NULL ORDER BY r.token

-- The schedule

-- name: add_schedule
INSERT INTO asched.schedule (name, since) VALUES ($1, asched.clock()) ON CONFLICT DO NOTHING

-- name: schedule
SELECT ns FROM asched.schedule WHERE name = $1

-- name: add_tally
INSERT INTO asched.tally (ns, epoch) VALUES ($1, 0) ON CONFLICT DO NOTHING

-- name: next_id
-- Not waited for: the job that takes the number is written later, and what is written later is safe no sooner.
UPDATE asched.schedule SET next_id = next_id + 1 WHERE ns = $1
RETURNING next_id, set_config('synchronous_commit', 'off', true)

-- name: generation
WITH added AS (
    INSERT INTO asched.generation (ns, declarations, first_seen) VALUES ($1, $2, asched.clock())
    ON CONFLICT (ns, declarations) DO UPDATE SET first_seen = generation.first_seen RETURNING first_seen
)
SELECT first_seen FROM added

-- name: serials
SELECT nextval('asched.serial') FROM generate_series(1, $1)

-- name: fences
SELECT nextval('asched.fence') FROM generate_series(1, $1)

-- Claims

-- name: claim
-- A batch of occurrences that only start: no instants before them passed, nothing of the job is active unless its
-- policy allows that, and no limit on their number. The join on revision and the conditions on `t` are checked again
-- on the row that the lock is given on, so what another node did meanwhile is seen. A row that another holds is left
-- to the statements that wait. The keys are there once more, and the conditions hidden in a CASE, for the planner: it
-- would otherwise walk over all that is due, or over the whole table, once for each batch.
WITH me AS MATERIALIZED (
    SELECT name, asched.clock() AS now FROM asched.node
    WHERE epoch = $1 AND ns = $2 AND lease_until >= asched.clock() FOR KEY SHARE
), taken AS MATERIALIZED (
    SELECT a.*, t.func, me.name, me.now
    FROM me
    CROSS JOIN unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
        $10::boolean[], $11::bytea[])
        AS a (job, rev, token, planned, due, next_planned, next_due, beside, payload)
    JOIN asched.timer t ON t.job = a.job AND t.rev = a.rev
    WHERE t.job = ANY($3::bigint[])
        AND CASE WHEN t.due <= me.now + $12 AND NOT t.paused AND (t.active = 0 OR a.beside) THEN true ELSE false END
    ORDER BY t.job
    FOR NO KEY UPDATE OF t SKIP LOCKED
), moved AS (
    UPDATE asched.timer t SET rev = t.rev + 1, planned = k.next_planned, due = k.next_due, active = t.active + 1,
        runs = t.runs + 1, planned_runs = t.planned_runs + 1, last_run = k.now, gap = NULL
    FROM taken k WHERE t.job = k.job
), started AS (
    INSERT INTO asched.run (id, ns, job, func, status, planned, due, attempt, token, epoch, fence, node, started,
        payload)
    SELECT token, $2, job, func, 'running', planned, due, 1, token, $1, nextval('asched.fence'), name, now, payload
    FROM taken
    RETURNING id, fence
)
SELECT s.id, s.fence, (SELECT now FROM me) FROM (SELECT) AS one LEFT JOIN started s ON true

-- name: timer_places
-- Where timers stand now, and what a token may have started already.
SELECT t.job, t.rev, t.edition, t.planned, t.due, t.paused, t.gone,
    EXISTS (SELECT 1 FROM asched.run r WHERE r.id = a.token OR (r.token = a.token AND r.token <> r.id))
FROM unnest($1::bigint[], $2::bigint[]) AS a (job, token) LEFT JOIN asched.timer t ON t.job = a.job

-- Taking jobs

-- name: lock_timers
SELECT {timer} FROM asched.timer t WHERE t.job = ANY($1::bigint[]) ORDER BY t.job FOR NO KEY UPDATE

-- name: lock_free_timers
{lock_timers} SKIP LOCKED

-- name: jobs_of_runs
SELECT id, job FROM asched.run WHERE id = ANY($1::bigint[])

-- name: executed
-- Hidden from the planner in a CASE: it takes what it knows of these columns, mostly from a moment when the table was
-- empty, for a reason to read all that the node executes, once for each run of the batch.
CASE WHEN r.epoch = $2::integer THEN true ELSE false END

-- name: jobs_of_tokens
SELECT r.job FROM asched.run r WHERE r.id = ANY($1::bigint[]) AND {executed}
UNION
SELECT r.job FROM asched.run r WHERE r.token = ANY($1::bigint[]) AND r.token <> r.id AND {executed}

-- name: hold_timers
SELECT t.job FROM asched.timer t WHERE t.job = ANY(ARRAY({jobs_of_tokens})) ORDER BY t.job FOR NO KEY UPDATE

-- name: attempts
SELECT r.token, r.job FROM asched.run r WHERE r.id = ANY($1::bigint[]) AND r.token = r.id AND {executed}
UNION ALL
SELECT r.token, r.job FROM asched.run r WHERE r.token = ANY($1::bigint[]) AND r.token <> r.id AND {executed}

-- name: hold_attempts
-- Take the jobs of these attempts; the answer is the attempts, each with its job.
WITH wanted AS MATERIALIZED (
    {attempts}
), held AS MATERIALIZED (
    SELECT t.job FROM asched.timer t WHERE t.job = ANY(ARRAY(SELECT job FROM wanted)) ORDER BY t.job
    FOR NO KEY UPDATE
)
SELECT token, job FROM wanted WHERE job IN (SELECT job FROM held)

-- name: hold_free_timers
-- Take the jobs of these attempts that nobody holds; the answer is the attempts of the others.
WITH wanted AS MATERIALIZED (
    {attempts}
), held AS MATERIALIZED (
    SELECT t.job FROM asched.timer t WHERE t.job = ANY(ARRAY(SELECT job FROM wanted)) ORDER BY t.job
    FOR NO KEY UPDATE SKIP LOCKED
)
SELECT token FROM wanted WHERE job NOT IN (SELECT job FROM held)

-- name: jobs_of_nodes
SELECT DISTINCT epoch, job FROM asched.run WHERE epoch = ANY($1::integer[]) AND token IS NOT NULL

-- name: run
r.id, r.job, r.func, r.status, r.planned, r.due, r.attempt, r.token, r.epoch, r.fence, r.node, r.started, r.claimed,
r.payload, r.rev, r.wake, r.next_attempt, r.queued, r.held, r.manual, r.cancel, r.replay_of, r.attempts_json, r.result,
r.progress_json, r.log_json

-- name: runs_of_jobs
SELECT {run} FROM asched.run r WHERE r.job = ANY($1::bigint[]) ORDER BY r.id

-- name: gaps
SELECT id, status, reason FROM asched.history WHERE id = ANY($1::bigint[])

-- name: letters
SELECT id, payload FROM asched.history WHERE id = ANY($1::bigint[]) AND dead

-- name: run_places
SELECT r.id, r.status, j.id FROM asched.run r JOIN asched.job j ON j.serial = r.job WHERE r.id = ANY($1::bigint[])
UNION ALL
SELECT h.id, h.status, j.id FROM asched.history h JOIN asched.job j ON j.serial = h.job WHERE h.id = ANY($1::bigint[])

-- name: tombstones
SELECT id, declaration FROM asched.tombstone WHERE ns = $1 AND id = ANY($2::text[])

-- Writing what a step has changed

-- name: write_timers
UPDATE asched.timer t SET func = n.func, rev = n.rev, edition = n.edition, planned = n.planned, due = n.due,
    paused = n.paused, declared = n.declared, gone = n.gone, active = n.active, queued = n.queued, runs = n.runs,
    failures = n.failures, retries = n.retries, planned_runs = n.planned_runs, last_run = n.last_run,
    last_status = n.last_status, gap = n.gap
FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::integer[], $5::bigint[], $6::bigint[], $7::boolean[],
    $8::boolean[], $9::boolean[], $10::integer[], $11::boolean[], $12::bigint[], $13::bigint[], $14::bigint[],
    $15::bigint[], $16::bigint[], $17::text[], $18::bigint[])
    AS n (job, func, rev, edition, planned, due, paused, declared, gone, active, queued, runs, failures, retries,
        planned_runs, last_run, last_status, gap)
WHERE t.job = n.job

-- name: look_before_put
-- The time, which of the jobs exist, and numbers for as many as do not.
WITH known AS MATERIALIZED (
    {known_ids}
)
SELECT asched.clock(), ARRAY(SELECT serial FROM known), ARRAY(
    SELECT nextval('asched.serial')
    FROM generate_series(1, $3::integer - (SELECT count(*) FROM known WHERE id = ANY($4::text[]))::integer)
)

-- name: add_jobs
-- Ordered by id, so that two nodes that declare the same jobs at once do not wait for each other in a circle. What
-- another has added meanwhile is not counted; then the step begins anew.
WITH fresh AS MATERIALIZED (
    SELECT * FROM unnest($2::bigint[], $3::integer[], $4::bigint[], $5::integer[], $6::bigint[], $7::text[],
        $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::bytea[], $14::text[], $15::bigint[],
        $16::bigint[], $17::integer[], $18::text[], $19::bigint[], $20::text[], $21::bigint[], $22::bigint[],
        $23::boolean[], $24::bigint[])
        AS n (serial, func, created, version, rev, id, name, origin, group_name, tags_json, trigger_json, payload,
            policy_json, starting, until, max_runs, declaration, generation, search, planned, due, paused, gap)
), added AS (
    INSERT INTO asched.job (serial, ns, func, version, created, updated, id, name, origin, group_name, tags_json,
        trigger_json, payload, policy_json, starting, until, max_runs, declaration, generation, search)
    SELECT serial, $1, func, version, created, created, id, name, origin, group_name, tags_json, trigger_json, payload,
        policy_json, starting, until, max_runs, declaration, generation, search
    FROM fresh ORDER BY id
    ON CONFLICT (ns, id) WHERE NOT deleted DO NOTHING
    RETURNING serial
), timed AS (
    INSERT INTO asched.timer (job, ns, func, rev, edition, planned, due, paused, declared, gap)
    SELECT f.serial, $1, f.func, f.rev, 1, f.planned, f.due, f.paused, f.origin = 'declared', f.gap
    FROM fresh f JOIN added a ON a.serial = f.serial
)
SELECT count(*) FROM added

-- name: change_jobs
UPDATE asched.job j SET func = n.func, version = n.version, updated = n.updated, id = n.id, name = n.name,
    origin = n.origin, group_name = n.group_name, tags_json = n.tags_json, trigger_json = n.trigger_json,
    payload = n.payload, policy_json = n.policy_json, starting = n.starting, until = n.until, max_runs = n.max_runs,
    declaration = n.declaration, generation = n.generation, search = n.search
FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::bytea[], $12::text[], $13::bigint[], $14::bigint[], $15::integer[], $16::text[],
    $17::bigint[], $18::text[])
    AS n (serial, func, version, updated, id, name, origin, group_name, tags_json, trigger_json, payload, policy_json,
        starting, until, max_runs, declaration, generation, search)
WHERE j.serial = n.serial

-- name: touch_jobs
UPDATE asched.job SET version = version + 1, updated = $2 WHERE serial = ANY($1::bigint[])

-- name: delete_jobs
UPDATE asched.job SET deleted = true WHERE serial = ANY($1::bigint[])

-- name: remove_timers
DELETE FROM asched.timer WHERE job = ANY($1::bigint[])

-- name: add_tombstones
INSERT INTO asched.tombstone (ns, id, declaration)
SELECT $1, n.id, n.declaration FROM unnest($2::text[], $3::text[]) AS n (id, declaration) ORDER BY n.id
ON CONFLICT (ns, id) DO UPDATE SET declaration = excluded.declaration

-- name: remove_tombstones
DELETE FROM asched.tombstone WHERE ns = $1 AND id = ANY($2::text[])

-- name: write_runs
INSERT INTO asched.run (ns, id, job, func, status, planned, due, attempt, token, epoch, fence, node, started, claimed,
    payload, rev, wake, next_attempt, queued, held, manual, cancel, replay_of, attempts_json, result, progress_json,
    log_json)
SELECT $1, n.* FROM unnest($2::bigint[], $3::bigint[], $4::integer[], $5::text[], $6::bigint[], $7::bigint[],
    $8::integer[], $9::bigint[], $10::integer[], $11::bigint[], $12::text[], $13::bigint[], $14::bigint[],
    $15::bytea[], $16::bigint[], $17::bigint[], $18::integer[], $19::boolean[], $20::boolean[], $21::boolean[],
    $22::text[], $23::bigint[], $24::text[], $25::bytea[], $26::text[], $27::text[]) AS n
ON CONFLICT (id) DO UPDATE SET func = excluded.func, status = excluded.status, attempt = excluded.attempt,
    token = excluded.token, epoch = excluded.epoch, fence = excluded.fence, node = excluded.node,
    started = excluded.started, claimed = excluded.claimed, rev = excluded.rev, wake = excluded.wake,
    next_attempt = excluded.next_attempt, queued = excluded.queued, held = excluded.held, cancel = excluded.cancel,
    attempts_json = excluded.attempts_json, result = excluded.result, progress_json = excluded.progress_json,
    log_json = excluded.log_json

-- name: remove_runs
DELETE FROM asched.run WHERE id = ANY($1::bigint[])

-- name: record
INSERT INTO asched.history (ns, id, job, status, reason, due, planned, started, ended, attempt, fence, node, payload,
    manual, replay_of, attempts_json, result, progress_json, log_json, instants, last_due, dead)
SELECT $1, n.id, n.job, n.status, n.reason, n.due, n.planned, n.started, n.ended, n.attempt, n.fence, n.node,
    n.payload, n.manual, n.replay_of, n.attempts_json, n.result, n.progress_json, n.log_json, n.instants, n.last_due,
    n.dead
FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::integer[], $11::bigint[], $12::text[], $13::bytea[], $14::boolean[], $15::bigint[], $16::text[],
    $17::bytea[], $18::text[], $19::text[], $20::bigint[], $21::bigint[], $22::boolean[]) WITH ORDINALITY
    AS n (id, job, status, reason, due, planned, started, ended, attempt, fence, node, payload, manual, replay_of,
        attempts_json, result, progress_json, log_json, instants, last_due, dead, place)
ORDER BY n.place

-- name: grow_gaps
UPDATE asched.history h SET instants = h.instants + n.instants, last_due = n.last, ended = n.ended
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS n (id, instants, last, ended)
WHERE h.id = n.id

-- name: count_ends
UPDATE asched.tally SET runs = runs + $3, failures = failures + $4 WHERE ns = $1 AND epoch = $2

-- name: letters_over
SELECT id FROM asched.history WHERE ns = $1 AND dead ORDER BY seq DESC OFFSET $2

-- name: all_letters
SELECT id FROM asched.history WHERE ns = $1 AND dead

-- name: bury
UPDATE asched.history SET dead = false WHERE ns = $1 AND id = ANY($2::bigint[]) AND dead RETURNING id, job

-- Ends

-- name: finish
-- What most runs are: done well at the first attempt, with nothing to tell but a result. They go from one table into
-- the other without passing through Python. The timers come first, as everywhere, those of all the runs: what this
-- statement leaves is looked at afterwards, and must not have to wait then.
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($1::bigint[], $4::bigint[], $5::bigint[], $6::bytea[]) WITH ORDINALITY
        AS a (token, started, ended, result, place)
), held AS MATERIALIZED (
    {hold_timers}
), ended AS (
    -- The count is what makes all of them be held before the first run is touched.
    DELETE FROM asched.run r
    WHERE (SELECT count(*) FROM held) > 0 AND r.id = ANY($1::bigint[])
        AND CASE WHEN r.token = r.id AND r.epoch = $2::integer AND r.claimed IS NULL AND r.attempts_json IS NULL
            AND r.replay_of IS NULL THEN true ELSE false END
    RETURNING r.*
), recorded AS (
    INSERT INTO asched.history (ns, id, job, status, due, planned, started, ended, attempt, fence, node, payload,
        manual, result, progress_json, log_json, instants, last_due, dead)
    SELECT $3, e.id, e.job, 'succeeded', e.due, e.planned, a.started, a.ended, e.attempt, e.fence, e.node, e.payload,
        e.manual, a.result, e.progress_json, e.log_json, 1, e.due, false
    FROM ended e JOIN asked a ON a.token = e.id ORDER BY a.place
), counted AS (
    UPDATE asched.timer t SET active = t.active - e.runs, last_status = 'succeeded'
    FROM (SELECT job, count(*) AS runs FROM ended GROUP BY job) e WHERE t.job = e.job
    RETURNING t.job, t.queued, t.gone
), tallied AS (
    UPDATE asched.tally SET runs = runs + (SELECT count(*) FROM ended) WHERE ns = $3 AND epoch = $2
)
-- What ended, and jobs of which more is to be done.
SELECT id, NULL::bigint AS job FROM ended UNION ALL SELECT NULL, job FROM counted WHERE queued OR gone

-- name: annotate
-- A row that is held is about to end or to be cancelled, and its end brings the note again: it is not waited for.
UPDATE asched.run r SET progress_json = coalesce(n.progress_json, r.progress_json),
    log_json = coalesce(n.log_json, r.log_json)
FROM unnest($2::bigint[], $3::text[], $4::text[]) AS n (token, progress_json, log_json)
WHERE r.id IN (
        SELECT h.id FROM asched.run h
        WHERE (h.id = ANY($2::bigint[]) OR (h.token = ANY($2::bigint[]) AND h.token <> h.id)) AND h.epoch = $1
        FOR NO KEY UPDATE SKIP LOCKED
    )
    AND r.token = n.token AND r.epoch = $1
RETURNING r.id

-- Records

-- name: open_runs
SELECT r.id, j.id AS job_id, f.name, r.status, NULL::text AS reason, r.due, r.planned, r.started, r.claimed,
    NULL::bigint AS ended, r.attempt, r.attempts_json, r.result, r.progress_json, r.log_json, r.manual, r.replay_of,
    r.fence, r.node, 1::bigint AS instants, r.due AS last_due, r.payload, 0::bigint AS seq
FROM asched.run r JOIN asched.job j ON j.serial = r.job JOIN asched.function f ON f.id = j.func

-- name: ended_runs
SELECT h.id, j.id AS job_id, f.name, h.status, h.reason, h.due, h.planned, h.started, NULL::bigint AS claimed, h.ended,
    h.attempt, h.attempts_json, h.result, h.progress_json, h.log_json, h.manual, h.replay_of, h.fence, h.node,
    h.instants, h.last_due, h.payload, h.seq
FROM asched.history h JOIN asched.job j ON j.serial = h.job JOIN asched.function f ON f.id = j.func

-- name: runs_by_id
{open_runs} WHERE r.id = ANY($1::bigint[]) UNION ALL {ended_runs} WHERE h.id = ANY($1::bigint[])

-- name: serials_of_id
-- A deleted job's too; each has an index of its own.
SELECT serial FROM asched.job WHERE ns = $1 AND id = $2 AND NOT deleted
UNION ALL
SELECT serial FROM asched.job WHERE ns = $1 AND id = $2 AND deleted

-- name: schedule_totals
SELECT s.since, (SELECT coalesce(sum(runs), 0) FROM asched.tally WHERE ns = $1),
    (SELECT coalesce(sum(failures), 0) FROM asched.tally WHERE ns = $1),
    (SELECT count(*) FROM asched.job WHERE ns = $1 AND NOT deleted),
    (SELECT count(*) FROM asched.timer WHERE ns = $1 AND due IS NOT NULL AND NOT paused),
    (SELECT count(*) FROM asched.run WHERE ns = $1),
    (SELECT count(*) FROM asched.node WHERE ns = $1),
    (SELECT count(*) FROM asched.history WHERE ns = $1 AND dead)
FROM asched.schedule s WHERE s.ns = $1

-- name: counts_per_job
SELECT j.id, t.runs, t.failures, t.retries FROM asched.timer t JOIN asched.job j ON j.serial = t.job
WHERE t.ns = $1 AND t.runs > 0 AND NOT t.gone

-- Retention

-- name: marks
-- One node at a time; the others have nothing to do meanwhile.
SELECT floor, mark, asched.clock() FROM asched.schedule WHERE ns = $1 FOR NO KEY UPDATE SKIP LOCKED

-- name: floor
SELECT floor FROM asched.schedule WHERE ns = $1

-- name: set_marks
UPDATE asched.schedule SET floor = $2, mark = $3 WHERE ns = $1

-- name: newest_excess
-- The newest record that the limit of the whole history leaves no place for.
SELECT seq FROM asched.history WHERE ns = $1 AND seq > $2 ORDER BY seq DESC OFFSET $3 LIMIT 1

-- name: oldest_listed
SELECT seq, job, ended, instants FROM asched.history WHERE ns = $1 AND seq > $2 ORDER BY seq LIMIT $3

-- name: move_to_end
-- A sequence gives its numbers in the order of the rows that ask for one.
UPDATE asched.history SET seq = DEFAULT WHERE ns = $1 AND seq = ANY($2::bigint[])

-- name: newer_than_mark
SELECT seq, job FROM asched.history WHERE ns = $1 AND seq > $2 ORDER BY seq LIMIT $3

-- name: lasting
-- Whether a job has a future, so that its last records are kept.
EXISTS (
    SELECT 1 FROM asched.timer t WHERE t.job = e.job AND NOT t.gone AND (t.due IS NOT NULL OR t.declared OR t.active > 0)
)

-- name: forget_of_jobs
-- What nothing keeps: neither the total history (above $4), nor a letter, nor a place among the last $3 of a job with
-- a future. The bound depends on the job alone, so only what goes is walked over.
DELETE FROM asched.history d USING (
    SELECT e.job, CASE WHEN {lasting} THEN coalesce((
        SELECT n.seq FROM asched.history n WHERE n.job = e.job ORDER BY n.seq DESC OFFSET $3 LIMIT 1
    ), 0) ELSE $4 END AS bound
    FROM unnest($2::bigint[]) AS e (job)
) b
WHERE d.ns = $1 AND d.job = b.job AND d.seq <= least($4, b.bound) AND NOT d.dead
RETURNING 1

-- name: endless
-- Jobs made by hand whose last instant and last record are gone.
SELECT t.job, j.id FROM asched.timer t JOIN asched.job j ON j.serial = t.job
WHERE t.job = ANY($1::bigint[]) AND NOT t.gone AND NOT t.declared AND t.due IS NULL AND t.active = 0
    AND NOT EXISTS (SELECT 1 FROM asched.history h WHERE h.job = t.job)
ORDER BY t.job FOR NO KEY UPDATE OF t

-- name: jobs_with_records
SELECT DISTINCT job FROM asched.history WHERE job = ANY($1::bigint[])

-- name: purge_jobs
-- The names of a job that is gone are needed as long as a record or a run is there.
DELETE FROM asched.job j WHERE j.deleted AND j.serial = ANY($1::bigint[])
    AND NOT EXISTS (SELECT 1 FROM asched.history h WHERE h.job = j.serial)
    AND NOT EXISTS (SELECT 1 FROM asched.run r WHERE r.job = j.serial)

-- The feed

-- name: follow
-- Written at most every ten seconds; it keeps the nodes telling for thirty.
UPDATE asched.schedule SET followed_until = asched.clock() + 30000000
WHERE ns = $1 AND followed_until < asched.clock() + 20000000

-- name: tell
INSERT INTO asched.feed (ns, at, origin, changes_json) VALUES ($1, asched.clock(), $2, $3)

-- name: told
SELECT seq, at, origin, changes_json FROM asched.feed WHERE ns = $1 AND seq > $2 ORDER BY seq

-- name: feed_end
SELECT coalesce(max(seq), 0) FROM asched.feed

-- name: forget_told
-- The newest row stays: that there is none any more tells of a crash.
DELETE FROM asched.feed WHERE ns = $1 AND at < asched.clock() - 60000000
    AND seq < (SELECT max(seq) FROM asched.feed WHERE ns = $1)
