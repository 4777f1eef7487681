"""What an endpoint is: a line in the table from which requests are routed and the OpenAPI document is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from asched_web.auth import Action
from asched_web.http import Fault, Problem, Request, Response
from asched_web.schema import COMPONENTS, ID, Wire
from asched_web.validation import Schema, faults_of, parameter

if TYPE_CHECKING:
    from asched_web.site import Site

__all__ = ["Endpoint", "Listing", "checked_body", "checked_query", "path_text"]

Handler: TypeAlias = "Callable[[Site, Request], Awaitable[Response]]"
Lister: TypeAlias = "Callable[[Site, Request], Awaitable[Listing]]"


class Listing(NamedTuple):
    """An answer that is the same for everybody until something changes.

    ``as_of`` is added when it is encoded, and ``next_run_in`` to each row of ``upcoming``.
    """

    body: Wire
    upcoming: Sequence[tuple[Wire, datetime | None]] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path.

    Exactly one of ``handler`` and ``lister`` is given. ``action`` is what the caller must be allowed to do; ``None``
    is open to everybody. ``answer`` and ``body`` name schemas.
    """

    method: str
    path: str
    summary: str
    action: Action | None
    answer: str
    handler: Handler | None = None
    lister: Lister | None = None
    status: int = 200
    body: str | None = None
    query: Mapping[str, Schema] = field(default_factory=dict)
    errors: tuple[int, ...] = ()
    writes: bool = False
    """Changes something: guarded against other sites, and refused where the application is read-only."""


def checked_query(request: Request, known: Mapping[str, Schema]) -> dict[str, object]:
    """Return the query's parameters with their types.

    Raises:
        Problem: 422, with a fault for each that is unknown or wrong.
    """
    values: dict[str, object] = {}
    faults: list[Fault] = []
    for name, text in request.query.items():
        if name not in known:
            faults.append(Fault(f"?{name}", f"is unknown; known are {', '.join(known) or 'none'}"))
            continue
        try:
            values[name] = parameter(name, text, known[name])
        except ValueError as error:
            faults.append(Fault(f"?{name}", str(error)))
    if faults:
        raise _invalid("query", faults)
    return values


async def checked_body(request: Request, name: str | None) -> dict[str, object]:
    """Return the body's members; of an endpoint that takes none, ``{}``.

    Raises:
        Problem: 400, 413, 415 as :meth:`Request.json`; 422 with a fault for each member that is wrong.
    """
    value = await request.json()
    if name is None:
        if value in (None, {}):
            return {}
        raise _invalid("body", [Fault("", "this endpoint takes no body")])
    faults = list(faults_of(value, COMPONENTS[name]))
    if faults:
        raise _invalid("body", faults)
    assert isinstance(value, dict)
    return value


def path_text(request: Request, name: str) -> str:
    """Return a variable segment of the path.

    Raises:
        Problem: 404: no id looks like this.
    """
    text = request.params[name]
    for fault in faults_of(text, ID):
        raise Problem(404, f"{name} {fault.detail}")
    return text


def _invalid(what: str, faults: list[Fault]) -> Problem:
    first = faults[0]
    more = f" ({len(faults) - 1} more)" if len(faults) > 1 else ""
    return Problem(422, f"the {what} is not valid: {first.pointer or 'it'} {first.detail}{more}", faults=faults)
