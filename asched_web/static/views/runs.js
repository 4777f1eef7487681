// All runs, the newest first, filtered by status, job or function. New ones come on top while nobody points at the list.
import { html, useEffect, useRef, useState, useThrottled } from "../ui.js";
import { whyOf } from "../actions.js";
import { get } from "../api.js";
import { t, word } from "../i18n.js";
import { answers, connection } from "../live.js";
import { route, setQuery } from "../router.js";
import { byNews, isOpen, newsAt, runs as known, runsChanged } from "../store.js";
import { Button, Chip, Empty, Failure, Head, Loading } from "../components/bits.js";
import { RunsTable } from "../components/runs_table.js";

const STATUSES = ["running", "retrying", "pending", "succeeded", "failed", "timed_out", "lost", "cancelled", "skipped", "missed"];
const PAGE = 50;
const EVERY = 1_000; // milliseconds between two looks at what has come

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

/**
 * Runs a page at a time. The first page follows the schedule; the others stand still. Nothing is added at the end of a
 * page, so the document stays as small as it began.
 */
export function RunList({ status = "", job = "", plain, label }) {
  const [page, setPage] = useState(null); // {runs, more}
  const [trail, setTrail] = useState([]); // cursors of the pages one has gone to; none: the first page
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const held = useRef(false);
  const [late, setLate] = useState(0);
  const box = useRef(null);
  const live = trail.length === 0;

  const read = (cursor) => get("api/history", { status, job_id: job, limit: PAGE, cursor });
  const load = async (find, path) => {
    setBusy(true);
    try {
      const found = await find();
      if (found) {
        setPage({ runs: found.history.sort(byNews), more: Boolean(found.next_cursor), cursor: found.next_cursor });
        setTrail(path(found));
        setLate(0);
      }
      setError(null);
    } catch (failed) {
      setError(failed);
    }
    setBusy(false);
  };
  const first = () => load(() => read(), () => []);
  const older = async () => {
    let from = page.cursor;
    // The first page has moved on since it was read: what follows it now is asked for.
    const find = async () => {
      if (live) from = (await read()).next_cursor;
      return from ? read(from) : null;
    };
    await load(find, () => [...trail, from]);
    box.current?.scrollIntoView({ block: "nearest" });
  };
  const newer = () => (trail.length > 1 ? load(() => read(trail.at(-2)), () => trail.slice(0, -1)) : first());

  useEffect(() => {
    first();
  }, []);
  useEffect(() => {
    if (!page && error && connection.value === "live" && answers.value) first();
  }, [connection.value, answers.value]);

  /** What the first page is now, and how many runs in it are new. */
  const fresh = () => {
    const shown = new Set();
    const next = [];
    for (const run of page.runs) {
      const now = known.get(run.run_id) || run;
      shown.add(run.run_id);
      // One that no longer fits stays as long as it is looked at: it would pull the others up.
      if (!status || now.status === status || held.current) next.push(now);
    }
    // A run may begin and end between two messages, so it is measured by the last of the page and not by the first.
    const last = page.more || page.runs.length >= PAGE ? Math.min(...page.runs.filter((run) => !isOpen(run.status)).map(newsAt)) : -Infinity;
    const coming = [];
    for (const run of known.values()) {
      if (shown.has(run.run_id) || (job && run.job_id !== job) || (status && run.status !== status)) continue;
      if (isOpen(run.status) || newsAt(run) >= last) coming.push(run);
    }
    return { next, coming };
  };
  const follow = () => {
    if (!live || !page) return;
    const { next, coming } = fresh();
    if (held.current) {
      setLate(coming.length);
      if (next.some((run, i) => run !== page.runs[i])) setPage({ ...page, runs: next });
      return;
    }
    setLate(0);
    const all = [...next, ...coming].sort(byNews);
    // Under a filter runs leave as well, and others stand behind them.
    if (all.length < PAGE && page.more && !busy) return first();
    if (all.length === page.runs.length && all.every((run, i) => run === page.runs[i])) return;
    setPage({ ...page, runs: all.slice(0, PAGE), more: page.more || all.length > PAGE });
  };
  useThrottled(() => runsChanged.value, EVERY, follow, [page === null, live]);
  const release = () => {
    held.current = false;
    follow();
  };

  if (error && !page) return html`<${Failure} error=${error} retry=${first} />`;
  if (!page) return html`<${Loading} rows="8" />`;
  if (!page.runs.length) return html`<${Empty} icon="runs" title=${status || job ? t("runs.noneMatch") : t("runs.none")} />`;
  return html`<div class="run-box" ref=${box} onPointerEnter=${(event) => (held.current = event.pointerType === "mouse")} onPointerLeave=${release}
      onFocusIn=${() => (held.current = true)} onFocusOut=${(event) => !event.currentTarget.contains(event.relatedTarget) && release()}>
    <p class="list-note nums">${late ? html`<button type="button" class="text-button" onClick=${release}>${t("runs.newer", { n: late })}</button>` : "\u00a0"}</p>
    <${RunsTable} runs=${page.runs} plain=${plain} label=${label} />
    ${!live || page.more ? html`<div class="more"><${Button} disabled=${live || busy} onClick=${newer}>${t("act.newer")}<//>
      <span class="note nums">${t("runs.page", { n: trail.length + 1 })}</span><${Button} disabled=${!page.more || busy} onClick=${older}>${t("act.older")}<//></div>` : null}
    ${error && html`<p class="fault" role="alert">${whyOf(error)}</p>`}</div>`;
}
