import { html } from "../ui.js";
import { t } from "../i18n.js";
import { jobs, now, runAt } from "../store.js";
import { ErrorLine, jobLink, Moment, Progress, runLink, RunNote, State, tookOf, When } from "./bits.js";

/** What tells a run from others of jobs with its name. */
function second(run) {
  const job = jobs.get(run.job_id);
  if ((job?.job_name || run.job_id) !== run.func_name) return run.func_name;
  return job && job.group !== "default" ? job.group : "";
}

/** Runs, newest first. `plain` leaves the job out, where all are of one. */
export function RunsTable({ runs, plain, label }) {
  now.value;
  return html`<div class="table-box"><table class="runs" aria-label=${label}><thead><tr>
      <th scope="col">${t("col.state")}</th>${!plain && html`<th scope="col">${t("col.job")}</th>`}<th scope="col">${t("col.due")}</th>
      <th scope="col" class="right">${t("col.took")}</th><th scope="col">${t("col.outcome")}</th></tr></thead>
    <tbody>${runs.map((run) => html`<tr key=${run.run_id}>
      <td class="cell-status"><a href=${runLink(run.run_id)}><${State} of=${run.status} /></a></td>
      ${!plain && html`<td class="cell-job"><a class="two-lines" href=${jobLink(run.job_id)}><span class="name">${jobs.get(run.job_id)?.job_name || run.job_id}</span><small class="mono">${second(run)}</small></a></td>`}
      <td class="cell-due"><span class="two-lines"><span><${Moment} at=${runAt(run)} /></span><small><${When} at=${runAt(run)} /></small></span></td>
      <td class="cell-took right nums">${run.count > 1 ? "" : tookOf(run)}</td>
      <td class="cell-note">${run.progress && !run.ended_at ? html`<${Progress} of=${run.progress} />` : null}<${ErrorLine} error=${run.error} /> <${RunNote} run=${run} /></td></tr>`)}</tbody></table></div>`;
}
