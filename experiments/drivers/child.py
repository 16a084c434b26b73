"""Measures one driver in a process of its own: as many calls as it can make.

Run as `python -m experiments.drivers.child`. It reads a `DriverOrder` as JSON on standard input and
writes one JSON object, a `DriverCost` per access pattern. CPU time is that of this process from the
first measured call to the last. By then connections are open, code is warm, and the garbage
collector is frozen.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from loadtests.stores import AsyncCartStore, CartStore
    from loadtests.targets.endpoints import Endpoints

GREENLET_DRIVERS: Final = {"wire", "boto3", "psycopg"}
ASYNC_DRIVERS: Final = {"aioboto3", "aiodynamo"}


class CartLine(NamedTuple):
    """The key of one line of a cart."""

    user_id: str
    book_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverOrder:
    """What to measure: a driver, one caller per entry of `lines`, on a URL or a DSN."""

    driver: str
    lines: Sequence[CartLine]
    patterns: Sequence[str]
    warm_up_s: float
    measured_s: float
    url: str | None = None
    dsn: str | None = None

    @classmethod
    def from_json(cls, text: str) -> DriverOrder:
        """Read what `json.dumps(asdict(order))` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "lines": [CartLine(*line) for line in fields["lines"]]})


@dataclass(frozen=True, slots=True)
class DriverCost:
    """Calls made, and the CPU and wall seconds that they took."""

    calls: int
    cpu_s: float
    wall_s: float

    @property
    def cpu_us_per_call(self) -> float:
        """Microseconds of CPU per call."""
        return self.cpu_s / self.calls * 1e6


def main() -> None:
    """Measure as standard input says."""
    order = DriverOrder.from_json(sys.stdin.read())
    if order.driver in GREENLET_DRIVERS and len(order.lines) > 1:
        from gevent import monkey

        monkey.patch_all()
    if order.driver in ASYNC_DRIVERS:
        costs = asyncio.run(_run_async(order))
    elif len(order.lines) == 1:
        costs = _run_alone(order)
    else:
        costs = _run_greenlets(order)
    json.dump({pattern: asdict(cost) for pattern, cost in costs.items()}, sys.stdout)


def _endpoints(order: DriverOrder) -> Endpoints:
    from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint

    return Endpoints(
        dynamodb=DynamoDBEndpoint(order.url) if order.url else None,
        postgres=PostgresEndpoint(order.dsn) if order.dsn else None,
    )


def _blocking_call(store: CartStore, pattern: str, line: CartLine) -> Callable[[], object]:
    now = datetime.now(UTC)
    calls: dict[str, Callable[[], object]] = {
        "cart.get_item": lambda: store.get_item(line.user_id, line.book_id),
        "cart.get": lambda: store.get(line.user_id),
        "cart.update": lambda: store.update(line.user_id, line.book_id, 2, now),
    }
    return calls[pattern]


def _awaited_call(
    store: AsyncCartStore, pattern: str, line: CartLine
) -> Callable[[], Awaitable[object]]:
    now = datetime.now(UTC)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "cart.get_item": lambda: store.get_item(line.user_id, line.book_id),
        "cart.get": lambda: store.get(line.user_id),
        "cart.update": lambda: store.update(line.user_id, line.book_id, 2, now),
    }
    return calls[pattern]


def _run_alone(order: DriverOrder) -> dict[str, DriverCost]:
    from loadtests.stores.open import open_cart_store

    store = open_cart_store(order.driver, _endpoints(order))
    costs = {}
    for pattern in order.patterns:
        call = _blocking_call(store, pattern, order.lines[0])
        _repeat(call, order.warm_up_s)
        costs[pattern] = _measure(partial(_repeat, call, order.measured_s))
    store.close()
    return costs


