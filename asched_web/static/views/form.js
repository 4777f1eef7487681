// Make a job, or change one. What the trigger will do is shown while it is written; the server knows, this page asks.
import { cx, html, useEffect, useRef, useState } from "../ui.js";
import { tell, whyOf } from "../actions.js";
import { call, get, jobPath, status } from "../api.js";
import { lang, t, word } from "../i18n.js";
import { canAct } from "../live.js";
import { go, link, route } from "../router.js";
import { Button, Card, Failure, Head, Loading } from "../components/bits.js";
import { Icon } from "../components/icon.js";
import { Instants } from "./job.js";

const TYPES = ["interval", "daily", "weekly", "hourly", "cron", "once"];
const UNITS = ["seconds", "minutes", "hours", "days", "weeks"];
const DAYS = [0, 1, 2, 3, 4, 5, 6];
const DAY_NAMES = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const OVERLAPS = ["skip", "queue", "cancel_running", "allow"];
const CATCH_UPS = ["latest", "all", "skip"];
const CRASHES = ["rerun", "lost"];
const ZONES = Intl.supportedValuesOf ? ["UTC", ...Intl.supportedValuesOf("timeZone")] : ["UTC"];

const BLANK = {
  func: "", job_name: "", job_id: "", group: "default", type: "interval", interval: "5", unit: "minutes", time: "09:00", days: [0], minute: "30",
  expression: "0 9 * * MON-FRI", once: "at", delay: "10", delay_unit: "minutes", at: "", timezone: "", args: "[]", kwargs: "{}", enabled: true,
  max_retries: "3", timeout: "", overlap: "skip", catch_up: "latest", catch_up_window: "", on_crash: "rerun", jitter: "", starting: "", until: "", max_runs: "", tags: "",
};

const text = (value) => (value === null || value === undefined ? "" : String(value));
const dayNumber = (day) => (typeof day === "number" ? day : DAY_NAMES.indexOf(day.slice(0, 3).toLowerCase()));

function read(job) {
  const config = job.schedule_config;
  const type = TYPES.includes(job.schedule_type) ? job.schedule_type : "interval";
  return {
    ...BLANK, func: `${job.func_module}:${job.func_name}`, job_name: job.job_name, job_id: job.job_id, group: job.group, type,
    interval: text(config.interval ?? BLANK.interval), unit: config.unit ?? "seconds", time: type === "hourly" ? BLANK.time : text(config.time ?? BLANK.time),
    days: config.days ? config.days.map(dayNumber) : BLANK.days, minute: type === "hourly" ? text(config.time).replace(":", "") : BLANK.minute,
    expression: config.expression ?? BLANK.expression, once: config.at === undefined && type === "once" ? "delay" : "at", delay: text(config.delay ?? BLANK.delay),
    delay_unit: type === "once" ? config.unit ?? "seconds" : BLANK.delay_unit, at: text(config.at), timezone: text(job.timezone), args: JSON.stringify(job.args), kwargs: JSON.stringify(job.kwargs),
    enabled: !job.paused, max_retries: text(job.max_retries), timeout: text(job.timeout), overlap: job.overlap, catch_up: job.catch_up, catch_up_window: text(job.catch_up_window),
    on_crash: job.on_crash, jitter: job.jitter ? text(job.jitter) : "", starting: text(job.starting), until: text(job.until), max_runs: text(job.max_runs), tags: job.tags.join(", "),
  };
}

/** A number as people write it, with a decimal comma too; what is none is left for the server to refuse. */
const quantity = (value) => {
  const written = value.trim().replace(/^(-?\d+),(\d+)$/, "$1.$2");
  return written === "" || Number.isNaN(Number(written)) ? value : Number(written);
};
/** "9:00" and "9：00" as "09:00". */
const clockTime = (value) => value.trim().replaceAll("：", ":").replace(/^\d:/, "0$&");
const optional = (value) => (value.trim() === "" ? null : quantity(value));

