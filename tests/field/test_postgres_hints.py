"""Kind 10 on PostgreSQL: what is certain to fail is refused before the load, with its own cause."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from loadtests.config import Config, Load, Targets
from loadtests.errors import ProvisionError, TargetError, UsageError
from loadtests.load.declared_stores import store
from loadtests.load.locust.checks import check_connections
from loadtests.load.locust.users import OpenLoopUser, access_pattern
from loadtests.targets.endpoints import Endpoints, PostgresEndpoint
from loadtests.targets.postgres.connect import PostgresConnection, postgres_connection
from loadtests.targets.postgres.reach import reach_postgres
from loadtests.targets.seed import postgres_schema
from loadtests.targets.seed.postgres_schema import ensure_schema

pytestmark = pytest.mark.embedded
LIMIT = 3
PASSWORD = "s3cret-Pa55"


class CartCaller(OpenLoopUser):
    carts: Any = store()

    @access_pattern("cart.get", share=1)
    def get(self) -> None: ...


class BothCaller(CartCaller):
    sessions: Any = store()

    @access_pattern("session.get", share=1)
    def get_session(self) -> None: ...


@pytest.fixture
def owner(postgres: PostgresEndpoint) -> Iterator[PostgresConnection]:
    with postgres_connection(postgres) as connection:
        yield connection


@pytest.fixture
def narrow(owner: PostgresConnection, postgres: PostgresEndpoint) -> Iterator[str]:
    """The DSN of a role that may have three connections."""
    role = f"narrow_{uuid.uuid4().hex}"
    owner.execute(
        sql.SQL("create role {} login connection limit {} password {}").format(
            sql.Identifier(role), sql.Literal(LIMIT), sql.Literal(PASSWORD)
        )
    )
    yield make_conninfo(postgres.dsn, user=role, password=PASSWORD)
    owner.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def reached(dsn: str) -> PostgresEndpoint:
    return reach_postgres(Config(targets=Targets(postgres_dsn=dsn)), {})


def test_more_users_than_connections(narrow: str) -> None:
    """ "TooManyConnections" in each call, after the whole measurement, and the verdict FAIL."""
    endpoints = Endpoints(postgres=reached(narrow))
    config = Config(load=Load(backend="postgres"))
    check_connections(config, endpoints, [CartCaller], users=LIMIT)
    with pytest.raises(UsageError) as caught:
        check_connections(config, endpoints, [BothCaller], users=LIMIT)
    assert "3 users need 6 connections to PostgreSQL" in caught.value.message
    assert "the connection limit of role narrow_" in caught.value.message


def test_more_users_than_the_server_has(postgres: PostgresEndpoint) -> None:
    """The embedded server has 300 connections."""
    config = Config(load=Load(backend="postgres"))
    with pytest.raises(UsageError, match="max_connections of the server leaves"):
        check_connections(config, Endpoints(postgres=postgres), [CartCaller], users=301)


def test_a_login_beyond_the_limit(narrow: str) -> None:
    """The hint was to check that the server is running."""
    endpoint = reached(narrow)
    taken = [postgres_connection(endpoint) for _ in range(LIMIT)]
    try:
        with pytest.raises(TargetError, match="has no free connection left") as caught:
            reached(narrow)
    finally:
        for connection in taken:
            connection.close()
    assert "limit of the role" in caught.value.hint
    assert PASSWORD not in caught.value.message + caught.value.hint


def test_tables_that_another_session_has_locked(
    owner: PostgresConnection, postgres: PostgresEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set-up waited for ever, without a word."""
    monkeypatch.setattr(postgres_schema, "_LOCK_WAIT_S", 0.01)
    monkeypatch.setattr(postgres_schema, "INDEXES", ("missing_index",))
    with owner.transaction(), postgres_connection(postgres) as connection:
        owner.execute("lock table orders in access exclusive mode")
        with pytest.raises(ProvisionError, match="lock timeout") as caught:
            ensure_schema(connection)
    assert "Another session holds a lock" in caught.value.hint
