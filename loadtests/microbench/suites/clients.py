"""Client configurations that decide latency in Lambda, as stores and calls to compare.

Embedded DynamoDB speaks plain HTTP; on a real table (`LOADTESTS_DYNAMODB_ENDPOINT=aws`) the same
benchmarks include TLS, which is most of a first call.
"""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import aioboto3
import asyncpg
import boto3
import psycopg
from botocore.config import Config

from loadtests.errors import ResponseInvalid
from loadtests.microbench.suites import calls
from loadtests.microbench.suites.bench import Bench, open_store
from loadtests.microbench.suites.cases import Call, Case
from loadtests.patterns import CARTS_TABLE
from loadtests.stores import TIMEOUT_S
from loadtests.stores.dynamodb.aioboto3 import Aioboto3CartStore
from loadtests.stores.dynamodb.boto3 import Boto3CartStore
from loadtests.stores.dynamodb.botocore_client import (
    CLIENT_ERRORS,
    client_error,
    client_settings,
    config_settings,
)
from loadtests.stores.dynamodb.requests import get_cart
from loadtests.stores.dynamodb.wire import WireCartStore
from loadtests.stores.open import ASYNC_DRIVERS
from loadtests.stores.postgres.asyncpg import to_uri
from loadtests.targets.endpoints import DynamoDBEndpoint, PostgresEndpoint

AT_ONCE: Final = 10
# Clients leave much garbage behind: none of it is to be collected during somebody else's call.
COLLECT: Final = Call(gc.collect)


class NoKeepAliveStore(Boto3CartStore):
    """A connection a call: every request asks the server to close."""

    def __init__(self, endpoint: DynamoDBEndpoint) -> None:
        super().__init__(endpoint)
        self._client.meta.events.register("before-send.dynamodb", _close_after)


def _close_after(request: Any, **_: Any) -> None:
    request.headers["Connection"] = "close"


class ResourceStore:
    """boto3's resource API: `Table.get_item`, with its own conversion of types."""

    def __init__(self, endpoint: DynamoDBEndpoint) -> None:
        config = Config(**config_settings(endpoint, TIMEOUT_S))
        self._resource = boto3.session.Session().resource(
            "dynamodb", config=config, **client_settings(endpoint)
        )
        self._table = self._resource.Table(CARTS_TABLE)

    def get_item(self, user_id: str, book_id: str) -> dict[str, Any] | None:
        """One line as the resource API gives it, or None."""
        found: dict[str, Any] | None = self._table.get_item(
            Key={"user_id": user_id, "book_id": book_id}, ConsistentRead=True
        ).get("Item")
        return found

    def close(self) -> None:
        """Close the connection."""
        self._resource.meta.client.close()


def dynamodb(bench: Bench) -> DynamoDBEndpoint:
    """The endpoint, where DynamoDB takes part."""
    assert bench.endpoints.dynamodb
    return bench.endpoints.dynamodb


def postgres(bench: Bench) -> PostgresEndpoint:
    """The endpoint, where PostgreSQL takes part."""
    assert bench.endpoints.postgres
    return bench.endpoints.postgres


def open_reads(bench: Bench, variant: str) -> Case:
    """cart.get_item through boto3 in one configuration, over one kept connection but for one."""
    endpoint = dynamodb(bench)
    work = bench.carts("boto3")
    if variant == "resource API":
        table = bench.keep(ResourceStore(endpoint))
        return Case(lambda: _resource_call(table, work))
    store = bench.keep(_configured(endpoint, variant))
    return Case(partial(calls.get_item, store, work))


def _configured(endpoint: DynamoDBEndpoint, variant: str) -> Boto3CartStore:
    match variant:
        case "client API":
            return Boto3CartStore(endpoint)
        case "no keep-alive":
            return NoKeepAliveStore(endpoint)
        case "no parameter validation":
            return Boto3CartStore(endpoint, config={"parameter_validation": False})
        case "pool of 50":
            return Boto3CartStore(endpoint, config={"max_pool_connections": 50})
    return Boto3CartStore(endpoint, consistent=False)


def open_wire_reads(bench: Bench, consistent: bool) -> Case:
    """cart.get_item through the lean driver, consistent or eventual."""
    store = bench.keep(WireCartStore(dynamodb(bench), consistent=consistent))
    return Case(partial(calls.get_item, store, bench.carts("wire")))


