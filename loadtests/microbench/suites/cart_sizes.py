"""Carts of a set number of lines, of users that nothing else touches; restored afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from loadtests.errors import ResponseInvalid, UsageError
from loadtests.microbench.suites.bench import RESERVED_USERS, Bench, backend_of
from loadtests.microbench.suites.cases import Call, Case
from loadtests.model import CartItem
from loadtests.stores import CartStore
from loadtests.stores.open import ASYNC_DRIVERS, open_cart_store

_BLOCKING_DRIVERS = {"dynamodb": "wire", "postgres": "psycopg"}


def open_cart_of(bench: Bench, driver: str, lines: int, user_index: int) -> Case:
    """Get the cart of a reserved user, which is first given this number of lines.

    Raises UsageError when there are too few users or books.
    """
    users = bench.dataset.users[-RESERVED_USERS:]
    if len(users) <= user_index or len(bench.dataset.books) < lines:
        raise UsageError(
            f"A cart of {lines} lines needs {lines} books and one more user.",
            hint="Seed more ([data] users, books in loadtests.toml), or deselect it with -k.",
        )
    user_id = users[user_index].user_id
    fill_cart(bench, backend_of(driver), user_id, lines)
    store = bench.cart_store(driver)

    def settle(items: Sequence[CartItem]) -> None:
        if len(items) != lines:
            raise ResponseInvalid(f"a cart of {lines} lines was returned with {len(items)}")

    return Case(lambda: Call(store.get, (user_id,), settle, store=store), driver in ASYNC_DRIVERS)


def fill_cart(bench: Bench, backend: str, user_id: str, lines: int) -> None:
    """Make the cart hold the first `lines` books, until the bench closes."""
    store = open_cart_store(_BLOCKING_DRIVERS[backend], bench.endpoints)
    try:
        before = {item.book_id: item.quantity for item in store.get(user_id)}
        quantities = {book.book_id: 1 for book in bench.dataset.books[:lines]}
        if before.keys() != quantities.keys():
            bench.closing(_Restore(partial(_restore_cart, bench, backend, user_id, before)))
            _write_cart(store, bench, user_id, quantities)
    finally:
        store.close()


class _Restore:
    """Closed with the stores: restores what was there before."""

    def __init__(self, restore: Callable[[], None]) -> None:
        self.close = restore


def _restore_cart(bench: Bench, backend: str, user_id: str, quantities: Mapping[str, int]) -> None:
    store = open_cart_store(_BLOCKING_DRIVERS[backend], bench.endpoints)
    try:
        _write_cart(store, bench, user_id, quantities)
    finally:
        store.close()


def _write_cart(
    store: CartStore, bench: Bench, user_id: str, quantities: Mapping[str, int]
) -> None:
    books = {book.book_id: book for book in bench.dataset.books}
    present = {item.book_id for item in store.get(user_id)}
    now = datetime.now(UTC)
    for book_id in present - quantities.keys():
        store.remove(user_id, book_id)
    for book_id in quantities.keys() - present:
        store.add(user_id, books[book_id], quantities[book_id], now)
