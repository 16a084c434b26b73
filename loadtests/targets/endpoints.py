"""Where each backend can be reached, for stores and scenarios."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

Storage = Literal["memory", "disk"]

# Every driver signs calls to an emulator with these keys, which AWS's documentation uses as its
# example. They give access to nothing: emulators do not verify signatures.
EMULATOR_ACCESS_KEY: Final = "AKIAIOSFODNN7EXAMPLE"
EMULATOR_SECRET_KEY: Final = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # noqa: S105 - see above


@dataclass(frozen=True, slots=True)
class DynamoDBEndpoint:
    """A DynamoDB: `url` None means AWS's own endpoint for the region.

    Calls to an `emulator` are signed with the fixed keys above, others with botocore's credentials.
    """

    url: str | None
    region: str = "us-east-1"
    emulator: bool = True
    label: str = "DynamoDB"


@dataclass(frozen=True, slots=True)
class PostgresEndpoint:
    """A PostgreSQL by its DSN, which may contain a password and is never shown.

    `storage` is where an embedded one keeps its data; None where that is not known.
    """

    dsn: str = field(repr=False)
    label: str = "PostgreSQL"
    storage: Storage | None = None


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
