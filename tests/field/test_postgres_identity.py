"""Kinds 3 to 5 on PostgreSQL: set-up, checklist and load reach one server, as one user."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from loadtests.config import Config, Data, Gate, Targets
from loadtests.errors import TargetError
from loadtests.targets.checklist.verify import verify_postgres
from loadtests.targets.embedded.postgres import Cluster, ready_port
from loadtests.targets.endpoints import Endpoints, PostgresEndpoint
from loadtests.targets.postgres import reach
from loadtests.targets.postgres.asyncpg_settings import asyncpg_settings
from loadtests.targets.postgres.connect import postgres_connection
from loadtests.targets.seed.dataset import Dataset, make_dataset
from loadtests.targets.seed.provision import provision_postgres
from tests.pooler import open_pooler
from tests.stores.shop import opened

pytestmark = pytest.mark.embedded
DRIVERS = ("psycopg", "asyncpg")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return make_dataset(Data(users=12, books=20), 913, datetime.now(UTC))


@pytest.fixture(scope="module")
def shared(postgres: PostgresEndpoint, data: Dataset) -> PostgresEndpoint:
    """The embedded PostgreSQL of all tests, with this module's rows too."""
    provision_postgres(postgres, data)
    return postgres


def reached(
    dsn: str, environ: dict[str, str] | None = None, *, micro: bool = False, **targets: Any
) -> PostgresEndpoint:
    config = Config(
        targets=Targets(postgres_dsn=dsn, **targets), gate=Gate(micro="quick" if micro else "off")
    )
    return reach.reach_postgres(config, environ or {})


@contextmanager
def database(postgres: PostgresEndpoint) -> Iterator[str]:
    """The DSN of an empty database."""
    name = f"test_{uuid.uuid4().hex}"
    with postgres_connection(postgres) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            yield make_conninfo(postgres.dsn, dbname=name)
        finally:
            connection.execute(
                sql.SQL("drop database {} with (force)").format(sql.Identifier(name))
            )


def use_every_pattern(endpoint: PostgresEndpoint, data: Dataset, driver: str) -> None:
    """Call all nine patterns twice, and compare each response."""
    endpoints = Endpoints(postgres=endpoint)
    user, cart, session, now = data.users[3], data.carts[3], data.sessions[3], datetime.now(UTC)
    book = next(b for b in data.books if b.book_id not in {line.book_id for line in cart})
    lines = sorted(cart, key=lambda line: line.book_id)
    with opened(driver, "carts", endpoints) as carts, opened(driver, "sessions", endpoints) as all_:
        for _ in range(2):
            assert carts.get(user.user_id) == lines
            assert carts.get_item(user.user_id, lines[0].book_id) == lines[0]
            assert carts.add(user.user_id, book, 2, now) == 2
            carts.update(user.user_id, book.book_id, 5, now)
            assert carts.get_item(user.user_id, book.book_id).quantity == 5
            carts.remove(user.user_id, book.book_id)
            all_.create(session)
            all_.store_summary(session.session_id, session.cart_summary, now)
            all_.refresh(session.session_id, now)
            assert all_.get(session.session_id, now).user_id == user.user_id


@pytest.mark.parametrize("driver", DRIVERS)
def test_search_path_of_the_environment(
    postgres: PostgresEndpoint,
    data: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    driver: str,
) -> None:
    """PGOPTIONS=-csearch_path=app seeded the schema `app`; the load called the one of `public`."""
    with database(postgres) as dsn:
        with psycopg.connect(dsn) as connection:
            connection.execute("create schema app")
        environ = {"PGOPTIONS": "-csearch_path=app"}
        monkeypatch.setenv("PGOPTIONS", "-csearch_path=app")
        endpoint = reached(dsn, environ)
        provision_postgres(endpoint, data)
        # a variable that changes after set-up changes nothing any more
        monkeypatch.setenv("PGOPTIONS", "-csearch_path=public")
        use_every_pattern(endpoint, data, driver)
        with postgres_connection(endpoint) as connection:
            rows = connection.execute(
                "select distinct schemaname from pg_tables where tablename = 'carts'"
            ).fetchall()
        assert rows == [("app",)]


