"""Create CloudShelf's tables if they are missing, and seed them: both backends concurrently.

Writes only to CloudShelf's tables.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from loadtests.targets.dynamodb.client import dynamodb_client
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint
from loadtests.targets.postgres.connect import postgres_connection
from loadtests.targets.progress import OnProgress, ignore
from loadtests.targets.seed.dataset import Dataset
from loadtests.targets.seed.dynamodb import THREADS, seed_dynamodb
from loadtests.targets.seed.dynamodb_tables import ensure_tables
from loadtests.targets.seed.postgres import seed_postgres
from loadtests.targets.seed.postgres_schema import ensure_schema


def make_tables(endpoints: Endpoints) -> None:
    """Create the missing tables, without data. Raises ProvisionError, TargetError."""
    if endpoints.dynamodb:
        with closing(dynamodb_client(endpoints.dynamodb)) as client:
            ensure_tables(client)
    if endpoints.postgres:
        with postgres_connection(endpoints.postgres) as connection:
            ensure_schema(connection)


def provision(endpoints: Endpoints, dataset: Dataset, on_progress: OnProgress = ignore) -> None:
    """Set up and seed every backend of `endpoints`; repeated, it restores the seeded state.

    `on_progress` is called from several threads. Raises ProvisionError, TargetError.
    """
    jobs: list[Callable[[], None]] = []
    if dynamodb := endpoints.dynamodb:
        jobs.append(lambda: provision_dynamodb(dynamodb, dataset, on_progress))
    if postgres := endpoints.postgres:
        jobs.append(lambda: provision_postgres(postgres, dataset, on_progress))
    with ThreadPoolExecutor(max(len(jobs), 1), thread_name_prefix="provision") as pool:
        for future in [pool.submit(job) for job in jobs]:
            future.result()


def provision_dynamodb(
    endpoint: DynamoDBEndpoint, dataset: Dataset, on_progress: OnProgress = ignore
) -> None:
    """Set up and seed one DynamoDB. Raises ProvisionError, TargetError."""
    with closing(dynamodb_client(endpoint, connections=THREADS)) as client:
        ensure_tables(client)
        seed_dynamodb(client, dataset, on_progress)


def provision_postgres(
    endpoint: PostgresEndpoint, dataset: Dataset, on_progress: OnProgress = ignore
) -> None:
    """Set up and seed one PostgreSQL. Raises ProvisionError, TargetError."""
    with postgres_connection(endpoint) as connection:
        ensure_schema(connection)
        seed_postgres(connection, dataset, on_progress)
