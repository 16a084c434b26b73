"""Write the data set's carts and sessions to DynamoDB, in concurrent batches."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from loadtests.dynamodb_items import Attributes, cart_item_to_attributes, session_to_attributes
from loadtests.errors import ProvisionError
from loadtests.model import CartItem, User
from loadtests.patterns import CARTS_TABLE, SESSIONS_TABLE
from loadtests.targets.dynamodb.causes import cause_of
from loadtests.targets.progress import OnProgress, Progress
from loadtests.targets.seed.dataset import Dataset

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        QueryInputTypeDef,
        WriteRequestTypeDef,
        WriteRequestUnionTypeDef,
    )

BATCH_ITEMS: Final = 25  # BatchWriteItem's own limit
THREADS: Final = 8
_TRIES: Final = 10
_STEP: Final = "Seeding DynamoDB"

Write = tuple[str, "WriteRequestTypeDef"]  # table name and request


def seed_dynamodb(
    client: DynamoDBClient,
    dataset: Dataset,
    on_progress: OnProgress,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Restore every seeded cart and session to its seeded state; `pause` waits in seconds.

    Lines that a seeded user's cart has in addition are deleted; carts of other users stay.
    Raises ProvisionError.
    """
    total = sum(map(len, dataset.carts)) + len(dataset.sessions)
    on_progress(Progress(_STEP, 0, total))
    done = 0
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="seed-dynamodb")
    try:
        extras = list(_extra_lines(client, dataset, pool))
        writes = itertools.chain(map(_delete, extras), _puts(dataset))
        for written in pool.map(lambda batch: _write(client, batch, pause), _batches(writes)):
            done += written
            on_progress(Progress(_STEP, min(done, total - 1), total))
    except (ClientError, BotoCoreError) as error:
        raise cause_of(error).as_provision_error("Seeding DynamoDB failed") from None
    finally:
        pool.shutdown(cancel_futures=True)
    on_progress(Progress(_STEP, total, total))


def _puts(dataset: Dataset) -> Iterator[Write]:
    for cart in dataset.carts:
        for item in cart:
            yield CARTS_TABLE, {"PutRequest": {"Item": cart_item_to_attributes(item)}}
    for session in dataset.sessions:
        yield SESSIONS_TABLE, {"PutRequest": {"Item": session_to_attributes(session)}}


def _delete(key: Attributes) -> Write:
    return CARTS_TABLE, {"DeleteRequest": {"Key": key}}


def _batches(writes: Iterable[Write]) -> Iterator[list[Write]]:
    iterator = iter(writes)
    while batch := list(itertools.islice(iterator, BATCH_ITEMS)):
        yield batch


def _write(client: DynamoDBClient, batch: list[Write], pause: Callable[[float], None]) -> int:
    by_table: dict[str, list[WriteRequestTypeDef]] = {}
    for table, request in batch:
        by_table.setdefault(table, []).append(request)
    unwritten: Mapping[str, Sequence[WriteRequestUnionTypeDef]] = by_table
    for attempt in range(_TRIES):
        if attempt:  # DynamoDB wrote only some of them: back off
            pause(0.05 * 2**attempt)
        unwritten = client.batch_write_item(RequestItems=unwritten).get("UnprocessedItems", {})
        if not unwritten:
            return len(batch)
    raise ProvisionError(
        "DynamoDB kept throttling the seed data.",
        hint="A new on-demand table accepts some thousand writes per second; retry in a minute.",
    )


def _extra_lines(
    client: DynamoDBClient, dataset: Dataset, pool: ThreadPoolExecutor
) -> Iterator[Attributes]:
    """Keys of the lines that seeded users have in addition: one Query per user.

    Not a Scan, because the table may contain far more than the seed.
    """
    if not client.scan(TableName=CARTS_TABLE, Limit=1)["Items"]:
        return

    def extras_of(user: User, cart: Sequence[CartItem]) -> list[Attributes]:
        user_id = user.user_id
        seeded = {item.book_id for item in cart}
        return [
            {"user_id": {"S": user_id}, "book_id": {"S": book_id}}
            for book_id in book_ids(client, user_id)
            if book_id not in seeded
        ]

    for keys in pool.map(extras_of, dataset.users, dataset.carts):
        yield from keys


def book_ids(client: DynamoDBClient, user_id: str) -> list[str]:
    """The books of a user's cart, through all its pages."""
    query: QueryInputTypeDef = {
        "TableName": CARTS_TABLE,
        "KeyConditionExpression": "user_id = :u",
        "ExpressionAttributeValues": {":u": {"S": user_id}},
        "ProjectionExpression": "book_id",
        "ConsistentRead": True,
    }
    ids: list[str] = []
    while True:
        page = client.query(**query)
        ids += [item["book_id"]["S"] for item in page["Items"]]
        if not page.get("LastEvaluatedKey"):
            return ids
        query["ExclusiveStartKey"] = page["LastEvaluatedKey"]
