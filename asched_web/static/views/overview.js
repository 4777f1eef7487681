// What is wrong, what runs, what comes, and how the last hour went. Every number leads to the list behind it.
import { cx, html, useEffect, useState } from "../ui.js";
import { get } from "../api.js";
import { cancelRun } from "../actions.js";
import { duration, full, moment, percent } from "../format.js";
import { number, t } from "../i18n.js";
import { answers, canAct, connection } from "../live.js";
import { letters } from "../letters.js";
import { link } from "../router.js";
import { complete, countJobs, isFailed, jobs, jobsMoved, now, openRuns, putRuns, runAt, runs, stats } from "../store.js";
import { Card, Empty, ErrorLine, Head, IconButton, jobLink, Loading, Progress, runLink, State, tookOf, When } from "../components/bits.js";
import { Bars } from "../components/chart.js";
import { Icon } from "../components/icon.js";

const HOUR = 3600_000;
const PAGES = 3;

export function Overview() {
  const [known, setKnown] = useState(null);
  useEffect(() => {
    // The stream tells of what comes; the hour before is read once.
    if (connection.value === "live" && answers.value && known === null) loadHour().then(setKnown, () => {});
  }, [connection.value, answers.value, known]);
  jobsMoved.value;
  const counts = countJobs(now.value);
  return html`<div class="view view-overview"><${Head} title=${t("nav.overview")} note=${uptimeNote()} />
    <${Numbers} counts=${counts} />
    <div class="columns">
      <${Problems} counts=${counts} />
      <${RunningNow} />
      <${NextDay} />
      <${LastHour} since=${known} />
    </div></div>`;
}

/** Read the runs of the last hour, a few thousand at most; returns since when they are known, in milliseconds. */
async function loadHour() {
  let cursor;
  let oldest = now.peek();
  for (let page = 0; page < PAGES; page++) {
    const answer = await get("api/history", { limit: 1000, cursor });
    putRuns([...answer.history].reverse());
    for (const run of answer.history) if (run.ended_at) oldest = Math.min(oldest, runAt(run));
    cursor = answer.next_cursor;
    if (!cursor) return 0;
    if (oldest < now.peek() - HOUR) return oldest;
  }
  return oldest;
}

function uptimeNote() {
  const figures = stats.value?.statistics;
  if (!figures) return stats.value ? t(stats.value.running ? "live.storeAway" : "overview.notRunning") : "";
  return t("overview.uptime", { d: duration(Math.floor(figures.uptime)) });
}

function Numbers({ counts }) {
  const figures = stats.value?.statistics;
  const list = [
    ["active", figures?.active_jobs, link(["jobs"], { state: "scheduled" })],
    ["running", figures?.active_runs, link(["runs"], { status: "running" })],
    ["runs", figures?.total_runs, link(["runs"])],
    ["failures", figures?.total_failures, link(["runs"], { status: "failed" }), figures?.total_failures > 0],
    ["rate", figures && (figures.total_runs ? percent(figures.success_rate) : "–"), link(["runs"])],
    ["letters", figures && letters.value, link(["dead-letters"]), letters.value > 0],
  ];
  return html`<ul class="numbers">${list.map(([key, value, href, bad]) => html`
    <li key=${key}><a href=${href}><span class=${cx("number nums", bad && "tone-bad")}>${value === undefined || value === null ? "–" : typeof value === "number" ? number(value) : value}</span>
      <span class="number-label">${t(`overview.${key}`)}</span></a></li>`)}</ul>`;
}

