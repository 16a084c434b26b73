"""DynamoDB through boto3: one client and one kept-alive connection a store."""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from typing import Any, Final

import boto3
from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from botocore.config import Config

from loadtests.stores import TIMEOUT_S
from loadtests.stores.dynamodb.botocore_client import (
    CLIENT_ERRORS,
    METHODS,
    client_error,
    client_settings,
    config_settings,
)
from loadtests.stores.dynamodb.requests import DynamoDBRequest
from loadtests.stores.dynamodb.stores import DynamoDBCartStore, DynamoDBSessionStore, SyncCalls
from loadtests.stores.wire_time import TimedConnectionSocket, WireTime
from loadtests.targets.endpoints import DynamoDBEndpoint

_CREATING: Final = threading.Lock()  # creating clients is not thread-safe; using them is


class Boto3Calls(SyncCalls):
    """A boto3 client that sends one request at a time.

    `config` adds to or replaces arguments of botocore's Config, so that a benchmark can compare
    client configurations.
    """

    def __init__(
        self,
        endpoint: DynamoDBEndpoint,
        *,
        consistent: bool = True,
        ask_capacity: bool = False,
        timeout_s: float = TIMEOUT_S,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(consistent=consistent, ask_capacity=ask_capacity)
        self._timeout_s = timeout_s
        self._wire = WireTime()
        settings = {**config_settings(endpoint, timeout_s), **(config or {})}
        with _CREATING:
            self._client = _session().client(
                "dynamodb", config=Config(**settings), **client_settings(endpoint)
            )
        _stamp_sockets(self._client, self._wire)
        self._methods = {
            operation: getattr(self._client, method) for operation, method in METHODS.items()
        }

    def _exchange(self, request: DynamoDBRequest) -> Mapping[str, Any]:
        self._wire.begin()
        try:
            response: Mapping[str, Any] = self._methods[request.operation](**request.body)
        except CLIENT_ERRORS as error:
            raise client_error(request, error, self._timeout_s) from error
        finally:
            self.wire_ns += self._wire.elapsed_ns()
        return response

    def close(self) -> None:
        """Close the connection; safe to call twice, and a later call opens it again."""
        self._client.close()


class Boto3CartStore(Boto3Calls, DynamoDBCartStore):
    """`CartStore` through boto3."""


class Boto3SessionStore(Boto3Calls, DynamoDBSessionStore):
    """`SessionStore` through boto3."""


@functools.cache
def _session() -> boto3.session.Session:
    """One for all stores: its parsed service model is large, its credentials refresh once."""
    return boto3.session.Session()


def _stamp_sockets(client: Any, wire: WireTime) -> None:
    """Have every connection that `client` opens stamp `wire`.

    botocore names no public place for this: the pool classes of the urllib3 manager that its HTTP
    session owns are the narrowest there is. Where they move, `wire_ns` stays 0 and the contract
    tests fail.
    """

    class StampedConnection(AWSHTTPConnection):
        def connect(self) -> None:
            super().connect()
            self.sock = TimedConnectionSocket(self.sock, wire)

    class StampedTLSConnection(AWSHTTPSConnection):
        def connect(self) -> None:
            super().connect()
            self.sock = TimedConnectionSocket(self.sock, wire)

    class StampedPool(AWSHTTPConnectionPool):
        ConnectionCls = StampedConnection

    class StampedTLSPool(AWSHTTPSConnectionPool):
        ConnectionCls = StampedTLSConnection

    manager = client._endpoint.http_session._manager
    manager.pool_classes_by_scheme = {"http": StampedPool, "https": StampedTLSPool}
