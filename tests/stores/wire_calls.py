"""Calls of the wire driver against scripted servers."""

from __future__ import annotations

import orjson
import pytest

from loadtests.dynamodb_items import cart_item_to_attributes
from loadtests.errors import (
    BackendError,
    CallError,
)
from loadtests.model import CartItem
from loadtests.stores.dynamodb.wire import WireCartStore
from tests.stores.hostile import ok
from tests.stores.records import LINE

ITEM = orjson.dumps({"Item": cart_item_to_attributes(LINE)})


GOOD = ok(ITEM)


def get(store: WireCartStore) -> CartItem | None:
    return store.get_item(LINE.user_id, LINE.book_id)


def refusal(store: WireCartStore, kind: type[CallError] = BackendError) -> str:
    """The name of the error that a call ends with; the wire time is there all the same."""
    with pytest.raises(kind) as caught:
        get(store)
    assert type(caught.value) is kind
    return caught.value.name


def framed(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 " + status + b"\r\n" + b"".join(h + b"\r\n" for h in headers) + b"\r\n" + body
