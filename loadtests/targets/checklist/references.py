"""The checklist's last part: what DynamoDB holds refers to rows that PostgreSQL has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from psycopg import sql

from loadtests.patterns import CARTS_TABLE, SESSIONS_TABLE
from loadtests.targets.checklist.check import Check, Finding, check
from loadtests.targets.seed.postgres_schema import Connection

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_CACHED: Final = ("book_title", "book_price", "book_image_url")  # all that is stored twice
CART_ATTRIBUTES: Final = frozenset(
    ("user_id", "book_id", "quantity", "added_at", "updated_at", *_CACHED)
)


def reference_checks(client: DynamoDBClient, connection: Connection) -> Iterator[Check]:
    """Every cart's book_id is in books, each session's user_id in users, no more is copied."""
    stray: set[str] = set()

    def cart_book(item: dict[str, Any]) -> str:
        stray.update(item.keys() - CART_ATTRIBUTES)
        return str(item["book_id"]["S"])

    yield check(
        "every cart's book_id is in books",
        lambda: _all_known(
            _scan(client, CARTS_TABLE, cart_book), connection, "books", "book_id", "cart lines"
        ),
    )
    yield check(
        "carts copy only a book's title, price and image",
        lambda: (not stray, f"also {', '.join(sorted(stray)[:5])}" if stray else "nothing else"),
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


def _scan(
    client: DynamoDBClient, table: str, pick: Callable[[dict[str, Any]], str]
) -> Iterator[str]:
    more: dict[str, Any] = {}
    while True:
        page = client.scan(TableName=table, **more)
        yield from map(pick, page["Items"])
        if not page.get("LastEvaluatedKey"):
            return
        more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def _all_known(
    found: Iterator[str], connection: Connection, table: str, column: str, things: str
) -> Finding:
    count = 0
    ids: set[str] = set()
    for identifier in found:
        count += 1
        ids.add(identifier)
    query = sql.SQL("select wanted from unnest(%s::text[]) as wanted where not exists "
                    "(select from {table} where {column} = wanted)")  # fmt: skip
    missing = connection.execute(
        query.format(table=sql.Identifier(table), column=sql.Identifier(column)), (list(ids),)
    ).fetchall()
    if missing:
        shown = ", ".join(str(row[0])[:60] for row in missing[:3])
        return False, f"{len(missing)} of {len(ids):,} are not in {table}, such as {shown}"
    return True, f"{count:,} {things}, {len(ids):,} different, all in {table}"
