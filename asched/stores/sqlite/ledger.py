"""What changes in the file: a call loads what the rules decide about, calls them, and saves what they noted.

:class:`Ledger` runs in the thread of the one connection that writes, so nothing changes between two statements of a
call. It begins and ends no transaction, waits for nothing and knows of no event loop: the store does. A call may run
twice: if its transaction fails, it is rolled back and the call runs again alone. What the ledger remembers outside of
the database must bear that (:meth:`Ledger.forget_all`).

Two paths go around the rules, as :mod:`asched.rules.plain` allows: occurrences that start while nothing else of their
job is active, and first attempts that succeed. Each is a few statements over all of them.
"""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import count
from typing import Any, TypeVar

import orjson

from asched.clock import Clock
from asched.instants import SECOND
from asched.model import Overlap, Reason, RunStatus
from asched.rules import claims, ends, jobs, requests
from asched.rules.plain import EARLY, is_plain_claim, is_plain_end
from asched.rules.state import GapState, JobState, NodeState, RunState, Step
from asched.store import (
    Beat,
    Cancelled,
    Claim,
    Claimed,
    ClaimRow,
    Deleted,
    Enqueue,
    Enqueued,
    Finish,
    FinishRow,
    Grant,
    JobRecord,
    Limits,
    Live,
    NodeInfo,
    Note,
    Put,
    PutItem,
    PutMode,
    Reaped,
    Selection,
    Timer,
)
from asched.stores.base import Abilities
from asched.stores.rows import (
    STATUSES,
    all_attempts_text,
    attempts_of,
    check_storable,
    log_of,
    log_text,
    node_info_text,
    progress_of,
    progress_text,
    spec_row,
)
from asched.stores.sqlite.pages import FOREVER, SPEC_COLUMNS, SQL, Pages, as_json
from asched.triggers import Trigger
from asched.triggers.absent import CodeTrigger

__all__ = ["Ledger"]

T = TypeVar("T")

# A statement that takes rows is kept prepared for each of these numbers of rows. Five times the largest are well below
# the 32,766 parameters that SQLite takes at least.
_ROW_COUNTS = (1, 8, 64, 512)
_MOST_ROWS = _ROW_COUNTS[-1]
_ROWS = re.compile(r"\{rows (\d+)\}")

# A NamedTuple's own constructor is a Python function; this is what it calls, in half the time.
_new = tuple.__new__
# An enum's member is looked up through its class and a descriptor; a global is not.
_STARTED, _SUCCEEDED, _ALLOW = Grant.STARTED, RunStatus.SUCCEEDED, Overlap.ALLOW


