"""One driver, as many calls as it can make, in a process of its own: called by experiments.drivers.

Reads its orders as JSON on standard input, and writes one JSON object of `Measured` by pattern.
CPU time is this process's alone, from the first measured call to the last; connections are open,
code is warm and the garbage collector frozen by then.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

GREENLETS = {"wire", "boto3", "psycopg"}


@dataclass(frozen=True, slots=True)
class Measured:
    """Calls made, CPU and wall seconds they took."""

    calls: int
    cpu_s: float
    wall_s: float


@dataclass(frozen=True, slots=True)
class Line:
    user_id: str
    book_id: str


def main() -> None:
    orders = json.load(sys.stdin)
    if orders["driver"] in GREENLETS and orders["connections"] > 1:
        from gevent import monkey

        monkey.patch_all()
    lines = [Line(*pair) for pair in orders["lines"]]
    if orders["driver"] in {"aioboto3", "aiodynamo"}:
        measured = asyncio.run(_run_async(orders, lines))
    elif orders["connections"] == 1:
        measured = _run_alone(orders, lines)
    else:
        measured = _run_greenlets(orders, lines)
    json.dump({pattern: asdict(found) for pattern, found in measured.items()}, sys.stdout)


def _endpoints(orders: dict[str, Any]) -> Any:
    from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint

    url, dsn = orders.get("url"), orders.get("dsn")
    return Endpoints(
        dynamodb=DynamoDBEndpoint(url) if url else None,
        postgres=PostgresEndpoint(dsn) if dsn else None,
    )


def _call(store: Any, pattern: str, line: Line) -> Callable[[], Any]:
    now = datetime.now(UTC)
    return {
        "cart.get_item": lambda: store.get_item(line.user_id, line.book_id),
        "cart.get": lambda: store.get(line.user_id),
        "cart.update": lambda: store.update(line.user_id, line.book_id, 2, now),
    }[pattern]


def _run_alone(orders: dict[str, Any], lines: list[Line]) -> dict[str, Measured]:
    from loadtests.stores.open import open_cart_store

    store = open_cart_store(orders["driver"], _endpoints(orders))
    found = {}
    for pattern in orders["patterns"]:
        call = _call(store, pattern, lines[0])
        _repeat(call, orders["warm_s"])
        found[pattern] = _stopwatch(lambda call=call: _repeat(call, orders["seconds"]))
    store.close()
    return found


def _run_greenlets(orders: dict[str, Any], lines: list[Line]) -> dict[str, Measured]:
    import gevent

    from loadtests.stores.open import open_cart_store

    stores = [open_cart_store(orders["driver"], _endpoints(orders)) for _ in lines]

    def together(pattern: str, seconds: float) -> int:
        calls = [_call(store, pattern, line) for store, line in zip(stores, lines, strict=True)]
        greenlets = [gevent.spawn(_repeat, call, seconds) for call in calls]
        gevent.joinall(greenlets, raise_error=True)
        return sum(greenlet.value for greenlet in greenlets)

    found = {}
    for pattern in orders["patterns"]:
        together(pattern, orders["warm_s"])
        found[pattern] = _stopwatch(lambda pattern=pattern: together(pattern, orders["seconds"]))
    for store in stores:
        store.close()
    return found


def _repeat(call: Callable[[], Any], seconds: float) -> int:
    until = time.perf_counter() + seconds
    calls = 0
    while time.perf_counter() < until:
        call()
        calls += 1
    return calls


def _stopwatch(work: Callable[[], int]) -> Measured:
    gc.collect()
    gc.freeze()
    wall, cpu = time.perf_counter(), time.process_time()
    calls = work()
    return Measured(calls, time.process_time() - cpu, time.perf_counter() - wall)


async def _run_async(orders: dict[str, Any], lines: list[Line]) -> dict[str, Measured]:
    from loadtests.stores.open import open_async_cart_store

    if orders["driver"] == "aiodynamo":
        return await _run_aiodynamo(orders, lines)
    stores = [open_async_cart_store(orders["driver"], _endpoints(orders)) for _ in lines]
    found = {}
    for pattern in orders["patterns"]:
        calls = [_call(store, pattern, line) for store, line in zip(stores, lines, strict=True)]
        found[pattern] = await _measure_async(calls, orders)
    for store in stores:
        await store.close()
    return found


async def _run_aiodynamo(orders: dict[str, Any], lines: list[Line]) -> dict[str, Measured]:
    """aiodynamo as its documentation shows it; its items stay dictionaries."""
    import aiohttp
    from aiodynamo.client import URL, Client
    from aiodynamo.credentials import Key, StaticCredentials
    from aiodynamo.expressions import HashKey
    from aiodynamo.http.aiohttp import AIOHTTP

    connector = aiohttp.TCPConnector(limit=len(lines))
    async with aiohttp.ClientSession(connector=connector) as session:
        client = Client(
            AIOHTTP(session),
            StaticCredentials(Key("AKID", "secret")),
            "us-east-1",
            endpoint=URL(orders["url"]),
        )
        carts = client.table("cloudshelf-carts")

        async def all_lines(user_id: str) -> list[Any]:
            found = carts.query(HashKey("user_id", user_id), consistent_read=True)
            return [item async for item in found]

        def call(pattern: str, line: Line) -> Callable[[], Awaitable[Any]]:
            key = {"user_id": line.user_id, "book_id": line.book_id}
            if pattern == "cart.get_item":
                return lambda: carts.get_item(key, consistent_read=True)
            return lambda: all_lines(line.user_id)

        return {
            pattern: await _measure_async([call(pattern, line) for line in lines], orders)
            for pattern in orders["patterns"]
            if pattern != "cart.update"  # the scripted server knows CloudShelf's own texts only
        }


async def _measure_async(
    calls: list[Callable[[], Awaitable[Any]]], orders: dict[str, Any]
) -> Measured:
    async def repeat(call: Callable[[], Awaitable[Any]], seconds: float) -> int:
        until = time.perf_counter() + seconds
        count = 0
        while time.perf_counter() < until:
            await call()
            count += 1
        return count

    await asyncio.gather(*[repeat(call, orders["warm_s"]) for call in calls])
    gc.collect()
    gc.freeze()
    wall, cpu = time.perf_counter(), time.process_time()
    counts = await asyncio.gather(*[repeat(call, orders["seconds"]) for call in calls])
    return Measured(sum(counts), time.process_time() - cpu, time.perf_counter() - wall)


if __name__ == "__main__":
    main()
