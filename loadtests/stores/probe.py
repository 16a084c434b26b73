"""One call of every access pattern through the very store that the load will use.

Made before any data is seeded. A failure that every later call would meet, too, ends the run with
its cause. Writes under keys that nobody else uses, looks for them through the set-up's own
connection, and removes them: so a store that reaches another database is seen as well.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from loadtests.errors import BackendError, CallError, CallTimeout, LoadtestsError, TargetError
from loadtests.patterns import DRIVERS
from loadtests.stores import CartStore, SessionStore
from loadtests.stores.factories import is_factory, missing_methods
from loadtests.stores.open import close_stores, open_stores
from loadtests.stores.postgres.rows import CONNECTION_FAILED, CONNECTION_LOST
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.postgres.conninfo import endpoint_settings
from loadtests.targets.postgres.refusals import connection_refusal, server_words, statement_hint
from loadtests.targets.probe_rows import ProbeRows, open_probe_rows

_MAX_TEXT: Final = 200
_CART_METHODS: Final = ("get", "get_item", "add", "update", "remove")
_SESSION_METHODS: Final = ("create", "get", "refresh", "store_summary")
_PASSING: Final = (
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "InternalServerError",
    "ServiceUnavailable",
    CONNECTION_LOST,
)
# SQLSTATEs by their beginnings: conflicts, resources, locks, and ends by an operator or a timeout
_PASSING_STATES: Final = ("40", "53", "55P03", "57")
_ELSEWHERE: Final = (
    "The store reaches another database, schema or account than the set-up: "
    "compare its endpoint, credentials and region with the run's."
)


def probe_store(client: str, backend: str, endpoints: Endpoints) -> None:
    """Call every pattern of CloudShelf's stores once, as a driver or a store factory gives them.

    Of a factory's stores only `carts` and `sessions` are called, where they have every method: the
    meaning of any others is their scenario's. A timeout, throttling or an error inside the database
    says nothing of later calls: it is left to the load. Raises TargetError, UsageError.
    """
    only = Endpoints(
        endpoints.dynamodb if backend == "dynamodb" else None,
        endpoints.postgres if backend == "postgres" else None,
    )
    stores = open_stores(client, endpoints)
    carts, sessions = (_whole(stores.get(name), name, client) for name in ("carts", "sessions"))
    try:
        if carts is None and sessions is None:
            return
        with open_probe_rows(only, uuid.uuid4(), datetime.now(UTC)) as rows:
            if carts is not None:
                _probe(_cart_calls(carts, rows), rows.sees_line, client, rows, endpoints)
            if sessions is not None:
                _probe(_session_calls(sessions, rows), rows.sees_session, client, rows, endpoints)
    finally:
        close_stores(stores.values())


def _whole(store: Any, name: str, client: str) -> Any:
    """The store, if it can be probed; None otherwise."""
    methods = _CART_METHODS if name == "carts" else _SESSION_METHODS
    partial = store is not None and is_factory(client) and missing_methods(store, methods)
    return None if partial else store


Calls = list[tuple[str, Callable[[], object]]]  # the first one writes what `sees` looks for


def _cart_calls(carts: CartStore, rows: ProbeRows) -> Calls:
    book, now = rows.book, rows.now
    user_id, book_id = rows.user.user_id, book.book_id
    return [
        ("cart.add", lambda: carts.add(user_id, book, 1, now)),
        ("cart.get", lambda: carts.get(user_id)),
        ("cart.get_item", lambda: carts.get_item(user_id, book_id)),
        ("cart.update", lambda: carts.update(user_id, book_id, 2, now)),
        ("cart.remove", lambda: carts.remove(user_id, book_id)),
    ]


def _session_calls(sessions: SessionStore, rows: ProbeRows) -> Calls:
    session, now = rows.session, rows.now
    return [
        ("session.create", lambda: sessions.create(session)),
        ("session.get", lambda: sessions.get(session.session_id, now)),
        ("session.refresh", lambda: sessions.refresh(session.session_id, now)),
        (
            "session.store_summary",
            lambda: sessions.store_summary(session.session_id, session.cart_summary, now),
        ),
    ]


def _probe(
    calls: Calls, sees: Callable[[], bool], client: str, rows: ProbeRows, endpoints: Endpoints
) -> None:
    for index, (pattern, call) in enumerate(calls):
        try:
            call()
        except CallTimeout:
            return
        except (CallError, psycopg.Error) as raised:
            refusal = raised if isinstance(raised, CallError) else _as_call_error(raised)
            if _passes(refusal):
                return
            raise _failure(pattern, client, refusal, endpoints) from raised
        except Exception as error:
            text = " ".join(str(error).split())[:_MAX_TEXT]
            raise TargetError(
                f"{pattern} through {client} failed: {type(error).__name__}: {text}.",
                hint="The store raised it before anything was measured. Correct the store.",
            ) from error
        if index == 0 and not sees():
            raise TargetError(
                f"{pattern} through {client} did not write to {rows.label}.",
                hint=_ELSEWHERE,
            )


def _as_call_error(raised: psycopg.Error) -> CallError:
    """What a factory's store raised, as the built-in store would raise it."""
    error = BackendError(str(raised), name=type(raised).__name__)
    error.__cause__ = raised
    return error


def _passes(error: CallError) -> bool:
    state = getattr(error.__cause__, "sqlstate", None) or ""
    return (
        error.name in _PASSING
        or error.name.startswith("HTTP 5")
        or state.startswith(_PASSING_STATES)
    )


def _failure(pattern: str, client: str, error: CallError, endpoints: Endpoints) -> LoadtestsError:
    reason, hint = f"{error.name}: {error.message}"[:_MAX_TEXT].rstrip("."), ""
    if client in DRIVERS["dynamodb"] and endpoints.dynamodb and isinstance(error, BackendError):
        # imported here: botocore takes a third of a second
        from loadtests.targets.dynamodb.causes import cause_of

        reason, hint, _ = cause_of(error, endpoints.dynamodb)
    elif isinstance(error.__cause__, psycopg.Error) and error.name != CONNECTION_FAILED:
        reason = f"{error.name}: {server_words(str(error.__cause__))}"
        refers = isinstance(error.__cause__, psycopg.errors.ForeignKeyViolation)
        hint = _ELSEWHERE if refers else statement_hint(error.__cause__)
    elif isinstance(error.__cause__, psycopg.Error) and endpoints.postgres:
        settings = endpoint_settings(endpoints.postgres)
        return connection_refusal(error.__cause__, endpoints.postgres.label, settings)
    return TargetError(
        f"{pattern} through {client} failed: {reason}.",
        hint=hint or "Nothing was measured: every call of the load would fail like this one.",
    )
