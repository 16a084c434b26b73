"""Kind 12: where the tables exist, the right to read and write their rows is enough."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from loadtests.config import Config, Data, Targets
from loadtests.errors import ProvisionError, TargetError
from loadtests.targets.checklist.verify import verify_postgres
from loadtests.targets.endpoints import PostgresEndpoint
from loadtests.targets.postgres.connect import postgres_connection
from loadtests.targets.postgres.reach import reach_postgres
from loadtests.targets.seed.dataset import Dataset, make_dataset
from loadtests.targets.seed.postgres_schema import TABLES, ensure_schema
from loadtests.targets.seed.provision import provision_postgres

pytestmark = pytest.mark.embedded
PASSWORD = "s3cret-Pa55"


@pytest.fixture(scope="module")
def data() -> Dataset:
    return make_dataset(Data(users=12, books=20), 914, datetime.now(UTC))


class Shop:
    """A database with CloudShelf's tables, and a role that may log in and nothing else."""

    def __init__(self, owner: psycopg.Connection[tuple[object, ...]], dsn: str, role: str) -> None:
        self._owner = owner
        self.dsn = make_conninfo(dsn, user=role, password=PASSWORD)
        self._role = sql.Identifier(role)

    def run(self, statement: str) -> None:
        """Run a statement as the owner; {role} is the role."""
        self._owner.execute(sql.SQL(statement).format(role=self._role))

    def reached(self) -> PostgresEndpoint:
        return reach_postgres(Config(targets=Targets(postgres_dsn=self.dsn)), {})


@contextmanager
def shop_of(postgres: PostgresEndpoint, *, tables: bool = True) -> Iterator[Shop]:
    name = f"test_{uuid.uuid4().hex}"
    dsn = make_conninfo(postgres.dsn, dbname=name)
    with postgres_connection(postgres) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        admin.execute(
            sql.SQL("create role {} login password {}").format(
                sql.Identifier(name), sql.Literal(PASSWORD)
            )
        )
        try:
            with psycopg.connect(dsn, autocommit=True) as owner:
                owner.execute(
                    sql.SQL(
                        "revoke all on database {0} from public; grant connect on database {0} "
                        "to {0}"
                    ).format(sql.Identifier(name))
                )
                if tables:
                    ensure_schema(owner)
                yield Shop(owner, dsn, name)
        finally:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
            admin.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


ROWS = f"grant select, insert, update, delete on {', '.join(TABLES)} to {{role}}"


def test_a_role_that_may_only_read_and_write_rows(
    postgres: PostgresEndpoint, data: Dataset
) -> None:
    """Set-up needed CREATE, ownership of the tables and TEMPORARY, though the tables were there."""
    with shop_of(postgres) as shop:
        shop.run(ROWS)
        endpoint = shop.reached()
        for _ in range(2):
            provision_postgres(endpoint, data)
        checks = list(verify_postgres(endpoint, uuid.uuid4(), datetime.now(UTC)))
        assert [check for check in checks if not check.ok] == []


def test_rights_by_column_are_enough(postgres: PostgresEndpoint, data: Dataset) -> None:
    """A column that CloudShelf does not write stays closed to the role."""
    columns = "book_id, title, price, image_url"
    with shop_of(postgres) as shop:
        shop.run("alter table books add column secret text")
        shop.run(ROWS)
        shop.run("revoke all on books from {role}")
        shop.run(
            f"grant select ({columns}), insert ({columns}), update ({columns}) on books to {{role}}"
        )
        provision_postgres(shop.reached(), data)


def test_missing_rights_are_named(postgres: PostgresEndpoint, data: Dataset) -> None:
    """ "Permission denied for table carts" after a part of the work, without the privilege."""
    with shop_of(postgres) as shop:
        shop.run(ROWS)
        shop.run("revoke update, delete on carts from {role}")
        shop.run("revoke insert on sessions from {role}")
        endpoint = shop.reached()
        role = conninfo_to_dict(shop.dsn)["user"]
        with pytest.raises(ProvisionError) as caught:
            provision_postgres(endpoint, data)
        assert caught.value.message == (
            f"PostgreSQL: {role} lacks UPDATE, DELETE on carts; {role} lacks INSERT on sessions."
        )
        failed = [c for c in verify_postgres(endpoint, uuid.uuid4(), datetime.now(UTC)) if not c.ok]
        assert {check.name for check in failed} == {
            "carts: columns and keys",
            "sessions: columns and keys",
        }
        assert "lacks UPDATE, DELETE on carts" in failed[0].result


def test_tables_that_the_role_may_not_create(postgres: PostgresEndpoint, data: Dataset) -> None:
    """The hint asked for the right to create temporary tables."""
    with shop_of(postgres, tables=False) as shop:
        with pytest.raises(ProvisionError, match="permission denied for schema public") as caught:
            provision_postgres(shop.reached(), data)
        assert "Grant it CREATE on the schema" in caught.value.hint
        assert PASSWORD not in caught.value.message + caught.value.hint


def test_tables_in_a_schema_that_is_not_searched(postgres: PostgresEndpoint, data: Dataset) -> None:
    """The tables are there, in another schema, and a second set was to be created."""
    with shop_of(postgres) as shop:
        shop.run("create schema app; grant usage on schema app to {role}")
        for table in TABLES:
            shop.run(f"alter table {table} set schema app")
        shop.run("grant select, insert, update, delete on all tables in schema app to {role}")
        endpoint = shop.reached()
        with pytest.raises(ProvisionError) as caught:
            provision_postgres(endpoint, data)
        assert "Tables of these names are in app" in caught.value.hint
        shop.run("alter role {role} set search_path = nowhere, app")
        provision_postgres(shop.reached(), data)


def test_a_view_under_a_tables_name(postgres: PostgresEndpoint, data: Dataset) -> None:
    """A view was passed over, and set-up ended in the server's words about rules."""
    with shop_of(postgres) as shop:
        shop.run("alter table carts rename to lines; create view carts as select * from lines")
        shop.run("grant select, insert, update, delete on all tables in schema public to {role}")
        with pytest.raises(ProvisionError, match="carts is not a table"):
            provision_postgres(shop.reached(), data)


def test_a_role_that_may_not_connect(postgres: PostgresEndpoint) -> None:
    """The hint was to check that the server is running."""
    with shop_of(postgres) as shop:
        shop.run(
            "do $$ begin execute format('revoke connect on database %I from {role}', "
            "current_database()); end $$"
        )
        with pytest.raises(TargetError) as caught:
            shop.reached()
        assert "does not let user" in caught.value.message
        assert "grant connect on database" in caught.value.hint
