"""What things are called on the wire: model to JSON, JSON to arguments, and the JSON Schema of both.

The only module with wire names. A field is written here three times, in a translation, in its schema and perhaps in
a request body, and tests/web/test_openapi.py holds them to each other: every answer of every endpoint is validated
against the schema that the document shows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias

from asched.engine import Failure
from asched.errors import TriggerNotStorable
from asched.model import JSON, Attempt, CatchUp, Group, Node, OnCrash, Overlap, RunStatus, Statistics
from asched.triggers import BuiltIn, Trigger
from asched.triggers.config import SCHEDULE_TYPES, to_config
from asched.triggers.interval import UNITS
from asched.views import Job, Run
from asched_web.http import masked
from asched_web.validation import Schema

__all__ = ["MASK", "Redactor", "Wire", "pointer_of"]

Wire: TypeAlias = dict[str, object]

MASK: Final = "***"

REDACTED_WORDS: Final = (
    "password", "passwd", "passphrase", "pwd", "secret", "secrets", "token", "tokens", "key", "keys", "apikey",
    "credential", "credentials", "authorization", "auth", "cookie", "dsn",
)  # fmt: skip

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


class Redactor:
    """Masks values that nobody should read in a dashboard.

    A value is masked if one of the words of its key is in ``words``: ``api_key`` and ``apiKey`` have the word "key",
    ``monkey`` has not. Users and passwords inside URLs are masked in every string.
    """

    def __init__(self, words: Collection[str]) -> None:
        self._words = frozenset(word.lower() for word in words)
        self._known: dict[str, bool] = {}

    def hides(self, key: str) -> bool:
        hidden = self._known.get(key)
        if hidden is None:
            hidden = any(word.lower() in self._words for word in _WORDS.findall(key)) or key.lower() in self._words
            if len(self._known) < 10_000:
                self._known[key] = hidden
        return hidden

    def value(self, value: object) -> object:
        """Return a copy in which everything under a hidden key, at any depth, is ``***``."""
        if isinstance(value, str):
            return masked(value)
        if isinstance(value, Mapping):
            return {key: MASK if self.hides(key) else self.value(member) for key, member in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        return value

    def restored(self, given: object, stored: object) -> object:
        """Return ``given`` with each ``***`` under a hidden key replaced by what is stored there.

        A client that changes one argument sends the others back as it read them.
        """
        if isinstance(given, Mapping) and isinstance(stored, Mapping):
            return {
                key: stored[key]
                if member == MASK and key in stored and self.hides(key)
                else self.restored(member, stored.get(key))
                for key, member in given.items()
            }
        if isinstance(given, list) and isinstance(stored, (list, tuple)) and len(given) == len(stored):
            return [self.restored(new, old) for new, old in zip(given, stored, strict=True)]
        return given


# Model to JSON -------------------------------------------------------------------------------------------------


def moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def split_function(func: str) -> tuple[str, str]:
    """Return ``func_module`` and ``func_name`` of a registered name."""
    module, _, name = func.partition(":")
    return module, name


def job_json(job: Job) -> Wire:
    """Return the row of a job, without ``next_run_in``, which changes while the job does not."""
    module, name = split_function(job.func)
    schedule_type, schedule_config, timezone = _schedule(job)
    return {
        "job_id": job.id,
        "job_name": job.name,
        "func_name": name,
        "func_module": module,
        "origin": job.origin,
        "group": job.group,
        "tags": job.tags,
        "status": job.status,
        "schedule": job.trigger.describe("en"),
        "schedule_zh": job.trigger.describe("zh"),
        "schedule_type": schedule_type,
        "schedule_config": schedule_config,
        "timezone": timezone,
        "next_run": moment(job.next_run_at),
        "run_count": job.run_count,
        "failure_count": job.failure_count,
        "retry_count": job.retry_count,
        "max_retries": job.max_retries,
        "timeout": job.timeout,
        "paused": job.paused,
        "last_run": moment(job.last_run_at),
        "last_status": job.last_status,
        "active_runs": job.active_runs,
        "version": job.version,
    }


def with_next_run_in(row: Wire, job: Job, as_of: datetime) -> Wire:
    """Add the seconds from ``as_of`` to the job's next run; negative when it is overdue."""
    row["next_run_in"] = None if job.next_run_at is None else (job.next_run_at - as_of).total_seconds()
    return row


