"""One owner for a file: a lock on a second file beside it, that the system takes back when the owner dies.

A POSIX record lock (``lockf``) and not ``flock``: it belongs to the process and not to the open file, so a child
that the owner forked does not hold it after the owner was killed. It is never taken on the database itself: closing
any descriptor of a file drops all such locks that the process has on it, and SQLite has its own there. It does not
exclude the process from itself, therefore a registry does.

The lock stays while the owner is stopped (SIGSTOP): nobody takes over from a process that can wake up again.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from asched.errors import StoreUnavailable

__all__ = ["OwnerLock"]

# Device and inode of each lock file that is held, with the process that holds it: a forked child inherits the table
# and not the locks.
_held: dict[tuple[int, int], int] = {}

_BUSY = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})

_lock: Callable[[int], None]
if sys.platform == "win32":
    import msvcrt

    # Far behind the text: Windows denies others the reading of a locked range.
    _OFFSET = 1 << 20

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _OFFSET, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class OwnerLock:
    """The lock of one file.

    Args:
        file: What is to have one owner; symbolic links are followed, so that all its names mean one lock.
    """

    def __init__(self, file: Path) -> None:
        self.path = Path(f"{os.path.realpath(file)}.lock")
        self._descriptor: int | None = None
        self._key: tuple[int, int] | None = None

    def acquire(self) -> bool:
        """Take the lock if nobody has it, and write down who has it now.

        Raises:
            StoreUnavailable: The lock file cannot be made, or the file system knows no locks.
        """
        if self._held_here():
            # Not even opened: closing it again would drop the lock that this process has.
            return False
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        except OSError as error:
            raise StoreUnavailable(
                f"cannot write the lock file {self.path}: {error.strerror}. The database needs a directory that this "
                "process may write to"
            ) from error
        try:
            _lock(descriptor)
            status = os.fstat(descriptor)
            # Somebody may have removed the file between our opening and our locking it; then ours guards nothing.
            if not os.path.exists(self.path) or os.stat(self.path).st_ino != status.st_ino:
                os.close(descriptor)
                return False
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"pid {os.getpid()} on host {socket.gethostname()}\n".encode(), 0)
        except OSError as error:
            os.close(descriptor)
            if error.errno in _BUSY:
                return False
            raise StoreUnavailable(
                f"cannot lock {self.path}: {error.strerror}. SQLite needs a local file system with working locks; "
                "network file systems often have none"
            ) from error
        self._descriptor = descriptor
        self._key = (status.st_dev, status.st_ino)
        _held[self._key] = os.getpid()
        return True

    def owner(self) -> str:
        """Return what the present owner has written down of itself, for example ``pid 4711 on host web-1``."""
        if self._held_here():
            return f"this process, pid {os.getpid()}"
        try:
            return self.path.read_text(encoding="utf-8").strip() or "another process"
        except OSError:
            return "another process"

    def release(self) -> None:
        """Give the lock back. The file stays: removing it could pull it from under the next owner."""
        if self._descriptor is not None:
            if self._key is not None:
                _held.pop(self._key, None)
            os.close(self._descriptor)
            self._descriptor = self._key = None

    def _held_here(self) -> bool:
        try:
            status = os.stat(self.path)
        except OSError:
            return False
        return _held.get((status.st_dev, status.st_ino)) == os.getpid()
