"""Both backends are seeded with the same data, and seeding again restores it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from loadtests.config import Data
from loadtests.dynamodb_items import (
    cart_item_from_attributes,
    cart_item_to_attributes,
    session_from_attributes,
)
from loadtests.model import CartItem
from loadtests.patterns import CARTS_TABLE, SESSIONS_TABLE
from loadtests.targets.dynamodb.client import dynamodb_client
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint
from loadtests.targets.postgres.connect import postgres_connection
from loadtests.targets.seed.dataset import Dataset, make_dataset
from loadtests.targets.seed.provision import provision

pytestmark = pytest.mark.embedded


NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def client(dynamodb: DynamoDBEndpoint) -> Iterator[DynamoDBClient]:
    with closing(dynamodb_client(dynamodb)) as opened:
        yield opened


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
