"""DynamoDB's client libraries over TLS: the certificate is checked, and wire time is stamped."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from loadtests.errors import BackendError
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints
from tests.stores.conftest import Certificate
from tests.stores.shop import opened

EMPTY = b'{"Items": []}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(EMPTY), EMPTY)
)


@pytest.fixture
def server(certificate: Certificate) -> Iterator[Endpoints]:
    """Answers every request on one TLS connection after another with an empty cart."""
    context = certificate.server_context()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(plain, server_side=True) as connection:
                    while connection.recv(65536):
                        connection.sendall(ANSWER)
            except OSError:
                plain.close()  # the client did not trust it, or hung up

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield Endpoints(
        DynamoDBEndpoint(
            f"https://localhost:{listener.getsockname()[1]}",
            ca_bundle=str(certificate.certificate),
        )
    )
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.mark.parametrize("driver", ["boto3", "aioboto3"])
def test_a_trusted_server_is_called_and_timed(driver: str, server: Endpoints) -> None:
    with opened(driver, "carts", server) as store:
        for _ in range(3):  # `opened` holds each to 0 < wire time <= service time
            assert store.get("u") == []
        wire = store.store._wire
        assert 0 < wire._sent_ns < wire._received_ns


@pytest.mark.parametrize("driver", ["boto3", "aioboto3"])
def test_a_server_nobody_vouches_for_is_refused(driver: str, server: Endpoints) -> None:
    assert server.dynamodb is not None
    untrusting = Endpoints(replace(server.dynamodb, ca_bundle=""))
    with opened(driver, "carts", untrusting) as store, pytest.raises(BackendError):
        store._finish(store.store.get("u"))
