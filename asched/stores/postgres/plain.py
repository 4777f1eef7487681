"""Plain starts and plain successes, a statement for each batch; what is not plain is left to the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from asched.model import Overlap
from asched.rules.plain import EARLY
from asched.store import Claimed, ClaimedRow, ClaimRow, FinishRow, Grant, Timer
from asched.stores.postgres.schedule import Session, columns_of, run_changes

__all__ = ["PlainPaths"]

# An enum's member is looked up through its class and a descriptor; a global is not.
_STARTED = Grant.STARTED


class PlainPaths(Session):
    """Answers a plain batch without loading any state (:mod:`asched.rules.plain` says what plain means)."""

    async def claim(self, epoch: int, claims: Sequence[ClaimRow]) -> dict[int, ClaimedRow] | None:
        """Start what only needs to be started; ``None``: the node's lease has run out.

        Returns:
            The answers by token. Claims without an answer need the rules.
        """
        rows = [
            (
                timer.id, timer.rev, token, planned, due, next_planned if next_due is not None else None,
                next_due if next_planned is not None else None, timer.spec.policy.overlap is Overlap.ALLOW,
                timer.spec.payload,
            )
            for timer, token, _, planned, due, next_planned, next_due, _, _ in claims
        ]  # fmt: skip
        started = await self.fetch("claim", epoch, self.schedule.ns, *columns_of(rows), EARLY)
        now = started[0][2]
        if now is None:
            return None
        fences = {token: fence for token, fence, _ in started}
        answers: dict[int, ClaimedRow] = {}
        missed: list[ClaimRow] = []
        for claim in claims:
            timer, token, _, _, _, next_planned, next_due, _, _ = claim
            fence = fences.get(token)
            if fence is None:
                missed.append(claim)
                continue
            following = None
            if next_planned is not None and next_due is not None:
                following = Timer(timer.id, timer.rev + 1, next_due, next_planned, timer.spec)
            answers[token] = _STARTED, token, token, fence, following, (), 0
        await self.tell_followers(run_changes(answers))
        if missed:
            answers.update(await self._look_closer(missed, now))
        return answers

    async def _look_closer(self, missed: Sequence[ClaimRow], now: int) -> dict[int, ClaimedRow]:
        """Answer claims that another node was faster with, without waiting for that node."""
        serials = [claim[0].id for claim in missed]
        rows = await self.fetch("timer_places", serials, [claim[1] for claim in missed])
        places = {row[0]: row for row in rows if row[0] is not None}
        specs = await self.specs({serial: row[2] for serial, row in places.items()})
        answers: dict[int, ClaimedRow] = {}
        for timer, token, *_ in missed:
            place, spec = places.get(timer.id), specs.get(timer.id)
            # Without a spec: an edit came between the two statements.
            if place is None or spec is None:
                continue
            _, rev, _, planned, due, paused, gone, known = place
            following = None
            if due is not None and not paused and not gone:
                following = Timer(timer.id, rev, due, planned, spec)
            if known:
                continue
            if following is None or rev != timer.rev:
                answers[token] = Claimed(Grant.STALE, token, next=following)
            elif due > now + EARLY:
                answers[token] = Claimed(Grant.EARLY, token)
        return answers

    async def finish(self, epoch: int, ends: Mapping[int, FinishRow]) -> tuple[set[int], list[int]]:
        """Record successes, by their tokens.

        Returns:
            The tokens that were accepted, and the jobs that the rules must look at: a run is queued, or the job is
            deleted.
        """
        rows = [(token, started, ended, result) for token, _, _, started, ended, _, _, result, *_ in ends.values()]
        tokens, *columns = columns_of(rows)
        accepted: set[int] = set()
        later: list[int] = []
        for token, job in await self.fetch("finish", tokens, epoch, self.schedule.ns, *columns):
            if job is None:
                accepted.add(token)
            else:
                later.append(job)
        return accepted, later
