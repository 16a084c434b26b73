"""Tables and data come out as described, twice over, and never in place of someone else's."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import psycopg
import pytest
from mypy_boto3_dynamodb import DynamoDBClient
from mypy_boto3_dynamodb.literals import KeyTypeType, ScalarAttributeTypeType

from loadtests.config import Data
from loadtests.dynamodb_items import (
    cart_item_from_attributes,
    cart_item_to_attributes,
    session_from_attributes,
)
from loadtests.errors import ProvisionError
from loadtests.model import CartItem
from loadtests.patterns import CARTS_TABLE, SESSIONS_TABLE
from loadtests.targets.connect import dynamodb_client, postgres_connection
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint
from loadtests.targets.seed import dynamodb_tables
from loadtests.targets.seed.dataset import Dataset, make_dataset
from loadtests.targets.seed.dynamodb import seed_dynamodb
from loadtests.targets.seed.dynamodb_tables import TableDefinition, ensure_tables, ttl_attribute
from loadtests.targets.seed.postgres_schema import ensure_schema, find_problems
from loadtests.targets.seed.provision import provision

Tables = tuple[TableDefinition, TableDefinition]
pytestmark = pytest.mark.embedded
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def client(dynamodb: DynamoDBEndpoint) -> Iterator[DynamoDBClient]:
    with closing(dynamodb_client(dynamodb)) as opened:
        yield opened


@pytest.fixture
def database(postgres: PostgresEndpoint) -> Iterator[PostgresEndpoint]:
    """An empty database of this test's own, by its endpoint."""
    name = f"test_{uuid.uuid4().hex}"
    with postgres_connection(postgres, autocommit=True) as connection:
        connection.execute(f"create database {name}")
        yield PostgresEndpoint(postgres.dsn.replace("/postgres", f"/{name}"))
        connection.execute(f"drop database {name} with (force)")


def cart_in_dynamodb(client: DynamoDBClient, user_id: str) -> list[CartItem]:
    items = client.query(
        TableName=CARTS_TABLE,
        KeyConditionExpression="user_id = :u",
        ExpressionAttributeValues={":u": {"S": user_id}},
        ConsistentRead=True,
    )["Items"]
    return [cart_item_from_attributes(item) for item in items]


def by_book(cart: Sequence[CartItem]) -> list[CartItem]:
    return sorted(cart, key=lambda item: item.book_id)


def own_data(seed: int) -> Dataset:
    """A little data under keys that no other test uses."""
    return make_dataset(Data(users=12, books=20), seed, NOW)


def test_what_is_seeded_is_what_was_made_on_both_backends(
    endpoints: Endpoints, postgres: PostgresEndpoint, client: DynamoDBClient
) -> None:
    data = own_data(901)
    provision(endpoints, data)
    with postgres_connection(postgres) as connection:
        for user, cart, session in zip(data.users, data.carts, data.sessions, strict=True):
            assert cart_in_dynamodb(client, user.user_id) == by_book(cart)
            key = {"session_id": {"S": session.session_id}}
            item = client.get_item(TableName=SESSIONS_TABLE, Key=key, ConsistentRead=True)["Item"]
            assert session_from_attributes(item) == session
            rows = connection.execute(
                "select book_id, quantity, added_at, updated_at, book_title, book_price, "
                "book_image_url from carts where user_id = %s order by book_id",
                (user.user_id,),
            ).fetchall()
            assert rows == [
                (
                    i.book_id,
                    i.quantity,
                    i.added_at,
                    i.updated_at,
                    i.book_title,
                    i.book_price,
                    i.book_image_url,
                )
                for i in by_book(cart)
            ]
            row = connection.execute(
                "select user_id, session_data, (cart_summary->>'total_amount')::numeric, "
                "extract(epoch from expires_at)::bigint from sessions where session_id = %s",
                (session.session_id,),
            ).fetchone()
            assert row is not None
            assert row[0] == user.user_id
            assert tuple(row[1]["browsing_history"]) == session.session_data.browsing_history
            assert row[2:] == (session.cart_summary.total_amount, session.expires_at)
        rows = connection.execute("select order_id from orders").fetchall()
        assert {o.order_id for o in data.orders} <= {row[0] for row in rows}


