// What stands around every view: navigation, choices, and the bar at the bottom, which has a place of its own and so
// neither covers anything nor moves it.
import { cx, html, useEffect, useState } from "../ui.js";
import { needsToken, setToken, status } from "../api.js";
import { notice, silence } from "../actions.js";
import { duration } from "../format.js";
import { lang, LANGUAGES, setLanguage, t } from "../i18n.js";
import { connection, heardAt, restarts, retryNow } from "../live.js";
import { letterKeys, remembered, setTheme, theme } from "../prefs.js";
import { go, link, route } from "../router.js";
import { jobs, jobsMoved, now, stats } from "../store.js";
import { letters } from "../letters.js";
import { KeysDialog, Question, TokenDialog } from "./dialog.js";
import { Icon } from "./icon.js";
import { IconButton } from "./bits.js";

export const VIEWS = [
  ["overview", "overview", "o"], ["jobs", "jobs", "j"], ["runs", "runs", "r"],
  ["dead-letters", "dead", "d"], ["agenda", "agenda", "a"], ["nodes", "nodes", "n"],
];

const THEMES = [["auto", "system"], ["light", "sun"], ["dark", "moon"]];

function Choices() {
  return html`<div class="choices">
    <div class="segments" role="group" aria-label=${t("theme.label")}>${THEMES.map(([name, icon]) => html`
      <button key=${name} type="button" aria-pressed=${theme.value === name} aria-label=${t(`theme.${name}`)} title=${t(`theme.${name}`)}
        onClick=${() => setTheme(name)}><${Icon} name=${icon} /></button>`)}</div>
    <div class="segments" role="group" aria-label=${t("language.label")}>${Object.entries(LANGUAGES).map(([name, title]) => html`
      <button key=${name} type="button" aria-pressed=${lang.value === name} lang=${name === "zh" ? "zh-Hans" : "en"}
        onClick=${() => setLanguage(name)}>${title}</button>`)}</div>
    ${remembered("asched.token") && html`<button type="button" class="text-button" onClick=${() => setToken(null)}>${t("token.forget")}</button>`}
  </div>`;
}

function Badge({ n, bad }) {
  return n ? html`<span class=${cx("badge", bad && "bad")}>${n > 999 ? "999+" : n}</span>` : null;
}

function Navigation({ onGo }) {
  jobsMoved.value;
  const counts = { jobs: jobs.size, "dead-letters": letters.value, runs: stats.value?.statistics?.active_runs };
  return html`<nav aria-label=${t("nav.label")}>${VIEWS.map(([name, icon]) => html`
    <a key=${name} href=${link(name === "overview" ? [] : [name])} aria-current=${route.value.view === name ? "page" : undefined} onClick=${onGo}>
      <${Icon} name=${icon} /><span>${t(`nav.${name}`)}</span>${" "}<${Badge} n=${counts[name]} bad=${name === "dead-letters"} /></a>`)}</nav>`;
}

function Connection() {
  const state = connection.value;
  // Drawn again each second.
  now.value;
  const age = Math.max(0, (Date.now() - heardAt.value) / 1000);
  const running = stats.value?.running;
  const away = stats.value && !stats.value.store_available;
  const failed = stats.value?.failures?.length > 0;
  const kind = state !== "live" ? (state === "connecting" ? "calm" : "bad") : away || failed ? "bad" : running === false ? "warn" : "good";
  const text =
    state === "live"
      ? away ? t("live.storeAway") : running === false ? t("live.stopped") : failed ? t("live.failed") : t("live.live")
      : t(`live.${state}`);
  return html`<span class=${cx("connection", `tone-${kind}`)}><i class="dot"></i><b>${text}</b>
    ${state === "lost" || state === "stopping"
      ? html`<span class="nums age">${t("live.age", { d: duration(Math.round(age)) })}</span>
          <button type="button" class="text-button" onClick=${retryNow}>${t("act.retry")}</button>` : null}</span>`;
}

function StatusBar({ onKeys }) {
  const said = notice.value;
  return html`<footer class=${cx("bar", said && `bar-${said.kind}`)}>
    <${Connection} />
    ${status.value?.read_only ? html`<span class="tag"><${Icon} name="lock" size="12" />${t("state.readOnly")}</span>` : null}
    <div class="said" role="status">${said && html`<span>${said.text}</span>`}</div>
    ${said && html`<span class="said-actions">${said.undo && html`<button type="button" class="text-button" onClick=${said.undo}>${t("act.undo")}</button>`}
      ${said.kind !== "busy" && html`<${IconButton} icon="cancel" label=${t("act.dismiss")} onClick=${silence} />`}</span>`}
    <span class="bar-end"><${IconButton} icon="help" label=${t("keys.title")} onClick=${onKeys} /></span></footer>`;
}

export function Shell({ children }) {
  const [menu, setMenu] = useState(false);
  const [keys, setKeys] = useState(false);
  const title = status.value?.title || "asched";
  useEffect(() => shortcuts(() => setKeys(true)), []);
  useEffect(() => setMenu(false), [route.value]);
  useEffect(() => {
    if (restarts.value) notice.value = { text: t("live.restarted"), kind: "done" };
  }, [restarts.value]);
  const brand = html`<a class="brand" href="#/"><svg width="24" height="24" viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="8" /><path d="M16 7a9 9 0 1 1 0 18 9 9 0 0 1 0-18zM16 10.5V16l4 2.6" /></svg>
    <span>${title}</span></a>`;
  return html`<div class=${cx("app", connection.value !== "live" && "stale")}>
    <a class="skip" href="#main" onClick=${skip}>${t("nav.skip")}</a>
    <aside class=${cx("side", menu && "open")}>
      <div class="side-top">${brand}
        <button type="button" class="menu" aria-expanded=${menu} aria-controls="side-body" onClick=${() => setMenu(!menu)} aria-label=${t("nav.menu")}>
          <${Icon} name=${menu ? "cancel" : "menu"} size="20" /></button></div>
      <div class="side-body" id="side-body"><${Navigation} onGo=${() => setMenu(false)} /><${Choices} /></div></aside>
    <main id="main" tabindex="-1">${children}</main>
    <${StatusBar} onKeys=${() => setKeys(true)} />
    <${Question} />${keys && !needsToken.value && html`<${KeysDialog} onClose=${() => setKeys(false)} />`}<${TokenDialog} /></div>`;
}

function skip(event) {
  // The address belongs to the router.
  event.preventDefault();
  document.getElementById("main").focus();
}

function shortcuts(showKeys) {
  let pending = 0;
  const press = (event) => {
    const inField = event.target.closest("input, textarea, select, dialog, [contenteditable]");
    if (!letterKeys.peek() || inField || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const going = Date.now() - pending < 1200;
    pending = 0;
    if (going) {
      const view = VIEWS.find(([, , key]) => key === event.key);
      if (view) go(view[0] === "overview" ? [] : [view[0]]);
    } else if (event.key === "g") pending = Date.now();
    else if (event.key === "?") showKeys();
    else if (event.key === "t") setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    else if (event.key === "/") {
      const search = document.querySelector("input[type=search]");
      if (!search) return;
      search.focus();
      search.select();
    } else return;
    event.preventDefault();
  };
  document.addEventListener("keydown", press);
  return () => document.removeEventListener("keydown", press);
}
