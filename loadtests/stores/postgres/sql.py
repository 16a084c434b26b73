"""Access pattern → statement and parameters; pure, for every driver.

Statements use PostgreSQL's own placeholders ($1), which asyncpg takes as they are and psycopg takes
through its raw cursor. Their texts are constant, so each is prepared once per connection. JSON is
passed and returned as text. Every statement returns rows, writes too (`returning`): where a line or
session must exist, "no rows" reports in the same round trip that it does not.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from loadtests.errors import CallError, LineNotFound, SessionNotFound
from loadtests.model import QUANTITY_MAX, SESSION_LIFE_S, Book, CartSummary, Session
from loadtests.stores.postgres.rows import data_to_json, summary_to_json
from loadtests.stores.quantities import check_quantity, sum_refused

# In the order of the fields of CartItem and Session, so that a row is the arguments of a record.
_LINE: Final = (
    "user_id, book_id, quantity, added_at, updated_at, book_title, book_price, book_image_url"
)
_SESSION: Final = (
    "session_id, user_id, session_data, cart_summary, last_activity, created_at, expires_at, "
    "ip_address, user_agent"
)

# Ordered by code point, as DynamoDB orders its sort key, in any locale of the database.
GET_CART: Final = f'select {_LINE} from carts where user_id = $1 order by book_id collate "C"'  # noqa: S608 - constants only
GET_LINE: Final = f"select {_LINE} from carts where user_id = $1 and book_id = $2"  # noqa: S608
ADD_LINE: Final = f"""
insert into carts as line ({_LINE}) values ($1, $2, $3, $4, $4, $5, $6, $7)
on conflict (user_id, book_id) do update
set quantity = line.quantity + excluded.quantity, updated_at = excluded.updated_at,
    book_title = excluded.book_title, book_price = excluded.book_price,
    book_image_url = excluded.book_image_url
where line.quantity + excluded.quantity <= {QUANTITY_MAX}
returning quantity"""  # noqa: S608
UPDATE_LINE: Final = (
    "update carts set quantity = $3, updated_at = $4 where user_id = $1 and book_id = $2 "
    "returning true"
)
REMOVE_LINE: Final = "delete from carts where user_id = $1 and book_id = $2 returning true"
CREATE_SESSION: Final = f"""
insert into sessions ({_SESSION}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (session_id) do update
set user_id = excluded.user_id, session_data = excluded.session_data,
    cart_summary = excluded.cart_summary, last_activity = excluded.last_activity,
    created_at = excluded.created_at, expires_at = excluded.expires_at,
    ip_address = excluded.ip_address, user_agent = excluded.user_agent
returning true"""  # noqa: S608
GET_SESSION: Final = f"select {_SESSION} from sessions where session_id = $1 and expires_at > $2"  # noqa: S608
REFRESH_SESSION: Final = (
    "update sessions set last_activity = $2, expires_at = $3 "
    "where session_id = $1 and expires_at > $2 returning true"
)
STORE_SUMMARY: Final = (
    "update sessions set cart_summary = $3, last_activity = $2 "
    "where session_id = $1 and expires_at > $2 returning true"
)


class Query(NamedTuple):
    """One round trip: statement, parameters, and the error that "no rows" stands for, if any."""

    statement: str
    parameters: tuple[object, ...]
    missing: Callable[[], CallError] | None = None


def get_cart(user_id: str) -> Query:
    """All lines of a user; read with `rows.read_lines`."""
    return Query(GET_CART, (user_id,))


def get_line(user_id: str, book_id: str) -> Query:
    """One line; read with `rows.read_line`."""
    return Query(GET_LINE, (user_id, book_id))


def add_line(user_id: str, book: Book, quantity: int, now: datetime) -> Query:
    """Create or increase a line; read with `rows.read_quantity`. Raises QuantityRefused.

    Title, price and image are set to the book's current values.
    """
    check_quantity(quantity)
    values = (user_id, book.book_id, quantity, now, book.title, book.price, book.image_url)
    return Query(ADD_LINE, values, sum_refused)


def update_line(user_id: str, book_id: str, quantity: int, now: datetime) -> Query:
    """Set the quantity of an existing line. Raises QuantityRefused."""
    check_quantity(quantity)
    return Query(UPDATE_LINE, (user_id, book_id, quantity, now), LineNotFound)


def remove_line(user_id: str, book_id: str) -> Query:
    """Delete an existing line."""
    return Query(REMOVE_LINE, (user_id, book_id), LineNotFound)


def create_session(session: Session) -> Query:
    """Write a whole session, replacing any with the same id."""
    return Query(
        CREATE_SESSION,
        (
            session.session_id,
            session.user_id,
            data_to_json(session.session_data),
            summary_to_json(session.cart_summary),
            session.last_activity,
            session.created_at,
            datetime.fromtimestamp(session.expires_at, UTC),
            session.ip_address,
            session.user_agent,
        ),
    )


def get_session(session_id: str, now: datetime) -> Query:
    """A live session; read with `rows.read_session`."""
    return Query(GET_SESSION, (session_id, now))


def refresh_session(session_id: str, now: datetime) -> Query:
    """Extend a live session to 24 h from now."""
    expires = datetime.fromtimestamp(int(now.timestamp()) + SESSION_LIFE_S, UTC)
    return Query(REFRESH_SESSION, (session_id, now, expires), SessionNotFound)


def store_summary(session_id: str, summary: CartSummary, now: datetime) -> Query:
    """Replace the cart summary of a live session."""
    return Query(STORE_SUMMARY, (session_id, now, summary_to_json(summary)), SessionNotFound)
