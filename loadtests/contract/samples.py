"""The times and texts of the contract, and the records that its calls should leave."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Final

from loadtests.model import (
    SESSION_LIFE_S,
    Book,
    CartItem,
    CartSummary,
    Preferences,
    Session,
    SessionData,
)

# in the future, so that a database that removes expired sessions leaves these
NOW: Final = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
LATER: Final = NOW + timedelta(minutes=5, microseconds=1)
INDIA: Final = timezone(timedelta(hours=5, minutes=30))
TEXTS: Final = (
    "The DevOps Handbook",
    "L’Été à la bibliothèque — “éd. 2”",
    "Cafe\u0301 and Caf\u00e9",  # the same letters, composed and not: two spellings, both valid
    "吾輩は猫である 📚👩🏽‍🚀",
    "ألف ليلة وليلة / אלף",
    "tab\there, newline\nhere, \"quotes\", back\\slash, %s $1 :x 'q' <b>&amp;",
)
LONG_TEXT: Final = "長い題名" * 16_000  # 192 kB in UTF-8, within DynamoDB's 400 kB of an item


def make_book(book_id: str, title: str = "A Book") -> Book:
    """A book that costs 29.99."""
    return Book(book_id, title, Decimal("29.99"), f"https://images.example/{book_id}.jpg")


def make_session(session_id: str, user_id: str, text: str = "devops") -> Session:
    """A session that was created NOW; `text` is in every kind of field that holds text."""
    return Session(
        session_id,
        user_id,
        SessionData(Preferences("dark", "en", "USD"), ("book-1", text), (text, "")),
        CartSummary(3, Decimal("94.97"), NOW),
        NOW,
        NOW,
        int(NOW.timestamp()) + SESSION_LIFE_S,
        "192.168.1.100",
        f"Mozilla/5.0 ({text})",
    )


def line(
    user_id: str, book: Book, quantity: int, added_at: datetime, updated_at: datetime
) -> CartItem:
    """The line that adding `book` should leave."""
    return CartItem(
        user_id,
        book.book_id,
        quantity,
        added_at,
        updated_at,
        book.title,
        book.price,
        book.image_url,
    )
