"""CloudShelf's PostgreSQL schema: made where missing, checked where present.

`schema.sql` is the one description. What a table should be is found by running it in a temporary
schema and reading the catalogue, so that the check cannot differ from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import psycopg

from loadtests.errors import ProvisionError

Connection = psycopg.Connection[tuple[Any, ...]]
TABLES: Final = ("books", "users", "orders", "carts", "sessions")
_LOCK: Final = 0x636C6F7564  # advisory, so that two set-ups at once take turns

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
     cross join unnest(i.indkey) with ordinality as k(attnum, place)
     join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
where c.relnamespace = %s and c.relname = any(%s)
order by c.relname, k.place
"""


@dataclass(frozen=True, slots=True)
class TableShape:
    """A table: its primary key, and for each column its type and whether it must be given."""

    primary_key: tuple[str, ...]
    columns: Mapping[str, tuple[str, bool]]


def ensure_schema(connection: Connection) -> tuple[str, ...]:
    """Make the missing tables and indexes in one transaction; names the made tables.

    Raises ProvisionError, nothing changed, where a table of that name is another's.
    """
    try:
        with connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
            found = read_shapes(connection)
            problems = [p for several in find_problems(connection).values() for p in several]
            if problems:
                raise ProvisionError(
                    f"PostgreSQL has other tables in CloudShelf's place: {'; '.join(problems)}.",
                    hint="Nothing was changed. Name another database, or drop the table yourself "
                    "if nobody needs it.",
                )
            connection.execute(_statements())
    except psycopg.Error as error:
        raise ProvisionError(
            f"PostgreSQL refused to set up CloudShelf's tables ({first_line(error)}).",
            hint="The user needs the right to create tables, temporary ones too, in this database.",
        ) from None
    return tuple(name for name in TABLES if name not in found)


def find_problems(connection: Connection) -> dict[str, list[str]]:
    """What is wrong with each of the tables that exist; empty lists where nothing is."""
    expected = _expected(connection)
    return {
        name: _problems(name, shape, expected[name])
        for name, shape in read_shapes(connection).items()
    }


def read_shapes(connection: Connection) -> dict[str, TableShape]:
    """The CloudShelf tables that the current schema has."""
    row = connection.execute("select current_schema()::regnamespace::oid").fetchone()
    if row is None or row[0] is None:
        raise ProvisionError(
            "PostgreSQL has no schema to make tables in.",
            hint="Set the user's search_path to a schema that exists.",
        )
    return _shapes(connection, row[0])


def first_line(error: psycopg.Error) -> str:
    """The server's own words, without their context."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _statements() -> str:
    return resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")


def _expected(connection: Connection) -> dict[str, TableShape]:
    with connection.transaction(force_rollback=True):
        connection.execute("set local search_path = pg_temp")
        connection.execute(_statements())
        row = connection.execute("select pg_my_temp_schema()").fetchone()
        assert row is not None
        return _shapes(connection, row[0])


def _shapes(connection: Connection, schema: int) -> dict[str, TableShape]:
    columns: dict[str, dict[str, tuple[str, bool]]] = {}
    keys: dict[str, list[str]] = {}
    wanted = (schema, list(TABLES))
    for table, column, of, required in connection.execute(_COLUMNS, wanted):
        columns.setdefault(table, {})[column] = (of, required)
    for table, column in connection.execute(_PRIMARY_KEYS, wanted):
        keys.setdefault(table, []).append(column)
    return {name: TableShape(tuple(keys.get(name, ())), columns[name]) for name in columns}


def _problems(name: str, found: TableShape, expected: TableShape) -> list[str]:
    problems = []
    if found.primary_key != expected.primary_key:
        key = ", ".join(found.primary_key) or "nothing"
        problems.append(f"{name} has the primary key {key}, not {', '.join(expected.primary_key)}")
    for column, (of, _) in expected.columns.items():
        if column not in found.columns:
            problems.append(f"{name} has no {column}")
        elif found.columns[column][0] != of:
            problems.append(f"{name}.{column} is {found.columns[column][0]}, not {of}")
    problems += [
        f"{name}.{column} must be given, and CloudShelf does not know it"
        for column, (_, required) in found.columns.items()
        if required and column not in expected.columns
    ]
    return problems
