from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.config import Data
from loadtests.errors import (
    CallError,
    CallTimeout,
    LineNotFound,
    QuantityRefused,
    ResponseInvalid,
    UsageError,
)
from loadtests.load.schedule.arrivals import WorkerShare
from loadtests.load.workload import Cart, Carts, Sessions, Zipf
from loadtests.model import QUANTITY_MAX, SESSION_LIFE_S, Book, CartItem
from loadtests.targets.seed.dataset import Dataset, make_dataset

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
MIX = {"get": 30, "get_item": 18, "add": 20, "update": 16, "remove": 16}  # scenarios/cart.py


def dataset(users: int = 12, books: int = 40, lines: int = 4, seed: int = 1) -> Dataset:
    return make_dataset(Data(users=users, books=books, lines_per_cart=lines), seed, NOW)


SMALL = dataset()
LINE = next(line for cart in SMALL.carts for line in cart)


class Store:
    """The model: plain dicts, and a rule book that a wrong choice of keys would break."""

    def __init__(self, data: Dataset) -> None:
        self.items = {
            user.user_id: {item.book_id: item.quantity for item in cart}
            for user, cart in zip(data.users, data.carts, strict=True)
        }
        self.writing: set[str] = set()

    def get(self, user_id: str) -> list[CartItem]:
        return [self._item(user_id, book_id) for book_id in self.items[user_id]]

    def get_item(self, user_id: str, book_id: str) -> CartItem | None:
        return self._item(user_id, book_id) if book_id in self.items[user_id] else None

    def add(self, user_id: str, book: Book) -> int:
        quantity = self.items[user_id].get(book.book_id, 0) + 1
        if quantity > QUANTITY_MAX:
            raise QuantityRefused
        self.items[user_id][book.book_id] = quantity
        return quantity

    def update(self, user_id: str, book_id: str, quantity: int) -> None:
        if book_id not in self.items[user_id]:
            raise LineNotFound
        assert 1 <= quantity <= QUANTITY_MAX
        self.items[user_id][book_id] = quantity

    def remove(self, user_id: str, book_id: str) -> None:
        if book_id not in self.items[user_id]:
            raise LineNotFound
        del self.items[user_id][book_id]

    def _item(self, user_id: str, book_id: str) -> CartItem:
        quantity = self.items[user_id][book_id]
        return replace(LINE, user_id=user_id, book_id=book_id, quantity=quantity)

    @property
    def lines(self) -> int:
        return sum(map(len, self.items.values()))


@dataclass
class InFlight:
    """A call between its start and its answer: `send` ends it, well or with an error."""

    kind: str
    generator: Generator[None, str]

    def end(self, outcome: str) -> None:
        try:
            self.generator.send(outcome)
        except StopIteration:
            return
        raise AssertionError("an operation makes one call")


def fails(outcome: str) -> None:
    if outcome != "answered":
        raise CallTimeout


def operation(kind: str, work: Carts, store: Store) -> Generator[None, str]:
    """One access pattern as `scenarios/cart.py` writes it; yields while the call is out.

    The outcome sent in: `answered`, `refused` (nothing happened) or `unheard` (it happened, but
    the answer never came).
    """
    if kind == "get":
        cart = work.any_cart()
        writes = cart.writes
        outcome = yield
        fails(outcome)
        cart.check(store.get(cart.user_id), writes)
        return
    if kind == "get_item":
        cart, book_id = work.any_line()
        writes = cart.writes
        outcome = yield
        fails(outcome)
        cart.check_line(store.get_item(cart.user_id, book_id), book_id, writes)
        return
    if kind == "add":
        cart, book = work.to_add()
    else:
        cart, book_id = work.any_line() if kind == "update" else work.to_remove()
    assert cart.user_id not in store.writing, "two writes to one cart at once"
    assert cart.known
    store.writing.add(cart.user_id)
    with cart:
        outcome = yield
        store.writing.remove(cart.user_id)
        if outcome == "refused":
            raise CallTimeout
        if kind == "add":
            quantity = store.add(cart.user_id, book)
            fails(outcome)
            work.was_added(cart, book.book_id, quantity)
        elif kind == "update":
            quantity = work.quantity()
            store.update(cart.user_id, book_id, quantity)
            fails(outcome)
            cart.lines[book_id] = quantity
        else:
            store.remove(cart.user_id, book_id)
            fails(outcome)
            work.was_removed(cart, book_id)


