"""Clients of the run's databases, for stores and set-up of your own.

Each is made as the run's own identity: from the endpoint that was resolved and reached before the
run, whatever the environment says. Both yield to other users while they wait, under gevent too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadtests.errors import UsageError
from loadtests.targets.endpoints import Endpoints

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from loadtests.targets.postgres.connect import PostgresConnection

PREPARE_THRESHOLD: Final = 5  # psycopg's own default


def dynamodb_client(endpoints: Endpoints, *, attempts: int = 1) -> DynamoDBClient:
    """A new boto3 client of the run's DynamoDB, with one connection.

    One attempt per call: a retry would hide a failed call inside a slow one. Raises UsageError if
    DynamoDB is not part of the run.
    """
    if endpoints.dynamodb is None:
        raise _not_part_of_run("DynamoDB", "dynamodb")
    # imported here: botocore takes a third of a second
    from loadtests.targets.dynamodb import client

    return client.dynamodb_client(endpoints.dynamodb, connections=1, attempts=attempts)


def postgres_connection(endpoints: Endpoints) -> PostgresConnection:
    """A new psycopg connection to the run's PostgreSQL, in autocommit mode.

    A statement is prepared when it is run for the sixth time, as psycopg does by default; through a
    pooler never. Raises UsageError if PostgreSQL is not part of the run, TargetError if it
    cannot be reached.
    """
    if endpoints.postgres is None:
        raise _not_part_of_run("PostgreSQL", "postgres")
    from loadtests.targets.postgres import connect

    connection = connect.postgres_connection(endpoints.postgres)
    if not endpoints.postgres.pooled:
        connection.prepare_threshold = PREPARE_THRESHOLD
    return connection


def _not_part_of_run(name: str, backend: str) -> UsageError:
    return UsageError(
        f"{name} is not part of this run.",
        hint=f"Use --backend {backend} or both, or give the store backend={backend!r}.",
    )
