"""Stores by their driver's name."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from loadtests.errors import UsageError
from loadtests.patterns import DRIVERS
from loadtests.stores import AsyncCartStore, AsyncSessionStore
from loadtests.stores.open import (
    ASYNC_DRIVERS,
    SYNC_DRIVERS,
    open_async_cart_store,
    open_async_session_store,
    open_cart_store,
    open_session_store,
)
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint

BOTH = Endpoints(
    DynamoDBEndpoint("http://127.0.0.1:1"), PostgresEndpoint("postgresql://u@127.0.0.1:1/d")
)


def test_every_driver_can_be_opened_and_under_its_backend() -> None:
    known = {**SYNC_DRIVERS, **ASYNC_DRIVERS}
    for backend, names in DRIVERS.items():
        assert {name for name, driver in known.items() if driver.backend == backend} == set(names)


@pytest.mark.parametrize("driver", SYNC_DRIVERS)
def test_opening_connects_to_nothing(driver: str) -> None:
    for store in (open_cart_store(driver, BOTH), open_session_store(driver, BOTH)):
        assert store.wire_ns == 0
        store.close()


async def _closed(store: AsyncCartStore | AsyncSessionStore) -> None:
    assert store.wire_ns == 0
    await store.close()


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
def test_opening_an_awaited_store_connects_to_nothing(driver: str) -> None:
    asyncio.run(_closed(open_async_cart_store(driver, BOTH)))
    asyncio.run(_closed(open_async_session_store(driver, BOTH)))


def test_an_unknown_driver() -> None:
    with pytest.raises(UsageError) as error:
        open_cart_store("pymysql", BOTH)
    assert "pymysql" in error.value.message
    assert error.value.hint == "Use boto3, psycopg or wire."
    with pytest.raises(UsageError):
        open_async_session_store("wire", BOTH)


@pytest.mark.parametrize(("driver", "backend"), [("wire", "dynamodb"), ("psycopg", "postgres")])
def test_a_driver_whose_backend_takes_no_part(driver: str, backend: str) -> None:
    with pytest.raises(UsageError) as error:
        open_session_store(driver, Endpoints())
    assert backend in error.value.message
    assert f"--backend {backend}" in error.value.hint


def test_a_driver_imports_no_other_drivers_library() -> None:
    script = (
        "import sys; from loadtests.stores.open import *; "
        "from loadtests.targets.endpoints import *; "
        "open_cart_store('psycopg', Endpoints(postgres=PostgresEndpoint('host=127.0.0.1'))); "
        "print(*{'boto3', 'botocore', 'aiohttp', 'asyncpg'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "\n"
