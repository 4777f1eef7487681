// One run: what it was asked, how each attempt went, what it said and what became of it.
import { html, useEffect, useRead, useRef } from "../ui.js";
import { cancelRun, replay } from "../actions.js";
import { get, may, runPath } from "../api.js";
import { duration } from "../format.js";
import { t, word } from "../i18n.js";
import { canAct, connection } from "../live.js";
import { isFailed, isOpen, jobs, now, runs, runsChanged } from "../store.js";
import { lettersChanged } from "../letters.js";
import { Button, Card, Copy, ErrorLine, Failure, Head, jobLink, Json, Loading, Moment, Progress, runLink, RunNote, State, tookOf, useLoad } from "../components/bits.js";

const LOG_FIRST = 1_000;
const LOG_LATER = 8_000;

export function RunPage({ id }) {
  const logged = useRef(0);
  const { data, error, again } = useLoad(() => get(runPath(id)).then((answer) => {
    logged.current = answer.run.log.length;
    return answer.run;
  }), [id]);
  const told = useRead(() => (runsChanged.value, runs.get(id)), [id]);
  useEffect(() => {
    if (data && told && (told.status !== data.status || told.attempt !== data.attempt)) again();
  }, [told, data]);
  useEffect(() => {
    if (!data || !isOpen(data.status)) return undefined;
    // Lines of the log are not in the stream: they are asked for while somebody reads them, and less often the longer
    // nothing is added.
    let wait = LOG_FIRST;
    let lines = data.log.length;
    let timer = null;
    const look = async () => {
      if (!document.hidden && connection.peek() === "live") await again();
      wait = logged.current === lines ? Math.min(2 * wait, LOG_LATER) : LOG_FIRST;
      lines = logged.current;
      if (timer !== null) timer = setTimeout(look, wait);
    };
    timer = setTimeout(look, wait);
    return () => {
      clearTimeout(timer);
      timer = null;
    };
  }, [data && isOpen(data.status)]);
  useEffect(() => {
    if (data && isFailed(data.status)) again();
  }, [lettersChanged.value]);
  if (!data) return html`<div class="view"><${Head} title=${t("run.title")} />${error ? html`<${Failure} error=${error} retry=${again} />` : html`<${Loading} rows="8" />`}</div>`;
  const run = told && isOpen(data.status) ? { ...data, progress: told.progress } : data;
  const name = jobs.get(run.job_id)?.job_name || run.job_id;
  now.value;
  return html`<div class="view"><${Head} title=${name} note=${html`<span class="mono">${run.run_id}</span> <${Copy} text=${run.run_id} />`}>
      ${may("operate") && isOpen(run.status) ? html`<${Button} icon="cancel" kind="danger" disabled=${!canAct("operate")} onClick=${() => cancelRun(run)}>${t("act.cancelRun")}<//>` : null}
      <${Replay} run=${run} again=${again} /><a class="button" href=${jobLink(run.job_id)}><span>${t("run.toJob")}</span></a><//>
    <div class="columns">
      <${Card} id="run-facts" title=${t("run.facts")}><dl class="facts">
        <div><dt>${t("col.state")}</dt><dd><${State} of=${run.status} /> <${RunNote} run=${run} /></dd></div>
        ${run.progress && html`<div><dt>${t("run.progress")}</dt><dd><${Progress} of=${run.progress} /></dd></div>`}
        <div><dt>${t("run.due")}</dt><dd><${Moment} at=${Date.parse(run.due_at)} /></dd></div>
        ${run.count > 1 && html`<div><dt>${t("run.lastDue")}</dt><dd><${Moment} at=${Date.parse(run.last_due_at)} /></dd></div>`}
        ${run.planned_at !== run.due_at && html`<div><dt>${t("run.planned")}</dt><dd><${Moment} at=${Date.parse(run.planned_at)} /></dd></div>`}
        ${run.started_at && html`<div><dt>${t(run.status === "pending" ? "run.firstStarted" : "run.started")}</dt><dd><${Moment} at=${Date.parse(run.started_at)} /> <span class="note">${t("run.late", { d: duration(Math.max(0, (Date.parse(run.started_at) - Date.parse(run.due_at)) / 1000)) })}</span></dd></div>`}
        ${run.ended_at && html`<div><dt>${t("run.ended")}</dt><dd><${Moment} at=${Date.parse(run.ended_at)} /></dd></div>`}
        <div><dt>${t("col.took")}</dt><dd class="nums">${tookOf(run)}</dd></div>
        ${run.node && html`<div><dt>${t("run.node")}</dt><dd class="mono">${run.node}</dd></div>`}
        <div><dt>${t("run.func")}</dt><dd class="mono">${run.func_module}.${run.func_name}</dd></div>
        ${run.fence ? html`<div><dt>${t("run.fence")}</dt><dd class="nums">${run.fence}</dd></div>` : null}
        ${run.replay_of && html`<div><dt>${t("run.replayOf")}</dt><dd><a class="mono" href=${runLink(run.replay_of)}>${run.replay_of}</a></dd></div>`}</dl><//>
      <${Card} id="run-attempts" title=${t("run.attempts")}>${run.attempts.length ? html`<ol class="attempts">${run.attempts.map((attempt, i) => html`<${Attempt} key=${i} attempt=${attempt} run=${run} start=${startOf(run.attempts, i)} />`)}</ol>` : html`<p class="note">${t("run.noAttempts")}</p>`}<//>
      ${run.error || run.traceback ? html`<${Card} id="run-error" wide title=${t("run.error")}><p><${ErrorLine} error=${run.error} /></p>${run.traceback && html`<pre class="code" tabindex="0">${run.traceback}</pre>`}<//>` : null}
      <${Log} lines=${run.log} open=${isOpen(run.status)} />
      <${Card} id="run-args" title=${t("job.arguments")}>${run.args.length || Object.keys(run.kwargs).length ? html`<${Json} value=${{ args: run.args, kwargs: run.kwargs }} />` : html`<p class="note">${t("job.noArguments")}</p>`}<//>
      <${Card} id="run-result" title=${t("run.result")}>${run.status === "succeeded" ? html`<${Json} value=${run.result} />` : html`<p class="note">${t("run.noResult")}</p>`}<//>
    </div></div>`;
}

function Replay({ run, again }) {
  if (!isFailed(run.status) || !may("operate")) return null;
  // Only a dead letter can be run again: its arguments are kept. Another failed run says why it has no button.
  if (!run.dead_letter) return html`<span class="note no-replay">${t("run.noLetter")}</span>`;
  return html`<${Button} icon="replay" kind="primary" disabled=${!canAct("operate")} onClick=${() => replay([run.run_id], again)}>${t("act.replay")}<//>`;
}

