// What starts when: a picture of the coming day or week, and the list behind it.
import { html, useMemo, useState } from "../ui.js";
import { HERE, full, moment, zoneName } from "../format.js";
import { number, t } from "../i18n.js";
import { route, setQuery } from "../router.js";
import { jobs, jobsMoved, now } from "../store.js";
import { Button, Card, Empty, Failure, Head, jobLink, Loading, scheduleOf, When } from "../components/bits.js";
import { Icon } from "../components/icon.js";
import { AgendaBars, useAgenda } from "./overview.js";

const SHOWN = 100;

export function Agenda() {
  const hours = route.value.query.get("span") === "week" ? 168 : 24;
  const zone = route.value.query.get("zone") === "UTC" ? "UTC" : HERE;
  const { agenda, error } = useAgenda(hours);
  const [slot, setSlot] = useState(null);
  const [shown, setShown] = useState(SHOWN);
  jobsMoved.value;
  const choose = (place) => {
    setSlot(slot === place ? null : place);
    setShown(SHOWN);
  };
  const list = useMemo(() => {
    if (!agenda) return [];
    if (slot === null) return agenda.entries;
    const low = Date.parse(agenda.from) + slot * agenda.step * 1000;
    return agenda.entries.filter(({ at }) => Date.parse(at) >= low && Date.parse(at) < low + agenda.step * 1000);
  }, [agenda, slot]);
  const crowded = new Map((agenda?.crowded || []).map((minute) => [minute.at.slice(0, 16), minute.starts]));
  const span = (name, label) => html`<button type="button" aria-pressed=${(hours === 168) === (name === "week")} onClick=${() => {
    setSlot(null);
    setQuery({ span: name === "week" ? "week" : "" });
  }}>${label}</button>`;
  const crowds = agenda?.crowded.length ? html`<${Card} key="crowds" id="agenda-crowds" title=${t("agenda.crowded")}><ul class="crowds">${agenda.crowded.map((minute) => html`<li key=${minute.at}>
      <button type="button" class="chip chip-unresolved" onClick=${() => choose(Math.floor((Date.parse(minute.at) - Date.parse(agenda.from)) / agenda.step / 1000))}>
      <${Icon} name="warn" size="14" /><span class="nums">${moment(Date.parse(minute.at), now.peek(), zone, false)}</span><b class="nums">${t("agenda.starts", { n: minute.starts })}</b></button></li>`)}</ul><//>` : null;
  const often = agenda?.often.length ? html`<${Card} key="often" id="agenda-often" title=${t("agenda.often")}><ul class="often">${agenda.often.slice(0, 12).map((row) => html`<li key=${row.job_id}>
      <a href=${jobLink(row.job_id)}>${nameOf(row.job_id)}</a><span class="note">${sentenceOf(row.job_id)}</span><span class="nums soft">${t("agenda.starts", { n: row.starts })}</span></li>`)}</ul>
      ${agenda.often.length > 12 && html`<p class="note">${t("agenda.moreJobs", { n: agenda.often.length - 12 })}</p>`}<//>` : null;
  // The starts of a chosen bar stand right below it.
  const entries = agenda && html`<${Card} key="entries" id="agenda-list" title=${slot === null ? t("agenda.list") : t("agenda.slot")}>
    ${list.length ? html`<${Days} list=${list.slice(0, shown)} zone=${zone} crowded=${crowded} />` : html`<${Empty} icon="agenda" title=${t("agenda.none")} />`}
    ${list.length > shown && html`<div class="more"><${Button} onClick=${() => setShown(shown + SHOWN)}>${t("act.more")}<//></div>`}
    ${slot === null && agenda.total > agenda.entries.length && shown >= agenda.entries.length ? html`<p class="note">${t("agenda.cut", { n: agenda.total - agenda.entries.length })}</p>` : null}<//>`;
  return html`<div class="view view-agenda"><${Head} title=${t("nav.agenda")} note=${t("agenda.note", { zone: zoneName(zone) || zone })}>
      <div class="segments" role="group" aria-label=${t("agenda.span")}>${span("day", t("agenda.day"))}${span("week", t("agenda.week"))}</div>
      ${HERE !== "UTC" && html`<div class="segments" role="group" aria-label=${t("form.timezone")}>${[HERE, "UTC"].map((name) => html`<button key=${name} type="button" aria-pressed=${zone === name}
        onClick=${() => setQuery({ zone: name === "UTC" ? "UTC" : "" })}>${zoneName(name)}</button>`)}</div>`}<//>
    ${!agenda ? (error ? html`<${Failure} error=${error} />` : html`<${Loading} rows="8" />`) : html`<div class="stack">
      <${Card} id="agenda-picture" title=${t("agenda.starts", { n: agenda.starts.reduce((sum, n) => sum + n, 0) })}
        extra=${html`<span class="note">${slot === null ? t("agenda.choose") : html`<button type="button" class="text-button" onClick=${() => setSlot(null)}>${t("agenda.whole")}</button>`}</span>`}>
        <${AgendaBars} agenda=${agenda} height="96" chosen=${slot} onChoose=${choose} />
        ${agenda.often.length ? html`<p class="note">${t("agenda.besides", { n: agenda.often.length })}</p>` : null}
        ${!agenda.complete && html`<p class="note">${t("agenda.incomplete")}</p>`}<//>
      ${slot === null ? [crowds, often, entries] : [entries, crowds, often]}</div>`}</div>`;
}

const nameOf = (id) => jobs.get(id)?.job_name || id;
const sentenceOf = (id) => (jobs.has(id) ? scheduleOf(jobs.get(id)) : "");

function Days({ list, zone, crowded }) {
  return html`<ol class="agenda">${list.map((entry, i) => {
    const at = Date.parse(entry.at);
    const day = moment(at, 0, zone, false).replace(/\s*\S+$/, "");
    const before = i ? moment(Date.parse(list[i - 1].at), 0, zone, false).replace(/\s*\S+$/, "") : null;
    const minute = crowded.get(entry.at.slice(0, 16));
    return html`<li key=${entry.at + entry.job_id}>${day !== before ? html`<h3>${day}</h3>` : null}
      <div class="agenda-entry"><time class="nums" datetime=${entry.at} title=${full(at, zone)}>${moment(at, at, zone, false)}</time>
        <a href=${jobLink(entry.job_id)}>${nameOf(entry.job_id)}</a><span class="note">${sentenceOf(entry.job_id)}</span>
        ${minute ? html`<span class="tag warn" title=${t("agenda.crowdedText", { n: minute })}><${Icon} name="warn" size="12" />${number(minute)}</span>` : null}
        <span class="note agenda-in"><${When} at=${at} /></span></div></li>`;
  })}</ol>`;
}
