"""Client configurations that decide latency in Lambda, as stores and calls to compare.

Embedded DynamoDB uses plain HTTP. On a real table (`LOADTESTS_DYNAMODB_ENDPOINT=aws`) the same
benchmarks include TLS, which is most of a first call.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import psycopg
from aiobotocore.config import AioConfig
from botocore.config import Config

from loadtests.errors import ResponseInvalid
from loadtests.load.workload import Carts
from loadtests.microbench.suites import calls
from loadtests.microbench.suites.bench import Bench, Closable, open_carts
from loadtests.microbench.suites.cases import Call, Case
from loadtests.patterns import CARTS_TABLE
from loadtests.stores import TIMEOUT_S
from loadtests.stores.dynamodb.aioboto3 import Aioboto3CartStore, new_aio_session
from loadtests.stores.dynamodb.boto3 import Boto3CartStore
from loadtests.stores.dynamodb.botocore_client import (
    CLIENT_ERRORS,
    client_error,
    config_settings,
)
from loadtests.stores.dynamodb.requests import get_cart
from loadtests.stores.dynamodb.wire import WireCartStore
from loadtests.stores.open import ASYNC_DRIVERS
from loadtests.targets.dynamodb.client import client_settings, new_session
from loadtests.targets.endpoints import DynamoDBEndpoint, PostgresEndpoint
from loadtests.targets.postgres.asyncpg_settings import asyncpg_settings
from loadtests.targets.postgres.connect import connect
from loadtests.targets.postgres.conninfo import hidden_variables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

THREADS: Final = 10
BOTO3_VARIANTS: Final = (
    "client API",
    "resource API",
    "no parameter validation",
    "no keep-alive",
    "pool of 50",
    "eventual read",
)
# Clients leave much garbage: none of it may be collected during another client's call.
COLLECT: Final = Call(gc.collect)


class NoKeepAliveStore(Boto3CartStore):
    """One connection per call: every request asks the server to close it."""

    def __init__(self, endpoint: DynamoDBEndpoint) -> None:
        super().__init__(endpoint)
        self._client.meta.events.register("before-send.dynamodb", _close_after)


def _close_after(request: Any, **_: object) -> None:  # botocore's request, which has no type
    request.headers["Connection"] = "close"


class ResourceStore:
    """boto3's resource API: `Table.get_item`, with its own conversion of types."""

    def __init__(self, endpoint: DynamoDBEndpoint) -> None:
        config = Config(**config_settings(TIMEOUT_S))
        self._resource = new_session(endpoint).resource(
            "dynamodb", config=config, **client_settings(endpoint)
        )
        self._table = self._resource.Table(CARTS_TABLE)

    def get_item(self, user_id: str, book_id: str) -> Mapping[str, object] | None:
        """One line as the resource API gives it, or None."""
        return self._table.get_item(
            Key={"user_id": user_id, "book_id": book_id}, ConsistentRead=True
        ).get("Item")

    def close(self) -> None:
        """Close the connection."""
        self._resource.meta.client.close()


def dynamodb(bench: Bench) -> DynamoDBEndpoint:
    """The endpoint of DynamoDB, which takes part."""
    assert bench.endpoints.dynamodb
    return bench.endpoints.dynamodb


def postgres(bench: Bench) -> PostgresEndpoint:
    """The endpoint of PostgreSQL, which takes part."""
    assert bench.endpoints.postgres
    return bench.endpoints.postgres


def open_reads(bench: Bench, variant: str) -> Case:
    """cart.get_item through boto3 in one of BOTO3_VARIANTS, on a keep-alive connection if any."""
    endpoint = dynamodb(bench)
    work = bench.carts("boto3")
    if variant == "resource API":
        return Case(partial(_resource_call, bench.closing(ResourceStore(endpoint)), work))
    store = bench.closing(_configured(endpoint, variant))
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
    """cart.get_item through the wire driver, consistent or eventual."""
    store = bench.closing(WireCartStore(dynamodb(bench), consistent=consistent))
    return Case(partial(calls.get_item, store, bench.carts("wire")))


def _resource_call(store: ResourceStore, work: Carts) -> Call:
    cart, book_id = work.any_line()

    def settle(line: Mapping[str, object] | None) -> None:
        if line is None or int(str(line["quantity"])) != cart.lines.get(book_id):
            raise ResponseInvalid(f"line {book_id} is not as it was written")

    return Call(store.get_item, (cart.user_id, book_id), settle)


class ReadyAioboto3Store(Aioboto3CartStore):
    """Its client is made before the first call, as in boto3's store."""

    async def make_ready(self) -> None:
        """Make the client; it connects with the first call."""
        await self._connect()


