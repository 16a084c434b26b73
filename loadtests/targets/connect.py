"""Connections to PostgreSQL for set-up and checks; load goes through the stores."""

from __future__ import annotations

from typing import Any, Final

import psycopg

from loadtests.errors import TargetError
from loadtests.targets.endpoints import PostgresEndpoint

CONNECT_TIMEOUT_S: Final = 4

PostgresConnection = psycopg.Connection[tuple[Any, ...]]


def postgres_connection(
    endpoint: PostgresEndpoint, *, autocommit: bool = False
) -> PostgresConnection:
    """Open a connection within a few seconds. Raises psycopg.OperationalError."""
    return psycopg.connect(
        endpoint.dsn,
        autocommit=autocommit,
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name="loadtests",
    )


def reopened_postgres(endpoint: PostgresEndpoint) -> PostgresConnection:
    """An autocommit connection to a PostgreSQL that was reachable before. Raises TargetError."""
    try:
        return postgres_connection(endpoint, autocommit=True)
    except psycopg.OperationalError:
        raise TargetError(
            f"{endpoint.label} is not reachable any more.", hint="Check that it is running."
        ) from None
