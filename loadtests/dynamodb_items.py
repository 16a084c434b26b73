"""CloudShelf's records as DynamoDB items and back; pure, and the only place that maps them.

Attributes are in DynamoDB JSON (`{"S": "…"}`, numbers as decimal strings), which the wire driver
sends as it is. Items are untrusted when read: one that CloudShelf does not store raises
`ResponseInvalid`, which names the attribute if one is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from loadtests.errors import ResponseInvalid
from loadtests.model import (
    CartItem,
    CartSummary,
    Preferences,
    Session,
    SessionData,
    from_iso,
    to_iso,
)

# DynamoDB JSON nests to any depth, and what is read is untrusted until it has been converted.
Attributes = dict[str, Any]
UntrustedAttributes = Mapping[str, Any]


def cart_item_to_attributes(item: CartItem) -> Attributes:
    """Write one cart line as a DynamoDB item."""
    return {
        "user_id": {"S": item.user_id},
        "book_id": {"S": item.book_id},
        "quantity": {"N": str(item.quantity)},
        "added_at": {"S": to_iso(item.added_at)},
        "updated_at": {"S": to_iso(item.updated_at)},
        "book_title": {"S": item.book_title},
        "book_price": {"N": format(item.book_price, "f")},
        "book_image_url": {"S": item.book_image_url},
    }


def cart_item_from_attributes(attributes: UntrustedAttributes) -> CartItem:
    """Read one cart line. Raises ResponseInvalid if it is not one.

    Without a helper for each attribute, because load tests read many lines: the calls would cost
    80% more.
    """
    try:
        user_id = attributes["user_id"]["S"]
        book_id = attributes["book_id"]["S"]
        title = attributes["book_title"]["S"]
        image_url = attributes["book_image_url"]["S"]
        added_at = from_iso(attributes["added_at"]["S"])
        updated_at = from_iso(attributes["updated_at"]["S"])
        price = Decimal(attributes["book_price"]["N"])
        quantity = int(attributes["quantity"]["N"])
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise ResponseInvalid(f"Invalid cart item: {_reason(error)}.") from None
    if not (type(user_id) is type(book_id) is type(title) is type(image_url) is str):
        values = (user_id, book_id, title, image_url)
        wrong = next(value for value in values if type(value) is not str)
        raise ResponseInvalid(f"Invalid cart item: the value of S is {wrong!r:.40}, not a string.")
    if added_at.tzinfo is None or updated_at.tzinfo is None or not price.is_finite():
        raise ResponseInvalid(
            f"Invalid cart item: {added_at} or {updated_at} has no time zone, or {price} is not a "
            "price."
        )
    return CartItem(user_id, book_id, quantity, added_at, updated_at, title, price, image_url)


def summary_to_attribute(summary: CartSummary) -> Attributes:
    """Write a cart summary as the map in `cart_summary`."""
    return {
        "M": {
            "item_count": {"N": str(summary.item_count)},
            "total_amount": {"N": format(summary.total_amount, "f")},
            "last_updated": {"S": to_iso(summary.last_updated)},
        }
    }


def session_to_attributes(session: Session) -> Attributes:
    """Write one session as a DynamoDB item."""
    data = session.session_data
    preferences = data.preferences
    return {
        "session_id": {"S": session.session_id},
        "user_id": {"S": session.user_id},
        "session_data": {
            "M": {
                "preferences": {
                    "M": {
                        "theme": {"S": preferences.theme},
                        "language": {"S": preferences.language},
                        "currency": {"S": preferences.currency},
                    }
                },
                "browsing_history": {"L": [{"S": book_id} for book_id in data.browsing_history]},
                "search_history": {"L": [{"S": words} for words in data.search_history]},
            }
        },
        "cart_summary": summary_to_attribute(session.cart_summary),
        "last_activity": {"S": to_iso(session.last_activity)},
        "created_at": {"S": to_iso(session.created_at)},
        "expires_at": {"N": str(session.expires_at)},
        "ip_address": {"S": session.ip_address},
        "user_agent": {"S": session.user_agent},
    }


def session_from_attributes(attributes: UntrustedAttributes) -> Session:
    """Read one session. Raises ResponseInvalid if it is not one."""
    try:
        data = attributes["session_data"]["M"]
        preferences = data["preferences"]["M"]
        summary = attributes["cart_summary"]["M"]
        return Session(
            _text(attributes["session_id"]),
            _text(attributes["user_id"]),
            SessionData(
                Preferences(
                    _text(preferences["theme"]),
                    _text(preferences["language"]),
                    _text(preferences["currency"]),
                ),
                tuple([_text(entry) for entry in data["browsing_history"]["L"]]),
                tuple([_text(entry) for entry in data["search_history"]["L"]]),
            ),
            CartSummary(
                int(summary["item_count"]["N"]),
                _money(summary["total_amount"]),
                _moment(summary["last_updated"]),
            ),
            _moment(attributes["last_activity"]),
            _moment(attributes["created_at"]),
            int(attributes["expires_at"]["N"]),
            _text(attributes["ip_address"]),
            _text(attributes["user_agent"]),
        )
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise ResponseInvalid(f"Invalid session: {_reason(error)}.") from None


def _text(attribute: UntrustedAttributes) -> str:
    value = attribute["S"]
    if type(value) is not str:
        raise TypeError(f"the value of S is {value!r:.40}, not a string")
    return value


def _money(attribute: UntrustedAttributes) -> Decimal:
    value = Decimal(attribute["N"])
    if not value.is_finite():
        raise ValueError(f"the value of N is {value}, not a finite number")
    return value


def _moment(attribute: UntrustedAttributes) -> datetime:
    moment = from_iso(attribute["S"])
    if moment.tzinfo is None:
        raise ValueError(f"{attribute['S']!r} has no time zone")
    return moment


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"attribute {error.args[0]!r} is missing"
    if isinstance(error, ArithmeticError):
        return "a value of N is not a number"
    return str(error)
