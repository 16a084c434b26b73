"""examples/own_store: a repository on SQLAlchemy does what a cart store does."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from loadtests.errors import LineNotFound
from loadtests.stores.factories import backend_of_factory
from loadtests.stores.open import open_cart_store
from loadtests.targets.endpoints import Endpoints
from tests.stores.shop import Shop

FOLDER = Path(__file__).parents[2] / "examples" / "own_store"
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
def carts(endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(FOLDER)
    store, sessions = importlib.import_module("shop.carts").make(endpoints)
    assert sessions is None
    yield store
    store.close()
    for name in ("shop.carts", "shop"):  # other tests have modules of that name
        del sys.modules[name]


def test_it_agrees_with_the_driver_of_the_harness(carts: Any, endpoints: Endpoints) -> None:
    assert backend_of_factory("shop.carts:make") == "postgres"
    shop = Shop(endpoints)
    driver = open_cart_store("psycopg", endpoints)
    try:
        user, (book, other) = shop.user(), shop.books(["own-store-a", "own-store-B"])
        assert carts.add(user, book, 2, NOW) == 2
        assert carts.add(user, book, 3, NOW + timedelta(seconds=1)) == 5
        assert carts.add(user, other, 1, NOW) == 1
        carts.update(user, other.book_id, 7, NOW)
        assert carts.get(user) == driver.get(user)
        assert [line.quantity for line in carts.get(user)] == [7, 5]
        assert carts.get_item(user, book.book_id) == driver.get_item(user, book.book_id)
        assert isinstance(carts.get_item(user, book.book_id).book_price, Decimal)
        carts.remove(user, book.book_id)
        assert carts.get_item(user, book.book_id) is None
        with pytest.raises(LineNotFound):
            carts.remove(user, "gone")
        with pytest.raises(LineNotFound):
            carts.update(user, "gone", 1, NOW)
    finally:
        driver.close()
        shop.clear()


def test_it_is_short() -> None:
    assert len((FOLDER / "shop" / "carts.py").read_text().splitlines()) < 80
