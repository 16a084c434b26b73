"""TLS: the certificate is checked, and everything else works as without."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from loadtests.errors import BackendError, CallTimeout
from loadtests.stores.dynamodb.wire import WireCartStore
from loadtests.targets.endpoints import DynamoDBEndpoint
from tests.stores.conftest import Certificate
from tests.stores.hostile import HostileServer, Peer, answering, hostile
from tests.stores.records import LINE
from tests.stores.wire_calls import GOOD, get

pytestmark = pytest.mark.usefixtures("transport")

Wrap = Callable[[socket.socket], socket.socket]


@pytest.fixture
def wrap(certificate: Certificate) -> Wrap:
    context = certificate.server_context()
    return lambda sock: context.wrap_socket(sock, server_side=True)


Open = Callable[..., WireCartStore]


@pytest.fixture
def open_store(certificate: Certificate) -> Open:
    """Opens stores that trust the certificate."""

    def open_(
        server: HostileServer, host: str = "localhost", timeout_s: float = 5.0
    ) -> WireCartStore:
        endpoint = DynamoDBEndpoint(
            f"https://{host}:{server.port}", ca_bundle=str(certificate.certificate)
        )
        return WireCartStore(endpoint, timeout_s=timeout_s)

    return open_


def test_calls_go_through_one_encrypted_connection(wrap: Wrap, open_store: Open) -> None:
    with hostile(answering(GOOD), wrap=wrap) as server:
        store = open_store(server)
        for _ in range(5):
            assert get(store) == LINE
            assert store.wire_ns > 0
        assert server.connections == 1
        store.close()


def test_an_unknown_authority_is_refused(wrap: Wrap) -> None:
    with hostile(answering(GOOD), wrap=wrap) as server, pytest.raises(BackendError) as caught:
        get(WireCartStore(DynamoDBEndpoint(f"https://localhost:{server.port}")))
    assert caught.value.name == "CertificateInvalid"


def test_a_certificate_for_another_name_is_refused(wrap: Wrap, open_store: Open) -> None:
    with hostile(answering(GOOD), wrap=wrap) as server, pytest.raises(BackendError) as caught:
        get(open_store(server, host="127.0.0.1"))
    assert caught.value.name == "CertificateInvalid"


def test_a_server_without_tls_has_a_name(open_store: Open) -> None:
    with (
        hostile(lambda peer: peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server,
        pytest.raises(BackendError) as caught,
    ):
        get(open_store(server))
    assert caught.value.name in {"TlsError", "ConnectionReset"}


def test_a_handshake_that_hangs_ends_at_the_deadline(open_store: Open) -> None:
    with hostile(Peer.hang) as server, pytest.raises(CallTimeout):
        get(open_store(server, timeout_s=0.2))


def test_closing_in_the_middle_is_an_error_by_name(wrap: Wrap, open_store: Open) -> None:
    def act(peer: Peer) -> None:
        peer.read_request()
        peer.say(GOOD[:-3])

    with hostile(act, wrap=wrap) as server, pytest.raises(BackendError) as caught:
        get(open_store(server))
    assert caught.value.name == "ConnectionClosed"


def test_an_answer_may_be_many_records_long(wrap: Wrap, open_store: Open) -> None:
    body = b'{"Items":[' + b" " * 300_000 + b"]}"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with hostile(answering(answer), wrap=wrap) as server:
        store = open_store(server)
        assert store.get("u") == store.get("u") == []
        assert server.connections == 1
        store.close()