def job_detail(job: Job, as_of: datetime, redactor: Redactor) -> Wire:
    policy = job.policy
    return {
        **with_next_run_in(job_json(job), job, as_of),
        "args": redactor.value(job.args),
        "kwargs": redactor.value(job.kwargs),
        "overlap": policy.overlap,
        "catch_up": policy.catch_up,
        "catch_up_window": policy.catch_up_window,
        "on_crash": policy.on_crash,
        "jitter": policy.jitter,
        "in_process": policy.in_process,
        "backoff": {
            "first": policy.backoff.first,
            "factor": policy.backoff.factor,
            "limit": policy.backoff.limit,
            "jitter": policy.backoff.jitter,
        },
        "starting": moment(job.starting),
        "until": moment(job.until),
        "max_runs": job.max_runs,
        "created_at": moment(job.created_at),
        "updated_at": moment(job.updated_at),
    }


def run_json(run: Run) -> Wire:
    """Return the row of a run; its error without the traceback, its log and arguments left to the detail."""
    module, name = split_function(run.func)
    error = run.error
    return {
        "run_id": run.id,
        "job_id": run.job_id,
        "func_name": name,
        "func_module": module,
        "status": run.status,
        "reason": run.reason,
        "due_at": moment(run.due_at),
        "planned_at": moment(run.planned_at),
        "started_at": moment(run.started_at),
        "ended_at": moment(run.ended_at),
        "duration": run.duration,
        "attempt": run.attempt,
        "error": None if error is None else {"type": error.type, "message": masked(error.message)},
        "progress": None if run.progress is None else {"done": run.progress.done, "total": run.progress.total},
        "manual": run.manual,
        "replay_of": run.replay_of,
        "node": run.node,
        "count": run.count,
        "last_due_at": moment(run.last_due_at),
    }


def run_detail(run: Run, redactor: Redactor, *, dead_letter: bool) -> Wire:
    return {
        **run_json(run),
        "dead_letter": dead_letter,
        "traceback": None if run.error is None else masked(run.error.traceback),
        "attempts": [_attempt(attempt) for attempt in run.attempts],
        "result": redactor.value(run.result),
        "log": [masked(line) for line in run.log],
        "args": redactor.value(run.args),
        "kwargs": redactor.value(run.kwargs),
        "fence": run.fence,
    }


def _attempt(attempt: Attempt) -> Wire:
    error = attempt.error
    return {
        "number": attempt.number,
        "node": attempt.node,
        "started_at": moment(attempt.started_at),
        "ended_at": moment(attempt.ended_at),
        "outcome": attempt.outcome,
        "error": None
        if error is None
        else {"type": error.type, "message": masked(error.message), "traceback": masked(error.traceback)},
    }


def group_json(group: Group) -> Wire:
    return {"name": group.name, "jobs": group.jobs, "paused": group.paused}


def node_json(node: Node) -> Wire:
    return {
        "name": node.name,
        "host": node.host,
        "pid": node.pid,
        "started_at": moment(node.started_at),
        "lease_until": moment(node.lease_until),
        "active_runs": node.active_runs,
        "functions": len(node.functions),
        "version": node.version,
        "generation": node.generation,
    }


def failures_json(failures: Iterable[Failure]) -> list[Wire]:
    """Return the parts of the scheduler that failed and have not recovered."""
    return [{"part": part, "error": masked(error), "since": moment(since)} for part, error, since in failures]


