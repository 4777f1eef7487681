// All runs, the newest first, filtered by status, job or function. New ones come on top while nobody points at the list.
import { html, useEffect, useRef, useState } from "../ui.js";
import { get } from "../api.js";
import { t, word } from "../i18n.js";
import { route, setQuery } from "../router.js";
import { isOpen, runAt, runs as known, runsChanged } from "../store.js";
import { Button, Chip, Empty, Failure, Head, Loading } from "../components/bits.js";
import { RunsTable } from "../components/runs_table.js";

const STATUSES = ["running", "retrying", "pending", "succeeded", "failed", "timed_out", "lost", "cancelled", "skipped", "missed"];
const PAGE = 50;
const MOST_NEW = 200;

export function Runs() {
  const query = route.value.query;
  const status = STATUSES.includes(query.get("status")) ? query.get("status") : "";
  const job = query.get("job") || "";
  const key = `${status} ${job}`;
  return html`<div class="view"><${Head} title=${t("nav.runs")} note=${job ? t("runs.ofJob", { name: job }) : t("runs.note")}>
      ${job && html`<${Button} icon="cancel" onClick=${() => setQuery({ job: "" })}>${t("runs.allJobs")}<//>`}<//>
    <div class="toolbar"><div class="chips" role="group" aria-label=${t("jobs.filterState")}>
      <${Chip} on=${!status} onClick=${() => setQuery({ status: "" })}>${t("jobs.all")}<//>
      ${STATUSES.map((name) => html`<${Chip} key=${name} on=${status === name} onClick=${() => setQuery({ status: status === name ? "" : name })}>${word("status", name)}<//>`)}
    </div></div>
    <${RunList} key=${key} status=${status} job=${job} label=${t("nav.runs")} /></div>`;
}

/** A list of runs that goes on at its end when asked, and at its beginning by itself. */
export function RunList({ status = "", job = "", plain, label }) {
  const [list, setList] = useState(null);
  const [cursor, setCursor] = useState(null);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const held = useRef(false);
  const [late, setLate] = useState(0);

  const load = async (from) => {
    setBusy(true);
    try {
      const page = await get("api/history", { status, job_id: job, limit: PAGE, cursor: from });
      setList((old) => merged(from ? old : [], page.history));
      setCursor(page.next_cursor);
      setError(null);
    } catch (failed) {
      setError(failed);
    }
    setBusy(false);
  };
  useEffect(() => {
    load();
  }, []);

  const fresh = () => {
    if (!list) return null;
    const shown = new Map(list.map((run) => [run.run_id, run]));
    const newest = list.length ? Math.max(...list.map(runAt)) : 0;
    let changed = false;
    let coming = 0;
    const next = [];
    for (const run of list) {
      const now = known.get(run.run_id) || run;
      if (now !== run) changed = true;
      // One that no longer fits stays as long as it is looked at: it would pull the others up.
      if (!status || now.status === status || held.current) next.push(now);
      else changed = true;
    }
    for (const run of known.values()) {
      if (shown.has(run.run_id) || (job && run.job_id !== job) || (status && run.status !== status)) continue;
      if (runAt(run) < newest && !isOpen(run.status)) continue;
      coming++;
      if (!held.current) next.push(run);
    }
    return { changed: changed || (coming > 0 && !held.current), coming, next };
  };
  useEffect(() => {
    const found = fresh();
    if (!found) return;
    setLate(held.current ? found.coming : 0);
    if (found.changed) setList(merged([], found.next).slice(0, Math.max(list.length, MOST_NEW)));
  }, [runsChanged.value]);

  const release = () => {
    held.current = false;
    setLate(0);
    const found = fresh();
    if (found?.changed) setList(merged([], found.next));
  };

  if (error && !list) return html`<${Failure} error=${error} retry=${() => load()} />`;
  if (!list) return html`<${Loading} rows="8" />`;
  if (!list.length) return html`<${Empty} icon="runs" title=${status || job ? t("runs.noneMatch") : t("runs.none")} />`;
  return html`<div class="run-box" onPointerEnter=${(event) => (held.current = event.pointerType === "mouse")} onPointerLeave=${release}
      onFocusIn=${() => (held.current = true)} onFocusOut=${(event) => !event.currentTarget.contains(event.relatedTarget) && release()}>
    <p class="list-note nums">${late ? html`<button type="button" class="text-button" onClick=${release}>${t("runs.newer", { n: late })}</button>` : "\u00a0"}</p>
    <${RunsTable} runs=${list} plain=${plain} label=${label} />
    ${cursor && html`<div class="more"><${Button} disabled=${busy} onClick=${() => load(cursor)}>${t("act.more")}<//></div>`}
    ${error && html`<p class="fault" role="alert">${error.message}</p>`}</div>`;
}

function merged(before, after) {
  const all = new Map(before.map((run) => [run.run_id, run]));
  for (const run of after) all.set(run.run_id, run);
  return [...all.values()].sort((a, b) => isOpen(b.status) - isOpen(a.status) || runAt(b) - runAt(a));
}
