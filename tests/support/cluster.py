"""A PostgreSQL server of a test's own, which may be stopped, and come back."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

# Where packages put what PATH does not name: Debian, Red Hat, Homebrew.
_ELSEWHERE = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
_PATIENCE = 60


def find_binaries() -> Path | None:
    """Return the directory of ``initdb`` and ``pg_ctl``, the newest version's; ``None`` where there is none."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    places = [place for pattern in _ELSEWHERE for place in Path("/").glob(pattern[1:]) if (place / "initdb").exists()]
    return max(places, key=lambda place: [int(n) for n in place.parent.name.split(".") if n.isdigit()], default=None)


class Cluster:
    """Makes the files of a server with ``fsync`` on and listens on a port of 127.0.0.1.

    Args:
        directory: An empty directory of its own; short, since the path of a socket may have 100 characters.
    """

    def __init__(self, binaries: Path, directory: Path) -> None:
        self._binaries = binaries
        self._directory = directory
        self._data = directory / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        # The server refuses to be run by root.
        self._user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    @property
    def address(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        if self._user:
            shutil.chown(self._directory, "postgres")
        self._run("initdb", "--auth", "trust", "--username", "postgres", "--no-sync", "--pgdata", str(self._data))
        settings = {
            "listen_addresses": "'127.0.0.1'",
            "port": self.port,
            "unix_socket_directories": f"'{self._directory}'",
            "fsync": "on",
            "shared_buffers": "'64MB'",
        }
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())

    def start(self) -> None:
        self._control("start", "--log", str(self._directory / "log"))

    def stop(self, mode: str = "fast") -> None:
        self._control("stop", "--mode", mode)

    def restart(self, mode: str = "immediate") -> None:
        """Stop and start; ``immediate`` is what a crash leaves behind."""
        self._control("restart", "--mode", mode, "--log", str(self._directory / "log"))

    @property
    def running(self) -> bool:
        return (self._data / "postmaster.pid").exists()

    def _control(self, word: str, *options: str) -> None:
        self._run("pg_ctl", word, "--wait", "--pgdata", str(self._data), *options)

    def _run(self, program: str, *words: str) -> None:
        # Output to a file: the server inherits it, and a pipe would stay open as long as the server runs.
        with (self._directory / "output").open("ab") as output:
            command = [*self._user, str(self._binaries / program), *words]
            done = subprocess.run(
                command, stdout=output, stderr=output, cwd=self._directory, timeout=_PATIENCE, check=False
            )
        if done.returncode:
            log = self._directory / "log"
            raise RuntimeError(
                f"{program} {words[0]} failed:\n{(self._directory / 'output').read_text()[-2000:]}\n"
                f"{log.read_text()[-2000:] if log.exists() else ''}"
            )
