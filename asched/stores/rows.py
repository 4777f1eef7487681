"""Between values and columns: the one mapping that the SQL stores share.

Integers and texts stay what they are. What no statement looks into is JSON; arguments and results are JSON
already and travel as bytes. A trigger that lives in code has no stored form: its job keeps a
:class:`CodeTrigger` in its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from asched.errors import TriggerNotStorable
from asched.model import (
    DEFAULT_POLICY,
    Backoff,
    CatchUp,
    ErrorInfo,
    JobSpec,
    OnCrash,
    Origin,
    Outcome,
    Overlap,
    Policy,
    Reason,
    RunStatus,
)
from asched.rules.state import shown_attempts
from asched.store import AttemptRecord, NodeInfo, RunRecord
from asched.triggers import BuiltIn, Trigger, from_json, is_storable
from asched.triggers.absent import CodeTrigger

__all__ = [
    "RunRow",
    "SpecRow",
    "all_attempts_text",
    "attempts_of",
    "check_storable",
    "log_of",
    "log_text",
    "node_info_of",
    "node_info_text",
    "progress_of",
    "progress_text",
    "run_record",
    "spec_of",
    "spec_row",
]

_CODE = "code"


class SpecRow(NamedTuple):
    """A job's spec as columns; its function stands in a table of its own."""

    id: str
    name: str
    origin: str
    group_name: str
    tags_json: str | None
    trigger_json: str
    payload: bytes | None
    policy_json: str | None
    starting: int | None
    until: int | None
    max_runs: int | None
    declaration: str | None
    generation: int
    search: str


class RunRow(NamedTuple):
    """A run as columns, whether it has ended or not."""

    id: int
    job_id: str
    func: str
    status: str
    reason: str | None
    due: int
    planned: int
    started: int | None
    claimed: int | None
    ended: int | None
    attempt: int
    attempts_json: str | None
    result: bytes | None
    progress_json: str | None
    log_json: str | None
    manual: int
    replay_of: int | None
    fence: int
    node: str | None
    instants: int
    last_due: int
    payload: bytes | None


def check_storable(spec: JobSpec) -> None:
    """Refuse a trigger of the user's own class that no declaration will bring back.

    Raises:
        TriggerNotStorable: The spec has one.
    """
    if is_storable(spec.trigger) or isinstance(spec.trigger, CodeTrigger) or spec.origin is Origin.DECLARED:
        return
    raise TriggerNotStorable(
        f"job {spec.id!r}: {type(spec.trigger).__name__} has no stored form. Use a trigger of asched.triggers, or give "
        "the job to a decorator: the code then supplies the trigger at each start"
    )


def spec_row(spec: JobSpec) -> SpecRow:
    """Return the columns of a spec.

    Raises:
        TriggerNotStorable: The trigger is of a class of the user's own, and no declaration will bring it back.
    """
    return SpecRow(
        spec.id,
        spec.name,
        spec.origin,
        spec.group,
        orjson.dumps(spec.tags).decode() if spec.tags else None,
        _trigger_text(spec),
        spec.payload,
        _policy_text(spec.policy),
        spec.starting,
        spec.until,
        spec.max_runs,
        spec.declaration,
        spec.generation,
        "\n".join((spec.id, spec.name, spec.func, spec.group, *spec.tags)).casefold(),
    )


def spec_of(row: Sequence[Any], func: str, own: Mapping[str, Trigger]) -> JobSpec:
    """Return the spec of its columns.

    Args:
        row: In the order of :class:`SpecRow`, ``search`` may be missing.
        own: Triggers that code has supplied, by job id.
    """
    job_id, name, origin, group, tags, trigger_json, payload, policy = row[:8]
    starting, until, max_runs, declaration, generation = row[8:13]
    trigger: Trigger = _trigger_of(trigger_json)
    if type(trigger) is CodeTrigger:
        trigger = own.get(job_id, trigger)
    return JobSpec(
        job_id,
        name,
        func,
        trigger,
        group,
        tuple(orjson.loads(tags)) if tags else (),
        payload,
        _policy_of(policy) if policy else DEFAULT_POLICY,
        _ORIGINS[origin],
        starting,
        until,
        max_runs,
        declaration,
        generation,
    )


