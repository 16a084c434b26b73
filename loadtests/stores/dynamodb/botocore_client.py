"""What boto3 and aioboto3 share: options, configuration, and the meaning of errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypedDict

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from loadtests.errors import BackendError, CallError, ResponseInvalid
from loadtests.stores import TIMEOUT_S
from loadtests.stores.dynamodb.requests import DynamoDBRequest
from loadtests.stores.dynamodb.responses import call_error, timed_out
from loadtests.stores.dynamodb.stores import DynamoDBCalls
from loadtests.stores.wire_time import WireTime
from loadtests.targets.endpoints import DynamoDBEndpoint
from loadtests.targets.loopback import NotOnThisMachine

METHODS: Final = {
    "Query": "query",
    "GetItem": "get_item",
    "UpdateItem": "update_item",
    "DeleteItem": "delete_item",
    "PutItem": "put_item",
}
CLIENT_ERRORS: Final = (ClientError, BotoCoreError, ResponseParserError, UnicodeError)

ConfigSettings = Mapping[str, Any]  # arguments of botocore's Config, of many types


class ClientOptions(TypedDict, total=False):
    """Keyword arguments of `BotocoreCalls`, for subclasses that pass them on."""

    consistent: bool
    ask_capacity: bool
    timeout_s: float
    config: ConfigSettings | None


class BotocoreCalls(DynamoDBCalls):
    """What a store on a botocore client holds before the client exists.

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
        config: ConfigSettings | None = None,
    ) -> None:
        super().__init__(consistent=consistent, ask_capacity=ask_capacity)
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._config = {**config_settings(timeout_s), **(config or {})}
        self._wire = WireTime()


def config_settings(timeout_s: float) -> dict[str, Any]:
    """Arguments of botocore's Config: one keep-alive connection, timeouts, no retries.

    A retry would hide a failed call inside a slow one: throttles and errors are counted by name.
    """
    return {
        "retries": {"total_max_attempts": 1},
        "connect_timeout": timeout_s,
        "read_timeout": timeout_s,
        "max_pool_connections": 1,
        "tcp_keepalive": True,
        "account_id_endpoint_mode": "disabled",  # the endpoint's URL is what is called
        "proxies": {},  # a proxy is refused before, or its exceptions name this host
    }


def client_error(request: DynamoDBRequest, error: Exception, timeout_s: float) -> CallError:
    """The CallError for what a client raised (any of `CLIENT_ERRORS`)."""
    if isinstance(error, ClientError):
        refusal = error.response.get("Error", {})
        name, message = str(refusal.get("Code", "")), str(refusal.get("Message", ""))
        if name.isdigit():  # an HTTP status: the response did not come from DynamoDB
            return BackendError(f"{request.operation}: HTTP {name}", name=f"HTTP {name}")
        return call_error(request, name, message)
    if isinstance(error, ConnectTimeoutError | ReadTimeoutError):
        return timed_out(request, timeout_s)
    cause = error.kwargs.get("error") if isinstance(error, BotoCoreError) else None
    if isinstance(cause, NotOnThisMachine):
        return BackendError(cause.message, name="NotOnThisMachine")
    if isinstance(error, ResponseParserError):
        return ResponseInvalid(f"{request.operation}: not a DynamoDB response: {error}")
    return BackendError(f"{request.operation}: {error}", name=type(error).__name__)
