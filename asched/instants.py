"""Instants as asched keeps them: whole microseconds since 1970-01-01 UTC, in an int.

Integers compare, add and store exactly; aware datetimes of one zone compare without their fold and add in
wall time. Datetimes therefore exist at the public surface only, and this module is where they are translated.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["DAY", "EPOCH", "HOUR", "MAX_INSTANT", "MINUTE", "SECOND", "from_datetime", "to_datetime"]

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# The last instant a datetime can show, less a day so that every zone can show it as well.
MAX_INSTANT = (datetime(9999, 12, 30, tzinfo=UTC) - EPOCH) // _MICROSECOND


def from_datetime(moment: datetime) -> int:
    """Return the instant of an aware datetime.

    Raises:
        ValueError: The datetime is naive: nobody knows which instant it is.
    """
    try:
        since = moment - EPOCH
    except TypeError:
        # tzinfo alone does not make a datetime aware; its utcoffset() decides (see the datetime docs).
        if moment.utcoffset() is not None:
            raise
        raise ValueError(f"{moment!r} has no time zone; give it one, for example tzinfo=datetime.UTC") from None
    # What `since // _MICROSECOND` is, for half: that one takes both apart into such sums and divides.
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


def to_datetime(instant: int) -> datetime:
    """Return the aware UTC datetime of an instant."""
    return EPOCH + timedelta(microseconds=instant)