def test_seeding_again_restores_every_seeded_key_and_leaves_others_alone(
    endpoints: Endpoints, postgres: PostgresEndpoint, client: DynamoDBClient
) -> None:
    data = own_data(902)
    provision(endpoints, data)
    user, cart = data.users[0], data.carts[0]
    changed = replace(cart[0], quantity=77)
    absent = next(b for b in data.books if b.book_id not in {i.book_id for i in cart})
    extra = replace(cart[0], book_id=absent.book_id)
    stranger = replace(cart[0], user_id=str(uuid.uuid4()))
    for item in (changed, extra, stranger):
        client.put_item(TableName=CARTS_TABLE, Item=cart_item_to_attributes(item))
    client.delete_item(
        TableName=CARTS_TABLE,
        Key={"user_id": {"S": user.user_id}, "book_id": {"S": cart[1].book_id}},
    )
    past = replace(data.sessions[0], session_id=f"past-{uuid.uuid4()}")
    with postgres_connection(postgres) as connection:
        connection.execute("update carts set quantity = 77 where user_id = %s", (user.user_id,))
        connection.execute(
            "update carts set book_id = %s where user_id = %s and book_id = %s",
            (extra.book_id, user.user_id, cart[1].book_id),
        )
        connection.execute(
            "insert into sessions select %s, user_id, session_data, cart_summary, last_activity, "
            "created_at, now() - interval '1 s', ip_address, user_agent from sessions "
            "where session_id = %s",
            (past.session_id, data.sessions[0].session_id),
        )
    later = make_dataset(Data(users=12, books=20), 902, NOW + timedelta(hours=1))
    provision(endpoints, later)
    assert cart_in_dynamodb(client, user.user_id) == by_book(later.carts[0])
    assert cart_in_dynamodb(client, stranger.user_id) == [stranger]
    with postgres_connection(postgres) as connection:
        rows = connection.execute(
            "select book_id, quantity from carts where user_id = %s order by book_id",
            (user.user_id,),
        ).fetchall()
        assert rows == [(i.book_id, i.quantity) for i in by_book(later.carts[0])]
        row = connection.execute(
            "select created_at from sessions where session_id = %s", (later.sessions[0].session_id,)
        ).fetchone()
        assert row == (NOW + timedelta(hours=1),)
        query = "select 1 from sessions where session_id = %s"
        assert connection.execute(query, (past.session_id,)).fetchone() is None
    stray = {"user_id": {"S": stranger.user_id}, "book_id": {"S": stranger.book_id}}
    client.delete_item(TableName=CARTS_TABLE, Key=stray)


def test_progress_ends_at_the_total_and_never_goes_back(
    endpoints: Endpoints, postgres: PostgresEndpoint
) -> None:
    data = own_data(903)
    steps: dict[str, list[tuple[int, int | None]]] = {}
    provision(endpoints, data, lambda p: steps.setdefault(p.step, []).append((p.done, p.total)))
    lines = sum(map(len, data.carts)) + len(data.sessions)
    assert steps["Seeding DynamoDB"][-1] == (lines, lines)
    assert len(steps) == 2
    for seen in steps.values():
        assert seen == sorted(seen)
        assert [done == total for done, total in seen].count(True) == 1


def test_a_dynamodb_that_never_takes_all_is_given_up_on() -> None:
    class Stuck:
        def scan(self, **_: Any) -> dict[str, Any]:
            return {"Items": []}

        def batch_write_item(self, RequestItems: dict[str, list[Any]]) -> dict[str, Any]:
            return {"UnprocessedItems": RequestItems}

    with pytest.raises(ProvisionError, match="kept throttling"):
        seed_dynamodb(
            cast("DynamoDBClient", Stuck()), own_data(905), lambda p: None, pause=lambda s: None
        )