class World:
    """Carts, their store, and the calls that are out."""

    def __init__(self, data: Dataset, seed: int = 1) -> None:
        self.store = Store(data)
        self.work = Carts.of(data, seed, WorkerShare())
        self.out: list[InFlight] = []
        self.refused = 0

    def begin(self, kind: str) -> None:
        generator = operation(kind, self.work, self.store)
        try:
            next(generator)
        except CallError as error:
            if error.name != "NoQuietCart":
                raise
            self.refused += 1
        else:
            self.out.append(InFlight(kind, generator))

    def end(self, place: int, outcome: str) -> None:
        try:
            self.out.pop(place % len(self.out)).end(outcome)
        except CallTimeout:
            assert outcome != "answered"

    def check(self) -> None:
        """What is believed of every cart that is known and quiet is what the store holds."""
        for cart in self.work.carts:
            if cart.known and not cart.busy:
                assert cart.lines == self.store.items[cart.user_id]
            assert all(1 <= q <= QUANTITY_MAX for q in cart.lines.values())

    def read_all(self) -> None:
        for cart in self.work.carts:
            cart.check(self.store.get(cart.user_id), cart.writes)


kinds = st.sampled_from(list(MIX))
outcomes = st.sampled_from(["answered", "answered", "answered", "refused", "unheard"])
steps = st.one_of(kinds, st.tuples(st.integers(0, 9), outcomes))


@settings(max_examples=150)
@given(st.lists(steps, max_size=120), st.integers(0, 5), st.integers(1, 4))
def test_what_is_believed_is_what_is_stored_whatever_fails_and_overlaps(
    history: list[str | tuple[int, str]], seed: int, lines: int
) -> None:
    world = World(dataset(users=5, lines=lines), seed)
    for step in history:
        if isinstance(step, str):
            world.begin(step)
        elif world.out:
            world.end(*step)
        world.check()
    while world.out:
        world.end(0, "answered")
    world.read_all()
    assert all(cart.known and not cart.busy for cart in world.work.carts)
    world.check()


def run_mix(world: World, calls: int, at_once: int, failing: float, seed: int = 5) -> list[int]:
    """The scenario's mix with so many calls out at once; total lines after every 100 calls."""
    rng = Random(seed)
    kinds, weights = list(MIX), list(MIX.values())
    sizes = []
    for call in range(calls):
        world.begin(rng.choices(kinds, weights)[0])
        while len(world.out) >= at_once:
            broken = rng.random() < failing
            outcome = rng.choice(["refused", "unheard"]) if broken else "answered"
            world.end(rng.randrange(len(world.out)), outcome)
        if call % 100 == 99:
            sizes.append(world.store.lines)
    return sizes


def test_carts_keep_their_size_under_the_scenarios_mix() -> None:
    world = World(dataset(users=60))
    before = world.store.lines
    sizes = run_mix(world, 20_000, at_once=8, failing=0.0)
    # removals not undone yet: a walk in which 20 steps back meet 16 ahead passes k with 0.8^k
    assert max(abs(size - before) for size in sizes) <= 60
    assert abs(np.mean(sizes) - before) <= 8
    assert world.refused == 0
    assert len(world.work.removed) <= 60


def test_carts_keep_their_size_though_calls_fail() -> None:
    """Neither a removal that happened unheard nor an add that was refused shrinks them."""
    world = World(dataset(users=60))
    before = world.store.lines
    sizes = run_mix(world, 20_000, at_once=8, failing=0.1)
    # besides, lines of carts that nobody has read since a write of them failed
    assert max(abs(size - before) for size in sizes) <= 60
    assert abs(np.mean(sizes[-50:]) - np.mean(sizes[10:60])) <= 20
    assert len(world.work.removed) <= 200
    while world.out:
        world.end(0, "answered")
    world.read_all()
    world.check()


def test_a_removed_line_is_what_is_added_next_the_oldest_first() -> None:
    world = World(SMALL)
    removed = []
    for _ in range(3):
        cart, book_id = world.work.to_remove()
        with cart:
            world.work.was_removed(cart, book_id)
        removed.append((cart.user_id, book_id))
    added = []
    for _ in range(3):
        cart, book = world.work.to_add()
        with cart:
            world.work.was_added(cart, book.book_id, 1)
        added.append((cart.user_id, book.book_id))
    assert added == removed
    cart, book = world.work.to_add()
    assert book.book_id in cart.lines  # nothing left to undo: one more copy


