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

/**
 * Ids of the rows that match, in order. `before` is the order of the last time: sorting what is almost in order costs
 * hardly more than looking at it, and with ten thousand rows that change all the time this is what the page would do
 * with its time.
 *
 * @param {Map<string, object>} rows
 * @param {string[]} before
 * @returns {string[]}
 */
export function pick(rows, { q = "", state = "", group = "", sort = "name", down = false }, at, before = []) {
  const tests = readQuery(q);
  const found = [];
  const add = (row) => {
    if (group && row.group !== group) return;
    if (state && !inState(row, state, at)) return;
    if (tests.every((test) => test(row))) found.push(row);
  };
  const placed = new Set();
  for (const id of before) {
    const row = rows.get(id);
    if (row) {
      placed.add(id);
      add(row);
    }
  }
  if (placed.size < rows.size) for (const row of rows.values()) if (!placed.has(row.job_id)) add(row);
  const key = KEYS[sort] || KEYS.name;
  const sign = down ? -1 : 1;
  // Compared by code unit, not by a collator, which takes thirty times as long.
  const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  found.sort((a, b) => sign * order(key(a), key(b)) || order(a.sortName, b.sortName) || order(a.job_id, b.job_id));
  return found.map((row) => row.job_id);
}

/** Does the order depend on what changes all the time? */
export const isLively = (sort) => sort !== "name" && sort !== "group";
