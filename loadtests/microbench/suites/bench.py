"""What cases are opened on: databases, data, a store per driver, keys that drivers never share."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from typing import Final, Protocol, TypeVar

from loadtests.config import Config
from loadtests.load.schedule.arrivals import WorkerShare
from loadtests.load.workload import Carts, Sessions
from loadtests.patterns import DRIVERS
from loadtests.stores import AsyncCartStore, AsyncSessionStore, CartStore, SessionStore
from loadtests.stores.open import (
    ASYNC_DRIVERS,
    open_async_cart_store,
    open_async_session_store,
    open_cart_store,
    open_session_store,
)
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.seed.dataset import Dataset, make_dataset

RESERVED_USERS: Final = 3  # not in the workload: their carts have a set number of lines

AnyCartStore = CartStore | AsyncCartStore
AnySessionStore = SessionStore | AsyncSessionStore


class Closable(Protocol):
    """Whatever must be closed at the end; the result is awaited where it can be."""

    def close(self) -> object:
        """Give everything back."""


ClosableT = TypeVar("ClosableT", bound=Closable)


class Bench:
    """Shared by all cases of a session; `close` gives everything back."""

    def __init__(self, config: Config, endpoints: Endpoints) -> None:
        self.config = config
        self.endpoints = endpoints
        self.dataset = make_dataset(config.data, config.load.seed, datetime.now(UTC))
        self._closables: list[Closable] = []
        self._cart_stores: dict[str, AnyCartStore] = {}
        self._session_stores: dict[str, AnySessionStore] = {}
        self._carts: dict[str, Carts] = {}
        self._sessions: dict[str, Sessions] = {}

    def cart_store(self, driver: str) -> AnyCartStore:
        """The driver's cart store, opened once."""
        if driver not in self._cart_stores:
            self._cart_stores[driver] = self.closing(open_carts(driver, self.endpoints))
        return self._cart_stores[driver]

    def session_store(self, driver: str) -> AnySessionStore:
        """The driver's session store, opened once."""
        if driver not in self._session_stores:
            self._session_stores[driver] = self.closing(open_sessions(driver, self.endpoints))
        return self._session_stores[driver]

    def carts(self, driver: str) -> Carts:
        """The carts that only this driver writes."""
        if driver not in self._carts:
            seed = self.config.load.seed
            self._carts[driver] = Carts.of(self._workload_data(), seed, share_of(driver))
        return self._carts[driver]

    def sessions(self, driver: str) -> Sessions:
        """The sessions of this driver."""
        if driver not in self._sessions:
            seed, now = self.config.load.seed, datetime.now(UTC)
            self._sessions[driver] = Sessions.of(self._workload_data(), seed, share_of(driver), now)
        return self._sessions[driver]

    def closing(self, closable: ClosableT) -> ClosableT:
        """Close it with the rest; returns it."""
        self._closables.append(closable)
        return closable

    async def close(self) -> None:
        """Close everything, last opened first."""
        while self._closables:
            result = self._closables.pop().close()
            if inspect.isawaitable(result):
                await result

    def _workload_data(self) -> Dataset:
        data = self.dataset
        count = max(len(data.users) - RESERVED_USERS, 0)
        return Dataset(
            data.books, data.users[:count], data.carts[:count], data.sessions[:count], data.orders
        )


def open_carts(driver: str, endpoints: Endpoints) -> AnyCartStore:
    """A new cart store of any driver. Raises UsageError."""
    if driver in ASYNC_DRIVERS:
        return open_async_cart_store(driver, endpoints)
    return open_cart_store(driver, endpoints)


def open_sessions(driver: str, endpoints: Endpoints) -> AnySessionStore:
    """A new session store of any driver. Raises UsageError."""
    if driver in ASYNC_DRIVERS:
        return open_async_session_store(driver, endpoints)
    return open_session_store(driver, endpoints)


def backend_of(driver: str) -> str:
    """The backend that a driver calls."""
    return next(backend for backend, drivers in DRIVERS.items() if driver in drivers)


def share_of(driver: str) -> WorkerShare:
    """The driver's share of the users of its backend."""
    drivers = DRIVERS[backend_of(driver)]
    return WorkerShare(drivers.index(driver), len(drivers))
