"""Write the whole data set to PostgreSQL in one transaction; needs only privileges on its rows."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import psycopg
from psycopg import sql

from loadtests.errors import ProvisionError
from loadtests.model import CartItem, CartSummary, Session, SessionData, to_iso
from loadtests.targets.postgres.connect import PostgresConnection
from loadtests.targets.postgres.refusals import statement_hint
from loadtests.targets.progress import OnProgress, Progress
from loadtests.targets.seed.dataset import Dataset
from loadtests.targets.seed.postgres_schema import SHAPES, TABLES, first_line, limit_lock_waits

Values = tuple[object, ...]  # of one row, in the order of the columns
_STEP: Final = "Seeding PostgreSQL"
_CHUNK_ROWS: Final = 1_000  # per statement


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
    changed = "Nothing was changed."
    try:
        with connection.transaction():
            limit_lock_waits(connection)
            connection.execute(
                "delete from carts where user_id = any(%s)", ([u.user_id for u in dataset.users],)
            )
            connection.execute("delete from sessions where expires_at <= now()")
            done = 0
            for table in TABLES:
                for count in _merge(connection, table, rows[table]):
                    done += count
                    on_progress(Progress(_STEP, min(done, total - 1), total))
            changed = "Whether it was changed is not known."  # if the commit has no response
        _refresh_statistics(connection)
    except psycopg.Error as error:
        raise ProvisionError(
            f"PostgreSQL refused the seed data ({first_line(error)}).",
            hint=f"{changed} {statement_hint(error)}",
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
    names = list(SHAPES[table].columns)
    statement = sql.SQL("insert into {} ({}) values ({})").format(
        sql.Identifier(table),
        _identifiers(names),
        sql.SQL(", ").join(sql.Placeholder() * len(names)),
    )
    for row in rows:
        connection.execute(statement, row)


def _merge(connection: PostgresConnection, table: str, rows: list[Values]) -> Iterator[int]:
    """Insert rows, or restore those whose keys exist; yields the number after each statement.

    One array per column, so that a statement has many rows. In the order of the keys: concurrent
    set-ups then wait for each other instead of blocking each other for ever.
    """
    shape = SHAPES[table]
    key_length = len(shape.primary_key)
    rows = sorted(rows, key=lambda row: tuple(map(str, row[:key_length])))
    statement = sql.SQL(
        "insert into {table} ({columns}) select {columns} from unnest({arrays}) as new({columns}) "
        "on conflict ({keys}) do update set {changes}"
    ).format(
        table=sql.Identifier(table),
        columns=_identifiers(shape.columns),
        arrays=sql.SQL(", ").join(
            sql.SQL("{}::{}[]").format(sql.Placeholder(), sql.SQL(type_))
            for type_, _ in shape.columns.values()
        ),
        keys=_identifiers(shape.primary_key),
        changes=sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column))
            for column in shape.columns
            if column not in shape.primary_key
        ),
    )
    for start in range(0, len(rows), _CHUNK_ROWS):
        chunk = rows[start : start + _CHUNK_ROWS]
        connection.execute(statement, [list(column) for column in zip(*chunk, strict=True)])
        yield len(chunk)


def _refresh_statistics(connection: PostgresConnection) -> None:
    """Vacuum and analyse the tables; the server skips those that the user does not own."""
    for table in TABLES:
        # not needed for a run: another session may hold the table, or a timeout end this
        with suppress(psycopg.errors.QueryCanceled, psycopg.errors.InsufficientPrivilege):
            connection.execute(sql.SQL("vacuum (analyze) {}").format(sql.Identifier(table)))


def _identifiers(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
