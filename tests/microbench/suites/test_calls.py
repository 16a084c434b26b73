"""The nine access patterns as benchmark calls: right keys, checked answers, carts that last."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.errors import CallError, ResponseInvalid
from loadtests.microbench.suites.calls import CALLS, add, missing_lines, remove, restock
from loadtests.microbench.suites.plans import BATCH
from loadtests.microbench.timing.passes import SETTLING
from loadtests.patterns import CART_PATTERNS, PATTERNS
from tests.microbench.made import MemoryShop, carts, sessions

BURST = BATCH + SETTLING


def make(call):
    with call.guard:
        answer = call.function(*call.args)
    call.settle(answer)
    return answer


def test_every_access_pattern_has_its_call():
    assert tuple(CALLS) == PATTERNS


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(PATTERNS), max_size=120))
def test_any_sequence_of_calls_is_answered_as_believed(patterns):
    shop, work, visits = MemoryShop(), carts(), sessions()
    for pattern in patterns:
        make(CALLS[pattern](shop, work if pattern in CART_PATTERNS else visits))
    for cart in work.carts:
        held = {item.book_id: item.quantity for item in shop.get_cart(cart.user_id)}
        assert held == cart.lines


def test_each_call_names_its_store_for_the_wire_time():
    shop = MemoryShop()
    for pattern in PATTERNS:
        assert CALLS[pattern](shop, carts() if pattern in CART_PATTERNS else sessions()).store


def test_removals_alone_keep_the_carts_size():
    shop, work = MemoryShop(), carts()
    before = sum(len(cart.lines) for cart in work.carts)
    for _ in range(20):  # many more than there are lines
        for _ in range(BURST):
            make(remove(shop, work))
        for call in restock(shop, work):
            make(call)
        assert before - BURST <= sum(len(cart.lines) for cart in work.carts) <= before


def test_where_adds_are_measured_too_nothing_is_restocked():
    shop, work = MemoryShop(), carts()
    for _ in range(4):
        for _ in range(BURST):
            make(add(shop, work))
        for _ in range(BURST):
            make(remove(shop, work))
        assert list(restock(shop, work)) == []
    assert missing_lines(work) == BURST


@pytest.mark.parametrize("pattern", ["cart.get", "cart.get_item"])
def test_a_cart_that_is_not_as_written_is_an_error(pattern):
    shop, work = MemoryShop(), carts()
    shop.lose = True
    for _ in range(400):
        make(CALLS["cart.update"](shop, work))
    reads = (make(CALLS[pattern](shop, work)) for _ in range(400))
    with pytest.raises(ResponseInvalid):
        list(reads)


def test_a_session_that_is_gone_is_an_error():
    shop, visits = MemoryShop(), sessions()
    shop.sessions.clear()
    with pytest.raises(ResponseInvalid):
        make(CALLS["session.get"](shop, visits))


def test_after_a_failed_write_the_cart_is_unknown():
    shop, work = MemoryShop(), carts()
    call = remove(shop, work)
    user_id, book_id = call.args
    del shop.lines[user_id][book_id]
    with pytest.raises(CallError):
        make(call)
    assert not next(cart for cart in work.carts if cart.user_id == user_id).known
