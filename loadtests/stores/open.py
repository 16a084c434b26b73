"""Open a store by its driver's name; only that driver's client library is imported."""

from __future__ import annotations

import importlib
from typing import Any, Final, NamedTuple, cast

from loadtests.errors import UsageError
from loadtests.stores import (
    TIMEOUT_S,
    AsyncCartStore,
    AsyncSessionStore,
    CartStore,
    SessionStore,
)
from loadtests.stores.factories import is_factory, open_factory_stores
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint


class _Driver(NamedTuple):
    backend: str
    module: str
    carts: str
    sessions: str


SYNC_DRIVERS: Final = {
    "wire": _Driver("dynamodb", "dynamodb.wire", "WireCartStore", "WireSessionStore"),
    "boto3": _Driver("dynamodb", "dynamodb.boto3", "Boto3CartStore", "Boto3SessionStore"),
    "psycopg": _Driver("postgres", "postgres.psycopg", "PsycopgCartStore", "PsycopgSessionStore"),
}
ASYNC_DRIVERS: Final = {
    "aioboto3": _Driver(
        "dynamodb", "dynamodb.aioboto3", "Aioboto3CartStore", "Aioboto3SessionStore"
    ),
    "asyncpg": _Driver("postgres", "postgres.asyncpg", "AsyncpgCartStore", "AsyncpgSessionStore"),
}


def open_cart_store(
    driver: str, endpoints: Endpoints, *, consistent: bool = True, timeout_s: float = TIMEOUT_S
) -> CartStore:
    """A cart store of a blocking driver; it connects when first called.

    `consistent` chooses DynamoDB's strongly consistent reads and means nothing to PostgreSQL.
    Raises UsageError when there is no such driver, or its backend takes no part in the run.
    """
    store = _open(SYNC_DRIVERS, driver, "carts", endpoints, consistent, timeout_s)
    return cast("CartStore", store)


def open_session_store(
    driver: str, endpoints: Endpoints, *, consistent: bool = True, timeout_s: float = TIMEOUT_S
) -> SessionStore:
    """A session store of a blocking driver; see `open_cart_store`."""
    store = _open(SYNC_DRIVERS, driver, "sessions", endpoints, consistent, timeout_s)
    return cast("SessionStore", store)


def open_stores(client: str, endpoints: Endpoints) -> tuple[CartStore | None, SessionStore | None]:
    """Both stores of a blocking driver, or of a factory named `package.module:factory`.

    A factory may lack one of the two, which is then None. Raises UsageError.
    """
    if is_factory(client):
        return open_factory_stores(client, endpoints)
    return open_cart_store(client, endpoints), open_session_store(client, endpoints)


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
    drivers: dict[str, _Driver],
    name: str,
    kind: str,
    endpoints: Endpoints,
    consistent: bool,
    timeout_s: float,
) -> Any:
    driver = drivers.get(name)
    if driver is None:
        raise UsageError(f"There is no driver {name!r} here.", hint=f"Use {_listed(drivers)}.")
    endpoint: DynamoDBEndpoint | PostgresEndpoint | None = getattr(endpoints, driver.backend)
    if endpoint is None:
        raise UsageError(
            f"The driver {name} needs {driver.backend}, which takes no part in this run.",
            hint=f"Add --backend {driver.backend} (or both), or choose another driver.",
        )
    module = importlib.import_module(f"loadtests.stores.{driver.module}")
    store = getattr(module, driver.carts if kind == "carts" else driver.sessions)
    if isinstance(endpoint, DynamoDBEndpoint):
        return store(endpoint, consistent=consistent, timeout_s=timeout_s)
    return store(endpoint, timeout_s=timeout_s)


def _listed(drivers: dict[str, _Driver]) -> str:
    names = sorted(drivers)
    return ", ".join(names[:-1]) + " or " + names[-1]
