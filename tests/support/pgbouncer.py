"""A pgbouncer of the test's own, in front of the tests' PostgreSQL: server connections change hands at each commit."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from support.postgres import DSN, Require

# The package installs it where only root's PATH looks.
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])


def require_pgbouncer(require: Require) -> None:
    require("pgbouncer", shutil.which("pgbouncer", path=_PATH) is not None, "no pgbouncer is installed")


class PgBouncer:
    """Pools in transaction mode, and has fewer connections to the server than it is given clients."""

    def __init__(self, *, size: int = 3, users: str | None = None) -> None:
        """Start it. With ``users``, lines of ``"name" "password"``, it asks for passwords."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        # pgbouncer gives up root's rights, and must still read what is in here.
        self._folder = Path(tempfile.mkdtemp(prefix="asched-pgbouncer-"))
        self._folder.chmod(0o755)
        server = urlsplit(DSN)
        auth = "any"
        if users is not None:
            (self._folder / "users.txt").write_text(users)
            auth = f"plain\nauth_file = {self._folder}/users.txt"
        # With `any` all clients are the server's one user.
        one = f" user={server.username or 'postgres'}"
        (self._folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={server.hostname} port={server.port or 5432}{one}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self._port}\nunix_socket_dir =\n"
            f"pool_mode = transaction\ndefault_pool_size = {size}\nmax_client_conn = 100\nauth_type = {auth}\n"
        )
        self._log: IO[bytes] = (self._folder / "log").open("wb")
        self._process: subprocess.Popen[bytes]
        self._start()

    def url(self, schema: str, user: str | None = None, **options: object) -> str:
        """Return the URL of a store behind it."""
        parts = urlsplit(DSN)
        address = f"postgresql://{user or parts.username or 'postgres'}@127.0.0.1:{self._port}{parts.path}"
        return "&".join([f"{address}?schema={schema}", *(f"{name}={value}" for name, value in options.items())])

    def restart(self) -> None:
        """Cut all connections off, and take new ones."""
        self._end()
        self._start()

    def close(self) -> None:
        self._end()
        self._log.close()
        shutil.rmtree(self._folder)

    def _start(self) -> None:
        command = [shutil.which("pgbouncer", path=_PATH) or "pgbouncer"]
        if os.geteuid() == 0:
            command += ["-u", "nobody"]
        self._process = subprocess.Popen(
            [*command, str(self._folder / "pgbouncer.ini")], stdout=self._log, stderr=self._log
        )
        waiting_until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                assert time.monotonic() < waiting_until, (self._folder / "log").read_text()
                time.sleep(0.02)
            else:
                return

    def _end(self) -> None:
        # SIGTERM cuts clients off at once, SIGINT would wait for them.
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)
