"""The address of a database: checked when a store is made, and shown without its secrets."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from asched.errors import InvalidArgument

__all__ = ["checked_dsn", "place_of"]

_OPTION_NAME = re.compile(r"[A-Za-z_][\w.]*")
_SCHEME = re.compile(r"(postgres(?:ql)?)(?:\+\w+)?://")


def checked_dsn(dsn: object, field: str) -> str:
    """Return an address that asyncpg can read, and whose parts can be told apart, so that no password is shown.

    SQLAlchemy's driver is taken out of the scheme: asyncpg is what is used anyway.
    """
    if not isinstance(dsn, str) or not _SCHEME.match(dsn):
        raise InvalidArgument(f"{field} must begin with postgresql://", field=field)
    plain = _SCHEME.sub(r"\1://", dsn)
    try:
        parts = urlsplit(plain)
        users, _, hosts = parts.netloc.rpartition("@")
        # The last colon of an IPv6 address in brackets is none of a port.
        ports = [host.rpartition(":")[2] for host in hosts.split(",") if ":" in host and not host.endswith("]")]
        options = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
        readable = (
            all(port.isdecimal() for port in ports)
            and "@" not in users + parts.path
            and "#" not in plain
            and all(_OPTION_NAME.fullmatch(name) for name in options)
        )
    except ValueError:
        readable = False
    if not readable:
        raise InvalidArgument(
            f"{field} is not an address: postgresql://user:password@host:5432/database is wanted; in a password write "
            "@ as %40, / as %2F, ? as %3F and # as %23",
            field=field,
        )
    unknown = [name for name in options if name in _OF_LIBPQ_ALONE]
    if unknown:
        raise InvalidArgument(
            f"remove {' and '.join(unknown)} from {field}: libpq has the option, asyncpg does not", field=field
        )
    return plain


# Options of the C library that providers put into the addresses they show, and that asyncpg would send to the server.
# Source: PostgreSQL 18, "libpq - Parameter Key Words"; asyncpg 0.30, connect_utils.
_OF_LIBPQ_ALONE = frozenset(
    {
        "channel_binding", "client_encoding", "connect_timeout", "fallback_application_name", "gssdelegation",
        "gssencmode", "hostaddr", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval",
        "load_balance_hosts", "max_protocol_version", "min_protocol_version", "oauth_client_id",
        "oauth_client_secret", "oauth_issuer", "oauth_scope", "options", "pgbouncer", "replication", "require_auth",
        "requirepeer", "requiressl", "sslcertmode", "sslcompression", "sslcrldir", "sslkeylogfile", "sslsni",
        "tcp_user_timeout",
    }
)  # fmt: skip


def place_of(dsn: str) -> str:
    """Return where the database is, without user, password and options."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2] or dict(parse_qsl(parts.query)).get("host", "localhost")
    return f"{host}{parts.path}"
