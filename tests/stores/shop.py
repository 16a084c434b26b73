"""What store tests share: users and books of their own on both backends, and checked stores."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from loadtests.contract.samples import make_book, make_session
from loadtests.errors import CallError, QuantityRefused
from loadtests.model import Book, Session
from loadtests.patterns import CARTS_TABLE, DRIVERS, SESSIONS_TABLE
from loadtests.stores.open import (
    ASYNC_DRIVERS,
    open_async_cart_store,
    open_async_session_store,
    open_cart_store,
    open_session_store,
)
from loadtests.targets.dynamodb.client import dynamodb_client
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.postgres.connect import postgres_connection

ALL_DRIVERS = tuple(driver for drivers in DRIVERS.values() for driver in drivers)


class Checked:
    """A store, awaited if necessary, that checks the contract of `wire_ns` at every call.

    A call that reached the server took some time on the wire, and no longer than the whole call; a
    quantity refused before sending took none.
    """

    def __init__(self, store: Any, loop: asyncio.AbstractEventLoop | None) -> None:
        self.store = store
        self._loop = loop

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.store, name)

        def call(*args: Any) -> Any:
            began_ns = time.perf_counter_ns()
            sent = True
            try:
                return self._finish(method(*args))
            except CallError as error:
                sent = not (isinstance(error, QuantityRefused) and _outside(name, args))
                raise
            finally:
                service_ns = time.perf_counter_ns() - began_ns
                if name != "close":
                    assert (0 < self.store.wire_ns <= service_ns) is sent, (name, args)
                    assert type(self.store.wire_ns) is int

        return call

    @property
    def wire_ns(self) -> int:
        """Of the last call."""
        wire_ns: int = self.store.wire_ns
        return wire_ns

    def _finish(self, result: Any) -> Any:
        if self._loop is not None and isinstance(result, Coroutine):
            return self._loop.run_until_complete(result)
        return result


def _outside(name: str, args: tuple[Any, ...]) -> bool:
    return name in {"add", "update"} and not 1 <= args[2] <= 99


@contextmanager
def opened(driver: str, kind: str, endpoints: Endpoints, **options: Any) -> Iterator[Checked]:
    """A checked cart or session store of any driver; an asyncio one on a loop of its own."""
    if driver not in ASYNC_DRIVERS:
        open_sync = open_cart_store if kind == "carts" else open_session_store
        store = Checked(open_sync(driver, endpoints, **options), None)
        try:
            yield store
        finally:
            store.close()
        return
    loop = asyncio.new_event_loop()
    open_async = open_async_cart_store if kind == "carts" else open_async_session_store
    store = Checked(open_async(driver, endpoints, **options), loop)
    try:
        yield store
    finally:
        store.close()
        loop.close()


class Shop:
    """Users and books that both backends know, and nobody else uses; `clear` removes them all."""

    def __init__(self, endpoints: Endpoints) -> None:
        assert endpoints.dynamodb is not None
        assert endpoints.postgres is not None
        self.dynamodb = dynamodb_client(endpoints.dynamodb)
        self.postgres = postgres_connection(endpoints.postgres, autocommit=True)
        self._users: list[str] = []
        self._books: list[str] = []
        self._sessions: list[str] = []

    def user(self, prefix: str = "contract") -> str:
        """A new user."""
        user_id = f"{prefix}-{uuid4()}"
        self.postgres.execute(
            "insert into users (user_id, email, name, created_at) values (%s, %s, 'Test', now())",
            (user_id, f"{user_id}@example.org"),
        )
        self._users.append(user_id)
        return user_id

    def books(self, book_ids: list[str], title: str = "A Book") -> list[Book]:
        """Books of these ids, inserted if they are missing."""
        books = [make_book(book_id, title) for book_id in book_ids]
        with self.postgres.cursor() as cursor:
            cursor.executemany(
                "insert into books (book_id, title, price, image_url) values (%s, %s, %s, %s) "
                "on conflict do nothing",
                [(b.book_id, b.title, b.price, b.image_url) for b in books],
            )
        self._books += book_ids
        return books

    def session(self, user_id: str, text: str = "devops") -> Session:
        """A session of `user_id`, created NOW, not yet stored."""
        session_id = f"sess-{uuid4()}"
        self._sessions.append(session_id)
        return make_session(session_id, user_id, text)

    def clear(self) -> None:
        """Delete all users, books and sessions of this shop, and their carts."""
        for table, column, ids in (
            ("carts", "user_id", self._users),
            ("sessions", "session_id", self._sessions),
            ("users", "user_id", self._users),
            ("books", "book_id", self._books),
        ):
            self.postgres.execute(f"delete from {table} where {column} = any(%s)", (ids,))
        for user_id in self._users:
            for item in self._lines(user_id):
                self.dynamodb.delete_item(TableName=CARTS_TABLE, Key=item)
        for session_id in self._sessions:
            self.dynamodb.delete_item(
                TableName=SESSIONS_TABLE, Key={"session_id": {"S": session_id}}
            )
        self.postgres.close()
        self.dynamodb.close()

    def _lines(self, user_id: str) -> list[Any]:
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=CARTS_TABLE,
            KeyConditionExpression="user_id = :user",
            ExpressionAttributeValues={":user": {"S": user_id}},
            ProjectionExpression="user_id, book_id",
        )
        return [item for page in pages for item in page["Items"]]
