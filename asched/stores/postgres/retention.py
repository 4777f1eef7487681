"""Lets records, dead letters and jobs go that nothing keeps any more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from asched.instants import SECOND
from asched.rules.state import Step
from asched.stores.postgres.schedule import Connection, Schedule, Session

__all__ = ["Retention"]


class Retention(Session):
    """What of the history goes with a step; the step tells of it."""

    def __init__(self, schedule: Schedule, connection: Connection, step: Step) -> None:
        super().__init__(schedule, connection)
        self._step = step
        self._touched: set[int] = set()
        """Jobs that may have lost what keeps their records, or their last one."""

    def touch(self, serials: Iterable[int]) -> None:
        """Have :meth:`forget` look at these jobs."""
        self._touched.update(serials)

    async def bury(self, run_ids: Sequence[int] | None) -> int:
        """Take the mark of a dead letter from these runs, or from all; return how many had it."""
        if run_ids is None:
            run_ids = [row[0] for row in await self.fetch("all_letters", self.schedule.ns)]
        found = await self.fetch("bury", self.schedule.ns, run_ids)
        for run_id, serial in found:
            self._step.tell_run(run_id)
            self._touched.add(serial)
        return len(found)

    async def bury_with_step(self) -> None:
        """Bury the letters that the step says, and the oldest where there are too many."""
        limit = self.schedule.limits.dead_letters
        buried = list(self._step.buried)
        if self._step.failures and limit:
            buried += [row[0] for row in await self.fetch("letters_over", self.schedule.ns, limit)]
        if buried:
            await self.bury(buried)

    async def forget(self) -> None:
        """Drop what nothing keeps any more. It may have to wait for jobs beside those that are held."""
        if self._touched:
            [floor] = await self.row("floor", self.schedule.ns)
            await self._forget_of_jobs(sorted(self._touched), floor)

    async def _forget_of_jobs(self, serials: Sequence[int], floor: int) -> int:
        ns, limits = self.schedule.ns, self.schedule.limits
        forgotten = await self.fetch("forget_of_jobs", ns, serials, limits.kept_per_job, floor)
        held = await self.fetch("endless", serials)
        # The condition on records was looked at before the jobs were held; one may have got a record by then.
        kept = {row[0] for row in await self.fetch("jobs_with_records", [row[0] for row in held])} if held else set()
        endless = [row for row in held if row[0] not in kept]
        if endless:
            ended = [row[0] for row in endless]
            await self.fetch("delete_jobs", ended)
            await self.fetch("remove_timers", ended)
            for _, job_id in endless:
                self._step.tell_removed(job_id)
        await self.fetch("purge_jobs", serials)
        return len(forgotten)

    async def prune(self, limit: int) -> tuple[int, int]:
        """Look for records that nothing keeps any more; return how many jobs that was about, and how many went.

        The oldest records lose their place in the total history, and new ones push older ones out of the last of
        their job. Both only name jobs to look at; a look that finds everything kept is followed by another.
        """
        ns, limits = self.schedule.ns, self.schedule.limits
        marks = await self.fetch("marks", ns)
        if not marks:
            return 0, 0
        [(floor, mark, now)] = marks
        oldest = now - int(limits.retention * SECOND)
        excess = await self.fetch("newest_excess", ns, floor, limits.history)
        too_many = excess[0][0] if excess else 0
        jobs: set[int] = set()
        grown: list[int] = []
        for seq, job, ended, instants in await self.fetch("oldest_listed", ns, floor, limit):
            if seq <= too_many or ended < oldest:
                jobs.add(job)
                floor = seq
            elif instants > 1:
                # A gap that grew is younger than its place; it must not shield what stands behind it.
                grown.append(seq)
            else:
                break
        overtaken = [seq for seq in grown if seq < floor]
        if overtaken:
            await self.fetch("move_to_end", ns, overtaken)
        newer = await self.fetch("newer_than_mark", ns, mark, limit)
        if not jobs and not newer:
            return 0, 0
        await self.fetch("set_marks", ns, floor, newer[-1][0] if newer else mark)
        touched = sorted({*jobs, *(job for _, job in newer)})
        return len(touched), await self._forget_of_jobs(touched, floor)
