"""What cases are opened on: databases, data, one store a driver, keys that drivers never share."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from typing import Any

from loadtests.config import Config
from loadtests.load.schedule.arrivals import WorkerShare
from loadtests.load.workload import Carts, Sessions
from loadtests.patterns import DRIVERS
from loadtests.stores.open import (
    ASYNC_DRIVERS,
    open_async_cart_store,
    open_async_session_store,
    open_cart_store,
    open_session_store,
)
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.seed.dataset import Dataset, make_dataset

RESERVED: int = 3  # users kept out of the workload, for carts of a set size


class Bench:
    """Shared by all cases of a session; `close` gives everything back."""

    def __init__(self, config: Config, endpoints: Endpoints) -> None:
        self.config = config
        self.endpoints = endpoints
        self.dataset = make_dataset(config.data, config.load.seed, datetime.now(UTC))
        self._stores: dict[tuple[str, str], Any] = {}
        self._kept: list[Any] = []
        self._carts: dict[str, Carts] = {}
        self._sessions: dict[str, Sessions] = {}

    def cart_store(self, driver: str) -> Any:
        """The driver's cart store (awaited for an asyncio driver), opened once."""
        return self._store(driver, "carts")

    def session_store(self, driver: str) -> Any:
        """The driver's session store, likewise."""
        return self._store(driver, "sessions")

    def carts(self, driver: str) -> Carts:
        """The carts that this driver alone may write."""
        if driver not in self._carts:
            seed = self.config.load.seed
            self._carts[driver] = Carts.of(self._shared(), seed, share_of(driver))
        return self._carts[driver]

    def sessions(self, driver: str) -> Sessions:
        """The sessions of this driver."""
        if driver not in self._sessions:
            seed, now = self.config.load.seed, datetime.now(UTC)
            self._sessions[driver] = Sessions.of(self._shared(), seed, share_of(driver), now)
        return self._sessions[driver]

    def keep(self, store: Any) -> Any:
        """Have a store closed with the rest."""
        self._kept.append(store)
        return store

    async def close(self) -> None:
        """Close every store."""
        while self._kept:
            closed = self._kept.pop().close()
            if inspect.isawaitable(closed):
                await closed

    def _store(self, driver: str, kind: str) -> Any:
        if (driver, kind) not in self._stores:
            store = open_store(driver, kind, self.endpoints)
            self._stores[driver, kind] = self.keep(store)
        return self._stores[driver, kind]

    def _shared(self) -> Dataset:
        data = self.dataset
        count = max(len(data.users) - RESERVED, 0)
        return Dataset(
            data.books, data.users[:count], data.carts[:count], data.sessions[:count], data.orders
        )


def open_store(driver: str, kind: str, endpoints: Endpoints) -> Any:
    """A new `carts` or `sessions` store of any driver. Raises UsageError."""
    opening = {
        (False, "carts"): open_cart_store,
        (False, "sessions"): open_session_store,
        (True, "carts"): open_async_cart_store,
        (True, "sessions"): open_async_session_store,
    }
    return opening[driver in ASYNC_DRIVERS, kind](driver, endpoints)


def share_of(driver: str) -> WorkerShare:
    """The driver's share of the users of its backend."""
    drivers = next(found for found in DRIVERS.values() if driver in found)
    return WorkerShare(drivers.index(driver), len(drivers))
