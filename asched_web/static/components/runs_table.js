import { html, useRead } from "../ui.js";
import { lang, t } from "../i18n.js";
import { isOpen, jobs, jobsMoved, now, runAt } from "../store.js";
import { ErrorLine, jobLink, Moment, Progress, runLink, RunNote, State, tookOf, When } from "./bits.js";

/** What tells a run from others of jobs with its name. */
function second(run, job) {
  if ((job?.job_name || run.job_id) !== run.func_name) return run.func_name;
  return job && job.group !== "default" ? job.group : "";
}

/** Runs, newest first. `plain` leaves the job out, where all are of one. */
export const RunsTable = ({ runs, plain, label }) => html`<div class="table-box"><table class="runs" aria-label=${label}><thead><tr>
      <th scope="col">${t("col.state")}</th>${!plain && html`<th scope="col">${t("col.job")}</th>`}<th scope="col">${t("col.due")}</th>
      <th scope="col" class="right">${t("col.took")}</th><th scope="col">${t("col.outcome")}</th></tr></thead>
    <tbody>${runs.map((run) => html`<${RunRow} key=${run.run_id} run=${run} plain=${plain} />`)}</tbody></table></div>`;

/** Drawn again when the run is another one, not whenever its neighbours are: fifty runs a second may come. */
function RunRow({ run, plain }) {
  lang.value;
  const name = useRead(() => (jobsMoved.value, jobs.get(run.job_id)?.job_name), [run.job_id]) || run.job_id;
  return html`<tr>
      <td class="cell-status"><a href=${runLink(run.run_id)}><${State} of=${run.status} /></a></td>
      ${!plain && html`<td class="cell-job"><a class="two-lines" href=${jobLink(run.job_id)}><span class="name">${name}</span><small class="mono">${second(run, jobs.get(run.job_id))}</small></a></td>`}
      <td class="cell-due"><span class="two-lines"><span><${Moment} at=${runAt(run)} /></span><small><${When} at=${runAt(run)} /></small></span></td>
      <td class="cell-took right nums">${run.count > 1 ? "" : isOpen(run.status) ? html`<${Running} run=${run} />` : tookOf(run)}</td>
      <td class="cell-note">${run.progress && !run.ended_at ? html`<${Progress} of=${run.progress} />` : null}<${ErrorLine} error=${run.error} /> <${RunNote} run=${run} /></td></tr>`;
}

function Running({ run }) {
  now.value;
  return tookOf(run);
}
