"""The two DynamoDB tables: created if missing, refused if they have another definition."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest
from mypy_boto3_dynamodb import DynamoDBClient
from mypy_boto3_dynamodb.literals import KeyTypeType, ScalarAttributeTypeType

from loadtests.errors import ProvisionError
from loadtests.targets.dynamodb.client import dynamodb_client
from loadtests.targets.endpoints import DynamoDBEndpoint
from loadtests.targets.seed import dynamodb_tables
from loadtests.targets.seed.dynamodb_tables import TableDefinition, ensure_tables, ttl_attribute

pytestmark = pytest.mark.embedded


Tables = tuple[TableDefinition, TableDefinition]


@pytest.fixture
def client(dynamodb: DynamoDBEndpoint) -> Iterator[DynamoDBClient]:
    with closing(dynamodb_client(dynamodb)) as opened:
        yield opened


@pytest.fixture
def other_tables(client: DynamoDBClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tables]:
    """The two tables under other names, so that a test may have them wrong."""
    mark = uuid.uuid4().hex
    tables = (
        TableDefinition(f"carts-{mark}", ("user_id", "book_id")),
        TableDefinition(f"sessions-{mark}", ("session_id",), "expires_at"),
    )
    monkeypatch.setattr(dynamodb_tables, "TABLES", tables)
    yield tables
    for name in client.list_tables()["TableNames"]:
        if mark in name:
            client.delete_table(TableName=name)


def make_table(
    client: DynamoDBClient, name: str, *keys: tuple[str, KeyTypeType, ScalarAttributeTypeType]
) -> None:
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": k, "KeyType": t} for k, t, _ in keys],
        AttributeDefinitions=[{"AttributeName": k, "AttributeType": t} for k, _, t in keys],
        BillingMode="PAY_PER_REQUEST",
    )


def test_missing_tables_are_made_and_present_ones_left(
    client: DynamoDBClient, other_tables: Tables
) -> None:
    carts, sessions = other_tables
    assert ensure_tables(client) == (carts.name, sessions.name)
    assert ensure_tables(client) == ()
    assert ttl_attribute(client, carts.name) is None
    assert ttl_attribute(client, sessions.name) == "expires_at"
    billing = client.describe_table(TableName=carts.name)["Table"]["BillingModeSummary"]
    assert billing["BillingMode"] == "PAY_PER_REQUEST"


@pytest.mark.parametrize(
    "keys",
    [
        [("user_id", "HASH", "S")],
        [("book_id", "HASH", "S"), ("user_id", "RANGE", "S")],
        [("user_id", "HASH", "N"), ("book_id", "RANGE", "S")],
    ],
)
def test_a_table_with_other_keys_is_refused_and_nothing_is_changed(
    client: DynamoDBClient,
    other_tables: Tables,
    keys: list[tuple[str, KeyTypeType, ScalarAttributeTypeType]],
) -> None:
    carts, sessions = other_tables
    make_table(client, carts.name, *keys)
    with pytest.raises(ProvisionError, match=f"{carts.name} has partition key") as caught:
        ensure_tables(client)
    assert "not partition key user_id (S), sort key book_id (S)" in caught.value.message
    assert "Nothing was changed" in caught.value.hint
    assert sessions.name not in client.list_tables()["TableNames"]


def test_ttl_on_another_attribute_is_refused(client: DynamoDBClient, other_tables: Tables) -> None:
    carts, sessions = other_tables
    make_table(client, sessions.name, ("session_id", "HASH", "S"))
    client.update_time_to_live(
        TableName=sessions.name,
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"},
    )
    with pytest.raises(ProvisionError, match="has TTL on until, not on expires_at"):
        ensure_tables(client)
    assert carts.name not in client.list_tables()["TableNames"]
