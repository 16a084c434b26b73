"""The checklist's PostgreSQL part: the relational tables, then the baseline tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Final
from uuid import UUID

import psycopg
from psycopg import sql

from loadtests.model import (
    SESSION_LIFE_S,
    CartItem,
    CartSummary,
    Preferences,
    Session,
    SessionData,
    from_iso,
)
from loadtests.targets.checklist.check import Check, Finding, check, compare
from loadtests.targets.checklist.sample import (
    sample_books,
    sample_cart,
    sample_session,
    sample_user,
)
from loadtests.targets.postgres.connect import PostgresConnection
from loadtests.targets.seed.postgres import cart_row, insert, session_row
from loadtests.targets.seed.postgres_schema import TABLES, find_problems, missing_privileges

_RELATIONAL: Final = ("books", "users", "orders")
_PAST_S: Final = 120


def relational_checks(connection: PostgresConnection) -> Iterator[Check]:
    """PostgreSQL responds, and `books`, `users` and `orders` exist and can be read."""
    yield check("PostgreSQL responds", lambda: _version(connection))
    for table in _RELATIONAL:
        yield check(f"{table}: exists and can be read", partial(_count, connection, table))


def baseline_checks(connection: PostgresConnection, unique: UUID, now: datetime) -> Iterator[Check]:
    """The tables' shapes; then the samples, in a transaction that is rolled back."""
    try:
        problems = find_problems(connection)
        missing = set(TABLES) - set(problems)
        for table, lacking in missing_privileges(connection).items():
            problems.get(table, []).extend(lacking)
    except psycopg.Error as error:
        problems, missing = {table: [str(error)] for table in TABLES}, set()
    for table in TABLES:
        faults = ["there is no such table"] if table in missing else problems.get(table, [])
        yield Check(
            f"{table}: columns and keys", not faults, "; ".join(faults) or "as CloudShelf's"
        )
    if missing or any(problems.values()):
        return
    with connection.transaction(force_rollback=True):
        yield from _sample_checks(connection, unique, now)
    yield check("PostgreSQL sample: removed", lambda: _gone(connection, unique))


def _sample_checks(connection: PostgresConnection, unique: UUID, now: datetime) -> Iterator[Check]:
    cart = sample_cart(unique)
    session = sample_session(unique, now)
    past = sample_session(unique, now, begun_s_ago=SESSION_LIFE_S + _PAST_S)

    def step(name: str, run: Callable[[], Finding]) -> Check:
        def in_savepoint() -> Finding:
            with connection.transaction():
                return run()

        return check(f"PostgreSQL sample {name}", in_savepoint)

    yield step("cart: written", lambda: _write_cart(connection, unique, now))
    yield step("cart: query by user_id", lambda: _query_cart(connection, cart))
    yield step(
        "cart: get by user_id and book_id", lambda: compare(_get_line(connection, cart[0]), cart[0])
    )
    yield step("cart: quantity 0 and 100 refused", lambda: _refused(connection, cart[0]))
    yield step("sessions: written", lambda: _write_sessions(connection, session, past))
    yield step(
        "session: get by session_id",
        lambda: compare(_get_session(connection, session.session_id, now), session),
    )
    yield step(
        "session past expires_at is absent",
        lambda: _absent(_get_session(connection, past.session_id, now)),
    )


def _version(connection: PostgresConnection) -> Finding:
    row = connection.execute("select version()").fetchone()
    return True, str(row[0]).split(" on ")[0] if row else "?"


def _count(connection: PostgresConnection, table: str) -> Finding:
    row = connection.execute(
        sql.SQL("select count(*) from {}").format(sql.Identifier(table))
    ).fetchone()
    return True, f"{row[0] if row else 0:,} rows"


def _write_cart(connection: PostgresConnection, unique: UUID, now: datetime) -> Finding:
    cart = sample_cart(unique)
    user = sample_user(unique, now)
    insert(connection, "users", [(user.user_id, user.email, user.name, user.created_at)])
    books = sample_books(cart)
    insert(connection, "books", [(b.book_id, b.title, b.price, b.image_url) for b in books])
    insert(connection, "carts", map(cart_row, cart))
    return True, f"{len(cart)} lines of user {user.user_id}"


def _query_cart(connection: PostgresConnection, cart: tuple[CartItem, ...]) -> Finding:
    rows = connection.execute(
        "select book_id from carts where user_id = %s order by book_id", (cart[0].user_id,)
    ).fetchall()
    return [row[0] for row in rows] == [i.book_id for i in cart], f"{len(rows)} lines"


def _get_line(connection: PostgresConnection, item: CartItem) -> CartItem | None:
    row = connection.execute(
        "select user_id, book_id, quantity, added_at, updated_at, book_title, book_price, "
        "book_image_url from carts where user_id = %s and book_id = %s",
        (item.user_id, item.book_id),
    ).fetchone()
    return CartItem(*row) if row else None


def _refused(connection: PostgresConnection, item: CartItem) -> Finding:
    for quantity in (0, 100):
        try:
            with connection.transaction():
                connection.execute(
                    "update carts set quantity = %s where user_id = %s and book_id = %s",
                    (quantity, item.user_id, item.book_id),
                )
        except psycopg.errors.CheckViolation:
            continue
        return False, f"{quantity} was accepted"
    return True, "by the table's check constraint"


def _write_sessions(connection: PostgresConnection, *sessions: Session) -> Finding:
    insert(connection, "sessions", map(session_row, sessions))
    return True, f"{len(sessions)}, one of them expired"


def _get_session(connection: PostgresConnection, session_id: str, now: datetime) -> Session | None:
    row = connection.execute(
        "select user_id, session_data, cart_summary, (cart_summary->>'total_amount')::numeric, "
        "last_activity, created_at, expires_at, ip_address, user_agent "
        "from sessions where session_id = %s and expires_at > %s",
        (session_id, now),
    ).fetchone()
    if row is None:
        return None
    user_id, data, summary, total, last_activity, created_at, expires_at, address, agent = row
    return Session(
        session_id,
        user_id,
        SessionData(
            Preferences(**data["preferences"]),
            tuple(data["browsing_history"]),
            tuple(data["search_history"]),
        ),
        CartSummary(summary["item_count"], Decimal(total), from_iso(summary["last_updated"])),
        last_activity.astimezone(UTC),
        created_at.astimezone(UTC),
        int(expires_at.timestamp()),
        address,
        agent,
    )


def _absent(session: Session | None) -> Finding:
    return session is None, "a read of live sessions does not return it"


def _gone(connection: PostgresConnection, unique: UUID) -> Finding:
    row = connection.execute("select 1 from users where user_id = %s", (str(unique),)).fetchone()
    return row is None, "rolled back" if row is None else "still exists"
