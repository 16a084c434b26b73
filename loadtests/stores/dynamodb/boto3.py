"""DynamoDB through boto3: one client and one keep-alive connection per store."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Final, Unpack

import boto3
from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from botocore.config import Config

from loadtests.stores.dynamodb.botocore_client import (
    CLIENT_ERRORS,
    METHODS,
    BotocoreCalls,
    ClientOptions,
    client_error,
)
from loadtests.stores.dynamodb.requests import DynamoDBRequest
from loadtests.stores.dynamodb.responses import ResponseBody
from loadtests.stores.dynamodb.stores import DynamoDBCartStore, DynamoDBSessionStore, SyncCalls
from loadtests.stores.wire_time import TimedConnectionSocket, WireTime
from loadtests.targets.dynamodb.client import client_settings
from loadtests.targets.endpoints import DynamoDBEndpoint

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_CREATING: Final = threading.Lock()  # creating clients is not thread-safe; using them is


class Boto3Calls(BotocoreCalls, SyncCalls):
    """A boto3 client that sends one request at a time; created with the store."""

    def __init__(self, endpoint: DynamoDBEndpoint, **options: Unpack[ClientOptions]) -> None:
        super().__init__(endpoint, **options)
        with _CREATING:
            self._client = _session().client(
                "dynamodb", config=Config(**self._config), **client_settings(endpoint)
            )
        _stamp_sockets(self._client, self._wire)
        self._methods = {
            operation: getattr(self._client, method) for operation, method in METHODS.items()
        }

    def _exchange(self, request: DynamoDBRequest) -> ResponseBody:
        self._wire.begin()
        try:
            response: ResponseBody = self._methods[request.operation](**request.body)
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


def _stamp_sockets(client: DynamoDBClient, wire: WireTime) -> None:
    """Make every connection that `client` opens stamp `wire`.

    botocore has no public place for this: the pool classes of the urllib3 manager that its HTTP
    session owns are the narrowest. If they move, `wire_ns` stays 0 and the contract tests fail.
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

    manager = client._endpoint.http_session._manager  # type: ignore[attr-defined]
    manager.pool_classes_by_scheme = {"http": StampedPool, "https": StampedTLSPool}
