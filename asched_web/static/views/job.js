// One job: when it runs next, how its runs went, what it is made of.
import { html, useEffect, useRead } from "../ui.js";
import { cancelJob, pause, resume, runNow } from "../actions.js";
import { get, jobPath, may } from "../api.js";
import { duration, full, HERE, moment, percent, sameDay, zoneName } from "../format.js";
import { lang, number, t, word } from "../i18n.js";
import { canAct, connection } from "../live.js";
import { go, link } from "../router.js";
import { isFailed, isOpen, jobs, jobsChanged, now, runAt, runs } from "../store.js";
import { Button, Card, Copy, Failure, Head, Json, Loading, Moment, NextRun, scheduleOf, State, tone, useLoad, When, zoneOf } from "../components/bits.js";
import { RunChart } from "../components/chart.js";
import { Icon } from "../components/icon.js";
import { RunList } from "./runs.js";

const CHARTED = 100;

export function JobPage({ id }) {
  const row = useRead(() => (jobsChanged.value, jobs.get(id)), [id]);
  const { data, error, again } = useLoad(() => get(jobPath(id)).then((answer) => answer.job), [id]);
  useEffect(() => {
    if (data && row && row.version !== data.version) again();
  }, [row?.version, data]);
  if (!data) return html`<div class="view"><${Head} title=${id} />${error ? html`<${Failure} error=${error} retry=${again} />` : html`<${Loading} rows="8" />`}</div>`;
  // What changes with each run is told by the stream; what only an edit changes was read.
  const job = row ? { ...data, ...row } : { ...data, nextAt: data.next_run && data.status !== "unresolved" ? Date.parse(data.next_run) : null };
  const able = canAct("operate");
  return html`<div class="view view-job"><${Head} title=${job.job_name} note=${html`${scheduleOf(job)} <span class="tag">${job.group}</span>`}>
      ${may("operate") && html`<${Button} icon="bolt" kind="primary" disabled=${!able || job.status === "unresolved"} onClick=${() => runNow(job)}>${t("act.run")}<//>
        <${Button} icon=${job.paused ? "play" : "pause"} disabled=${!able} onClick=${() => (job.paused ? resume(job) : pause(job))}>${t(job.paused ? "act.resume" : "act.pause")}<//>`}
      ${may("edit") && html`<a class="button" href=${link(["jobs", id, "edit"])}><${Icon} name="edit" /><span>${t("act.edit")}</span></a>
        <a class="button" href=${link(["new"], { from: id })}><${Icon} name="copy" /><span>${t("act.copy")}</span></a>
        <${Button} icon="cancel" disabled=${!canAct("edit")} onClick=${() => cancelJob(job, () => go(["jobs"]))}>${t("act.cancel")}<//>`}<//>
    <ul class="numbers">
      <li><${State} of=${job.status} family="job" /><span class="number-label">${t("col.state")}</span></li>
      <li><span class="number small"><${NextRun} job=${job} /></span><span class="number-label">${t("col.next")}</span></li>
      <li><span class="number nums">${number(job.run_count)}</span><span class="number-label">${t("job.runs")}</span></li>
      <li><span class="number nums">${number(job.failure_count)}</span><span class="number-label">${t("job.failures")}</span></li>
      <li><span class="number nums">${job.run_count ? percent(Math.max(0, 1 - job.failure_count / job.run_count)) : "–"}</span><span class="number-label">${t("overview.rate")}</span></li>
    </ul>
    <div class="columns">
      <${History} id=${id} />
      <${Upcoming} job=${job} />
      <${Card} id="job-config" title=${t("job.configuration")}><${Configuration} job=${job} /><//>
      <${Card} id="job-runs" wide title=${t("nav.runs")} extra=${html`<a href=${link(["runs"], { job: id })}>${t("job.allRuns")}</a>`}><${RunList} job=${id} plain label=${t("runs.ofJob", { name: job.job_name })} /><//>
    </div></div>`;
}

function History({ id }) {
  const { data, error, again } = useLoad(() => get(jobPath(id, "runs"), { limit: CHARTED }).then((page) => page.history), [id]);
  useEffect(() => {
    if (connection.value === "live") again();
  }, [connection.value]);
  // Once a second is soon enough for a picture.
  now.value;
  if (!data) return html`<${Card} id="job-chart" wide title=${t("job.chart")}>${error ? html`<${Failure} error=${error} retry=${again} />` : html`<${Loading} rows="3" />`}<//>`;
  const all = new Map(data.map((run) => [run.run_id, run]));
  for (const run of runs.values()) if (run.job_id === id) all.set(run.run_id, run);
  const list = [...all.values()].filter((run) => run.started_at).sort((a, b) => runAt(a) - runAt(b)).slice(-CHARTED);
  const seconds = (run) => run.duration ?? (isOpen(run.status) ? Math.max(0, (now.peek() - runAt(run)) / 1000) : null);
  const done = list.filter((run) => run.status === "succeeded").map((run) => run.duration).sort((a, b) => a - b);
  const at = (share) => (done.length ? duration(done[Math.min(done.length - 1, Math.floor(done.length * share))]) : "–");
  const bad = list.filter((run) => isFailed(run.status)).length;
  const titleOf = (run) => `${moment(runAt(run), now.peek())}: ${word("status", run.status)}, ${duration(seconds(run))}`;
  return html`<${Card} id="job-chart" wide title=${t("job.chart")} extra=${done.length > 0 && html`<span class="note nums">${t("job.quantiles", { p50: at(0.5), p95: at(0.95), max: at(1) })}</span>`}>
    ${list.length ? html`<${RunChart} runs=${list} seconds=${seconds} toneOf=${(run) => tone(run.status)} titleOf=${titleOf} at=${runAt} onOpen=${(run) => go(["runs", run.run_id])}
      label=${t("job.chartText", { n: list.length, bad, p50: at(0.5), p95: at(0.95) })} />` : html`<p class="note">${t("runs.none")}</p>`}<//>`;
}

