"""DynamoDB response → record, and DynamoDB refusal → error; pure, for every driver.

A response is the parsed JSON body, as boto3's client methods return it. It is untrusted: a body
without what the request asked for raises ResponseInvalid.
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
PAGES: Final = 256  # of 1 MB each: more than any cart; ends a pagination that never stops
ResponseBody = Mapping[str, Any]  # DynamoDB JSON, which nests to any depth and is untrusted
_MALFORMED: Final = (LookupError, TypeError, ValueError, AttributeError)


class CapacityUnits(NamedTuple):
    """Capacity units that a call consumed: read and write."""

    rcu: float
    wcu: float


def read_lines(response: ResponseBody) -> list[CartItem]:
    """One page of a cart, by book_id (the sort key). Raises ResponseInvalid."""
    items = response.get("Items")
    if not isinstance(items, list):
        raise ResponseInvalid("The response to Query has no Items.")
    return [cart_item_from_attributes(item) for item in items]


def next_page(request: DynamoDBRequest, response: ResponseBody) -> DynamoDBRequest | None:
    """The Query for the next page, or None after the last one."""
    last = response.get("LastEvaluatedKey")
    if not last:
        return None
    return request._replace(body={**request.body, "ExclusiveStartKey": last})


def endless(user_id: str) -> ResponseInvalid:
    """The error for a cart of more than `PAGES` pages."""
    return ResponseInvalid(f"The cart of {user_id} has more than {PAGES} pages.")


def read_line(response: ResponseBody) -> CartItem | None:
    """One line, or None. Raises ResponseInvalid."""
    item = response.get("Item")
    return None if item is None else cart_item_from_attributes(item)


def read_quantity(response: ResponseBody) -> int:
    """The quantity after `add_line`. Raises ResponseInvalid."""
    try:
        return int(response["Attributes"]["quantity"]["N"])
    except _MALFORMED:
        raise ResponseInvalid("The response to UpdateItem has no quantity.") from None


def read_session(response: ResponseBody, now: datetime) -> Session | None:
    """The session if it exists and is live. Raises ResponseInvalid."""
    item = response.get("Item")
    if item is None:
        return None
    session = session_from_attributes(item)
    return session if session.expires_at > now.timestamp() else None


def read_capacity(request: DynamoDBRequest, response: ResponseBody) -> CapacityUnits | None:
    """Consumed capacity, or None if the response has none (as every refusal)."""
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
    """The error for a call that had no response within `seconds`."""
    return CallTimeout(f"{request.operation}: no response within {seconds:g} s.")
