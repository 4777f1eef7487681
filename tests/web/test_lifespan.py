"""How an application starts and stops with its server, alone, mounted, and around a host."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from web.driver import Client, run_lifespan

from asched import Scheduler
from asched_web import attach, create_app, install_shutdown_handlers, lifespan
from asched_web.shutdown import uninstall_shutdown_handlers

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[dict[int, Any]]:
    """The handlers of before the test, which are put back."""
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    yield before
    for signum, handler in before.items():
        signal.signal(signum, handler)


async def test_at_the_root_the_scheduler_lives_with_the_server(handlers: dict[int, Any]) -> None:
    scheduler = Scheduler()
    to_app, from_app, task = await run_lifespan(create_app(scheduler))

    assert {"type": "lifespan.startup.complete"} == await from_app.get()
    assert scheduler.running
    assert signal.getsignal(signal.SIGINT) is not handlers[signal.SIGINT]
    to_app.put_nowait({"type": "lifespan.shutdown"})
    assert {"type": "lifespan.shutdown.complete"} == await from_app.get()
    await task
    assert not scheduler.running
    assert handlers == {signum: signal.getsignal(signum) for signum in SIGNALS}


async def test_a_scheduler_that_runs_already_is_left_running() -> None:
    async with Scheduler() as scheduler:
        to_app, from_app, task = await run_lifespan(create_app(scheduler))
        await from_app.get()
        to_app.put_nowait({"type": "lifespan.shutdown"})
        await from_app.get()
        await task

        assert scheduler.running
        assert not scheduler.is_shutdown_requested()


class Unreachable(Scheduler):
    """A scheduler whose store cannot be opened."""

    async def start(self) -> None:
        from asched import StoreUnavailable

        raise StoreUnavailable("cannot reach postgresql://u:hunter2@h/db")


async def test_a_scheduler_that_cannot_start_fails_the_server_and_tells_no_password() -> None:
    _, from_app, task = await run_lifespan(create_app(Unreachable()))
    message = await from_app.get()
    await task

    assert "lifespan.startup.failed" == message["type"]
    assert "StoreUnavailable: cannot reach postgresql://***@h/db" == message["message"]


async def test_a_request_does_not_start_the_scheduler() -> None:
    scheduler = Scheduler()
    client = Client(create_app(scheduler, install_signal_handlers=False))
    await client.get("/api/jobs")
    await client.get("/healthz")

    assert not scheduler.running


async def test_the_end_of_the_lifespan_ends_the_streams() -> None:
    scheduler = Scheduler()
    app = create_app(scheduler, install_signal_handlers=False)
    to_app, from_app, task = await run_lifespan(app)
    await from_app.get()
    stream = Client(app).stream()
    await stream.until("snapshot")
    to_app.put_nowait({"type": "lifespan.shutdown"})

    assert "bye" == (await stream.until("shutdown")).data
    await task


async def test_lifespan_runs_the_scheduler_within_a_hosts_own(handlers: dict[int, Any]) -> None:
    scheduler = Scheduler()
    async with lifespan(scheduler):
        assert scheduler.running
        assert signal.getsignal(signal.SIGTERM) is not handlers[signal.SIGTERM]

    assert not scheduler.running
    assert handlers == {signum: signal.getsignal(signum) for signum in SIGNALS}


@pytest.mark.parametrize(("drain", "ended"), [(5.0, ["slept"]), (0.0, [])])
async def test_drain_is_what_running_jobs_are_given(drain: float, ended: list[str]) -> None:
    scheduler = Scheduler()
    seen: list[str] = []
    started = asyncio.Event()

    async def sleep() -> None:
        started.set()
        await asyncio.sleep(0.2)
        seen.append("slept")

    scheduler.every(3600).seconds.id("j").do(sleep)
    async with lifespan(scheduler, drain=drain):
        await scheduler.run_job_now("j")
        await started.wait()

    assert ended == seen


Host = Callable[[Any, Any, Any], Awaitable[None]]


async def tells(scope: Any, receive: Any, send: Any) -> None:
    """A host with a lifespan."""
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def knows_none(scope: Any, receive: Any, send: Any) -> None:
    """As Django."""
    raise ValueError("Django can only handle ASGI/HTTP connections, not lifespan.")


async def returns(scope: Any, receive: Any, send: Any) -> None: ...


async def cannot_start(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


@pytest.mark.parametrize("host", [tells, knows_none, returns])
async def test_attach_runs_the_scheduler_around_any_host(host: Host) -> None:
    scheduler = Scheduler()
    to_app, from_app, task = await run_lifespan(attach(host, "/scheduler", scheduler, install_signal_handlers=False))

    assert "lifespan.startup.complete" == (await from_app.get())["type"]
    assert scheduler.running
    to_app.put_nowait({"type": "lifespan.shutdown"})
    assert "lifespan.shutdown.complete" == (await from_app.get())["type"]
    await task
    assert not scheduler.running


async def test_a_host_that_cannot_start_stops_the_scheduler_again() -> None:
    scheduler = Scheduler()
    _, from_app, task = await run_lifespan(attach(cannot_start, "/x", scheduler, install_signal_handlers=False))

    assert {"type": "lifespan.startup.failed", "message": "no database"} == await from_app.get()
    await task
    assert not scheduler.running


def test_a_signal_sets_the_flag_and_reaches_the_handler_before() -> None:
    scheduler = Scheduler()
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda signum, frame: heard.append(signum))
    install_shutdown_handlers(scheduler)
    install_shutdown_handlers(scheduler)
    signal.raise_signal(signal.SIGTERM)
    uninstall_shutdown_handlers(scheduler)

    assert [signal.SIGTERM] == heard
    assert scheduler.is_shutdown_requested()


def test_a_signal_reaches_every_scheduler() -> None:
    first, second = Scheduler(), Scheduler()
    signal.signal(signal.SIGTERM, lambda signum, frame: None)
    install_shutdown_handlers(first)
    install_shutdown_handlers(second)
    signal.raise_signal(signal.SIGTERM)
    for scheduler in (first, second):
        uninstall_shutdown_handlers(scheduler)

    assert first.is_shutdown_requested()
    assert second.is_shutdown_requested()


def test_an_ignored_signal_stays_ignored() -> None:
    scheduler = Scheduler()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    install_shutdown_handlers(scheduler)

    assert signal.SIG_IGN == signal.getsignal(signal.SIGINT)
    uninstall_shutdown_handlers(scheduler)


def test_a_handler_that_was_put_in_front_of_ours_is_passed_and_stays() -> None:
    """As when the handlers are installed at import, and the server sets its own afterwards."""
    scheduler = Scheduler()
    heard: list[str] = []
    install_shutdown_handlers(scheduler)

    def servers(signum: int, frame: object) -> None:
        heard.append("server")

    signal.signal(signal.SIGTERM, servers)
    install_shutdown_handlers(scheduler)
    signal.raise_signal(signal.SIGTERM)
    uninstall_shutdown_handlers(scheduler)

    assert ["server"] == heard
    assert scheduler.is_shutdown_requested()
    assert servers is signal.getsignal(signal.SIGTERM)


def test_others_find_the_server_behind_our_handler() -> None:
    """sse-starlette looks for should_exit on whatever the handler is bound to."""
    scheduler = Scheduler()
    signal.signal(signal.SIGTERM, lambda signum, frame: None)
    install_shutdown_handlers(scheduler)
    bound = signal.getsignal(signal.SIGTERM).__self__  # type: ignore[union-attr]
    before = bound.should_exit
    signal.raise_signal(signal.SIGTERM)
    after = bound.should_exit
    uninstall_shutdown_handlers(scheduler)

    assert (False, True) == (before, after)


async def test_outside_the_main_thread_nothing_is_installed(handlers: dict[int, Any]) -> None:
    scheduler = Scheduler()
    await asyncio.to_thread(install_shutdown_handlers, scheduler)
    await asyncio.to_thread(uninstall_shutdown_handlers, scheduler)

    assert handlers == {signum: signal.getsignal(signum) for signum in SIGNALS}


@pytest.mark.parametrize("path", ["", "/"])
def test_attach_refuses_to_take_the_whole_host(path: str) -> None:
    from asched import InvalidArgument

    with pytest.raises(InvalidArgument):
        attach(tells, path, Scheduler())