def statistics_json(statistics: Statistics, *, per_job: bool) -> Wire:
    """Return the counts; ``per_job`` is as long as there are jobs, so the stream leaves it out."""
    body: Wire = {
        "running": statistics.running,
        "uptime": statistics.uptime,
        "active_jobs": statistics.active_jobs,
        "active_runs": statistics.active_runs,
        "total_runs": statistics.total_runs,
        "total_failures": statistics.total_failures,
        "success_rate": statistics.success_rate,
        "nodes": statistics.nodes,
        "since": moment(statistics.since),
    }
    if per_job:
        body["per_job"] = {
            job_id: {"runs": counts.runs, "failures": counts.failures, "retries": counts.retries}
            for job_id, counts in statistics.per_job.items()
        }
    return body


def timezone_of(trigger: Trigger) -> str | None:
    return trigger.timezone if isinstance(trigger, BuiltIn) else None


def _schedule(job: Job) -> tuple[str, Mapping[str, JSON], str | None]:
    try:
        return to_config(job.trigger)
    except TriggerNotStorable:
        return "custom", {}, None


# JSON to arguments ---------------------------------------------------------------------------------------------

# Where a field of InvalidArgument stands in a body. Names not listed are the same on both sides.
_POINTERS: Final = {
    "func": "func_name",
    "id": "job_id",
    "name": "job_name",
    "trigger": "schedule_config",
    "paused": "enabled",
}


def pointer_of(field: str) -> str:
    """Return the JSON pointer to what an error's ``field`` (``kwargs.when[2]``) names."""
    parts = re.findall(r"[^.\[\]]+", field)
    if not parts:
        return ""
    parts[0] = _POINTERS.get(parts[0], parts[0])
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def job_arguments(body: Mapping[str, object]) -> dict[str, object]:
    """Return the members of a checked request body as :meth:`~asched.Scheduler.create_job` takes them."""
    return {name: _argument(name, value) for name, value in body.items()}


def job_changes(body: Mapping[str, object], job: Job, redactor: Redactor) -> dict[str, object]:
    """Return the members of a checked request body as :meth:`~asched.Scheduler.update_job` takes them."""
    changes = {_CHANGES.get(name, name): _argument(name, value) for name, value in body.items()}
    if "paused" in changes:
        changes["paused"] = not changes["paused"]
    module, name = split_function(job.func)
    if "func_name" in changes or "func_module" in changes:
        changes["func"] = f"{changes.pop('func_module', module)}:{changes.pop('func_name', name)}"
    if "args" in changes:
        changes["args"] = redactor.restored(changes["args"], job.args)
    if "kwargs" in changes:
        changes["kwargs"] = redactor.restored(changes["kwargs"], job.kwargs)
    return changes


_CHANGES: Final = {"job_name": "name", "enabled": "paused"}


def _argument(name: str, value: object) -> object:
    if name in ("starting", "until") and isinstance(value, str):
        return datetime.fromisoformat(value)
    # JSON has one kind of number: 3.0 is a whole one.
    if name in ("max_retries", "max_runs") and isinstance(value, float):
        return int(value)
    return value


# JSON Schema ---------------------------------------------------------------------------------------------------


def _object(properties: Mapping[str, Schema], *, optional: Iterable[str] = ()) -> Schema:
    left_out = set(optional)
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in left_out],
        "additionalProperties": False,
    }


def _nullable(schema: Schema) -> Schema:
    kind = schema["type"]
    widened: dict[str, JSON] = {**schema, "type": [kind, "null"] if isinstance(kind, str) else kind}
    if "enum" in schema:
        widened["enum"] = [*_sequence(schema["enum"]), None]
    return widened


def _sequence(value: JSON) -> Sequence[JSON]:
    assert isinstance(value, Sequence)
    return value


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_STRING: Final[Schema] = {"type": "string"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_NUMBER: Final[Schema] = {"type": "number"}
_BOOLEAN: Final[Schema] = {"type": "boolean"}
_MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}
_ANY: Final[Schema] = {}

