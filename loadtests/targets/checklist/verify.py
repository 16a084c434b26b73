"""CloudShelf's set-up checklist against the targets, one check at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from uuid import UUID

from loadtests.targets.checklist.check import Check
from loadtests.targets.checklist.dynamodb import cart_checks, session_checks, table_checks
from loadtests.targets.checklist.postgres import baseline_checks, relational_checks
from loadtests.targets.checklist.references import reference_checks
from loadtests.targets.dynamodb.client import dynamodb_client
from loadtests.targets.endpoints import DynamoDBEndpoint, PostgresEndpoint
from loadtests.targets.postgres.connect import postgres_connection


def verify_dynamodb(endpoint: DynamoDBEndpoint, unique: UUID, now: datetime) -> Iterator[Check]:
    """Both tables' settings, the sample cart and session, and the working of TTL.

    Leaves nothing behind: the samples use keys made of `unique` and are deleted. Raises TargetError
    if the connection is lost. In an emulator, TTL can be checked quickly while there are few
    sessions.
    """
    with closing(dynamodb_client(endpoint)) as client:
        yield from table_checks(client, endpoint)
        yield from cart_checks(client, unique)
        yield from session_checks(client, endpoint, unique, now)


def verify_postgres(endpoint: PostgresEndpoint, unique: UUID, now: datetime) -> Iterator[Check]:
    """The relational tables, and the baseline tables with the samples; leaves nothing behind."""
    with postgres_connection(endpoint) as connection:
        yield from relational_checks(connection)
        yield from baseline_checks(connection, unique, now)


def verify_references(dynamodb: DynamoDBEndpoint, postgres: PostgresEndpoint) -> Iterator[Check]:
    """Every reference in DynamoDB refers to a row in PostgreSQL."""
    with closing(dynamodb_client(dynamodb)) as client, postgres_connection(postgres) as connection:
        yield from reference_checks(client, connection)