function schedule(form) {
  const config = {
    interval: () => ({ interval: quantity(form.interval), unit: form.unit }),
    daily: () => ({ time: clockTime(form.time) }),
    weekly: () => ({ time: clockTime(form.time), days: form.days }),
    hourly: () => ({ time: form.minute.trim() }),
    cron: () => ({ expression: form.expression.trim() }),
    once: () => (form.once === "delay" ? { delay: quantity(form.delay), unit: form.delay_unit } : { at: form.at.trim().replace("T", " ") }),
  }[form.type]();
  return { schedule_type: form.type, schedule_config: config, timezone: form.type === "interval" ? null : form.timezone || null };
}

/** The request's body, or a fault of what must be JSON here already. */
function body(form) {
  const faults = [];
  const parsed = (name, fits) => {
    try {
      const value = JSON.parse(form[name].trim() || (name === "args" ? "[]" : "{}"));
      if (fits(value)) return value;
    } catch {
      // Said below.
    }
    faults.push({ pointer: `/${name}`, detail: t(`form.not_${name}`) });
    return undefined;
  };
  const split = form.func.lastIndexOf(":");
  const value = {
    func_module: form.func.slice(0, Math.max(0, split)), func_name: form.func.slice(split + 1), ...schedule(form),
    group: form.group.trim() || "default", enabled: form.enabled, args: parsed("args", Array.isArray),
    kwargs: parsed("kwargs", (given) => given !== null && typeof given === "object" && !Array.isArray(given)),
    max_retries: quantity(form.max_retries || "0"), timeout: optional(form.timeout), overlap: form.overlap, catch_up: form.catch_up,
    catch_up_window: optional(form.catch_up_window), on_crash: form.on_crash, jitter: quantity(form.jitter || "0"),
    starting: instant(form.starting), until: instant(form.until), max_runs: optional(form.max_runs),
    tags: form.tags.split(/[,，]/).map((tag) => tag.trim()).filter(Boolean),
  };
  if (form.job_name.trim()) value.job_name = form.job_name.trim();
  return { value, faults };
}

/** Without an offset it is meant as UTC, which the field says. What is no date is left for the server to refuse. */
const instant = (given) => {
  const value = given.trim();
  if (!value) return null;
  const [, date, time = "00:00"] = /^(\d{4}-\d\d-\d\d)(?:[T ]+(\d?\d:\d\d(?::\d\d(?:\.\d+)?)?))?$/.exec(value) || [];
  return date ? `${date}T${clockTime(time)}Z` : value.replace(" ", "T");
};

/** The members that differ, those of the schedule and of the function together: nothing is planned anew for the others. */
function changesOf(value, before) {
  const differs = (name) => JSON.stringify(value[name]) !== JSON.stringify(before[name]);
  const changed = Object.keys(value).filter((name) => differs((TOGETHER.find((names) => names.includes(name)) || [name]).find(differs) ?? name));
  return Object.fromEntries(changed.map((name) => [name, value[name]]));
}

const TOGETHER = [["schedule_type", "schedule_config", "timezone"], ["func_module", "func_name"]];

/** What was written and not saved, by form, for as long as the page is open: going away and back loses nothing. */
const drafts = new Map();

addEventListener("beforeunload", (event) => drafts.size && event.preventDefault());

/** Where the fault of a changed field would stand. */
const placeOf = (name) => (SCHEDULE.includes(name) ? "/schedule_config" : name === "func" ? "/func_name" : `/${name}`);
const SCHEDULE = ["interval", "unit", "time", "days", "minute", "expression", "once", "delay", "delay_unit", "at", "type"];
const below = (fault, pointer) => fault.pointer === pointer || fault.pointer.startsWith(`${pointer}/`);

/** A fault stands at its field, so it need not name the member of the request. */
const faultText = (detail) => detail.replace(/^schedule_config(\.\w+)? /, "");

/** Nothing that could be looked ahead from has been written yet. */
const isUnwritten = (form) => form.type === "once" && form.once === "at" && !form.at.trim();

