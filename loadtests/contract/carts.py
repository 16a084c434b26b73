"""The contract of a cart store (`loadtests.stores.CartStore`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import ClassVar, Final

import pytest

from loadtests.contract.fixtures import (
    StoreContract,
    another_store,
    check_wire_time,
    needs,
    opened_store,
)
from loadtests.contract.samples import INDIA, LATER, LONG_TEXT, NOW, TEXTS, line, make_book
from loadtests.errors import LineNotFound, QuantityRefused
from loadtests.model import QUANTITY_MAX, Book
from loadtests.stores import CartStore

_METHODS: Final = ("get", "get_item", "add", "update", "remove", "close")
_OUTSIDE: Final = (0, 100, -1, 10**6)
_ADDS: Final = 60  # of each of two users at once: more than a line holds


class CartContract(StoreContract):
    """Tests of a cart store. A subclass has the fixture `open_carts`, or `carts`."""

    every_method: ClassVar[Collection[str]] = _METHODS
    methods: ClassVar[Collection[str]] = _METHODS

    @pytest.fixture
    def open_carts(self) -> Callable[[], CartStore] | None:
        """Opens a store with a connection of its own."""
        return None

    @pytest.fixture
    def carts(self, open_carts: Callable[[], CartStore] | None) -> Iterator[CartStore]:
        """The store under test."""
        store = opened_store(open_carts, type(self).__name__, "open_carts")
        yield store
        if "close" in self.methods:
            store.close()

    @pytest.fixture
    def new_book(self) -> Callable[[str, str], Book]:
        """Makes a book that carts may hold, of an id and a title.

        The id may be replaced by one of the shop's own, the same for the same argument.
        """
        return make_book

    @pytest.fixture
    def book(self, new_book: Callable[[str, str], Book]) -> Book:
        """A book that carts may hold."""
        return new_book("contract-book", "A Book")

    # Reading

    @needs("get")
    def test_a_user_without_lines_has_an_empty_cart(self, carts: CartStore, user: str) -> None:
        """`get` returns an empty list for a user whom the store has not seen."""
        assert carts.get(user) == []

    @needs("get_item")
    def test_an_unknown_line_is_none(self, carts: CartStore, user: str, book: Book) -> None:
        """`get_item` returns None, and raises no error."""
        assert carts.get_item(user, book.book_id) is None

    @needs("add", "get_item")
    def test_one_line_is_the_line_of_its_book(
        self, carts: CartStore, user: str, book: Book, new_book: Callable[[str, str], Book]
    ) -> None:
        """`get_item` returns the whole line, and None for a book that is not in the cart."""
        other = new_book("contract-other", "Another Book")
        carts.add(user, book, 2, NOW)
        assert carts.get_item(user, book.book_id) == line(user, book, 2, NOW, NOW)
        assert carts.get_item(user, other.book_id) is None

    @needs("add", "get")
    def test_lines_come_in_code_point_order_of_book_id(
        self, carts: CartStore, user: str, new_book: Callable[[str, str], Book]
    ) -> None:
        """`get` sorts by book_id as Python does, whatever the database's collation."""
        ids = ["book-9", "book-10", "Book-9", "a", "B", "É", "z", "ü", "猫", "_", "b-a", "ba"]
        books = [new_book(f"{name}-order", "A Book") for name in ids]
        for book in books:
            carts.add(user, book, 1, NOW)
        book_ids = [item.book_id for item in carts.get(user)]
        assert book_ids == sorted(book.book_id for book in books)

    @needs("add", "get")
    def test_a_cart_of_100_lines(
        self, carts: CartStore, user: str, new_book: Callable[[str, str], Book]
    ) -> None:
        """`get` returns all lines of a large cart."""
        books = [new_book(f"contract-{n:03}", "A Book") for n in range(100)]
        for book in books:
            carts.add(user, book, 1, NOW)
        expected = [line(user, book, 1, NOW, NOW) for book in books]
        assert carts.get(user) == sorted(expected, key=lambda item: item.book_id)

    @needs("add", "get")
    def test_a_cart_of_several_pages(
        self, carts: CartStore, user: str, new_book: Callable[[str, str], Book]
    ) -> None:
        """DynamoDB answers a Query in pages of 1 MB; the store asks for them all."""
        books = [new_book(f"contract-long-{n:02}", LONG_TEXT) for n in range(12)]
        for book in books:
            carts.add(user, book, 1, NOW)
        lines = carts.get(user)
        assert [item.book_id for item in lines] == sorted(book.book_id for book in books)
        expected = [line(user, book, 1, NOW, NOW) for book in books]
        is_equal = lines == sorted(expected, key=lambda item: item.book_id)
        assert is_equal  # the texts are too long to be shown

    @needs("add", "get")
    def test_each_user_has_a_cart(
        self, carts: CartStore, user: str, new_user: Callable[[], str], book: Book
    ) -> None:
        """A line of one user is in no other cart."""
        other = new_user()
        carts.add(user, book, 1, NOW)
        carts.add(other, book, 7, NOW)
        assert [item.quantity for item in carts.get(user)] == [1]
        assert [item.quantity for item in carts.get(other)] == [7]

    # Adding

    @needs("add", "get")
    def test_add_creates_the_whole_line(self, carts: CartStore, user: str, book: Book) -> None:
        """`add` stores every field, and returns the new quantity."""
        assert carts.add(user, book, 2, NOW) == 2
        assert carts.get(user) == [line(user, book, 2, NOW, NOW)]

    @needs("add", "get")
    def test_add_again_increases_and_keeps_added_at(
        self, carts: CartStore, user: str, book: Book
    ) -> None:
        """`added_at` stays; quantity, `updated_at` and the book's title, price and image change."""
        carts.add(user, book, 2, NOW)
        dearer = replace(book, title="New", price=Decimal("31.50"), image_url="https://x/2")
        assert carts.add(user, dearer, 3, LATER) == 5
        assert carts.get(user) == [line(user, dearer, 5, NOW, LATER)]

    @pytest.mark.parametrize("quantity", _OUTSIDE)
    @needs("add", "get")
    def test_add_refuses_a_quantity_outside_1_to_99(
        self, carts: CartStore, user: str, book: Book, quantity: int
    ) -> None:
        """QuantityRefused, and nothing has changed."""
        with pytest.raises(QuantityRefused):
            carts.add(user, book, quantity, NOW)
        assert carts.get(user) == []
        carts.add(user, book, 5, NOW)
        with pytest.raises(QuantityRefused):
            carts.add(user, book, quantity, LATER)
        assert carts.get(user) == [line(user, book, 5, NOW, NOW)]

    @needs("add", "get")
    def test_add_refuses_a_sum_above_99(self, carts: CartStore, user: str, book: Book) -> None:
        """QuantityRefused, and nothing has changed; 99 itself is allowed."""
        assert carts.add(user, book, 60, NOW) == 60
        with pytest.raises(QuantityRefused):
            carts.add(user, book, 40, LATER)
        assert carts.get(user) == [line(user, book, 60, NOW, NOW)]
        assert carts.add(user, book, 39, LATER) == QUANTITY_MAX
        with pytest.raises(QuantityRefused):
            carts.add(user, book, 1, LATER)
        assert [item.quantity for item in carts.get(user)] == [QUANTITY_MAX]

    @needs("add", "get")
    def test_two_adders_at_once_lose_nothing(
        self,
        carts: CartStore,
        open_carts: Callable[[], CartStore] | None,
        user: str,
        book: Book,
    ) -> None:
        """Two stores add to one line concurrently: each call counts, or is refused at 99."""

        def add_many(_: int) -> int:
            refused = 0
            store = another_store(open_carts, "open_carts")  # in the thread that calls it
            for _ in range(_ADDS):
                try:
                    store.add(user, book, 1, NOW)
                except QuantityRefused:
                    refused += 1
            if "close" in self.methods:
                store.close()
            return refused

        with ThreadPoolExecutor(2) as pool:
            refused = sum(pool.map(add_many, range(2)))
        assert [item.quantity for item in carts.get(user)] == [QUANTITY_MAX]
        assert refused == 2 * _ADDS - QUANTITY_MAX

    # Changing and removing

    @pytest.mark.parametrize("quantity", [1, 99])
    @needs("add", "update", "get")
    def test_update_sets_the_quantity_and_keeps_the_rest(
        self, carts: CartStore, user: str, book: Book, quantity: int
    ) -> None:
        """Quantity and `updated_at` change, nothing else."""
        carts.add(user, book, 2, NOW)
        carts.update(user, book.book_id, quantity, LATER)
        assert carts.get(user) == [line(user, book, quantity, NOW, LATER)]

    @pytest.mark.parametrize("quantity", _OUTSIDE)
    @needs("add", "update", "get")
    def test_update_refuses_a_quantity_outside_1_to_99(
        self, carts: CartStore, user: str, book: Book, quantity: int
    ) -> None:
        """QuantityRefused, and nothing has changed."""
        carts.add(user, book, 5, NOW)
        with pytest.raises(QuantityRefused):
            carts.update(user, book.book_id, quantity, LATER)
        assert carts.get(user) == [line(user, book, 5, NOW, NOW)]

    @needs("update", "get")
    def test_update_of_an_unknown_line_makes_none(
        self, carts: CartStore, user: str, book: Book
    ) -> None:
        """LineNotFound, and there is still no line."""
        with pytest.raises(LineNotFound):
            carts.update(user, book.book_id, 3, NOW)
        assert carts.get(user) == []

    @needs("add", "remove", "get")
    def test_remove_deletes_the_line_of_one_book(
        self, carts: CartStore, user: str, book: Book, new_book: Callable[[str, str], Book]
    ) -> None:
        """Other lines stay. Removing the line once more raises LineNotFound."""
        other = new_book("contract-other", "Another Book")
        carts.add(user, book, 2, NOW)
        carts.add(user, other, 1, NOW)
        carts.remove(user, book.book_id)
        assert carts.get(user) == [line(user, other, 1, NOW, NOW)]
        with pytest.raises(LineNotFound):
            carts.remove(user, book.book_id)
        assert carts.get(user) == [line(user, other, 1, NOW, NOW)]

    @needs("add", "remove", "get")
    def test_remove_leaves_other_carts(
        self, carts: CartStore, user: str, new_user: Callable[[], str], book: Book
    ) -> None:
        """The same book in another cart stays."""
        other = new_user()
        carts.add(user, book, 1, NOW)
        carts.add(other, book, 7, NOW)
        carts.remove(user, book.book_id)
        assert carts.get(user) == []
        assert carts.get(other) == [line(other, book, 7, NOW, NOW)]

    @needs("add", "remove", "get")
    def test_a_line_removed_and_added_again_is_new(
        self, carts: CartStore, user: str, book: Book
    ) -> None:
        """Quantity and `added_at` of the removed line are gone."""
        carts.add(user, book, 9, NOW)
        carts.remove(user, book.book_id)
        assert carts.add(user, book, 1, LATER) == 1
        assert carts.get(user) == [line(user, book, 1, LATER, LATER)]

    # Fields

    @pytest.mark.parametrize("text", TEXTS)
    @needs("add", "get")
    def test_any_text_survives(
        self, carts: CartStore, user: str, new_book: Callable[[str, str], Book], text: str
    ) -> None:
        """Titles keep every character, and their normal form of Unicode."""
        book = new_book(f"книга-{TEXTS.index(text)}", text)
        carts.add(user, book, 1, NOW)
        assert carts.get(user) == [line(user, book, 1, NOW, NOW)]

    @pytest.mark.parametrize("price", ["0", "0.01", "10", "12345678.90"])
    @needs("add", "get")
    def test_prices_are_exact(self, carts: CartStore, user: str, book: Book, price: str) -> None:
        """Prices are decimal numbers, not binary ones."""
        carts.add(user, replace(book, price=Decimal(price)), 1, NOW)
        (item,) = carts.get(user)
        assert (type(item.book_price), item.book_price) == (Decimal, Decimal(price))

    @needs("add", "get")
    def test_times_keep_their_microseconds_and_their_instant(
        self, carts: CartStore, user: str, book: Book
    ) -> None:
        """A time of another zone comes back as the same instant, in UTC."""
        abroad = NOW.astimezone(INDIA)
        carts.add(user, book, 1, abroad)
        carts.add(user, book, 1, LATER.astimezone(INDIA))
        (item,) = carts.get(user)
        assert (item.added_at, item.updated_at) == (NOW, LATER)
        assert {item.added_at.utcoffset(), item.updated_at.utcoffset()} == {timedelta(0)}

    # The store itself

    @needs("get")
    def test_wire_time_is_a_part_of_the_call(self, carts: CartStore, user: str) -> None:
        """`wire_ns`, where the store measures it: whole nanoseconds, at most those of the call."""
        began_ns = time.perf_counter_ns()
        carts.get(user)
        check_wire_time(carts, time.perf_counter_ns() - began_ns)

    @needs("close")
    def test_close_may_be_called_twice_and_before_any_call(
        self, open_carts: Callable[[], CartStore] | None
    ) -> None:
        """The second call changes nothing."""
        store = another_store(open_carts, "open_carts")
        store.close()
        store.close()
