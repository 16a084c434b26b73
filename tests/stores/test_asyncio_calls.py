"""Blocking callers and greenlets call the coroutine methods of a store."""

from __future__ import annotations

import asyncio
import os
import threading
from time import monotonic_ns, sleep
from typing import Any

import gevent
import pytest
from gevent.event import Event

from loadtests.errors import BackendError, LineNotFound
from loadtests.stores import asyncio_calls
from loadtests.stores.asyncio_calls import (
    AsyncioStore,
    CallTimes,
    as_blocking,
    asyncio_caller,
    await_in_loop,
    hand_over_of_process,
)
from tests.stores.patched import run


class Books:
    """A store; a call of `hold` ends when it is released or cancelled."""

    ask_capacity = False
    wire_ns = 3

    def __init__(self) -> None:
        self.began = 0
        self.ended: list[str] = []
        self.released = asyncio.Event()

    def plain(self) -> int:
        return threading.get_ident()

    async def thread(self, *, twice: bool = False) -> int | tuple[int, int]:
        ident = threading.get_ident()
        return (ident, ident) if twice else ident

    async def hold(self, text: str) -> str:
        self.began += 1
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        return text

    async def fail(self, error: BaseException) -> None:
        await asyncio.sleep(0)
        raise error

    async def block(self) -> None:
        pass

    async def release(self) -> None:
        self.released.set()

    async def close(self) -> None:
        self.ended.append("closed")


@pytest.fixture
def books() -> Any:
    return as_blocking(Books())


def settle(condition: Any) -> None:
    """Let other greenlets go on until `condition()`."""
    with gevent.Timeout(60):
        while not condition():
            gevent.sleep(0.001)


def test_a_coroutine_is_awaited_in_a_thread_of_its_own(books: Any) -> None:
    ident = books.thread()
    assert ident != threading.get_ident()
    assert books.thread(twice=True) == (ident, ident)
    assert asyncio_caller() is asyncio_caller()


def test_everything_else_is_the_stores_own(books: Any) -> None:
    assert books.plain() == threading.get_ident()
    assert books.wire_ns == 3
    books.ask_capacity = True
    assert books._wrapped.ask_capacity is True
    assert not hasattr(books, "by_title")
    assert books.thread.__qualname__ == "Books.thread"
    assert books.thread.__self__ is books


def test_greenlets_wait_side_by_side(books: Any) -> None:
    waiting = [gevent.spawn(books.hold, text) for text in "ab"]
    settle(lambda: books.began == 2)
    assert not any(each.ready() for each in waiting)
    books.release()
    gevent.joinall(waiting, timeout=60)
    assert [each.value for each in waiting] == ["a", "b"]


def test_times_are_taken_inside_the_loop(books: Any) -> None:
    assert vars(books)["call_times"] is None
    before_ns = monotonic_ns()
    waiting = gevent.spawn(books.hold, "a")
    settle(lambda: books.began)
    asked_ns = monotonic_ns()
    asyncio_caller().loop.call_soon_threadsafe(books._wrapped.released.set)
    while not asyncio_caller()._done:  # it has ended, and this thread's hub has not seen it
        sleep(0)
    seen_ns = monotonic_ns()
    waiting.join()
    times: CallTimes = books.call_times
    assert before_ns <= times.began_ns <= asked_ns <= times.done_ns <= seen_ns
    assert times.polls > 0
    books.block()
    assert books.call_times.polls == 0


@pytest.mark.parametrize("error", [LineNotFound("gone"), KeyError("a secret"), TimeoutError()])
def test_an_error_crosses_as_it_is(books: Any, error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        books.fail(error)
    assert caught.value is error
    assert books.call_times.done_ns > books.call_times.began_ns


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(1), KeyboardInterrupt()])
def test_what_would_end_the_caller_is_a_failed_call(books: Any, error: BaseException) -> None:
    with pytest.raises(BackendError) as caught:
        books.fail(error)
    assert caught.value.name == type(error).__name__


def test_a_caller_that_is_killed_cancels_its_call(books: Any) -> None:
    waiting = gevent.spawn(books.hold, "a")
    settle(lambda: books.began)
    waiting.kill()
    settle(lambda: books.ended == ["cancelled"])
    books.close()
    assert books.ended == ["cancelled", "closed"]
    assert vars(books)["call_times"] is None


