// The one place that knows which libraries draw the page. Text in templates is text: nothing here parses markup.
import { h, render } from "./vendor/preact.mjs";
import htm from "./vendor/htm.mjs";

export { render };
export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/hooks.mjs";
export { batch, computed, effect, signal, untracked, useComputed, useSignal, useSignalEffect } from "./vendor/signals.mjs";

export const html = htm.bind(h);

/** Joins class names, leaving out what is false. */
export const cx = (...names) => names.filter(Boolean).join(" ");
