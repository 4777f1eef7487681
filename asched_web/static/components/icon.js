import { html } from "../ui.js";

// Drawn on a grid of 16, in strokes of one width.
const PATHS = {
  overview: "M2.5 8.5 5 6l2.5 3.5L10.5 4l3 4.5M2.5 13h11",
  jobs: "M3 4h10M3 8h10M3 12h6",
  runs: "M5 3.5 12 8l-7 4.5z",
  dead: "M2.5 4.5h11v8h-11zM2.5 5l5.5 4 5.5-4",
  agenda: "M3 4h10v9.5H3zM3 7h10M5.5 2.5v3M10.5 2.5v3",
  nodes: "M3 3h10v4H3zM3 9h10v4H3zM5.2 5h.1M5.2 11h.1",
  plus: "M8 3v10M3 8h10",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3.5 12 8l-7 4.5z",
  bolt: "M9 2 4 9h4l-1 5 5-7H8z",
  cancel: "M4 4l8 8M12 4l-8 8",
  edit: "M3 13l.6-2.6 7-7 2 2-7 7zM9.5 4.5l2 2",
  copy: "M5.5 5.5h7v8h-7zM3.5 10.5v-8h7",
  search: "M7 2.8a4.2 4.2 0 1 1 0 8.4 4.2 4.2 0 0 1 0-8.4zM10.2 10.2 13.5 13.5",
  sun: "M8 5.2a2.8 2.8 0 1 1 0 5.6 2.8 2.8 0 0 1 0-5.6zM8 1.5v1.2M8 13.3v1.2M1.5 8h1.2M13.3 8h1.2M3.4 3.4l.9.9M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9",
  moon: "M13 9.6A5.4 5.4 0 0 1 6.4 3 5.4 5.4 0 1 0 13 9.6z",
  system: "M2.5 3h11v8h-11zM6 13.5h4",
  language: "M2.5 4h7M6 2.5V4M8 4c-.7 2.6-2.5 4.8-5 6M4 6c.8 1.8 2.2 3.2 4 4M8.2 13.5 11 7l2.8 6.5M9.2 11.5h3.6",
  check: "M3.5 8.5l3 3 6-7",
  warn: "M8 2.5 14 13H2zM8 6.5v3M8 11.3v.1",
  clock: "M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11zM8 5v3l2 1.3",
  right: "M6 3.5 10.5 8 6 12.5",
  down: "M3.5 6 8 10.5 12.5 6",
  up: "M3.5 10 8 5.5 12.5 10",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  replay: "M3.5 6.5A5 5 0 1 1 3 9M3.5 3v3.5H7",
  trash: "M3 4.5h10M6 4.5v-2h4v2M4.5 4.5l.6 9h5.8l.6-9",
  help: "M6 6a2 2 0 1 1 2.6 1.9c-.4.2-.6.5-.6 1v.6M8 11.8v.1",
  lock: "M4 7.5h8v6H4zM5.8 7.5V5a2.2 2.2 0 0 1 4.4 0v2.5",
};

export const Icon = ({ name, size = 16 }) => html`
  <svg class="icon" width=${size} height=${size} viewBox="0 0 16 16" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