def test_quantities_never_pass_99_and_then_it_says_so() -> None:
    world = World(dataset(users=2, lines=2))
    copies = sum(
        QUANTITY_MAX * len(cart) - sum(cart.values()) for cart in world.store.items.values()
    )
    for _ in range(copies):
        world.begin("add")
        world.end(0, "answered")
    assert {q for cart in world.store.items.values() for q in cart.values()} == {QUANTITY_MAX}
    assert world.refused == 0
    world.begin("add")
    assert world.refused == 1


def test_quantities_set_are_small() -> None:
    work = Carts.of(SMALL, 1, WorkerShare())
    drawn = Counter(work.quantity() for _ in range(2_000))
    assert set(drawn) == {1, 2, 3, 4, 5}
    assert drawn[1] > drawn[2] > drawn[4]


def test_when_every_cart_is_being_written_the_error_says_so_and_is_no_invalid_response() -> None:
    work = Carts.of(dataset(users=3), 1, WorkerShare())
    carts = []
    for _ in range(3):
        cart, _ = work.any_line()
        carts.append(cart.__enter__())
    assert len({cart.user_id for cart in carts}) == 3
    for choose in (work.any_line, work.to_add, work.to_remove):
        with pytest.raises(CallError, match="Seed more users") as caught:
            choose()
        assert caught.value.name == "NoQuietCart"
        assert not isinstance(caught.value, ResponseInvalid)
    carts[0].__exit__(None, None, None)
    assert work.any_line()[0] is carts[0]


# --- checking reads


def item(book_id: str, quantity: int) -> CartItem:
    return replace(LINE, book_id=book_id, quantity=quantity)


WRONG = {
    "a line missing": [item("a", 1)],
    "a line too many": [item("a", 1), item("b", 2), item("c", 1)],
    "another quantity": [item("a", 1), item("b", 3)],
    "another line": [item("a", 1), item("c", 2)],
    "a line twice": [item("a", 1), item("a", 1)],
    "a line twice beside the rest": [item("a", 1), item("b", 2), item("b", 2)],
    "nothing": [],
}


@pytest.mark.parametrize("items", WRONG.values(), ids=WRONG)
def test_a_cart_that_is_not_as_written_is_found_once(items: list[CartItem]) -> None:
    cart = Cart("user", {"a": 1, "b": 2})
    cart.check([item("b", 2), item("a", 1)], 0)
    with pytest.raises(ResponseInvalid, match="cart of user is not as it was written"):
        cart.check(items, 0)
    # one lost write is one error: from here on what is there is believed
    if len(items) == len({line.book_id for line in items}):
        cart.check(items, 0)


@pytest.mark.parametrize("item_read", [None, item("a", 7)])
def test_a_line_that_is_not_as_written_is_found_once(item_read: CartItem | None) -> None:
    cart = Cart("user", {"a": 1})
    cart.check_line(item("a", 1), "a", 0)
    with pytest.raises(ResponseInvalid, match="line a of user"):
        cart.check_line(item_read, "a", 0)
    cart.check_line(item_read, "a", 0)  # unknown until it is read whole
    assert not cart.known


def test_a_read_that_a_write_overlaps_proves_nothing() -> None:
    cart = Cart("user", {"a": 1})
    before = cart.writes
    with cart:
        during = cart.writes
        cart.check([], before)
        cart.check_line(None, "a", before)
        cart.check([], during)
    cart.check([], before)
    cart.check_line(None, "a", before)
    cart.check([], during)
    assert cart.lines == {"a": 1}
    with pytest.raises(ResponseInvalid):
        cart.check([], cart.writes)


def test_an_add_that_gives_another_quantity_is_found_and_the_cart_unknown() -> None:
    work = Carts.of(SMALL, 1, WorkerShare())
    cart, book = work.to_add()
    wrong = cart.lines[book.book_id] + 2
    with pytest.raises(ResponseInvalid, match=f"add gave quantity {wrong}"), cart:
        work.was_added(cart, book.book_id, wrong)
    assert not cart.known
    assert not cart.busy


