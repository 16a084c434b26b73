"""The contract of every store, on the real databases.

`Checked` (tests/stores/shop.py) also checks the contract of `wire_ns` at each call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from loadtests.errors import LineNotFound, QuantityRefused, SessionNotFound
from loadtests.model import SESSION_LIFE_S, Book, CartSummary, Preferences, Session, SessionData
from loadtests.patterns import CARTS_TABLE, DRIVERS
from loadtests.targets.endpoints import Endpoints
from tests.stores.shop import ALL_DRIVERS, LATER, NOW, TITLES, Checked, Shop, line, opened

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


@pytest.fixture(scope="module")
def carts(driver: str, endpoints: Endpoints) -> Iterator[Checked]:
    with opened(driver, "carts", endpoints) as store:
        yield store


@pytest.fixture(scope="module")
def sessions(driver: str, endpoints: Endpoints) -> Iterator[Checked]:
    with opened(driver, "sessions", endpoints) as store:
        yield store


@pytest.fixture
def user(shop: Shop) -> str:
    return shop.user()


@pytest.fixture(scope="module")
def book(shop: Shop) -> Book:
    return shop.books(["contract-book"])[0]


@pytest.fixture
def session(shop: Shop, user: str) -> Session:
    return shop.session(user)


# Carts


def test_an_empty_cart(carts: Checked, user: str) -> None:
    assert carts.get(user) == []
    assert carts.get_item(user, "contract-book") is None


def test_add_creates_the_whole_line(carts: Checked, user: str, book: Book) -> None:
    assert carts.add(user, book, 2, NOW) == 2
    expected = line(user, book, 2, NOW, NOW)
    assert carts.get_item(user, book.book_id) == expected
    assert carts.get(user) == [expected]


def test_add_again_increases_and_keeps_added_at(carts: Checked, user: str, book: Book) -> None:
    carts.add(user, book, 2, NOW)
    dearer = replace(book, title="Second Edition", price=Decimal("31.50"), image_url="https://x/2")
    assert carts.add(user, dearer, 3, LATER) == 5
    assert carts.get(user) == [line(user, dearer, 5, NOW, LATER)]


@pytest.mark.parametrize("quantity", [0, 100, -1, 10**6])
def test_a_quantity_outside_1_to_99_is_refused_and_changes_nothing(
    carts: Checked, user: str, book: Book, quantity: int
) -> None:
    with pytest.raises(QuantityRefused):
        carts.add(user, book, quantity, NOW)
    assert carts.get(user) == []
    carts.add(user, book, 5, NOW)
    changes: list[Callable[[], object]] = [
        lambda: carts.add(user, book, quantity, LATER),
        lambda: carts.update(user, book.book_id, quantity, LATER),
    ]
    for change in changes:
        with pytest.raises(QuantityRefused) as refused:
            change()
        assert refused.value.name == "QuantityRefused"
    assert carts.get(user) == [line(user, book, 5, NOW, NOW)]


def test_an_add_past_99_is_refused_and_changes_nothing(
    carts: Checked, user: str, book: Book
) -> None:
    assert carts.add(user, book, 60, NOW) == 60
    with pytest.raises(QuantityRefused):
        carts.add(user, book, 40, LATER)
    assert carts.get(user) == [line(user, book, 60, NOW, NOW)]
    assert carts.add(user, book, 39, LATER) == 99
    with pytest.raises(QuantityRefused):
        carts.add(user, book, 1, LATER)
    assert carts.get_item(user, book.book_id).quantity == 99


@pytest.mark.parametrize("quantity", [1, 99])
def test_update_sets_the_quantity_and_keeps_the_rest(
    carts: Checked, user: str, book: Book, quantity: int
) -> None:
    carts.add(user, book, 2, NOW)
    assert carts.update(user, book.book_id, quantity, LATER) is None
    assert carts.get(user) == [line(user, book, quantity, NOW, LATER)]


def test_update_of_a_missing_line_makes_none(carts: Checked, user: str, book: Book) -> None:
    with pytest.raises(LineNotFound) as missing:
        carts.update(user, book.book_id, 3, NOW)
    assert missing.value.name == "LineNotFound"
    assert carts.get(user) == []


def test_remove(carts: Checked, shop: Shop, user: str, book: Book) -> None:
    other = shop.books(["contract-other"])[0]
    carts.add(user, book, 2, NOW)
    carts.add(user, other, 1, NOW)
    assert carts.remove(user, book.book_id) is None
    assert carts.get(user) == [line(user, other, 1, NOW, NOW)]
    with pytest.raises(LineNotFound):
        carts.remove(user, book.book_id)
    assert carts.get(user) == [line(user, other, 1, NOW, NOW)]


def test_a_line_removed_and_added_again_is_new(carts: Checked, user: str, book: Book) -> None:
    carts.add(user, book, 9, NOW)
    carts.remove(user, book.book_id)
    assert carts.add(user, book, 1, LATER) == 1
    assert carts.get(user) == [line(user, book, 1, LATER, LATER)]


def test_lines_come_in_code_point_order_of_book_id(carts: Checked, shop: Shop, user: str) -> None:
    ids = ["book-9", "book-10", "Book-9", "a", "B", "É", "z", "ü", "猫", "_", "b-a", "ba"]
    for book in shop.books([f"{name}-order" for name in ids]):
        carts.add(user, book, 1, NOW)
    book_ids = [item.book_id for item in carts.get(user)]
    assert book_ids == sorted(f"{name}-order" for name in ids)


def test_carts_are_their_owners_alone(carts: Checked, shop: Shop, user: str, book: Book) -> None:
    other = shop.user()
    carts.add(user, book, 1, NOW)
    carts.add(other, book, 7, NOW)
    assert [item.quantity for item in carts.get(user)] == [1]
    carts.remove(user, book.book_id)
    assert [item.quantity for item in carts.get(other)] == [7]


@pytest.mark.parametrize("title", TITLES)
def test_unicode_survives(carts: Checked, shop: Shop, title: str) -> None:
    user = shop.user("Ünï-猫-📚")
    book = shop.books([f"книга-{TITLES.index(title)}"], title)[0]
    carts.add(user, book, 1, NOW)
    assert carts.get(user) == [line(user, book, 1, NOW, NOW)]
    assert carts.get_item(user, book.book_id).book_title == title


@pytest.mark.parametrize("price", ["0", "0.01", "10", "12345678.90"])
def test_prices_are_exact(carts: Checked, user: str, book: Book, price: str) -> None:
    carts.add(user, replace(book, price=Decimal(price)), 1, NOW)
    assert carts.get_item(user, book.book_id).book_price == Decimal(price)


def test_times_keep_their_microseconds_and_their_instant(
    carts: Checked, user: str, book: Book
) -> None:
    abroad = datetime.fromisoformat("2030-01-02T03:04:05.000007+05:30")
    carts.add(user, book, 1, abroad)
    added_at = carts.get_item(user, book.book_id).added_at
    assert added_at == abroad
    assert added_at.utcoffset() == timedelta(0)


def test_a_cart_of_100_lines(carts: Checked, shop: Shop, user: str) -> None:
    books = shop.books([f"contract-{n:03}" for n in range(100)])
    for book in books:
        carts.add(user, book, 1, NOW)
    assert carts.get(user) == [line(user, book, 1, NOW, NOW) for book in books]


def test_a_cart_of_several_pages(carts: Checked, shop: Shop, user: str) -> None:
    """DynamoDB answers a Query in pages of 1 MB; the store asks for them all."""
    books = shop.books([f"contract-{n:03}" for n in range(12)], "長い題名" * 16_000)
    for book in books:
        carts.add(user, book, 1, NOW)
    assert carts.get(user) == [line(user, book, 1, NOW, NOW) for book in books]
    if hasattr(carts.store, "capacity"):
        page = shop.dynamodb.query(
            TableName=CARTS_TABLE,
            KeyConditionExpression="user_id = :user",
            ExpressionAttributeValues={":user": {"S": user}},
        )
        assert page["LastEvaluatedKey"], "the cart fits one page and tests nothing"


def test_two_adders_at_once_lose_nothing(
    driver: str, endpoints: Endpoints, shop: Shop, user: str, book: Book
) -> None:
    def add_60_times(_: int) -> int:
        refused = 0
        with opened(driver, "carts", endpoints) as store:
            for _ in range(60):
                try:
                    store.add(user, book, 1, NOW)
                except QuantityRefused:
                    refused += 1
        return refused

    with ThreadPoolExecutor(2) as pool:
        refused = sum(pool.map(add_60_times, range(2)))
    with opened(driver, "carts", endpoints) as store:
        assert store.get_item(user, book.book_id).quantity == 99
    assert refused == 2 * 60 - 99


# Sessions


def test_create_and_get_the_whole_session(sessions: Checked, session: Session) -> None:
    assert sessions.create(session) is None
    assert sessions.get(session.session_id, NOW) == session


def test_create_overwrites(sessions: Checked, session: Session) -> None:
    sessions.create(session)
    other = replace(
        session,
        session_data=SessionData(Preferences("light", "de", "EUR"), (), ()),
        cart_summary=CartSummary(0, Decimal(0), LATER),
        expires_at=session.expires_at + 7,
        ip_address="2001:db8::1",
    )
    sessions.create(other)
    assert sessions.get(session.session_id, NOW) == other


def test_refresh_gives_another_24_hours_and_keeps_the_rest(
    sessions: Checked, session: Session
) -> None:
    sessions.create(session)
    assert sessions.refresh(session.session_id, LATER) is None
    assert sessions.get(session.session_id, LATER) == replace(
        session, last_activity=LATER, expires_at=int(LATER.timestamp()) + SESSION_LIFE_S
    )


def test_store_summary_replaces_the_summary_and_keeps_the_rest(
    sessions: Checked, session: Session
) -> None:
    sessions.create(session)
    summary = CartSummary(99, Decimal("1234567.89"), LATER)
    assert sessions.store_summary(session.session_id, summary, LATER) is None
    assert sessions.get(session.session_id, LATER) == replace(
        session, cart_summary=summary, last_activity=LATER
    )


def test_a_session_that_is_not_there(sessions: Checked, session: Session) -> None:
    assert sessions.get(session.session_id, NOW) is None
    with pytest.raises(SessionNotFound) as missing:
        sessions.refresh(session.session_id, NOW)
    assert missing.value.name == "SessionNotFound"
    with pytest.raises(SessionNotFound):
        sessions.store_summary(session.session_id, session.cart_summary, NOW)
    assert sessions.get(session.session_id, NOW) is None


@pytest.mark.parametrize("after_expiry", [timedelta(0), timedelta(microseconds=1), timedelta(1)])
def test_an_expired_session_is_absent_before_ttl_removes_it(
    sessions: Checked, session: Session, after_expiry: timedelta
) -> None:
    """Its time has not come on the database's clock, so TTL leaves it; on the caller's it has."""
    sessions.create(session)
    expiry = datetime.fromtimestamp(session.expires_at, UTC)
    late = expiry + after_expiry
    assert sessions.get(session.session_id, late) is None
    with pytest.raises(SessionNotFound):
        sessions.refresh(session.session_id, late)
    with pytest.raises(SessionNotFound):
        sessions.store_summary(session.session_id, session.cart_summary, late)
    just_before = expiry - timedelta(microseconds=1)
    assert sessions.get(session.session_id, just_before) == session
    sessions.refresh(session.session_id, just_before)
    assert sessions.get(session.session_id, expiry) is not None


@pytest.mark.parametrize("text", TITLES)
def test_unicode_survives_in_sessions(sessions: Checked, shop: Shop, user: str, text: str) -> None:
    session = shop.session(user, text)
    sessions.create(session)
    assert sessions.get(session.session_id, NOW) == session


# Both


@pytest.mark.parametrize("kind", ["carts", "sessions"])
def test_close_may_be_called_twice_and_before_any_call(
    driver: str, endpoints: Endpoints, kind: str
) -> None:
    with opened(driver, kind, endpoints) as store:
        store.close()
        store.close()


def used_capacity(store: Checked) -> object:
    return store.store.capacity


@pytest.mark.parametrize("name", DRIVERS["dynamodb"])
def test_dynamodb_stores_tell_the_capacity_they_used_when_asked(
    name: str, endpoints: Endpoints, user: str, book: Book
) -> None:
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
