"""PostgreSQL through asyncpg: one connection per store, prepared statements.

Through a pooler, statements are not prepared (docs/decisions/stores.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from loadtests.errors import BackendError, CallError, TargetError
from loadtests.stores import TIMEOUT_S
from loadtests.stores.postgres.rows import (
    CONNECTION_FAILED,
    CONNECTION_LOST,
    GRACE_S,
    Rows,
    call_error,
    timed_out,
)
from loadtests.stores.postgres.sql import Query
from loadtests.stores.postgres.stores import (
    AsyncPostgresCartStore,
    AsyncPostgresSessionStore,
    AsyncQueries,
)
from loadtests.stores.wire_time import WireTime
from loadtests.targets.endpoints import PostgresEndpoint
from loadtests.targets.postgres.asyncpg_settings import asyncpg_settings
from loadtests.targets.postgres.conninfo import hidden_variables

_ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    TargetError,  # settings that asyncpg does not know
    OSError,
    UnicodeError,
)
Data = TypeVar("Data")  # bytes, or an iterable of bytes


class AsyncpgQueries(AsyncQueries):
    """An asyncpg connection that runs one query at a time; opened by the first call.

    After a call that lost the connection or ran out of time, the next one opens it again.
    """

    def __init__(self, endpoint: PostgresEndpoint, *, timeout_s: float = TIMEOUT_S) -> None:
        super().__init__(endpoint, timeout_s=timeout_s)
        self._connection: asyncpg.Connection | None = None
        self._statements: dict[str, PreparedStatement] = {}

    async def _fetch(self, query: Query) -> Rows:
        self._wire.begin()
        try:
            rows = await self._rows(query)
        except TimeoutError as error:
            self._drop()
            raise timed_out(self._timeout_s) from error
        except _ERRORS as error:
            raise self._failed(error) from error
        finally:
            self.wire_ns += self._wire.elapsed_ns()
        return rows

    async def _rows(self, query: Query) -> Rows:
        if self._connection is None:
            self._connection = await _connect(self._endpoint, self._timeout_s)
            _stamp_transport(self._connection, self._wire)
        rows: Rows
        if self._endpoint.pooled:
            rows = await self._connection.fetch(
                query.statement, *query.parameters, timeout=self._timeout_s
            )
            return rows
        statement = self._statements.get(query.statement)
        if statement is None:
            statement = await self._connection.prepare(query.statement, timeout=self._timeout_s)
            self._statements[query.statement] = statement
        rows = await statement.fetch(*query.parameters, timeout=self._timeout_s + GRACE_S)
        return rows

    def _failed(self, error: Exception) -> CallError:
        lost = self._connection is not None and self._connection.is_closed()
        if lost:
            self._drop()
        if isinstance(error, OSError | TargetError):
            name = CONNECTION_LOST if lost else CONNECTION_FAILED
            return BackendError(str(error), name=name)
        if isinstance(error, asyncpg.PostgresError) and error.sqlstate:
            return call_error(error.sqlstate, str(error), constraint=error.constraint_name)
        return BackendError(str(error), name=type(error).__name__)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._statements.clear()
        if connection is not None:
            connection.terminate()

    async def close(self) -> None:
        """Close the connection; safe to call twice, and a later call opens it again."""
        connection, self._connection = self._connection, None
        self._statements.clear()
        if connection is None:
            return
        try:
            await connection.close(timeout=self._timeout_s)
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()  # it did not close in time


class AsyncpgCartStore(AsyncpgQueries, AsyncPostgresCartStore):
    """`AsyncCartStore` through asyncpg."""


class AsyncpgSessionStore(AsyncpgQueries, AsyncPostgresSessionStore):
    """`AsyncSessionStore` through asyncpg."""


async def _connect(endpoint: PostgresEndpoint, timeout_s: float) -> asyncpg.Connection:
    settings = asyncpg_settings(endpoint, application="cloudshelf-loadtests")
    if not endpoint.pooled:
        settings["server_settings"] |= {
            "statement_timeout": str(int(timeout_s * 1000)),
            "timezone": "UTC",
        }
    with hidden_variables():
        return await asyncpg.connect(**settings, timeout=timeout_s)


def _stamp_transport(connection: asyncpg.Connection, wire: WireTime) -> None:
    """Make the connection's transport stamp `wire` (asyncio's own event loop only).

    asyncpg has no public access to its transport. If it moves, `wire_ns` stays 0 and the contract
    tests fail.
    """
    transport = connection._transport
    transport.write = _stamped(transport.write, wire)
    transport.writelines = _stamped(transport.writelines, wire)
    transport.set_protocol(_StampedProtocol(transport.get_protocol(), wire))


def _stamped(write: Callable[[Data], None], wire: WireTime) -> Callable[[Data], None]:
    def stamped(data: Data) -> None:
        wire.sending()
        write(data)

    return stamped


class _StampedProtocol:
    """asyncpg's protocol, stamping bytes that have been read before it parses them."""

    def __init__(self, asyncpg_protocol: Any, wire: WireTime) -> None:
        self._protocol = asyncpg_protocol
        self._received = wire.received
        self._parse = asyncpg_protocol.data_received

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)

    def data_received(self, data: bytes) -> None:
        self._received()
        self._parse(data)
