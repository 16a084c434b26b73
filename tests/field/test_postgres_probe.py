"""Kind 3 on PostgreSQL: one call of every pattern through the load's own store before seeding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from loadtests.config import Config, Load
from loadtests.errors import EXIT_ERROR, TargetError
from loadtests.load.subjects import probe_subjects
from loadtests.stores.postgres.psycopg import PsycopgCartStore, PsycopgSessionStore
from loadtests.targets.endpoints import Endpoints, PostgresEndpoint
from loadtests.targets.postgres.connect import postgres_connection
from loadtests.targets.seed.postgres_schema import TABLES, ensure_schema
from tests.field.test_least_rights import ROWS, Shop, shop_of

pytestmark = pytest.mark.embedded
DRIVER = Config(load=Load(backend="postgres"))
FACTORY = Config(
    load=Load(backend="postgres", subjects=f"postgres/{__name__}:elsewhere postgres/psycopg")
)


@pytest.fixture(scope="module")
def shop(postgres: PostgresEndpoint) -> Iterator[Shop]:
    """A database addressed by its DSN, as one that the harness did not start."""
    with shop_of(postgres) as opened:
        opened.run(ROWS)
        yield opened


def counts(endpoint: PostgresEndpoint) -> list[int]:
    with postgres_connection(endpoint) as connection:
        rows = [
            connection.execute(f"select count(*) from {table}".encode()).fetchone()
            for table in TABLES
        ]
    return [row[0] for row in rows if row]


def failure(config: Config, endpoint: PostgresEndpoint) -> TargetError:
    with pytest.raises(TargetError) as caught:
        probe_subjects(config, Endpoints(postgres=endpoint))
    assert caught.value.exit_code == EXIT_ERROR
    return caught.value


def test_nothing_stays_behind(shop: Shop) -> None:
    """The right to read and write rows is enough, and the probe's rows are removed."""
    endpoint = shop.reached()
    before = counts(endpoint)
    probe_subjects(DRIVER, Endpoints(postgres=endpoint))
    assert counts(endpoint) == before


@pytest.mark.parametrize(
    ("change", "undo", "reason", "hint"),
    [
        (
            "revoke update on carts from {role}",
            "grant update on carts to {role}",
            "cart.add through psycopg failed: InsufficientPrivilege: permission denied",
            "Grant",
        ),
        (
            "alter table sessions rename column user_agent to agent",
            "alter table sessions rename column agent to user_agent",
            "session.create through psycopg failed: UndefinedColumn",
            "",
        ),
    ],
)
def test_a_refusal_that_every_call_would_meet(
    shop: Shop, change: str, undo: str, reason: str, hint: str
) -> None:
    """With --no-provision the load's calls failed: 100% errors, and the verdict was FAIL."""
    endpoint = shop.reached()
    before = counts(endpoint)
    shop.run(change)
    try:
        error = failure(DRIVER, endpoint)
    finally:
        shop.run(undo)
    assert error.message.startswith(reason)
    assert hint in error.hint
    assert counts(endpoint) == before


def elsewhere(endpoints: Endpoints) -> object:
    """A factory of a user, whose stores reach another schema."""
    assert endpoints.postgres is not None
    dsn = make_conninfo(endpoints.postgres.dsn, options="-csearch_path=other")
    own = replace(endpoints.postgres, dsn=dsn)
    return PsycopgCartStore(own), PsycopgSessionStore(own)


@pytest.mark.parametrize("referring", [True, False])
def test_a_store_that_reaches_another_schema(
    shop: Shop, postgres: PostgresEndpoint, referring: bool
) -> None:
    """Set-up seeded one schema and the load called another, with or without foreign keys."""
    database = psycopg.conninfo.conninfo_to_dict(shop.dsn)["dbname"]
    shop.run("create schema other")
    with psycopg.connect(
        make_conninfo(postgres.dsn, dbname=database, options="-csearch_path=other"),
        autocommit=True,
    ) as owner:
        ensure_schema(owner)
    shop.run("grant usage on schema other to {role}")
    shop.run("grant select, insert, update, delete on all tables in schema other to {role}")
    if not referring:
        shop.run("drop table other.users, other.books cascade")
    endpoint = shop.reached()
    before = counts(endpoint)
    try:
        error = failure(FACTORY, endpoint)
    finally:
        shop.run("drop schema other cascade")
    assert ("ForeignKeyViolation" if referring else "did not write to") in error.message
    assert "schema" in error.hint
    assert counts(endpoint) == before


def test_users_and_books_that_may_not_be_deleted(shop: Shop) -> None:
    """A role without that right leaves one user and one book, however often it is tried."""
    endpoint = shop.reached()
    shop.run("revoke delete on users, books from {role}")
    try:
        probe_subjects(DRIVER, Endpoints(postgres=endpoint))
        before = counts(endpoint)
        probe_subjects(DRIVER, Endpoints(postgres=endpoint))
        assert counts(endpoint) == before
    finally:
        shop.run("grant delete on users, books to {role}")
