"""Between values and columns: the one mapping that the SQL stores share.

Integers and texts stay what they are. What no statement looks into is JSON; arguments and results are JSON
already and travel as bytes. A trigger that lives in code has no stored form: its job keeps a
:class:`CodeTrigger` in its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
from asched.store import AttemptRecord, NodeInfo, RunRecord
from asched.triggers import BuiltIn, Lang, Trigger, from_json, is_storable

__all__ = [
    "CodeTrigger",
    "RunRow",
    "SpecRow",
    "attempts_of",
    "attempts_text",
    "log_text",
    "node_info_of",
    "node_info_text",
    "progress_text",
    "run_record",
    "spec_of",
    "spec_row",
]

_CODE = "code"


@dataclass(frozen=True, slots=True)
class CodeTrigger:
    """Stands for a trigger of the user's own class until the code that declares its job supplies it.

    It never comes due: a job whose rule is not there must wait, not end, so stores keep it out of the window.
    """

    mark: str
    """The fingerprint of the trigger it stands for."""

    def next_after(self, after: datetime) -> datetime | None:
        return None

    def describe(self, lang: Lang = "en") -> str:
        return self.mark

    def fingerprint(self) -> str:
        return self.mark


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
    error = attempts[-1].error if attempts else None
    status = STATUSES[row.status]
    # The attempt that goes on, and the only one of a run that went well, are not written down: the run tells them.
    if status is RunStatus.RUNNING or (status is RunStatus.SUCCEEDED and not attempts):
        outcome = Outcome.OK if status is RunStatus.SUCCEEDED else None
        started = next(instant for instant in (row.claimed, row.started, row.due) if instant is not None)
        attempts += (AttemptRecord(row.attempt, row.node or "", started, row.ended, outcome, None),)
    progress = orjson.loads(row.progress_json) if row.progress_json else None
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
        attempts=attempts,
        error=error,
        result=row.result,
        progress=None if progress is None else (progress[0], progress[1]),
        log=tuple(orjson.loads(row.log_json)) if row.log_json else (),
        manual=bool(row.manual),
        replay_of=row.replay_of,
        fence=row.fence,
        node=row.node,
        instants=row.instants,
        last_due=row.last_due,
        payload=row.payload,
    )


def attempts_text(before: str | None, attempt: AttemptRecord) -> str:
    """Return the attempts of a run with one more."""
    attempts: list[object] = orjson.loads(before) if before else []
    attempts.append(attempt)
    return _dumps(attempts)


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


def progress_text(done: float | None, total: float | None) -> str | None:
    return None if done is None else _dumps([done, total])


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
    if isinstance(trigger, CodeTrigger) or spec.origin is Origin.DECLARED:
        return _dumps({"type": _CODE, "fingerprint": trigger.fingerprint()})
    raise TriggerNotStorable(
        f"job {spec.id!r}: {type(trigger).__name__} has no stored form. Use a trigger of asched.triggers, or give the "
        "job to a decorator: the code then supplies the trigger at each start"
    )


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
