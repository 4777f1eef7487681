// Pictures are SVG with classes for colours: no canvas, no library, and the words beside them say the same.
import { html } from "../ui.js";
import { duration, moment } from "../format.js";
import { number } from "../i18n.js";
import { now } from "../store.js";

const WIDTH = 600;

/**
 * Bars over a span of time, with three times below.
 * @param {{bars: {key: any, parts: [string, number][], title: string}[], height: number, from: number, until: number,
 *   label: string, chosen?: number, onChoose?: (key: any) => void}} props  parts are stacked from below
 */
export function Bars({ bars, height, from, until, label, chosen, onChoose }) {
  const high = Number(height);
  const most = Math.max(1, ...bars.map((bar) => bar.parts.reduce((sum, [, n]) => sum + n, 0)));
  const width = WIDTH / bars.length;
  const gap = Math.min(2, width * 0.25);
  const paths = {};
  bars.forEach((bar, i) => {
    let y = high;
    for (const [tone, n] of bar.parts) {
      if (!n) continue;
      // Square roots keep one start visible beside a thousand.
      const size = Math.max(2, (Math.sqrt(n) / Math.sqrt(most)) * (high - 2) * (bar.parts.length > 1 ? 0.96 : 1));
      y -= size;
      paths[tone] = `${paths[tone] || ""}M${(i * width).toFixed(1)} ${Math.max(0, y).toFixed(1)}h${(width - gap).toFixed(1)}v${size.toFixed(1)}h-${(width - gap).toFixed(1)}z`;
    }
  });
  const last = bars.length - 1;
  const at = chosen ?? 0;
  const keydown = (event) => {
    const steps = { ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at - 1, ArrowDown: at - 1, PageUp: at + 10, PageDown: at - 10, Home: 0, End: last };
    if (event.key === "Escape" && chosen !== null) onChoose(bars[at].key);
    else if (event.key in steps) {
      // The first key chooses the first bar, the others go on from there.
      const to = chosen === null && event.key.startsWith("Arrow") ? 0 : Math.max(0, Math.min(last, steps[event.key]));
      if (to !== chosen) onChoose(bars[to].key);
    } else return;
    event.preventDefault();
  };
  const picker = onChoose && {
    role: "slider", tabindex: "0", "aria-valuemin": 0, "aria-valuemax": last, "aria-valuenow": at, "aria-valuetext": chosen === null ? label : bars[at]?.title, onClick: (event) => choose(event), onKeyDown: keydown,
  };
  const choose = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const place = Math.floor(((event.clientX - box.left) / box.width) * bars.length);
    onChoose(bars[Math.max(0, Math.min(bars.length - 1, place))].key);
  };
  const hover = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const bar = bars[Math.max(0, Math.min(bars.length - 1, Math.floor(((event.clientX - box.left) / box.width) * bars.length)))];
    const title = event.currentTarget.querySelector("title");
    if (title && bar && title.textContent !== bar.title) title.textContent = bar.title;
  };
  const middle = (from + until) / 2;
  const present = now.peek();
  return html`<figure class="chart"><p class="most nums" aria-hidden="true">${number(most)}</p><svg class=${onChoose ? "pick" : ""} viewBox=${`0 0 ${WIDTH} ${high}`} height=${high} preserveAspectRatio="none" role="img" aria-label=${label} ...${picker}
      onPointerMove=${hover}><title>${label}</title>
      <rect class="hit" width=${WIDTH} height=${high} />
      ${chosen !== undefined && chosen !== null ? html`<rect class="chosen" x=${Math.max(0, chosen * width - 1)} width=${width + 2 - gap} height=${high} />` : null}
      <path class="axis" d=${`M0 ${high - 0.5}H${WIDTH}`} />
      ${Object.entries(paths).map(([tone, d]) => html`<path key=${tone} class=${`fill-${tone}`} d=${d} />`)}</svg>
    <figcaption class="nums" aria-hidden="true"><span>${moment(from, present, undefined, false)}</span><span>${moment(middle, present, undefined, false)}</span><span>${moment(until, present, undefined, false)}</span></figcaption></figure>`;
}

const CUT = 4; // times what nine of ten runs stay below

/** Runs of a job as bars: height is how long each took, colour how it ended; behind a failed one the ground is coloured to the top. Oldest first. */
export function RunChart({ runs, label, toneOf, seconds, titleOf, at, onOpen }) {
  const high = 96;
  const width = WIDTH / Math.max(runs.length, 50);
  const lengths = runs.map((run) => seconds(run) ?? 0).sort((a, b) => a - b);
  // One run that waited out a downtime must not flatten the others: what is far above the most of them is cut off.
  const most = Math.max(0.001, Math.min(lengths.at(-1), CUT * lengths[Math.floor((lengths.length - 1) * 0.9)]));
  // A shortcut for the pointer; the list below has a link for each.
  const open = (event) => {
    const i = event.target.dataset.i;
    if (i !== undefined) onOpen(runs[i]);
  };
  const present = now.peek();
  return html`<figure class="chart"><p class="most nums" aria-hidden="true">${duration(most)}</p><svg class="run-chart pick" viewBox=${`0 0 ${WIDTH} ${high}`} preserveAspectRatio="none" role="img" aria-label=${label} onClick=${open}>
    <path class="axis" d=${`M0 ${high - 0.5}H${WIDTH}`} />
    ${runs.map((run, i) => {
      const tone = toneOf(run);
      const size = Math.max(3, Math.min(1, (seconds(run) ?? 0) / most) * (high - 10));
      const cut = (seconds(run) ?? 0) > most * 1.001;
      const x = WIDTH - (runs.length - i) * width;
      return html`<g key=${run.run_id}>${tone === "bad" ? html`<rect class="failed" x=${x} width=${width * 0.78} height=${high} />` : null}
        <rect class=${`fill-${tone}`} x=${x} y=${high - size} width=${width * 0.78} height=${size} rx="1" />
        ${cut ? html`<rect class="cut" x=${x} y=${high - size + 8} width=${width * 0.78} height="3" />` : null}
        <rect class="hit" data-i=${i} x=${x} y="0" width=${width} height=${high}><title>${titleOf(run)}</title></rect></g>`;
    })}</svg><figcaption class="nums" aria-hidden="true"><span>${moment(at(runs[0]), present)}</span><span>${runs.length > 1 ? moment(at(runs.at(-1)), present) : ""}</span></figcaption></figure>`;
}
