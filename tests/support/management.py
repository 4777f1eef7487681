"""Random management of a schedule, and what must hold of it some time after the last call.

A player makes jobs, changes, pauses, runs, cancels and deletes them, through one of the schedulers at random, while
their functions fail and succeed, at once and after long. What it does is drawn from a seed, so that it can be done
again. Then the functions succeed, and when a lease and a few seconds have passed:

* every run that has not ended executes, waits for an attempt that lies ahead, is held by a pause, or queues behind a
  run of which this is true;
* every instant that the trigger of a job has named, from when it was given the trigger until it was given another one,
  has exactly one record, of a run or of instants that passed.

The instants are worked out by :class:`simulation.calendars.Phase`, without asched.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from simulation.calendars import Phase

from asched import Interval, JobBusy, JobExists, JobNotFound, RunNotFound, Scheduler, current_run
from asched.clock import Clock
from asched.instants import SECOND, from_datetime, to_datetime
from asched.store import RunFilter, RunRecord, Timer
from asched.views import Job

__all__ = ["Player"]

_OVERLAPS = ("skip", "queue", "cancel_running", "allow")
_BACKOFFS = (0.7013, 5.0017, 60.0029)
_SLACK = SECOND + SECOND // 2
"""What is due may wait so long: a store that is polled is looked at once a second, and so is a job that was busy."""
_FAR = 10**12
_REFUSALS = (JobBusy, JobNotFound, JobExists, RunNotFound)


class _Stretch:
    """A time in which a job had one trigger."""

    def __init__(self, begin: int, anchor: int, step: int) -> None:
        self.begin, self.anchor, self.step = begin, anchor, step
        self.end: int | None = None

    def instants(self, until: int) -> list[int]:
        """Return what the trigger named from the beginning on, before ``until``."""
        last = until if self.end is None else min(until, self.end)
        return Phase(self.anchor, self.step).through(self.begin + 1, last - 1)


class Player:
    """Plays on schedulers that run and share one schedule."""

    def __init__(self, seed: int, schedulers: Sequence[Scheduler], clock: Clock) -> None:
        self.said: list[str] = [f"seed {seed}"]
        """What was done, for the message of a test that fails."""
        self._rng = random.Random(seed)
        self._fate = random.Random(seed + 1)
        self._schedulers = schedulers
        self._clock = clock
        self._calm = False
        self._calls = 0
        self._stretches: dict[str, list[_Stretch]] = {}
        self._paused_at: dict[str, int] = {}
        """When each job that is paused was."""
        self._functions = [f"app:work{number}" for number in range(3)]
        for scheduler in schedulers:
            for name in self._functions:
                scheduler.register_function(self._work(name), name=name)

    def _work(self, name: str) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            run = current_run()
            assert run is not None
            seconds = self._fate.choice((0.0, 0.0, 0.3107, 4.0211, 20.0307))
            fails = self._fate.random() < 0.4
            if self._calm:
                return
            await asyncio.sleep(seconds)
            if fails and not self._calm:
                raise RuntimeError("as the seed wants it")

        work.__module__, _, work.__qualname__ = name.partition(":")
        return work

    # The play

    async def play(self, calls: int) -> None:
        """Make so many calls, some seconds apart."""
        doings: list[Callable[[Scheduler], Awaitable[None]]] = [
            *[self._add] * 4, self._replace, *[self._edit] * 4, *[self._pause] * 3, *[self._resume] * 3,
            self._pause_group, self._resume_group, *[self._run_now] * 6, *[self._cancel_run] * 3, self._cancel_job,
            *[self._retry_letter] * 2, self._register, *[self._declare] * 3,
        ]  # fmt: skip
        for _ in range(calls):
            await self._wait(self._rng.choice((0, 0, 1, 2, 3, 6)))
            scheduler = self._rng.choice(self._schedulers)
            doing = self._rng.choice(doings)
            try:
                await doing(scheduler)
            except _REFUSALS as error:
                self.said[-1] += f" -> {type(error).__name__}"
            await self._take_note()

    async def come_to_rest(self, seconds: float) -> None:
        """Let the functions succeed from now on, and wait."""
        self._calm = True
        self._say("calm", 0)
        await asyncio.sleep(seconds)

    async def _wait(self, seconds: int) -> None:
        """Wait for an instant whose fraction of a second no other call has: nothing of a job comes due in it."""
        self._calls += 1
        now = self._clock.now()
        until = (now // SECOND + 1 + seconds) * SECOND + self._calls * 1_009 % SECOND
        await asyncio.sleep((until - now) / SECOND)

    def _say(self, doing: str, scheduler: Scheduler | int, *words: object) -> None:
        number = scheduler if isinstance(scheduler, int) else self._schedulers.index(scheduler)
        self.said.append(f"{to_datetime(self._clock.now()):%H:%M:%S.%f} {number} {doing} {' '.join(map(str, words))}")

    def _trigger(self) -> Interval:
        return Interval(seconds=self._rng.randint(2, 15), anchor=to_datetime(self._clock.now()))

    def _options(self) -> dict[str, Any]:
        rng = self._rng
        return {
            "overlap": rng.choice(_OVERLAPS),
            "max_retries": rng.choice((0, 1, 3)),
            "backoff": rng.choice(_BACKOFFS),
            "timeout": rng.choice((None, None, 7.0)),
            "group": rng.choice(("default", "other")),
        }

    def _job_id(self) -> str:
        return f"job-{self._rng.randrange(5)}"

    def _known_id(self) -> str:
        known = [job_id for job_id, stretches in self._stretches.items() if stretches[-1].end is None]
        return self._rng.choice(known) if known else "none"

    async def _add(self, scheduler: Scheduler) -> None:
        how = self._rng.choice(("raise", "raise", "replace", "keep"))
        await self._put(scheduler, self._job_id(), how, self._rng.choice(self._functions))

    async def _replace(self, scheduler: Scheduler) -> None:
        await self._put(scheduler, self._known_id(), "replace", self._rng.choice(self._functions))

    async def _put(self, scheduler: Scheduler, job_id: str, how: str, function: str) -> None:
        options = self._options()
        options["paused"] = self._rng.random() < 0.1
        trigger = self._trigger()
        self._say("add", scheduler, job_id, how, function, trigger, options)
        await scheduler.add_job(function, trigger, id=job_id, if_exists=how, **options)  # type: ignore[arg-type]

    async def _register(self, scheduler: Scheduler) -> None:
        """Add a job whose function only this scheduler has."""
        name = f"app:late{self._calls}"
        scheduler.register_function(self._work(name), name=name)
        await self._put(scheduler, self._job_id(), "replace", name)

    async def _edit(self, scheduler: Scheduler) -> None:
        options = self._options() | {
            "name": f"name{self._calls}",
            "tags": [f"tag{self._calls}"],
            "trigger": self._trigger(),
            "func": self._rng.choice(self._functions),
            "paused": self._rng.random() < 0.5,
        }
        fields = self._rng.sample(sorted(options), self._rng.choice((0, 1, 1, 2)))
        changes = {field: options[field] for field in fields}
        job_id = self._known_id()
        self._say("edit", scheduler, job_id, changes)
        await scheduler.update_job(job_id, **changes)

    async def _declare(self, scheduler: Scheduler) -> None:
        options, trigger = self._options(), self._trigger()
        job_id = f"declared-{self._rng.randrange(2)}"
        self._say("declare", scheduler, job_id, trigger, options)
        builder = scheduler.trigger(trigger).id(job_id).overlap(options["overlap"]).group(options["group"])
        builder.retries(options["max_retries"], backoff=options["backoff"])(self._work(f"app:{job_id}"))
        await scheduler.get_groups()

    async def _pause(self, scheduler: Scheduler) -> None:
        job_id = self._known_id()
        self._say("pause", scheduler, job_id)
        await scheduler.pause_job(job_id)

    async def _resume(self, scheduler: Scheduler) -> None:
        job_id = self._rng.choice(sorted(self._paused_at) or ["none"])
        self._say("resume", scheduler, job_id)
        await scheduler.resume_job(job_id)

    async def _pause_group(self, scheduler: Scheduler) -> None:
        self._say("pause group", scheduler)
        await scheduler.pause_group("other")

    async def _resume_group(self, scheduler: Scheduler) -> None:
        self._say("resume group", scheduler)
        await scheduler.resume_group("other")

    async def _run_now(self, scheduler: Scheduler) -> None:
        job_id = self._known_id()
        self._say("run", scheduler, job_id)
        run = await scheduler.run_job_now(job_id)
        self.said[-1] += f" -> {run.id}"

    async def _cancel_run(self, scheduler: Scheduler) -> None:
        open_runs = [record for record in await self._records() if not record.status.final]
        if open_runs:
            record = self._rng.choice(sorted(open_runs, key=lambda record: (record.due, record.job_id)))
            self._say("cancel run", scheduler, record.job_id, f"{record.id:x}", record.status)
            await scheduler.cancel_run(f"{record.id:x}")

    async def _cancel_job(self, scheduler: Scheduler) -> None:
        job_id, running = self._known_id(), self._rng.choice(("finish", "cancel"))
        self._say("cancel job", scheduler, job_id, running)
        await scheduler.cancel_job(job_id, running=running)  # type: ignore[arg-type]

    async def _retry_letter(self, scheduler: Scheduler) -> None:
        letters = await scheduler.get_dead_letters(limit=1_000)
        if letters:
            letter = self._rng.choice(letters)
            self._say("retry", scheduler, letter.job_id, letter.id)
            await scheduler.retry_dead_letter(letter.id)

    async def _take_note(self) -> None:
        """Write down which trigger each job has now, and which jobs are paused."""
        now = self._clock.now()
        jobs: dict[str, Job] = {job.id: job for job in await self._schedulers[0].get_jobs()}
        for job_id, stretches in self._stretches.items():
            if job_id not in jobs and stretches[-1].end is None:
                # What passed in a pause is written down when that ends, and the pause of a deleted job does not end.
                stretches[-1].end = self._paused_at.get(job_id, now)
        for job_id, job in jobs.items():
            trigger = job.trigger
            assert isinstance(trigger, Interval)
            stretches = self._stretches.setdefault(job_id, [])
            assert trigger.anchor is not None
            anchor = from_datetime(trigger.anchor)
            last = stretches[-1] if stretches else None
            if last is None or last.end is not None or (last.anchor, last.step) != (anchor, trigger.step_us):
                if last is not None and last.end is None:
                    last.end = now
                stretches.append(_Stretch(now, anchor, trigger.step_us))
        was, self._paused_at = self._paused_at, {}
        for job_id, job in jobs.items():
            if job.paused:
                self._paused_at[job_id] = was.get(job_id, now)

    # What must hold

    async def faults(self) -> list[str]:
        """Return what is not as it must be; empty when all is well."""
        records = await self._records()
        jobs = {job.id: job for job in await self._schedulers[0].get_jobs()}
        return [*await self._stuck(records, jobs), *await self._unaccounted(records, jobs)]

    async def _records(self) -> list[RunRecord]:
        found: list[RunRecord] = []
        cursor: str | None = None
        while True:
            page, cursor = await self._schedulers[0].store.list_runs(RunFilter(), 1_000, cursor)
            found += page
            if cursor is None:
                return found

    async def _stuck(self, records: Sequence[RunRecord], jobs: dict[str, Job]) -> list[str]:
        executing: set[int] = set()
        timers: dict[int, Timer] = {}
        for scheduler in self._schedulers:
            engine = scheduler._engine
            assert engine is not None
            executing |= {run.run_id for run in engine.running.values()}
            window = await scheduler.store.window(engine.epoch, self._clock.now() + _FAR, 100_000)
            timers |= {timer.id: timer for timer in window.timers}
        late = self._clock.now() - _SLACK
        open_runs = [record for record in records if not record.status.final]

        def goes_on(record: RunRecord) -> bool:
            if record.id in executing:
                return True
            if record.id in timers:
                return timers[record.id].due > late
            job = jobs.get(record.job_id)
            return job is not None and job.paused and not record.manual and record.status != "running"

        def queues(record: RunRecord) -> bool:
            return record.status == "pending" and any(
                other.job_id == record.job_id and other is not record and goes_on(other) for other in open_runs
            )

        stuck = [
            f"run {record.id:x} of {record.job_id} is stuck: {record}"
            for record in open_runs
            if not goes_on(record) and not queues(record)
        ]
        stuck += [
            f"{job.id} stands still: its next run was due at {job.next_run_at}"
            for job in jobs.values()
            if not job.paused and (job.next_run_at is None or from_datetime(job.next_run_at) <= late)
        ]
        return stuck

    async def _unaccounted(self, records: Sequence[RunRecord], jobs: dict[str, Job]) -> list[str]:
        faults: list[str] = []
        ids = list(jobs)
        upcoming = {
            job_id: record.planned
            for job_id, record in zip(ids, await self._schedulers[0].store.get_jobs(ids), strict=True)
            if record is not None
        }
        for job_id, stretches in self._stretches.items():
            until = upcoming.get(job_id) or self._clock.now()
            wanted = [instant for stretch in stretches for instant in stretch.instants(until)]
            found: Counter[int] = Counter()
            for record in records:
                if record.job_id != job_id or record.manual:
                    continue
                if record.status in ("skipped", "missed"):
                    covered = [instant for instant in wanted if record.planned <= instant <= record.last_due]
                    if len(covered) != record.instants:
                        faults.append(f"{job_id}: a record of {record.instants} instants stands over {covered}")
                    found.update(covered)
                else:
                    found[record.planned] += 1
            expected = Counter(wanted)
            faults += [f"{job_id}: nothing is known of {to_datetime(instant)}" for instant in expected - found]
            faults += [f"{job_id}: one record too many for {to_datetime(instant)}" for instant in found - expected]
        return faults
