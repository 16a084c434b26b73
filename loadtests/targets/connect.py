"""Plain connections to an endpoint, for setting up and checking; load goes through the stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import psycopg

from loadtests.targets.endpoints import (
    EMULATOR_ACCESS_KEY,
    EMULATOR_SECRET_KEY,
    DynamoDBEndpoint,
    PostgresEndpoint,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CONNECT_TIMEOUT_S: Final = 4
READ_TIMEOUT_S: Final = 10


def dynamodb_client(
    endpoint: DynamoDBEndpoint, *, connections: int = 8, attempts: int = 5
) -> DynamoDBClient:
    """Make a thread-safe client of so many connections, with timeouts of a few seconds."""
    import boto3  # 0.4 s, which `targets status` need not wait for
    from botocore.config import Config

    keys: dict[str, Any] = {}
    if endpoint.emulator:
        keys = {
            "aws_access_key_id": EMULATOR_ACCESS_KEY,
            "aws_secret_access_key": EMULATOR_SECRET_KEY,
            "aws_session_token": None,
        }
    return boto3.session.Session(region_name=endpoint.region).client(
        "dynamodb",
        endpoint_url=endpoint.url,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            max_pool_connections=connections,
            parameter_validation=False,
            retries={"mode": "standard", "total_max_attempts": attempts},
        ),
        **keys,
    )


def postgres_connection(
    endpoint: PostgresEndpoint, *, autocommit: bool = False
) -> psycopg.Connection[tuple[Any, ...]]:
    """Open a connection, waiting a few seconds at most. Raises psycopg.OperationalError."""
    return psycopg.connect(
        endpoint.dsn,
        autocommit=autocommit,
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name="loadtests",
    )
