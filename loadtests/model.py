"""CloudShelf's records, the same on both backends.

Times are aware UTC datetimes, except `expires_at`, which is in whole Unix seconds because
DynamoDB's TTL requires it. Money is `Decimal`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

QUANTITY_MIN: Final = 1
QUANTITY_MAX: Final = 99
SESSION_LIFE_S: Final = 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class Book:
    """A catalogue entry (PostgreSQL `books`)."""

    book_id: str
    title: str
    price: Decimal
    image_url: str


@dataclass(frozen=True, slots=True)
class User:
    """A customer (PostgreSQL `users`)."""

    user_id: str
    email: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Order:
    """A placed order (PostgreSQL `orders`)."""

    order_id: str
    user_id: str
    total_amount: Decimal
    status: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CartItem:
    """One line of a cart; title, price and image are cached from the book."""

    user_id: str
    book_id: str
    quantity: int
    added_at: datetime
    updated_at: datetime
    book_title: str
    book_price: Decimal
    book_image_url: str


@dataclass(frozen=True, slots=True)
class Preferences:
    """A visitor's display preferences."""

    theme: str
    language: str
    currency: str


@dataclass(frozen=True, slots=True)
class SessionData:
    """What a session stores about its visitor."""

    preferences: Preferences
    browsing_history: tuple[str, ...]
    search_history: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CartSummary:
    """A summary of the cart, stored in the session so that a page header needs one read."""

    item_count: int
    total_amount: Decimal
    last_updated: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """One visitor's session; absent once `expires_at` (Unix seconds) has passed."""

    session_id: str
    user_id: str
    session_data: SessionData
    cart_summary: CartSummary
    last_activity: datetime
    created_at: datetime
    expires_at: int
    ip_address: str
    user_agent: str


def to_iso(moment: datetime) -> str:
    """Write an aware datetime as CloudShelf does: ISO 8601 in UTC, ending in `Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def to_iso_seconds(moment: datetime) -> str:
    """Write an aware datetime like `to_iso`, in whole seconds (rounded down)."""
    return to_iso(moment.replace(microsecond=0))


def from_iso(text: str) -> datetime:
    """Read what `to_iso` writes (and the sample's whole seconds)."""
    return datetime.fromisoformat(text)