# No control characters, and neither "." nor "..", which URLs do not keep apart from the path around them.
ID: Final[Schema] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 200,
    "pattern": "^(?!\\.{1,2}$)[^\\u0000-\\u001f\\u007f-\\u009f\\ufffd]+$",
}
_TEXT: Final[Schema] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 200,
    "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
}
# Ten years, as the scheduler has it.
_LONGEST: Final = 10 * 366 * 86_400
_SECONDS: Final[Schema] = {"type": "number", "minimum": 0, "maximum": _LONGEST}
LIMIT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}
AGENDA_HOURS: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 168, "default": 24}
CURSOR: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 500}
SEARCH: Final[Schema] = {"type": "string", "maxLength": 200, "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"}
JOB_STATUS: Final[Schema] = {
    "type": "string",
    "enum": ["unresolved", "paused", "running", "finished", "scheduled"],
}
RUN_STATUS: Final[Schema] = {"type": "string", "enum": [status.value for status in RunStatus]}

_UNIT: Final[Schema] = {"type": "string", "enum": list(UNITS)}
_CLOCK: Final[Schema] = {"type": "string", "pattern": "^([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"}
_DAY_NAMES: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

# The forms of schedule_config. Which one holds is decided by schedule_type, and checked when the trigger is made.
_CONFIGS: Final[Schema] = {
    "type": "object",
    "description": "its form follows schedule_type",
    "anyOf": [
        {
            "title": "interval",
            **_object(
                {"interval": {"type": "number", "exclusiveMinimum": 0, "maximum": 1e9}, "unit": _UNIT},
                optional=["unit"],
            ),
        },
        {"title": "daily", **_object({"time": _CLOCK})},
        {"title": "hourly", **_object({"time": {"type": ["string", "integer"], "examples": ["30", ":30"]}})},
        {
            "title": "weekly",
            **_object(
                {
                    "time": _CLOCK,
                    "days": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "anyOf": [
                                {"type": "integer", "minimum": 0, "maximum": 6},
                                {"type": "string", "enum": [*_DAY_NAMES, *(day[:3] for day in _DAY_NAMES)]},
                            ]
                        },
                    },
                }
            ),
        },
        {"title": "cron", **_object({"expression": {**_STRING, "examples": ["*/5 * * * *"]}})},
        {
            "title": "once, after a delay",
            **_object({"delay": {"type": "number", "minimum": 0, "maximum": 1e9}, "unit": _UNIT}, optional=["unit"]),
        },
        {"title": "once, at a time", **_object({"at": {**_STRING, "examples": ["2027-01-01 09:00:00"]}})},
    ],
}

_TIMEZONE: Final[Schema] = {
    "type": ["string", "null"],
    "description": "a name of the IANA database, for example America/New_York; null is the scheduler's own",
    "examples": ["Asia/Tokyo"],
}

_EDITABLE: Final[dict[str, Schema]] = {
    "schedule_type": {"type": "string", "enum": list(SCHEDULE_TYPES)},
    "schedule_config": _CONFIGS,
    "job_name": _TEXT,
    "max_retries": {"type": "integer", "minimum": 0, "maximum": 1000},
    "timeout": {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": _LONGEST},
    "timezone": _TIMEZONE,
    "enabled": _BOOLEAN,
    "args": {"type": "array"},
    "kwargs": {"type": "object"},
    "group": ID,
    "overlap": {"type": "string", "enum": [policy.value for policy in Overlap]},
    "catch_up": {"type": "string", "enum": [policy.value for policy in CatchUp]},
    "catch_up_window": _nullable(_SECONDS),
    "on_crash": {"type": "string", "enum": [policy.value for policy in OnCrash]},
    "jitter": _SECONDS,
    "tags": {"type": "array", "maxItems": 50, "items": _TEXT},
    "starting": _nullable(_MOMENT),
    "until": _nullable(_MOMENT),
    "max_runs": {"type": ["integer", "null"], "minimum": 1, "maximum": 2**31 - 1},
}

CREATE_JOB: Final[Schema] = _object(
    {"func_name": _TEXT, "func_module": _TEXT, "job_id": ID, **_EDITABLE},
    optional=["job_id", *(name for name in _EDITABLE if name not in ("schedule_type", "schedule_config"))],
)
UPDATE_JOB: Final[Schema] = _object(
    {"func_name": _TEXT, "func_module": _TEXT, **_EDITABLE}, optional=["func_name", "func_module", *_EDITABLE]
)
PREVIEW: Final[Schema] = _object(
    {
        "schedule_type": _EDITABLE["schedule_type"],
        "schedule_config": _CONFIGS,
        "timezone": _TIMEZONE,
        "starting": _EDITABLE["starting"],
        "until": _EDITABLE["until"],
        "job_id": {
            **_nullable(ID),
            "description": "the job that would be changed; a schedule it has already keeps its phase",
        },
        "n": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 10},
    },
    optional=["timezone", "starting", "until", "job_id", "n"],
)
CANCEL_JOB_QUERY: Final[Schema] = {"type": "string", "enum": ["finish", "cancel"], "default": "finish"}

