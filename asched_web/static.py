"""The dashboard's files: constants, read once, answered from memory.

A name is looked up in a dictionary and never joined to a path, so no request can leave the directory. The dashboard
works under any prefix because its URLs are relative; nothing here writes one into it.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
from pathlib import Path
from typing import Final, NamedTuple

from asched_web.http import Headers, Problem, Request, Response

__all__ = ["asset", "matches"]

_ROOT: Final = Path(__file__).parent / "static"

_TYPES: Final = {
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".mjs": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".json": b"application/json",
    ".svg": b"image/svg+xml",
    ".png": b"image/png",
    ".ico": b"image/x-icon",
    ".woff2": b"font/woff2",
    ".webmanifest": b"application/manifest+json",
    ".txt": b"text/plain; charset=utf-8",
    ".md": b"text/plain; charset=utf-8",
}
_COMPRESSED: Final = frozenset({".html", ".js", ".mjs", ".css", ".json", ".svg", ".txt", ".md", ".webmanifest"})
# Below this a header costs more than compression saves.
_WORTH_COMPRESSING: Final = 1_000

# Nothing but our own files, no inline code or style, no string becomes markup (Trusted Types), no frame around it.
_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    b"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    b"require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS: Final[Headers] = [
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    # Files carry no version in their names: the browser asks each time and is told 304.
    (b"cache-control", b"no-cache"),
    (b"vary", b"Accept-Encoding"),
]


class _Asset(NamedTuple):
    kind: bytes
    body: bytes
    etag: bytes
    small: bytes | None
    small_etag: bytes


@functools.cache
def _assets() -> dict[str, _Asset]:
    return {
        path.relative_to(_ROOT).as_posix(): _load(path)
        for path in sorted(_ROOT.rglob("*"))
        if path.is_file() and path.suffix in _TYPES
    }


def _load(path: Path) -> _Asset:
    body = path.read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:32]
    small = None
    if path.suffix in _COMPRESSED and len(body) >= _WORTH_COMPRESSING:
        small = gzip.compress(body, 9, mtime=0)
    return _Asset(_TYPES[path.suffix], body, f'"{digest}"'.encode(), small, f'"{digest}-gz"'.encode())


def asset(request: Request, name: str) -> Response:
    """Return a file of the dashboard.

    Raises:
        Problem: 404: there is no such file.
    """
    found = _assets().get(name)
    if found is None:
        raise Problem(404, "there is no such file", error="Not found")
    body, etag, headers = found.body, found.etag, [*_HEADERS]
    if found.small is not None and _takes_gzip(request.headers.get(b"accept-encoding", b"")):
        body, etag = found.small, found.small_etag
        headers.append((b"content-encoding", b"gzip"))
    headers.append((b"etag", etag))
    if matches(request.headers.get(b"if-none-match"), etag):
        return Response(304, b"", headers)
    headers.append((b"content-type", found.kind))
    return Response(200, body, headers)


def _takes_gzip(accepted: bytes) -> bool:
    for item in accepted.split(b","):
        coding, _, parameters = item.partition(b";")
        if coding.strip().lower() in (b"gzip", b"*"):
            weight = parameters.replace(b" ", b"").removeprefix(b"q=")
            return weight.strip(b"0.") != b"" or not parameters
    return False


def matches(condition: bytes | None, etag: bytes) -> bool:
    """Tell whether an ``If-None-Match`` value names the tag, by the weak comparison of RFC 9110."""
    if condition is None:
        return False
    if condition == etag or condition.strip() == b"*":
        return True
    plain = etag.removeprefix(b"W/")
    return any(tag.strip().removeprefix(b"W/") == plain for tag in condition.split(b","))
