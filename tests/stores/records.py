"""A book, a cart line, a summary and a session for tests that need no database."""

from __future__ import annotations

from datetime import UTC, datetime
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

NOW: Final = datetime(2024, 1, 15, 14, 30, 0, 600_000, tzinfo=UTC)
BOOK: Final = Book("book-9781234567890", "L’Été 📚", Decimal("29.99"), "https://example.com/a.jpg")
LINE: Final = CartItem(
    "123e4567", BOOK.book_id, 2, NOW, NOW, BOOK.title, BOOK.price, BOOK.image_url
)
SUMMARY: Final = CartSummary(3, Decimal("94.97"), NOW)
DATA: Final = SessionData(Preferences("dark", "en", "USD"), ("book-1", "猫"), ("",))
SESSION: Final = Session(
    session_id="sess-1",
    user_id="123e4567",
    session_data=DATA,
    cart_summary=SUMMARY,
    last_activity=NOW,
    created_at=NOW,
    expires_at=int(NOW.timestamp()) + SESSION_LIFE_S,
    ip_address="192.0.2.1",
    user_agent="Mozilla/5.0",
)