_SCHEDULE_TYPE_OUT: Final[Schema] = {"type": "string", "enum": [*SCHEDULE_TYPES, "custom"]}

_JOB: Final[dict[str, Schema]] = {
    "job_id": _STRING,
    "job_name": _STRING,
    "func_name": _STRING,
    "func_module": _STRING,
    "origin": {"type": "string", "enum": ["declared", "api"]},
    "group": _STRING,
    "tags": _list(_STRING),
    "status": JOB_STATUS,
    "schedule": {**_STRING, "description": "the schedule in English"},
    "schedule_zh": {**_STRING, "description": "the schedule in Simplified Chinese"},
    "schedule_type": _SCHEDULE_TYPE_OUT,
    "schedule_config": {"type": "object", "description": "as in a request; empty for a custom trigger"},
    "timezone": _nullable(_STRING),
    "next_run": _nullable(_MOMENT),
    "run_count": _COUNT,
    "failure_count": _COUNT,
    "retry_count": _COUNT,
    "max_retries": _COUNT,
    "timeout": _nullable(_NUMBER),
    "paused": _BOOLEAN,
    "last_run": _nullable(_MOMENT),
    "last_status": _nullable(RUN_STATUS),
    "active_runs": _COUNT,
    "version": _COUNT,
}
_NEXT_RUN_IN: Final[dict[str, Schema]] = {
    "next_run_in": {"type": ["number", "null"], "description": "seconds after as_of; negative when overdue"}
}
_JOB_DETAIL: Final[dict[str, Schema]] = {
    **_JOB,
    **_NEXT_RUN_IN,
    "args": {"type": "array"},
    "kwargs": {"type": "object"},
    "overlap": _EDITABLE["overlap"],
    "catch_up": _EDITABLE["catch_up"],
    "catch_up_window": _nullable(_NUMBER),
    "on_crash": _EDITABLE["on_crash"],
    "jitter": _NUMBER,
    "in_process": _BOOLEAN,
    "backoff": _object({"first": _NUMBER, "factor": _NUMBER, "limit": _NUMBER, "jitter": _BOOLEAN}),
    "starting": _nullable(_MOMENT),
    "until": _nullable(_MOMENT),
    "max_runs": _nullable(_COUNT),
    "created_at": _MOMENT,
    "updated_at": _MOMENT,
}
_ERROR: Final[dict[str, Schema]] = {"type": _STRING, "message": _STRING}
_RUN: Final[dict[str, Schema]] = {
    "run_id": _STRING,
    "job_id": _STRING,
    "func_name": _STRING,
    "func_module": _STRING,
    "status": RUN_STATUS,
    "reason": _nullable(_STRING),
    "due_at": _MOMENT,
    "planned_at": _MOMENT,
    "started_at": _nullable(_MOMENT),
    "ended_at": _nullable(_MOMENT),
    "duration": {"type": ["number", "null"], "description": "seconds"},
    "attempt": _COUNT,
    "error": _nullable(_object(_ERROR)),
    "progress": _nullable(_object({"done": _NUMBER, "total": _nullable(_NUMBER)})),
    "manual": _BOOLEAN,
    "replay_of": _nullable(_STRING),
    "node": _nullable(_STRING),
    "count": {**_COUNT, "description": "how many instants the record stands for"},
    "last_due_at": _MOMENT,
}
_RUN_DETAIL: Final[dict[str, Schema]] = {
    **_RUN,
    "dead_letter": {**_BOOLEAN, "description": "it waits for a decision, and can be run again"},
    "traceback": _nullable(_STRING),
    "attempts": _list(
        _object(
            {
                "number": _COUNT,
                "node": _STRING,
                "started_at": _MOMENT,
                "ended_at": _nullable(_MOMENT),
                "outcome": _nullable(_STRING),
                "error": _nullable(_object({**_ERROR, "traceback": _STRING})),
            }
        )
    ),
    "result": _ANY,
    "log": _list(_STRING),
    "args": {"type": "array"},
    "kwargs": {"type": "object"},
    "fence": _COUNT,
}
_STATISTICS: Final[dict[str, Schema]] = {
    "running": _BOOLEAN,
    "uptime": _NUMBER,
    "active_jobs": _COUNT,
    "active_runs": _COUNT,
    "total_runs": _COUNT,
    "total_failures": _COUNT,
    "success_rate": {"type": "number", "minimum": 0, "maximum": 1},
    "nodes": _COUNT,
    "since": _nullable(_MOMENT),
}
_PER_JOB: Final[dict[str, Schema]] = {
    "per_job": {
        "type": "object",
        "additionalProperties": _object({"runs": _COUNT, "failures": _COUNT, "retries": _COUNT}),
    }
}
_AS_OF: Final[dict[str, Schema]] = {"as_of": _MOMENT}
_NEXT_CURSOR: Final[dict[str, Schema]] = {
    "next_cursor": {"type": ["string", "null"], "description": "pass it as cursor; null on the last page"}
}
_SUCCESS: Final[dict[str, Schema]] = {"success": {"type": "boolean", "enum": [True]}, "message": _STRING}

