"""A worker process: take calls of functions from the process that started this one, and answer each.

Calls and answers go through copies of the file descriptors 0 and 1 that nobody else knows. The three standard ones
belong to the functions and to the processes that these start: input is empty, output and errors go to the parent.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import pickle
import signal
import struct
import sys
import threading
import types
from collections.abc import Callable
from typing import Any, NamedTuple

from asched import offload
from asched.model import ErrorInfo
from asched.reports import describe_error, encode_result

__all__ = ["BOOT", "HEADER", "Answer", "Failure", "Main", "serve"]

BOOT = "import sys; sys.path[:] = sys.argv.pop().split('\\n'); from asched.worker import serve; serve()"
"""What a worker is started with; the last argument is the parent's ``sys.path``."""
HEADER = struct.Struct(">Q")
"""Before each call and answer: the number of bytes."""


class Main(NamedTuple):
    """The parent's main script, in which functions and classes may be defined."""

    name: str | None
    """The module's name, if it was started by ``python -m``."""
    path: str | None
    argv: list[str]


class Failure(NamedTuple):
    error: bytes | None
    """The error, pickled, or else its class; ``None`` if neither can be."""
    info: ErrorInfo


class Answer(NamedTuple):
    result: bytes | None
    failure: Failure | None


def serve() -> None:
    """Answer calls until the parent closes the channel or is gone."""
    offload.become_worker()
    calls, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    _give_up_standard_streams()
    _stand_apart(calls.fileno(), answers.fileno())
    perform: Callable[[bytes], Answer] = _load_main
    while len(header := calls.read(HEADER.size)) == HEADER.size:
        answer = pickle.dumps(perform(calls.read(*HEADER.unpack(header))))
        perform = _call
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:  # noqa: BLE001 - user code: the function may have put anything there
                pass
        try:
            answers.write(HEADER.pack(len(answer)) + answer)
            answers.flush()
        except BrokenPipeError:
            os._exit(1)  # the parent is gone; what is still buffered has nobody to go to


def _give_up_standard_streams() -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        # Line by line: a process that is killed loses none that was complete.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]


def _stand_apart(*channel: int) -> None:
    """Leave Ctrl+C to the parent, and keep the channel from processes that a function forks."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # A terminal sends it to the whole group. A handler, since SIG_IGN would be inherited by what is executed here.
        signal.signal(signal.SIGINT, lambda *_: None)

    def forked() -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.default_int_handler)
        # The parent sees the end of this process by the end of the channel.
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in channel:
            os.dup2(nothing, descriptor, inheritable=False)
        os.close(nothing)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=forked)


def _load_main(request: bytes) -> Answer:
    """Run the parent's main script under another name, as ``multiprocessing`` does."""
    import runpy

    try:
        main: Main = pickle.loads(request)
        sys.argv = main.argv
        if main.name is not None:
            content = runpy.run_module(main.name, run_name="__mp_main__", alter_sys=True)
        elif main.path is not None:
            content = runpy.run_path(main.path, run_name="__mp_main__")
        else:
            return Answer(None, None)
        module = types.ModuleType("__mp_main__")
        module.__dict__.update(content)
        sys.modules["__main__"] = sys.modules["__mp_main__"] = module
        return Answer(None, None)
    except BaseException as error:  # noqa: BLE001 - user code: the main script
        return Answer(None, Failure(None, describe_error(error)))


def _call(request: bytes) -> Answer:
    try:
        function, args, kwargs = pickle.loads(request)
        with offload.calling():
            value = function(*args, **kwargs)
            if inspect.isawaitable(value):
                value = asyncio.run(_awaited(value))
        return Answer(encode_result(value), None)
    except BaseException as error:  # noqa: BLE001 - the edge where user code is called
        return Answer(None, Failure(_pickled(error) or _pickled(type(error)), describe_error(error)))


def _pickled(value: object) -> bytes | None:
    """Return the value pickled, if it can be read again: an error's ``__init__`` may want other arguments."""
    try:
        data = pickle.dumps(value)
        pickle.loads(data)
        return data
    except Exception:  # noqa: BLE001 - user code: how the value is pickled
        return None


async def _awaited(awaitable: Any) -> Any:
    return await awaitable
