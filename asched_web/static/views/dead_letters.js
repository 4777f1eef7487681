// Runs that failed for good, those of one error together, to be run again or discarded.
import { html, useEffect, useMemo, useState } from "../ui.js";
import { discard, discardAll, replay } from "../actions.js";
import { get, may, runPath } from "../api.js";
import { t } from "../i18n.js";
import { canAct, connection } from "../live.js";
import { countLetters, lettersChanged } from "../letters.js";
import { jobs, runAt, stats } from "../store.js";
import { Button, Card, Empty, Failure, Head, jobLink, Json, Loading, Moment, runLink, useLoad, When } from "../components/bits.js";

const SHOWN = 10;

/** Errors that differ in numbers, ids or quoted names only are one error. */
const fingerprint = (run) =>
  `${run.error?.type}: ${(run.error?.message || "").replace(/0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d+(\.\d+)?/gi, "#").replace(/'[^']*'|"[^"]*"/g, "…")}`;

function grouped(letters) {
  const groups = new Map();
  for (const run of letters) {
    const key = `${run.job_id}\n${fingerprint(run)}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(run);
  }
  return [...groups.entries()].sort((a, b) => b[1].length - a[1].length);
}

export function DeadLetters() {
  const { data, error, again } = useLoad(() => get("api/dead-letters", { limit: 1000 }), []);
  const [chosen, setChosen] = useState(new Set());
  useEffect(() => {
    if (connection.value === "live") again();
  }, [lettersChanged.value, connection.value]);
  const groups = useMemo(() => grouped(data?.dead_letters || []), [data]);
  const known = new Set((data?.dead_letters || []).map((run) => run.run_id));
  const selected = [...chosen].filter((id) => known.has(id));
  const after = () => {
    setChosen(new Set());
    return Promise.all([again(), countLetters().catch(() => {})]);
  };
  const choose = (ids, on) => {
    const next = new Set(chosen);
    for (const id of ids) on ? next.add(id) : next.delete(id);
    setChosen(next);
  };
  const total = data?.total ?? 0;
  return html`<div class="view view-letters"><${Head} title=${t("nav.dead-letters")} note=${data ? noteOf(total) : ""}>
      ${may("operate") && total > 0 ? html`<${Button} icon="replay" disabled=${!canAct("operate")} onClick=${() => replay([...known], after)}>${t("act.replayAll")}<//>` : null}
      ${may("edit") && total > 0 ? html`<${Button} icon="trash" disabled=${!canAct("edit")} onClick=${() => discardAll(total, after)}>${t("act.discardAll")}<//>` : null}<//>
    ${!data ? (error ? html`<${Failure} error=${error} retry=${again} />` : html`<${Loading} rows="6" />`)
      : !groups.length ? html`<${Empty} title=${t("letters.none")}><p>${t("letters.noneText")}</p><//>`
      : html`<div class="bulk"><label class="check"><input type="checkbox" checked=${selected.length === known.size} indeterminate=${selected.length > 0 && selected.length < known.size}
            onChange=${(event) => choose([...known], event.target.checked)} /><span>${selected.length ? t("jobs.selected", { n: selected.length }) : t("letters.selectAll", { n: known.size })}</span></label>
          <span class="bulk-actions">${may("operate") && html`<${Button} kind="quiet" icon="replay" disabled=${!selected.length || !canAct("operate")} onClick=${() => replay(selected, after)}>${t("act.replay")}<//>`}
            ${may("edit") && html`<${Button} kind="quiet" icon="trash" disabled=${!selected.length || !canAct("edit")} onClick=${() => discard(selected, after)}>${t("act.discard")}<//>`}</span></div>
        <div class="stack">${groups.map(([key, letters], i) => html`<${LetterGroup} key=${key} n=${i} letters=${letters} chosen=${chosen} choose=${choose} after=${after} />`)}</div>`}</div>`;
}

/** How many are kept, and of how many failures: the oldest make room, and a letter can be run again or discarded. */
function noteOf(total) {
  const failures = stats.value?.statistics?.total_failures;
  return failures > total ? `${t("letters.note", { n: total })} · ${t("letters.ofFailures", { n: failures })}` : t("letters.note", { n: total });
}

function LetterGroup({ n, letters, chosen, choose, after }) {
  const [shown, setShown] = useState(SHOWN);
  const [first] = letters;
  const times = letters.map(runAt);
  const name = jobs.get(first.job_id)?.job_name || first.job_id;
  const ids = letters.map((run) => run.run_id);
  const title = html`<span class="letter-title"><input type="checkbox" aria-label=${t("letters.selectGroup", { name })} checked=${ids.every((id) => chosen.has(id))}
      indeterminate=${ids.some((id) => chosen.has(id)) && !ids.every((id) => chosen.has(id))} onChange=${(event) => choose(ids, event.target.checked)} />
    <a href=${jobLink(first.job_id)}>${name}</a><span class="badge bad">${letters.length}</span></span>`;
  return html`<${Card} many id=${`letters-${n}`} title=${title} extra=${html`<span class="note"><${When} at=${Math.min(...times)} />${Math.max(...times) - Math.min(...times) > 60_000 ? html` – <${When} at=${Math.max(...times)} />` : null}</span>`}>
    <p class="error-line letter-error"><b>${first.error?.type}</b>${first.error?.message ? `: ${first.error.message}` : ""}</p>
    <ul class="letters">${letters.slice(0, shown).map((run) => html`<${Letter} key=${run.run_id} run=${run} on=${chosen.has(run.run_id)} choose=${choose} after=${after} />`)}</ul>
    ${letters.length > shown && html`<${Button} kind="quiet" onClick=${() => setShown(shown + 50)}>${t("letters.more", { n: letters.length - shown })}<//>`}<//>`;
}

function Letter({ run, on, choose, after }) {
  const [open, setOpen] = useState(false);
  const at = runAt(run);
  return html`<li><div class="letter"><input type="checkbox" checked=${on} aria-label=${t("letters.selectOne", { id: run.run_id })} onChange=${(event) => choose([run.run_id], event.target.checked)} />
      <span class="letter-when"><a href=${runLink(run.run_id)}><${Moment} at=${at} /></a> <span class="note"><${When} at=${at} /> · ${t("letters.attempts", { n: run.attempt })}</span></span>
      <span class="letter-actions"><button type="button" class="text-button" aria-expanded=${open} onClick=${() => setOpen(!open)}>${t(open ? "act.hide" : "letters.traceback")}</button>
        ${may("operate") && html`<${Button} kind="quiet" icon="replay" disabled=${!canAct("operate")} onClick=${() => replay([run.run_id], after)}>${t("act.replay")}<//>`}
        ${may("edit") && html`<${Button} kind="quiet" icon="trash" disabled=${!canAct("edit")} onClick=${() => discard([run.run_id], after)}>${t("act.discard")}<//>`}</span></div>
    ${open && html`<${Detail} id=${run.run_id} />`}</li>`;
}

function Detail({ id }) {
  const { data, error, again } = useLoad(() => get(runPath(id)).then((answer) => answer.run), [id]);
  if (!data) return error ? html`<${Failure} error=${error} retry=${again} />` : html`<${Loading} rows="3" />`;
  return html`<div class="letter-detail"><pre class="code" tabindex="0">${data.traceback || data.error?.message}</pre>
    ${data.args.length || Object.keys(data.kwargs).length ? html`<h3>${t("job.arguments")}</h3><${Json} value=${{ args: data.args, kwargs: data.kwargs }} />` : null}</div>`;
}
