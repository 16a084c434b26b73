"""The lean driver: CloudShelf's carts and sessions over DynamoDB's own JSON protocol.

One persistent connection per store, AWS JSON 1.0, requests signed with Signature Version 4, and no
retries: a throttled or failed call is counted under DynamoDB's name for the error.
docs/decisions/wire-driver.md lists the choices and what each saved.
"""

from __future__ import annotations

from time import perf_counter_ns

import orjson

from loadtests.errors import BackendError, CallError, CallTimeout, ResponseInvalid
from loadtests.stores import TIMEOUT_S
from loadtests.stores.dynamodb import responses
from loadtests.stores.dynamodb.requests import API_VERSION, DynamoDBRequest
from loadtests.stores.dynamodb.stores import (
    DynamoDBCartStore,
    DynamoDBSessionStore,
    SyncCalls,
)
from loadtests.stores.http.connection import HttpConnection
from loadtests.stores.http.credentials import resolve
from loadtests.targets.endpoints import DynamoDBEndpoint


class WireCalls(SyncCalls):
    """Sends requests and reads responses over its own connection.

    `timeout_s` covers a whole call: connecting, every page, the last byte.
    """

    def __init__(
        self,
        endpoint: DynamoDBEndpoint,
        *,
        consistent: bool = True,
        timeout_s: float = TIMEOUT_S,
        ask_capacity: bool = False,
    ) -> None:
        super().__init__(consistent=consistent, ask_capacity=ask_capacity)
        address, self._signer = resolve(endpoint, API_VERSION)
        self._connection = HttpConnection(address)
        self._timeout_s = timeout_s
        self._timeout_ns = int(timeout_s * 1e9)
        self._deadline_ns = 0

    def close(self) -> None:
        """Close the connection; safe to call twice, and a later call opens it again."""
        self._connection.close()

    def _begin(self) -> None:
        self.wire_ns = 0
        self.capacity = None
        self._deadline_ns = perf_counter_ns() + self._timeout_ns

    def _exchange(self, request: DynamoDBRequest) -> responses.ResponseBody:
        connection = self._connection
        try:
            payload = orjson.dumps(request.body)
        except orjson.JSONEncodeError as error:  # for example a lone surrogate
            raise BackendError(
                f"Text cannot be encoded as JSON: {error}", name="UnicodeEncodeError"
            ) from None
        message = self._signer.request(request.operation, payload)
        try:
            status, body = connection.exchange(message, self._deadline_ns)
        except CallTimeout:
            raise responses.timed_out(request, self._timeout_s) from None
        finally:
            self.wire_ns += connection.wire_ns
        if status != 200:
            raise _refusal(request, status, body)
        try:
            response = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ResponseInvalid(
                f"The response to {request.operation} is not JSON: {error}."
            ) from None
        if type(response) is not dict:
            raise ResponseInvalid(f"The response to {request.operation} is not a JSON object.")
        return response


class WireCartStore(WireCalls, DynamoDBCartStore):
    """`CartStore` through the wire driver."""


class WireSessionStore(WireCalls, DynamoDBSessionStore):
    """`SessionStore` through the wire driver."""


def _refusal(request: DynamoDBRequest, status: int, body: bytes) -> CallError:
    """The error for a status other than 200: DynamoDB's name for it, else the HTTP status."""
    try:
        refusal = orjson.loads(body)
        name, message = refusal["__type"], refusal.get("message") or refusal.get("Message") or ""
        if type(name) is str and name and type(message) is str:
            return responses.call_error(request, name[:200], message[:500])
    except (ValueError, LookupError, TypeError, AttributeError):
        pass  # an error page of a proxy
    return BackendError(f"{request.operation}: HTTP {status}", name=f"HTTP {status}")
