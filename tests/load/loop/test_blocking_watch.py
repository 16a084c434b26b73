"""Clients that block an event loop are found by what the loop does, not by how long they take."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

import gevent
import pytest

from loadtests.errors import UsageError
from loadtests.load.loop.blocking_watch import (
    DECIDING_CALLS,
    LONG_NS,
    BlockingWatch,
    refuse_coroutine,
)
from loadtests.stores.asyncio_calls import as_blocking

NAME = f"{__name__}.Store.find"


class Store:
    def find(self) -> None: ...

    def other(self) -> None: ...

    async def awaited(self) -> None: ...


def check(watch: BlockingWatch, *calls: tuple[int, int], method: Any = None) -> list[UsageError]:
    """Note calls of (service time, polls); the errors."""
    errors = []
    for service_ns, polls in calls:
        try:
            watch.check(method or Store().find, service_ns, polls, "gevent")
        except UsageError as error:
            errors.append(error)
    return errors


def watch() -> BlockingWatch:
    return BlockingWatch(lambda: 0)


BLOCKED, WAITED = (LONG_NS, 0), (LONG_NS, 1)


def test_a_method_that_never_lets_the_loop_poll_is_named_once() -> None:
    here = watch()
    assert check(here, *[BLOCKED] * (DECIDING_CALLS - 1)) == []
    [error] = check(here, BLOCKED)
    assert error.message.startswith(f"{NAME} blocks gevent's event loop: 10 of its first 10 calls")
    assert "docs/CLIENTS.md" in error.hint
    assert error.exit_code == 2
    assert check(here, *[BLOCKED] * 20) == []


@pytest.mark.parametrize(
    ("calls", "errors"),
    [
        ([*[BLOCKED] * 9, WAITED], 1),
        ([*[BLOCKED] * 8, *[WAITED] * 2], 0),  # stalls between a request and the first read
        ([WAITED] * 50, 0),  # slow, and cooperative
        ([(LONG_NS - 1, 0)] * 50, 0),  # CPU time, and the response was there at once
        ([*[WAITED] * 10, *[BLOCKED] * 50], 0),  # the first ten decide
        ([(LONG_NS - 1, 0)] * 50 + [BLOCKED] * 10, 1),
    ],
)
def test_the_first_ten_long_calls_decide(calls: list[tuple[int, int]], errors: int) -> None:
    assert len(check(watch(), *calls)) == errors


def test_each_method_is_judged_by_its_own_calls() -> None:
    here = watch()
    assert check(here, *[BLOCKED] * 9) == []
    assert check(here, *[BLOCKED] * 9, method=Store().other) == []
    [error] = check(here, BLOCKED)
    assert error.message.startswith(NAME)


def test_asyncios_loop_has_a_remedy_of_its_own() -> None:
    here, method = watch(), as_blocking(Store()).awaited
    for _ in range(DECIDING_CALLS - 1):
        here.check(method, LONG_NS, 0, "asyncio")
    with pytest.raises(UsageError, match=r"Store\.awaited blocks asyncio's event loop") as caught:
        here.check(method, LONG_NS, 0, "asyncio")
    assert "asyncio.to_thread" in caught.value.hint


def polled_during(call: Callable[[], object]) -> bool:
    here = BlockingWatch()

    def counted() -> int:
        before = here.polls()
        call()
        return here.polls() - before

    polls: int = gevent.spawn(counted).get(timeout=60)
    return polls > 0


def test_gevents_loop_polls_while_a_call_waits_as_it_should() -> None:
    assert polled_during(lambda: gevent.sleep(0.0001))
    assert not polled_during(lambda: time.sleep(0.0001))  # these tests run unpatched
    assert not polled_during(lambda: sum(range(100)))


def test_a_coroutine_that_nobody_awaits_is_an_error() -> None:
    coroutine: Coroutine[Any, Any, None] = Store().awaited()
    with pytest.raises(UsageError, match=r"Store\.awaited returned a coroutine"):
        refuse_coroutine(Store().awaited, coroutine)
    refuse_coroutine(Store().find, None)
