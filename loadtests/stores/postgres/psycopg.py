"""PostgreSQL through psycopg 3: one connection per store, prepared statements, binary results.

Through a pooler, statements are not prepared (docs/decisions/stores.md).
"""

from __future__ import annotations

import psycopg
from psycopg.types.json import set_json_loads

from loadtests.errors import BackendError, CallError, CallTimeout, TargetError
from loadtests.stores import TIMEOUT_S
from loadtests.stores.postgres.psycopg_connection import TimedConnection, TimedCursor
from loadtests.stores.postgres.rows import (
    CONNECTION_FAILED,
    CONNECTION_LOST,
    GRACE_S,
    Rows,
    call_error,
)
from loadtests.stores.postgres.sql import Query
from loadtests.stores.postgres.stores import PostgresCartStore, PostgresSessionStore, SyncQueries
from loadtests.targets.endpoints import PostgresEndpoint
from loadtests.targets.postgres.connect import connect
from loadtests.targets.postgres.conninfo import endpoint_settings, without_secrets


class PsycopgQueries(SyncQueries):
    """A psycopg connection that runs one query at a time; opened by the first call.

    After a call that lost the connection or ran out of time, the next one opens it again.
    """

    def __init__(self, endpoint: PostgresEndpoint, *, timeout_s: float = TIMEOUT_S) -> None:
        super().__init__(endpoint, timeout_s=timeout_s)
        self._connection: TimedConnection | None = None
        # A cursor caches what it knows of its last statement, so each statement has its own.
        self._cursors: dict[str, TimedCursor] = {}

    def _fetch(self, query: Query) -> Rows:
        self._wire.begin()
        try:
            cursor = self._cursors.get(query.statement) or self._cursor(query.statement)
            rows = cursor.execute(query.statement, query.parameters, binary=True).fetchall()
        except (psycopg.Error, TargetError, UnicodeError) as error:
            raise self._failed(error) from error
        except BaseException:  # timed out or killed: the response may still come
            self.close()
            raise
        finally:
            self.wire_ns += self._wire.elapsed_ns()
        return rows

    def _cursor(self, statement: str) -> TimedCursor:
        connection = self._connection
        if connection is None:
            connection = self._connection = _connect(self._endpoint, self._timeout_s)
        cursor = TimedCursor(connection)
        cursor.wire = self._wire
        self._cursors[statement] = cursor
        return cursor

    def _failed(self, error: Exception) -> CallError:
        connection = self._connection
        lost = connection is not None and connection.closed
        if lost:
            self.close()
        if isinstance(error, psycopg.errors.ConnectionTimeout):
            return CallTimeout(str(error))
        if isinstance(error, psycopg.Error) and error.sqlstate:
            return call_error(error.sqlstate, str(error), constraint=error.diag.constraint_name)
        if isinstance(error, psycopg.OperationalError | TargetError):
            name = CONNECTION_LOST if lost else CONNECTION_FAILED
            return BackendError(
                without_secrets(str(error), endpoint_settings(self._endpoint)), name=name
            )
        return BackendError(str(error), name=type(error).__name__)

    def close(self) -> None:
        """Close the connection; safe to call twice, and a later call opens it again."""
        connection, self._connection = self._connection, None
        self._cursors.clear()
        if connection is not None:
            connection.close()


class PsycopgCartStore(PsycopgQueries, PostgresCartStore):
    """`CartStore` through psycopg."""


class PsycopgSessionStore(PsycopgQueries, PostgresSessionStore):
    """`SessionStore` through psycopg."""


def _connect(endpoint: PostgresEndpoint, timeout_s: float) -> TimedConnection:
    timeout_ms = int(timeout_s * 1000)
    connection = connect(
        TimedConnection,
        endpoint,
        application="cloudshelf-loadtests",
        session=f"-c statement_timeout={timeout_ms}",
        prepare_threshold=0,
        connect_timeout=max(int(timeout_s), 2),  # libpq's minimum
        tcp_user_timeout=timeout_ms,
    )
    # A pooled session has no statement_timeout: nobody else ends the call.
    connection.timeout_s = timeout_s + (0 if endpoint.pooled else GRACE_S)
    set_json_loads(_keep_text, connection)
    return connection


def _keep_text(document: str | bytes) -> str | bytes:
    """JSON as text, which `rows.py` parses."""
    return document if isinstance(document, str) else bytes(document)
