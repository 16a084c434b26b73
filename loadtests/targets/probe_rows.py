"""Rows of their own for the probe of a store, as the set-up's connection sees them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from loadtests.errors import TargetError
from loadtests.model import Book, Session, User
from loadtests.patterns import CARTS_TABLE, SESSIONS_TABLE
from loadtests.targets.checklist.sample import (
    sample_books,
    sample_cart,
    sample_session,
    sample_user,
)
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from loadtests.targets.postgres.connect import PostgresConnection

# The user and the book where rows may not be deleted: they stay, and the next probe uses them.
_LASTING: Final = UUID("6f1d0c52-6a0e-4b53-9d1e-3c8f5b7a2e90")


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


class PostgresRows(ProbeRows):
    """In PostgreSQL, where carts and sessions refer to a user and a book.

    Raises psycopg.Error if these two cannot be written.
    """

    def __init__(
        self,
        connection: PostgresConnection,
        endpoint: PostgresEndpoint,
        unique: UUID,
        now: datetime,
    ) -> None:
        super().__init__(endpoint.label, unique, now)
        self._connection = connection
        if not self._has(
            "select bool_and(has_table_privilege(name, 'delete'))"
            " from unnest(array['users', 'books', 'carts', 'sessions']) as name"
        ):
            self.user = sample_user(_LASTING, now)
            self.book = sample_books(sample_cart(_LASTING))[0]
            self.session = replace(self.session, user_id=self.user.user_id)
        user, book = self.user, self.book
        with connection.transaction():
            connection.execute(
                "insert into users (user_id, email, name, created_at) values (%s, %s, %s, %s)"
                " on conflict do nothing",
                (user.user_id, user.email, user.name, user.created_at),
            )
            connection.execute(
                "insert into books (book_id, title, price, image_url) values (%s, %s, %s, %s)"
                " on conflict do nothing",
                (book.book_id, book.title, book.price, book.image_url),
            )

    def sees_line(self) -> bool:
        """See ProbeRows."""
        return self._has(
            "select exists (select from carts where user_id = %s and book_id = %s)",
            self.user.user_id,
            self.book.book_id,
        )

    def sees_session(self) -> bool:
        """See ProbeRows."""
        return self._has(
            "select exists (select from sessions where session_id = %s)", self.session.session_id
        )

    def remove(self) -> None:
        """See ProbeRows. A user and a book that may not be deleted stay."""
        import psycopg

        from loadtests.targets.seed.postgres_schema import limit_lock_waits

        for statement, key in (
            ("delete from carts where user_id = %s", self.user.user_id),
            ("delete from sessions where session_id = %s", self.session.session_id),
            ("delete from users where user_id = %s", self.user.user_id),
            ("delete from books where book_id = %s", self.book.book_id),
        ):
            with suppress(psycopg.Error), self._connection.transaction():
                limit_lock_waits(self._connection)
                self._connection.execute(statement, (key,))

    def _has(self, query: str, *keys: str) -> bool:
        row = self._connection.execute(query.encode(), keys).fetchone()
        return row is not None and bool(row[0])


@contextmanager
def open_probe_rows(endpoints: Endpoints, unique: UUID, now: datetime) -> Iterator[ProbeRows]:
    """The rows in the one backend of `endpoints`; deleted at the end. Raises TargetError."""
    with _rows_of(endpoints, unique, now) as rows:
        try:
            yield rows
        finally:
            rows.remove()


@contextmanager
def _rows_of(endpoints: Endpoints, unique: UUID, now: datetime) -> Iterator[ProbeRows]:
    if endpoints.dynamodb:
        from loadtests.targets.dynamodb.client import dynamodb_client

        with closing(dynamodb_client(endpoints.dynamodb, connections=1)) as client:
            yield DynamoDBRows(client, endpoints.dynamodb, unique, now)
        return
    import psycopg

    from loadtests.targets.postgres.connect import postgres_connection
    from loadtests.targets.postgres.refusals import server_words, statement_hint

    assert endpoints.postgres is not None
    with postgres_connection(endpoints.postgres) as connection:
        try:
            rows = PostgresRows(connection, endpoints.postgres, unique, now)
        except psycopg.Error as error:
            raise TargetError(
                f"No user and book for a trial of the stores could be written to "
                f"{endpoints.postgres.label}: {server_words(str(error))}.",
                hint=statement_hint(error),
            ) from None
        yield rows
