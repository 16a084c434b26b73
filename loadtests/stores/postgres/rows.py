"""PostgreSQL rows → record, session documents ↔ JSON, and PostgreSQL's errors → CallError; pure.

Rows are sequences of Python values as both psycopg and asyncpg return them: text, int, Decimal,
aware datetimes, and JSON as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import orjson
from psycopg.errors import lookup  # the names of PostgreSQL's conditions, a plain table

from loadtests.errors import BackendError, CallError, CallTimeout, QuantityRefused, ResponseInvalid
from loadtests.model import (
    CartItem,
    CartSummary,
    Preferences,
    Session,
    SessionData,
    from_iso,
    to_iso,
)

# At the timeout the server cancels the statement, which leaves a usable connection and a known
# outcome. A driver gives up itself only if the server has not done so within this time.
GRACE_S: Final = 0.5
QUERY_CANCELED: Final = "57014"
CHECK_VIOLATION: Final = "23514"
CONNECTION_CLASS: Final = "08"
CONNECTION_FAILED: Final = "ConnectionFailed"
CONNECTION_LOST: Final = "ConnectionLost"
QUANTITY_CHECK: Final = "carts_quantity"
_MALFORMED: Final = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError)

Rows = Sequence[Sequence[Any]]


def read_lines(rows: Rows) -> list[CartItem]:
    """A cart, by book_id. Raises ResponseInvalid."""
    try:
        return [CartItem(*row) for row in rows]
    except TypeError:
        raise ResponseInvalid("The rows from PostgreSQL are not cart lines.") from None


def read_line(rows: Rows) -> CartItem | None:
    """One line, or None. Raises ResponseInvalid."""
    lines = read_lines(rows)
    return lines[0] if lines else None


def read_quantity(rows: Rows) -> int:
    """The quantity after an add. Raises ResponseInvalid."""
    try:
        return int(rows[0][0])
    except _MALFORMED:
        raise ResponseInvalid("The row from PostgreSQL has no quantity.") from None


def read_session(rows: Rows) -> Session | None:
    """A live session, or None. Raises ResponseInvalid."""
    if not rows:
        return None
    try:
        session_id, user_id, data, summary, active, created, expires, address, agent = rows[0]
        return Session(
            session_id,
            user_id,
            _data_from_json(data),
            _summary_from_json(summary),
            active,
            created,
            int(expires.timestamp()),
            address,
            agent,
        )
    except _MALFORMED:
        raise ResponseInvalid("The row from PostgreSQL is not a session.") from None


def data_to_json(data: SessionData) -> str:
    """Write `session_data` as stored in its column."""
    preferences = data.preferences
    return _to_json(
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


def summary_to_json(summary: CartSummary) -> str:
    """Write `cart_summary` as stored in its column; the amount is a number with all its digits."""
    return _to_json(
        {
            "item_count": summary.item_count,
            "total_amount": orjson.Fragment(format(summary.total_amount, "f")),
            "last_updated": to_iso(summary.last_updated),
        }
    )


def call_error(sqlstate: str, message: str, *, constraint: str | None = None) -> CallError:
    """The CallError for an SQLSTATE, under PostgreSQL's name for it (`ForeignKeyViolation`)."""
    if sqlstate == QUERY_CANCELED:
        return CallTimeout("PostgreSQL cancelled the statement at the driver's timeout.")
    if sqlstate == CHECK_VIOLATION and (constraint or "").startswith(QUANTITY_CHECK):
        return QuantityRefused()
    if sqlstate.startswith(CONNECTION_CLASS):
        return BackendError(message, name=CONNECTION_LOST)
    try:
        return BackendError(message, name=lookup(sqlstate).__name__)
    except KeyError:
        return BackendError(message, name=f"SQLSTATE {sqlstate}")


def timed_out(seconds: float) -> CallTimeout:
    """The error for a call that had no response within `seconds`."""
    return CallTimeout(f"PostgreSQL did not respond within {seconds:g} s.")


def _to_json(document: dict[str, object]) -> str:
    try:
        return orjson.dumps(document).decode()
    except orjson.JSONEncodeError as error:  # for example a lone surrogate
        raise BackendError(
            f"Text cannot be encoded as JSON: {error}", name="UnicodeEncodeError"
        ) from None


def _data_from_json(text: str | bytes) -> SessionData:
    data = orjson.loads(text)
    preferences = data["preferences"]
    return SessionData(
        Preferences(preferences["theme"], preferences["language"], preferences["currency"]),
        tuple(data["browsing_history"]),
        tuple(data["search_history"]),
    )


def _summary_from_json(text: str | bytes) -> CartSummary:
    summary = orjson.loads(text)
    return CartSummary(
        int(summary["item_count"]),
        # A float prints the digits it was read from, up to 15 digits; no amount has more.
        Decimal(str(summary["total_amount"])),
        from_iso(summary["last_updated"]),
    )
