from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from types import SimpleNamespace

import pytest

from loadtests.stores.coroutines import has_coroutines, is_coroutine_function
from loadtests.stores.dynamodb.aioboto3 import Aioboto3CartStore
from loadtests.stores.dynamodb.wire import WireCartStore
from loadtests.stores.postgres.asyncpg import AsyncpgSessionStore
from loadtests.stores.postgres.psycopg import PsycopgSessionStore
from loadtests.targets.endpoints import DynamoDBEndpoint, PostgresEndpoint


class Blocking:
    name = "a store"

    def get(self) -> None: ...

    async def _connect(self) -> None: ...


class Mixed(Blocking):
    async def find(self) -> None: ...


async def find() -> None: ...


def traced(method: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    @wraps(method)
    def call() -> Awaitable[None]:
        return method()

    return call


def hidden(method: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    return lambda: method()  # noqa: PLW0108 (a function that does not show what it calls)


@pytest.mark.parametrize(
    ("store", "awaited"),
    [
        (Blocking(), False),  # what it does privately is its own matter
        (Mixed(), True),
        (SimpleNamespace(find=find), True),
        (SimpleNamespace(find=partial(find)), True),
        (SimpleNamespace(find=traced(find)), True),
        (SimpleNamespace(find=hidden(find)), False),
        (SimpleNamespace(_find=find), False),
        (object(), False),
        (WireCartStore(DynamoDBEndpoint("http://127.0.0.1:1")), False),
        (PsycopgSessionStore(PostgresEndpoint("host=127.0.0.1")), False),
        (Aioboto3CartStore(DynamoDBEndpoint("http://127.0.0.1:1")), True),
        (AsyncpgSessionStore(PostgresEndpoint("host=127.0.0.1")), True),
    ],
)
def test_a_store_is_for_asyncio_if_a_public_method_has_to_be_awaited(
    store: object, awaited: bool
) -> None:
    assert has_coroutines(store) is awaited


def test_only_functions_have_to_be_awaited() -> None:
    assert not is_coroutine_function("text")
    assert not is_coroutine_function(Blocking().get)
    assert is_coroutine_function(Mixed().find)
