"""Several calls that a page needs: concurrent through asyncio drivers, sequential through others.

A store serves one caller at a time, so each concurrent call has its own store and connection. For
asyncpg that is a pool; for aioboto3 it equals one client with that number of connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final, cast

from loadtests.errors import ResponseInvalid
from loadtests.microbench.suites import calls
from loadtests.microbench.suites.bench import Bench, open_carts, open_sessions
from loadtests.microbench.suites.cases import Call, Case
from loadtests.stores.open import ASYNC_DRIVERS

CARTS: Final = 10


def open_page(bench: Bench, driver: str) -> Case:
    """Get a cart, refresh its session, store its summary."""
    awaited = driver in ASYNC_DRIVERS
    carts = bench.cart_store(driver)
    sessions = bench.session_store(driver)
    summaries = bench.closing(open_sessions(driver, bench.endpoints)) if awaited else sessions

    def next_call() -> Call:
        work, now = bench.sessions(driver), datetime.now(UTC)
        session_id = work.any_id()
        return combine(
            [
                calls.get_cart(carts, bench.carts(driver)),
                Call(sessions.refresh, (session_id, now)),
                Call(summaries.store_summary, (session_id, work.summary(), now)),
            ],
            awaited=awaited,
        )

    return Case(next_call, awaited)


def open_ten_carts(bench: Bench, driver: str) -> Case:
    """Get ten carts."""
    awaited = driver in ASYNC_DRIVERS
    count = CARTS if awaited else 1
    stores = [bench.closing(open_carts(driver, bench.endpoints)) for _ in range(count)]

    def next_call() -> Call:
        work = bench.carts(driver)
        return combine(
            [calls.get_cart(stores[i % count], work) for i in range(CARTS)], awaited=awaited
        )

    return Case(next_call, awaited)


def combine(parts: Sequence[Call], *, awaited: bool) -> Call:
    """Several calls as one: concurrent when awaited, else sequential. Checks every answer."""

    def settle(answers: Sequence[object]) -> None:
        if len(answers) != len(parts):
            raise ResponseInvalid("an answer is missing")
        for call, answer in zip(parts, answers, strict=True):
            call.settle(answer)

    function: Callable[..., object] = _call_concurrently if awaited else _call_sequentially
    return Call(function, (parts,), settle)


async def _call_concurrently(parts: Sequence[Call]) -> list[object]:
    started = [cast("Awaitable[object]", call.function(*call.args)) for call in parts]
    answers = await asyncio.gather(*started, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return list(answers)


def _call_sequentially(parts: Sequence[Call]) -> list[object]:
    return [call.function(*call.args) for call in parts]
