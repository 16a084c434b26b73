"""Finds clients that block an event loop, while the first calls are made.

A client that waits in C code, or in a coroutine without `await`, keeps the whole loop until its
call ends. Meanwhile no other user is served, no arrival is dispatched and no response is read, so
the run measures that client's waiting in all of its figures. The loop itself shows it: it polls for
events at least once during a call that waits as it should, and never during one that blocks.

CPU time does not look like that, because a call that also waits polls once. Nor does a stall of the
machine, unless it falls between the request and the first attempt to read the response; a method
is judged by ten calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import CoroutineType
from typing import Any, Final, Literal

import gevent

from loadtests.errors import UsageError

LONG_NS: Final = 2_000_000  # a shorter call delays the others by less than the limit at p99
DECIDING_CALLS: Final = 10
BLOCKED_SHARE: Final = 0.9
_PAGE: Final = "docs/CLIENTS.md"
LoopName = Literal["gevent", "asyncio"]


@dataclass(slots=True)
class LongCalls:
    """The first calls of a method that took 2 ms or more; `blocked` ones never let the loop poll.

    After the deciding ones `decided` is set, and no more are counted.
    """

    calls: int = 0
    blocked: int = 0
    decided: bool = False


class BlockingWatch:
    """Watches the calls of one load process.

    `polls` counts how often its event loop has polled for events.
    """

    def __init__(self, polls: Callable[[], int] | None = None) -> None:
        self.polls = polls or gevent_polls()
        self._methods: dict[str, LongCalls] = {}

    def check(
        self, method: Callable[..., Any], service_ns: int, polls: int, loop: LoopName
    ) -> None:
        """Note a call; `polls` is how often the loop that it was made in polled meanwhile.

        Raises UsageError, which ends the run, once the method has proved to block.
        """
        if service_ns < LONG_NS:
            return
        name = method_name(method)
        seen = self._methods.setdefault(name, LongCalls())
        if seen.decided:
            return
        seen.calls += 1
        seen.blocked += polls == 0
        if seen.calls < DECIDING_CALLS:
            return
        seen.decided = True
        if seen.blocked >= BLOCKED_SHARE * seen.calls:
            raise blocking_error(name, seen, loop)


def gevent_polls() -> Callable[[], int]:
    """Counts the rounds of gevent's event loop; each of them polls for events once."""
    loop = gevent.get_hub().loop
    return lambda: loop.iteration


def method_name(method: Callable[..., Any]) -> str:
    """Module, class and name of a store's method, as its author knows it."""
    name = getattr(method, "__qualname__", type(method).__qualname__)
    return f"{getattr(method, '__module__', type(method).__module__)}.{name}"


def blocking_error(name: str, seen: LongCalls, loop: LoopName) -> UsageError:
    """The error that a blocking method ends the run with."""
    return UsageError(
        f"{name} blocks {loop}'s event loop: {seen.blocked} of its "
        f"first {seen.calls} calls of 2 ms or more did not return to it once, and no other call"
        " can go on meanwhile.",
        hint="Await the client's own asyncio interface, or `asyncio.to_thread(…)` for the part"
        f" that blocks: {_PAGE}."
        if loop == "asyncio"
        else "Use a client that waits in Python's sockets, which gevent replaces, or an asyncio"
        f" client: {_PAGE}.",
    )


def refuse_coroutine(method: Callable[..., Any], result: object) -> None:
    """Raise UsageError for a method that returned a coroutine, which nobody awaits."""
    if not isinstance(result, CoroutineType):
        return
    result.close()
    raise UsageError(
        f"{method_name(method)} returned a coroutine instead of a result, so nothing was called.",
        hint="Define the method with `async def`; it is then awaited.",
    )
