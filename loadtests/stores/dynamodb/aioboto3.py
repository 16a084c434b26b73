"""DynamoDB through aioboto3: one client and one keep-alive connection per store."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Unpack

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession

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
from loadtests.targets.dynamodb.client import (
    client_settings,
    current_keys,
    session_variables,
)
from loadtests.targets.endpoints import AwsKeys, DynamoDBEndpoint
from loadtests.targets.loopback import refuse_remote_peer


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
        http_session = _timed_session(self._wire, self._endpoint)
        config = AioConfig(http_session_cls=http_session, **self._config)
        client = await self._open.enter_async_context(
            _shared_session(self._endpoint).client(
                "dynamodb", config=config, **client_settings(self._endpoint)
            )
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


def new_aio_session(endpoint: DynamoDBEndpoint) -> aioboto3.Session:
    """A session for one endpoint, as `client.new_session` makes it for boto3."""
    session = AioSession(session_vars=session_variables())
    if endpoint.keys:
        session.set_credentials(*endpoint.keys)
    else:
        vars(session)["_credentials"] = _ProviderCredentials()
    return aioboto3.Session(botocore_session=session, region_name=endpoint.region)


@functools.lru_cache(maxsize=16)
def _shared_session(endpoint: DynamoDBEndpoint) -> aioboto3.Session:
    """One for all stores of an endpoint: its parsed service model is large."""
    return new_aio_session(endpoint)


class _ProviderCredentials:
    """The credentials of this process's boto3 clients, as aiobotocore asks for them."""

    method = "loadtests"
    account_id = None

    async def get_frozen_credentials(self) -> AwsKeys:
        return current_keys()

    def get_deferred_property(self, name: str) -> Callable[[], object]:
        return lambda: getattr(self, name, None)


def _timed_session(wire: WireTime, endpoint: DynamoDBEndpoint) -> Callable[..., AIOHTTPSession]:
    """The HTTP session of aiobotocore, over sockets that stamp `wire`."""

    def timed_socket(address: tuple[Any, ...]) -> TimedSocket:  # as `getaddrinfo` gives it
        family, kind, protocol, _, peer = address
        if endpoint.loopback_only:
            refuse_remote_peer(peer, endpoint.url)
        timed = TimedSocket(family, kind, protocol)
        timed.wire = wire
        return timed

    def create(**settings: Any) -> AIOHTTPSession:
        connector = {**(settings.pop("connector_args", None) or {}), "socket_factory": timed_socket}
        return AIOHTTPSession(connector_args=connector, **settings)

    return create
