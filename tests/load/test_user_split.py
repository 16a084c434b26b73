from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.config import Data
from loadtests.errors import UsageError
from loadtests.load.schedule.arrivals import WorkerShare
from loadtests.load.user_split import split_by_cart_size, split_by_session_size
from loadtests.load.workload import Carts, Sessions
from loadtests.model import CartItem
from loadtests.targets.seed.dataset import Dataset, make_dataset

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SIZES = st.integers(2, 60)


def dataset(users: int, seed: int = 1) -> Dataset:
    return make_dataset(Data(users=users, books=40), seed, NOW)


@given(SIZES, st.integers(0, 99))
def test_no_user_belongs_to_both_and_each_keeps_its_own_cart_and_session(
    users: int, seed: int
) -> None:
    data = dataset(users, seed)
    owner = {user.user_id: i for i, user in enumerate(data.users)}
    for half in (split_by_cart_size, split_by_session_size):
        twins = [half(data, place) for place in (0, 1)]
        ids = [{user.user_id for user in twin.users} for twin in twins]
        assert not ids[0] & ids[1]
        assert len(ids[0]) == len(ids[1]) == users // 2
        for twin in twins:
            for user, cart, session in zip(twin.users, twin.carts, twin.sessions, strict=True):
                i = owner[user.user_id]
                assert (cart, session) == (data.carts[i], data.sessions[i])


def test_the_nth_of_one_is_as_large_as_the_nth_of_the_other() -> None:
    data = dataset(600)
    first, second = (split_by_cart_size(data, place) for place in (0, 1))
    lines = [(len(a), len(b)) for a, b in zip(first.carts, second.carts, strict=True)]
    assert sum(a != b for a, b in lines) <= 4, "at most once at each step of the sizes"
    assert sum(a for a, _ in lines) == pytest.approx(sum(b for _, b in lines), abs=4)
    first, second = (split_by_session_size(data, place) for place in (0, 1))
    seen = [
        (len(a.session_data.browsing_history), len(b.session_data.browsing_history))
        for a, b in zip(first.sessions, second.sessions, strict=True)
    ]
    assert sum(a != b for a, b in seen) <= 15


def test_neither_gets_the_larger_one_of_every_pair() -> None:
    data = dataset(600)
    first, second = (split_by_cart_size(data, place) for place in (0, 1))
    larger = [
        weight(a) > weight(b)
        for a, b in zip(first.carts, second.carts, strict=True)
        if weight(a) != weight(b)
    ]
    assert len(larger) > 50
    assert 0.4 < sum(larger) / len(larger) < 0.6


def weight(cart: tuple[CartItem, ...]) -> tuple[int, int]:
    return len(cart), sum(len(line.book_title.encode()) for line in cart)


@given(SIZES.filter(lambda n: n >= 8), st.integers(0, 9), st.integers(1, 3))
def test_the_same_seed_gives_both_the_same_positions(users: int, seed: int, workers: int) -> None:
    data = dataset(users)
    for index in range(workers):
        share = WorkerShare(index, workers)
        works = [Carts.of(split_by_cart_size(data, place), seed, share) for place in (0, 1)]
        drawn = [[work.carts.index(work.any_cart()) for _ in range(50)] for work in works]
        assert drawn[0] == drawn[1]
        sessions = [Sessions.of(split_by_session_size(data, p), seed, share, NOW) for p in (0, 1)]
        drawn = [[work.ids.index(work.any_id()) for _ in range(50)] for work in sessions]
        assert drawn[0] == drawn[1]


@given(SIZES.filter(lambda n: n >= 12), st.integers(1, 3))
def test_no_cart_is_written_by_two_in_a_cluster_of_twins(users: int, workers: int) -> None:
    data = dataset(users)
    owned = [
        {
            cart.user_id
            for cart in Carts.of(split_by_cart_size(data, p), 1, WorkerShare(i, workers)).carts
        }
        for p in (0, 1)
        for i in range(workers)
    ]
    assert sum(map(len, owned)) == len(set().union(*owned))


def test_one_user_cannot_be_shared() -> None:
    with pytest.raises(UsageError, match="1 users cannot be shared by 2 subjects"):
        split_by_cart_size(dataset(1), 0)
