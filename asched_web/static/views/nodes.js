// The processes that work on the schedule.
import { html, useEffect } from "../ui.js";
import { get, status } from "../api.js";
import { duration } from "../format.js";
import { number, t } from "../i18n.js";
import { answers, connection } from "../live.js";
import { clock, now } from "../store.js";
import { Empty, Failure, Head, Loading, State, useLoad } from "../components/bits.js";

const EVERY = 3000;

export function Nodes() {
  const { data, error, again } = useLoad(() => get("api/nodes"), []);
  useEffect(() => {
    const timer = setInterval(() => !document.hidden && connection.peek() === "live" && answers.peek() && again(), EVERY);
    return () => clearInterval(timer);
  }, []);
  now.value;
  return html`<div class="view"><${Head} title=${t("nav.nodes")} note=${data ? t("nodes.note", { n: data.nodes.length }) : ""} />
    ${!data ? (error ? html`<${Failure} error=${error} retry=${again} />` : html`<${Loading} />`)
      : !data.nodes.length ? html`<${Empty} icon="nodes" title=${t("nodes.none")} />`
      : html`<ul class="nodes">${data.nodes.map((node) => html`<${Node} key=${node.name} node=${node} newest=${Math.max(...data.nodes.map((other) => other.generation))} />`)}</ul>`}
    ${status.value && html`<p class="note about">asched ${status.value.version} · ${t("nodes.namespace", { name: status.value.name })} · ${status.value.timezone}</p>`}</div>`;
}

function Node({ node, newest }) {
  const lease = node.lease_until === null ? null : (Date.parse(node.lease_until) - clock()) / 1000;
  const alive = lease === null || lease > 0;
  const facts = [
    [t("nodes.host"), `${node.host}, ${t("nodes.pid", { pid: String(node.pid) })}`],
    [t("nodes.up"), duration(Math.max(0, Math.floor((clock() - Date.parse(node.started_at)) / 1000)))],
    [t("nodes.active"), number(node.active_runs)],
    [t("nodes.functions"), number(node.functions)],
    [t("nodes.lease"), lease === null ? t("nodes.noLease") : lease > 0 ? duration(Math.ceil(lease)) : t("nodes.leaseOver", { d: duration(Math.ceil(-lease)) })],
    [t("nodes.version"), node.version],
  ];
  return html`<li class="card"><div class="card-head"><h2 class="mono">${node.name}</h2><${State} of=${alive ? "alive" : "dead"} family="node" /></div>
    <dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd class="nums">${value}</dd></div>`)}</dl>
    ${node.generation < newest ? html`<p class="note">${t("nodes.older")}</p>` : null}</li>`;
}
