"""What a store does when the database does not answer as it should: an error by name, no hang."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from loadtests.contract.samples import NOW
from loadtests.errors import BackendError, CallError, CallTimeout
from loadtests.patterns import DRIVERS
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint
from tests.stores.shop import ALL_DRIVERS, Shop, opened

Answer = Callable[[socket.socket], None]


@contextmanager
def listening(answer: Answer) -> Iterator[int]:
    """A server on loopback that treats every connection with `answer`; yields its port."""
    server = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            connections.append(connection)
            answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()
        for connection in connections:
            connection.close()


def at(port: int) -> Endpoints:
    return Endpoints(
        DynamoDBEndpoint(f"http://127.0.0.1:{port}"),
        PostgresEndpoint(f"postgresql://postgres:hush-hush@127.0.0.1:{port}/postgres"),
    )


def never(connection: socket.socket) -> None:
    """Say nothing."""


def hang_up(connection: socket.socket) -> None:
    connection.recv(1)
    connection.close()


def html(connection: socket.socket) -> None:
    """What a gateway says that is not DynamoDB."""
    connection.recv(65536)
    body = b"<html>Bad Gateway</html>"
    head = f"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: {len(body)}"
    connection.sendall(head.encode() + b"\r\n\r\n" + body)


def called(driver: str, endpoints: Endpoints, timeout_s: float = 5.0) -> CallError:
    """The error of one call (not held to `Checked`, as nothing may have been sent)."""
    with opened(driver, "carts", endpoints, timeout_s=timeout_s) as store:
        result = None
        try:
            result = store._finish(store.store.get("user"))
        except CallError as error:
            assert store.store.wire_ns >= 0
            return error
    raise AssertionError(f"{driver} answered {result!r}")


@pytest.mark.parametrize("driver", ALL_DRIVERS)
def test_nothing_listens(driver: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        error = called(driver, at(unused.getsockname()[1]))
    assert type(error) is BackendError
    assert error.name in {"ConnectionFailed", "ConnectionRefused", "EndpointConnectionError"}
    assert "hush-hush" not in str(error)


@pytest.mark.parametrize("driver", ALL_DRIVERS)
def test_a_server_that_says_nothing(driver: str) -> None:
    with listening(never) as port:
        error = called(driver, at(port), timeout_s=0.2)
    assert type(error) is CallTimeout
    assert error.name == "CallTimeout"


@pytest.mark.parametrize("driver", ALL_DRIVERS)
def test_a_server_that_hangs_up(driver: str) -> None:
    with listening(hang_up) as port:
        error = called(driver, at(port))
    assert isinstance(error, BackendError)
    assert error.name.isascii()
    assert str(port) not in error.name
    assert "hush-hush" not in str(error)


@pytest.mark.parametrize("driver", DRIVERS["dynamodb"])
def test_an_answer_that_is_not_dynamodbs(driver: str) -> None:
    with listening(html) as port:
        error = called(driver, at(port))
    assert error.name == "HTTP 502"


@pytest.fixture(scope="module")
def shop(endpoints: Endpoints) -> Iterator[Shop]:
    shop = Shop(endpoints)
    yield shop
    shop.clear()


@pytest.mark.embedded
@pytest.mark.parametrize("driver", ALL_DRIVERS)
def test_a_refusal_carries_the_databases_name(
    driver: str, endpoints: Endpoints, shop: Shop
) -> None:
    """A user nobody knows (PostgreSQL); a key that is empty (DynamoDB)."""
    book = shop.books(["failures-book"])[0]
    expected = "ValidationException" if driver in DRIVERS["dynamodb"] else "ForeignKeyViolation"
    with opened(driver, "carts", endpoints) as store:
        with pytest.raises(BackendError) as refused:
            store.add("", book, 1, NOW)
        assert refused.value.name == expected
        user = shop.user()
        assert store.add(user, book, 1, NOW) == 1  # and the connection lives on


@pytest.mark.embedded
@pytest.mark.parametrize("driver", ALL_DRIVERS)
@pytest.mark.parametrize("text", ["\ud800", "nul\0"])
def test_text_that_a_backend_cannot_hold_is_a_call_error_or_kept(
    driver: str, endpoints: Endpoints, shop: Shop, text: str
) -> None:
    session = shop.session(shop.user(), text)
    with opened(driver, "sessions", endpoints) as store:
        stored = False
        with suppress(BackendError):
            store._finish(store.store.create(session))
            stored = True
        if stored:
            assert store.get(session.session_id, NOW) == session
        assert store.get("no-such-session", NOW) is None


@pytest.mark.embedded
@pytest.mark.parametrize("driver", DRIVERS["postgres"])
def test_a_lock_held_too_long_is_a_timeout_and_the_next_call_works(
    driver: str, endpoints: Endpoints, shop: Shop
) -> None:
    book, user = shop.books(["failures-book"])[0], shop.user()
    with opened(driver, "carts", endpoints, timeout_s=0.5) as store:
        store.add(user, book, 1, NOW)
        with shop.postgres.transaction():
            shop.postgres.execute("update carts set quantity = 5 where user_id = %s", (user,))
            with pytest.raises(CallTimeout):
                store.add(user, book, 1, NOW)
        # Cancelled, as a rule; a server too slow to cancel in time may still have added one.
        quantity = store.get_item(user, book.book_id).quantity
        assert quantity in {5, 6}
        assert store.add(user, book, 1, NOW) == quantity + 1


@pytest.mark.embedded
@pytest.mark.parametrize("driver", DRIVERS["postgres"])
def test_a_lost_connection_is_one_error_and_the_next_call_connects_again(
    driver: str, endpoints: Endpoints, shop: Shop
) -> None:
    user = shop.user()
    with opened(driver, "carts", endpoints) as store:
        assert store.get(user) == []
        pids = shop.postgres.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
            "where application_name = 'cloudshelf-loadtests'"
        ).fetchall()
        assert pids == [(True,)]
        error = None
        try:
            store._finish(store.store.get(user))
        except CallError as raised:
            error = raised
        assert type(error) is BackendError
        assert error.name in {"AdminShutdown", "ConnectionLost"}
        assert store.get(user) == []


@pytest.mark.embedded
@pytest.mark.parametrize("driver", DRIVERS["dynamodb"])
def test_a_closed_store_connects_again(driver: str, endpoints: Endpoints, shop: Shop) -> None:
    user = shop.user()
    with opened(driver, "carts", endpoints) as store:
        assert store.get(user) == []
        store.close()
        assert store.get(user) == []
