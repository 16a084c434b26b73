"""The checklist passes where the set-up is right, and says what is wrong where it is not."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

import pytest
from mypy_boto3_dynamodb import DynamoDBClient
from mypy_boto3_dynamodb.type_defs import TableDescriptionTypeDef

from loadtests.dynamodb_items import cart_item_to_attributes, session_to_attributes
from loadtests.patterns import CARTS_TABLE, SESSIONS_TABLE
from loadtests.targets.checklist import dynamodb as verify_dynamodb
from loadtests.targets.checklist.check import Check
from loadtests.targets.checklist.dynamodb import cart_checks, session_checks, table_checks
from loadtests.targets.checklist.sample import sample_session
from loadtests.targets.checklist.verify import verify_postgres, verify_references
from loadtests.targets.dynamodb.client import dynamodb_client
from loadtests.targets.endpoints import DynamoDBEndpoint, PostgresEndpoint
from loadtests.targets.postgres.connect import postgres_connection
from loadtests.targets.seed import dynamodb_tables
from loadtests.targets.seed.dataset import Dataset
from loadtests.targets.seed.dynamodb_tables import TableDefinition

Tables = tuple[TableDefinition, TableDefinition]


@pytest.fixture
def client(dynamodb: DynamoDBEndpoint) -> Iterator[DynamoDBClient]:
    with closing(dynamodb_client(dynamodb)) as opened:
        yield opened


def failures(checks: Iterable[Check]) -> dict[str, str]:
    return {check.name: check.result for check in checks if not check.ok}


@pytest.mark.embedded
def test_a_right_set_up_passes_and_nothing_is_left(
    dynamodb: DynamoDBEndpoint, postgres: PostgresEndpoint, client: DynamoDBClient
) -> None:
    unique, now = uuid.uuid4(), datetime.now(UTC)
    checks = [
        *table_checks(client, dynamodb),
        *cart_checks(client, unique),
        *session_checks(client, dynamodb, unique, now),
        *verify_postgres(postgres, unique, now),
        *verify_references(dynamodb, postgres),
    ]
    assert failures(checks) == {}
    assert len(checks) == 39
    assert all(check.result for check in checks)
    (expired,) = [c for c in checks if c.name == "a session past expires_at disappears"]
    assert "deleted by TTL after" in expired.result
    assert "in an empty table of the same definition" in expired.result  # 200 sessions are seeded
    assert sorted(client.list_tables()["TableNames"]) == [CARTS_TABLE, SESSIONS_TABLE]
    user = {":u": {"S": str(unique)}}
    query = "user_id = :u"
    left = client.query(
        TableName=CARTS_TABLE, KeyConditionExpression=query, ExpressionAttributeValues=user
    )
    assert left["Items"] == []
    left = client.scan(
        TableName=SESSIONS_TABLE, FilterExpression=query, ExpressionAttributeValues=user
    )
    assert left["Items"] == []


@pytest.fixture
def other_tables(client: DynamoDBClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tables]:
    """Both tables under other names, so that a test may have them wrong."""
    mark = uuid.uuid4().hex
    tables = (
        TableDefinition(f"carts-{mark}", ("user_id", "book_id")),
        TableDefinition(f"sessions-{mark}", ("session_id",), "expires_at"),
    )
    for module in (dynamodb_tables, verify_dynamodb):
        monkeypatch.setattr(module, "TABLES", tables)
    monkeypatch.setattr(verify_dynamodb, "CARTS_TABLE", tables[0].name)
    monkeypatch.setattr(verify_dynamodb, "SESSIONS_TABLE", tables[1].name)
    yield tables
    for name in client.list_tables()["TableNames"]:
        if mark in name:
            client.delete_table(TableName=name)


@pytest.mark.embedded
def test_a_session_in_an_almost_empty_table_disappears_from_that_table(
    dynamodb: DynamoDBEndpoint,
    client: DynamoDBClient,
    other_tables: Tables,
) -> None:
    dynamodb_tables.ensure_tables(client)
    checks = list(session_checks(client, dynamodb, uuid.uuid4(), datetime.now(UTC)))
    assert failures(checks) == {}
    (expired,) = [c for c in checks if c.name == "a session past expires_at disappears"]
    assert expired.result.endswith(" s")


@pytest.mark.embedded
def test_missing_tables_are_named(
    dynamodb: DynamoDBEndpoint,
    client: DynamoDBClient,
    other_tables: Tables,
) -> None:
    unique = uuid.uuid4()
    faults = failures(table_checks(client, dynamodb))
    assert faults == {table.name: "there is no such table" for table in other_tables}
    assert set(failures(cart_checks(client, unique))) == {
        "sample cart item: written",
        "sample cart item: query by user_id",
        "sample cart item: get by user_id and book_id",
        "sample cart item: removed",
    }


@pytest.mark.embedded
def test_wrong_keys_billing_and_ttl_are_named(
    dynamodb: DynamoDBEndpoint,
    client: DynamoDBClient,
    other_tables: Tables,
) -> None:
    carts, sessions = other_tables
    client.create_table(
        TableName=carts.name,
        KeySchema=[{"AttributeName": "user_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "user_id", "AttributeType": "S"}],
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
    )
    client.update_time_to_live(
        TableName=carts.name,
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "added_at"},
    )
    client.create_table(
        TableName=sessions.name,
        KeySchema=[{"AttributeName": "session_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "session_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    assert failures(table_checks(client, dynamodb)) == {
        f"{carts.name}: keys": "partition key user_id (S)",
        f"{carts.name}: on-demand": "PROVISIONED",
        f"{carts.name}: no TTL": "enabled on added_at",
        f"{sessions.name}: TTL on expires_at": "not enabled",
    }
    checks = session_checks(client, dynamodb, uuid.uuid4(), datetime.now(UTC))
    assert failures(checks) == {
        "a session past expires_at disappears": "TTL is not enabled, so nothing deletes it"
    }


def test_a_kms_key_and_another_class_are_named() -> None:
    described = cast(
        "TableDescriptionTypeDef",
        {
            "SSEDescription": {"SSEType": "KMS", "Status": "ENABLED"},
            "TableClassSummary": {"TableClass": "STANDARD_INFREQUENT_ACCESS"},
        },
    )
    aws = DynamoDBEndpoint("https://dynamodb.us-east-1.amazonaws.com", emulator=False)
    assert verify_dynamodb._sse(described, aws) == (False, "KMS key, ENABLED")
    assert verify_dynamodb._sse(cast("TableDescriptionTypeDef", {}), aws) == (
        True,
        "no other key set, so DynamoDB's own",
    )
    assert verify_dynamodb._class(described) == (False, "STANDARD_INFREQUENT_ACCESS")


@pytest.mark.embedded
def test_on_aws_an_expired_session_need_only_be_unseen(
    dynamodb: DynamoDBEndpoint, client: DynamoDBClient
) -> None:
    aws = replace(dynamodb, emulator=False)
    past = sample_session(uuid.uuid4(), datetime.now(UTC), begun_s_ago=90_000)
    ok, result = verify_dynamodb._expiry(client, aws, past)
    assert ok
    assert "within 48 hours" in result
    client.delete_item(TableName=SESSIONS_TABLE, Key={"session_id": {"S": past.session_id}})


@pytest.mark.embedded
def test_strays_are_named(
    dynamodb: DynamoDBEndpoint, postgres: PostgresEndpoint, client: DynamoDBClient, dataset: Dataset
) -> None:
    line = replace(dataset.carts[0][0], book_id="book-nowhere")
    session = replace(dataset.sessions[0], session_id="stray", user_id="nobody")
    item = cart_item_to_attributes(line) | {"book_author": {"S": "stored twice"}}
    client.put_item(TableName=CARTS_TABLE, Item=item)
    client.put_item(TableName=SESSIONS_TABLE, Item=session_to_attributes(session))
    try:
        faults = failures(verify_references(dynamodb, postgres))
    finally:
        key = {"user_id": {"S": line.user_id}, "book_id": {"S": line.book_id}}
        client.delete_item(TableName=CARTS_TABLE, Key=key)
        client.delete_item(TableName=SESSIONS_TABLE, Key={"session_id": {"S": "stray"}})
    assert set(faults) == {
        "every cart's book_id is in books",
        "carts copy only a book's title, price and image",
        "every session's user_id is in users",
    }
    assert "such as book-nowhere" in faults["every cart's book_id is in books"]
    assert "such as nobody" in faults["every session's user_id is in users"]
    assert "book_author" in faults["carts copy only a book's title, price and image"]


@pytest.mark.embedded
def test_an_empty_database_lacks_every_table(postgres: PostgresEndpoint) -> None:
    name = f"test_{uuid.uuid4().hex}"
    with postgres_connection(postgres, autocommit=True) as connection:
        connection.execute(f"create database {name}")
        try:
            empty = PostgresEndpoint(postgres.dsn.replace("/postgres", f"/{name}"))
            faults = failures(verify_postgres(empty, uuid.uuid4(), datetime.now(UTC)))
        finally:
            connection.execute(f"drop database {name} with (force)")
    assert faults["orders: columns and keys"] == "there is no such table"
    assert 'relation "books" does not exist' in faults["books: exists and can be read"]
    assert len(faults) == 8