def run_record(row: RunRow) -> RunRecord:
    attempts = attempts_of(row.attempts_json)
    status = STATUSES[row.status]
    began = next(instant for instant in (row.claimed, row.started, row.due) if instant is not None)
    return RunRecord(
        id=row.id,
        job_id=row.job_id,
        func=row.func,
        status=status,
        reason=None if row.reason is None else Reason(row.reason),
        due=row.due,
        planned=row.planned,
        started=row.started,
        ended=row.ended,
        attempt=row.attempt,
        attempts=shown_attempts(status, attempts, row.attempt, row.node, began, row.ended),
        error=attempts[-1].error if attempts else None,
        result=row.result,
        progress=progress_of(row.progress_json),
        log=log_of(row.log_json),
        manual=bool(row.manual),
        replay_of=row.replay_of,
        fence=row.fence,
        node=row.node,
        instants=row.instants,
        last_due=row.last_due,
        payload=row.payload,
    )


def all_attempts_text(attempts: Sequence[AttemptRecord]) -> str | None:
    return _dumps(list(attempts)) if attempts else None


def attempts_of(text: str | None) -> tuple[AttemptRecord, ...]:
    if text is None:
        return ()
    return tuple(
        AttemptRecord(
            number,
            node,
            started,
            ended,
            None if outcome is None else Outcome(outcome),
            None if error is None else ErrorInfo(*error),
        )
        for number, node, started, ended, outcome, error in orjson.loads(text)
    )


def log_text(lines: Sequence[str]) -> str | None:
    return _dumps(list(lines)) if lines else None


def log_of(text: str | None) -> tuple[str, ...]:
    return tuple(orjson.loads(text)) if text else ()


def progress_text(done: float | None, total: float | None) -> str | None:
    return None if done is None else _dumps([done, total])


def progress_of(text: str | None) -> tuple[float, float | None] | None:
    if not text:
        return None
    done, total = orjson.loads(text)
    return done, total


def node_info_text(info: NodeInfo) -> str:
    return _dumps([*info[:5], sorted(info.functions), sorted(info.declarations)])


def node_info_of(text: str) -> NodeInfo:
    name, host, pid, version, generation, functions, declarations = orjson.loads(text)
    return NodeInfo(name, host, pid, version, generation, frozenset(functions), frozenset(declarations))


STATUSES = {str(status): status for status in RunStatus}
_ORIGINS = {str(origin): origin for origin in Origin}


def _dumps(value: object) -> str:
    try:
        return orjson.dumps(value, default=tuple).decode()
    except TypeError:
        # A lone surrogate, from a file name in a traceback for example, has no place in UTF-8 and no right to keep
        # a run from being recorded.
        return orjson.dumps(_printable(value)).decode()


def _printable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, (list, tuple)):
        return [_printable(item) for item in value]
    return value


def _trigger_text(spec: JobSpec) -> str:
    trigger = spec.trigger
    if isinstance(trigger, BuiltIn) and is_storable(trigger):
        return orjson.dumps(trigger.to_json()).decode()
    check_storable(spec)
    return _dumps({"type": _CODE, "fingerprint": trigger.fingerprint()})


@lru_cache(maxsize=4096)
def _trigger_of(text: str) -> BuiltIn | CodeTrigger:
    data = orjson.loads(text)
    if isinstance(data, dict) and data.get("type") == _CODE:
        return CodeTrigger(data["fingerprint"])
    return from_json(data)


@lru_cache(maxsize=1024)
def _policy_text(policy: Policy) -> str | None:
    """Return what differs from the default policy, so that most rows hold nothing."""
    changed = {name: value for name, value in policy.asdict().items() if value != getattr(DEFAULT_POLICY, name)}
    return _dumps(changed) if changed else None


@lru_cache(maxsize=1024)
def _policy_of(text: str) -> Policy:
    changed = orjson.loads(text)
    for name, read in _POLICY_READERS.items():
        if name in changed:
            changed[name] = read(changed[name])
    return Policy(**changed).interned()


_POLICY_READERS: dict[str, Any] = {
    "backoff": lambda fields: Backoff(*fields),
    "overlap": Overlap,
    "catch_up": CatchUp,
    "on_crash": OnCrash,
}
