"""What a scripted server answers: enough DynamoDB for CloudShelf's nine access patterns.

It stores what is written, so that the real scenario code runs against it and every read passes the
harness's own validation. Expressions are not interpreted; they are recognised by their text, which
never changes. Items are stored with the JSON that is sent, because most of the traffic is reads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import orjson

from loadtests.model import QUANTITY_MAX
from loadtests.patterns import CARTS_TABLE, CLOUDSHELF_PATTERNS, SESSIONS_TABLE
from loadtests.stores.dynamodb.requests import (
    ADD,
    REFRESH,
    STORE_SUMMARY,
    UPDATE,
)

Attributes = dict[str, Any]

CONDITION_FAILED: Final = "ConditionalCheckFailedException"
NOT_FOUND: Final = "ResourceNotFoundException"
INVALID: Final = "ValidationException"
OTHER: Final = len(CLOUDSHELF_PATTERNS)  # the code of a call that is not one of the nine
_CODE: Final = {pattern: code for code, pattern in enumerate(CLOUDSHELF_PATTERNS)}
_EMPTY: Final = b"{}"


class Refusal(Exception):
    """DynamoDB's refusal of one call, by its name."""

    def __init__(self, name: str, code: int, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.code = code


class Reply(NamedTuple):
    """A response body, and which access pattern asked (index in CLOUDSHELF_PATTERNS, or OTHER)."""

    code: int
    body: bytes


class StoredItem(NamedTuple):
    """An item, and the JSON that it is sent as."""

    attributes: Attributes
    json: bytes


class MemoryTable:
    """Items by partition key, then by sort key ("" in a table without one)."""

    __slots__ = ("items", "partition_key", "sort_key")

    def __init__(self, partition_key: str, sort_key: str = "") -> None:
        self.partition_key = partition_key
        self.sort_key = sort_key
        self.items: dict[str, dict[str, StoredItem]] = {}

    def keys_of(self, key: Attributes) -> tuple[str, str]:
        """Partition and sort key of this key, or of this item."""
        partition = next(iter(key[self.partition_key].values()))
        return partition, (next(iter(key[self.sort_key].values())) if self.sort_key else "")

    def put(self, item: Attributes) -> None:
        """Write an item over any of the same key."""
        partition, sort = self.keys_of(item)
        self.items.setdefault(partition, {})[sort] = StoredItem(item, orjson.dumps(item))

    def find(self, key: Attributes) -> StoredItem | None:
        """The item of this key, or None."""
        partition, sort = self.keys_of(key)
        items = self.items.get(partition)
        return items.get(sort) if items else None


class Memory:
    """The tables, and the five operations on them. Methods raise Refusal."""

    def __init__(self) -> None:
        self.tables = {
            CARTS_TABLE: MemoryTable("user_id", "book_id"),
            SESSIONS_TABLE: MemoryTable("session_id"),
        }
        self.operations: dict[str, Callable[[Attributes], Reply]] = {
            "GetItem": self.get_item,
            "Query": self.query,
            "PutItem": self.put_item,
            "UpdateItem": self.update_item,
            "DeleteItem": self.delete_item,
        }

    def table(self, request: Attributes) -> MemoryTable:
        """The table that a request names."""
        try:
            return self.tables[request["TableName"]]
        except KeyError:
            raise Refusal(NOT_FOUND, OTHER, "Requested resource not found") from None

    def get_item(self, request: Attributes) -> Reply:
        """cart.get_item, session.get."""
        item = self.table(request).find(request["Key"])
        code = _reader_code(request["TableName"])
        return Reply(code, _EMPTY if item is None else b'{"Item":%b}' % item.json)

    def query(self, request: Attributes) -> Reply:
        """cart.get: all lines, by book_id, in one page."""
        (value,) = request["ExpressionAttributeValues"].values()
        items = self.table(request).items.get(next(iter(value.values())), {})
        lines = [items[sort].json for sort in sorted(items)]
        body = b'{"Count":%d,"Items":[%b],"ScannedCount":%d}'
        code = _CODE["cart.get"] if request["TableName"] == CARTS_TABLE else OTHER
        return Reply(code, body % (len(lines), b",".join(lines), len(lines)))

    def put_item(self, request: Attributes) -> Reply:
        """session.create, or any write while seeding."""
        self.table(request).put(request["Item"])
        sessions = request["TableName"] == SESSIONS_TABLE
        return Reply(_CODE["session.create"] if sessions else OTHER, _EMPTY)

    def delete_item(self, request: Attributes) -> Reply:
        """cart.remove."""
        table = self.table(request)
        partition, sort = table.keys_of(request["Key"])
        code = _CODE["cart.remove"] if request["TableName"] == CARTS_TABLE else OTHER
        if table.items.get(partition, {}).pop(sort, None) is None and (
            "ConditionExpression" in request
        ):
            raise Refusal(CONDITION_FAILED, code, "The conditional request failed")
        return Reply(code, _EMPTY)

    def update_item(self, request: Attributes) -> Reply:
        """cart.add, cart.update, session.refresh, session.store_summary."""
        table = self.table(request)
        values = request["ExpressionAttributeValues"]
        old = table.find(request["Key"])
        expression = request["UpdateExpression"]
        if expression == ADD:
            return self._add(table, request["Key"], values, old)
        if expression == UPDATE:
            code = _CODE["cart.update"]
            changes = {"quantity": values[":quantity"], "updated_at": values[":now"]}
        elif expression == REFRESH:
            code = _CODE["session.refresh"]
            changes = {"last_activity": values[":now"], "expires_at": values[":expires"]}
        elif expression == STORE_SUMMARY:
            code = _CODE["session.store_summary"]
            changes = {"cart_summary": values[":summary"], "last_activity": values[":now"]}
        else:
            raise Refusal(
                INVALID, OTHER, "A scripted server supports CloudShelf's expressions only"
            )
        if old is None:
            raise Refusal(CONDITION_FAILED, code, "The conditional request failed")
        table.put(old.attributes | changes)
        return Reply(code, _EMPTY)

    def _add(
        self, table: MemoryTable, key: Attributes, values: Attributes, old: StoredItem | None
    ) -> Reply:
        code = _CODE["cart.add"]
        quantity = int(values[":quantity"]["N"])
        added_at = values[":now"]
        if old is not None:
            quantity += int(old.attributes["quantity"]["N"])
            added_at = old.attributes["added_at"]
        if quantity > QUANTITY_MAX:
            raise Refusal(CONDITION_FAILED, code, "The conditional request failed")
        changes = {
            "quantity": {"N": str(quantity)},
            "added_at": added_at,
            "updated_at": values[":now"],
            "book_title": values[":title"],
            "book_price": values[":price"],
            "book_image_url": values[":image"],
        }
        table.put(key | changes)
        return Reply(code, b'{"Attributes":%b}' % orjson.dumps(changes))


def _reader_code(table: str) -> int:
    if table == CARTS_TABLE:
        return _CODE["cart.get_item"]
    return _CODE["session.get"] if table == SESSIONS_TABLE else OTHER
