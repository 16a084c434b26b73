"""CloudShelf's PostgreSQL schema: created if missing, checked if present.

`schema.sql` makes the tables. What a table must look like is `SHAPES`, so that the check needs no
privilege but to read the catalogue; a test compares it with what `schema.sql` makes. Tables are
looked up along the search_path, as the statements of the load find them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import chain
from typing import Final

import psycopg

from loadtests.errors import ProvisionError
from loadtests.targets.postgres.connect import PostgresConnection
from loadtests.targets.postgres.refusals import statement_hint

TABLES: Final = ("books", "users", "orders", "carts", "sessions")
INDEXES: Final = ("orders_by_user", "sessions_by_expiry")
_LOCK: Final = 0x636C6F7564  # advisory, so that concurrent set-ups run one after the other
_LOCK_WAIT_S: Final = 10.0  # how long set-up waits for locks of other sessions
_ROWS: Final = ("SELECT", "INSERT", "UPDATE")
# What set-up, load and checklist do with the rows of each table.
PRIVILEGES: Final = {
    "books": _ROWS,
    "users": _ROWS,
    "orders": _ROWS,
    "carts": (*_ROWS, "DELETE"),
    "sessions": (*_ROWS, "DELETE"),
}

_COLUMNS: Final = """
select t.name, c.relkind::text, a.attname, format_type(a.atttypid, a.atttypmod),
       a.attnotnull and not a.atthasdef and a.attidentity = '' and a.attgenerated = ''
from unnest(%s::text[]) t(name) join pg_class c on c.oid = to_regclass(t.name)
     join pg_attribute a on a.attrelid = c.oid
where a.attnum > 0 and not a.attisdropped
"""
_PRIMARY_KEYS: Final = """
select t.name, a.attname
from unnest(%s::text[]) t(name)
     join pg_index i on i.indrelid = to_regclass(t.name) and i.indisprimary
     cross join unnest(i.indkey) with ordinality as k(attnum, position)
     join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
order by t.name, k.position
"""
# DELETE is the one privilege that cannot be granted by column.
_MISSING_PRIVILEGE: Final = """
select not has_table_privilege(to_regclass(%(table)s), %(privilege)s)
   and (%(privilege)s = 'DELETE' or exists (
        select from pg_attribute a
        where a.attrelid = to_regclass(%(table)s) and a.attname = any(%(columns)s)
          and not has_column_privilege(a.attrelid, a.attnum,
                                       case %(privilege)s when 'DELETE' then 'SELECT'
                                       else %(privilege)s end)))
"""
_ELSEWHERE: Final = """
select distinct n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relname = any(%s) and c.relkind in ('r', 'p')
  and to_regclass(c.relname::text) is distinct from c.oid::regclass order by 1
"""


@dataclass(frozen=True, slots=True)
class TableShape:
    """The shape of a table: its primary key, and each column's type and whether it is required."""

    primary_key: tuple[str, ...]
    columns: Mapping[str, tuple[str, bool]]


def _shape(key: tuple[str, ...], optional: tuple[str, ...] = (), **types: str) -> TableShape:
    return TableShape(key, {name: (type_, name not in optional) for name, type_ in types.items()})


_TIME: Final = "timestamp with time zone"
SHAPES: Final[Mapping[str, TableShape]] = {
    "books": _shape(
        ("book_id",), book_id="text", title="text", price="numeric(10,2)", image_url="text"
    ),
    "users": _shape(("user_id",), user_id="text", email="text", name="text", created_at=_TIME),
    "orders": _shape(
        ("order_id",),
        order_id="text",
        user_id="text",
        total_amount="numeric(12,2)",
        status="text",
        created_at=_TIME,
    ),
    "carts": _shape(
        ("user_id", "book_id"),
        user_id="text",
        book_id="text",
        quantity="smallint",
        added_at=_TIME,
        updated_at=_TIME,
        book_title="text",
        book_price="numeric(10,2)",
        book_image_url="text",
    ),
    "sessions": _shape(
        ("session_id",),
        session_id="text",
        user_id="text",
        session_data="jsonb",
        cart_summary="jsonb",
        last_activity=_TIME,
        created_at=_TIME,
        expires_at=_TIME,
        ip_address="text",
        user_agent="text",
    ),
}


