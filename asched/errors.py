"""The errors that asched raises; every one is an :class:`AschedError`.

Where the standard library has a word for the same mistake, the class is that too, so ``except LookupError``
catches an unknown job. The fields are attributes; the message says what to do about it.
"""

from __future__ import annotations

__all__ = [
    "Abort",
    "AlreadyStarted",
    "AschedError",
    "Forbidden",
    "FunctionUnknown",
    "InvalidArgument",
    "InvalidTrigger",
    "JobBusy",
    "JobExists",
    "JobNotFound",
    "MissingExtra",
    "NotStarted",
    "RunNotFound",
    "SchemaTooNew",
    "StoreLocked",
    "StoreUnavailable",
    "TriggerNotStorable",
    "UnstableFunction",
    "VersionConflict",
    "WrongLoop",
]


class AschedError(Exception):
    """Base of all errors raised by asched and asched_web."""


class InvalidArgument(AschedError, ValueError):
    """A value is of the wrong type or out of range.

    Attributes:
        field: Name of the argument, with the path inside it (``kwargs.when[2]``).
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidTrigger(InvalidArgument):
    """A trigger was given arguments under which it could never work."""


class TriggerNotStorable(AschedError, TypeError):
    """A trigger class of the user's own has no stored form; only the memory store and decorators take it."""


class FunctionUnknown(AschedError, LookupError):
    """No function is registered under this name.

    Attributes:
        func: The name that was asked for, ``module:qualname``.
    """

    def __init__(self, func: str, message: str | None = None) -> None:
        super().__init__(
            message or f"Function not registered: call register_function first, no function is known as {func!r}"
        )
        self.func = func


class UnstableFunction(AschedError, ValueError):
    """The function has no name that a later process could find it by, and the store outlives this process."""


class JobNotFound(AschedError, LookupError):
    """No job has this id."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"no job has the id {job_id!r}; get_jobs() lists those that exist")
        self.job_id = job_id


class RunNotFound(AschedError, LookupError):
    """No run has this id, or its record has been pruned."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"no run has the id {run_id!r}: it never existed or its record has been pruned")
        self.run_id = run_id


class JobExists(AschedError):
    """A job with this id is there already."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"a job with the id {job_id!r} exists; choose another id, or say if_exists='replace' or 'keep'"
        )
        self.job_id = job_id


class JobBusy(AschedError):
    """The job has an active run and its overlap policy admits no other one beside it."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"job {job_id!r} is running and its overlap policy is 'skip'; wait for the run, cancel it, "
            "or make the job with overlap='queue' or 'allow'"
        )
        self.job_id = job_id


class VersionConflict(AschedError):
    """The job was changed by somebody else since the version the caller knew."""

    def __init__(self, job_id: str, expected: int, actual: int) -> None:
        super().__init__(f"job {job_id!r} is at version {actual}, not {expected}; read it again and repeat the change")
        self.job_id = job_id
        self.expected = expected
        self.actual = actual


class NotStarted(AschedError, RuntimeError):
    """The call needs a scheduler that runs."""


class AlreadyStarted(AschedError, RuntimeError):
    """The scheduler runs already, or the call must come before ``start()``."""


class WrongLoop(AschedError, RuntimeError):
    """The call came from another thread or event loop than the scheduler's own."""


class StoreUnavailable(AschedError, ConnectionError):
    """The store could not be reached; nothing was changed as far as this process knows."""


class StoreLocked(AschedError):
    """Another process owns the store.

    Attributes:
        owner: What is known of it, for example ``pid 4711 on host web-1``.
    """

    def __init__(self, message: str, *, owner: str | None = None) -> None:
        super().__init__(message)
        self.owner = owner


class SchemaTooNew(AschedError):
    """The store was written by a newer asched; this one would damage it."""


class MissingExtra(AschedError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class Forbidden(AschedError, PermissionError):
    """The identity is known and may not do this."""


class Abort(AschedError):
    """Raise it inside a job to fail the run at once, whatever retries it has left."""
