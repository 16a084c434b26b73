"""The data set is a pure function of sizes, seed and moment, and fits together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.config import Data
from loadtests.targets.seed.dataset import Dataset, make_dataset, make_session

NOW = datetime(2024, 1, 15, 14, 30, 0, 250_000, tzinfo=UTC)


@settings(max_examples=25)
@given(st.integers(1, 60), st.integers(20, 80), st.integers(1, 100), st.integers(0, 2**31))
def test_everything_refers_to_something_that_exists(
    users: int, books: int, lines: int, seed: int
) -> None:
    data = make_dataset(Data(users=users, books=books, lines_per_cart=lines), seed, NOW)
    assert (len(data.users), len(data.books)) == (users, books)
    catalogue = {book.book_id: book for book in data.books}
    people = {user.user_id for user in data.users}
    assert (len(people), len(catalogue)) == (users, books)
    assert len({user.email for user in data.users}) == users
    assert len({session.session_id for session in data.sessions}) == users
    for user, cart, session in zip(data.users, data.carts, data.sessions, strict=True):
        assert session.user_id == user.user_id
        assert set(session.session_data.browsing_history) <= set(catalogue)
        assert session.cart_summary.item_count == sum(item.quantity for item in cart)
        assert session.cart_summary.total_amount == sum(i.quantity * i.book_price for i in cart)
        assert len({item.book_id for item in cart}) == len(cart)
        for item in cart:
            book = catalogue[item.book_id]
            assert item.user_id == user.user_id
            assert 1 <= item.quantity <= 99
            assert item.added_at <= item.updated_at <= NOW
            assert (item.book_title, item.book_price, item.book_image_url) == (
                book.title,
                book.price,
                book.image_url,
            )
    assert {order.user_id for order in data.orders} <= people


def test_the_same_seed_gives_the_same_data_and_another_seed_does_not() -> None:
    data = Data(users=30, books=20)
    assert make_dataset(data, 1, NOW) == make_dataset(data, 1, NOW)
    assert make_dataset(data, 1, NOW).users != make_dataset(data, 2, NOW).users


def test_the_keys_do_not_depend_on_the_moment_so_that_seeding_again_meets_them() -> None:
    data = Data(users=30, books=20)
    first, later = (
        make_dataset(data, 1, NOW),
        make_dataset(data, 1, NOW + timedelta(days=3, hours=7)),
    )
    assert keys(first) == keys(later)
    assert first.sessions[0].created_at != later.sessions[0].created_at


@pytest.mark.parametrize("lines", [1, 2, 5, 10])
def test_carts_have_the_mean_size_asked_for(lines: int) -> None:
    data = make_dataset(Data(users=2_000, books=50, lines_per_cart=lines), 1, NOW)
    sizes = [len(cart) for cart in data.carts]
    assert min(sizes) >= 1
    assert sum(sizes) / len(sizes) == pytest.approx(lines, rel=0.05)
    assert lines == 1 or len(set(sizes)) > 1


def test_a_session_begins_now_and_lives_a_day() -> None:
    data = make_dataset(Data(users=3, books=20), 1, NOW)
    session = data.sessions[0]
    assert session.created_at == NOW.replace(microsecond=0)
    assert session.expires_at == int(NOW.timestamp()) + 86_400
    session = make_session(Random(1), data.users[0], NOW)
    assert session.session_id.startswith("sess-20240115-143000-")
    assert (session.created_at, session.expires_at) == (NOW, int(NOW.timestamp()) + 86_400)
    assert make_session(Random(1), data.users[0], NOW) == session
    assert len({make_session(rng, data.users[0], NOW).session_id for rng in [Random(7)] * 50}) == 50


def test_some_titles_are_not_ascii() -> None:
    titles = [book.title for book in make_dataset(Data(), 1, NOW).books]
    assert any(not title.isascii() for title in titles)
    assert any(ord(letter) > 0xFFFF for title in titles for letter in title)


def keys(data: Dataset) -> tuple[list[object], ...]:
    return (
        [book.book_id for book in data.books],
        [user.user_id for user in data.users],
        [[item.book_id for item in cart] for cart in data.carts],
        [session.session_id for session in data.sessions],
        [order.order_id for order in data.orders],
    )
