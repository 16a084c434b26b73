"""Carts of a set number of lines, in users that nothing else touches; put back afterwards."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from loadtests.errors import ResponseInvalid, UsageError
from loadtests.microbench.suites.bench import RESERVED, Bench
from loadtests.microbench.suites.cases import Call, Case
from loadtests.model import CartItem
from loadtests.patterns import DRIVERS
from loadtests.stores.open import ASYNC_DRIVERS, open_cart_store

_BLOCKING = {"dynamodb": "wire", "postgres": "psycopg"}


def open_cart_of(bench: Bench, driver: str, lines: int, place: int) -> Case:
    """Get the cart of the reserved user at `place`, made to hold so many lines.

    Raises UsageError when there are too few users or books.
    """
    users = bench.dataset.users[-RESERVED:]
    if len(users) <= place or len(bench.dataset.books) < lines:
        raise UsageError(
            f"A cart of {lines} lines needs {lines} books, and a user of its own.",
            hint="Seed more ([data] users, books in loadtests.toml), or leave it out with -k.",
        )
    backend = next(name for name, drivers in DRIVERS.items() if driver in drivers)
    user_id = users[place].user_id
    with_lines(bench, backend, user_id, lines)
    store = bench.cart_store(driver)

    def settle(found: list[CartItem]) -> None:
        if len(found) != lines:
            raise ResponseInvalid(f"a cart of {lines} lines came with {len(found)}")

    return Case(lambda: Call(store.get, (user_id,), settle, store=store), driver in ASYNC_DRIVERS)


def with_lines(bench: Bench, backend: str, user_id: str, lines: int) -> None:
    """Make the cart hold the first `lines` books; as it was when the bench closes."""
    store = open_cart_store(_BLOCKING[backend], bench.endpoints)
    try:
        before = store.get(user_id)
        wanted = {book.book_id: 1 for book in bench.dataset.books[:lines]}
        if {item.book_id for item in before} != set(wanted):
            bench.keep(_Undo(partial(_set_lines, bench, backend, user_id, _quantities(before))))
            _put(store, bench, user_id, wanted)
    finally:
        store.close()


class _Undo:
    """Closed with the stores: puts things back."""

    def __init__(self, undo: Any) -> None:
        self.close = undo


def _quantities(items: list[CartItem]) -> dict[str, int]:
    return {item.book_id: item.quantity for item in items}


def _set_lines(bench: Bench, backend: str, user_id: str, wanted: dict[str, int]) -> None:
    store = open_cart_store(_BLOCKING[backend], bench.endpoints)
    try:
        _put(store, bench, user_id, wanted)
    finally:
        store.close()


def _put(store: Any, bench: Bench, user_id: str, wanted: dict[str, int]) -> None:
    books = {book.book_id: book for book in bench.dataset.books}
    held = {item.book_id for item in store.get(user_id)}
    now = datetime.now(UTC)
    for book_id in held - wanted.keys():
        store.remove(user_id, book_id)
    for book_id in wanted.keys() - held:
        store.add(user_id, books[book_id], wanted[book_id], now)
