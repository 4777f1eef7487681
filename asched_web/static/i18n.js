// Words of the page. Messages live in i18n/<lang>.json and i18n/<lang>.views.json, flat, with {names} in braces; one that counts has a form for
// each plural of its language. tests/web/test_static_front_end.py holds the languages to each other.
import { signal } from "./ui.js";
import { remember } from "./prefs.js";

export const LANGUAGES = { en: "English", zh: "简体中文" };

/** Key of LANGUAGES. */
export const lang = signal(document.documentElement.lang.startsWith("zh") ? "zh" : "en");
/** What Intl is asked for. */
export const locale = () => (lang.value === "zh" ? "zh-CN" : "en-GB");

const loaded = {};
let withViews = false;
let plurals = new Intl.PluralRules("en");
let numbers = new Intl.NumberFormat("en");

async function load(name, part) {
  const file = `${name}${part}.json`;
  const messages = (loaded[name] ??= {});
  if (messages[file]) return;
  const answer = await fetch(new URL(`./i18n/${file}`, import.meta.url));
  if (!answer.ok) throw new Error(`${answer.status} for ${file}`);
  Object.assign(messages, await answer.json(), { [file]: file });
}

export async function loadLanguage(name) {
  await Promise.all([load(name, ""), withViews && load(name, ".views")]);
  plurals = new Intl.PluralRules(name);
  numbers = new Intl.NumberFormat(name === "zh" ? "zh-CN" : "en-GB");
  document.documentElement.lang = name === "zh" ? "zh-Hans" : "en";
  lang.value = name;
}

/** The words of the views come with the first of them. */
export function loadViewWords() {
  withViews = true;
  return load(lang.peek(), ".views");
}

export async function setLanguage(name) {
  await loadLanguage(name);
  remember("asched.lang", name);
}

export const number = (value) => (lang.value, numbers.format(value));

/** The message of a key. A component that calls this is drawn again when the language changes. */
export function t(key, values) {
  let text = loaded[lang.value]?.[key];
  if (text === undefined) return key;
  if (typeof text === "object") text = text[plurals.select(values.n)] ?? text.other;
  if (!values) return text;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? numbers.format(value) : String(value);
  });
}

/** The message of a word of the wire (a status, a reason), or the word itself if it is newer than this page. */
export function word(family, name) {
  const key = `${family}.${name}`;
  const text = t(key);
  return text === key ? String(name) : text;
}
