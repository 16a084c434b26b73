"""The contract over stores that break it: one class of tests for each mistake.

`test_contract.py` runs this file with pytest. The base of each class is a store with one mistake;
its docstring names the tests that must fail.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import pytest

from loadtests.contract import CartContract, SessionContract
from loadtests.contract.fixtures import StoreContract
from loadtests.contract.samples import make_session
from loadtests.errors import CallError, LineNotFound, QuantityRefused, SessionNotFound
from loadtests.model import Book, CartItem, CartSummary, Session
from tests.contract.plain_stores import PlainCarts, PlainSessions, PlainStore


class NoneForAnEmptyCart(PlainCarts):
    """test_a_user_without_lines_has_an_empty_cart"""

    def get(self, user_id: str) -> Any:
        return super().get(user_id) or None


class RaisesForAnUnknownLine(PlainCarts):
    """test_an_unknown_line_is_none"""

    def get_item(self, user_id: str, book_id: str) -> CartItem | None:
        item = super().get_item(user_id, book_id)
        if item is None:
            raise LineNotFound
        return item


class FirstLineForAnyBook(PlainCarts):
    """test_one_line_is_the_line_of_its_book"""

    def get_item(self, user_id: str, book_id: str) -> CartItem | None:
        return next(iter(self.get(user_id)), None)


class OrderedLikePeopleDo(PlainCarts):
    """test_lines_come_in_code_point_order_of_book_id"""

    def get(self, user_id: str) -> list[CartItem]:
        return sorted(super().get(user_id), key=lambda item: item.book_id.casefold())


class FirstPageOnly(PlainCarts):
    """test_a_cart_of_100_lines test_a_cart_of_several_pages"""

    def get(self, user_id: str) -> list[CartItem]:
        return super().get(user_id)[:10]


class OneCartForAll(PlainCarts):
    """test_each_user_has_a_cart test_remove_leaves_other_carts"""

    def get(self, user_id: str) -> list[CartItem]:
        return list(self.database.lines.values())


class ForgetsTheImage(PlainCarts):
    """test_add_creates_the_whole_line"""

    def write(self, item: CartItem) -> None:
        super().write(replace(item, book_image_url=""))


class AddsANewLine(PlainCarts):
    """test_add_again_increases_and_keeps_added_at"""

    def write(self, item: CartItem) -> None:
        super().write(replace(item, added_at=item.updated_at))


class ClampsQuantities(PlainCarts):
    """test_add_refuses_a_quantity_outside_1_to_99 test_add_refuses_a_sum_above_99
    test_update_refuses_a_quantity_outside_1_to_99"""

    def add(self, user_id: str, book: Book, quantity: int, now: datetime) -> int:
        try:
            return super().add(user_id, book, quantity, now)
        except QuantityRefused:
            return 99

    def update(self, user_id: str, book_id: str, quantity: int, now: datetime) -> None:
        super().update(user_id, book_id, min(max(quantity, 1), 99), now)


class ChangesBeforeItRefuses(PlainCarts):
    """test_add_refuses_a_sum_above_99"""

    def add(self, user_id: str, book: Book, quantity: int, now: datetime) -> int:
        try:
            return super().add(user_id, book, quantity, now)
        except QuantityRefused:
            self.database.lines.pop((user_id, book.book_id), None)
            raise


class LosesEverySeventhAdd(PlainCarts):
    """test_two_adders_at_once_lose_nothing"""

    adds = 0

    def write(self, item: CartItem) -> None:
        self.adds += 1
        if self.adds % 7:
            super().write(item)


class UpdateTouchesAddedAt(PlainCarts):
    """test_update_sets_the_quantity_and_keeps_the_rest"""

    def update(self, user_id: str, book_id: str, quantity: int, now: datetime) -> None:
        super().update(user_id, book_id, quantity, now)
        item = self.database.lines[user_id, book_id]
        self.write(replace(item, added_at=now))


class UpdateCreatesALine(PlainCarts):
    """test_update_of_an_unknown_line_makes_none"""

    def update(self, user_id: str, book_id: str, quantity: int, now: datetime) -> None:
        with suppress(LineNotFound):
            return super().update(user_id, book_id, quantity, now)
        self.write(CartItem(user_id, book_id, quantity, now, now, "", Decimal(0), ""))
        raise LineNotFound


class RemoveNeverFails(PlainCarts):
    """test_remove_deletes_the_line_of_one_book"""

    def remove(self, user_id: str, book_id: str) -> None:
        with suppress(LineNotFound):
            super().remove(user_id, book_id)


class RemoveEmptiesAllCarts(PlainCarts):
    """test_remove_leaves_other_carts test_remove_deletes_the_line_of_one_book"""

    def remove(self, user_id: str, book_id: str) -> None:
        super().remove(user_id, book_id)
        self.database.lines.clear()


class RemoveOnlyHides(PlainCarts):
    """test_a_line_removed_and_added_again_is_new"""

    def __init__(self, database: Any) -> None:
        super().__init__(database)
        self.hidden: dict[tuple[str, str], CartItem] = {}

    def remove(self, user_id: str, book_id: str) -> None:
        item = self.get_item(user_id, book_id)
        super().remove(user_id, book_id)
        assert item is not None
        self.hidden[user_id, book_id] = item

    def write(self, item: CartItem) -> None:
        hidden = self.hidden.pop((item.user_id, item.book_id), item)
        super().write(replace(item, added_at=hidden.added_at))


class NormalisesText(PlainCarts):
    """test_any_text_survives"""

    def write(self, item: CartItem) -> None:
        super().write(replace(item, book_title=unicodedata.normalize("NFC", item.book_title)))


class PricesAsFloats(PlainCarts):
    """test_prices_are_exact"""

    def write(self, item: CartItem) -> None:
        price: Any = float(item.book_price)
        super().write(replace(item, book_price=price))


class TimesOfTheCaller(PlainCarts):
    """test_times_keep_their_microseconds_and_their_instant"""

    def add(self, user_id: str, book: Book, quantity: int, now: datetime) -> int:
        total = super().add(user_id, book, quantity, now)
        self.write(replace(self.database.lines[user_id, book.book_id], updated_at=now))
        return total


class WireTimeInSeconds(PlainCarts):
    """test_wire_time_is_a_part_of_the_call"""

    wire_ns = 0.001


class ClosesOnce(PlainCarts):
    """test_close_may_be_called_twice_and_before_any_call"""

    is_closed = False

    def close(self) -> None:
        if self.is_closed:
            raise CallError("closed")
        self.is_closed = True


class ForgetsTheAgent(PlainSessions):
    """test_create_stores_the_whole_session"""

    def write(self, session: Session) -> None:
        super().write(replace(session, user_agent=""))


class CreateMerges(PlainSessions):
    """test_create_replaces_a_session_of_the_same_id"""

    def create(self, session: Session) -> None:
        old = self.database.sessions.get(session.session_id, session)
        super().create(replace(session, ip_address=old.ip_address))


class OneSessionPerUser(PlainSessions):
    """test_sessions_of_one_user_are_separate"""

    def create(self, session: Session) -> None:
        for old in list(self.database.sessions.values()):
            if old.user_id == session.user_id:
                del self.database.sessions[old.session_id]
        super().create(session)


class RefreshKeepsTheExpiry(PlainSessions):
    """test_refresh_gives_another_24_hours_and_keeps_the_rest
    test_an_expired_session_is_not_refreshed"""

    def refresh(self, session_id: str, now: datetime) -> None:
        self.change(session_id, now, last_activity=now)


class SummaryExtends(PlainSessions):
    """test_store_summary_replaces_the_summary_and_keeps_the_rest"""

    def store_summary(self, session_id: str, summary: CartSummary, now: datetime) -> None:
        super().store_summary(session_id, summary, now)
        self.refresh(session_id, now)


class RaisesForAnUnknownSession(PlainSessions):
    """test_an_unknown_session_is_none test_an_expired_session_is_absent"""

    def get(self, session_id: str, now: datetime) -> Session | None:
        session = super().get(session_id, now)
        if session is None:
            raise SessionNotFound
        return session


class ChangesMakeSessions(PlainSessions):
    """test_refresh_of_an_unknown_session_makes_none
    test_a_summary_of_an_unknown_session_makes_none"""

    def change(self, session_id: str, now: datetime, **fields: Any) -> None:
        try:
            super().change(session_id, now, **fields)
        except SessionNotFound:
            self.write(make_session(session_id, "", ""))
            raise


class WaitsForRemoval(PlainSessions):
    """test_an_expired_session_is_absent test_an_expired_session_is_not_refreshed
    test_an_expired_session_gets_no_summary"""

    def get(self, session_id: str, now: datetime) -> Session | None:
        return self.database.sessions.get(session_id)


class PresentAtItsExpiry(PlainSessions):
    """test_an_expired_session_is_absent test_an_expired_session_is_not_refreshed
    test_an_expired_session_gets_no_summary"""

    def get(self, session_id: str, now: datetime) -> Session | None:
        session = self.database.sessions.get(session_id)
        return session if session and now.timestamp() <= session.expires_at else None


class ReadsTextAsLatin(PlainSessions):
    """test_any_text_survives"""

    def write(self, session: Session) -> None:
        agent = session.user_agent.encode("ascii", "replace").decode()
        super().write(replace(session, user_agent=agent))


class WholeSeconds(PlainSessions):
    """test_times_keep_their_microseconds_and_their_instant"""

    def write(self, session: Session) -> None:
        super().write(replace(session, created_at=session.created_at.replace(microsecond=0)))


class WireTimeOfAnotherCall(PlainSessions):
    """test_wire_time_is_a_part_of_the_call"""

    wire_ns = 10**15


class ClosesBeforeItOpened(PlainSessions):
    """test_close_may_be_called_twice_and_before_any_call"""

    def close(self) -> None:
        raise CallError("not open")


def contract_over(store: type[PlainStore]) -> type[StoreContract]:
    """A class of tests of the store."""
    if issubclass(store, PlainCarts):

        class Carts(CartContract):
            @pytest.fixture
            def open_carts(self) -> Callable[[], PlainStore]:
                return store.opener()

        return Carts

    class Sessions(SessionContract):
        @pytest.fixture
        def open_sessions(self) -> Callable[[], PlainStore]:
            return store.opener()

    return Sessions


def names_of_tests(contract: type[StoreContract]) -> set[str]:
    return {name for name in dir(contract) if name.startswith("test_")}


CORRECT: Final[tuple[type[PlainStore], ...]] = (PlainCarts, PlainSessions)
BROKEN: Final[tuple[type[PlainStore], ...]] = (
    *PlainCarts.__subclasses__(),
    *PlainSessions.__subclasses__(),
)

for each in CORRECT:
    globals()[f"Test{each.__name__}"] = contract_over(each)
for each in BROKEN:
    contract = contract_over(each)
    for name in names_of_tests(contract) - set((each.__doc__ or "").split()):
        setattr(contract, name, None)
    globals()[f"Test{each.__name__}"] = contract
del contract


class TestPartOfAStore(CartContract):
    """Two methods, and no `close`."""

    methods = ("get", "add")

    @pytest.fixture
    def carts(self) -> PlainCarts:
        return PlainCarts.opener()()


class TestNoStore(CartContract):
    """Has neither `carts` nor `open_carts`."""

    test_a_cart_of_several_pages = None  # type: ignore[assignment]  # a test that does not apply
