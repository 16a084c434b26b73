"""A store performs one access pattern per method, against one backend.

A store serves one caller at a time (one Locust user, one benchmark) and owns its connection.
After every call, also a failed one, `wire_ns` is the wire time of that call: request bytes handed
to the socket → response bytes read, in nanoseconds, summed over its round trips. Every error that a
store raises is a `loadtests.errors.CallError`.

`now` is an argument so that tests need not wait. An expired session is absent: `get` returns None
once `expires_at` is not after `now`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Protocol

from loadtests.model import Book, CartItem, CartSummary, Session

TIMEOUT_S: Final = 10.0  # a call without a response by then raises CallTimeout
UNMEASURED_NS: Final = -1  # the wire time of a store that does not measure it


class CartStore(Protocol):
    """The five cart access patterns."""

    wire_ns: int

    def get(self, user_id: str) -> list[CartItem]:
        """All lines of a user, by book_id (pattern cart.get; follows pagination)."""

    def get_item(self, user_id: str, book_id: str) -> CartItem | None:
        """One line, or None."""

    def add(self, user_id: str, book: Book, quantity: int, now: datetime) -> int:
        """Create the line or increase its quantity; keeps `added_at`. Returns the new quantity.

        Raises QuantityRefused, changing nothing, if `quantity` is not 1-99 or the sum exceeds 99.
        """

    def update(self, user_id: str, book_id: str, quantity: int, now: datetime) -> None:
        """Set the quantity of an existing line. Raises LineNotFound, QuantityRefused."""

    def remove(self, user_id: str, book_id: str) -> None:
        """Delete a line. Raises LineNotFound."""

    def close(self) -> None:
        """Close the connection; safe to call twice."""


class SessionStore(Protocol):
    """The four session access patterns."""

    wire_ns: int

    def create(self, session: Session) -> None:
        """Write a whole session; replaces any with the same id."""

    def get(self, session_id: str, now: datetime) -> Session | None:
        """The live session, or None."""

    def refresh(self, session_id: str, now: datetime) -> None:
        """Set `last_activity` = now and `expires_at` = now + 24 h. Raises SessionNotFound."""

    def store_summary(self, session_id: str, summary: CartSummary, now: datetime) -> None:
        """Replace `cart_summary` and set `last_activity` = now. Raises SessionNotFound."""

    def close(self) -> None:
        """Close the connection; safe to call twice."""


class AsyncCartStore(Protocol):
    """`CartStore` for asyncio: the same methods as coroutines."""

    wire_ns: int

    async def get(self, user_id: str) -> list[CartItem]:
        """See `CartStore.get`."""

    async def get_item(self, user_id: str, book_id: str) -> CartItem | None:
        """See `CartStore.get_item`."""

    async def add(self, user_id: str, book: Book, quantity: int, now: datetime) -> int:
        """See `CartStore.add`."""

    async def update(self, user_id: str, book_id: str, quantity: int, now: datetime) -> None:
        """See `CartStore.update`."""

    async def remove(self, user_id: str, book_id: str) -> None:
        """See `CartStore.remove`."""

    async def close(self) -> None:
        """See `CartStore.close`."""


class AsyncSessionStore(Protocol):
    """`SessionStore` for asyncio: the same methods as coroutines."""

    wire_ns: int

    async def create(self, session: Session) -> None:
        """See `SessionStore.create`."""

    async def get(self, session_id: str, now: datetime) -> Session | None:
        """See `SessionStore.get`."""

    async def refresh(self, session_id: str, now: datetime) -> None:
        """See `SessionStore.refresh`."""

    async def store_summary(self, session_id: str, summary: CartSummary, now: datetime) -> None:
        """See `SessionStore.store_summary`."""

    async def close(self) -> None:
        """See `SessionStore.close`."""
