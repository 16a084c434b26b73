"""TLS: the certificate is checked, and everything else works as without."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from loadtests.errors import BackendError, CallTimeout
from loadtests.stores.dynamodb.wire import WireCartStore
from loadtests.stores.http import credentials as aws_credentials
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


@pytest.fixture
def trusted(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate.certificate))
    aws_credentials.resolve.cache_clear()
    yield
    aws_credentials.resolve.cache_clear()


def open_store(
    server: HostileServer, host: str = "localhost", timeout_s: float = 5.0
) -> WireCartStore:
    return WireCartStore(DynamoDBEndpoint(f"https://{host}:{server.port}"), timeout_s=timeout_s)


@pytest.mark.usefixtures("trusted")
def test_calls_go_through_one_encrypted_connection(wrap: Wrap) -> None:
    with hostile(answering(GOOD), wrap=wrap) as server:
        store = open_store(server)
        for _ in range(5):
            assert get(store) == LINE
            assert store.wire_ns > 0
        assert server.connections == 1
        store.close()


def test_an_unknown_authority_is_refused(wrap: Wrap) -> None:
    aws_credentials.resolve.cache_clear()
    with hostile(answering(GOOD), wrap=wrap) as server, pytest.raises(BackendError) as caught:
        get(open_store(server))
    assert caught.value.name == "CertificateInvalid"


@pytest.mark.usefixtures("trusted")
def test_a_certificate_for_another_name_is_refused(wrap: Wrap) -> None:
    with hostile(answering(GOOD), wrap=wrap) as server, pytest.raises(BackendError) as caught:
        get(open_store(server, host="127.0.0.1"))
    assert caught.value.name == "CertificateInvalid"


@pytest.mark.usefixtures("trusted")
def test_a_server_without_tls_has_a_name() -> None:
    with (
        hostile(lambda peer: peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server,
        pytest.raises(BackendError) as caught,
    ):
        get(open_store(server))
    assert caught.value.name in {"TlsError", "ConnectionReset"}


@pytest.mark.usefixtures("trusted")
def test_a_handshake_that_hangs_ends_at_the_deadline() -> None:
    with hostile(Peer.hang) as server, pytest.raises(CallTimeout):
        get(open_store(server, timeout_s=0.2))


@pytest.mark.usefixtures("trusted")
def test_closing_in_the_middle_is_an_error_by_name(wrap: Wrap) -> None:
    def act(peer: Peer) -> None:
        peer.read_request()
        peer.say(GOOD[:-3])

    with hostile(act, wrap=wrap) as server, pytest.raises(BackendError) as caught:
        get(open_store(server))
    assert caught.value.name == "ConnectionClosed"


@pytest.mark.usefixtures("trusted")
def test_an_answer_may_be_many_records_long(wrap: Wrap) -> None:
    body = b'{"Items":[' + b" " * 300_000 + b"]}"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with hostile(answering(answer), wrap=wrap) as server:
        store = open_store(server)
        assert store.get("u") == store.get("u") == []
        assert server.connections == 1
        store.close()
