-- What the SQLite store asks. A batch is one statement, and so one release of the interpreter's lock. Lists of single
-- values come in as JSON arrays, `json_each(?)`. Batches of rows come in as `{rows 3}`, which stands for VALUES of as
-- many rows of three parameters as there are, rounded up: the rest are NULL and match nothing. Reading a row of seven
-- from JSON takes SQLite four times as long as taking seven parameters, since each `->>` parses the row again.
-- What is rare goes through executemany, row by row.

-- Lists of jobs. Statements that need a condition add it in the code.

-- name: spec
j.id, j.name, j.origin, j.group_name, j.tags_json, j.trigger_json, j.payload, j.policy_json, j.starting, j.until,
j.max_runs, j.declaration, j.generation

-- name: job
SELECT {spec}, f.name, j.serial, j.version, j.created, j.updated, t.paused, t.planned, t.due,
    (SELECT count(*) FROM asched_run r WHERE r.job = j.serial),
    t.runs, t.failures, t.retries, t.planned_runs, t.last_run, t.last_status
FROM asched_job j
JOIN asched_timer t ON t.job = j.serial
JOIN asched_function f ON f.id = j.func

-- name: jobs_by_id
{job} WHERE j.ns = ?1 AND j.deleted = 0 AND j.id IN (SELECT value FROM json_each(?2))

-- name: groups
SELECT group_name, count(*) FROM asched_job WHERE ns = ?1 AND deleted = 0 GROUP BY group_name ORDER BY group_name

-- name: groups_paused
-- The unary plus keeps the planner from walking all jobs by group: the paused ones are few and have an index.
SELECT j.group_name, count(*) FROM asched_timer t JOIN asched_job j ON j.serial = +t.job
WHERE t.paused = 1 AND j.ns = ?1 GROUP BY j.group_name

-- The window. Both begin with due and id, so that the answers of all functions merge into one order.

-- name: due_jobs
SELECT t.due, t.job, t.rev, t.planned, 0, NULL, {spec}
FROM asched_timer t JOIN asched_job j ON j.serial = t.job
WHERE t.func = ?1 AND t.due IS NOT NULL AND t.paused = 0
ORDER BY t.due, t.job

-- name: due_runs
SELECT r.wake, r.id, r.rev, r.planned, r.next_attempt, r.payload, {spec}
FROM asched_run r JOIN asched_job j ON j.serial = r.job
WHERE r.func = ?1 AND r.wake IS NOT NULL AND r.token IS NULL AND r.queued = 0 AND r.held = 0
ORDER BY r.wake, r.id

-- Loading what the rules decide about: jobs, and all their open runs.

-- name: state
-- Of a job that is gone there is no timer. The record of passed instants may have been forgotten.
SELECT {spec}, f.name, j.serial, j.created, t.paused, j.deleted, j.version, j.updated, t.rev, t.planned, t.due,
    t.runs, t.failures, t.retries, t.planned_runs, t.last_run, t.last_status, h.id, h.status, h.reason
FROM asched_job j
JOIN asched_function f ON f.id = j.func
LEFT JOIN asched_timer t ON t.job = j.serial
LEFT JOIN asched_history h ON h.id = t.gap

-- name: states
{state} WHERE j.serial IN (SELECT value FROM json_each(?1))

-- name: states_by_id
{state} WHERE j.ns = ?1 AND j.deleted = 0 AND j.id IN (SELECT value FROM json_each(?2))

-- name: states_by_group
{state} WHERE j.ns = ?1 AND j.deleted = 0 AND j.group_name = ?2 ORDER BY j.serial

-- name: states_by_func
{state} WHERE j.deleted = 0 AND j.func IN (SELECT id FROM asched_function WHERE ns = ?1 AND ?2 IN (name, short))
ORDER BY j.serial

-- name: run
r.job, r.id, r.planned, r.due, r.payload, r.status, r.attempt, r.token, r.epoch, r.fence, r.node, r.started, r.claimed,
r.rev, r.wake, r.next_attempt, r.queued, r.held, r.manual, r.cancel, r.replay_of, r.attempts_json, r.result,
r.progress_json, r.log_json

