"""Where each backend can be reached, for stores and scenarios."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

Storage = Literal["memory", "disk"]


class AwsKeys(NamedTuple):
    """AWS credentials at one moment. `repr` hides them."""

    access_key: str
    secret_key: str
    token: str | None = None

    def __repr__(self) -> str:
        return "AwsKeys(…)"


# The keys that AWS's documentation uses as its example. They give access to nothing: emulators do
# not verify signatures.
EMULATOR_KEYS: Final = AwsKeys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamoDBEndpoint:
    """A DynamoDB as every client calls it: nothing else is read from the environment.

    `keys` None means the credentials that botocore's providers give. `ca_bundle` is a file with
    certificate authorities; empty: those of botocore. With `loopback_only`, a connection to another
    machine is refused when it opens. `embedded` ones were started by this harness; only an endpoint
    of AWS is no `emulator`.
    """

    url: str = field(kw_only=False)
    region: str = field(default="us-east-1", kw_only=False)
    emulator: bool = True
    label: str = "DynamoDB"
    version: str = ""
    embedded: bool = False
    keys: AwsKeys | None = EMULATOR_KEYS
    ca_bundle: str = ""
    loopback_only: bool = False

    @property
    def host(self) -> str:
        """The host name or address that is called."""
        return urlsplit(self.url).hostname or ""

    @property
    def usual_on_aws(self) -> bool:
        """Whether this is what AWS offers to everyone in the region, so that its URL says nothing.

        The host of an account's own endpoint begins with the account's number.
        """
        usual = (f"dynamodb.{self.region}.amazonaws.com", f".ddb.{self.region}.amazonaws.com")
        return not self.emulator and (self.host == usual[0] or self.host.endswith(usual[1]))


@dataclass(frozen=True, slots=True)
class PostgresEndpoint:
    """A PostgreSQL by its DSN, which may contain a password and is never shown.

    One that was reached has a DSN with every setting that a client needs (`postgres/reach.py`).
    `hostaddr` is the address that was connected to, empty for a Unix socket: every client connects
    to it, whatever the DSN's host name means by then. `pooled`: a pooler is in between, so that
    nothing outlasts a transaction. `storage` is where an embedded one keeps its data; None where
    that is not known.
    """

    dsn: str = field(repr=False)
    label: str = "PostgreSQL"
    storage: Storage | None = None
    version: str = ""
    embedded: bool = False
    hostaddr: str = ""
    pooled: bool = False


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The backends of one run; None for a backend that is not part of it."""

    dynamodb: DynamoDBEndpoint | None = None
    postgres: PostgresEndpoint | None = None

    def described(self) -> dict[str, dict[str, object]]:
        """Where each backend ran, for run.json: without the DSN, which may contain a password."""
        targets: dict[str, dict[str, object]] = {}
        if dynamodb := self.dynamodb:
            elsewhere = "url" if dynamodb.emulator else "aws"
            targets["dynamodb"] = {
                "label": dynamodb.label,
                "where": "embedded" if dynamodb.embedded else elsewhere,
                "version": dynamodb.version or None,
                "url": "aws" if dynamodb.usual_on_aws else dynamodb.url,
                "emulator": dynamodb.emulator,
                "region": dynamodb.region,
            }
        if postgres := self.postgres:
            targets["postgres"] = {
                "label": postgres.label,
                "where": "embedded" if postgres.embedded else "url",
                "version": postgres.version or None,
                "url": postgres.hostaddr or None,
            }
        return targets
