"""Reviews in a DynamoDB table that is not CloudShelf's: post one, read five of a book.

    cd examples/own_table && loadtests gate --scenario reviews.py

The table is created before the run, and deleted after it unless the database is embedded.
"""

from contextlib import suppress
from typing import Any
from uuid import uuid4

from loadtests.clients import dynamodb_client
from loadtests.load.plugin import OpenLoopUser, access_pattern, store
from loadtests.stores.dynamodb.responses import CapacityUnits
from loadtests.targets.endpoints import Endpoints

TABLE = "bookshop-reviews"
KEYS = {"book_id": "HASH", "review_id": "RANGE"}
BOOKS = [f"book-{number}" for number in range(50)]


class ReviewStore:
    """One user's client. For the report's costs, it notes the capacity units of its last call."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._client: Any = dynamodb_client(endpoints)
        self.ask_capacity = False
        self.capacity: CapacityUnits | None = None

    def post(self, book_id: str, text: str) -> None:
        item = {"book_id": {"S": book_id}, "review_id": {"S": str(uuid4())}, "text": {"S": text}}
        answer = self._client.put_item(TableName=TABLE, Item=item, **self._asking())
        self.capacity = CapacityUnits(0, _units(answer)) if self.ask_capacity else None

    def of_book(self, book_id: str) -> list[Any]:
        answer = self._client.query(
            TableName=TABLE,
            KeyConditionExpression="book_id = :book",
            ExpressionAttributeValues={":book": {"S": book_id}},
            Limit=5,
            **self._asking(),
        )
        self.capacity = CapacityUnits(_units(answer), 0) if self.ask_capacity else None
        return list(answer["Items"])

    def _asking(self) -> dict[str, str]:
        return {"ReturnConsumedCapacity": "TOTAL"} if self.ask_capacity else {}


def _units(answer: Any) -> float:
    return float(answer["ConsumedCapacity"]["CapacityUnits"])


class ReviewUser(OpenLoopUser):
    reviews: ReviewStore = store(ReviewStore, backend="dynamodb")

    @classmethod
    def prepare(cls, endpoints: Endpoints) -> None:
        client: Any = dynamodb_client(endpoints)
        with suppress(client.exceptions.ResourceInUseException):  # a killed run has left it
            client.create_table(
                TableName=TABLE,
                KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in KEYS.items()],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in KEYS],
                BillingMode="PAY_PER_REQUEST",
            )
        client.get_waiter("table_exists").wait(TableName=TABLE)

    @classmethod
    def clean_up(cls, endpoints: Endpoints) -> None:
        dynamodb_client(endpoints).delete_table(TableName=TABLE)

    @access_pattern("review.read", share=9)
    def read(self) -> None:
        self.call(self.reviews.of_book, self.random.choice(BOOKS))

    @access_pattern("review.post", share=1)
    def post(self) -> None:
        self.call(self.reviews.post, self.random.choice(BOOKS), "Could not put it down.")