# --- who owns what


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 3))
@settings(max_examples=40)
def test_workers_own_users_of_their_own_and_all_of_them(users: int, count: int, seed: int) -> None:
    data = dataset(users=users)
    if count > users:
        with pytest.raises(UsageError, match=f"{users} users cannot be shared among {count}"):
            Carts.of(data, seed, WorkerShare(count - 1, count))
        return
    owned = [
        [cart.user_id for cart in Carts.of(data, seed, WorkerShare(i, count)).carts]
        for i in range(count)
    ]
    assert sorted(chain.from_iterable(owned)) == sorted(user.user_id for user in data.users)
    sessions = [Sessions.of(data, seed, WorkerShare(i, count), NOW).ids for i in range(count)]
    assert sorted(chain.from_iterable(sessions)) == sorted(
        session.session_id for session in data.sessions
    )


def test_the_seed_and_the_worker_decide_what_is_drawn() -> None:
    def drawn(seed: int, share: WorkerShare) -> list[str]:
        work = Carts.of(SMALL, seed, share)
        return [work.any_cart().user_id for _ in range(30)] + [
            work.any_line()[1] for _ in range(30)
        ]

    assert drawn(1, WorkerShare()) == drawn(1, WorkerShare())
    assert drawn(1, WorkerShare()) != drawn(2, WorkerShare())
    assert drawn(1, WorkerShare(0, 2)) != drawn(1, WorkerShare(1, 2))


# --- Zipf


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n", [1, 2, 50, 1_000])
def test_draws_follow_zipfs_law(n: int, seed: int) -> None:
    draws = 40_000
    zipf = Zipf(n, (seed, 0, 2))
    counted = np.zeros(n)
    for _ in range(draws):
        counted[zipf.draw()] += 1
    weights = [1 / rank**0.99 for rank in range(1, n + 1)]
    # which index is the r-th favourite is the seed's affair; the permutation is drawn first
    favourites = np.random.default_rng([seed, 0, 2]).permutation(n)
    expected = draws * np.array(weights) / sum(weights)
    drawn = counted[favourites]
    chi_square = ((drawn - expected) ** 2 / expected).sum()
    assert chi_square <= (n - 1) + 5 * math.sqrt(2 * (n - 1))


def test_favourites_differ_by_seed() -> None:
    def favourite(seed: int) -> int:
        zipf = Zipf(500, (seed,))
        return Counter(zipf.draw() for _ in range(3_000)).most_common(1)[0][0]

    assert len({favourite(seed) for seed in range(6)}) > 3


# --- sessions


def test_the_number_of_sessions_stays_the_same_and_all_that_are_kept_were_stored() -> None:
    sessions = Sessions.of(SMALL, 1, WorkerShare(), NOW)
    stored = set(sessions.ids)
    count = len(sessions.ids)
    for _ in range(500):
        session = sessions.new(NOW)
        assert session.session_id not in stored
        stored.add(session.session_id)
        sessions.was_created(session.session_id)
        assert len(sessions.ids) == count
        assert sessions.any_id() in stored
    assert len(set(sessions.ids)) == count
    assert stored >= set(sessions.ids)


def test_a_new_session_begins_now_and_lives_a_day() -> None:
    later = datetime(2026, 3, 2, 11, 0, 5, 250_000, tzinfo=UTC)
    sessions = Sessions.of(SMALL, 1, WorkerShare(), NOW)
    session = sessions.new(later)
    assert session.created_at == session.last_activity == later
    assert session.expires_at == int(later.timestamp()) + SESSION_LIFE_S
    assert session.session_id.startswith("sess-20260302-110005-")
    assert session.user_id in {user.user_id for user in SMALL.users}
    assert sessions.summary() in sessions.summaries


def test_a_session_whose_creation_failed_is_not_drawn() -> None:
    sessions = Sessions.of(SMALL, 1, WorkerShare(), NOW)
    failed = sessions.new(NOW).session_id
    assert failed not in {sessions.any_id() for _ in range(500)}


def test_workers_make_sessions_of_their_own() -> None:
    new_ids = [
        {Sessions.of(SMALL, 1, WorkerShare(i, 2), NOW).new(NOW).session_id for _ in range(1)}
        for i in range(2)
    ]
    assert not new_ids[0] & new_ids[1]