def _resource_call(table: ResourceStore, work: Any) -> Call:
    cart, book_id = work.any_line()

    def settle(found: dict[str, Any] | None) -> None:
        if found is None or int(found["quantity"]) != cart.lines.get(book_id):
            raise ResponseInvalid(f"line {book_id} is not as it was written")

    return Call(table.get_item, (cart.user_id, book_id), settle)


class ReadyAioboto3Store(Aioboto3CartStore):
    """Its client made before the first call, as boto3's store has it."""

    async def make_ready(self) -> None:
        """Make the client; it connects with the first call."""
        await self._connect()


def open_first_call(bench: Bench, driver: str) -> Case:
    """The first cart.get_item of a new client: what it costs to connect, and to learn."""
    opened: list[Any] = []

    async def ready() -> Call:
        store = ReadyAioboto3Store(dynamodb(bench))
        opened.append(store)
        await store.make_ready()
        return calls.get_item(store, bench.carts(driver))

    def next_call() -> Call:
        store = open_store(driver, "carts", bench.endpoints)
        opened.append(store)
        return calls.get_item(store, bench.carts(driver))

    def tidy() -> list[Call]:
        closing = [Call(store.close) for store in opened]
        opened.clear()
        return [*closing, COLLECT]

    return Case(ready if driver == "aioboto3" else next_call, driver in ASYNC_DRIVERS, tidy)


def open_warm_call(bench: Bench, driver: str) -> Case:
    """cart.get_item on the store that all benchmarks of the driver use."""
    store = bench.cart_store(driver)
    return Case(partial(calls.get_item, store, bench.carts(driver)), driver in ASYNC_DRIVERS)


def open_creation(bench: Bench, what: str) -> Case:
    """Making a client, or a connection where the client is one; closed untimed."""
    made: list[Any] = []
    function = _CREATIONS[what]
    endpoint: Any = postgres(bench) if "connection" in what else dynamodb(bench)
    awaited = asyncio.iscoroutinefunction(function)

    def tidy() -> list[Call]:
        closing = [Call(one.close) for one in made]
        made.clear()
        return [*closing, COLLECT]

    return Case(lambda: Call(function, (endpoint,), made.append), awaited, tidy)


def _new_session_client(endpoint: DynamoDBEndpoint) -> Any:
    return _client(boto3.session.Session(), endpoint)


def _client(session: Any, endpoint: DynamoDBEndpoint, connections: int = 1) -> Any:
    settings = config_settings(endpoint, TIMEOUT_S) | {"max_pool_connections": connections}
    return session.client("dynamodb", config=Config(**settings), **client_settings(endpoint))


async def _new_aio_client(endpoint: DynamoDBEndpoint) -> Any:
    return await aioboto3.Session().client("dynamodb", **client_settings(endpoint)).__aenter__()


async def _asyncpg(endpoint: PostgresEndpoint) -> Any:
    return await asyncpg.connect(to_uri(endpoint.dsn))


def _psycopg(endpoint: PostgresEndpoint) -> Any:
    return psycopg.connect(endpoint.dsn)


_CREATIONS: Final[dict[str, Any]] = {
    "boto3 client, new session": _new_session_client,
    "boto3 client, same session": Boto3CartStore,
    "boto3 resource, new session": ResourceStore,
    "aioboto3 client, new session": _new_aio_client,
    "psycopg connection": _psycopg,
    "asyncpg connection": _asyncpg,
}
CREATIONS: Final = tuple(_CREATIONS)


def open_threads(bench: Bench, connections: int) -> Case:
    """Ten carts at once through one boto3 client, ten threads and a pool of so many connections."""
    client = bench.keep(_client(boto3.session.Session(), dynamodb(bench), connections))
    threads = bench.keep(_Threads())
    work = bench.carts("boto3")

    def next_call() -> Call:
        users = [work.any_cart().user_id for _ in range(AT_ONCE)]
        return Call(threads.map, (partial(_query, client), users))

    return Case(next_call)


class _Threads:
    """Ten threads that live as long as the benchmark."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE)

    def map(self, function: Any, arguments: list[str]) -> list[Any]:
        return list(self._pool.map(function, arguments))

    def close(self) -> None:
        self._pool.shutdown()


def _query(client: Any, user_id: str) -> Any:
    request = get_cart(user_id)
    try:
        return client.query(**request.body)["Items"]
    except CLIENT_ERRORS as error:
        raise client_error(request, error, TIMEOUT_S) from error
