"""DynamoDB through aioboto3: one client and one keep-alive connection per store."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Unpack

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession

from loadtests.stores.dynamodb.botocore_client import (
    CLIENT_ERRORS,
    METHODS,
    BotocoreCalls,
    ClientOptions,
    client_error,
)
from loadtests.stores.dynamodb.requests import DynamoDBRequest
from loadtests.stores.dynamodb.responses import ResponseBody
from loadtests.stores.dynamodb.stores import (
    AsyncCalls,
    AsyncDynamoDBCartStore,
    AsyncDynamoDBSessionStore,
)
from loadtests.stores.wire_time import TimedSocket, WireTime
from loadtests.targets.dynamodb.client import client_settings
from loadtests.targets.endpoints import DynamoDBEndpoint


class Aioboto3Calls(BotocoreCalls, AsyncCalls):
    """An aioboto3 client that sends one request at a time; created by the first call."""

    def __init__(self, endpoint: DynamoDBEndpoint, **options: Unpack[ClientOptions]) -> None:
        super().__init__(endpoint, **options)
        self._open = AsyncExitStack()
        self._methods: dict[str, Callable[..., Awaitable[ResponseBody]]] = {}

    async def _exchange(self, request: DynamoDBRequest) -> ResponseBody:
        self._wire.begin()
        try:
            if not self._methods:
                await self._connect()
            response = await self._methods[request.operation](**request.body)
        except CLIENT_ERRORS as error:
            raise client_error(request, error, self._timeout_s) from error
        finally:
            self.wire_ns += self._wire.elapsed_ns()
        return response

    async def _connect(self) -> None:
        config = AioConfig(http_session_cls=_timed_session(self._wire), **self._config)
        client = await self._open.enter_async_context(
            _session().client("dynamodb", config=config, **client_settings(self._endpoint))
        )
        self._methods = {
            operation: getattr(client, method) for operation, method in METHODS.items()
        }

    async def close(self) -> None:
        """Close the connection; safe to call twice, and a later call opens it again."""
        self._methods = {}
        await self._open.aclose()


class Aioboto3CartStore(Aioboto3Calls, AsyncDynamoDBCartStore):
    """`AsyncCartStore` through aioboto3."""


class Aioboto3SessionStore(Aioboto3Calls, AsyncDynamoDBSessionStore):
    """`AsyncSessionStore` through aioboto3."""


@functools.cache
def _session() -> aioboto3.Session:
    """One for all stores: its parsed service model is large, its credentials refresh once."""
    return aioboto3.Session()


def _timed_session(wire: WireTime) -> Callable[..., AIOHTTPSession]:
    """The HTTP session of aiobotocore, over sockets that stamp `wire`."""

    def timed_socket(address: tuple[Any, ...]) -> TimedSocket:  # as `getaddrinfo` gives it
        family, kind, protocol, *_ = address
        timed = TimedSocket(family, kind, protocol)
        timed.wire = wire
        return timed

    def create(**settings: Any) -> AIOHTTPSession:
        connector = {**(settings.pop("connector_args", None) or {}), "socket_factory": timed_socket}
        return AIOHTTPSession(connector_args=connector, **settings)

    return create
