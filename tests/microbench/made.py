"""Made-up subjects on a made-up clock, and a shop in memory that answers as a store does."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

from loadtests.config import Data
from loadtests.errors import LineNotFound, SessionNotFound
from loadtests.load.schedule.arrivals import WorkerShare
from loadtests.load.workload import Carts, Sessions
from loadtests.microbench.suites.cases import BenchmarkSubject, Call, Case, Spec
from loadtests.microbench.timing.clocks import Clocks
from loadtests.model import CartItem
from loadtests.targets.seed.dataset import make_dataset

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
DATASET = make_dataset(Data(users=30, books=40), 1, NOW)
MS = 1_000_000


class Time:
    """Clocks that stand still until told; `spend` passes time of each kind, in ns."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000_000
        self.cpu_ns = self.wait_ns = 0

    def spend(self, ns, cpu=0, wait=0):
        self.now_ns += ns
        self.cpu_ns += cpu
        self.wait_ns += wait

    @property
    def clocks(self):
        return Clocks(
            now=lambda: self.now_ns,
            cpu=lambda: self.cpu_ns,
            cpu_wait=lambda: self.wait_ns,
            tells_cpu_wait=True,
        )


class Answering:
    """A store whose calls take as long as `takes` says; notes who called in what order."""

    def __init__(self, time, name, order, takes=lambda: (MS, MS // 2, 0), wire=MS // 4) -> None:
        self.wire_ns = 0
        self._time, self._name, self._order, self._takes, self._wire = (
            time,
            name,
            order,
            takes,
            wire,
        )

    def call(self, answer=None):
        self._order.append(self._name)
        self._time.spend(*self._takes())
        self.wire_ns = self._wire
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def call_awaited(self, answer=None):
        return self.call(answer)


def spec(name="boto3", group="cart.get", backend="dynamodb", pattern=None, suite="access patterns"):
    return Spec(
        suite,
        group,
        name,
        backend,
        name,
        lambda _: Case(Call),
        group if pattern is None else pattern,
    )


def subject(time, order, name="boto3", group="cart.get", **kwargs):
    store = Answering(time, (group, name), order, **kwargs)
    return BenchmarkSubject(spec(name, group), Case(lambda: Call(store.call, store=store)))


class MemoryShop:
    """Cart and session store in one, in memory; `lose` makes it forget the next write."""

    wire_ns = 1

    def __init__(self) -> None:
        self.lines = {
            user.user_id: {item.book_id: item for item in cart}
            for user, cart in zip(DATASET.users, DATASET.carts, strict=True)
        }
        self.sessions = {session.session_id: session for session in DATASET.sessions}
        self.lose = False

    def get_cart(self, user_id):
        return sorted(self.lines[user_id].values(), key=lambda item: item.book_id)

    def get(self, key, now=None):
        return self.sessions.get(key) if now else self.get_cart(key)

    def get_item(self, user_id, book_id):
        return self.lines[user_id].get(book_id)

    def add(self, user_id, book, quantity, now):
        held = self.lines[user_id].get(book.book_id)
        total = quantity + (held.quantity if held else 0)
        self._put(user_id, book.book_id, total)
        return total

    def update(self, user_id, book_id, quantity, now):
        if book_id not in self.lines[user_id]:
            raise LineNotFound
        self._put(user_id, book_id, quantity)

    def remove(self, user_id, book_id):
        if self.lines[user_id].pop(book_id, None) is None:
            raise LineNotFound

    def create(self, session):
        self.sessions[session.session_id] = session

    def refresh(self, session_id, now):
        if session_id not in self.sessions:
            raise SessionNotFound

    def store_summary(self, session_id, summary, now):
        self.refresh(session_id, now)

    def _put(self, user_id, book_id, quantity):
        if self.lose:
            return
        book = next(book for book in DATASET.books if book.book_id == book_id)
        self.lines[user_id][book_id] = CartItem(
            user_id, book_id, quantity, NOW, NOW, book.title, book.price, book.image_url
        )


def carts():
    return Carts.of(DATASET, 1, WorkerShare())


def sessions():
    return Sessions.of(DATASET, 1, WorkerShare(), NOW)


def rng(seed=1):
    return Random(seed)
