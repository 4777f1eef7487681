// All jobs. What is shown, in which order and what is selected stands in the address.
import { cx, html, useEffect, useLatest, useMemo, useRead, useRef, useState, useThrottled } from "../ui.js";
import { bulk, cancelJob, group as groupAction, pause, resume, runNow } from "../actions.js";
import { may, status as site } from "../api.js";
import { isLively, pick, SORTS, STATES } from "../filter.js";
import { number, t } from "../i18n.js";
import { answers, canAct } from "../live.js";
import { letterKeys } from "../prefs.js";
import { go, link, route, setQuery } from "../router.js";
import { complete, countJobs, jobs, jobsChanged, jobsMoved, now, recentOf, runsChanged, stats } from "../store.js";
import { wantRecents } from "../recent.js";
import { Button, Chip, Empty, Head, IconButton, jobLink, Loading, NextRun, RunBars, scheduleOf, State } from "../components/bits.js";
import { Grid } from "../components/grid.js";
import { Icon } from "../components/icon.js";

const narrow = matchMedia("(max-width: 860px)");
const ORDERED_EVERY = 1000;
const COUNTED_EVERY = 1000;
const IN_ADDRESS = 20; // selected jobs that the address names; above that the selection is this page's own

function useNarrow() {
  const [is, setIs] = useState(narrow.matches);
  useEffect(() => {
    const change = () => setIs(narrow.matches);
    narrow.addEventListener("change", change);
    return () => narrow.removeEventListener("change", change);
  }, []);
  return is;
}

const readSelection = (text) => new Set(text ? text.split(",").map(decodeURIComponent) : []);

