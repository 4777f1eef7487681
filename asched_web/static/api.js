// One function for all calls. URLs are relative to the page, whatever prefix it is mounted at.
import { signal } from "./ui.js";
import { remember, remembered } from "./prefs.js";

let token = remembered("asched.token");
const STATUS_AGAIN = 3_000;

/** The server wants a token, or a better one. */
export const needsToken = signal(false);
/** {title, name, timezone, version, read_only, actions}; null until it was read. */
export const status = signal(null);

export const may = (action) => status.value !== null && status.value.actions.includes(action);

export class ApiError extends Error {
  constructor(code, problem) {
    super(problem.detail || problem.error || String(code));
    this.code = code;
    /** [{pointer, detail}] */
    this.faults = problem.errors || [];
    this.title = problem.error || "";
  }
}

export const authorization = () => (token ? { Authorization: `Bearer ${token}` } : {});

/** Text in which two tabs with different tokens differ; not the token, since names of channels are not secrets. */
export function tokenMark() {
  let mark = 2166136261;
  for (const char of token || "") mark = Math.imul(mark ^ char.codePointAt(0), 16777619) >>> 0;
  return mark.toString(36);
}

export function setToken(value, lasting) {
  remember("asched.token", value, lasting);
  // Everything on the page was read with other rights.
  location.reload();
}

/**
 * @param {string} method
 * @param {string} path below the mount point, without a leading slash
 * @returns the answer's JSON
 */
export async function call(method, path, body, headers = {}, signal) {
  const options = { method, headers: { Accept: "application/json", ...authorization(), ...headers }, signal };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  const answer = await fetch(`./${path}`, options);
  if (answer.status === 401) needsToken.value = true;
  const data = await answer.json().catch((error) => {
    // A refusal needs no body. An answer that breaks off, or is given up, is none.
    if (answer.ok) throw error;
    return {};
  });
  if (!answer.ok) throw new ApiError(answer.status, data);
  return data;
}

export const get = (path, query, signal) => {
  const given = Object.entries(query || {}).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const search = new URLSearchParams(given).toString();
  return call("GET", search ? `${path}?${search}` : path, undefined, {}, signal);
};

export const jobPath = (id, verb) => `api/jobs/${encodeURIComponent(id)}${verb ? `/${verb}` : ""}`;
export const runPath = (id, verb) => `api/runs/${encodeURIComponent(id)}${verb ? `/${verb}` : ""}`;
export const letterPath = (id, verb) => `api/dead-letters/${encodeURIComponent(id)}${verb ? `/${verb}` : ""}`;
export const groupPath = (name, verb) => `api/groups/${encodeURIComponent(name)}${verb ? `/${verb}` : ""}`;

let statusTimer = null;

/** Ask who this server is and what may be done here, until it has said so once; after that each connection asks. */
export async function loadStatus() {
  clearTimeout(statusTimer);
  try {
    const answer = await get("api/status");
    needsToken.value = false;
    status.value = answer;
  } catch (error) {
    if (status.peek() === null && error.code !== 401) statusTimer = setTimeout(loadStatus, STATUS_AGAIN);
  }
}

/** Do `work` for each item, four at a time; returns the errors. A browser has six connections to a host. */
export async function each(items, work, onStep = () => {}) {
  const errors = [];
  const left = [...items];
  let done = 0;
  const worker = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) {
      try {
        await work(item);
      } catch (error) {
        errors.push(error);
      }
      onStep(++done);
    }
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
  return errors;
}
