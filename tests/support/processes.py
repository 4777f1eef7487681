"""What a test wants to know of another process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

_POLL = 0.02
# A wait in vain is given up after this many seconds; one that is not costs what it takes, however busy the machine is.
_PATIENCE = 60.0

AT_ONCE = 20.0
"""Seconds. What ends at once has ended by then on the busiest machine; what waits for something has not, since jobs of
these tests take a minute and a drain half of one."""


async def appears(path: Path) -> str:
    """Wait until another process has written to this file; return what."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            if await asyncio.to_thread(path.exists) and (text := await asyncio.to_thread(path.read_text)):
                return text
            await asyncio.sleep(_POLL)


async def until(condition: Callable[[], Awaitable[bool]], patience: float = _PATIENCE) -> None:
    """Wait until what is asked again and again is so: what other processes do sets no event here."""
    async with asyncio.timeout(patience):
        while not await condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(_POLL)


async def says(path: Path, words: str, times: int = 1, patience: float = _PATIENCE) -> None:
    """Wait until another process has logged these words so many times."""
    async with asyncio.timeout(patience):
        while (await asyncio.to_thread(path.read_text)).count(words) < times:  # noqa: ASYNC110 - as above
            await asyncio.sleep(_POLL)


async def ends(pid: int) -> None:
    """Wait until there is no such process, or only what is left of it before its parent has asked."""
    async with asyncio.timeout(_PATIENCE):
        while await asyncio.to_thread(_runs, pid):  # noqa: ASYNC110 - the end of a foreign process sets no event
            await asyncio.sleep(_POLL)


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
