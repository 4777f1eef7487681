"""Time zones by name. Every name that is no zone ends here, in one error that says which name was meant.

The operating system's database is used where there is one, else the ``tzdata`` package. The host's own zone
(the TZ variable, /etc/localtime) has no say: there is no hidden local time.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache

from asched.errors import InvalidTrigger

__all__ = ["canonical", "zone"]

# zoneinfo would read these files, yet each stands for what the host is set to or counts leap seconds.
_NOT_ZONES = ("localtime", "posixrules", "posix/", "right/")

_OFFSET_NAME = r"(?i)(?:(UTC|GMT)\s*)?([+-])(\d{1,2})(?::?(\d{2}))?"

_LONGEST_NAME = 100


def zone(name: str) -> dt.tzinfo:
    """Return the time zone of this IANA name, in any case; the same object for the same zone.

    The first call with a name reads a file; further ones are a dictionary look-up.

    Raises:
        InvalidTrigger: There is no such zone. The message suggests one where it can.
    """
    return _load(_text(name))[1]


def canonical(name: str) -> str:
    """Return the name as the database spells it: ``asia/tokyo`` is ``Asia/Tokyo``.

    Raises:
        InvalidTrigger: There is no such zone.
    """
    return _load(_text(name))[0]


def _text(name: object) -> str:
    if not isinstance(name, str):
        raise InvalidTrigger(
            f"timezone must be the name of a zone such as 'Europe/Paris', not {name!r}", field="timezone"
        )
    return name


@lru_cache(maxsize=1024)
def _load(name: str) -> tuple[str, dt.tzinfo]:
    if name == "UTC":
        return name, dt.UTC
    if len(name) <= _LONGEST_NAME and not name.lower().startswith(_NOT_ZONES):
        spelled = name if _spelling_is_exact(name) else _names().get(name.lower())
        if spelled == "UTC":
            return _load(spelled)
        if spelled is not None:
            from zoneinfo import ZoneInfo

            return spelled, ZoneInfo(spelled)
    raise InvalidTrigger(_refusal(name), field="timezone")


def _spelling_is_exact(name: str) -> bool:
    from zoneinfo import ZoneInfo

    # A disk that ignores case would open any spelling, and names that differ would then be one zone.
    if name == name.lower() or name == name.upper():
        return name in _names().values()
    # A directory is an OSError, a path outside the database or a file of another kind a ValueError, an
    # unknown name a KeyError (ZoneInfoNotFoundError).
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """Return the names of all zones by their lower-case form. Opens each file of the database once."""
    from zoneinfo import available_timezones

    return {n.lower(): n for n in sorted(available_timezones()) if not n.lower().startswith(_NOT_ZONES)}


def _refusal(name: str) -> str:
    shown = repr(name[:_LONGEST_NAME])
    if not name.strip():
        return f"timezone is empty ({shown}); name a zone such as 'Europe/Paris', or 'UTC'"
    if name.lower() in ("local", "localtime"):
        return (
            f"timezone {shown}: asched has no local time, since it would change with the machine; "
            "name the zone, for example 'Europe/Paris'"
        )
    if name in ("Z", "z"):
        return f"timezone {shown}: write 'UTC'"
    offset = re.fullmatch(_OFFSET_NAME, name.strip())
    if offset is not None:
        return _offset_refusal(shown, offset)
    near = _suggestions(name)
    if near:
        return f"there is no time zone {shown}; did you mean {' or '.join(map(repr, near))}?"
    return f"there is no time zone {shown}; use an IANA name such as 'Europe/Paris', or 'UTC'"


def _offset_refusal(shown: str, offset: re.Match[str]) -> str:
    sign, hours, minutes = offset[2], int(offset[3]), offset[4] or "00"
    advice = "name a place, which knows its daylight saving time, for example 'Europe/Paris'"
    reversed_name = f"Etc/GMT{'-' if sign == '+' else '+'}{hours}"
    if minutes != "00" or not hours or reversed_name.lower() not in _names():
        return f"timezone {shown} is an offset, not a zone; {advice}"
    return (
        f"timezone {shown} is an offset, not a zone; {advice}, or write {reversed_name!r}: the sign in "
        f"Etc names is reversed, so that one is UTC{sign}{hours}"
    )


def _suggestions(name: str) -> list[str]:
    from difflib import get_close_matches

    names = _names()
    wanted = name.strip().lower().replace(" ", "_")
    if wanted in names:
        return [names[wanted]]
    # 'Tokyo' and 'new york' are nearer to the last part of a name than to the whole of it.
    cities = {key.rpartition("/")[2]: spelled for key, spelled in names.items() if "/" in key}
    if wanted in cities:
        return [cities[wanted]]
    children = [spelled for key, spelled in names.items() if key.startswith(wanted + "/")]
    if children:
        return children[:2]
    return [names[key] for key in get_close_matches(wanted, names, n=2, cutoff=0.75)] or [
        cities[key] for key in get_close_matches(wanted, cities, n=2, cutoff=0.75)
    ]
