// The event stream: read with fetch, so that a token travels in a header; one for all tabs of this browser.
//
// HTTP/1.1 gives a host six connections, and a stream holds one for good: a seventh tab would not load at all. So one
// tab, whoever holds the lock, reads the stream and hands every message on through a BroadcastChannel. When that tab
// closes, the next one gets the lock and goes on after the last message it has seen. Locks exist on https and localhost
// only; elsewhere each tab reads for itself, and lets go while nobody looks at it.
import { batch, computed, signal } from "./ui.js";
import { authorization, get, loadStatus, needsToken, status, tokenMark } from "./api.js";
import { clock, complete, jobs, keepJobs, keepOpenRuns, putJobs, putRuns, removeJob, runs, setClock, stats } from "./store.js";

/** "connecting", "live", "lost", "stopping" or "unauthorised". */
export const connection = signal("connecting");
/** When something was last heard, in milliseconds of this machine's clock. */
export const heardAt = signal(Date.now());
/** Grows when the server is another one than before. */
export const restarts = signal(0);

const SILENCE = 35_000; // the server says something every 15 s
const HIDDEN_FOR = 5_000;
const HELLO_WAITS = 3_000;
const ASK_AGAIN = 3_000;
const CHUNK = 500;

let lastId = null;
let abort = null;
let failures = 0;
let retryTimer = null;
let emptyTimer = null;

const seen = () => {
  const at = Date.now();
  // Once a second is enough for whoever draws it.
  if (at - heardAt.peek() > 900) heardAt.value = at;
};

// Messages -------------------------------------------------------------------------------------------------------

/** Ids that changed after the snapshot was made: pages of it that come later must not undo that. */
let touched = new Set();
let loading = 0;

function take(name, id, text) {
  if (name === "shutdown") {
    connection.value = "stopping";
    return;
  }
  if (id) {
    const epoch = id.split("-")[0];
    if (lastId !== null && lastId.split("-")[0] !== epoch) {
      restarts.value++;
      loadStatus();
    }
    lastId = id;
  }
  if (name === "reset" || !name) return;
  const data = JSON.parse(text);
  if (name === "job") {
    touched.add(data.job_id);
    putJobs([data]);
  } else if (name === "job_removed") {
    touched.add(data.job_id);
    removeJob(data.job_id);
  } else if (name === "run") {
    putRuns([data]);
  } else if (name === "stats") {
    setClock(data.as_of);
    stats.value = data;
  } else if (name === "snapshot") {
    takeSnapshot(data);
  }
}

function takeSnapshot(data) {
  setClock(data.as_of);
  const { jobs: rows, runs: latest, next_cursor: cursor, ...state } = data;
  stats.value = state;
  clearTimeout(emptyTimer);
  loading++;
  if (state.statistics === null) {
    // The scheduler or its store was away, so the lists are empty: what was known is still the best there is. The
    // server sends another snapshot when the store is back; a store that failed a single question is never called
    // away, so the page asks again as well.
    if (leading) emptyTimer = setTimeout(reopen, ASK_AGAIN * (0.75 + Math.random() / 2));
    return;
  }
  touched = new Set();
  putJobs(rows);
  putRuns([...latest].reverse());
  keepOpenRuns(new Set(latest.map((run) => run.run_id)));
  if (cursor) {
    if (leading) loadRest(cursor, new Set(rows.map((row) => row.job_id)));
  } else {
    keepJobs(new Set(rows.map((row) => row.job_id)));
    complete.value = true;
  }
}

async function loadRest(cursor, ids) {
  const mine = ++loading;
  try {
    while (cursor && mine === loading) {
      const page = await get("api/jobs", { limit: 1000, cursor });
      if (mine !== loading) return;
      for (const row of page.jobs) ids.add(row.job_id);
      const fresh = page.jobs.filter((row) => !touched.has(row.job_id));
      putJobs(fresh);
      tell({ rows: fresh });
      cursor = page.next_cursor;
      // A page of a thousand rows takes a while to read: let the browser draw in between.
      await new Promise((resolve) => setTimeout(resolve));
    }
    for (const id of touched) if (jobs.has(id)) ids.add(id);
    keepJobs(ids);
    complete.value = true;
    tell({ keep: [...ids] });
  } catch {
    if (mine === loading) retryTimer = setTimeout(() => loadRest(cursor, ids), 3000);
  }
}

// The stream -----------------------------------------------------------------------------------------------------

async function open() {
  clearTimeout(retryTimer);
  const mine = (abort = new AbortController());
  const begun = Date.now();
  let wait = null;
  try {
    const headers = { Accept: "text/event-stream", ...authorization() };
    if (lastId !== null) headers["Last-Event-ID"] = lastId;
    const watchdog = setInterval(() => {
      // An attempt to connect is no news: it counts here, and not in the age that the page shows.
      if (Date.now() - Math.max(heardAt.peek(), begun) > SILENCE) mine.abort();
    }, 5000);
    try {
      const answer = await fetch("./events", { headers, signal: mine.signal, cache: "no-store" });
      if (answer.status === 401) {
        needsToken.value = true;
        say("unauthorised");
        return;
      }
      if (!answer.ok) {
        wait = Number(answer.headers.get("retry-after")) * 1000 || null;
        throw new Error(String(answer.status));
      }
      failures = 0;
      await read(answer.body.getReader());
    } finally {
      clearInterval(watchdog);
    }
  } catch {
    // Away, restarting or silent: whichever it is, it is tried again.
  }
  if (abort !== mine) return;
  abort = null;
  if (connection.value !== "stopping") say("lost");
  failures++;
  // Not all browsers at once, after a restart.
  retryTimer = setTimeout(open, wait ?? Math.min(500 * 2 ** failures, 8000) * (0.75 + Math.random() / 2));
}