export function JobForm({ id }) {
  const [job, setJob] = useState(null);
  const [functions, setFunctions] = useState(null);
  const [error, setError] = useState(null);
  const from = id ?? route.value.query.get("from");
  const load = () => {
    setError(null);
    Promise.all([get("api/functions"), from ? get(jobPath(from)) : null]).then(
      ([known, found]) => {
        setFunctions(known.functions);
        setJob(found ? found.job : {});
      },
      setError,
    );
  };
  useEffect(load, [from]);
  const title = id ? t("form.edit", { name: job?.job_name || id }) : t("act.newJob");
  if (error) return html`<div class="view"><${Head} title=${title} /><${Failure} error=${error} retry=${load} /></div>`;
  if (!job) return html`<div class="view"><${Head} title=${title} /><${Loading} rows="8" /></div>`;
  return html`<${Form} key=${`${from ?? ""} ${job.job_id ?? ""}`} id=${id} title=${title} job=${job} functions=${functions} />`;
}

function Form({ id, title, job, functions }) {
  const key = id ?? `new ${job.job_id ?? ""}`;
  const begin = () => {
    if (!job.job_id) return { ...BLANK, func: functions.length ? `${functions[0].func_module}:${functions[0].func_name}` : "" };
    return id ? read(job) : { ...read(job), job_id: "", job_name: `${job.job_name} 2` };
  };
  const [blank, setBlank] = useState(begin);
  const [{ form, version, found }, setDraft] = useState(() => (drafts.has(key) ? { ...drafts.get(key), found: true } : { form: blank, version: job.version }));
  const [faults, setFaults] = useState([]);
  const [failure, setFailure] = useState("");
  const [busy, setBusy] = useState(false);
  const own = Boolean(id) && job.schedule_type === "custom";
  const preview = usePreview(form, id, own);
  const summary = useRef(null);
  const set = (change) => {
    const next = { form: { ...form, ...change }, version, found };
    if (JSON.stringify(next.form) === JSON.stringify(blank)) drafts.delete(key);
    else drafts.set(key, { form: next.form, version });
    setDraft(next);
    // What was wrong with a field is not known of what stands there now.
    setFaults(faults.filter((fault) => !Object.keys(change).some((name) => below(fault, placeOf(name)))));
  };
  const discard = () => {
    drafts.delete(key);
    const fresh = begin();
    setBlank(fresh);
    setDraft({ form: fresh, version: job.version });
    setFaults([]);
    setFailure("");
  };
  useEffect(() => () => {
    if (drafts.has(key)) tell(t("form.kept", { title }));
  }, [key, title]);

  const submit = async (event) => {
    event.preventDefault();
    const { value: whole, faults: broken } = body(form);
    const value = id && !broken.length ? changesOf(whole, body(read(job)).value) : whole;
    if (own) ["schedule_type", "schedule_config", "timezone"].forEach((name) => delete value[name]);
    setFailure("");
    setFaults(broken);
    if (broken.length) return focusFirst();
    if (id && !Object.keys(value).length) {
      drafts.delete(key);
      tell(t("form.same", { name: job.job_name }));
      return go(["jobs", id]);
    }
    setBusy(true);
    try {
      if (id) await call("PUT", jobPath(id), value, { "If-Match": `"${version}"` });
      else if (form.job_id.trim()) value.job_id = form.job_id.trim();
      const answer = id ? { job_id: id } : await call("POST", "api/jobs", value);
      drafts.delete(key);
      tell(t(id ? "did.saved" : "did.created", { name: whole.job_name || answer.job_id }));
      go(["jobs", answer.job_id]);
    } catch (problem) {
      setBusy(false);
      const told = problem.faults || [];
      setFaults(told);
      // What stands at its field is not said a second time.
      const all = told.length && told.every((fault) => placed.some((pointer) => below(fault, pointer)));
      setFailure(problem.code === 412 ? t("form.changed") : all ? t("form.check") : whyOf(problem));
      focusFirst();
    }
  };
  const focusFirst = () => requestAnimationFrame(() => (document.querySelector("[aria-invalid=true]") || summary.current)?.focus());

  const faultOf = (...pointers) => {
    const found = [...faults, ...preview.faults].find((fault) => pointers.some((pointer) => below(fault, pointer)));
    return found && faultText(found.detail);
  };
  const props = { form, set, faultOf };
  const placed = ["/func_name", "/func_module", "/job_name", "/job_id", "/group", "/schedule_config", "/schedule_type", "/timezone", "/args", "/kwargs", "/max_retries",
    "/timeout", "/overlap", "/catch_up", "/catch_up_window", "/on_crash", "/jitter", "/starting", "/until", "/max_runs", "/tags"];
  const loose = faults.filter((fault) => !placed.some((pointer) => below(fault, pointer)));
  return html`<form class="view view-form" onSubmit=${submit} novalidate><${Head} title=${title}>
      <a class="button" href=${id ? link(["jobs", id]) : link(["jobs"])}><span>${t("act.back")}</span></a>
      <button class="button primary" disabled=${busy || !canAct("edit")}><${Icon} name="check" /><span>${t(id ? "act.save" : "act.create")}</span></button><//>
    <div ref=${summary} tabindex="-1" role="alert">${failure && html`<p class="fault form-fault">${failure}${loose.map((fault) => html`<br />${faultText(fault.detail)}`)}</p>`}</div>
    ${found && html`<p class="note form-draft">${t("form.draft")} <${Button} kind="quiet" onClick=${discard}>${t("form.discard")}<//></p>`}
    <div class="columns form-columns"><div class="stack">
      <${Card} id="form-what" title=${t("form.what")}>
        <${Field} label=${t("run.func")} fault=${faultOf("/func_name", "/func_module")} hint=${functions.length ? "" : t("form.noFunctions")}>
          ${(rest) => html`<select ...${rest} value=${form.func} onChange=${(event) => set({ func: event.target.value })}>
            ${form.func && !functions.some((known) => `${known.func_module}:${known.func_name}` === form.func) && html`<option value=${form.func}>${form.func}</option>`}
            ${functions.map((known) => html`<option key=${`${known.func_module}:${known.func_name}`} value=${`${known.func_module}:${known.func_name}`}>${known.func_module}.${known.func_name}</option>`)}</select>`}<//>
        <div class="pair"><${Input} ...${props} name="job_name" label=${t("form.job_name")} hint=${t("form.job_nameHint")} />
          ${id ? html`<${Input} ...${props} name="group" label=${t("col.group")} />` : html`<${Input} ...${props} name="job_id" label=${t("job.id")} hint=${t("form.job_idHint")} />`}</div>
        ${!id && html`<${Input} ...${props} name="group" label=${t("col.group")} />`}
      <//>
      ${own ? html`<${Card} id="form-when" title=${t("form.when")}><p class="note">${t("form.custom")}</p><//>` : html`<${Card} id="form-when" title=${t("form.when")}>
        <div class="segments types" role="group" aria-label=${t("form.type")}>${TYPES.map((type) => html`<button key=${type} type="button" aria-pressed=${form.type === type} onClick=${() => set({ type })}>${t(`type.${type}`)}</button>`)}</div>
        <${Trigger} ...${props} />
        ${form.type !== "interval" && html`<${Field} label=${t("form.timezone")} fault=${faultOf("/timezone")}>
          ${(rest) => html`<input ...${rest} list="zones" value=${form.timezone} spellcheck=${false} placeholder=${t("form.defaultZone", { zone: status.value?.timezone || "UTC" })} onInput=${(event) => set({ timezone: event.target.value })} /><datalist id="zones">${ZONES.map((zone) => html`<option key=${zone} value=${zone} />`)}</datalist>`}<//>`}
      <//>`}
      <${Card} id="form-arguments" title=${t("job.arguments")}><div class="pair"><${Area} ...${props} name="args" label=${t("form.args")} /><${Area} ...${props} name="kwargs" label=${t("form.kwargs")} /></div><//>
      <${Card} id="form-policy" title=${t("form.policy")}>
        <div class="pair"><${Input} ...${props} name="max_retries" label=${t("form.max_retries")} inputmode="numeric" /><${Input} ...${props} name="timeout" label=${t("form.timeoutSeconds")} inputmode="decimal" placeholder=${t("form.none")} /></div>
        <div class="pair"><${Select} ...${props} name="overlap" label=${t("form.overlap")} options=${OVERLAPS} /><${Select} ...${props} name="on_crash" label=${t("form.on_crash")} options=${CRASHES} /></div>
        <div class="pair"><${Select} ...${props} name="catch_up" label=${t("form.catch_up")} options=${CATCH_UPS} /><${Input} ...${props} name="catch_up_window" label=${t("form.catch_up_window")} inputmode="decimal" placeholder=${t("form.none")} /></div>
        <div class="pair"><${Input} ...${props} name="starting" label=${t("form.starting")} placeholder="2027-01-01 09:00" hint=${t("form.utcHint")} /><${Input} ...${props} name="until" label=${t("form.until")} placeholder="2027-12-31 18:00" hint=${t("form.utcHint")} /></div>
        <div class="pair"><${Input} ...${props} name="max_runs" label=${t("form.max_runs")} inputmode="numeric" placeholder=${t("form.none")} /><${Input} ...${props} name="jitter" label=${t("form.jitterSeconds")} inputmode="decimal" placeholder="0" /></div>
        <${Input} ...${props} name="tags" label=${t("form.tags")} hint=${t("form.tagsHint")} />
        <label class="check"><input type="checkbox" checked=${form.enabled} onChange=${(event) => set({ enabled: event.target.checked })} /><span>${t("form.enabled")}</span></label><//>
    </div>
    ${own ? null : html`<div class="preview-column"><${Preview} preview=${preview} /></div>`}</div></form>`;
}

/** {data, error, faults, idle} of what would be planned if the form were saved now. */
function usePreview(form, id, own) {
  const [state, setState] = useState({ data: null, error: null });
  const runs = id ? null : Number(form.max_runs);
  const n = runs >= 1 ? Math.min(INSTANTS, Math.floor(runs)) : INSTANTS;
  const idle = own || isUnwritten(form);
  const asked = JSON.stringify({ ...schedule(form), starting: instant(form.starting), until: instant(form.until), n, job_id: id ?? null });
  useEffect(() => {
    if (idle) {
      setState({ data: null, error: null });
      return undefined;
    }
    const abort = new AbortController();
    const timer = setTimeout(() => {
      call("POST", "api/preview", JSON.parse(asked), {}, abort.signal).then(
        (data) => setState({ data, error: null }),
        (error) => error.name !== "AbortError" && setState((old) => ({ data: old.data, error })),
      );
    }, 200);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [asked, idle]);
  return { ...state, idle, faults: state.error?.faults || [] };
}

const INSTANTS = 10;

function Preview({ preview: { data, error, idle } }) {
  if (idle) return html`<${Card} id="form-preview" title=${t("form.preview")}><p class="note">${t("form.unwritten")}</p><//>`;
  return html`<${Card} id="form-preview" title=${t("form.preview")}><div aria-live="polite">
    ${error ? html`<p class=${cx(error.faults?.length ? "note" : "fault")}>${error.faults?.length ? t("form.check") : whyOf(error)}</p>`
      : data ? html`<p class="sentence">${lang.value === "zh" ? data.schedule_zh : data.schedule}</p>` : null}</div>
    ${!data ? (error ? null : html`<${Loading} rows="5" />`) : html`<div class=${cx(error && "faded")}>${data.instants.length
      ? html`<${Instants} list=${data.instants} zone=${data.timezone || status.value?.timezone || "UTC"} />` : html`<p class="note">${t("job.noNext")}</p>`}</div>`}<//>`;
}

function Trigger({ form, set, faultOf }) {
  const props = { form, set, faultOf };
  const units = (name) => html`<${Select} ...${props} name=${name} label=${t("form.unit")} options=${UNITS} family="unitName" pointer="/schedule_config/unit" />`;
  const time = html`<${Input} ...${props} name="time" label=${t("form.time")} placeholder="09:00" pointer="/schedule_config/time" />`;
  if (form.type === "interval") return html`<div class="pair"><${Input} ...${props} name="interval" label=${t("form.every")} inputmode="decimal" pointer="/schedule_config" />${units("unit")}</div>`;
  if (form.type === "daily") return time;
  if (form.type === "hourly") return html`<${Input} ...${props} name="minute" label=${t("form.minute")} inputmode="numeric" pointer="/schedule_config" />`;
  if (form.type === "cron") return html`<${Input} ...${props} name="expression" label=${t("form.expression")} hint=${t("form.cronHint")} mono pointer="/schedule_config" />`;
  if (form.type === "weekly") return html`<fieldset class="days"><legend class="legend">${t("form.days")}</legend>${DAYS.map((day) => html`<label key=${day} class="check"><input type="checkbox" checked=${form.days.includes(day)}
      onChange=${(event) => set({ days: event.target.checked ? [...form.days, day].sort() : form.days.filter((other) => other !== day) })} /><span>${t(`day.${day}`)}</span></label>`)}${faultOf("/schedule_config/days") && html`<small class="fault">${faultOf("/schedule_config/days")}</small>`}</fieldset>${time}`;
  return html`<div class="segments once" role="group" aria-label=${t("type.once")}>${["at", "delay"].map((name) => html`<button key=${name} type="button" aria-pressed=${form.once === name} onClick=${() => set({ once: name })}>${t(`form.once_${name}`)}</button>`)}</div>
    ${form.once === "at" ? html`<${Input} ...${props} name="at" label=${t("form.at")} placeholder="2027-01-01 09:00:00" pointer="/schedule_config" />`
      : html`<div class="pair"><${Input} ...${props} name="delay" label=${t("form.delay")} inputmode="decimal" pointer="/schedule_config" />${units("delay_unit")}</div>`}`;
}

let made = 0;

function Field({ label, hint, fault, children }) {
  const [id] = useState(() => `field-${++made}`);
  const rest = { id, "aria-invalid": fault ? "true" : undefined, "aria-describedby": fault || hint ? `${id}-more` : undefined };
  return html`<div class="field"><label class="legend" for=${id}>${label}</label>${children(rest)}
    ${fault ? html`<small class="fault" id=${`${id}-more`}>${fault}</small>` : hint ? html`<small id=${`${id}-more`}>${hint}</small>` : null}</div>`;
}

const Input = ({ form, set, faultOf, name, label, hint, pointer, mono, ...more }) => html`<${Field} label=${label} hint=${hint} fault=${faultOf(pointer || `/${name}`)}>
  ${(rest) => html`<input ...${rest} ...${more} class=${cx(mono && "mono")} value=${form[name]} spellcheck=${false} autocomplete="off" onInput=${(event) => set({ [name]: event.target.value })} />`}<//>`;

const Area = ({ form, set, faultOf, name, label }) => html`<${Field} label=${label} fault=${faultOf(`/${name}`)}>
  ${(rest) => html`<textarea ...${rest} spellcheck=${false} value=${form[name]} onInput=${(event) => set({ [name]: event.target.value })}></textarea>`}<//>`;

const Select = ({ form, set, faultOf, name, label, options, family, pointer }) => html`<${Field} label=${label} fault=${faultOf(pointer || `/${name}`)}>
  ${(rest) => html`<select ...${rest} value=${form[name]} onChange=${(event) => set({ [name]: event.target.value })}>${options.map((option) => html`<option key=${option} value=${option}>${word(family || name, option)}</option>`)}</select>`}<//>`;
