"""Loads what a call is about, has the rules decide, and saves what they have noted.

A :class:`Ledger` is one change of the schedule inside one transaction. It takes the rows of the jobs it is about in
``asched.timer``, which no other transaction gets before this one has ended, and reads their open runs and gap records
into a :class:`~asched.rules.state.Step`. A rule then changes the step without waiting, and :meth:`Ledger.save` sends
what the step has noted, a statement for each table.

The ledger neither begins nor ends a transaction; :mod:`asched.stores.postgres.store` does. A transaction may fail
because another one stood in its way. Then the store makes a new ledger, so a ledger changes nothing outside of it
before the commit.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import chain

from asched.model import JobSpec, Reason, RunStatus
from asched.rules import claims as claim_rules
from asched.rules import ends as end_rules
from asched.rules import jobs as job_rules
from asched.rules import requests
from asched.rules.plain import is_plain_end
from asched.rules.state import GapState, JobState, NodeState, RunState, Step
from asched.store import (
    Cancelled,
    Claim,
    Claimed,
    Deleted,
    Enqueue,
    Enqueued,
    Finish,
    FinishRow,
    JobRecord,
    Note,
    Put,
    PutItem,
    PutMode,
    Reaped,
    Selection,
    Timer,
)
from asched.stores.postgres.errors import Overtaken
from asched.stores.postgres.plain import PlainPaths
from asched.stores.postgres.retention import Retention
from asched.stores.postgres.schedule import Abilities, Connection, Schedule, Session, columns_of, run_changes
from asched.stores.postgres.states import gap_record, job_of, run_of, run_record, run_row, timer_row
from asched.stores.rows import STATUSES, check_storable, log_text, progress_text, spec_row
from asched.triggers.absent import CodeTrigger

__all__ = ["Ledger"]


class Ledger(Session):
    """One change of the schedule.

    Args:
        patient: Wait for jobs that others hold. Otherwise the ledger goes on without them.
    """

    def __init__(self, schedule: Schedule, connection: Connection, *, patient: bool = True) -> None:
        super().__init__(schedule, connection)
        self.patient = patient
        self.step = Step(0, keeps_letters=schedule.limits.dead_letters > 0)
        self.retention = Retention(schedule, connection, self.step)
        self.ended: Sequence[int] = ()
        """Runs that a plain statement has ended; the step does not tell of them."""
        self._editions: dict[int, int] = {}
        self._left: list[int] = []
        """Nodes that are gone with this step."""

    # Loading

    async def read_clock(self) -> None:
        """Read the store's clock, for the whole step."""
        [self.step.now] = await self.row("clock")

    async def load(self, serials: Iterable[int]) -> list[JobState]:
        """Hold these jobs until the transaction ends, and load them; return those that were there and not loaded yet.

        A job without open runs has one statement less to read, and so has one without a gap record.
        """
        step = self.step
        wanted = sorted(set(serials) - step.jobs.keys())
        if not wanted:
            return []
        rows = await self.fetch("lock_timers" if self.patient else "lock_free_timers", wanted)
        # The rows are ours from here on: what a new statement sees now stays so.
        editions = {row[0]: row[3] for row in rows}
        specs = await self.specs(editions)
        self._editions |= editions
        jobs: list[JobState] = []
        for row in rows:
            job = job_of(row, specs[row[0]])
            self.schedule.functions[job.spec.func] = row[1]
            jobs.append(job)
        runs: dict[int, list[RunState]] = {job.id: [] for job in jobs}
        active = {row[0]: job for row, job in zip(rows, jobs, strict=True) if row[9]}
        if active:
            for row in await self.fetch("runs_of_jobs", list(active)):
                runs[row[1]].append(run_of(row, active[row[1]]))
        for job in jobs:
            job.active = tuple(run.id for run in runs[job.id])
            step.load(job, runs[job.id])
        gaps = {row[17]: job for row, job in zip(rows, jobs, strict=True) if row[17] is not None}
        if gaps:
            for gap_id, status, reason in await self.fetch("gaps", list(gaps)):
                job = gaps[gap_id]
                job.gap = GapState(job, RunStatus(status), Reason(reason))
                job.gap.id = gap_id
        return jobs

    async def _load_versions(self, jobs: Sequence[JobState]) -> None:
        """Load what only an edit and a record need of a job."""
        held = {job.id: job for job in jobs}
        if held:
            for serial, version, created, updated in await self.fetch("versions", list(held)):
                job = held[serial]
                job.version, job.created, job.updated = version, created, updated

    async def _select(self, which: Selection) -> list[JobState]:
        """Load the jobs that are chosen, in the order of the choice or in that in which they were made."""
        ns = self.schedule.ns
        if which.ids is not None:
            found = await self.fetch("serials_by_id", ns, list(which.ids))
        elif which.group is not None:
            found = await self.fetch("serials_by_group", ns, which.group)
        else:
            found = await self.fetch("serials_by_func", ns, which.func)
        loaded = await self.load(row[0] for row in found)
        await self._load_versions(loaded)
        # Between the choice and the lock a job may have been deleted, renamed or moved.
        jobs = [job for job in loaded if not job.gone and _chosen(job.spec, which)]
        if which.ids is not None:
            by_id = {job.spec.id: job for job in jobs}
            return [by_id[job_id] for job_id in dict.fromkeys(which.ids) if job_id in by_id]
        return jobs

    # Saving

    async def save(self, epoch: int = 0) -> None:
        """Send what the step has noted; nothing of the step comes after it.

        Args:
            epoch: The node that counts the runs which ended; 0 is the one that stands for all that are gone.

        Raises:
            Overtaken: A job of this id has been added meanwhile.
        """
        step, ns = self.step, self.schedule.ns
        await self._save_records()
        await self._save_jobs()
        await self._save_timers()
        if step.written:
            functions = self.schedule.functions
            rows = [run_row(run, functions[run.job.spec.func]) for run in step.written.values()]
            await self.fetch("write_runs", ns, *columns_of(rows))
        # Rows that several nodes count in come last, so that they are held for the least time.
        for left in self._left:
            await self.fetch("remove_node", left, ns)
        if step.ends:
            await self.fetch("count_ends", ns, epoch, step.ends, step.failures)
        await self.retention.bury_with_step()
        await self.retention.forget()
        await self.tell_followers(chain(run_changes(self.ended), step.changes))

    async def _save_records(self) -> None:
        step = self.step
        fresh = [record for record in step.records if isinstance(record, GapState)]
        if fresh:
            for gap, [serial] in zip(fresh, await self.fetch("serials", len(fresh)), strict=True):
                gap.id = serial
                step.tell_run(serial)
        if step.records:
            rows = [
                gap_record(record, step.now) if isinstance(record, GapState) else run_record(record, step.keeps_letters)
                for record in step.records
            ]
            await self.fetch("record", self.schedule.ns, *columns_of(rows))
            ended = [record.id for record in step.records if isinstance(record, RunState)]
            if ended:
                await self.fetch("remove_runs", ended)
        if step.grown:
            grown = [(gap.id, gap.instants, gap.last, step.now) for gap in step.grown.values()]
            await self.fetch("grow_gaps", *columns_of(grown))
            for gap_id in step.grown:
                step.tell_run(gap_id)

    async def _save_jobs(self) -> None:
        """Write specs, and new jobs whole. An edit may free an id that a new job of the batch takes."""
        step, ns, functions = self.step, self.schedule.ns, self.schedule.functions
        added = {job.id for job in step.added}
        edited = [step.jobs[serial] for serial in step.edited if serial not in added]
        if edited:
            for job in edited:
                self._editions[job.id] += 1
            rows: list[tuple[object, ...]] = [
                (job.id, functions[job.spec.func], job.version, job.updated, *spec_row(job.spec)) for job in edited
            ]
            await self.fetch("change_jobs", *columns_of(rows))
        if step.touched:
            await self.fetch("touch_jobs", [job.id for job in step.touched], step.now)
        if added:
            rows = [
                (
                    job.id, functions[job.spec.func], job.created, job.version, job.rev, *spec_row(job.spec),
                    job.planned, None if job.planned is None else job.due, job.paused,
                    None if job.gap is None else job.gap.id,
                )
                for job in step.added
            ]  # fmt: skip
            [written] = await self.row("add_jobs", ns, *columns_of(rows))
            if written != len(rows):
                raise Overtaken
            self._editions |= dict.fromkeys(added, 1)
        if step.lifted:
            await self.fetch("remove_tombstones", ns, step.lifted)
        if step.stones:
            await self.fetch("add_tombstones", ns, *columns_of(list(step.stones.items())))
        if step.removed:
            removed = [job.id for job in step.removed]
            await self.fetch("delete_jobs", removed)
            self.retention.touch(removed)

    async def _save_timers(self) -> None:
        step = self.step
        added = {job.id for job in step.added}
        gone = [job.id for job in step.jobs.values() if job.gone and not job.active]
        rows = [
            timer_row(
                job, self.schedule.functions[job.spec.func], self._editions[job.id],
                any(run.queued for run in step.open_runs(job)),
            )
            for job in step.changed.values()
            if job.id not in added and (job.active or not job.gone)
        ]  # fmt: skip
        if rows:
            await self.fetch("write_timers", *columns_of(rows))
        if gone:
            await self.fetch("remove_timers", gone)
            self.retention.touch(gone)

    def remember(self) -> None:
        """Keep the specs that the step has changed; to be called once it is committed."""
        step = self.step
        for job_id, trigger in step.supplied.items():
            if trigger is None:
                self.schedule.triggers.pop(job_id, None)
        for job in step.jobs.values():
            if job.id in step.edited or job.spec.id in step.supplied:
                self.schedule.learn(job.id, self._editions[job.id], job.spec)

    # Claims and ends

    async def claim(self, epoch: int, claims: Sequence[Claim]) -> list[Claimed]:
        """Take timers, whatever is about them; an empty answer says that the node's lease has run out."""
        step = self.step
        node = await self.fetch("live_node", epoch, self.schedule.ns)
        if not node:
            return []
        [(name, step.now)] = node
        waiting = [claim.timer.id for claim in claims if claim.timer.attempt]
        # By the timer that is claimed, its job.
        jobs = {claim.timer.id: claim.timer.id for claim in claims if not claim.timer.attempt}
        if waiting:
            jobs |= await self.fetch("jobs_of_runs", waiting)
        await self.load(jobs.values())
        held = () if self.patient else (timer_id for timer_id, serial in jobs.items() if serial not in step.jobs)
        fences = [row[0] for row in await self.fetch("fences", len(claims))]
        return claim_rules.claim(step, NodeState(epoch, name), claims, iter(fences), frozenset(held))

    async def finish(self, epoch: int, node: str, ends: Sequence[FinishRow]) -> tuple[list[bool | None], list[Timer]]:
        """Record ends of attempts; ``None``: another transaction holds the job."""
        held: set[int] = set()
        if not self.patient:
            held = {row[0] for row in await self.fetch("hold_free_timers", [end[0] for end in ends], epoch)}
        ours: dict[int, FinishRow] = {}
        for end in ends:
            # Of two ends with one token the first counts.
            if end[0] not in held:
                ours.setdefault(end[0], end)
        plain = {token: end for token, end in ours.items() if is_plain_end(end)}
        accepted: set[int] = set()
        later: list[int] = []
        if plain and len(plain) < len(ours):
            # Both kinds in one order: else two nodes could wait for each other.
            jobs = dict(await self.fetch("hold_attempts", list(ours), epoch))
            # The last end of a job says how it went last, so an end of another kind takes those of its job along.
            mixed = {job for token, job in jobs.items() if token not in plain}
            plain = {token: end for token, end in plain.items() if jobs.get(token) not in mixed}
        if plain:
            accepted, later = await PlainPaths(self.schedule, self.connection).finish(epoch, plain)
            self.ended = list(accepted)
        others = [Finish._make(end) for token, end in ours.items() if token not in accepted]
        if others or later:
            await self.read_clock()
            if others:
                later += [row[0] for row in await self.fetch("jobs_of_tokens", [end.token for end in others], epoch)]
            await self.load(later)
            answers = end_rules.finish(self.step, NodeState(epoch, node), others)
            accepted |= {end.token for end, answer in zip(others, answers, strict=True) if answer}
            end_rules.let_queued_start(self.step)
        said: list[bool | None] = []
        for token, *_ in ends:
            said.append(None if token in held else token in accepted)
            accepted.discard(token)
        return said, self.step.timers()

    async def release(self, epoch: int, tokens: Sequence[int]) -> list[Timer]:
        await self.load(row[0] for row in await self.fetch("jobs_of_tokens", tokens, epoch))
        end_rules.release(self.step, epoch, tokens)
        return self.step.timers()

    async def annotate(self, epoch: int, notes: Sequence[Note]) -> None:
        rows = [
            (token, progress_text(note.done, note.total), log_text(note.log))
            for token, note in {note.token: note for note in notes}.items()
        ]
        if rows:
            for [run_id] in await self.fetch("annotate", epoch, *columns_of(rows)):
                self.step.tell_run(run_id)

    # Nodes

    async def reap(self) -> list[Reaped]:
        """End nodes whose lease has run out."""
        dead = await self.fetch("dead_nodes", self.schedule.ns)
        kept = await self._load_executed([epoch for epoch, _ in dead])
        executing = {run.epoch for run in self.step.runs.values() if run.token is not None}
        reaped = [end_rules.reap(self.step, NodeState(epoch, name)) for epoch, name in dead]
        return [one for one in reaped if one.epoch not in kept or one.epoch in executing]

    async def leave(self, epoch: int) -> list[Timer]:
        if not await self.fetch("hold_node", epoch, self.schedule.ns):
            return []
        await self._load_executed([epoch])
        end_rules.release(self.step, epoch)
        return self.step.timers()

    async def _load_executed(self, epochs: Sequence[int]) -> set[int]:
        """Load what these nodes execute, whose rows are held, and let the nodes go with the step.

        Returns:
            The nodes of which a job could not be had. They stay for the next call, but are dead from here on.
        """
        if not epochs:
            return set()
        rows = await self.fetch("jobs_of_nodes", epochs)
        await self.load(serial for _, serial in rows)
        kept = {epoch for epoch, serial in rows if serial not in self.step.jobs}
        for epoch in kept:
            await self.fetch("end_lease", epoch)
        self._left += [epoch for epoch in epochs if epoch not in kept]
        return kept

    # Requests

    async def enqueue(self, items: Sequence[Enqueue]) -> list[Enqueued]:
        found = await self.fetch("serials_by_id", self.schedule.ns, [item.job_id for item in items])
        jobs = await self.load(row[0] for row in found)
        replayed = [item.replay_of for item in items if item.replay_of is not None]
        letters = dict(await self.fetch("letters", replayed)) if replayed else {}
        return requests.enqueue(self.step, items, {job.spec.id: job for job in jobs if not job.gone}, letters)

    async def cancel_runs(self, run_ids: Sequence[int]) -> list[Cancelled]:
        await self.load(row[1] for row in await self.fetch("jobs_of_runs", run_ids))
        answers = requests.cancel_runs(self.step, run_ids)
        others = [run_id for run_id in run_ids if run_id not in answers]
        if others:
            for run_id, status, job_id in await self.fetch("run_places", others):
                answers[run_id] = Cancelled(run_id, STATUSES[status], job_id=job_id)
        return [answers.get(run_id) or Cancelled(run_id, None) for run_id in run_ids]

    # Jobs

    async def put_jobs(self, mode: PutMode, items: Sequence[PutItem]) -> list[Put]:
        step, ns = self.step, self.schedule.ns
        for item in items:
            check_storable(item.spec)
        ids = list({item.spec.id for item in items})
        wanted = list({name for item in items for name in (item.spec.id, *item.aliases)})
        numbers = 0 if mode is PutMode.UPDATE else len(ids)
        step.now, known, serials = await self.row("look_before_put", ns, wanted, numbers, ids)
        jobs = await self.load(known)
        await self._load_versions(jobs)
        stones = dict(await self.fetch("tombstones", ns, wanted)) if mode is PutMode.DECLARE else {}
        able = await self.schedule.abilities(self.connection)
        free = iter(serials)

        def number() -> int:
            # A job that was there is gone by the time it is held: it has to be looked for again.
            for serial in free:
                return int(serial)
            raise Overtaken

        def record(job: JobState) -> JobRecord:
            return job.record(able.resolve(job.spec))

        by_id = {job.spec.id: job for job in jobs if not job.gone}
        answers = job_rules.Puts(step, mode, by_id, stones, number=number, record=record).answers(items)
        # Before the commit: a window that sees the job must find its trigger.
        for job_id, trigger in step.supplied.items():
            if trigger is not None and type(trigger) is not CodeTrigger:
                self.schedule.triggers[job_id] = trigger
        return answers

    async def pause_jobs(self, which: Selection) -> tuple[list[JobRecord], list[Timer]]:
        able = await self.schedule.abilities(self.connection)
        return self._changed(job_rules.pause(self.step, await self._select(which)), able)

    async def resume_jobs(self, which: Selection) -> tuple[list[JobRecord], list[Timer]]:
        able = await self.schedule.abilities(self.connection)
        return self._changed(job_rules.resume(self.step, await self._select(which), random.random), able)

    def _changed(self, jobs: Sequence[JobState], able: Abilities) -> tuple[list[JobRecord], list[Timer]]:
        return [job.record(able.resolve(job.spec)) for job in jobs], self.step.timers()

    async def delete_jobs(self, which: Selection) -> Deleted:
        return job_rules.delete(self.step, await self._select(which))


def _chosen(spec: JobSpec, which: Selection) -> bool:
    if which.ids is not None:
        return spec.id in which.ids
    if which.group is not None:
        return spec.group == which.group
    return which.func in (spec.func, spec.func.rpartition(":")[2])
