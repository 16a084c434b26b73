"""Where a backend answers, as stores and scenarios need to know it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

# What every call to an emulator is signed with. They open nothing: an emulator checks no signature.
EMULATOR_ACCESS_KEY: Final = "loadtests"
EMULATOR_SECRET_KEY: Final = "loadtests"  # noqa: S105 - not a secret, see above


@dataclass(frozen=True, slots=True)
class DynamoDBEndpoint:
    """A DynamoDB: `url` None means AWS's own endpoint for the region.

    `emulator` endpoints are signed with the fixed credentials above; others use botocore's chain.
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

    def described(self) -> dict[str, dict[str, Any]]:
        """Where each backend ran, for run.json: without the DSN, which may hold a password."""
        found: dict[str, dict[str, Any]] = {}
        if where := self.dynamodb:
            found["dynamodb"] = {"label": where.label, "emulator": where.emulator,
                                 "region": where.region, "url": where.url or "aws"}  # fmt: skip
        if self.postgres:
            found["postgres"] = {"label": self.postgres.label}
        return found
