"""Calls coroutines in an event loop of their own, for callers that block or are greenlets.

One thread per process runs the loop (`asyncio_thread.py`). The caller hands a call over to it and
waits as greenlets do, so that others can go on. A call is timed inside the loop, around the awaited
coroutine: the hand-over to the other thread is the caller's delay, not the database's.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps
from time import monotonic_ns
from types import MethodType
from typing import Any, Final, NamedTuple

from gevent.hub import Waiter, get_hub

from loadtests.errors import BackendError
from loadtests.stores.asyncio_thread import ThreadLoop, start_loop
from loadtests.stores.coroutines import is_coroutine_function

CLOSE_S: Final = 2.0  # for a call that is cancelled, and again for closing its store


class CallTimes(NamedTuple):
    """When a call began and ended inside the event loop, ns of time.monotonic_ns.

    `polls` counts how often the loop polled for events meanwhile: never if the call blocked it.
    """

    began_ns: int
    done_ns: int
    polls: int


class LoopCall:
    """One call: handed over, under way, then done with a result or an error."""

    __slots__ = ("arguments", "error", "function", "keywords", "result", "task", "times", "waiter")

    def __init__(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> None:
        self.function = function
        self.arguments = arguments
        self.keywords = keywords
        self.result: Any = None
        self.error: BaseException | None = None
        self.times: CallTimes | None = None
        self.task: asyncio.Task[None] | None = None
        self.waiter = Waiter()

    def cancel(self) -> None:
        """Cancel the coroutine. Called in the loop."""
        if self.task is not None:
            self.task.cancel()

    def outcome(self) -> Any:
        """The result. Raises the error; one that is no Exception as a BackendError of its name."""
        error, self.error = self.error, None  # or the error would refer to itself
        if error is None:
            return self.result
        try:
            if isinstance(error, Exception):
                raise error
            raise BackendError(name=type(error).__name__)  # cancelled by the client library
        finally:
            del error


class AsyncioCaller:
    """Hands calls over to an event loop in another thread; for the greenlets of one thread."""

    def __init__(self) -> None:
        self.loop: ThreadLoop = start_loop()
        self._done: deque[LoopCall] = deque()
        self._wake: Any = get_hub().loop.async_()
        self._wake.start(self._wake_callers)

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the loop and await what it returns. Raises what it raises."""
        call = LoopCall(function, arguments, {})
        self.make(call)
        return call.outcome()

    def make(self, call: LoopCall) -> None:
        """Make a call and wait until it is done. A caller that is killed cancels it."""
        self.loop.call_soon_threadsafe(self._begin, call)
        try:
            call.waiter.get()
        except BaseException:
            self.loop.call_soon_threadsafe(call.cancel)
            raise

    def _begin(self, call: LoopCall) -> None:
        call.task = self.loop.create_task(self._run(call))

    async def _run(self, call: LoopCall) -> None:
        loop = self.loop
        polls = loop.polls
        began_ns = monotonic_ns()
        try:
            result = call.function(*call.arguments, **call.keywords)
            call.result = (await result) if inspect.isawaitable(result) else result
        except BaseException as error:  # noqa: BLE001 (the caller raises it)
            call.error = error
        call.times = CallTimes(began_ns, monotonic_ns(), loop.polls - polls)
        self._done.append(call)
        self._wake.send()  # the one method of gevent that another thread may call

    def _wake_callers(self) -> None:
        while self._done:
            self._done.popleft().waiter.switch(None)


_callers: Final[dict[int, AsyncioCaller]] = {}  # by process: a fork has no threads


def asyncio_caller() -> AsyncioCaller:
    """The caller of this process, started when first asked for. Raises UsageError."""
    process = os.getpid()
    if process not in _callers:
        _callers[process] = AsyncioCaller()
    return _callers[process]


def hand_over_of_process() -> Callable[..., object] | None:
    """Runs a callback in the event loop of this process's asyncio stores; None without such stores.

    It takes the callback and its arguments, in any thread, and returns at once.
    """
    caller = _callers.get(os.getpid())
    return caller.loop.call_soon_threadsafe if caller else None


class AsyncioStore:
    """A store of coroutine methods as blocking callers use it; all else is the store's own.

    `call_times` are those of the last call of a coroutine method, also of a failed one.
    """

    call_times: CallTimes | None

    def __init__(self, store: object, caller: AsyncioCaller) -> None:
        vars(self).update(call_times=None, _wrapped=store, _caller=caller, _last=None)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._wrapped, name)
        if not is_coroutine_function(attribute):
            return attribute
        method = MethodType(_blocking(attribute), self)
        vars(self)[name] = method
        return method

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._wrapped, name, value)

    def close(self) -> None:
        """Cancel a call that is under way, then close the store, if it can be closed."""
        self._caller.run(self._close)

    async def _close(self) -> None:
        last: LoopCall | None = self._last
        if last is not None and last.task is not None:  # a store serves one caller at a time
            last.task.cancel()
            await asyncio.wait([last.task], timeout=CLOSE_S)
        close = getattr(self._wrapped, "close", None)
        if close is None:
            return
        with suppress(TimeoutError):  # a server that does not respond must not keep the run
            async with asyncio.timeout(CLOSE_S):
                closing = close()
                if inspect.isawaitable(closing):
                    await closing


def _blocking(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def blocking(store: AsyncioStore, *arguments: Any, **keywords: Any) -> Any:
        state = vars(store)
        call = state["_last"] = LoopCall(method, arguments, keywords)
        state["_caller"].make(call)
        state["call_times"] = call.times
        return call.outcome()

    return blocking


def as_blocking(store: object) -> AsyncioStore:
    """A store of coroutine methods as blocking callers use it. Raises UsageError."""
    return AsyncioStore(store, asyncio_caller())


def await_in_loop(awaitable: Awaitable[Any]) -> Any:
    """Await in the event loop of this process what a call outside of it returned."""
    return asyncio_caller().run(lambda: awaitable)
