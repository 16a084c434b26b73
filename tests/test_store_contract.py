"""The contract of every store, on the real databases: `loadtests.contract`, over all drivers.

`Checked` (tests/stores/shop.py) also checks the contract of `wire_ns` at each call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from loadtests.contract import CartContract, SessionContract
from loadtests.contract.samples import LATER, LONG_TEXT, NOW
from loadtests.errors import LineNotFound, QuantityRefused, SessionNotFound
from loadtests.model import Book, Session
from loadtests.patterns import CARTS_TABLE, DRIVERS
from loadtests.targets.endpoints import Endpoints
from tests.stores.shop import ALL_DRIVERS, Checked, Shop, opened

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def shop(endpoints: Endpoints) -> Iterator[Shop]:
    shop = Shop(endpoints)
    yield shop
    shop.clear()


@pytest.fixture(scope="module", params=ALL_DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


# connecting costs more than a test
@pytest.fixture(scope="module")
def one_store_of_carts(driver: str, endpoints: Endpoints) -> Iterator[Checked]:
    with opened(driver, "carts", endpoints) as store:
        yield store


@pytest.fixture(scope="module")
def one_store_of_sessions(driver: str, endpoints: Endpoints) -> Iterator[Checked]:
    with opened(driver, "sessions", endpoints) as store:
        yield store


class TestCarts(CartContract):
    @pytest.fixture
    def new_user(self, shop: Shop) -> Callable[[], str]:
        return lambda: shop.user("Ünï-猫-📚")

    @pytest.fixture
    def new_book(self, shop: Shop) -> Callable[[str, str], Book]:
        return lambda book_id, title: shop.books([book_id], title)[0]

    @pytest.fixture
    def open_carts(self, driver: str, endpoints: Endpoints) -> Iterator[Callable[[], Checked]]:
        with ExitStack() as stores:
            yield lambda: stores.enter_context(opened(driver, "carts", endpoints))

    @pytest.fixture
    def carts(self, one_store_of_carts: Checked) -> Checked:
        return one_store_of_carts

    def test_errors_are_counted_by_their_names(self, carts: Checked, user: str, book: Book) -> None:
        calls: dict[str, Callable[[], object]] = {
            "QuantityRefused": lambda: carts.add(user, book, 0, NOW),
            "LineNotFound": lambda: carts.update(user, book.book_id, 3, NOW),
        }
        for name, call in calls.items():
            with pytest.raises((QuantityRefused, LineNotFound)) as raised:
                call()
            assert raised.value.name == name

    def test_changes_return_nothing(self, carts: Checked, user: str, book: Book) -> None:
        carts.add(user, book, 2, NOW)
        assert carts.update(user, book.book_id, 3, LATER) is None
        assert carts.remove(user, book.book_id) is None


class TestSessions(SessionContract):
    @pytest.fixture
    def new_user(self, shop: Shop) -> Callable[[], str]:
        return shop.user

    @pytest.fixture
    def new_session(self, shop: Shop, user: str) -> Callable[[str], Session]:
        return lambda text: shop.session(user, text)

    @pytest.fixture
    def open_sessions(self, driver: str, endpoints: Endpoints) -> Iterator[Callable[[], Checked]]:
        with ExitStack() as stores:
            yield lambda: stores.enter_context(opened(driver, "sessions", endpoints))

    @pytest.fixture
    def sessions(self, one_store_of_sessions: Checked) -> Checked:
        return one_store_of_sessions

    def test_errors_are_counted_by_their_names(self, sessions: Checked, session: Session) -> None:
        with pytest.raises(SessionNotFound) as missing:
            sessions.refresh(session.session_id, NOW)
        assert missing.value.name == "SessionNotFound"

    def test_changes_return_nothing(self, sessions: Checked, session: Session) -> None:
        assert sessions.create(session) is None
        assert sessions.refresh(session.session_id, NOW) is None
        assert sessions.store_summary(session.session_id, session.cart_summary, NOW) is None


def test_the_cart_of_several_pages_has_several(shop: Shop, endpoints: Endpoints) -> None:
    """Else the contract's test of pagination would test nothing."""
    user = shop.user()
    with opened("wire", "carts", endpoints) as carts:
        for book in shop.books([f"contract-long-{n:02}" for n in range(12)], LONG_TEXT):
            carts.add(user, book, 1, NOW)
    page = shop.dynamodb.query(
        TableName=CARTS_TABLE,
        KeyConditionExpression="user_id = :user",
        ExpressionAttributeValues={":user": {"S": user}},
    )
    assert page["LastEvaluatedKey"], "the cart fits one page"


def used_capacity(store: Checked) -> object:
    return store.store.capacity


@pytest.mark.parametrize("name", DRIVERS["dynamodb"])
def test_dynamodb_stores_tell_the_capacity_they_used_when_asked(
    name: str, endpoints: Endpoints, shop: Shop
) -> None:
    user, (book,) = shop.user(), shop.books(["contract-book"])
    with opened(name, "carts", endpoints) as store:
        store.add(user, book, 1, NOW)
        assert used_capacity(store) is None
        store.store.ask_capacity = True
        store.add(user, book, 1, NOW)
        assert used_capacity(store) == (0.0, 1.0)
        store.get(user)
        assert used_capacity(store) == (1.0, 0.0)
        store.store.ask_capacity = False
        store.get(user)
        assert used_capacity(store) is None
    with opened(name, "carts", endpoints, consistent=False) as store:
        store.store.ask_capacity = True
        store.get(user)
        assert used_capacity(store) == (0.5, 0.0)
