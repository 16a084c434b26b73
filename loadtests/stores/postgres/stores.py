"""The nine access patterns over any PostgreSQL connection, blocking and for asyncio.

A driver is a subclass that runs one query. Everything else about a call is here or in the pure
modules: drivers differ only in I/O, and the blocking and the asyncio classes only in `await`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime

from loadtests.model import Book, CartItem, CartSummary, Session
from loadtests.stores import TIMEOUT_S
from loadtests.stores.postgres import rows, sql
from loadtests.stores.postgres.rows import Rows
from loadtests.stores.postgres.sql import Query
from loadtests.stores.wire_time import WireTime
from loadtests.targets.endpoints import PostgresEndpoint


class PostgresQueries:
    """What a store on PostgreSQL holds before it has a connection."""

    def __init__(self, endpoint: PostgresEndpoint, *, timeout_s: float = TIMEOUT_S) -> None:
        self.wire_ns = 0
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._wire = WireTime()


class SyncQueries(PostgresQueries, ABC):
    """A connection that blocks its caller (a thread or a greenlet)."""

    @abstractmethod
    def _fetch(self, query: Query) -> Rows:
        """Run one query and return its rows; add its wire time to `wire_ns`.

        Raises only CallError.
        """

    def _run(self, query: Query) -> Rows:
        result = self._fetch(query)
        if not result and query.missing is not None:
            raise query.missing()
        return result


class PostgresCartStore(SyncQueries):
    """`CartStore` on PostgreSQL."""

    def get(self, user_id: str) -> list[CartItem]:
        """See `CartStore.get`."""
        self.wire_ns = 0
        return rows.read_lines(self._run(sql.get_cart(user_id)))

    def get_item(self, user_id: str, book_id: str) -> CartItem | None:
        """See `CartStore.get_item`."""
        self.wire_ns = 0
        return rows.read_line(self._run(sql.get_line(user_id, book_id)))

    def add(self, user_id: str, book: Book, quantity: int, now: datetime) -> int:
        """See `CartStore.add`."""
        self.wire_ns = 0
        return rows.read_quantity(self._run(sql.add_line(user_id, book, quantity, now)))

    def update(self, user_id: str, book_id: str, quantity: int, now: datetime) -> None:
        """See `CartStore.update`."""
        self.wire_ns = 0
        self._run(sql.update_line(user_id, book_id, quantity, now))

    def remove(self, user_id: str, book_id: str) -> None:
        """See `CartStore.remove`."""
        self.wire_ns = 0
        self._run(sql.remove_line(user_id, book_id))


class PostgresSessionStore(SyncQueries):
    """`SessionStore` on PostgreSQL."""

    def create(self, session: Session) -> None:
        """See `SessionStore.create`."""
        self.wire_ns = 0
        self._run(sql.create_session(session))

    def get(self, session_id: str, now: datetime) -> Session | None:
        """See `SessionStore.get`."""
        self.wire_ns = 0
        return rows.read_session(self._run(sql.get_session(session_id, now)))

    def refresh(self, session_id: str, now: datetime) -> None:
        """See `SessionStore.refresh`."""
        self.wire_ns = 0
        self._run(sql.refresh_session(session_id, now))

    def store_summary(self, session_id: str, summary: CartSummary, now: datetime) -> None:
        """See `SessionStore.store_summary`."""
        self.wire_ns = 0
        self._run(sql.store_summary(session_id, summary, now))


class AsyncQueries(PostgresQueries, ABC):
    """A connection for asyncio."""

    @abstractmethod
    async def _fetch(self, query: Query) -> Rows:
        """See `SyncQueries._fetch`."""

    async def _run(self, query: Query) -> Rows:
        result = await self._fetch(query)
        if not result and query.missing is not None:
            raise query.missing()
        return result


class AsyncPostgresCartStore(AsyncQueries):
    """`AsyncCartStore` on PostgreSQL."""

    async def get(self, user_id: str) -> list[CartItem]:
        """See `CartStore.get`."""
        self.wire_ns = 0
        return rows.read_lines(await self._run(sql.get_cart(user_id)))

    async def get_item(self, user_id: str, book_id: str) -> CartItem | None:
        """See `CartStore.get_item`."""
        self.wire_ns = 0
        return rows.read_line(await self._run(sql.get_line(user_id, book_id)))

    async def add(self, user_id: str, book: Book, quantity: int, now: datetime) -> int:
        """See `CartStore.add`."""
        self.wire_ns = 0
        return rows.read_quantity(await self._run(sql.add_line(user_id, book, quantity, now)))

    async def update(self, user_id: str, book_id: str, quantity: int, now: datetime) -> None:
        """See `CartStore.update`."""
        self.wire_ns = 0
        await self._run(sql.update_line(user_id, book_id, quantity, now))

    async def remove(self, user_id: str, book_id: str) -> None:
        """See `CartStore.remove`."""
        self.wire_ns = 0
        await self._run(sql.remove_line(user_id, book_id))


class AsyncPostgresSessionStore(AsyncQueries):
    """`AsyncSessionStore` on PostgreSQL."""

    async def create(self, session: Session) -> None:
        """See `SessionStore.create`."""
        self.wire_ns = 0
        await self._run(sql.create_session(session))

    async def get(self, session_id: str, now: datetime) -> Session | None:
        """See `SessionStore.get`."""
        self.wire_ns = 0
        return rows.read_session(await self._run(sql.get_session(session_id, now)))

    async def refresh(self, session_id: str, now: datetime) -> None:
        """See `SessionStore.refresh`."""
        self.wire_ns = 0
        await self._run(sql.refresh_session(session_id, now))

    async def store_summary(self, session_id: str, summary: CartSummary, now: datetime) -> None:
        """See `SessionStore.store_summary`."""
        self.wire_ns = 0
        await self._run(sql.store_summary(session_id, summary, now))
