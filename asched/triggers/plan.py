"""From wall readings to instants: the rules for clock changes, in one place for all wall-clock triggers.

Fixed times come at the first instant at which the wall clock reads the time or later. On a normal day that is
the time itself; in a fold it is the first pass, once; in a gap it is the instant the gap ends, and several
times in one gap are one instant. Source: Debian's cron(8), there limited to changes of less than three hours,
here not.

Times that follow real time (a star in the second, minute or hour; hourly) come at every instant whose wall
reading matches: in both passes of a fold, never in a gap.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, TypeAlias

from asched.instants import MAX_INSTANT
from asched.triggers.pattern import Pattern
from asched.triggers.timeline import MIN_INSTANT, Segment, Timeline, timeline

__all__ = ["Note", "Plan", "plan"]

Note: TypeAlias = Literal["gap", "fold"]


class Plan:
    """A pattern of wall readings in a zone. Immutable, shared by all triggers that say the same.

    Why this is right: let R(t) be the latest reading seen up to the instant t. A fixed reading w is due at
    the first instant t with R(t) >= w, so it is due after t exactly if w > R(t). The next instant therefore
    belongs to the first reading of the pattern above R(after), whatever gaps and folds lie between, and
    readings in (R(a), R(b)] are those due in (a, b]. Proof: tests/unit/triggers/test_against_oracle.py.
    """

    __slots__ = ("_follows_real_time", "_pattern", "_timeline")

    def __init__(self, pattern: Pattern, line: Timeline, follows_real_time: bool) -> None:
        self._pattern = pattern
        self._timeline = line
        self._follows_real_time = follows_real_time

    def next(self, after: int) -> int | None:
        """Return the first instant later than ``after``."""
        if after < MIN_INSTANT:
            after = MIN_INSTANT
        start, end, offset, peak = self._timeline.at(after)
        reading = after + offset
        if self._follows_real_time:
            wanted = self._pattern.after(reading)
            while wanted is not None and wanted - offset >= end:
                start, end, offset, peak = self._timeline.at(end)
                if start > MAX_INSTANT:
                    return None
                wanted = self._pattern.after(start + offset - 1)
            return None if wanted is None or wanted - offset > MAX_INSTANT else wanted - offset
        wanted = self._pattern.after(reading if reading >= peak else peak - 1)
        if wanted is None:
            return None
        instant = wanted - offset
        if instant >= end:
            instant = self._timeline.first_at(wanted)
        return instant if instant <= MAX_INSTANT else None

    def latest(self, after: int, until: int) -> int | None:
        """Return the last instant later than ``after`` and not later than ``until``."""
        after, until = max(after, MIN_INSTANT), min(until, MAX_INSTANT)
        if until <= after:
            return None
        if not self._follows_real_time:
            wanted = self._pattern.until(self._timeline.read_until(until))
            if wanted is None or wanted <= self._timeline.read_until(after):
                return None
            return self._timeline.first_at(wanted)
        segment = self._timeline.at(until)
        while True:
            low = max(segment.start - 1, after)
            wanted = self._pattern.until(until + segment.offset)
            if wanted is not None and wanted - segment.offset > low:
                return wanted - segment.offset
            if low == after:
                return None
            until = segment.start - 1
            segment = self._timeline.at(until)

    def count(self, after: int, until: int) -> int:
        """Return how many instants are later than ``after`` and not later than ``until``."""
        after, until = max(after, MIN_INSTANT), min(until, MAX_INSTANT)
        if until <= after:
            return 0
        count, pattern = 0, self._pattern
        if not self._follows_real_time:
            count = pattern.count(self._timeline.read_until(after), self._timeline.read_until(until))
        for segment in self._between(after, until):
            if self._follows_real_time:
                low, high = max(after, segment.start - 1), min(until, segment.end - 1)
                count += pattern.count(low + segment.offset, high + segment.offset)
            elif segment.start > after:
                # All readings from the peak to the gap's end, that one included, are one instant.
                count -= max(0, pattern.count(segment.peak - 1, segment.start + segment.offset) - 1)
        return count

    def note(self, instant: int) -> Note | None:
        """Tell what the clock change nearby did to this instant of the plan, if anything."""
        start, _, offset, peak = self._timeline.at(instant)
        if len(self._timeline.instants_of(instant + offset)) > 1:
            return "fold"
        skipped = not self._follows_real_time and self._pattern.count(peak - 1, start + offset - 1)
        if instant == start and skipped:
            return "gap"
        return None

    def _between(self, after: int, until: int) -> list[Segment]:
        segments = [self._timeline.at(after)]
        while segments[-1].end <= until:
            segments.append(self._timeline.at(segments[-1].end))
        return segments


@lru_cache(maxsize=4096)
def plan(pattern: Pattern, timezone: str | None, follows_real_time: bool) -> Plan:
    """Return the plan of a pattern (compared by identity) in a zone; ``None`` stands for UTC.

    Raises:
        InvalidTrigger: There is no such zone.
    """
    return Plan(pattern, timeline(timezone), follows_real_time)