def test_closing_waits_for_the_call_that_it_cancels(books: Any) -> None:
    waiting = gevent.spawn(books.hold, "a")
    settle(lambda: books.began)
    books.close()
    with pytest.raises(BackendError) as caught:
        waiting.get(timeout=60)
    assert caught.value.name == "CancelledError"
    assert books.ended == ["cancelled", "closed"]


class Deaf:
    async def get(self) -> None: ...

    async def close(self) -> None:
        await asyncio.Event().wait()


def test_a_store_that_does_not_close_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio_calls, "CLOSE_S", 0.001)
    as_blocking(Deaf()).close()


def test_a_store_may_have_nothing_to_close() -> None:
    class Endless:
        async def get(self) -> None: ...

    as_blocking(Endless()).close()


def test_what_a_factory_returns_is_awaited_in_the_loop() -> None:
    async def made() -> int:
        asyncio.get_running_loop()
        return threading.get_ident()

    assert await_in_loop(made()) == as_blocking(Books()).thread()


def test_a_callback_is_handed_over_and_nothing_waits() -> None:
    asyncio_caller()
    hand_over = hand_over_of_process()
    assert hand_over is not None
    called = threading.Event()
    hand_over(called.set)
    assert called.wait(timeout=60)


def test_a_fork_starts_a_thread_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    before = asyncio_caller()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert hand_over_of_process() is None
    assert asyncio_caller() is not before
    assert isinstance(as_blocking(Books()), AsyncioStore)
    del asyncio_calls._callers[-1]


def test_a_call_of_a_greenlet_lets_the_others_run(books: Any) -> None:
    ready = Event()
    other = gevent.spawn(ready.wait)
    waiting = gevent.spawn(books.hold, "a")
    settle(lambda: books.began)
    ready.set()
    assert other.get(timeout=60)
    assert not waiting.ready()
    books.release()
    assert waiting.get(timeout=60) == "a"


PATCHED = """
from gevent import monkey; monkey.patch_all()
import asyncio, socket, ssl, threading, time
import gevent
from gevent.monkey import get_original
from loadtests.stores.asyncio_calls import as_blocking, asyncio_caller, await_in_loop

real_ident = get_original("_thread", "get_ident")
held = []

class Server:
    "Answers lines; the first of two lines is answered when the second has come."

    async def open(self):
        self.two = asyncio.Event()
        server = await asyncio.start_server(self.serve, "localhost", 0, family=socket.AF_INET)
        return server.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        while line := await reader.readline():
            held.append(line)
            if len(held) >= 2:
                self.two.set()
            await self.two.wait()
            writer.write(line)
        writer.close()

class Client:
    async def ask(self, text):
        if not hasattr(self, "reader"):
            self.reader, self.writer = await asyncio.open_connection("localhost", port)
        self.writer.write(text.encode() + b"\\n")
        return (await self.reader.readline()).decode().strip()

    async def thread(self):
        return real_ident()

    async def other_thread(self):
        return await asyncio.to_thread(real_ident)

    async def close(self):
        self.writer.close()
        await self.writer.wait_closed()
        assert self.writer.get_extra_info("socket").fileno() == -1

port = await_in_loop(Server().open())
clients = [as_blocking(Client()) for _ in range(2)]
first = gevent.spawn(clients[0].ask, "a")
with gevent.Timeout(60):
    while not held:  # this greenlet goes on while the other one's call is under way
        gevent.sleep(0.001)
assert not first.ready()
assert clients[1].ask("b") == "b"
assert first.get(timeout=60) == "a"
many = [gevent.spawn(client.ask, str(n)) for n, client in enumerate(clients)]
assert [each.get(timeout=60) for each in many] == ["0", "1"]
assert clients[0].call_times.polls > 0
assert clients[0].thread() != real_ident()
assert clients[0].other_thread() not in {real_ident(), clients[0].thread()}
for client in clients:
    client.close()
print("done")
"""


def test_under_gevent_the_loop_has_a_real_thread_and_sockets_that_work() -> None:
    run(PATCHED)
