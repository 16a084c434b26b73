"""Where each backend can be reached, for stores and scenarios."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

Storage = Literal["memory", "disk"]

# Every driver signs calls to an emulator with these keys, which AWS's documentation uses as its
# example. They give access to nothing: emulators do not verify signatures.
EMULATOR_ACCESS_KEY: Final = "AKIAIOSFODNN7EXAMPLE"
EMULATOR_SECRET_KEY: Final = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # noqa: S105 - see above


@dataclass(frozen=True, slots=True)
class DynamoDBEndpoint:
    """A DynamoDB: `url` None means AWS's own endpoint for the region.

    Calls to an `emulator` are signed with the fixed keys above, others with botocore's credentials.
    `embedded` ones were started by this harness.
    """

    url: str | None
    region: str = "us-east-1"
    emulator: bool = True
    label: str = "DynamoDB"
    version: str = ""
    embedded: bool = False


@dataclass(frozen=True, slots=True)
class PostgresEndpoint:
    """A PostgreSQL by its DSN, which may contain a password and is never shown.

    `storage` is where an embedded one keeps its data; None where that is not known.
    """

    dsn: str = field(repr=False)
    label: str = "PostgreSQL"
    storage: Storage | None = None
    version: str = ""
    embedded: bool = False


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The backends of one run; None for a backend that is not part of it."""

    dynamodb: DynamoDBEndpoint | None = None
    postgres: PostgresEndpoint | None = None

    def described(self) -> dict[str, dict[str, object]]:
        """Where each backend ran, for run.json: without the DSN, which may contain a password."""
        targets: dict[str, dict[str, object]] = {}
        if dynamodb := self.dynamodb:
            elsewhere = "url" if dynamodb.url else "aws"
            targets["dynamodb"] = {
                "label": dynamodb.label,
                "where": "embedded" if dynamodb.embedded else elsewhere,
                "version": dynamodb.version or None,
                "url": dynamodb.url or "aws",
                "emulator": dynamodb.emulator,
                "region": dynamodb.region,
            }
        if postgres := self.postgres:
            targets["postgres"] = {
                "label": postgres.label,
                "where": "embedded" if postgres.embedded else "url",
                "version": postgres.version or None,
            }
        return targets
