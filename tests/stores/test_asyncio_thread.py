"""The event loop of asyncio clients, in a process that gevent has not patched."""

from __future__ import annotations

import asyncio
import selectors
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from loadtests.errors import UsageError
from loadtests.stores.asyncio_thread import EpollSelector, ThreadLoop, start_loop

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        yield here, there


def observed(selector: selectors.BaseSelector, here: socket.socket, there: socket.socket) -> Any:
    """What a selector says of a socket as its peer sends and leaves."""
    seen: list[object] = []

    def look(timeout: float | None = 0) -> None:
        ready = selector.select(timeout)
        seen.append([(key.fileobj is here, key.data, events) for key, events in ready])

    selector.register(here, READ | WRITE, "both")
    look()
    there.send(b"x")
    look()
    selector.modify(here, READ, "read")
    look(None)
    here.recv(1)
    seen.append(selector.select(0))
    selector.modify(here, READ, "still")
    there.close()
    look(0.0001)
    seen.append(selector.get_key(here).data)
    selector.unregister(here)
    seen.append((selector.select(0), len(selector.get_map())))
    return seen


def test_the_selector_reports_what_the_standard_one_reports() -> None:
    with EpollSelector() as own, selectors.EpollSelector() as standard, ExitStack() as stack:
        here, there, here_too, there_too = (
            stack.enter_context(end) for _ in range(2) for end in socket.socketpair()
        )
        for_own = observed(own, here, there)
        for_standard = observed(standard, here_too, there_too)
    assert for_own == for_standard
    assert for_own[0] == [(True, "both", WRITE)]


def test_what_cannot_be_watched_is_not_registered(pair: tuple[socket.socket, Any]) -> None:
    here, _ = pair
    with EpollSelector() as selector:
        here.close()
        with pytest.raises(ValueError, match="Invalid file"):
            selector.register(here, READ)
        with open("/dev/null", "rb") as no_stream, pytest.raises(PermissionError):
            selector.register(no_stream, READ)
        assert not selector.get_map()


def test_the_loop_polls_while_a_coroutine_waits_and_not_while_it_computes() -> None:
    loop = ThreadLoop()

    async def polls_during(waits: bool) -> int:
        before = loop.polls
        if waits:
            await asyncio.sleep(0)
        return loop.polls - before

    try:
        assert loop.run_until_complete(polls_during(waits=True)) > 0
        assert loop.run_until_complete(polls_during(waits=False)) == 0
    finally:
        loop.close()


def test_what_blocks_runs_in_a_thread_of_its_own_whatever_the_executor() -> None:
    loop = ThreadLoop()
    try:
        with ThreadPoolExecutor(1) as pool:
            idents = [
                loop.run_until_complete(loop.run_in_executor(executor, threading.get_ident))
                for executor in (None, pool)
            ]
        assert threading.get_ident() not in idents
        with pytest.raises(ZeroDivisionError):
            loop.run_until_complete(asyncio.wait_for(asyncio.to_thread(divmod, 1, 0), 30))
        cancelled = loop.run_in_executor(None, threading.get_ident)
        cancelled.cancel()
        loop.run_until_complete(loop.run_in_executor(None, threading.get_ident))
        assert cancelled.cancelled()
    finally:
        loop.close()


def test_names_are_resolved() -> None:
    loop = ThreadLoop()
    try:
        found = loop.run_until_complete(loop.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM))
        assert {address[0] for *_, address in found} <= {"127.0.0.1", "::1"}
        numeric = loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
        assert loop.run_until_complete(numeric) == ("127.0.0.1", "80")
    finally:
        loop.close()


def test_a_callback_that_exits_does_not_end_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    loop = start_loop()
    alive: Future[bool] = Future()
    loop.call_soon_threadsafe(sys.exit, 1)
    loop.call_soon_threadsafe(alive.set_result, True)
    assert alive.result(timeout=60)
    assert "tried to end the event loop" in caplog.text


def test_another_system_than_linux_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UsageError, match="only on Linux"):
        start_loop()
