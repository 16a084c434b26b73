"""Open a store by the name of its driver; imports only that driver's client library."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Collection, Iterable
from typing import Any, Final, NamedTuple, cast

from loadtests.errors import UsageError
from loadtests.stores import (
    TIMEOUT_S,
    AsyncCartStore,
    AsyncSessionStore,
    CartStore,
    SessionStore,
)
from loadtests.stores.factories import (
    DRIVER_STORES,
    as_called,
    is_factory,
    open_factory_stores,
)
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint

_log: Final = logging.getLogger("loadtests")


class Driver(NamedTuple):
    """The backend that a driver calls, and where its two stores are."""

    backend: str
    module: str
    carts: str
    sessions: str


SYNC_DRIVERS: Final = {
    "wire": Driver("dynamodb", "dynamodb.wire", "WireCartStore", "WireSessionStore"),
    "boto3": Driver("dynamodb", "dynamodb.boto3", "Boto3CartStore", "Boto3SessionStore"),
    "psycopg": Driver("postgres", "postgres.psycopg", "PsycopgCartStore", "PsycopgSessionStore"),
}
ASYNC_DRIVERS: Final = {
    "aioboto3": Driver(
        "dynamodb", "dynamodb.aioboto3", "Aioboto3CartStore", "Aioboto3SessionStore"
    ),
    "asyncpg": Driver("postgres", "postgres.asyncpg", "AsyncpgCartStore", "AsyncpgSessionStore"),
}
ALL_DRIVERS: Final = {**SYNC_DRIVERS, **ASYNC_DRIVERS}


def open_cart_store(
    driver: str, endpoints: Endpoints, *, consistent: bool = True, timeout_s: float = TIMEOUT_S
) -> CartStore:
    """A cart store of a blocking driver; the first call connects.

    `consistent` chooses DynamoDB's strongly consistent reads; PostgreSQL has no such choice.
    Raises UsageError for an unknown driver, or if its backend is not part of the run.
    """
    store = _open(SYNC_DRIVERS, driver, "carts", endpoints, consistent, timeout_s)
    return cast("CartStore", store)


def open_session_store(
    driver: str, endpoints: Endpoints, *, consistent: bool = True, timeout_s: float = TIMEOUT_S
) -> SessionStore:
    """A session store of a blocking driver; see `open_cart_store`."""
    store = _open(SYNC_DRIVERS, driver, "sessions", endpoints, consistent, timeout_s)
    return cast("SessionStore", store)


def open_stores(
    client: str,
    endpoints: Endpoints,
    names: Collection[str] = DRIVER_STORES,
    *,
    only: str = "",
) -> dict[str, Any]:
    """The stores of a driver, or of a factory named `package.module:factory`, by name.

    Of a driver those of `names` that it has; of a factory all that it makes, since they may share a
    connection. `only` is the name of a store that a factory returns alone. Raises UsageError.
    """
    if is_factory(client):
        return open_factory_stores(client, endpoints, only=only)
    return {
        name: as_called(_open(ALL_DRIVERS, client, name, endpoints, True, TIMEOUT_S))
        for name in DRIVER_STORES
        if name in names
    }


def close_stores(stores: Iterable[object]) -> None:
    """Close those that can be closed, each once. An error is logged: what was measured stands."""
    for store in {id(store): store for store in stores}.values():
        close = getattr(store, "close", None)
        if not callable(close):
            continue
        try:
            close()
        except Exception as error:  # noqa: BLE001 (a user's own store)
            _log.warning(
                "%s could not be closed: %s: %s",
                *(type(store).__name__, type(error).__name__, error),
            )


def open_async_cart_store(
    driver: str, endpoints: Endpoints, *, consistent: bool = True, timeout_s: float = TIMEOUT_S
) -> AsyncCartStore:
    """A cart store of an asyncio driver; see `open_cart_store`."""
    store = _open(ASYNC_DRIVERS, driver, "carts", endpoints, consistent, timeout_s)
    return cast("AsyncCartStore", store)


def open_async_session_store(
    driver: str, endpoints: Endpoints, *, consistent: bool = True, timeout_s: float = TIMEOUT_S
) -> AsyncSessionStore:
    """A session store of an asyncio driver; see `open_cart_store`."""
    store = _open(ASYNC_DRIVERS, driver, "sessions", endpoints, consistent, timeout_s)
    return cast("AsyncSessionStore", store)


def _open(
    drivers: dict[str, Driver],
    name: str,
    kind: str,
    endpoints: Endpoints,
    consistent: bool,
    timeout_s: float,
) -> object:
    driver = drivers.get(name)
    if driver is None:
        raise UsageError(f"Unknown driver {name!r}.", hint=f"Use {_listed(drivers)}.")
    endpoint: DynamoDBEndpoint | PostgresEndpoint | None = getattr(endpoints, driver.backend)
    if endpoint is None:
        raise UsageError(
            f"The driver {name} needs {driver.backend}, which is not part of this run.",
            hint=f"Add --backend {driver.backend} (or both), or choose another driver.",
        )
    module = importlib.import_module(f"loadtests.stores.{driver.module}")
    store = getattr(module, driver.carts if kind == "carts" else driver.sessions)
    if isinstance(endpoint, DynamoDBEndpoint):
        return store(endpoint, consistent=consistent, timeout_s=timeout_s)
    return store(endpoint, timeout_s=timeout_s)


def _listed(drivers: dict[str, Driver]) -> str:
    names = sorted(drivers)
    return ", ".join(names[:-1]) + " or " + names[-1]