@pytest.mark.parametrize(
    "keywords",
    [
        {"connect_timeout": "5", "keepalives_idle": "30", "tcp_user_timeout": "9000"},
        {"channel_binding": "prefer", "gssencmode": "disable", "sslcertmode": "allow"},
        {"application_name": "shop's app", "fallback_application_name": "x", "sslsni": "0"},
        {"options": "-c search_path=public,pg_catalog -c work_mem=8MB"},
        {"sslmode": "prefer", "sslcompression": "0", "krbsrvname": "postgres"},
        {"target_session_attrs": "read-write", "load_balance_hosts": "random"},
        {"client_encoding": "LATIN1", "keepalives": "1", "max_protocol_version": "latest"},
    ],
    ids="+".join,
)
@pytest.mark.parametrize("uri", [True, False])
def test_keywords_that_asyncpg_does_not_know(
    shared: PostgresEndpoint, data: Dataset, keywords: dict[str, str], uri: bool
) -> None:
    """asyncpg sent `connect_timeout` to the server: 100% errors, after the whole measurement."""
    settings = conninfo_to_dict(shared.dsn) | keywords
    dsn = make_conninfo("", **settings)
    if uri:
        settings = {name: str(value) for name, value in settings.items()}
        query = {n: v for n, v in settings.items() if n in keywords}
        dsn = shared.dsn + "?" + urlencode(query, quote_via=quote)
    endpoint = reached(dsn, micro=True)
    use_every_pattern(endpoint, data, "asyncpg")


@pytest.mark.parametrize(
    "keywords",
    [
        {"channel_binding": "require"},
        {"require_auth": "scram-sha-256"},
        {"requirepeer": "postgres"},
        {"gssencmode": "require"},
        {"sslmode": "require", "sslcertmode": "require"},
    ],
    ids="+".join,
)
def test_demands_that_asyncpg_cannot_meet(keywords: dict[str, str]) -> None:
    """They were sent to the server, which refused every call, after the load had run."""
    dsn = make_conninfo("", host="127.0.0.1", user="u", **keywords)
    with pytest.raises(TargetError, match="which asyncpg cannot honour"):
        asyncpg_settings(PostgresEndpoint(dsn))


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_pooler_in_transaction_mode(
    postgres: PostgresEndpoint, data: Dataset, driver: str
) -> None:
    """PgBouncer refused statement_timeout, and one statement's answer came back for another."""
    with database(postgres) as dsn, open_pooler(dsn) as pooled:
        endpoint = reached(pooled)
        assert endpoint.pooled
        assert endpoint.label.endswith(" (pooled)")
        provision_postgres(endpoint, data)
        use_every_pattern(endpoint, data, driver)
        checks = list(verify_postgres(endpoint, uuid.uuid4(), datetime.now(UTC)))
        assert [check for check in checks if not check.ok] == []


def test_settings_that_a_pooler_refuses(postgres: PostgresEndpoint) -> None:
    """The hint was to check that the server is running."""
    with open_pooler(postgres.dsn) as pooled:
        with pytest.raises(TargetError, match="is behind a pooler, which refuses") as caught:
            reached(pooled, {"PGOPTIONS": "-csearch_path=app"})
        assert "PGOPTIONS" in caught.value.hint


@pytest.mark.parametrize(
    "environ",
    [
        {"PGHOSTADDR": "10.1.2.3"},
        {"PGHOST": "/tmp", "PGHOSTADDR": "10.1.2.3"},
        {"PGHOSTADDR": "127.0.0.1,10.1.2.3"},
    ],
    ids=str,
)
def test_the_loopback_guard_sees_the_address_that_is_connected_to(environ: dict[str, str]) -> None:
    """PGHOSTADDR led to another machine, while the label said 127.0.0.1."""
    hosts = "127.0.0.1,127.0.0.1" if "," in environ["PGHOSTADDR"] else "127.0.0.1"
    with pytest.raises(TargetError, match=r"10\.1\.2\.3:5432 is not on this machine"):
        reached(f"host={hosts} user=u", environ)