def ensure_schema(connection: PostgresConnection) -> tuple[str, ...]:
    """Create the missing tables and indexes in one transaction; returns the created tables' names.

    Where the tables exist, the privilege to read and write their rows is enough. Raises
    ProvisionError, changing nothing: a table has another shape, or a privilege is missing.
    """
    try:
        with connection.transaction():
            limit_lock_waits(connection)
            missing = _missing(connection)
            if missing:
                connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
                missing = _missing(connection)
            if missing:
                connection.execute(_statements())
            else:
                _ensure_indexes(connection)
            if lacking := list(chain.from_iterable(missing_privileges(connection).values())):
                raise ProvisionError(
                    f"PostgreSQL: {'; '.join(lacking)}.",
                    hint="Nothing was changed. Grant them to the user, or name another in the DSN.",
                )
    except psycopg.Error as error:
        raise ProvisionError(
            f"PostgreSQL refused to set up CloudShelf's tables ({first_line(error)}).",
            hint=f"No table was changed. {_creation_hint(connection, error)}",
        ) from None
    return missing


def _missing(connection: PostgresConnection) -> tuple[str, ...]:
    """The tables that do not exist. Raises ProvisionError if one of the others is wrong."""
    problems = find_problems(connection)
    wrong = list(chain.from_iterable(problems.values()))
    if wrong:
        raise ProvisionError(
            f"PostgreSQL has other tables under CloudShelf's names: {'; '.join(wrong)}.",
            hint="Nothing was changed. Use another database, or drop the table if it is not "
            "needed.",
        )
    missing = tuple(name for name in TABLES if name not in problems)
    row = connection.execute("select current_schema() is null").fetchone()
    if missing and row == (True,):
        raise ProvisionError(
            "PostgreSQL has no schema to create tables in.",
            hint="Nothing was changed. Set the user's search_path to an existing schema that it "
            "may use.",
        )
    return missing


def _ensure_indexes(connection: PostgresConnection) -> None:
    """Create the missing indexes if the user owns the tables; no access pattern needs them."""
    exist = "select count(*) from unnest(%s::text[]) t(name) where to_regclass(name) is not null"
    if connection.execute(exist, (list(INDEXES),)).fetchone() == (len(INDEXES),):
        return
    try:
        with connection.transaction():
            connection.execute(_statements())
    except psycopg.errors.InsufficientPrivilege:
        pass


def _creation_hint(connection: PostgresConnection, error: psycopg.Error) -> str:
    if error.sqlstate != "42501":
        return statement_hint(error)
    hint = (
        "The tables do not exist where the user looks for them. Grant it CREATE on the schema, "
        "or let another user run loadtests/targets/seed/schema.sql."
    )
    elsewhere = [row[0] for row in connection.execute(_ELSEWHERE, (list(TABLES),))]
    if elsewhere:
        hint += (
            f" Tables of these names are in {', '.join(map(str, elsewhere))}: is it missing in the "
            "search_path, or USAGE on it?"
        )
    return hint


def limit_lock_waits(connection: PostgresConnection) -> None:
    """Let this transaction wait a few seconds at most for locks that other sessions hold."""
    connection.execute(f"set local lock_timeout = '{_LOCK_WAIT_S * 1000:.0f}ms'")


def missing_privileges(connection: PostgresConnection) -> dict[str, list[str]]:
    """What the user may not do with each existing table, in words."""
    lacking: dict[str, list[str]] = {}
    for table, privileges in PRIVILEGES.items():
        names = []
        for privilege in privileges:
            values = {
                "table": table,
                "privilege": privilege,
                "columns": list(SHAPES[table].columns),
            }
            if connection.execute(_MISSING_PRIVILEGE, values).fetchone() == (True,):
                names.append(privilege)
        user = connection.info.user
        lacking[table] = [f"{user} lacks {', '.join(names)} on {table}"] if names else []
    return lacking


def find_problems(connection: PostgresConnection) -> dict[str, list[str]]:
    """The problems of each existing table; empty lists for correct tables."""
    return {
        name: _problems(name, shape, SHAPES[name]) if shape else [f"{name} is not a table"]
        for name, shape in read_shapes(connection).items()
    }


def read_shapes(connection: PostgresConnection) -> dict[str, TableShape | None]:
    """What the search_path finds under CloudShelf's names; None for a view or another object."""
    columns: dict[str, dict[str, tuple[str, bool]]] = {}
    others: dict[str, TableShape | None] = {}
    keys: dict[str, list[str]] = {}
    for table, kind, column, type_, required in connection.execute(_COLUMNS, (list(TABLES),)):
        if kind not in ("r", "p"):
            others[table] = None
        else:
            columns.setdefault(table, {})[column] = (type_, required)
    for table, column in connection.execute(_PRIMARY_KEYS, (list(TABLES),)):
        keys.setdefault(table, []).append(column)
    shapes = {name: TableShape(tuple(keys.get(name, ())), columns[name]) for name in columns}
    return others | shapes


def first_line(error: psycopg.Error) -> str:
    """The server's message without its context."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _statements() -> str:
    return resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")


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