def open_first_call(bench: Bench, driver: str) -> Case:
    """The first cart.get_item of a new client: it connects, and loads what it needs."""
    opened: list[Closable] = []

    async def next_awaited_call() -> Call:
        store = ReadyAioboto3Store(dynamodb(bench))
        opened.append(store)
        await store.make_ready()
        return calls.get_item(store, bench.carts(driver))

    def next_call() -> Call:
        store = open_carts(driver, bench.endpoints)
        opened.append(store)
        return calls.get_item(store, bench.carts(driver))

    def tidy() -> list[Call]:
        closing = [Call(store.close) for store in opened]
        opened.clear()
        return [*closing, COLLECT]

    prepare = next_awaited_call if driver == "aioboto3" else next_call
    return Case(prepare, driver in ASYNC_DRIVERS, tidy)


def open_warm_call(bench: Bench, driver: str) -> Case:
    """cart.get_item on the store that all benchmarks of the driver use."""
    store = bench.cart_store(driver)
    return Case(partial(calls.get_item, store, bench.carts(driver)), driver in ASYNC_DRIVERS)


def open_creation(bench: Bench, name: str) -> Case:
    """Making one of CREATIONS: a client, or a connection where that is the client."""
    clients: list[Closable] = []

    def tidy() -> list[Call]:
        closing = [Call(client.close) for client in clients]
        clients.clear()
        return [*closing, COLLECT]

    function: Callable[..., object]
    if name in _CONNECTIONS:
        function, endpoint = _CONNECTIONS[name], postgres(bench)
        call = Call(function, (endpoint,), clients.append)
    else:
        function = _CLIENTS[name]
        call = Call(function, (dynamodb(bench),), clients.append)
    return Case(lambda: call, asyncio.iscoroutinefunction(function), tidy)


def _new_session_client(endpoint: DynamoDBEndpoint) -> DynamoDBClient:
    return _new_client(endpoint, connections=1)


def _new_client(endpoint: DynamoDBEndpoint, *, connections: int) -> DynamoDBClient:
    settings = config_settings(TIMEOUT_S) | {"max_pool_connections": connections}
    return new_session(endpoint).client(
        "dynamodb", config=Config(**settings), **client_settings(endpoint)
    )


async def _new_aio_client(endpoint: DynamoDBEndpoint) -> object:
    config = AioConfig(proxies={}, account_id_endpoint_mode="disabled")
    client = new_aio_session(endpoint).client(
        "dynamodb", config=config, **client_settings(endpoint)
    )
    return await client.__aenter__()


async def _new_asyncpg_connection(endpoint: PostgresEndpoint) -> object:
    with hidden_variables():
        return await asyncpg.connect(**asyncpg_settings(endpoint))


def _new_psycopg_connection(endpoint: PostgresEndpoint) -> object:
    return connect(psycopg.Connection, endpoint)


_CLIENTS: Final[dict[str, Callable[[DynamoDBEndpoint], object]]] = {
    "boto3 client, new session": _new_session_client,
    "boto3 client, same session": Boto3CartStore,
    "boto3 resource, new session": ResourceStore,
    "aioboto3 client, new session": _new_aio_client,
}
_CONNECTIONS: Final[dict[str, Callable[[PostgresEndpoint], object]]] = {
    "psycopg connection": _new_psycopg_connection,
    "asyncpg connection": _new_asyncpg_connection,
}
CREATIONS: Final = (*_CLIENTS, *_CONNECTIONS)


def open_threads(bench: Bench, connections: int) -> Case:
    """Ten concurrent carts through one boto3 client: ten threads, a pool of `connections`."""
    client = bench.closing(_new_client(dynamodb(bench), connections=connections))
    threads = bench.closing(_Threads())
    work = bench.carts("boto3")

    def next_call() -> Call:
        user_ids = [work.any_cart().user_id for _ in range(THREADS)]
        return Call(threads.map, (partial(_query, client), user_ids))

    return Case(next_call)


class _Threads:
    """Ten threads that live as long as the benchmark."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS)

    def map(self, function: Callable[[str], object], user_ids: Sequence[str]) -> list[object]:
        return list(self._pool.map(function, user_ids))

    def close(self) -> None:
        self._pool.shutdown()


def _query(client: DynamoDBClient, user_id: str) -> object:
    request = get_cart(user_id)
    try:
        return client.query(**request.body)["Items"]
    except CLIENT_ERRORS as error:
        raise client_error(request, error, TIMEOUT_S) from error
