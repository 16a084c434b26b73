"""The nine access patterns over any DynamoDB connection, blocking and for asyncio.

A driver is a subclass that sends one request. Everything else about a call is here or in the pure
modules: drivers differ only in I/O, and the blocking and the asyncio classes only in `await`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime

from loadtests.model import Book, CartItem, CartSummary, Session
from loadtests.stores.dynamodb import requests, responses
from loadtests.stores.dynamodb.requests import DynamoDBRequest
from loadtests.stores.dynamodb.responses import CapacityUnits, ResponseBody


class DynamoDBCalls:
    """The options of every DynamoDB store, and the results of its last call.

    `consistent` chooses strongly consistent reads. While `ask_capacity` is set, `capacity` holds
    the capacity that the last call consumed; otherwise, and after a refusal, None.
    """

    def __init__(self, *, consistent: bool = True, ask_capacity: bool = False) -> None:
        self.consistent = consistent
        self.ask_capacity = ask_capacity
        self.capacity: CapacityUnits | None = None
        self.wire_ns = 0

    def _begin(self) -> None:
        self.wire_ns = 0
        self.capacity = None

    def _note_capacity(self, request: DynamoDBRequest, response: ResponseBody) -> None:
        used = responses.read_capacity(request, response)
        before = self.capacity
        if used is not None and before is not None:  # a further page
            used = CapacityUnits(before.rcu + used.rcu, before.wcu + used.wcu)
        self.capacity = used


class SyncCalls(DynamoDBCalls, ABC):
    """A connection that blocks its caller (a thread or a greenlet)."""

    @abstractmethod
    def _exchange(self, request: DynamoDBRequest) -> ResponseBody:
        """Send one request and return the response; add its wire time to `wire_ns`.

        Raises only CallError.
        """

    def _send(self, request: DynamoDBRequest) -> ResponseBody:
        if not self.ask_capacity:
            return self._exchange(request)
        response = self._exchange(requests.ask_capacity(request))
        self._note_capacity(request, response)
        return response


class DynamoDBCartStore(SyncCalls):
    """`CartStore` on DynamoDB."""

    def get(self, user_id: str) -> list[CartItem]:
        """See `CartStore.get`."""
        self._begin()
        lines: list[CartItem] = []
        page = requests.get_cart(user_id, consistent=self.consistent)
        for _ in range(responses.PAGES):
            response = self._send(page)
            lines += responses.read_lines(response)
            next_page = responses.next_page(page, response)
            if next_page is None:
                return lines
            page = next_page
        raise responses.endless(user_id)

    def get_item(self, user_id: str, book_id: str) -> CartItem | None:
        """See `CartStore.get_item`."""
        self._begin()
        request = requests.get_line(user_id, book_id, consistent=self.consistent)
        return responses.read_line(self._send(request))

    def add(self, user_id: str, book: Book, quantity: int, now: datetime) -> int:
        """See `CartStore.add`."""
        self._begin()
        return responses.read_quantity(self._send(requests.add_line(user_id, book, quantity, now)))

    def update(self, user_id: str, book_id: str, quantity: int, now: datetime) -> None:
        """See `CartStore.update`."""
        self._begin()
        self._send(requests.update_line(user_id, book_id, quantity, now))

    def remove(self, user_id: str, book_id: str) -> None:
        """See `CartStore.remove`."""
        self._begin()
        self._send(requests.remove_line(user_id, book_id))


class DynamoDBSessionStore(SyncCalls):
    """`SessionStore` on DynamoDB."""

    def create(self, session: Session) -> None:
        """See `SessionStore.create`."""
        self._begin()
        self._send(requests.create_session(session))

    def get(self, session_id: str, now: datetime) -> Session | None:
        """See `SessionStore.get`."""
        self._begin()
        request = requests.get_session(session_id, consistent=self.consistent)
        return responses.read_session(self._send(request), now)

    def refresh(self, session_id: str, now: datetime) -> None:
        """See `SessionStore.refresh`."""
        self._begin()
        self._send(requests.refresh_session(session_id, now))

    def store_summary(self, session_id: str, summary: CartSummary, now: datetime) -> None:
        """See `SessionStore.store_summary`."""
        self._begin()
        self._send(requests.store_summary(session_id, summary, now))


class AsyncCalls(DynamoDBCalls, ABC):
    """A connection for asyncio."""

    @abstractmethod
    async def _exchange(self, request: DynamoDBRequest) -> ResponseBody:
        """See `SyncCalls._exchange`."""

    async def _send(self, request: DynamoDBRequest) -> ResponseBody:
        if not self.ask_capacity:
            return await self._exchange(request)
        response = await self._exchange(requests.ask_capacity(request))
        self._note_capacity(request, response)
        return response


class AsyncDynamoDBCartStore(AsyncCalls):
    """`AsyncCartStore` on DynamoDB."""

    async def get(self, user_id: str) -> list[CartItem]:
        """See `CartStore.get`."""
        self._begin()
        lines: list[CartItem] = []
        page = requests.get_cart(user_id, consistent=self.consistent)
        for _ in range(responses.PAGES):
            response = await self._send(page)
            lines += responses.read_lines(response)
            next_page = responses.next_page(page, response)
            if next_page is None:
                return lines
            page = next_page
        raise responses.endless(user_id)

    async def get_item(self, user_id: str, book_id: str) -> CartItem | None:
        """See `CartStore.get_item`."""
        self._begin()
        request = requests.get_line(user_id, book_id, consistent=self.consistent)
        return responses.read_line(await self._send(request))

    async def add(self, user_id: str, book: Book, quantity: int, now: datetime) -> int:
        """See `CartStore.add`."""
        self._begin()
        return responses.read_quantity(
            await self._send(requests.add_line(user_id, book, quantity, now))
        )

    async def update(self, user_id: str, book_id: str, quantity: int, now: datetime) -> None:
        """See `CartStore.update`."""
        self._begin()
        await self._send(requests.update_line(user_id, book_id, quantity, now))

    async def remove(self, user_id: str, book_id: str) -> None:
        """See `CartStore.remove`."""
        self._begin()
        await self._send(requests.remove_line(user_id, book_id))


class AsyncDynamoDBSessionStore(AsyncCalls):
    """`AsyncSessionStore` on DynamoDB."""

    async def create(self, session: Session) -> None:
        """See `SessionStore.create`."""
        self._begin()
        await self._send(requests.create_session(session))

    async def get(self, session_id: str, now: datetime) -> Session | None:
        """See `SessionStore.get`."""
        self._begin()
        request = requests.get_session(session_id, consistent=self.consistent)
        return responses.read_session(await self._send(request), now)

    async def refresh(self, session_id: str, now: datetime) -> None:
        """See `SessionStore.refresh`."""
        self._begin()
        await self._send(requests.refresh_session(session_id, now))

    async def store_summary(self, session_id: str, summary: CartSummary, now: datetime) -> None:
        """See `SessionStore.store_summary`."""
        self._begin()
        await self._send(requests.store_summary(session_id, summary, now))