/** Which start of its attempt this is: one that was interrupted begins again under the same number. */
const startOf = (attempts, i) => attempts.slice(0, i + 1).filter((other) => other.number === attempts[i].number).length;

function Attempt({ attempt, run, start: again }) {
  const start = Date.parse(attempt.started_at);
  const seconds = ((attempt.ended_at ? Date.parse(attempt.ended_at) : now.value) - start) / 1000;
  const begin = Date.parse(run.attempts[0].started_at);
  const end = run.ended_at ? Date.parse(run.ended_at) : Math.max(now.value, begin + 1);
  const span = Math.max(1, end - begin);
  const left = Math.min(99, ((start - begin) / span) * 100);
  const wide = Math.max(1, Math.min(100 - left, ((seconds * 1000) / span) * 100));
  const outcome = attempt.outcome || "running";
  return html`<li><div class="attempt-head"><b class="nums">${again > 1 ? t("run.attemptAgain", { n: attempt.number, k: again }) : t("run.attemptN", { n: attempt.number })}</b><${State} of=${outcome} family="outcome" plain />
      <span class="note nums">${duration(Math.max(0, seconds))}</span><span class="note"><${Moment} at=${start} /></span></div>
    <svg class="span" viewBox="0 0 100 6" preserveAspectRatio="none" height="6" aria-hidden="true"><rect class="track" width="100" height="6" /><rect class=${`fill-${outcome === "ok" ? "good" : outcome === "running" ? "busy" : outcome === "error" || outcome === "timeout" || outcome === "lost" ? "bad" : "idle"}`} x=${left} width=${wide} height="6" /></svg>
    ${attempt.error && html`<details><summary><${ErrorLine} error=${attempt.error} /></summary><pre class="code" tabindex="0">${attempt.error.traceback}</pre></details>`}</li>`;
}

function Log({ lines, open }) {
  const box = useRef(null);
  const follow = useRef(true);
  useEffect(() => {
    if (follow.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines.length]);
  const scroll = ({ currentTarget: element }) => {
    follow.current = element.scrollHeight - element.scrollTop - element.clientHeight < 24;
  };
  return html`<${Card} id="run-log" wide title=${t("run.log")} extra=${open ? html`<span class="note">${t("run.logLive")}</span>` : null}>
    ${lines.length ? html`<pre class="code wrap log" tabindex="0" ref=${box} onScroll=${scroll}>${lines.join("\n")}</pre>` : html`<p class="note">${t("run.noLog")}</p>`}<//>`;
}
