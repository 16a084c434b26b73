"""The lean driver: CloudShelf's carts and sessions over DynamoDB's own JSON protocol.

One persistent connection a store, AWS JSON 1.0, requests signed with Signature Version 4, and no
retries: a throttled or failed call is counted under DynamoDB's own name for it. The choices behind
it, with what each saved, are in docs/decisions/wire-driver.md.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any, Final

import orjson

from loadtests.errors import BackendError, CallTimeout, ResponseInvalid
from loadtests.model import Book, CartItem, CartSummary, Session
from loadtests.stores import dynamodb_requests as requests
from loadtests.stores import dynamodb_responses as responses
from loadtests.stores.aws_credentials import resolve
from loadtests.stores.dynamodb_requests import Request
from loadtests.stores.dynamodb_responses import Capacity
from loadtests.stores.http_connection import HttpConnection
from loadtests.targets.endpoints import DynamoDBEndpoint

TIMEOUT_S: Final = 10.0
PAGES: Final = 256  # of 1 MB each: far beyond any cart, and the end of an endless pagination


class DynamoDBWire:
    """Sends requests and reads answers; what the two stores share.

    `timeout_s` covers a whole call: connecting, every page, the last byte. With `ask_capacity`,
    `capacity` holds what the last call consumed.
    """

    __slots__ = (
        "_connection", "_consistent", "_signer", "_timeout_ns", "_timeout_s",
        "ask_capacity", "capacity", "wire_ns",
    )  # fmt: skip

    def __init__(
        self,
        endpoint: DynamoDBEndpoint,
        *,
        timeout_s: float = TIMEOUT_S,
        consistent: bool = True,
        ask_capacity: bool = False,
    ) -> None:
        address, self._signer = resolve(endpoint)
        self._connection = HttpConnection(address)
        self._consistent = consistent
        self._timeout_s = timeout_s
        self._timeout_ns = int(timeout_s * 1e9)
        self.ask_capacity = ask_capacity
        self.capacity: Capacity | None = None
        self.wire_ns = 0

    def close(self) -> None:
        """Give the connection back; safe to call twice."""
        self._connection.close()

    def _call(self, request: Request) -> dict[str, Any]:
        """One request, one answer. Raises CallError."""
        self.wire_ns = 0
        self.capacity = None
        return self._exchange(request, time.perf_counter_ns() + self._timeout_ns)

    def _exchange(self, request: Request, deadline_ns: int) -> dict[str, Any]:
        if self.ask_capacity:
            request = requests.ask_capacity(request)
        connection = self._connection
        try:
            status, body = connection.exchange(
                self._signer.request(request.operation, orjson.dumps(request.body)), deadline_ns
            )
        except CallTimeout:
            raise responses.timed_out(request, self._timeout_s) from None
        finally:
            self.wire_ns += connection.wire_ns
        if status != 200:
            raise _refusal(request, status, body)
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ResponseInvalid(
                f"{request.operation} was answered with no JSON: {error}."
            ) from None
        if type(answer) is not dict:
            raise ResponseInvalid(f"{request.operation} was answered with no JSON object.")
        if self.ask_capacity:
            self._count_capacity(request, answer)
        return answer

    def _count_capacity(self, request: Request, answer: dict[str, Any]) -> None:
        used = responses.read_capacity(request, answer)
        if used is not None:
            before = self.capacity or Capacity(0.0, 0.0)
            self.capacity = Capacity(before.rcu + used.rcu, before.wcu + used.wcu)


class WireCartStore(DynamoDBWire):
    """`CartStore` on DynamoDB."""

    __slots__ = ()

    def get(self, user_id: str) -> list[CartItem]:
        """See CartStore."""
        self.wire_ns = 0
        self.capacity = None
        deadline_ns = time.perf_counter_ns() + self._timeout_ns
        request = requests.get_cart(user_id, consistent=self._consistent)
        lines: list[CartItem] = []
        for _ in range(PAGES):
            answer = self._exchange(request, deadline_ns)
            lines += responses.read_lines(answer)
            following = responses.next_page(request, answer)
            if following is None:
                return lines
            request = following
        raise ResponseInvalid(f"The cart of {user_id} has more than {PAGES} pages.")

    def get_item(self, user_id: str, book_id: str) -> CartItem | None:
        """See CartStore."""
        request = requests.get_line(user_id, book_id, consistent=self._consistent)
        return responses.read_line(self._call(request))

    def add(self, user_id: str, book: Book, quantity: int, now: datetime) -> int:
        """See CartStore."""
        self.wire_ns = 0  # for a quantity that is refused before anything is sent
        return responses.read_quantity(self._call(requests.add_line(user_id, book, quantity, now)))

    def update(self, user_id: str, book_id: str, quantity: int, now: datetime) -> None:
        """See CartStore."""
        self.wire_ns = 0
        self._call(requests.update_line(user_id, book_id, quantity, now))

    def remove(self, user_id: str, book_id: str) -> None:
        """See CartStore."""
        self._call(requests.remove_line(user_id, book_id))


class WireSessionStore(DynamoDBWire):
    """`SessionStore` on DynamoDB."""

    __slots__ = ()

    def create(self, session: Session) -> None:
        """See SessionStore."""
        self._call(requests.create_session(session))

    def get(self, session_id: str, now: datetime) -> Session | None:
        """See SessionStore."""
        request = requests.get_session(session_id, consistent=self._consistent)
        return responses.read_session(self._call(request), now)

    def refresh(self, session_id: str, now: datetime) -> None:
        """See SessionStore."""
        self._call(requests.refresh_session(session_id, now))

    def store_summary(self, session_id: str, summary: CartSummary, now: datetime) -> None:
        """See SessionStore."""
        self._call(requests.store_summary(session_id, summary, now))


def _refusal(request: Request, status: int, body: bytes) -> Exception:
    """The error for an answer that is not 200: DynamoDB's name for it, or else the HTTP status."""
    try:
        told = orjson.loads(body)
        name, message = told["__type"], told.get("message") or told.get("Message") or ""
        if type(name) is str and name and type(message) is str:
            return responses.call_error(request, name, message[:500])
    except (ValueError, LookupError, TypeError, AttributeError):
        pass
    return BackendError(f"{request.operation}: HTTP {status}", name=f"HTTP {status}")