def test_a_service_on_another_machine(tmp_path: Path) -> None:
    """Every service was refused, also one on this machine."""
    services = tmp_path / "services"
    services.write_text("[far]\nhost=10.1.2.3\nuser=u\n")
    with pytest.raises(TargetError, match=r"10\.1\.2\.3:5432 is not on this machine"):
        reached("service=far", {"PGSERVICEFILE": str(services)})


def test_a_name_that_changes_its_address(
    postgres: PostgresEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard resolved the name, and libpq resolved it again."""
    port = conninfo_to_dict(postgres.dsn)["port"]
    endpoint = reached(make_conninfo(postgres.dsn, host="localhost", hostaddr="127.0.0.1"))
    assert endpoint.label.endswith(f"127.0.0.1:{port}")

    def elsewhere(*_: Any, **__: Any) -> Any:
        raise AssertionError("a name was resolved again")

    monkeypatch.setattr(socket, "getaddrinfo", elsewhere)
    with postgres_connection(endpoint) as connection:
        assert connection.info.hostaddr == "127.0.0.1"
    assert asyncpg_settings(endpoint)["host"] == "127.0.0.1"


FOREIGN = {
    "PGHOST": "10.1.2.3",
    "PGHOSTADDR": "10.1.2.3",
    "PGPORT": "1",
    "PGUSER": "somebody",
    "PGDATABASE": "elsewhere",
    "PGPASSWORD": "wrong",
    "PGPASSFILE": "/nowhere",
    "PGSERVICE": "nowhere",
    "PGSERVICEFILE": "/nowhere",
    "PGOPTIONS": "-c search_path=nowhere -c no_such_setting=1",
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "/nowhere",
    "PGSSLCERT": "/nowhere",
    "PGSSLNEGOTIATION": "direct",
    "PGREQUIRESSL": "1",
    "PGCHANNELBINDING": "require",
    "PGREQUIREAUTH": "none",
    "PGREQUIREPEER": "somebody",
    "PGGSSENCMODE": "require",
    "PGTARGETSESSIONATTRS": "standby",
    "PGCLIENTENCODING": "SQL_ASCII",
    "PGTZ": "Nowhere/Nothing",
    "PGDATESTYLE": "nonsense",
    "PGGEQO": "nonsense",
    "PGCONNECT_TIMEOUT": "nonsense",
    "PGMINPROTOCOLVERSION": "3.2",
    "KRB5CCNAME": "/nowhere",
}


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_embedded_server_is_nobody_elses(
    shared: PostgresEndpoint, data: Dataset, monkeypatch: pytest.MonkeyPatch, driver: str
) -> None:
    """PGSSLMODE and others: "did not respond within 60 s: the machine may be overloaded"."""
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    use_every_pattern(shared, data, driver)
    provision_postgres(shared, data)
    port = int(str(conninfo_to_dict(shared.dsn)["port"]))
    assert ready_port(_Log(""), _cluster(shared), port) == port
    assert {name: os.environ[name] for name in FOREIGN} == FOREIGN  # they are the user's


def test_a_lasting_refusal_ends_the_wait(postgres: PostgresEndpoint) -> None:
    """A wrong password was tried for 60 s, and then called an overloaded machine."""
    port = int(str(conninfo_to_dict(postgres.dsn)["port"]))
    cluster = Cluster(Path(), Path(), "wrong", None)
    with pytest.raises(TargetError, match="password authentication failed for user"):
        ready_port(_Log("database system is ready to accept connections"), cluster, port)
    # until then it may be another server, on a port that ours did not get
    assert ready_port(_Log("starting"), cluster, port) is None


class _Log:
    def __init__(self, text: str) -> None:
        self._text = text

    def log_text(self) -> str:
        return self._text


def _cluster(postgres: PostgresEndpoint) -> Cluster:
    password = str(conninfo_to_dict(postgres.dsn)["password"])
    return Cluster(Path(), Path(), password, None)
