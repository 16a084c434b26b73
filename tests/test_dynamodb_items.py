"""Records survive the way to DynamoDB's attributes and back, and nothing else passes as one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.dynamodb_items import (
    cart_item_from_attributes,
    cart_item_to_attributes,
    session_from_attributes,
    session_to_attributes,
)
from loadtests.errors import ResponseInvalid
from loadtests.model import CartItem, CartSummary, Preferences, Session, SessionData

SAMPLES = Path(__file__).parent / "samples"

texts = st.text(max_size=30)
moments = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))
money = st.decimals(min_value=0, max_value=99_999_999, places=2)
items = st.builds(CartItem, texts, texts, st.integers(1, 99), moments, moments, texts, money, texts)
sessions = st.builds(
    Session,
    texts,
    texts,
    st.builds(
        SessionData,
        st.builds(Preferences, texts, texts, texts),
        st.lists(texts, max_size=5).map(tuple),
        st.lists(texts, max_size=5).map(tuple),
    ),
    st.builds(CartSummary, st.integers(0, 10_000), money, moments),
    moments,
    moments,
    st.integers(0, 2**40),
    texts,
    texts,
)


@given(items)
def test_a_cart_line_comes_back_equal_through_json(item: CartItem) -> None:
    sent = json.loads(json.dumps(cart_item_to_attributes(item)))
    assert cart_item_from_attributes(sent) == item


@given(sessions)
def test_a_session_comes_back_equal_through_json(session: Session) -> None:
    sent = json.loads(json.dumps(session_to_attributes(session)))
    assert session_from_attributes(sent) == session


@pytest.mark.parametrize("price", ["1E+2", "0.10", "0", "99999999.99"])
def test_a_price_is_written_as_plain_digits(price: str) -> None:
    item = an_item(book_price=Decimal(price))
    written = cart_item_to_attributes(item)["book_price"]["N"]
    assert written.replace(".", "").isdigit()
    assert Decimal(written) == Decimal(price)


def test_the_attributes_are_those_of_the_set_up_guide() -> None:
    sample = json.loads((SAMPLES / "cart_item.json").read_text())
    written = cart_item_to_attributes(an_item())
    assert list(written) == list(sample)
    types = {name: next(iter(value)) for name, value in written.items()}
    assert types == {name: "S" if isinstance(v, str) else "N" for name, v in sample.items()}

    sample = json.loads((SAMPLES / "session.json").read_text())
    written = session_to_attributes(a_session())
    assert list(written) == list(sample)
    assert written["expires_at"] == {"N": "1705415400"}
    assert list(written["session_data"]["M"]) == list(sample["session_data"])
    assert list(written["cart_summary"]["M"]) == list(sample["cart_summary"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user_id", None),
        ("user_id", {"N": "1"}),
        ("user_id", {"S": 7}),
        ("quantity", {"N": "two"}),
        ("quantity", {"N": "1.5"}),
        ("quantity", {"S": "2"}),
        ("book_price", {"N": "NaN"}),
        ("book_price", {"N": "abc"}),
        ("book_price", {"N": []}),
        ("added_at", {"S": "yesterday"}),
        ("added_at", {"S": "2024-01-15T14:30:00"}),
        ("added_at", {"S": 3}),
        ("added_at", "2024-01-15T14:30:00Z"),
    ],
)
def test_an_item_that_is_no_cart_line_is_refused(name: str, value: object) -> None:
    attributes = cart_item_to_attributes(an_item())
    attributes[name] = value
    with pytest.raises(ResponseInvalid, match="Invalid cart item"):
        cart_item_from_attributes(attributes)
    del attributes[name]
    with pytest.raises(ResponseInvalid, match=name):
        cart_item_from_attributes(attributes)


@pytest.mark.parametrize(
    "name",
    [
        "session_id",
        "user_id",
        "session_data",
        "cart_summary",
        "last_activity",
        "created_at",
        "expires_at",
        "ip_address",
        "user_agent",
    ],
)
def test_an_item_that_is_no_session_is_refused(name: str) -> None:
    attributes = session_to_attributes(a_session())
    attributes[name] = {"BOOL": True}
    with pytest.raises(ResponseInvalid, match="Invalid session"):
        session_from_attributes(attributes)
    del attributes[name]
    with pytest.raises(ResponseInvalid, match=name):
        session_from_attributes(attributes)


def an_item(**changes: Any) -> CartItem:
    moment = datetime(2024, 1, 15, 14, 30, tzinfo=UTC)
    fields: dict[str, Any] = {
        "user_id": "u",
        "book_id": "b",
        "quantity": 2,
        "added_at": moment,
        "updated_at": moment,
        "book_title": "三体",
        "book_price": Decimal("29.99"),
        "book_image_url": "https://example.com/b.jpg",
    }
    return CartItem(**(fields | changes))


def a_session() -> Session:
    moment = datetime(2024, 1, 15, 14, 30, tzinfo=UTC)
    return Session(
        "s",
        "u",
        SessionData(Preferences("dark", "en", "USD"), ("b",), ()),
        CartSummary(3, Decimal("94.97"), moment),
        moment,
        moment,
        1705415400,
        "192.0.2.1",
        "agent",
    )