function problemsOf(counts) {
  const list = [];
  if (stats.value && !stats.value.store_available) list.push(["bad", t("problem.store"), null]);
  for (const { part, error } of stats.value?.failures ?? []) list.push(["bad", t("problem.part", { part, error }), null]);
  if (stats.value && !stats.value.running) list.push(["bad", t("problem.stopped"), null]);
  if (counts.overdue) list.push(["bad", t("problem.overdue", { n: counts.overdue }), link(["jobs"], { state: "overdue" })]);
  if (counts.failing) list.push(["bad", t("problem.failing", { n: counts.failing }), link(["jobs"], { state: "failing" })]);
  if (letters.value) list.push(["bad", t("problem.letters", { n: letters.value }), link(["dead-letters"])]);
  if (counts.status.unresolved) list.push(["warn", t("problem.unresolved", { n: counts.status.unresolved }), link(["jobs"], { state: "unresolved" })]);
  if (counts.status.paused) list.push(["idle", t("problem.paused", { n: counts.status.paused }), link(["jobs"], { state: "paused" })]);
  return list;
}

const PROBLEM_ICONS = { bad: "warn", warn: "help", idle: "pause" };

function Problems({ counts }) {
  const list = problemsOf(counts);
  // That nothing is wrong can be said when everything was read, and not before.
  const unread = stats.value === null || (!complete.value && !list.length);
  return html`<${Card} id="problems" title=${t("overview.problems")}>
    ${unread ? html`<${Loading} rows="3" />` : !list.length ? html`<${Empty} title=${t("overview.fine")}><p>${t("overview.fineText")}</p><//>`
      : html`<ul class="problems">${list.map(([tone, text, href]) => html`<li key=${text} class=${`tone-${tone}`}><${Icon} name=${PROBLEM_ICONS[tone]} />
        ${href ? html`<a href=${href}>${text}<${Icon} name="right" size="14" /></a>` : html`<span>${text}</span>`}</li>`)}</ul>`}<//>`;
}

// As many as fit the card's least height: a list that grows and shrinks all day must not move what is below it.
const RUNNING_SHOWN = 4;

function RunningNow() {
  // Once a second is soon enough, however many runs begin in it.
  now.value;
  const list = openRuns();
  return html`<${Card} id="running" title=${t("overview.runningNow")} extra=${list.length > RUNNING_SHOWN && html`<a href=${link(["runs"], { status: "running" })}>${t("overview.allN", { n: list.length })}</a>`}>
    ${stats.value === null ? html`<${Loading} rows="3" />` : !list.length ? html`<${Empty} icon=${answers.value ? "clock" : "warn"} title=${t(answers.value ? "overview.nothingRuns" : "overview.unknown")}><//>`
      : html`<ul class="run-list">${list.slice(0, RUNNING_SHOWN).map((run) => html`<${OpenRun} key=${run.run_id} run=${run} />`)}</ul>`}<//>`;
}

function OpenRun({ run }) {
  const job = jobs.get(run.job_id);
  return html`<li><a class="two-lines" href=${runLink(run.run_id)}><span class="name">${job?.job_name || run.job_id}</span>
      <small>${run.status === "retrying" ? html`<${ErrorLine} error=${run.error} />` : html`${t("run.for", { d: tookOf(run) })}`}</small></a>
    ${run.progress ? html`<${Progress} of=${run.progress} />` : html`<span></span>`}<${State} of=${run.status} />
    ${canAct("operate") ? html`<${IconButton} icon="cancel" danger label=${t("act.cancelRun")} onClick=${() => cancelRun(run)} />` : null}</li>`;
}

/** The agenda of the coming hours, read again each minute. */
export function useAgenda(hours) {
  const [state, setState] = useState({ agenda: null, error: null });
  useEffect(() => {
    let gone = false;
    const load = () => {
      if (document.hidden || connection.peek() !== "live" || !answers.peek()) return;
      get("api/agenda", { hours }).then(
        (agenda) => !gone && setState({ agenda, error: null, hours }),
        (error) => !gone && setState((old) => (old.hours === hours ? { ...old, error } : { agenda: null, error, hours })),
      );
    };
    load();
    const timer = setInterval(load, 60_000);
    return () => {
      gone = true;
      clearInterval(timer);
    };
    // A lost connection empties nothing: what was read is shown until something newer comes.
  }, [hours, connection.value === "live", answers.value, jobs.size]);
  return state.hours === hours ? state : { agenda: null, error: null };
}