COMPONENTS: Final[dict[str, Schema]] = {
    "Job": _object({**_JOB, **_NEXT_RUN_IN}),
    "JobDelta": _object(_JOB),
    "JobDetail": _object(_JOB_DETAIL),
    "Run": _object(_RUN),
    "RunDetail": _object(_RUN_DETAIL),
    "Statistics": _object({**_STATISTICS, **_PER_JOB}),
    "StreamStatistics": _object(_STATISTICS),
    "Failure": _object({"part": _STRING, "error": _STRING, "since": _MOMENT}),
    "Group": _object({"name": _STRING, "jobs": _COUNT, "paused": _COUNT}),
    "Node": _object(
        {
            "name": _STRING,
            "host": _STRING,
            "pid": _COUNT,
            "started_at": _MOMENT,
            "lease_until": _nullable(_MOMENT),
            "active_runs": _COUNT,
            "functions": _COUNT,
            "version": _STRING,
            "generation": _COUNT,
        }
    ),
    "Instant": _object(
        {
            "at": _MOMENT,
            "local": {**_STRING, "description": "the same instant in the schedule's zone"},
            "note": {
                "type": ["string", "null"],
                "enum": ["gap", "fold", None],
                "description": "what a clock change does to it",
            },
        }
    ),
    "Problem": _object(
        {
            "type": _STRING,
            "title": _STRING,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "error": _STRING,
            "detail": _STRING,
            "job_id": _STRING,
            "errors": _list(_object({"pointer": _STRING, "detail": _STRING})),
        },
        optional=["job_id", "errors"],
    ),
    "Done": _object({**_SUCCESS, "job_id": _STRING, "run_id": _STRING}, optional=["job_id", "run_id"]),
    "CreateJob": CREATE_JOB,
    "UpdateJob": UPDATE_JOB,
    "PreviewRequest": PREVIEW,
}

_JOBS_PAGE: Final = _object({"jobs": _list(_ref("Job")), **_AS_OF, **_NEXT_CURSOR})
_RUNS_PAGE: Final = _object({"history": _list(_ref("Run")), **_AS_OF, **_NEXT_CURSOR})

