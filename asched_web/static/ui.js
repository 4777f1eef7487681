// The one place that knows which libraries draw the page. Text in templates is text: nothing here parses markup.
import { h, render } from "./vendor/preact.mjs";
import htm from "./vendor/htm.mjs";
import { useEffect, useMemo, useRef } from "./vendor/hooks.mjs";
import { computed, effect } from "./vendor/signals.mjs";

export { render };
export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/hooks.mjs";
export { batch, computed, effect, signal, untracked, useComputed, useSignal, useSignalEffect } from "./vendor/signals.mjs";

export const html = htm.bind(h);

/** Joins class names, leaving out what is false. */
export const cx = (...names) => names.filter(Boolean).join(" ");

/** What `read` makes of signals. The component is drawn again only when that is another value, not with each signal. */
export const useRead = (read, inputs) => useMemo(() => computed(read), inputs).value;

/** One function for as long as the component lives, which does what the latest `work` does. */
export function useLatest(work) {
  const latest = useRef(null);
  latest.current = work;
  return useMemo(() => (...given) => latest.current(...given), []);
}

const SHARE = 20;

/**
 * Do `work` after the signals that `read` reads have changed, at most once in `every` milliseconds, and with long work
 * so seldom that it takes a twentieth of the time. The component is not drawn again for it.
 */
export function useThrottled(read, every, work, inputs = []) {
  const latest = useLatest(work);
  useEffect(() => {
    let timer = null;
    let next = 0;
    const again = () => {
      timer = null;
      const begin = performance.now();
      latest();
      const end = performance.now();
      next = end + Math.max(every, SHARE * (end - begin));
    };
    const stop = effect(() => {
      read();
      timer ??= setTimeout(again, Math.max(0, next - performance.now()));
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, inputs);
}
