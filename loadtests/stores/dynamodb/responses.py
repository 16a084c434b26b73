"""DynamoDB response → record, and DynamoDB refusal → error; pure, for every driver.

A response is the parsed JSON body, as boto3's client methods return it. It is not trusted: what is
not of the shape that the request asks for raises ResponseInvalid.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from loadtests.dynamodb_items import cart_item_from_attributes, session_from_attributes
from loadtests.errors import (
    BackendError,
    CallError,
    CallTimeout,
    QuantityRefused,
    ResponseInvalid,
)
from loadtests.model import CartItem, Session
from loadtests.stores.dynamodb.requests import READS, DynamoDBRequest
from loadtests.stores.quantities import sum_refused

CONDITION_FAILED: Final = "ConditionalCheckFailedException"
PAGES: Final = 256  # of 1 MB each: far beyond any cart, and the end of an endless pagination
_MALFORMED: Final = (LookupError, TypeError, ValueError, AttributeError)


class CapacityUnits(NamedTuple):
    """CapacityUnits units that a call consumed: read and write."""

    rcu: float
    wcu: float


def read_lines(response: Mapping[str, Any]) -> list[CartItem]:
    """One page of a cart, by book_id (the sort key). Raises ResponseInvalid."""
    items = response.get("Items")
    if not isinstance(items, list):
        raise ResponseInvalid("DynamoDB's answer to Query holds no Items.")
    return [cart_item_from_attributes(item) for item in items]


def next_page(request: DynamoDBRequest, response: Mapping[str, Any]) -> DynamoDBRequest | None:
    """The Query that goes on after `response`, or None when that was all."""
    last = response.get("LastEvaluatedKey")
    if not last:
        return None
    return request._replace(body={**request.body, "ExclusiveStartKey": last})


def endless(user_id: str) -> ResponseInvalid:
    """The error for a cart that goes on beyond `PAGES`."""
    return ResponseInvalid(f"The cart of {user_id} has more than {PAGES} pages.")


def read_line(response: Mapping[str, Any]) -> CartItem | None:
    """One line, or None. Raises ResponseInvalid."""
    item = response.get("Item")
    return None if item is None else cart_item_from_attributes(item)


def read_quantity(response: Mapping[str, Any]) -> int:
    """The quantity after `add_line`. Raises ResponseInvalid."""
    try:
        return int(response["Attributes"]["quantity"]["N"])
    except _MALFORMED:
        raise ResponseInvalid("DynamoDB's answer to UpdateItem holds no quantity.") from None


def read_session(response: Mapping[str, Any], now: datetime) -> Session | None:
    """The session if it is there and live. Raises ResponseInvalid."""
    item = response.get("Item")
    if item is None:
        return None
    session = session_from_attributes(item)
    return session if session.expires_at > now.timestamp() else None


def read_capacity(request: DynamoDBRequest, response: Mapping[str, Any]) -> CapacityUnits | None:
    """What the call consumed, or None if DynamoDB did not say (it never does for a refusal)."""
    try:
        units = float(response["ConsumedCapacity"]["CapacityUnits"])
    except _MALFORMED:
        return None
    return CapacityUnits(units, 0.0) if request.operation in READS else CapacityUnits(0.0, units)


def call_error(request: DynamoDBRequest, name: str, message: str = "") -> CallError:
    """The error for a refusal that DynamoDB names `name` (also as `com.amazonaws…#name`)."""
    name = name.rpartition("#")[2] or "UnknownError"
    if name == CONDITION_FAILED:
        if request.refused is QuantityRefused:
            return sum_refused()
        return request.refused()
    return BackendError(f"{request.operation}: {name}: {message}", name=name)


def timed_out(request: DynamoDBRequest, seconds: float) -> CallTimeout:
    """The error for a call that had no answer within `seconds`."""
    return CallTimeout(f"{request.operation}: no answer within {seconds:g} s.")
