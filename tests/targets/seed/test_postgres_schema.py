"""The PostgreSQL schema: created if missing, refused if a table has another shape."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest

from loadtests.errors import ProvisionError
from loadtests.targets.endpoints import Endpoints, PostgresEndpoint
from loadtests.targets.postgres.connect import postgres_connection
from loadtests.targets.seed.dataset import Dataset
from loadtests.targets.seed.postgres_schema import ensure_schema, find_problems

pytestmark = pytest.mark.embedded


@pytest.fixture
def database(postgres: PostgresEndpoint) -> Iterator[PostgresEndpoint]:
    """An empty database of this test's own, by its endpoint."""
    name = f"test_{uuid.uuid4().hex}"
    with postgres_connection(postgres, autocommit=True) as connection:
        connection.execute(f"create database {name}")
        yield PostgresEndpoint(postgres.dsn.replace("/postgres", f"/{name}"))
        connection.execute(f"drop database {name} with (force)")


def test_the_schema_is_made_once_and_found_right(database: PostgresEndpoint) -> None:
    with postgres_connection(database, autocommit=True) as connection:
        assert ensure_schema(connection) == ("books", "users", "orders", "carts", "sessions")
        assert ensure_schema(connection) == ()
        assert not any(find_problems(connection).values())
        connection.execute("alter table users add column nickname text")
        assert ensure_schema(connection) == ()  # a column of theirs that may be left out


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("create table carts (user_id text primary key)", "carts has the primary key user_id, not"),
        ("create table users (user_id text primary key)", "users has no email"),
        (
            "create table books (book_id text primary key, title text, price money, "
            "image_url text)",
            r"books.price is money, not numeric\(10,2\)",
        ),
        (
            "create table books (book_id text primary key, title text, price numeric(10, 2), "
            "image_url text, isbn text not null)",
            "books.isbn is required",
        ),
    ],
)
def test_a_table_of_another_shape_is_refused_and_nothing_is_changed(
    database: PostgresEndpoint, statement: str, problem: str
) -> None:
    with postgres_connection(database, autocommit=True) as connection:
        connection.execute(statement)
        with pytest.raises(ProvisionError, match=problem) as caught:
            ensure_schema(connection)
        assert "Nothing was changed" in caught.value.hint
        count = "select count(*) from pg_tables where schemaname = 'public'"
        assert connection.execute(count).fetchone() == (1,)


def test_a_user_who_may_not_make_tables_is_told(database: PostgresEndpoint) -> None:
    with postgres_connection(database, autocommit=True) as connection:
        role = f"reader_{uuid.uuid4().hex}"
        connection.execute(f"create role {role}")
        connection.execute(f"set role {role}")
        with pytest.raises(ProvisionError, match="refused to set up CloudShelf's tables"):
            ensure_schema(connection)
        connection.execute("reset role")
        connection.execute(f"drop role {role}")


@pytest.mark.parametrize("quantity", [0, 100, -1])
def test_the_table_itself_refuses_a_quantity_out_of_bounds(
    endpoints: Endpoints, postgres: PostgresEndpoint, dataset: Dataset, quantity: int
) -> None:
    with postgres_connection(postgres) as connection:
        with pytest.raises(psycopg.errors.CheckViolation, match="carts_quantity_1_to_99"):
            connection.execute(
                "update carts set quantity = %s where user_id = %s",
                (quantity, dataset.users[0].user_id),
            )
        connection.rollback()
