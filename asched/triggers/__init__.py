"""When jobs are due: pure, immutable rules from one instant to the next."""

from __future__ import annotations

from asched.triggers.base import JSON, BuiltIn, Lang, Trigger
from asched.triggers.calendar import Daily, Hourly, Weekly
from asched.triggers.cron import Cron
from asched.triggers.interval import Interval
from asched.triggers.occurrences import (
    Preview,
    count_between,
    is_storable,
    latest_between,
    next_instant,
    preview,
)
from asched.triggers.once import Once
from asched.triggers.stored import from_json

__all__ = [
    "JSON",
    "BuiltIn",
    "Cron",
    "Daily",
    "Hourly",
    "Interval",
    "Lang",
    "Once",
    "Preview",
    "Trigger",
    "Weekly",
    "count_between",
    "from_json",
    "is_storable",
    "latest_between",
    "next_instant",
    "preview",
]
