// Which jobs a list shows, and in which order. Pure: rows in, ids out.
import { isFailed, isOverdue } from "./store.js";

export const STATES = ["scheduled", "running", "paused", "failing", "overdue", "unresolved", "finished"];
export const SORTS = ["name", "group", "status", "next", "last", "runs", "failures"];

const has = (read) => (row, wanted) => read(row).toLowerCase().includes(wanted);
const FIELDS = {
  name: has((row) => row.job_name),
  id: has((row) => row.job_id),
  group: has((row) => row.group),
  tag: has((row) => row.tags.join(" ")),
  func: has((row) => row.func_name),
  module: has((row) => row.func_module || ""),
  schedule: has((row) => `${row.schedule} ${row.schedule_zh}`),
  status: has((row) => row.status),
  state: (row, wanted, at) => (STATES.includes(wanted) ? inState(row, wanted, at) : row.status.includes(wanted)),
  last: has((row) => row.last_status || ""),
};

const PART = /-?(?:\w+:)?"[^"]*"?|\S+/g;

/**
 * Read `report group:nightly -last:failed "every hour" OR backup` into tests, all of which must hold. A minus turns a
 * part round, quotes keep words together, and OR joins the parts on its sides.
 */
export function readQuery(text, at) {
  const tests = [];
  let joins = false;
  for (const part of text.match(PART) || []) {
    if (part === "OR") {
      joins = tests.length > 0;
      continue;
    }
    const test = readPart(part.toLowerCase(), at);
    const before = joins ? tests.pop() : null;
    tests.push(before ? (row) => before(row) || test(row) : test);
    joins = false;
  }
  return tests;
}

function readPart(part, at) {
  const not = part.length > 1 && part.startsWith("-");
  const bare = not ? part.slice(1) : part;
  const split = bare.indexOf(":");
  const field = split > 0 && bare.length > split + 1 ? FIELDS[bare.slice(0, split)] : undefined;
  const wanted = (field ? bare.slice(split + 1) : bare).replaceAll('"', "");
  const test = field ? (row) => field(row, wanted, at) : (row) => row.text.includes(wanted);
  return not ? (row) => !test(row) : test;
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
  const tests = readQuery(q, at);
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
