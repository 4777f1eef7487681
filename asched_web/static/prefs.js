// What this browser remembers: theme, language, token. Storage may be switched off; then nothing is remembered.
import { signal } from "./ui.js";

const root = document.documentElement;
const systemDark = matchMedia("(prefers-color-scheme: dark)");

export function remembered(key) {
  try {
    return localStorage.getItem(key) ?? sessionStorage.getItem(key);
  } catch {
    return null;
  }
}

/** @param {boolean} lasting beyond this tab */
export function remember(key, value, lasting = true) {
  try {
    localStorage.removeItem(key);
    sessionStorage.removeItem(key);
    if (value !== null) (lasting ? localStorage : sessionStorage).setItem(key, value);
  } catch {
    // The choice holds until the page is left.
  }
}

/** "light", "dark" or "auto". */
export const theme = signal(root.dataset.themeChoice || "auto");

function showTheme() {
  const dark = theme.value === "dark" || (theme.value === "auto" && systemDark.matches);
  root.dataset.theme = dark ? "dark" : "light";
}

systemDark.addEventListener("change", showTheme);

export function setTheme(choice) {
  theme.value = choice;
  remember("asched.theme", choice);
  showTheme();
}

/** Single letters act. Who speaks to the computer, or types by accident, switches them off. */
export const letterKeys = signal(remembered("asched.keys") !== "off");

export function setLetterKeys(on) {
  letterKeys.value = on;
  remember("asched.keys", on ? null : "off");
}
