"""What tests of the wire driver and of TLS share."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from loadtests.stores.dynamodb.wire import WireCartStore
from loadtests.stores.http import connection
from loadtests.targets.endpoints import DynamoDBEndpoint
from tests.stores.hostile import HostileServer


@pytest.fixture(params=["blocking", "gevent"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both kinds of transport, one after the other."""
    kind: str = request.param
    monkeypatch.setattr(connection, "gevent_has_patched", lambda: kind == "gevent")
    return kind


class OpenStore:
    """Opens cart stores of the wire driver; the fixture closes them."""

    def __init__(self) -> None:
        self.stores: list[WireCartStore] = []

    def __call__(
        self, server: HostileServer, timeout_s: float = 5.0, *, ask_capacity: bool = False
    ) -> WireCartStore:
        store = WireCartStore(
            DynamoDBEndpoint(server.url), timeout_s=timeout_s, ask_capacity=ask_capacity
        )
        self.stores.append(store)
        return store


@pytest.fixture
def carts() -> Iterator[OpenStore]:
    """Opens cart stores, and closes them twice."""
    opening = OpenStore()
    yield opening
    for store in opening.stores:
        store.close()
        store.close()


class Certificate(NamedTuple):
    """A self-signed certificate for `localhost` and its key, as PEM files."""

    key: Path
    certificate: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    if not shutil.which("openssl"):
        pytest.skip("makes keys with openssl")
    folder = tmp_path_factory.mktemp("tls")
    pair = Certificate(folder / "key.pem", folder / "cert.pem")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-keyout",
        str(pair.key),
        "-out",
        str(pair.certificate),
        "-addext",
        "subjectAltName=DNS:localhost",
    ]
    subprocess.run(command, check=True, capture_output=True)
    return pair
