"""Connections to an endpoint for set-up and checks; load goes through the stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import psycopg

from loadtests.errors import TargetError
from loadtests.targets.endpoints import DynamoDBEndpoint, PostgresEndpoint, client_settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CONNECT_TIMEOUT_S: Final = 4
READ_TIMEOUT_S: Final = 10

PostgresConnection = psycopg.Connection[tuple[Any, ...]]


def dynamodb_client(
    endpoint: DynamoDBEndpoint, *, connections: int = 8, attempts: int = 5
) -> DynamoDBClient:
    """A thread-safe client of up to `connections` connections, with timeouts of a few seconds."""
    import boto3  # imported here: it takes 0.4 s, which `targets status` saves
    from botocore.config import Config

    return boto3.session.Session(region_name=endpoint.region).client(
        "dynamodb",
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            max_pool_connections=connections,
            parameter_validation=False,
            retries={"mode": "standard", "total_max_attempts": attempts},
        ),
        **client_settings(endpoint),
    )


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