async function read(reader) {
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    seen();
    if (connection.value !== "live") say("live");
    rest += decoder.decode(value, { stream: true });
    const messages = rest.split("\n\n");
    rest = messages.pop();
    // What came together is drawn together.
    if (batch(() => messages.map(readMessage)).includes("shutdown")) {
      tell({ state: "stopping" });
      return;
    }
    tell({ beat: true });
  }
}

function readMessage(message) {
  let name = "";
  let id = "";
  let text = "";
  for (const line of message.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("id: ")) id = line.slice(4);
    else if (line.startsWith("data: ")) text += line.slice(6);
  }
  if (name) {
    take(name, id, text);
    tell({ name, id, text });
  }
  return name;
}

function say(state) {
  if (state === "live") heardAt.value = Date.now();
  connection.value = state;
  tell({ state });
}

function close() {
  clearTimeout(retryTimer);
  clearTimeout(emptyTimer);
  const old = abort;
  abort = null;
  old?.abort();
}

/** Read the stream from its beginning, with a snapshot of everything. */
function reopen() {
  if (abort === null) return;
  close();
  lastId = null;
  open();
}

// Between tabs ---------------------------------------------------------------------------------------------------

let leading = true;
let channel = null;
const me = Math.random().toString(36).slice(2);

const tell = (message) => {
  if (leading) channel?.postMessage(message);
};

function hear({ data }) {
  if (leading) {
    if (data.hello) introduce(data.hello);
    return;
  }
  if (data.to && data.to !== me) return;
  // Only these two came from the server; the rest the other tab says of itself.
  const news = data.name || data.beat;
  if (news) seen();
  if (data.heardAt) heardAt.value = data.heardAt;
  if (data.name) take(data.name, data.id, data.text);
  if (data.state) connection.value = data.state;
  else if (news && connection.value !== "live" && connection.value !== "stopping") connection.value = "live";
  if (data.rows) putJobs(data.rows);
  if (data.keep) {
    keepJobs(new Set(data.keep));
    complete.value = true;
  }
  if (data.runs) {
    putRuns(data.runs);
    lastId = data.id;
    stats.value = data.stats;
  }
  if (data.needsToken) needsToken.value = true;
}

/** Tell a tab that has just opened what the stream has told so far. */
async function introduce(to) {
  if (stats.value === null) return;
  const tellIt = (message) => channel.postMessage({ to, ...message });
  tellIt({ runs: [...runs.values()].slice(-500), id: lastId, stats: stats.value, state: connection.value, heardAt: heardAt.peek() });
  const ids = [...jobs.keys()];
  for (let start = 0; start < ids.length; start += CHUNK) {
    // Read now and not before: what changed meanwhile has been told already.
    const rows = ids.slice(start, start + CHUNK).map((id) => jobs.get(id)).filter(Boolean);
    tellIt({ rows });
    await new Promise((resolve) => setTimeout(resolve));
  }
  if (complete.value) tellIt({ keep: [...jobs.keys()] });
}

function lead() {
  leading = true;
  // Who led before may have gone in the middle of reading the list.
  if (!complete.value) lastId = null;
  open();
}

export function start() {
  if (!navigator.locks || typeof BroadcastChannel === "undefined") {
    lead();
    let hiding = null;
    document.addEventListener("visibilitychange", () => {
      clearTimeout(hiding);
      if (document.hidden) hiding = setTimeout(close, HIDDEN_FOR);
      else if (abort === null) open();
    });
    return;
  }
  leading = false;
  const name = `asched ${location.pathname} ${tokenMark()}`;
  channel = new BroadcastChannel(name);
  channel.onmessage = hear;
  navigator.locks.request(name, () => {
    lead();
    return new Promise(() => {});
  });
  const hello = () => {
    if (leading || stats.value !== null) return;
    channel.postMessage({ hello: me });
    setTimeout(hello, HELLO_WAITS);
  };
  setTimeout(hello, 50);
  setInterval(() => {
    // The tab that leads may have been frozen by the browser.
    if (!leading && connection.value === "live" && Date.now() - heardAt.peek() > SILENCE) connection.value = "lost";
  }, 5000);
}

/** Try again now, not after the wait. */
export function retryNow() {
  if (leading && abort === null) open();
}

export const isLive = () => connection.value === "live";
/** The scheduler runs and its store answers, as far as the page was told. */
export const answers = computed(() => stats.value === null || (stats.value.running && stats.value.store_available));
export const canAct = (action) => isLive() && answers.value && status.value !== null && status.value.actions.includes(action);
export { clock };
