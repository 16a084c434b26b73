"""CloudShelf's two DynamoDB tables: made where missing, checked where present."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from loadtests.errors import ProvisionError
from loadtests.patterns import CARTS_TABLE, SESSIONS_TABLE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ACTIVE_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """One table's fixed shape; all keys are strings (S)."""

    name: str
    keys: tuple[str, ...]
    ttl_attribute: str | None = None


TABLES: Final = (
    TableDefinition(CARTS_TABLE, ("user_id", "book_id")),
    TableDefinition(SESSIONS_TABLE, ("session_id",), "expires_at"),
)


def ensure_tables(client: DynamoDBClient) -> tuple[str, ...]:
    """Make the missing tables, on demand, Standard class, TTL on sessions; names the made ones.

    Looks at all before it makes any, so a ProvisionError (wrong keys, TTL on another attribute)
    means nothing was changed.
    """
    try:
        found = {table.name: describe(client, table.name) for table in TABLES}
        problems = [
            problem
            for table in TABLES
            if (description := found[table.name]) is not None
            for problem in _problems(client, table, description)
        ]
        if problems:
            raise ProvisionError(
                f"DynamoDB has other tables in CloudShelf's place: {'; '.join(problems)}.",
                hint="Nothing was changed. Name another endpoint or region, or delete the table "
                "yourself if nobody needs it.",
            )
        made = tuple(table.name for table in TABLES if found[table.name] is None)
        for table in TABLES:
            create_table(client, table)
    except (ClientError, BotoCoreError) as error:
        raise ProvisionError(
            f"DynamoDB refused to set up CloudShelf's tables ({_reason(error)}).",
            hint="The credentials need CreateTable, DescribeTable, DescribeTimeToLive and "
            "UpdateTimeToLive on these two tables.",
        ) from None
    return made


def describe(client: DynamoDBClient, name: str) -> dict[str, Any] | None:
    """What DescribeTable says of a table, or None where there is none."""
    try:
        return dict(client.describe_table(TableName=name)["Table"])
    except client.exceptions.ResourceNotFoundException:
        return None


def key_types(description: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Attribute, HASH or RANGE, and type of each key."""
    types = {a["AttributeName"]: a["AttributeType"] for a in description["AttributeDefinitions"]}
    return [
        (key["AttributeName"], key["KeyType"], types.get(key["AttributeName"], "?"))
        for key in description["KeySchema"]
    ]


def expected_keys(table: TableDefinition) -> list[tuple[str, str, str]]:
    """What `key_types` should give."""
    return [(key, kind, "S") for key, kind in zip(table.keys, ("HASH", "RANGE"), strict=False)]


def keys_in_words(keys: list[tuple[str, str, str]]) -> str:
    """Such as `partition key user_id (S), sort key book_id (S)`."""
    words = {"HASH": "partition key", "RANGE": "sort key"}
    return ", ".join(f"{words.get(kind, kind)} {name} ({of})" for name, kind, of in keys)


def ttl_attribute(client: DynamoDBClient, name: str) -> str | None:
    """The attribute that TTL is enabled on, or None."""
    ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if ttl.get("TimeToLiveStatus") in ("ENABLED", "ENABLING"):
        return ttl.get("AttributeName")
    return None


def _problems(
    client: DynamoDBClient, table: TableDefinition, description: dict[str, Any]
) -> list[str]:
    problems = []
    found = key_types(description)
    if found != expected_keys(table):
        problems.append(
            f"{table.name} has {keys_in_words(found)}, not {keys_in_words(expected_keys(table))}"
        )
    enabled = ttl_attribute(client, table.name)
    if enabled not in (None, table.ttl_attribute):
        problems.append(f"{table.name} has TTL on {enabled}, not on {table.ttl_attribute}")
    return problems


def create_table(client: DynamoDBClient, table: TableDefinition) -> None:
    """Make one table, unless it is there, wait until it is active, and enable its TTL."""
    if describe(client, table.name) is None:
        _create(client, table)
    _await_active(client, table)
    if table.ttl_attribute and ttl_attribute(client, table.name) is None:
        client.update_time_to_live(
            TableName=table.name,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": table.ttl_attribute},
        )


def _create(client: DynamoDBClient, table: TableDefinition) -> None:
    # No SSESpecification: DynamoDB then encrypts with its own key, as CloudShelf's guide asks.
    # Another run may make it this moment.
    with contextlib.suppress(client.exceptions.ResourceInUseException):
        client.create_table(
            TableName=table.name,
            KeySchema=[
                {"AttributeName": key, "KeyType": "RANGE" if place else "HASH"}
                for place, key in enumerate(table.keys)
            ],
            AttributeDefinitions=[
                {"AttributeName": key, "AttributeType": "S"} for key in table.keys
            ],
            BillingMode="PAY_PER_REQUEST",
            TableClass="STANDARD",
        )


def _await_active(client: DynamoDBClient, table: TableDefinition) -> None:
    deadline = time.monotonic() + ACTIVE_TIMEOUT_S
    while (describe(client, table.name) or {}).get("TableStatus") not in ("ACTIVE", "UPDATING"):
        if time.monotonic() > deadline:
            raise ProvisionError(
                f"{table.name} did not become active in {ACTIVE_TIMEOUT_S:.0f} s.",
                hint="Look at it in the AWS console, then try again.",
            )
        time.sleep(0.2)


def _reason(error: ClientError | BotoCoreError) -> str:
    if isinstance(error, ClientError):
        detail = error.response.get("Error", {})
        return f"{detail.get('Code', '?')}: {detail.get('Message', '')}"[:300]
    return str(error)[:300]