export function Instants({ list, zone }) {
  return html`<ol class="instants">${list.map((instant) => {
    const at = Date.parse(instant.at);
    return html`<li key=${instant.at}><span class="nums">${moment(at, now.peek(), zone)}</span>
      ${zone !== HERE ? html`<span class="note nums" title=${full(at)}>${t("job.here", { at: sameDay(at, zone) ? moment(at, at, HERE, false) : moment(at, now.peek(), HERE, false) })}</span>` : html`<span class="note"></span>`}
      <span class="note"><${When} at=${at} zone=${zone} /></span>
      ${instant.note && html`<span class="tag warn" title=${t(`note.${instant.note}Text`)}>${word("note", instant.note)}</span>`}</li>`;
  })}</ol>`;
}

function Upcoming({ job }) {
  const { data, error, again } = useLoad(() => get(jobPath(job.job_id, "preview"), { n: 10 }), [job.job_id, job.version]);
  useEffect(() => {
    // The first of them has passed.
    const first = data?.instants[0];
    if (first && Date.parse(first.at) < now.value - 1000 && connection.value === "live") again();
  }, [data && data.instants[0] && Date.parse(data.instants[0].at) < now.value - 1000]);
  const zone = zoneOf(job);
  return html`<${Card} id="job-next" title=${t("job.upcoming")} extra=${html`<span class="tag" title=${zone}><${Icon} name="clock" size="12" />${zoneName(zone)}</span>`}>
    ${job.paused ? html`<p class="note">${t("job.pausedText")}</p>` : job.status === "unresolved" ? html`<p class="note">${t("job.unresolvedText")}</p>` : error && !data ? html`<${Failure} error=${error} retry=${again} />`
      : !data ? html`<${Loading} rows="5" />` : data.instants.length ? html`<${Instants} list=${data.instants} zone=${zone} />` : html`<p class="note">${t("job.noNext")}</p>`}<//>`;
}

function Configuration({ job }) {
  const rows = [
    [t("job.id"), html`<span class="mono">${job.job_id}</span> <${Copy} text=${job.job_id} />`],
    [t("run.func"), html`<span class="mono">${job.func_module}.${job.func_name}</span>`],
    [t("job.origin"), word("origin", job.origin)],
    [t("col.schedule"), lang.value === "zh" ? job.schedule_zh : job.schedule],
    [t("form.timezone"), job.timezone || t("form.defaultZone", { zone: zoneOf(job) })],
    [t("form.max_retries"), number(job.max_retries)],
    [t("form.timeout"), job.timeout === null ? t("form.none") : duration(job.timeout)],
    [t("form.overlap"), word("overlap", job.overlap)],
    [t("form.catch_up"), word("catch_up", job.catch_up)],
    [t("form.on_crash"), word("on_crash", job.on_crash)],
    job.jitter ? [t("form.jitter"), duration(job.jitter)] : null,
    job.starting ? [t("form.starting"), html`<${Moment} at=${Date.parse(job.starting)} />`] : null,
    job.until ? [t("form.until"), html`<${Moment} at=${Date.parse(job.until)} />`] : null,
    job.max_runs ? [t("form.max_runs"), number(job.max_runs)] : null,
    job.tags.length ? [t("form.tags"), job.tags.map((tag) => html`<span key=${tag} class="tag">${tag}</span> `)] : null,
    [t("job.created"), html`<${Moment} at=${Date.parse(job.created_at)} />`],
    [t("job.updated"), html`<${Moment} at=${Date.parse(job.updated_at)} />`],
  ].filter(Boolean);
  const hasArguments = job.args.length > 0 || Object.keys(job.kwargs).length > 0;
  return html`<dl class="facts">${rows.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    ${hasArguments && html`<h3>${t("job.arguments")}</h3><${Json} value=${{ args: job.args, kwargs: job.kwargs }} />`}`;
}