function NextDay() {
  const { agenda } = useAgenda(24);
  const soon = [...jobs.values()].filter((row) => row.nextAt !== null && !row.paused);
  now.value;
  const next = soon.sort((a, b) => a.nextAt - b.nextAt).slice(0, 5);
  return html`<${Card} id="next-day" title=${t("overview.nextDay")} extra=${html`<a href="#/agenda">${t("nav.agenda")}</a>`}>
    ${agenda === null ? html`<${Loading} rows="3" />` : html`<${AgendaBars} agenda=${agenda} height="72" />
      ${agenda.often.length ? html`<p class="note">${t("agenda.besides", { n: agenda.often.length })}</p>` : null}`}
    ${next.length ? html`<ul class="next-list">${next.map((row) => html`<li key=${row.job_id}><a href=${jobLink(row.job_id)}>${row.job_name}</a>
      <${When} at=${row.nextAt} zone=${row.timezone} /></li>`)}</ul>` : complete.value ? html`<p class="note">${t("overview.noNext")}</p>` : null}<//>`;
}

export function AgendaBars({ agenda, height, chosen, onChoose }) {
  const from = Date.parse(agenda.from);
  const step = agenda.step * 1000;
  const total = agenda.starts.reduce((sum, n) => sum + n, 0);
  const bars = agenda.starts.map((n, i) => ({
    key: i, parts: [["busy", n]], title: `${moment(from + i * step, now.peek(), undefined, false)}: ${t("agenda.starts", { n })}`,
  }));
  return html`<${Bars} bars=${bars} height=${height} from=${from} until=${from + step * agenda.starts.length} chosen=${chosen} onChoose=${onChoose}
    label=${t("agenda.picture", { n: total, hours: Math.round((step * agenda.starts.length) / HOUR) })} />`;
}

const MINUTES = 60;

function LastHour({ since }) {
  const end = Math.ceil(now.value / 60_000) * 60_000;
  const begin = end - HOUR;
  const slots = Array.from({ length: MINUTES }, () => [0, 0]);
  let good = 0;
  let bad = 0;
  for (const run of runs.values()) {
    if (!run.ended_at) continue;
    const at = Date.parse(run.ended_at);
    if (at < begin) continue;
    const failed = isFailed(run.status);
    if (!failed && run.status !== "succeeded") continue;
    slots[Math.min(MINUTES - 1, Math.floor((at - begin) / 60_000))][failed ? 1 : 0]++;
    failed ? bad++ : good++;
  }
  const bars = slots.map(([n, failed], i) => ({
    key: i, parts: [["good", n], ["bad", failed]],
    title: `${moment(begin + i * 60_000, now.peek(), undefined, false)}: ${t("overview.minute", { good: n, bad: failed })}`,
  }));
  const flaky = worst();
  return html`<${Card} id="last-hour" title=${t("overview.lastHour")} extra=${since !== null && html`<span class="note nums">${t("overview.hourSum", { good, bad })}</span>`}>
    ${since === null ? html`<${Loading} rows="3" />` : html`<${Bars} bars=${bars} height="72" from=${begin} until=${end} label=${t("overview.hourPicture", { good, bad })} />`}
    ${since > begin ? html`<p class="note">${t("overview.since", { at: moment(since, now.peek()) })}</p>` : null}
    ${flaky.length ? html`<h3>${t("overview.worst")}</h3><ul class="next-list worst">${flaky.map((row) => html`<li key=${row.job_id}><a href=${jobLink(row.job_id)}>${row.job_name}</a>
      <span class="nums tone-bad" title=${full(row.lastAt ?? now.peek())}>${t("overview.ofRuns", { failed: row.failure_count, n: row.run_count })}</span></li>`)}</ul>` : null}<//>`;
}

function worst() {
  const list = [...jobs.values()].filter((row) => row.failure_count > 0);
  return list.sort((a, b) => b.failure_count / b.run_count - a.failure_count / a.run_count || b.failure_count - a.failure_count).slice(0, 4);
}
