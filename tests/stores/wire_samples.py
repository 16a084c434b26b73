"""A book, a cart line and a session for the wire driver's tests."""

from datetime import UTC, datetime
from decimal import Decimal

from loadtests.model import (
    Book,
    CartItem,
    CartSummary,
    Preferences,
    Session,
    SessionData,
)

THEN = datetime(2024, 1, 15, 14, 30, tzinfo=UTC)
BOOK = Book("book-9781234567890", "L’Été 📚", Decimal("29.99"), "https://example.com/a.jpg")
LINE = CartItem(
    "123e4567", BOOK.book_id, 2, THEN, THEN, BOOK.title, BOOK.price, BOOK.image_url
)  # fmt: skip
SESSION = Session(
    "sess-1", "123e4567",
    SessionData(Preferences("dark", "en", "USD"), ("book-1", "book-2"), ()),
    CartSummary(3, Decimal("94.97"), THEN), THEN, THEN, 1705415400, "192.0.2.1", "Mozilla/5.0",
)  # fmt: skip
