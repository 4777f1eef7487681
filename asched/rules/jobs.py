"""What becomes of a job: it is put, declared, paused, resumed and deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from asched.model import JobSpec, Origin, Reason, RunStatus
from asched.planner import Chance, jittered, passed_while_paused
from asched.rules import runs
from asched.rules.state import JobState, Step
from asched.store import Cancelled, Deleted, Gap, JobRecord, Put, PutItem, PutMode, PutStatus, Timer
from asched.triggers import is_storable
from asched.triggers.absent import CodeTrigger

__all__ = ["Puts", "delete", "pause", "resume"]

Record = Callable[[JobState], JobRecord]
"""Makes the record of a job. The store knows whether it is resolved."""


class Puts:
    """One batch of jobs to put.

    Args:
        known: The jobs under the ids and aliases of the items, by id.
        stones: Declarations of deleted jobs under those ids and aliases.
        number: Returns the serial number of a new job, unused before.
        job_type: Makes the state of a new job.
    """

    def __init__(
        self,
        step: Step,
        mode: PutMode,
        known: Mapping[str, JobState],
        stones: Mapping[str, str | None],
        *,
        number: Callable[[], int],
        record: Record,
        job_type: type[JobState] = JobState,
    ) -> None:
        self._step = step
        self._mode = mode
        self._known = dict(known)
        self._stones = dict(stones)
        self._number = number
        self._record = record
        self._job_type = job_type

    def answers(self, items: Iterable[PutItem]) -> list[Put]:
        """Put the items in their order; the answers stand in the same."""
        return [self._put(item) for item in items]

    def _put(self, item: PutItem) -> Put:
        mode, job = self._mode, self._known.get(item.spec.id)
        if mode is PutMode.DECLARE:
            return self._take_over(item) if job is None else self._declare(job, item)
        if job is None:
            return Put(PutStatus.MISSING, None, None) if mode is PutMode.UPDATE else self._add(item)
        if mode is PutMode.INSERT:
            return Put(PutStatus.EXISTS, self._record(job), None)
        if mode is PutMode.KEEP:
            return Put(PutStatus.KEPT, self._record(job), None)
        if mode is PutMode.REPLACE:
            return self._replace(job, item.spec, item, paused=item.paused)
        if item.version is not None and item.version != job.version:
            return Put(PutStatus.CONFLICT, self._record(job), None)
        return self._replace(job, item.spec, item, paused=job.paused, replan=item.replan)

    def _declare(self, job: JobState, item: PutItem) -> Put:
        """Declare a job that exists under this id."""
        spec, stored = item.spec, job.spec
        if stored.declaration == spec.declaration:
            newer = spec.generation > stored.generation
            kept = self._with_trigger(stored, spec)
            if newer or (spec.generation == stored.generation and spec.func != stored.func):
                self._edit(job, kept.replace(func=spec.func, generation=spec.generation))
                self._step.move(job, job.planned, job.due)
            else:
                job.spec = kept
            return self._answer(PutStatus.KEPT, job)
        if stored.generation > spec.generation:
            return Put(PutStatus.KEPT, self._record(job), None)
        return self._replace(job, spec, item, paused=job.paused or item.paused)

    def _take_over(self, item: PutItem) -> Put:
        """Declare an id that does not exist: rename the job under the first alias that does, or add one.

        A declared job that an operator deleted, under this id or an alias, stays deleted until its declaration changes.
        """
        spec, step, stones = item.spec, self._step, self._stones
        for name in (spec.id, *item.aliases):
            if name in stones and stones[name] == spec.declaration:
                return Put(PutStatus.KEPT, None, None)
        if spec.id in stones:
            del stones[spec.id]
            step.lifted.append(spec.id)
        old = next((self._known[alias] for alias in item.aliases if alias in self._known), None)
        if old is None:
            return self._add(item)
        del self._known[old.spec.id]
        step.tell_removed(old.spec.id)
        if old.spec.declaration != spec.declaration:
            return self._replace(old, spec, item, paused=old.paused or item.paused)
        carried = self._with_trigger(old.spec, spec).replace(
            id=spec.id, name=spec.name, func=spec.func, generation=spec.generation
        )
        return self._replace(old, carried, item, paused=old.paused, replan=False)

    def _with_trigger(self, stored: JobSpec, declared: JobSpec) -> JobSpec:
        """Return the stored spec; a trigger of which only the code knows is the one that the code has given."""
        if is_storable(stored.trigger) or is_storable(declared.trigger):
            return stored
        self._step.supplied[declared.id] = declared.trigger
        return stored.replace(trigger=declared.trigger)

    def _add(self, item: PutItem) -> Put:
        step, spec = self._step, item.spec
        job = self._job_type(spec, self._number(), step.now, item.paused)
        step.jobs[job.id] = job
        step.added.append(job)
        if item.gap is not None:
            step.pass_gap(job, item.gap)
        step.move(job, item.planned, item.due)
        self._supply(spec)
        self._known[spec.id] = job
        step.tell_job(job)
        return self._answer(PutStatus.ADDED, job)

    def _replace(self, job: JobState, spec: JobSpec, item: PutItem, *, paused: bool, replan: bool = True) -> Put:
        """Give a job another spec. Its counters, its history and the runs that wait or execute stay."""
        step = self._step
        passed = _passed_unrecorded(job, step.now) if replan else None
        job.paused = paused
        job.version += 1
        job.updated = step.now
        self._edit(job, spec)
        if replan:
            if passed is not None:
                step.pass_gap(job, passed)
            step.close_gap(job)
            if item.gap is not None:
                step.pass_gap(job, item.gap)
            step.move(job, item.planned, item.due)
        else:
            step.move(job, job.planned, job.due)
        self._supply(spec)
        self._known[spec.id] = job
        step.tell_job(job)
        return self._answer(PutStatus.REPLACED, job)

    def _edit(self, job: JobState, spec: JobSpec) -> None:
        self._step.edited.setdefault(job.id, job.spec)
        job.spec = spec
        runs.renew_waiting(self._step, job)

    def _supply(self, spec: JobSpec) -> None:
        self._step.supplied[spec.id] = None if is_storable(spec.trigger) else spec.trigger

    def _answer(self, status: PutStatus, job: JobState) -> Put:
        """Answer with all the timers of the job that nodes may hold in an older revision."""
        return Put(status, self._record(job), job.timer, tuple(_waiting(self._step, job)))


def pause(step: Step, chosen: Iterable[JobState]) -> list[JobState]:
    """Take the timers of these jobs out of the window; return the jobs that were not paused before.

    Runs that were started by hand, and their retries, go on.
    """
    paused = [job for job in chosen if not job.paused]
    for job in paused:
        job.paused = True
        _touch(step, job)
        step.move(job, job.planned, job.due)
        runs.renew_waiting(step, job)
    return paused


def resume(step: Step, chosen: Iterable[JobState], chance: Chance) -> list[JobState]:
    """Plan paused jobs from now, and record what passed meanwhile as ``skipped (paused)``; return those jobs."""
    # All triggers are asked before any job is changed: a class of the user's own may raise.
    plans = [(job, *_passed(job, step.now)) for job in chosen if job.paused]
    for job, gap, planned in plans:
        job.paused = False
        _touch(step, job)
        if gap is None:
            step.move(job, job.planned, job.due)
        else:
            step.pass_gap(job, gap)
            step.move(job, planned, jittered(job.spec, planned, chance))
        runs.renew_waiting(step, job)
    return [job for job, _, _ in plans]


def delete(step: Step, chosen: Sequence[JobState]) -> Deleted:
    """Delete jobs and their waiting runs. Attempts that execute go on; history stays."""
    ended: list[Cancelled] = []
    for job in chosen:
        spec = job.spec
        job.gone = True
        step.move(job, None, None)
        step.removed.append(job)
        step.tell_removed(spec.id)
        if spec.origin is Origin.DECLARED:
            step.stones[spec.id] = spec.declaration
        for run in step.open_runs(job):
            if run.token is not None:
                step.hints.append((run.epoch, 0))
                ended.append(Cancelled(run.id, run.status, run.token, run.epoch, spec.id))
            else:
                runs.end(step, run, RunStatus.CANCELLED, step.now, Reason.JOB_CANCELLED)
                ended.append(Cancelled(run.id, run.status, job_id=spec.id))
    return Deleted(tuple(job.spec.id for job in chosen), tuple(ended))


def _touch(step: Step, job: JobState) -> None:
    """Note that somebody changed a job without giving it another spec."""
    job.version += 1
    job.updated = step.now
    step.touched.append(job)
    step.tell_job(job)


def _passed_unrecorded(job: JobState, now: int) -> Gap | None:
    """Return what has passed since the job was paused: the plan that is about to go is the last to know of it."""
    # A trigger that only the code has is not asked: it may be missing or raise, and the job must change all the same.
    if not job.paused or not is_storable(job.spec.trigger):
        return None
    return passed_while_paused(job.spec, job.planned, now)[0]


def _passed(job: JobState, now: int) -> tuple[Gap | None, int | None]:
    """Return the gap of instants that passed while the job was paused, and the first instant after them."""
    if isinstance(job.spec.trigger, CodeTrigger):
        # It names no instants, and the job must not end for that. The plan waits for the code that has the trigger.
        return None, job.planned
    return passed_while_paused(job.spec, job.planned, now)


def _waiting(step: Step, job: JobState) -> list[Timer]:
    return [timer for run in step.open_runs(job) if (timer := run.timer) is not None]
