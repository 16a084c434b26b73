"""The nine access patterns as benchmark calls: right keys, checked answers, carts that last."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.errors import CallError, ResponseInvalid
from loadtests.load.workload import Carts, Sessions
from loadtests.microbench.suites.calls import (
    CART_CALLS,
    SESSION_CALLS,
    add,
    missing_lines,
    remove,
    restock,
)
from loadtests.microbench.suites.cases import Call
from loadtests.microbench.suites.plans import BATCH
from loadtests.microbench.timing.passes import SETTLING
from loadtests.patterns import CLOUDSHELF_PATTERNS
from tests.microbench.fakes import MemoryShop, carts, sessions

BURST = BATCH + SETTLING


def make(call: Call) -> None:
    with call.guard:
        answer = call.function(*call.args)
    call.settle(answer)


def call_of(pattern: str, shop: MemoryShop, work: Carts, visits: Sessions) -> Call:
    if pattern in CART_CALLS:
        return CART_CALLS[pattern](shop.carts, work)
    return SESSION_CALLS[pattern](shop.sessions, visits)


def test_every_access_pattern_has_its_call() -> None:
    assert (*CART_CALLS, *SESSION_CALLS) == CLOUDSHELF_PATTERNS


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(CLOUDSHELF_PATTERNS), max_size=120))
def test_any_sequence_of_calls_is_answered_as_believed(patterns: list[str]) -> None:
    shop, work, visits = MemoryShop(), carts(), sessions()
    for pattern in patterns:
        make(call_of(pattern, shop, work, visits))
    for cart in work.carts:
        lines = {item.book_id: item.quantity for item in shop.carts.get(cart.user_id)}
        assert lines == cart.lines


def test_each_call_names_its_store_for_the_wire_time() -> None:
    shop = MemoryShop()
    for pattern in CLOUDSHELF_PATTERNS:
        assert call_of(pattern, shop, carts(), sessions()).store is not None


def test_removals_alone_keep_the_carts_size() -> None:
    shop, work = MemoryShop(), carts()
    before = sum(len(cart.lines) for cart in work.carts)
    for _ in range(20):  # many more than there are lines
        for _ in range(BURST):
            make(remove(shop.carts, work))
        for call in restock(shop.carts, work):
            make(call)
        assert before - BURST <= sum(len(cart.lines) for cart in work.carts) <= before


def test_where_adds_are_measured_too_nothing_is_restocked() -> None:
    shop, work = MemoryShop(), carts()
    for _ in range(4):
        for _ in range(BURST):
            make(add(shop.carts, work))
        for _ in range(BURST):
            make(remove(shop.carts, work))
        assert list(restock(shop.carts, work)) == []
    assert missing_lines(work) == BURST


@pytest.mark.parametrize("pattern", ["cart.get", "cart.get_item"])
def test_a_cart_that_is_not_as_written_is_an_error(pattern: str) -> None:
    shop, work = MemoryShop(), carts()
    shop.lose = True
    for _ in range(400):
        make(CART_CALLS["cart.update"](shop.carts, work))

    def read() -> None:
        for _ in range(400):
            make(CART_CALLS[pattern](shop.carts, work))

    with pytest.raises(ResponseInvalid):
        read()


def test_a_session_that_is_gone_is_an_error() -> None:
    shop, visits = MemoryShop(), sessions()
    shop.live.clear()
    with pytest.raises(ResponseInvalid):
        make(SESSION_CALLS["session.get"](shop.sessions, visits))


def test_after_a_failed_write_the_cart_is_unknown() -> None:
    shop, work = MemoryShop(), carts()
    call = remove(shop.carts, work)
    user_id, book_id = map(str, call.args)
    del shop.lines[user_id][book_id]
    with pytest.raises(CallError):
        make(call)
    assert not next(cart for cart in work.carts if cart.user_id == user_id).known
