"""From a scope to a route: which part of the path is ours, and what its segments mean.

Servers and frameworks disagree about ``path``, ``root_path`` and ``raw_path`` of a mounted application: the prefix
may stand in ``path`` or be cut off, ``root_path`` may name a proxy's prefix that ``path`` never had, a slash may
have been appended. docs/guides/mounting.md has the table. So nothing is assumed: each tail of ``root_path`` is tried
as the mount point, the longest first, then none, and the first reading under which a route exists holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import unquote

from asched_web.http import Scope

__all__ = ["Match", "Routed", "Router", "segments_of"]


class Routed(Protocol):
    """What the router needs to know of a route."""

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str:
        """``/api/jobs/{job_id}``; a last segment ``{path...}`` takes all that is left."""
        ...


R = TypeVar("R", bound=Routed)


class Match(NamedTuple, Generic[R]):
    """The routes of one path, by method, and what its variable segments hold, decoded."""

    routes: Mapping[str, R]
    params: Mapping[str, str]


class _Pattern(Generic[R]):
    """One path of the table. ``names[i]`` is the parameter of segment i, or ``None`` if it is literal."""

    def __init__(self, path: str) -> None:
        self.parts = tuple(segments_of(path))
        self.names = tuple(part[1:-1] if part.startswith("{") else None for part in self.parts)
        self.routes: dict[str, R] = {}

    def match(self, segments: list[str]) -> dict[str, str] | None:
        if len(segments) != len(self.parts):
            return None
        params: dict[str, str] = {}
        for part, name, segment in zip(self.parts, self.names, segments, strict=True):
            if name is None:
                if part != segment:
                    return None
            else:
                params[name] = segment
        return params

    def match_joined(self, segments: list[str]) -> dict[str, str] | None:
        """Match segments in which a parameter's own slashes can no longer be told from the path's.

        At most one parameter may take several segments; it takes what the literals around it leave.
        """
        spare = len(segments) - len(self.parts)
        variable = next((i for i, name in enumerate(self.names) if name is not None), None)
        if spare <= 0 or variable is None:
            return self.match(segments)
        end = variable + spare + 1
        return self.match([*segments[:variable], "/".join(segments[variable:end]), *segments[end:]])


class Router(Generic[R]):
    """The table of routes, compiled by number of segments."""

    def __init__(self, routes: Iterable[R], *, base_path: str | None = None) -> None:
        """``base_path`` overrides what ``root_path`` says, for hosts that say it wrongly."""
        self._base_path = None if base_path is None else "/" + base_path.strip("/") if base_path.strip("/") else ""
        patterns: dict[str, _Pattern[R]] = {}
        for route in routes:
            patterns.setdefault(route.path, _Pattern(route.path)).routes[route.method] = route
        self._by_length: dict[int, list[_Pattern[R]]] = {}
        self._open_ended: list[_Pattern[R]] = []
        for pattern in patterns.values():
            if pattern.parts and pattern.parts[-1].endswith("...}"):
                self._open_ended.append(pattern)
            else:
                self._by_length.setdefault(len(pattern.parts), []).append(pattern)
        # Literal paths first: /api/preview before /api/{anything}.
        for same_length in self._by_length.values():
            same_length.sort(key=lambda pattern: sum(name is not None for name in pattern.names))
        self._all = [pattern for length in sorted(self._by_length, reverse=True) for pattern in self._by_length[length]]

    def resolve(self, scope: Scope) -> Match[R] | None:
        """Return the routes of the path and its parameters, or ``None`` if no reading of it is known."""
        path: str = scope["path"]
        if not path.startswith("/"):
            # "OPTIONS *" and absolute targets end here and match nothing.
            path = "/" + path
        raw = raw_segments(scope)
        for candidate in self._candidates(path, scope.get("root_path") or ""):
            found = self._find(candidate, raw)
            if found is not None:
                return found
        return None

    def _candidates(self, path: str, root_path: str) -> Iterator[str]:
        if self._base_path is not None:
            if path == self._base_path or path.startswith(self._base_path + "/"):
                yield path[len(self._base_path) :]
            return
        tail = root_path.rstrip("/")
        while tail:
            if path == tail or path.startswith(tail + "/"):
                yield path[len(tail) :]
            border = tail.find("/", 1)
            tail = tail[border:] if border > 0 else ""
        yield path

    def _find(self, candidate: str, raw: list[str] | None) -> Match[R] | None:
        # One slash at the end means nothing: Litestar appends it. But an id may end in one of its own (%2F), so the
        # candidate is first read as it stands.
        trimmed = candidate[:-1] if candidate.endswith("/") else candidate
        if raw is not None:
            for reading in dict.fromkeys((candidate, trimmed)):
                segments = _tail_that_reads(raw, reading)
                if segments is not None:
                    return self._match(segments)
            return self._match(trimmed.split("/")[1:])
        segments = trimmed.split("/")[1:]
        found = self._match(segments)
        if found is not None:
            return found
        for pattern in self._all:
            params = pattern.match_joined(segments)
            if params is not None:
                return Match(pattern.routes, params)
        return None

    def _match(self, segments: list[str]) -> Match[R] | None:
        for pattern in self._by_length.get(len(segments), ()):
            params = pattern.match(segments)
            if params is not None:
                return Match(pattern.routes, params)
        for pattern in self._open_ended:
            fixed = len(pattern.parts) - 1
            if len(segments) > fixed:
                params = pattern.match([*segments[:fixed], "/".join(segments[fixed:])])
                if params is not None:
                    return Match(pattern.routes, {"path": "/".join(segments[fixed:])})
        return None


def segments_of(path: str) -> list[str]:
    return path.strip("/").split("/") if path.strip("/") else []


def raw_segments(scope: Scope) -> list[str] | None:
    """Return the segments of the path as they came over the wire, still percent-encoded."""
    raw: bytes | None = scope.get("raw_path")
    if not raw:
        return None
    # Some test clients leave the query in it.
    return raw.partition(b"?")[0].decode("latin-1").split("/")[1:]


def _tail_that_reads(raw: list[str], candidate: str) -> list[str] | None:
    """Return the last raw segments, each decoded alone, that together read as the candidate.

    ``path`` is decoded as a whole, so ``a%2Fb`` and ``a/b`` look alike in it; ``raw_path`` tells them apart, but does
    not say where the mount point ends. A longer tail decodes to a longer text, so at most one fits.
    """
    if raw and raw[-1] == "":
        raw = raw[:-1]
    read = ""
    segments: list[str] = []
    if read == candidate:
        return segments
    for encoded in reversed(raw):
        segment = unquote(encoded)
        segments.append(segment)
        read = f"/{segment}{read}"
        if len(read) >= len(candidate):
            break
    return segments[::-1] if read == candidate else None
