"""The checklist's last part: every reference in DynamoDB refers to a row in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from psycopg import sql

from loadtests.patterns import CARTS_TABLE, SESSIONS_TABLE
from loadtests.targets.checklist.check import Check, Finding, check
from loadtests.targets.postgres.connect import PostgresConnection

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

_CACHED: Final = (
    "book_title",
    "book_price",
    "book_image_url",
)  # the only attributes stored in both databases
Item = dict[str, "AttributeValueTypeDef"]

CART_ATTRIBUTES: Final = frozenset(
    ("user_id", "book_id", "quantity", "added_at", "updated_at", *_CACHED)
)


def reference_checks(client: DynamoDBClient, connection: PostgresConnection) -> Iterator[Check]:
    """Check that cart books and session users exist, and that carts copy only book attributes."""
    extra: set[str] = set()

    def cart_book(item: Item) -> str:
        extra.update(item.keys() - CART_ATTRIBUTES)
        return str(item["book_id"]["S"])

    yield check(
        "every cart's book_id is in books",
        lambda: _all_known(
            _scan(client, CARTS_TABLE, cart_book), connection, "books", "book_id", "cart lines"
        ),
    )
    yield check(
        "carts copy only a book's title, price and image",
        lambda: (not extra, f"also {', '.join(sorted(extra)[:5])}" if extra else "nothing else"),
    )
    yield check(
        "every session's user_id is in users",
        lambda: _all_known(
            _scan(client, SESSIONS_TABLE, lambda item: str(item["user_id"]["S"])),
            connection,
            "users",
            "user_id",
            "sessions",
        ),
    )


def _scan(client: DynamoDBClient, table: str, pick: Callable[[Item], str]) -> Iterator[str]:
    for page in client.get_paginator("scan").paginate(TableName=table):
        yield from map(pick, page["Items"])


def _all_known(
    references: Iterator[str], connection: PostgresConnection, table: str, column: str, things: str
) -> Finding:
    count = 0
    ids: set[str] = set()
    for identifier in references:
        count += 1
        ids.add(identifier)
    query = sql.SQL(
        "select wanted from unnest(%s::text[]) as wanted where not exists "
        "(select from {table} where {column} = wanted)"
    )
    missing = connection.execute(
        query.format(table=sql.Identifier(table), column=sql.Identifier(column)), (list(ids),)
    ).fetchall()
    if missing:
        shown = ", ".join(str(row[0])[:60] for row in missing[:3])
        return False, f"{len(missing)} of {len(ids):,} are not in {table}, such as {shown}"
    return True, f"{count:,} {things}, {len(ids):,} different, all in {table}"
