// What is known of the schedule, kept true by live.js. Knows neither the network nor the page.
import { batch, signal } from "./ui.js";

/** Job rows by id: the wire's fields, with `nextAt` and `lastAt` in milliseconds and `text` to search in. */
export const jobs = new Map();
/** Grows with every change of a row. */
export const jobsChanged = signal(0);
/** Grows when jobs come or go, or what lists are filtered and counted by has changed. */
export const jobsMoved = signal(0);

/** The latest runs by id, those not ended among them. */
export const runs = new Map();
export const runsChanged = signal(0);
const RUNS_KEPT = 3000;

/** For each job its last 20 runs, oldest first; `full` when older ones were asked for. */
export const recents = new Map();
const RECENT = 20;

/** {running, store_available, failures, statistics}; null until something came. */
export const stats = signal(null);
/** Everything the server has was read at least once. */
export const complete = signal(false);

/** Milliseconds this machine's clock is behind the server's. */
let behind = 0;
export const clock = () => Date.now() + behind;
export const setClock = (asOf) => {
  const at = Date.parse(asOf);
  // The way here takes time, so small differences are not the clock's.
  if (!Number.isNaN(at) && Math.abs(at - Date.now() - behind) > 1500) behind = at - Date.now();
};

/** Server time in milliseconds, moved on once a second while the page is seen. */
export const now = signal(clock());
setInterval(() => {
  if (!document.hidden) now.value = clock();
}, 1000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) now.value = clock();
});

const parsed = (iso) => (iso ? Date.parse(iso) : null);

/** What the words of a search are sought in, besides the tags. Arguments and errors are not in a row. */
const SEARCHED = ["job_name", "job_id", "func_module", "func_name", "group", "schedule", "schedule_zh"];

function rowOf(job, old) {
  // A job whose function is missing starts nothing, whatever its trigger says.
  const nextAt = job.status === "unresolved" ? null : parsed(job.next_run);
  const row = { ...job, nextAt, lastAt: parsed(job.last_run) };
  delete row.next_run_in;
  const same = old && SEARCHED.every((name) => old[name] === job[name]) && old.tags.join(" ") === job.tags.join(" ");
  row.text = same ? old.text : [...SEARCHED.map((name) => job[name]), ...job.tags].join(" ").toLowerCase();
  row.sortName = same ? old.sortName : job.job_name.toLowerCase();
  return row;
}

const FAILED = new Set(["failed", "timed_out", "lost"]);
export const isFailed = (status) => FAILED.has(status);
const OPEN = new Set(["pending", "running", "retrying"]);
export const isOpen = (status) => OPEN.has(status);

/** Due, and not started within what a busy machine needs. */
export const isOverdue = (row, at) => row.nextAt !== null && row.status === "scheduled" && at - row.nextAt > 5000;

export function putJobs(list) {
  let moved = false;
  for (const job of list) {
    const old = jobs.get(job.job_id);
    const row = rowOf(job, old);
    jobs.set(job.job_id, row);
    moved ||= !old || old.status !== row.status || old.last_status !== row.last_status || old.text !== row.text;
  }
  batch(() => {
    jobsChanged.value++;
    if (moved) jobsMoved.value++;
  });
}

export function removeJob(id) {
  if (!jobs.delete(id)) return;
  batch(() => {
    jobsChanged.value++;
    jobsMoved.value++;
  });
}

/** Keep only these jobs. */
export function keepJobs(ids) {
  for (const id of [...jobs.keys()]) if (!ids.has(id)) jobs.delete(id);
  batch(() => {
    jobsChanged.value++;
    jobsMoved.value++;
  });
}

/** Milliseconds of the time that is shown of a run: when it started, or should have. */
export const runAt = (run) => Date.parse(run.started_at || run.due_at);

/** The order of the server's history: those not ended first, by when they were due, then as they ended, latest first. */
export const byNews = (a, b) => isOpen(b.status) - isOpen(a.status) || newsAt(b) - newsAt(a);
export const newsAt = (run) => Date.parse(isOpen(run.status) ? run.due_at : run.ended_at || run.due_at);

export function putRuns(list) {
  for (const run of list) {
    // Put at the end: the map is in the order of the last news, and the oldest news is forgotten first.
    runs.delete(run.run_id);
    runs.set(run.run_id, run);
    putRecent(run);
  }
  if (runs.size > RUNS_KEPT) {
    for (const [id, run] of runs) {
      if (runs.size <= RUNS_KEPT) break;
      if (!isOpen(run.status)) runs.delete(id);
    }
  }
  runsChanged.value++;
}

/** Forget open runs that the server, asked for all of them, no longer has. */
export function keepOpenRuns(ids) {
  for (const [id, run] of runs) if (isOpen(run.status) && !ids.has(id)) runs.delete(id);
  runsChanged.value++;
}

function putRecent(run) {
  let entry = recents.get(run.job_id);
  if (!entry) recents.set(run.job_id, (entry = { list: [], full: false }));
  const brief = { id: run.run_id, status: run.status, duration: run.duration, at: runAt(run) };
  // A new array each time, so that a row that is drawn by identity notices.
  const list = entry.list.filter((other) => other.id !== brief.id);
  let place = list.length;
  while (place > 0 && list[place - 1].at > brief.at) place--;
  list.splice(place, 0, brief);
  if (list.length > RECENT) list.shift();
  entry.list = list;
}

export function markFull(id) {
  const entry = recents.get(id);
  if (entry) entry.full = true;
  else recents.set(id, { list: [], full: true });
}

export const recentOf = (id) => recents.get(id)?.list;

/** Runs not ended, longest running first. */
export function openRuns() {
  const list = [];
  for (const run of runs.values()) if (isOpen(run.status)) list.push(run);
  return list.sort((a, b) => runAt(a) - runAt(b));
}

/** Numbers of jobs: all, by status, by group, failing and overdue. */
export function countJobs(at) {
  const counts = { total: jobs.size, failing: 0, overdue: 0, status: {}, groups: new Map() };
  for (const row of jobs.values()) {
    counts.status[row.status] = (counts.status[row.status] || 0) + 1;
    if (isFailed(row.last_status)) counts.failing++;
    if (isOverdue(row, at)) counts.overdue++;
    let group = counts.groups.get(row.group);
    if (!group) counts.groups.set(row.group, (group = { jobs: 0, paused: 0 }));
    group.jobs++;
    if (row.paused) group.paused++;
  }
  return counts;
}
