"""Cart and session stores in their simplest form: records in a dict, which several stores share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self

from loadtests.contract.samples import line
from loadtests.errors import LineNotFound, QuantityRefused, SessionNotFound
from loadtests.model import SESSION_LIFE_S, Book, CartItem, CartSummary, Session


@dataclass(frozen=True, slots=True)
class Database:
    """The records by key; `lock` makes a change atomic."""

    lines: dict[tuple[str, str], CartItem] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class PlainStore:
    """What both stores share."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    def opener(cls) -> Callable[[], Self]:
        """Opens stores of one new database."""
        database = Database()
        return lambda: cls(database)

    def close(self) -> None:
        pass


class PlainCarts(PlainStore):
    """A `CartStore` without a wire."""

    def get(self, user_id: str) -> list[CartItem]:
        lines = [item for item in self.database.lines.values() if item.user_id == user_id]
        return sorted(lines, key=lambda item: item.book_id)

    def get_item(self, user_id: str, book_id: str) -> CartItem | None:
        return self.database.lines.get((user_id, book_id))

    def add(self, user_id: str, book: Book, quantity: int, now: datetime) -> int:
        now = now.astimezone(UTC)
        with self.database.lock:
            old = self.get_item(user_id, book.book_id)
            total = quantity + (old.quantity if old else 0)
            if quantity < 1 or total > 99:
                raise QuantityRefused
            self.write(line(user_id, book, total, old.added_at if old else now, now))
        return total

    def update(self, user_id: str, book_id: str, quantity: int, now: datetime) -> None:
        if not 1 <= quantity <= 99:
            raise QuantityRefused
        old = self.get_item(user_id, book_id)
        if old is None:
            raise LineNotFound
        self.write(replace(old, quantity=quantity, updated_at=now))

    def remove(self, user_id: str, book_id: str) -> None:
        if self.database.lines.pop((user_id, book_id), None) is None:
            raise LineNotFound

    def write(self, item: CartItem) -> None:
        self.database.lines[item.user_id, item.book_id] = item


class PlainSessions(PlainStore):
    """A `SessionStore` without a wire."""

    def create(self, session: Session) -> None:
        summary = session.cart_summary
        self.write(
            replace(
                session,
                cart_summary=replace(summary, last_updated=summary.last_updated.astimezone(UTC)),
                created_at=session.created_at.astimezone(UTC),
                last_activity=session.last_activity.astimezone(UTC),
            )
        )

    def get(self, session_id: str, now: datetime) -> Session | None:
        session = self.database.sessions.get(session_id)
        return session if session and now.timestamp() < session.expires_at else None

    def refresh(self, session_id: str, now: datetime) -> None:
        expires_at = int(now.timestamp()) + SESSION_LIFE_S
        self.change(session_id, now, last_activity=now, expires_at=expires_at)

    def store_summary(self, session_id: str, summary: CartSummary, now: datetime) -> None:
        self.change(session_id, now, last_activity=now, cart_summary=summary)

    def change(self, session_id: str, now: datetime, **fields: Any) -> None:
        session = self.get(session_id, now)
        if session is None:
            raise SessionNotFound
        self.write(replace(session, **fields))

    def write(self, session: Session) -> None:
        self.database.sessions[session.session_id] = session