def test_a_part_that_dynamodb_did_not_take_is_sent_again() -> None:
    data = own_data(904)

    class Throttling:
        """Writes one item of a large batch, and refuses the rest."""

        def __init__(self) -> None:
            self.written: set[tuple[str, ...]] = set()
            self.refused = 0

        def scan(self, **_: Any) -> dict[str, Any]:
            return {"Items": []}

        def batch_write_item(self, RequestItems: dict[str, list[Any]]) -> dict[str, Any]:
            left: dict[str, list[Any]] = {}
            for table, requests in RequestItems.items():
                for place, request in enumerate(requests):
                    if place and len(requests) > 20:
                        left.setdefault(table, []).append(request)
                        self.refused += 1
                    else:
                        item = request["PutRequest"]["Item"]
                        self.written.add(
                            tuple(v["S"] for k, v in item.items() if k.endswith("_id"))
                        )
            return {"UnprocessedItems": left}

    throttling = Throttling()
    pauses: list[float] = []
    seed_dynamodb(cast("DynamoDBClient", throttling), data, lambda p: None, pause=pauses.append)
    assert throttling.refused
    assert pauses[:3] == [0.1, 0.2, 0.4]  # ever longer
    assert len(throttling.written) == sum(map(len, data.carts)) + len(data.sessions)


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


def test_the_schema_is_made_once_and_found_right(database: PostgresEndpoint) -> None:
    with postgres_connection(database, autocommit=True) as connection:
        assert ensure_schema(connection) == ("books", "users", "orders", "carts", "sessions")
        assert ensure_schema(connection) == ()
        assert not any(find_problems(connection).values())
        connection.execute("alter table users add column nickname text")
        assert ensure_schema(connection) == ()  # a column of theirs that may be left out


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("create table carts (user_id text primary key)", "carts has the primary key user_id, not"),
        ("create table users (user_id text primary key)", "users has no email"),
        (
            "create table books (book_id text primary key, title text, price money, "
            "image_url text)",
            r"books.price is money, not numeric\(10,2\)",
        ),
        (
            "create table books (book_id text primary key, title text, price numeric(10, 2), "
            "image_url text, isbn text not null)",
            "books.isbn is required",
        ),
    ],
)
def test_a_table_of_another_shape_is_refused_and_nothing_is_changed(
    database: PostgresEndpoint, statement: str, problem: str
) -> None:
    with postgres_connection(database, autocommit=True) as connection:
        connection.execute(statement)
        with pytest.raises(ProvisionError, match=problem) as caught:
            ensure_schema(connection)
        assert "Nothing was changed" in caught.value.hint
        count = "select count(*) from pg_tables where schemaname = 'public'"
        assert connection.execute(count).fetchone() == (1,)


def test_a_user_who_may_not_make_tables_is_told(database: PostgresEndpoint) -> None:
    with postgres_connection(database, autocommit=True) as connection:
        role = f"reader_{uuid.uuid4().hex}"
        connection.execute(f"create role {role}")
        connection.execute(f"set role {role}")
        with pytest.raises(ProvisionError, match="refused to set up CloudShelf's tables"):
            ensure_schema(connection)
        connection.execute("reset role")
        connection.execute(f"drop role {role}")


@pytest.mark.parametrize("quantity", [0, 100, -1])
def test_the_table_itself_refuses_a_quantity_out_of_bounds(
    endpoints: Endpoints, postgres: PostgresEndpoint, dataset: Dataset, quantity: int
) -> None:
    with postgres_connection(postgres) as connection:
        with pytest.raises(psycopg.errors.CheckViolation, match="carts_quantity_1_to_99"):
            connection.execute(
                "update carts set quantity = %s where user_id = %s",
                (quantity, dataset.users[0].user_id),
            )
        connection.rollback()
