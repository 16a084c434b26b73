"""libpq's settings as asyncpg's arguments."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from loadtests.errors import TargetError
from loadtests.targets.endpoints import PostgresEndpoint
from loadtests.targets.postgres.asyncpg_settings import AsyncpgSettings, asyncpg_settings
from loadtests.targets.postgres.conninfo import to_uri
from tests.stores.conftest import Certificate, certificate

__all__ = ["certificate"]  # the fixture


def translated(hostaddr: str = "127.0.0.1", **settings: str) -> AsyncpgSettings:
    dsn = make_conninfo("", **{"host": "db.example", "user": "u", **settings})
    return asyncpg_settings(PostgresEndpoint(dsn, hostaddr=hostaddr))


def context(**settings: str) -> ssl.SSLContext:
    found = translated(**settings)["ssl"]
    assert isinstance(found, ssl.SSLContext)
    return found


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@given(user=words, password=words, dbname=words)
def test_a_uri_says_the_same_as_keywords(user: str, password: str, dbname: str) -> None:
    settings = {"user": user, "dbname": dbname, "options": "-c a=b"}
    uri = to_uri(settings, host="/run/a b", hostaddr="", port=5433, password=password)
    expected = {**settings, "password": password, "host": "/run/a b", "port": "5433"}
    assert conninfo_to_dict(uri) == expected
    arguments = asyncpg_settings(PostgresEndpoint(uri))
    assert (arguments["user"], arguments["password"]) == (user, password)
    assert (arguments["database"], arguments["host"]) == (dbname, "/run/a b")


@pytest.mark.parametrize("host", ["::1", "fe80::1%eth0", "127.0.0.1", "db_1.internal"])
def test_hosts_in_a_uri(host: str) -> None:
    uri = to_uri({"user": "u"}, host=host, hostaddr="", port=1, password="")
    assert conninfo_to_dict(uri)["host"] == host


def test_the_address_that_answered_is_connected_to() -> None:
    arguments = translated(hostaddr="127.0.0.9", port="7", options="-c search_path=app")
    assert (arguments["host"], arguments["port"], arguments["ssl"]) == ("127.0.0.9", 7, False)
    assert arguments["server_settings"]["options"] == "-c search_path=app"
    assert arguments["database"] == "u"


def test_a_pooled_endpoint_prepares_nothing() -> None:
    endpoint = PostgresEndpoint("host=h user=u", hostaddr="127.0.0.1", pooled=True)
    assert asyncpg_settings(endpoint)["statement_cache_size"] == 0


def test_tls_without_verification(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    tls = context(sslmode="require", ssl_max_protocol_version="TLSv1.2")
    assert (tls.verify_mode, tls.check_hostname) == (ssl.CERT_NONE, False)
    assert tls.maximum_version == ssl.TLSVersion.TLSv1_2


def test_the_files_of_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, certificate: Certificate
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(TargetError, match="there is no file of root certificates"):
        context(sslmode="verify-ca")
    folder = tmp_path / ".postgresql"
    folder.mkdir()
    (folder / "root.crt").write_bytes(certificate.certificate.read_bytes())
    tls = context(sslmode="require")  # libpq verifies wherever it has roots
    assert (tls.verify_mode, tls.check_hostname) == (ssl.CERT_REQUIRED, False)


def test_the_name_is_verified_while_the_address_is_called(certificate: Certificate) -> None:
    roots, server = str(certificate.certificate), certificate.server_context()
    for host, accepted in (("localhost", True), ("other.example", False)):
        tls = context(host=host, sslmode="verify-full", sslrootcert=roots)
        pair = [(ssl.MemoryBIO(), ssl.MemoryBIO()) for _ in range(2)]
        ours = tls.wrap_bio(*pair[0], server_hostname="127.0.0.1")
        theirs = server.wrap_bio(*pair[1], server_side=True)
        if accepted:
            _shake_hands(ours, theirs, pair)
            assert ours.server_hostname == host
        else:
            with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
                _shake_hands(ours, theirs, pair)


def _shake_hands(
    ours: ssl.SSLObject, theirs: ssl.SSLObject, pair: list[tuple[ssl.MemoryBIO, ssl.MemoryBIO]]
) -> None:
    for _ in range(3):
        for side in (ours, theirs):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
            pair[1][0].write(pair[0][1].read())
            pair[0][0].write(pair[1][1].read())


@pytest.mark.parametrize(
    "settings",
    [
        {"sslrootcert": "/nowhere/root.crt"},
        {"sslcert": "/nowhere/a.crt", "sslkey": "/nowhere/a.key"},
        {"sslcrl": "/nowhere/a.crl", "sslrootcert": "/nowhere/root.crt"},
    ],
)
def test_files_that_are_missing(settings: dict[str, str]) -> None:
    with pytest.raises(TargetError, match="cannot use the TLS settings"):
        translated(sslmode="require", **settings)


def test_an_abstract_socket() -> None:
    with pytest.raises(TargetError, match="cannot use the Unix socket @name"):
        translated(hostaddr="", host="@name")
