"""Any sequence of operations leaves every driver's cart equal, and equal to a plain dict."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.contract.samples import NOW, line
from loadtests.errors import CallError, LineNotFound, QuantityRefused
from loadtests.model import Book, CartItem
from loadtests.targets.endpoints import Endpoints
from tests.stores.shop import ALL_DRIVERS, Checked, Shop, opened

pytestmark = pytest.mark.embedded

BOOK_IDS = ("equal-1", "equal-2", "Equal-Ü")
quantities = st.one_of(
    st.integers(1, 99), st.sampled_from([0, 1, 49, 50, 98, 99, 100]), st.integers(-5, 105)
)
operations = st.one_of(
    st.tuples(st.just("add"), st.sampled_from(BOOK_IDS), quantities),
    st.tuples(st.just("update"), st.sampled_from(BOOK_IDS), quantities),
    st.tuples(st.just("remove"), st.sampled_from(BOOK_IDS)),
    st.tuples(st.just("get_item"), st.sampled_from(BOOK_IDS)),
    st.tuples(st.just("get")),
)


class PlainCart:
    """The contract in its simplest form: one user's cart in a dict."""

    def __init__(self) -> None:
        self.lines: dict[str, CartItem] = {}

    def get(self, user_id: str) -> list[CartItem]:
        return [self.lines[book_id] for book_id in sorted(self.lines)]

    def get_item(self, user_id: str, book_id: str) -> CartItem | None:
        return self.lines.get(book_id)

    def add(self, user_id: str, book: Book, quantity: int, now: Any) -> int:
        old = self.lines.get(book.book_id)
        total = quantity + (old.quantity if old else 0)
        if quantity < 1 or total > 99:
            raise QuantityRefused
        added_at = old.added_at if old else now
        self.lines[book.book_id] = line(user_id, book, total, added_at, now)
        return total

    def update(self, user_id: str, book_id: str, quantity: int, now: Any) -> None:
        if not 1 <= quantity <= 99:
            raise QuantityRefused
        if book_id not in self.lines:
            raise LineNotFound
        old = self.lines[book_id]
        book = Book(book_id, old.book_title, old.book_price, old.book_image_url)
        self.lines[book_id] = line(user_id, book, quantity, old.added_at, now)

    def remove(self, user_id: str, book_id: str) -> None:
        if self.lines.pop(book_id, None) is None:
            raise LineNotFound


@pytest.fixture(scope="module")
def shop(endpoints: Endpoints) -> Iterator[Shop]:
    shop = Shop(endpoints)
    yield shop
    shop.clear()


@pytest.fixture(scope="module")
def books(shop: Shop) -> dict[str, Book]:
    return {book.book_id: book for book in shop.books(list(BOOK_IDS))}


@pytest.fixture(scope="module")
def stores(endpoints: Endpoints) -> Iterator[dict[str, Checked]]:
    with ExitStack() as stack:
        yield {
            driver: stack.enter_context(opened(driver, "carts", endpoints))
            for driver in ALL_DRIVERS
        }


@settings(max_examples=50, deadline=None)
@given(sequence=st.lists(operations, max_size=12))
def test_every_driver_does_what_a_dict_does(
    shop: Shop, books: dict[str, Book], stores: dict[str, Checked], sequence: list[tuple[Any, ...]]
) -> None:
    users = {driver: shop.user("equal") for driver in ALL_DRIVERS}
    models = {driver: PlainCart() for driver in ALL_DRIVERS}
    for step, operation in enumerate(sequence):
        now = NOW + timedelta(seconds=step, microseconds=step)
        for driver, store in stores.items():
            expected = outcome(models[driver], users[driver], operation, books, now)
            actual = outcome(store, users[driver], operation, books, now)
            assert actual == expected, (driver, operation)
    carts = {driver: store.get(users[driver]) for driver, store in stores.items()}
    assert carts == {driver: models[driver].get(users[driver]) for driver in ALL_DRIVERS}
    anyone = [[replace(item, user_id="") for item in cart] for cart in carts.values()]
    assert all(cart == anyone[0] for cart in anyone)


def outcome(store: Any, user_id: str, operation: Any, books: dict[str, Book], now: Any) -> Any:
    """What an operation returns, or the type of what it raises."""
    name, *arguments = operation
    if name == "add":
        arguments = [books[arguments[0]], arguments[1], now]
    elif name == "update":
        arguments.append(now)
    try:
        return getattr(store, name)(user_id, *arguments)
    except CallError as error:
        return type(error)