ANSWERS: Final[dict[str, Schema]] = {
    "status": _object(
        {
            "running": _BOOLEAN,
            "healthy": _BOOLEAN,
            "failures": _list(_ref("Failure")),
            "statistics": {"anyOf": [_ref("Statistics"), {"type": "null"}]},
            **_AS_OF,
            "name": _STRING,
            "title": _STRING,
            "timezone": _STRING,
            "version": _STRING,
            "read_only": _BOOLEAN,
            "actions": _list({"type": "string", "enum": ["view", "operate", "edit"]}),
        }
    ),
    "jobs": _JOBS_PAGE,
    "job": _object({"job": _ref("JobDetail"), **_AS_OF}),
    "history": _RUNS_PAGE,
    "run": _object({"run": _ref("RunDetail")}),
    "groups": _object({"groups": _list(_ref("Group")), **_AS_OF, **_NEXT_CURSOR}),
    "paused": _object({**_SUCCESS, "paused": _COUNT}),
    "resumed": _object({**_SUCCESS, "resumed": _COUNT}),
    "cancelled": _object({**_SUCCESS, "cancelled": _COUNT}),
    "cleared": _object({**_SUCCESS, "cleared": _COUNT}),
    "dead_letters": _object({"dead_letters": _list(_ref("Run")), "total": _COUNT, **_AS_OF, **_NEXT_CURSOR}),
    "preview": _object(
        {
            "schedule": _STRING,
            "schedule_zh": _STRING,
            "timezone": _nullable(_STRING),
            "instants": _list(_ref("Instant")),
            **_AS_OF,
        }
    ),
    "functions": _object({"functions": _list(_object({"func_module": _STRING, "func_name": _STRING}))}),
    "nodes": _object({"nodes": _list(_ref("Node")), **_AS_OF}),
    "agenda": _object(
        {
            "from": _MOMENT,
            "step": {**_NUMBER, "description": "seconds that each member of starts stands for"},
            "starts": {**_list(_COUNT), "description": "entries by slot; those of often are not among them"},
            "entries": _list(_object({"at": _MOMENT, "job_id": _STRING})),
            "total": {**_COUNT, "description": "how many entries there are; the first 1,000 are listed"},
            "often": _list(_object({"job_id": _STRING, "starts": _COUNT})),
            "crowded": _list(_object({"at": _MOMENT, "starts": _COUNT})),
            "complete": {**_BOOLEAN, "description": "false if there were too many jobs to look at all of them"},
            **_AS_OF,
        }
    ),
    "health": _object({"status": {"type": "string", "enum": ["ok", "stopped", "failed", "store_unavailable"]}}),
    "done": _ref("Done"),
    "openapi": {"type": "object"},
}

EVENTS: Final[dict[str, Schema]] = {
    "snapshot": _object(
        {
            **_AS_OF,
            "running": _BOOLEAN,
            "store_available": _BOOLEAN,
            "failures": _list(_ref("Failure")),
            "statistics": {"anyOf": [_ref("StreamStatistics"), {"type": "null"}]},
            "jobs": _list(_ref("Job")),
            **_NEXT_CURSOR,
            "runs": _list(_ref("Run")),
        }
    ),
    "job": _ref("JobDelta"),
    "job_removed": _object({"job_id": _STRING}),
    "run": _ref("Run"),
    "stats": _object(
        {
            **_AS_OF,
            "running": _BOOLEAN,
            "store_available": _BOOLEAN,
            "failures": _list(_ref("Failure")),
            "statistics": {"anyOf": [_ref("StreamStatistics"), {"type": "null"}]},
        }
    ),
    "reset": _object({"reason": {"type": "string", "enum": ["slow", "gap", "burst", "restarted"]}}),
    "shutdown": {"type": "string", "enum": ["bye"]},
}
"""The data of each server-sent event."""


def inlined(schema: Schema) -> Schema:
    """Return the schema with the components it refers to put in their place."""
    return _inline(schema)  # type: ignore[return-value]


def _inline(value: JSON) -> JSON:
    if isinstance(value, Mapping):
        name = value.get("$ref")
        if isinstance(name, str):
            return _inline(COMPONENTS[name.rpartition("/")[2]])
        return {key: _inline(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_inline(item) for item in value]
    return value
