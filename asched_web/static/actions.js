// What the operator does: a call, and a sentence about how it went in the bar at the bottom of the page.
import { signal } from "./ui.js";
import { call, each, groupPath, jobPath, letterPath, runPath } from "./api.js";
import { loadViewWords, t } from "./i18n.js";

/** {text, kind: "done" | "failed" | "busy", undo}; null when there is nothing to say. */
export const notice = signal(null);
let timer = null;

export function tell(text, kind = "done", undo = null) {
  clearTimeout(timer);
  notice.value = { text, kind, undo };
  // A failure stays until it was read; time enough to undo for the rest.
  if (kind === "done") timer = setTimeout(() => (notice.value = null), undo ? 12_000 : 6_000);
}

export const silence = () => {
  clearTimeout(timer);
  notice.value = null;
};

/** {title, text, confirm, danger, act}: what the confirmation dialog asks; null when it is closed. */
export const question = signal(null);

export const ask = (asked) => (question.value = asked);

/** Why a call failed, in words for the operator: the server's own, unless they are about its insides. */
export function whyOf(error) {
  if (!error.code) return t("error.network");
  return error.title === "Store is unavailable" ? t("live.storeAway") : error.message;
}

async function attempt(text, work, undo) {
  try {
    await work();
    tell(text, "done", undo);
    return true;
  } catch (error) {
    tell(whyOf(error), "failed");
    return false;
  }
}

const name = (job) => job.job_name || job.job_id;

export const pause = (job) =>
  attempt(t("did.paused", { name: name(job) }), () => call("POST", jobPath(job.job_id, "pause")), () => resume(job));
export const resume = (job) =>
  attempt(t("did.resumed", { name: name(job) }), () => call("POST", jobPath(job.job_id, "resume")), () => pause(job));
export const runNow = (job) =>
  attempt(t("did.started", { name: name(job) }), () => call("POST", jobPath(job.job_id, "run")));

export const cancelJob = (job, after) =>
  ask({
    title: t("ask.cancelJob", { name: name(job) }),
    text: job.origin === "declared" ? t("ask.cancelDeclared") : t("ask.cancelJobText"),
    confirm: t("act.cancelJob"),
    act: async () => {
      if (await attempt(t("did.cancelled", { name: name(job) }), () => call("DELETE", jobPath(job.job_id)))) after?.();
    },
  });

export const cancelRun = (run) =>
  ask({
    title: t("ask.cancelRun"),
    text: t("ask.cancelRunText", { job: run.job_id }),
    confirm: t("act.cancelRun"),
    act: () => attempt(t("did.runCancelled"), () => call("POST", runPath(run.run_id, "cancel"))),
  });

/** The verbs for many jobs at once, one call each. */
const BULK = {
  pause: { path: (id) => jobPath(id, "pause"), method: "POST" },
  resume: { path: (id) => jobPath(id, "resume"), method: "POST" },
  run: { path: (id) => jobPath(id, "run"), method: "POST" },
  cancel: { path: (id) => jobPath(id), method: "DELETE" },
};

// What a bulk has done so far, in case the page is left in the middle of it. Of this tab alone.
const UNDER_WAY = "asched.bulk";

function keepCount(count) {
  if (leaving) return;
  try {
    if (count) sessionStorage.setItem(UNDER_WAY, JSON.stringify(count));
    else sessionStorage.removeItem(UNDER_WAY);
  } catch {
    // Without storage a page that is left in the middle cannot say so.
  }
}

let leaving = false;
const warn = (event) => event.preventDefault();
// The requests that are cut off when the page goes must not pass for answers.
addEventListener("pagehide", () => (leaving = true));
addEventListener("pageshow", () => (leaving = false));

/** Say what became of a bulk that was under way when this page was left or loaded anew. */
export async function reportLeft() {
  let left = null;
  try {
    left = JSON.parse(sessionStorage.getItem(UNDER_WAY));
  } catch {
    // Nothing is known.
  }
  if (!left) return;
  keepCount(null);
  await loadViewWords();
  tell(`${t(`bulk.${left.verb}`, { n: left.good })} ${t("bulk.left", { n: left.n - left.done })}`, "failed");
}

async function many(verb, items, work) {
  const n = items.length;
  let good = 0;
  let shown = 0;
  keepCount({ verb, n, done: 0, good });
  addEventListener("beforeunload", warn);
  tell(t("bulk.working", { done: 0, n }), "busy");
  const counted = async (item) => {
    await work(item);
    good++;
  };
  const errors = await each(items, counted, (done) => {
    keepCount({ verb, n, done, good });
    const at = performance.now();
    if (at - shown < 200) return;
    shown = at;
    tell(t("bulk.working", { done, n }), "busy");
  });
  removeEventListener("beforeunload", warn);
  keepCount(null);
  const said = t(`bulk.${verb}`, { n: good });
  if (!errors.length) tell(said);
  else tell(`${said} ${t("bulk.failed", { n: errors.length, why: whyOf(errors[0]) })}`, "failed");
}

export function bulk(verb, ids, after) {
  const { path, method } = BULK[verb];
  const work = () => many(verb, ids, (id) => call(method, path(id))).then(after);
  if (verb === "cancel" || (verb === "run" && ids.length > 1)) {
    ask({
      title: t(`ask.${verb}Many`, { n: ids.length }),
      text: verb === "cancel" ? t("ask.cancelJobText") : t("ask.runManyText"),
      confirm: t(verb === "cancel" ? "act.cancelJobs" : "act.run"),
      safe: verb === "run",
      act: work,
    });
  } else work();
}

export function group(verb, label, jobs) {
  const answer = async () => {
    try {
      const done = await call(verb === "cancel" ? "DELETE" : "POST", groupPath(label, verb === "cancel" ? "" : verb));
      const n = done.paused ?? done.resumed ?? done.cancelled;
      const undo = verb === "pause" ? () => group("resume", label, jobs) : verb === "resume" ? () => group("pause", label, jobs) : null;
      tell(t(`bulk.${verb}`, { n }), "done", undo);
    } catch (error) {
      tell(whyOf(error), "failed");
    }
  };
  if (verb === "cancel") {
    ask({
      title: t("ask.cancelGroup", { name: label, n: jobs }),
      text: t("ask.cancelJobText"),
      confirm: t("act.cancelJobs"),
      act: answer,
    });
  } else answer();
}

export const replay = (ids, after) =>
  many("replay", ids, (id) => call("POST", letterPath(id, "retry"))).then(after);

export const discard = (ids, after) =>
  ask({
    title: t("ask.discard", { n: ids.length }),
    text: t("ask.discardText"),
    confirm: t("act.discard"),
    act: () => many("discard", ids, (id) => call("DELETE", letterPath(id))).then(after),
  });

export const discardAll = (total, after) =>
  ask({
    title: t("ask.discard", { n: total }),
    text: t("ask.discardText"),
    confirm: t("act.discardAll"),
    act: async () => {
      try {
        const { cleared } = await call("DELETE", "api/dead-letters");
        tell(t("bulk.discard", { n: cleared }));
      } catch (error) {
        tell(whyOf(error), "failed");
      }
      after();
    },
  });
