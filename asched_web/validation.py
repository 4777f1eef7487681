"""Checks a JSON value against a JSON Schema, with a pointer for each thing that is wrong.

It knows the keywords that :mod:`asched_web.schema` uses and no others, so the schemas that the OpenAPI document shows
are the ones that requests are held to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias, cast

from asched.model import JSON
from asched_web.http import Fault

__all__ = ["Schema", "faults_of", "parameter"]

Schema: TypeAlias = Mapping[str, JSON]

_TYPES: Final[dict[str, tuple[Callable[[object], bool], str]]] = {
    "object": (lambda value: isinstance(value, dict), "an object"),
    "array": (lambda value: isinstance(value, list), "an array"),
    "string": (lambda value: isinstance(value, str), "a string"),
    "boolean": (lambda value: isinstance(value, bool), "true or false"),
    "integer": (lambda value: _is_number(value) and float(cast(float, value)).is_integer(), "a whole number"),
    "number": (lambda value: _is_number(value), "a number"),
    "null": (lambda value: value is None, "null"),
}


def faults_of(value: object, schema: Schema, pointer: str = "") -> Iterator[Fault]:
    """Yield what is wrong with the value, at most one fault for each place."""
    types = _types_of(schema)
    if types and not any(_TYPES[name][0](value) for name in types):
        yield Fault(pointer, f"must be {' or '.join(_TYPES[name][1] for name in types)}, not {_shown(value)}")
    elif "enum" in schema and value not in cast("Sequence[object]", schema["enum"]):
        names = ", ".join(map(_shown, cast("Sequence[object]", schema["enum"])))
        yield Fault(pointer, f"must be one of {names}, not {_shown(value)}")
    elif isinstance(value, str):
        yield from _string(value, schema, pointer)
    elif isinstance(value, dict):
        yield from _object(value, schema, pointer)
    elif isinstance(value, list):
        yield from _array(value, schema, pointer)
    elif _is_number(value):
        yield from _number(cast(float, value), schema, pointer)


def parameter(name: str, text: str, schema: Schema) -> JSON:
    """Return a query parameter's value as its schema wants it.

    Raises:
        ValueError: The text does not fit the schema; the message says why.
    """
    value: JSON = text
    if schema.get("type") == "integer":
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise ValueError(f"must be a whole number, not {_shown(text)}")
        value = int(text)
    for fault in faults_of(value, schema, f"?{name}"):
        raise ValueError(fault.detail)
    return value


def _types_of(schema: Schema) -> Sequence[str]:
    named = schema.get("type", ())
    return (named,) if isinstance(named, str) else cast("Sequence[str]", named)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _string(value: str, schema: Schema, pointer: str) -> Iterator[Fault]:
    shortest, longest = cast(int, schema.get("minLength", 0)), cast("int | None", schema.get("maxLength"))
    if len(value) < shortest or (longest is not None and len(value) > longest):
        yield Fault(pointer, f"must have {shortest} to {longest} characters, not {len(value)}")
        return
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and not re.search(pattern, value):
        yield Fault(pointer, f"must match {pattern}; {_shown(value)} does not")
    elif schema.get("format") == "date-time" and not _is_moment(value):
        yield Fault(
            pointer, f"must be a date and time with its offset, such as 2027-01-01T00:00:00+00:00, not {_shown(value)}"
        )


def _is_moment(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).utcoffset() is not None
    except ValueError:
        return False


def _number(value: float, schema: Schema, pointer: str) -> Iterator[Fault]:
    least, most = cast("float | None", schema.get("minimum")), cast("float | None", schema.get("maximum"))
    above = cast("float | None", schema.get("exclusiveMinimum"))
    if least is not None and value < least:
        yield Fault(pointer, f"must be at least {least}, not {_shown(value)}")
    elif above is not None and value <= above:
        yield Fault(pointer, f"must be more than {above}, not {_shown(value)}")
    elif most is not None and value > most:
        yield Fault(pointer, f"must be at most {most}, not {_shown(value)}")


def _array(value: list[object], schema: Schema, pointer: str) -> Iterator[Fault]:
    most = cast("int | None", schema.get("maxItems"))
    least = cast(int, schema.get("minItems", 0))
    if len(value) < least or (most is not None and len(value) > most):
        yield Fault(pointer, f"must have {least} to {most} items, not {len(value)}")
        return
    items = schema.get("items")
    if isinstance(items, Mapping):
        for index, item in enumerate(value):
            yield from faults_of(item, items, f"{pointer}/{index}")


def _object(value: dict[str, object], schema: Schema, pointer: str) -> Iterator[Fault]:
    known = cast("Mapping[str, Schema]", schema.get("properties", {}))
    for name in cast("Sequence[str]", schema.get("required", ())):
        if name not in value:
            yield Fault(f"{pointer}/{name}", "is missing")
    for name, member in value.items():
        inside = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
        if name in known:
            yield from faults_of(member, known[name], inside)
        elif schema.get("additionalProperties") is False:
            yield Fault(inside, f"is unknown; known are {', '.join(known)}")
