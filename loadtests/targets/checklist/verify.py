"""CloudShelf's set-up checklist against the targets, one check at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from uuid import UUID

import psycopg

from loadtests.errors import TargetError
from loadtests.targets.checklist.check import Check
from loadtests.targets.checklist.dynamodb import cart_checks, session_checks, table_checks
from loadtests.targets.checklist.postgres import baseline_checks, relational_checks
from loadtests.targets.checklist.references import reference_checks
from loadtests.targets.connect import dynamodb_client, postgres_connection
from loadtests.targets.endpoints import DynamoDBEndpoint, PostgresEndpoint
from loadtests.targets.seed.postgres_schema import Connection


def verify_dynamodb(endpoint: DynamoDBEndpoint, unique: UUID, now: datetime) -> Iterator[Check]:
    """Both tables' settings, the sample cart and session, and TTL at work.

    Leaves nothing behind: the samples live under `unique` and are removed. Raises TargetError
    where the database goes away. In an emulator, TTL is quick to judge while sessions are few.
    """
    with closing(dynamodb_client(endpoint)) as client:
        yield from table_checks(client, endpoint)
        yield from cart_checks(client, unique)
        yield from session_checks(client, endpoint, unique, now)


def verify_postgres(endpoint: PostgresEndpoint, unique: UUID, now: datetime) -> Iterator[Check]:
    """The relational side, and the baseline tables with the samples; leaves nothing behind."""
    with _connected(endpoint) as connection:
        yield from relational_checks(connection)
        yield from baseline_checks(connection, unique, now)


def verify_references(dynamodb: DynamoDBEndpoint, postgres: PostgresEndpoint) -> Iterator[Check]:
    """What DynamoDB holds refers to rows that PostgreSQL has."""
    with closing(dynamodb_client(dynamodb)) as client, _connected(postgres) as connection:
        yield from reference_checks(client, connection)


def _connected(endpoint: PostgresEndpoint) -> Connection:
    try:
        return postgres_connection(endpoint, autocommit=True)
    except psycopg.OperationalError:
        raise TargetError(
            f"{endpoint.label} went away.", hint="See whether it still runs."
        ) from None