export function Jobs() {
  const query = route.value.query;
  const filter = {
    q: query.get("q") || "", state: query.get("state") || "", group: query.get("group") || "",
    sort: SORTS.includes(query.get("sort")) ? query.get("sort") : "name", down: query.get("order") === "desc",
  };
  const [selected, setSelected] = useState(() => readSelection(query.get("sel")));
  const [ids, setIds] = useState([]);
  const [waiting, setWaiting] = useState(0);
  const held = useRef(false);
  const isNarrow = useNarrow();
  const counts = useCounts();
  const filterKey = JSON.stringify(filter);
  const lively = isLively(filter.sort) || filter.state !== "";

  const refresh = () => {
    setIds(pick(jobs, filter, now.peek(), ids));
    setWaiting(0);
  };
  // What one has asked for comes at once; what the schedule changes waits until nobody points at a row.
  useMemo(refresh, [filterKey]);
  useThrottled(() => (lively ? jobsChanged : jobsMoved).value, ORDERED_EVERY, () => {
    const fresh = pick(jobs, filter, now.peek(), ids);
    if (!held.current || ids.length === 0) {
      setIds(fresh);
      setWaiting(0);
    } else setWaiting(difference(ids, fresh));
  }, [lively]);

  const select = (change) => {
    const next = new Set(selected);
    change(next);
    setSelected(next);
    const named = next.size <= IN_ADDRESS ? [...next].map(encodeURIComponent).join(",") : "";
    setQuery({ sel: named });
  };
  const toggle = (id) => select((set) => (set.has(id) ? set.delete(id) : set.add(id)));
  const sortBy = (key) => setQuery({ sort: key, order: filter.sort === key && !filter.down ? "desc" : "" });
  // What is acted on is what one sees: a selected job that the filter hides is left alone, and said to be.
  const present = ids.filter((id) => selected.has(id) && jobs.has(id));
  const hidden = [...selected].filter((id) => jobs.has(id)).length - present.length;

  const onKey = (key, id) => {
    const job = jobs.get(id);
    if (key === "Enter") go(["jobs", id]);
    else if (key === " ") toggle(id);
    else if (!letterKeys.peek()) return false;
    else if (key === "x") toggle(id);
    else if (key === "p" && job && canAct("operate")) job.paused ? resume(job) : pause(job);
    else if (key === "r" && job && canAct("operate") && isRunnable(job)) runNow(job);
    else return false;
    return true;
  };

  const columns = [
    { key: "select", label: t("col.select"), hidden: true },
    { key: "name", label: t("col.job"), sort: "name" },
    { key: "group", label: t("col.group"), sort: "group" },
    { key: "schedule", label: t("col.schedule") },
    { key: "state", label: t("col.state"), sort: "status" },
    { key: "recent", label: t("col.recent") },
    { key: "next", label: t("col.next"), sort: "next" },
    { key: "counts", label: t("col.counts"), sort: "failures" },
    { key: "act", label: t("col.actions"), hidden: true },
  ];

  const Row = useMemo(() => ({ id, selected: chosen }) => html`<${JobCells} id=${id} chosen=${chosen} toggle=${rowToggle} />`, []);
  const rowToggle = useLatest(toggle);
  // Nothing is counted that was not read.
  const known = complete.value || counts.total > 0;
  const filtered = Boolean(filter.q || filter.state || filter.group);
  const clear = () => setQuery({ q: "", state: "", group: "" });
  const empty = !complete.value && !ids.length
    ? answers.value ? html`<${Loading} rows="6" />` : html`<${Empty} icon="warn" title=${stats.value.running ? t("live.storeAway") : t("live.stopped")}><p>${t("jobs.unknown")}</p><//>`
    : filtered
      ? html`<${Empty} icon="search" title=${t("jobs.noneMatch")}>${filter.q && html`<p>${t("jobs.searchHelp")}</p>`}<${Button} onClick=${clear}>${t("act.clearFilter")}<//><//>`
      : html`<${NoJobs} />`;

  return html`<div class="view view-jobs">
    <${Head} title=${t("nav.jobs")} note=${jobsNote(counts)}>
      ${may("edit") ? html`<a class="button primary" href="#/new"><${Icon} name="plus" /><span>${t("act.newJob")}</span></a>` : null}<//>
    <div class="toolbar">
      <${Search} value=${filter.q} onChange=${(q) => setQuery({ q })} />
      <${GroupFilter} groups=${counts.groups} value=${filter.group} onChange=${(group) => setQuery({ group })} />
      <div class="chips" role="group" aria-label=${t("jobs.filterState")}>
        <${Chip} on=${!filter.state} n=${known ? counts.total : undefined} onClick=${() => setQuery({ state: "" })}>${t("jobs.all")}<//>
        ${STATES.map((state) => html`<${Chip} key=${state} on=${filter.state === state} state=${state}
          n=${!known ? undefined : state === "failing" || state === "overdue" ? counts[state] : counts.status[state] || 0}
          onClick=${() => setQuery({ state: filter.state === state ? "" : state })}>${t(`jobs.is.${state}`)}<//>`)}
      </div>
    </div>
    <div class="bulk">
      <label class="check"><input type="checkbox" checked=${present.length > 0 && present.length === ids.length}
        indeterminate=${present.length > 0 && present.length < ids.length} disabled=${!ids.length}
        onChange=${(event) => select((set) => ids.forEach((id) => (event.target.checked ? set.add(id) : set.delete(id))))} />
        <span>${present.length ? t("jobs.selected", { n: present.length }) : t("jobs.selectAll", { n: ids.length })}</span></label>
      ${hidden > 0 ? html`<span class="note nums">${t("jobs.hidden", { n: hidden })}
        <button type="button" class="text-button" onClick=${() => select((set) => {
          set.clear();
          present.forEach((id) => set.add(id));
        })}>${t("jobs.unselect")}</button></span>` : null}
      <span class="bulk-actions">${may("operate") && ["resume", "pause", "run"].map((verb) => html`<${Button} key=${verb} icon=${VERB_ICONS[verb]} kind="quiet"
          disabled=${!present.length || !canAct("operate")} onClick=${() => bulk(verb, present)}>${t(`act.${verb}`)}<//>`)}
        ${may("edit") && html`<${Button} icon="cancel" kind="quiet" disabled=${!present.length || !canAct("edit")}
          onClick=${() => bulk("cancel", present, () => select((set) => present.forEach((id) => set.delete(id))))}>${t("act.cancel")}<//>`}</span>
      <button type="button" class=${cx("text-button", "waiting", !waiting && "invisible")} onClick=${refresh} disabled=${!waiting}>${t("jobs.waiting", { n: waiting })}</button>
      ${isNarrow && html`<label class="inline-field"><span class="sr-only">${t("jobs.sort")}</span>
        <select value=${filter.sort} onChange=${(event) => setQuery({ sort: event.target.value, order: "" })}>
          ${SORTS.map((name) => html`<option key=${name} value=${name}>${t(`sort.${name}`)}</option>`)}</select></label>`}
    </div>
    <${Grid} label=${t("nav.jobs")} ids=${ids} columns=${columns} rowHeight=${isNarrow ? 116 : 52} sort=${{ key: filter.sort, down: filter.down }}
      onSort=${sortBy} selected=${selected} onKey=${onKey} Row=${Row} empty=${empty}
      onHold=${(is) => {
        held.current = is;
        if (!is && waiting) refresh();
      }} />
  </div>`;
}

const VERB_ICONS = { pause: "pause", resume: "play", run: "bolt" };

function difference(before, after) {
  const old = new Map(before.map((id, i) => [id, i]));
  let n = Math.max(0, before.length - after.length);
  after.forEach((id, i) => (n += old.get(id) === i ? 0 : 1));
  return Math.min(n, after.length || n);
}

/** Started by hand, a job whose function is missing would only be refused. */
const isRunnable = (job) => job.status !== "unresolved";

function useCounts() {
  const [counts, setCounts] = useState(() => countJobs(now.peek()));
  useThrottled(() => [jobsMoved.value, now.value], COUNTED_EVERY, () => setCounts(countJobs(now.peek())));
  return counts;
}

function jobsNote(counts) {
  if (!complete.value && !counts.total) return "";
  const active = stats.value?.statistics?.active_jobs;
  return active === undefined ? t("jobs.count", { n: counts.total }) : t("jobs.note", { n: counts.total, active });
}

function JobCells({ id, chosen, toggle }) {
  // A row is drawn again when its own job or its own runs change: each change would otherwise draw all that are in sight.
  const job = useRead(() => (jobsChanged.value, jobs.get(id)), [id]);
  const recent = useRead(() => (runsChanged.value, recentOf(id)), [id]);
  useEffect(() => seen(id), [id]);
  if (!job) return html`<div role="gridcell" class="cell gone" aria-colspan="9">${t("jobs.gone")}</div>`;
  const name = job.job_name;
  const able = canAct("operate");
  return html`
    <div role="gridcell" class="cell cell-select"><input type="checkbox" tabindex="-1" checked=${chosen} onChange=${() => toggle(id)} aria-label=${t("jobs.selectOne", { name })} /></div>
    <div role="gridcell" class="cell cell-name"><a class="two-lines" href=${jobLink(id)} tabindex="-1"><span class="name">${name}</span><small class="mono" title=${`${id} · ${functionOf(job)}`}>${id.replace(":", ".") === functionOf(job) || id === name ? functionOf(job) : `${id} · ${functionOf(job)}`}</small></a></div>
    <div role="gridcell" class="cell cell-group"><span class="tag clip">${job.group}</span></div>
    <div role="gridcell" class="cell cell-schedule"><span class="clamp" title=${scheduleOf(job)}>${scheduleOf(job)}</span></div>
    <div role="gridcell" class="cell cell-state"><${State} of=${job.status} family="job" /></div>
    <div role="gridcell" class="cell cell-recent"><${RunBars} list=${recent} /></div>
    <div role="gridcell" class="cell cell-next"><${NextRun} job=${job} /></div>
    <div role="gridcell" class="cell cell-counts nums"><span title=${t("job.runs")}>${number(job.run_count)}</span>
      <span class=${cx("failures", job.failure_count && "tone-bad")} title=${t("job.failures")}>${job.failure_count ? t("job.failedN", { n: job.failure_count }) : ""}</span></div>
    <div role="gridcell" class="cell cell-act">${may("operate") && html`
      <${IconButton} tabIndex="-1" icon=${job.paused ? "play" : "pause"} label=${t(job.paused ? "act.resumeOne" : "act.pauseOne", { name })} disabled=${!able} onClick=${() => (job.paused ? resume(job) : pause(job))} />
      <${IconButton} tabIndex="-1" icon="bolt" label=${t("act.runOne", { name })} disabled=${!able || !isRunnable(job)} onClick=${() => runNow(job)} />`}
      ${may("edit") && html`<${IconButton} tabIndex="-1" icon="cancel" danger label=${t("act.cancelOne", { name })} disabled=${!canAct("edit")} onClick=${() => cancelJob(job)} />`}</div>`;
}

const functionOf = (job) => (job.func_module ? `${job.func_module}.${job.func_name}` : job.func_name);

const inSight = new Set();
function seen(id) {
  inSight.add(id);
  wantRecents([...inSight]);
  return () => inSight.delete(id);
}

function Search({ value, onChange }) {
  const [text, setText] = useState(value);
  const timer = useRef(null);
  useEffect(() => setText(value), [value]);
  const input = (event) => {
    const typed = event.target.value;
    setText(typed);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => onChange(typed.trim()), 120);
  };
  return html`<label class="search"><${Icon} name="search" /><span class="sr-only">${t("jobs.search")}</span>
    <input type="search" value=${text} onInput=${input} placeholder=${t("jobs.searchHint")} spellcheck=${false} maxlength="200"
      onKeyDown=${(event) => event.key === "ArrowDown" && document.querySelector(".grid")?.focus()} /></label>`;
}


function GroupFilter({ groups, value, onChange }) {
  const names = [...groups.keys()].sort();
  const chosen = groups.get(value);
  return html`<div class="group-filter"><label class="inline-field"><span class="sr-only">${t("col.group")}</span>
    <select value=${value} onChange=${(event) => onChange(event.target.value)}><option value="">${t("jobs.allGroups")}</option>
      ${value && !chosen && html`<option value=${value}>${value}</option>`}
      ${names.map((name) => html`<option key=${name} value=${name}>${name} (${number(groups.get(name).jobs)})</option>`)}</select></label>
    <span class=${cx("group-actions", !value && "invisible")}>
      ${may("operate") && html`<${IconButton} icon="play" label=${t("group.resume", { name: value })} disabled=${!chosen || !canAct("operate")} onClick=${() => groupAction("resume", value, chosen.jobs)} />
      <${IconButton} icon="pause" label=${t("group.pause", { name: value })} disabled=${!chosen || !canAct("operate")} onClick=${() => groupAction("pause", value, chosen.jobs)} />`}
      ${may("edit") && html`<${IconButton} icon="cancel" danger label=${t("group.cancel", { name: value })} disabled=${!chosen || !canAct("edit")} onClick=${() => groupAction("cancel", value, chosen.jobs)} />`}</span></div>`;
}

const NoJobs = () => html`<${Empty} icon="jobs" title=${t("jobs.none")}><p>${t("jobs.noneText")}</p>
  <pre class="code" tabindex="0">${"@scheduler.every(30).seconds\nasync def poll_the_sensor(): ..."}</pre>
  ${may("edit") && site.value ? html`<a class="button primary" href=${link(["new"])}><${Icon} name="plus" /><span>${t("act.newJob")}</span></a>` : null}<//>`;
