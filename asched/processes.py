"""Worker processes as their parent sees them: start one, give it a call, follow its output, kill it.

They are like those of ``anyio.to_process``, whose own cannot be used: their channel is standard input and output, so
whatever a function or a child of it writes there breaks them; their standard error fills up, since nobody reads it;
and how one ended is not told.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from asched.masking import printable
from asched.model import ErrorInfo
from asched.reports import RemoteError
from asched.worker import BOOT, HEADER, Answer, Failure, Main

__all__ = ["OUTPUT_LIMIT", "Workers"]

log = logging.getLogger("asched")

OUTPUT_LIMIT = 1024 * 1024
"""Bytes of a call's output that are passed on. What comes after is read and dropped, so that its writer never hangs."""
# A longer line is passed on in pieces of this size.
_LINE_LIMIT = 4096
_CHUNK = 64 * 1024
# More than a pipe holds: what was written before the call's end is read when it ends.
_LAST_CHUNKS = 16
# A worker that closed its channel is about to end, unless a function closed it.
_EXIT_PATIENCE = 5.0
# A main script that takes longer to load probably runs the program instead.
_LOAD_PATIENCE = 10.0
_REMEDY = "put the lines that start the program under: if __name__ == '__main__':"


class Workers:
    """Worker processes of one event loop, kept for later calls."""

    def __init__(self) -> None:
        self._idle: list[_Worker] = []

    async def call(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], tell: Callable[[str], None]
    ) -> bytes | None:
        """Call the function in a worker and return its result as JSON. If cancelled, kill the worker.

        Args:
            tell: Called with each line of output.

        Raises:
            RemoteError: The function raised something.
            anyio.BrokenWorkerProcess: The worker ended, or could not load the main script.
        """
        request = pickle.dumps((function, args, kwargs), pickle.HIGHEST_PROTOCOL)
        needs_main = b"__main__" in request
        worker = self._take(needs_main)
        if worker is None:
            worker = _Worker()
        worker.listen(tell)
        try:
            if worker.process is None:
                await worker.start(needs_main)
            answer = await worker.ask(request)
        except BaseException:
            await worker.kill()
            raise
        worker.listen(None)
        self._idle.append(worker)
        if answer.failure is not None:
            raise RemoteError(_error_of(answer.failure), answer.failure.info)
        return answer.result

    def _take(self, needs_main: bool) -> _Worker | None:
        """Return the worker that was used last: the others can go when they are old."""
        for worker in reversed(self._idle):
            if worker.has_ended or worker.has_main or not needs_main:
                self._idle.remove(worker)
                if not worker.has_ended:
                    return worker
                worker.close()
        return None

    async def close(self) -> None:
        """Kill the idle workers."""
        idle, self._idle = self._idle, []
        for worker in idle:
            await worker.kill()


def _error_of(failure: Failure) -> BaseException:
    if failure.error is not None:
        try:
            error = pickle.loads(failure.error)
        except Exception:  # noqa: BLE001 - user code: how the error is unpickled
            return Exception(failure.info.message)
        if isinstance(error, BaseException):
            return error
        if isinstance(error, type) and issubclass(error, BaseException):
            # Without its __init__, whose arguments nobody knows: it is only asked for its class.
            return error.__new__(error)
    return Exception(failure.info.message)


