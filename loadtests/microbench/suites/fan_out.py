"""Several calls that a page needs together: gathered by asyncio drivers, in turn by the others.

A store serves one caller at a time, so what runs at once has a store, and a connection, each: for
asyncpg that is a pool, for aioboto3 it is as good as one client with so many connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from loadtests.errors import ResponseInvalid
from loadtests.microbench.suites import calls
from loadtests.microbench.suites.bench import Bench, open_store
from loadtests.microbench.suites.cases import Call, Case
from loadtests.stores.open import ASYNC_DRIVERS

CARTS: Final = 10


def open_page(bench: Bench, driver: str) -> Case:
    """Get a cart, refresh its session, store its summary."""
    awaited = driver in ASYNC_DRIVERS
    carts = bench.cart_store(driver)
    sessions = bench.session_store(driver)
    others = bench.keep(open_store(driver, "sessions", bench.endpoints)) if awaited else sessions

    def next_call() -> Call:
        visits, now = bench.sessions(driver), datetime.now(UTC)
        session_id = visits.any_id()
        return together(
            [
                calls.get_cart(carts, bench.carts(driver)),
                Call(sessions.refresh, (session_id, now)),
                Call(others.store_summary, (session_id, visits.summary(), now)),
            ],
            awaited,
        )

    return Case(next_call, awaited)


def open_ten_carts(bench: Bench, driver: str) -> Case:
    """Get ten carts."""
    awaited = driver in ASYNC_DRIVERS
    count = CARTS if awaited else 1
    stores = [bench.keep(open_store(driver, "carts", bench.endpoints)) for _ in range(count)]

    def next_call() -> Call:
        work = bench.carts(driver)
        made = [calls.get_cart(stores[i % count], work) for i in range(CARTS)]
        return together(made, awaited)

    return Case(next_call, awaited)


def together(made: Sequence[Call], awaited: bool) -> Call:
    """The calls as one: at once when awaited, else one after the other. Checks every answer."""

    def settle(answers: Sequence[Any]) -> None:
        if len(answers) != len(made):
            raise ResponseInvalid("an answer is missing")
        for call, answer in zip(made, answers, strict=True):
            call.settle(answer)

    function: Callable[..., Any] = _at_once if awaited else _in_turn
    return Call(function, (made,), settle)


async def _at_once(made: Sequence[Call]) -> list[Any]:
    started = [call.function(*call.args) for call in made]
    answers = await asyncio.gather(*started, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers


def _in_turn(made: Sequence[Call]) -> list[Any]:
    return [call.function(*call.args) for call in made]
