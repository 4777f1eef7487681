// Dialogs are the browser's own: it keeps the focus inside, closes on Escape and gives the focus back.
import { html, useEffect, useRef, useState } from "../ui.js";
import { needsToken, setToken } from "../api.js";
import { question } from "../actions.js";
import { t } from "../i18n.js";
import { letterKeys, remembered, setLetterKeys } from "../prefs.js";
import { Button } from "./bits.js";

export function Dialog({ label, onClose, children, fixed }) {
  const box = useRef(null);
  useEffect(() => {
    const element = box.current;
    element.showModal();
    return () => element.close();
  }, []);
  return html`<dialog ref=${box} aria-labelledby=${label} onClose=${onClose}
    onCancel=${(event) => fixed && event.preventDefault()}>${children}</dialog>`;
}

export function Question() {
  const asked = question.value;
  if (!asked) return null;
  const close = () => (question.value = null);
  const confirm = () => {
    close();
    asked.act();
  };
  return html`<${Dialog} key=${asked.title} label="question" onClose=${close}>
    <h2 id="question">${asked.title}</h2><p>${asked.text}</p>
    <div class="dialog-actions"><${Button} onClick=${close} autofocus>${t("act.back")}<//>
      <${Button} kind=${asked.safe ? "primary" : "danger"} onClick=${confirm}>${asked.confirm}<//></div><//>`;
}

export function TokenDialog() {
  const [value, setValue] = useState("");
  const [lasting, setLasting] = useState(false);
  if (!needsToken.value) return null;
  const submit = (event) => {
    event.preventDefault();
    if (value.trim()) setToken(value.trim(), lasting);
  };
  return html`<${Dialog} label="token-title" fixed>
    <form onSubmit=${submit}><h2 id="token-title">${t("token.title")}</h2><p id="token-text">${t("token.text")}</p>${remembered("asched.token") && html`<p class="fault" role="alert">${t("token.wrong")}</p>`}
      <label class="field"><span>${t("token.label")}</span>
        <input type="password" autocomplete="current-password" spellcheck=${false} required autofocus aria-describedby="token-text"
          value=${value} onInput=${(event) => setValue(event.target.value)} /></label>
      <label class="check"><input type="checkbox" checked=${lasting} onChange=${(event) => setLasting(event.target.checked)} />
        <span>${t("token.remember")}</span></label>
      <div class="dialog-actions"><button class="button primary"><span>${t("token.go")}</span></button></div></form><//>`;
}

const KEYS = [
  ["/", "keys.search"], ["↑ ↓ / j k", "keys.move"], ["Enter", "keys.open"], ["x", "keys.select"], ["p", "keys.pause"],
  ["r", "keys.run"], ["g o / j / r / d / a / n", "keys.go"], ["t", "keys.theme"], ["?", "keys.help"],
];

export const KeysDialog = ({ onClose }) => html`<${Dialog} label="keys-title" onClose=${onClose}>
  <h2 id="keys-title">${t("keys.title")}</h2>
  <dl class="keys">${KEYS.map(([key, what]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${t(what)}</dd></div>`)}</dl>
  <label class="check"><input type="checkbox" checked=${letterKeys.value} onChange=${(event) => setLetterKeys(event.target.checked)} /><span>${t("keys.on")}</span></label>
  <div class="dialog-actions"><${Button} onClick=${onClose} autofocus>${t("act.close")}<//></div><//>`;
