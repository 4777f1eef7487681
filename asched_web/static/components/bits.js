// Small pieces that every view is made of.
import { computed, cx, html, useEffect, useMemo, useRef, useState } from "../ui.js";
import { tell, whyOf } from "../actions.js";
import { duration, full, HERE, json, moment, relative, zoneName } from "../format.js";
import { lang, number, t, word } from "../i18n.js";
import { status as site } from "../api.js";
import { answers, connection } from "../live.js";
import { heading } from "../router.js";
import { isFailed, isOverdue, now } from "../store.js";
import { Icon } from "./icon.js";

/** Which colour a status has. Its word always stands beside the colour. */
const TONES = {
  succeeded: "good", ok: "good", failed: "bad", timed_out: "bad", lost: "bad", error: "bad", timeout: "bad",
  running: "busy", pending: "busy", retrying: "warn", interrupted: "warn", missed: "warn", unresolved: "warn",
  alive: "good", dead: "bad",
  paused: "idle", skipped: "idle", cancelled: "idle", finished: "idle", scheduled: "calm",
};
export const tone = (name) => TONES[name] || "calm";

export const State = ({ of, family = "status", plain }) => html`
  <span class=${cx("state", `tone-${tone(of)}`, plain && "plain")}><i class="dot"></i>${word(family, of)}</span>`;

/** A button with a picture and no words; its name is its tooltip as well. */
export const IconButton = ({ icon, label, onClick, disabled, tabIndex, danger }) => html`
  <button type="button" class=${cx("icon-button", danger && "danger")} aria-label=${label} title=${label}
    onClick=${onClick} disabled=${disabled} tabindex=${tabIndex}><${Icon} name=${icon} /></button>`;

export const Button = ({ icon, children, kind, ...rest }) => html`
  <button type="button" class=${cx("button", kind)} ...${rest}>${icon && html`<${Icon} name=${icon} />`}<span>${children}</span></button>`;

/** A screen's heading, which is the window's title as well. */
export function Head({ title, note, children }) {
  useEffect(() => {
    heading.value = title;
  }, [title]);
  return html`<header class="head"><div class="head-text"><h1 tabindex="-1">${title}</h1>${note && html`<p class="note">${note}</p>`}</div>
    ${children && html`<div class="head-actions">${children}</div>`}</header>`;
}

/** `many` is for one of a list of cards: a region each would be more landmarks than help. */
export const Card = ({ title, extra, children, wide, id, many }) => html`
  <${many ? "div" : "section"} class=${cx("card", wide && "wide")} role=${many ? "group" : undefined} aria-labelledby=${id}>
    ${title && html`<div class="card-head"><h2 id=${id}>${title}</h2>${extra}</div>`}${children}<//>`;

export const Empty = ({ icon = "check", title, children }) => html`
  <div class="empty"><${Icon} name=${icon} size="28" /><p class="empty-title">${title}</p>${children}</div>`;

export const Loading = ({ rows = 4 }) => html`
  <div class="skeleton" role="status" aria-label=${t("state.loading")}>${Array.from({ length: rows }, () => html`<div class="bone"></div>`)}</div>`;

export const Failure = ({ error, retry }) => html`
  <div class="empty" role="alert"><${Icon} name="warn" size="28" />
    <p class="empty-title">${error.code === 404 ? t("error.gone") : t("error.read")}</p>
    <p>${whyOf(error)}</p>
    ${retry && html`<${Button} icon="replay" onClick=${retry}>${t("act.retry")}<//>`}</div>`;

/** An instant: how far away, and what the clock reads. `at` in milliseconds. */
export function When({ at, zone, live = true }) {
  if (at === null || at === undefined || Number.isNaN(at)) return html`<span class="faint">–</span>`;
  return html`<${Ago} at=${at} zone=${zone} live=${live} />`;
}

function Ago({ at, zone, live }) {
  // Drawn again when its words change, which for most is once a minute.
  const text = useMemo(() => computed(() => relative((at - (live ? now.value : now.peek())) / 1000)), [at, live]);
  return html`<time datetime=${new Date(at).toISOString()} title=${full(at, zone)}>${text.value}</time>`;
}

export const Moment = ({ at, zone }) =>
  at === null || at === undefined || Number.isNaN(at)
    ? html`<span class="faint">–</span>`
    : html`<time class="nums" datetime=${new Date(at).toISOString()} title=${full(at, zone)}>${moment(at, now.peek(), zone)}</time>`;

/** The zone a job's times are read in. */
export const zoneOf = (job) => job.timezone || site.value?.timezone || "UTC";

/** Next run of a job: how far away on the first line, its own clock on the second. */
export function NextRun({ job }) {
  if (job.nextAt === null || job.paused) return html`<span class="faint">–</span>`;
  const zone = zoneOf(job);
  const overdue = isOverdue(job, now.value);
  return html`<span class=${cx("two-lines", overdue && "tone-bad")}>
    <span>${overdue ? t("job.overdue", { d: duration((now.value - job.nextAt) / 1000) }) : html`<${When} at=${job.nextAt} zone=${zone} />`}</span>
    <small class="nums whole">${moment(job.nextAt, now.value, zone, false)}${zone !== HERE ? ` ${zoneName(zone)}` : ""}</small></span>`;
}

