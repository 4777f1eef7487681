// Which jobs a list shows, and in which order. Pure: rows in, ids out.
import { isFailed, isOverdue } from "./store.js";

export const STATES = ["scheduled", "running", "paused", "failing", "overdue", "unresolved", "finished"];
export const SORTS = ["name", "group", "status", "next", "last", "runs", "failures"];

const FIELDS = { group: (row) => row.group, tag: (row) => row.tags.join(" "), status: (row) => row.status, last: (row) => row.last_status || "", func: (row) => row.func_name };

/** Read `report group:nightly last:failed` into words and fields, all of which must hold. */
export function readQuery(text) {
  const tests = [];
  for (const part of text.toLowerCase().match(/\S+/g) || []) {
    const [field, ...rest] = part.split(":");
    const wanted = rest.join(":");
    if (wanted && FIELDS[field]) tests.push((row) => FIELDS[field](row).toLowerCase().includes(wanted));
    else tests.push((row) => row.text.includes(part));
  }
  return tests;
}

export function inState(row, state, at) {
  if (state === "failing") return isFailed(row.last_status);
  if (state === "overdue") return isOverdue(row, at);
  return row.status === state;
}

const NEVER = Infinity;
const KEYS = {
  name: (row) => row.sortName,
  group: (row) => row.group,
  status: (row) => row.status,
  next: (row) => (row.nextAt === null || row.paused ? NEVER : row.nextAt),
  last: (row) => (row.lastAt === null ? NEVER : -row.lastAt),
  runs: (row) => -row.run_count,
  failures: (row) => -row.failure_count,
};

/** @returns {string[]} ids of the rows that match, in order */
export function pick(rows, { q = "", state = "", group = "", sort = "name", down = false }, at) {
  const tests = readQuery(q);
  const found = [];
  for (const row of rows) {
    if (group && row.group !== group) continue;
    if (state && !inState(row, state, at)) continue;
    if (tests.every((test) => test(row))) found.push(row);
  }
  const key = KEYS[sort] || KEYS.name;
  const sign = down ? -1 : 1;
  // Compared by code unit, not by a collator: a list of ten thousand has a few milliseconds.
  const keyed = found.map((row) => [key(row), row.sortName, row.job_id]);
  keyed.sort((a, b) => (a[0] < b[0] ? -sign : a[0] > b[0] ? sign : a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : a[2] < b[2] ? -1 : 1));
  return keyed.map((entry) => entry[2]);
}

/** Does the order depend on what changes all the time? */
export const isLively = (sort) => sort !== "name" && sort !== "group";
