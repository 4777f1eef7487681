"""asched: an asyncio-native job scheduler. These names are its public surface."""

from __future__ import annotations

from asched.errors import (
    Abort,
    AlreadyStarted,
    AschedError,
    Forbidden,
    FunctionUnknown,
    InvalidArgument,
    InvalidTrigger,
    JobBusy,
    JobExists,
    JobNotFound,
    MissingExtra,
    NotStarted,
    RunNotFound,
    SchemaTooNew,
    StoreLocked,
    StoreUnavailable,
    TriggerNotStorable,
    UnstableFunction,
    VersionConflict,
    WrongLoop,
)
from asched.events import Event
from asched.model import (
    Attempt,
    Backoff,
    CatchUp,
    ErrorInfo,
    Group,
    JobStatus,
    Node,
    OnCrash,
    Origin,
    Outcome,
    Overlap,
    Page,
    Policy,
    Progress,
    Reason,
    RunStatus,
    Statistics,
)
from asched.runner import CurrentRun, current_run
from asched.scheduler import Scheduler
from asched.stores import MemoryStore
from asched.triggers import Cron, Daily, Hourly, Interval, Once, Trigger, Weekly
from asched.version import VERSION as __version__
from asched.views import Job, Run

__all__ = [
    "Abort",
    "AlreadyStarted",
    "AschedError",
    "Attempt",
    "Backoff",
    "CatchUp",
    "Cron",
    "CurrentRun",
    "Daily",
    "ErrorInfo",
    "Event",
    "Forbidden",
    "FunctionUnknown",
    "Group",
    "Hourly",
    "Interval",
    "InvalidArgument",
    "InvalidTrigger",
    "Job",
    "JobBusy",
    "JobExists",
    "JobNotFound",
    "JobStatus",
    "MemoryStore",
    "MissingExtra",
    "Node",
    "NotStarted",
    "OnCrash",
    "Once",
    "Origin",
    "Outcome",
    "Overlap",
    "Page",
    "Policy",
    "PostgresStore",
    "Progress",
    "Reason",
    "Run",
    "RunNotFound",
    "RunStatus",
    "SQLiteStore",
    "Scheduler",
    "SchemaTooNew",
    "Statistics",
    "StoreLocked",
    "StoreUnavailable",
    "Trigger",
    "TriggerNotStorable",
    "UnstableFunction",
    "VersionConflict",
    "Weekly",
    "WrongLoop",
    "__version__",
    "current_run",
]


def __getattr__(name: str) -> object:
    # A store's driver is loaded when the store is named, so that importing asched stays light.
    if name == "SQLiteStore":
        from asched.stores.sqlite import SQLiteStore

        return SQLiteStore
    if name == "PostgresStore":
        from asched.stores.postgres import PostgresStore

        return PostgresStore
    raise AttributeError(f"module 'asched' has no attribute {name!r}")