-- name: open
-- CROSS JOIN is an order for the planner: the batch is the outer loop, whatever it thinks of json_each.
SELECT {run} FROM json_each(?1) e CROSS JOIN asched_run r ON r.job = e.value ORDER BY r.id

-- name: open_named
-- Some runs by their ids, and those that are queued.
SELECT {run} FROM json_each(?1) e CROSS JOIN asched_run r ON r.id = e.value WHERE r.queued = 0
UNION ALL
SELECT {run} FROM json_each(?2) e CROSS JOIN asched_run r ON r.job = e.value WHERE r.queued = 1

-- name: active
SELECT e.value, (SELECT json_group_array(r.id) FROM asched_run r WHERE r.job = e.value) FROM json_each(?1) e

-- name: runs_of_ids
SELECT r.id, r.job FROM json_each(?1) e CROSS JOIN asched_run r ON r.id = e.value

-- name: runs_of_tokens
SELECT r.id, r.job FROM json_each(?1) e CROSS JOIN asched_run r ON r.id = e.value
WHERE r.token = r.id AND r.epoch = ?2
UNION ALL
SELECT r.id, r.job FROM json_each(?1) e CROSS JOIN asched_run r ON r.token = e.value
WHERE r.token <> r.id AND r.epoch = ?2

-- name: runs_of_nodes
SELECT id, job FROM asched_run WHERE token IS NOT NULL AND epoch IN (SELECT value FROM json_each(?1))

-- name: any_queued
SELECT EXISTS (SELECT 1 FROM asched_run WHERE queued = 1)

-- name: jobs_with_queue
SELECT r.job FROM json_each(?1) e CROSS JOIN asched_run r ON r.job = e.value WHERE r.queued = 1

-- name: letters_of
SELECT h.id, h.payload FROM json_each(?1) e CROSS JOIN asched_history h ON h.id = e.value WHERE h.dead = 1

-- Functions

-- name: functions
SELECT name, id FROM asched_function WHERE ns = ?1

-- name: add_function
INSERT INTO asched_function (ns, name, short) VALUES (?1, ?2, ?3) RETURNING id

-- Nodes

-- name: node
SELECT name FROM asched_node WHERE epoch = ?1 AND ns = ?2

-- name: live_node
SELECT name FROM asched_node WHERE epoch = ?1 AND ns = ?2 AND lease_until >= ?3

-- name: nodes
SELECT n.epoch, n.info_json, n.started, n.lease_until,
    (SELECT count(*) FROM asched_run r WHERE r.epoch = n.epoch AND r.token IS NOT NULL)
FROM asched_node n WHERE n.ns = ?1 ORDER BY n.epoch

-- name: next_epoch
UPDATE asched_counter SET epoch = epoch + 1 RETURNING epoch

-- name: add_node
INSERT INTO asched_node (epoch, ns, name, started, lease_until, info_json) VALUES (?, ?, ?, ?, ?, ?)

-- name: announce
UPDATE asched_node SET name = ?1, info_json = ?2 WHERE epoch = ?3 AND ns = ?4

-- name: renew
UPDATE asched_node SET lease_until = ?1 WHERE epoch = ?2 AND ns = ?3

-- name: abandon_nodes
-- The lock is ours: whoever held these is gone.
UPDATE asched_node SET lease_until = -1 WHERE ns = ?1

-- name: dead_nodes
SELECT epoch, name FROM asched_node WHERE ns = ?1 AND lease_until < ?2 ORDER BY epoch

-- name: remove_node
DELETE FROM asched_node WHERE epoch = ?1 AND ns = ?2 RETURNING name

-- name: cancels
SELECT token FROM asched_run WHERE epoch = ?1 AND token IS NOT NULL AND cancel IS NOT NULL ORDER BY token

-- name: claims
SELECT r.token, r.id, j.id, r.planned, r.attempt, r.fence FROM asched_run r JOIN asched_job j ON j.serial = r.job
WHERE r.epoch = ?1 AND r.token IS NOT NULL ORDER BY r.token

-- Counters

-- name: last_seq
SELECT max(coalesce((SELECT max(seq) FROM asched_history), 0), (SELECT max(floor) FROM asched_schedule))

