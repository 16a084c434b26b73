"""Rows of their own for the probe of a store, as the set-up's connection sees them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from loadtests.model import Book, Session, User
from loadtests.patterns import CARTS_TABLE, SESSIONS_TABLE
from loadtests.targets.checklist.sample import (
    sample_books,
    sample_cart,
    sample_session,
    sample_user,
)
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class ProbeRows(ABC):
    """A user, a book and a session that nobody else uses; `label` names their database."""

    def __init__(self, label: str, unique: UUID, now: datetime) -> None:
        self.label = label
        self.now = now
        self.user: User = sample_user(unique, now)
        self.book: Book = sample_books(sample_cart(unique))[0]
        self.session: Session = sample_session(unique, now)

    @abstractmethod
    def sees_line(self) -> bool:
        """Whether the cart line that a store wrote is in the database that was set up."""

    @abstractmethod
    def sees_session(self) -> bool:
        """Whether the session that a store wrote is in the database that was set up."""

    @abstractmethod
    def remove(self) -> None:
        """Delete whatever the store has left."""


class DynamoDBRows(ProbeRows):
    """In DynamoDB, where no row refers to another."""

    def __init__(
        self, client: DynamoDBClient, endpoint: DynamoDBEndpoint, unique: UUID, now: datetime
    ) -> None:
        super().__init__(endpoint.label, unique, now)
        self._client = client

    def sees_line(self) -> bool:
        """See ProbeRows."""
        return self._exists(CARTS_TABLE, self._line_key)

    def sees_session(self) -> bool:
        """See ProbeRows."""
        return self._exists(SESSIONS_TABLE, self._session_key)

    def remove(self) -> None:
        """See ProbeRows. A session that may not be deleted expires after 24 hours."""
        from botocore.exceptions import BotoCoreError, ClientError

        for table, key in ((CARTS_TABLE, self._line_key), (SESSIONS_TABLE, self._session_key)):
            with suppress(BotoCoreError, ClientError):
                self._client.delete_item(TableName=table, Key=key)

    @property
    def _line_key(self) -> dict[str, dict[str, str]]:
        return {"user_id": {"S": self.user.user_id}, "book_id": {"S": self.book.book_id}}

    @property
    def _session_key(self) -> dict[str, dict[str, str]]:
        return {"session_id": {"S": self.session.session_id}}

    def _exists(self, table: str, key: dict[str, dict[str, str]]) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return "Item" in self._client.get_item(TableName=table, Key=key, ConsistentRead=True)
        except (BotoCoreError, ClientError):
            return False


@contextmanager
def open_probe_rows(endpoints: Endpoints, unique: UUID, now: datetime) -> Iterator[ProbeRows]:
    """The rows in the one backend of `endpoints`; deleted at the end."""
    from loadtests.targets.dynamodb.client import dynamodb_client

    assert endpoints.dynamodb is not None
    with closing(dynamodb_client(endpoints.dynamodb, connections=1)) as client:
        rows = DynamoDBRows(client, endpoints.dynamodb, unique, now)
        try:
            yield rows
        finally:
            rows.remove()
