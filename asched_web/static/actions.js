// What the operator does: a call, and a sentence about how it went in the bar at the bottom of the page.
import { signal } from "./ui.js";
import { call, each, groupPath, jobPath, letterPath, runPath } from "./api.js";
import { t } from "./i18n.js";

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

async function attempt(text, work, undo) {
  try {
    await work();
    tell(text, "done", undo);
    return true;
  } catch (error) {
    tell(error.code ? error.message : t("error.network"), "failed");
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

async function many(items, work, said) {
  tell(t("bulk.working", { done: 0, n: items.length }), "busy");
  let shown = 0;
  const errors = await each(items, work, (done) => {
    const at = performance.now();
    if (at - shown < 200) return;
    shown = at;
    tell(t("bulk.working", { done, n: items.length }), "busy");
  });
  const good = items.length - errors.length;
  if (!errors.length) tell(said(good));
  else tell(`${said(good)} ${t("bulk.failed", { n: errors.length, why: errors[0].code ? errors[0].message : t("error.network") })}`, "failed");
  return good;
}

export function bulk(verb, ids, after) {
  const { path, method } = BULK[verb];
  const work = () => many(ids, (id) => call(method, path(id)), (n) => t(`bulk.${verb}`, { n })).then(after);
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
      tell(error.code ? error.message : t("error.network"), "failed");
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
  many(ids, (id) => call("POST", letterPath(id, "retry")), (n) => t("bulk.replay", { n })).then(after);

export const discard = (ids, after) =>
  ask({
    title: t("ask.discard", { n: ids.length }),
    text: t("ask.discardText"),
    confirm: t("act.discard"),
    act: () => many(ids, (id) => call("DELETE", letterPath(id)), (n) => t("bulk.discard", { n })).then(after),
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
        tell(error.code ? error.message : t("error.network"), "failed");
      }
      after();
    },
  });
