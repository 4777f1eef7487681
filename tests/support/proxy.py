"""A network that fails on request: a TCP proxy between a program and its server.

It passes bytes until it is told otherwise. All its misdeeds are ones that real networks and servers commit:
connections that are reset or refused, peers that fall silent, and answers that are lost after the server has done
the work.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Linger on, for no time: close() sends RST instead of FIN.
_RESET = struct.pack("ii", 1, 0)
_CHUNK = 1 << 16


class _Link:
    """One connection of a client and its connection to the server."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.ends = client, server

    def reset(self) -> None:
        for end in self.ends:
            sock = end.transport.get_extra_info("socket")
            if sock is not None and sock.fileno() != -1:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.transport.abort()


class Proxy:
    """Listens on a port of 127.0.0.1 and passes what it gets to the server."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.port = 0
        self.swallowed = 0
        """Bytes of the server's answers that were thrown away."""
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Future[None]] = set()
        self._passes = asyncio.Event()
        self._passes.set()
        self._answers = asyncio.Event()
        self._answers.set()
        self._swallows = False
        self._rejects = False
        self.attempts = 0
        """Connections that were begun, rejected ones included."""

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.drop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Misdeeds

    def drop(self) -> int:
        """Reset every connection; return how many there were."""
        links, self._links = self._links, set()
        for link in links:
            link.reset()
        return len(links)

    def reject(self) -> None:
        """Reset every connection, and each new one at once: a server that is not there."""
        self._rejects = True
        self.drop()

    def stall(self) -> None:
        """Pass nothing in either direction, and keep the connections: a peer that is cut off."""
        self._passes.clear()

    def stall_answers(self) -> None:
        """Pass what the client says and keep back what the server answers."""
        self._answers.clear()

    def swallow(self) -> None:
        """Throw away what the server answers: it has done the work and nobody knows."""
        self._swallows = True

    def heal(self) -> None:
        """Pass everything again, what was kept back first."""
        self._swallows = self._rejects = False
        self._passes.set()
        self._answers.set()

    # Connections

    async def _connect(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.attempts += 1
        try:
            if self._rejects:
                return
            # Cut off, a client gets as far as the kernel's own handshake.
            await self._passes.wait()
            answers, server = await asyncio.open_connection(self._host, self._port)
            await self._serve(_Link(client, server), reader, answers)
        except (OSError, asyncio.CancelledError):
            pass  # nobody listens there, or the proxy closes
        finally:
            self._tasks.discard(task)
            client.transport.abort()

    async def _serve(self, link: _Link, asking: asyncio.StreamReader, answers: asyncio.StreamReader) -> None:
        client, server = link.ends
        self._links.add(link)
        pumps = [
            asyncio.ensure_future(self._pump(asking, server, answering=False)),
            asyncio.ensure_future(self._pump(answers, client, answering=True)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._links.discard(link)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            server.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answering: bool) -> None:
        try:
            while data := await source.read(_CHUNK):
                await self._passes.wait()
                if answering:
                    await self._answers.wait()
                    if self._swallows:
                        self.swallowed += len(data)
                        continue
                sink.write(data)
                await sink.drain()
        except OSError:
            pass  # reset by one side; the other one is closed


@asynccontextmanager
async def proxy_to(host: str, port: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(host, port)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
