"""An asyncio event loop in a thread of its own, also in a process that gevent has patched.

gevent replaces parts of the standard library. asyncio needs the originals of these: the thread (a
replaced one would be a greenlet of the caller), epoll (removed), and the threads in which names are
resolved and blocking functions run. gevent's sockets can stay: asyncio uses them without waiting,
and then they call the operating system directly.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import select
import selectors
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from gevent.monkey import get_original

from loadtests.errors import UsageError

_log: Final = logging.getLogger(__name__)
_start_thread: Final = get_original("_thread", "start_new_thread")
_getaddrinfo: Final = get_original("socket", "getaddrinfo")
_getnameinfo: Final = get_original("socket", "getnameinfo")


class EpollSelector(selectors._BaseSelectorImpl):
    """epoll(7) as asyncio uses it; `polls` counts how often it was asked for events (Linux)."""

    def __init__(self) -> None:
        super().__init__()
        self._epoll = get_original("select", "epoll")()
        self.polls = 0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """See selectors.BaseSelector.register."""
        key = super().register(fileobj, events, data)
        wanted = select.EPOLLIN if events & selectors.EVENT_READ else 0
        wanted |= select.EPOLLOUT if events & selectors.EVENT_WRITE else 0
        try:
            self._epoll.register(key.fd, wanted)
        except BaseException:
            super().unregister(fileobj)
            raise
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """See selectors.BaseSelector.unregister."""
        key = super().unregister(fileobj)
        with suppress(OSError):  # the descriptor has been closed
            self._epoll.unregister(key.fd)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See selectors.BaseSelector.select."""
        self.polls += 1
        # whole milliseconds, and never less than asked for
        wait_s = -1.0 if timeout is None else math.ceil(max(0.0, timeout) * 1e3) / 1e3
        keys: Mapping[int, selectors.SelectorKey] = self._fd_to_key  # type: ignore[attr-defined]
        try:
            occurred = self._epoll.poll(wait_s, max(1, len(keys)))
        except InterruptedError:
            return []
        ready = []
        for fd, event in occurred:
            key = keys.get(fd)
            if key is not None:
                # an error or a hang-up makes both ready: readers and writers must see it
                events = selectors.EVENT_WRITE if event & ~select.EPOLLIN else 0
                events |= selectors.EVENT_READ if event & ~select.EPOLLOUT else 0
                ready.append((key, events & key.events))
        return ready

    def close(self) -> None:
        """See selectors.BaseSelector.close."""
        self._epoll.close()
        super().close()


class ThreadLoop(asyncio.SelectorEventLoop):
    """asyncio's own event loop, with the originals of what gevent replaces."""

    def __init__(self) -> None:
        self._poller = EpollSelector()
        super().__init__(self._poller)

    @property
    def polls(self) -> int:
        """How often the loop has polled for events; it does so at least once in each round."""
        return self._poller.polls

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Call `func` in a new thread, whatever the executor: a pool's threads may be greenlets."""
        del executor
        future = self.create_future()
        _start_thread(self._work, (future, partial(func, *args)))
        return future

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 (asyncio's own name)
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        """See asyncio's loop.getaddrinfo."""
        arguments = (host, port, family, type, proto, flags)
        return await self.run_in_executor(None, _getaddrinfo, *arguments)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> Any:
        """See asyncio's loop.getnameinfo."""
        return await self.run_in_executor(None, _getnameinfo, sockaddr, flags)

    def _work(self, future: asyncio.Future[Any], function: Callable[[], Any]) -> None:
        try:
            settle = partial(future.set_result, function())
        except BaseException as error:  # noqa: BLE001 (raised where the future is awaited)
            settle = partial(future.set_exception, error)
        self.call_soon_threadsafe(_settle, future, settle)


def _settle(future: asyncio.Future[Any], settle: Callable[[], None]) -> None:
    if not future.done():  # nobody has cancelled it
        settle()


def start_loop() -> ThreadLoop:
    """Start a loop in a thread that ends with the process.

    The thread is scheduled as its creator is: real-time scheduling is not inherited. Raises
    UsageError where there is no epoll.
    """
    if sys.platform != "linux":
        raise UsageError(
            "Stores for asyncio can be called under load only on Linux.",
            hint="Use a blocking client, or run the load on Linux.",
        )
    loop = ThreadLoop()
    _start_thread(_run, (loop, os.sched_getscheduler(0), os.sched_getparam(0)))
    return loop


def _run(loop: ThreadLoop, policy: int, parameters: os.sched_param) -> None:
    sys.settrace(threading.gettrace())  # as in the threads of `threading`: debuggers see this one
    with suppress(OSError):
        os.sched_setscheduler(0, policy, parameters)
    while True:
        try:
            loop.run_forever()
        except BaseException:  # noqa: BLE001 (SystemExit in a callback must not end all calls)
            _log.exception("A callback tried to end the event loop of the asyncio clients")
