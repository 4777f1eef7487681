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
addEventListener("hashchange", () => {
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
  history.replaceState(null, "", link(now.parts, query));
  route.value = read();
}
