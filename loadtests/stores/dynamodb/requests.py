"""Access pattern → DynamoDB request; pure, for every driver.

A request is an operation and its body in DynamoDB JSON, as boto3's client methods take it and as
the HTTP API takes it in `X-Amz-Target: DynamoDB_20120810.<operation>`. A driver sends it and passes
the response to the reader in `responses.py` that the function's docstring names, or the refusal to
`responses.call_error`.

Reads are strongly consistent by default: a cart must show the line that its owner has just added,
and the redirect after login must find the session (docs/decisions/stores.md).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple

from loadtests.dynamodb_items import (
    session_to_attributes,
    summary_to_attribute,
)
from loadtests.errors import (
    BackendError,
    CallError,
    LineNotFound,
    QuantityRefused,
    SessionNotFound,
)
from loadtests.model import (
    QUANTITY_MAX,
    SESSION_LIFE_S,
    Book,
    CartSummary,
    Session,
    to_iso,
)
from loadtests.patterns import CARTS_TABLE, SESSIONS_TABLE
from loadtests.stores.quantities import check_quantity

API_VERSION: Final = "DynamoDB_20120810"
READS: Final = frozenset({"Query", "GetItem"})

# Expressions are constant, so that DynamoDB and the drivers can cache them.
ADD: Final = (
    "SET quantity = if_not_exists(quantity, :none) + :quantity, "
    "added_at = if_not_exists(added_at, :now), updated_at = :now, "
    "book_title = :title, book_price = :price, book_image_url = :image"
)
ADD_CONDITION: Final = "attribute_not_exists(quantity) OR quantity <= :room"
UPDATE: Final = "SET quantity = :quantity, updated_at = :now"
LINE_EXISTS: Final = "attribute_exists(book_id)"
REFRESH: Final = "SET last_activity = :now, expires_at = :expires"
STORE_SUMMARY: Final = "SET cart_summary = :summary, last_activity = :now"
# `expires_at` is in whole seconds, so this means "after now" also between two whole seconds.
SESSION_LIVE: Final = "expires_at > :second"

_NONE: Final = {"N": "0"}

RequestBody = dict[str, Any]  # DynamoDB JSON, which nests to any depth


class DynamoDBRequest(NamedTuple):
    """One call: operation, body in DynamoDB JSON, and what a failed condition means."""

    operation: str
    body: RequestBody
    refused: type[CallError] = BackendError


def get_cart(user_id: str, *, consistent: bool = True) -> DynamoDBRequest:
    """All lines of a user; read each page with `read_lines`, then continue with `next_page`."""
    return DynamoDBRequest(
        "Query",
        {
            "TableName": CARTS_TABLE,
            "KeyConditionExpression": "user_id = :user",
            "ExpressionAttributeValues": {":user": {"S": user_id}},
            "ConsistentRead": consistent,
        },
    )


def get_line(user_id: str, book_id: str, *, consistent: bool = True) -> DynamoDBRequest:
    """One line by both keys; read with `read_line`."""
    return DynamoDBRequest(
        "GetItem",
        {
            "TableName": CARTS_TABLE,
            "Key": {"user_id": {"S": user_id}, "book_id": {"S": book_id}},
            "ConsistentRead": consistent,
        },
    )


def add_line(user_id: str, book: Book, quantity: int, now: datetime) -> DynamoDBRequest:
    """Create or increase a line in one write; read with `read_quantity`.

    Title, price and image are set to the book's current values. Raises QuantityRefused.
    """
    check_quantity(quantity)
    return DynamoDBRequest(
        "UpdateItem",
        {
            "TableName": CARTS_TABLE,
            "Key": {"user_id": {"S": user_id}, "book_id": {"S": book.book_id}},
            "UpdateExpression": ADD,
            "ConditionExpression": ADD_CONDITION,
            "ExpressionAttributeValues": {
                ":none": _NONE,
                ":quantity": {"N": str(quantity)},
                ":room": {"N": str(QUANTITY_MAX - quantity)},
                ":now": {"S": to_iso(now)},
                ":title": {"S": book.title},
                ":price": {"N": format(book.price, "f")},
                ":image": {"S": book.image_url},
            },
            "ReturnValues": "UPDATED_NEW",
        },
        QuantityRefused,
    )


def update_line(user_id: str, book_id: str, quantity: int, now: datetime) -> DynamoDBRequest:
    """Set the quantity of an existing line; nothing to read. Raises QuantityRefused."""
    check_quantity(quantity)
    return DynamoDBRequest(
        "UpdateItem",
        {
            "TableName": CARTS_TABLE,
            "Key": {"user_id": {"S": user_id}, "book_id": {"S": book_id}},
            "UpdateExpression": UPDATE,
            "ConditionExpression": LINE_EXISTS,
            "ExpressionAttributeValues": {
                ":quantity": {"N": str(quantity)},
                ":now": {"S": to_iso(now)},
            },
        },
        LineNotFound,
    )


def remove_line(user_id: str, book_id: str) -> DynamoDBRequest:
    """Delete an existing line; nothing to read."""
    return DynamoDBRequest(
        "DeleteItem",
        {
            "TableName": CARTS_TABLE,
            "Key": {"user_id": {"S": user_id}, "book_id": {"S": book_id}},
            "ConditionExpression": LINE_EXISTS,
        },
        LineNotFound,
    )


def create_session(session: Session) -> DynamoDBRequest:
    """Write a whole session, replacing any with the same id; nothing to read."""
    return DynamoDBRequest(
        "PutItem", {"TableName": SESSIONS_TABLE, "Item": session_to_attributes(session)}
    )


def get_session(session_id: str, *, consistent: bool = True) -> DynamoDBRequest:
    """A session by its key; read with `read_session`, which drops an expired one."""
    return DynamoDBRequest(
        "GetItem",
        {
            "TableName": SESSIONS_TABLE,
            "Key": {"session_id": {"S": session_id}},
            "ConsistentRead": consistent,
        },
    )


def refresh_session(session_id: str, now: datetime) -> DynamoDBRequest:
    """Extend a live session to 24 h from now; nothing to read."""
    second = int(now.timestamp())
    values = {
        ":now": {"S": to_iso(now)},
        ":second": {"N": str(second)},
        ":expires": {"N": str(second + SESSION_LIFE_S)},
    }
    return _update_session(session_id, REFRESH, values)


def store_summary(session_id: str, summary: CartSummary, now: datetime) -> DynamoDBRequest:
    """Replace the cart summary of a live session; nothing to read."""
    values = {
        ":now": {"S": to_iso(now)},
        ":second": {"N": str(int(now.timestamp()))},
        ":summary": summary_to_attribute(summary),
    }
    return _update_session(session_id, STORE_SUMMARY, values)


def _update_session(session_id: str, expression: str, values: RequestBody) -> DynamoDBRequest:
    return DynamoDBRequest(
        "UpdateItem",
        {
            "TableName": SESSIONS_TABLE,
            "Key": {"session_id": {"S": session_id}},
            "UpdateExpression": expression,
            "ConditionExpression": SESSION_LIVE,
            "ExpressionAttributeValues": values,
        },
        SessionNotFound,
    )


def ask_capacity(request: DynamoDBRequest) -> DynamoDBRequest:
    """The same request, whose response also reports consumed capacity (some bytes per call)."""
    return request._replace(body={**request.body, "ReturnConsumedCapacity": "TOTAL"})