class _Worker:
    def __init__(self) -> None:
        self.process: asyncio.subprocess.Process | None = None
        self.has_main = True
        self._loop = asyncio.get_running_loop()
        self._output: int | None = None
        self._tell: Callable[[str], None] | None = None
        self._partial = b""
        self._left = OUTPUT_LIMIT

    @property
    def has_ended(self) -> bool:
        process = self.process
        return process is None or process.returncode is not None or (process.stdout is None or process.stdout.at_eof())

    # Life

    async def start(self, needs_main: bool) -> None:
        self._output, theirs = self._open_output()
        paths = [path for path in sys.path if isinstance(path, str)]
        pipe = asyncio.subprocess.PIPE
        try:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", BOOT, "\n".join(paths), stdin=pipe, stdout=pipe, stderr=theirs
            )
        finally:
            if theirs is not None:
                os.close(theirs)
        main = _main_script(needs_main)
        self.has_main = needs_main or main.name is not None or main.path is not None
        warning = self._loop.call_later(_LOAD_PATIENCE, self._warn_of_main, main)
        try:
            answer = await self.ask(pickle.dumps(main))
        finally:
            warning.cancel()
        if answer.failure is not None:
            raise _not_loaded(main, answer.failure.info)

    def _open_output(self) -> tuple[int | None, int | None]:
        ours, theirs = os.pipe()
        try:
            os.set_blocking(ours, False)
            self._loop.add_reader(ours, self._read)
        except NotImplementedError:
            # Windows: its event loop follows no pipes in this way. There a worker shares the parent's standard error.
            os.close(ours)
            os.close(theirs)
            return None, None
        return ours, theirs

    def _warn_of_main(self, main: Main) -> None:
        log.warning(
            "a worker process has loaded the main script %s for %.0f s and goes on; if the script runs the program, %s",
            main.path or main.name, _LOAD_PATIENCE, _REMEDY,
        )  # fmt: skip

    async def ask(self, request: bytes) -> Answer:
        process = self.process
        assert process is not None and process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(HEADER.pack(len(request)) + request)
            await process.stdin.drain()
            [size] = HEADER.unpack(await process.stdout.readexactly(HEADER.size))
            data = await process.stdout.readexactly(size)
        except (ConnectionError, asyncio.IncompleteReadError):
            raise await self._broken() from None
        finally:
            self._read_rest()
        answer: Answer = pickle.loads(data)
        return answer

    async def _broken(self) -> Exception:
        from anyio import BrokenWorkerProcess

        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.close()
        try:
            async with asyncio.timeout(_EXIT_PATIENCE):
                code = await self.process.wait()
        except TimeoutError:
            how = "closed its channel to the scheduler"
        else:
            how = _how_ended(code)
        return BrokenWorkerProcess(f"the worker process {self.process.pid} {how} before the function had returned")

    async def kill(self) -> None:
        try:
            if self.process is not None:
                if self.process.returncode is None:
                    self.process.kill()
                if self.process.stdin is not None:
                    self.process.stdin.close()
                await self.process.wait()
        except ProcessLookupError:
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Let the output go. Other processes may hold the pipe for as long as they like."""
        if self._output is not None:
            self._read_rest()
            self._let_output_go()

    # Output

    def listen(self, tell: Callable[[str], None] | None) -> None:
        """Pass the output on to this listener from now on, and to standard error."""
        self._tell = tell
        self._left = OUTPUT_LIMIT

    def _read(self) -> bool:
        """Read one chunk of output; return whether there may be more."""
        if self._output is None:
            return False
        try:
            data = os.read(self._output, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._let_output_go()
            return False
        self._pass_on(data)
        return True

    def _read_rest(self) -> None:
        for _ in range(_LAST_CHUNKS):
            if not self._read():
                break
        if self._partial:
            self._pass_on(b"\n")

    def _let_output_go(self) -> None:
        if self._output is not None:
            self._loop.remove_reader(self._output)
            os.close(self._output)
            self._output = None

    def _pass_on(self, data: bytes) -> None:
        if self._left <= 0:
            return
        self._left -= len(data)
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) >= _LINE_LIMIT:
            lines.append(self._partial)
            self._partial = b""
        if self._left <= 0:
            lines += [self._partial, b"(asched drops the further output of this call)"]
            self._partial = b""
        texts = [
            printable(line[at : at + _LINE_LIMIT].decode(errors="backslashreplace").rstrip("\r"))
            for line in lines
            for at in range(0, len(line) or 1, _LINE_LIMIT)
        ]
        if self._tell is not None:
            for text in texts:
                self._tell(text)
        try:
            sys.stderr.writelines(f"{text}\n" for text in texts)
        except (AttributeError, OSError, ValueError):
            pass  # a program without standard error, or one that closed it


def _main_script(needs_main: bool) -> Main:
    """Return what a worker has to load so that it finds what the main script defines."""
    main = sys.modules["__main__"]
    # The worker's classes say that they come from there; so multiprocessing does it.
    sys.modules.setdefault("__mp_main__", main)
    spec = getattr(main, "__spec__", None)
    name = None if spec is None else spec.name
    path = getattr(main, "__file__", None)
    if path is not None and not os.path.isfile(path):
        path = None  # an interactive session, or a program in an archive
    if name is not None and name.rpartition(".")[2] == "__main__":
        # The main module of a package runs the program, and seldom asks for its name.
        return Main(None, path if needs_main else None, sys.argv)
    return Main(name, path, sys.argv)


def _not_loaded(main: Main, info: ErrorInfo) -> RemoteError:
    from anyio import BrokenWorkerProcess

    message = f"the worker process could not load the main script {main.path or main.name}: {info.type}: {info.message}"
    if _REMEDY not in message:
        message += f"; if the script runs the program, {_REMEDY}"
    return RemoteError(BrokenWorkerProcess(message), ErrorInfo(BrokenWorkerProcess.__name__, message, info.traceback))


def _how_ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ", as the system does when memory runs out," if -code == signal.SIGKILL else ""
    return f"was killed by {name}{hint}"
