"""Who may do what, and which requests a browser was tricked into sending.

Authentication asks the application's own function, or compares bearer tokens. The guard needs no
identity: it refuses what a page of another origin can make a browser send, and names that DNS was made to point here.
"""

from __future__ import annotations

import hashlib
import hmac
import inspect
import ipaddress
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import lru_cache
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from asched.errors import InvalidArgument
from asched_web.http import Problem, Request, Scope

__all__ = ["Action", "Auth", "Authenticator", "Guard"]

Action: TypeAlias = Literal["view", "operate", "edit"]
"""``view`` reads, ``operate`` pauses, runs, cancels and retries, ``edit`` creates, changes and deletes."""

Authenticator: TypeAlias = Callable[[Scope, Action], object | Awaitable[object]]
"""Returns the identity, ``None`` if there is none (401), or raises :class:`~asched.Forbidden` (403)."""

Auth: TypeAlias = Authenticator | Mapping[str, Action]
"""An authenticator, or bearer tokens with what each may do; a token may do what the words before its own may."""

_RANK: dict[str, int] = {"view": 0, "operate": 1, "edit": 2}


def authenticator(auth: Auth) -> Authenticator:
    """Return the function that asks ``auth``.

    Raises:
        InvalidArgument: A token is empty or its action is none of the three.
    """
    if callable(auth):
        return auth
    return _Tokens(auth)


async def identify(ask: Authenticator, request: Request, action: Action) -> object:
    """Return the identity that may do ``action``.

    Raises:
        Problem: 401: there is none.
        Forbidden: There is one and it may not.
    """
    identity = ask(request.scope, action)
    if inspect.isawaitable(identity):
        identity = await identity
    if identity is None:
        raise Problem(
            401,
            "this needs authentication: send an Authorization header",
            headers=[(b"www-authenticate", b'Bearer realm="asched"')],
        )
    return identity


class _Tokens:
    """Bearer tokens. All are compared, as digests, so that the time taken tells nothing about any."""

    def __init__(self, tokens: Mapping[str, Action]) -> None:
        for token, action in tokens.items():
            if not token or action not in _RANK:
                raise InvalidArgument(
                    f"auth maps each token, not empty, to 'view', 'operate' or 'edit'; one is mapped to {action!r}",
                    field="auth",
                )
        self._rights = [(_digest(token.encode()), _RANK[action]) for token, action in tokens.items()]

    def __call__(self, scope: Scope, action: Action) -> object | None:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) != 1:
            return None
        scheme, _, token = given[0].partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        digest = _digest(token.strip())
        rank = -1
        for known, right in self._rights:
            if hmac.compare_digest(known, digest):
                rank = right
        if rank < 0:
            return None
        if rank < _RANK[action]:
            raise Problem(403, f"this token may not {action}")
        return digest.hex()[:12]


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


class Guard:
    """Refuses requests to a rebound name, and writes that a foreign page could have caused."""

    def __init__(self, allowed_hosts: Collection[str], cors_origins: Collection[str], *, check_host: bool) -> None:
        for origin in cors_origins:
            if urlsplit(origin).scheme not in ("http", "https") or not urlsplit(origin).netloc:
                raise InvalidArgument(
                    f"cors_origins holds {origin!r}; name origins in full, such as 'https://ops.example.com'",
                    field="cors_origins",
                )
        self._hosts = frozenset(host.lower() for host in allowed_hosts)
        self.origins = frozenset(origin.lower().rstrip("/") for origin in cors_origins)
        self._check_host = check_host
        self._trusts = lru_cache(maxsize=256)(self._is_trusted)

    def trusts(self, host: bytes) -> bool:
        """Tell whether a request may be addressed to this Host. With auth every request may."""
        return not self._check_host or self._trusts(host.decode("latin-1").lower())

    def check_host(self, request: Request) -> None:
        """Let a request pass that is addressed to a name that somebody vouched for.

        Raises:
            Problem: 421. Without auth a web page could point a name of its own at this server and read all there is.
        """
        host = request.headers.get(b"host", b"")
        if not self.trusts(host):
            raise Problem(
                421,
                f"the host name {host.decode('latin-1').lower()!r} is refused: without auth, any web page could point "
                "a name of its own at this server. Pass allowed_hosts=[...] or auth=... to create_app, or use an IP "
                "address or localhost",
            )

    def check(self, request: Request) -> None:
        """Let a write pass, or say why not.

        Raises:
            Problem: 403: another origin sent it.
        """
        host = request.headers.get(b"host", b"").decode("latin-1").lower()
        origin_header = request.headers.get(b"origin")
        origin = None if origin_header is None else origin_header.decode("latin-1").lower()
        if origin is not None and origin in self.origins:
            return
        site = request.headers.get(b"sec-fetch-site")
        if site is not None:
            if site.lower() not in (b"same-origin", b"none"):
                raise Problem(403, "a browser says that another site sent this (Sec-Fetch-Site); it is refused")
        elif origin is not None and not self._is_same(origin, host):
            raise Problem(
                403,
                f"the Origin {origin!r} is not this host; name it in cors_origins or its host in allowed_hosts",
            )

    def _is_trusted(self, host: str) -> bool:
        name = _name_of(host)
        # "testserver" is what the test clients of Starlette and FastAPI say; no name server knows it.
        if name in ("localhost", "testserver") or host in self._hosts or name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True

    def _is_same(self, origin: str, host: str) -> bool:
        parts = urlsplit(origin)
        # "null" has neither: a sandboxed frame or a local file, that is anybody.
        if parts.scheme not in ("http", "https") or not parts.netloc:
            return False
        # Behind a proxy that ends TLS the schemes differ, so they are not compared.
        default = ":443" if parts.scheme == "https" else ":80"
        netloc = parts.netloc.removesuffix(default)
        return netloc == host.removesuffix(default) or netloc in self._hosts or _name_of(netloc) in self._hosts


_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]@/?#\\,\s]+)(?::[0-9]{1,5})?")


def _name_of(host: str) -> str:
    """Return a Host value without its port; nothing of what is no host, such as two of them."""
    found = _HOST.fullmatch(host)
    return "" if found is None else found[1]
