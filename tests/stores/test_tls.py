"""DynamoDB's client libraries over TLS: the certificate is checked, and wire time is stamped."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading

import pytest

from loadtests.errors import BackendError
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints
from tests.stores.shop import opened

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="makes keys with openssl")

EMPTY = b'{"Items": []}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(EMPTY), EMPTY)
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A key and a certificate for `localhost` that signs itself, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    both = folder / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", folder / "key.pem",
         "-out", folder / "cert.pem", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    both.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return both


@pytest.fixture
def server(certificate):
    """Answers every request on one TLS connection after another with an empty cart."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
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
    yield Endpoints(DynamoDBEndpoint(f"https://localhost:{listener.getsockname()[1]}"))
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.mark.parametrize("driver", ["boto3", "aioboto3"])
def test_a_trusted_server_is_called_and_timed(driver, server, certificate, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    with opened(driver, "carts", server) as store:
        for _ in range(3):  # `opened` holds each to 0 < wire time <= service time
            assert store.get("u") == []
        wire = store.store._wire
        assert 0 < wire._sent_ns < wire._received_ns


@pytest.mark.parametrize("driver", ["boto3", "aioboto3"])
def test_a_server_nobody_vouches_for_is_refused(driver, server):
    with opened(driver, "carts", server) as store, pytest.raises(BackendError):
        store._finish(store.store.get("u"))
