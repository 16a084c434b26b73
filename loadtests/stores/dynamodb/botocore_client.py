"""What boto3 and aioboto3 share: how a client is set up, and what its errors mean."""

from __future__ import annotations

from typing import Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from loadtests.errors import BackendError, CallError, ResponseInvalid
from loadtests.stores.dynamodb.requests import DynamoDBRequest
from loadtests.stores.dynamodb.responses import call_error, timed_out
from loadtests.targets.endpoints import (
    EMULATOR_ACCESS_KEY,
    EMULATOR_SECRET_KEY,
    DynamoDBEndpoint,
)

METHODS: Final = {
    "Query": "query",
    "GetItem": "get_item",
    "UpdateItem": "update_item",
    "DeleteItem": "delete_item",
    "PutItem": "put_item",
}
CLIENT_ERRORS: Final = (ClientError, BotoCoreError, ResponseParserError, UnicodeError)


def client_settings(endpoint: DynamoDBEndpoint) -> dict[str, Any]:
    """Arguments of `Session.client` that say where and as whom."""
    settings: dict[str, Any] = {"region_name": endpoint.region}
    if endpoint.url:
        settings["endpoint_url"] = endpoint.url
    if endpoint.emulator:
        settings["aws_access_key_id"] = EMULATOR_ACCESS_KEY
        settings["aws_secret_access_key"] = EMULATOR_SECRET_KEY
    return settings


def config_settings(endpoint: DynamoDBEndpoint, timeout_s: float) -> dict[str, Any]:
    """Arguments of botocore's Config: one kept-alive connection, timeouts, nothing retried.

    A retry would be a slow call that nobody counts: throttles and errors are counted by name.
    """
    settings: dict[str, Any] = {
        "retries": {"total_max_attempts": 1},
        "connect_timeout": timeout_s,
        "read_timeout": timeout_s,
        "max_pool_connections": 1,
        "tcp_keepalive": True,
    }
    if endpoint.emulator:
        settings["proxies"] = {}  # an HTTP_PROXY in the environment is not for loopback
    return settings


def client_error(request: DynamoDBRequest, error: Exception, timeout_s: float) -> CallError:
    """The CallError for what a client raised (any of `CLIENT_ERRORS`)."""
    if isinstance(error, ClientError):
        refusal = error.response.get("Error", {})
        name, message = str(refusal.get("Code", "")), str(refusal.get("Message", ""))
        if name.isdigit():  # an HTTP status: the answer was not DynamoDB's
            return BackendError(f"{request.operation}: HTTP {name}", name=f"HTTP {name}")
        return call_error(request, name, message)
    if isinstance(error, ConnectTimeoutError | ReadTimeoutError):
        return timed_out(request, timeout_s)
    if isinstance(error, ResponseParserError):
        return ResponseInvalid(f"{request.operation}: the answer is not DynamoDB's: {error}")
    return BackendError(f"{request.operation}: {error}", name=type(error).__name__)
