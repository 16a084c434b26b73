"""DynamoDB through boto3: one client and one keep-alive connection per store."""

from __future__ import annotations

import threading
from typing import Final, Unpack

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
from loadtests.stores.wire_time import TimedConnectionSocket
from loadtests.targets.dynamodb.client import (
    client_settings,
    guarded,
    shared_session,
    wrap_connections,
)
from loadtests.targets.endpoints import DynamoDBEndpoint

_CREATING: Final = threading.Lock()  # creating clients is not thread-safe; using them is


class Boto3Calls(BotocoreCalls, SyncCalls):
    """A boto3 client that sends one request at a time; created with the store."""

    def __init__(self, endpoint: DynamoDBEndpoint, **options: Unpack[ClientOptions]) -> None:
        super().__init__(endpoint, **options)
        with _CREATING:
            self._client = shared_session(endpoint).client(
                "dynamodb", config=Config(**self._config), **client_settings(endpoint)
            )
        wrap_connections(
            self._client,
            lambda connected: TimedConnectionSocket(guarded(connected, endpoint), self._wire),
        )
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
