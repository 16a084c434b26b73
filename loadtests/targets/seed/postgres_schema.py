"""CloudShelf's PostgreSQL schema: created if missing, checked if present.

`schema.sql` is the only description. The expected tables are read from the catalogue after running
it in a temporary schema, so that the check cannot differ from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import chain
from typing import Final

import psycopg

from loadtests.errors import ProvisionError
from loadtests.targets.connect import PostgresConnection

TABLES: Final = ("books", "users", "orders", "carts", "sessions")
_LOCK: Final = 0x636C6F7564  # advisory, so that concurrent set-ups run one after the other

_COLUMNS: Final = """
select c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
       a.attnotnull and not a.atthasdef and a.attidentity = '' and a.attgenerated = ''
from pg_class c join pg_attribute a on a.attrelid = c.oid
where c.relnamespace = %s and c.relname = any(%s) and c.relkind in ('r', 'p')
  and a.attnum > 0 and not a.attisdropped
"""
_PRIMARY_KEYS: Final = """
select c.relname, a.attname
from pg_class c join pg_index i on i.indrelid = c.oid and i.indisprimary
     cross join unnest(i.indkey) with ordinality as k(attnum, position)
     join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
where c.relnamespace = %s and c.relname = any(%s)
order by c.relname, k.position
"""


@dataclass(frozen=True, slots=True)
class TableShape:
    """The shape of a table: its primary key, and each column's type and whether it is required."""

    primary_key: tuple[str, ...]
    columns: Mapping[str, tuple[str, bool]]


def ensure_schema(connection: PostgresConnection) -> tuple[str, ...]:
    """Create the missing tables and indexes in one transaction; returns the created tables' names.

    Raises ProvisionError, changing nothing, if a table of that name has another shape.
    """
    try:
        with connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
            existing = read_shapes(connection)
            problems = list(chain.from_iterable(find_problems(connection).values()))
            if problems:
                raise ProvisionError(
                    f"PostgreSQL has other tables under CloudShelf's names: {'; '.join(problems)}.",
                    hint="Nothing was changed. Use another database, or drop the table if it is "
                    "not needed.",
                )
            connection.execute(_statements())
    except psycopg.Error as error:
        raise ProvisionError(
            f"PostgreSQL refused to set up CloudShelf's tables ({first_line(error)}).",
            hint="The user needs the privilege to create tables (also temporary ones) here.",
        ) from None
    return tuple(name for name in TABLES if name not in existing)


def find_problems(connection: PostgresConnection) -> dict[str, list[str]]:
    """The problems of each existing table; empty lists for correct tables."""
    expected = _expected(connection)
    return {
        name: _problems(name, shape, expected[name])
        for name, shape in read_shapes(connection).items()
    }


def read_shapes(connection: PostgresConnection) -> dict[str, TableShape]:
    """The CloudShelf tables in the current schema."""
    row = connection.execute("select current_schema()::regnamespace::oid").fetchone()
    if row is None or row[0] is None:
        raise ProvisionError(
            "PostgreSQL has no schema to create tables in.",
            hint="Set the user's search_path to an existing schema.",
        )
    return _shapes(connection, row[0])


def first_line(error: psycopg.Error) -> str:
    """The server's message without its context."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _statements() -> str:
    return resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")


def _expected(connection: PostgresConnection) -> dict[str, TableShape]:
    with connection.transaction(force_rollback=True):
        connection.execute("set local search_path = pg_temp")
        connection.execute(_statements())
        row = connection.execute("select pg_my_temp_schema()").fetchone()
        assert row is not None
        return _shapes(connection, row[0])


def _shapes(connection: PostgresConnection, schema: int) -> dict[str, TableShape]:
    columns: dict[str, dict[str, tuple[str, bool]]] = {}
    keys: dict[str, list[str]] = {}
    wanted = (schema, list(TABLES))
    for table, column, type_, required in connection.execute(_COLUMNS, wanted):
        columns.setdefault(table, {})[column] = (type_, required)
    for table, column in connection.execute(_PRIMARY_KEYS, wanted):
        keys.setdefault(table, []).append(column)
    return {name: TableShape(tuple(keys.get(name, ())), columns[name]) for name in columns}


def _problems(name: str, actual: TableShape, expected: TableShape) -> list[str]:
    problems = []
    if actual.primary_key != expected.primary_key:
        key = ", ".join(actual.primary_key) or "nothing"
        problems.append(f"{name} has the primary key {key}, not {', '.join(expected.primary_key)}")
    for column, (type_, _) in expected.columns.items():
        if column not in actual.columns:
            problems.append(f"{name} has no {column}")
        elif actual.columns[column][0] != type_:
            problems.append(f"{name}.{column} is {actual.columns[column][0]}, not {type_}")
    problems += [
        f"{name}.{column} is required, and CloudShelf does not write it"
        for column, (_, required) in actual.columns.items()
        if required and column not in expected.columns
    ]
    return problems
