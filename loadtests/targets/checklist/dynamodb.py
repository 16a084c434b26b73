"""The checklist's DynamoDB part: both tables' settings, then the sample written and read back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from botocore.exceptions import ClientError

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
from loadtests.targets.dynamodb.causes import cause_of
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
    from mypy_boto3_dynamodb.type_defs import (
        TableDescriptionTypeDef,
        UniversalAttributeValueTypeDef,
    )

TTL_TIMEOUT_S: Final = 60.0
_TTL_POLL_S: Final = 0.25
_PAST_S: Final = 120  # how long ago the expired session ended
# DynamoDB Local's TTL checks 20 items per 10 s: a table of more items would take minutes.
_MAX_PROMPT_ITEMS: Final = 40


def table_checks(client: DynamoDBClient, endpoint: DynamoDBEndpoint) -> Iterator[Check]:
    """Keys, billing mode, class, encryption and TTL of both tables."""
    for table in TABLES:
        try:
            description = describe(client, table.name)
        except ClientError as error:
            yield Check(table.name, False, cause_of(error, endpoint).reason)
            continue
        if description is None:
            yield Check(f"{table.name}", False, "there is no such table")
            continue
        yield Check(f"{table.name}: keys", *_keys(table, description))
        yield Check(f"{table.name}: on-demand", *_billing(description))
        yield Check(f"{table.name}: Standard class", *_class(description))
        yield Check(
            f"{table.name}: encrypted with DynamoDB's own key", *_sse(description, endpoint)
        )
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
    """The sample session: written, read whole, removed; an expired one disappears."""
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


def _keys(table: TableDefinition, description: TableDescriptionTypeDef) -> Finding:
    keys = key_types(description)
    return keys == expected_keys(table), keys_in_words(keys)


def _billing(description: TableDescriptionTypeDef) -> Finding:
    summary = description.get("BillingModeSummary")
    mode = summary.get("BillingMode", "PROVISIONED") if summary else "PROVISIONED"
    return mode == "PAY_PER_REQUEST", mode


def _class(description: TableDescriptionTypeDef) -> Finding:
    summary = description.get("TableClassSummary")
    reported = summary.get("TableClass") if summary else None
    return reported in (None, "STANDARD"), reported or "none reported, which means STANDARD"


def _sse(description: TableDescriptionTypeDef, endpoint: DynamoDBEndpoint) -> Finding:
    # DescribeTable has an SSEDescription only if a KMS key is used instead.
    if sse := description.get("SSEDescription"):
        return False, f"{sse.get('SSEType', '?')} key, {sse.get('Status', '?')}"
    if endpoint.emulator:
        return True, "no other key set (AWS then uses its own; an emulator does not encrypt)"
    return True, "no other key set, so DynamoDB's own"


def _ttl(client: DynamoDBClient, table: TableDefinition) -> Check:
    wanted = f"TTL on {table.ttl_attribute}" if table.ttl_attribute else "no TTL"

    def run() -> Finding:
        attribute = ttl_attribute(client, table.name)
        state = f"enabled on {attribute}" if attribute else "not enabled"
        return attribute == table.ttl_attribute, state

    return check(f"{table.name}: {wanted}", run)


def _put_cart(client: DynamoDBClient, cart: tuple[CartItem, ...]) -> Finding:
    for item in cart:
        client.put_item(TableName=CARTS_TABLE, Item=cart_item_to_attributes(item))
    return True, f"{len(cart)} lines of user {cart[0].user_id}"


def _query_cart(client: DynamoDBClient, cart: tuple[CartItem, ...]) -> Finding:
    response = client.query(
        TableName=CARTS_TABLE,
        KeyConditionExpression="user_id = :u",
        ExpressionAttributeValues={":u": {"S": cart[0].user_id}},
        ConsistentRead=True,
    )
    lines = tuple(map(cart_item_from_attributes, response["Items"]))
    return lines == cart, f"{len(lines)} lines, {len(cart)} written"


def _get_line(client: DynamoDBClient, cart: tuple[CartItem, ...]) -> Finding:
    response = client.get_item(TableName=CARTS_TABLE, Key=_line_key(cart[0]), ConsistentRead=True)
    item = response.get("Item")
    return compare(cart_item_from_attributes(item) if item else None, cart[0])


def _remove_cart(client: DynamoDBClient, cart: tuple[CartItem, ...]) -> Finding:
    for item in cart:
        client.delete_item(TableName=CARTS_TABLE, Key=_line_key(item))
    deleted = all(
        not client.get_item(TableName=CARTS_TABLE, Key=_line_key(item), ConsistentRead=True).get(
            "Item"
        )
        for item in cart
    )
    return deleted, "deleted" if deleted else "still exists"


def _put_session(client: DynamoDBClient, session: Session) -> Finding:
    client.put_item(TableName=SESSIONS_TABLE, Item=session_to_attributes(session))
    return True, session.session_id


def _get_session(client: DynamoDBClient, session: Session) -> Session | None:
    key = {"session_id": {"S": session.session_id}}
    response = client.get_item(TableName=SESSIONS_TABLE, Key=key, ConsistentRead=True)
    item = response.get("Item")
    return session_from_attributes(item) if item else None


def _life(client: DynamoDBClient, session: Session, now: datetime) -> Finding:
    stored = _get_session(client, session)
    if stored is None:
        return False, "it does not exist"
    ahead_s = stored.expires_at - int(now.timestamp())
    return ahead_s == SESSION_LIFE_S, f"{ahead_s / 3600:g} h"


def _expiry(client: DynamoDBClient, endpoint: DynamoDBEndpoint, past: Session) -> Finding:
    if ttl_attribute(client, SESSIONS_TABLE) is None:
        return False, "TTL is not enabled, so nothing deletes it"
    if not endpoint.emulator:
        return _not_returned(client, past)
    page = client.scan(TableName=SESSIONS_TABLE, Select="COUNT", Limit=_MAX_PROMPT_ITEMS + 1)
    if page["Count"] > _MAX_PROMPT_ITEMS:
        return _expiry_in_an_empty_table(client, past)
    return _removal(client, SESSIONS_TABLE, past)


def _not_returned(client: DynamoDBClient, past: Session) -> Finding:
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
        "a read of live sessions does not return it (AWS deletes it within 48 hours, too long to "
        "wait for)"
    )


def _expiry_in_an_empty_table(client: DynamoDBClient, past: Session) -> Finding:
    table = replace(TABLES[1], name=f"{SESSIONS_TABLE}-verify-{past.user_id}")
    try:
        create_table(client, table)
        ok, result = _removal(client, table.name, past)
    finally:
        client.delete_table(TableName=table.name)
    return ok, (
        f"{result}, in an empty table of the same definition (in the full one the emulator takes "
        "minutes)"
    )


def _removal(client: DynamoDBClient, table: str, past: Session) -> Finding:
    key = {"session_id": {"S": past.session_id}}
    client.put_item(TableName=table, Item=session_to_attributes(past))
    begun = time.monotonic()
    while (waited_s := time.monotonic() - begun) < TTL_TIMEOUT_S:
        if not client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item"):
            return True, f"deleted by TTL after {waited_s:.1f} s"
        time.sleep(_TTL_POLL_S)
    return False, f"still exists after {TTL_TIMEOUT_S:.0f} s"


def _remove_sessions(client: DynamoDBClient, *sessions: Session) -> Finding:
    for session in sessions:
        client.delete_item(TableName=SESSIONS_TABLE, Key={"session_id": {"S": session.session_id}})
    deleted = all(_get_session(client, session) is None for session in sessions)
    return deleted, "deleted" if deleted else "still exists"


def _line_key(item: CartItem) -> dict[str, UniversalAttributeValueTypeDef]:
    return {"user_id": {"S": item.user_id}, "book_id": {"S": item.book_id}}