// The last runs as bars: tall is bad, middle is good, low did nothing. One path for each tone keeps a row small.
const HEIGHTS = { good: 11, bad: 16, warn: 16, busy: 7, idle: 4 };
export const BARS = 20;

export function RunBars({ list }) {
  if (!list || !list.length) return html`<span class="faint">–</span>`;
  const paths = {};
  const counts = {};
  const offset = BARS - list.length;
  list.forEach((run, i) => {
    const name = tone(run.status);
    const height = HEIGHTS[name] || 4;
    paths[name] = `${paths[name] || ""}M${(offset + i) * 5} ${16 - height}h3.4v${height}h-3.4z`;
    counts[run.status] = (counts[run.status] || 0) + 1;
  });
  const label = Object.entries(counts).map(([name, n]) => `${number(n)} ${word("status", name)}`).join(", ");
  const title = t("runs.last", { n: list.length, list: label });
  return html`<svg class="bars" width="99" height="16" viewBox="0 0 99 16" role="img" aria-label=${title}>
    ${Object.entries(paths).map(([name, d]) => html`<path key=${name} class=${`fill-${name}`} d=${d} />`)}</svg>`;
}

export function Progress({ of }) {
  if (!of) return null;
  const share = of.total ? Math.min(1, Math.max(0, of.done / of.total)) : null;
  const text = of.total ? `${number(of.done)} / ${number(of.total)}` : number(of.done);
  return html`<span class="progress"><progress value=${share} max="1" aria-label=${t("run.progress")}></progress><span class="nums">${text}</span></span>`;
}

export const runLink = (id) => `#/runs/${encodeURIComponent(id)}`;
export const jobLink = (id) => `#/jobs/${encodeURIComponent(id)}`;

/** Puts a text on the clipboard. Browsers offer it on https and localhost only; elsewhere the text is there to select. */
export const Copy = ({ text }) => (navigator.clipboard
  ? html`<${IconButton} icon="copy" label=${t("act.copyText", { text })} onClick=${() => navigator.clipboard.writeText(text).then(() => tell(t("did.copied", { text })), () => {})} />`
  : null);

export const Json = ({ value }) => html`<pre class="code" tabindex="0">${json(value)}</pre>`;

export const ErrorLine = ({ error }) =>
  error ? html`<span class="error-line"><b>${error.type}</b>${error.message ? `: ${error.message}` : ""}</span>` : null;

/** What happened to a run, in words: its reason, or how many instants it stands for. */
export function RunNote({ run }) {
  const notes = [];
  if (run.manual) notes.push(t("run.manual"));
  if (run.replay_of) notes.push(t("run.replay"));
  if (run.reason) notes.push(word("reason", run.reason));
  if (run.count > 1) notes.push(t("run.instants", { n: run.count }));
  if (run.attempt > 1) notes.push(t("run.attemptN", { n: run.attempt }));
  return notes.length ? html`<span class="note">${notes.join(" · ")}</span>` : null;
}

export const tookOf = (run) => {
  if (run.status === "pending") return "–";
  if (run.duration !== null) return duration(run.duration);
  if (run.started_at && !isFailed(run.status)) return duration(Math.max(0, (now.value - Date.parse(run.started_at)) / 1000));
  return "–";
};

/** Load something for as long as a view shows it; `again` loads it anew and keeps what is there meanwhile. */
export function useLoad(load, inputs) {
  const [state, setState] = useState({ data: null, error: null });
  const latest = useRef(0);
  const again = () => {
    const mine = ++latest.current;
    return load().then(
      (data) => mine === latest.current && setState({ data, error: null }),
      (error) => mine === latest.current && setState((old) => ({ data: error.code === 404 ? null : old.data, error })),
    );
  };
  useEffect(() => {
    setState({ data: null, error: null });
    again();
    return () => latest.current++;
  }, inputs);
  const failed = Boolean(state.error);
  useEffect(() => {
    // What failed while the server or its store was away is read when it is back.
    if (failed && connection.value === "live") again();
  }, [connection.value, answers.value]);
  return { ...state, again };
}

export function Chip({ on, n, state, onClick, children }) {
  const box = useRef(null);
  useEffect(() => {
    // On a narrow screen the chips are a row that scrolls, and the chosen one may be outside.
    const row = box.current.parentElement;
    if (on) row.scrollLeft = box.current.offsetLeft - row.offsetLeft - (row.clientWidth - box.current.offsetWidth) / 2;
  }, [Boolean(on)]);
  return html`<button ref=${box} type="button" class=${cx("chip", state && `chip-${state}`, n === 0 && "none")} aria-pressed=${Boolean(on)} onClick=${onClick}>${children}
    ${n === undefined ? null : html`<span class="nums">${number(n)}</span>`}</button>`;
}

/** The schedule in words, in the page's language. */
export const scheduleOf = (job) => (lang.value === "zh" ? job.schedule_zh : job.schedule);
