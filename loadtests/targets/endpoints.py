"""Where a backend answers, as stores and scenarios need to know it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class DynamoDBEndpoint:
    """A DynamoDB: `url` None means AWS's own endpoint for the region.

    `emulator` endpoints are signed with fixed dummy credentials; others use botocore's chain.
    """

    url: str | None
    region: str = "us-east-1"
    emulator: bool = True
    label: str = "DynamoDB"


@dataclass(frozen=True, slots=True)
class PostgresEndpoint:
    """A PostgreSQL by its DSN, which may hold a password and is never shown."""

    dsn: str = field(repr=False)
    label: str = "PostgreSQL"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The backends of one run; None where a backend takes no part."""

    dynamodb: DynamoDBEndpoint | None = None
    postgres: PostgresEndpoint | None = None