class Ledger(Pages):
    """Everything that changes. One of its methods is one step; several may share a transaction.

    Args:
        lease: Seconds that a node may go without a heartbeat; infinite for the owner of a file that has no other.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        ns: int,
        clock: Clock,
        abilities: Abilities,
        triggers: dict[str, Trigger],
        limits: Limits,
        lease: float,
    ) -> None:
        super().__init__(db, ns, clock, abilities, triggers)
        self._limits = limits
        self._lease = lease
        self._functions: dict[str, int] = {}
        self._seq: int | None = None
        self._step: Step
        self._plain: list[int]
        self._places: dict[int, int]

    def call(self, work: Callable[[Ledger], T]) -> tuple[T, list[int], Step]:
        """Do one call, and save what its step noted.

        Returns:
            The call's answer, and what is to be told after the commit: runs that the plain paths changed, and the step.
        """
        self._step = step = Step(self.clock.now(), keeps_letters=self._limits.dead_letters > 0)
        self._plain = []
        self._places = {}
        answer = work(self)
        self._save(step)
        return answer, self._plain, step

    def forget_all(self) -> None:
        """Forget what was remembered of the database: a transaction has been rolled back."""
        self._functions.clear()
        self._seq = None

    # Nodes

    def register(self, info: NodeInfo) -> tuple[int, list[Reaped]]:
        """Begin a lease, and reap at once what belonged to processes before this one."""
        reaped = self._reap(0)
        now = self._step.now
        epoch = self._number("next_epoch")
        self._do("add_node", epoch, self.ns, info.name, now, self._lease_end(now), node_info_text(info))
        return epoch, reaped

    def announce(self, epoch: int, info: NodeInfo) -> None:
        self._do("announce", info.name, node_info_text(info), epoch, self.ns)

    def heartbeat(self, epoch: int) -> Beat:
        now = self._step.now
        if self._one("node", epoch, self.ns) is None:
            return Beat(now, False, 0, ())
        if self._lease_end(now) != FOREVER:
            self._do("renew", self._lease_end(now), epoch, self.ns)
        cancels = tuple(token for (token,) in self._do("cancels", epoch))
        return Beat(now, True, len(self.claims(epoch)), cancels)

    def _lease_end(self, now: int) -> int:
        return FOREVER if self._lease == float("inf") else now + int(self._lease * SECOND)

    def reap(self) -> list[Reaped]:
        return self._reap(self._step.now)

    def _reap(self, before: int) -> list[Reaped]:
        nodes = [NodeState(*row) for row in self._do("dead_nodes", self.ns, before).fetchall()]
        self._load_around((), "runs_of_nodes", as_json([node.epoch for node in nodes]))
        for node in nodes:
            self._do("remove_node", node.epoch, self.ns)
        return [ends.reap(self._step, node) for node in nodes]

    def leave(self, epoch: int) -> list[Timer]:
        if self._one("remove_node", epoch, self.ns) is None:
            return []
        self._load_around((), "runs_of_nodes", as_json([epoch]))
        ends.release(self._step, epoch)
        return self._step.timers()

    # Jobs

    def put_jobs(self, mode: PutMode, items: Sequence[PutItem]) -> list[Put]:
        for item in items:
            check_storable(item.spec)
        wanted = as_json([name for item in items for name in (item.spec.id, *item.aliases)])
        known = {job.spec.id: job for job in self._load("states_by_id", self.ns, wanted)}
        stones = dict(self._do("tombstones", self.ns, wanted).fetchall()) if mode is PutMode.DECLARE else {}
        missing = sum(item.spec.id not in known for item in items) if mode is not PutMode.UPDATE else 0
        numbers = self._next_serials(missing) if missing else iter(())
        puts = jobs.Puts(self._step, mode, known, stones, number=numbers.__next__, record=self._record_of)
        return puts.answers(items)

    def pause_jobs(self, which: Selection) -> tuple[list[JobRecord], list[Timer]]:
        paused = jobs.pause(self._step, self._selected(which))
        return list(map(self._record_of, paused)), self._step.timers()

    def resume_jobs(self, which: Selection) -> tuple[list[JobRecord], list[Timer]]:
        resumed = jobs.resume(self._step, self._selected(which), random.random)
        return list(map(self._record_of, resumed)), self._step.timers()

    def delete_jobs(self, which: Selection) -> Deleted:
        return jobs.delete(self._step, self._selected(which))

    def next_id(self) -> int:
        return self._number("next_id", self.ns)

    def generation(self, declarations: str) -> int:
        self._do("add_generation", self.ns, declarations, self._step.now)
        return self._number("generation", self.ns, declarations)

    def _selected(self, which: Selection) -> list[JobState]:
        if which.ids is not None:
            found = {job.spec.id: job for job in self._load("states_by_id", self.ns, as_json(which.ids))}
            return [found[job_id] for job_id in dict.fromkeys(which.ids) if job_id in found]
        if which.group is not None:
            return self._load("states_by_group", self.ns, which.group)
        return self._load("states_by_func", self.ns, which.func)

    def _record_of(self, job: JobState) -> JobRecord:
        return job.record(self.abilities.resolve(job.spec))

    # Claims and ends

    def claim(self, epoch: int, wanted: Sequence[ClaimRow]) -> list[Claimed]:
        found = self._one("live_node", epoch, self.ns, self._step.now)
        if found is None:
            return []
        node = NodeState(epoch, found[0])
        fences = count(self._number("next_fences", len(wanted)) - len(wanted) + 1)
        plain = self._plain_claims(wanted)
        started = self._start_plain(node, [wanted[place] for place in plain.values()], fences)
        if len(plain) == len(wanted):
            return started
        is_plain = [plain.get(claim[0].id) == place for place, claim in enumerate(wanted)]
        others = [Claim._make(claim) for claim, skip in zip(wanted, is_plain, strict=True) if not skip]
        # Where a claim is repeated, since its answer was lost, its token names the run that it made.
        runs = [claim.token for claim in others] + [claim.timer.id for claim in others if claim.timer.attempt]
        serials = [claim.timer.id for claim in others if not claim.timer.attempt]
        self._load_around(serials, "runs_of_ids", as_json(runs))
        answers = iter(claims.claim(self._step, node, others, fences))
        plain_answers = iter(started)
        return [next(plain_answers if chosen else answers) for chosen in is_plain]

    def _plain_claims(self, wanted: Sequence[ClaimRow]) -> dict[int, int]:
        """Return the places, by timer, of the claims that start as they are.

        Their timers stand as planned, and nothing of their jobs is active.
        """
        plain: dict[int, int] = {}
        others: set[int] = set()
        rows: list[object] = []
        for place, claim in enumerate(wanted):
            timer = claim[0]
            timer_id = timer.id
            # A batch may claim a job twice: the second claim meets what the first one has done.
            if is_plain_claim(claim) and timer_id not in plain and timer_id not in others:
                plain[timer_id] = place
                rows += (timer_id, timer.rev, timer.spec.policy.overlap is _ALLOW)
            else:
                others.add(timer_id)
        for cursor in self._do_rows("claims_to_look_at", 3, rows, self._step.now + EARLY):
            [left] = cursor.fetchone()
            for job in orjson.loads(left):
                del plain[job]
        return plain

    def _start_plain(self, node: NodeState, plain: Sequence[ClaimRow], fences: Iterator[int]) -> list[Claimed]:
        now = self._step.now
        started: list[Claimed] = []
        timers: list[object] = []
        runs: list[object] = []
        for (timer, token, _, planned, due, next_planned, next_due, _, _), fence in zip(plain, fences, strict=False):
            timer_id, spec = timer.id, timer.spec
            following = None
            if next_planned is None or next_due is None:
                next_planned = next_due = None
            else:
                following = Timer(timer_id, timer.rev + 1, next_due, next_planned, spec)
            timers += (timer_id, next_planned, next_due)
            runs += (token, timer_id, planned, due, fence, spec.payload)
            started.append(_new(Claimed, (_STARTED, token, token, fence, following, (), 0)))
        self._do_rows("start_runs", 6, runs, node.epoch, node.name, now)
        self._do_rows("start_timers", 3, timers, now)
        self._plain += runs[::6]  # type: ignore[arg-type]  # the tokens, which are the ids of the runs
        return started

    def finish(self, epoch: int, wanted: Sequence[FinishRow]) -> tuple[list[bool], list[Timer]]:
        found = self._one("node", epoch, self.ns)
        if found is None:
            return [False] * len(wanted), []
        first = self._next_seqs(len(wanted))
        plain, serials = self._end_plain(epoch, wanted, first)
        is_plain = [plain.get(end[0]) == place for place, end in enumerate(wanted)]
        others = [Finish._make(end) for end, skip in zip(wanted, is_plain, strict=True) if not skip]
        if not others and not serials:
            return [True] * len(wanted), []
        self._load_around(serials, "runs_of_tokens", as_json([end.token for end in others]), epoch)
        step = self._step
        # Records stand in the order of the ends. Of two ends of one token the first counts.
        places = {end[0]: seq for seq, end in reversed(list(enumerate(wanted, first)))}
        self._places = {run.id: places[run.token] for run in step.runs.values() if run.token in places}
        accepted = iter(ends.finish(step, NodeState(epoch, found[0]), others))
        ends.let_queued_start(step)
        return [chosen or next(accepted) for chosen in is_plain], step.timers()

    def _end_plain(self, epoch: int, wanted: Sequence[FinishRow], first: int) -> tuple[dict[int, int], list[int]]:
        """Record the runs that went well and have nothing more to tell.

        Args:
            first: The place in the history of the first end's record.

        Returns:
            The places of their ends in the batch, by token, and the jobs of which a run has queued behind them.
        """
        plain: dict[int, int] = {}
        others: set[int] = set()
        for place, end in enumerate(wanted):
            token = end[0]
            # Of two ends of one token the first counts.
            if is_plain_end(end) and token not in plain and token not in others:
                plain[token] = place
            else:
                others.add(token)
        if not plain:
            return plain, []
        ids, of_jobs = self._row("plain_runs", epoch, as_json(list(plain)))
        written = set(orjson.loads(ids))
        if written and len(written) < len(wanted):
            others.update(plain.keys() - written)
            # The last end of a job says how it went last, so an end of another kind takes those of its job along.
            mixed = {job for _, job in self._do("runs_of_tokens", as_json(list(others)), epoch).fetchall()}
            of_plain = zip(orjson.loads(ids), orjson.loads(of_jobs), strict=True)
            jobs_of_plain = {run_id: job for run_id, job in of_plain if job not in mixed}
            written = set(jobs_of_plain)
            ids, of_jobs = as_json(list(jobs_of_plain)), as_json(list(jobs_of_plain.values()))
        if not written:
            return {}, []
        if len(written) < len(plain):
            plain = {token: place for token, place in plain.items() if token in written}
        rows: list[object] = []
        for token, place in plain.items():
            _, _, _, started, ended, _, _, result, _, _, _ = wanted[place]
            rows += (token, started, ended, result, first + place)
        self._do_rows("record_plain", 5, rows, self.ns)
        self._do("remove_runs", ids)
        self._do("last_status", _SUCCEEDED, of_jobs)
        self._do("count_ends", len(plain), 0, len(plain), self.ns)
        self._plain += plain
        queued = self._number("any_queued")
        return plain, self._serials("jobs_with_queue", of_jobs) if queued else []

    def release(self, epoch: int, tokens: Sequence[int]) -> list[Timer]:
        if self._one("node", epoch, self.ns) is None:
            return []
        self._load_around((), "runs_of_tokens", as_json(tokens), epoch)
        ends.release(self._step, epoch, tokens)
        return self._step.timers()

    # What operators ask of runs

    def enqueue(self, items: Sequence[Enqueue]) -> list[Enqueued]:
        wanted = as_json([item.job_id for item in items])
        by_id = {job.spec.id: job for job in self._load("states_by_id", self.ns, wanted, named={})}
        replayed = [item.replay_of for item in items if item.replay_of is not None]
        letters = dict(self._do("letters_of", as_json(replayed)).fetchall()) if replayed else {}
        return requests.enqueue(self._step, items, by_id, letters)

    def cancel_runs(self, run_ids: Sequence[int]) -> list[Cancelled]:
        wanted = as_json(run_ids)
        self._load_around((), "runs_of_ids", wanted)
        answers = requests.cancel_runs(self._step, run_ids)
        for run_id, status, job_id in self._do("ends_of", wanted).fetchall():
            answers[run_id] = Cancelled(run_id, STATUSES[status], job_id=job_id)
        return [answers.get(run_id) or Cancelled(run_id, None) for run_id in run_ids]

    def annotate(self, epoch: int, notes: Sequence[Note]) -> None:
        for note in notes:
            found = self._one("annotate", progress_text(note.done, note.total), log_text(note.log), note.token, epoch)
            if found is not None:
                self._step.tell_run(found[0])

    def claims_after_a_write(self, epoch: int) -> list[Live]:
        """Answer only where something can be written."""
        self._number("next_fences", 1)
        return self.claims(epoch)

    # Loading

    def _load(self, statement: str, *values: object, named: Mapping[int, int] | None = None) -> list[JobState]:
        """Load jobs, with their open runs, into the step.

        Args:
            named: Runs with their jobs. If it is given, a job that lets its runs overlap, of which there may be
                thousands, comes with no others than these and those that are queued.
        """
        loaded = {job.id: job for job in map(self._job, self._do(statement, *values).fetchall())}
        runs: dict[int, list[RunState]] = {serial: [] for serial in loaded}
        few, many = list(loaded), ""
        rows = []
        if named is not None:
            overlapping = {serial for serial, job in loaded.items() if job.spec.policy.overlap is _ALLOW}
            if overlapping:
                few = [serial for serial in loaded if serial not in overlapping]
                many = as_json(list(overlapping))
                ids = [run_id for run_id, serial in named.items() if serial in overlapping]
                rows += self._do("open_named", as_json(ids), many).fetchall()
        if few:
            rows += self._do("open", as_json(few)).fetchall()
        for row in rows:
            serial = row[0]
            runs[serial].append(_run(row, loaded[serial]))
        for serial, job in loaded.items():
            job.active = tuple([run.id for run in runs[serial]])
            self._step.load(job, runs[serial])
        if many:
            for serial, active in self._do("active", many).fetchall():
                loaded[serial].active = tuple(orjson.loads(active))
        return list(loaded.values())

    def _load_around(self, serials: Iterable[int], statement: str, *values: object) -> None:
        """Load these jobs, and those of the runs that the statement finds."""
        named: dict[int, int] = dict(self._do(statement, *values).fetchall())
        self._load("states", as_json(list({*serials, *named.values()})), named=named)

    def _serials(self, statement: str, *values: object) -> list[int]:
        return [serial for (serial,) in self._do(statement, *values).fetchall()]

    def _job(self, row: Sequence[Any]) -> JobState:
        serial, created, paused, gone = row[SPEC_COLUMNS + 1 : SPEC_COLUMNS + 5]
        job = JobState(self._spec(row), serial, created, bool(paused))
        job.gone = bool(gone)
        (
            job.version, job.updated, rev, job.planned, due, runs, failures, retries, planned_runs,
            job.last_run, last_status, gap_id, gap_status, gap_reason,
        ) = row[SPEC_COLUMNS + 5 :]  # fmt: skip
        if not gone:
            job.rev, job.due = rev, due or 0
            job.runs, job.failures, job.retries, job.planned_runs = runs, failures, retries, planned_runs
        if last_status is not None:
            job.last_status = STATUSES[last_status]
        if gap_id is not None:
            job.gap = GapState(job, STATUSES[gap_status], Reason(gap_reason))
            job.gap.id = gap_id
        return job

    # Saving

    def _save(self, step: Step) -> None:
        """Write all that the step has noted."""
        if step.records or step.grown:
            self._save_records(step)
        if step.changed:
            self._save_jobs(step)
        if step.written:
            self.db.executemany(SQL["set_run"], [self._run_row(run) for run in step.written.values()])
        for job_id in step.lifted:
            self._do("remove_tombstone", self.ns, job_id)
        for job_id, declaration in step.stones.items():
            self._do("add_tombstone", self.ns, job_id, declaration)
        for job_id, trigger in step.supplied.items():
            if trigger is None:
                self.triggers.pop(job_id, None)
            elif type(trigger) is not CodeTrigger:
                self.triggers[job_id] = trigger
        excess = self._serials("letters_over", self.ns, self._limits.dead_letters) if step.failures else []
        for run_id in (*step.buried, *excess):
            self._bury(run_id)
        if step.removed:
            self._forget_of_jobs([job.id for job in step.removed])

    def _save_records(self, step: Step) -> None:
        records, now, places = step.records, step.now, self._places
        gaps = [record for record in records if isinstance(record, GapState)]
        if gaps:
            for gap, serial in zip(gaps, self._next_serials(len(gaps)), strict=False):
                gap.id = serial
                step.tell_run(serial)
        for gap in step.grown.values():
            self._do("grow_gap", gap.instants, gap.last, now, gap.id)
            step.tell_run(gap.id)
        if not records:
            return
        rows = []
        ended = []
        for record, seq in zip(records, count(self._next_seqs(len(records))), strict=False):
            if isinstance(record, GapState):
                rows.append(self._gap_record(record, seq, now))
            else:
                rows.append(self._run_record(record, places.get(record.id, seq), step.keeps_letters))
                ended.append(record.id)
        self.db.executemany(SQL["record"], rows)
        self._do("remove_runs", as_json(ended))
        self._do("count_ends", step.ends, step.failures, len(records), self.ns)

    def _save_jobs(self, step: Step) -> None:
        added = {job.id for job in step.added}
        # In the order of the batch, and before what it adds: an edit may free an id that another job takes.
        for serial in step.edited:
            if serial not in added:
                job = step.jobs[serial]
                self._do("change_job", self._func(job.spec.func), job.version, job.updated, *spec_row(job.spec), serial)
        if added:
            self.db.executemany(SQL["add_job"], map(self._job_row, step.added))
            self.db.executemany(SQL["add_timer"], map(self._first_timer_row, step.added))
        if step.touched:
            self.db.executemany(SQL["touch_job"], [(job.version, job.updated, job.id) for job in step.touched])
        if step.removed:
            removed = [(job.id,) for job in step.removed]
            self.db.executemany(SQL["remove_timer"], removed)
            self.db.executemany(SQL["remove_job"], removed)
        kept = [job for job in step.changed.values() if not job.gone and job.id not in added]
        moved = [self._timer_row(job) for job in kept if job.id in step.moved]
        if moved:
            self.db.executemany(SQL["set_timer"], moved)
        counted = [(*_counters(job), job.id) for job in kept if job.id not in step.moved]
        if counted:
            self.db.executemany(SQL["set_counters"], counted)

    def _job_row(self, job: JobState) -> tuple[object, ...]:
        spec = job.spec
        return (job.id, self.ns, self._func(spec.func), job.version, job.created, job.updated, *spec_row(spec))

    def _first_timer_row(self, job: JobState) -> tuple[object, ...]:
        gap = None if job.gap is None else job.gap.id
        return (job.id, self._func(job.spec.func), job.rev, job.planned, _due(job), job.paused, gap)

    def _timer_row(self, job: JobState) -> tuple[object, ...]:
        func = self._func(job.spec.func)
        return (*_counters(job), func, job.rev, job.planned, _due(job), job.paused, job.id)

    def _run_row(self, run: RunState) -> tuple[object, ...]:
        job, progress = run.job, run.progress
        return (
            run.id, job.id, self._func(job.spec.func), run.planned, run.due, run.payload, run.status, run.attempt,
            run.token, run.epoch or None, run.fence, run.node, run.started, run.claimed, run.rev, run.wake,
            run.next_attempt, run.queued, run.held, run.manual, run.cancel, run.replay_of,
            all_attempts_text(run.attempts), run.result, progress_text(*progress) if progress else None,
            log_text(run.log),
        )  # fmt: skip

    def _run_record(self, run: RunState, seq: int, keeps_letters: bool) -> tuple[object, ...]:
        progress = run.progress
        return (
            seq, run.id, self.ns, run.job.id, run.status, run.reason, run.due, run.planned, run.started, run.ended,
            run.attempt, run.fence, run.node, run.payload, run.manual, run.replay_of, all_attempts_text(run.attempts),
            run.result, progress_text(*progress) if progress else None, log_text(run.log), 1, run.due,
            run.status.dead and keeps_letters,
        )  # fmt: skip

    def _gap_record(self, gap: GapState, seq: int, now: int) -> tuple[object, ...]:
        return (
            seq, gap.id, self.ns, gap.job.id, gap.status, gap.reason, gap.first, gap.first, None, now, 0, 0, None, None,
            False, None, None, None, None, None, gap.instants, gap.last, False,
        )  # fmt: skip

    def _func(self, name: str) -> int:
        known = self._functions
        if name not in known:
            known.update(self._do("functions", self.ns).fetchall())
        if name not in known:
            known[name] = self._number("add_function", self.ns, name, name.rpartition(":")[2])
        return known[name]

    def _next_serials(self, number: int) -> Iterator[int]:
        """Return so many new numbers, of jobs or of records of passed instants."""
        last = self._number("next_serials", number)
        return iter(range(last - number + 1, last + 1))

    def _next_seqs(self, number: int) -> int:
        """Return the first of so many new places in the history."""
        if self._seq is None:
            self._seq = self._number("last_seq")
        first = self._seq + 1
        self._seq += number
        return first

    # Dead letters and retention

    def discard_dead_letters(self, run_ids: Sequence[int] | None) -> int:
        if run_ids is None:
            run_ids = self._serials("letters", self.ns)
        return sum(self._bury(run_id) for run_id in run_ids)

    def _bury(self, run_id: int) -> bool:
        """Take the mark of a dead letter from a run."""
        found = self._one("bury", run_id, self.ns)
        if found is None:
            return False
        self._forget_of_jobs([found[1]])
        self._step.tell_run(run_id)
        return True

    def prune(self, limit: int) -> int:
        # The oldest records lose their place in the total history, and new ones push older ones out of the last of
        # their job. Both only name jobs to look at; a look that finds everything kept goes on with the next ones.
        pruned = 0
        while pruned < limit:
            looked_at, forgotten = self._prune_some(limit - pruned)
            pruned += forgotten
            if not looked_at:
                break
        return pruned

    def _prune_some(self, limit: int) -> tuple[int, int]:
        listed, floor, mark = self._row("marks", self.ns)
        oldest = self._step.now - int(self._limits.retention * SECOND)
        excess = listed - self._limits.history
        jobs: list[int] = []
        grown: list[int] = []
        for seq, job, ended, instants in self._do("oldest_listed", self.ns, floor, limit).fetchall():
            if len(jobs) < excess or ended < oldest:
                jobs.append(job)
                floor = seq
            elif instants > 1:
                # A gap that grew is younger than its place; it must not shield what stands behind it.
                grown.append(seq)
            else:
                break
        for seq in grown:
            if seq < floor:
                self._do("move_to_end", seq, self._next_seqs(1))
        newer = self._do("newer_than_mark", mark, self.ns, limit).fetchall()
        if not jobs and not newer:
            return 0, 0
        self._do("set_marks", listed - len(jobs), floor, newer[-1][0] if newer else mark, self.ns)
        touched = list({*jobs, *(job for _, job in newer)})
        return len(touched), self._forget_of_jobs(touched)

    def _forget_of_jobs(self, jobs: Sequence[int]) -> int:
        """Delete records of these jobs that nothing keeps any more; return how many."""
        if not jobs:
            return 0
        _, floor, _ = self._row("marks", self.ns)
        forgotten = self._do("forget_of_jobs", self._limits.kept_per_job, as_json(jobs), floor).rowcount
        self._remove_endless(jobs)
        return forgotten

    def _remove_endless(self, jobs: Sequence[int]) -> None:
        """Remove those of the jobs that have neither a future nor a record left."""
        serials = as_json(jobs)
        for serial, job_id in self._do("jobs_without_end", serials).fetchall():
            self._do("remove_timer", serial)
            self._do("remove_job", serial)
            self._step.tell_removed(job_id)
        self._do("purge_jobs", serials)

    # Statements

    def _do(self, statement: str, *values: object) -> sqlite3.Cursor:
        return self.db.execute(SQL[statement], values)

    def _do_rows(self, statement: str, width: int, rows: Sequence[object], *values: object) -> list[sqlite3.Cursor]:
        """Run a statement that takes rows, given as one list: tuples that stay would call the garbage collector.

        The other values come after the rows.
        """
        cursors = []
        for start in range(0, len(rows), _MOST_ROWS * width):
            some = [*rows[start : start + _MOST_ROWS * width]]
            number = next(number for number in _ROW_COUNTS if number * width >= len(some))
            some += [None] * (number * width - len(some))
            some += values
            cursors.append(self.db.execute(_with_rows(statement, number), some))
        return cursors

    def _one(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self.db.execute(SQL[statement], values).fetchone()
        return row

    def _row(self, statement: str, *values: object) -> tuple[Any, ...]:
        """Return the answer of a statement that always has one."""
        row: tuple[Any, ...]
        [row] = self.db.execute(SQL[statement], values).fetchall()
        return row

    def _number(self, statement: str, *values: object) -> int:
        [number] = self._row(statement, *values)
        return int(number)


def _run(row: Sequence[Any], job: JobState) -> RunState:
    _, run_id, planned, due, payload, status = row[:6]
    run = RunState(run_id, job, planned, due, payload)
    run.status = STATUSES[status]
    (
        run.attempt, run.token, epoch, run.fence, run.node, run.started, run.claimed, run.rev, run.wake,
        run.next_attempt, queued, held, manual, cancel, run.replay_of, attempts, run.result, progress, log,
    ) = row[6:]  # fmt: skip
    run.epoch = epoch or 0
    run.queued, run.held, run.manual = bool(queued), bool(held), bool(manual)
    run.cancel = None if cancel is None else Reason(cancel)
    run.attempts = attempts_of(attempts)
    run.progress = progress_of(progress)
    run.log = log_of(log)
    return run


def _counters(job: JobState) -> tuple[object, ...]:
    gap = None if job.gap is None else job.gap.id
    return job.runs, job.failures, job.retries, job.planned_runs, job.last_run, job.last_status, gap


def _due(job: JobState) -> int | None:
    return None if job.planned is None else job.due


@cache
def _with_rows(statement: str, number: int) -> str:
    """Return the text of a statement that takes so many rows."""

    def values(columns: re.Match[str]) -> str:
        row = f"({', '.join('?' * int(columns[1]))})"
        return f"VALUES {', '.join([row] * number)}"

    return _ROWS.sub(values, SQL[statement])
