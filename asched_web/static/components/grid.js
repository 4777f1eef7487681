// A grid of any number of rows, of which only those in sight are in the page.
import { cx, html, useEffect, useLayoutEffect, useRef, useState } from "../ui.js";
import { letterKeys } from "../prefs.js";
import { placeHere } from "../router.js";
import { Icon } from "./icon.js";

const SPARE = 4; // rows above and below what is seen
const MOST = 60;
const PRINTED = 1_000; // rows on paper, where nothing scrolls

/**
 * @param {{label: string, ids: string[], columns: {key: string, label: string, sort?: string}[], rowHeight: number,
 *   sort: {key: string, down: boolean}, onSort: (key: string) => void, selected: Set<string>,
 *   onKey: (key: string, id: string) => boolean, onHold: (held: boolean) => void, empty: any,
 *   Row: (props: {id: string}) => any}} props  Row gets `{id, selected}` and returns the cells
 */
export function Grid({ label, ids, columns, rowHeight, sort, onSort, selected, onKey, onHold, empty, Row }) {
  const box = useRef(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const [active, setActive] = useState(null);
  const [focused, setFocused] = useState(false);
  const holds = useRef({ pointer: false, focus: false });
  const headHeight = useRef(0);
  const back = useRef(placeHere()?.grid ?? 0);
  const [printing, setPrinting] = useState(false);

  useLayoutEffect(() => {
    const element = box.current;
    const measure = () => {
      headHeight.current = element.querySelector(".grid-head").offsetHeight;
      setHeight(element.clientHeight);
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    const change = (event) => setPrinting(event.type === "beforeprint");
    for (const name of ["beforeprint", "afterprint"]) addEventListener(name, change);
    return () => {
      for (const name of ["beforeprint", "afterprint"]) removeEventListener(name, change);
    };
  }, []);

  useLayoutEffect(() => {
    // Come back to, the list stands where it was left.
    if (!ids.length || !back.current) return;
    box.current.scrollTop = back.current;
    back.current = 0;
  }, [ids.length > 0]);

  // A shorter list may end above where one had scrolled to.
  useEffect(() => {
    const most = Math.max(0, ids.length * rowHeight - 1);
    if (box.current.scrollTop > most) box.current.scrollTop = most;
  }, [ids.length, rowHeight]);

  const hold = (change) => {
    const before = holds.current.pointer || holds.current.focus;
    Object.assign(holds.current, change);
    const after = holds.current.pointer || holds.current.focus;
    if (before !== after) onHold(after);
  };

  const first = printing ? 0 : Math.max(0, Math.min(Math.floor(top / rowHeight) - SPARE, ids.length - 1));
  const count = printing ? PRINTED : Math.min(MOST, Math.ceil(height / rowHeight) + 2 * SPARE);
  const shown = ids.slice(first, first + count);
  const place = active === null ? -1 : ids.indexOf(active);

  const move = (to) => {
    if (!ids.length) return;
    const index = Math.max(0, Math.min(ids.length - 1, to));
    setActive(ids[index]);
    const element = box.current;
    const seen = element.clientHeight - headHeight.current;
    const y = index * rowHeight;
    if (y < element.scrollTop) element.scrollTop = y;
    else if (y + rowHeight > element.scrollTop + seen) element.scrollTop = y + rowHeight - seen;
  };

  const page = () => Math.max(1, Math.floor((height - headHeight.current) / rowHeight) - 1);
  const keydown = (event) => {
    if (event.target !== box.current || event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page(), PageUp: -page(), ...(letterKeys.peek() ? { j: 1, k: -1 } : {}) };
    const start = place < 0 ? Math.round(box.current.scrollTop / rowHeight) - 1 : place;
    if (event.key in steps) move(steps[event.key] < 0 && place < 0 ? start + 1 : start + steps[event.key]);
    else if (event.key === "Home") move(0);
    else if (event.key === "End") move(ids.length - 1);
    else if (!(place >= 0 && onKey(event.key, ids[place]))) return;
    event.preventDefault();
  };

  const activeShown = place >= first && place < first + shown.length;
  return html`
    <div class=${cx("grid", focused && "focused")} role="grid" tabindex="0" ref=${box} aria-label=${label}
      aria-rowcount=${ids.length + 1} aria-multiselectable="true"
      aria-activedescendant=${activeShown ? `row-${place}` : undefined}
      onScroll=${(event) => setTop(event.currentTarget.scrollTop)} onKeyDown=${keydown}
      onPointerEnter=${(event) => event.pointerType === "mouse" && hold({ pointer: true })}
      onPointerLeave=${() => hold({ pointer: false })}
      onFocusIn=${(event) => {
        hold({ focus: true });
        setFocused(event.target === box.current);
      }}
      onFocusOut=${(event) => {
        // The event's own element: when the view is left while a row has the focus, the reference is gone already.
        if (!event.currentTarget.contains(event.relatedTarget)) hold({ focus: false });
        setFocused(false);
      }}>
      <div class="grid-head" role="rowgroup"><div class="grid-row" role="row" aria-rowindex="1">
        ${columns.map((column) => html`
          <div key=${column.key} class=${`cell cell-${column.key}`} role="columnheader"
            aria-sort=${column.sort && sort.key === column.sort ? (sort.down ? "descending" : "ascending") : undefined}>
            ${column.sort
              ? html`<button type="button" class="sort" onClick=${() => onSort(column.sort)}>${column.label}
                  <span class=${cx("sort-mark", sort.key !== column.sort && "off")}><${Icon} name=${sort.down ? "down" : "up"} size="12" /></span></button>`
              : html`<span class=${cx(column.hidden && "sr-only")}>${column.label}</span>`}</div>`)}
      </div></div>
      <div class="grid-body" role="rowgroup" style=${{ height: `${ids.length * rowHeight}px` }}>
        ${shown.map((id, i) => html`
          <div key=${id} id=${`row-${first + i}`} class=${cx("grid-row", active === id && "active", selected.has(id) && "selected")} role="row"
            aria-rowindex=${first + i + 2} aria-selected=${selected.has(id)} style=${{ transform: `translateY(${(first + i) * rowHeight}px)`, height: `${rowHeight}px` }}
            onPointerDown=${() => setActive(id)}><${Row} id=${id} selected=${selected.has(id)} /></div>`)}
      </div>
      ${!ids.length && html`<div class="grid-empty" role="rowgroup"><div role="row"><div role="gridcell">${empty}</div></div></div>`}
    </div>`;
}
