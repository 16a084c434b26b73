"""CloudShelf's two DynamoDB tables: created if missing, checked if present."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from loadtests.errors import ProvisionError
from loadtests.patterns import CARTS_TABLE, SESSIONS_TABLE
from loadtests.targets.dynamodb.causes import cause_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TableDescriptionTypeDef

ACTIVE_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """The definition of one table; all keys are strings (S)."""

    name: str
    keys: tuple[str, ...]
    ttl_attribute: str | None = None


TABLES: Final = (
    TableDefinition(CARTS_TABLE, ("user_id", "book_id")),
    TableDefinition(SESSIONS_TABLE, ("session_id",), "expires_at"),
)


def ensure_tables(client: DynamoDBClient) -> tuple[str, ...]:
    """Create the missing tables (on-demand, Standard class, TTL on sessions); returns their names.

    Checks all tables before it creates any, so nothing has changed after a ProvisionError (wrong
    keys, TTL on another attribute).
    """
    try:
        descriptions = {table.name: describe(client, table.name) for table in TABLES}
        problems = [
            problem
            for table in TABLES
            if (description := descriptions[table.name]) is not None
            for problem in _problems(client, table, description)
        ]
        if problems:
            raise ProvisionError(
                f"DynamoDB has other tables under CloudShelf's names: {'; '.join(problems)}.",
                hint="Nothing was changed in DynamoDB. Use another endpoint or region, or delete "
                "the table if it is not needed.",
            )
        created = tuple(table.name for table in TABLES if descriptions[table.name] is None)
        for table in TABLES:
            create_table(client, table)
    except (ClientError, BotoCoreError) as error:
        raise cause_of(error).as_provision_error("Setting up CloudShelf's tables failed") from None
    return created


def describe(client: DynamoDBClient, name: str) -> TableDescriptionTypeDef | None:
    """The description of a table, or None if there is no such table."""
    try:
        return client.describe_table(TableName=name)["Table"]
    except client.exceptions.ResourceNotFoundException:
        return None


def key_types(description: TableDescriptionTypeDef) -> list[tuple[str, str, str]]:
    """Attribute, HASH or RANGE, and type of each key."""
    types = {a["AttributeName"]: a["AttributeType"] for a in description["AttributeDefinitions"]}
    return [
        (key["AttributeName"], key["KeyType"], types.get(key["AttributeName"], "?"))
        for key in description["KeySchema"]
    ]


def expected_keys(table: TableDefinition) -> list[tuple[str, str, str]]:
    """The `key_types` of a correct table."""
    return [(key, kind, "S") for key, kind in zip(table.keys, ("HASH", "RANGE"), strict=False)]


def keys_in_words(keys: list[tuple[str, str, str]]) -> str:
    """Such as `partition key user_id (S), sort key book_id (S)`."""
    words = {"HASH": "partition key", "RANGE": "sort key"}
    return ", ".join(f"{words.get(kind, kind)} {name} ({type_})" for name, kind, type_ in keys)


def ttl_attribute(client: DynamoDBClient, name: str) -> str | None:
    """The attribute that TTL is enabled on, or None."""
    ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if ttl.get("TimeToLiveStatus") in ("ENABLED", "ENABLING"):
        return ttl.get("AttributeName")
    return None


def _problems(
    client: DynamoDBClient, table: TableDefinition, description: TableDescriptionTypeDef
) -> list[str]:
    problems = []
    keys = key_types(description)
    if keys != expected_keys(table):
        problems.append(
            f"{table.name} has {keys_in_words(keys)}, not {keys_in_words(expected_keys(table))}"
        )
    enabled = ttl_attribute(client, table.name)
    if enabled not in (None, table.ttl_attribute):
        problems.append(f"{table.name} has TTL on {enabled}, not on {table.ttl_attribute}")
    return problems


def create_table(client: DynamoDBClient, table: TableDefinition) -> None:
    """Create one table unless it exists, wait until it is active, and enable its TTL."""
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
    # Another run may create it at the same time.
    with contextlib.suppress(client.exceptions.ResourceInUseException):
        client.create_table(
            TableName=table.name,
            KeySchema=[
                {"AttributeName": key, "KeyType": "RANGE" if index else "HASH"}
                for index, key in enumerate(table.keys)
            ],
            AttributeDefinitions=[
                {"AttributeName": key, "AttributeType": "S"} for key in table.keys
            ],
            BillingMode="PAY_PER_REQUEST",
            TableClass="STANDARD",
        )


def _await_active(client: DynamoDBClient, table: TableDefinition) -> None:
    deadline = time.monotonic() + ACTIVE_TIMEOUT_S
    while (status := _status(describe(client, table.name))) not in ("ACTIVE", "UPDATING"):
        if status not in ("CREATING", "absent"):
            raise ProvisionError(
                f"{table.name} cannot be used: its status is {status}.",
                hint="Wait until it is deleted, then try again."
                if status == "DELETING"
                else "Restore it or its encryption key in the AWS console.",
            )
        if time.monotonic() > deadline:
            raise ProvisionError(
                f"{table.name} did not become active in {ACTIVE_TIMEOUT_S:.0f} s.",
                hint="Check it in the AWS console, then try again.",
            )
        time.sleep(0.2)


def _status(description: TableDescriptionTypeDef | None) -> str:
    return description.get("TableStatus", "CREATING") if description else "absent"
