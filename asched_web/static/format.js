// Durations, instants and zones as text.
import { lang, locale, t } from "./i18n.js";

const formatters = new Map();

function formatter(options) {
  const key = lang.value + JSON.stringify(options);
  let found = formatters.get(key);
  if (!found) {
    try {
      found = new Intl.DateTimeFormat(locale(), options);
    } catch {
      // A zone this browser does not know yet.
      found = new Intl.DateTimeFormat(locale(), { ...options, timeZone: "UTC" });
    }
    formatters.set(key, found);
  }
  return found;
}

export const HERE = Intl.DateTimeFormat().resolvedOptions().timeZone;

const UNITS = [
  ["d", 86400],
  ["h", 3600],
  ["min", 60],
  ["s", 1],
];

/** 0.34 as "340 ms", 75 as "1 min 15 s": two units at most. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.001) return t("unit.ms", { n: "<1" });
  if (seconds < 1) return t("unit.ms", { n: Math.round(seconds * 1000) });
  if (seconds < 10) return t("unit.s", { n: Math.round(seconds * 10) / 10 });
  return whole(seconds);
}

function whole(seconds) {
  let rest = Math.round(seconds);
  const first = UNITS.findIndex(([, size]) => rest >= size);
  if (first < 0) return t("unit.s", { n: 0 });
  const [name, size] = UNITS[first];
  const amount = Math.floor(rest / size);
  rest -= amount * size;
  const next = UNITS[first + 1];
  const more = next && amount < 10 ? Math.floor(rest / next[1]) : 0;
  const text = t(`unit.${name}`, { n: amount });
  return more ? `${text} ${t(`unit.${next[0]}`, { n: more })}` : text;
}

/** Seconds from now, as "in 5 s" or "5 s ago". */
export function relative(seconds) {
  const distance = Math.abs(seconds);
  if (distance < 1) return t("time.now");
  return t(seconds > 0 ? "time.in" : "time.ago", { d: whole(distance) });
}

/** The clock's reading, with the day unless it is today there. `at` is in milliseconds. */
export function moment(at, now, zone = HERE, seconds = true) {
  const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: zone };
  if (seconds) clock.second = "2-digit";
  const time = formatter(clock).format(at);
  const day = formatter({ year: "numeric", month: "numeric", day: "numeric", timeZone: zone });
  if (day.format(at) === day.format(now)) return time;
  return `${date(at, now, zone)} ${time}`;
}

/** Does this zone have the same date then as this browser? */
export const sameDay = (at, zone) => date(at, at, zone) === date(at, at, HERE);

export function date(at, now, zone = HERE) {
  const options = { weekday: "short", day: "numeric", month: "short", timeZone: zone };
  if (Math.abs(at - now) > 300 * 86400_000) options.year = "numeric";
  // British English puts a comma after the weekday when the year follows, and none otherwise.
  return formatter(options).format(at).replace(",", "");
}

/** All of it, for a tooltip: date, time and zone. */
export function full(at, zone = HERE) {
  return formatter({
    year: "numeric", month: "short", day: "numeric", weekday: "short",
    hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone: zone, timeZoneName: "short",
  }).format(at);
}

/** "New York" of "America/New_York". */
export const zoneName = (zone) => (zone || "").split("/").pop().replaceAll("_", " ");

export const percent = (share) =>
  new Intl.NumberFormat(locale(), { style: "percent", maximumFractionDigits: share > 0.99 && share < 1 ? 2 : 1 }).format(share);

const LINE = 88;

/** On one line if it fits there. */
export function json(value) {
  const text = JSON.stringify(value);
  return text === undefined || text.length <= LINE ? String(text) : JSON.stringify(value, null, 2);
}
