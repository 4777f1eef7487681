"""What the wall clock of a zone reads at each instant, as integers.

An aware datetime adds in wall time and compares without its fold, so nothing here keeps one: a zone is a row
of segments, each with one offset from UTC, and reading the clock is one addition. Wall readings are
microseconds since 1970-01-01 00:00 of the wall clock; instants are microseconds UTC.
"""

from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache
from typing import NamedTuple

from asched.instants import DAY, EPOCH, MAX_INSTANT, SECOND
from asched.triggers.zones import zone

__all__ = ["EPOCH_NAIVE", "MIN_INSTANT", "Segment", "Timeline", "timeline"]

EPOCH_NAIVE = EPOCH.replace(tzinfo=None)
"""Where wall readings are counted from."""

# The first instant that every zone can show.
MIN_INSTANT = (datetime(1, 1, 3, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)

_FAR_PAST, _FAR_FUTURE = -(1 << 62), 1 << 62

_UNIX_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()

# Two equal offsets this far apart have no other one between them: the shortest stay at an offset in the
# database is four days (Freetown, 1 to 5 September 1939).
_PROBE = 2 * DAY

# How far before a year its first segment must look for a clock that was set back. The largest step in the
# database is a whole day (Kwajalein 1969), and it is over a day later.
_LOOK_BACK = 4 * DAY


class Segment(NamedTuple):
    """A stretch of time with one offset. ``end`` is exclusive.

    ``peak`` is the reading that the wall clock had come up to before the segment: readings below it have been
    seen already (the clock was set back, a fold) if ``peak > start + offset``; readings from it to ``start +
    offset`` never come (a gap) if it is less.
    """

    start: int
    end: int
    offset: int
    peak: int


class Timeline:
    """The segments of one zone, worked out a year at a time when they are first needed (about 0.3 ms) and kept.

    A year boundary ends a segment too: it is a change of offset by nothing, which needs no special case.
    """

    __slots__ = ("_recent", "_years", "_zone")

    def __init__(self, tz: tzinfo) -> None:
        self._zone = tz
        self._years: dict[int, tuple[Segment, ...]] = {}
        # Nearly all questions are about today; one tuple, replaced as a whole, is safe between threads.
        self._recent = (
            Segment(_FAR_PAST, _FAR_FUTURE, 0, _FAR_PAST)
            if tz is UTC
            else Segment(_FAR_FUTURE, _FAR_FUTURE, 0, _FAR_FUTURE)
        )

    def at(self, instant: int) -> Segment:
        """Return the segment that holds this instant."""
        recent = self._recent
        if recent[0] <= instant < recent[1]:
            return recent
        if instant < MIN_INSTANT:
            year = 1
        elif instant > MAX_INSTANT:
            year = 9999
        else:
            year = date.fromordinal(instant // DAY + _UNIX_EPOCH_ORDINAL).year
        segments = self._years.get(year)
        if segments is None:
            segments = self._years[year] = self._year(year)
        for segment in segments:
            if instant < segment.end:
                break
        self._recent = segment
        return segment

    def read_until(self, instant: int) -> int:
        """Return the latest wall reading seen up to and at this instant."""
        _, _, offset, peak = self.at(instant)
        reading = instant + offset
        return reading if reading >= peak else peak - 1

    def first_at(self, reading: int) -> int:
        """Return the first instant at which the wall clock reads this or later.

        In a gap that is the instant the gap ends; in a fold, the first pass.
        """
        # No offset reaches 24 hours, so the clock cannot have read it a day earlier.
        segment = self.at(reading - DAY)
        while segment.end + segment.offset <= reading:
            segment = self.at(segment.end)
        return max(segment.start, reading - segment.offset)

    def instants_of(self, reading: int) -> list[int]:
        """Return all instants at which the wall clock reads this: none in a gap, two in a fold."""
        found = []
        segment = self.at(reading - DAY)
        while segment.start < reading + DAY:
            instant = reading - segment.offset
            if segment.start <= instant < segment.end:
                found.append(instant)
            if segment.end >= _FAR_FUTURE:
                break
            segment = self.at(segment.end)
        return found

    def _offset(self, instant: int) -> int:
        utc = (EPOCH + timedelta(microseconds=instant)).replace(tzinfo=self._zone)
        offset = self._zone.fromutc(utc).utcoffset()
        assert offset is not None, "a zone of the database always has an offset"
        return offset // timedelta(microseconds=1)

    def _year(self, year: int) -> tuple[Segment, ...]:
        first = (date(year, 1, 1).toordinal() - _UNIX_EPOCH_ORDINAL) * DAY
        last = MAX_INSTANT if year == 9999 else (date(year + 1, 1, 1).toordinal() - _UNIX_EPOCH_ORDINAL) * DAY
        start = max(first - _LOOK_BACK, MIN_INSTANT)
        offset = self._offset(start)
        peak = start + offset
        segments = []
        probe = start
        while probe < last:
            upper = min(probe + _PROBE, last)
            reached = self._offset(upper)
            while offset != reached:
                change = self._change(probe, upper, offset)
                segments.append(Segment(start, change, offset, peak))
                peak = max(peak, change + offset)
                start, offset = change, self._offset(change)
                probe = change
            probe = upper
        segments.append(Segment(start, last, offset, peak))
        kept = [s for s in segments if s.end > first]
        head = kept[0]
        if head.start < first:
            kept[0] = head._replace(start=first, peak=max(head.peak, first + head.offset))
        if year == 1:
            kept[0] = kept[0]._replace(start=_FAR_PAST)
        if year == 9999:
            kept[-1] = kept[-1]._replace(end=_FAR_FUTURE)
        return tuple(kept)

    def _change(self, low: int, high: int, offset: int) -> int:
        """Return the first instant after ``low`` with another offset; transitions are at whole seconds."""
        low, high = low // SECOND, high // SECOND
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(middle * SECOND) == offset:
                low = middle
            else:
                high = middle
        return high * SECOND


@cache
def _of_zone(tz: tzinfo) -> Timeline:
    return Timeline(tz)


def timeline(name: str | None) -> Timeline:
    """Return the time line of a zone, one per zone and process; ``None`` stands for UTC.

    Raises:
        InvalidTrigger: There is no such zone.
    """
    return _of_zone(UTC if name is None else zone(name))
