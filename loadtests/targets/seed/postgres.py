"""Write the whole data set to PostgreSQL: COPY into temporary tables, then merge, atomically."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

import psycopg
from psycopg import sql

from loadtests.errors import ProvisionError
from loadtests.model import CartItem, CartSummary, Session, SessionData, to_iso
from loadtests.targets.connect import PostgresConnection
from loadtests.targets.progress import OnProgress, Progress
from loadtests.targets.seed.dataset import Dataset
from loadtests.targets.seed.postgres_schema import TABLES, first_line

Values = tuple[object, ...]  # of one row, in the order of the columns
_STEP: Final = "Seeding PostgreSQL"
_PROGRESS_ROWS: Final = 1_000
_KEYS: Final = {
    "books": ("book_id",),
    "users": ("user_id",),
    "orders": ("order_id",),
    "carts": ("user_id", "book_id"),
    "sessions": ("session_id",),
}
_COLUMNS: Final = {
    "books": ("book_id", "title", "price", "image_url"),
    "users": ("user_id", "email", "name", "created_at"),
    "orders": ("order_id", "user_id", "total_amount", "status", "created_at"),
    "carts": (
        "user_id",
        "book_id",
        "quantity",
        "added_at",
        "updated_at",
        "book_title",
        "book_price",
        "book_image_url",
    ),
    "sessions": (
        "session_id",
        "user_id",
        "session_data",
        "cart_summary",
        "last_activity",
        "created_at",
        "expires_at",
        "ip_address",
        "user_agent",
    ),
}


def seed_postgres(
    connection: PostgresConnection, dataset: Dataset, on_progress: OnProgress
) -> None:
    """Restore every seeded row to its seeded state, all or nothing; needs an autocommit connection.

    Deletes lines that a seeded user's cart has in addition, and expired sessions, which no TTL
    deletes here. Other rows stay. Raises ProvisionError.
    """
    rows: dict[str, list[Values]] = {
        "books": [(b.book_id, b.title, b.price, b.image_url) for b in dataset.books],
        "users": [(u.user_id, u.email, u.name, u.created_at) for u in dataset.users],
        "orders": [
            (o.order_id, o.user_id, o.total_amount, o.status, o.created_at) for o in dataset.orders
        ],
        "carts": list(map(cart_row, itertools.chain.from_iterable(dataset.carts))),
        "sessions": [session_row(session) for session in dataset.sessions],
    }
    total = sum(map(len, rows.values()))
    done = 0
    try:
        with connection.transaction():
            for table, content in rows.items():
                for copied in _stage(connection, table, content):
                    on_progress(Progress(_STEP, min(done + copied, total - 1), total))
                done += len(content)
            connection.execute(
                "delete from carts using new_users n where carts.user_id = n.user_id"
            )
            connection.execute("delete from sessions where expires_at <= now()")
            for table in TABLES:
                _merge(connection, table)
        for table in TABLES:
            connection.execute(sql.SQL("vacuum (analyze) {}").format(sql.Identifier(table)))
    except psycopg.Error as error:
        raise ProvisionError(
            f"PostgreSQL refused the seed data ({first_line(error)}).",
            hint="Nothing was changed. The user must own CloudShelf's tables, and existing rows "
            "must not conflict with the seed.",
        ) from None
    on_progress(Progress(_STEP, total, total))


def session_row(session: Session) -> Values:
    """One session in the order of the columns."""
    return (
        session.session_id,
        session.user_id,
        session_data_json(session.session_data),
        summary_json(session.cart_summary),
        session.last_activity,
        session.created_at,
        datetime.fromtimestamp(session.expires_at, UTC),
        session.ip_address,
        session.user_agent,
    )


def session_data_json(data: SessionData) -> str:
    """A session's data as stored in its column."""
    preferences = data.preferences
    return json.dumps(
        {
            "preferences": {
                "theme": preferences.theme,
                "language": preferences.language,
                "currency": preferences.currency,
            },
            "browsing_history": data.browsing_history,
            "search_history": data.search_history,
        }
    )


def summary_json(summary: CartSummary) -> str:
    """A summary as stored in its column; the amount is a number with all its digits."""
    return (
        f'{{"item_count": {summary.item_count}, "total_amount": {summary.total_amount:f}, '
        f'"last_updated": "{to_iso(summary.last_updated)}"}}'
    )


def cart_row(item: CartItem) -> Values:
    """One cart line in the order of the columns."""
    return (
        item.user_id,
        item.book_id,
        item.quantity,
        item.added_at,
        item.updated_at,
        item.book_title,
        item.book_price,
        item.book_image_url,
    )


def insert(connection: PostgresConnection, table: str, rows: Iterable[Values]) -> None:
    """Insert rows in the order of the columns; an existing key is an error."""
    statement = sql.SQL("insert into {} ({}) values ({})").format(
        sql.Identifier(table),
        _identifiers(_COLUMNS[table]),
        sql.SQL(", ").join(sql.Placeholder() * len(_COLUMNS[table])),
    )
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)


def _stage(connection: PostgresConnection, table: str, rows: Iterable[Values]) -> Iterator[int]:
    names = {"table": sql.Identifier(table), "new": sql.Identifier(f"new_{table}")}
    connection.execute(
        sql.SQL("create temporary table {new} (like {table}) on commit drop").format(**names)
    )
    copy_in = sql.SQL("copy {new} ({columns}) from stdin").format(
        columns=_identifiers(_COLUMNS[table]), **names
    )
    with connection.cursor() as cursor, cursor.copy(copy_in) as copy:
        for count, row in enumerate(rows, start=1):
            copy.write_row(row)
            if count % _PROGRESS_ROWS == 0:
                yield count


def _merge(connection: PostgresConnection, table: str) -> None:
    columns = _COLUMNS[table]
    statement = sql.SQL(
        "insert into {table} ({columns}) select {columns} from {new} order by {keys} "
        "on conflict ({keys}) do update set {changes}"
    ).format(
        table=sql.Identifier(table),
        new=sql.Identifier(f"new_{table}"),
        columns=_identifiers(columns),
        keys=_identifiers(_KEYS[table]),
        changes=sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column))
            for column in columns
            if column not in _KEYS[table]
        ),
    )
    connection.execute(statement)


def _identifiers(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
