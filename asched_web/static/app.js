// Mounts the page: language first, then the shell, then the stream. Views load when they are first looked at.
import { effect, html, render, useEffect, useState } from "./ui.js";
import { loadStatus, status } from "./api.js";
import { lang, loadLanguage, loadViewWords, t } from "./i18n.js";
import { connection, start } from "./live.js";
import { heading, placeHere, route } from "./router.js";
import { Shell } from "./components/shell.js";
import { Failure, Head, Loading } from "./components/bits.js";
import { reportLeft } from "./actions.js";

const VIEWS = {
  jobs: () => import("./views/jobs.js").then((module) => module.Jobs),
  overview: () => import("./views/overview.js").then((module) => module.Overview),
  job: () => import("./views/job.js").then((module) => module.JobPage),
  form: () => import("./views/form.js").then((module) => module.JobForm),
  runs: () => import("./views/runs.js").then((module) => module.Runs),
  run: () => import("./views/run.js").then((module) => module.RunPage),
  "dead-letters": () => import("./views/dead_letters.js").then((module) => module.DeadLetters),
  agenda: () => import("./views/agenda.js").then((module) => module.Agenda),
  nodes: () => import("./views/nodes.js").then((module) => module.Nodes),
};
const here = new Map();

/** What views share and the shell does without: their style and their words. */
function loadShared() {
  const style = document.createElement("link");
  style.rel = "stylesheet";
  style.href = new URL("./css/views.css", import.meta.url).href;
  const styled = new Promise((resolve, reject) => {
    style.onload = resolve;
    style.onerror = () => reject(new Error("css/views.css"));
  });
  document.head.append(style);
  return Promise.all([styled, loadViewWords()]);
}
let shared = null;

/** Load a view; what fails is tried again the next time. */
async function load(name) {
  shared ??= loadShared();
  try {
    const [found] = await Promise.all([VIEWS[name](), shared]);
    return found;
  } catch (error) {
    shared = null;
    throw error;
  }
}

/** Which screen an address means, and what it is about. */
function screenOf({ view, parts }) {
  if (view === "jobs" && parts[1] !== undefined) return parts[2] === "edit" ? ["form", parts[1]] : ["job", parts[1]];
  if (view === "runs" && parts[1] !== undefined) return ["run", parts[1]];
  if (view === "new") return ["form", null];
  return view in VIEWS ? [view, null] : ["unknown", null];
}

function View() {
  const [name, id] = screenOf(route.value);
  const [, drawn] = useState(0);
  const [error, setError] = useState(null);
  const Screen = here.get(name);
  useEffect(() => {
    if (Screen || !VIEWS[name]) return;
    setError(null);
    load(name).then(
      (found) => {
        here.set(name, found);
        drawn((n) => n + 1);
      },
      (failed) => setError(failed),
    );
  }, [name]);
  useEffect(() => {
    if (Screen) arrive();
  }, [name, id, Boolean(Screen)]);
  if (name === "unknown") return html`<div class="view"><${Head} title=${t("error.noPage")} /><p><a href="#/">${t("nav.overview")}</a></p></div>`;
  if (error) return html`<div class="view"><${Failure} error=${error} retry=${() => location.reload()} /></div>`;
  if (!Screen) return html`<div class="view"><${Loading} /></div>`;
  return html`<${Screen} key=${`${name} ${id ?? ""}`} id=${id} />`;
}

let first = true;

const SETTLES = 3_000;

/** A new view begins at its heading, for the eye and for the keyboard; one that is come back to, where it was left. */
function arrive() {
  const main = document.getElementById("main");
  const place = placeHere()?.main ?? 0;
  main.scrollTop = place;
  // What the view shows may still have to be read: it grows until the place is there.
  const growth = new ResizeObserver(() => {
    main.scrollTop = place;
    if (main.scrollTop >= place - 1) growth.disconnect();
  });
  if (place) {
    growth.observe(main.firstElementChild);
    setTimeout(() => growth.disconnect(), SETTLES);
    for (const name of ["wheel", "pointerdown", "keydown"]) main.addEventListener(name, () => growth.disconnect(), { once: true, passive: true });
  }
  if (first) {
    first = false;
    return;
  }
  document.querySelector("main h1")?.focus({ preventScroll: true });
}

effect(() => {
  document.title = [heading.value, status.value?.title || "asched"].filter(Boolean).join(" · ");
});

effect(() => {
  // After each connection: another server may stand there, with other rights.
  if (connection.value === "live") loadStatus();
});

async function main() {
  await loadLanguage(lang.peek());
  render(html`<${Shell}><${View} /><//>`, document.getElementById("app"));
  loadStatus();
  start();
  reportLeft();
}

main();
