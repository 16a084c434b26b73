"""The checklist's DynamoDB part: both tables' settings, then the sample written and read back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from loadtests.dynamodb_items import (
    cart_item_from_attributes,
    cart_item_to_attributes,
    session_from_attributes,
    session_to_attributes,
)
from loadtests.model import SESSION_LIFE_S, CartItem, Session
from loadtests.patterns import CARTS_TABLE, SESSIONS_TABLE
from loadtests.targets.checklist.check import Check, Finding, check, compare
from loadtests.targets.checklist.sample import sample_cart, sample_session
from loadtests.targets.endpoints import DynamoDBEndpoint
from loadtests.targets.seed.dynamodb_tables import (
    TABLES,
    TableDefinition,
    create_table,
    describe,
    expected_keys,
    key_types,
    keys_in_words,
    ttl_attribute,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TTL_TIMEOUT_S: Final = 60.0
_TTL_POLL_S: Final = 0.25
_PAST_S: Final = 120  # how long ago the expired session ended
# DynamoDB Local's TTL looks at 20 items in 10 s: a fuller table than this would take minutes.
_PROMPT_ITEMS: Final = 40


def table_checks(client: DynamoDBClient, endpoint: DynamoDBEndpoint) -> Iterator[Check]:
    """Keys, billing mode, class, encryption and TTL of both tables."""
    for table in TABLES:
        found = describe(client, table.name)
        if found is None:
            yield Check(f"{table.name}", False, "there is no such table")
            continue
        yield Check(f"{table.name}: keys", *_keys(table, found))
        yield Check(f"{table.name}: on-demand", *_billing(found))
        yield Check(f"{table.name}: Standard class", *_class(found))
        yield Check(f"{table.name}: encrypted with DynamoDB's own key", *_sse(found, endpoint))
        yield _ttl(client, table)


def cart_checks(client: DynamoDBClient, unique: UUID) -> Iterator[Check]:
    """The sample cart: written, queried by user, fetched by both keys, removed."""
    cart = sample_cart(unique)
    try:
        yield check("sample cart item: written", lambda: _put_cart(client, cart))
        yield check("sample cart item: query by user_id", lambda: _query_cart(client, cart))
        yield check("sample cart item: get by user_id and book_id", lambda: _get_line(client, cart))
    finally:
        removal = check("sample cart item: removed", lambda: _remove_cart(client, cart))
    yield removal


def session_checks(
    client: DynamoDBClient, endpoint: DynamoDBEndpoint, unique: UUID, now: datetime
) -> Iterator[Check]:
    """The sample session: written, read whole, removed; one that is past disappears."""
    session = sample_session(unique, now)
    past = sample_session(unique, now, begun_s_ago=SESSION_LIFE_S + _PAST_S)
    try:
        yield check("sample session: written", lambda: _put_session(client, session))
        yield check(
            "sample session: get by session_id",
            lambda: compare(_get_session(client, session), session),
        )
        yield check("sample session: expires 24 hours ahead", lambda: _life(client, session, now))
        yield check("a session past expires_at disappears", lambda: _expiry(client, endpoint, past))
    finally:
        removal = check("sample session: removed", lambda: _remove_sessions(client, session, past))
    yield removal


def _keys(table: TableDefinition, found: dict[str, Any]) -> Finding:
    keys = key_types(found)
    return keys == expected_keys(table), keys_in_words(keys)


def _billing(found: dict[str, Any]) -> Finding:
    mode = found.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED")
    return mode == "PAY_PER_REQUEST", mode


def _class(found: dict[str, Any]) -> Finding:
    reported = found.get("TableClassSummary", {}).get("TableClass")
    return reported in (None, "STANDARD"), reported or "none reported, which means STANDARD"


def _sse(found: dict[str, Any], endpoint: DynamoDBEndpoint) -> Finding:
    # DescribeTable has an SSEDescription only where a KMS key is used instead.
    if sse := found.get("SSEDescription"):
        return False, f"{sse.get('SSEType', '?')} key, {sse.get('Status', '?')}"
    if endpoint.emulator:
        return True, "no other key set (AWS then uses its own; an emulator does not encrypt)"
    return True, "no other key set, so DynamoDB's own"


def _ttl(client: DynamoDBClient, table: TableDefinition) -> Check:
    wanted = f"TTL on {table.ttl_attribute}" if table.ttl_attribute else "no TTL"

    def look() -> Finding:
        attribute = ttl_attribute(client, table.name)
        found = f"enabled on {attribute}" if attribute else "not enabled"
        return attribute == table.ttl_attribute, found

    return check(f"{table.name}: {wanted}", look)


def _put_cart(client: DynamoDBClient, cart: tuple[CartItem, ...]) -> Finding:
    for item in cart:
        client.put_item(TableName=CARTS_TABLE, Item=cart_item_to_attributes(item))
    return True, f"{len(cart)} lines of user {cart[0].user_id}"


def _query_cart(client: DynamoDBClient, cart: tuple[CartItem, ...]) -> Finding:
    answer = client.query(
        TableName=CARTS_TABLE,
        KeyConditionExpression="user_id = :u",
        ExpressionAttributeValues={":u": {"S": cart[0].user_id}},
        ConsistentRead=True,
    )
    found = tuple(map(cart_item_from_attributes, answer["Items"]))
    return found == cart, f"{len(found)} lines, {len(cart)} written"


def _get_line(client: DynamoDBClient, cart: tuple[CartItem, ...]) -> Finding:
    answer = client.get_item(TableName=CARTS_TABLE, Key=_line_key(cart[0]), ConsistentRead=True)
    item = answer.get("Item")
    return compare(cart_item_from_attributes(item) if item else None, cart[0])


def _remove_cart(client: DynamoDBClient, cart: tuple[CartItem, ...]) -> Finding:
    for item in cart:
        client.delete_item(TableName=CARTS_TABLE, Key=_line_key(item))
    gone = all(
        not client.get_item(TableName=CARTS_TABLE, Key=_line_key(item), ConsistentRead=True).get(
            "Item"
        )
        for item in cart
    )
    return gone, "gone" if gone else "still there"


def _put_session(client: DynamoDBClient, session: Session) -> Finding:
    client.put_item(TableName=SESSIONS_TABLE, Item=session_to_attributes(session))
    return True, session.session_id


def _get_session(client: DynamoDBClient, session: Session) -> Session | None:
    key = {"session_id": {"S": session.session_id}}
    answer = client.get_item(TableName=SESSIONS_TABLE, Key=key, ConsistentRead=True)
    item = answer.get("Item")
    return session_from_attributes(item) if item else None


def _life(client: DynamoDBClient, session: Session, now: datetime) -> Finding:
    found = _get_session(client, session)
    if found is None:
        return False, "it is not there"
    ahead_s = found.expires_at - int(now.timestamp())
    return ahead_s == SESSION_LIFE_S, f"{ahead_s / 3600:g} h"


def _expiry(client: DynamoDBClient, endpoint: DynamoDBEndpoint, past: Session) -> Finding:
    if ttl_attribute(client, SESSIONS_TABLE) is None:
        return False, "TTL is not enabled, so nothing removes it"
    if not endpoint.emulator:
        return _unseen(client, past)
    page = client.scan(TableName=SESSIONS_TABLE, Select="COUNT", Limit=_PROMPT_ITEMS + 1)
    if page["Count"] > _PROMPT_ITEMS:
        return _expiry_in_a_table_apart(client, past)
    return _removal(client, SESSIONS_TABLE, past)


def _unseen(client: DynamoDBClient, past: Session) -> Finding:
    _put_session(client, past)
    live = client.query(
        TableName=SESSIONS_TABLE,
        KeyConditionExpression="session_id = :s",
        FilterExpression="expires_at > :now",
        ExpressionAttributeValues={
            ":s": {"S": past.session_id},
            ":now": {"N": str(past.expires_at + _PAST_S)},
        },
    )
    return not live["Items"], (
        "a read for live sessions does not see it (AWS removes it within 48 hours, too long to "
        "wait for)"
    )


def _expiry_in_a_table_apart(client: DynamoDBClient, past: Session) -> Finding:
    shape = replace(TABLES[1], name=f"{SESSIONS_TABLE}-verify-{past.user_id}")
    try:
        create_table(client, shape)
        ok, found = _removal(client, shape.name, past)
    finally:
        client.delete_table(TableName=shape.name)
    return ok, f"{found}, in an empty table of the same shape (here the emulator takes minutes)"


def _removal(client: DynamoDBClient, table: str, past: Session) -> Finding:
    key = {"session_id": {"S": past.session_id}}
    client.put_item(TableName=table, Item=session_to_attributes(past))
    begun = time.monotonic()
    while (waited_s := time.monotonic() - begun) < TTL_TIMEOUT_S:
        if not client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item"):
            return True, f"removed by TTL after {waited_s:.1f} s"
        time.sleep(_TTL_POLL_S)
    return False, f"still there after {TTL_TIMEOUT_S:.0f} s"


def _remove_sessions(client: DynamoDBClient, *sessions: Session) -> Finding:
    for session in sessions:
        client.delete_item(TableName=SESSIONS_TABLE, Key={"session_id": {"S": session.session_id}})
    gone = all(_get_session(client, session) is None for session in sessions)
    return gone, "gone" if gone else "still there"


def _line_key(item: CartItem) -> dict[str, Any]:
    return {"user_id": {"S": item.user_id}, "book_id": {"S": item.book_id}}