def _run_greenlets(order: DriverOrder) -> dict[str, DriverCost]:
    import gevent

    from loadtests.stores.open import open_cart_store

    stores = [open_cart_store(order.driver, _endpoints(order)) for _ in order.lines]

    def call_all(pattern: str, seconds: float) -> int:
        calls = [
            _blocking_call(store, pattern, line)
            for store, line in zip(stores, order.lines, strict=True)
        ]
        greenlets = [gevent.spawn(_repeat, call, seconds) for call in calls]
        gevent.joinall(greenlets, raise_error=True)
        return sum(greenlet.value for greenlet in greenlets)

    costs = {}
    for pattern in order.patterns:
        call_all(pattern, order.warm_up_s)
        costs[pattern] = _measure(partial(call_all, pattern, order.measured_s))
    for store in stores:
        store.close()
    return costs


def _repeat(call: Callable[[], object], seconds: float) -> int:
    until = time.perf_counter() + seconds
    calls = 0
    while time.perf_counter() < until:
        call()
        calls += 1
    return calls


def _measure(work: Callable[[], int]) -> DriverCost:
    gc.collect()
    gc.freeze()
    wall, cpu = time.perf_counter(), time.process_time()
    calls = work()
    return DriverCost(calls, time.process_time() - cpu, time.perf_counter() - wall)


async def _run_async(order: DriverOrder) -> dict[str, DriverCost]:
    from loadtests.stores.open import open_async_cart_store

    if order.driver == "aiodynamo":
        return await _run_aiodynamo(order)
    stores = [open_async_cart_store(order.driver, _endpoints(order)) for _ in order.lines]
    costs = {}
    for pattern in order.patterns:
        calls = [
            _awaited_call(store, pattern, line)
            for store, line in zip(stores, order.lines, strict=True)
        ]
        costs[pattern] = await _measure_async(calls, order)
    for store in stores:
        await store.close()
    return costs


async def _run_aiodynamo(order: DriverOrder) -> dict[str, DriverCost]:
    """Use aiodynamo as its documentation shows it; its items stay dictionaries."""
    import aiohttp
    from aiodynamo.client import Client
    from aiodynamo.credentials import Key, StaticCredentials
    from aiodynamo.expressions import HashKey
    from aiodynamo.http.aiohttp import AIOHTTP
    from yarl import URL

    connector = aiohttp.TCPConnector(limit=len(order.lines))
    async with aiohttp.ClientSession(connector=connector) as session:
        client = Client(
            AIOHTTP(session),
            StaticCredentials(Key("AKID", "secret")),
            "us-east-1",
            endpoint=URL(str(order.url)),
        )
        carts = client.table("cloudshelf-carts")

        async def all_lines(user_id: str) -> list[object]:
            lines = carts.query(HashKey("user_id", user_id), consistent_read=True)
            return [line async for line in lines]

        def call(pattern: str, line: CartLine) -> Callable[[], Awaitable[object]]:
            key = {"user_id": line.user_id, "book_id": line.book_id}
            if pattern == "cart.get_item":
                return lambda: carts.get_item(key, consistent_read=True)
            return lambda: all_lines(line.user_id)

        return {
            pattern: await _measure_async([call(pattern, line) for line in order.lines], order)
            for pattern in order.patterns
            if pattern != "cart.update"  # the scripted server accepts CloudShelf's expressions only
        }


async def _measure_async(
    calls: Sequence[Callable[[], Awaitable[object]]], order: DriverOrder
) -> DriverCost:
    async def repeat(call: Callable[[], Awaitable[object]], seconds: float) -> int:
        until = time.perf_counter() + seconds
        count = 0
        while time.perf_counter() < until:
            await call()
            count += 1
        return count

    await asyncio.gather(*[repeat(call, order.warm_up_s) for call in calls])
    gc.collect()
    gc.freeze()
    wall, cpu = time.perf_counter(), time.process_time()
    counts = await asyncio.gather(*[repeat(call, order.measured_s) for call in calls])
    return DriverCost(sum(counts), time.process_time() - cpu, time.perf_counter() - wall)


if __name__ == "__main__":
    main()
