// Hash routes: the page is one constant file, so it works below any prefix and behind any proxy.
import { signal } from "./ui.js";

function read() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decoded);
  return { view: parts[0] || "overview", parts, query: new URLSearchParams(query) };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const route = signal(read());
/** What the screen is about, for the window's title. */
export const heading = signal("");

// Each entry of the browser's history has a name, under which is kept how far one had scrolled there.
const places = new Map();
let entry = nameEntry();

function nameEntry() {
  const name = history.state?.entry ?? Math.random().toString(36).slice(2);
  if (!history.state?.entry) history.replaceState({ entry: name }, "");
  return name;
}

/** {main, grid}: how far this entry was scrolled when it was left; null for a new one. */
export const placeHere = () => places.get(entry) ?? null;

addEventListener("hashchange", () => {
  // The view that is left still stands in the page.
  places.set(entry, { main: document.getElementById("main")?.scrollTop ?? 0, grid: document.querySelector(".grid")?.scrollTop ?? 0 });
  entry = nameEntry();
  route.value = read();
});

/** `link(["jobs", id], {q: "x"})` as an href; empty members of the query are left out. */
export function link(parts, query) {
  const given = Object.entries(query || {}).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const search = new URLSearchParams(given).toString();
  return "#/" + parts.map(encodeURIComponent).join("/") + (search ? `?${search}` : "");
}

export function go(parts, query) {
  location.hash = link(parts, query);
}

/** Change members of the query in place, without an entry in the browser's history. */
export function setQuery(changes) {
  const now = route.value;
  const query = { ...Object.fromEntries(now.query), ...changes };
  history.replaceState(history.state, "", link(now.parts, query));
  route.value = read();
}
