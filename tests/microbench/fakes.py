"""Fake subjects on a fake clock, and a shop in memory that answers as a store does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random

from loadtests.config import Data
from loadtests.errors import LineNotFound, SessionNotFound
from loadtests.load.schedule.arrivals import WorkerShare
from loadtests.load.workload import Carts, Sessions
from loadtests.microbench.suites.bench import Bench
from loadtests.microbench.suites.cases import BenchmarkSubject, Call, Case, Spec
from loadtests.microbench.suites.plans import SuitePlan
from loadtests.microbench.timing.clocks import Clocks, Seconds
from loadtests.microbench.timing.passes import Pass
from loadtests.model import Book, CartItem, CartSummary, Session
from loadtests.targets.seed.dataset import make_dataset

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
DATASET = make_dataset(Data(users=30, books=40), 1, NOW)
MS = 1_000_000

Name = tuple[str, str]  # group, subject
Takes = Callable[[], tuple[int, int, int]]  # time, CPU time, wait for a CPU; ns


class Time:
    """Clocks that advance only by `spend`, in ns of each kind."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000_000
        self.cpu_ns = self.wait_ns = 0

    def spend(self, ns: int, cpu: int = 0, wait: int = 0) -> None:
        self.now_ns += ns
        self.cpu_ns += cpu
        self.wait_ns += wait

    @property
    def clocks(self) -> Clocks:
        return Clocks(
            now=lambda: self.now_ns,
            cpu=lambda: self.cpu_ns,
            cpu_wait=lambda: self.wait_ns,
            tells_cpu_wait=True,
        )


class TimedStore:
    """A store whose calls take as long as `takes` says; records who called in what order."""

    def __init__(
        self,
        time: Time,
        name: Name,
        order: list[Name],
        takes: Takes = lambda: (MS, MS // 2, 0),
        wire: int = MS // 4,
    ) -> None:
        self.wire_ns = 0
        self._time, self._name, self._order = time, name, order
        self._takes, self._wire = takes, wire

    def call(self, answer: object = None) -> object:
        self._order.append(self._name)
        self._time.spend(*self._takes())
        self.wire_ns = self._wire
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def call_awaited(self, answer: object = None) -> object:
        return self.call(answer)


def spec(
    name: str = "boto3",
    group: str = "cart.get",
    *,
    pattern: str | None = None,
    suite: str = "access patterns",
    open_case: Callable[[Bench], Case] | None = None,
) -> Spec:
    return Spec(
        suite=suite,
        group=group,
        name=name,
        backend="dynamodb",
        driver=name,
        open=open_case or (lambda _: Case(lambda: Call(lambda: None))),
        pattern=group if pattern is None else pattern,
    )


def subject(
    time: Time,
    order: list[Name],
    name: str = "boto3",
    group: str = "cart.get",
    *,
    takes: Takes = lambda: (MS, MS // 2, 0),
    wire: int = MS // 4,
    pattern: str | None = None,
) -> BenchmarkSubject:
    store = TimedStore(time, (group, name), order, takes, wire)
    return BenchmarkSubject(
        spec(name, group, pattern=pattern), Case(lambda: Call(store.call, store=store))
    )


class MemoryShop:
    """The data of a cart and a session store, in memory; `lose` makes it forget the next write."""

    def __init__(self) -> None:
        self.lines = {
            user.user_id: {item.book_id: item for item in cart}
            for user, cart in zip(DATASET.users, DATASET.carts, strict=True)
        }
        self.live = {session.session_id: session for session in DATASET.sessions}
        self.lose = False
        self.carts = MemoryCarts(self)
        self.sessions = MemorySessions(self)


class MemoryCarts:
    """A CartStore of a shop."""

    def __init__(self, shop: MemoryShop) -> None:
        self.wire_ns = 1
        self._shop = shop

    def get(self, user_id: str) -> list[CartItem]:
        return sorted(self._shop.lines[user_id].values(), key=lambda item: item.book_id)

    def get_item(self, user_id: str, book_id: str) -> CartItem | None:
        return self._shop.lines[user_id].get(book_id)

    def add(self, user_id: str, book: Book, quantity: int, now: datetime) -> int:
        line = self.get_item(user_id, book.book_id)
        total = quantity + (line.quantity if line else 0)
        self._put(user_id, book.book_id, total)
        return total

    def update(self, user_id: str, book_id: str, quantity: int, now: datetime) -> None:
        if self.get_item(user_id, book_id) is None:
            raise LineNotFound
        self._put(user_id, book_id, quantity)

    def remove(self, user_id: str, book_id: str) -> None:
        if self._shop.lines[user_id].pop(book_id, None) is None:
            raise LineNotFound

    def close(self) -> None:
        pass

    def _put(self, user_id: str, book_id: str, quantity: int) -> None:
        if self._shop.lose:
            return
        book = next(book for book in DATASET.books if book.book_id == book_id)
        self._shop.lines[user_id][book_id] = CartItem(
            user_id, book_id, quantity, NOW, NOW, book.title, book.price, book.image_url
        )


class MemorySessions:
    """A SessionStore of a shop."""

    def __init__(self, shop: MemoryShop) -> None:
        self.wire_ns = 1
        self._shop = shop

    def create(self, session: Session) -> None:
        self._shop.live[session.session_id] = session

    def get(self, session_id: str, now: datetime) -> Session | None:
        return self._shop.live.get(session_id)

    def refresh(self, session_id: str, now: datetime) -> None:
        if session_id not in self._shop.live:
            raise SessionNotFound

    def store_summary(self, session_id: str, summary: CartSummary, now: datetime) -> None:
        self.refresh(session_id, now)

    def close(self) -> None:
        pass


def carts() -> Carts:
    return Carts.of(DATASET, 1, WorkerShare())


def sessions() -> Sessions:
    return Sessions.of(DATASET, 1, WorkerShare(), NOW)


def rng(seed: int = 1) -> Random:
    return Random(seed)


def run_pass(
    subjects: Sequence[BenchmarkSubject],
    plan: SuitePlan,
    time: Time,
    *,
    on_second: Callable[[bool], None] = lambda _: None,
    on_batches: Callable[[int, int], None] = lambda _done, _total: None,
    seconds: Seconds | None = None,
) -> None:
    asyncio.run(
        Pass(
            subjects,
            plan,
            clocks=time.clocks,
            seconds=seconds or Seconds(time.clocks, time.now_ns),
            rng=rng(),
            on_second=on_second,
            on_batches=on_batches,
        ).run()
    )