-- name: next_serials
UPDATE asched_counter SET serial = serial + ?1 RETURNING serial

-- name: next_fences
UPDATE asched_counter SET fence = fence + ?1 RETURNING fence

-- name: next_id
UPDATE asched_schedule SET next_id = next_id + 1 WHERE ns = ?1 RETURNING next_id

-- name: count_ends
UPDATE asched_schedule SET runs = runs + ?1, failures = failures + ?2, listed = listed + ?3 WHERE ns = ?4

-- name: schedule
SELECT ns FROM asched_schedule WHERE name = ?1

-- name: add_schedule
INSERT INTO asched_schedule (name, since) VALUES (?1, ?2) RETURNING ns

-- Writing jobs

-- name: add_job
INSERT INTO asched_job (
    serial, ns, func, version, created, updated, id, name, origin, group_name, tags_json, trigger_json, payload,
    policy_json, starting, until, max_runs, declaration, generation, search
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: add_timer
INSERT INTO asched_timer (job, func, rev, planned, due, paused, gap) VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: change_job
UPDATE asched_job SET
    func = ?, version = ?, updated = ?, id = ?, name = ?, origin = ?, group_name = ?, tags_json = ?, trigger_json = ?,
    payload = ?, policy_json = ?, starting = ?, until = ?, max_runs = ?, declaration = ?, generation = ?, search = ?
WHERE serial = ?

-- name: touch_job
UPDATE asched_job SET version = ?, updated = ? WHERE serial = ?

-- name: remove_job
UPDATE asched_job SET deleted = 1 WHERE serial = ?1

-- name: purge_jobs
-- The names of a job that is gone are needed as long as a record or a run is there.
DELETE FROM asched_job WHERE deleted = 1 AND serial IN (SELECT value FROM json_each(?1))
    AND NOT EXISTS (SELECT 1 FROM asched_history h WHERE h.job = asched_job.serial)
    AND NOT EXISTS (SELECT 1 FROM asched_run r WHERE r.job = asched_job.serial)

-- name: set_timer
UPDATE asched_timer SET runs = ?, failures = ?, retries = ?, planned_runs = ?, last_run = ?, last_status = ?, gap = ?,
    func = ?, rev = ?, planned = ?, due = ?, paused = ?
WHERE job = ?

-- name: set_counters
-- Of a timer that has not moved, its place in the index of due instants is left alone.
UPDATE asched_timer SET runs = ?1, failures = ?2, retries = ?3, planned_runs = ?4, last_run = ?5, last_status = ?6,
    gap = ?7
WHERE job = ?8
    AND (runs, failures, retries, planned_runs, last_run, last_status, gap) IS NOT (?1, ?2, ?3, ?4, ?5, ?6, ?7)

-- name: remove_timer
DELETE FROM asched_timer WHERE job = ?1

-- name: set_run
INSERT OR REPLACE INTO asched_run (id, job, func, planned, due, payload, status, attempt, token, epoch, fence, node,
    started, claimed, rev, wake, next_attempt, queued, held, manual, cancel, replay_of, attempts_json, result,
    progress_json, log_json)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: tombstones
SELECT id, declaration FROM asched_tombstone WHERE ns = ?1 AND id IN (SELECT value FROM json_each(?2))

-- name: add_tombstone
INSERT OR REPLACE INTO asched_tombstone (ns, id, declaration) VALUES (?1, ?2, ?3)

-- name: remove_tombstone
DELETE FROM asched_tombstone WHERE ns = ?1 AND id = ?2

-- name: add_generation
INSERT INTO asched_generation (ns, declarations, first_seen) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING

-- name: generation
SELECT first_seen FROM asched_generation WHERE ns = ?1 AND declarations = ?2

-- Claims

-- What most claims are: a job's next occurrence, to be started as planned. Those are not read row by row: one answer
-- names the timers that need a closer look, and the others go on in two statements.

-- name: claims_to_look_at
WITH n (job, rev, allow) AS ({rows 3})
SELECT json_group_array(n.job) FROM n LEFT JOIN asched_timer t ON t.job = n.job
WHERE n.job IS NOT NULL AND NOT coalesce(
    t.rev = n.rev AND t.paused = 0 AND t.due <= ?
    AND (n.allow OR NOT EXISTS (SELECT 1 FROM asched_run r WHERE r.job = n.job)), 0)

-- name: start_timers
-- An upsert that always meets its row, which was looked at in this transaction. UPDATE FROM would first copy all rows
-- of the batch into a table of its own.
WITH n (job, planned, due) AS ({rows 3})
INSERT INTO asched_timer (job, func, rev, paused, planned, due, last_run)
SELECT n.job, 0, 0, 0, n.planned, n.due, ? FROM n WHERE n.job IS NOT NULL
ON CONFLICT (job) DO UPDATE SET rev = rev + 1, planned = excluded.planned, due = excluded.due, runs = runs + 1,
    planned_runs = planned_runs + 1, last_run = excluded.last_run, gap = NULL

-- name: start_runs
WITH n (token, job, planned, due, fence, payload) AS ({rows 6})
INSERT INTO asched_run (id, job, func, status, planned, due, attempt, token, epoch, fence, node, started, payload)
SELECT n.token, n.job, t.func, 'running', n.planned, n.due, 1, n.token, ?, n.fence, ?, ?, n.payload
FROM n CROSS JOIN asched_timer t ON t.job = n.job

-- Ends

-- What most runs are: done well at the first attempt, with nothing to tell but a result. They go from one table into
-- the other without passing through Python. The statements must choose the same rows.

-- name: plain
r.token = r.id AND r.epoch = ?1 AND r.claimed IS NULL AND r.attempts_json IS NULL AND r.replay_of IS NULL

-- name: plain_runs
-- One row, however many runs: each row that is fetched gives up the interpreter's lock.
SELECT json_group_array(r.id), json_group_array(r.job) FROM json_each(?2) e CROSS JOIN asched_run r ON r.id = e.value
WHERE {plain}

-- name: record_plain
WITH e (id, started, ended, result, seq) AS ({rows 5})
INSERT INTO asched_history (seq, id, ns, job, status, due, planned, started, ended, attempt, fence, node, payload,
    manual, result, progress_json, log_json, instants, last_due, dead)
SELECT e.seq, r.id, ?, r.job, 'succeeded', r.due, r.planned, e.started, e.ended, r.attempt, r.fence, r.node, r.payload,
    r.manual, e.result, r.progress_json, r.log_json, 1, r.due, 0
FROM e CROSS JOIN asched_run r ON r.id = e.id

-- name: remove_runs
DELETE FROM asched_run WHERE id IN (SELECT value FROM json_each(?1))

-- name: record
INSERT INTO asched_history (seq, id, ns, job, status, reason, due, planned, started, ended, attempt, fence, node, payload,
    manual, replay_of, attempts_json, result, progress_json, log_json, instants, last_due, dead)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: last_status
UPDATE asched_timer SET last_status = ?1
WHERE job IN (SELECT value FROM json_each(?2)) AND last_status IS NOT ?1

-- name: grow_gap
UPDATE asched_history SET instants = instants + ?, last_due = ?, ended = ? WHERE id = ?

-- name: annotate
UPDATE asched_run SET progress_json = coalesce(?1, progress_json), log_json = coalesce(?2, log_json)
WHERE (id = ?3 AND token = ?3 OR token = ?3 AND token <> id) AND epoch = ?4 RETURNING id

-- name: ends_of
SELECT h.id, h.status, j.id FROM json_each(?1) e
CROSS JOIN asched_history h ON h.id = e.value JOIN asched_job j ON j.serial = h.job

-- Records. The columns of both are those of `RunRow`.

-- name: open_runs
SELECT r.id, j.id, f.name, r.status, NULL, r.due, r.planned, r.started, r.claimed, NULL, r.attempt, r.attempts_json,
    r.result, r.progress_json, r.log_json, r.manual, r.replay_of, r.fence, r.node, 1, r.due, r.payload
FROM asched_run r JOIN asched_job j ON j.serial = r.job JOIN asched_function f ON f.id = j.func

-- name: ended_runs
SELECT h.id, j.id, f.name, h.status, h.reason, h.due, h.planned, h.started, NULL, h.ended, h.attempt, h.attempts_json,
    h.result, h.progress_json, h.log_json, h.manual, h.replay_of, h.fence, h.node, h.instants, h.last_due, h.payload,
    h.seq
FROM asched_history h JOIN asched_job j ON j.serial = h.job JOIN asched_function f ON f.id = j.func

-- name: serials_of_id
SELECT serial FROM asched_job WHERE ns = ?1 AND id = ?2 AND deleted = 0
UNION ALL
SELECT serial FROM asched_job WHERE ns = ?1 AND id = ?2 AND deleted = 1

-- name: letters
SELECT id FROM asched_history WHERE dead = 1 AND ns = ?1 ORDER BY seq

-- name: letters_over
SELECT id FROM asched_history WHERE dead = 1 AND ns = ?1 ORDER BY seq DESC LIMIT -1 OFFSET ?2

-- name: bury
UPDATE asched_history SET dead = 0 WHERE id = ?1 AND ns = ?2 AND dead = 1 RETURNING seq, job

-- name: schedule_totals
SELECT since, runs, failures FROM asched_schedule WHERE ns = ?1

-- name: totals
SELECT
    (SELECT count(*) FROM asched_job WHERE ns = ?1 AND deleted = 0),
    (SELECT count(*) FROM asched_function f JOIN asched_timer t
        ON t.func = f.id AND t.due IS NOT NULL AND t.paused = 0 WHERE f.ns = ?1),
    (SELECT count(*) FROM asched_function f JOIN asched_run r ON r.func = f.id WHERE f.ns = ?1),
    (SELECT count(*) FROM asched_node WHERE ns = ?1),
    (SELECT count(*) FROM asched_history WHERE dead = 1 AND ns = ?1)

-- name: counts_per_job
SELECT j.id, t.runs, t.failures, t.retries FROM asched_timer t JOIN asched_job j ON j.serial = t.job
WHERE t.runs > 0 AND j.ns = ?1

-- Retention

-- name: marks
SELECT listed, floor, mark FROM asched_schedule WHERE ns = ?1

-- name: set_marks
UPDATE asched_schedule SET listed = ?1, floor = ?2, mark = ?3 WHERE ns = ?4

-- name: oldest_listed
SELECT seq, job, ended, instants FROM asched_history WHERE ns = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3

-- name: move_to_end
UPDATE asched_history SET seq = ?2 WHERE seq = ?1

-- name: newer_than_mark
SELECT seq, job FROM asched_history WHERE seq > ?1 AND ns = ?2 ORDER BY seq LIMIT ?3

-- name: lasting
-- Whether a job has a future, so that its last records are kept.
EXISTS (
    SELECT 1 FROM asched_job j JOIN asched_timer t ON t.job = j.serial
    WHERE j.serial = e.value AND j.deleted = 0 AND (t.due IS NOT NULL OR j.origin = 'declared'
        OR EXISTS (SELECT 1 FROM asched_run r WHERE r.job = j.serial))
)

-- name: forget_of_jobs
-- What nothing keeps: neither the total history (above ?3), nor a letter, nor a place among the last ?1 of a job with
-- a future. The bound depends on the job alone, so only what goes is walked over.
DELETE FROM asched_history WHERE seq IN (
    SELECT h.seq FROM json_each(?2) e CROSS JOIN asched_history h ON h.job = e.value AND h.seq <= min(?3,
        CASE WHEN {lasting} THEN coalesce((
            SELECT n.seq FROM asched_history n WHERE n.job = e.value ORDER BY n.seq DESC LIMIT 1 OFFSET ?1
        ), 0) ELSE ?3 END)
    WHERE h.dead = 0
)

-- name: jobs_without_end
-- Jobs made by hand whose last instant and last record are gone.
SELECT j.serial, j.id FROM json_each(?1) e CROSS JOIN asched_job j ON j.serial = e.value
JOIN asched_timer t ON t.job = j.serial
WHERE j.deleted = 0 AND j.origin <> 'declared' AND t.due IS NULL
    AND NOT EXISTS (SELECT 1 FROM asched_run r WHERE r.job = j.serial)
    AND NOT EXISTS (SELECT 1 FROM asched_history h WHERE h.job = j.serial)
